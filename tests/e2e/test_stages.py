#!/usr/bin/env python3
"""Stages: overrides by address, guards over the plan, and stages that come after others."""
from support import *

THREE = "providers: { sim: { path: cloud.db } }\nresources: { thing: { t: { count: 3, name: 't${count.index}-${stage.name}' } } }\n"


class Stages(Case):
    def setUp(self):
        super().setUp()
        self.write("main.yaml", THREE)
        self.init()

    def stage(self, text, name="prod"):
        self.write(f"stages/{name}.yaml", text)

    def apply_in(self, stage, **how):
        return self.ok("apply", f"-stage={stage}", "-auto-approve", **how)

    def test_overrides_by_address(self):
        self.write("m/main.yaml", "resources: { thing: { deep: { name: deep } } }\n")
        self.write("main.yaml", THREE + "modules: { m: { source: ./m } }\n")
        self.stage("""\
            set:
              thing.t: { inputs.size: 4, name: set }
              module.m.thing.deep: { inputs: { a: 1 } }
            """)
        _, doc = self.plan_json("-stage=prod")
        after = {c["address"]: c["change"]["after"] for c in doc["resource_changes"]}
        self.assertEqual(after["thing.t[0]"]["inputs"], {"size": 4})
        self.assertEqual(after["module.m.thing.deep"]["inputs"], {"a": 1})
        self.assertEqual(after["thing.t[2]"]["name"], "set")
        self.stage("set: { thing.u: { name: x }, 'thing.t[0]': { name: x } }\n")
        self.fails("plan", "-stage=prod", says=["the template has no `thing.u` to set", "without an instance key"])

    def test_a_number_of_objects(self):
        self.stage("guards: { max_destroy: 1, max_change: 3 }\n")
        self.apply_in("prod")
        self.write("main.yaml", THREE.replace("count: 3", "count: 1"))
        self.fails("plan", "-stage=prod", says=["stage prod refuses the plan: it destroys 2 objects, and max_destroy is 1 (thing.t[1], ...)",
                                                "prod.yaml line 1, column 24", "-target"])
        self.fails("apply", "-auto-approve", "-stage=prod", says="max_destroy is 1")
        self.fails("destroy", "-auto-approve", "-stage=prod", says="it destroys 3 objects")
        self.assertEqual(len(self.things()), 3)
        self.ok("apply", "-auto-approve", "-stage=prod", "-target=thing.t[2]", says="1 destroyed")
        self.apply_in("prod", says="1 destroyed")
        self.write("main.yaml", THREE.replace("count: 3", "count: 9").replace("t$", "new$"))  # replacements count, too
        self.fails("plan", "-stage=prod", says=["it changes 9 objects, and max_change is 3"])
        self.write("main.yaml", THREE.replace("count: 3", "count: 2").replace("t$", "new$"))
        self.apply_in("prod", says="2 added, 0 changed, 1 destroyed")

    def test_actions_and_protected_objects(self):
        self.stage("guards: { allow: [create, update] }\n")
        self.apply_in("prod")
        self.write("main.yaml", THREE.replace("count: 3", "count: 2"))
        self.fails("plan", "-stage=prod", says=["thing.t[2] would be changed by `delete`, which is not allowed"])
        self.stage("guards: { protect: [thing] }\n")
        self.fails("plan", "-stage=prod", says=["thing.t[2] is protected and would be destroyed"])
        self.stage("guards: { protect: [things, 'module.m.thinj.t'] }\n")
        self.fails("plan", "-stage=prod", says=["protects nothing: no provider has the kind things", "Did you mean thing?",
                                                "no provider has the kind thinj", "prod.yaml line 1, column 21"])
        self.stage("guards: { protect: ['module.m[\"a.b\"].thing.t', module.m, thing_a] }\n")
        self.ok("plan", "-stage=prod", says="1 to destroy")
        self.stage("guards: { protect: ['thing.t[1]', endpoint] }\n")
        self.ok("plan", "-stage=prod", says="1 to destroy")
        self.fails("plan", "-stage=prod", "-destroy", says="thing.t[1] is protected and would be destroyed")
        self.write("main.yaml", THREE.replace("t$", "new$"))
        self.fails("plan", "-stage=prod", says="thing.t[1] is protected and would be replaced")
        self.ok("plan", "-stage=prod", "-refresh-only")

    def test_guards_that_are_wrong(self):
        self.stage("guards: { max_destory: 1, max_change: -1, max_destroy: many, allow: [destroy], protect: [a b, '9.x'] }\n")
        self.fails("plan", "-stage=prod", says=["no key `max_destory`", "max_destroy", "`max_change` is a whole number of objects", "`max_destroy` is a whole number",
                                                "write 0 or more",
                                                "`destroy` is no action", "`a b` cannot be the name of a kind", "`9.x` is no address"])

    def test_after_what_is_no_name(self):
        self.stage("after: [staging, ../x]\n")
        self.fails("plan", "-stage=prod", says=["`../x` cannot be the name of a stage", "prod.yaml line 1, column 18"])

    def test_an_empty_name_is_no_stage(self):
        """What a variable of a script that was not set leaves must not mean the state without a stage."""
        self.fails("plan", "-stage=", says="-stage needs the name of a stage")

    def test_after_another_stage(self):
        self.stage("description: rehearsal\n", "staging")
        self.stage("after: staging\n")
        missing = "stage prod comes after staging, where this template has not been applied"
        self.ok("plan", "-stage=prod", "-out=early.plan", says=["Warning: " + missing, "3 to add"])
        self.fails("apply", "-stage=prod", "-auto-approve", says=["Error: " + missing, "apply -stage=staging", "prod.yaml line 1"])
        self.fails("apply", "-stage=prod", "early.plan", says=missing)
        self.assertEqual(self.things(), {})
        self.ok("apply", "-stage=staging", "-auto-approve", "-target=thing.t[0]")  # a part is not the whole
        self.fails("apply", "-stage=prod", "-auto-approve", says=missing)
        self.apply_in("staging")
        self.assertNotIn("Warning", self.ok("plan", "-stage=prod").text)
        self.apply_in("prod", says="3 added")
        self.write("main.yaml", THREE + "outputs: { o: { value: 1 } }\n")
        self.fails("apply", "-stage=prod", "-auto-approve", says=missing)
        self.write("main.yaml", THREE + "# no change but another template\n")
        self.fails("apply", "-stage=prod", "-auto-approve", says=missing)
        self.apply_in("staging", says="0 added")  # changes nothing, and is noted
        self.apply_in("staging")
        self.assertEqual(len(self.ok("state", "history", "-stage=staging", "-json").json()), 3)
        self.apply_in("prod")
        self.stage("after: [staging, other]\n")
        self.stage("{}\n", "other")
        self.fails("apply", "-stage=prod", "-auto-approve", says="comes after other, where")
        self.stage("after: staging\ndescription: the file of the stage does not count\n")
        self.apply_in("prod")
        self.ok("destroy", "-stage=prod", "-auto-approve", says="3 destroyed")
        self.stage("after: prod\n")
        self.fails("plan", "-stage=prod", says="a stage cannot come after itself")


if __name__ == "__main__":
    main()
