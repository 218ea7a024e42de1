#!/usr/bin/env python3
"""Modules: calls, repetition, addresses, outputs, order; and the modules that are shipped, by their examples."""
from support import *

CHILD = """
    variables:
      n: { type: string, validation: [{ condition: '${var.n != "bad"}', error: "not bad" }] }
      from: { type: string, default: none }
    locals: { mark: "${var.from}!" }
    resources:
      thing: { t: { name: "t-${var.n}", inputs: { from: "${local.mark}" } } }
    outputs:
      out: { value: "${thing.t.id}-${local.mark}" }
      name: { value: "${thing.t.name}", precondition: [{ condition: '${var.n != "ugly"}', error: "too ugly" }] }
"""


class Modules(Case):
    def module(self, calls, resources="", outputs="", name="child/main.yaml", child=CHILD):
        self.write(name, child)
        self.write("main.yaml", "providers: { sim: { path: cloud.db } }\n"
                   f"modules:\n{self.block(calls)}"
                   + (f"resources:\n{self.block(resources)}" if resources else "")
                   + (f"outputs:\n{self.block(outputs)}" if outputs else ""))

    @staticmethod
    def block(text):
        import textwrap
        return textwrap.indent(textwrap.dedent(text).strip("\n"), "  ") + "\n"

    def test_for_each_with_outputs_known_after_apply(self):
        self.module("""
            # `n` comes first in the file and asks for a later one: order follows from need.
            b: { source: ./child, inputs: { n: 'b-${module.m["y"].out}' } }
            m:
              source: ./child
              for_each: "${toset([\\"x\\", \\"y\\"])}"
              inputs: { n: "${each.key}", from: "${thing.a.id}" }
        """, """
            thing:
              a: { name: a }
              all: { name: all, inputs: { outs: "${[for k, v in module.m : v.out]}" } }
        """, 'one: { value: "${module.b.out}" }')
        self.init()
        self.apply(says="5 added")
        self.assertEqual(sorted(self.recorded()), ['module.b.thing.t', 'module.m["x"].thing.t',
                                                   'module.m["y"].thing.t', "thing.a", "thing.all"])
        self.assertEqual(self.things()["t-x"], {"from": "t-1!"})
        self.assertEqual(len(self.things()["all"]["outs"]), 2)
        self.assertRegex(self.ok("output", "-raw", "one").out, r"^t-\d+-none!$")
        self.no_changes()

    def test_for_each_over_what_another_module_says(self):
        self.module("""
            second: { source: ./child, for_each: "${toset([module.first.name])}", inputs: { n: "${each.value}" } }
            first: { source: ./child, inputs: { n: one } }
        """)
        self.init()
        self.fails("plan", says="known only after apply")
        self.module("""
            second: { source: ./child, for_each: "${toset(module.first.names)}", inputs: { n: "${each.value}" } }
            first: { source: ./names }
        """)
        self.write("names/main.yaml", "outputs: { names: { value: [p, q] } }")
        self.apply(says="2 added")
        self.assertEqual(sorted(self.things()), ["t-p", "t-q"])

    def test_count_and_nesting(self):
        self.write("outer/main.yaml", """
            variables: { n: { type: string } }
            modules:
              inner: { source: ../child, count: 2, inputs: { n: "${var.n}-${count.index}" } }
            outputs: { names: { value: "${module.inner[*].name}" } }
        """)
        self.module("""
            o: { source: ./outer, for_each: { "k 1": a, k2: b }, inputs: { n: "${each.value}" } }
        """, outputs='names: { value: "${module.o[\\"k 1\\"].names}" }')
        self.init()
        self.apply()
        self.assertIn('module.o["k 1"].module.inner[1].thing.t', self.ok("state", "list").out)
        self.assertEqual(self.ok("output", "-json", "names").json(), ["t-a-0", "t-a-1"])
        self.no_changes()
        actions, _ = self.plan_json('-target=module.o["k2"]', "-destroy")
        self.assertEqual(sorted(actions), ['module.o["k2"].module.inner[0].thing.t',
                                           'module.o["k2"].module.inner[1].thing.t'])

    def test_depends_on_a_module(self):
        self.module("""
            late: { source: ./child, inputs: { n: late }, depends_on: [module.early] }
            early: { source: ./child, inputs: { n: early } }
        """, "thing: { last: { name: last, depends_on: [module.late] } }")
        self.init()
        self.apply()
        self.assertEqual([n for n, in self.sql("SELECT name FROM things ORDER BY id")],
                         ["t-early", "t-late", "last"])

    def test_what_is_wrong_is_said(self):
        self.module('m: { source: ./child, for_each: { a: 1 }, inputs: { n: "${each.key}" } }',
                    'thing: { x: { inputs: { v: "${module.m[\\"b\\"].out}" } } }')
        self.init()
        self.fails("plan", says='module.m has no instance with the key "b"')
        self.module("m: { source: ./child, inputs: { n: x } }", 'thing: { x: { inputs: { v: "${module.m.otu}" } } }')
        self.fails("plan", says=['no output of that module "otu"', "Did you mean output.out?"])
        self.module("m: { source: ./child }")
        self.fails("plan", says=['the variable "n" has no value', "inputs:"])
        self.module("m: { source: ./child, inputs: { n: bad } }")
        self.fails("plan", says='invalid value for variable "n": not bad')
        self.module("m: { source: ./child, inputs: { n: ugly } }", outputs='o: { value: "${module.m.name}" }')
        self.fails("plan", says='precondition failed for output "name": too ugly')
        self.module('m: { source: ./child, for_each: "${toset([module.m.name])}", inputs: { n: x } }')
        self.fails("plan", says="module.m refers to itself")
        self.module("""
            a: { source: ./child, inputs: { n: "${module.b.name}" } }
            b: { source: ./child, inputs: { n: "${module.a.name}" } }
        """)
        self.fails("plan", says="refers to itself")

    def test_each_does_not_leak_into_the_module(self):
        self.module('m: { source: ./child, for_each: { a: 1 }, inputs: { n: "${each.key}" } }',
                    child=CHILD.replace("${var.from}!", "${each.key}"))
        self.init()
        self.fails("plan", says="each means nothing here")


if __name__ == "__main__":
    main()
