"""The application as servers such as gunicorn take it: project.wsgi."""

import os

import django
from django.core.signals import request_started
from django.core.wsgi import get_wsgi_application
from django.db import connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
application = get_wsgi_application()


def replace_ended_connections(**_):
    """Do what CONN_HEALTH_CHECKS does, for Django before 4.1."""
    for connection in connections.all():
        if connection.connection is not None and not connection.is_usable():
            connection.close()


if django.VERSION < (4, 1):
    request_started.connect(replace_ended_connections)
