"""Asks Terraform for the generated expressions and writes their answers beside this file.

Usage: record.py PATH_OF_expr_say
cases.tsv has those of gen.py, flows.tsv those of gen_flow.py behind rows for the variables in them, types.tsv the
conversions. Where the answers differ a line goes to known.tsv or flows_known.tsv instead: expression, Terraform's
answer, ours, and the row of docs/language.md that says why. An expression that fits no row ends the recording.
"""
import os
import re
import subprocess
import sys

import ask
import ask_plan
import gen
import gen_flow

HERE = os.path.dirname(os.path.abspath(__file__))
SAY = sys.argv[1]


def path(name):
    return os.path.join(HERE, name)


def ours(lines, *args):
    run = subprocess.run([SAY, *args], input="".join(e + "\n" for e in lines), text=True, capture_output=True, check=True)
    return [line.rsplit("\t", 1)[1] for line in run.stdout.splitlines()]


def bare(answer):
    return answer.replace("$(", "").replace(")", "")


# The first row whose test holds: name in docs/language.md, test of expression, Terraform's answer, ours.
REASONS = [
    ("`&&` and `||`", lambda e, t, o: "&&" in e or "||" in e),
    ("negative zero", lambda e, t, o: t == "-0" and o == "0"),
    ("texts with U+0000", lambda e, t, o: "\\u0000" in t),
    ("`cidrsubnets` of everything", lambda e, t, o: e.startswith("cidrsubnets")),
    ("`element` from the end", lambda e, t, o: "element(" in e and "-" in e and t == "!"),
    ("`format` of null", lambda e, t, o: e.startswith("format(") and "null" in e),
    ("known sooner", lambda e, t, o: "?" in t and ("?" not in o or o == "!")),
    ("known later", lambda e, t, o: "?" in o and "?" not in t and t != "!" or t == "[?]"),
    ("sensitive a little wider", lambda e, t, o: bare(t) == bare(o) and o.count("$(") > t.count("$(")),
    ("`can` and `try` of what can never be", lambda e, t, o: re.search(r"(can|try)\(terraform_data\.u\.id\.a", e) and t == "!"),
    ("no static types", lambda e, t, o: re.search(r" \? |lookup\(|tolist\(|toset\(|concat\(|try\(|join\(", e)),
]


def reason(e, t, o):
    for name, holds in REASONS:
        if holds(e, t, o):
            return name
    raise SystemExit(f"no row explains\n{e}\n  theirs {t}\n  ours   {o}")


def write(name, lines):
    with open(path(name), "w", encoding="utf-8") as f:
        f.writelines("\t".join(x) + "\n" for x in lines)


def keep(name, known, before, rows):
    write(name, before + [(e, t) for e, t, o in rows if t == o])
    write(known, [(e, t, o, reason(e, t, o)) for e, t, o in rows if t != o])


def main():
    lines = gen.expressions(seed=1, count=3000)
    rows = zip(lines, ask.answers(lines, gen.FILES), ours(lines))
    keep("cases.tsv", "known.tsv", [], [r for r in rows if r[1] != "?"])  # "?": an untyped null makes it unknown

    variables = [(n, t, v, "secret" if s else "") for n, (t, v, s) in gen_flow.VARIABLES.items()]
    write("variables.tsv", variables)
    lines = gen_flow.expressions(seed=2, count=3000)
    keep("flows.tsv", "flows_known.tsv", [], list(zip(lines, ask_plan.answers(lines), ours(lines, path("variables.tsv")))))

    pairs = gen_flow.conversions(seed=2, count=1000)
    got = zip(pairs, ask_plan.conversions(pairs), ours(["\t".join(p) for p in pairs], path("variables.tsv")))
    write("types.tsv", [(*p, t, *([o] if t != o else [])) for p, t, o in got])


if __name__ == "__main__":
    main()
