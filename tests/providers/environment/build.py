"""From a declaration to an image, on the mirror that this machine uses: the same bytes under all circumstances, and the
errors that a user can cause. usage: build.py PROGRAM

Without a network: exit 77, skipped. As root the second builder is another user.
"""
import base64
import fcntl
import filecmp
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv.pop(1)
BODY = {"base": {"debian": "bookworm"}, "debian": {"packages": ["python3-minimal", "ca-certificates"]},
        "env": {"A": "1"}, "files": [{"source": "src", "target": "/opt/src"}]}


def run(*args, **more):
    return subprocess.run([PROGRAM, *args], capture_output=True, text=True, **more)


def text(path):
    with open(path) as f:
        return f.read()


def same(a, b):
    c = filecmp.dircmp(a, b)
    return not (c.left_only or c.right_only or c.funny_files) and \
        not filecmp.cmpfiles(a, b, c.common_files, shallow=False)[1] and \
        all(same(f"{a}/{d}", f"{b}/{d}") for d in c.common_dirs)


class Build(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.at = tempfile.mkdtemp()
        os.chmod(cls.at, 0o755)
        os.mkdir(f"{cls.at}/src")
        with open(f"{cls.at}/src/score.py", "w") as f:
            f.write("def run(x): return x\n")
        cls.spec(BODY)
        cls.args = [f"-spec={cls.at}/spec.json", f"-dir={cls.at}", f"-store={cls.at}/store"]
        lock = run("lock", *cls.args)
        if lock.returncode:
            if "mirror" in lock.stderr or "source" in lock.stderr:
                print("build: skipped, no mirror is reached:", lock.stderr)
                os._exit(77)
            raise AssertionError(lock.stderr)
        built = run("build", *cls.args, f"-out={cls.at}/one", f"-root={cls.at}/root")
        assert not built.returncode, built.stderr
        cls.lock = f"{cls.at}/environment.e.lock.json"

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.at)

    @classmethod
    def spec(cls, body):
        with open(f"{cls.at}/spec.json", "w") as f:
            json.dump({"name": "e", "body": body}, f)

    def tearDown(self):
        self.spec(BODY)
        self.assertEqual(os.listdir(f"{self.at}/store/tmp"), [])

    def fails(self, result, *words):
        self.assertEqual(result.returncode, 1, result.stdout)
        for w in words:
            self.assertIn(w, result.stderr)

    def test_another_builder_gets_the_same_bytes(self):
        self.assertEqual(run("vendor", *self.args, f"-out={self.at}/vendored").returncode, 0)
        there = tempfile.mkdtemp()
        shutil.copytree(f"{self.at}/src", f"{there}/src")
        shutil.copy(self.lock, f"{there}/lock.json")
        os.chmod(there, 0o777)
        os.umask(0o022)
        other = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        env = {"TZ": "Asia/Tokyo", "LANG": "de_DE.UTF-8", "PATH": "/usr/bin:/bin", "HOME": there}
        r = run("build", f"-lock={there}/lock.json", f"-dir={there}", f"-store={there}/s", f"-out={there}/two",
                f"-vendor={self.at}/vendored", "-offline", "-threads=1", cwd=there, env=env, umask=0o077, **other)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertTrue(same(f"{self.at}/one", f"{there}/two"))
        shutil.rmtree(there)
        self.assertEqual(run("verify", *self.args).returncode, 0)

    def test_the_seal_holds_the_digests(self):
        with open(self.lock) as f:
            sealed = json.load(f)["sealed"]
        with open(f"{self.at}/one/index.json") as f:
            manifest = json.load(f)["manifests"][0]["digest"]
        self.assertEqual(manifest, sealed["manifest"])
        for name in os.listdir(f"{self.at}/one/blobs/sha256"):
            with open(f"{self.at}/one/blobs/sha256/{name}", "rb") as f:
                self.assertEqual(hashlib.sha256(f.read()).hexdigest(), name)

    def test_the_root_is_whole(self):
        root = f"{self.at}/root"
        self.assertEqual(os.readlink(f"{root}/bin"), "usr/bin")
        self.assertEqual(os.readlink(f"{root}/etc/alternatives/awk"), "/usr/bin/mawk")
        self.assertIn("BEGIN CERTIFICATE", text(f"{root}/etc/ssl/certs/ca-certificates.crt"))
        self.assertIn("root:", text(f"{root}/etc/passwd"))
        self.assertIn("Package: libc6\n", text(f"{root}/var/lib/dpkg/status"))
        self.assertTrue(os.path.exists(f"{root}/opt/src/score.py"))
        listed = subprocess.run(["/sbin/ldconfig", "-p", "-C", f"{root}/etc/ld.so.cache"], capture_output=True, text=True)
        self.assertIn("libc.so.6 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libc.so.6", listed.stdout)

    @unittest.skipUnless(shutil.which("bwrap"), "bubblewrap is not installed")
    def test_programs_run_in_the_root(self):
        r = subprocess.run(["bwrap", "--ro-bind", f"{self.at}/root", "/", "--proc", "/proc", "--dev", "/dev", "python3", "-c",
                            "import sys; sys.path.insert(0, '/opt/src'); import score; print(score.run(sys.version_info[:2]))"],
                           capture_output=True, text=True)
        self.assertEqual(r.stdout, "(3, 11)\n", r.stderr)

    @unittest.skipUnless(shutil.which("skopeo"), "skopeo is not installed")
    def test_skopeo_reads_the_image(self):
        r = subprocess.run(["skopeo", "inspect", "--config", f"oci:{self.at}/one:e"], capture_output=True, text=True)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("A=1", json.loads(r.stdout)["config"]["Env"])

    def test_a_changed_declaration_needs_a_new_lock(self):
        self.spec({**BODY, "env": {"A": "2"}})
        self.fails(run("build", *self.args), "declared differently", "env lock")
        self.spec({**BODY, "debain": {}})
        self.fails(run("build", *self.args), "unknown key debain", "debian?")

    def test_changed_files_need_a_new_lock(self):
        path = f"{self.at}/src/more.py"
        open(path, "w").close()
        r = run("build", f"-lock={self.lock}", f"-dir={self.at}", f"-store={self.at}/store")
        os.unlink(path)
        self.fails(r, "has changed since the environment was locked")

    def test_what_cannot_be_had_is_explained(self):
        self.spec({**BODY, "debian": {"packages": ["no-such-package"]}})
        self.fails(run("lock", *self.args), "no package no-such-package")
        self.spec({**BODY, "debian": {"packages": ["exim4-daemon-light", "postfix"]}})
        self.fails(run("lock", *self.args), "cannot be had together", "conflicts")

    def test_another_architecture_needs_no_emulation(self):
        with tempfile.TemporaryDirectory() as there:
            body = {**BODY, "base": {"debian": "bookworm", "arch": "arm64"}, "files": []}
            with open(f"{there}/spec.json", "w") as f:
                json.dump({"name": "e", "body": body}, f)
            args = [f"-spec={there}/spec.json", f"-dir={there}", f"-store={self.at}/store"]
            for words in (["lock"], ["build", f"-out={there}/image", f"-root={there}/tree"]):
                r = run(*words, *args)
                self.assertEqual(r.returncode, 0, r.stderr)
            with open(f"{there}/tree/usr/bin/python3.11", "rb") as f:
                self.assertEqual(f.read(20)[18:], b"\xb7\0")  # ELF, AArch64
            self.assertIn("Architecture: arm64", text(f"{there}/tree/var/lib/dpkg/status"))
            listed = subprocess.run(["/sbin/ldconfig", "-p", "-C", f"{there}/tree/etc/ld.so.cache"], capture_output=True, text=True)
            self.assertIn("/usr/lib/aarch64-linux-gnu/libc.so.6", listed.stdout)

    def test_scripts_that_static_mode_cannot_serve_are_named(self):
        with open(self.lock) as f:
            kept = f.read()
        reasoned = [{"name": n, "reason": "test"} for n in ("passwd", "libpam-modules-bin")]
        results = []
        for debian in {"packages": ["dbus"]}, {"packages": ["dbus"], "setuid": reasoned}:
            self.spec({**BODY, "debian": debian})
            self.assertEqual(run("lock", *self.args).returncode, 0)
            results.append(run("build", *self.args))
        with open(self.lock, "w") as f:
            f.write(kept)
        self.fails(results[0], "/usr/bin/chage of package passwd runs with another user's rights")
        self.fails(results[1], "has a script that calls", "static mode cannot do", "accept_scripts")

    def damaged(self, change):
        """Builds in a fresh store from vendored blobs of which one was changed."""
        with tempfile.TemporaryDirectory() as there:
            shutil.copytree(f"{self.at}/store/blobs/sha256", f"{there}/v/sha256")
            with open(self.lock) as f:
                package = json.load(f)["packages"][0]
            path = f"{there}/v/sha256/{package['sha256']}"
            with open(path, "rb") as f:
                content = f.read()
            os.unlink(path)
            with open(path, "wb") as f:
                f.write(change(content))
            r = run("build", *self.args[:2], f"-store={there}/s", f"-vendor={there}/v", "-offline", f"-out={there}/out")
            self.assertEqual(os.listdir(f"{there}/s/tmp"), [])
            self.assertFalse(os.path.exists(f"{there}/out"))
            return r

    def test_a_wrong_or_cut_package_is_refused(self):
        self.fails(self.damaged(lambda c: c[:-1] + bytes([c[-1] ^ 1])), "SHA-256 is")
        self.fails(self.damaged(lambda c: c[:1000]), "SHA-256 is")

    def test_a_full_disk_leaves_nothing(self):
        env = {**os.environ, "MLOPS_IAC_FAULT": "write:40+:ENOSPC"}
        with tempfile.TemporaryDirectory() as there:
            r = run("build", *self.args[:2], f"-store={there}/s", f"-vendor={self.at}/store/blobs", "-offline",
                    f"-out={there}/out", env=env)
            self.fails(r, "space")
            self.assertEqual(os.listdir(f"{there}/s/tmp"), [])
            self.assertFalse(os.path.exists(f"{there}/out"))
            r = run("build", *self.args[:2], f"-store={there}/s", f"-vendor={self.at}/store/blobs", "-offline",
                    f"-out={there}/out")
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertTrue(same(f"{self.at}/one", f"{there}/out"))

    def test_two_builds_at_once_share_a_store(self):
        with tempfile.TemporaryDirectory() as there:
            builds = [subprocess.Popen([PROGRAM, "build", *self.args[:2], f"-store={there}/s", "-offline",
                                        f"-vendor={self.at}/store/blobs", f"-out={there}/{i}"],
                                       stdout=subprocess.DEVNULL) for i in range(2)]
            self.assertEqual([b.wait() for b in builds], [0, 0])
            self.assertTrue(same(f"{there}/0", f"{there}/1"))
            self.assertTrue(same(f"{self.at}/one", f"{there}/1"))

    def test_a_cancelled_build_shows_nothing(self):
        with tempfile.TemporaryDirectory() as there:
            b = subprocess.Popen([PROGRAM, "build", *self.args[:2], f"-store={there}/s", "-offline",
                                  f"-vendor={self.at}/store/blobs", f"-out={there}/out"], stdout=subprocess.DEVNULL)
            try:
                b.wait(0.2)
            except subprocess.TimeoutExpired:
                b.kill()
                b.wait()
                self.assertFalse(os.path.exists(f"{there}/out"))
            r = run("build", *self.args[:2], f"-store={there}/s", "-offline", f"-vendor={self.at}/store/blobs",
                    f"-out={there}/again")
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertTrue(same(f"{self.at}/one", f"{there}/again"))

    def test_what_a_killed_build_left_goes_at_the_next(self):
        with tempfile.TemporaryDirectory() as there:
            args = [PROGRAM, "build", *self.args[:2], f"-store={there}/s", "-offline", f"-vendor={self.at}/store/blobs"]
            os.makedirs(f"{there}/s/tmp/0123456789abcdef/over")
            os.makedirs(f"{there}/s/cells")
            open(f"{there}/s/cells/x.idx.0123456789ab.tmp", "w").close()
            signals = signal.SIGKILL, signal.SIGINT, signal.SIGTERM
            for i in range(48):  # ended at ever later moments, until one comes to its end
                b = subprocess.Popen([*args, f"-out={there}/out", f"-root={there}/root"], stdout=subprocess.DEVNULL)
                try:
                    b.wait(0.1 * 1.13 ** i)
                    break
                except subprocess.TimeoutExpired:
                    b.send_signal(signals[i % 3])
                    b.wait()
                whole = [n for n in os.listdir(there) if n in ("out", "root")]
                if whole:
                    self.assertIn("out", whole, "the layout comes first")
                    self.assertTrue(same(f"{self.at}/one", f"{there}/out"))
                for name in whole:
                    shutil.rmtree(f"{there}/{name}")
            self.assertEqual(b.returncode, 0)
            self.assertEqual(os.listdir(f"{there}/s/tmp"), [])
            self.assertEqual([n for n in os.listdir(f"{there}/s/cells") if n.endswith(".tmp")], [])
            self.assertEqual(sorted(os.listdir(there)), ["out", "root", "s"])
            for name in os.listdir(f"{there}/s/blobs/sha256"):
                with open(f"{there}/s/blobs/sha256/{name}", "rb") as f:
                    self.assertEqual(hashlib.sha256(f.read()).hexdigest(), name)
            self.assertTrue(same(f"{self.at}/one", f"{there}/out"))

    def test_a_build_leaves_the_work_of_another_alone(self):
        with tempfile.TemporaryDirectory() as there:
            os.makedirs(f"{there}/s/tmp/0123456789abcdef")
            fd = os.open(f"{there}/s/tmp", os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(fd, fcntl.LOCK_SH)
            args = ["build", *self.args[:2], f"-store={there}/s", "-offline", f"-vendor={self.at}/store/blobs"]
            self.assertEqual(run(*args).returncode, 0)
            self.assertEqual(os.listdir(f"{there}/s/tmp"), ["0123456789abcdef"])
            os.close(fd)
            self.assertEqual(run(*args).returncode, 0)
            self.assertEqual(os.listdir(f"{there}/s/tmp"), [])

    def test_diff_names_package_variable_and_file(self):
        other = f"{self.at}/other.json"
        self.spec({**BODY, "env": {"A": "2"}, "debian": {"packages": ["python3-minimal", "media-types"]}})
        with open(self.lock) as f:
            kept = f.read()
        self.assertEqual(run("lock", *self.args).returncode, 0)
        shutil.copy(self.lock, other)
        with open(self.lock, "w") as f:
            f.write(kept)
        r = run("diff", self.lock, other, *self.args[1:])
        self.assertEqual(r.returncode, 2, r.stderr)
        for line in ("- ca-certificates ", "+ media-types ", '~ variable A "1" -> "2"', "+ /etc/mime.types", "- layer ca-certificates "):
            self.assertIn("\n" + line, "\n" + r.stdout)
        self.assertEqual(run("diff", self.lock, self.lock, *self.args[1:]).returncode, 0)

    def test_bills_of_materials_name_every_package(self):
        self.assertEqual(run("sbom", *self.args, f"-out={self.at}/sbom").returncode, 0)
        with open(f"{self.at}/sbom/e.spdx.json") as f, open(f"{self.at}/sbom/e.cdx.json") as g, open(self.lock) as h:
            spdx, cdx, lock = json.load(f), json.load(g), json.load(h)
        hashes = {p["sha256"] for p in lock["packages"]}
        self.assertEqual({p["checksums"][0]["checksumValue"] for p in spdx["packages"]}, hashes)
        self.assertEqual({c["hashes"][0]["content"] for c in cdx["components"]}, hashes)

    @unittest.skipUnless(shutil.which("openssl"), "openssl is not installed")
    def test_the_provenance_is_signed(self):
        key, public = f"{self.at}/key.pem", f"{self.at}/public.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
        r = run("sbom", *self.args, f"-out={self.at}/signed", env={**os.environ, "MLOPS_IAC_ENV_KEY": key})
        self.assertEqual(r.returncode, 0, r.stderr)
        envelope = json.loads(text(f"{self.at}/signed/e.provenance.dsse.json"))
        payload = base64.b64decode(envelope["payload"])
        kind = envelope["payloadType"].encode()
        message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
        for path, content in ((f"{self.at}/sig", base64.b64decode(envelope["signatures"][0]["sig"])),
                              (f"{self.at}/msg", message), (f"{self.at}/other", message + b" ")):
            with open(path, "wb") as f:
                f.write(content)
        check = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-sigfile", f"{self.at}/sig", "-in"]
        self.assertEqual(subprocess.run([*check, f"{self.at}/msg"], capture_output=True).returncode, 0)
        self.assertNotEqual(subprocess.run([*check, f"{self.at}/other"], capture_output=True).returncode, 0)
        statement = json.loads(payload)
        sealed = json.loads(text(self.lock))["sealed"]
        self.assertEqual("sha256:" + statement["subject"][0]["digest"]["sha256"], sealed["manifest"])
        self.assertEqual(len(statement["predicate"]["buildDefinition"]["resolvedDependencies"]),
                         len(json.loads(text(self.lock))["packages"]))


unittest.main()
