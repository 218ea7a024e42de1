#!/usr/bin/env python3
"""Provider instances: for_each over providers, one provider an instance, and what happens when one goes or is renamed."""
import sqlite3

from support import *

TEMPLATE = """\
variables: { regions: { type: "map(string)", default: { west: w.db, east: e.db } } }
providers:
  region: { type: sim, for_each: "${var.regions}", path: "${each.value}" }
resources:
  thing:
    t: { for_each: "${var.regions}", provider: 'region["${each.key}"]', name: "in-${each.key}" }
"""


class Clouds(Case):
    """Several simulated clouds, each a file."""

    def names(self, file):
        if not os.path.exists(self.path(file)):
            return []
        db = sqlite3.connect(self.path(file))
        try:
            return sorted(name for name, in db.execute("SELECT name FROM things"))
        finally:
            db.close()

    def providers(self):
        return {r["address"]: r["provider"] for r in self.ok("state", "list", "-json").json()}


class Providers(Clouds):
    def setUp(self):
        super().setUp()
        self.write("main.yaml", TEMPLATE)
        self.init()

    def test_each_instance_has_its_own(self):
        self.ok("validate")
        _, doc = self.plan_json()
        self.assertEqual({c["address"]: c["provider_name"] for c in doc["resource_changes"]},
                         {'thing.t["east"]': 'region["east"]', 'thing.t["west"]': 'region["west"]'})
        self.apply(says="2 added")
        self.assertEqual((self.names("w.db"), self.names("e.db")), (["in-west"], ["in-east"]))
        self.assertEqual(self.providers(), {'thing.t["east"]': 'region["east"]', 'thing.t["west"]': 'region["west"]'})
        self.no_changes()
        self.no_changes("-refresh=false")
        self.ok("plan", "-refresh-only", says="No changes")
        self.ok("drift", "-detailed-exitcode")
        self.write("main.yaml", TEMPLATE.replace("in-$", "now-$"))
        self.apply(says="2 added, 0 changed, 2 destroyed")
        self.ok("plan", "-out=p")
        self.ok("apply", "p")
        self.ok("destroy", "-auto-approve", says="2 destroyed")
        self.assertEqual((self.names("w.db"), self.names("e.db")), ([], []))

    def test_an_instance_comes(self):
        self.apply()
        self.write("more.auto.yaml", "regions: { west: w.db, east: e.db, north: n.db }\n")
        self.apply(says="1 added, 0 changed, 0 destroyed")
        self.assertEqual(self.names("n.db"), ["in-north"])

    def test_an_instance_that_goes_must_stay_until_its_resources_are_gone(self):
        self.apply()
        self.write("less.auto.yaml", "regions: { west: w.db }\n")
        done = self.fails("plan", says=['no longer has the provider "region["east"]"', "on_removed: forget", "state rm 'thing.t"])
        self.assertIn('thing.t["east"]', done.text)
        self.fails("destroy", "-auto-approve", says="no longer has the provider")
        self.assertEqual(self.names("e.db"), ["in-east"])
        with open(self.path("main.yaml"), "w", encoding="utf-8") as f:  # the way out: the provider outlives the resource
            f.write(TEMPLATE.replace('thing:\n    t: { for_each: "${var.regions}"',
                                     'thing:\n    t: { for_each: "${ { for k, v in var.regions : k => v if k != \\"east\\" } }"'))
        os.remove(self.path("less.auto.yaml"))
        self.apply(says="0 added, 0 changed, 1 destroyed")
        self.assertEqual((self.names("w.db"), self.names("e.db")), (["in-west"], []))
        self.write("less.auto.yaml", "regions: { west: w.db }\n")
        self.no_changes()

    def test_what_is_given_up_needs_no_provider(self):
        self.apply()
        self.write("less.auto.yaml", "regions: { west: w.db }\n")
        self.write("removed.yaml", "removed: [{ from: 'thing.t[\"east\"]', on_removed: forget }]\n")
        self.apply(says="0 destroyed")
        self.assertEqual(self.names("e.db"), ["in-east"])
        self.assertEqual(list(self.providers()), ['thing.t["west"]'])

    def test_names_that_are_none(self):
        for provider, says in {
                'region["nort"]': ['there is no provider "region["nort"]"', "region has for_each: use one of its keys"],
                "region": ['there is no provider "region"', 'name one of its keys'],
                "other": ["Declare it under `providers:`"],
                'region["${each.key}x"]': ['there is no provider "region["eastx"]"', "line 6"],
                "${thing.u.id}": ["a value that only an apply knows"],
                "${[1]}": ["not a list"]}.items():
            with self.subTest(provider=provider):
                self.write("main.yaml", TEMPLATE.replace('region["${each.key}"]', provider) + "    u: { provider: 'region[\"west\"]' }\n")
                self.fails("plan", says=says)
        self.write("main.yaml", TEMPLATE.replace("""provider: 'region["${each.key}"]', """, ""))
        self.fails("plan", says=["does not say which provider it belongs to", "write `provider: 'region["])
        self.write("main.yaml", TEMPLATE.replace("${each.value}", "${each.nope}"))
        self.fails("plan", says="each has key and value")
        self.write("main.yaml", TEMPLATE.replace('for_each: "${var.regions}", path', 'for_each: "${thing.t}", path'))
        self.fails("plan", says="for_each")
        self.write("main.yaml", TEMPLATE.replace('for_each: "${var.regions}", path', "for_each: [1], path"))
        self.fails("plan", says=["for_each must be a map, or a set of strings", "line 3"])

    def test_without_instances(self):
        self.write("none.auto.yaml", "regions: {}\n")
        self.no_changes()
        self.write("main.yaml", TEMPLATE + "    u: { provider: 'region[\"west\"]' }\n")
        self.fails("plan", says=['there is no provider "region["west"]"', "is empty"])

    def test_validate_without_values(self):
        self.write("main.yaml", TEMPLATE.replace(", default: { west: w.db, east: e.db }", ""))
        self.ok("validate")
        self.write("m/main.yaml", "variables: { x: {} }\noutputs: { y: { value: '${var.x}-' } }\n")
        self.write("outputs.yaml", """\
            modules: { m: { source: ./m, for_each: "${var.regions}", inputs: { x: "${each.key}" } } }
            outputs:
              one: { value: '${thing.t["west"].name}' }
              all: { value: "${ { for k, t in thing.t : k => t.name } }" }
              of_module: { value: '${module.m["west"].y}' }
              of_modules: { value: "${values(module.m)[*].y}" }
            """)
        self.ok("validate")
        self.ok("plan", "-var=regions={west = \"w.db\"}", says="1 to add")

    def test_in_modules_data_and_imports(self):
        self.apply()
        self.write("m/main.yaml", """\
            variables: { provider: {} }
            resources: { thing: { in: { provider: "${var.provider}", name: in } } }
            """)
        self.write("main.yaml", TEMPLATE + """\
modules: { m: { source: ./m, for_each: "${var.regions}", inputs: { provider: 'region["${each.key}"]' } } }
""")
        self.apply(says="2 added")
        self.assertEqual((self.names("w.db"), self.names("e.db")), (["in", "in-west"], ["in", "in-east"]))
        self.ok("state", "rm", 'thing.t["east"]')
        self.write("import.yaml", "import: [{ to: 'thing.t[\"east\"]', id: t-1 }]\n")
        self.apply(says="1 imported")
        self.assertEqual(self.providers()['thing.t["east"]'], 'region["east"]')
        self.ok("state", "rm", 'thing.t["east"]')
        os.remove(self.path("import.yaml"))
        self.ok("import", 'thing.t["east"]', "t-1")
        self.no_changes()

    def test_a_stage_has_its_own(self):
        self.write("stages/prod.yaml", 'providers: { region: { for_each: { west: p.db } } }\nvariables: { regions: { west: x } }\n')
        self.ok("apply", "-stage=prod", "-auto-approve", says="1 added")
        self.assertEqual(self.names("p.db"), ["in-west"])


class Moving(Clouds):
    """A resource that names another provider than the one that made it."""

    def setUp(self):
        super().setUp()
        self.two("a")
        self.init()
        self.apply()

    def two(self, provider, have="ab", more=""):
        blocks = "".join(f"  {x}: {{ type: sim, path: {x}.db }}\n" for x in have)
        self.write("main.yaml", f"providers:\n{blocks}resources: {{ thing: {{ t: {{ provider: {provider}, name: x{more} }} }} }}\n")

    def test_it_is_replaced(self):
        self.two("b")
        self.ok("plan", says=["belongs to another provider now, so must be replaced", "1 to add, 0 to change, 1 to destroy"])
        actions, doc = self.plan_json()
        self.assertEqual(doc["resource_changes"][0]["action_reason"], "replace_because_provider")
        self.apply(says="1 added, 0 changed, 1 destroyed")
        self.assertEqual((self.names("a.db"), self.names("b.db")), ([], ["x"]))
        self.no_changes()

    def test_created_before_the_other_goes(self):
        self.two("b", more=", lifecycle: { create_before_destroy: true }")
        self.apply(says="1 added, 0 changed, 1 destroyed")
        self.assertEqual((self.names("a.db"), self.names("b.db")), ([], ["x"]))

    def test_not_while_the_other_is_missing(self):
        self.two("b", have="b")
        self.fails("plan", says=['lies with the provider "a", which the template no longer has', "state replace-provider 'a' 'b'"])
        self.assertEqual(self.names("a.db"), ["x"])

    def test_not_what_must_not_be_destroyed(self):
        self.two("b", more=", lifecycle: { prevent_destroy: true }")
        self.fails("plan", says="prevent_destroy")

    def test_renamed(self):
        self.write("main.yaml", "providers: { b: { type: sim, path: a.db } }\nresources: { thing: { t: { provider: b, name: x } } }\n")
        self.ok("state", "replace-provider", "-dry-run", "a", "b", says="Would change thing.t")
        self.ok("state", "replace-provider", "a", "b", says="1 object")
        self.assertEqual(self.providers(), {"thing.t": "b"})
        self.no_changes()
        self.fails("state", "replace-provider", "a", "b", says="nothing is recorded under the provider a")
        self.fails("state", "replace-provider", "b", "c", says="the template has no provider c")



class Functions(Case):
    """provider::NAME::FUNCTION(...), as in Terraform: the plugin answers, in every command that evaluates."""

    def test_everywhere(self):
        self.template("""
            thing:
              a: { name: '${provider::sim::slug("My Model!")}' }
              b: { count: '${length(provider::sim::slug("ab"))}', name: '${provider::sim::slug("B ${count.index} ${thing.a.id}")}' }
        """, top="""
            variables: { pw: { type: string, sensitive: true, default: "Sword Fish 9" } }
            outputs: { s: { value: '${provider::sim::slug(var.pw)}', sensitive: true } }
        """)
        self.init()
        self.ok("validate")
        self.ok("plan", "-out=p.plan", says=['name   = "my-model"', "name   = (known after apply)", "s = (sensitive value)"])
        done = self.ok("apply", "p.plan", says="3 added")
        self.assertNotIn("sword-fish", done.text)
        self.assertEqual(sorted(self.things()), ["b-0-t-1", "b-1-t-1", "my-model"])
        self.no_changes()
        self.assertEqual(self.ok("console", input='provider::sim::slug("X Y")\n').out.strip(), '"x-y"')

    def test_what_is_wrong(self):
        self.template("thing: {}")
        self.init()
        for call, says in (("provider::sim::nope(1)", ["provider::sim::nope(): there is no such function", "sim has slug(text)"]),
                           ("provider::sin::slug(1)", ["there is no provider \"sin\"", 'did you mean "sim"?']),
                           ("provider::sim::slug(1)", ["it takes one text"]), ("provider::slug(1)", ["provider::NAME::FUNCTION(...)"])):
            self.template(f"thing: {{ a: {{ inputs: {{ x: '${{{call}}}' }} }} }}")
            self.fails("plan", says=["main.yaml line 4", *says])
        self.template("thing: { a: { inputs: { x: '${provider::local::slug(1)}' } } }")
        with open(self.path("main.yaml"), encoding="utf-8") as f:
            text = f.read()
        self.write("main.yaml", text.replace("providers:\n", f"providers:\n  local: {{ root: {self.path('root')} }}\n", 1))
        self.init()
        self.fails("validate", says='provider "local" has no functions')


class LocalConforms(Case):
    """The plugin local under the conformance kit: an interrupted create is found again, what is not there is not found."""

    def test_kinds(self):
        self.write("src/a", "a\n")
        self.write("main.yaml", f"providers: {{ local: {{ root: {self.path('root')} }} }}\nresources: {{ workspace: {{ w: {{ name: w }} }} }}\n")
        self.init()
        self.apply()
        for kind, inputs in (("workspace", {"name": "ws%d"}), ("compute", {"workspace": "w", "name": "c%d", "max_instances": 2}),
                             ("data", {"workspace": "w", "name": "d%d", "path": "src"}), ("model", {"workspace": "w", "name": "m%d", "path": "src"}),
                             ("endpoint", {"workspace": "w", "name": "e%d", "auth_mode": "key"}), ("job", {"workspace": "w", "name": "j%d", "command": "true"})):
            with self.subTest(kind):
                done = subprocess.run([os.path.join(BUILD, "bin/mlops-iac-conformance"), os.path.join(PLUGINS, "local.so"), kind, json.dumps(inputs), "-",
                                       json.dumps({"root": self.path("root")}), "4"], cwd=self.dir, capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertIn("killed creates make no object twice and lose none", done.stdout)


if __name__ == "__main__":
    main()
