"""Many writers on one state at once: nothing is lost, nothing is done twice. A holder that is stopped, a lock that goes.

Every writer applies a template of its own folder to the same state and the same cloud, each adding one resource to
what it finds: an update is lost when a resource is missing in the end. The state is a folder, then each backend on its
real server.
"""
import contextlib
import copy
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time

from campaign_secrets import descendants
from remote import RemoteWorld
from world import SCRATCH, SOURCE, Violation, World

sys.path.insert(0, os.path.join(SOURCE, "tests/state/backends"))
import servers  # noqa: E402

BACKENDS = ("file", "http", "pg", "etcd", "s3", "azure", "ssh")


def campaign(c):
    writers, rounds = {"all": (16, 200), "ci": (8, 2), "planted": (12, 4)}.get(c.mode, (16, 12))
    few = {"all": (16, 200), "ci": (4, 2), "planted": (4, 2)}.get(c.mode, (16, 4))
    chosen = {"ci": ("file", "pg"), "planted": ("file", "pg")}.get(c.mode, BACKENDS)
    chosen = [kind for kind in c.chosen(BACKENDS) if c.only or kind in chosen]
    root = tempfile.mkdtemp(prefix="mio-faults-", dir=SCRATCH)
    try:
        for kind in chosen:
            many = (writers, rounds) if kind == "file" else few
            on_backend(c, kind, os.path.join(root, kind), many[0], c.rounds or many[1])
    finally:
        shutil.rmtree(root, ignore_errors=True)


def on_backend(c, kind, root, writers, rounds):
    """The crowd and the sleeping holders on one backend; nothing where its server cannot be had."""
    os.mkdir(root)
    try:
        with contextlib.nullcontext() if kind == "file" else servers.run(kind) as config:
            started = time.monotonic()
            top = f"mlops_iac: {{ backend: {config.replace('@', 'crowd')} }}\n" if config else ""
            done = c.trial(f"{kind}: {writers} writers, {rounds} rounds", crowd, root, writers, rounds, top)
            c.trials += writers * rounds - 1
            if done:
                c.note(f"{kind}: {writers} x {rounds}, {done} commits in {time.monotonic() - started:.0f} s, none lost")
            if not c.enough():
                c.each(f"holders with {kind}", [stopped, stolen, late], lambda fn: c.trial(
                    f"{kind}: {fn.__name__}", fn, os.path.join(root, fn.__name__),
                    json.loads(config.replace("@", fn.__name__)) if config else None))
    except servers.Skip as why:
        c.note(f"{kind} skipped: {why}")


def shared(root, name, resources, sim=""):
    """A folder whose state and cloud are those of all."""
    w = World(os.path.join(root, name), os.path.join(root, "state"))
    os.makedirs(w.dir)
    w.template(f"resources:\n  thing:\n{resources}", sim)
    return w


def crowd(root, writers, rounds, top):
    """Each imports one thing a round: what one adds, the templates of the others do not know, and must not remove."""
    if top:  # each has a folder of its own, with the note of `init`
        seed = World(os.path.join(root, "seed"))
        os.makedirs(seed.dir)
        seed.template(f"{top}resources:\n  thing:\n    none: {{ enabled: false }}\n")
    else:
        os.mkdir(os.path.join(root, "state"), 0o700)
        seed = shared(root, "seed", "    none: { enabled: false }\n")
    seed.must("init")
    for i in range(writers * rounds):
        seed_thing(seed, i)
    failures, threads = [], []

    def writer(number):
        w = World(os.path.join(root, f"w{number}"), None if top else seed.state_dir)
        shutil.copytree(seed.dir, w.dir)
        for k in range(rounds):
            name = f"m{number}_{k}"
            thing = number * rounds + k + 1
            w.template(f"{top}resources:\n  thing:\n    {name}: {{ inputs: {{ n: {thing - 1} }} }}\n")
            done = w.run("import", f"thing.{name}", f"t-{thing}", "-lock-timeout=3000s", timeout=3600)
            if done.code:
                failures.append(f"writer {number}, round {k}: {done.out[-300:]}")
            if len(failures) > 3:
                return

    for number in range(writers):
        threads.append(threading.Thread(target=writer, args=(number,), daemon=True))
        threads[-1].start()
    for t in threads:
        t.join()
    if failures:
        raise Violation(f"{len(failures)} writers failed: {failures[0]}")
    lines = seed.must("state", "pull").out.splitlines()
    lines = lines[next(i for i, line in enumerate(lines) if line.startswith('{"format"')):]
    want = {f"thing.m{n}_{k}" for n in range(writers) for k in range(rounds)}
    if missing := want - {json.loads(line)["address"] for line in lines[1:] if line.startswith("{")}:
        raise Violation(f"lost: {len(missing)} of {len(want)} updates, for example {sorted(missing)[:3]}")
    serial = json.loads(lines[0])["serial"]
    if serial < len(want):
        raise Violation(f"lost: serial {serial} after {len(want)} commits")
    return serial


def seed_thing(w, number):
    """A thing that somebody made by hand."""
    if number == 0:
        w.must("plan")  # makes the cloud
        with open(w.path("main.yaml"), "a", encoding="utf-8") as f:
            f.write("    one: { inputs: { n: 0 } }\n")
    db = sqlite3.connect(w.path("cloud.db"))
    with db:
        db.execute("INSERT INTO things(kind, name, version, commit_at, visible_at, inputs) VALUES('thing', NULL, 1, 0, 0, ?)",
                   (f'{{"inputs":{{"n":{number}}}}}',))
    db.close()


def slow_world(folder, settings):
    """Long enough for any machine to look in the middle."""
    if settings:
        w = RemoteWorld(folder, settings)
    else:
        os.makedirs(folder)
        w = World(folder)
    w.template("resources:\n  thing:\n    n: { count: 12, inputs: { who: \"n-${count.index}\" } }\n", "latency_ms: 500")
    w.must("init")
    return w


def in_mid_apply(w):
    process = w.start("apply", "-auto-approve", "-parallelism=2")
    until = time.monotonic() + 100
    while time.monotonic() < until:
        if os.path.exists(w.path("cloud.db")) and begun(w) > 2:
            return process
        time.sleep(0.02)
    raise Violation("the apply does not begin")


def begun(w):
    try:
        return len(w.things())
    except sqlite3.OperationalError:  # the cloud is being made
        return 0


def stopped(folder, settings):
    """The holder sleeps; the others wait or are told who holds the lock; then it wakes up and ends well."""
    w = slow_world(folder, settings)
    process = in_mid_apply(w)
    os.killpg(process.pid, signal.SIGSTOP)
    try:
        done = copy.copy(w).run("apply", "-auto-approve")
        if done.code == 0 or "lock" not in done.out:
            raise Violation(f"a second apply is let in: {done.out[-300:]}")
    finally:
        os.killpg(process.pid, signal.SIGCONT)
    if w.finish(process).code:
        raise Violation(f"the one that slept fails: {w.last.out[-300:]}")
    w.converge(created=12, tries=1)


def stolen(folder, settings):
    """The lock is taken from a holder that sleeps, another run settles and goes on, the first one wakes up."""
    w = slow_world(folder, settings)
    process = in_mid_apply(w)
    os.killpg(process.pid, signal.SIGSTOP)
    try:
        if not settings:
            os.unlink(w.state("lock"))
        done = copy.copy(w).apply()  # elsewhere it is broken, as the message says
        if done.code:
            raise Violation(f"the one that took over fails: {done.out[-400:]}")
    finally:
        os.killpg(process.pid, signal.SIGCONT)
    w.finish(process)
    w.converge(tries=1)
    names = [inputs["who"] for _, _, inputs, _ in w.things()]
    if len(names) != len(set(names)):
        raise Violation(f"doubled: {sorted(n for n in names if names.count(n) > 1)}")


def late(folder, settings):
    """The lock is taken from a holder that sleeps before it has begun anything; what it read is of the past then."""
    w = slow_world(folder, settings)
    w.template("resources:\n  thing:\n    old: { inputs: { who: old } }\n")
    w.must("apply", "-auto-approve")
    w.template("resources:\n  thing:\n    old: { inputs: { who: old } }\n    n: { count: 6, inputs: { who: \"n-${count.index}\" } }\n",
               "read_latency_ms: 5000")
    process = w.start("apply", "-auto-approve")
    until = time.monotonic() + 100
    while not list(descendants(process.pid)) and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(1)  # it waits for the answers of the cloud
    os.killpg(process.pid, signal.SIGSTOP)
    try:
        if not settings:
            os.unlink(w.state("lock"))
        w.template("resources:\n  thing:\n    other: { count: 2, inputs: { who: \"o-${count.index}\" } }\n")
        done = copy.copy(w).apply()
        if done.code:
            raise Violation(f"the one that took over fails: {done.out[-400:]}")
    finally:
        os.killpg(process.pid, signal.SIGCONT)
    if w.finish(process).code == 0:
        raise Violation(f"the one that slept says that all is well: {w.last.out[-300:]}")
    w.converge(tries=1, created=3)
