#!/usr/bin/env python3
"""Create, update, replace, delete, and the rules of `lifecycle`."""
from support import *


class Changes(Case):
    def test_create_update_delete(self):
        self.template("""
            thing:
              a: { name: a, inputs: { size: 1 } }
              b: { name: b, inputs: { from: "${thing.a.id}" } }
        """)
        self.init()
        self.apply(says="2 added, 0 changed, 0 destroyed")
        self.assertEqual(self.things(), {"a": {"size": 1}, "b": {"from": self.id_of("a")}})
        self.no_changes()
        self.template("""
            thing:
              a: { name: a, inputs: { size: 2 } }
              b: { name: b, inputs: { from: "${thing.a.id}" } }
        """)
        self.ok("plan", says=["thing.a will be updated in-place", "size = 1 -> 2", "0 to add, 1 to change, 0 to destroy"])
        self.apply(says="0 added, 1 changed, 0 destroyed")
        self.assertEqual(self.things()["a"], {"size": 2})
        self.template("thing: { a: { name: a, inputs: { size: 2 } } }")
        self.ok("plan", says=["thing.b will be destroyed", "0 to add, 0 to change, 1 to destroy"])
        self.apply(says="0 added, 0 changed, 1 destroyed")
        self.assertEqual(list(self.things()), ["a"])
        self.no_changes()
        self.assertEqual(self.ops(), ["create 1", "create 2", "update 1", "delete 2"])

    def test_replace_by_create_only_field(self):
        self.template('thing: { a: { name: a, triggers: [1] }, b: { name: b, inputs: { from: "${thing.a.id}" } } }')
        self.init()
        self.apply()
        self.template('thing: { a: { name: a, triggers: [2] }, b: { name: b, inputs: { from: "${thing.a.id}" } } }')
        self.ok("plan", says=["thing.a must be replaced", "forces replacement", "thing.b will be updated in-place",
                              "1 to add, 1 to change, 1 to destroy"])
        self.apply(says="1 added, 1 changed, 1 destroyed")
        self.assertEqual(self.ops()[2:], ["delete 1", "create 3", "update 2"])
        self.assertEqual(self.things()["b"], {"from": self.id_of("a")})
        self.no_changes()

    def test_create_before_destroy(self):
        def template(n):
            self.template(f"thing: {{ a: {{ triggers: [{n}], lifecycle: {{ create_before_destroy: true }} }}, "
                          'b: { name: b, inputs: { from: "${thing.a.id}" } } }')
        template(1)
        self.init()
        self.apply()
        template(2)
        actions, _ = self.plan_json()
        self.assertEqual(actions["thing.a"], ["create", "delete"])
        self.apply()
        self.assertEqual(self.ops()[2:], ["create 3", "update 2", "delete 1"])
        self.no_changes()

    def test_deposed_object_is_destroyed_later(self):
        def template(n):
            self.template(f"thing: {{ a: {{ triggers: [{n}], fail: delete, lifecycle: {{ create_before_destroy: true }} }} }}")
        template(1)
        self.init()
        self.apply()
        template(2)
        self.fails("apply", "-auto-approve", says=["thing.a", "refuses this delete"])
        self.assertEqual(self.ops(), ["create 1", "create 2"])
        actions, doc = self.plan_json()
        deposed = [c for c in doc["resource_changes"] if c.get("deposed")]
        self.assertEqual([c["change"]["actions"] for c in deposed], [["delete"]], doc["resource_changes"])
        # The cloud lets it go now: the inputs it was made with no longer ask for the failure.
        self.sql("UPDATE things SET inputs = json_remove(inputs, '$.fail'), version = 2 WHERE id = (SELECT min(id) FROM things)")
        self.template("thing: { a: { triggers: [2], lifecycle: { create_before_destroy: true } } }")
        self.apply()
        self.assertIn("delete 1", self.ops())
        self.assertEqual(len(self.things()), 1)
        self.no_changes()

    def test_count_and_for_each_leave_no_orphans(self):
        def template(n, keys):
            self.template(f"""
                thing:
                  c: {{ count: {n}, name: "c-${{count.index}}" }}
                  f: {{ for_each: {json.dumps(keys)}, name: "f-${{each.key}}", inputs: {{ v: "${{each.value}}" }} }}
            """)
        template(3, {"x": 1, "y": 2})
        self.init()
        self.apply(says="5 added")
        self.assertEqual(self.recorded(), ["thing.c[0]", "thing.c[1]", "thing.c[2]", 'thing.f["x"]', 'thing.f["y"]'])
        template(1, {"y": 3, "z": 4})
        actions, _ = self.plan_json()
        self.assertEqual(actions, {"thing.c[1]": ["delete"], "thing.c[2]": ["delete"], 'thing.f["x"]': ["delete"],
                                   'thing.f["y"]': ["update"], 'thing.f["z"]': ["create"]})
        self.apply(says="1 added, 1 changed, 3 destroyed")
        self.assertEqual(sorted(self.things()), ["c-0", "f-y", "f-z"])
        template(0, {})
        self.apply(says="0 added, 0 changed, 3 destroyed")
        self.assertEqual((self.things(), self.recorded()), ({}, []))

    def test_order_of_dependencies(self):
        self.template("""
            thing:
              c: { name: c, depends_on: [thing.b] }
              b: { name: b, depends_on: [thing.a] }
              a: { name: a }
        """)
        self.init()
        self.apply()
        names = [row[0] for row in self.sql("SELECT name FROM things ORDER BY id")]
        self.assertEqual(names, ["a", "b", "c"])
        self.ok("destroy", "-auto-approve", says="3 destroyed")
        self.assertEqual(self.ops()[3:], ["delete 3", "delete 2", "delete 1"])

    def test_prevent_destroy(self):
        self.template("thing: { a: { name: a, lifecycle: { prevent_destroy: true } }, b: { name: b } }")
        self.init()
        self.apply()
        self.fails("destroy", "-auto-approve", says=["thing.a", "prevent_destroy"])
        self.template("thing: { a: { name: a, triggers: 1, lifecycle: { prevent_destroy: true } }, b: { name: b } }")
        self.fails("plan", says=["thing.a", "prevent_destroy"])
        self.assertEqual(sorted(self.things()), ["a", "b"])

    def test_ignore_changes(self):
        def template(size, colour):
            self.template(f"thing: {{ a: {{ name: a, inputs: {{ size: {size}, colour: {colour} }}, "
                          "lifecycle: { ignore_changes: [inputs.colour] } } }")
        template(1, "red")
        self.init()
        self.apply()
        template(1, "blue")
        self.no_changes()
        template(2, "blue")
        self.apply(says="1 changed")
        self.assertEqual(self.things()["a"], {"size": 2, "colour": "red"})

    def test_ignore_changes_of_what_is_known_late(self):
        def template(n, colour):
            self.template(f"""
                thing:
                  a: {{ triggers: {n} }}
                  b: {{ name: b, inputs: {{ from: "${{thing.a.id}}", colour: {colour} }}, lifecycle: {{ ignore_changes: [inputs.colour] }} }}
                  c: {{ name: c, inputs: {{ colour: {colour} }}, secret: "{n}", lifecycle: {{ ignore_changes: [inputs] }} }}
                  d: {{ name: d, inputs: {{ colour: {colour} }}, lifecycle: {{ ignore_changes: all }} }}
            """)
        template(1, "red")
        self.init()
        self.apply()
        template(2, "blue")
        self.apply(says="1 added, 2 changed, 1 destroyed")
        self.assertEqual([self.things()[n]["colour"] for n in "bcd"], ["red", "red", "red"])
        self.assertEqual(self.things()["b"]["from"], self.id_of(None))
        self.no_changes()

    def test_replace_triggered_by(self):
        def template(size):
            self.template(f"thing: {{ a: {{ name: a, inputs: {{ size: {size} }} }}, "
                          "b: { name: b, lifecycle: { replace_triggered_by: [thing.a] } } }")
        template(1)
        self.init()
        self.apply()
        template(2)
        actions, _ = self.plan_json()
        self.assertEqual(actions, {"thing.a": ["update"], "thing.b": ["delete", "create"]})
        self.apply()
        self.no_changes()

    def test_on_removed_forget(self):
        self.template("thing: { a: { name: a, lifecycle: { on_removed: forget } }, b: { name: b } }")
        self.init()
        self.apply()
        self.template("thing: { b: { name: b } }")
        actions, _ = self.plan_json()
        self.assertEqual(actions, {"thing.a": ["forget"]})
        self.apply()
        self.assertEqual((sorted(self.things()), self.recorded()), (["a", "b"], ["thing.b"]))

    def test_moved(self):
        self.template("thing: { a: { name: a } }")
        self.init()
        self.apply()
        self.template("thing: { z: { name: a } }", top="moved: [{ from: thing.a, to: thing.z }]\n")
        self.ok("plan", says=["thing.a has moved to thing.z"])
        self.apply(says="0 added, 0 changed, 0 destroyed")
        self.assertEqual((self.ops(), self.recorded()), (["create 1"], ["thing.z"]))
        self.no_changes()

    def test_conditions(self):
        self.template("""
            thing:
              a: { name: a, inputs: { n: 3 },
                   lifecycle: { precondition: [{ condition: "${var.n < 3}", error: "n is too large" }] } }
        """, top="variables: { n: { type: number, default: 5 } }\n")
        self.init()
        self.fails("apply", "-auto-approve", says=["n is too large", "main.yaml"])
        self.assertEqual(self.things(), {})
        self.apply("-var=n=1")

    def test_sensitive_values_are_written_nowhere(self):
        self.template("thing: { a: { name: a, secret: correct-horse } }")
        self.init()
        self.ok("plan", "-out=p.plan", says="(sensitive value)")
        done = [self.apply(), self.ok("show"), self.ok("state", "show", "thing.a"), self.ok("show", "-json")]
        for one in done:
            self.assertNotIn("correct-horse", one.text)
        for folder, _, names in os.walk(self.dir):
            for name in names:
                if name not in ("main.yaml", "cloud.db"):
                    with open(os.path.join(folder, name), "rb") as f:
                        self.assertNotIn(b"correct-horse", f.read(), name)
        self.no_changes()


if __name__ == "__main__":
    main()
