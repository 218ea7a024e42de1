#!/usr/bin/env python3
"""Locked environments on the local provider: planned, built, entered by jobs, altered, repaired, released.

Packages come from the mirror that this machine uses; without one: exit 77, skipped.
"""
import tempfile

from support import *

BODY = """
    environment:
      py:
        workspace: "${workspace.w.name}"
        base: { debian: bookworm }
        debian: { packages: [python3] }
        env: { GREETING: "%s" }
        files: [{ source: lib, target: /opt/lib }]
"""
MAIN = """
    providers: { local: {} }
    resources:
      workspace: { w: { name: w } }
""" + BODY.replace("\n", "\n  ")
JOB = """
    resources:
      job:
        look:
          workspace: "${workspace.w.name}"
          environment: "${environment.py.id}"
          code: code
          command: python look.py ${{outputs.o}}
          outputs: { o: { type: uri_folder } }
          environment_variables: { OWN: mine }
    outputs: { seen: { value: "${job.look.output_paths.o}/seen.json" } }
"""
LOOK = """
    import json, os, socket, sys
    sys.path.insert(0, "/opt/lib")
    import greet

    def refused(path):
        try:
            os.makedirs(path)
        except OSError as e:
            return e.errno
        return 0

    with open(sys.argv[1] + "/seen.json", "w") as f:
        json.dump({"greeting": greet.word(), "own": os.environ["OWN"], "release": open("/etc/os-release").read(),
                   "packages": open("/var/lib/dpkg/status").read().count("Package: "), "host": os.path.exists("/usr/bin/gcc"),
                   "writes": [refused(p) for p in ("/new", "/usr/new", "/etc/new", "/var/lib/new", "/tmp/new")],
                   "interfaces": [n for _, n in socket.if_nameindex()]}, f)
"""
STORE = tempfile.mkdtemp(prefix="mio-e2e-store-")


def tearDownModule():
    shutil.rmtree(STORE, ignore_errors=True)


@unittest.skipUnless(shutil.which("bwrap"), "bubblewrap is not installed")
class Environments(Case):
    def environment(self, extra=None):
        return super().environment({"MLOPS_IAC_ENV_STORE": STORE, **(extra or {})})

    def setUp(self):
        super().setUp()
        self.declare("hello")
        self.write("lib/greet.py", "import os\ndef word(): return os.environ['GREETING']\n")
        self.write("code/look.py", LOOK)
        self.ok("init")

    def declare(self, word):
        self.write("main.yaml", MAIN % word)

    def body(self, *lines):
        """The template with these keys of environment.py."""
        self.write("main.yaml", "\n      ".join((
            "providers: { local: {} }\nresources:\n  workspace: { w: { name: w } }\n  environment:\n    py:",
            "workspace: w", *lines)) + "\n")

    def lock(self):
        done = self.run_tool("env", "lock", "py")
        if done.code and ("mirror" in done.err or "source" in done.err):
            print("test_environments: skipped, no mirror is reached:", done.err)
            os._exit(77)
        self.check(done, 0, "packages")
        return self.ok("env", "build", "py").out.split()[1]

    def root(self):
        at = self.path(".local-platform/environments")
        found = [n for n in os.listdir(at) if len(n) == 64]
        self.assertEqual(len(found), 1, found)
        return os.path.join(at, found[0])

    def test_a_plan_needs_a_lock_that_fits(self):
        self.fails("plan", says=("environment.py.lock.json is not there", "env lock py"))
        self.lock()
        os.remove(self.path("environment.py.lock.json"))
        self.ok("env", "lock", "py")
        self.fails("plan", says=("was never built", "env build py"))
        digest = self.ok("env", "build", "py").out.split()[1]
        self.assertRegex(self.ok("plan").out, r'\+ config_digest +=\s+"%s"' % digest)
        self.declare("other")
        self.fails("plan", says=('~ env.GREETING "hello" -> "other"', "env lock py"))
        self.declare("hello")
        self.write("lib/more.py", "")
        self.fails("plan", says=("~ file lib", "env lock py"))
        os.remove(self.path("lib/more.py"))
        self.ok("plan", says="2 to add")

    def test_the_lock_of_the_example_fits(self):
        """After a change of what a lock gives: mlops-iac env lock sklearn && mlops-iac env build sklearn, in .cloud."""
        shutil.copytree(os.path.join(SOURCE, ".cloud"), self.path("example"),
                        ignore=shutil.ignore_patterns(".state", ".local-platform", ".mlops-iac*"))
        self.ok("-chdir=example", "init")
        self.ok("-chdir=example", "plan", "-stage=dev", says=("config_digest", "9 to add"))

    def test_from_lock_to_job_to_nothing(self):
        digest = self.lock()
        self.write("job.yaml", JOB)
        self.apply(says="3 added")
        with open(self.ok("output", "-raw", "seen").out, encoding="utf-8") as f:
            seen = json.load(f)
        self.assertEqual(seen["greeting"], "hello")
        self.assertEqual(seen["own"], "mine")
        self.assertIn("bookworm", seen["release"])
        with open(self.path("environment.py.lock.json"), encoding="utf-8") as f:
            lock = json.load(f)
        self.assertEqual(seen["packages"], len(lock["packages"]))
        self.assertFalse(seen["host"])
        self.assertEqual(seen["writes"], [0] * 5, "to a layer of the job's own")
        self.ok("env", "drift", "py", self.root(), says="is as locked")
        self.assertEqual(seen["interfaces"], ["lo"])
        self.assertEqual(lock["sealed"]["config"], digest)
        self.no_changes()
        self.fails("drift", "-detailed-exitcode", code=0, says="No drift")
        self.repaired()
        self.replaced(digest)
        self.ok("destroy", "-auto-approve", says="3 destroyed")
        self.assertFalse(os.path.exists(self.path(".local-platform")))

    def repaired(self):
        root = self.root()
        kept = os.stat(f"{root}/usr/bin/mawk").st_ino
        with open(f"{root}/etc/passwd", "a", encoding="utf-8") as f:
            f.write("x")
        os.remove(f"{root}/usr/bin/dash")
        os.mkdir(f"{root}/usr/evil")
        os.chmod(f"{root}/usr/lib/os-release", 0o600)
        self.fails("drift", "-detailed-exitcode", code=2,
                   says=('root = "intact" -> "altered: ~ /etc/passwd, - /usr/bin/dash, + /usr/evil and 1 more"',))
        self.apply(says="1 changed")
        self.fails("drift", "-detailed-exitcode", code=0)
        self.assertFalse(os.path.exists(f"{root}/usr/evil"))
        self.assertEqual(os.stat(f"{root}/usr/bin/mawk").st_ino, kept, "what was whole has not been written again")
        shutil.rmtree(root)
        self.fails("drift", "-detailed-exitcode", code=2, says='root = "intact" -> "absent"')
        self.apply(says="1 changed")
        self.assertTrue(os.path.exists(f"{root}/usr/bin/dash"))

    def replaced(self, digest):
        self.declare("again")
        new = self.lock()
        self.assertNotEqual(new, digest)
        self.assertEqual(self.plan_json()[0]["environment.py"], ["create", "delete"])
        self.apply()
        self.assertTrue(self.root().endswith(new[len("sha256:"):]), "the root of the old one went with it")
        self.no_changes()

    def test_a_command_in_the_root(self):
        self.lock()
        inside = "import os, sys, socket; print(os.environ['GREETING'], os.environ.get('X'), os.getcwd(), " \
                 "[n for _, n in socket.if_nameindex()]); open('made', 'w').close(); sys.exit(7)"
        done = self.fails("env", "run", "-e", "X=1", "py", "--", "python3", "-c", inside, code=7)
        self.assertEqual(done.out, f"hello 1 {self.dir} ['lo']\n")
        self.assertTrue(os.path.exists(self.path("made")))
        write = "open('/etc/x', 'w')"
        self.fails("env", "run", "environment.py", "--", "python3", "-c", write, says="Read-only file system")
        held = "import os; print([p for p in (os.path.realpath(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')) if 'environment' in p])"
        self.assertEqual(self.ok("env", "run", "py", "--", "python3", "-c", held).out, "[]\n")  # what is declared may hold secrets
        self.ok("env", "build", "py", "-root=root")
        self.ok("env", "run", "-e", "GIVEN", "./root", "--", "sh", "-c", "test $GIVEN = x", env={"GIVEN": "x"})
        self.fails("env", "run", "-e", "NO_SUCH", "./root", "--", "true", says="there is no such variable")
        self.fails("env", "run", "py", says="no command is given")
        wait = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(9)); print('up', flush=True); time.sleep(60)"
        p = self.start("env", "run", "py", "--", "python3", "-c", wait)
        self.assertEqual(p.stdout.readline(), "up\n")
        p.send_signal(signal.SIGTERM)
        self.assertEqual(self.finish(p).code, 9)

    def test_written_as_azure_ml_writes_it(self):
        self.body("base: { debian: bookworm }", "env: { GREETING: a $b }", "serve: { scoring: { path: /score, port: 5001 } }",
                  "debian: { packages: [python3-minimal] }")
        digest = self.lock()
        with open(self.path("environment.py.lock.json"), encoding="utf-8") as f:
            sealed = json.load(f)["sealed"]
        self.fails("env", "export", "py", "build", says="-out=DIR is missing")
        self.fails("env", "export", "py", "conda", "-out=conda", says="needs the image")
        self.fails("env", "export", "py", "conda", "127.0.0.1:5000/team/py", "-out=conda", says="has no wheels")
        self.ok("env", "export", "py", "image", "127.0.0.1:5000/team/py:v1", "-out=image")
        self.ok("env", "export", "py", "build", "-out=build")
        for form, line in (("image", f'image: "127.0.0.1:5000/team/py@{sealed["manifest"]}"'), ("build", "build:\n  path: context")):
            path = f"{form}/environment.yaml"
            self.ok("validate", path, says=f"{path}: environment py ok")
            with open(self.path(path), encoding="utf-8") as f:
                text = f.read()
            for part in (line, f'version: "{digest[7:19]}"', 'scoring_route:\n    port: 5001\n    path: "/score"\n'):
                self.assertIn(part, text)
        with open(self.path("build/context/Dockerfile"), encoding="utf-8") as f:
            words = f.read().splitlines()
        self.assertIn('ENV GREETING="a \\$b"', words)
        root = self.path("unpacked")  # as a build of the Dockerfile would
        os.mkdir(root)
        for line in words:
            if line.startswith("ADD "):
                subprocess.run(["tar", "-xpf", self.path("build/context/" + line.split()[1]), "-C", root], check=True)
        self.ok("env", "drift", "py", root, says="is as locked")
        self.assertEqual(sorted(n for n in os.listdir(self.dir) if "partial" in n), [])

    def test_azure_ml_forms_are_loaded(self):
        self.write("lib/conda.yml", "dependencies: [python=3.11]\n")
        routes = "inference_config: { scoring_route: { path: /score, port: 5001 } }"
        for form in (["image: ubuntu:22.04"], ["image: x", "conda_file: lib/conda.yml"], ["build: { path: code }"]):
            self.body(*form, routes)
            self.ok("validate")
            self.fails("plan", says=("environment.py.lock.json is not there", "env lock py"))
        self.body("base: { debian: bookworm }", "debian: { packages: [python3-minimal] }", "python: { version: 3.11 }", routes)
        self.lock()
        with open(self.path("environment.py.lock.json"), encoding="utf-8") as f:
            self.assertEqual(json.load(f)["config"]["serve"], {"scoring": {"path": "/score", "port": 5001}})
        self.ok("plan", says="config_digest")

    def test_environments_in_modules_and_with_keys(self):
        text = """
            variables: {{ word: {{ type: string }}, workspace: {{ type: string }} }}
            resources:
              environment:
                {name}:
                  name: one
                  workspace: "${{var.workspace}}"
                  base: {{ debian: bookworm }}
                  env: {{ GREETING: "${{var.word}}", WHICH: "${{each.key}}" }}
                  for_each: {{ "a/b": 1 }}
                  files: [{{ source: lib, target: /opt/lib }}]
        """
        self.write("serving/lib/x", "x\n")
        self.write("serving/main.yaml", text.format(name="sk"))
        self.write("main.yaml", """
            providers: { local: {} }
            resources: { workspace: { w: { name: w } } }
            modules: { m: { source: ./serving, inputs: { word: hello, workspace: "${workspace.w.name}" } } }
        """)
        self.ok("init")
        address, stem = 'module.m.environment.sk["a/b"]', "module.m.environment.sk.a%2Fb"
        self.fails("plan", says=(f"{stem}.lock.json is not there", f"env lock {address}"))
        self.fails("env", "lock", "sk", says=("the template has no environment.sk", f"Did you mean {address}?"))
        self.fails("env", "lock", "module.m.environment.sk", says=("has 1 instances", f"Name one: {address}."))
        self.fails("env", "lock", "module.n.environment.sk", says="the template has no module.n.environment.sk")
        self.fails("env", "lock", "workspace.w", says="workspace.w is no environment")
        done = self.run_tool("env", "lock", address)
        if done.code and ("mirror" in done.err or "source" in done.err):
            self.skipTest("no mirror is reached: " + done.err)
        self.check(done, 0, f"{stem}.lock.json: ")
        digest = self.ok("env", "build", address).out.split()[1]
        self.assertEqual(self.ok("env", "run", address, "--", "sh", "-c", "read x </opt/lib/x; echo $GREETING $WHICH $x").out,
                         "hello a/b x\n")
        self.ok("env", "sbom", address, "-out=bills", says=f"bills/{stem}.spdx.json")
        self.ok("env", "export", address, "build", "-out=build")
        self.ok("validate", "build/environment.yaml", says="environment module.m.environment.sk.a-2Fb ok")
        self.assertIn(digest, self.ok("plan").out)
        self.apply(says="2 added")
        self.no_changes()

    def test_environments_need_no_plugins(self):
        """A fresh clone: what builds images has nothing to do with providers."""
        self.lock()
        os.remove(self.path(".mlops-iac.lock.json"))
        self.ok("env", "lock", "py", "-check", says="fits what is declared")
        self.ok("env", "build", "py", says="environment sha256:")
        self.fails("env", "lock", "nope", says=("the template has no environment.nope", "Did you mean environment.py?"))
        self.fails("plan", says="is not in the lock file")

    def test_two_environments_share_a_root(self):
        self.lock()
        self.ok("env", "build", "py", "-out=base")
        one = "environment: { %s: { workspace: '${workspace.%s.name}', image: 'oci:base' } }"  # nothing is added: one identity
        self.write("main.yaml", "providers: { local: {} }\nresources:\n  workspace: { w: { name: w }, v: { name: v } }\n  " + one % ("py", "w"))
        self.write("more.yaml", "resources:\n  " + one % ("second", "v"))
        digests = set()
        for name in "py", "second":
            self.ok("env", "lock", name)
            digests.add(self.ok("env", "build", name).out.split()[1])
        self.assertEqual(len(digests), 1)
        self.apply(says="4 added")
        root = self.root()
        os.remove(self.path("more.yaml"))
        self.apply(says="1 destroyed")
        self.assertTrue(os.path.exists(f"{root}/etc/passwd"), "the other one still needs it")
        self.ok("destroy", "-auto-approve", says="3 destroyed")
        self.assertFalse(os.path.exists(self.path(".local-platform")))


if __name__ == "__main__":
    unittest.main()
