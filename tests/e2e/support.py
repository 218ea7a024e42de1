"""What the end-to-end cases share: a template in a folder of its own, the program, and a look into the cloud.

The simulated cloud is an SQLite file beside the template: what exists, and every change that took effect, in order.
"""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

SOURCE = os.environ.get("MIO_SOURCE") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MIO_BUILD") or os.path.join(SOURCE, "build/release")
PROGRAM = os.path.join(BUILD, "bin/mlops-iac")
PLUGINS = os.path.join(BUILD, "lib/mlops-iac/providers")


class Done:
    """A finished run: exit code, standard output, standard error, both together."""

    def __init__(self, args, code, out, err):
        self.args, self.code, self.out, self.err = args, code, out, err
        self.text = out + err

    def __str__(self):
        return f"$ mlops-iac {' '.join(self.args)}\n{self.text}\nexit {self.code}"

    def json(self):
        return json.loads(self.out)

    def messages(self, kind=None):
        """The documents of a -json run, or those of one type."""
        found = [json.loads(line) for line in self.out.splitlines()]
        return [m for m in found if kind is None or m["type"] == kind]


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="mio-e2e-")
        for folder in (self.dir, self.dir + ".seen"):
            self.addCleanup(shutil.rmtree, folder, ignore_errors=True)

    # ---- the template ----

    def write(self, name, content):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(textwrap.dedent(content))

    def path(self, name):
        return os.path.join(self.dir, name)

    def template(self, resources, top="", sim=""):
        """main.yaml with these resources (YAML below `resources:`), other top-level keys, settings of the cloud."""
        resources = textwrap.indent(textwrap.dedent(resources).strip("\n"), "  ")
        self.write("main.yaml", f"providers:\n  sim: {{ path: cloud.db{', ' + sim if sim else ''} }}\n"
                   + textwrap.dedent(top) + (f"resources:\n{resources}\n" if resources else ""))

    # ---- the program ----

    def environment(self, extra=None):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_IAC_", "TF_", "NO_COLOR"))}
        kept.update({"LC_ALL": "C.UTF-8", "XDG_STATE_HOME": self.dir + ".seen", **(extra or {})})
        return kept

    def start(self, *args, env=None, **how):
        return subprocess.Popen([*how.pop("through", ()), PROGRAM, *args], cwd=how.pop("cwd", self.dir), env=self.environment(env), text=True,
                                stdin=how.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)

    def finish(self, process, args=(), timeout=90):
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            self.fail(f"mlops-iac {' '.join(args)} hangs:\n{out}{err}")
        return Done(args, process.returncode, out, err)

    def run_tool(self, *args, input=None, **how):
        if input is None:
            return self.finish(self.start(*args, **how), args)
        with tempfile.TemporaryFile("w+", encoding="utf-8") as f:
            f.write(input)
            f.seek(0)
            return self.finish(self.start(*args, stdin=f, **how), args)

    def ok(self, *args, says=(), **how):
        """Runs it; it must succeed, and say these things."""
        return self.check(self.run_tool(*args, **how), 0, says)

    def fails(self, *args, says=(), code=1, **how):
        """Runs it; it must end with this code, and say these things."""
        return self.check(self.run_tool(*args, **how), code, says)

    def check(self, done, code, says):
        self.assertEqual(done.code, code, str(done))
        for part in [says] if isinstance(says, str) else says:
            self.assertIn(part, done.text, str(done))
        self.assertNotIn("AddressSanitizer", done.text)
        self.assertNotIn("WARNING: ThreadSanitizer", done.text)
        return done

    def init(self):
        return self.ok("init")

    def apply(self, *args, says=(), **how):
        return self.ok("apply", "-auto-approve", *args, says=says, **how)

    def no_changes(self, *args):
        self.ok("plan", "-detailed-exitcode", *args, says="No changes.")

    def plan_json(self, *args):
        """The saved plan of `plan ARGS` as JSON: {address: actions} and the document."""
        self.ok("plan", "-out=some.plan", *args)
        doc = self.ok("show", "-json", "some.plan").json()
        os.remove(self.path("some.plan"))
        return {c["address"]: c["change"]["actions"] for c in doc["resource_changes"]
                if c["change"]["actions"] != ["no-op"]}, doc

    def wait_for(self, what, condition, seconds=60):
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                self.fail(f"{what} does not happen")
            time.sleep(0.01)

    # ---- the state and the cloud ----

    def recorded(self):
        return self.ok("state", "list").out.split()

    def state_file(self, stage="default"):
        return self.path(f".state/{stage}/state.jsonl")

    def sql(self, query, *args):
        if not os.path.exists(self.path("cloud.db")):
            return []
        db = sqlite3.connect(self.path("cloud.db"), timeout=20)
        try:
            with db:
                return db.execute(query, args).fetchall()
        except sqlite3.OperationalError as e:
            if "no such table" in str(e):
                return []
            raise
        finally:
            db.close()

    def things(self):
        """{name: inputs} of what exists."""
        return {name: json.loads(body).get("inputs") for name, body in self.sql("SELECT name, inputs FROM things")}

    def ops(self):
        """Every change that took effect, in order: "create 1", "update 1"..., numbered in order of creation."""
        rows, numbers = self.sql("SELECT op, id FROM ops ORDER BY n"), {}
        return [f"{op} {numbers.setdefault(thing, len(numbers) + 1)}" for op, thing in rows]

    def id_of(self, name):
        return "t-{}".format(*self.sql("SELECT id FROM things WHERE name IS ?", name)[0])

    def edit(self, name, inputs):
        """Somebody else changes a thing."""
        self.sql("UPDATE things SET inputs = json_set(inputs, '$.inputs', json(?)), version = version + 1 "
                 "WHERE name = ?", json.dumps(inputs), name)

    def remove(self, name):
        """Somebody else removes a thing."""
        self.sql("DELETE FROM things WHERE name = ?", name)


def slow(factor=1):
    """Waits are longer under the sanitizers."""
    return factor * (4 if any(word in BUILD for word in ("asan", "tsan")) else 1)


def main():
    if not os.path.exists(PROGRAM):
        print(f"{PROGRAM} is not built")
        sys.exit(1)
    unittest.main(verbosity=2)


__all__ = ["BUILD", "Case", "Done", "PLUGINS", "PROGRAM", "SOURCE", "main", "os", "json", "shutil", "signal", "slow",
           "subprocess", "time", "unittest"]
