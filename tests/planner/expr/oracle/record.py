"""Asks Terraform for the generated expressions and writes cases.tsv and known.tsv beside this file.

Usage: record.py PATH_OF_expr_say
An expression whose answers differ goes to known.tsv: expression, Terraform's answer, ours. The test fails when
one of ours changes, and README.md says why each kind differs.
"""
import os
import subprocess
import sys

import ask
import gen

HERE = os.path.dirname(os.path.abspath(__file__))


def ours(say, expressions):
    run = subprocess.run([say], input="".join(e + "\n" for e in expressions), text=True,
                         capture_output=True, check=True)
    return [line.split("\t", 1)[1] for line in run.stdout.splitlines()]


def main():
    expressions = gen.expressions(seed=1, count=3000)
    theirs = ask.answers(expressions, gen.FILES)
    mine = ours(sys.argv[1], expressions)
    with open(os.path.join(HERE, "cases.tsv"), "w", encoding="utf-8") as cases, \
            open(os.path.join(HERE, "known.tsv"), "w", encoding="utf-8") as known:
        for e, t, o in zip(expressions, theirs, mine):
            if t == "?":  # an untyped null makes Terraform's answer unknown
                continue
            if t == o:
                cases.write("%s\t%s\n" % (e, t))
            else:
                known.write("%s\t%s\t%s\n" % (e, t, o))


if __name__ == "__main__":
    main()
