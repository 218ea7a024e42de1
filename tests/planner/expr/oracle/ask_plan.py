"""Asks `terraform plan` for the values of many expressions at once: with what is unknown and what is sensitive.

An answer is JSON in which `?` stands for what is not known and `$(...)` around what is sensitive; `!` alone means
that the expression is refused.
"""
import json
import os
import subprocess
import tempfile

import gen
import gen_flow


def text(value):
    """As jsonencode() writes it."""
    out = json.dumps(value, ensure_ascii=False)
    for c in "<>&\u2028\u2029":
        out = out.replace(c, "\\u%04x" % ord(c))
    return out


def render(value, unknown, sensitive):
    if sensitive is True:
        return "$(" + render(value, unknown, False) + ")"
    if unknown is True:
        return "?"
    if isinstance(value, list) or isinstance(unknown, list):
        n = max(len(x) if isinstance(x, list) else 0 for x in (value, unknown))
        at = lambda x, i: x[i] if isinstance(x, list) and i < len(x) else None
        return "[" + ",".join(render(at(value, i), at(unknown, i), at(sensitive, i)) for i in range(n)) + "]"
    if isinstance(value, dict) or isinstance(unknown, dict):
        maps = [x if isinstance(x, dict) else {} for x in (value, unknown, sensitive)]
        keys = sorted(set(maps[0]) | set(maps[1]), key=lambda k: k.encode())
        return "{" + ",".join(text(k) + ":" + render(*[m.get(k) for m in maps]) for k in keys) + "}"
    if isinstance(value, Number):
        return str(value)
    return text(value)


class Number(str):
    """The digits as they stand there."""


def terraform(folder, *args):
    env = dict(os.environ, CHECKPOINT_DISABLE="1", TF_IN_AUTOMATION="1", TF_CLI_CONFIG_FILE=os.path.join(folder, "rc"), TZ="UTC")
    return subprocess.run(["terraform", *args], cwd=folder, env=env, capture_output=True, text=True, timeout=300)


def plan(blocks):
    """Answers for blocks {name: (line of main.tf.json, ...)}; those that are refused are left out and asked no more."""
    refused = set()
    with tempfile.TemporaryDirectory() as folder:
        open(os.path.join(folder, "rc"), "w").close()
        for name, content in gen.FILES.items():
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(content)
        with open(os.path.join(folder, "main.tf.json"), "w", encoding="utf-8") as f:
            f.write("[" + FIXED + "]\n")
        if terraform(folder, "init").returncode:
            raise RuntimeError("terraform init failed")
        for _ in range(400):
            names = [n for n in blocks if n not in refused]
            by_line = {}
            with open(os.path.join(folder, "main.tf.json"), "w", encoding="utf-8") as f:
                f.write("[" + FIXED)
                line = FIXED.count("\n") + 1
                for n in names:
                    for part in blocks[n]:
                        line += 1
                        by_line[line] = n
                        f.write(",\n" + json.dumps(part))
                f.write("]\n")
            run = terraform(folder, "plan", "-json", "-out=plan", "-parallelism=1")
            said = [json.loads(x) for x in run.stdout.splitlines() if x.startswith("{")]
            bad = {by_line.get(m["diagnostic"].get("range", {}).get("start", {}).get("line"))
                   for m in said if m["type"] == "diagnostic" and m["diagnostic"]["severity"] == "error"}
            if not bad:
                break
            if bad == {None}:
                raise RuntimeError([m["diagnostic"] for m in said if m["type"] == "diagnostic"][:3])
            refused |= bad - {None}
        shown = json.loads(terraform(folder, "show", "-json", "plan").stdout, parse_float=Number, parse_int=Number)
    out = {}
    for r in shown["resource_changes"]:
        c = r["change"]
        out[r["name"]] = render(*[(c.get(k) or {}).get("input") if isinstance(c.get(k), dict) else c.get(k)
                                  for k in ("after", "after_unknown", "after_sensitive")])
    return out


FIXED = ",\n".join(
    [json.dumps({"resource": {"terraform_data": {"u": {"input": "v"}, "d": {"input": "${jsondecode(terraform_data.u.id)}"}}}})] +
    [json.dumps({"variable": {n: {"type": t, "default": json.loads(v), "sensitive": s, "nullable": True}}})
     for n, (t, v, s) in gen_flow.VARIABLES.items()])


def answers(expressions):
    got = plan({f"e{i}": [{"resource": {"terraform_data": {f"e{i}": {"input": "${" + e + "}"}}}}] for i, e in enumerate(expressions)})
    return [got.get(f"e{i}", "!") for i in range(len(expressions))]


def conversions(pairs):
    if len(pairs) > 200: # many wrong variables take it long
        return conversions(pairs[:200]) + conversions(pairs[200:])
    got = plan({f"e{i}": [{"variable": {f"v{i}": {"type": t, "default": json.loads(v)}},
                           "resource": {"terraform_data": {f"e{i}": {"input": "${var.v%d}" % i}}}}] for i, (t, v) in enumerate(pairs)})
    return [got.get(f"e{i}", "!") for i in range(len(pairs))]


if __name__ == "__main__":
    import sys
    lines = [line.rstrip("\n") for line in sys.stdin if line.strip()]
    for line, answer in zip(lines, answers(lines)):
        print(line + "\t" + answer)
