#!/usr/bin/env python3
"""The state's commands, import, outputs, and what other programs read: JSON and exit codes."""
from support import *


class Commands(Case):
    def setUp(self):
        super().setUp()
        self.template("""
            thing:
              a: { name: a, inputs: { v: 1 } }
              n: { count: 2, name: "n-${count.index}" }
        """, top="""
            outputs:
              id: { value: "${thing.a.id}" }
              names: { value: "${thing.n[*].name}" }
              hidden: { value: "${thing.a.id}", sensitive: true }
        """)
        self.init()
        self.apply()

    def test_list_and_show(self):
        self.assertEqual(self.recorded(), ["thing.a", "thing.n[0]", "thing.n[1]"])
        self.assertEqual(self.ok("state", "list", "thing.n").out.split(), ["thing.n[0]", "thing.n[1]"])
        self.ok("state", "show", "thing.a", says=['name   = "a"', self.id_of("a")])
        self.fails("state", "show", "thing.b", says="thing.b")

    def test_mv(self):
        self.ok("state", "mv", "thing.a", "thing.z")
        self.assertEqual(self.recorded(), ["thing.n[0]", "thing.n[1]", "thing.z"])
        self.fails("state", "mv", "thing.a", "thing.y", says="thing.a")
        self.fails("state", "mv", "thing.z", "thing.n[0]", says="thing.n[0]")
        self.ok("state", "mv", "thing.z", "thing.a")
        self.no_changes()

    def test_mv_that_would_mix_things_up(self):
        before = self.ok("state", "pull").out
        self.fails("state", "mv", "thing.n", "thing.a", says=["thing.a is in the state already", "one by one"])
        self.fails("state", "mv", "thing.a", "thing.a", says="are the same")
        self.fails("state", "replace-provider", "sim", "sim", says="are the same")
        self.assertEqual(self.ok("state", "pull").out, before)
        self.ok("state", "mv", "thing.n[0]", "thing.n")  # from count to one: the other instance stays
        self.assertEqual(self.recorded(), ["thing.a", "thing.n", "thing.n[1]"])

    def test_rm_and_import(self):
        thing = self.id_of("a")
        self.ok("state", "rm", "thing.a")
        self.assertEqual(self.recorded(), ["thing.n[0]", "thing.n[1]"])
        self.assertIn("a", self.things())
        self.ok("import", "thing.a", thing)
        self.no_changes()
        self.fails("import", "thing.a", thing, says="thing.a")
        self.fails("import", "thing.n[0]", "t-999", says="thing.n[0]")
        self.fails("import", "thing.q", thing, says="thing.q")
        self.ok("state", "rm", "thing.n[0]")
        self.fails("import", "thing.n[0]", "t-999", says="t-999")

    def test_outputs(self):
        self.ok("output", says=[f'id     = "{self.id_of("a")}"', "<sensitive>"])
        self.assertEqual(self.ok("output", "-raw", "id").out, self.id_of("a"))
        self.assertEqual(self.ok("output", "-json", "names").json(), ["n-0", "n-1"])
        self.fails("output", "idd", says="idd")

    def test_show_json(self):
        doc = self.ok("show", "-json").json()
        resources = doc["values"]["root_module"]["resources"]
        self.assertEqual([r["address"] for r in resources], ["thing.a", "thing.n[0]", "thing.n[1]"])
        self.assertEqual(resources[0]["values"]["inputs"], {"v": 1})

    def test_a_limit_on_the_size_of_files(self):
        """ulimit -f: an error like any other, not a signal that ends the program; nothing is changed or lost."""
        before = self.ok("state", "pull").out
        limited = {"through": ("prlimit", "--fsize=500")}
        self.fails("state", "mv", "thing.a", "thing.z", says=["File too large", "ulimit -f"], **limited)
        self.assertEqual(self.ok("state", "pull").out, before)
        self.template("thing:\n  a: { name: a, inputs: { v: 2 } }\n  n: { count: 2, name: \"n-${count.index}\" }\n")
        done = self.run_tool("apply", "-auto-approve", **limited)
        self.assertEqual(done.code, 1, str(done))
        self.apply()
        self.no_changes()
        self.ok("state", "fsck", says="in order")
        self.assertEqual(len(self.things()), 3)

    def test_force_unlock_without_a_lock(self):
        self.fails("force-unlock", "-force", "nonsense", says="is not locked")

    def test_pull_is_the_state(self):
        with open(self.state_file(), encoding="utf-8") as f:
            self.assertEqual(self.ok("state", "pull").out, f.read())

    def test_stream_has_the_types_of_terraform(self):
        self.template("thing: { a: { name: a, inputs: { v: 2 } }, bad: { name: bad, fail: create } }")
        done = self.run_tool("apply", "-auto-approve", "-json")
        self.assertEqual(done.code, 1)
        types = {m["type"] for m in done.messages()}
        for kind in ("version", "planned_change", "change_summary", "apply_start", "apply_complete", "apply_errored", "diagnostic"):
            self.assertIn(kind, types)
        summary = done.messages("change_summary")[0]["changes"]
        self.assertEqual((summary["add"], summary["change"], summary["remove"]), (1, 1, 2))
        error = done.messages("diagnostic")[-1]["diagnostic"]
        self.assertEqual(error["severity"], "error")
        self.assertEqual(done.err, "")

    def test_exit_codes(self):
        self.fails("plan", "-detailed-exitcode", "-destroy", code=2)
        self.ok("plan", "-detailed-exitcode")
        self.template("thing: { a: { nmae: 1 } }")
        self.fails("plan", "-detailed-exitcode", code=1)
        self.fails("-exit-codes=fine", "plan", code=11)
        self.fails("-exit-codes=fine", "plan", "-nonsense", code=10)

    def test_no_colour_without_a_terminal(self):
        self.template("thing: {}")
        self.assertNotIn("\x1b", self.ok("plan").text)

    def test_chdir_and_dir(self):
        name = os.path.basename(self.dir)
        self.ok(f"-chdir={self.dir}", "plan", "-detailed-exitcode", cwd="/")
        self.ok(f"-dir={name}", "plan", "-detailed-exitcode", cwd=os.path.dirname(self.dir))

    def test_import_block(self):
        thing = self.id_of("a")
        self.ok("state", "rm", "thing.a")
        self.template("thing: { a: { name: a, inputs: { v: 1 } } }", top=f"import: [{{ to: thing.a, id: {thing} }}]\n")
        self.ok("plan", says=["will be imported", "1 to import"])
        self.apply(says="1 imported")
        self.assertIn("thing.a", self.recorded())
        self.assertEqual(self.id_of("a"), thing)


if __name__ == "__main__":
    main()
