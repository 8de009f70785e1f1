"""Celery's settings, from the variables of the deployment.

Results go to Azure Database for PostgreSQL. No token and no password stands in their
URL: azurepg, which runs beside the workers, has the AZURE_* variables and logs in.

    DB_HOST is a directory    of the socket of `azurepg proxy`, which needs no password
    DB_HOST is a host name    libpq finds the token in the file that PGPASSFILE names,
                              which `azurepg passfile` keeps fresh

Without AZURE_SERVICE_PRINCIPAL_USER the ordinary user and password are used.
"""

import logging
import os
from urllib.parse import quote, urlencode

from celery.exceptions import ImproperlyConfigured


def need(env, name):
    if not env.get(name):
        raise ImproperlyConfigured(f"{name} is not set")
    return env[name]


def results(env):
    """Return the URL of the result backend, and what psycopg2 is told besides."""
    scheme = "db+" + env.get("CELERY_RESULTS_DB_BACKEND", "db+postgresql").removeprefix("db+")
    host, port = need(env, "DB_HOST"), env.get("DB_PORT", "5432")
    name = quote(env.get("DB_NAME", "celery"), safe="")
    connect = {"connect_timeout": 10}
    user = env.get("AZURE_SERVICE_PRINCIPAL_USER")
    if not user:
        user = need(env, "DB_USER")
        connect["password"] = need(env, "DB_PASS")  # not in the URL, which programs print
        logging.getLogger(__name__).warning(
            "AZURE_SERVICE_PRINCIPAL_USER is not set: results are stored as DB_USER, with the password in DB_PASS"
        )
    elif not host.startswith("/"):
        # libpq's default verifies nobody, and would give the token to anyone who answers.
        connect["sslmode"] = "verify-full"
        connect["sslrootcert"] = env.get("PGSSLROOTCERT", "/etc/ssl/certs/ca-certificates.crt")
    user = quote(user, safe="")
    if host.startswith("/"):
        return f"{scheme}://{user}@/{name}?{urlencode({'host': host, 'port': port})}", connect
    return f"{scheme}://{user}@{host}:{port}/{name}", connect


broker_url = os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0")
result_backend, connect_args = results(os.environ)

database_engine_options = {
    # The processes of a worker keep their connections. One that the server has ended is
    # found out before it is used, and replaced by one with the present token. Without it
    # each costs an error in the log, and one of the three tries that Celery makes.
    "pool_pre_ping": True,
    "connect_args": connect_args,
}
