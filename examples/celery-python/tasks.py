"""The application: run a worker with `celery -A tasks worker`."""

import os
import time

from celery import Celery

app = Celery("tasks")
app.config_from_object("celeryconfig")


@app.task
def add(x, y):
    time.sleep(0.05)
    return x + y


@app.task
def report(rows):
    """Return something long, and which process has made it."""
    return {"pid": os.getpid(), "rows": ["x" * 100] * rows}
