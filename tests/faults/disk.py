"""A folder as a disk holds it: what is durable, what was done since, and every way in which a power cut may leave it.

Of each file: any number of its unsynced writes in their order, the last of them whole, torn at a sector or inside one, or
zeros (its length arrived, its data did not); all but one; only one. Of the names: any number of the changes in their order;
all but one; only one. Files and names are independent of each other, so data may come without its name, and a name (a
rename, too) without its data.
"""
import hashlib
import itertools
import os

SECTOR = 512


class Disk:
    def __init__(self, folder, step=SECTOR):
        """`step`: a write may tear at each so many bytes of its file."""
        self.step = step
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
            f["durable"], f["pending"] = content(f, range(len(f["pending"]))), []
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
        names.pop("lock", None)  # nothing is read from it
        return names

    def states(self, most, random):
        """[(label, {name: bytes})]: every legal disk, each once; of more than `most`, so many. And how many there are."""
        variants = [versions(f, self.step) for f in self.files]
        folders = {}
        for label, order in choices(len(self.pending_names)):
            names = self.named(order)
            folders.setdefault(tuple(sorted(names.items())), f"{label} of {len(self.pending_names)} names")
        total, out, seen = 0, [], set()
        for names, label in folders.items():
            files = sorted({file for _, file in names})
            several = [file for file in files if len(variants[file]) > 1]
            total += count(variants, several)
            for chosen in pick(variants, several, max(1, most // len(folders)), random):
                data = {file: variants[file][0][1] for file in files}
                data.update({file: variants[file][i][1] for file, i in chosen.items()})
                state = {name: data[file] for name, file in names}
                key = digest(state)
                if key not in seen:
                    seen.add(key)
                    what = ", ".join(f"{name}: {variants[file][chosen[file]][0]}" for name, file in names if file in chosen)
                    out.append((f"{label}; {what or 'nothing pending'}", state))
        return out, total


def digest(state):
    return hashlib.sha256(repr(sorted(state.items())).encode()).digest()


def choices(n):
    """(label, indices) of the changes that arrived."""
    for k in range(n + 1):
        yield f"the first {k}", range(k)
    for i in range(n):
        yield f"all but number {i + 1}", [k for k in range(n) if k != i]
        yield f"only number {i + 1}", [i]


def content(file, order, torn=None, zeroed=False):
    """A file after these of its writes; `torn`: so many bytes of the last arrived; `zeroed`: what did not is zeros."""
    data, order = bytearray(file["durable"]), list(order)
    for i in order:
        verb, at, more = file["pending"][i]
        if verb == "truncate":
            data[at:] = bytes(max(0, at - len(data)))
        elif verb == "reserve":
            data.extend(bytes(max(0, at + int(more[0]) - len(data))))
        else:
            part = more
            if i == order[-1] and torn is not None:
                part = more[:torn] + (bytes(len(more) - torn) if zeroed else b"")
            data.extend(bytes(max(0, at + len(part) - len(data))))
            data[at:at + len(part)] = part
    return bytes(data)


def tears(at, n, step):
    """Where a write of n bytes at an offset may break off: in the first and last byte, in the middle, at each step."""
    sectors = range(step - at % step, n, step)
    if len(sectors) > 64:  # a long write: its ends tell what its middle would
        sectors = [*sectors[:32], *sectors[-32:]]
    return sorted({k for k in (1, *sectors, n // 2, n - 1) if 0 < k < n})


def versions(file, step):
    """[(label, bytes)] of a file, each once; the whole of it is the first."""
    found = {}

    def add(label, data):
        found.setdefault(data, label)

    n = len(file["pending"])
    add("all", content(file, range(n)))
    for label, order in choices(n):
        order = list(order)
        add(f"{label} of {n} writes", content(file, order))
        if order and file["pending"][order[-1]][0] == "write":
            _, at, data = file["pending"][order[-1]]
            for k in tears(at, len(data), step):
                add(f"{label} of {n} writes, the last torn at {k}", content(file, order, k))
                add(f"{label} of {n} writes, the last zeros from {k}", content(file, order, k, True))
            add(f"{label} of {n} writes, the last zeros", content(file, order, 0, True))
    return [(label, data) for data, label in found.items()]


def count(variants, files):
    total = 1
    for file in files:
        total *= len(variants[file])
    return total


def pick(variants, files, most, random):
    """Combinations {file: variant}: all of them, or each variant of each file once and as many others as are allowed."""
    ranges = [range(len(variants[file])) for file in files]
    if count(variants, files) <= most:
        for each in itertools.product(*ranges):
            yield dict(zip(files, each))
        return
    for file, r in zip(files, ranges):
        for i in r:
            yield {other: i if other == file else random.randrange(len(variants[other])) for other in files}
    for _ in range(most):
        yield {file: random.choice(r) for file, r in zip(files, ranges)}
