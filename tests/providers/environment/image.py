"""Environments on images that others made: a real registry with TLS and passwords on loopback, images made by hand, by
skopeo and by umoci. usage: image.py PROGRAM

Needs Debian's docker-registry, apache2-utils, openssl, skopeo and umoci; without them: exit 77, skipped.
"""
import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import ssl
import subprocess
import tarfile
import urllib.error
import urllib.request

import registry
import tiny
from tiny import entry

LAYER = "application/vnd.oci.image.layer.v1.tar"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
STATUS = "".join(f"Package: {n}\nStatus: install ok installed\nVersion: {v}\nArchitecture: amd64\n\n" for n, v in
                 (("libc6", "2.36-9"), ("base-files", "12.4"))) + "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n"


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as t:
        for info, content in members:
            t.addfile(info, io.BytesIO(content))
    return out.getvalue()


def folder(name, mode=0o755):
    return entry(name, mode=mode, kind=tarfile.DIRTYPE)


def link(name, target):
    return entry(name, mode=0o777, kind=tarfile.SYMTYPE, link=target)


BASE = (folder("./"), folder("etc"), entry("etc/os-release", b'ID=debian\nVERSION_ID="12"\n'), folder("usr"), folder("usr/bin"), folder("usr/lib"),
        entry("usr/bin/tool", b"#!/bin/sh\necho tool\n", 0o755), link("bin", "usr/bin"), link("lib", "usr/lib"), folder("var"), folder("var/lib"),
        folder("var/lib/dpkg"), entry("var/lib/dpkg/status", STATUS.encode()), folder("opt"), folder("opt/old"), entry("opt/old/a", b"a"),
        entry("opt/old/b", b"b"), folder("opt/whole"), entry("opt/whole/x", b"x"), folder("opt/file"), entry("opt/file/y", b"y"), entry("keep", b"k"),
        folder("dev"), entry("dev/null", kind=tarfile.CHRTYPE), entry("usr/bin/python3.11", b"ELF", 0o755), link("usr/bin/python3", "python3.11"))
OVER = (entry("opt/new", b"n"), entry("opt/old/.wh.a"), entry("opt/whole/z", b"z"), entry("opt/whole/.wh..wh..opq"), entry("opt/.wh.gone"),
        entry("opt/file", b"now a file"), entry("bin/more", b"m", 0o755), entry("usr/bin/twin", mode=0o755, kind=tarfile.LNKTYPE, link="bin/more"),
        entry(".wh.keep"), entry("usr/bin/tool", b"#!/bin/sh\necho other\n", 0o755))
LAID = {"opt/new": b"n", "opt/old/b": b"b", "opt/whole/z": b"z", "opt/file": b"now a file", "usr/bin/more": b"m", "usr/bin/twin": b"m",
        "usr/bin/tool": b"#!/bin/sh\necho other\n"}
GONE = ("opt/old/a", "opt/whole/x", "keep", "dev/null", "opt/whole/.wh..wh..opq", "opt/old/.wh.a")


class Hub:
    """A registry, and images into it by its own protocol: also such as no tool would push."""

    def __init__(self, at):
        os.makedirs(at)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.at, self.server = at, registry.start(at, self.port)
        self.host = f"127.0.0.1:{self.port}"
        self.tls = ssl.create_default_context(cafile=f"{at}/cert.pem")

    def close(self):
        self.server.terminate()
        self.server.wait()

    def ask(self, method, path, body=None, kind=None):
        url = path if path.startswith("https:") else f"https://{self.host}/v2/{path}"
        q = urllib.request.Request(url, data=body, method=method, headers={
            "Authorization": "Basic " + base64.b64encode(b"ml:secret-word").decode(), "Content-Type": kind or "application/octet-stream"})
        with urllib.request.urlopen(q, context=self.tls) as answer:
            return answer.headers

    def blob(self, name, data):
        at = self.ask("POST", f"{name}/blobs/uploads/", b"")["Location"]
        self.ask("PUT", f"{at}{'&' if '?' in at else '?'}digest={sha(data)}", data)

    def manifest(self, name, tag, value, kind=MANIFEST):
        text = json.dumps(value).encode()
        self.ask("PUT", f"{name}/manifests/{tag}", text, value.get("mediaType", kind))
        return sha(text), len(text)

    def image(self, name, tag, layers, run=None, packed=True, types=None, diff_ids=None, created="2024-05-06T07:08:09.5Z", arch="amd64",
              config_type=CONFIG, kind=MANIFEST):
        blobs = [gzip.compress(x, mtime=0) if packed else x for x in layers]
        config = json.dumps({"architecture": arch, "os": "linux", "created": created, "config": run or {},
                             "rootfs": {"type": "layers", "diff_ids": diff_ids or [sha(x) for x in layers]},
                             "history": [{"created_by": "hand"}]}).encode()
        for b in (config, *blobs):
            self.blob(name, b)
        types = types or [LAYER + ("+gzip" if packed else "")] * len(blobs)
        return self.manifest(name, tag, {
            "schemaVersion": 2, "mediaType": kind, "config": {"mediaType": config_type, "digest": sha(config), "size": len(config)},
            "layers": [{"mediaType": t, "digest": sha(b), "size": len(b), **({"urls": ["https://127.0.0.1/x"]} if "foreign" in t else {})}
                       for t, b in zip(types, blobs)]})

    def stored(self, digest):
        return f"{self.at}/data/docker/registry/v2/blobs/sha256/{digest[7:9]}/{digest[7:]}/data"


class Images(tiny.Case):
    packages = [tiny.Package("hello", "1", [entry("./usr/share/hello/text", b"hello")])]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub = Hub(f"{cls.at}/hub")
        with open(f"{cls.at}/add.txt", "w", encoding="utf-8") as f:
            f.write("added")

    @classmethod
    def tearDownClass(cls):
        cls.hub.close()
        super().tearDownClass()

    def env(self, *args, **how):
        more = how.pop("env", {})
        return super().env(*args, env={**os.environ, "MLOPS_IAC_REGISTRY_CA": f"{self.hub.at}/cert.pem", "MLOPS_IAC_REGISTRY_USER": "ml",
                                       "MLOPS_IAC_REGISTRY_PASSWORD": "secret-word", **more}, **how)

    def reference(self, rest):
        return f"{self.hub.host}/{rest}"

    def on(self, rest, **more):
        return {"image": self.reference(rest), **more}

    def laid(self, root):
        for path, content in LAID.items():
            self.assertEqual(tiny.raw(f"{root}/{path}"), content, path)
        for path in GONE:
            self.assertFalse(os.path.lexists(f"{root}/{path}"), path)
        self.assertEqual(os.readlink(f"{root}/bin"), "usr/bin")
        self.assertEqual(os.stat(f"{root}/usr/bin/twin").st_ino, os.stat(f"{root}/usr/bin/more").st_ino)

    # ---- what works ----

    def test_an_image_alone_is_the_environment(self):
        digest, _ = self.hub.image("t/alone", "v1", [tar(BASE), tar(OVER)], {"Env": ["A=1"], "Cmd": ["sh"]})
        body = self.on("t/alone:v1")
        self.assertIn(f"image {self.reference('t/alone:v1')} is {digest}", self.good("lock", "alone", body))
        lock = self.lock("alone")
        self.assertEqual(lock["image"]["manifest"], digest)
        self.assertEqual([p["name"] for p in lock["image"]["packages"]], ["base-files", "libc6"])
        self.assertEqual((lock["image"]["distribution"], lock["epoch"]), ("debian-12", 1714979289))
        self.assertEqual(lock["image"]["python"], {"glibc": 36, "interpreter": "/usr/bin/python3", "version": "3.11"})
        said = self.good("build", "alone", body, f"-out={self.at}/alone", f"-root={self.at}/alone-root")
        self.assertIn(f"environment {lock['image']['config']}\nmanifest    {digest}\n", said)
        self.laid(f"{self.at}/alone-root")
        self.good("drift", "alone", body, f"{self.at}/alone-root")
        self.good("drift", "alone", body, self.reference("t/alone:v1"))
        with open(f"{self.at}/alone/index.json", encoding="utf-8") as f:
            self.assertEqual(json.load(f)["manifests"][0]["digest"], digest)
        self.assertIn("verified", self.good("verify", "alone", body))
        self.assertIn("\n0 of ", self.good("push", "alone", body, self.reference("t/alone:v2")))
        said = self.good("push", "alone", body, self.reference("other/place:v1"))
        self.assertIn("\n1 of 3 blobs were sent", said, "the layers are mounted from t/alone, the configuration is sent")
        self.good("drift", "alone", body, self.reference("other/place:v1"))

    def test_what_is_added_lies_on_top(self):
        run = {"Env": ["PATH=/opt/bin:/usr/bin", "A=1", "B=2"], "Entrypoint": ["/usr/bin/tool"], "Cmd": ["x"], "User": "7", "WorkingDir": "/opt",
               "Labels": {"theirs": "1"}, "ExposedPorts": {"1/tcp": {}}, "Volumes": {"/data": {}}}
        self.hub.image("t/top", "v1", [tar(BASE), tar(OVER)], run, packed=False)
        body = self.on("t/top:v1", files=[{"source": "add.txt", "target": "/opt/new/add.txt"}], env={"B": "3", "C": "4"}, workdir="/w",
                       inference_config={"scoring_route": {"path": "/score", "port": 5001}})
        self.good("lock", "top", body)
        self.refused(self.env("build", "top", body), "/opt/new/add.txt", "lies behind /opt/new, which is a file of the image")
        body["files"][0]["target"] = "/opt/our/add.txt"
        self.good("lock", "top", body)
        self.good("build", "top", body, f"-out={self.at}/top", f"-root={self.at}/top-root")
        self.laid(f"{self.at}/top-root")
        self.assertEqual(tiny.text(f"{self.at}/top-root/opt/our/add.txt"), "added")
        lock = self.lock("top")
        config = json.loads(tiny.raw(f"{self.at}/top/blobs/sha256/{lock['sealed']['config'][7:]}"))
        c = config["config"]
        self.assertEqual(c["Env"], ["PATH=/opt/bin:/usr/bin", "A=1", "B=3", "C=4"])
        self.assertEqual([c[k] for k in ("Entrypoint", "Cmd", "User", "WorkingDir", "Volumes")],
                         [["/usr/bin/tool"], ["x"], "7", "/w", {"/data": {}}])
        self.assertEqual((c["Labels"]["theirs"], c["Labels"]["org.mlops-iac.environment"]), ("1", "top"))
        self.assertEqual(c["ExposedPorts"], {"1/tcp": {}, "5001/tcp": {}})
        self.assertEqual([h["created_by"] for h in config["history"]], ["hand", "mlops-iac: files"])
        self.assertEqual(config["rootfs"]["diff_ids"][:2], [sha(tar(BASE)), sha(tar(OVER))])
        manifest = json.loads(tiny.raw(f"{self.at}/top/blobs/sha256/{lock['sealed']['manifest'][7:]}"))
        self.assertEqual([x["digest"] for x in manifest["layers"]][:2], [sha(tar(BASE)), sha(tar(OVER))], "nothing is packed anew")
        self.good("verify", "top", body)
        self.assertIn("\n2 of 4 blobs were sent", self.good("push", "top", body, self.reference("t/top:ours")))
        self.good("drift", "top", body, f"{self.at}/top-root")
        os.unlink(f"{self.at}/top-root/opt/whole/z")
        os.makedirs(f"{self.at}/top-root/opt/whole/x")
        self.assertIn("+ /opt/whole/x\n- /opt/whole/z\n", self.env("drift", "top", body, f"{self.at}/top-root").stdout)
        self.read_by_others("top", "t/top:ours")
        self.vendored(body)
        self.exported(body, lock)
        self.listed(body, lock)

    def read_by_others(self, name, rest):
        copy = f"{self.at}/{name}-copy"
        subprocess.run(["skopeo", "copy", "-q", "--preserve-digests", "--src-tls-verify=false", "--src-creds=ml:secret-word", f"docker://{self.reference(rest)}",
                        f"oci:{copy}:x"], check=True)
        with open(f"{copy}/index.json", encoding="utf-8") as f:
            self.assertEqual(json.load(f)["manifests"][0]["digest"], self.lock(name)["sealed"]["manifest"])

    def vendored(self, body):
        self.good("vendor", "top", body, f"-out={self.at}/vendored")
        done = self.env("build", "top", body, "-offline", store="empty")
        self.refused(done, "4 parts of image", "-vendor")
        self.good("build", "top", body, "-offline", f"-vendor={self.at}/vendored", f"-out={self.at}/again", store="empty")
        self.assertEqual(subprocess.run(["diff", "-r", f"{self.at}/top", f"{self.at}/again"]).returncode, 0)

    def exported(self, body, lock):
        self.good("export", "top", body, "build", f"-out={self.at}/x-build")
        words = tiny.text(f"{self.at}/x-build/context/Dockerfile")
        self.assertIn(f"\nFROM {self.reference('t/top')}@{lock['image']['manifest']}\nADD layer-02.tar.gz /\nENV B=", words)
        self.assertEqual(sorted(os.listdir(f"{self.at}/x-build/context")), ["Dockerfile", "layer-02.tar.gz"])
        self.good("export", "top", body, "image", self.reference("t/top"), f"-out={self.at}/x-image")
        self.assertIn(lock["sealed"]["manifest"], tiny.text(f"{self.at}/x-image/environment.yaml"))

    def listed(self, body, lock):
        self.good("sbom", "top", body, f"-out={self.at}")
        spdx, cdx = (json.loads(tiny.text(f"{self.at}/top.{k}.json")) for k in ("spdx", "cdx"))
        first = spdx["packages"][0]
        self.assertEqual((first["name"], first["checksums"][0]["checksumValue"]), (self.reference("t/top:v1"), lock["image"]["manifest"][7:]))
        self.assertEqual([p["externalRefs"][0]["referenceLocator"] for p in spdx["packages"][1:]],
                         ["pkg:deb/debian/base-files@12.4?arch=amd64&distro=debian-12", "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12"])
        self.assertEqual([(p["type"], p["name"]) for p in cdx["components"]],
                         [("container", self.reference("t/top:v1")), ("library", "base-files"), ("library", "libc6")])

    def test_a_tag_that_moves(self):
        old, _ = self.hub.image("t/move", "v1", [tar(BASE)])
        body = self.on("t/move:v1", env={"A": "1"})
        self.good("lock", "move", body)
        before = tiny.text(self.lock_path("move"))
        self.assertIn("is as locked", self.good("drift", "move", body))
        other = tuple((i, c.replace(b"2.36-9", b"2.36-10")) if i.name.endswith("status") else (i, c) for i, c in BASE)
        for i, c in other:
            i.size = len(c)
        new, _ = self.hub.image("t/move", "v1", [tar(other)])
        done = self.env("drift", "move", body)
        self.assertEqual((done.returncode, done.stdout), (2, f"~ image {self.reference('t/move:v1')} {old} -> {new}\n"))
        self.good("lock", "pinned", self.on(f"t/move:v1@{old}"))
        self.assertEqual(self.lock("pinned")["image"]["manifest"], old)
        self.good("drift", "pinned", self.on(f"t/move:v1@{old}"))
        self.good("lock", "move", body)
        self.assertEqual(tiny.text(self.lock_path("move")), before, "nothing renews a lock by itself")
        said = self.good("lock", "move", body, "-upgrade", "image")
        self.assertIn(f"~ image {self.reference('t/move:v1')} {old} -> {new}\n~ libc6 2.36-9 -> 2.36-10 of the image\n", said)
        for i, c in BASE:
            i.size = len(c)
        with open(f"{self.at}/was.json", "w", encoding="utf-8") as f:
            f.write(before)
        done = subprocess.run([self.program, "diff", f"{self.at}/was.json", self.lock_path("move"), f"-store={self.at}/store"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 2, done.stderr)
        for line in ("~ libc6 2.36-9 -> 2.36-10 of the image\n", "~ /var/lib/dpkg/status\n", "~ layer image 1 "):
            self.assertIn(line, done.stdout)

    def test_the_platform_is_chosen(self):
        entries = []
        for arch in "arm64", "amd64":
            digest, size = self.hub.image("t/many", arch, [tar([*BASE, entry("arch", arch.encode())])], arch=arch)
            entries.append({"mediaType": MANIFEST, "digest": digest, "size": size, "platform": {"os": "linux", "architecture": arch}})
        entries.append({**entries[0], "platform": {"os": "unknown", "architecture": "unknown"}})
        self.hub.manifest("t/many", "v1", {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
        for i, arch in enumerate(("arm64", "amd64")):
            body = self.on("t/many:v1", base={"arch": arch})
            self.good("lock", arch, body)
            self.assertEqual(self.lock(arch)["image"]["manifest"], entries[i]["digest"])
            self.good("build", arch, body, f"-root={self.at}/root-{arch}")
            self.assertEqual(tiny.text(f"{self.at}/root-{arch}/arch"), arch)
        self.assertIn("is as locked", self.good("drift", "arm64", self.on("t/many:v1", base={"arch": "arm64"})))
        self.refused(self.env("lock", "s390x", self.on("t/many:v1", base={"arch": "s390x"})), "nothing for linux/s390x", "linux/arm64, linux/amd64")

    def test_images_that_others_and_we_made(self):
        own = self.body(["hello"], scripts="none")
        self.good("lock", "own", own)
        self.good("build", "own", own, f"-out={self.at}/own")
        layout = f"{self.at}/umoci"
        subprocess.run(["umoci", "init", "--layout", layout], check=True)
        subprocess.run(["umoci", "new", "--image", f"{layout}:x"], check=True)
        for n, members in enumerate((BASE[:-3], OVER)):
            members = [m for m in members if not m[0].ischr()]
            with open(f"{self.at}/{n}.tar", "wb") as f:
                f.write(tar(members))
            subprocess.run(["umoci", "raw", "add-layer", "--image", f"{layout}:x", f"{self.at}/{n}.tar"], check=True)
        subprocess.run(["skopeo", "copy", "-q", "--dest-tls-verify=false", "--dest-creds=ml:secret-word", "--format", "v2s2",
                        f"oci:{layout}:x", f"docker://{self.reference('t/umoci:v2s2')}"], check=True)
        where = {"oci:own": f"{self.at}/own-root", "oci:umoci:x": None, self.reference("t/umoci:v2s2"): None}
        for n, image in enumerate(where):
            body = {"image": image, "env": {"X": "1"}}
            self.good("lock", f"other{n}", body)
            self.good("build", f"other{n}", body, f"-root={self.at}/other-{n}", f"-out={self.at}/other-{n}.oci")
            self.good("verify", f"other{n}", body)
            self.good("drift", f"other{n}", body, f"{self.at}/other-{n}")
            if n:
                self.laid(f"{self.at}/other-{n}")
            else:
                self.assertEqual(tiny.text(f"{self.at}/other-0/usr/share/hello/text"), "hello")
            subprocess.run(["skopeo", "inspect", "--raw", f"oci:{self.at}/other-{n}.oci:other{n}"], check=True, capture_output=True)
        alone = {"image": self.reference("t/umoci:v2s2")}
        self.good("lock", "v2s2", alone)
        self.good("build", "v2s2", alone, f"-out={self.at}/v2s2")
        self.good("push", "v2s2", alone, self.reference("t/umoci:copy"))
        self.good("drift", "v2s2", alone, self.reference("t/umoci:copy"))
        self.refused(self.env("lock", "none", {"image": "oci:none"}), "is no OCI layout")
        self.refused(self.env("lock", "none", {"image": "oci:umoci:y"}), "holds no such image")

    def test_wheels_on_an_image(self):
        import zipfile

        def wheel(name, version, files):
            path = f"{self.at}/{name}-{version}-py3-none-any.whl"
            info = f"{name}-{version}.dist-info"
            files = {**files, f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
                     f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
            lines = [f"{k},sha256={base64.urlsafe_b64encode(hashlib.sha256(v.encode()).digest()).rstrip(b'=').decode()},{len(v)}"
                     for k, v in files.items()]
            with zipfile.ZipFile(path, "w") as z:
                for k, v in files.items():
                    z.writestr(k, v)
                z.writestr(f"{info}/RECORD", "\n".join([*lines, f"{info}/RECORD,,"]) + "\n")
            return path
        new = wheel("thing", "2.0", {"thing/__init__.py": "v = 2\n"})
        site = "opt/conda/lib/python3.10/site-packages"
        old = (folder("opt"), folder("opt/conda"), folder("opt/conda/bin"), entry("opt/conda/bin/python3.10", b"ELF", 0o755),
               link("opt/conda/bin/python3", "python3.10"), folder(f"{site}/thing"), entry(f"{site}/thing/__init__.py", b"v = 1\n"),
               entry(f"{site}/thing/left.py", b""), entry(f"{site}/Thing-1.0.dist-info/RECORD", b"thing/__init__.py,,\nthing/left.py,,\n"
                                                          b"Thing-1.0.dist-info/RECORD,,\n../../../bin/thing,,\n"),
               entry("opt/conda/bin/thing", b"#!", 0o755), entry("etc/os-release", b"ID=other\n"), entry("lib64/ld-linux-x86-64.so.2", b"x", 0o755))
        self.hub.image("t/conda", "v1", [tar(old)], {"Env": ["PATH=/opt/conda/bin:/usr/bin"]})
        with open(f"{self.at}/pylock.toml", "w", encoding="utf-8") as f:
            f.write('lock-version = "1.0"\ncreated-by = "hand"\n[[packages]]\nname = "thing"\nversion = "2.0"\n[[packages.wheels]]\n'
                    f'name = "{os.path.basename(new)}"\npath = "{os.path.basename(new)}"\nhashes = {{sha256 = "{sha(tiny.raw(new))[7:]}"}}\n')
        body = self.on("t/conda:v1", python={"pylock": "pylock.toml"})
        self.good("lock", "conda", body)
        lock = self.lock("conda")
        self.assertEqual(lock["config"]["python"], {"glibc": 28, "prefix": "/opt/conda", "pylock": "pylock.toml", "version": "3.10"})
        self.assertEqual(lock["image"]["python"]["interpreter"], "/opt/conda/bin/python3")
        self.good("build", "conda", body, f"-root={self.at}/conda")
        at = f"{self.at}/conda/{site}"
        self.assertEqual(tiny.text(f"{at}/thing/__init__.py"), "v = 2\n")
        self.assertEqual(sorted(os.listdir(at)), ["thing", "thing-2.0.dist-info"])
        for path in (f"{at}/thing/left.py", f"{at}/Thing-1.0.dist-info/RECORD", f"{self.at}/conda/opt/conda/bin/thing"):
            self.assertFalse(os.path.exists(path), path)
        self.good("drift", "conda", body, f"{self.at}/conda")
        self.good("verify", "conda", body)
        self.assertIn("fits what is declared", self.good("lock", "conda", body, "-check"))
        named = self.on("t/conda:v1", conda_file={"dependencies": ["python=3.10", "pip"]})
        self.assertIn("python=3.10: python.version 3.10", self.good("lock", "named", named).replace(" -> ", ": "))
        self.assertEqual(self.lock("named")["config"]["python"]["prefix"], "/opt/conda")
        git = self.on("t/conda:v1", conda_file={"dependencies": ["python=3.10", "git"]})
        self.assertIn("debian needs base:", self.env("lock", "named", git).stderr)
        body["python"]["version"] = "3.12"
        self.refused(self.env("lock", "conda", body), "the image has no Python 3.12")
        self.assertIn("debian needs base:", self.env("lock", "x", self.on("t/conda:v1", debian={"packages": ["hello"]})).stderr)

    # ---- what is refused ----

    def test_a_registry_that_asks_for_nobody(self):
        digest, _ = self.hub.image("t/open", "v1", [tar(BASE)])
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        server = registry.start(self.hub.at, port, auth=False)
        nobody = {k: v for k, v in os.environ.items() if not k.startswith("MLOPS_IAC_REGISTRY")}
        try:
            for name, image, more in (("open", f"127.0.0.1:{port}/t/open:v1", {"MLOPS_IAC_REGISTRY_CA": f"{self.hub.at}/cert.pem"}),
                                      ("closed", self.reference("t/open:v1"), {"MLOPS_IAC_REGISTRY_CA": f"{self.hub.at}/cert.pem"}),
                                      ("unknown", f"127.0.0.1:{port}/t/open:v1", {})):
                done = tiny.Case.env(self, "lock", name, {"image": image}, env={**nobody, **more}, store="open")
                if name == "open":
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertEqual(self.lock("open")["image"]["manifest"], digest)
                else:
                    self.assertEqual(done.returncode, 1)
                    self.assertIn({"closed": "refuses this user", "unknown": "cannot be reached"}[name], done.stderr)
                    self.nothing_half_made("open")
        finally:
            server.terminate()
            server.wait()

    def test_tags_and_users(self):
        self.hub.image("t/there", "v1", [tar(BASE)])
        body = self.on("t/there:v1")
        self.refused(self.env("lock", "a", self.on("t/there:none")), "t/there:none is not in the registry")
        self.refused(self.env("lock", "a", body, env={"MLOPS_IAC_REGISTRY_PASSWORD": "wrong-word"}), "refuses this user")
        self.assertIn("the software of this machine", self.env("lock", "a", {"image": "host"}).stderr)
        self.assertIn("is no image reference", self.env("lock", "a", {"image": "a b"}).stderr)
        self.assertIn("cannot stand beside image", self.env("lock", "a", {**body, "base": {"debian": "tiny"}}).stderr)
        self.good("lock", "a", body)
        self.good("build", "a", body)
        shutil.rmtree(f"{self.hub.at}/data/docker/registry/v2/repositories/t/there/_manifests")
        self.good("build", "a", body)
        self.refused(self.env("build", "a", body, store="fresh"), "no longer holds sha256:", "-upgrade image")

    def layer(self, name, *members, **more):
        """The error of an image with such a layer; neither lock nor anything half-made is left."""
        self.hub.image(f"bad/{name}", "v1", [tar(BASE), tar(members)], **more)
        done = self.env("lock", name, self.on(f"bad/{name}:v1"))
        self.assertFalse(os.path.exists(self.lock_path(name)))
        self.nothing_half_made()
        self.assertEqual(done.returncode, 1, done.stdout)
        return done.stderr

    def test_layers_that_are_not_sound(self):
        for name, member, words in (
                ("climb", entry("a/../../b", b"x"), "leaves the root"), ("device", entry("srv/disk", kind=tarfile.BLKTYPE), "is a device"),
                ("pipe", entry("p", kind=tarfile.FIFOTYPE), "is a device"), ("below", entry("etc/os-release/x", b""), "which is no folder"),
                ("hard", entry("h", kind=tarfile.LNKTYPE, link="../../etc/passwd"), "leaves the root")):
            self.assertIn(words, self.layer(name, member))
        self.assertIn("in a circle", self.layer("circle", link("x", "y"), link("y", "x"), entry("x/z", b"")))
        out = [link("out", "../../../../srv"), entry("out/x", b"x")]  # stays inside: a root has nothing above it
        self.hub.image("bad/out", "v1", [tar(BASE), tar([folder("srv")]), tar(out)])
        self.good("lock", "out", self.on("bad/out:v1"))
        self.good("build", "out", self.on("bad/out:v1"), f"-root={self.at}/out-root")
        self.assertEqual(tiny.text(f"{self.at}/out-root/srv/x"), "x")

    def test_manifests_that_are_not_sound(self):
        base = tar(BASE)
        self.assertIn("kept by its owner alone", self.layer("foreign", types=[LAYER + "+gzip", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"]))
        self.assertIn("is no file system: application/json", self.layer("type", types=[LAYER + "+gzip", "application/json"]))
        self.assertIn("configuration says", self.layer("diff", entry("x", b"x"), diff_ids=[sha(base), sha(b"other")]))
        self.assertIn("do not tell of the same layers", self.layer("few", entry("x", b"x"), diff_ids=[sha(base)]))

    def test_bytes_that_are_not_what_they_should_be(self):
        body = self.on("t/bytes:v1")
        layer = gzip.compress(tar(BASE), mtime=0)
        self.hub.image("t/bytes", "v1", [tar(BASE)])
        path = self.hub.stored(sha(layer))
        kept = tiny.raw(path)
        for data, words in ((kept[:-7], "the registry gives sha256:"), (kept[:50] + b"!" + kept[51:], "the registry gives sha256:")):
            with open(path, "wb") as f:
                f.write(data)
            done = self.env("lock", "bytes", body, store="bytes")
            self.assertEqual(done.returncode, 1)
            self.assertIn(words, done.stderr)
            self.nothing_half_made("bytes")
            self.assertFalse(os.path.exists(f"{self.at}/bytes/blobs/sha256/{sha(layer)[7:]}"))
        with open(path, "wb") as f:
            f.write(kept)
        text, _ = self.hub.image("t/long", "v1", [tar(BASE)])
        manifest = json.loads(tiny.raw(self.hub.stored(text)))
        manifest["layers"][0]["size"] = 10  # and it would go on for ever
        self.hub.manifest("t/long", "v1", manifest)
        done = self.env("lock", "long", self.on("t/long:v1"), store="long")
        self.assertEqual(done.returncode, 1)
        self.assertIn("gives more than the manifest says", done.stderr)
        self.nothing_half_made("long")
        cut = gzip.compress(tar(BASE), mtime=0)[:-100]  # a layer that was cut before it was pushed
        self.hub.blob("t/cut", cut)
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [sha(tar(BASE))]}}).encode()
        self.hub.blob("t/cut", config)
        self.hub.manifest("t/cut", "v1", {"schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": CONFIG, "digest": sha(config), "size": len(config)},
                                          "layers": [{"mediaType": LAYER + "+gzip", "digest": sha(cut), "size": len(cut)}]})
        done = self.env("lock", "cut", self.on("t/cut:v1"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("a layer is broken", done.stderr)
        self.assertFalse(os.path.exists(self.lock_path("cut")))


if __name__ == "__main__":
    tiny.main("docker-registry", "htpasswd", "openssl", "skopeo", "umoci")
