"""What the campaigns share: a template in a folder of its own, the program, and the oracle.

The simulated cloud is an SQLite file that outlives every kill: what exists, each change that took effect, each call.
A world is prepared once (the first template applied, the second one written) and copied for every trial.
"""
import collections
import contextlib
import itertools
import json
import os
import queue
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

SOURCE = os.environ.get("MIO_SOURCE") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MIO_BUILD") or os.path.join(SOURCE, "build/release")
PROGRAM = os.path.join(BUILD, "bin/mlops-iac")
KILLER = os.path.join(BUILD, "tests/killer")
# A folder in memory: the campaigns ask what was written, not how fast the disk is.
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
CLASSES = {"thing": "b", "thing_a": "a", "thing_c": "c"}

Done = collections.namedtuple("Done", "code out")


class Violation(Exception):
    """A promise that was broken in one trial."""


def mixed_template(version, big=True):
    """Fifty resources in classes A, B and C; version 2 creates, updates, replaces (both orders) and deletes."""
    new, gone, upd, rep, kept = (5, 3, 4, 2, 2) if big else (1, 1, 1, 1, 0)
    kinds = []
    for kind, c in CLASSES.items():
        # Class A must be named; the others are told apart by what they hold, so that nothing hides a double.
        def name(text, c=c):
            return f'name: "{text}", ' if c == "a" else ""

        def body(who, more="", c=c):
            return f'inputs: {{ who: "{c}-{who}-${{count.index}}"{more} }}'

        changed = f", v: {version}, to: \"${{{kind}.cbd[0].id}}\""
        lines = [f"upd: {{ count: {upd}, {name('upd-${count.index}')}{body('upd', changed)} }}",
                 f"rep: {{ count: {rep}, {name('rep-${count.index}')}triggers: {version}, {body('rep')} }}",
                 f"cbd: {{ count: {rep}, {name(f'cbd-{version}-${{count.index}}')}triggers: {version}, {body('cbd')}, "
                 f"lifecycle: {{ create_before_destroy: true }} }}"]
        if kept:
            lines.append(f"kept: {{ count: {kept}, {name('kept-${count.index}')}{body('kept')} }}")
        if version == 1:
            lines.append(f"gone: {{ count: {gone}, {name('gone-${count.index}')}{body('gone')} }}")
        else:
            to = f", to: \"${{{kind}.rep[0].id}}\""
            lines.append(f"new: {{ count: {new}, {name('new-${count.index}')}{body('new', to)} }}")
        kinds.append(f"  {kind}:\n" + "".join(f"    {line}\n" for line in lines))
    return "resources:\n" + "".join(kinds)


class World:
    """One folder: template, state, cloud."""

    def __init__(self, folder, state=None, env=None):
        self.dir = folder
        self.state_dir = state or self.path(".state/default")
        self.env = {**(env or {}), **({"MLOPS_IAC_STATE_DIR": state} if state else {})}
        self.last = None

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def state(self, name="state.jsonl"):
        return os.path.join(self.state_dir, name)

    def template(self, text, sim=""):
        with open(self.path("main.yaml"), "w", encoding="utf-8") as f:
            f.write(f"providers:\n  sim: {{ path: cloud.db{', ' + sim if sim else ''} }}\n{text}")

    # ---- the program ----

    def start(self, *args, before=(), env=None, program=PROGRAM, split=False, **how):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_IAC_", "TF_", "MIO_"))}
        kept.update({"LC_ALL": "C.UTF-8", "NO_COLOR": "1", "XDG_STATE_HOME": self.path(".seen"), **self.env, **(env or {})})
        return subprocess.Popen([*before, program, *args], cwd=self.dir, env=kept, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if split else subprocess.STDOUT,
                                text=True, errors="replace", start_new_session=True, **how)

    def finish(self, process, timeout=120):
        try:
            out, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, _ = process.communicate()
            raise Violation(f"it hangs: {out[-400:]}") from None
        self.last = Done(process.returncode, out)
        return self.last

    def run(self, *args, timeout=120, **how):
        return self.finish(self.start(*args, **how), timeout)

    def apply(self, *args, **how):
        return self.run("apply", "-auto-approve", "-parallelism=4", *args, **how)

    def must(self, *args, **how):
        done = self.run(*args, **how)
        if done.code:
            raise Violation(f"{args[0]} fails: {done.out[-600:]}")
        return done

    def killed_apply(self, nth, *options, args=()):
        """An apply that dies at its N-th system call. Returns (calls, killed)."""
        report = self.path("killer.report")
        self.apply(*args, before=[KILLER, "-n", str(nth), "-r", report, *options])
        with open(report, encoding="utf-8") as f:
            words = f.read().split()
        return int(words[1]), words[3] == "1"

    def close(self):
        """Ends what serves this world."""

    # ---- the cloud ----

    def sql(self, query):
        db = sqlite3.connect(self.path("cloud.db"), timeout=30)
        with contextlib.closing(db):
            return db.execute(query).fetchall()

    def things(self):
        """[(id, kind, inputs, triggers)] of what exists."""
        rows = []
        for number, kind, body in self.sql("SELECT id, kind, inputs FROM things"):
            doc = json.loads(body)
            rows.append((f"t-{number}", kind, doc.get("inputs") or {}, doc.get("triggers")))
        return rows

    def holds(self):
        """What exists, without the ids: comparable between worlds."""
        return collections.Counter((kind, inputs.get("who"), inputs.get("v"), json.dumps(triggers))
                                   for _, kind, inputs, triggers in self.things())

    def created(self):
        return self.sql("SELECT count(*) FROM ops WHERE op = 'create'")[0][0]

    def calls(self):
        return sum(n for n, in self.sql("SELECT n FROM calls"))

    def recorded(self):
        try:
            with open(self.state(), encoding="utf-8") as f:
                return [json.loads(line) for line in f.read().splitlines()[1:]]
        except FileNotFoundError:
            return []
        except ValueError as e:
            raise Violation(f"unreadable: the state is torn: {e}") from None

    # ---- the oracle ----

    def consistent(self):
        """Cloud and state hold the same objects."""
        rows = self.recorded()
        if bad := [r["address"] for r in rows if r["status"] != "ok" or r["deposed"]]:
            raise Violation(f"manual: {bad} is left tainted, unconfirmed or deposed")
        ids, there = [r["id"] for r in rows], [t[0] for t in self.things()]
        if orphans := sorted(set(there) - set(ids)):
            raise Violation(f"orphaned: {orphans} of {len(there)} exist and are not recorded")
        if lost := sorted(set(ids) - set(there)):
            raise Violation(f"lost: {lost} are recorded and do not exist")
        if len(ids) != len(set(ids)):
            raise Violation("doubled: two addresses record one object")

    def converge(self, want=None, created=None, tries=3, **how):
        """Applies until it succeeds; then everything is there once, recorded, and there is nothing to do."""
        for attempt in range(1, tries + 1):
            done = self.apply(**how)
            if done.code == 0:
                break
        else:
            raise Violation(f"manual: apply does not converge: {done.out[-700:]}")
        self.consistent()
        if want is not None and self.holds() != want:
            more, less = self.holds() - want, want - self.holds()
            raise Violation(f"doubled: {dict(more)}, missing: {dict(less)}")
        if created is not None and self.created() != created:
            raise Violation(f"doubled: {self.created()} creates took effect instead of {created}")
        done = self.run("plan", "-detailed-exitcode")
        if done.code:
            raise Violation(f"not converged: plan exits {done.code}: {done.out[-700:]}")
        if os.path.exists(self.state("journal")):
            raise Violation("the journal is still there")
        return attempt


class Prepared:
    """A world as it is before the apply that goes wrong, and what it must be in the end."""

    def __init__(self, big=True, sim="", second=None, first=None, env=None, make=World):
        self.env, self.make, self.numbers = env, make, itertools.count()
        self.root = tempfile.mkdtemp(prefix="mio-faults-", dir=SCRATCH)
        os.mkdir(os.path.join(self.root, "before"))
        self.before = make(os.path.join(self.root, "before"), env=env)
        self.before.template(first or mixed_template(1, big), sim)
        self.before.must("init")
        self.before.must("apply", "-auto-approve")
        self.before.template(second or mixed_template(2, big), sim)
        self.before.close()
        with self.trial("reference") as w:
            w.converge(tries=1)
            self.want, self.created = w.holds(), w.created()

    @contextlib.contextmanager
    def trial(self, name, start=None):
        """A copy of the world before the apply that goes wrong, or of another one."""
        folder = os.path.join(self.root, f"{name}-{next(self.numbers)}")
        shutil.copytree((start or self.before).dir, folder, symlinks=True)
        w = self.make(folder, env=self.env)
        try:
            with evidence(folder):
                yield w
        finally:
            w.close()
            shutil.rmtree(folder, ignore_errors=True)

    def converge(self, w, **how):
        return w.converge(self.want, self.created, **how)

    def close(self):
        shutil.rmtree(self.root, ignore_errors=True)


class Copies:
    """Copies of a world that trials leave as they found it: each is used by one at a time."""

    def __init__(self, prepared, start):
        self.prepared, self.start, self.free = prepared, start, queue.LifoQueue()

    @contextlib.contextmanager
    def one(self):
        try:
            w = self.free.get_nowait()
        except queue.Empty:
            folder = os.path.join(self.prepared.root, f"copy-{next(self.prepared.numbers)}")
            shutil.copytree(self.start.dir, folder, symlinks=True)
            w = self.prepared.make(folder, env=self.prepared.env)
        with evidence(w.dir):
            yield w
        self.free.put(w)  # what has broken a promise is not used again


@contextlib.contextmanager
def evidence(folder):
    """MIO_KEEP: a folder for copies of the worlds in which a promise was broken."""
    try:
        yield
    except Violation as e:
        if where := os.environ.get("MIO_KEEP"):
            os.makedirs(where, exist_ok=True)
            kept = tempfile.mkdtemp(prefix=os.path.basename(folder) + "-", dir=where)
            shutil.copytree(folder, kept, symlinks=True, dirs_exist_ok=True)
            with open(os.path.join(kept, "broken.txt"), "w", encoding="utf-8") as f:
                f.write(f"{e}\n")
        raise


class Campaign:
    """What a campaign counts: trials, and the promises that were broken.

    jobs: how many trials run side by side; part: (i, n), of each list every n-th trial from the i-th on; only: names of
    the parts of the campaign that are run, none for all; rounds: of writers, 0 for those of the mode.
    """

    EVERY_S = 20  # a line of progress

    def __init__(self, name, mode, seed, jobs=1, part=(1, 1), only=(), rounds=0):
        self.name, self.mode, self.seed = name, mode, seed
        self.jobs, self.part, self.only, self.rounds = jobs, part, only, rounds
        self.full = mode == "all"
        self.random = random.Random(f"{name} {seed}")
        self.trials, self.broken, self.notes = 0, [], []
        self.skipped = None
        self.guard, self.stop = threading.RLock(), False
        self.started = self.told = time.monotonic()
        self.seconds = 0.0

    def trial(self, label, fn, *args, **how):
        """Runs one trial; a broken promise is kept, with what it takes to see it again."""
        with self.guard:
            self.trials += 1
        try:
            return fn(*args, **how)
        except Violation as e:
            with self.guard:
                self.broken.append(f"{self.name} {label}: {e}")
                print(f"{self.name} {label}: BROKEN", file=sys.stderr, flush=True)
            return None

    def each(self, what, cases, fn):
        """fn(case) for each of the cases, side by side; what they gave, in their order. Planted bugs end it early, and so
        does who interrupts it, with a note of how far it came."""
        i, n = self.part
        cases = list(cases)[i - 1::n]
        todo, results, errors, begun = iter(enumerate(cases)), {}, [], time.monotonic()

        def work():
            while not (self.stop or self.enough() or errors):
                with self.guard:
                    number, case = next(todo, (None, None))
                if number is None:
                    return
                try:
                    results[number] = fn(case)
                except BaseException as e:  # of the test itself
                    errors.append(e)
                self.tell(what, len(results), len(cases), begun)

        threads = [threading.Thread(target=work) for _ in range(min(self.jobs, len(cases)))]
        for t in threads:
            t.start()
        try:
            for t in threads:
                t.join()
        except KeyboardInterrupt:
            self.stop = True
            for t in threads:
                t.join()
            self.note(f"INTERRUPTED after {len(results)} of {len(cases)} of {what}")
            raise
        if errors:
            raise errors[0]
        return [results[k] for k in sorted(results)]

    def tell(self, what, done, of, begun):
        with self.guard:
            now = time.monotonic()
            if now - self.told < self.EVERY_S:
                return
            self.told = now
        left = (now - begun) / max(done, 1) * (of - done)
        print(f"{self.name}: {what}, {done} of {of}; {self.trials} trials, {len(self.broken)} broken in "
              f"{now - self.started:.0f} s; about {left:.0f} s left of these", file=sys.stderr, flush=True)

    def chosen(self, names):
        """Those of the campaign's parts that are to be run."""
        if wrong := [name for name in self.only if name not in names]:
            raise Violation(f"there is no {', '.join(wrong)} in it: {', '.join(names)}")
        return [name for name in names if not self.only or name in self.only]

    def sample(self, full, count):
        """All of them, or `count` that the seed chooses."""
        full = list(full)
        return full if self.full or len(full) <= count else sorted(self.random.sample(full, count))

    def note(self, text):
        self.notes.append(text)

    def enough(self):
        """Planted bugs are looked for until the first sign of one."""
        return self.mode == "planted" and bool(self.broken)
