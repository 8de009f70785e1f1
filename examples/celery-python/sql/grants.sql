-- What the role of Celery's results needs in a database that it does not own, with psql's
-- variables role and database, in that database. Celery makes its two tables and their
-- sequences itself, when it has a first result; after that "revoke create" will do.
\set ON_ERROR_STOP on

grant connect on database :"database" to :"role";
grant usage, create on schema public to :"role";
