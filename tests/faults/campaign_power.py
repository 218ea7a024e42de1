"""The power fails: every disk that the file system may leave behind is recovered from.

The apply is killed before each of its calls that change the state folder (the cloud stays as it is at that moment, as
it would be). From the folder before the apply and the record of these calls the legal disks are made: what was not synced
is there in part, torn, as zeros, or not at all; names may have changed without their data, data without their names.
"""
import hashlib
import os
import shutil

from world import Prepared, Violation


class Disk:
    """A folder as a list of files: what is durable, and what was done since."""

    def __init__(self, folder):
        self.names, self.pending_names = {}, []  # durable name -> file; [(verb, name, file)]
        self.files = []
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), "rb") as f:
                self.names[name] = self.new(f.read())
        self.live = dict(self.names)

    def new(self, data=b""):
        self.files.append({"durable": data, "pending": []})
        return len(self.files) - 1

    def replay(self, line):
        verb, *args = line.split(" ")
        if verb == "create":
            self.live[args[0]] = self.new()
            self.pending_names.append(("add", args[0], self.live[args[0]]))
        elif verb in ("write", "truncate", "reserve"):
            data = bytes.fromhex(args[2]) if verb == "write" else None
            if args[0] in self.live:
                self.files[self.live[args[0]]]["pending"].append((verb, int(args[1]), data or args[2:]))
        elif verb == "sync" and args[0] == ".":
            self.names, self.pending_names = dict(self.live), []
        elif verb == "sync" and args[0] in self.live:
            f = self.files[self.live[args[0]]]
            f["durable"], f["pending"] = content(f, len(f["pending"])), []
        elif verb == "link":
            self.live[args[1]] = self.live[args[0]]
            self.pending_names.append(("add", args[1], self.live[args[0]]))
        elif verb == "rename":
            moved = self.live.pop(args[0])
            self.live[args[1]] = moved
            self.pending_names.append(("move", (args[0], args[1]), moved))
        elif verb == "unlink" and self.live.pop(args[0], None) is not None:
            self.pending_names.append(("drop", args[0], None))

    def named(self, order):
        """The folder after these of the changes that were not synced."""
        names = dict(self.names)
        for verb, name, file in (self.pending_names[i] for i in order):
            if verb == "add":
                names[name] = file
            elif verb == "move":
                names.pop(name[0], None)
                names[name[1]] = file
            else:
                names.pop(name, None)
        return names

    def states(self):
        """(label, {name: bytes}) of every kind of disk, each once."""
        seen, last = set(), len(self.pending_names)
        # In their order up to some point, or one of them missing.
        orders = [(f"{n} of {last} names", range(n)) for n in range(last + 1)]
        orders += [(f"name {n} missing", [i for i in range(last) if i != n]) for n in range(last - 1)]
        for label, order in orders:
            names = self.named(order)
            for how, make in WAYS.items():
                state = {name: make(self.files[file]) for name, file in names.items() if name != "lock"}
                key = hashlib.sha256(repr(sorted(state.items())).encode()).digest()
                if key not in seen:
                    seen.add(key)
                    yield f"{label}, data {how}", state


def content(file, count, skip=(), torn=None, zeroed=False):
    """A file after some of its changes; `torn`: so much of the last write arrived; `zeroed`: its bytes are zeros."""
    data = bytearray(file["durable"])
    for i, (verb, at, more) in enumerate(file["pending"][:count]):
        if i in skip:
            continue
        if verb == "truncate":
            data[at:] = bytes(max(0, at - len(data)))
        elif verb == "reserve":
            data.extend(bytes(max(0, at + int(more[0]) - len(data))))
        else:
            last = i == count - 1
            part = more[:int(len(more) * torn)] if torn is not None and last else more
            part = bytes(len(part)) if zeroed and last else part
            data.extend(bytes(max(0, at + len(part) - len(data))))
            data[at:at + len(part)] = part
    return bytes(data)


def of(**how):
    return lambda f: content(f, len(f["pending"]), **how)


WAYS = {
    "none": lambda f: content(f, 0),
    "all": of(),
    "half": lambda f: content(f, len(f["pending"]) // 2),
    "without the last": lambda f: content(f, max(0, len(f["pending"]) - 1)),
    "torn early": of(torn=0.1),
    "torn": of(torn=0.5),
    "torn late": of(torn=0.97),
    "zeroed": of(zeroed=True),
    "without the first": of(skip=(0,)),
    "reordered": lambda f: content(f, len(f["pending"]), skip=(max(0, len(f["pending"]) - 2),)),
}


def campaign(c):
    prepared = Prepared(big=False)
    before = os.path.join(prepared.before.dir, ".state/default")
    count, states = 0, 0
    try:
        with prepared.trial("count") as w:
            total, _ = traced(w, 0)
        for nth in cuts(c, total):
            with prepared.trial(f"cut-{nth}") as w:
                _, lines = traced(w, nth)
                disk = Disk(before)
                for line in lines:
                    disk.replay(line)
                count += 1
                for label, files in c.sample(disk.states(), {"ci": 3, "planted": 8}.get(c.mode, 1000)):
                    if c.enough():
                        return
                    states += 1
                    c.trial(f"before call {nth}: {label}", one, prepared, w, files)
    finally:
        prepared.close()
    c.note(f"{count} cuts of {total}, {states} legal disks recovered from")


def cuts(c, total):
    """Before which calls. A planted bug is found sooner at the end, where the state is written."""
    points = c.sample(range(1, total + 1), {"ci": 10, "planted": 1000}.get(c.mode, 60))
    return reversed(points) if c.mode == "planted" else points


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


def one(prepared, killed, files):
    folder = killed.dir + "-disk"
    shutil.copytree(killed.dir, folder)
    try:
        w = type(killed)(folder)
        shutil.rmtree(w.state_dir)
        os.mkdir(w.state_dir, 0o700)
        for name, data in files.items():
            with open(w.state(name), "wb") as f:
                f.write(data)
        done = w.apply()
        if done.code:
            raise Violation(f"the next apply fails: {done.out[-500:]}")
        prepared.converge(w, tries=1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
