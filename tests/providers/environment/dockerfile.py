"""Environments that a Dockerfile makes: buildah, on images of a registry with TLS and passwords on loopback. usage: dockerfile.py
PROGRAM

Needs root, Debian's buildah, docker-registry, apache2-utils and openssl; without them: exit 77, skipped.
"""
import json
import os
import shutil
import socket
import sys
import threading

import machine
import tiny
from image import Images, LAYER, sha
from tiny import entry

TOOLS = ("/usr/bin/dash", "/usr/bin/cat", "/usr/bin/mkdir", "/usr/bin/date", "/usr/bin/od")
DOCKERFILE = """\
# what is above counts, too
ARG TAG=v1
ARG REPO={host}/t/sh
FROM ${{REPO}}:${{TAG:-v2}} AS first
RUN mkdir /opt/made && echo made > /opt/made/file \\
  # a comment within
  && echo "$BASE" > /opt/base
FROM {host}/t/sh:v1
COPY --from=first /opt/made /opt/made
COPY --from={host}/t/other:v1 /other /opt/other
COPY text /opt/text
ENV ADDED=1
CMD ["cat", "/opt/text"]
"""


class Dockerfiles(Images):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.base, _ = cls.hub.image("t/sh", "v1", [machine.layer(TOOLS)], {"Env": ["PATH=/usr/bin", "BASE=theirs"]})
        cls.other, _ = cls.hub.image("t/other", "v1", [tiny_tar(entry("other", b"o"))])

    def context(self, name, dockerfile, file="Dockerfile", **more):
        at = f"{self.at}/{name}-context"
        os.makedirs(at, exist_ok=True)
        for path, content in {file: dockerfile.format(host=self.hub.host), "text": "text\n"}.items():
            with open(f"{at}/{path}", "w", encoding="utf-8") as f:
                f.write(content)
        return {"build": {"path": f"{name}-context", **({"dockerfile_path": file} if file != "Dockerfile" else {}), **more}}

    def test_what_is_built_twice_is_proven(self):
        body = self.context("good", DOCKERFILE, "Containerfile")
        said = self.good("lock", "good", body)
        for name, digest in (("t/sh", self.base), ("t/other", self.other)):
            self.assertIn(f"image {self.reference(name)}:v1 is {digest}\n", said)
        lock = self.lock("good")
        self.assertEqual([b["manifest"] for b in lock["build"]["bases"]], [self.base, self.other])
        said = self.good("build", "good", body, f"-root={self.at}/good", f"-out={self.at}/good.oci")
        self.assertIn("not proven", said)
        for path, content in (("opt/made/file", "made\n"), ("opt/other", "o"), ("opt/text", "text\n")):
            self.assertEqual(tiny.text(f"{self.at}/good/{path}"), content)
        self.assertFalse(os.path.exists(f"{self.at}/good/opt/base"))
        lock = self.lock("good")
        self.assertFalse(lock["sealed"]["proven"])
        self.assertEqual(lock["sealed"]["built"]["run"]["Cmd"], ["cat", "/opt/text"])
        self.assertIn("ADDED=1", lock["sealed"]["built"]["run"]["Env"])
        self.assertFalse(json.loads(self.good("check", "good", body))["proven"])
        self.assertIn("the environment is proven", self.good("verify", "good", body))
        self.assertTrue(self.lock("good")["sealed"]["proven"])
        self.assertTrue(json.loads(self.good("check", "good", body))["proven"])
        self.assertNotIn("not proven", self.good("build", "good", body))
        self.good("drift", "good", body, f"{self.at}/good")
        self.assertIn("is as locked", self.good("drift", "good", body))
        self.elsewhere(body, lock)
        self.used(body, lock)
        with open(f"{self.at}/good-context/text", "a", encoding="utf-8") as f:
            f.write("more")
        self.refused(self.env("build", "good", body), "~ file good-context", "env lock good")

    def elsewhere(self, body, lock):
        """An empty store, no registry: from the vendored images, and the same again."""
        self.good("vendor", "good", body, f"-out={self.at}/vendored-good")
        self.refused(self.env("build", "good", body, "-offline", store="away"), "are not in the store")
        self.good("build", "good", body, "-offline", f"-vendor={self.at}/vendored-good", store="away")
        self.assertEqual(self.lock("good")["sealed"]["config"], lock["sealed"]["config"])

    def used(self, body, lock):
        self.assertIn("blobs were sent", self.good("push", "good", body, self.reference("t/good:v1")))
        self.good("drift", "good", body, self.reference("t/good:v1"))
        self.good("sbom", "good", body, f"-out={self.at}")
        names = [p["name"] for p in json.loads(tiny.text(f"{self.at}/good.spdx.json"))["packages"]]
        self.assertEqual(names, [self.reference("t/sh:v1"), self.reference("t/other:v1")])
        self.good("export", "good", body, "build", f"-out={self.at}/good-build")
        self.assertIn('dockerfile_path: "Containerfile"', tiny.text(f"{self.at}/good-build/environment.yaml"))
        self.assertEqual(tiny.raw(f"{self.at}/good-build/context/Containerfile"), tiny.raw(f"{self.at}/good-context/Containerfile"))
        if shutil.which("bwrap"):
            self.assertEqual(self.good("run", "good", body), "text\n")

    def test_what_differs_stays_unproven(self):
        body = self.context("bad", "FROM {host}/t/sh:v1\nRUN od -An -N8 -tx1 /dev/urandom > /opt/random\nRUN echo same > /opt/same\n")
        self.good("lock", "bad", body)
        self.good("build", "bad", body)
        sealed = tiny.text(self.lock_path("bad"))
        done = self.env("verify", "bad", body)
        self.assertEqual(done.returncode, 1)
        self.assertIn("gave different images (1 paths differ): the environment stays not proven", done.stderr)
        self.assertIn("~ /opt/random (content)\n", done.stdout)
        self.assertEqual(tiny.text(self.lock_path("bad")), sealed)
        self.good("build", "bad", body)  # what was sealed is in the store
        self.refused(self.env("build", "bad", body, store="lost"), "came out as", "env pull")
        self.nothing_half_made("lost")

    def test_a_time_is_no_difference(self):
        """Files are as old as the lock says, whenever it was built."""
        body = self.context("time", "FROM {host}/t/sh:v1\nRUN mkdir /opt/x && echo 1 > /opt/x/y\n", **{})
        self.good("lock", "time", body)
        self.good("build", "time", body, f"-root={self.at}/time", store="a store: 2")
        self.good("verify", "time", body)
        self.assertEqual(int(os.stat(f"{self.at}/time/opt/x/y").st_mtime), self.lock("time")["epoch"])

    def test_additions_on_top(self):
        body = {**self.context("more", "FROM {host}/t/sh:v1\nRUN echo 1 > /opt/1\n"), "files": [{"source": "add.txt", "target": "/opt/add.txt"}],
                "env": {"BASE": "ours"}}
        self.good("lock", "more", body)
        self.good("build", "more", body, f"-root={self.at}/more")
        self.assertEqual((tiny.text(f"{self.at}/more/opt/1"), tiny.text(f"{self.at}/more/opt/add.txt")), ("1\n", "added"))
        self.assertIn("BASE=ours", json.loads(self.good("check", "more", body))["variables"])
        self.refused(self.env("export", "more", body, "build", f"-out={self.at}/x"), "is declared beside the Dockerfile")

    def test_commands_have_no_network_unless_it_is_declared(self):
        listener = socket.create_server(("127.0.0.1", 0))
        port, seen = listener.getsockname()[1], []

        def take():
            while True:
                seen.append(listener.accept()[1])
        threading.Thread(target=take, daemon=True).start()
        text = "FROM {host}/t/sh:v1\nADD http://127.0.0.1:%d/x /x\n" % port
        body = self.context("net", text)
        self.good("lock", "net", body)
        self.refused(self.env("build", "net", body), "does not build", "network: true")
        self.assertEqual(seen, [])
        text = "FROM {host}/t/sh:v1\nRUN cat /proc/net/dev > /opt/net\n"
        for on in False, True:
            body = self.context(f"net{on}", text, network=on)
            self.good("lock", f"net{on}", body)
            self.good("build", f"net{on}", body, f"-root={self.at}/net{on}")
            names = [line.split(":")[0].strip() for line in tiny.text(f"{self.at}/net{on}/opt/net").splitlines()[2:]]
            if not on:
                self.assertEqual(names, ["lo"])
                self.assertRegex(tiny.text(f"{self.at}/net{on}/opt/net"), r"lo:\s+0\s+0")
            else:
                self.assertEqual(names, [n for _, n in socket.if_nameindex()])

    def test_a_base_that_moves(self):
        first, _ = self.hub.image("t/moving", "v1", [machine.layer(TOOLS)], {"Env": ["PATH=/usr/bin"]})
        body = self.context("moving", "FROM {host}/t/moving:v1\nRUN echo 1 > /opt/1\n")
        self.good("lock", "moving", body)
        second, _ = self.hub.image("t/moving", "v1", [machine.layer(TOOLS)], {"Env": ["PATH=/usr/bin", "X=1"]})
        done = self.env("drift", "moving", body)
        self.assertEqual((done.returncode, done.stdout), (2, f"~ image {self.reference('t/moving:v1')} {first} -> {second}\n"))
        self.good("build", "moving", body)
        self.assertNotIn("X=1", self.lock("moving")["sealed"]["built"]["run"]["Env"])
        self.assertIn(f"{first} -> {second}", self.good("lock", "moving", body, "-upgrade"))

    def test_bad_input(self):
        for name, text, words in (
                ("gone", "FROM {host}/t/none:v1\n", "is not in the registry"), ("arg", "ARG X\nFROM $X\n", "line 2: $X names no image"),
                ("from", "FROM\n", "line 1: FROM names no image")):
            done = self.env("lock", name, self.context(name, text))
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn(words, done.stderr)
        for name, text, words in (("run", "FROM {host}/t/sh:v1\nRUN exit 7\n", "does not build"), ("copy", "FROM {host}/t/sh:v1\nCOPY none /\n", "none")):
            body = self.context(name, text)
            self.good("lock", name, body)
            done = self.env("build", name, body)
            self.assertEqual(done.returncode, 1)
            self.assertIn(words, done.stderr)
            self.nothing_half_made()
            self.assertIsNone(self.lock(name)["sealed"])
        body = self.context("none", "FROM {host}/t/sh:v1\n")
        os.unlink(f"{self.at}/none-context/Dockerfile")
        self.refused(self.env("lock", "none", body), "Dockerfile is not there")
        for key in "python", "debian":
            self.assertIn(f"environment: {key} ", self.env("lock", "x", {**body, key: {"version": "3.11"}}).stderr)
        self.assertIn("cannot stand beside image", self.env("lock", "x", {**body, "image": "x"}).stderr)

    def test_buildah_is_named_where_it_is_missing(self):
        body = self.context("lacks", "FROM {host}/t/sh:v1\nRUN echo 1 > /opt/1\n")
        self.good("lock", "lacks", body)
        path = f"{self.at}/path"
        os.makedirs(path, exist_ok=True)
        done = self.env("build", "lacks", body, env={"PATH": path})
        self.assertIn("buildah is not installed", done.stderr)
        self.assertIn("apt-get install buildah", done.stderr)


def tiny_tar(*members):
    from image import tar
    return tar(members)


for inherited in [n for n in vars(Images) if n.startswith("test_")]:
    setattr(Dockerfiles, inherited, None)  # those are image.py's
del Images

if __name__ == "__main__":
    if os.geteuid() != 0:
        print("dockerfile.py: skipped, buildah is run by root here")
        sys.exit(77)
    tiny.main("buildah", "docker-registry", "htpasswd", "openssl")
