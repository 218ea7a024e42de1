#!/usr/bin/env python3
"""lifecycle and timeouts: what they do, and what is wrong in them."""
from support import *


class Lifecycle(Case):
    def setUp(self):
        super().setUp()
        self.template("thing: { t: { name: t } }")
        self.init()

    def one(self, more, top="", name="t"):
        self.template(f"thing: {{ t: {{ name: {name}, {more} }}, other: {{ name: other, inputs: {{ v: '${{var.v}}' }} }} }}",
                      "variables: { on: { default: true }, v: { default: 1 } }\n" + top)

    def test_what_is_wrong_is_said_before_anything_exists(self):
        for more, says in {
                "lifecycle: { create_before_destory: true }": ["no key `create_before_destory`"],
                "lifecycle: { ignore_changes: [nam] }": ['has no field "nam" to ignore', "Did you mean name?"],
                "lifecycle: { ignore_changes: ['inputs.a', name] }": None,
                "lifecycle: { ignore_changes: all }": None,
                "lifecycle: { replace_triggered_by: [thing.nope] }": ["there is no resource thing.nope"],
                "lifecycle: { replace_triggered_by: [thing.t] }": ["refer to each other in a circle"],
                "lifecycle: { on_removed: keep }": ["`on_removed` cannot be `keep`"],
                "lifecycle: { prevent_destroy: maybe }": ["must be true or false"],
                "lifecycle: { precondition: [{ condition: '${self.name}', error: x }] }": ["self means nothing here"],
                "lifecycle: { precondition: [{ condition: '${false}' }] }": ["error"],
                "timeouts: { crate: 5m }": ["no key `crate`"],
                "timeouts: { create: 5x }": ["a timeout is a duration"],
                "timeouts: { create: '${var.v}' }": ["a timeout is a duration"],
                "timeouts: { create: 90s, update: 5m, delete: 1h, read: 2m }": None}.items():
            with self.subTest(more=more):
                self.one(more)
                for command in ("validate", "plan"):
                    if says:
                        self.fails(command, says=[*says, "main.yaml line 5"])
                    else:
                        self.ok(command)

    def test_only_resources_and_modules_are_waited_for(self):
        self.template("", "locals: { l: { a: 1 } }\nvariables: { v: { default: 1 } }\noutputs: { o: { value: 1 } }\n")
        self.init()
        for name in "local.l", "var.v", "output.o", '"${local.l}"', '"${var.v}"':
            for where in ("resources: { thing: { a: { name: a, depends_on: [%s] } } }", "outputs: { p: { value: 1, depends_on: [%s] } }",
                          "resources: { thing: { a: { name: a, lifecycle: { replace_triggered_by: [%s] } } } }"):
                with self.subTest(where % name):
                    self.write("more.yaml", where % name + "\n")
                    for command in "validate", "plan":
                        self.fails(command, says=["more.yaml line 1", "is no resource and no module"])

    def test_a_null_is_no_condition_that_holds(self):
        rule = "condition: '${null}', error: x"
        for top in (f"checks: {{ c: {{ {rule} }} }}", f"policies: {{ p: {{ {rule} }} }}", f"outputs: {{ o: {{ value: 1, precondition: [{{ {rule} }}] }} }}",
                    f"variables: {{ v: {{ default: 1, validation: [{{ {rule} }}] }} }}",
                    f"resources: {{ thing: {{ a: {{ name: a, lifecycle: {{ precondition: [{{ {rule} }}] }} }} }} }}",
                    f"resources: {{ thing: {{ a: {{ name: a, lifecycle: {{ postcondition: [{{ {rule} }}] }} }} }} }}"):
            with self.subTest(top):
                self.template("", top + "\n")
                self.init()
                self.fails("apply", "-auto-approve", says="the condition is null, not true or false")

    def test_options_of_providers_that_the_template_does_not_have(self):
        self.template("""
            thing:
              a: { name: x, provider_options: { sin: { a: 1 } } }
              b: { name: y, provider_options: { sim: 1 } }
              c: { name: z, provider_options: [1] }
              d: { name: w, provider: sin }
              e: { name: v, provider_options: { sim: {} } }
              f: { name: u, provider_options: { sim: { a: 1 } } }
            """)
        self.init()
        done = self.fails("validate", says=("main.yaml line 5, column 39", 'provider_options: there is no provider of type "sin"',
                                            "the options of provider sim are a map", "a map by the names of providers",
                                            'there is no provider "sin"', "line 10", "thing of provider sim takes no options"))
        self.assertEqual(done.text.count("Did you mean sim?"), 2, done)
        self.assertNotIn("line 9", done.text)

    def test_postconditions_see_the_late_part(self):
        """Traffic is set after the deployments: a postcondition of the endpoint waits for it, when planning and applying."""
        def wanted(percent):
            self.write("main.yaml", f"""\
                providers: {{ local: {{ root: ./platform }} }}
                resources:
                  workspace: {{ w: {{}} }}
                  endpoint:
                    e: {{ workspace: "${{workspace.w.name}}", auth_mode: none, traffic: {{ blue: {percent} }},
                          lifecycle: {{ postcondition: [{{ condition: '${{self.traffic.blue == 0}}', error: wrong traffic }}] }} }}
                """)
        wanted(0)
        self.init()
        self.apply(says="2 added")
        self.addCleanup(self.run_tool, "destroy", "-auto-approve")
        self.no_changes()
        wanted(100)
        self.fails("plan", says=["postcondition failed: wrong traffic", "in endpoint.e"])
        wanted(0)

    def test_conditions_hold_for_what_stays_as_it_is(self):
        self.one("lifecycle: { precondition: [{ condition: '${var.on}', error: must be on }], "
                 "postcondition: [{ condition: '${self.name == \"t\" && var.v < 3}', error: 'bad ${self.name}' }] }")
        self.apply()
        self.no_changes()
        self.fails("plan", "-var=on=false", says=["precondition failed: must be on", "thing.t"])
        self.fails("plan", "-var=v=3", says=["postcondition failed: bad t", "thing.t"])
        self.fails("apply", "-auto-approve", "-var=on=false", says="must be on")

    def test_conditions_that_only_the_apply_can_answer(self):
        """What they name is made before, and what does not hold is not sent; the same for what stays as it is."""
        def judged(rule, more=""):
            self.template(f"""
                thing:
                  fresh: {{ name: fresh, triggers: {len(self.ops())} }}
                  judged: {{ name: judged, lifecycle: {{ {rule} }} }}
                  after: {{ name: after, depends_on: [thing.judged] }}
                """ + more, sim="latency_ms: 200")
        pre, post = "precondition: [{ condition: '%s', error: no }]", "postcondition: [{ condition: '%s', error: no }]"
        self.template("", sim="latency_ms: 200")
        self.init()
        self.apply()
        judged(pre % '${thing.fresh.id == "x"}')
        self.ok("plan")
        self.fails("apply", "-auto-approve", says=["precondition failed: no", "in thing.judged", "1 added", "1 failed, 1 skipped"])
        self.assertEqual(list(self.things()), ["fresh"])
        judged(post % '${thing.fresh.id == self.id}')
        self.fails("apply", "-auto-approve", says=["postcondition failed: no", "in thing.judged", "1 failed, 1 skipped"])
        self.assertEqual(sorted(self.things()), ["fresh", "judged"])
        judged(pre % '${thing.fresh.id != "x"}')
        self.apply()
        for rule in (pre, post):
            judged(rule % '${thing.fresh.id == "x"}')
            self.ok("plan", says="1 to add, 0 to change, 1 to destroy")
            self.fails("apply", "-auto-approve", says=["condition failed: no", "in thing.judged", "1 failed"])
        judged(pre % '${thing.after.id != "x"}')
        self.fails("plan", says="thing.after")
        self.ok("destroy", "-auto-approve")

    def test_a_check_that_nobody_can_decide_says_so(self):
        """What it asks for is left out of this apply; a policy is refused then."""
        rule = "p: { condition: '${thing.a.id != \"\"}', error: looked at }"
        for kind, code, says in (("checks", 0, 'check "p" cannot be decided'), ("policies", 1, 'policy "p" cannot be decided')):
            self.template("thing: { a: { name: a }, b: { name: b, inputs: { v: %d } } }" % code, top=f"{kind}: {{ {rule} }}\n")
            self.init()
            done = self.run_tool("apply", "-auto-approve", "-exclude=thing.a")
            self.check(done, code, says)
        self.assertEqual(list(self.things()), ["b"])

    def test_what_only_the_apply_can_tell_is_asked_after_it(self):
        def wanted(of_id):
            self.template("thing: { t: { name: t } }", f"""\
                outputs:
                  id: {{ value: "${{thing.t.id}}", precondition: [{{ condition: '${{thing.t.id {of_id}}}', error: wrong id }}] }}
                  name: {{ value: "${{thing.t.name}}" }}
                checks: {{ c: {{ condition: '${{thing.t.id {of_id}}}', error: looked at }} }}
                policies: {{ p: {{ condition: '${{thing.t.id {of_id}}}', error: ruled }} }}
                """)
        wanted('== "nope"')
        self.ok("plan", says='policy "p" can be decided only after the apply')
        done = self.fails("apply", "-auto-approve", says=['precondition failed for output "id": wrong id', 'check "c" failed: looked at',
                          'policy "p" does not hold after the apply: ruled', "1 added", "Every change was made and is recorded"])
        self.assertNotIn("carries on from there", done.text)
        self.assertEqual(self.ok("state", "list").out, "thing.t\n") # made, and recorded
        self.assertEqual(self.ok("output", "-raw", "name").out, "t") # what holds is recorded too
        self.fails("plan", says=['policy "p" refuses the plan: ruled', "wrong id"])
        self.ok("destroy", "-auto-approve")
        wanted('!= "nope"')
        done = self.ok("apply", "-auto-approve", says="Apply complete!")
        self.assertNotIn("check", done.text)
        self.assertNotIn("after the apply:", self.ok("plan").text)

    def test_a_failed_check_is_told_once(self):
        self.template("thing: { t: { name: t } }", top="checks: { odd: { condition: '${1 == 2}', error: it never holds } }\n")
        self.init()
        for args in (("plan", "-out=p.plan"), ("show", "p.plan"), ("apply", "p.plan"), ("plan",)):
            done = self.ok(*args)
            self.assertEqual(done.text.count("it never holds") - done.text.count('error: it never holds'), 1, str(done))

    def test_replaced_with_what_it_refers_to(self):
        self.one("lifecycle: { replace_triggered_by: [thing.other] }")
        self.apply()
        self.ok("plan", "-var=v=2", says=["thing.t will be replaced due to changes in replace_triggered_by", "1 to add, 1 to change, 1 to destroy"])
        self.no_changes()

    def test_ignored_changes(self):
        self.one("inputs: { v: '${var.v}', w: '${var.v}' }, lifecycle: { ignore_changes: [inputs.v] }")
        self.apply()
        self.apply("-var=v=2")
        self.assertEqual(self.things()["t"], {"v": 1, "w": "2"})
        self.one("inputs: { v: '${var.v}' }, lifecycle: { ignore_changes: all }")
        self.ok("plan", "-var=v=2", says="No changes")

    def test_nothing_is_destroyed_by_mistake(self):
        self.one("lifecycle: { prevent_destroy: true }")
        self.apply()
        self.fails("plan", "-destroy", says="thing.t would be destroyed")
        self.one("lifecycle: { prevent_destroy: true }", name="renamed")
        self.fails("plan", says=["thing.t would be destroyed", "-exclude"])
        self.one("lifecycle: { on_removed: forget }")
        self.apply()
        self.template("thing: { other: { name: other, inputs: { v: 1 } } }")
        self.ok("plan", says=["thing.t will be forgotten", "1 to forget"])


if __name__ == "__main__":
    main()
