"""Locks of conda's tools to an environment: packages made here, from a server on loopback that stands in for the channel.
usage: conda.py PROGRAM
"""
import base64
import ctypes
import ctypes.util
import hashlib
import http.server
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import unittest
import zipfile

from tiny import Case, Package, entry, main, raw, text

CHANNEL = "https://conda.example/forge"
BUILT = "/opt/builder/a_long_placeholder_of_the_prefix_that_is_replaced"


def zstd(data):
    lib = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
    for f in lib.ZSTD_compressBound, lib.ZSTD_compress:
        f.restype = ctypes.c_size_t
    out = ctypes.create_string_buffer(lib.ZSTD_compressBound(ctypes.c_size_t(len(data))))
    n = lib.ZSTD_compress(out, ctypes.c_size_t(len(out)), data, ctypes.c_size_t(len(data)), 3)
    return out.raw[:n]


def tar(files, mode="w"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as t:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755 if name.startswith(("bin/", "python-scripts/")) else 0o644
            t.addfile(info, io.BytesIO(content))
    return out.getvalue()


class Made:
    """A package; `wrong` is a file whose listed digest is another's."""

    def __init__(self, name, version, files, noarch=False, entry_points=(), wrong=None, old=False, build="0", platform="linux-64",
                 depends=()):
        self.name, self.version, self.platform = name, version, "noarch" if noarch else platform
        rows = []
        for path, content in files.items():
            row = {"_path": path, "path_type": "hardlink", "sha256": hashlib.sha256(b"x" if path == wrong else content).hexdigest()}
            if BUILT.encode() in content:
                row.update(prefix_placeholder=BUILT, file_mode="binary" if b"\0" in content else "text")
            rows.append(row)
        index = {"name": name, "version": version, "build": build, "depends": list(depends), **({"noarch": "python"} if noarch else {})}
        info = {"info/index.json": json.dumps(index).encode(), "info/paths.json": json.dumps({"paths": rows}).encode()}
        if noarch:
            info["info/link.json"] = json.dumps({"noarch": {"type": "python", "entry_points": list(entry_points)}}).encode()
        stem = f"{name}-{version}-{build}"
        self.file = stem + (".tar.bz2" if old else ".conda")
        if old:
            self.bytes = tar({**info, **files}, "w:bz2")
        else:
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w") as z:
                z.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
                z.writestr(f"pkg-{stem}.tar.zst", zstd(tar(files)))
                z.writestr(f"info-{stem}.tar.zst", zstd(tar(info)))
            self.bytes = out.getvalue()
        self.url = f"{CHANNEL}/{self.platform}/{self.file}"
        self.sha256, self.md5 = hashlib.sha256(self.bytes).hexdigest(), hashlib.md5(self.bytes).hexdigest()


PYTHON = Made("python", "3.12.4", {"bin/python3.12": b"\x7fELF " + BUILT.encode() + b"/lib\0rest", "lib/python3.12/os.py": b"#\n",
                                   "bin/pip": f"#!{BUILT}/bin/python3.12\n".encode()})
TOOL = Made("tool", "1.0", {"site-packages/tool.py": b"x = 1\n", "python-scripts/raw": b"#!/bin/sh\n"}, noarch=True,
            entry_points=["tool = tool:main"])
OLD = Made("oldlib", "2", {"lib/old.so": b"old"}, old=True)


VERSION = "%d.%d" % sys.version_info[:2]
HOST = os.path.realpath(sys.executable)


def host_libraries():
    """The C library and what else this machine's Python is linked to, as a package of Debian's."""
    said = subprocess.run(["ldd", HOST], capture_output=True, text=True).stdout.split()
    return [entry("." + path, raw(path), 0o755) for path in said if path.startswith("/") and os.path.exists(path)]


def host_python():
    """This machine's Python as a conda package: the program, and the modules that compiling needs."""
    modules = subprocess.run([HOST, "-S", "-s", "-c", "import sys, importlib.util, encodings.ascii, encodings.latin_1\n"
                              "print(*(m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)), sep='\\n')"],
                             capture_output=True, text=True, check=True).stdout.split()
    files = {p.split("/", 2)[2]: raw(p) for p in modules if p.startswith(f"/usr/lib/python{VERSION}/") and p.endswith(".py")}
    files[f"lib/python{VERSION}/broken.py"] = b"def (\n"
    return Made("python", VERSION + ".9", {f"bin/python{VERSION}": raw(HOST), **files}, depends=["libz >=1", "__glibc >=2"])


def wheel(name, content):
    """name-1-py3-none-any.whl with one module."""
    files = {f"{name}.py": content, f"{name}-1.dist-info/METADATA": f"Name: {name}\nVersion: 1\n".encode(),
             f"{name}-1.dist-info/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\n"}
    rows = [f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(c).digest()).rstrip(b'=').decode()},{len(c)}"
            for path, c in files.items()]
    files[f"{name}-1.dist-info/RECORD"] = "\n".join([*rows, f"{name}-1.dist-info/RECORD,,"]).encode() + b"\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for path, c in files.items():
            z.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), c)
    return out.getvalue()


class Conda(Case):
    packages = [Package("base", members=[entry("./etc/base", b"b")]), Package("libc6", members=host_libraries())]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.channel = f"{cls.at}/channel"

        class Quiet(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args):
                super().__init__(*args, directory=cls.channel)

            def log_message(self, *args):
                pass
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.offer(PYTHON, TOOL, OLD)

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.server.server_close()
        super().tearDownClass()

    @classmethod
    def offer(cls, *packages):
        for p in packages:
            os.makedirs(f"{cls.channel}/forge/{p.platform}", exist_ok=True)
            with open(f"{cls.channel}/forge/{p.platform}/{p.file}", "wb") as f:
                f.write(p.bytes)

    def with_lock(self, name, content, **conda):
        with open(f"{self.at}/{name}", "w", encoding="utf-8") as f:
            f.write(content)
        return self.body(["base"], bytecode=False,
                         conda={"from": name, "mirror": f"http://127.0.0.1:{self.server.server_port}/", **conda})

    def explicit(self, *packages, name="explicit.txt", hash="sha256"):
        return self.with_lock(name, "# made by a test\n@EXPLICIT\n" + "".join(f"{p.url}#{getattr(p, hash)}\n" for p in packages))

    def check_root(self, root):
        at = f"{root}/opt/conda"
        self.assertEqual(text(f"{at}/bin/pip"), "#!/opt/conda/bin/python3.12\n")
        with open(f"{at}/bin/python3.12", "rb") as f:
            content = f.read()
        self.assertEqual(content, b"\x7fELF /opt/conda/lib" + b"\0" * (len(BUILT) - len("/opt/conda")) + b"\0rest")
        self.assertEqual(text(f"{at}/lib/python3.12/site-packages/tool.py"), "x = 1\n")
        self.assertEqual(text(f"{at}/bin/tool"),
                         "#!/opt/conda/bin/python3.12\nimport sys\nfrom tool import main\n\nsys.exit(main())\n")
        self.assertTrue(os.access(f"{at}/bin/raw", os.X_OK))
        self.assertEqual(text(f"{at}/lib/old.so"), "old")
        self.assertEqual(json.loads(text(f"{at}/conda-meta/oldlib-2-0.json"))["name"], "oldlib")
        self.assertFalse(os.path.exists(f"{at}/info"))

    def test_an_explicit_list(self):
        body = self.explicit(PYTHON, TOOL, OLD)
        self.good("lock", "list", body)
        lock = self.lock("list")
        self.assertEqual([(p["name"], p["version"], p["url"]) for p in lock["conda"]],
                         [(p.name, p.version, p.url) for p in (OLD, PYTHON, TOOL)])
        self.assertEqual(lock["config"]["python"], {"prefix": "/opt/conda", "version": "3.12"})
        self.good("build", "list", body, f"-root={self.at}/tree", f"-out={self.at}/image")
        self.check_root(f"{self.at}/tree")
        shutil.rmtree(f"{self.at}/store/blobs")
        self.good("build", "list", body)
        self.assertIn("PATH=/opt/conda/bin:", json.dumps(self.config(f"{self.at}/image")))
        self.good("sbom", "list", body, f"-out={self.at}/sbom")
        self.assertIn("pkg:conda/oldlib@2", text(f"{self.at}/sbom/list.spdx.json"))
        self.good("verify", "list", body)

    def config(self, image):
        def blob(digest):
            return json.loads(text(f"{image}/blobs/sha256/{digest.split(':')[1]}"))
        return blob(blob(json.loads(text(f"{image}/index.json"))["manifests"][0]["digest"])["config"]["digest"])

    def test_md5_alone_is_checked_and_pinned(self):
        body = self.explicit(OLD, name="md5.txt", hash="md5")
        self.good("lock", "md5", body)
        self.assertEqual(self.lock("md5")["conda"][0]["sha256"], OLD.sha256)
        body = self.with_lock("md5.txt", f"@EXPLICIT\n{OLD.url}#{'0' * 32}\n")
        self.assertIn("MD5 is", self.env("lock", "md5", body).stderr)

    def test_conda_lock_and_pixi(self):
        conda_lock = "version: 1\npackage:\n"
        pixi = "version: 6\nenvironments:\n  default:\n    packages:\n      linux-64:\n"
        about = "packages:\n"
        for p in PYTHON, TOOL, OLD:
            conda_lock += f"- name: {p.name}\n  version: '{p.version}'\n  manager: conda\n  platform: linux-64\n  url: {p.url}\n" \
                          f"  hash: {{md5: {p.md5}, sha256: {p.sha256}}}\n  category: main\n  optional: false\n"
            pixi += f"      - conda: {p.url}\n"
            about += f"- conda: {p.url}\n  sha256: {p.sha256}\n  md5: {p.md5}\n"
        conda_lock += "- {name: other, platform: osx-64, url: 'https://x/other-1-0.conda', hash: {md5: a}}\n"
        conda_lock += "- {name: dev, platform: linux-64, category: dev, url: 'https://x/dev-1-0.conda', hash: {md5: a}}\n"
        for name, content in ("conda-lock.yml", conda_lock), ("pixi.lock", pixi + about):
            self.good("lock", "same", self.with_lock(name, content))
            self.assertEqual([p["sha256"] for p in self.lock("same")["conda"]], [p.sha256 for p in (OLD, PYTHON, TOOL)])
        self.refused(self.env("lock", "bad", self.with_lock("pixi.lock", pixi + about, environment="gpu")), "no environment gpu")
        self.refused(self.env("lock", "bad", self.with_lock("odd.yml", "a: 1\n")), "it is no conda-lock.yml, no pixi.lock")

    @unittest.skipUnless(shutil.which("bwrap"), "bubblewrap is not installed")
    def test_byte_code_wheels_and_what_is_exported_of_them(self):
        python, content = host_python(), wheel("pure", b"def f(): return 41\n")
        self.offer(python, TOOL)
        with open(f"{self.channel}/pure-1-py3-none-any.whl", "wb") as f:
            f.write(content)
        address = f"http://127.0.0.1:{self.server.server_port}/pure-1-py3-none-any.whl"
        rows = "".join(f"- {{name: {p.name}, version: '{p.version}', manager: conda, platform: linux-64, url: '{p.url}', "
                       f"hash: {{sha256: {p.sha256}}}}}\n" for p in (python, TOOL))
        rows += f"- {{name: pure, version: '1', manager: pip, platform: linux-64, url: '{address}', " \
                f"hash: {{sha256: {hashlib.sha256(content).hexdigest()}}}}}\n"
        body = self.with_lock("compiled.yml", "version: 1\npackage:\n" + rows)
        body["bytecode"], body["debian"]["packages"] = True, ["base", "libc6"]
        self.good("lock", "compiled", body)
        lock = self.lock("compiled")
        self.assertEqual(([w["name"] for w in lock["wheels"]], [p["name"] for p in lock["conda"]]), (["pure"], ["python", "tool"]))
        root = f"{self.at}/compiled"
        self.good("build", "compiled", body, f"-root={root}")
        tag, site = VERSION.replace(".", ""), f"{root}/opt/conda/lib/python{VERSION}"
        for path in "os", "site-packages/tool", "site-packages/pure":
            folder, name = os.path.split(path)
            code = raw(f"{site}/{folder}/__pycache__/{name}.cpython-{tag}.pyc")
            self.assertEqual(code[4:8], b"\x01\0\0\0", "by hash, never checked")
        self.assertFalse(os.path.exists(f"{site}/__pycache__/broken.cpython-{tag}.pyc"))
        done = self.env("run", "compiled", body, "--", f"/opt/conda/bin/python{VERSION}", "-S", "-c",
                        f"import sys; sys.path.append('/opt/conda/lib/python{VERSION}/site-packages'); import pure, tool; "
                        "print(pure.f() + tool.x, pure.__cached__)")
        self.assertEqual(done.stdout, f"42 /opt/conda/lib/python{VERSION}/site-packages/__pycache__/pure.cpython-{tag}.pyc\n", done.stderr)
        self.good("verify", "compiled", body)
        self.good("export", "compiled", body, "conda", "127.0.0.1:5000/team/x", f"-out={self.at}/azure")
        self.assertEqual(text(f"{self.at}/azure/conda.yaml"), f'name: "compiled"\nchannels:\n  - "{CHANNEL}"\ndependencies:\n'
                         f"  - python={VERSION}.9=0\n  - tool=1.0=0\n  - pip\n  - pip:\n      - pure==1\n")

    def test_unsound_packages_are_refused(self):
        rows = [(Made("bad1", "1", {"a": b"a"}, wrong="a"), "does not match info/paths.json: a"),
                (Made("bad2", "1", {"../a": b"a"}), "unsafe name"),
                (Made("bad3", "1", {"bin/.bad3-post-link.sh": b"rm -rf /\n"}), "a script that would have to run"),
                (Made("bad4", "1", {"s.py": b""}, noarch=True, entry_points=["../sh = a:b"]), "an entry point that is no name")]
        renamed = Made("real", "1", {"a": b"a"})
        renamed.file, renamed.url = "bad5-1-0.conda", renamed.url.replace("real", "bad5")
        for p, says in rows + [(renamed, "holds another package: real")]:
            self.offer(p)
            body = self.explicit(p, name="bad.txt")
            self.good("lock", "bad", body)
            done = self.env("build", "bad", body)
            self.assertEqual(done.returncode, 1)
            self.assertIn(says, done.stderr)
            self.nothing_half_made()

    def test_gone_and_changed(self):
        p = Made("fleeting", "1", {"a": b"a"})
        gone = self.explicit(p, name="gone.txt")
        self.assertIn("gave no fleeting-1-0.conda (HTTP 404)", self.env("lock", "gone", gone).stderr)
        p.bytes = p.bytes[:-10]
        self.offer(p)
        self.assertIn("fleeting-1-0.conda: SHA-256 is", self.env("lock", "gone", gone).stderr)
        self.nothing_half_made()


main()
