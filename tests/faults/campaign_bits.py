"""One bit flipped in each byte of state, journal and plan file; truncations, merges, foreign and newer files.

Refused with the command that repairs it and without a single call of the provider; a journal whose torn tail was never
acted upon is recovered instead.
"""
import json
import os
import shutil
import struct

from world import Copies, Prepared, Violation

# What a refusal must tell the reader to do, by file.
REPAIR = {"state": ["state fsck", "force", "-stage"], "journal": ["state fsck"], "plan": ["plan -out", "plan again"]}


def campaign(c):
    parts = c.chosen(["state", "plan", "journal"])
    prepared = Prepared(big=False)
    try:
        if "state" in parts:
            with prepared.trial("state") as w:
                state_file(c, prepared, w)
        if "plan" in parts:
            with prepared.trial("plan") as w:
                plan_file(c, prepared, w)
        if "journal" in parts:
            journal_file(c, prepared)
    finally:
        prepared.close()


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def flipped(data, at, bit):
    return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1:]


def snapshot(w):
    """Everything that a refusal must leave alone."""
    files = {name: read(w.state(name)) for name in sorted(os.listdir(w.state_dir)) if name != "lock"}
    return files, w.calls(), w.sql("SELECT count(*) FROM ops")


def refused(w, what, *command):
    """The command refuses, says what to do, calls nobody, changes nothing."""
    before = snapshot(w)
    done = w.run(*command)
    if done.code == 0:
        raise Violation(f"accepted: {done.out[-300:]}")
    if done.code != 1:
        raise Violation(f"exit {done.code}: {done.out[-300:]}")
    if not any(command in done.out for command in REPAIR[what]):
        raise Violation(f"no repairing command in: {done.out[-500:]}")
    after = snapshot(w)
    if after[1:] != before[1:]:
        raise Violation(f"{after[1] - before[1]} calls of the provider were made")
    if after[0] != before[0]:
        raise Violation(f"it changed {[n for n in after[0] if after[0][n] != before[0].get(n)]}")


def damages(c, data, flips, cuts):
    """(label, bytes): one flipped bit a byte, and every shorter file."""
    for at in c.sample(range(len(data)), flips):
        bit = c.random.randrange(8)
        yield f"bit {bit} of byte {at} flipped", flipped(data, at, bit)
    for size in c.sample(range(len(data)), cuts):
        yield f"cut at {size}", data[:size]


def with_header(data, **changes):
    head, _, rest = data.partition(b"\n")
    doc = json.loads(head)
    doc.update(changes)
    return json.dumps(doc, separators=(",", ":")).encode() + b"\n" + rest


def oddities(data):
    """Files that people and tools make of a state."""
    lines = data.split(b"\n")
    middle = len(lines) // 2
    yield "empty", b""
    yield "blank", b"\n\n"
    yield "NULs", bytes(len(data))
    yield "the tail is NULs", data[:-100] + bytes(100)
    yield "an empty object", b"{}\n"
    yield "merge markers", b"\n".join([*lines[:middle], b"<<<<<<< HEAD", lines[middle], b"=======",
                                       lines[middle].replace(b"v", b"w"), b">>>>>>> theirs", *lines[middle + 1:]])
    yield "a line lost", b"\n".join(lines[:middle] + lines[middle + 1:])
    yield "a line doubled", b"\n".join(lines[:middle] + [lines[middle]] + lines[middle:])
    yield "twice", data + data
    yield "newer", with_header(data, min_reader=999, format=999)
    yield "Windows line ends", data.replace(b"\n", b"\r\n")
    yield "something after it", data + b"x"


def state_file(c, prepared, start):
    good = read(start.state())
    copies = Copies(prepared, start)
    cases = [*damages(c, good, 30 if c.mode == "ci" else 300, 15 if c.mode == "ci" else 150), *oddities(good),
             ("removed", None)]
    commands = [("plan",), ("apply", "-auto-approve")]

    def one(number, label, data):
        with copies.one() as w:
            if data is None:
                os.unlink(w.state())
            else:
                write(w.state(), data)
            refused(w, "state", *commands[number % 2])

    c.each("states", enumerate(cases), lambda case: c.trial(f"state: {case[1][0]}", one, case[0], *case[1]))
    with copies.one() as w:
        write(w.state(), good)
        c.trial("state: whole again", w.must, "plan")
    c.note(f"{len(cases)} damaged states of {len(good)} bytes")


def plan_file(c, prepared, start):
    start.must("plan", "-out=it.plan")
    good = read(start.path("it.plan"))
    copies = Copies(prepared, start)
    cases = [*damages(c, good, 20 if c.mode == "ci" else 200, 8 if c.mode == "ci" else 80), ("empty", b""),
             ("something after it", good + b"x"), ("NULs", bytes(len(good)))]

    def one(data):
        with copies.one() as w:
            write(w.path("it.plan"), data)
            refused(w, "plan", "apply", "it.plan")

    c.each("plans", cases, lambda case: c.trial(f"plan: {case[0]}", one, case[1]))
    with copies.one() as w:
        write(w.path("it.plan"), good)
        c.trial("plan: whole again", w.must, "apply", "it.plan")
        c.trial("plan: used twice", refused, w, "plan", "apply", "it.plan")
    c.note(f"{len(cases)} damaged plans of {len(good)} bytes")


def journal_file(c, prepared):
    """A journal as a kill leaves it, its reserved room cut down to the part that matters."""
    with prepared.trial("killed") as w:
        nth = 0
        for nth in range(900, 100, -40):  # late enough for results, early enough to be in mid-apply
            with prepared.trial("try") as t:
                t.killed_apply(nth)
                if os.path.exists(t.state("journal")) and len(t.things()) > 5:
                    shutil.rmtree(w.dir)
                    shutil.copytree(t.dir, w.dir)
                    break
        good = read(w.state("journal")).rstrip(b"\0")
        sure = known_durable(good)
        cases = [(f"bit of byte {at} flipped", flipped(good, at, c.random.randrange(8)))
                 for at in c.sample(range(sure), 30 if c.mode == "ci" else 300)]
        cases += [("whole", good), ("reserved", good + bytes(4096)), ("noise after it", good + bytes(range(1, 200)))]
        results = c.each("journals", cases, lambda case: c.trial(f"journal: {case[0]}", one_journal, prepared, w, case[1]))
        c.note(f"{len(cases)} journals, damaged in their {sure} bytes known durable: {results.count('refused')} refused, "
               f"{results.count('recovered')} recovered")


def known_durable(journal):
    """Bytes of the records that a later one calls durable. What follows may be torn without harm: see power."""
    ends, synced, at = {}, 0, 0
    while journal[at:at + 4] == b"MJR1":
        length, = struct.unpack_from("<I", journal, at + 4)
        seq, upto = struct.unpack_from("<QQ", journal, at + 16)
        at += 64 + length + 4
        ends[seq], synced = at, max(synced, upto)
    return ends[synced]


def one_journal(prepared, killed, data):
    with prepared.trial("journal", killed) as w:
        write(w.state("journal"), data)
        before = snapshot(w)
        done = w.apply()
        if done.code == 0:
            prepared.converge(w, tries=1)
            return "recovered"
        if not any(command in done.out for command in REPAIR["journal"]):
            raise Violation(f"no repairing command in: {done.out[-500:]}")
        if snapshot(w) != before:
            raise Violation(f"refused, but something changed: {done.out[-300:]}")
        return "refused"
