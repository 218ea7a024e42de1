#!/usr/bin/env python3
"""A server of the state that falls silent in the middle of an apply: every backend gives it up in time, says so, and
nothing is lost or made twice."""
import contextlib
import re
import socket
import sys
import threading

from support import *

sys.path.insert(0, os.path.join(SOURCE, "tests/state/backends"))
import servers  # noqa: E402

TIMEOUT = 5
THINGS = "thing:\n  n: { count: 4, name: \"n-${count.index}\" }\n"
MADE = [f"create {n}" for n in range(1, 5)]


class Relay:
    """Passes bytes on to (host, port) and back; when it is mute it takes them, and connections, and passes on nothing.
    What belongs to a connection that was mute once never goes on: the bytes are gone."""

    def __init__(self, host, port):
        self.to, self.mute, self.open = (host, port), False, []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                self.open.append(near)
                far = socket.create_connection(self.to)
                self.open.append(far)
                for a, b in ((near, far), (far, near)):
                    threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    def pump(self, a, b):
        deaf = False
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                deaf = deaf or self.mute
                if not deaf:
                    b.sendall(data)
        for s in (a, b):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        for s in (self.listener, *self.open):
            s.close()


def through(config):
    """The settings by way of a relay, and the relay."""
    config = json.loads(config)
    where = next(config[k] for k in ("endpoint", "address", "conn_str", "host") if k in config)
    host, port = config.get("host", "127.0.0.1"), int(config.get("port") or re.search(r"127\.0\.0\.1(?::| port=)(\d+)", where)[1])
    relay = Relay(host, port)
    if "host" in config:
        with open(config["known_hosts"], "r+", encoding="utf-8") as f:
            key = f.read().split(" ", 1)[1]
            f.write(f"[127.0.0.1]:{relay.port} {key}")
        config["host"], config["port"] = "127.0.0.1", str(relay.port)
    else:
        config = {k: v.replace(str(port), str(relay.port)) if isinstance(v, str) else v for k, v in config.items()}
    if "conn_str" in config:
        config["conn_str"] += f" connect_timeout={TIMEOUT}"
    return {**config, "timeout_seconds": TIMEOUT}, relay


def parent(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return int(re.search(r"PPid:\s*(\d+)", f.read())[1])


class Silence(Case):
    def serve(self, kind):
        running = contextlib.ExitStack()
        self.addCleanup(running.close)
        try:
            return running.enter_context(servers.run(kind)).replace("@", "it")
        except servers.Skip as why:
            self.skipTest(str(why))

    def use(self, config):
        env = {"MLOPS_IAC_BACKEND_CONN_STR": config.pop("conn_str")} if "conn_str" in config else {}
        for name in [n for n in ("access_key", "secret_key") if n in config]:
            env["MLOPS_IAC_BACKEND_" + name.upper()] = config.pop(name)
        self.template(THINGS, sim="latency_ms: 500", top=f"mlops_iac: {{ backend: {json.dumps(config)} }}\n")
        self.ok("init", env=env)
        return env

    def goes_silent(self, kind, *expected):
        config, relay = through(self.serve(kind))
        self.addCleanup(relay.close)
        env = self.use(config)
        holder = self.start("apply", "-auto-approve", "-parallelism=1", env=env)
        self.wait_for("the first create", self.things)
        relay.mute = True
        begun = time.monotonic()
        done = self.finish(holder)
        self.assertLess(time.monotonic() - begun, slow(80), str(done))
        self.check(done, 1, ["no answer from", *expected])
        relay.mute = False
        refused = self.run_tool("apply", "-auto-approve", env=env)
        lock = re.search(r"force-unlock ([0-9a-f]+)", refused.text)
        if refused.code and lock:
            self.ok("force-unlock", "-force", lock.group(1), env=env)
        self.apply(env=env)
        self.assertEqual(sorted(self.ops()), MADE)
        self.assertEqual(len(self.ok("state", "list", env=env).out.split()), 4)
        self.ok("plan", "-detailed-exitcode", env=env, says="No changes.")

    def test_http(self):
        self.goes_silent("http", "Timeout was reached", "state push")

    def test_pg(self):
        self.goes_silent("pg", f"PostgreSQL in {TIMEOUT} s, and no new connection")

    def test_etcd(self):
        self.goes_silent("etcd", "`timeout_seconds`")

    def test_s3(self):
        self.goes_silent("s3", "`timeout_seconds`")

    def test_azure(self):
        self.goes_silent("azure", "`timeout_seconds`")

    def test_ssh(self):
        self.goes_silent("ssh", "ssh to 127.0.0.1: no connection")

    def test_a_stopped_process_of_the_database(self):
        """PostgreSQL has a process for each connection. When that one stops, the apply goes on with another, and what the
        stopped one has heard comes to nothing when it wakes up."""
        config = json.loads(self.serve("pg"))
        server = self.process(lambda pid, line: f"-p {re.search('port=([0-9]+)', config['conn_str'])[1]} " in line)
        env = self.use({**config, "timeout_seconds": TIMEOUT})
        holder = self.start("apply", "-auto-approve", "-parallelism=1", env=env)
        self.wait_for("the first create", self.things)
        stopped = self.process(lambda pid, line: line.startswith("postgres: mlops ") and parent(pid) == server)
        os.kill(stopped, signal.SIGSTOP)
        try:
            self.check(self.finish(holder), 0, ["4 added"])
        finally:
            os.kill(stopped, signal.SIGCONT)
        self.wait_for("the end of the session", lambda: not os.path.exists(f"/proc/{stopped}"))
        self.assertEqual(sorted(self.ops()), MADE)
        self.ok("plan", "-detailed-exitcode", env=env, says="No changes.")
        self.ok("state", "fsck", env=env, says="in order")

    def process(self, fits):
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", encoding="utf-8", errors="replace") as f:
                if fits(int(name), f.read().replace("\0", " ")):
                    return int(name)
        return self.fail("there is no such process")

    def test_settings(self):
        for value in ("0", "-1", "3601", "1.5", "soon"):
            self.template(THINGS, top=f"mlops_iac: {{ backend: {{ type: http, address: \"http://127.0.0.1:1/x\", timeout_seconds: {value} }} }}\n")
            self.fails("init", says="`timeout_seconds` is 1 to 3600")


if __name__ == "__main__":
    main()
