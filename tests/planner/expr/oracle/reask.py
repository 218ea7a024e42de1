"""Asks the installed Terraform again for a sample of the recorded answers; exit 1 when one differs.

Usage: reask.py [EVERY]: every so manieth case, 10 when not given.
"""
import os
import shutil
import sys

import ask
import gen

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    if not shutil.which("terraform"):
        print("terraform is not installed: nothing asked")
        return 77
    every = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with open(os.path.join(HERE, "cases.tsv"), encoding="utf-8") as f:
        rows = [line.rstrip("\n").split("\t") for line in f][::every]
    wrong = 0
    for (e, recorded), now in zip(rows, ask.answers([r[0] for r in rows], gen.FILES)):
        if recorded != now:
            wrong += 1
            print("%s\n  recorded %s\n  now      %s" % (e, recorded, now))
    print("%d asked, %d differ" % (len(rows), wrong))
    return 1 if wrong or len(rows) < 100 else 0


if __name__ == "__main__":
    sys.exit(main())
