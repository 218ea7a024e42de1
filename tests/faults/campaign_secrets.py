"""Canaries in sensitive variables, inputs, names and provider settings: found nowhere but in the cloud itself.

Looked for as they are, escaped for JSON and URLs, in base64 and in hex: in every file beside the template, in what is
printed and logged, in the argument lists and environments of children, in core files.
"""
import base64
import json
import os
import resource
import signal
import time
import urllib.parse

from world import PROGRAM, Prepared, Violation

CANARIES = {"first": 'canary"one/7+x\\q-4411', "second": "canary-two?=&%5508", "third": "canary_three_99173355",
            "setting": "canary-setting-60077"}

TEMPLATE = """
variables:
  first: { type: string, sensitive: true }
  second: { type: string, sensitive: true }
  third: { type: string, sensitive: true }
  setting: { type: string, sensitive: true }
resources:
  thing:
    plain: { name: plain, secret: "${var.first}", inputs: { who: plain, v: VERSION } }
    inside: { inputs: { who: inside, password: "${var.second}", list: ["${var.third}", 1], both: "x-${var.first}-y" } }
    changed: { name: changed, secret: "${var.SECRET}", inputs: { who: changed } }
    replaced: { triggers: "${var.SECRET}", inputs: { who: replaced } }
  thing_a:
    named: { name: "${var.third}", inputs: { who: named } }
  thing_c:
    marked: { inputs: { who: marked, token: "${var.second}", v: VERSION } }
outputs:
  token: { value: "${thing.plain.secret}", sensitive: true }
"""
SETTING = 'latency_ms: 150, fail: [{ op: delete, name: "${var.setting}", times: 1 }]'
ENV = {f"MLOPS_IAC_VAR_{name}": value for name, value in CANARIES.items()}


def template(w, version, more="", sim=SETTING):
    text = TEMPLATE.replace("VERSION", str(version)).replace("SECRET", "second" if version == 1 else "third")
    w.template(text.replace("  thing_a:", more + "  thing_a:"), sim)


def forms(value):
    raw = value.encode()
    yield from {raw, json.dumps(value)[1:-1].encode(), urllib.parse.quote(value, safe="").encode(),
                base64.b64encode(raw).rstrip(b"=")[:-2], raw.hex().encode()}


def look(where, data):
    for name, value in CANARIES.items():
        for form in forms(value):
            if form in data:
                at = data.index(form)
                raise Violation(f"the canary \"{name}\" is in {where}: {data[max(0, at - 60):at + len(form) + 20]!r}")


def look_everywhere(w):
    for folder, _, names in os.walk(w.dir):
        for name in names:
            if name.startswith("cloud.db"):  # the cloud has them, of course
                continue
            with open(os.path.join(folder, name), "rb") as f:
                look(os.path.relpath(os.path.join(folder, name), w.dir), f.read())


def descendants(pid):
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                for child in f.read().split():
                    yield int(child)
                    yield from descendants(int(child))
    except OSError:
        return


def look_at_children(process):
    """How many children were looked at."""
    seen = set()
    while process.poll() is None:
        for child in descendants(process.pid):
            for what in ("cmdline", "environ"):
                try:
                    if os.readlink(f"/proc/{child}/exe") == os.path.realpath(PROGRAM):
                        continue  # it is being started, and is still a copy of its parent
                    with open(f"/proc/{child}/{what}", "rb") as f:
                        data = f.read()
                except OSError:
                    continue
                seen.add(child)
                look(f"{what} of a child", data)
        time.sleep(0.03)
    return len(seen)


def says(w, *args, code=0, **how):
    env = {**ENV, "MLOPS_IAC_LOG": "trace", **how.pop("env", {})}
    done = w.run(*args, env=env, **how)
    look(f"what `{' '.join(args)}` prints", done.out.encode())
    look_everywhere(w)
    if code is not None and done.code != code:
        raise Violation(f"`{' '.join(args)}` exits {done.code}: {done.out[-400:]}")
    return done


def campaign(c):
    base = Prepared(big=False)  # proves that the program works at all
    try:
        for name, fn in (("everyday", everyday), ("failures", failures), ("killed", killed), ("children", children),
                         ("core of the engine", core_engine), ("core of a plugin", core_plugin)):
            with base.trial(name.replace(" ", "-")) as w:
                for entry in os.listdir(w.dir):
                    if entry.startswith("cloud.db"):
                        os.unlink(w.path(entry))
                os.rename(w.path(".state"), w.path("old-state"))
                template(w, 1)
                c.trial(name, fn, w)
    finally:
        base.close()
    c.note(f"{len(CANARIES)} canaries in {len(set(f for v in CANARIES.values() for f in forms(v)))} forms")


def everyday(w):
    says(w, "validate")
    says(w, "plan", "-out=first.plan")
    says(w, "show", "first.plan")
    says(w, "show", "-json", "first.plan")
    says(w, "apply", "first.plan")
    template(w, 2)
    says(w, "plan")
    says(w, "plan", "-json")
    says(w, "explain", "thing.changed", code=None)
    says(w, "apply", "-auto-approve", "-json", env={"MLOPS_IAC_LOG_PATH": w.path("it.log")})
    says(w, "show")
    says(w, "output")
    for address in ("thing.plain", "thing.inside", "thing_a.named", "thing_c.marked"):
        says(w, "state", "show", address)
    for words in (("pull",), ("list",), ("history",), ("fsck",)):
        says(w, "state", *words)
    says(w, "graph")
    says(w, "drift", code=None)
    says(w, "plan", "-detailed-exitcode")
    says(w, "destroy", "-auto-approve", env={**ENV, "MLOPS_IAC_LOG_PATH": w.path("it.log")}, code=None)


# A name that is taken, told by the cloud; a create that fails; a condition that is decided when `fresh` is there.
FAILING = """
    twice: {{ name: "${{var.third}}", inputs: {{ who: twice }} }}
    again: {{ name: "${{var.third}}", depends_on: [thing.twice], inputs: {{ who: again }} }}
    fails: {{ fail: create, secret: "${{var.first}}", inputs: {{ who: fails, x: "${{var.second}}" }} }}
    fresh: {{ triggers: {0}, inputs: {{ who: fresh }} }}
    judged: {{ inputs: {{ who: judged }}, lifecycle: {{ precondition: [{{ condition: "${{{1} == var.second}}",
              error: "not ${{var.third}}, {1}" }}] }} }}
"""


def meets(done, *texts):
    """What was to go wrong did: nothing stopped the run before."""
    said = " ".join(done.out.replace("\\n", " ").split())
    for text in texts:
        if text not in said:
            raise Violation(f"\"{text}\" is not met: {said[-2000:]}")


def failures(w):
    says(w, "apply", "-auto-approve")
    template(w, 2, FAILING.format(0, "var.first").lstrip("\n"))
    meets(says(w, "plan", code=1), "the condition does not hold")
    for n, options in enumerate(((), ("-json",)), 1):
        template(w, 2, FAILING.format(n, "thing.fresh.id").lstrip("\n"))
        done = says(w, "apply", "-auto-approve", *options, code=1)
        meets(done, "is taken", "refuses this create", "the condition does not hold")
    # A cloud that quotes what it was sent, in its error and in the log.
    template(w, 2, "    quoted: { name: quoted, secret: \"${var.first}\", inputs: { who: quoted, token: \"${var.second}\" } }\n",
             sim=SETTING[:-1] + ", { op: create, name: quoted, code: reality, quote: true }]")
    for options in ((), ("-json",)):
        meets(says(w, "apply", "-auto-approve", *options, code=1), "refuses this create: ")


def killed(w):
    template(w, 1, sim=SETTING.replace("150", "2000"))  # long enough for any machine to look in the middle
    process = w.start("apply", "-auto-approve", "-parallelism=2", env={**ENV, "MLOPS_IAC_LOG": "trace"})
    until = time.monotonic() + 100
    while not os.path.exists(w.state("journal")) and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.25)
    os.killpg(process.pid, signal.SIGKILL)
    out, _ = process.communicate()
    look("what the killed apply printed", out.encode())
    if not os.path.exists(w.state("journal")):
        raise Violation("no journal is left to be looked at")
    look_everywhere(w)
    done = says(w, "apply", "-auto-approve", code=None)
    # The journal holds no secrets, so what could not be found again is made by this apply, not by the recovery.
    if done.code:
        says(w, "apply", "-auto-approve")
    w.consistent()


def children(w):
    process = w.start("apply", "-auto-approve", env={**ENV, "MLOPS_IAC_LOG": "trace"})
    try:
        if look_at_children(process) == 0:
            raise Violation("no child was seen")
    finally:
        done = w.finish(process)
    if done.code:
        raise Violation(f"apply fails: {done.out[-300:]}")


def unlimited():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def core_engine(w):
    process = w.start("apply", "-auto-approve", env=ENV, preexec_fn=unlimited)
    until = time.monotonic() + 100
    while not os.path.exists(w.state("journal")) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGABRT)
    w.finish(process)
    look_everywhere(w)


def core_plugin(w):
    template(w, 1, sim=SETTING + ", crash: create")
    says(w, "apply", "-auto-approve", code=1, preexec_fn=unlimited)
