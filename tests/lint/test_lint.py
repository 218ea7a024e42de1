#!/usr/bin/env python3
"""The checks find what they are for: a small tree with one fault each, and the same tree without it."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
LONG = "int f(int a)\n{\n" + "    a++;\n" * 80 + "    return a;\n}\n"
FAULTS = [
    # check, path, content, part of the finding
    ("layering", "state/a.c", '#include "planner/expr/ast.h"\n', "state must not know planner/expr/ast.h"),
    ("layering", "providers/sim/a.c", '#include "providers/host/host.h"\n', "providers/sim must not know"),
    ("layering", "planner/expr/a.c", '#include "planner/template/load.h"\n', "planner/expr must not know"),
    ("layering", "providers/host/child/a.c", '#include "state/store.h"\n', "providers/host must not know"),
    ("layering", "cli/a.c", '#include "b.h"\n', "by its path from the top"),
    ("banned", "cli/a.c", "int f(void)\n{\n    return system(0);\n}\n", "system() is banned"),
    ("banned", "tests/a.py", "import os\nos.system('ls')\n", "banned in scripts"),
    ("banned", "tests/tool", "#!/bin/bash\npkill x\n", "banned in scripts"),
    ("words", "cli/a.c", "/* TO" "DO: later */\n", "unfinished"),
    ("words", "docs/a.md", "see /ho" "me/somebody/x\n", "a path of one machine"),
    ("shape", "cli/a.c", "int a;\n", "the first line says"),
    ("shape", "cli/a.h", "/* cli/a.h: x */\nint a(void);\n", "#pragma once"),
    ("headers", "cli/a.h", "#pragma once\nsize_u f(void);\n", "does not compile alone"),
    ("headers", "providers/abi/mlops_provider.h", "struct s { int class; };\n", "as c++11"),
    ("headers", "providers/abi/mlops_provider.h", "// since C99\nstatic int a = ({1;});\n", "as c99"),
    ("lengths", "cli/a.c", LONG, "f() has 8"),
    ("lengths", "cli/a.c", "\n" * 701, "the file has 701 lines"),
    ("mutable", "cli/a.c", "int f(void);\nint f(void)\n{\n    static int n;\n    return n++;\n}\n", "`n` is a mutable"),
    ("mutable", "cli/a.c", "int *const p[] = {0};\nint q = 3;\n", "`q` is a mutable"),
    ("shell", "tool", "#!/bin/bash\nif true; then\n", "syntax error"),
    ("shell", "tool.py", "def f(:\n", "invalid syntax"),
]


def put(root, path, content):
    os.makedirs(os.path.dirname(os.path.join(root, path)) or root, exist_ok=True)
    with open(os.path.join(root, path), "w", encoding="utf-8") as f:
        f.write(content)


class Lint(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="mio-lint-")
        self.addCleanup(shutil.rmtree, self.root)
        shutil.copytree(HERE, os.path.join(self.root, "tests/lint"), ignore=shutil.ignore_patterns("__pycache__"))
        put(self.root, "tests/lint/mutable.allow", "# none\n")
        os.remove(os.path.join(self.root, "tests/lint/test_lint.py"))
        for path in ("state/store.h", "planner/expr/ast.h", "planner/template/load.h", "providers/host/host.h",
                     "providers/sdk/banned.h", "providers/abi/mlops_provider.h"):
            put(self.root, path, f"/* {path}: x */\n#pragma once\n")
        put(self.root, "providers/abi/mlops_provider.h",
            "/* providers/abi/mlops_provider.h: x */\n#ifndef X\n#define X\ntypedef int x;\n#endif\n")
        put(self.root, "state/ok.c", '/* state/ok.c: x */\n#include "state/store.h"\nconst int n = 1;\n')
        self.compile("state", "ok.c")

    def compile(self, folder, name):
        out = os.path.join(self.root, "build", folder, "CMakeFiles/x.dir")
        os.makedirs(out, exist_ok=True)
        subprocess.run(["gcc", "-I", ".", "-c", os.path.join(folder, name), "-o", os.path.join(out, name + ".o")],
                       cwd=self.root, check=True)

    def lint(self, check):
        return subprocess.run(["/usr/bin/python3", "tests/lint/lint.py", check, "--build", "build"], cwd=self.root,
                              capture_output=True, text=True)

    def test_faults_are_found(self):
        for check, path, content, finding in FAULTS:
            with self.subTest(check=check, finding=finding):
                self.assertEqual(self.lint(check).stdout, "")
                before = None
                if os.path.exists(os.path.join(self.root, path)):
                    with open(os.path.join(self.root, path), encoding="utf-8") as f:
                        before = f.read()
                put(self.root, path, content)
                if check == "mutable":
                    self.compile("cli", "a.c")
                done = self.lint(check)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(finding, done.stdout)
                if before is None:
                    os.remove(os.path.join(self.root, path))
                else:
                    put(self.root, path, before)

    def test_symbols(self):
        for folder in ("bin", "libexec/mlops-iac", "lib/mlops-iac/providers"):
            os.makedirs(os.path.join(self.root, "build", folder))
        put(self.root, "main.c", "int main(void) { return 0; }\n")
        put(self.root, "plugin.c", "int mlops_provider_v1(void) { return 0; }\n")
        put(self.root, "wide.c", "int mlops_provider_v1(void) { return 0; }\nint more(void) { return 0; }\n")

        def link(source, out, *flags):
            subprocess.run(["gcc", source, "-o", os.path.join("build", out), *flags], cwd=self.root, check=True)
        for out in ("bin/a", "libexec/mlops-iac/b", "lib/mlops-iac/c"):
            link("main.c", out)
        link("plugin.c", "lib/mlops-iac/providers/sim.so", "-shared", "-fPIC")
        self.assertEqual(self.lint("symbols").stdout, "")
        link("wide.c", "lib/mlops-iac/providers/sim.so", "-shared", "-fPIC")
        self.assertIn("'more'", self.lint("symbols").stdout)


if __name__ == "__main__":
    sys.exit(unittest.main())
