#!/usr/bin/env python3
"""Adds up the results of `./dev test`: build/PRESET/junit.xml of each preset named.

Names what failed and what was skipped (also single cases inside a cmocka program), and ends with one line:
N passed, N failed, N skipped. Exits 1 when anything failed or a preset left no results.
"""
import os
import re
import sys
import xml.etree.ElementTree as xml


def read(preset):
    """Yields (name, outcome, output) of each test of one preset."""
    path = os.path.join("build", preset, "junit.xml")
    if not os.path.exists(path):
        yield "the build", "failed", ""
        return
    empty = True
    for case in xml.parse(path).getroot().iter("testcase"):
        empty = False
        skipped = case.find("skipped")
        if case.get("status") == "run":
            outcome = "passed"
        elif skipped is not None and skipped.get("message", "").startswith("SKIP_"):
            outcome = "skipped"
        else:
            outcome = "failed"
        yield case.get("name"), outcome, case.findtext("system-out") or ""
    if empty:
        print(f"{preset}: no test matches")


def main(presets):
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for preset in presets:
        for name, outcome, output in read(preset):
            total[outcome] += 1
            if outcome != "passed":
                print(f"{outcome}: {preset}: {name}")
            for case in re.findall(r"^\[  SKIPPED \] (?!\d+ test)(\S+)$", output, re.M):
                if outcome == "passed":
                    print(f"skipped inside: {preset}: {name}: {case}")
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**total))
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
