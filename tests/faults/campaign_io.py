"""Each open, write, fsync, rename and unlink of an apply fails, once and from then on; a disk that is really full.

Never exit 0 with an effect that is not saved; the next run, on a disk that works, is clean.
"""
import os
import re
import subprocess
import tempfile
import shutil

from world import Prepared, Violation, World, mixed_template

POINTS = ["open", "write", "fsync", "rename", "unlink"]
ERRNOS = ["ENOSPC", "EIO", "EDQUOT", "EACCES", "EINTR", "SHORT"]
STRUCK = re.compile(r"\[debug\] fault: ")


RUNS = ["apply", "recover", "saved plan"]


def campaign(c):
    runs = c.chosen([*RUNS, "full disk"])
    prepared = Prepared(big=False)
    counts = {"faults": 0, "errors": 0}
    try:
        # What is interrupted for ever never ends.
        kinds = [(run, point, errno, more) for run in RUNS if run in runs for point in POINTS for errno in ERRNOS
                 if errno != "SHORT" or point == "write" for more in (("",) if errno == "EINTR" else ("", "+"))]
        if c.full:
            c.each("kinds of faults", kinds, lambda kind: every(c, prepared, counts, *kind))
        else:
            c.each("faults", some(c, kinds), lambda fault: one(c, prepared, counts, *fault))
        c.note(f"{counts['faults']} runs met a fault, {counts['errors']} of them said so with their exit code")
        if "full disk" in runs:
            full_disk(c)
    finally:
        prepared.close()


def every(c, prepared, counts, run, point, errno, more):
    """Until it does not strike any more."""
    nth = 1
    while one(c, prepared, counts, run, f"{point}:{nth}{more}:{errno}") and not c.stop:
        nth += 1


def some(c, kinds):
    for run, point, errno, more in kinds:
        if c.mode != "ci" or c.random.random() < 0.25:
            # Seven renames keep the older generations, the eighth puts the new state in its place.
            points = [1, 8] if point == "rename" else c.random.sample(range(1, 12), 1 if c.mode == "ci" else 4)
            yield from ((run, f"{point}:{nth}{more}:{errno}") for nth in sorted(points))


def one(c, prepared, counts, run, fault):
    """True when the fault struck."""
    struck, code = c.trial(f"{run} MLOPS_IAC_FAULT={fault}", trial, prepared, run, fault) or (True, 1)
    with c.guard:
        counts["faults"] += struck
        counts["errors"] += struck and code != 0
    return struck


def trial(prepared, run, fault):
    env = {"MLOPS_IAC_FAULT": fault, "MLOPS_IAC_LOG": "debug"}
    with prepared.trial("io") as w:
        if run == "recover":
            w.killed_apply(700 if len(prepared.want) > 20 else 500)
        if run == "saved plan":
            first = w.run("plan", "-out=it.plan", env=env)
            done = w.run("apply", "it.plan", env=env) if first.code == 0 else first
            said = first.out + done.out
        else:
            done = w.apply(env=env)
            said = done.out
        if done.code == 0:
            saved(w)
        elif done.code != 1:
            raise Violation(f"exit {done.code}: {done.out[-400:]}")
        elif "Error" not in done.out:
            raise Violation(f"an exit of 1 without a word: {done.out[-400:]}")
        prepared.converge(w, tries=1)
        return bool(STRUCK.search(said)), done.code


def saved(w):
    """It said that all is well: then what it did is on the disk (a spent journal may lie about)."""
    rows = {r["id"] for r in w.recorded()}
    if missing := [t[0] for t in w.things() if t[0] not in rows]:
        raise Violation(f"exit 0, but {missing} are not saved")


# ---- a small file system that is really full ----

def full_disk(c):
    """The state on a tmpfs of its own that fills up at some point of the apply."""
    if os.geteuid() != 0:
        c.note("the full tmpfs needs root: skipped")
        return
    sizes = c.sample(range(0, 700, 4), 4 if c.mode == "ci" else 20)
    root = tempfile.mkdtemp(prefix="mio-faults-full-")
    try:
        done = c.each("full disks", sizes, lambda spare: c.trial(f"{spare} KiB left", one_full, root, spare))
        c.note("tmpfs cannot be mounted here: skipped" if "skipped" in done else f"{len(done)} full disks")
    finally:
        shutil.rmtree(root, ignore_errors=True)


def one_full(root, spare):
    mounted, folder = os.path.join(root, f"disk-{spare}"), os.path.join(root, f"world-{spare}")
    os.mkdir(mounted)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", mounted], capture_output=True)
    if done.returncode:
        return "skipped"
    os.mkdir(folder)
    try:
        w = World(folder, os.path.join(mounted, "state"))
        w.template(mixed_template(1))
        w.must("init")
        w.must("apply", "-auto-approve")
        w.template(mixed_template(2))
        free = os.statvfs(mounted)
        with open(os.path.join(mounted, "ballast"), "wb") as f:
            f.write(b"x" * max(0, free.f_bavail * free.f_frsize - spare * 1024))
        if w.apply().code == 0:
            saved(w)
        os.unlink(os.path.join(mounted, "ballast"))
        w.converge(tries=1)
    finally:
        subprocess.run(["umount", mounted], capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
    return "full"
