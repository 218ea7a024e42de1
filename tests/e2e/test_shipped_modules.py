#!/usr/bin/env python3
"""The modules that are shipped: their tests pass, their examples plan, their tables say what they take."""
from support import *

MODULES = os.path.join(SOURCE, "modules")
NEEDED = [p for p in ("haproxy", "s6-svscan", "bwrap") if not shutil.which(p, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")]


class Shipped(Case):
    def setUp(self):
        super().setUp()
        shutil.copytree(MODULES, self.path("modules"),
                        ignore=shutil.ignore_patterns(".state", ".local-platform", "__pycache__", ".mlops-iac*"))

    def each(self):
        names = sorted(os.listdir(self.path("modules")))
        self.assertEqual(names, ["blue-green-endpoint", "train-and-deploy", "workspace-with-compute"])
        for name in names:
            with self.subTest(module=name):
                yield name, os.path.join("modules", name)

    def test_readme_says_what_it_takes(self):
        for name, folder in self.each():
            table = self.ok(f"-chdir={folder}", "docs", "module").out
            with open(self.path(f"{folder}/README.md"), encoding="utf-8") as f:
                readme = f.read()
            self.assertTrue(readme.endswith(table), f"run: mlops-iac -chdir=modules/{name} docs module")
            self.assertNotIn("|  |", table, "every input and output says what it means")

    def test_laid_out(self):
        self.ok("fmt", "-check", "-recursive", "modules")

    @unittest.skipIf(NEEDED, f"not installed: {', '.join(NEEDED)}")
    def test_their_tests_pass(self):
        for name, folder in self.each():
            self.ok(f"-chdir={folder}", "test", says="Success!")

    @unittest.skipIf(NEEDED, f"not installed: {', '.join(NEEDED)}")
    def test_examples_plan(self):
        adds = {"blue-green-endpoint": 6, "train-and-deploy": 8, "workspace-with-compute": 3}
        for name, folder in self.each():
            self.ok(f"-chdir={folder}/example", "init")
            self.ok(f"-chdir={folder}/example", "validate", says="Success!")
            self.ok(f"-chdir={folder}/example", "plan", says=f"{adds[name]} to add, 0 to change, 0 to destroy")

    @unittest.skipIf(NEEDED, f"not installed: {', '.join(NEEDED)}")
    def test_blue_green_for_real(self):
        at = "-chdir=modules/blue-green-endpoint/example"
        self.ok(at, "init")
        try:
            self.ok(at, "apply", "-auto-approve", says="6 added")
            self.ok(at, "plan", "-detailed-exitcode", says="No changes.")
            self.ok(at, "apply", "-auto-approve", "-var=live=green", "-var=candidate_percent=0", says="1 changed")
            self.assertEqual(self.ok(at, "output", "-json", "traffic").json(), {"blue": 0, "green": 100})
        finally:
            done = self.run_tool(at, "destroy", "-auto-approve")
        self.check(done, 0, "Destroy complete! Resources: 6 destroyed.")
        self.assertEqual(self.ok(at, "state", "list").out, "")


if __name__ == "__main__":
    main()
