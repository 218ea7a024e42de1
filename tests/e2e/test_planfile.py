#!/usr/bin/env python3
"""Saved plans: what was reviewed is what is applied, once, or nothing."""
import stat

from support import *


class PlanFile(Case):
    def setUp(self):
        super().setUp()
        self.template('thing: { a: { name: a, inputs: { v: "${var.v}" } } }', top="variables: { v: { default: 1 } }\n")
        self.init()

    def refused(self, *says, plan="p.plan"):
        ops = self.ops()
        self.fails("apply", plan, says=says)
        self.assertEqual(self.ops(), ops)

    def test_applies_without_a_question(self):
        self.ok("plan", "-out=p.plan", "-var=v=3", says="p.plan")
        self.assertEqual(stat.S_IMODE(os.stat(self.path("p.plan")).st_mode), 0o600)
        self.ok("show", "p.plan", says=["thing.a will be created", "1 to add"])
        self.ok("apply", "p.plan", says="1 added")
        self.assertEqual(self.things(), {"a": {"v": "3"}})

    def test_same_inputs_same_bytes(self):
        self.apply()
        plans = []
        for name in ("one.plan", "two.plan"):
            self.ok("plan", f"-out={name}", "-var=v=2")
            with open(self.path(name), encoding="utf-8") as f:
                header, body = f.read().split("\n", 1)
            plans.append(body)
        self.assertEqual(plans[0], plans[1])

    def test_used_twice_although_the_state_is_gone(self):
        """A plan that created everything, and nobody knows of it but this user: the lineage of its state follows from it."""
        self.template("thing: { a: { name: a } }")
        self.init()
        self.ok("plan", "-out=p.plan")
        shutil.copy(self.path("p.plan"), self.path("copy.plan"))
        self.ok("apply", "p.plan", says="1 added")
        shutil.rmtree(self.path(".state"))
        for plan in ("p.plan", "copy.plan"):
            self.refused("it was applied already", "serial 2", "that state is gone", plan=plan)
        self.assertEqual(self.ops(), ["create 1"])
        os.remove(self.path("cloud.db"))
        self.ok("plan", "-out=new.plan")
        self.ok("apply", "new.plan", says="1 added")  # another plan: it shows what it does

    def test_plans_of_one_second_in_two_places(self):
        """The same template in two folders makes two states, which are not taken for each other."""
        self.template("thing: { a: { name: a } }")
        self.init()
        other = self.path("other")
        os.mkdir(other)
        for name in ("main.yaml", ".mlops-iac.lock.json"):
            shutil.copy(self.path(name), other)
        created = None
        for _ in range(20):
            self.ok("plan", "-out=p.plan")
            self.ok("plan", "-out=p.plan", cwd=other)
            created = [json.loads(open(os.path.join(d, "p.plan"), encoding="utf-8").readline())["created"] for d in (self.dir, other)]
            if created[0] == created[1]:
                break
        self.assertEqual(*created)
        lineages = set()
        for folder in (self.dir, other):
            self.ok("apply", "p.plan", says="1 added", cwd=folder)
            lineages.add(json.loads(self.ok("state", "pull", cwd=folder).out.splitlines()[0])["lineage"])
        self.assertEqual(len(lineages), 2)

    def test_nothing_but_a_plan_makes_room_for_a_plan(self):
        self.apply()
        for name in ("main.yaml", ".state/default/state.jsonl", "."):
            before = self.path(name)
            text = b"" if name == "." else open(before, "rb").read()
            self.fails("plan", f"-out={name}", says="exists already, and is no plan")
            self.assertEqual(text, b"" if name == "." else open(before, "rb").read())
        self.fails("plan", "-out=", says="needs the name of a file")
        self.write("new.plan", "")
        for _ in range(2):
            self.ok("plan", "-out=new.plan", says='mlops-iac apply "new.plan"')
        key = {"MLOPS_IAC_STATE_KEY": "5a" * 32}
        self.write("sealed.plan", "")
        self.write("stages/dev.yaml", "{}")
        for _ in range(2):
            self.ok("plan", "-stage=dev", "-out=sealed.plan", env=key, says="sealed with key")
        self.ok("plan", "-stage=dev", "-out=new.plan", says='mlops-iac apply -stage=dev "new.plan"')

    def test_used_twice(self):
        self.ok("plan", "-out=p.plan")
        self.ok("apply", "p.plan")
        self.refused("the saved plan is stale", "plan")

    def test_stale(self):
        self.ok("plan", "-out=p.plan", "-var=v=2")
        self.apply()
        self.refused("the saved plan is stale", "mlops-iac plan")

    def test_other_template(self):
        self.ok("plan", "-out=p.plan")
        self.template('thing: { a: { name: a, inputs: { v: "${var.v}", w: 1 } } }', top="variables: { v: { default: 1 } }\n")
        self.refused("stale", "template")

    def test_altered(self):
        self.ok("plan", "-out=p.plan")
        with open(self.path("p.plan"), encoding="utf-8") as f:
            text = f.read()
        body = text.index("\n")
        for broken in (text[:body] + text[body:].replace('"a"', '"b"', 1), text[:-20], text + "{}\n", "", "no plan at all\n"):
            with open(self.path("p.plan"), "w", encoding="utf-8") as f:
                f.write(broken)
            self.refused("the plan file cannot be used", "mlops-iac plan -out")

    def test_missing_file_and_contradicting_options(self):
        self.refused("p.plan")
        self.ok("plan", "-out=p.plan")
        self.fails("apply", "-var=v=2", "p.plan", says="-var")
        self.fails("apply", "-target=thing.a", "p.plan", says="-target")

    def test_other_lock_file(self):
        self.ok("plan", "-out=p.plan")
        with open(self.path(".mlops-iac.lock.json"), "a", encoding="utf-8") as f:
            f.write("\n")
        self.write(".mlops-iac.lock.json", open(self.path(".mlops-iac.lock.json"), encoding="utf-8").read()
                   .replace('"version": "0.1.0"', '"version": "0.1.1"'))
        self.refused("stale")

    def test_reality_that_moved_since_stops_nothing_but_is_not_lost(self):
        self.apply()
        self.ok("plan", "-out=p.plan", "-destroy")
        self.ok("apply", "p.plan", says="1 destroyed")
        self.assertEqual(self.things(), {})

    def test_json_has_the_keys_of_terraform(self):
        self.apply()
        self.ok("plan", "-out=p.plan", "-var=v=2")
        doc = self.ok("show", "-json", "p.plan").json()
        for key in ("format_version", "planned_values", "resource_changes", "prior_state", "configuration", "variables"):
            self.assertIn(key, doc)
        change = doc["resource_changes"][0]
        self.assertEqual((change["address"], change["mode"], change["type"], change["name"]),
                         ("thing.a", "managed", "thing", "a"))
        self.assertEqual(change["change"]["actions"], ["update"])
        self.assertEqual(change["change"]["before"]["inputs"], {"v": 1})
        self.assertEqual(change["change"]["after"]["inputs"], {"v": "2"})
        self.assertTrue(change["change"]["after_unknown"]["output"])


    def test_json_has_what_stays_as_it_is(self):
        body = 'thing: { a: { name: a, inputs: { v: "${var.v}" } }, b: { count: 2, inputs: { w: 1 } }, gone: { name: gone } }\n'
        self.template(body, top="variables: { v: { default: 1 } }\n")
        self.apply()
        self.template(body.replace(", gone: { name: gone }", ""), top="variables: { v: { default: 1 } }\n")
        self.ok("plan", "-out=p.plan", "-var=v=2")
        doc = self.ok("show", "-json", "p.plan").json()

        def values(where):
            return {r["address"]: r["values"] for r in doc[where]["root_module"]["resources"]} if where == "planned_values" else \
                {r["address"]: r["values"] for r in doc[where]["values"]["root_module"]["resources"]}

        self.assertEqual(sorted(values("planned_values")), ["thing.a", "thing.b[0]", "thing.b[1]"])
        self.assertEqual(sorted(values("prior_state")), ["thing.a", "thing.b[0]", "thing.b[1]", "thing.gone"])
        self.assertEqual(values("planned_values")["thing.b[1]"]["inputs"], {"w": 1})
        self.assertEqual(values("prior_state")["thing.a"]["inputs"], {"v": 1})
        actions = {c["address"]: c["change"]["actions"] for c in doc["resource_changes"]}
        self.assertEqual(actions, {"thing.a": ["update"], "thing.b[0]": ["no-op"], "thing.b[1]": ["no-op"], "thing.gone": ["delete"]})
        self.ok("show", "p.plan", says="1 to change, 1 to destroy")


if __name__ == "__main__":
    main()
