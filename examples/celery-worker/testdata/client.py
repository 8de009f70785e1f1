"""What a Python application does with Celery: it sends tasks and reads their results.

    client.py NAME...   runs the functions of those names, and prints a line of JSON for each
"""
import json
import os
import sys
import time
from datetime import datetime, timedelta, timezone

from celery import Celery, chain, group
from celery.exceptions import NotRegistered, TaskRevokedError
from sqlalchemy.exc import DBAPIError

app = Celery("client", broker=os.environ["BROKER"], backend=os.environ["BACKEND"])
app.conf.task_default_queue = os.environ["QUEUE"]
if os.environ["BROKER"].startswith("amqps"):
    import ssl
    app.conf.broker_use_ssl = {
        "ca_certs": os.environ["CA"], "certfile": os.environ["CERT"], "keyfile": os.environ["KEY"],
        "cert_reqs": ssl.CERT_REQUIRED,
    }
    app.conf.broker_transport_options = {"confirm_publish": True}

WAIT = 120


def send(name, *args, **options):
    return app.send_task("tasks." + name, args=args, **options)


def raised(result):
    """The exception of a task, as the application sees it."""
    try:
        return "returned %r" % (result.get(timeout=WAIT),)
    except Exception as e:  # noqa
        return "%s.%s%r" % (type(e).__module__, type(e).__name__, e.args)


def patiently(result):
    """Celery tries again itself when its session is cut, but not after psycopg2's InterfaceError."""
    while True:
        try:
            return result.get(timeout=5 * WAIT)
        except DBAPIError:
            time.sleep(0.1)


def success():
    return send("add", 2, 3).get(timeout=WAIT)


def keywords():
    return app.send_task("tasks.add", kwargs={"y": 3, "x": 2}).get(timeout=WAIT)


def values():
    """Comes back what was sent, type and all?"""
    sent = [
        None, True, False, 0, -1, 127, 128, 255, 256, -128, -129, 2**31 - 1, 2**31, -2**31, -2**31 - 1, 2**63, -2**63, 2**200, -2**200,
        1.5, -0.0, 1e300, 5e-324, 3.0, "", "Grüße, 世界 \U0001f600 \x00 <>&\u2028", "a" * 100000, [], {}, [[], {}, [1, [2, [3]]]],
        {"k": {"n": None, "l": [1, 2.5, "s"]}, "": 1}, list(range(1000)),
    ]
    results = [(value, send("echo", value)) for value in sent]
    return [repr(v)[:60] for v, r in results if repr(r.get(timeout=WAIT)) != repr(v)]


def failure():
    return raised(send("fail", "ValueError", "no such lamp"))


def state_of_failure():
    r = send("fail", "KeyError", "k")
    raised(r)
    return r.state


def not_registered():
    r = send("no_such_task")
    return [raised(r), isinstance(r.result, NotRegistered)]


def wrong_arguments():
    return [raised(send("add", 1)), raised(send("add", 1, 2, 3)), raised(send("add", 1, "2")),
            raised(app.send_task("tasks.add", args=[1, 2], kwargs={"z": 3}))]


def eta():
    start = time.time()
    results = [send("add", 1, 1, countdown=1.5), send("add", 2, 2, eta=datetime.now(timezone.utc) + timedelta(seconds=1.5))]
    values = [r.get(timeout=WAIT) for r in results]
    return [values, min(r.date_done.replace(tzinfo=timezone.utc).timestamp() for r in results) - start >= 1.5]


def beside_later_ones():
    """Tasks for tomorrow are in nobody's way."""
    for _ in range(5):
        send("add", 1, 1, countdown=86400)
    return send("add", 1, 1).get(timeout=WAIT)


def expired():
    r = send("add", 1, 1, countdown=1.5, expires=0.5)
    return [raised(r), r.state, isinstance(r.result, TaskRevokedError)]


def not_expired():
    return send("add", 1, 1, expires=3600).get(timeout=WAIT)


def groups():
    g = group(app.signature("tasks.add", args=(i, i)) for i in range(20)).apply_async()
    values = g.get(timeout=WAIT)
    return [values == [2 * i for i in range(20)], g.successful()]


def chains():
    first = chain(app.signature("tasks.add", args=(1, 1)), app.signature("tasks.add", args=(1,))).apply_async().parent
    while not first.ready():  # Celery 5.2 unsubscribes from the first of a chain in Redis: get would wait in vain
        time.sleep(0.05)
    return raised(first)


def pickled():
    return raised(send("add", 1, 1, serializer="pickle"))


def ping():
    """A broadcast of Redis is lost while a worker whose connection was cut subscribes anew."""
    node = os.environ["NODE"]
    for _ in range(6):
        answer = app.control.inspect(destination=[node], timeout=WAIT / 6).ping()
        if answer:
            return answer


def ping_all():
    """One asks all nodes and waits for who answers."""
    for _ in range(20):
        answer = app.control.inspect(timeout=1).ping()
        if answer:
            return answer


def stats():
    node = os.environ["NODE"]
    answer = app.control.inspect(destination=[node], timeout=WAIT).stats()
    s = answer[node]
    return [s["total"].get("tasks.add", 0) > 0, s["pid"] > 0, s["uptime"] >= 0, s["pool"]["max-concurrency"]]


def unknown_command():
    node = os.environ["NODE"]
    return app.control.inspect(destination=[node], timeout=WAIT).reserved()


def ignored():
    r = send("add", 1, 1, ignore_result=True)
    send("add", 1, 1).get(timeout=WAIT)
    return r.backend.get_task_meta(r.id)["status"]


def priorities():
    """In which order are they done, by a worker that starts when all have been sent?"""
    results = {p: send("add", p, 0, priority=p) for p in [9, 6, 3, 0]}
    print(json.dumps({"sent": len(results)}), flush=True)
    for r in results.values():
        r.get(timeout=WAIT)
    return sorted(results, key=lambda p: results[p].date_done)


def many():
    """Tasks, half of which are spread over SPREAD seconds; prints how far it is."""
    n, spread = int(os.environ["N"]), float(os.environ["SPREAD"])
    results = [send("add", i, i, countdown=spread * i / n if i % 2 else None) for i in range(n)]
    print(json.dumps({"sent": n}), flush=True)
    return [i for i, r in enumerate(results) if patiently(r) != 2 * i]


def slow():
    """Tasks of SECONDS each."""
    n = int(os.environ["N"])
    results = [send("sleep", float(os.environ["SECONDS"])) for _ in range(n)]
    print(json.dumps({"sent": n}), flush=True)
    return [patiently(r) for r in results].count("slept")


def only_sent():
    """Three tasks that take a while, and one for tomorrow that comes first."""
    send("add", 1, 1, countdown=86400)
    for _ in range(3):
        send("sleep", float(os.environ["SECONDS"]))
    return 4


def restore():
    """Has kombu give back what no worker has acknowledged for a second."""
    with app.connection() as connection:
        channel = connection.default_channel
        channel.visibility_timeout = 1
        for _ in range(WAIT):
            channel.qos.restore_visible(interval=1)
            if not channel.client.hlen("unacked"):
                return channel.client.zcard("unacked_index")
            time.sleep(1)


for name in sys.argv[1:]:
    print(json.dumps({name: globals()[name]()}), flush=True)
