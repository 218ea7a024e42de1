"""Writes expressions in which unknown and sensitive values flow: calls in calls, directives with strip markers,
grouping, splats, typed variables, large and long numbers. And pairs of a type and a value for it.

Usage: gen_flow.py [SEED [COUNT]]: the same seed and count give the same lines. VARIABLES and UNKNOWN are what the
expressions may name; ask_plan.py and answer.c know them too.
"""
import random
import sys

import gen

# name: (type, value, sensitive)
VARIABLES = {
    "s": ("string", '"text"', False), "n": ("number", "5", False), "b": ("bool", "true", False),
    "big": ("number", "123456789012345678901234567890", False), "tiny": ("number", "0.1", False),
    "list": ("list(string)", '["b", "a", "c"]', False), "nums": ("list(number)", "[3, 1, 2]", False),
    "set": ("set(string)", '["b", "a"]', False), "map": ("map(string)", '{"a": "1", "b": "2"}', False),
    "obj": ("object({a = number, b = optional(string, \"d\"), c = optional(list(string))})", '{"a": "7"}', False),
    "objs": ("list(object({a = string, b = optional(number, 3)}))", '[{"a": "x"}, {"a": "y", "b": 4}]', False),
    "none": ("string", "null", False), "empty": ("list(string)", "[]", False),
    "secret": ("string", '"hidden"', True), "pin": ("number", "42", True), "on": ("bool", "true", True),
    "secrets": ("list(string)", '["k", "l"]', True), "keys": ("map(string)", '{"a": "m", "z": "n"}', True),
}
UNKNOWN = ["terraform_data.u.id", "terraform_data.d.output"]  # a string; of any type

NAMES = {
    "S": ["var.s", "var.list[1]", "var.map.a", "var.obj.b"], "N": ["var.n", "var.nums[0]", "var.big", "var.tiny", "var.obj.a"],
    "I": ["var.n", "length(var.list)"], "B": ["var.b", "var.n > 3"], "L": ["var.list", "var.nums", "var.set", "var.objs", "var.empty"],
    "SL": ["var.list", "var.set", "keys(var.map)", "var.empty"], "NL": ["var.nums"], "M": ["var.map", "var.obj"],
    "X": ["var.obj", "var.objs", "var.set", "var.s", "var.none", "var.map"],
}
SECRET = {"S": ["var.secret", "var.secrets[0]", "var.keys.a"], "N": ["var.pin"], "I": ["var.pin"], "B": ["var.on"],
          "L": ["var.secrets", "[var.secret]"], "SL": ["var.secrets", "[var.secret, \"x\"]"], "NL": ["[var.pin, 1]"],
          "M": ["var.keys", "{a = var.secret}"], "X": ["var.secret", "var.secrets", "{a = var.pin}", "[var.on]"]}
OPEN = {"S": UNKNOWN, "N": ["terraform_data.d.output"], "I": ["terraform_data.d.output"], "B": ["terraform_data.d.output"],
        "L": ["[terraform_data.u.id]", "terraform_data.d.output"], "SL": ["[\"x\", terraform_data.u.id]"],
        "NL": ["[1, terraform_data.d.output]"], "M": ["{a = terraform_data.u.id}", "terraform_data.d.output"],
        "X": UNKNOWN + ["[terraform_data.u.id, 1]", "{a = terraform_data.u.id, b = 1}"]}
BIG = ["123456789012345678901234567890.5", "0.1", "0.3", "1e30", "1e-20", "99999999999999999999", "2", "3", "7", "1.10", "1e100",
       "0.30000000000000004", "9007199254740993", "4.35", "100", "1.005"]

TEMPLATES = [
    '"%{ if {B} }{W}%{ else }{W}%{ endif }"', '"a %{~ if {B} ~} b %{~ else ~} c %{~ endif ~} d"', '"%{ for v in {SL} }${v},%{ endfor }"',
    '"x\\n  %{~ for i, v in {SL} ~}\\n  ${i}:${v}\\n  %{~ endfor ~}\\n y"', '"%{ for k, v in {M} }%{ if k != \\"a\\" }${k}=${v};%{ endif }%{ endfor }"',
    '"${~ {S} ~}"', '"  ${~ {S} ~}  "', '"%{ for v in {NL} ~}%{ if v > 1 ~} ${v} %{ endif ~}%{ endfor ~}"', '"${{S}}"', '"a${{S}}b"', '"${{N}}${{B}}"',
    '"%%{ $${ ${{S}}"', '"%{ if {B} ~}  x  %{~ endif }"', '"%{ if {S} == \\"a\\" }1%{ else }2%{ endif }"', '"${{L}}"', '"%{ for x in [] }n%{ endfor }"',
    "{ for v in {SL} : v => length(v)... }", "{ for v in {SL} : substr(v, 0, 1) => v... if v != \"a\" }", "{ for i, v in {L} : tostring(i) => v }",
    "{ for k, v in {M} : v => k... }", "[ for k, v in {M} : \"${k}/${v}\" if v != null ]", "{ for o in var.objs : o.a => o.b }",
    "[ for x in {L} : [ for y in {SL} : \"${y}\" ] ]", "{ for k, v in { for s in {SL} : s => upper(s) } : v => k }", "[ for v in {NL} : v * {N} if v < {N} ]",
    "{ for s in {SL} : (s == \"a\" ? \"yes\" : \"no\") => s... }", "[for i, v in {X} : i]", "{ for v in {NL} : \"k${v}\" => v * 2 }", "{ for v in {SL} : v => v }",
    "var.objs[*].a", "var.objs[*].b", "var.objs.*.a", "{X}[*]", "{L}[*]", "[{M}][*].a", "var.obj[*].b", "var.none[*]", "length(var.none[*])", "{L}[{I}]",
    "terraform_data.u[*].id", "[{X}, {X}][*]", "{M}[*].a", "[for o in var.objs : o.b][{I}]", "var.objs[{I}].a", "{M}[\"a\"]", "{M}.b", "{X}.a",
    "{P} + {P}", "{P} - {P}", "{P} * {P}", "{P} / {P}", "{P} % {P}", "{P} == {P}", "{P} < {P}", "-{P}", "({P} + {P}) * {P}", "\"${{P}}\"", "\"${{P} + {P}}\"",
    "floor({P} * {P})", "ceil({P} / 3)", "tonumber(\"{P}\")", "tostring({P} * {P})", "jsonencode({P} + {P})", "max({P}, {P}, {N})", "pow({P}, 2)", "abs({P} - {P})",
    "sum([{P}, {P}, {P}])", "{P} + {P} - {P}", "{P} / 7", "format(\"%d %s %.3f\", {P}, {P}, {P})", "parseint(\"123456789012345678901234567890\", 10) + {P}",
    "{B} ? {X} : {X}", "{B} ? {S} : {S}", "{B} ? {L} : {L}", "{B} ? {N} : null", "{B} ? {M} : {M}", "{B} ? {SL} : []", "{B} ? {SL} : {NL}", "{B} ? {} : {M}",
    "{S} == {S}", "{X} == {X}", "{X} != null", "{S} == null", "{L} == {L}", "{M} == {M}", "{N} > {N}", "{B} && {B}", "{B} || {B}", "!{B}", "{N} + {N}", "-{N}",
    "[{X}, {X}]", "{a = {X}, b = {X}}", "{(jsonencode({S})) = {X}}", "[{S}, {S}][{I}]", "{a = {X}}.a", "{a = {X}}[\"a\"]", "issensitive({X})", "nonsensitive({X})",
    "sensitive({X})", "issensitive([{X}])", "issensitive({S} == {S})", "try({X}.a, {X}, 1)", "can({X}.a)", "can({X}[0])", "try({S}, \"d\")", "length({X})", "jsonencode({X})",
    "coalesce({S}, {S})", "max({NL}...)", "merge({M}, {M})", "merge({M}, { x = {S} })", "concat({L}, {L})", "toset({L})", "tolist({X})", "tomap({M})", "keys({M})",
    "values({M})", "lookup({M}, \"a\", {S})", "contains({L}, {S})", "flatten([{L}, {L}])", "zipmap({SL}, {L})", "join(\",\", {SL})", "split(\",\", {S})", "element({L}, {I})",
    "sort({SL})", "distinct({L})", "reverse({L})", "slice({L}, 0, 1)", "upper({S})", "format(\"%s-%s\", {S}, {S})", "replace({S}, \"a\", \"b\")", "startswith({S}, \"te\")",
    "setunion({SL}, {SL})", "setproduct({SL}, {SL})", "one({L})", "tostring({X})", "tonumber({X})", "tobool({X})", "formatlist(\"%s!\", {SL})", "compact({SL})",
    "templatefile(\"t.tpl\", {x = {S}})", "yamlencode({X})", "substr({S}, 0, 2)", "range({I})", "index({L}, {S})", "alltrue([{B}, {B}])", "sum({NL})",
    "base64encode({S})", "regexall(\"[a-z]\", {S})", "trimspace({S})", "ephemeralasnull({X})", "chunklist({L}, 2)", "transpose({a = {SL}})", "matchkeys({SL}, {SL}, {SL})",
    "coalescelist({L}, {L})", "nonsensitive(upper({S}))", "sha256({S})", "timeadd({T}, {D})", "strcontains({S}, {S})", "md5({S})", "title({S})", "indent(2, {S})",
]
WORDS = ["yes", " no ", "", "x${var.n}", "${var.s} "]

TYPES = ["string", "number", "bool", "any", "list(string)", "list(number)", "set(string)", "set(number)", "map(string)", "map(number)", "list(any)", "map(any)", "set(any)",
         "list(bool)", "map(bool)", "tuple([string, number])", "tuple([bool])", "tuple([])", "object({})", "object({a = string})", "object({a = number, b = bool})",
         "object({a = optional(string), b = optional(number, 5)})", "object({a = optional(list(string), [\"d\"])})", "list(object({a = string, b = optional(bool, true)}))",
         "map(object({a = optional(number, 1)}))", "object({o = optional(object({x = optional(string, \"y\")}), {})})", "list(list(number))", "map(list(string))", "list(map(string))",
         "set(list(string))", "object({a = any})", "map(set(string))", "list(tuple([string, bool]))", "optional(string)", "list(object({a = optional(any)}))",
         "object({a = optional(set(number), [1, 1])})", "object({o = object({x = number})})", "list(strng)", "map", "list"]
VALUES = ['"a"', '"1"', '"true"', '"1.50"', "1", "1.5", "0", "true", "false", "null", "[]", "{}", '["a", "b"]', "[1, 2]", '[1, "2"]', '["b", "a", "b"]', "[true, 1]", "[null]",
          '["a", null]', '{"a": "x"}', '{"a": 1, "b": "true"}', '{"a": 1, "b": 2}', '{"a": null}', '{"c": 1}', '[{"a": "x"}]', '[{"a": 1}, {"a": "y", "b": "false"}]', '{"k": {"a": "3"}}',
          '{"k": {}}', '{"o": {}}', '{"o": {"x": "z"}}', '{"o": null}', "[[1], [2, 3]]", '[["1"], []]', '{"a": ["x", 1]}', '{"a": []}', '["x", 1]', '["x", "1"]', '["1", "true"]', '[[1, "x"]]',
          '{"a": "x", "z": 1}', "12345678901234567890123", "[1, 1.0, 1e0]", '[[], ["a"]]', '{"k": ["b", "b"]}', '[["a", "true"]]', "[{}]", '[{"a": null}]', '{"a": {"b": 1}}', "0.1", "1e2"]


class Maker(gen.Maker):
    depth = 0

    def fill(self, name):
        r = self.random
        if name == "P":
            return self.pick(BIG)
        if name == "W":
            return self.pick(WORDS)
        roll = r.randrange(100)
        for share, table in ((14, NAMES), (26, SECRET), (38, OPEN)):
            if roll < share and name in table:
                return self.pick(table[name])
        if roll < 50 and self.depth < 2 and name in "SNBLMX":
            self.depth += 1
            inner = self.make(self.pick(TEMPLATES))
            self.depth -= 1
            return "(" + inner + ")"
        return super().fill(name)


def expressions(seed=2, count=3000):
    maker, seen, out = Maker(seed), set(), []
    for i in range(count * 20):
        if len(out) == count:
            break
        e = maker.make(TEMPLATES[i % len(TEMPLATES)])
        if "${{" in e or e in seen or "\t" in e or "\n" in e or len(e) > 600:
            continue
        seen.add(e)
        out.append(e)
    return out


def conversions(seed=2, count=800):
    """Pairs of a type and a value: every type with every value, in an order of the seed's."""
    pairs = [(t, v) for t in TYPES for v in VALUES]
    random.Random(seed).shuffle(pairs)
    return pairs[:count]


if __name__ == "__main__":
    for line in expressions(*[int(x) for x in sys.argv[1:]]):
        print(line)
