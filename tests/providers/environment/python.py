"""Python requirements to wheels, by uv and by pip: wheels made here and, where the registry is reached, real ones.
usage: python.py PROGRAM

uv comes from PyPI into the build folder. What cannot be had here is skipped by name; without a Debian mirror: exit 77.
"""
import base64
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
import zipfile

PROGRAM = sys.argv.pop(1)
TOOLS = os.path.abspath(os.path.join(os.path.dirname(PROGRAM), "../../tools/uv"))
NATIVE = platform.machine() == "x86_64" and sys.version_info[:2] == (3, 11)


def uv():
    """Folder with uv, installed the first time; None where it cannot be had."""
    if not os.path.exists(f"{TOOLS}/bin/uv"):
        for python in "/usr/bin/python3", "python3":
            done = subprocess.run([python, "-m", "pip", "install", "-q", "--target", TOOLS, "uv"], capture_output=True)
            if not done.returncode:
                break
    return f"{TOOLS}/bin" if os.path.exists(f"{TOOLS}/bin/uv") else None


def text(path):
    with open(path) as f:
        return f.read()


def wheel(folder, name, version, requires=(), files=None, tag="py3-none-any"):
    """A wheel with one module that says its version; its SHA-256."""
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    content = {f"{name.replace('-', '_')}.py": f"VERSION = {version!r}\n", **(files or {}),
               f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" +
               "".join(f"Provides-Extra: {r.split(chr(39))[1]}\nRequires-Dist: {r}\n" if "extra" in r
                       else f"Requires-Dist: {r}\n" for r in requires),
               f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n"}
    record = "".join("{},sha256={},{}\n".format(
        n, base64.urlsafe_b64encode(hashlib.sha256(t.encode()).digest()).decode().rstrip("="), len(t))
        for n, t in content.items()) + f"{info}/RECORD,,\n"
    path = f"{folder}/{stem}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as z:
        for n, t in {**content, f"{info}/RECORD": record}.items():
            z.writestr(zipfile.ZipInfo(n, (2020, 1, 1, 0, 0, 0)), t)
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def sdist(folder, name, version, setup=""):
    path = f"{folder}/{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as t:
        for n, text in {"setup.py": f"{setup}\nfrom setuptools import setup\nsetup(name={name!r}, version={version!r}, "
                        f"py_modules=[{name!r}])\n", f"{name}.py": "BUILT = True\n",
                        "pyproject.toml": "[build-system]\nrequires = ['setuptools', 'wheel']\n"
                        "build-backend = 'setuptools.build_meta'\n"}.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{n}")
            entry.size = len(text)
            t.addfile(entry, io.BytesIO(text.encode()))
    return path


class Case(unittest.TestCase):
    uv = None

    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.mkdtemp()
        cls.store = f"{cls.shared}/store"

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.shared)

    def setUp(self):
        self.at = tempfile.mkdtemp()
        self.wheels = f"{self.at}/wheels"
        os.mkdir(self.wheels)
        path = "/usr/sbin:/usr/bin:/sbin:/bin"
        # Nothing but the wheels that are made here, whichever the resolver.
        self.env = {**os.environ, "PATH": f"{self.uv}:{path}" if self.uv else path, "PIP_NO_INDEX": "1",
                    "PIP_FIND_LINKS": self.wheels, "UV_FIND_LINKS": self.wheels}
        if self.uv is None and subprocess.run(["/usr/bin/python3", "-m", "pip", "--version"], capture_output=True).returncode:
            self.skipTest("pip of /usr/bin/python3 is not installed")

    def tearDown(self):
        left = os.listdir(f"{self.store}/tmp") if os.path.exists(f"{self.store}/tmp") else []
        shutil.rmtree(self.at)
        self.assertEqual(left, [])

    def write(self, name, text):
        os.makedirs(os.path.dirname(f"{self.at}/{name}"), exist_ok=True)
        with open(f"{self.at}/{name}", "w") as f:
            f.write(text)

    def run_it(self, verb, *words, python=None, **base):
        """The verb on an environment with that python: section."""
        python = {"version": "3.11", **(python or {})}
        body = {"base": {"debian": "bookworm", "variant": "none", **base}, "python": python}
        self.write("spec.json", json.dumps({"name": "e", "body": body}))
        return subprocess.run([PROGRAM, verb, f"-spec={self.at}/spec.json", f"-dir={self.at}", f"-store={self.store}", *words],
                              capture_output=True, text=True, env=self.env)

    def ok(self, *words, **more):
        r = self.run_it(*words, **more)
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        return r.stdout

    def fails(self, *words, says, **more):
        r = self.run_it(*words, **more)
        self.assertEqual(r.returncode, 1, r.stdout)
        for s in says:
            self.assertIn(s, " ".join(r.stderr.split()))

    def locked(self):
        with open(f"{self.at}/environment.e.lock.json") as f:
            return {w["name"]: w for w in json.load(f)["wheels"]}

    def versions(self):
        return {n: w["version"] for n, w in self.locked().items()}


class WithUv(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.uv = uv()
        if cls.uv is None:
            raise unittest.SkipTest("uv from PyPI cannot be installed here")

    def test_files_that_name_files_markers_extras_and_constraints(self):
        for v in "1.0", "1.5", "2.0":
            wheel(self.wheels, "low", v)
        wheel(self.wheels, "top", "1.0", ["low>=1", "never; sys_platform == 'win32'", "more; extra == 'x'"])
        wheel(self.wheels, "more", "1.0")
        wheel(self.wheels, "other", "3")
        self.write("requirements.txt", "-r sub/a.txt\n# a word\n-c c.txt\nnever; python_version < '3'\n")
        self.write("sub/a.txt", "top[x] >= 1\n--requirement=../b.txt\n")
        self.write("b.txt", "other==3  # kept\n")
        self.write("c.txt", "low<2\n")
        self.ok("lock", python={"from": "requirements.txt"})
        self.assertEqual(self.versions(), {"low": "1.5", "more": "1.0", "other": "3", "top": "1.0"})
        self.ok("lock", "-check", python={"from": "requirements.txt"})
        self.write("c.txt", "low<1.5\n")
        r = self.run_it("build", python={"from": "requirements.txt"})
        self.assertEqual((r.returncode, r.stdout), (1, "~ file c.txt\n"))
        self.fails("lock", "-check", python={"from": "requirements.txt"}, says=["declared differently from what is locked"])
        self.ok("lock", python={"from": "requirements.txt"})
        self.assertEqual(self.versions()["low"], "1.0")

    def test_a_difference_is_shown_by_key(self):
        wheel(self.wheels, "low", "1")
        self.ok("lock", python={"packages": ["low"]})
        r = self.run_it("build", python={"packages": ["low"], "version": "3.12"}, arch="arm64")
        self.assertEqual(r.returncode, 1)
        self.assertEqual(r.stdout, '~ base.arch (nothing) -> "arm64"\n~ python.version "3.11" -> "3.12"\n')

    def test_demanded_hashes_are_demanded(self):
        right = wheel(self.wheels, "low", "1")
        self.write("requirements.txt", f"low==1 --hash=sha256:{right}\n")
        self.ok("lock", python={"from": "requirements.txt"})
        self.assertEqual(self.locked()["low"]["sha256"], right)
        self.write("requirements.txt", "low==1 --hash=sha256:" + "0" * 64 + "\n")
        r = self.run_it("lock", python={"from": "requirements.txt"})
        self.assertEqual(r.returncode, 1)
        self.assertIn(right, r.stderr)

    def test_what_is_locked_stays_until_it_is_renewed(self):
        for n in "a", "b":
            wheel(self.wheels, n, "1")
        self.ok("lock", python={"packages": ["a", "b"]})
        for n in "a", "b":
            wheel(self.wheels, n, "2")
        self.assertIn("up to date", self.ok("lock", python={"packages": ["a", "b"]}))
        self.assertEqual(self.ok("lock", "-upgrade", "b", python={"packages": ["a", "b"]}).split("\n")[0],
                         "~ wheel b 1 -> 2")
        self.assertEqual(self.versions(), {"a": "1", "b": "2"})
        self.fails("lock", "-upgrade", "c", python={"packages": ["a", "b"]}, says=["no package c to renew"])
        self.fails("lock", "a", python={"packages": ["a", "b"]}, says=["-upgrade is missing"])
        self.assertEqual(self.ok("lock", "-upgrade", python={"packages": ["a", "b"]}).split("\n")[0], "~ wheel a 1 -> 2")

    def test_a_pylock_goes_out_and_in(self):
        wheel(self.wheels, "low", "1")
        wheel(self.wheels, "top", "1", ["low"])
        self.ok("lock", f"-out={self.at}/wheels/pylock.toml", python={"packages": ["top"]})
        first = self.locked()
        os.unlink(f"{self.at}/environment.e.lock.json")
        self.write("pylock.toml", text(f"{self.at}/wheels/pylock.toml"))
        self.env["PATH"] = "/usr/bin:/bin"  # nothing resolves
        self.ok("lock", python={"from": "pylock.toml"})
        self.assertEqual({n: w["sha256"] for n, w in self.locked().items()}, {n: w["sha256"] for n, w in first.items()})
        self.write("pylock.toml", text(f"{self.at}/pylock.toml").replace(first["low"]["sha256"], "1" * 64))
        shutil.rmtree(f"{self.store}/blobs")
        self.fails("lock", python={"pylock": "pylock.toml"}, says=["low-1-py3-none-any.whl: SHA-256 is", "vendored folder"])
        self.write("pylock.toml", "lock-version = '1.0'\n[[packages]\n")
        self.fails("lock", python={"pylock": "pylock.toml"}, says=["pylock.toml: line 2: ']' is missing"])
        self.fails("lock", python={"pylock": "gone.toml"}, says=["gone.toml"])

    def test_another_architecture_gets_its_own_wheels(self):
        for machine in "x86_64", "aarch64":
            wheel(self.wheels, "fast", "1", ["only-arm; platform_machine == 'aarch64'"],
                  tag=f"cp311-cp311-manylinux_2_17_{machine}")
        wheel(self.wheels, "only-arm", "1")
        self.ok("lock", python={"packages": ["fast"]}, arch="arm64")
        self.assertEqual(set(self.locked()), {"fast", "only-arm"})
        self.assertTrue(self.locked()["fast"]["file"].endswith("aarch64.whl"))

    def test_a_conda_file_that_the_registry_can_serve(self):
        wheel(self.wheels, "dask", "2024.1.0")
        wheel(self.wheels, "low", "1")
        self.write("env.yml", "channels: [conda-forge]\ndependencies:\n- python=3.11\n- pip\n- dask=2024\n- pip: [low]\n")
        body = {"base": {"debian": "bookworm", "variant": "none"}, "conda_file": "env.yml"}
        self.write("spec.json", json.dumps({"name": "e", "body": body}))
        args = [f"-spec={self.at}/spec.json", f"-dir={self.at}", f"-store={self.store}"]

        def run(verb):
            return subprocess.run([PROGRAM, verb, *args], capture_output=True, text=True, env=self.env)
        r = run("lock")
        self.assertIn("dask=2024: dask==2024.* of the Python registry", r.stdout, r.stderr)
        self.assertEqual(self.versions(), {"dask": "2024.1.0", "low": "1"})
        self.assertEqual(run("build").returncode, 0)
        self.write("env.yml", text(f"{self.at}/env.yml").replace("dask", "mkl"))
        r = run("build")
        self.assertEqual(r.returncode, 1)
        self.assertIn("no conda resolver is built in", r.stderr)

    def test_wheels_that_share_a_path(self):
        header = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
        for n in "a", "b":
            wheel(self.wheels, n, "1", files={"shared/__init__.py": f"# {n}\n{header}", f"shared/{n}.py": ""})
        self.ok("lock", python={"packages": ["a", "b"]})
        self.ok("build", python={"packages": ["a", "b"]})
        for n in "c", "d":
            wheel(self.wheels, n, "1", files={"top.txt": n})
        packages = ["c", "d"]
        self.ok("lock", python={"packages": packages})
        self.fails("build", python={"packages": packages},
                   says=["wheels c and d both bring", "dist-packages/top.txt", "python.overlap"])
        for winner in packages:
            python = {"packages": packages, "overlap": [{"name": winner, "reason": "test"}]}
            self.ok("lock", python=python)
            self.ok("build", f"-root={self.at}/{winner}", python=python)
            self.assertEqual(text(f"{self.at}/{winner}/usr/local/lib/python3.11/dist-packages/top.txt"), winner)

    def test_what_cannot_be_resolved_is_explained(self):
        wheel(self.wheels, "a", "1", ["b==1"])
        wheel(self.wheels, "b", "2")
        self.fails("lock", python={"packages": ["a", "b"]}, says=["cannot be resolved", "b==1"])
        self.write("requirements.txt", "-e .\n")
        self.fails("lock", python={"from": "requirements.txt"}, says=["requirements.txt:1", "folder of sources"])
        self.write("requirements.txt", "-r gone.txt\n")
        self.fails("lock", python={"from": "requirements.txt"}, says=["gone.txt is not there"])

    def test_sources_are_refused_unless_listed(self):
        sdist(self.wheels, "srcpkg", "1.0")
        self.fails("lock", python={"packages": ["srcpkg"]}, says=["srcpkg", "python.build_wheel"])
        self.fails("lock", python={"packages": ["srcpkg"], "build_wheel": ["srcpkg"]}, says=["needs name and version"])

    def build_source(self, setup, source=True):
        path = sdist(self.at if source else self.wheels, "srcpkg", "1.0", setup)
        self.env.pop("PIP_NO_INDEX", None)  # setuptools comes from the registry
        entry = {"name": "srcpkg", "version": "1.0"}
        if source:
            entry["source"] = os.path.basename(path)
        return {"packages": ["srcpkg"], "build_wheel": [entry]}

    def test_a_listed_source_is_built_in_the_sandbox(self):
        needs_sandbox(self)
        needs_registry(self)
        for source in True, False:
            probe = "import socket, os\ntry:\n    socket.create_connection(('127.0.0.1', 1), 1); raise SystemExit('net')\n" \
                    "except OSError: pass\nassert not os.path.exists('/root') and not os.path.exists('/etc/passwd')\n"
            python = self.build_source(probe, source)
            self.ok("lock", python=python)
            w = self.locked()["srcpkg"]
            self.assertEqual(w["file"], "srcpkg-1.0-py3-none-any.whl")
            self.assertIn("setuptools", " ".join(t["file"] for t in w["built"]["requires"]))
            self.ok("build", python=python)
            os.unlink(f"{self.store}/blobs/sha256/{w['sha256']}")  # another machine builds it again
            self.ok("build", f"-root={self.at}/root{source}", python=python)
            self.assertEqual(text(f"{self.at}/root{source}/usr/local/lib/python3.11/dist-packages/srcpkg.py"),
                             "BUILT = True\n")
            os.unlink(f"{self.at}/environment.e.lock.json")

    def test_a_source_that_builds_differently_each_time_is_refused(self):
        needs_sandbox(self)
        needs_registry(self)
        python = self.build_source("import time\nopen('srcpkg.py', 'w').write(str(time.time_ns()))")
        self.fails("lock", python=python, says=["other bytes each time"])
        python = self.build_source("raise SystemExit('no compiler at all')")
        self.fails("lock", python=python, says=["does not build in the sandbox", "no compiler at all"])

    def test_gone_and_changed_wheels(self):
        wheel(self.at, "low", "1")
        self.ok("lock", python={"packages": [f"low @ file://{self.at}/low-1-py3-none-any.whl"]})
        self.assertEqual(self.locked()["low"]["url"], "low-1-py3-none-any.whl")
        shutil.rmtree(f"{self.store}/blobs")
        python = {"packages": [f"low @ file://{self.at}/low-1-py3-none-any.whl"]}
        self.ok("build", python=python)
        shutil.rmtree(f"{self.store}/blobs")
        wheel(self.at, "low", "1", files={"x.py": ""})
        self.fails("build", python=python, says=["low-1-py3-none-any.whl: SHA-256 is"])


class WithPip(Case):
    """Where uv is absent."""

    @unittest.skipUnless(NATIVE, "pip resolves for its own Python: this machine's is another")
    def test_what_cannot_be_resolved_says_what_to_do(self):
        wheel(self.wheels, "a", "1")
        wheel(self.wheels, "a", "2")
        self.fails("lock", python={"packages": ["a==1", "a==2"]}, says=["Cannot install a==1 and a==2", "they exclude each other"])
        self.fails("lock", python={"packages": ["!!!"]}, says=["Invalid requirement: '!!!'", "mend that line"])
        self.fails("lock", python={"packages": ["gone"]}, says=["No matching distribution", "only wheels are taken"])

    def test_pip_resolves_the_same(self):
        for v in "1", "2":
            wheel(self.wheels, "low", v)
        wheel(self.wheels, "top", "1", ["low", "never; sys_platform == 'win32'"])
        self.write("requirements.txt", "top\n-c c.txt\n")
        self.write("c.txt", "low<2\n")
        self.ok("lock", python={"from": "requirements.txt"})
        self.assertEqual(self.versions(), {"low": "1", "top": "1"})
        self.write("c.txt", "low<3\n")
        self.ok("lock", python={"from": "requirements.txt"})
        self.assertEqual(self.versions()["low"], "1")
        self.ok("lock", "-upgrade", python={"from": "requirements.txt"})
        self.assertEqual(self.versions()["low"], "2")
        shutil.rmtree(f"{self.store}/blobs")
        self.ok("build", python={"from": "requirements.txt"})

    def test_pip_does_not_guess_for_another_target(self):
        wheel(self.wheels, "low", "1")
        self.fails("lock", python={"packages": ["low"]}, arch="arm64", says=["would judge markers by its own", "install uv"])

    def test_without_any_resolver(self):
        wheel(self.wheels, "low", "1")
        os.mkdir(f"{self.at}/bin")
        for tool in "gpgv", "apt-config":
            os.symlink(f"/usr/bin/{tool}", f"{self.at}/bin/{tool}")
        self.env["PATH"] = f"{self.at}/bin"
        self.fails("lock", python={"packages": ["low"]}, says=["neither uv nor pip", "install uv"])


def needs_sandbox(case):
    if not shutil.which("bwrap") or subprocess.run(["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"]).returncode:
        case.skipTest("bubblewrap cannot make a sandbox here")


def needs_registry(case):
    env = {k: v for k, v in case.env.items() if k != "PIP_NO_INDEX"}
    done = subprocess.run([f"{case.uv}/uv", "pip", "compile", "-q", "--only-binary", ":all:", "-"], input="six", text=True,
                          capture_output=True, env=env)
    if done.returncode:
        case.skipTest("the Python registry is not reached")


class Real(Case):
    """Packages from the registry, built into a root and used there."""

    def setUp(self):
        type(self).uv = uv()
        super().setUp()
        if not self.uv:
            self.skipTest("uv from PyPI cannot be installed here")
        needs_registry(self)
        needs_sandbox(self)
        del self.env["PIP_NO_INDEX"]

    def test_scikit_learn_pandas_and_the_inference_server(self):
        python = {"packages": ["scikit-learn==1.5.2", "pandas==2.2.3", "azureml-inference-server-http==1.3.4"]}
        print("real wheels:", self.ok("lock", python=python, variant="slim").strip().split(": ")[-1])
        self.ok("build", f"-root={self.at}/tree", python=python, variant="slim")
        code = "import sklearn, pandas, azureml_inference_server_http, importlib.metadata as m\n" \
               "from sklearn.linear_model import LogisticRegression as L\n" \
               "print(sklearn.__version__, pandas.__version__, L().fit([[0], [1]], [0, 1]).predict([[1]]))\n" \
               "missing = [str(f) for d in m.distributions() for f in d.files or () if not f.locate().exists()]\n" \
               "print(len(list(m.distributions())) > 10, missing)\n"
        r = subprocess.run(["bwrap", "--unshare-all", "--ro-bind", f"{self.at}/tree", "/", "--proc", "/proc", "--dev", "/dev",
                            "--tmpfs", "/tmp", "python3", "-c", code], capture_output=True, text=True)
        self.assertEqual(r.stdout, "1.5.2 2.2.3 [1]\nTrue []\n", r.stderr)
        r = subprocess.run(["bwrap", "--unshare-all", "--ro-bind", f"{self.at}/tree", "/", "--proc", "/proc", "--dev", "/dev",
                            "azmlinfsrv", "--help"], capture_output=True, text=True)
        self.assertIn("--entry_script", r.stdout, r.stderr)

    def test_a_lock_of_uv(self):
        self.write("pyproject.toml", "[project]\nname = 'p'\nversion = '0'\nrequires-python = '>=3.11'\n"
                   "dependencies = ['requests==2.32.3', 'pyyaml==6.0.2', 'colorama; sys_platform == \"win32\"']\n")
        for words in ["lock", "-q"], ["export", "-q", "--format", "pylock.toml", "--no-emit-project", "-o", "pylock.toml"]:
            subprocess.run([f"{self.uv}/uv", *words], cwd=self.at, env={**self.env, "UV_FIND_LINKS": ""}, check=True)
        self.fails("lock", python={"from": "uv.lock"}, says=["uv.lock is uv's own lock", "uv export --format pylock.toml"])
        self.ok("lock", python={"from": "pylock.toml"})
        found = text(f"{self.at}/uv.lock")
        for name, wheel in self.locked().items():
            self.assertIn(f'name = "{name}"\nversion = "{wheel["version"]}"', found)
            self.assertIn(f"sha256:{wheel['sha256']}", found, name)
        self.assertEqual(sorted(self.locked()), ["certifi", "charset-normalizer", "idna", "pyyaml", "requests", "urllib3"])


def main():
    with tempfile.TemporaryDirectory() as at:
        with open(f"{at}/spec.json", "w") as f:
            json.dump({"name": "e", "body": {"base": {"debian": "bookworm", "variant": "none"}}}, f)
        r = subprocess.run([PROGRAM, "lock", f"-spec={at}/spec.json", f"-dir={at}", f"-store={at}/s"], capture_output=True,
                           text=True)
        if r.returncode:
            print("python: skipped, no mirror is reached:", r.stderr)
            sys.exit(77)
    unittest.main()


main()
