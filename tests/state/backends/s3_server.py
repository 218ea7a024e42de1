"""moto's S3 with one request at a time, run by the Python that moto is installed for; prints its port.

By itself moto's server looks whether a precondition holds and writes later: two writers at the same moment may both be
told that the object was absent. S3 decides that in one step.
"""
import threading

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

turn, app = threading.Lock(), DomainDispatcherApplication(create_backend_app)


def serial(environ, start_response):
    with turn:
        return [b"".join(app(environ, start_response))]


server = make_server("127.0.0.1", 0, serial, threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
