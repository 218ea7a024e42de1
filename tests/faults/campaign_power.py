"""The power fails: every disk that the file system may leave behind is recovered from.

An apply, and an apply that recovers a killed one, are killed before each of their calls that change the state folder (the
cloud stays as it is at that moment, as it would be). From the folder before and the record of these calls the legal disks
are made, see disk.py; the next apply must recover from each.
"""
import os
import random
import shutil

from disk import SECTOR, Disk, digest
from world import Prepared, Violation, evidence


def campaign(c):
    runs = c.chosen(["apply", "recover"])
    prepared = Prepared(big=c.full)
    tally = {"cuts": 0, "of": 0, "disks": 0, "legal": 0, "again": 0}
    known = set()
    try:
        for run in runs:
            start = prepared.before if run == "apply" else killed_world(prepared)
            with prepared.trial("count", start) as w:
                total, _ = traced(w, 0)
            tally["of"] += total
            c.each(f"cuts of {run}", cuts(c, total), lambda nth: one_cut(c, prepared, run, start, nth, tally, known))
    finally:
        c.note(f"{tally['cuts']} cuts of {tally['of']}; of {tally['legal']} legal disks {tally['disks']} recovered from, "
               f"{tally['again']} met before with the same cloud")
        prepared.close()


def killed_world(prepared):
    """A world as an apply leaves it that dies in the middle; all of it is durable."""
    w = prepared.make(os.path.join(prepared.root, "killed"))
    for nth in range(700, 100, -40):
        shutil.rmtree(w.dir, ignore_errors=True)
        shutil.copytree(prepared.before.dir, w.dir)
        w.killed_apply(nth)
        if os.path.exists(w.state("journal")) and 5 < len(w.things()) and w.created() < prepared.created:
            return w
    raise Violation("no apply dies in the middle")


def cuts(c, total):
    """Before which calls. A planted bug is found sooner at the end, where the state is written."""
    points = c.sample(range(1, total + 1), {"ci": 5, "planted": 1000}.get(c.mode, 30))
    return points[::-1] if c.mode == "planted" else points


def one_cut(c, prepared, run, start, nth, tally, known):
    with prepared.trial(f"cut-{nth}", start) as w:
        _, lines = traced(w, nth)
        disk = Disk(os.path.join(start.dir, ".state/default"), 64 if c.full else SECTOR)
        for line in lines:
            disk.replay(line)
        random_ = random.Random(f"{c.seed} {run} {nth}")
        states, legal = disk.states(3000 if c.full else 300, random_)
        with c.guard:
            tally["cuts"] += 1
            tally["legal"] += legal
        cloud = w.sql("SELECT * FROM things"), w.sql("SELECT op, id, key FROM ops")
        most = {"ci": 3, "planted": 8}.get(c.mode, 12)
        if not c.full and len(states) > most:
            states = random_.sample(states, most)
        for label, files in states:
            if c.enough() or c.stop:
                return
            key = digest(files) + repr(cloud).encode()
            with c.guard:
                new = key not in known
                known.add(key)
                tally["disks" if new else "again"] += 1
            if new:
                c.trial(f"{run} before call {nth}: {label}", one, prepared, w, files, known)


def traced(w, nth):
    """Kills the apply before its N-th change of the state folder; what was done until then, a line each."""
    log = w.path("calls.log")
    calls, _ = w.killed_apply(nth, "-w", w.state_dir, "-o", log)
    with open(log, encoding="ascii") as f:
        lines = f.read().split("\n")
    os.unlink(log)
    if lines[-1]:
        raise Violation("the record of the killer is torn")
    return calls, lines[:-1]


def one(prepared, killed, files, known):
    folder = killed.dir + "-disk"
    shutil.copytree(killed.dir, folder)
    try:
        with evidence(folder):
            recovered(prepared, type(killed)(folder), files, known)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def recovered(prepared, w, files, known):
    shutil.rmtree(w.state_dir)
    os.mkdir(w.state_dir, 0o700)
    for name, data in files.items():
        with open(w.state(name), "wb") as f:
            f.write(data)
    done = w.apply()
    if done.code:
        raise Violation(f"the next apply fails: {done.out[-500:]}")
    w.consistent()
    if w.holds() != prepared.want or w.created() != prepared.created:
        raise Violation(f"doubled or missing: {w.created()} creates took effect instead of {prepared.created}")
    # What a plan says follows from state, cloud and template: the same ones are asked about once.
    end = repr((w.recorded(), w.sql("SELECT * FROM things"), sorted(os.listdir(w.state_dir)))).encode()
    if end not in known:
        prepared.converge(w, tries=1)
        known.add(end)
