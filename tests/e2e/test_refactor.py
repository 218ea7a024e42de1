#!/usr/bin/env python3
"""moved and removed, in the template and in modules; what else modules may say."""
from support import *


class Refactor(Case):
    def setUp(self):
        super().setUp()
        self.template('thing: { a: { name: a }, b: { name: b } }')
        self.init()
        self.apply()
        self.a, self.b = (self.rows()[f"thing.{x}"] for x in "ab")

    def rows(self):
        return {r["address"]: r["id"] for r in self.ok("state", "list", "-json").json()}

    def test_a_chain_in_any_order(self):
        """a was renamed to x and x to y: whoever comes late gets there in one step."""
        for order in (("a", "x"), ("x", "y")), (("x", "y"), ("a", "x")):
            blocks = ", ".join(f"{{ from: thing.{f}, to: thing.{t} }}" for f, t in order)
            self.template("thing: { y: { name: a }, b: { name: b } }", f"moved: [{blocks}]\n")
            self.ok("plan", says=["# thing.a has moved to thing.y", "0 to add, 0 to change, 0 to destroy"])
        self.assertNotIn("Resource actions are", self.ok("plan").text)
        self.apply()
        self.assertEqual(self.rows(), {"thing.b": self.b, "thing.y": self.a})
        self.no_changes()

    def test_to_keys(self):
        self.template("thing: { c: { name: b } }", "moved: [{ from: thing.a, to: thing.b }, { from: thing.b, to: thing.c }]\n")
        self.ok("plan", says=["# thing.b has moved to thing.c", "# thing.a will be destroyed", "1 to destroy",
                              "thing.a cannot move to thing.c: something is recorded there already"])
        self.template("thing: { k: { for_each: [x, y], name: '${each.key == \"x\" ? \"a\" : \"b\"}' } }",
                      "moved: [{ from: thing.a, to: 'thing.k[\"x\"]' }, { from: thing.b, to: 'thing.k[\"y\"]' }]\n")
        self.apply(says="0 added, 0 changed, 0 destroyed")
        self.assertEqual(self.rows(), {'thing.k["x"]': self.a, 'thing.k["y"]': self.b})

    def test_count_comes_and_goes(self):
        """The object of a block becomes number 0 when it gets a count, and the only one when it loses it."""
        self.template("thing: { a: { name: a }, b: { count: 2, name: 'b${count.index > 0 ? \"2\" : \"\"}' } }")
        self.ok("plan", says=["# thing.b has moved to thing.b[0]", "1 to add, 0 to change, 0 to destroy"])
        self.apply(says="1 added, 0 changed, 0 destroyed")
        self.template("thing: { a: { name: a }, b: { name: b } }")
        self.apply(says="0 added, 0 changed, 1 destroyed")
        self.assertEqual(self.rows(), {"thing.a": self.a, "thing.b": self.b})
        self.template("thing: { a: { name: a }, b: { for_each: [x], name: c } }") # which key would it be?
        self.ok("plan", says="1 to add, 0 to change, 1 to destroy")
        self.write("m/main.yaml", "resources: { thing: { t: { count: 1, name: t } } }\n")
        self.template("thing: { a: { name: a }, b: { name: b } }", "modules: { m: { source: ./m } }\n")
        self.apply()
        self.write("m/main.yaml", "resources: { thing: { t: { name: t } } }\n")
        self.apply(says=["# module.m.thing.t[0] has moved to module.m.thing.t", "0 added, 0 changed, 0 destroyed"])

    def test_moved_and_counted(self):
        """A block that has another name and a count has come from its old name, once."""
        self.template("thing: { c: { name: a, count: 1 }, b: { name: b } }", "moved: [{ from: thing.a, to: thing.c }]\n")
        plan = self.ok("plan", says=["# thing.a has moved to thing.c[0]", "0 to add, 0 to change, 0 to destroy"])
        self.assertNotIn("thing.c has moved", plan.text)
        self.apply()
        self.assertEqual(self.rows(), {"thing.b": self.b, "thing.c[0]": self.a})

    def test_what_says_more_goes_first(self):
        """An instance before its block, what is in a module before the module, in any order."""
        module = "resources: { thing: { %s: { name: x }, k: { for_each: [i, j], name: 'k${each.key}' } } }\n"
        self.write("m/main.yaml", module % "x")
        things = "thing: { a: { name: a }, b: { name: b } }"
        self.template(things, "modules: { p: { source: ./m } }\n")
        self.apply()
        before = self.rows()
        self.write("m/main.yaml", (module % "y").replace("k:", "l:").replace("[i, j]", "[j]") + "moved: [{ from: thing.k, to: thing.l }]\n")
        moves = ["{ from: module.p, to: module.q }", "{ from: module.p.thing.x, to: module.p.thing.y }",
                 "{ from: 'module.p.thing.k[\"i\"]', to: thing.k }"]
        for order in moves, moves[::-1]:
            self.template("thing: { a: { name: a }, b: { name: b }, k: { name: ki } }",
                          f"modules: {{ q: {{ source: ./m }} }}\nmoved: [{', '.join(order)}]\n")
            self.ok("plan", says=["# module.p.thing.x has moved to module.q.thing.y", '# module.p.thing.k["i"] has moved to thing.k',
                                  '# module.p.thing.k["j"] has moved to module.q.thing.l["j"]', "0 to add, 0 to change, 0 to destroy"])
        self.apply()
        self.assertEqual(self.rows()["thing.k"], before['module.p.thing.k["i"]'])

    def test_a_circle_by_way_of_an_instance(self):
        self.template("thing: { a: { name: a }, b: { name: b }, k: { for_each: [x], name: k } }")
        self.apply()
        self.template("thing: { a: { name: a }, b: { name: b } }",
                      "moved: [{ from: thing.k, to: thing.l }, { from: 'thing.l[\"x\"]', to: 'thing.k[\"x\"]' }]\n")
        self.fails("plan", says=["moved blocks go in a circle at thing.k[\"x\"]", "main.yaml line"])

    def test_a_module_without_resources_is_still_there(self):
        self.write("m/main.yaml", "resources: { thing: { t: { count: 0 } } }\n")
        self.template("thing: { a: { name: a }, b: { name: b } }",
                      "modules: { m: { source: ./m, count: 1 } }\nmoved: [{ from: 'module.m[0]', to: 'module.m[1]' }]\n")
        self.fails("plan", says=["module.m[0] is moved, and the template still has module.m[0]", "main.yaml line"])

    def test_what_is_removed_and_still_there(self):
        self.template("thing: { a: { name: a }, b: { name: b } }", "removed: [{ from: thing.a, on_removed: forget }]\n")
        self.fails("plan", says=["thing.a is removed, and the template still has thing.a", "main.yaml line"])
        self.template("thing: { a: { name: a, enabled: false }, b: { name: b } }", "removed: [{ from: thing.a, on_removed: forget }]\n")
        self.ok("plan", says="1 to forget")

    def test_one_instance_moves_alone(self):
        """A block with a count is not moved as a whole by what is said of one instance."""
        self.template("thing: { a: { name: a }, b: { name: b }, k: { count: 2, name: 'k${count.index}' } }")
        self.apply()
        before = self.rows()
        self.template("thing: { a: { name: a }, b: { name: b }, k: { count: 2, name: 'k${count.index}' } }",
                      "moved: [{ from: thing.k, to: 'thing.k[0]' }]\n")
        self.no_changes()
        self.template("thing: { a: { name: a }, b: { name: b }, k: { name: k1 } }", "moved: [{ from: 'thing.k[1]', to: thing.k }]\n")
        self.apply(says="0 added, 0 changed, 1 destroyed")
        self.assertEqual(self.rows(), {"thing.a": self.a, "thing.b": self.b, "thing.k": before["thing.k[1]"]})

    def test_an_instance_that_is_still_there(self):
        self.template("thing: { a: { name: a }, b: { name: b }, k: { for_each: [x, y], name: 'k-${each.key}' } }",
                      "moved: [{ from: 'thing.k[\"x\"]', to: 'thing.k[\"z\"]' }]\n")
        self.fails("plan", says=['thing.k["x"] is moved, and the template still has thing.k["x"]', "main.yaml line"])
        self.template("thing: { a: { name: a }, b: { name: b }, k: { for_each: [z, y], name: 'k-${each.key}' } }",
                      "moved: [{ from: 'thing.k[\"x\"]', to: 'thing.k[\"z\"]' }]\n")
        self.ok("plan", says="2 to add, 0 to change, 0 to destroy")

    def test_a_place_that_is_taken(self):
        self.template("thing: { b: { name: b } }", "moved: [{ from: thing.a, to: thing.b }]\n")
        self.ok("plan", says=["Warning: thing.a cannot move to thing.b: something is recorded there already", "1 to destroy"])

    def test_contradictions(self):
        self.template("thing: { a: { name: a }, b: { name: b } }", """\
            moved:
              - { from: thing.a, to: thing.c }
              - { from: thing.q, to: thing.r }
              - { from: thing.q, to: thing.s }
              - { from: thing.p, to: thing.s }
              - { from: thing.m, to: thing.n }
              - { from: thing.n, to: thing.m }
              - { from: thing.i, to: workspace.i }
              - { from: 'module.m["a.b"].thing.t', to: thing.t2 }
              - { from: module.z, to: thing.z }
              - { from: thing.b, to: 'thing.b["k"]' }
            """)
        done = self.fails("validate", says=["thing.a is moved, and the template still has it", "thing.q is moved twice",
                                            "two are moved to thing.s", "moved blocks go in a circle at thing.m", "thing.i cannot become workspace.i",
                                            "module.z cannot become thing.z"])
        self.assertEqual(done.text.count("Error:"), 7, done.text)

    def test_in_modules(self):
        self.write("m/main.yaml", "variables: { k: {} }\nresources: { thing: { t: { name: 't-${var.k}' }, u: { name: 'u-${var.k}' } } }\n")
        self.template("", "modules: { m: { source: ./m, for_each: [x, y], inputs: { k: '${each.key}' } } }\n")
        self.apply()
        before = self.rows()
        self.write("m/main.yaml", """\
            variables: { k: {} }
            resources: { thing: { t2: { name: 't-${var.k}' } } }
            moved: [{ from: thing.t, to: thing.t2 }]
            removed: [{ from: thing.u, on_removed: forget }]
            checks: { c: { condition: "${1 == 2}", error: "checked in ${basename(path.module)}" } }
            """)
        self.ok("plan", says=['# module.m["x"].thing.t has moved to module.m["x"].thing.t2', "2 to forget",
                              'check "module.m["y"].c" failed: checked in m'])
        self.apply(says="0 added, 0 changed, 0 destroyed")
        self.assertEqual(self.rows(), {f'module.m["{k}"].thing.t2': before[f'module.m["{k}"].thing.t'] for k in "xy"})
        self.assertEqual(len(self.things()), 4)
        self.write("m/main.yaml", "variables: { k: {} }\npolicies: { p: { condition: '${plan.counts.destroy == 0}', error: none goes } }\n")
        self.fails("plan", says='policy "module.m["x"].p" refuses the plan: none goes')

    def test_what_a_module_cannot_say(self):
        self.write("m/main.yaml", "mlops_iac: { required_version: '>= 0.1', backend: { type: file } }\nproviders: { sim: {} }\n"
                   "import: [{ to: thing.x, id: i }]\nnotifications: { n: {} }\n")
        self.template("thing: { a: { name: a }, b: { name: b } }", "modules: { m: { source: ./m } }\n")
        self.ok("plan", says=[f"`{key}` in a module has no effect" for key in ("mlops_iac.backend", "providers", "import", "notifications")])
        self.write("m/main.yaml", "mlops_iac: { required_version: '>= 99' }\n")
        self.fails("plan", says=["the module in", "needs mlops-iac >= 99"])


if __name__ == "__main__":
    main()
