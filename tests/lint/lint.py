#!/usr/bin/env python3
"""What a machine can check about the sources. usage: lint.py CHECK [--build DIR], CHECK one of the functions below.

Prints one line for each finding, `file:line: what is wrong`, and exits 1 when there is one.
"""
import argparse
import functools
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = "tests/lint"

# The line of rooms: what the files of a folder may include, beside the folder itself. The longest prefix counts.
SDK, ABI = "providers/sdk", "providers/abi"
ENGINE = ["planner/expr", "planner/template", "planner/graph", "planner/change", "planner/run"]
MAY_INCLUDE = {
    "providers/abi": [],
    "providers/sdk": [ABI],
    "providers/host": [SDK, ABI],
    "providers/environment": [SDK],
    "providers": [SDK, ABI],  # a plugin
    "state": [SDK],
    "planner/expr": [SDK],
    "planner/template": [*ENGINE[:1], SDK],
    "planner/graph": [*ENGINE[:2], SDK],
    "planner/change": [*ENGINE[:3], "state", "providers/host", SDK, ABI],
    "planner/run": [*ENGINE[:4], "state", "providers/host", SDK, ABI],
    "cli": [*ENGINE, "state", "providers/host", "providers/environment", SDK, ABI],
}
# banned.h poisons these where it is included; here they are looked for in all sources, and their like in scripts.
BANNED_C = ("strcpy strcat strncpy strncat sprintf vsprintf strtok atoi atol atoll atof gmtime localtime ctime asctime "
            "mktemp tmpnam tempnam system popen gets").split()
BANNED_PY = [r"\bos\.system\(", r"\bos\.popen\(", r"\bshell\s*=\s*True\b", r"\beval\(", r"\bexec\(", r"\bpickle\.loads?\("]
BANNED_SH = [r"^\s*eval\s", r"\bmktemp -u\b", r"\bpkill\b", r"\bkillall\b", r"curl\b.*\| *(ba)?sh\b"]
FILE_LINES, FUNCTION_LINES = 700, 70


@functools.lru_cache(None)
def files():
    """Paths of the tree's own files, relative to it."""
    git = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True)
    if git.returncode == 0 and git.stdout:
        found = git.stdout.split("\0")
    else:
        found = []
        for folder, inner, names in os.walk(ROOT):
            inner[:] = [d for d in inner if d not in ("build", ".git", "__pycache__")]
            found += [os.path.relpath(os.path.join(folder, name), ROOT) for name in names]
    return sorted(f for f in found if f and os.path.isfile(os.path.join(ROOT, f)))


def text(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def c_files(headers_only=False):
    return [f for f in files() if f.endswith(".h" if headers_only else (".c", ".h"))]


def scripts(*words):
    """Files of a script language: by their name's end or by their first line."""
    ends = {"python": ".py", "bash": ".bash", "sh": ".sh"}
    for f in files():
        first = text(f).split("\n", 1)[0] if "." not in os.path.basename(f) or f == ".ci/run" else ""
        for word in words:
            if f.endswith(ends[word]) or re.match(rf"#!.*\b{word}[0-9.]*\b", first):
                yield f
                break


def code_only(source):
    """C without comments and the insides of string literals; the lines stay where they are."""
    def blank(match):
        kept = "".join(c if c == "\n" else " " for c in match.group(0))
        return kept if match.group(0)[0] == "/" else '"' + kept[2:] + '"'
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, source, flags=re.S)


def lines_matching(path, pattern, source=None):
    for number, line in enumerate((source or text(path)).split("\n"), 1):
        if re.search(pattern, line):
            yield number, line


def layering(_):
    for path in c_files():
        folder = os.path.dirname(path)
        room = max((r for r in MAY_INCLUDE if (folder + "/").startswith(r + "/")), key=len, default=None)
        if room is None:  # tests may include everything
            continue
        own = "/".join(folder.split("/")[:2]) if room == "providers" else room
        for number, line in lines_matching(path, r'^\s*#\s*include\s*"'):
            target = re.search(r'"([^"]+)"', line).group(1)
            if not os.path.exists(os.path.join(ROOT, target)):
                yield f'{path}:{number}: include "{target}" by its path from the top of the tree'
            elif not any(target.startswith(r + "/") for r in [own, *MAY_INCLUDE[room]]):
                yield f"{path}:{number}: {own} must not know {target}"


def banned(_):
    word = r"(?<![\w.>])(" + "|".join(BANNED_C) + r")\s*\("
    for path in c_files():
        for number, line in lines_matching(path, word, code_only(text(path))):
            yield f"{path}:{number}: {re.search(word, line).group(1)}() is banned"
    for names, patterns in ((["python"], BANNED_PY), (["bash", "sh"], BANNED_SH)):
        for path in scripts(*names):
            if path == f"{HERE}/lint.py":
                continue
            for pattern in patterns:
                for number, line in lines_matching(path, pattern):
                    yield f"{path}:{number}: banned in scripts: {line.strip()}"


def words(_):
    """Nothing unfinished is left, and nothing tells of the machine it was written on."""
    unfinished = r"\b(TODO|FIXME|XXX|HACK|TBD)\b"
    machine = r"(?<![\w.])/(work|root|Users)/|(?<![\w.])/home/(?!user\b|me\b|you\b)\w"
    for path in files():
        if path == f"{HERE}/lint.py" or path.endswith((".csv", ".pem")):
            continue
        for number, line in lines_matching(path, unfinished):
            yield f"{path}:{number}: unfinished: {line.strip()[:80]}"
        for number, line in lines_matching(path, machine):
            yield f"{path}:{number}: a path of one machine: {line.strip()[:80]}"


def shape(_):
    """Each C file says what it is in its first line; a header has its guard; no tabs, no blanks at a line's end."""
    for path in c_files():
        source = text(path)
        if not source.startswith((f"/* {path}: ", f"/*\n * {path}: ")):
            yield f"{path}:1: the first line says `/* {path}: what it is`"
        if path.endswith(".h") and "#pragma once" not in source and not path.startswith(ABI):
            yield f"{path}:1: #pragma once"
        for number, _ in lines_matching(path, r"\t|[ \t]$"):
            yield f"{path}:{number}: a tab, or blanks at the end of the line"


def compiles(header, *compiler):
    """What a compiler says about a header alone; "" when it is content."""
    # Included, not compiled itself: `#pragma once` in a main file is a warning.
    done = subprocess.run([*compiler, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I", ROOT, "-"], cwd=ROOT,
                          input=f'#include "{header}"\n', capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else ""


def headers(_):
    """Every header compiles alone; the plugin interface also as strict C99 and as C++."""
    gnu = ["gcc", "-x", "c", "-std=gnu17", "-D_GNU_SOURCE", '-DMIO_VERSION="0"', "-include", f"{SDK}/banned.h"]
    for path in c_files(headers_only=True):
        if said := compiles(path, *gnu):
            yield f"{path}:1: does not compile alone: {said}"
    abi = f"{ABI}/mlops_provider.h"
    for name, language, standard in (("gcc", "c", "c99"), ("g++", "c++", "c++11")):
        if not shutil.which(name):
            yield f"{abi}:1: {name} is missing: ./dev deps"
        elif said := compiles(abi, name, "-x", language, f"-std={standard}", "-pedantic-errors"):
            yield f"{abi}:1: as {standard}: {said}"


def table(name):
    """A file of this folder: `key value...` lines, # comments."""
    path = os.path.join(ROOT, HERE, name)
    with open(path, encoding="utf-8") as f:
        return [line.split(None, 2) for line in f if line.strip() and not line.startswith("#")]


def functions(path):
    """(name, lines) of each function: bodies whose braces stand alone in the first column."""
    start, name = None, "?"
    lines = code_only(text(path)).split("\n")
    for number, line in enumerate(lines):
        if line == "{":
            start = number
            head = " ".join(lines[max(0, number - 8):number])
            name = (re.findall(r"(\w+)\s*\(", re.split(r"[;}]", head)[-1]) or ["?"])[0]
        elif line == "}" and start is not None:
            yield name, number - start + 1
            start = None


def lengths(_):
    """Files and functions fit."""
    for path in c_files():
        sizes = [("-", text(path).count("\n"), FILE_LINES)]
        if not path.startswith("tests/"):
            sizes += [(name, n, FUNCTION_LINES) for name, n in functions(path)]
        for name, n, limit in sizes:
            if n > limit:
                yield f"{path}:1: {'the file' if name == '-' else name + '()'} has {n} lines, {limit} are enough"


def objects(build):
    """(object file, source) of the production code under the build folder."""
    for folder, _, names in os.walk(build):
        for name in names:
            path = os.path.join(folder, name)
            match = re.match(r"(.*?)/?CMakeFiles/[^/]+\.dir/(.*)\.o$", os.path.relpath(path, build))
            if match and not match.group(1).startswith("tests") and os.path.exists(
                    os.path.join(ROOT, match.group(1), match.group(2))):
                yield path, os.path.join(match.group(1), match.group(2))


def mutable(build):
    """No variable of a file's scope that changes, but those of mutable.allow: read from the object files."""
    allowed, seen = {(path, name) for path, name, _ in table("mutable.allow")}, set()
    for path, source in objects(build):
        seen.add(source)
        out = subprocess.run(["objdump", "-t", path], capture_output=True, text=True, check=True).stdout
        for line in out.splitlines():
            match = re.search(r" O (\.(?:data|t?bss|tdata)\S*)\s+\S+\s+(?:\.hidden )?(\S+)$", line)
            if match and not match.group(1).startswith(".data.rel.ro"):
                name = match.group(2).split(".")[0]
                if (source, name) not in allowed:
                    yield f"{source}:1: `{name}` is a mutable variable of the file's scope ({match.group(1)})"
    if not seen:
        yield f"{build}: no object files: build first"
    for source, name in sorted(allowed):
        if seen and source not in seen:
            yield f"{HERE}/mutable.allow:1: {source} ({name}) is no longer compiled"


def symbols(build):
    """A plugin exports its entry point alone; programs export nothing."""
    found = 0
    for folder in ("bin", "libexec/mlops-iac", "lib/mlops-iac", "lib/mlops-iac/providers"):
        where = os.path.join(build, folder)
        for name in sorted(os.listdir(where)):
            path = os.path.join(where, name)
            if not os.path.isfile(path):
                continue
            out = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True).stdout
            # NAME@GLIBC is libc's own variable, copied into a program that is not position-independent in it
            exported = [line.split()[-1] for line in out.splitlines() if "@GLIBC" not in line]
            found += 1
            wanted = ["mlops_provider_v1"] if name.endswith(".so") else []
            if exported != wanted:
                yield f"{folder}/{name}: exports {exported}, expected {wanted}"
    if found < 4:
        yield f"{build}: only {found} programs and plugins found"


def shell(_):
    """Scripts parse; shellcheck agrees where it is installed."""
    for path in scripts("bash", "sh"):
        done = subprocess.run(["bash", "-n", path], capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            yield f"{path}:1: {done.stderr.strip()}"
        elif shutil.which("shellcheck"):
            done = subprocess.run(["shellcheck", "-S", "warning", "-f", "gcc", path], capture_output=True, text=True, cwd=ROOT)
            yield from done.stdout.splitlines()
    for path in scripts("python"):
        try:
            compile(text(path), path, "exec")
        except SyntaxError as e:
            yield f"{path}:{e.lineno}: {e.msg}"


CHECKS = [layering, banned, words, shape, headers, lengths, mutable, symbols, shell]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("check", choices=[c.__name__ for c in CHECKS] + ["all"])
    parser.add_argument("--build", default=os.path.join(ROOT, "build/release"))
    args = parser.parse_args()
    found = 0
    for check in CHECKS:
        if args.check in (check.__name__, "all"):
            for finding in check(args.build):
                print(f"{finding} [{check.__name__}]")
                found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
