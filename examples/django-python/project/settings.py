"""Django's settings: the database of the application is on Azure.

The variables are those of ../celery-python/celeryconfig.py, and so are the two ways in:
a directory in DB_HOST leads to `azurepg proxy`, a host name to the server itself with the
token that `azurepg passfile` keeps in the file of PGPASSFILE.
"""

import logging
import os

from django.core.exceptions import ImproperlyConfigured

env = os.environ


def need(name):
    if not env.get(name):
        raise ImproperlyConfigured(f"{name} is not set")
    return env[name]


DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": need("DB_HOST"),
        "PORT": env.get("DB_PORT", "5432"),
        "NAME": env.get("DB_NAME", "shop"),
        "USER": env.get("AZURE_SERVICE_PRINCIPAL_USER", ""),
        "OPTIONS": {"connect_timeout": 10},
        # A login takes some round trips, so connections serve many requests. One that the
        # server has ended is found out before the next request, which would fail with it,
        # and replaced by one with the present token; before Django 4.1, by wsgi.py.
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
    }
}
database = DATABASES["default"]

if not database["USER"]:
    database.update(USER=need("DB_USER"), PASSWORD=need("DB_PASS"))
    logging.getLogger(__name__).warning(
        "AZURE_SERVICE_PRINCIPAL_USER is not set: the database is used as DB_USER, with the password in DB_PASS"
    )
elif not database["HOST"].startswith("/"):
    # libpq's default verifies nobody, and would give the token to anyone who answers.
    database["OPTIONS"]["sslmode"] = "verify-full"
    database["OPTIONS"]["sslrootcert"] = env.get("PGSSLROOTCERT", "/etc/ssl/certs/ca-certificates.crt")

SECRET_KEY = env.get("DJANGO_SECRET_KEY") or os.urandom(32).hex()  # no sessions here that it would end
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
INSTALLED_APPS = ["shop"]
ROOT_URLCONF = "project.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = "UTC"
USE_TZ = True
