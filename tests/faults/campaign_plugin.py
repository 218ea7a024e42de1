"""A plugin that misbehaves around one change, before it takes effect or after: it crashes, hangs, lies, floods.

The engine lives, the deadline holds, the operation is settled in this run or by the next one.
"""
import os
import re
import time

from world import BUILD, CLASSES, SOURCE, Prepared, Violation

SIM = os.path.join(BUILD, "lib/mlops-iac/providers/sim.so")
SHAKY = os.path.join(BUILD, "tests/shaky")
# Seconds. A deadline that is not kept is one of 1200 (the default), or none: no load makes the one look like the other.
DEADLINE, SLACK = 1, 100


def ways():
    with open(os.path.join(SOURCE, "tests/faults/shaky.c"), encoding="utf-8") as f:
        table = f.read().split("} ways[] = {", 1)[1].split("};", 1)[0]
    return re.findall(r'\{"([^"]+)"', table)


def template(verb, kind, version):
    """`victim` meets the fault in the second version, by the verb."""
    timeouts = f"timeouts: {{ create: {DEADLINE}s, update: {DEADLINE}s, delete: {DEADLINE}s }}"
    # A block that is gone takes its timeouts with it: what is deleted here is replaced.
    others = "    other: { count: 3, inputs: { who: \"other-${count.index}\", v: VERSION } }\n"
    change = {"create": "", "update": f", v: {version}", "delete": ""}[verb]
    # The others come first, so that a run that fails has changed the state.
    victim = f"    victim: {{ depends_on: [{kind}.other], {timeouts}, triggers: {version * (verb == 'delete')}, inputs: {{ who: victim{change} }} }}\n"
    there = verb != "create" or version == 2
    return f"resources:\n  {kind}:\n" + others.replace("VERSION", str(version)) + (victim if there else "")


def campaign(c):
    env = {"FAULTS_SIM": SIM, "MLOPS_IAC_PLUGIN_DIR": SHAKY}
    cases = [(how, when, verb, kind) for how in c.chosen(ways()) for when in ("before", "after")
             for verb in ("create", "update", "delete") for kind in CLASSES
             # Nobody can tell a wrong id of a new object from a right one.
             if (how, verb) != ("wrong id", "create")]
    chosen = c.sample(cases, {"ci": 11, "planted": 30}.get(c.mode, 60))
    # Always: what was done by a plugin that cannot be asked any more.
    chosen += [case for case in cases if case[:3] == ("gone for good", "after", "create") and case not in chosen]
    worlds = {key: Prepared(first=template(*key, 1), second=template(*key, 2), env=env)
              for key in sorted({(verb, kind) for _, _, verb, kind in chosen})}

    def misdeed(case):
        how, when, verb, kind = case
        return c.trial(f"{how} {when} {verb} of {kind}", one, worlds[verb, kind], how, when)

    try:
        codes = c.each("misdeeds", chosen, misdeed)
    finally:
        for prepared in worlds.values():
            prepared.close()
    c.note(f"{len(chosen)} of {len(cases)} misdeeds: {codes.count(0)} settled at once, {codes.count(1)} by the next run")


def one(prepared, how, when):
    with prepared.trial("plugin") as w:
        started = time.monotonic()
        once = {"FAULTS_HOW": how, "FAULTS_WHEN": when, "FAULTS_ONCE": w.path("once")}
        done = w.apply(env=once)
        took = time.monotonic() - started
        if done.code not in (0, 1):
            raise Violation(f"the engine exits {done.code}: {done.out[-300:]}")
        if not os.path.exists(w.path("once")):
            raise Violation(f"the fault was not met: {done.out[-300:]}")
        if "\x1b" in done.out:
            raise Violation("a control character of the plugin was printed")
        if took > DEADLINE + SLACK:
            raise Violation(f"it took {took:.1f} s with a deadline of {DEADLINE} s")
        if done.code == 0:
            w.consistent()
        prepared.converge(w, tries=1)
        return done.code
