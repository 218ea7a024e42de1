#!/usr/bin/env python3
"""-durability=plan: the creates of a plan are journalled once, before the first; nothing is lost by a kill or a power cut.

A power cut is played on the disk: the journal is cut behind what was synced, and bears the mark of another start of the
machine. The oracle is the cloud.
"""
import hashlib
import struct

from support import *

KINDS = ("thing", "thing_a", "thing_c")


def crc32c(data):
    table = []
    for i in range(256):
        for _ in range(8):
            i = (i >> 1) ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def frames(text):
    """[(type, payload)] of a journal."""
    found, at = [], 0
    while text[at:at + 4] == b"MJR1":
        size, kind = struct.unpack_from("<IB", text, at + 4)
        found.append((chr(kind), text[at + 64:at + 64 + size]))
        at += 64 + size + 4
    return found


def journal(records):
    """The bytes of a journal with these records."""
    out, prev = b"", bytes(32)
    for seq, (kind, payload) in enumerate(records, 1):
        frame = b"MJR1" + struct.pack("<IB7xQQ", len(payload), ord(kind), seq, 0) + prev + payload
        frame += struct.pack("<I", crc32c(frame))
        prev, out = hashlib.sha256(frame).digest(), out + frame
    return out


class Durability(Case):
    def world(self, kind="thing", count=8, more=""):
        self.template(f"""
            {kind}:
              n: {{ count: {count}, name: "n-${{count.index}}", inputs: {{ i: "${{count.index}}" }} }}
        """, sim="latency_ms: 40" + more)
        self.init()

    def journal_path(self):
        return self.path(".state/default/journal")

    def read_journal(self):
        with open(self.journal_path(), "rb") as f:
            return frames(f.read())

    def kill_at(self, made, *args):
        process = self.start("apply", "-auto-approve", "-parallelism=3", "-durability=plan", *args, start_new_session=True)
        self.wait_for(f"{made} things", lambda: len(self.sql("SELECT id FROM things")) >= made)
        os.killpg(process.pid, signal.SIGKILL)
        self.finish(process)

    def keep(self):
        """A copy of everything; back() puts it in place."""
        self.kept = self.dir + ".kept"
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(self.dir, self.kept)
        self.addCleanup(shutil.rmtree, self.kept, ignore_errors=True)

    def back(self):
        for folder in (self.dir, self.dir + ".seen"):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.kept, self.dir)

    def anew(self):
        for folder in (self.dir, self.dir + ".seen"):
            shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(self.dir)

    def cut(self, boot, records):
        """The journal as it is after the machine stopped, or as it was when boot is the machine's own."""
        begin = json.loads(records[0][1])
        with open(self.journal_path(), "r+b") as f:
            f.truncate()
            f.write(journal([("B", json.dumps({**begin, "boot": boot or begin["boot"]}).encode()), *records[1:]]))

    def settled(self, count):
        """The next plain apply ends well: all is there once, all is recorded."""
        self.apply()
        ids = sorted(f"t-{row[0]}" for row in self.sql("SELECT id FROM things"))
        with open(self.state_file(), encoding="utf-8") as f:
            recorded = sorted(json.loads(line)["id"] for line in f.read().splitlines()[1:])
        self.assertEqual(recorded, ids)
        self.assertEqual(len(ids), count)
        self.assertEqual(sum(op.startswith("create") for op in self.ops()), count, self.ops())
        self.no_changes()

    def test_the_plan_comes_first(self):
        self.world()
        self.kill_at(3)
        kinds = "".join(kind for kind, _ in self.read_journal())
        self.assertTrue(kinds.startswith("B" + 8 * "P" + "I"), kinds)

    def test_what_is_not_known_yet_is_synced_by_itself(self):
        """A create that needs what another one gives, one that replaces, one of class D: no P, an intent of its own."""
        self.template("""
            thing: { a: { name: a }, b: { name: b, inputs: { from: "${thing.a.id}" } } }
            thing_d: { d: { name: d } }
        """, sim="latency_ms: 300")
        self.init()
        self.kill_at(1)
        self.assertEqual([json.loads(p)["address"] for kind, p in self.read_journal() if kind == "P"], ["thing.a"])

    def test_killed(self):
        """The machine goes on: every intent that was written is there, and nothing is looked up in vain."""
        for kind in KINDS:
            with self.subTest(kind):
                self.anew()
                self.world(kind)
                self.kill_at(4)
                sent = {json.loads(p)["op"] for k, p in self.read_journal() if k == "I"}
                done = self.ok("plan", says="interrupted apply was found")
                self.assertIn(f"settled: {len(sent)} operations", done.text)
                lookups = self.sql("SELECT n FROM calls WHERE op = 'lookup'")
                self.assertLessEqual(lookups[0][0] if lookups else 0, 3 if kind == "thing_c" else 0)
                self.settled(8)

    def test_power_cut(self):
        """Whatever part of the journal behind the plan is lost."""
        for kind in KINDS:
            self.anew()
            self.world(kind)
            self.kill_at(4)
            records = self.read_journal()
            self.keep()
            planned = 1 + sum(k == "P" for k, _ in records)
            self.assertEqual(planned, 9)
            for cut in (planned, planned + 1, planned + 3, len(records) - 1, len(records)):
                with self.subTest(kind, cut=cut):
                    self.back()
                    self.cut("another", records[:cut])
                    made = len(self.sql("SELECT id FROM things"))
                    self.ok("plan", says="interrupted apply was found")
                    self.assertEqual(len(self.recorded()), len(self.sql("SELECT id FROM things")))
                    self.assertLessEqual(len(self.sql("SELECT id FROM things")), made + 3)  # what had an intent, no more
                    self.settled(8)

    def test_replaced_and_deleted(self):
        """Both orders of a replacement, an update and a delete in the same apply, cut at each record."""
        before = """
            thing:
              first: { name: f, triggers: 1 }
              after: { name: a, triggers: 1, lifecycle: { create_before_destroy: true } }
              changed: { name: c, inputs: { v: 1 } }
              gone: { name: g }
        """
        after = """
            thing:
              first: { name: f, triggers: 2 }
              after: { name: a2, triggers: 2, lifecycle: { create_before_destroy: true } }
              changed: { name: c, inputs: { v: 2 } }
              new: { name: n }
        """
        self.template(before)
        self.init()
        self.apply()
        self.template(after, sim="latency_ms: 60")
        process = self.start("apply", "-auto-approve", "-parallelism=2", "-durability=plan", start_new_session=True)
        self.wait_for("the new one", lambda: "n" in self.things() and "a2" in self.things())
        os.killpg(process.pid, signal.SIGKILL)
        self.finish(process)
        records = self.read_journal()
        self.keep()
        planned = 1 + sum(k == "P" for k, _ in records)
        for boot in ("another", None):
            first = planned if boot else len(records)
            for cut in range(first, len(records) + 1):
                with self.subTest(boot=boot, cut=cut):
                    self.back()
                    self.cut(boot, records[:cut])
                    self.template(after)
                    self.apply()
                    self.assertEqual(sorted(self.things()), ["a2", "c", "f", "n"])
                    self.assertEqual(self.recorded(), ["thing.after", "thing.changed", "thing.first", "thing.new"])
                    self.no_changes()

    def test_by_setting(self):
        self.template("thing: { a: { name: a } }", sim="latency_ms: 500",
                      top="mlops_iac: { backend: { type: file, durability: plan } }\n")
        self.init()
        process = self.start("apply", "-auto-approve", start_new_session=True)
        self.wait_for("the journal", lambda: os.path.exists(self.journal_path()) and len(self.read_journal()) > 2)
        os.killpg(process.pid, signal.SIGKILL)
        self.finish(process)
        self.assertEqual([k for k, _ in self.read_journal()][:3], ["B", "P", "I"])
        self.settled(1)
        self.template("thing: { a: { name: a } }", top="mlops_iac: { backend: { type: file, durability: most } }\n")
        self.fails("plan", says=["durability", "full or plan", "main.yaml line 3, column 37"])
        self.fails("apply", "-durability=some", says="full")


if __name__ == "__main__":
    main()
