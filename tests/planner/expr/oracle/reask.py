"""Asks the installed Terraform again for a sample of the recorded answers and for the names of its functions; exit 1 when
one differs or is missing.

Usage: reask.py [EVERY]: every so manieth case, 10 when not given.
"""
import json
import os
import re
import shutil
import subprocess
import sys

import ask
import ask_plan
import gen

HERE = os.path.dirname(os.path.abspath(__file__))


def rows(name, every):
    with open(os.path.join(HERE, name), encoding="utf-8") as f:
        return [line.rstrip("\n").split("\t") for line in f][::every]


def sample(name, every, answers):
    """How many of the recorded answers are not given any more."""
    recorded = rows(name, every)
    wrong = 0
    for (e, then), now in zip(recorded, answers([r[0] for r in recorded])):
        if then != now:
            wrong += 1
            print("%s\n  recorded %s\n  now      %s" % (e, then, now))
    print("%s: %d asked, %d differ" % (name, len(recorded), wrong))
    return wrong + (not recorded)


def missing():
    """Its functions that the table of ours does not have."""
    run = subprocess.run(["terraform", "metadata", "functions", "-json"], capture_output=True, text=True, check=True)
    with open(os.path.join(HERE, "../../../../planner/expr/functions.def"), encoding="utf-8") as f:
        ours = set(re.findall(r"^FUNCTION\(\s*(\w+),", f.read(), re.M))
    theirs = {name.removeprefix("core::") for name in json.loads(run.stdout)["function_signatures"]}
    print("%d functions, missing here: %s" % (len(theirs), sorted(theirs - ours) or "none"))
    return len(theirs - ours) + (len(theirs) < 110)


def main():
    if not shutil.which("terraform"):
        print("terraform is not installed: nothing asked")
        return 77
    every = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    wrong = missing() + sample("cases.tsv", every, lambda e: ask.answers(e, gen.FILES)) + sample("flows.tsv", every * 4, ask_plan.answers)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
