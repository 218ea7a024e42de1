#!/usr/bin/env python3
"""Hostile files of 4 MiB: each is refused, with a place and few words, within a second of processor time (here: five) and 256 MiB.

Each is read as a template, some also as a document of Azure ML and by fmt; the kernel counts what the process took.
"""
import os

from support import *

MIB = 1 << 20
SIZE = 4 * MIB


def fill(unit, before="", after=""):
    unit, room = unit.encode(), SIZE - len(before) - len(after)
    return before.encode() + (unit * (room // len(unit) + 1))[:room // len(unit) * len(unit)] + after.encode()


def numbered(pattern, before=""):
    out, n, i = [before.encode()], len(before), 0
    while True:
        line = (pattern % i).encode()
        n += len(line)
        if n > SIZE:
            return b"".join(out)
        out.append(line)
        i += 1


def laughs():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join(['*a%d' % (i - 1)] * 10)}]" for i in range(1, 12)]
    return fill("# nothing\n", "\n".join(lines) + "\n")


def expression(text, around="locals: { x: '%s' }\n"):
    """One scalar of nearly 1 MiB: larger ones are refused for their size."""
    before, _, after = around.partition("%s")
    return (before + (text * (MIB // len(text)))[:MIB - 64] + after).encode()


# Made one at a time: what the parent holds would count as the child's.
HOSTILE = {
    "brackets": lambda: fill("["), "braces": lambda: fill("{"), "pairs": lambda: fill("{a: "), "items": lambda: fill("- "), "questions": lambda: fill("? "),
    "brackets, line by line": lambda: fill("[\n"), "closed brackets": lambda: fill("[],", "a: [", "]"), "closed braces": lambda: fill("{},", "a: [", "]"),
    "deep flow, again and again": lambda: fill("[" * 70 + "]" * 70 + ",", "a: [", "]"),
    "indentation": lambda: b"".join(b" " * i + b"a:\n" for i in range(2800)),
    "anchors": lambda: numbered("- &a%d x\n"), "anchors on anchors": lambda: numbered("- &a%d [ &b x ]\n"),
    "aliases": lambda: fill("- *a\n", "- &a [1, 2, 3]\n"), "aliases of a large list": lambda: fill("- *a\n", "- &a [" + "1," * 50000 + "1]\n"),
    "aliases of aliases": lambda: laughs(), "unknown aliases": lambda: fill("- *b\n"),
    "merges": lambda: fill("- <<: *a\n", "- &a {" + ",".join(f"k{i}: 1" for i in range(2000)) + "}\n"),
    "merges of merges": lambda: numbered("a%d: &a%%d {<<: *a, k%%d: 1}\n".replace("%%d", "%%"), "a: &a {x: 1}\n").replace(b"%", b""),
    "one long word": lambda: fill("a"), "one long quoted word": lambda: fill("a", '"', '"'), "escapes": lambda: fill("\\u0041", 'a: "', '"'),
    "a quote that stays open": lambda: fill("a\n", 'a: "'), "a long key": lambda: fill("a", "", ": 1"), "a literal": lambda: fill("  x\n", "a: |\n"),
    "many keys": lambda: numbered("key%d: 1\n"), "many keys in one mapping": lambda: numbered("  k%d: 1\n", "locals:\n"),
    "the same key": lambda: fill("aaaaa: 1\n"), "the same resource": lambda: fill("    a: {}\n", "resources:\n  thing:\n"),
    "many values": lambda: fill("- 1\n"), "many documents": lambda: fill("---\n"), "many directives": lambda: fill("%TAG !a! !\n"),
    "tags": lambda: fill("- !x 1\n"), "comments": lambda: fill("# x\n"), "blanks": lambda: fill(" "), "blank lines": lambda: fill("\n"), "tabs": lambda: fill("\t"),
    "commas": lambda: fill(",", "a: ["), "colons": lambda: fill(":"), "dashes": lambda: fill("-"), "bytes that are no text": lambda: b"\xff" * SIZE, "nothing": lambda: b"\0" * SIZE,
    "more than 4 MiB": lambda: fill("# x\n") + b"\n" * 64,
    "many bad resources": lambda: numbered("    a%d: {count: 1, for_each: {}, nmae: 1}\n", "resources:\n  thing:\n"),
    "many bad names": lambda: numbered("    %d: {}\n", "resources:\n  thing:\n"),
    "many bad expressions": lambda: numbered('  a%d: "${1 +}"\n', "locals:\n"), "many references": lambda: numbered('  a%d: "${local.b}"\n', "locals:\n"),
    "brackets in an expression": lambda: expression("[", "locals: { x: '${%s}' }\n"),
    "calls in an expression": lambda: expression("upper(", "locals: { x: '${%s}' }\n"),
    "templates in templates": lambda: expression('"${'), "interpolations": lambda: expression("${1}"), "directives": lambda: expression("%{if true}"),
    "operators": lambda: expression("1+", "locals: { x: '${%s1}' }\n"), "a long reference": lambda: expression("a.", "locals: { x: '${%sa}' }\n"),
    "minus signs": lambda: expression("-", "locals: { x: '${%s1}' }\n"), "open foreign expressions": lambda: expression("${{"),
    "steps of a pipeline": lambda: numbered("  s%d: {command: 'x ${{parent.jobs.s1.outputs.o}}', environment: 'azureml:e:1'}\n",
                                    "type: pipeline\njobs:\n"),
    "unknown fields of a document": lambda: numbered("k%d: 1\n", "$schema: https://x/azureml/latest/commandJob.schema.json\n"),
}

EVERY_READER = {"brackets", "anchors", "aliases", "merges", "many keys", "escapes", "steps of a pipeline",
                "unknown fields of a document"}


class Budgets(Case):
    def cost(self, *args):
        """Exit code, processor seconds and MiB of one run, as the kernel counted them, and what it said."""
        with open(self.path("said"), "wb") as said:
            process = subprocess.Popen([PROGRAM, *args], cwd=self.dir, stdin=subprocess.DEVNULL, stdout=said,
                                       stderr=subprocess.STDOUT, env=self.environment())
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        with open(self.path("said"), "rb") as said:
            return process.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, said.read()

    def refused(self, name, *args, codes=(1,)):
        code, seconds, mib, said = self.cost(*args)
        what = f"{name}: {' '.join(args)}: exit {code}, {seconds:.2f} s, {mib:.0f} MiB\n{said[:600]!r}"
        self.assertIn(code, codes, what)
        if slow() == 1:  # the budgets are those of the program as it is shipped
            self.assertLess(seconds, 5, what)  # machines differ: a loop without end is what this finds
            self.assertLess(mib, 256, what)
        self.assertLess(len(said), 200000, what)
        return seconds, mib

    def test_each_is_refused_in_time(self):
        worst = ((0, ""), (0, ""))
        harmless = {"comments", "blanks", "blank lines"}  # as a template they are an empty one; fmt takes all that is YAML
        for name, make in HOSTILE.items():
            with self.subTest(name):
                content = make()
                os.makedirs(self.path("t"), exist_ok=True)
                with open(self.path("t/main.yaml"), "wb") as f:
                    f.write(content)
                codes = (0, 1) if name in harmless or content.startswith(b"locals") else (1,)
                worst = tuple(max(w, (now, name)) for w, now in zip(worst, self.refused(name, "-dir=t", "validate", codes=codes)))
                if name in EVERY_READER:
                    self.refused(name, "validate", "-no-paths", "t/main.yaml", codes=(0, 1))
                    self.refused(name, "fmt", "-check", "t/main.yaml", codes=(0, 1, 3))
        print(f"{len(HOSTILE)} files, the worst as a template: {worst[0][0]:.2f} s ({worst[0][1]}), {worst[1][0]:.0f} MiB ({worst[1][1]})")


if __name__ == "__main__":
    main()
