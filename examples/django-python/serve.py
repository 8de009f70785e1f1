"""Serves the application on a free port of this machine, in the place of gunicorn."""

from wsgiref.simple_server import make_server

from project.wsgi import application

server = make_server("127.0.0.1", 0, application)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
