#!/usr/bin/env python3
"""The commands around the language: test, console, fmt, schema, graph; policies over a plan; blocks for imports."""
import select
import xml.etree.ElementTree as xml

from support import *

TEMPLATE = """
    providers: { sim: { path: cloud.db } }
    variables: { n: { type: number, default: 1, validation: [{ condition: "${var.n < 9}", error: below nine }] } }
    resources:
      thing:
        a: { name: "a-${stage.name}", inputs: { n: "${var.n}" } }
        b: { name: "b-${stage.name}", inputs: { from: "${thing.a.id}" } }
    checks: { small: { condition: "${var.n < 5}", error: "${var.n} is not small" } }
    policies: { even: { condition: "${var.n != 7}", error: seven is refused } }
    outputs: { id: { value: "${thing.b.id}" }, n: { value: "${var.n}" } }
"""


class Tests(Case):
    def file(self, steps, name="tests/a.mlopstest.yaml", top='providers: { sim: { path: "${path.temp}/cloud.db" } }'):
        self.write("main.yaml", TEMPLATE)
        os.makedirs(self.path("tests"), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(top + "\nrun:\n" + self.textwrap(steps))

    @staticmethod
    def textwrap(text):
        import textwrap
        return textwrap.indent(textwrap.dedent(text).strip("\n"), "  ") + "\n"

    def left(self):
        return [n for n in os.listdir(self.tmp) if n.startswith("mlops-iac-test")]

    def setUp(self):
        super().setUp()
        self.tmp = self.path("tmp")
        os.mkdir(self.tmp)

    def environment(self, extra=None):
        return super().environment({"TMPDIR": self.tmp, **(extra or {})})

    def test_steps_share_a_state_that_is_gone_at_the_end(self):
        self.file("""
            - name: made
              assert:
                - { condition: '${thing.a.output.n == 1 && output.id == "t-2"}', error: "made ${output.id}" }
            - name: changed in place
              variables: { n: 2 }
              assert:
                - { condition: '${run.made.output.id == output.id && thing.a.output.n == 2}', error: replaced }
            - name: in a stage
              stage: prod
              command: plan
              variables: { n: "${run.made.output.n + 2}" }
              assert: [{ condition: '${thing.a.name == "a-prod" && var.n == 3}', error: "${thing.a.name}" }]
        """)
        self.write("stages/prod.yaml", "description: production")
        self.ok("test", says=['run "made"... pass', 'run "in a stage"... pass', "Success! 3 passed, 0 failed."])
        self.assertEqual(self.left(), [])
        self.assertFalse(os.path.exists(self.path("cloud.db")), "the test touched the template's own cloud")
        self.assertFalse(os.path.exists(self.path(".state")))
        self.assertFalse(os.path.exists(self.path(".mlops-iac.lock.json")))

    def test_failures_errors_and_skips(self):
        self.file("""
            - name: false
              assert: [{ condition: "${var.n == 2}", error: "n is ${var.n}" }]
            - name: not yet known
              command: plan
              variables: { n: 3 }
              assert: [{ condition: "${thing.a.output.n == 3}", error: x }]
            - name: goes wrong
              variables: { n: 8, nope: 1 }
            - name: never run
        """)
        done = self.fails("test", "-junit-xml=out.xml",
                          says=['run "false"... fail', "assertion failed: n is 1", "a.mlopstest.yaml line 4, column 27",
                                "known only after apply", 'run "not yet known"... error', 'run "goes wrong"... skip'])
        self.assertIn("0 passed, 2 failed, 2 skipped", done.out)
        suite = xml.parse(self.path("out.xml")).getroot()[0]
        self.assertEqual([suite.get(k) for k in ("tests", "failures", "errors", "skipped")], ["4", "1", "1", "2"])
        self.assertEqual(suite[0][0].get("message"), "assertion failed: n is 1")
        self.assertEqual(self.left(), [])
        doc = self.fails("test", "-json", "-filter=false", "-filter=goes wrong").json()
        self.assertEqual([(r["run"], r["status"]) for r in doc["files"][0]["runs"]],
                         [("false", "fail"), ("goes wrong", "error")])
        self.assertIn('no variable "nope"', doc["files"][0]["runs"][1]["diagnostics"][0]["summary"])
        self.assertEqual((doc["status"], doc["failed"], doc["errored"]), ("fail", 1, 1))

    def test_expected_failures(self):
        self.file("""
            - { name: variable, command: plan, variables: { n: 9 }, expect_failures: [var.n] }
            - { name: check, command: plan, variables: { n: 6 }, expect_failures: [check.small] }
            - { name: policy, command: plan, variables: { n: 7 }, expect_failures: [policy.even, check.small] }
            - { name: none, command: plan, expect_failures: [policy.even] }
        """)
        self.fails("test", says=['run "variable"... pass', 'run "check"... pass', 'run "policy"... pass',
                                 'run "none"... fail', "policy.even was expected to fail, and did not"])

    def test_expected_failures_are_of_things_that_exist(self):
        self.file("""
            - { name: plural, command: plan, variables: { n: 6 }, expect_failures: [checks.small] }
            - { name: misspelt, command: plan, expect_failures: [thing.aa] }
            - { name: shapeless, command: plan, expect_failures: [small] }
            - { name: keyed, command: plan, expect_failures: ['thing.a["x.y"]'] }
        """)
        self.fails("test", says=["the template has no `checks.small` that could fail", "Did you mean check.small?", "line 3, column 75",
                                 "the template has no `thing.aa` that could fail", "Did you mean thing.a?",
                                 "the template has no `small` that could fail", "Write var.NAME, output.NAME, check.NAME",
                                 'thing.a["x.y"] was expected to fail, and did not', "0 passed, 4 failed"])
        self.file("- { name: x, expect_failures: [[var.n], { var.n: 1 }] }")
        self.fails("test", says=["what is expected to fail must be an address", "line 3, column 34"])

    def test_a_filter_that_names_nothing(self):
        """Or a misspelt one would pass for a test that passed."""
        self.file("- { name: made, command: plan }")
        self.ok("test", "-filter=made", "-filter=a.mlopstest.yaml", says="1 passed")
        for name in ("mad", "b.mlopstest.yaml"):
            self.fails("test", f"-filter={name}", says=[f'no test is called "{name}"', "-filter takes the name of a file"])
            done = self.fails("test", "-json", f"-filter={name}", "-filter=made", says="no test is called")
            self.assertEqual(json.loads(done.out)["status"], "fail")
        self.file("- { name: '' }\n- { name: [x] }")
        done = self.fails("test", "-filter=mad", says=["a step needs a name", "line 3, column 5", "line 4, column 5"])
        self.assertNotIn("no test is called", done.text)

    def test_exactly_what_is_expected_fails(self):
        """A check that fails is a failure here, unless the step says so; assertions are asked where something was made."""
        self.file("""
            - { name: policy alone, command: plan, variables: { n: 7 }, expect_failures: [policy.even] }
            - { name: nothing said, command: plan, variables: { n: 6 } }
            - name: asserted
              variables: { n: 6 }
              expect_failures: [check.small]
              assert: [{ condition: "${thing.a.output.n == 6}", error: "it is ${thing.a.output.n}" }, { condition: "${var.n == 5}", error: "n is ${var.n}" }]
            - name: nothing to look at
              command: plan
              variables: { n: 9 }
              expect_failures: [var.n]
              assert: [{ condition: "${false}" }]
            - { name: later, variables: { n: "${run.asserted.output.n - 4}" } }
        """)
        done = self.fails("test", says=['run "policy alone"... fail', 'check "small" failed', 'run "nothing said"... fail',
                                        'run "asserted"... fail', "assertion failed: n is 6", 'run "nothing to look at"... fail',
                                        "its assertions have nothing to look at", 'run "later"... pass', "1 passed, 4 failed"])
        self.assertNotIn("it is 6", done.text)

    def test_failures_in_a_module(self):
        """Addresses of a module's own are written as everywhere, with its instances together or one by one."""
        self.file("""
            - { name: all, command: plan, variables: { n: 3 }, expect_failures: [module.m.check.c, module.m.policy.p] }
            - { name: one by one, command: plan, variables: { n: 3 }, expect_failures: ['module.m["a.b"].check.c', 'module.m["a.b"].policy.p'] }
            - { name: one too many, command: plan, variables: { n: 3 }, expect_failures: [module.m, module.mm.check.c] }
        """)
        self.write("main.yaml", """\
            variables: { n: { default: 1 } }
            modules: { m: { source: ./m, for_each: { a.b: 2 }, inputs: { n: "${var.n}" } } }
            """)
        self.write("m/main.yaml", """\
            variables: { n: {} }
            checks: { c: { condition: "${var.n < 2}", error: c } }
            policies: { p: { condition: "${var.n < 3}", error: p } }
            """)
        self.fails("test", says=['run "all"... pass', 'run "one by one"... pass', 'run "one too many"... fail',
                                 "the template has no `module.mm.check.c`", "Did you mean module.m.check.c?"])

    def test_what_cannot_be_destroyed_is_kept_and_named(self):
        self.file("- name: made", top='providers: { sim: { path: "${path.temp}/cloud.db", fail: [{ op: delete, code: reality }] } }')
        self.fails("test", says=['run "made"... pass', "could not be destroyed", "Its state is kept in"])
        self.assertEqual(len(self.left()), 1)

    def test_interrupt_still_destroys(self):
        self.file("- name: one\n- name: two\n  variables: { n: 2 }\n",
                  top=f'providers: {{ sim: {{ path: "{self.path("shared.db")}", latency_ms: 700 }} }}')
        process = self.start("test")
        self.wait_for("the first thing", lambda: os.path.exists(self.path("shared.db")) and self.things_of())
        process.send_signal(signal.SIGINT)
        done = self.finish(process)
        self.assertEqual(done.code, 1, str(done))
        self.assertIn('run "two"... skip', done.out)
        self.assertEqual(self.things_of(), [])
        self.assertEqual(self.left(), [])

    def things_of(self):
        import sqlite3
        try:
            with sqlite3.connect(self.path("shared.db"), timeout=20) as db:
                return db.execute("SELECT name FROM things").fetchall()
        except sqlite3.OperationalError:
            return []

    def test_a_file_that_is_wrong(self):
        self.file("- nam: x\n- { name: y, command: destroy, asert: [] }")
        self.fails("test", says=["a step needs a name", "`command` is plan or apply", "a step has no key `asert`",
                                 "Did you mean assert?"])
        self.write("tests/a.mlopstest.yaml", "run: [")
        self.fails("test", "-json")
        self.file("- { name: x }\n- { name: y }\n- { name: x }")
        self.fails("test", says=['there are two steps "x"', "on tests/a.mlopstest.yaml line 5, column 13"])

    def test_variables_that_are_wrong(self):
        """The error is where the test gives the value: in the step, or for all of its file."""
        self.file("- { name: x, variables: { nn: 1 } }")
        self.ok("init")
        self.fails("test", says=['the template has no variable "nn"', "on tests/a.mlopstest.yaml line 3, column 29"])
        self.file("- { name: x, variables: { n: [1] } }")
        done = self.fails("test", says=["a number is required", "on tests/a.mlopstest.yaml line 3, column 32, in var.n"])
        self.assertEqual(done.text.count("a number is required"), 1, done)
        self.file("- { name: x }", top="variables: { n: x }\nproviders: { sim: { path: x.db } }")
        self.fails("test", says=["a number is required", "on tests/a.mlopstest.yaml line 1, column 17, in var.n"])

    def test_no_tests(self):
        self.write("main.yaml", TEMPLATE)
        self.ok("test", says="No tests")


class Console(Case):
    def ask(self, text, code=0):
        process = subprocess.run([PROGRAM, "console"], cwd=self.dir, env=self.environment(), input=text, text=True,
                                 capture_output=True)
        self.assertEqual(process.returncode, code, process.stdout + process.stderr)
        return process.stdout, process.stderr

    def test_values_and_carets(self):
        self.write("main.yaml", TEMPLATE)
        self.init()
        self.assertEqual(self.ask("var.n + 1\n[for x in [1,\n2] : x * 2]\nthing.a.id\n")[0],
                         "2\n[\n    2,\n    4,\n]\n(known after apply)\n")
        self.apply()
        self.assertEqual(self.ask("thing.a.id\nexit\n1/0\n")[0], '"t-1"\n')
        self.assertEqual(self.ask('type(var.n)\ntype([1, "a"])\ntype({ a = toset([true]) })\ntype(sensitive("x"))\ntype(null)\n')[0],
                         "number\ntuple([number, string])\nobject({a=set(bool)})\nstring\nany\n")
        out, err = self.ask('type(var.m)\n', code=1)
        self.assertIn("line 1, column 6", err)
        out, err = self.ask('vra.n\nupper(1\n\nsensitive("x")\n', code=1)
        self.assertIn("console line 1, column 1", err)
        self.assertIn("^", err)
        self.assertEqual(out, "(sensitive value)\n")

    def at_a_terminal(self, typed):
        """What a session at a terminal shows."""
        import pty
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(self.dir)
            os.execve(PROGRAM, [PROGRAM, "console"], self.environment({"TERM": "xterm"}))
        try:
            os.write(fd, typed)
            text = b""
            while select.select([fd], [], [], slow(20))[0]:
                try:
                    got = os.read(fd, 4096)
                except OSError:
                    break
                if not got:
                    break
                text += got
        finally:
            os.close(fd)  # whoever still reads gets a hang-up
            _, status = os.waitpid(pid, 0)
        self.assertEqual(status, 0, text)
        return text

    def test_a_terminal_has_line_editing_and_history(self):
        self.write("main.yaml", TEMPLATE)
        self.init()
        self.assertIn(b"42", self.at_a_terminal(b"1 + 41\n 600 + 66\nexit\n"))
        history = self.dir + ".seen/mlops-iac/console_history"
        with open(history, encoding="utf-8") as f:
            self.assertEqual(f.read(), "1 + 41\nexit\n")
        self.assertEqual(os.stat(history).st_mode & 0o777, 0o600)
        self.assertIn(b"42", self.at_a_terminal(b"\x1b[A\x1b[A\nexit\n"))  # twice up, in another session
        with open(history, "w", encoding="utf-8") as f:
            f.write("".join(f"{i}\n" for i in range(1500)))
        self.at_a_terminal(b"exit\n")
        with open(history, encoding="utf-8") as f:
            self.assertEqual(f.read().split()[0], "500")
        self.assertEqual(os.stat(history).st_mode & 0o777, 0o600)

    def test_outside_of_a_template(self):
        self.write("words.txt", "hello")
        self.assertEqual(self.ask('1 + 1\nupper(file("words.txt"))\n')[0], '2\n"HELLO"\n')
        _, err = self.ask("var.x\nnope(1)\n", code=1)
        for says in ("nothing to refer to here", "console line 1, column 1", "there is no function", "^"):
            self.assertIn(says, err)

    def test_a_wrong_template_is_said_at_once(self):
        self.write("main.yaml", TEMPLATE.replace("thing.a.id", "thing.z.id"))
        self.init()
        _, err = self.ask("1\n", code=1)
        self.assertIn("there is no resource thing.z", err)


class Fmt(Case):
    UGLY = "a:\n      b: 1 # why\n      c:\n      - x\n"
    GOOD = "a:\n  b: 1 # why\n  c:\n    - x\n"

    def put(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)

    def get(self, name):
        with open(self.path(name), encoding="utf-8") as f:
            return f.read()

    def test_files_folders_and_check(self):
        self.put("main.yaml", self.UGLY)
        self.put("sub/x.yml", self.UGLY)
        done = self.fails("fmt", "-check", code=3)
        self.assertEqual(done.out, "main.yaml\n")
        self.assertEqual(self.get("main.yaml"), self.UGLY)
        done = self.ok("fmt", "-write=false", "-list=false", "-diff")
        self.assertIn("--- old/main.yaml\n+++ new/main.yaml\n", done.out)
        self.assertIn("-      b: 1 # why\n", done.out)
        self.assertIn("+  b: 1 # why\n", done.out)
        self.assertEqual(self.get("main.yaml"), self.UGLY)
        os.chmod(self.path("main.yaml"), 0o640)
        self.assertEqual(self.ok("fmt", "-recursive").out, "main.yaml\nsub/x.yml\n")
        self.assertEqual(self.get("sub/x.yml"), self.GOOD)
        self.assertEqual(os.stat(self.path("main.yaml")).st_mode & 0o777, 0o640)
        self.assertEqual(self.ok("fmt", "-recursive", "-check").out, "")

    def test_stdin_and_trouble(self):
        def stdin(text, *args):
            return subprocess.run([PROGRAM, "fmt", *args, "-"], cwd=self.dir, env=self.environment(), input=text,
                                  text=True, capture_output=True)
        done = stdin(self.UGLY)
        self.assertEqual((done.returncode, done.stdout), (0, self.GOOD))
        self.assertEqual(stdin(self.UGLY, "-check").returncode, 3)
        self.assertEqual(stdin(self.GOOD, "-check").returncode, 0)
        done = stdin("a: [\n")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("<stdin> line", done.stderr)
        self.put("good.yaml", self.UGLY)
        self.put("bad.yaml", "a: [\n")
        self.fails("fmt", "bad.yaml", "good.yaml", "nothing.txt", says=["bad.yaml line", "nothing.txt is no YAML file"])
        self.assertEqual(self.get("good.yaml"), self.GOOD)


class Graph(Case):
    def test_forms(self):
        self.write("main.yaml", TEMPLATE)
        self.init()
        doc = self.ok("graph", "-format=json").json()
        self.assertEqual(doc["edges"], [{"from": "thing.b", "to": "thing.a"}])
        self.assertEqual(doc["nodes"][0], {"action": "create", "address": "thing.a", "kind": "thing"})
        self.ok("graph", says='"thing.b" -> "thing.a"')
        self.fails("graph", "-format=png", says="dot|json|svg")
        for args, nodes in ((["-target=thing.a"], ["thing.a"]), (["-target=thing.b"], ["thing.a", "thing.b"]), (["-exclude=thing.b"], ["thing.a"]),
                            (["-exclude=thing.a"], [])):
            with self.subTest(args):
                doc = self.ok("graph", "-format=json", *args).json()
                self.assertEqual(sorted(n["address"] for n in doc["nodes"]), nodes)
                self.assertEqual(len(doc["edges"]), max(len(nodes) - 1, 0))
                self.assertEqual(self.ok("graph", *args).out.count("thing.b"), 2 * nodes.count("thing.b"))
        self.fails("graph", "-format=svg", env={"PATH": "/nonexistent"}, says="Install Graphviz")

    def test_steps_of_pipelines(self):
        self.write("main.yaml", "providers: { local: {} }\n")
        shutil.copy(os.path.join(SOURCE, "tests/planner/template/origin/pipeline-job.repaired.yml"), self.path("taxi.yml"))
        for name in ("data", "src/transform", "src/train"):
            os.makedirs(self.path(name))
        self.init()  # that this provider runs no pipelines is no matter of the graph
        doc = self.ok("graph", "-format=json").json()
        self.assertEqual([n["address"] for n in doc["nodes"]], ["job.taxi", "job.taxi/transform-job", "job.taxi/train-job"])
        self.assertEqual(doc["edges"], [{"from": "job.taxi/train-job", "to": "job.taxi/transform-job"}])
        self.ok("graph", says=['"job.taxi/train-job" -> "job.taxi/transform-job" [style = dashed]', 'subgraph "cluster job.taxi"'])
        self.ok("console", input="1 + 1\n", says="2")

    @unittest.skipUnless(shutil.which("dot"), "Graphviz is not installed")
    def test_svg(self):
        self.write("main.yaml", TEMPLATE)
        self.init()
        root = xml.fromstring(self.ok("graph", "-format=svg").out.split("?>", 1)[1])
        self.assertTrue(root.tag.endswith("svg"))
        self.assertIn("thing.b", "".join(root.itertext()))


class Policies(Case):
    def test_conditions_over_the_plan(self):
        self.write("main.yaml", """
            providers: { sim: { path: cloud.db } }
            variables: { n: { default: 1 }, name: { default: a } }
            resources: { thing: { a: { name: "${var.name}", inputs: { n: "${var.n}" } } } }
            policies:
              no_loss:
                condition: '${alltrue([for c in plan.changes : !contains(["delete", "replace"], c.action)])}'
                error: '${join(", ", [for c in plan.changes : c.address])} would be lost'
              small: { condition: "${plan.counts.add + plan.counts.change <= 1}", error: too much at once }
              slow:
                condition: "${alltrue([for c in plan.changes : c.action != \\"update\\" || c.after.inputs.n - c.before.inputs.n < 3])}"
                error: step by step
        """)
        self.init()
        self.apply()
        self.apply("-var", "n=3")
        self.fails("plan", "-var", "n=6", says='policy "slow" refuses the plan: step by step')
        self.fails("plan", "-var", "name=b", says='policy "no_loss" refuses the plan: thing.a would be lost')
        self.fails("destroy", "-auto-approve", says='policy "no_loss" refuses the plan')
        self.assertEqual(list(self.things()), ["a"])

    def test_what_nobody_can_decide_does_not_pass(self):
        self.template("thing: { x: { name: x } }", """\
            policies:
              d: { condition: '${plan.changes[0].after.id == "t-1"}', error: d }
              e: { condition: "${timestamp() != plan.changes[0].address}", error: e }
              f: { condition: "${plan.count.add == 1}", error: f }
            """)
        self.init()
        done = self.fails("apply", "-auto-approve", says=['policy "d" cannot be decided', 'policy "e" cannot be decided',
                          'there is no attribute or key "count"'])
        self.assertNotIn("Policy f failed: \n", done.text)
        self.assertEqual(self.things(), {})

    def test_what_is_refused_is_shown(self):
        self.write("main.yaml", """
            providers: { sim: { path: cloud.db } }
            variables: { n: { default: 2, validation: [{ condition: "${var.n < 5}", error: fewer }] } }
            resources: { thing: { a: { name: "a-${count.index}", count: "${var.n}" } } }
            policies: { keep: { condition: "${plan.counts.destroy == 0}", error: none goes } }
        """)
        self.init()
        self.apply()
        for command in ("plan",), ("apply", "-auto-approve"):
            done = self.fails(*command, "-var", "n=1", says='policy "keep" refuses the plan: none goes')
            self.assertIn("thing.a[1] will be destroyed", done.out)
        self.assertEqual(sorted(self.things()), ["a-0", "a-1"])
        done = self.fails("plan", "-var", "n=9", says="invalid value for variable")
        self.assertNotIn("keep", done.text)  # what follows from a wrong value would mislead
        self.assertEqual(done.out, "")


class Settings(Case):
    def test_they_cannot_ask_resources(self):
        self.write("main.yaml", """
            providers:
              sim: { path: cloud.db }
              other: { type: sim, path: "${thing.x.name}.db" }
              worse: { type: sim, pth: x }
            resources: { thing: { x: { name: x, provider: sim }, y: { name: y, provider: nope } } }
            """)
        self.init()
        for command in ("validate", "plan"):
            self.fails(command, says=['the settings of provider "other" depend on resources', "Did you mean path?", 'there is no provider "nope"'])


class Import(Case):
    def test_blocks_are_written_for_imports_that_have_none(self):
        self.template('thing: { x: { name: "odd ${1 + 1}", inputs: { text: "$${y}", list: [1, { k: v }] } } }')
        self.init()
        self.apply()
        shutil.rmtree(self.path(".state"))
        self.template("", top="import: [{ to: thing.x, id: t-1 }]\n")
        self.fails("plan", says="plan -generate-config-out=FILE")
        self.ok("plan", "-generate-config-out=new.yaml", says="Wrote the missing blocks to new.yaml")
        self.fails("plan", "-generate-config-out=new.yaml", says="new.yaml exists already")
        self.ok("plan", says=["1 to import, 0 to add, 0 to change, 0 to destroy"])
        self.apply()
        self.no_changes()
        self.assertEqual(self.things(), {"odd 2": {"list": [1, {"k": "v"}], "text": "${y}"}})
        self.ok("plan", "-generate-config-out=other.yaml", says="nothing was written")
        self.assertFalse(os.path.exists(self.path("other.yaml")))

    def things_of(self, template, top=""):
        """Makes the things of a template, and forgets that."""
        self.template(template, top)
        self.init()
        self.apply()
        shutil.rmtree(self.path(".state"))
        return {name: f"t-{i}" for i, name in self.sql("SELECT id, name FROM things")}

    def written(self, name="new.yaml"):
        with open(self.path(name), encoding="utf-8") as f:
            return f.read()

    def imports_all(self, n):
        self.ok("plan", says=[f"{n} to import, 0 to add, 0 to change, 0 to destroy"])
        self.apply()
        self.no_changes()

    def test_what_has_no_place_is_refused_and_never_destroyed(self):
        ids = self.things_of("thing: { x: { count: 2, name: 'n-${count.index}' } }")
        a, b = ids["n-0"], ids["n-1"]
        body = "thing: { x: { name: n-0 }, w: { count: 1, name: n-1 }, off: { enabled: false, name: z } }"
        for to, says in (("thing.x[0]", "the template has no instance thing.x[0]"), ("thing.w", "has no instance thing.w "),
                         ("thing.w[3]", "has no instance thing.w[3]"), ("thing.off", "has no instance thing.off"),
                         ("data.thing.x", "data.thing.x is only looked up"), ("thing.q", "there is no resource thing.q")):
            with self.subTest(to):
                self.template(body, f"import: [{{ to: '{to}', id: {b} }}]\n")
                self.fails("apply", "-auto-approve", says=[says, "main.yaml line 3"])
        self.template(body, f"import: [{{ to: thing.x, id: {a} }}, {{ to: thing.x, id: {b} }}]\n")
        self.fails("plan", says="two objects are imported to thing.x")
        self.template(body, f"import: [{{ to: thing.x, id: {a} }}, {{ to: 'thing.w[0]', id: {a} }}]\n")
        self.fails("plan", says=f'the object "{a}" is recorded as thing.x already')
        self.assertEqual(sorted(self.things()), ["n-0", "n-1"])
        self.template(body, f"import: [{{ to: thing.x, id: {a} }}, {{ to: 'thing.w[0]', id: {b} }}]\n")
        self.imports_all(2)
        self.template(body + "\n")
        self.fails("import", "thing.y", a, says="no resource thing.y")
        self.template(body.replace("off: {", "y: { name: n-0 }, off: {"))
        self.fails("import", "thing.y", a, says="is recorded as thing.x already")

    def test_keyed_blocks(self):
        ids = self.things_of("""thing:
              x: { for_each: { "a b": 1, "$${c}": 2 }, name: "x-${each.value}", inputs: { same: [1], n: "${each.value}", s: "$${q}", "%%{k": 1 } }
              y: { count: 2, name: "y-${count.index}", inputs: { "$${k}": "v${count.index}" } }
              z: { for_each: [k], name: z }""")
        self.template("", top=f"""
            import:
              - {{ to: thing.x, for_each: {{ "a b": {ids["x-1"]}, "$${{c}}": {ids["x-2"]} }}, id: "${{each.value}}" }}
              - {{ to: "thing.y[${{each.key}}]", for_each: {{ 0: {ids["y-0"]}, 1: {ids["y-1"]} }}, id: "${{each.value}}" }}
              - {{ to: 'thing.z["k"]', id: {ids["z"]} }}
            """)
        self.ok("plan", "-generate-config-out=new.yaml")
        text = self.written()
        self.assertIn('\n        "a b": { inputs: {', text)
        self.assertIn('name: "${each.value.name}"', text)
        self.assertIn("count: 2", text)
        self.imports_all(5)
        self.ok("state", "list", says='thing.x["${c}"]')

    def test_a_count_with_a_hole(self):
        ids = self.things_of("thing: { y: { count: 2, name: 'y-${count.index}' } }")
        self.template("", top=f"import: [{{ to: 'thing.y[1]', id: {ids['y-1']} }}]\n")
        self.fails("plan", "-generate-config-out=new.yaml", says="its index 0 is not imported")
        self.assertFalse(os.path.exists(self.path("new.yaml")))

    def test_blocks_of_modules(self):
        self.write("m/main.yaml", "variables: { n: {} }\nresources: { thing: { in: { name: 'in-${var.n}', inputs: { same: 1 } } } }\n")
        call = "modules: { m: { source: ./m, for_each: { a: 1, b: 2 }, inputs: { n: '${each.value}' } }, one: { source: ./m, inputs: { n: 3 } } }\n"
        ids = self.things_of("", call)
        self.write("m/main.yaml", "variables: { n: {} }\n")
        self.template("", top=call + f"""import:
  - {{ to: module.one.thing.in, id: {ids["in-3"]} }}
  - {{ to: 'module.m["a"].thing.in', id: {ids["in-1"]} }}
  - {{ to: module.zzz.thing.in, id: {ids["in-1"]} }}
""")
        self.fails("plan", "-generate-config-out=new.yaml", says="has no module.zzz")
        self.template("", top=call + f"""import:
  - {{ to: module.one.thing.in, id: {ids["in-3"]} }}
  - {{ to: 'module.m["${{each.key}}"].thing.in', for_each: {{ a: {ids["in-1"]}, b: {ids["in-2"]} }}, id: "${{each.value}}" }}
""")
        self.ok("plan", "-generate-config-out=new.yaml", says="m/new.yaml")
        self.assertFalse(os.path.exists(self.path("new.yaml")))
        text = self.written("m/new.yaml")
        self.assertIn("# name differs between the instances of the module", text)
        self.assertIn('inputs: {"same":1}', text)
        with open(self.path("m/new.yaml"), "w", encoding="utf-8") as f:
            f.write(text.replace("# name differs between the instances of the module: give it by a variable", 'name: "in-${var.n}"'))
        self.imports_all(3)


if __name__ == "__main__":
    main()
