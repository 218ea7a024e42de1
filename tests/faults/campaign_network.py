"""A relay between the program and its cloud, and between the program and its state, that resets, cuts short, delays,
answers 429 or 5xx, delivers late or twice, and loses answers of what was done.

Nothing is made twice in the classes A, B and C, nothing is lost, and an exit code of 0 means that all is recorded.
"""
import json
import os
import random
import re
import shutil
import tempfile
import threading
import time

from campaign_contention import seed_thing
from network import FAULTS, NOT_FOR_C, Bytes, Cloud, Relay
from remote import KINDS, RemoteWorld, Server, new_world
from world import BUILD, CLASSES, SCRATCH, Prepared, Violation, World

FAR = os.path.join(BUILD, "tests/far")
SIM = os.path.join(BUILD, "lib/mlops-iac/providers/sim.so")
VERBS = ("create", "update", "delete")
STATES = [kind for kind in KINDS if kind != "ssh"]


def campaign(c):
    if not os.path.exists(os.path.join(FAR, "sim.so")):
        c.skipped = "libcurl is missing: skipped"
        return
    chosen = c.chosen(["cloud", *STATES])
    if "cloud" in chosen:
        one_change(c)
        storms(c)
    states(c, [kind for kind in STATES if kind in chosen])


# ---- the cloud afar ----

class FarWorld(World):
    def __init__(self, folder, env=None):
        super().__init__(folder, env=env)
        self.cloud = Cloud(self.path("cloud.db"))
        self.relay = Relay(self.cloud.port)
        self.env.update({"MLOPS_IAC_PLUGIN_DIR": FAR, "FAULTS_SIM": SIM,
                         "FAULTS_URL": f"http://127.0.0.1:{self.relay.port}/"})

    def close(self):
        self.relay.close()
        self.cloud.close()


def asked(request):
    return json.loads(request.split(b"\r\n\r\n", 1)[1])


def victim_template(verb, kind, seconds, version):
    """`victim` meets the fault in the second version; what is to be deleted is replaced, as its timeouts must be known."""
    timeouts = f"timeouts: {{ create: {seconds}s, update: {seconds}s, delete: {seconds}s }}"
    inputs = f"inputs: {{ who: victim, v: {version * (verb == 'update')} }}"
    victim = f"    victim: {{ {timeouts}, triggers: {version * (verb == 'delete')}, {inputs} }}\n"
    return (f"resources:\n  {kind}:\n    other: {{ count: 2, inputs: {{ who: \"o-${{count.index}}\", v: {version} }} }}\n" +
            (victim if verb != "create" or version == 2 else ""))


def one_change(c):
    cases = [(fault, verb, kind) for fault in FAULTS for verb in VERBS for kind in CLASSES
             if not (CLASSES[kind] == "c" and verb == "create" and fault in NOT_FOR_C)]
    chosen = c.sample(cases, {"ci": 8, "planted": 40}.get(c.mode, 40))
    keys = {(verb, kind, deadline(fault)) for fault, verb, kind in chosen}
    worlds = {key: Prepared(first=victim_template(*key, 1), second=victim_template(*key, 2), make=FarWorld)
              for key in sorted(keys)}

    def change(case):
        fault, verb, kind = case
        return c.trial(f"{fault} at the {verb} of a {kind}", one, worlds[verb, kind, deadline(fault)], fault, verb)

    try:
        done = c.each("faults at one change", chosen, change)
    finally:
        for prepared in worlds.values():
            prepared.close()
    c.note(f"{len(done)} of {len(cases)} faults at one change")


def deadline(fault):
    """Seconds."""
    return 1 if fault == "done, silent" else 60


def one(prepared, fault, verb):
    with prepared.trial("network") as w:
        first = [True]

        def decide(request):
            ask = asked(request)
            if first[0] and ask["op"] == verb and (verb == "delete" or '"victim"' in ask["inputs"]):
                first[0] = False
                return fault
            return None

        w.relay.decide = decide
        done = w.apply()
        if not w.relay.met:
            raise Violation(f"the fault was not met: {done.out[-300:]}")
        after(prepared, w, done)


def after(prepared, w, done):
    if done.code not in (0, 1):
        raise Violation(f"exit {done.code}: {done.out[-400:]}")
    if done.code == 0:
        w.consistent()
    elif "Error" not in done.out:
        raise Violation(f"an exit of 1 without a word: {done.out[-400:]}")
    w.relay.decide = lambda request: None
    prepared.converge(w)


def storms(c):
    """Whole applies in which every fourth request meets something."""
    prepared = Prepared(big=c.full, make=FarWorld)
    cases = [(n, c.random.random()) for n in range({"ci": 1, "planted": 10, "all": 200}.get(c.mode, 8))]
    try:
        met = c.each("storms", cases, lambda case: c.trial(f"storm {case[0]} of seed {c.seed}", storm, prepared, case[1]))
    finally:
        prepared.close()
    c.note(f"{len(met)} storms with {sum(n or 0 for n in met)} faults")


def storm(prepared, seed):
    with prepared.trial("storm") as w:
        dice = random.Random(seed)

        def decide(request):
            ask = asked(request)
            some = [f for f in FAULTS if f not in ("done, silent", "429")
                    and not (ask.get("kind") == "thing_c" and f in NOT_FOR_C)]
            return dice.choice(some) if dice.random() < 0.25 else None

        w.relay.decide = decide
        for _ in range(2):
            done = w.apply()
            if done.code == 0:
                break
        after(prepared, w, done)
        return len(w.relay.met)


# ---- the state afar ----

FOR_EVER = ("reset", "503", "done, reset")  # from some request on
PIECES, PIECES_FOR_EVER = ("up", "down", "up, silent", "down, silent"), ("up", "down")


def states(c, kinds):
    root = tempfile.mkdtemp(prefix="mio-faults-", dir=SCRATCH)
    skipped = []
    try:
        reference = Prepared(big=False)
        for kind in kinds:
            if c.mode == "ci" and kind != "http" or c.enough():
                continue
            server = Server(kind, root)
            try:
                if server.skipped:
                    skipped.append(kind)
                else:
                    one_backend(c, server, reference, root)
            finally:
                server.close()
        reference.close()
    finally:
        shutil.rmtree(root, ignore_errors=True)
    if skipped:
        c.note("no server here, skipped: " + ", ".join(skipped))


def one_backend(c, server, reference, root):
    bytes_only = server.kind == "pg"
    total = c.trial(f"{server.kind}: undisturbed", one_state, server, reference, root, None, 0, 0)
    if not total:
        return
    once, for_ever = (PIECES, PIECES_FOR_EVER) if bytes_only else (FAULTS, FOR_EVER)
    cases = [(fault, n, n) for fault in once for n in range(1, total + 1)]
    cases += [(fault, n, total * 100) for fault in for_ever for n in range(1, total + 1)]
    chosen = c.sample(cases, {"ci": 6, "planted": 70}.get(c.mode, 24))

    def strike(case):
        fault, n, last = case
        return c.trial(f"{server.kind}: {fault} at {n}{' and from then on' * (last > n)}", one_state, server, reference, root,
                       fault, n, last)

    done = c.each(f"faults of {server.kind}", chosen, strike)
    c.note(f"{server.kind}: {len(done)} of {len(cases)} faults of the state's server")
    if not bytes_only and not c.enough() and c.part[0] == 1:
        writers, rounds = {"ci": (3, 2), "all": (6, 10)}.get(c.mode, (4, 3))
        c.note(f"{writers} writers, {rounds} rounds through it: "
               f"{c.trial(f'{server.kind}: crowd', crowd, server, root, writers, rounds, c.random.random())} updates, none lost")


def one_state(server, reference, root, fault, nth, last):
    """How many requests (or pieces) an apply makes."""
    relay = Bytes(server.port) if server.kind == "pg" else Relay(server.port)
    try:
        with new_world(server, root, relay.port) as w:
            return through(relay, server.kind == "pg", w, reference, fault, nth, last)
    finally:
        relay.close()


def through(relay, bytes_only, w, reference, fault, nth, last):
    count = 0

    def decide(_):
        nonlocal count
        count += 1
        return fault if nth <= count <= last else None

    if bytes_only:
        relay.count = {"up": 0, "down": 0}
        way, _, how = (fault or "").partition(", ")
        relay.fate = lambda direction, n: (how or "dead") if direction == way and nth <= n <= last else None
    else:
        relay.decide = decide
    done = World.apply(w)
    if fault is None and done.code:
        raise Violation(f"it fails undisturbed: {done.out[-400:]}")
    if done.code not in (0, 1):
        raise Violation(f"exit {done.code}: {done.out[-400:]}")
    relay.fate = relay.decide = lambda *_: None
    if done.code == 0:
        w.consistent()
    elif "Error" not in done.out:
        raise Violation(f"an exit of 1 without a word: {done.out[-400:]}")
    total = max(relay.count.values()) if bytes_only else count
    w.converge(reference.want, reference.created)
    return total


def crowd(server, root, writers, rounds, seed):
    """Writers that add to one state through a line that loses every eighth request; whoever is locked out breaks the lock.

    What one was told is recorded is there in the end.
    """
    dice, turn = random.Random(seed), threading.Lock()

    def decide(_):
        with turn:
            return dice.choice(list(FAULTS)) if dice.random() < 0.125 else None

    relay = Relay(server.port)
    settings = server.new(relay.port)
    told, failures = set(), []
    seed_world = RemoteWorld(os.path.join(root, "w"), settings)
    seed_world.template("resources:\n  thing:\n    none: { enabled: false }\n")
    seed_world.must("init")
    for i in range(writers * rounds):
        seed_thing(seed_world, i)
    relay.decide = decide

    def writer(number):
        w = RemoteWorld(os.path.join(root, f"w{number}"), settings, seed_world.dir)
        for k in range(rounds):
            thing = number * rounds + k
            name = f"m{number}_{k}"
            w.template(f"resources:\n  thing:\n    {name}: {{ inputs: {{ n: {thing} }} }}\n")
            for _ in range(30):
                done = w.run("import", f"thing.{name}", f"t-{thing + 1}", timeout=400)
                if done.code == 0:
                    told.add(f"thing.{name}")
                    break
                if held := re.search(r"force-unlock ([0-9a-f]{16,}|unreadable)", done.out):
                    w.run("force-unlock", "-force", held.group(1), timeout=400)
                elif "is locked by another process" in done.out:
                    time.sleep(1)  # a lease without a name ends by itself
                elif "Error" not in done.out:
                    failures.append(f"exit {done.code} without a word: {done.out[-200:]}")
                elif "already" in done.out:  # the answer was lost after all was done: it is told now
                    told.add(f"thing.{name}")
                    break

    try:
        threads = [threading.Thread(target=writer, args=(number,), daemon=True) for number in range(writers)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if failures:
            raise Violation(failures[0])
        relay.decide = lambda _: None
        if missing := told - {r["address"] for r in seed_world.recorded()}:
            raise Violation(f"lost: {sorted(missing)} of {len(told)} updates that were said to be recorded")
        return len(told)
    finally:
        relay.close()
        for entry in os.listdir(root):
            if entry.startswith("w"):
                shutil.rmtree(os.path.join(root, entry))
