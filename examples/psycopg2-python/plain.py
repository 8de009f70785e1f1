"""psycopg2 and SQLAlchemy, for every line of standard input: write a row, read it back.

    PGHOST, PGPORT, PGDATABASE, PGUSER       as libpq has them
    PGPASSFILE, PGSSLMODE, PGSSLROOTCERT     with a passfile: the file, verify-full, the roots
"""

import sys

import psycopg2
import sqlalchemy
from sqlalchemy import text

# The pool looks at a connection before it hands it out, and replaces one that has ended.
engine = sqlalchemy.create_engine("postgresql+psycopg2://", pool_pre_ping=True)

with engine.begin() as conn:
    conn.execute(text("create table if not exists notes (id bigserial primary key, body text)"))

for line in sys.stdin:
    body = line.strip()
    with engine.begin() as conn:
        kept = conn.execute(text("insert into notes (body) values (:body) returning body"), {"body": body}).scalar_one()
    with engine.connect() as conn:
        rows = conn.execute(text("select count(*) from notes")).scalar_one()

    plain = psycopg2.connect("")  # everything from the environment
    with plain, plain.cursor() as cursor:
        cursor.execute("select current_user, current_database(), count(*) from notes")
        user, database, again = cursor.fetchone()
    plain.close()
    print(f"{kept} {rows} {user} {database} {again}", flush=True)
