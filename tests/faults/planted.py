"""Plants bugs in a copy of the sources, one at a time, and shows that the campaigns find each.

A bug is a replacement of text; one that no longer applies is a failure, so the list keeps up with the sources. The copy
and its build are kept in build/planted (MIO_PLANTED_DIR): only the first run builds everything.
"""
import os
import re
import subprocess
import sys
import time

from world import SOURCE

FOLDER = os.environ.get("MIO_PLANTED_DIR") or os.path.join(SOURCE, "build/planted")
TARGETS = ["mlops-iac", "mlops-iac-provider-host", "plugin_sim", "faults_killer", "faults_shaky", "faults_starve",
           "faults_hungry", "faults_far", "backend_http", "backend_pg"]

# (bug, file, text, replacement, campaigns that look for it)
BUGS = [
    ("the journal is not synced", "state/backend_file_journal.c",
     "int e = mio_io_datasync(s->fd);", "int e = 0;", ["power"]),
    ("the state is not synced before its rename", "state/backend_file.c",
     "e = mio_io_sync(fd);\n    if (e)\n        return mio_file_fail(f, e, \"sync\", name, err);", "", ["power"]),
    ("the folder is not synced after the rename", "state/backend_file.c",
     "        e = mio_io_sync(f->fd);\n        verb =", "        verb =", ["power"]),
    ("the journal is dropped before the state is written", "state/store.c",
     "    rc = mio_store_swap(s, s->tag, &next, err);\n    if (rc)\n        return rc;\n    next.dirty",
     "    spend_journal(s, next.serial);\n    rc = mio_store_swap(s, s->tag, &next, err);\n    if (rc)\n"
     "        return rc;\n    next.dirty", ["power"]),
    ("no intent before the call", "planner/run/step.c",
     "mio_jrn_intent(w->journal, &w->intent, &w->err) == MIO_OK", "true", ["kill"]),
    ("the result is written before the call", "planner/run/step.c",
     "        else\n            call(w);\n",
     "        else {\n            struct mio_err planted = {0};\n            w->result = w->intent.target;\n"
     "            w->result.attributes = mio_map(NULL, 0);\n"
     "            mio_jrn_done(w->journal, w->intent.op, w->intent.verb == MIO_JRN_DELETE ? NULL : &w->result, true,\n"
     "                         &planted);\n            call(w);\n        }\n", ["kill"]),
    ("recovery sends another key", "planner/run/recover.c",
     ".key = op->intent.key,", ".key = MIO_STR(\"aaaaaaaaaaaaaaaaaaaaaaaaaa\"),", ["kill"]),
    ("recovery leaves open operations alone", "planner/run/recover.c",
     "return op->outcome != MIO_OP_DONE && op->outcome != MIO_OP_FAILED;",
     "return op->outcome != MIO_OP_DONE && op->outcome == MIO_OP_FAILED;", ["kill"]),
    ("one key for everything", "state/journal.c",
     "generation, MIO_FMT(address));", "generation, 0, address.p);", ["kill"]),
    ("a failed rename is taken for done", "state/io.c",
     "return e ? e : renameat", "return e ? 0 : renameat", ["io"]),
    ("the digest of the state is not checked", "state/codec.c",
     "    if (memcmp(hex, h.sha256.p, MIO_SHA256_HEX) != 0)\n        return diagnose(text, h.rows, err);",
     "    (void)diagnose;", ["bits"]),
    ("the header of a plan is not checked", "planner/change/planfile.c",
     "        return refuse(err, \"its header was altered since it was made (digest mismatch)\");", "        (void)0;", ["bits"]),
    ("a second attempt that was not sent settles the first", "planner/run/step.c",
     "if (w->err.code && !is_answer(&w->err)) {", "if (w->err.code && (is_answer(&w->err), w->err.ambiguous)) {", ["plugin"]),
    ("variables reach the environment of children", "providers/host/process.c",
     "\"MLOPS_IAC_VAR_\", ", "", ["secrets"]),
    ("the engine can dump core", "cli/main.c",
     "prctl(PR_SET_DUMPABLE, 0); /* a core file would hold every secret of the run ... */\n"
     "    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* ... or, of a program it starts, a key */",
     "prctl(PR_SET_DUMPABLE, 1);", ["secrets"]),
    ("what is marked sensitive is not hidden where a plugin quotes it", "providers/sdk/value.c",
     "        mio_secret_add(mio_value_str(v));", "        (void)mio_value_str(v);", ["secrets"]),
    ("an unknown outcome is taken for a failure", "planner/run/step.c",
     "        if (w->err.code && w->err.ambiguous && w->err.code != MIO_CANCELLED)",
     "        w->err.ambiguous = false;\n        if (w->err.code && w->err.ambiguous && w->err.code != MIO_CANCELLED)",
     ["plugin"]),
    ("nobody notices that another run took over", "state/backend_file_journal.c",
     "if (fstat(s->fd, &st) == 0 && st.st_nlink > 0)", "if (fstat(s->fd, &st) == 0)", ["contention"]),
    ("a journal that was settled is written on", "state/remote/object_journal.c",
     "if (rc || (found && text.n >=", "if (rc || true || (found && text.n >=", ["contention"]),
    ("who slept begins from what it read before", "state/store.c",
     "rc = rc ? rc : check_still_loaded(s, err);", "(void)check_still_loaded;", ["contention"]),
    ("what may have taken effect is sent again", "providers/host/provider.c",
     "if (err->code != MIO_TRANSIENT || err->ambiguous)", "if (err->code != MIO_TRANSIENT)", ["network"]),
    ("a write of the state that nobody answered counts as done", "state/remote/http.c",
     "post(b, a, tag, text, &lost, err);\n",
     "post(b, a, tag, text, &lost, err);\n    if (rc == MIO_TRANSIENT) {\n        *err = (struct mio_err){0};\n"
     "        return MIO_OK;\n    }\n", ["network"]),
    ("text for which there is no memory is left out", "providers/sdk/buf.c",
     "    b->p = mio_realloc(b->p, room, 1);\n",
     "    char *more = realloc(b->p, room);\n    if (!more)\n        return false;\n    b->p = more;\n", ["alloc"]),
    ("OpenSSL is left to itself when memory runs out", "cli/main.c", "    mio_crypto_setup();\n", "", ["alloc"]),
]


def prepare():
    """The sources as they are now, in a folder of their own; what has not changed keeps its time."""
    src, out = os.path.join(FOLDER, "src"), os.path.join(FOLDER, "out")
    os.makedirs(src, exist_ok=True)
    listed = subprocess.run(["git", "-C", SOURCE, "ls-files", "-z"], capture_output=True, text=True, check=True).stdout
    names = set(listed.split("\0"))
    for folder, _, files in os.walk(src):
        for name in (os.path.join(folder, f) for f in files):
            if os.path.relpath(name, src) not in names:
                os.unlink(name)  # it is gone from the sources
    for name in names:
        if name and os.path.isfile(os.path.join(SOURCE, name)):
            with open(os.path.join(SOURCE, name), "rb") as f:
                put(os.path.join(src, name), f.read())
    if not os.path.exists(os.path.join(out, "build.ninja")):
        subprocess.run(["cmake", "-S", src, "-B", out, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"], check=True,
                       stdout=subprocess.DEVNULL)
    return src, out


def put(path, data):
    if os.path.exists(path):
        with open(path, "rb") as f:
            if f.read() == data:
                return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def build(out):
    done = subprocess.run(["cmake", "--build", out, "-j", str(os.cpu_count() or 1), "--target", *TARGETS],
                          capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout[-800:]


def one(src, out, bug, names, seed):
    """What found the bug, or why it was not found."""
    _, path, text, instead, campaigns = bug
    where = os.path.join(src, path)
    with open(where, encoding="utf-8") as f:
        good = f.read()
    if good.count(text) != 1:
        return None, f"cannot be planted: its place in {path} has changed"
    put(where, good.replace(text, instead).encode())
    try:
        if said := build(out):
            return None, f"cannot be planted: {said}"
        for name in names or campaigns:
            # A program of its own: the modules of the campaigns know one build folder.
            done = subprocess.run([sys.executable, os.path.join(SOURCE, "tests/faults/run"), "--until-broken", "--seed",
                                   str(seed), name], capture_output=True, text=True,
                                  env={**os.environ, "MIO_BUILD": out, "MIO_SOURCE": src})
            if done.returncode == 1 and (signs := re.findall(rf"\n\n({name}[ :][^\n]*)", done.stdout)):
                return name, signs[0][:110]
        return None, "not found"
    finally:
        put(where, good.encode())


def main(names, seed):
    src, out = prepare()
    if said := build(out):
        sys.exit(f"the copy does not build: {said}")
    missed = 0
    print(f"{'planted bug':<52} {'found by':<11} {'seconds':>7}  first sign")
    for bug in BUGS:
        if names and not set(names) & set(bug[4]):
            continue
        started = time.monotonic()
        found, said = one(src, out, bug, [n for n in bug[4] if n in names] if names else None, seed)
        missed += found is None
        print(f"{bug[0]:<52} {found or 'NOBODY':<11} {time.monotonic() - started:>7.1f}  {said}", flush=True)
    return 1 if missed else 0
