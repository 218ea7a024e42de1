"""The state on each remote backend, a real server on loopback: SIGKILL at system calls of an apply, requests that are not
sent, replies that are lost, files beside it that cannot be written.

The next run converges; a lock that a dead holder has left is broken with the command that the error names.
"""
import re
import shutil
import tempfile

from remote import KINDS, Server, new_world
from world import SCRATCH, Prepared, Violation, World

STRUCK = re.compile(r"\[debug\] fault: ")
# What a backend asks of its server, and of the folder beside it (http keeps its journal there).
POINTS = [("request", "EIO"), ("reply", "EIO"), ("write", "ENOSPC"), ("fsync", "EIO"), ("open", "EACCES"),
          ("rename", "EIO"), ("unlink", "EACCES"), ("write", "SHORT")]


def campaign(c):
    reference = Prepared(big=False)
    skipped = []
    try:
        for kind in c.chosen(KINDS):
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


# ---- killed ----

def kills(c, server, reference, root):
    total, _ = one_kill(server, reference, root, 0)
    points = range(1, total + 1, max(1, total // 150)) if c.full else \
        c.sample(range(1, total + 1), {"ci": 2, "planted": 30}.get(c.mode, 10))
    results = c.each(f"calls with {server.kind}", points, lambda nth: c.trial(
        f"{server.kind}: killed at call {nth}", one_kill, server, reference, root, nth))
    c.note(f"{server.kind}: {sum(r[1] for r in results if r)} kills in an apply of {total} system calls")


def one_kill(server, reference, root, nth):
    with new_world(server, root) as w:
        report = w.killed_apply(nth)
        w.converge(reference.want, reference.created)
        return report


# ---- faults ----

def faults(c, server, reference, root):
    count = {"runs": 0, "said": 0}
    kinds = [(point, errno, more) for point, errno in POINTS for more in (("", "+") if errno != "SHORT" else ("",))
             if c.mode != "ci" or point in ("request", "reply")]
    if c.full:
        c.each(f"kinds of faults with {server.kind}", kinds, lambda kind: every(c, server, reference, root, count, *kind))
    else:
        some = [f"{point}:{c.random.randint(1, 8)}{more}:{errno}" for point, errno, more in kinds]
        c.each(f"faults with {server.kind}", some, lambda fault: one(c, server, reference, root, count, fault))
    c.note(f"{server.kind}: {count['runs']} runs met a fault, {count['said']} said so")


def every(c, server, reference, root, count, point, errno, more):
    """What fails for ever fails first for ever: later beginnings are those of the single fault."""
    nth = 1
    while one(c, server, reference, root, count, f"{point}:{nth}{more}:{errno}") and nth < (8 if more else 60) and not c.stop:
        nth += 1


def one(c, server, reference, root, count, fault):
    """True when the fault struck."""
    struck, code = c.trial(f"{server.kind}: MLOPS_IAC_FAULT={fault}", trial, server, reference, root, fault) or (True, 1)
    with c.guard:
        count["runs"] += struck
        count["said"] += struck and code != 0
    return struck


def trial(server, reference, root, fault):
    with new_world(server, root) as w:
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
