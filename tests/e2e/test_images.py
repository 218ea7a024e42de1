#!/usr/bin/env python3
"""Environments on an image that others made, on the local provider: what jobs and replicas see of it, and where they
write. The image is made of this machine's shell and Python, so that no mirror is needed.
"""
import hashlib
import sys
import tempfile
import urllib.request

from support import *

sys.path.insert(0, os.path.join(SOURCE, "tests/providers/environment"))
import machine

STORE = tempfile.mkdtemp(prefix="mio-e2e-store-")
TOOLS = ("/usr/bin/dash", "/usr/bin/cat", "/usr/bin/mkdir", "/usr/bin/ls", "/usr/bin/python3.11")
MAIN = """
    providers: { local: {} }
    resources:
      workspace: { w: { name: w } }
      environment:
        py:
          workspace: "${workspace.w.name}"
          image: "oci:base"
          files: [{ source: lib, target: /opt/lib }]
          env: { GREETING: "%s" }
"""
JOB = """
    resources:
      job:
        look:
          workspace: "${workspace.w.name}"
          environment: "${environment.py.id}"
          command: "cat /opt/lib/text > ${{outputs.o}}/text && echo $GREETING $BASE $PATH > ${{outputs.o}}/env; \\
            for d in /opt /usr /usr/lib /etc /new; do mkdir $d/made && echo x > $d/made/file && cat $d/made/file; done > ${{outputs.o}}/wrote 2>&1; \\
            echo y > /usr/bin/cat; exit 0"
          outputs: { o: { type: uri_folder } }
    outputs: { at: { value: "${job.look.output_paths.o}" } }
"""
SERVE = """
    resources:
      endpoint: { e: { workspace: "${workspace.w.name}", auth_mode: none, traffic: { blue: 100 } } }
      deployment:
        blue:
          workspace: "${workspace.w.name}"
          endpoint_name: "${endpoint.e.name}"
          environment: "${environment.py.id}"
          code_configuration: { code: code, scoring_script: score.py }
    outputs: { uri: { value: "${endpoint.e.scoring_uri}" } }
"""
SCORE = """
    import os
    def init(): pass
    def run(data): return [os.stat("/usr/bin/ls").st_size, os.environ["GREETING"], open("/opt/lib/text").read()]
"""


def image(at):
    """An OCI layout of one layer: shell, a few programs, Python with its library."""
    layer = machine.layer(TOOLS, ["/usr/lib/python3.11"], [("usr/bin/python3", "python3.11")])

    def put(data):
        name = hashlib.sha256(data).hexdigest()
        with open(f"{at}/blobs/sha256/{name}", "wb") as f:
            f.write(data)
        return {"digest": "sha256:" + name, "size": len(data)}
    os.makedirs(f"{at}/blobs/sha256")
    config = put(json.dumps({"architecture": "amd64", "os": "linux", "config": {"Env": ["BASE=theirs", "GREETING=theirs", "PATH=/opt/bin:/usr/bin:/bin"]},
                             "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}).encode())
    manifest = put(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                               "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
                               "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **put(layer)}]}).encode())
    with open(f"{at}/oci-layout", "w", encoding="utf-8") as f:
        f.write('{"imageLayoutVersion":"1.0.0"}')
    with open(f"{at}/index.json", "w", encoding="utf-8") as f:
        json.dump({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", **manifest}]}, f)


def setUpModule():
    os.chmod(STORE, 0o755)
    image(f"{STORE}/base")


def tearDownModule():
    shutil.rmtree(STORE, ignore_errors=True)


@unittest.skipUnless(shutil.which("bwrap") and os.path.exists("/usr/bin/python3.11"), "bubblewrap or python3.11 is not installed")
class Images(Case):
    def environment(self, extra=None):
        return super().environment({"MLOPS_IAC_ENV_STORE": f"{self.dir}.store", **(extra or {})})

    def setUp(self):
        super().setUp()
        self.addCleanup(shutil.rmtree, f"{self.dir}.store", ignore_errors=True)
        shutil.copytree(f"{STORE}/base", self.path("base"))
        self.write("main.yaml", MAIN % "hello")
        self.write("lib/text", "ours")
        self.write("code/score.py", SCORE)

    def lock(self, **how):
        self.ok("init", **how)
        self.ok("env", "lock", "py", says="image oci:base is sha256:", **how)
        return self.ok("env", "build", "py", **how).out.split()[1]

    def root(self):
        at = self.path(".local-platform/environments")
        return os.path.join(at, next(n for n in os.listdir(at) if len(n) == 64))

    def seen(self, name, **how):
        with open(os.path.join(self.ok("output", "-raw", "at", **how).out, name), encoding="utf-8") as f:
            return f.read()

    def look(self, writes, **how):
        self.write("job.yaml", JOB)
        done = self.apply(says="3 added", **how)
        self.assertEqual(self.seen("text", **how), "ours")
        self.assertEqual(self.seen("env", **how), "hello theirs /job/bin:/opt/bin:/usr/bin:/bin\n")
        wrote = self.seen("wrote", **how)
        if writes:
            self.assertEqual(wrote, "x\n" * 5)
        else:
            self.assertEqual(wrote.count("Read-only file system"), 5, wrote)
        self.ok("env", "drift", "py", self.root(), says="is as locked", **how)
        self.fails("drift", "-detailed-exitcode", code=0, says="No drift", **how)
        return done

    def test_a_job_writes_anywhere_and_the_root_stays(self):
        self.lock()
        self.look(True)
        self.ok("destroy", "-auto-approve", says="3 destroyed")

    def test_the_same_as_an_ordinary_user(self):
        if os.geteuid() != 0:
            self.skipTest("the other cases are it")
        for path in (self.dir, f"{self.dir}.store", f"{self.dir}.seen"):
            os.makedirs(path, exist_ok=True)
            subprocess.run(["chown", "-R", "65534:65534", path], check=True)
        os.chmod(self.dir, 0o755)
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        if subprocess.run([*user, PROGRAM, "version"], capture_output=True).returncode:
            self.skipTest("the program is out of an ordinary user's reach")
        self.lock(through=user)
        self.look(True, through=user)

    def test_an_overlay_over_a_path_that_reads_like_options(self):
        probe = [os.path.join(BUILD, "lib/mlops-iac/mlops-iac-overlay"), "--probe"]
        for name in ("plain", "a,ro:b=c d"):
            self.write(name + "/file", "")
            done = subprocess.run([*probe, self.path(name)], capture_output=True, text=True)
            if name == "plain" and done.returncode:
                self.skipTest("no overlay can be laid here")
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_writes_are_refused_where_no_overlay_can_be_laid(self):
        """Overlays on overlays: at the third the kernel says no."""
        deeper = "a=$1; b=$2; shift 2; for i in 1 2 3; do mount -t tmpfs t $a && mkdir $a/u $a/w && mount -t overlay o " \
                 "-o lowerdir=$b,upperdir=$a/u,workdir=$a/w $b 2>/dev/null || break; done; cd $b && exec \"$@\""
        if os.geteuid() != 0:
            self.skipTest("only root can lay overlays that all the rest lies on")
        over = f"{self.dir}.over"
        os.mkdir(over)
        self.addCleanup(os.rmdir, over)
        # one process for all commands: the mounts end with it
        script = 'set -e; "$0" init; "$0" env lock py; "$0" env build py; "$0" apply -auto-approve; cat .local-platform/workspaces/w/jobs/*/outputs/o/wrote'
        self.write("job.yaml", JOB)
        done = subprocess.run(["unshare", "-m", "sh", "-c", deeper, "sh", over, self.dir, "sh", "-c", script, PROGRAM],
                              env=self.environment(), capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("Read-only file system"), 5, done.stdout)
        self.assertIn("the root file system is read-only for its processes", done.stdout + done.stderr)

    def test_a_plan_says_where_no_sandbox_can_be_made(self):
        self.lock()
        self.write("job.yaml", JOB)
        none = ["unshare", "-Ur", "sh", "-c", 'echo 0 > /proc/sys/user/max_mnt_namespaces; exec "$@"', "sh"]
        self.fails("plan", says=("none can be made here: bwrap:", "Allow user namespaces"), through=none)
        self.ok("plan", says="3 to add")

    def exported(self, form, *more):
        """Written as Azure ML writes it, and read again."""
        self.ok("env", "export", "py", form, *more, f"-out=x-{form}")
        self.ok("validate", f"x-{form}/environment.yaml", says="environment py ok")
        with open(self.path(f"x-{form}/environment.yaml"), encoding="utf-8") as f:
            return f.read()

    def test_an_image_with_routes_as_azure_ml_writes_it(self):
        self.write("main.yaml", "providers: { local: { workspace: w } }\nresources: { workspace: { w: { name: w } } }\n")
        self.write("environment.yml", """
            $schema: https://azuremlschemas.azureedge.net/latest/environment.schema.json
            name: py
            image: oci:base
            inference_config:
              liveness_route: { path: /live, port: 5001 }
              readiness_route: { path: /ready, port: 5001 }
              scoring_route: { path: /score, port: 5001 }
        """)
        self.lock()
        routes = '  readiness_route:\n    port: 5001\n    path: "/ready"\n  scoring_route:\n    port: 5001\n    path: "/score"\n'
        text = self.exported("image", "127.0.0.1:5000/team/py")
        with open(self.path("environment.py.lock.json"), encoding="utf-8") as f:
            lock = json.load(f)
        self.assertEqual(lock["config"]["serve"]["liveness"], {"path": "/live", "port": 5001})
        self.assertIn(f'image: "127.0.0.1:5000/team/py@{lock["sealed"]["manifest"]}"\n', text)
        self.assertIn(routes, text)
        self.fails("env", "export", "py", "build", "-out=y", says="no Dockerfile can begin with an image of a folder")
        self.fails("env", "export", "py", "conda", "-out=y", says="has no wheels and no conda packages")
        self.assertRegex(self.ok("plan").out, r"\+ reproducible +=\s+true")

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("buildah"), "buildah is not installed, or this is not root")
    def test_a_dockerfile_is_not_proven_until_it_was_built_twice(self):
        self.write("main.yaml", MAIN.replace('image: "oci:base"', 'build: { path: context }').replace("files:", "inference_config: "
                   "{ scoring_route: { path: /score, port: 5001 } }\n          files:") % "hello")
        self.write("context/Dockerfile", "FROM scratch\nADD root.tar /\nENV BASE=theirs PATH=/opt/bin:/usr/bin:/bin\nRUN mkdir /opt/ran\n")
        with open(self.path("context/root.tar"), "wb") as f:
            f.write(machine.layer(TOOLS[:-1]))
        self.ok("init")
        self.ok("env", "lock", "py")
        self.ok("env", "build", "py", says=("not proven", "env verify py"))
        done = self.ok("plan", says=("reproducible", "what a Dockerfile builds is not proven"))
        self.assertRegex(done.out, r"\+ reproducible +=\s+false")
        self.ok("env", "verify", "py", says="the environment is proven")
        self.assertRegex(self.ok("plan").out, r"\+ reproducible +=\s+true")
        self.look(True)
        self.no_changes()
        self.fails("env", "export", "py", "build", "-out=y", says="is declared beside the Dockerfile")
        self.write("main.yaml", MAIN.replace('image: "oci:base"', 'build: { path: context }').replace(
            "files: [{ source: lib, target: /opt/lib }]", "").replace('env: { GREETING: "%s" }', ""))
        os.remove(self.path("job.yaml"))
        self.ok("env", "lock", "py")
        self.ok("env", "build", "py")
        self.assertIn('build:\n  path: context\n  dockerfile_path: "Dockerfile"\n', self.exported("build"))
        self.assertTrue(os.path.exists(self.path("x-build/context/root.tar")))

    def ask(self):
        with urllib.request.urlopen(urllib.request.Request(self.ok("output", "-raw", "uri").out, data=b"{}",
                                                           headers={"Content-Type": "application/json"})) as answer:
            return json.loads(answer.read())

    def replica(self):
        at = self.path(".local-platform/workspaces/w/endpoints/e/deployments/blue")
        return sorted(n for n in os.listdir(at) if n.startswith("g"))

    @unittest.skipUnless(shutil.which("haproxy") and shutil.which("s6-svscan"), "haproxy or s6 is not installed")
    def test_replicas_begin_anew_when_their_root_does(self):
        self.lock()
        self.write("serve.yaml", SERVE)
        self.addCleanup(self.run_tool, "destroy", "-auto-approve")
        self.apply(says="4 added")
        size = os.stat("/usr/bin/ls").st_size
        self.assertEqual(self.ask(), [size, "hello", "ours"])
        self.no_changes()
        self.assertEqual(self.replica(), ["g1"])
        with open(f"{self.root()}/usr/bin/ls", "ab") as f:  # what jobs cannot do, somebody else did
            f.write(b"!")
        self.fails("drift", "-detailed-exitcode", code=2, says=("altered: ~ /usr/bin/ls", "Outdated"))
        self.apply(says="2 changed")
        self.assertEqual(self.replica(), ["g2"])
        self.assertEqual(self.ask(), [size, "hello", "ours"])
        self.no_changes()
        shutil.rmtree(self.root())
        self.apply(says="2 changed")
        self.assertEqual((self.replica(), self.ask()), (["g3"], [size, "hello", "ours"]))
        self.write("main.yaml", MAIN % "again")
        self.lock()
        self.apply()
        self.assertEqual((self.replica(), self.ask()), (["g4"], [size, "again", "ours"]))
        self.no_changes()


if __name__ == "__main__":
    unittest.main()
