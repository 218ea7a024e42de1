"""The three ways with maintainer scripts: static, sandbox and none, on real packages. usage: scripts.py PROGRAM

What static mode makes is held against what the scripts make. Without a mirror or bubblewrap: exit 77, skipped; the
sandbox alone is skipped for users other than root.
"""
import ctypes
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv.pop(1)
SETUID = [{"name": n, "reason": "test"} for n in ("passwd", "login", "util-linux", "mount", "libpam-modules-bin", "dbus")]
USERS = [{"name": "app", "uid": 1000, "home": "/srv/app"}]


def body(variant, packages, **more):
    return {"base": {"debian": "bookworm", "variant": variant}, "debian": {"packages": packages, "setuid": SETUID}, **more}


def text(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


class Scripts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.at = tempfile.mkdtemp()
        done = cls.env("lock", "probe", body("slim", []))
        if done.returncode:
            print("scripts: skipped, no mirror is reached:", done.stderr)
            os._exit(77)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.at)

    @classmethod
    def env(cls, verb, name, declared, *more):
        with open(f"{cls.at}/{name}.json", "w", encoding="utf-8") as f:
            json.dump({"name": name, "body": declared}, f)
        return subprocess.run([PROGRAM, verb, f"-spec={cls.at}/{name}.json", f"-dir={cls.at}", f"-store={cls.at}/store", *more],
                              capture_output=True, text=True)

    def root(self, name, declared):
        """A root file system of the declaration."""
        path = f"{self.at}/{name}"
        for verb, more in ("lock", []), ("build", [f"-root={path}"]):
            done = self.env(verb, name, declared, *more)
            self.assertEqual(done.returncode, 0, done.stderr)
        return path

    def refused(self, name, declared, *words, verb="build"):
        if verb == "build":
            self.assertEqual(self.env("lock", name, declared).returncode, 0)
        done = self.env(verb, name, declared)
        self.assertEqual(done.returncode, 1, done.stdout)
        for w in words:
            self.assertIn(w, done.stderr)

    def test_static_compiles_modules_that_python_then_uses(self):
        root = self.root("modules", body("slim", ["python3-minimal"]))
        folder = f"{root}/usr/lib/python3.11"
        with open(f"{folder}/__pycache__/os.cpython-311.pyc", "rb") as f:
            self.assertEqual(f.read(8)[4:], b"\x01\0\0\0")  # by hash, never checked: no time is in it
        self.assertFalse(os.path.exists(f"{folder}/__pycache__/sitecustomize.cpython-311.pyc"))  # a link
        said = subprocess.run(["bwrap", "--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev", "python3", "-v", "-c", ""],
                              capture_output=True, text=True).stderr
        self.assertIn("code object from '/usr/lib/python3.11/encodings/__pycache__/utf_8.cpython-311.pyc'", said)
        self.assertNotIn("code object from /usr/lib/python3.11/encodings", said)
        done = self.env("verify", "modules", body("slim", ["python3-minimal"]))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_byte_code_can_be_left_out(self):
        root = self.root("plain", body("slim", ["python3-minimal"], bytecode=False))
        self.assertFalse(os.path.exists(f"{root}/usr/lib/python3.11/__pycache__"))

    def test_declared_users(self):
        declared = body("slim", [], users=USERS, user="app")
        root = self.root("users", declared)
        self.assertIn("\napp:x:1000:1000::/srv/app:/usr/sbin/nologin\n", text(f"{root}/etc/passwd"))
        self.assertIn("\napp:x:1000:\n", text(f"{root}/etc/group"))
        self.assertTrue(text(f"{root}/etc/passwd").startswith("root:"))
        if os.geteuid() == 0:
            self.assertEqual(os.stat(f"{root}/srv/app").st_uid, 1000)
        self.assertEqual(self.env("build", "users", declared, f"-out={self.at}/image").returncode, 0)
        config = json.loads(text(f"{self.at}/environment.users.lock.json"))["sealed"]["config"].removeprefix("sha256:")
        self.assertEqual(json.loads(text(f"{self.at}/image/blobs/sha256/{config}"))["config"]["User"], "app")

    def test_users_that_cannot_be_are_refused(self):
        for users, words in (([{"name": "mail", "uid": 1000}], "mail has the name or the uid"),
                             ([{"name": "x", "uid": 8}], "x has the name or the uid")):
            self.refused("wrong", body("slim", [], users=users), words)
        for users, words in (([{"name": "A b", "uid": 7}], "is no name of a user"), ([{"name": "a", "uid": 0}], "needs a uid"),
                             ([{"name": "a", "uid": 7, "home": "/x/../y"}], "absolute paths"),
                             ([{"name": "a", "uid": 7}, {"name": "a", "uid": 8}], "twice")):
            self.refused("wrong", body("slim", [], users=users), words, verb="lock")

    def test_none_leaves_everything_undone(self):
        root = self.root("bare", body("slim", ["python3-minimal"], scripts="none"))
        for path in "etc/passwd", "etc/ld.so.cache", "etc/alternatives/awk", "usr/lib/python3.11/__pycache__":
            self.assertFalse(os.path.lexists(f"{root}/{path}"), path)
        self.assertIn("Package: libc6\n", text(f"{root}/var/lib/dpkg/status"))

    def test_static_names_the_package_that_needs_its_script(self):
        self.refused("dbus", body("slim", ["dbus"]), "has a script that calls", "static mode cannot do", "scripts: sandbox")

    def test_a_sandbox_needs_dpkg(self):
        self.refused("small", body("none", ["mawk"], scripts="sandbox"),
                     "needs dpkg", "base.variant: essential")

    @unittest.skipIf(os.geteuid(), "root alone can be several users")
    def test_the_sandbox_runs_scripts_and_is_reproducible(self):
        declared = body("essential", ["ca-certificates", "dbus", "python3-minimal"], scripts="sandbox", users=USERS)
        root = self.root("scripts", declared)
        passwd = text(f"{root}/etc/passwd")
        self.assertIn("\nmessagebus:", passwd)
        self.assertIn("\napp:x:1000:1000:", passwd)
        status = text(f"{root}/var/lib/dpkg/status")
        self.assertEqual(status.count("\nStatus: install ok installed\n"), status.count("\nStatus: "))
        self.assertFalse(os.path.exists(f"{root}/usr/sbin/policy-rc.d"))
        self.assertEqual(os.readlink(f"{root}/var/lock"), "/run/lock")  # a folder of the package until its script ran
        done = self.env("verify", "scripts", declared)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.certificates_are_those_of_static_mode(root)
        undeclared = {**declared, "debian": {"packages": ["dbus"], "setuid": [s for s in SETUID if s["name"] != "dbus"]}}
        self.refused("scripts", undeclared, "dbus-daemon-launch-helper run with another user's rights")

    def with_script(self, name, declared, package, script, text_):
        """The lock of a declaration with one package whose script is another, and that package in the store."""
        self.assertEqual(self.env("lock", name, declared).returncode, 0)
        path, tree, deb = f"{self.at}/environment.{name}.lock.json", f"{self.at}/{name}.tree", f"{self.at}/{name}.deb"
        self.env("vendor", name, declared, f"-out={self.at}/{name}.inputs")
        lock = json.loads(text(path))
        row = next(p for p in lock["packages"] if p["name"] == package)
        subprocess.run(["dpkg-deb", "-R", f"{self.at}/store/blobs/sha256/{row['sha256']}", tree], check=True)
        with open(f"{tree}/DEBIAN/{script}", "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\n" + text_)
        os.chmod(f"{tree}/DEBIAN/{script}", 0o755)
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, deb], check=True, capture_output=True)
        with open(deb, "rb") as f:
            content = f.read()
        row.update(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        shutil.copy(deb, f"{self.at}/store/blobs/sha256/{row['sha256']}")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(lock, f)

    def nothing_half_made(self):
        self.assertEqual(os.listdir(f"{self.at}/store/tmp"), [])
        self.assertFalse(os.path.exists(f"{self.at}/half"))

    def test_a_script_before_unpacking_that_matters_is_refused(self):
        for mode, variant in ("static", "slim"), ("sandbox", "essential"):
            declared = body(variant, [], scripts=mode)
            self.with_script(mode, declared, "mawk", "preinst", "dpkg-divert --package mawk --add --rename /usr/bin/awk\n")
            done = self.env("build", mode, declared, "-offline", f"-root={self.at}/half")
            self.assertEqual(done.returncode, 1)
            self.assertIn("package mawk has a script that calls dpkg-divert before it is unpacked", done.stderr)
            self.assertIn("debian.accept_scripts", done.stderr)
            self.nothing_half_made()

    @unittest.skipIf(os.geteuid(), "root alone can be several users")
    def test_a_script_that_fails(self):
        declared = body("essential", [], scripts="sandbox")
        self.with_script("failing", declared, "mawk", "postinst", "echo before; echo cannot go on >&2; exit 3\n")
        for _ in range(2):
            done = self.env("build", "failing", declared, "-offline", f"-root={self.at}/half")
            self.assertEqual(done.returncode, 1)
            self.assertIn("the script of package mawk failed", done.stderr)
            self.assertIn("cannot go on", done.stderr)
            self.assertIn("debian.packages, or drop the package", done.stderr)
            self.nothing_half_made()

    @unittest.skipIf(os.geteuid(), "root alone may map a range of users")
    def test_mapped_users_make_the_same(self):
        """What `unshare --map-root-user --map-auto` gives a person: root of a range of users, and of nothing else."""
        declared, base, other = body("essential", ["dbus"], scripts="sandbox"), 1000000, f"{self.at}/mapped"
        self.root("mapped-by-root", declared)
        digest = json.loads(text(f"{self.at}/environment.mapped-by-root.lock.json"))["sealed"]["config"]
        self.assertEqual(self.env("vendor", "mapped-by-root", declared, f"-out={other}/inputs").returncode, 0)
        shutil.copy(f"{self.at}/environment.mapped-by-root.lock.json", f"{other}/lock.json")
        shutil.copy(PROGRAM, f"{other}/program")
        for folder, _, names in os.walk(other):
            for path in folder, *(f"{folder}/{n}" for n in names):
                os.chown(path, base, base)
        os.chmod(self.at, 0o755)
        ready, go = os.pipe(), os.pipe()
        pid = os.fork()
        if not pid:
            ok = ctypes.CDLL(None).unshare(0x10000000) == 0  # CLONE_NEWUSER
            os.write(ready[1], b"x" if ok else b"-")
            os.read(go[0], 1)
            os.setgid(0), os.setuid(0), os.setgroups([])
            out = os.open(f"{other}/said", os.O_WRONLY | os.O_CREAT, 0o644)
            os.dup2(out, 1), os.dup2(out, 2)
            os.chdir(other)
            os.execve(f"{other}/program", ["env", "build", "-offline", f"-lock={other}/lock.json", f"-dir={other}",
                                           f"-vendor={other}/inputs", f"-store={other}/store"], {"PATH": os.environ["PATH"]})
        may = os.read(ready[0], 1) == b"x"
        for kind in ("uid", "gid") if may else ():
            with open(f"/proc/{pid}/{kind}_map", "w", encoding="utf-8") as f:
                f.write(f"0 {base} 65536\n")
        os.write(go[1], b"x")
        status = os.waitpid(pid, 0)[1]
        if not may:
            self.skipTest("this kernel makes no user namespaces")
        self.assertEqual(status, 0, text(f"{other}/said"))
        self.assertIn(digest, text(f"{other}/said"))

    def certificates_are_those_of_static_mode(self, by_scripts):
        by_us = self.root("static", body("slim", ["ca-certificates"]))
        names = [sorted(os.listdir(f"{r}/etc/ssl/certs")) for r in (by_us, by_scripts)]
        self.assertEqual(*names)
        self.assertGreater(len(names[0]), 100)
        for n in names[0]:
            paths = [f"{r}/etc/ssl/certs/{n}" for r in (by_us, by_scripts)]
            self.assertEqual(*[os.readlink(p) if os.path.islink(p) else text(p) for p in paths])


if not shutil.which("bwrap"):
    print("scripts: skipped, bubblewrap is not installed")
    sys.exit(77)
unittest.main()
