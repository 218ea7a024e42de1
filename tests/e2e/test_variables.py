#!/usr/bin/env python3
"""Variables: defaults and values against their types, null, validation, and who wins."""
import textwrap

from support import *


class Variables(Case):
    def outputs(self, *args, **how):
        self.ok("apply", "-auto-approve", *args, **how)
        return {k: v["value"] for k, v in self.ok("output", "-json").json().items()}

    def variables(self, text, more=""):
        self.write("main.yaml", "providers: { sim: { path: cloud.db } }\nvariables:\n" + textwrap.indent(textwrap.dedent(text), "  ") + more)
        if not os.path.exists(self.path(".mlops-iac.lock.json")):
            self.init()

    def test_a_default_fits_its_type(self):
        self.variables("ok: {}\n")
        for written, place, says in (
                ("{ type: number, default: abc }", "abc", 'a number is required, this is the string "abc"'),
                ("{ type: string, default: [1] }", "[", "a string is required, this is a list"),
                ("{ type: bool, default: yes }", "yes", "a bool is required"),
                ("{ type: bool, default: 1 }", "1 ", "a bool is required"),
                ("{ type: 'map(number)', default: { k: '5', l: x } }", "x }", "l: a number is required"),
                ("{ type: 'tuple([string, number])', default: [a] }", "[a", "2 elements are required, there are 1"),
                ("{ type: 'object({ a = string })', default: { b: 1 } }", "{ b", 'attribute "a" is required'),
                ("{ type: 'list(object({ x = number }))', default: [{ x: 1 }, { x: y }] }", "y }", "[1].x: a number is required"),
                ("{ type: string, nullable: false, default: null }", "null", "is null, and it has `nullable: false`"),
                ("{ default: '${1 + 1}' }", "'${", "cannot be an expression")):
            with self.subTest(written=written):
                line = f"  v: {written}"
                self.write("main.yaml", f"variables:\n{line}\n")
                column = line.rindex(place) + 1
                for command in ("validate", "plan"):
                    self.fails(command, says=[says, f"line 2, column {column}"])

    def test_conversion(self):
        """As Terraform converts, checked against it: numbers and bools to strings and back, elements to one type."""
        self.variables("""\
            string: { type: string, default: 1.50 }
            number: { type: number, default: "1.50" }
            bool: { type: bool, default: "true" }
            set: { type: "set(string)", default: [b, a, b, 1] }
            list: { type: "list(string)", default: [1, true, a] }
            map: { type: "map(string)", default: { a: 1, b: true } }
            any: { type: "list(any)", default: [1, a] }
            object: { type: "object({ a = string, b = number })", default: { a: 1, b: "2", c: 3 } }
            large: { type: number, default: 123456789012345678901234567890 }
            """, "outputs:\n" + "".join(
                f"  {n}: {{ value: '${{var.{n}}}' }}\n" for n in "string number bool set list map any object large".split()))
        out = self.ok("apply", "-auto-approve")
        text = self.ok("output", "-json").out
        self.assertIn("123456789012345678901234567890", text)
        values = {k: v["value"] for k, v in json.loads(text).items()}
        del values["large"]
        self.assertEqual(values, {"string": "1.50", "number": 1.5, "bool": True, "set": ["1", "a", "b"], "list": ["1", "true", "a"],
                                  "map": {"a": "1", "b": "true"}, "any": ["1", "a"], "object": {"a": "1", "b": 2}}, str(out))

    def test_optional_attributes(self):
        self.variables("""\
            o:
              type: |
                object({
                  a = optional(number, 3)
                  b = optional(list(object({ c = optional(bool, true), d = optional(string) })), [{}])
                  e = optional(object({ f = optional(string, "F") }), {})
                })
              default: { b: [{}, { c: false, d: x }] }
            """, "outputs: { o: { value: '${var.o}' } }\n")
        self.assertEqual(self.outputs()["o"], {"a": 3, "b": [{"c": True, "d": None}, {"c": False, "d": "x"}], "e": {"f": "F"}})
        self.assertEqual(self.outputs("-var", 'o={ a = null, e = { f = "G" } }')["o"],
                         {"a": 3, "b": [{"c": True, "d": None}], "e": {"f": "G"}})
        self.fails("plan", "-var", "o={ b = [{ c = 5 }] }", says=['variable "o" (-var): b[0].c: a bool is required'])

    def test_null(self):
        self.variables("""\
            may: { type: string, default: x }
            must: { type: string, nullable: false }
            falls_back: { type: string, nullable: false, default: y }
            """, "outputs: { may: { value: '${var.may == null}' }, falls_back: { value: '${var.falls_back}' } }\n")
        self.write("values/v.yaml", "may: null\nmust: z\nfalls_back: null\n")
        self.assertEqual(self.outputs("-var-file=values/v.yaml"), {"may": True, "falls_back": "y"})
        self.write("values/v.yaml", "must: null\n")
        self.fails("plan", "-var-file=values/v.yaml", says=['variable "must" cannot be null', "v.yaml line 1, column 7"])
        self.fails("plan", says=['variable "must" has no value', "-var 'must=...'"])

    def test_sensitive_and_ephemeral(self):
        self.variables("""\
            secret: { sensitive: true, validation: [{ condition: '${length(var.secret) > 3}', error: 'too short: ${var.secret}' }] }
            passing: { ephemeral: true, default: gone-with-the-run }
            """, "resources: { thing: { t: { name: n, inputs: { a: '${var.secret}', b: '${var.passing}' } } } }\n"
            "outputs: { s: { value: '${var.secret}', sensitive: true } }\n")
        done = self.apply("-var=secret=shall-not-be-seen")
        done.text += self.ok("show").text + self.ok("plan", "-var=secret=shall-not-be-seen-either", "-out=p").text + self.ok("show", "p").text
        for folder, _, files in os.walk(self.path(".state")):
            for name in files:
                with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as f:
                    done.text += f.read()
        with open(self.path("p"), encoding="utf-8") as f:
            done.text += f.read()
        self.assertNotIn("shall-not-be-seen", done.text)
        self.assertNotIn("gone-with-the-run", done.text)
        done = self.fails("plan", "-var=secret=abc", says='variable "secret": the condition does not hold')
        self.assertNotIn("too short: a", done.text)

    def test_keys_are_never_sensitive(self):
        for each in '"${var.s}"', '["${var.s}"]', '"${toset([var.s])}"', '"${tolist([var.s])}"', '"${ { (var.s) = 1 } }"', '"${zipmap([var.s], [1])}"':
            with self.subTest(each):
                self.template(f"thing: {{ t: {{ for_each: {each}, name: t }} }}", "variables: { s: { default: hidden, sensitive: true } }\n")
                self.init()
                done = self.fails("plan", says="for_each cannot be sensitive: its keys become addresses")
                self.assertNotIn("hidden", done.text.replace("default: hidden", ""))

    def test_validation(self):
        self.variables("""\
            nodes:
              type: number
              validation:
                - { condition: "${var.nodes < var.most}", error: "${var.nodes} is above ${var.most}" }
                - { condition: "${var.nodes % 2 == 1}", error: odd ones only }
                - { condition: "${contains(local.good, var.nodes)}", error: "no good" }
            most: { type: number, default: 8, validation: [{ condition: "${var.most > 0}", error: positive }] }
            """, "locals: { good: [1, 3] }\n")
        self.ok("plan", "-var=nodes=3")
        self.fails("plan", "-var=nodes=10", says=["10 is above 8", "odd ones only", "no good", "line 6, column 22"])
        self.fails("plan", "-var=nodes=3", "-var=most=-1", says="positive")
        self.ok("validate")
        for condition, says in (("${self.x}", "self means nothing here"), ("words", "a bool is required"), ("${null}", "the condition is null"),
                                ("${var.nope}", 'there is no variable "nope"')):
            with self.subTest(condition=condition):
                self.variables(f"a: {{ default: 1, validation: [{{ condition: '{condition}', error: e }}] }}\n")
                self.fails("validate", says=[says, "main.yaml line 3"])

    def test_validations_may_ask_for_each_other(self):
        self.variables("""\
            low: { default: 1, validation: [{ condition: "${var.low < var.high}", error: low above high }] }
            high: { default: 2, validation: [{ condition: "${var.high > var.low && local.sum < 10}", error: high below low }] }
            """, "locals: { sum: '${var.low + var.high}' }\n")
        self.ok("plan")
        self.fails("plan", "-var=low=3", says="high below low")
        self.fails("plan", "-var=high=9", says="high below low")

    def test_what_nobody_uses_is_checked_too(self):
        self.variables("a: {}\n", "locals: { x: '${nope.y}', b: '${local.c}', c: '${local.b}' }\n")
        self.fails("validate", says=["there is no resource nope.y", "refers to itself"])
        self.fails("plan", "-var=a=1", says="there is no resource nope.y")

    def test_all_that_is_wrong_is_said_at_once(self):
        """Outputs and checks, too, when there is no plan; what follows from something wrong is not said again."""
        self.template("thing: { x: { inputz: 1 }, y: { inputs: { a: '${thing.x.id}' } } }", """\
            locals: { a: '${nope.x}' }
            outputs: { o: { value: '${local.none}' }, p: { value: '${thing.y.id}' }, q: { value: '${local.a}' } }
            checks: { c: { condition: '${local.zero}', error: e }, d: { condition: '${thing.x.id == "1"}', error: e } }
            policies: { p: { condition: '${false}', error: refused }, q: { condition: '${plan.counts.add < 9}', error: refused } }
            """)
        self.init()
        for command in ("validate", "plan"):
            done = self.fails(command, says=['unknown key "inputz"', "no resource nope.x", 'no local "none"', 'no local "zero"'])
            self.assertEqual(done.text.count("Error: "), 4, str(done))

    def test_who_wins(self):
        """Environment, stage, *.auto.yaml by name, -var-file in order, -var in order; later ones win."""
        self.variables("v: { type: string, default: default }\n", "outputs: { v: { value: '${var.v}' } }\n")
        how = {"env": {}}

        def value(*args):
            return self.ok("console", *args, input="var.v\n", **how).out.strip().strip('"')
        self.assertEqual(value(), "default")
        how["env"] = {"MLOPS_IAC_VAR_v": "environment", "MLOPS_IAC_VAR_unknown": "ignored"}
        self.assertEqual(value(), "environment")
        self.write("stages/prod.yaml", "variables: { v: stage }\n")
        self.assertEqual(value("-stage=prod"), "stage")
        self.write("a.auto.yaml", "v: first\n")
        self.assertEqual(value("-stage=prod"), "first")
        self.write("b.auto.yaml", "v: second\n")
        self.assertEqual(value("-stage=prod"), "second")
        self.write("values/1.yaml", "v: file one\n")
        self.write("values/2.yaml", "v: file two\n")
        self.assertEqual(value("-stage=prod", "-var-file=values/2.yaml", "-var-file=values/1.yaml"), "file one")
        self.assertEqual(value("-stage=prod", "-var=v=one", "-var-file=values/1.yaml"), "one")
        self.assertEqual(value("-stage=prod", "-var=v=one", "-var=v=two", "-var-file=values/1.yaml"), "two")

    def test_names_that_the_template_does_not_have(self):
        self.variables("nodes: { type: number, default: 1 }\n")
        self.fails("plan", "-var=node=2", says=['no variable "node"', "Did you mean nodes?"])
        self.write("values/1.yaml", "node: 2\n")
        self.fails("plan", "-var-file=values/1.yaml", says=['no variable "node"', "1.yaml line 1"])
        self.fails("plan", "-var-file=values/none.yaml", says="none.yaml")
        self.fails("plan", "-var=nodes=x", says='variable "nodes" (-var): a number is required')
        self.fails("plan", env={"MLOPS_IAC_VAR_nodes": "x"}, says='variable "nodes" (environment): a number is required')


if __name__ == "__main__":
    main()
