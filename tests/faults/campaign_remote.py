"""The state on each remote backend, a real server on loopback: SIGKILL at system calls of an apply, requests that are not
sent, replies that are lost, files beside it that cannot be written.

The next run converges; a lock that a dead holder has left is broken with the command that the error names.
"""
import os
import re
import shutil
import tempfile

from remote import KINDS, RemoteWorld, Server
from world import SCRATCH, Prepared, Violation, World, mixed_template

STRUCK = re.compile(r"\[debug\] fault: ")
# What a backend asks of its server, and of the folder beside it (http keeps its journal there).
POINTS = [("request", "EIO"), ("reply", "EIO"), ("write", "ENOSPC"), ("fsync", "EIO"), ("open", "EACCES"),
          ("rename", "EIO"), ("unlink", "EACCES"), ("write", "SHORT")]


def campaign(c):
    reference = Prepared(big=False)
    skipped = []
    try:
        for kind in KINDS:
            if c.enough() or c.mode == "ci" and kind not in ("http", "pg"):
                continue
            root = tempfile.mkdtemp(prefix="mio-faults-", dir=SCRATCH)
            server = Server(kind, root)
            try:
                if server.skipped:
                    skipped.append(kind)
                else:
                    kills(c, server, reference, root)
                    faults(c, server, reference, root)
            finally:
                server.close()
                shutil.rmtree(root, ignore_errors=True)
    finally:
        reference.close()
    if skipped:
        c.note("no server here, skipped: " + ", ".join(skipped))


def new_world(server, root):
    """The first template applied, the second one written."""
    w = RemoteWorld(os.path.join(root, "world"), server.new())
    w.template(mixed_template(1, False))
    w.must("init")
    w.must("apply", "-auto-approve")
    w.template(mixed_template(2, False))
    return w


# ---- killed ----

def kills(c, server, reference, root):
    total, _ = one_kill(server, reference, root, 0)
    points = c.sample(range(1, total + 1), {"ci": 2, "planted": 30}.get(c.mode, 10)) if c.mode != "all" else \
        range(1, total + 1, max(1, total // 150))
    killed = 0
    for nth in points:
        if c.enough():
            return
        result = c.trial(f"{server.kind}: killed at call {nth}", one_kill, server, reference, root, nth)
        killed += bool(result and result[1])
    c.note(f"{server.kind}: {killed} kills in an apply of {total} system calls")


def one_kill(server, reference, root, nth):
    w = new_world(server, root)
    try:
        report = w.killed_apply(nth)
        w.converge(reference.want, reference.created)
        return report
    finally:
        shutil.rmtree(w.dir, ignore_errors=True)


# ---- faults ----

def faults(c, server, reference, root):
    count = {"runs": 0, "said": 0}
    for point, errno in POINTS:
        for more in ("", "+") if errno != "SHORT" else ("",):
            if c.full:
                nth = 1
                # What fails for ever fails first for ever: later beginnings are those of the single fault.
                while one(c, server, reference, root, f"{point}:{nth}{more}:{errno}", count) and nth < (60 if not more else 8):
                    nth += 1
            elif c.mode != "ci" or point in ("request", "reply"):
                for nth in c.random.sample(range(1, 9), 1):
                    one(c, server, reference, root, f"{point}:{nth}{more}:{errno}", count)
            if c.enough():
                return
    c.note(f"{count['runs']} runs met a fault, {count['said']} said so")


def one(c, server, reference, root, fault, count):
    """True when the fault struck."""
    struck, code = c.trial(f"{server.kind}: MLOPS_IAC_FAULT={fault}", trial, server, reference, root, fault) or (True, 1)
    count["runs"] += struck
    count["said"] += struck and code != 0
    return struck


def trial(server, reference, root, fault):
    w = new_world(server, root)
    try:
        done = World.apply(w, env={"MLOPS_IAC_FAULT": fault, "MLOPS_IAC_LOG": "debug"})
        if done.code not in (0, 1):
            raise Violation(f"exit {done.code}: {done.out[-400:]}")
        if done.code == 0:
            rows = {r["id"] for r in w.recorded()}
            if missing := [t[0] for t in w.things() if t[0] not in rows]:
                raise Violation(f"exit 0, but {missing} are not saved")
        elif "Error" not in done.out:
            raise Violation(f"an exit of 1 without a word: {done.out[-400:]}")
        w.converge(reference.want, reference.created)
        return bool(STRUCK.search(done.out)), done.code
    finally:
        shutil.rmtree(w.dir, ignore_errors=True)
