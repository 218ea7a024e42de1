"""States that live on a server: the real servers of the conformance suite, and worlds whose state is there.

A server is started and stopped by tests/state/backends/run.py, which knows them all; what it runs here as if it were
the suite only says what the server's settings are, and waits.
"""
import contextlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys

from world import BUILD, SOURCE, Violation, World, evidence, mixed_template

KINDS = ["http", "pg", "etcd", "s3", "azure", "ssh"]
RUN = os.path.join(SOURCE, "tests/state/backends/run.py")
PATIENCE_S = 5  # with a relay that may fall silent
SECRETS = ("conn_str", "access_key", "secret_key", "password")


class Server:
    """One server on loopback; `skipped` says why there is none."""

    def __init__(self, kind, folder):
        self.kind, self.skipped, self.numbers = kind, None, itertools.count(1)
        holder = os.path.join(folder, "hold")
        with open(holder, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\nprintf 'settings %s\\n' \"$MIO_BACKEND\"\nexec cat >/dev/null\n")
        os.chmod(holder, 0o700)
        if not os.path.exists(os.path.join(BUILD, f"lib/mlops-iac/backends/{kind}.so")):
            self.process, self.skipped = None, f"the backend {kind} is not built"
            return
        self.process = subprocess.Popen([sys.executable, RUN, holder, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        said = ""
        for line in self.process.stdout:
            if line.startswith("settings "):
                self.settings = json.loads(line[len("settings "):])
                return
            said += line
        self.skipped = said.strip() or f"there is no server of {kind}"
        self.process.wait()

    def new(self, port=None):
        """The settings of a state that nobody has used yet; `port`: reached through a relay there."""
        text = json.dumps(self.settings).replace("@", f"state{os.getpid()}n{next(self.numbers)}")
        if not port:
            return json.loads(text)
        settings = {**json.loads(text.replace(str(self.port), str(port))), "timeout_seconds": PATIENCE_S}
        if "conn_str" in settings:
            settings["conn_str"] += f" connect_timeout={PATIENCE_S}"
        return settings

    @property
    def port(self):
        return int(re.search(r'(?:127\.0\.0\.1:|port=|"port": ")(\d+)', json.dumps(self.settings)).group(1))

    def close(self):
        if self.process and not self.skipped:
            self.process.stdin.close()
            self.process.stdout.close()
            self.process.wait()


class RemoteWorld(World):
    """A folder whose state is on a server."""

    def __init__(self, folder, settings, like=None):
        """`like`: a folder that this one is to be a copy of."""
        super().__init__(folder)
        shutil.copytree(like, folder) if like else os.mkdir(folder)
        self.env = {f"MLOPS_IAC_BACKEND_{k.upper()}": v for k, v in settings.items() if k in SECRETS}
        self.backend = {k: v for k, v in settings.items() if k not in SECRETS}

    def template(self, text, sim=""):
        super().template(f"mlops_iac: {{ backend: {json.dumps(self.backend)} }}\n{text}", sim)

    def apply(self, *args, **how):
        """A lock that a dead holder has left is broken, as the message says; a lease without a name is waited for."""
        done = super().apply(*args, **how)
        if not done.code or how.get("before"):
            return done
        if held := re.search(r"force-unlock ([0-9a-f]{16,}|unreadable)", done.out):
            self.must("force-unlock", "-force", held.group(1))
            done = super().apply(*args, **how)
        elif "is locked by another process" in done.out:
            done = super().apply("-lock-timeout=20s", *args, **how)
        return done

    def recorded(self):
        self.must("state", "pull")
        done = self.must("state", "pull", split=True)  # without warnings
        try:
            return [json.loads(line) for line in done.out.splitlines()[1:]]
        except ValueError as e:
            raise Violation(f"unreadable: the state is torn: {e}") from None


@contextlib.contextmanager
def new_world(server, root, port=None):
    """A world of its own with its state there: the first template applied, the second one written."""
    settings = server.new(port)
    w = RemoteWorld(os.path.join(root, f"world{next(server.numbers)}"), settings)
    try:
        w.template(mixed_template(1, False))
        w.must("init")
        w.must("apply", "-auto-approve")
        w.template(mixed_template(2, False))
        with evidence(w.dir):
            yield w
    finally:
        shutil.rmtree(w.dir, ignore_errors=True)
