"""One supervised replica: puts the scoring server into its sandbox and watches its liveness.

In:  replica.json in the current folder: sandbox (arguments of bubblewrap), command, cgroup (cgroup.procs files),
     socket, liveness {path, initial_delay, period, timeout, failure_threshold}, startup (seconds).
Out: the exit status of the server. s6-supervise starts us again when we end; we start nothing twice.
Never: puts an argument of the sandbox on a command line, for variables may hold secrets.
"""
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def alive(path, url, timeout):
    connection = UnixConnection(path, timeout)
    try:
        connection.request("GET", url)
        return connection.getresponse().status < 400
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def enter(groups):
    for procs in groups:
        try:
            with open(procs, "w", encoding="ascii") as f:
                f.write("0")
        except OSError as e:
            print(f"cannot enter {procs}: {e.strerror}; running without this limit", flush=True)


def start(conf):
    """The sandbox, and a handle on the server inside it, which is process 1 there: with it ends everything.

    Bubblewrap itself is never killed: a server that it has not yet tied to its own life would stay.
    """
    told, telling = os.pipe()
    listed = os.memfd_create("arguments")
    options = ["--as-pid-1", "--info-fd", str(telling), *conf["sandbox"][1:]]
    os.write(listed, b"".join(os.fsencode(o) + b"\0" for o in options))
    os.lseek(listed, 0, os.SEEK_SET)
    child = subprocess.Popen([conf["sandbox"][0], "--args", str(listed), "--", *conf["command"]],
                             pass_fds=(listed, telling), stdin=subprocess.DEVNULL, env={"PATH": "/usr/bin:/bin"})
    os.close(listed)
    os.close(telling)
    with os.fdopen(told, encoding="utf-8") as f:
        text = f.read()
    return child, os.pidfd_open(json.loads(text)["child-pid"]) if text else -1


def tell(server, number):
    try:
        if server >= 0:
            signal.pidfd_send_signal(server, number)
    except ProcessLookupError:
        pass


def watch(conf, child):
    """Until the server ends, or is found dead while it runs. A server that never answered has `startup` seconds."""
    live = conf["liveness"]
    born, seen, bad = time.monotonic(), False, 0
    pause = min(0.25, live["period"])
    while True:
        try:
            return child.wait(timeout=pause)
        except subprocess.TimeoutExpired:
            pass
        if alive(conf["socket"], live["path"], live["timeout"]):
            seen, bad, pause = True, 0, live["period"]
        elif seen and time.monotonic() - born >= live["initial_delay"]:
            bad += 1
            print(f"liveness probe failed ({bad} of {live['failure_threshold']})", flush=True)
            if bad >= live["failure_threshold"]:
                print("not alive: restarting", flush=True)
                return None
        elif not seen and time.monotonic() - born >= conf["startup"]:
            print(f"no answer within {conf['startup']} s of the start: restarting", flush=True)
            return None


def main():
    with open("replica.json", encoding="utf-8") as f:
        conf = json.load(f)
    enter(conf["cgroup"])
    if os.path.exists(conf["socket"]):
        os.unlink(conf["socket"])
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    child, server = start(conf)

    def forward(signum, frame):
        """The server ends by itself once it serves; before that it has nothing to finish, and may not listen to us."""
        tell(server, signal.SIGTERM if os.path.exists(conf["socket"]) else signal.SIGKILL)
    signal.signal(signal.SIGTERM, forward)
    if stopping:
        forward(signal.SIGTERM, None)
    status = watch(conf, child)
    if status is None:
        tell(server, signal.SIGKILL)
        child.wait()
        return 1
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
