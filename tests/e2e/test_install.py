#!/usr/bin/env python3
"""What an installation lays out, and that it works from where it lies."""
from support import *

FILES = """
bin/mlops-iac libexec/mlops-iac/mlops-iac-provider-host lib/mlops-iac/providers/sim.so lib/mlops-iac/providers/local.so
lib/mlops-iac/mlops-iac-runner include/mlops-iac/mlops_provider.h share/man/man1/mlops-iac.1
share/bash-completion/completions/mlops-iac share/zsh/site-functions/_mlops-iac
share/fish/vendor_completions.d/mlops-iac.fish share/mlops-iac/example/main.yaml share/doc/mlops-iac/LICENSE
""".split()


class Install(Case):
    def test_layout_and_a_first_run(self):
        prefix = self.path("prefix")
        subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix], check=True, stdout=subprocess.DEVNULL)
        for name in FILES:
            self.assertTrue(os.path.getsize(os.path.join(prefix, name)) > 0, name)
        moved = self.path("elsewhere")  # nothing holds the path it was installed at
        os.rename(prefix, moved)
        self.template("thing: { a: { name: a } }")
        program = os.path.join(moved, "bin/mlops-iac")
        for args in (["init"], ["apply", "-auto-approve"], ["plan", "-detailed-exitcode"]):
            done = subprocess.run([program, *args], cwd=self.dir, env=self.environment(), capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with open(self.path(".mlops-iac.lock.json"), encoding="utf-8") as f:
            self.assertIn(os.path.join(moved, "lib/mlops-iac/providers/sim.so"), f.read())
        self.assertEqual(list(self.things()), ["a"])


if __name__ == "__main__":
    main()
