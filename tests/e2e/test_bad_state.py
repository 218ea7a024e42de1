#!/usr/bin/env python3
"""States that are empty, cut off, edited, newer, foreign or locked; folders that are full or closed."""
import fcntl

import hashlib
import re

from support import *


class State(Case):
    def setUp(self):
        super().setUp()
        self.template('thing: { a: { name: a }, b: { name: b } }')
        self.init()
        self.apply()
        with open(self.state_file(), encoding="utf-8") as f:
            self.good = f.read()

    def refused(self, text, *says):
        with open(self.state_file(), "w", encoding="utf-8") as f:
            f.write(text)
        for command in (["plan"], ["apply", "-auto-approve"], ["destroy", "-auto-approve"], ["state", "list"], ["drift"]):
            self.fails(*command, says=["the state in", self.path(".state/default"), *says])
            with open(self.state_file(), encoding="utf-8") as f:
                self.assertEqual(f.read(), text)
        self.assertEqual(sorted(self.things()), ["a", "b"])
        with open(self.state_file(), "w", encoding="utf-8") as f:
            f.write(self.good)
        self.no_changes()

    def test_empty(self):
        self.refused("", "empty", "Nothing was changed")

    def test_cut_off(self):
        self.refused(self.good[:len(self.good) // 2])
        self.refused(self.good[:self.good.rindex("{")])

    def test_edited(self):
        self.refused(self.good.replace('"name":"a"', '"name":"x"', 1))

    def test_merged(self):
        self.refused("<<<<<<< ours\n" + self.good + "=======\n" + self.good + ">>>>>>> theirs\n")

    def test_newer(self):
        self.refused(self.good.replace('"min_reader":1', '"min_reader":99', 1), "newer mlops-iac")

    def newer(self):
        """The state as a later version might write it: another format, its own version, the digest right."""
        head, rest = self.good.replace('"format":1,"min_reader":1', '"format":9,"min_reader":99', 1).split("\n", 1)
        head = re.sub(r'"tool_version":"[^"]*"', '"tool_version":"9.8.7"', head)
        digits = re.search(r'"sha256":"(\w{64})"', head)
        whole = head[:digits.start(1)] + head[digits.end(1):] + "\n" + rest
        return head[:digits.start(1)] + hashlib.sha256(whole.encode()).hexdigest() + head[digits.end(1):] + "\n" + rest

    def test_newer_is_not_repaired(self):
        """It is whole, though not for this version: no older generation takes its place."""
        self.template("thing: { a: { name: a, inputs: { v: 2 } } }")
        self.apply()
        with open(self.state_file(), encoding="utf-8") as f:
            self.good = f.read()
        text = self.newer()
        with open(self.state_file(), "w", encoding="utf-8") as f:
            f.write(text)
        for args in (("plan",), ("state", "fsck"), ("state", "fsck", "-repair")):
            done = self.fails(*args, says=["newer mlops-iac, 9.8.7", "Use mlops-iac 9.8.7 or a later one"])
            self.assertNotIn("restore", done.text)
        with open(self.state_file(), encoding="utf-8") as f:
            self.assertEqual(f.read(), text)

    def test_without_its_key_is_not_repaired(self):
        self.ok("state", "rekey", env={"MLOPS_IAC_STATE_KEY": "44" * 32})
        with open(self.state_file(), "rb") as f:
            sealed = f.read()
        for env in ({}, {"MLOPS_IAC_STATE_KEY": "55" * 32}):
            done = self.fails("state", "fsck", "-repair", env=env, says="key")
            self.assertNotIn("restored", done.text)
            with open(self.state_file(), "rb") as f:
                self.assertEqual(f.read(), sealed)

    def test_no_text_at_all(self):
        self.refused("\0" * 100)

    def test_other_lineage(self):
        self.ok("plan", "-out=p.plan", "-replace=thing.a")
        shutil.rmtree(self.path(".state"))
        self.ok("state", "list")
        self.sql("DELETE FROM things")
        self.apply()
        self.fails("apply", "p.plan", says=["stale"])

    def test_locked(self):
        self.template("thing: { a: { name: a }, b: { name: b }, c: { name: c } }", sim="latency_ms: 3000")
        holder = self.start("apply", "-auto-approve")
        self.wait_for("the journal", lambda: os.path.exists(self.path(".state/default/journal")))
        self.fails("apply", "-auto-approve", says=["lock", str(holder.pid), "force-unlock", "-lock-timeout"])
        started = time.monotonic()
        self.fails("apply", "-auto-approve", "-lock-timeout=1s", says=["lock"])
        self.assertGreater(time.monotonic() - started, 0.9)
        self.ok("state", "list")
        self.ok("apply", "-auto-approve", "-lock-timeout=60s", says="No changes.")
        self.check(self.finish(holder), 0, "1 added")
        self.assertEqual(sorted(self.things()), ["a", "b", "c"])

    def test_lock_of_a_dead_holder_hinders_nobody(self):
        with open(self.path(".state/default/lock"), "w", encoding="utf-8") as f:
            f.write('{"id":"x","who":"somebody"}\n')
        self.apply()

    def test_lock_of_a_live_holder(self):
        with open(self.path(".state/default/lock"), "a+", encoding="utf-8") as f:
            fcntl.lockf(f, fcntl.LOCK_EX)
            self.fails("apply", "-auto-approve", says="lock")
        self.apply()

    def test_journal_cut_off_in_its_first_record(self):
        self.write(".state/default/journal", "nonsense\n")
        self.apply(says="No changes.")
        self.assertFalse(os.path.exists(self.path(".state/default/journal")))
        self.assertEqual(len(self.ops()), 2)


class Folder(Case):
    def test_disk_full(self):
        """The state lies on a file system of 1 MiB; what does not fit there is not made in the cloud either."""
        where = self.path("small")
        os.makedirs(where)
        if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", where],
                                          capture_output=True, check=False).returncode:
            self.skipTest("no file system can be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", where], check=False)
        self.template('thing: { n: { count: 3, name: "n-${count.index}" } }')
        self.init()
        self.apply(f"-state-dir={where}/state")
        with open(f"{where}/ballast", "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 1024)
            except OSError:
                pass
        before = self.things()
        self.template('thing: { n: { count: 3, name: "n-${count.index}", inputs: { v: 2 } }, m: { count: 50 } }')
        self.fails("apply", "-auto-approve", f"-state-dir={where}/state", says=["No space left on device", where])
        os.remove(f"{where}/ballast")
        if self.things() == before:
            self.assertEqual(len(self.ok("state", "list", f"-state-dir={where}/state").out.split()), 3)
        self.template('thing: { n: { count: 3, name: "n-${count.index}" } }')
        self.apply(f"-state-dir={where}/state")
        self.assertEqual(sorted(self.things()), ["n-0", "n-1", "n-2"])
        self.assertEqual(len(self.ok("state", "list", f"-state-dir={where}/state").out.split()), 3)

    def test_no_permission(self):
        self.template("thing: { a: { name: a } }")
        self.init()
        self.apply()
        os.chmod(self.path("main.yaml"), 0o600)
        how = {}
        if os.geteuid() == 0:
            os.chmod(self.dir, 0o755)
            how = {"user": 65534, "group": 65534, "extra_groups": []}
            if self.start("version", **how, cwd="/").wait() != 0:
                self.skipTest("another user cannot run the program here")
        else:
            os.chmod(self.path("main.yaml"), 0)
        self.fails("plan", says=["main.yaml", "Permission denied"], **how)
        os.chmod(self.path("main.yaml"), 0o644)
        if os.geteuid() == 0:
            self.fails("apply", "-auto-approve", says=[".state", "Permission denied"], **how)
        self.no_changes()


if __name__ == "__main__":
    main()
