"""What the campaign `network` puts between the program and what it talks to: a relay that misbehaves, a cloud afar.

The cloud answers what tests/faults/far.c asks, out of the same SQLite file that the plugin `sim` has, with the same
tables: the oracle needs not know where it was. The relay is for HTTP (whole requests and answers) or for any bytes.
"""
import json
import socket
import sqlite3
import struct
import threading
import time

CLASSES = {"thing": "b", "thing_a": "a", "thing_c": "c"}


class Service:
    """A thread that accepts on loopback, and one for each connection. serve(socket) answers."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.open, self.guard = set(), threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            with self.guard:
                self.open.add(s)
            threading.Thread(target=self.answer, args=(s,), daemon=True).start()

    def answer(self, s):
        try:
            self.serve(s)
        except (OSError, sqlite3.Error):
            pass  # the world is gone, or the line: nobody hears an answer
        finally:
            with self.guard:
                self.open.discard(s)
            s.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self.listener.close()
        with self.guard:
            for s in self.open:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


def read_message(s):
    """A whole HTTP message, head and body; b"" when the other side has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = s.recv(65536)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    fields = [line.split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line]
    fields = {k.strip().lower(): v.strip().lower() for k, v in fields}
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        while not body.endswith(b"0\r\n\r\n"):
            body += s.recv(65536)
    bodiless = head.startswith((b"HEAD ", b"HTTP/1.1 204", b"HTTP/1.1 304"))
    while not bodiless and len(body) < int(fields.get(b"content-length", b"0")):
        more = s.recv(65536)
        if not more:
            return b""
        body += more
    return head + b"\r\n\r\n" + body


def http(status, text=b"", *headers):
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(text)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + text


def reset(s):
    """Closes with RST instead of FIN."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


# ---- the cloud ----

class Cloud(Service):
    def __init__(self, path):
        self.path, self.turn = path, threading.Lock()
        super().__init__()

    def serve(self, s):
        message = read_message(s)
        if not message:
            return
        ask = json.loads(message.split(b"\r\n\r\n", 1)[1])
        with self.turn:
            db = sqlite3.connect(self.path, timeout=30, isolation_level=None)
            try:
                db.execute("BEGIN IMMEDIATE")
                answer = getattr(self, ask["op"])(db, ask)
                db.execute("COMMIT")
            except LookupError as e:
                db.execute("ROLLBACK")
                answer = e
            finally:
                db.close()
        s.sendall(http(409, str(answer).encode()) if isinstance(answer, LookupError)
                  else http(200, json.dumps(answer).encode()))

    @staticmethod
    def thing(db, where, *args):
        rows = db.execute(f"SELECT id, version, inputs, key FROM things WHERE {where} ORDER BY id", args).fetchall()
        return [{"id": f"t-{n}", "fingerprint": f"v{version}", "key": key, "attributes":
                 {**json.loads(body), "id": f"t-{n}", "output": json.loads(body).get("inputs")}}
                for n, version, body, key in rows]

    @staticmethod
    def did(db, op, number, key):
        db.execute("INSERT INTO ops(op, id, key) VALUES(?, ?, ?)", (op, number, key))

    def create(self, db, ask):
        kind, key, name = ask["kind"], ask["key"], json.loads(ask["inputs"]).get("name")
        if CLASSES[kind] != "c" and (there := self.thing(db, "key = ?", key)):
            return there
        if name and self.thing(db, "kind = ? AND name = ?", kind, name):
            raise LookupError(f"the name {name} is taken")
        number, = db.execute("SELECT coalesce(max(n), 0) + 1 FROM ops").fetchone()
        self.did(db, "create", number, key)
        marked = CLASSES[kind] == "c"
        db.execute("INSERT INTO things(id, kind, name, key, marker, version, commit_at, visible_at, inputs)"
                   " VALUES(?, ?, ?, ?, ?, 1, 0, 0, ?)",
                   (number, kind, name, None if marked else key, key if marked else None, ask["inputs"]))
        return self.thing(db, "id = ?", number)

    def update(self, db, ask):
        number = int(ask["id"][2:])
        if not db.execute("UPDATE things SET version = version + 1, inputs = ? WHERE id = ?", (ask["inputs"], number)).rowcount:
            return [None]
        self.did(db, "update", number, ask["key"])
        return self.thing(db, "id = ?", number)

    def delete(self, db, ask):
        number = int(ask["id"][2:])
        if db.execute("DELETE FROM things WHERE id = ?", (number,)).rowcount:
            self.did(db, "delete", number, ask["key"])
        return []

    def read(self, db, ask):
        return [(self.thing(db, "id = ?", int(i[2:])) or [None])[0] for i in ask["ids"]]

    def lookup(self, db, ask):
        return self.thing(db, "kind = ? AND (marker = ? OR key = ?)", ask["kind"], ask["key"], ask["key"])


# ---- the relay ----

class Relay(Service):
    """Between a client and 127.0.0.1:port. decide(request) names the fault that a request meets, None for none."""

    def __init__(self, port, decide=lambda request: None):
        self.to, self.decide, self.met = port, decide, []
        super().__init__()

    def upstream(self):
        return socket.create_connection(("127.0.0.1", self.to), timeout=60)

    def forward(self, request):
        with self.upstream() as up:
            up.sendall(request)
            answer = read_message(up)
            return answer

    def serve(self, s):
        while request := read_message(s):
            name = self.decide(request)
            if name is None:
                answer = self.forward(request)
                s.sendall(answer)
                if b"connection: close" in answer.split(b"\r\n\r\n", 1)[0].lower():
                    return
                continue
            self.met.append(name)
            FAULTS[name](self, s, request)
            return


def _reset(relay, s, request):
    reset(s)


def _half(relay, s, request):
    """Half of the request arrives, then the line is dead on both sides."""
    with relay.upstream() as up:
        up.sendall(request[:len(request) // 2])
    reset(s)


def _busy(relay, s, request):
    s.sendall(http(429, b"slowly", "Retry-After: 1"))


def _unavailable(relay, s, request):
    s.sendall(http(503, b"later"))


def _gateway(relay, s, request):
    """Done, and the gateway says that it was not."""
    relay.forward(request)
    s.sendall(http(502, b"bad gateway"))


def _lost(relay, s, request):
    relay.forward(request)
    reset(s)


def _closed(relay, s, request):
    """Done, and the connection ends in order, without an answer."""
    relay.forward(request)


def _truncated(relay, s, request):
    answer = relay.forward(request)
    s.sendall(answer[:max(len(answer) - 20, len(answer) // 2)])


def _silent(relay, s, request):
    """Done, and nobody ever answers: the deadline of the caller ends it."""
    relay.forward(request)
    s.recv(1)


def _drip(relay, s, request):
    answer = relay.forward(request)
    for at in range(0, len(answer), 40):
        s.sendall(answer[at:at + 40])
        time.sleep(0.005)


def _late(relay, s, request):
    """The line dies first; the request arrives a little later."""
    reset(s)
    time.sleep(0.1)
    relay.forward(request)


def _twice(relay, s, request):
    """Somebody on the way sends it again."""
    relay.forward(request)
    s.sendall(relay.forward(request))


FAULTS = {"reset": _reset, "half a request": _half, "429": _busy, "503": _unavailable, "done, 502": _gateway,
          "done, reset": _lost, "done, closed": _closed, "done, truncated": _truncated, "done, silent": _silent,
          "slow drip": _drip, "late": _late, "twice": _twice}
# What a class of creates cannot tell from another create: class C has no memory of what was asked before.
NOT_FOR_C = ("late", "twice")


class Bytes(Service):
    """A relay for any protocol. fate(direction, count) is what becomes of this piece: None, it is carried; "dead", the line
    dies; "silent", this piece and all that come after it on this line, both ways, go nowhere."""

    def __init__(self, port):
        self.to, self.fate, self.met, self.count, self.deaf = port, lambda direction, count: None, [], {"up": 0, "down": 0}, set()
        super().__init__()

    def serve(self, s):
        with socket.create_connection(("127.0.0.1", self.to), timeout=60) as up:
            up.settimeout(None)
            back = threading.Thread(target=self.carry, args=(s, up, s, "down"), daemon=True)
            back.start()
            self.carry(s, s, up, "up")
            back.join()

    def carry(self, line, a, b, direction):
        try:
            while data := a.recv(65536):
                with self.guard:
                    self.count[direction] += 1
                    fate = self.fate(direction, self.count[direction])
                if fate == "silent":
                    self.deaf.add(line)
                if line in self.deaf:
                    continue
                if fate:
                    self.met.append(f"{direction} {self.count[direction]}")
                    for x in (a, b):
                        x.shutdown(socket.SHUT_RDWR)
                    return
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            for x in (a, b):
                try:
                    x.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
