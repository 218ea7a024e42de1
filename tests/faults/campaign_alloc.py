"""Each allocation of a command fails, once or from then on: of the program with its backends, or of the plugins' hosts.

A command that says that all is well printed and wrote what it prints and writes when nothing fails, byte for byte.
Whatever it says, no process dies of a signal, the state can be read, and the next run is clean.
"""
import json
import os
import re
import shutil
import struct
import threading

from world import BUILD, PROGRAM, Copies, Prepared, Violation, World

STARVE, HUNGRY = (os.path.join(BUILD, "tests", name) for name in ("starve.so", "hungry"))
HOST = "libexec/mlops-iac/mlops-iac-provider-host"
FOREVER = 2**64 - 1
RUN_OUT = 71  # the exit code of a program that is out of memory

# What only reads, and what changes: (name, arguments).
READS = [("validate", ("validate",)), ("plan", ("plan", "-out=it.plan")), ("show", ("show", "-json")),
         ("state list", ("state", "list")), ("state show", ("state", "show", "thing.upd[0]")),
         ("state pull", ("state", "pull")), ("state fsck", ("state", "fsck")), ("output", ("output", "-json"))]
CHANGES = [("apply", ("apply", "-auto-approve", "-parallelism=2")), ("recover", ("apply", "-auto-approve", "-parallelism=2")),
           ("destroy", ("destroy", "-auto-approve", "-parallelism=2")), ("state rm", ("state", "rm", "thing.upd[0]")),
           ("state mv", ("state", "mv", "thing.upd[0]", "thing.other"))]


def campaign(c):
    for path in (STARVE, HUNGRY):
        if not os.path.exists(path):
            raise Violation(f"{path} is not built")
    names = c.chosen([name for name, _ in READS + CHANGES])
    prepared = Prepared(big=False)
    starved = None
    try:
        starved = Starved(prepared)
        for run, commands in ((reads, READS), (changes, CHANGES)):
            for name, args in commands:
                if name in names:
                    run(c, starved, name, args)
    finally:
        if starved:
            c.note(f"{starved.total} allocations in {len(names)} commands, {starved.struck} trials met one that failed: "
                   f"{starved.said} said so, {starved.struck - starved.said} did all the same what they do")
        prepared.close()


class Starved:
    """The program with the host of its plugins replaced by one that starves, and how much of it there was."""

    def __init__(self, prepared):
        self.prepared = prepared
        root = os.path.join(prepared.root, "installed")
        self.program = os.path.join(root, "bin/mlops-iac")
        for path in (self.program, os.path.join(root, HOST)):
            os.makedirs(os.path.dirname(path))
        shutil.copy(PROGRAM, self.program)
        shutil.copy(HUNGRY, os.path.join(root, HOST))
        shutil.copytree(os.path.join(BUILD, "lib/mlops-iac"), os.path.join(root, "lib/mlops-iac"))
        self.guard = threading.Lock()
        self.total = self.struck = self.said = 0
        # The worlds that the commands meet.
        self.before = prepared.before
        self.killed = World(os.path.join(prepared.root, "killed"))
        self.old = World(os.path.join(prepared.root, "old"))
        shutil.copytree(self.before.dir, self.old.dir)
        for nth in range(900, 100, -40):  # as an apply leaves it that dies in the middle
            shutil.rmtree(self.killed.dir, ignore_errors=True)
            shutil.copytree(self.before.dir, self.killed.dir)
            self.killed.killed_apply(nth)
            if os.path.exists(self.killed.state("journal")) and len(self.killed.things()) > 5:
                break

    def run(self, w, who, nth, forever, args):
        """(what it did, how many allocations there were, how many failed)."""
        order = w.dir + ".order"
        write_order(order, nth, FOREVER if forever else nth)
        env = {"FAULTS_HOST": os.path.join(BUILD, HOST), "FAULTS_SO": STARVE}
        env.update({"FAULTS_STARVE": order, "LD_PRELOAD": STARVE} if who == "program" else
                   {"FAULTS_STARVE_HOST": order})
        done = w.run(*args, env=env, program=self.program)
        with open(order, "rb") as f:
            _, _, seen, failed = struct.unpack("<4Q", f.read())
        os.unlink(order)
        if done.code < 0 or done.code > 128:
            raise Violation(f"it dies of signal {abs(done.code) % 128}: {done.out[-400:]}")
        if done.code not in (0, 1, RUN_OUT):
            raise Violation(f"exit {done.code}: {done.out[-400:]}")
        if done.code and not done.out.strip():
            raise Violation(f"exit {done.code} without a word")
        with self.guard:
            self.struck += failed > 0
            self.said += failed > 0 and done.code != 0
        return done, seen, failed


def write_order(path, nth, last):
    with open(path, "wb") as f:
        f.write(struct.pack("<4Q", nth, last, 0, 0))


def each(c, starved, name, how, count):
    """Runs `how(who, nth, forever)` for each allocation, or for some; it gives (what was done, allocations, failed ones)."""
    cases = []
    for who in ("program", "hosts"):
        _, total, _ = how(who, 0, False)
        starved.total += total
        cases += [(who, nth) for nth in points(c, total, count if who == "program" else max(2, count // 3))]

    def once_and_from_then_on(case):
        who, nth = case
        label = f"{name}: allocation {nth} of the {who}"
        result = c.trial(label, how, who, nth, False)
        # When it was the last one, its failure ended the process: there are none after it that could fail.
        if not result or result[1] > nth:
            c.trial(f"{label} and those after it", how, who, nth, True)

    c.each(f"allocations of {name}", cases, once_and_from_then_on)


def points(c, total, count):
    """Most allocations are those of OpenSSL, which starts before the work does: half of a sample is from the end."""
    late = max(1, total - 1500)
    return sorted({*c.sample(range(1, total + 1), count // 2), *c.sample(range(late, total + 1), (count + 1) // 2)})


def count_of(c):
    return {"ci": 3, "planted": 60}.get(c.mode, 25)


# ---- commands that read ----

def plan_file(w):
    """The plan as it was saved, without the times and the random number in it."""
    path = w.path("it.plan")
    if not os.path.exists(path):
        return None
    with open(path, "rb") as f:
        head, _, body = f.read().partition(b"\n")
    os.unlink(path)
    head = json.loads(head)
    return {k: v for k, v in head.items() if k not in ("created", "expires", "nonce", "header_sha256")}, body


def told(done):
    """What was printed, without the digest of a plan that has times in it."""
    return re.sub(r"(?m)^Digest [0-9a-f]{64}$", "", done.out)


def reads(c, starved, name, args):
    start = World(os.path.join(starved.prepared.root, f"reads {name}"))
    shutil.copytree(starved.before.dir, start.dir)
    start.must("plan")  # the cloud's file as a command that reads leaves it
    want = told(start.run(*args)), plan_file(start)
    files = state_files(start)
    copies = Copies(starved.prepared, start)

    def one(who, nth, forever):
        with copies.one() as w:
            done, seen, failed = starved.run(w, who, nth, forever, args)
            plan = plan_file(w)
            if done.code == 0 and (told(done), plan) != want:
                raise Violation(f"exit 0, but another answer: {difference(done.out, want[0])}")
            if state_files(w) != files:
                raise Violation("a command that reads has changed the state")
            return done, seen, failed

    each(c, starved, name, one, count_of(c))


def difference(a, b):
    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return f"{a[max(0, at - 60):at + 100]!r} instead of {b[max(0, at - 60):at + 100]!r}"


def state_files(w):
    files = {}
    for name in sorted(os.listdir(w.state_dir)):
        if name != "lock":
            with open(w.state(name), "rb") as f:
                files[name] = f.read()
    return files


# ---- commands that change ----

def changes(c, starved, name, args):
    from_killed = name == "recover"
    start = starved.killed if from_killed else starved.before
    begun = outside(start)

    def one(who, nth, forever):
        with starved.prepared.trial("changes", start) as w:
            done, seen, failed = starved.run(w, who, nth, forever, args)
            if done.code and outside(w) == begun:
                return done, seen, failed  # as if it had not been started: the clean run is known
            w.recorded()
            if done.code == 0:
                DONE[args[0] if args[0] != "state" else name](starved.prepared, w)
            CLEAN[args[0] if args[0] != "state" else name](starved.prepared, w, args)
            return done, seen, failed

    each(c, starved, name, one, count_of(c))


def outside(w):
    """State and cloud: what the next run goes by."""
    return state_files(w), w.sql("SELECT * FROM things"), w.sql("SELECT op, id, key FROM ops"), w.sql("SELECT * FROM fired")


def applied(prepared, w):
    w.consistent()
    if w.holds() != prepared.want:
        raise Violation(f"exit 0, but {dict(prepared.want - w.holds())} is missing")


def gone(_, w):
    if w.things() or w.recorded():
        raise Violation(f"exit 0, but {len(w.things())} things and {len(w.recorded())} records are left")


def addresses(w):
    return {r["address"] for r in w.recorded()}


def forgotten(_, w):
    if "thing.upd[0]" in addresses(w):
        raise Violation("exit 0, but it is still recorded")


def moved(_, w):
    if "thing.other" not in addresses(w):
        raise Violation("exit 0, but it is not where it was moved to")


def converged(prepared, w, _):
    prepared.converge(w, tries=1)


def destroyed(prepared, w, _):
    w.must("destroy", "-auto-approve")
    gone(prepared, w)


def either(_, w, args):
    """Before or after, nothing in between; and the state can be written."""
    w.must("state", "fsck")
    before = addresses(w)
    if "thing.upd[0]" in before:
        w.must(*args)
    elif not before:
        raise Violation("the state is empty")


DONE = {"apply": applied, "destroy": gone, "state rm": forgotten, "state mv": moved}
CLEAN = {"apply": converged, "destroy": destroyed, "state rm": either, "state mv": either}
