"""A server of Terraform's http state protocol, in memory, as a test needs it.

GET, POST and DELETE on /state/NAME; LOCK and UNLOCK on /lock/NAME. With --etag it sends ETag and honours If-Match
and If-None-Match; without it, it knows nothing of them. A file named after --sick says which methods answer 500 for as
long as it is there. Prints its port.
"""
import hashlib
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ETAG = "--etag" in sys.argv
SICK = sys.argv[sys.argv.index("--sick") + 1] if "--sick" in sys.argv else None
states, locks, guard = {}, {}, threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body go together: the other side holds the acknowledgement of the first back for 40 ms

    def log_message(self, *args):
        pass

    def parse_request(self):
        if not super().parse_request():
            return False
        if SICK and os.path.exists(SICK):
            with open(SICK, encoding="ascii") as f:
                if self.command in f.read():
                    self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    self.answer(500, b"the server is sick")
                    self.wfile.flush()
                    return False
        return True

    def answer(self, status, body=b"", etag=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if etag and ETAG:
            self.send_header("ETag", etag)
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        size = int(self.headers.get("Content-Length", 0))
        text = self.rfile.read(size)
        if len(text) < size:
            raise ConnectionError("half a request")
        return text

    @property
    def name(self):
        return self.path.split("?")[0].rsplit("/", 1)[1]

    @staticmethod
    def tag(text):
        return '"' + hashlib.sha256(text).hexdigest()[:20] + '"'

    def do_GET(self):
        with guard:
            text = states.get(self.name)
        if text is None:
            return self.answer(404)
        self.answer(200, text, self.tag(text))

    def do_POST(self):
        text = self.body()
        with guard:
            now = states.get(self.name)
            held = locks.get(self.name)
            if held and "ID=" + held["ID"] not in self.path:
                return self.answer(423, json.dumps(held).encode())
            match, none = self.headers.get("If-Match"), self.headers.get("If-None-Match")
            if ETAG and ((match and (now is None or match != self.tag(now))) or (none == "*" and now is not None)):
                return self.answer(412)
            states[self.name] = text
        self.answer(200, b"", self.tag(text))

    def do_DELETE(self):
        with guard:
            states.pop(self.name, None)
        self.answer(200)

    def do_LOCK(self):
        info = json.loads(self.body())
        with guard:
            held = locks.setdefault(self.name, info)
        if held is not info:
            return self.answer(423, json.dumps(held).encode())
        self.answer(200)

    def do_UNLOCK(self):
        info = json.loads(self.body() or b"{}")
        with guard:
            held = locks.get(self.name)
            if held and held["ID"] != info.get("ID"):
                return self.answer(409, json.dumps(held).encode())
            locks.pop(self.name, None)
        self.answer(200)


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
