"""A worker in Python of the same tasks, which runs them in turn and acknowledges late."""
import os
import time

from celery import Celery

app = Celery("worker", broker=os.environ["BROKER"], backend=os.environ["BACKEND"])
app.conf.update(
    task_default_queue=os.environ["QUEUE"], task_acks_late=True, worker_prefetch_multiplier=4,
)


@app.task(name="tasks.sleep")
def sleep(seconds):
    time.sleep(seconds)
    return "slept"


app.worker_main(["worker", "--pool=solo", "--loglevel=WARNING", "--hostname=python@worker"])
