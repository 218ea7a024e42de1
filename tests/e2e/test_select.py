#!/usr/bin/env python3
"""What a run is about: targets, exclusions, forced replacement, refresh, drift, stages, destruction."""
from support import *


class Select(Case):
    def chain(self, **inputs):
        self.template(f"""
            thing:
              a: {{ name: a, inputs: {{ v: {inputs.get('a', 1)} }} }}
              b: {{ name: b, inputs: {{ v: {inputs.get('b', 1)}, from: "${{thing.a.id}}" }} }}
              c: {{ name: c, inputs: {{ v: {inputs.get('c', 1)} }} }}
        """)

    def setUp(self):
        super().setUp()
        self.chain()
        self.init()

    def test_target_takes_what_it_depends_on(self):
        self.apply("-target=thing.b", says="2 added")
        self.assertEqual(sorted(self.things()), ["a", "b"])
        self.chain(a=2, b=2, c=2)
        actions, _ = self.plan_json("-target=thing.a")
        self.assertEqual(actions, {"thing.a": ["update"]})

    def test_target_of_an_instance(self):
        self.template('thing: { n: { count: 3, name: "n-${count.index}" } }')
        self.apply("-target=thing.n[1]")
        self.assertEqual(list(self.things()), ["n-1"])

    def test_exclude_leaves_out_what_depends_on_it(self):
        self.apply("-exclude=thing.a", says="1 added")
        self.assertEqual(list(self.things()), ["c"])

    def test_unreadable_target(self):
        self.fails("plan", "-target=not an address", says=["not an address"])

    def test_replace(self):
        self.apply()
        actions, _ = self.plan_json("-replace=thing.c")
        self.assertEqual(actions, {"thing.c": ["delete", "create"]})
        before = self.id_of("c")
        self.apply("-replace=thing.c", says="1 added, 0 changed, 1 destroyed")
        self.assertEqual([op.split()[0] for op in self.ops()[-2:]], ["delete", "create"])
        self.assertNotEqual(self.id_of("c"), before)

    def test_drift_is_shown_and_repaired(self):
        self.apply()
        self.edit("a", {"v": 99})
        self.remove("c")
        self.ok("drift", says=["thing.a", "99", "thing.c"])
        before = open(self.state_file(), "rb").read()
        self.fails("drift", "-detailed-exitcode", code=2, says=["thing.a", "thing.c"])
        self.assertEqual(open(self.state_file(), "rb").read(), before)
        self.ok("plan", says=["v = 99 -> 1", "thing.c will be created", "1 to add, 1 to change, 0 to destroy"])
        self.apply(says="1 added, 1 changed, 0 destroyed")
        self.ok("drift", "-detailed-exitcode", says="No drift")
        self.assertEqual(self.things()["a"], {"v": 1})

    def test_drift_names_what_it_did_not_check(self):
        self.apply()
        self.edit("b", {"v": 9})
        self.fails("drift", "-target=thing.b", "-detailed-exitcode", code=2, says=["thing.b", "thing.a: -target or"])
        self.ok("drift", "-target=thing.a", "-detailed-exitcode", says=["No drift: 1 as recorded, 2 not checked"])

    def two_clouds(self, faults="", bad_faults=""):
        self.write("main.yaml", f"""\
            providers:
              sim: {{ path: cloud.db{faults} }}
              bad: {{ type: sim, path: bad.db{bad_faults} }}
            variables: {{ v: {{ default: 1 }} }}
            resources:
              thing:
                a: {{ name: a, inputs: {{ v: "${{var.v}}" }} }}
                b: {{ name: b, inputs: {{ v: "${{var.v}}" }} }}
                c: {{ provider: bad, name: c }}
                d: {{ provider: bad, name: d, inputs: {{ from: "${{thing.c.id}}" }} }}
                e: {{ name: e, inputs: {{ from: "${{thing.c.id}}" }} }}
            """)

    def test_drift_looks_at_all_that_can_be_looked_at(self):
        """An object, a provider's answer or a provider that fails: named, exit 1, and the rest is compared."""
        self.two_clouds()
        self.apply()
        self.edit("b", {"v": 9})
        a = self.id_of("a")
        self.two_clouds(f", fail: [{{ op: read, name: {a}, code: reality }}]")
        done = self.fails("drift", "-detailed-exitcode", says=["thing.b has changed", f"thing.a: the simulated cloud does not tell of {a}",
                                                               "Drift: 1 differs, 3 as recorded, 1 not checked"])
        self.assertIn("with thing.a", done.err)
        self.fails("plan", says=[f"does not tell of {a}", "in thing.a"])
        before = open(self.state_file(), "rb").read()
        self.fails("refresh", says=f"does not tell of {a}")
        self.two_clouds("", ", fail: [{ op: read, code: reality }]")
        self.fails("drift", says=["thing.b has changed", "thing.c: its provider could not be read", "1 differs, 2 as recorded, 2 not checked"])
        self.write("bad.db", "no database")
        self.two_clouds()
        self.fails("drift", says=["thing.b has changed", "thing.d: its provider could not be configured",
                                  "1 differs, 2 as recorded, 2 not checked", "file is not a database"])
        self.assertEqual(open(self.state_file(), "rb").read(), before)

    def test_what_is_left_out_may_be_out_of_reach(self):
        self.two_clouds()
        self.apply()
        whole = open(self.path("bad.db"), "rb").read()
        self.write("bad.db", "no database")
        self.assertEqual(self.fails("plan", "-var=v=2").err.count("Error:"), 1)
        self.assertEqual(self.plan_json("-var=v=2", "-target=thing.a")[0], {"thing.a": ["update"]})
        self.assertEqual(self.plan_json("-var=v=2", "-exclude=thing.c")[0], {"thing.a": ["update"], "thing.b": ["update"]})
        for needed in "de": # d lies there, e needs c, which lies there
            done = self.fails("plan", "-var=v=2", f"-target=thing.{needed}", says="file is not a database")
            self.assertEqual(done.err.count("Error:"), 1, done.text)
        self.apply("-var=v=2", "-target=thing.a", says="0 added, 1 changed, 0 destroyed")
        self.ok("destroy", "-auto-approve", "-target=thing.b", says="1 destroyed")
        self.fails("destroy", "-auto-approve", says="file is not a database")
        with open(self.path("bad.db"), "wb") as f:
            f.write(whole)
        self.assertEqual(self.plan_json("-var=v=2")[0], {"thing.b": ["create"]})
        a = self.id_of("a")
        self.two_clouds(f", fail: [{{ op: read, name: {a}, code: reality }}]")
        self.assertEqual(self.plan_json("-var=v=2", "-exclude=thing.a")[0], {"thing.b": ["create"]})
        self.fails("plan", "-target=thing.a", says=f"does not tell of {a}")

    def test_without_refresh(self):
        self.apply()
        calls = self.sql("SELECT n FROM calls WHERE op = 'read'")
        self.edit("a", {"v": 99})
        self.no_changes("-refresh=false")
        self.assertEqual(self.sql("SELECT n FROM calls WHERE op = 'read'"), calls)

    def test_refresh_only_records_and_changes_nothing(self):
        self.apply()
        ops = self.ops()
        self.edit("a", {"v": 99})
        self.ok("plan", "-refresh-only", says=["thing.a", "99"])
        self.ok("apply", "-refresh-only", "-auto-approve")
        self.assertIn("99", self.ok("state", "show", "thing.a").out)
        self.assertEqual(self.ops(), ops)
        self.chain(a=99)
        self.no_changes()

    def test_refresh_forgets_what_is_gone(self):
        self.apply()
        self.remove("c")
        self.ok("refresh")
        self.assertEqual(self.recorded(), ["thing.a", "thing.b"])

    def test_destroy_of_a_target_takes_its_dependants(self):
        self.apply()
        self.ok("destroy", "-auto-approve", "-target=thing.a", says="2 destroyed")
        self.assertEqual(list(self.things()), ["c"])
        self.ok("destroy", "-auto-approve", says="1 destroyed")
        self.assertEqual((self.things(), self.recorded()), ({}, []))
        self.ok("destroy", "-auto-approve", says="0 destroyed")

    def test_destroy_keeps_what_an_excluded_one_needs(self):
        self.apply()
        self.ok("destroy", "-auto-approve", "-exclude=thing.b", says="1 destroyed")
        self.assertEqual(sorted(self.things()), ["a", "b"])

    def test_stages_have_states_of_their_own(self):
        self.template('thing: { a: { name: "a-${stage.name}", inputs: { v: "${var.v}" } } }',
                      top="variables: { v: { type: number, default: 1 } }\n")
        self.write("stages/prod.yaml", "variables: { v: 7 }\n")
        self.write("stages/dev.yaml", "description: small\n")
        self.apply("-stage=dev")
        self.apply("-stage=prod")
        self.assertEqual(self.things(), {"a-dev": {"v": 1}, "a-prod": {"v": 7}})
        self.ok("destroy", "-auto-approve", "-stage=dev")
        self.assertEqual(list(self.things()), ["a-prod"])
        self.fails("plan", "-stage=prdo", says=["prdo", "prod"])

    def test_variables(self):
        self.template('thing: { a: { name: a, inputs: { v: "${var.v}" } } }',
                      top="variables: { v: { type: number, validation: [{ condition: \"${var.v < 9}\", error: too many }] } }\n")
        self.fails("plan", says=["v", "main.yaml"])
        self.fails("plan", "-var=v=10", says="too many")
        self.fails("plan", "-var=v=ten", says=["v", "number"])
        self.fails("plan", "-var=w=1", "-var=v=1", says="w")
        self.write("more.yml.vars", "v: 4\n")
        self.apply("-var-file=more.yml.vars", "-var=v=5")
        self.assertEqual(self.things()["a"], {"v": 5})
        self.ok("plan", "-detailed-exitcode", says="No changes.", env={"MLOPS_IAC_VAR_v": "5"})

    def test_graph(self):
        out = self.ok("graph").out
        self.assertTrue(out.startswith("digraph"))
        self.assertIn('"thing.b" -> "thing.a"', out)

    def test_explain(self):
        self.apply()
        self.chain(a=5)
        self.ok("explain", "thing.a", says=["thing.a", "inputs", "main.yaml"])


if __name__ == "__main__":
    main()
