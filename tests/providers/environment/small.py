"""All verbs on a small archive made here, in seconds and without a network: what the sanitizers see of resolving, building,
comparing and vendoring. usage: small.py PROGRAM
"""
import filecmp
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess

from tiny import Case, Package, entry, main, raw, text

ALTERNATIVE = "#!/bin/sh\nupdate-alternatives --install /usr/bin/tool tool /usr/bin/tool.{0} {1} \\\n" \
    "  --slave /usr/share/tool.doc tool.doc /usr/share/tool.{0}.doc\n"


def tool(name, priority):
    return Package(f"tool-{name}", Provides="tool", postinst=ALTERNATIVE.format(name, priority),
                   members=[entry(f"./usr/bin/tool.{name}", b"#!/bin/sh\n", 0o755), entry(f"./usr/share/tool.{name}.doc", b"doc\n")])


class Small(Case):
    packages = [
        Package("base", members=[entry("./bin/", mode=0o755, kind=b"5"), entry("./bin/one", b"1\n", 0o755),
                                 entry("./usr/share/base-passwd/passwd.master", b"root:x:0:0:root:/root:/bin/sh\n"),
                                 entry("./usr/share/base-passwd/group.master", b"root:x:0:\n"),
                                 entry("./etc/" + "long/" * 40 + "name", b"deep\n")]),
        Package("library", version="1:2.0-1", Depends="base", members=[entry("./usr/share/library", b"2.0\n" * 50000)]),
        Package("app", version="1", Depends="library (>= 1:1.0), tool-a | tool", members=[entry("./usr/bin/app", b"app 1\n", 0o755)]),
        Package("app", version="2", Depends="library, tool", members=[entry("./usr/bin/app", b"app 2\n", 0o755),
                                                                    entry("./usr/share/new", b"")]),
        tool("a", 10), tool("b", 20),
    ]

    def setUp(self):
        self.declared = self.body(["app=1", "tool-b"], env={"A": "1", "B": "2"}, users=[{"name": "me", "uid": 77, "home": "/srv/me"}],
                                  files=[{"source": "src", "target": "/opt/src"}], command=["/usr/bin/app"],
                                  serve={"scoring": {"path": "/score", "port": 5001}})
        os.makedirs(f"{self.at}/src", exist_ok=True)
        with open(f"{self.at}/src/score.py", "w", encoding="utf-8") as f:
            f.write("x = 1\n")
        self.addCleanup(self.nothing_half_made)

    def made(self, name, body, *more, **how):
        self.good("lock", name, body, **how)
        self.good("build", name, body, *more, **how)

    def test_the_set_is_the_first_alternative_of_everything(self):
        self.good("lock", "set", self.body(["app=1"]))
        self.assertEqual([(p["name"], p["version"]) for p in self.lock("set")["packages"]],
                         [("app", "1"), ("base", "1"), ("library", "1:2.0-1"), ("tool-a", "1")])
        self.assertIn("is up to date", self.good("lock", "set", self.body(["app=1"])))
        first = self.lock("set")
        self.good("lock", "set", self.body(["app=1"]), store="other")  # from the text, not from what is kept of it
        self.assertEqual(self.lock("set"), first)

    def test_a_dropped_dependency_is_left_out_with_a_reason(self):
        self.good("lock", "drop", self.body(["app=1"], debian={"drop": [{"name": "library", "reason": "not needed to run"}]}))
        lock = self.lock("drop")
        self.assertEqual([p["name"] for p in lock["packages"]], ["app", "tool-a"])
        self.assertEqual(lock["config"]["debian"]["drop"][0]["reason"], "not needed to run")
        done = self.env("lock", "drop", self.body(["app=1"], debian={"drop": [{"name": "library"}]}))
        self.assertIn("debian.drop needs a name and a reason", done.stderr)

    def test_what_is_locked_stays_until_it_is_renewed(self):
        def version():
            return {p["name"]: p["version"] for p in self.lock("keep")["packages"]}["app"]
        self.good("lock", "keep", self.body(["app=1"]))
        self.good("lock", "keep", self.body(["app"]))
        self.assertEqual(version(), "1")
        self.good("lock", "keep", self.body(["app"]), "-upgrade", "library")
        self.assertEqual(version(), "1")
        self.assertIn("~ app 1 -> 2", self.good("lock", "keep", self.body(["app"]), "-upgrade", "app"))
        self.good("lock", "keep", self.body(["app"]), "-check")
        done = self.env("lock", "keep", self.body(["app", "tool-b"]), "-check")
        self.assertEqual((done.returncode, done.stdout.count("~ debian.packages")), (1, 1))

    def test_a_lock_of_something_else_is_refused_with_what_differs(self):
        """Whatever of it was changed by hand, or copied from another environment, though the declaration's digest stayed."""
        self.made("one", self.declared)
        kept = self.lock("one")
        for words, change in (
                ('~ name "one" -> "two"', {}), ('~ arch "arm64" -> "amd64"', {"arch": "arm64"}), ('~ suite "x" -> "tiny"', {"suite": "x"}),
                ('~ env.A "9" -> "1"', {"config": {**kept["config"], "env": {"A": "9", "B": "2"}}}),
                ("~ file src", {"files": [{**kept["files"][0], "digest": "0" * 64}]}), ("- file other", {"sources": {"other": "0"}})):
            name = "one" if change else "two"
            self.write_lock(name, {**kept, **change})
            for verb in ("lock", "-check"), ("build",), ("check",), ("sbom",), ("verify",), ("push", "127.0.0.1:1/x:y"):
                with self.subTest(words, verb=verb[0]):
                    done = self.env(verb[0], name, self.declared, *verb[1:])
                    self.refused(done, f"environment {name} is declared differently from what is locked: {words}")
                    self.assertIn(words, done.stdout)
        self.write_lock("one", kept)
        self.good("lock", "one", self.declared, "-check")
        self.good("build", "one", self.declared)

    def test_a_damaged_cache_of_the_index_is_made_anew(self):
        self.good("lock", "cache", self.body(["app"]), store="cached")
        first = self.lock("cache")
        folder = f"{self.at}/cached/indices"
        for name in os.listdir(folder):
            os.truncate(f"{folder}/{name}", 40)
        os.unlink(self.lock_path("cache"))
        self.good("lock", "cache", self.body(["app"]), store="cached")
        self.assertEqual(self.lock("cache"), first)

    def test_a_root_has_everything_in_its_place(self):
        root = f"{self.at}/root"
        self.made("root", self.declared, f"-root={root}")
        self.assertEqual(text(f"{root}/usr/bin/one"), "1\n")
        self.assertEqual(os.readlink(f"{root}/bin"), "usr/bin")
        self.assertEqual(os.readlink(f"{root}/etc/alternatives/tool"), "/usr/bin/tool.b")
        self.assertEqual(os.readlink(f"{root}/usr/share/tool.doc"), "/etc/alternatives/tool.doc")
        self.assertIn("me:x:77:77::/srv/me:", text(f"{root}/etc/passwd"))
        self.assertEqual(text(f"{root}/etc/" + "long/" * 40 + "name"), "deep\n")
        self.assertEqual(text(f"{root}/opt/src/score.py"), "x = 1\n")
        self.assertIn("Package: library\n", text(f"{root}/var/lib/dpkg/status"))

    def test_drift_names_all_that_was_done_to_a_root(self):
        self.made("drift", self.declared)
        self.good("provide", "drift", self.declared, f"-root={self.at}/provided")
        root = f"{self.at}/provided/{self.lock('drift')['sealed']['config'][7:]}"

        def attach(name, path, value=b"1"):
            try:
                os.setxattr(f"{root}/{path}", name, value)
            except OSError:
                return False  # the file system of tests may have none
            return True
        capability = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)  # cap_net_raw+ep
        for does, said in (
                (lambda: attach("user.x", "usr/bin/one"), "~ /usr/bin/one (extended attributes)"),
                (lambda: attach("user.x", "usr/share"), "~ /usr/share (extended attributes)"),
                (lambda: attach("security.capability", "usr/bin/one", capability), "~ /usr/bin/one (extended attributes)"),
                (lambda: os.chmod(f"{root}/usr/bin/one", 0o700), "~ /usr/bin/one (mode)"),
                (lambda: os.geteuid() == 0 and os.chown(f"{root}/usr/bin/one", 5, 5) is None, "~ /usr/bin/one (owner)"),
                (lambda: os.rename(f"{root}/usr/bin/one", f"{root}/usr/bin/two"), "- /usr/bin/one\n+ /usr/bin/two"),
                (lambda: os.mkfifo(f"{root}/odd\n\x1b[31m"), '+ /"odd\\n\\u001b[31m"'),
                (lambda: os.utime(f"{root}/usr/bin/one", (1, 1)), None)):
            if does() is False:
                continue
            done = self.env("drift", "drift", self.declared, root)
            if said:
                self.assertEqual((done.returncode, done.stdout.rpartition("\n" + root)[0]), (2, said), done.stderr)
                self.good("provide", "drift", self.declared, f"-root={self.at}/provided")  # mends it
            self.good("drift", "drift", self.declared, root)
        os.symlink(root, f"{self.at}/link")
        self.assertIn("is as locked", self.good("drift", "drift", self.declared, f"{self.at}/link"))
        for path in f"{self.at}/nowhere", self.lock_path("drift"):
            self.refused(self.env("drift", "drift", self.declared, path), "is no folder")

    def test_both_encodings_are_one_environment(self):
        sealed = []
        for codec in "zstd", "gzip":
            self.made(codec, {**self.declared, "layers": {"compression": codec}}, f"-out={self.at}/{codec}")
            sealed.append(self.lock(codec)["sealed"])
            manifest = text(f"{self.at}/{codec}/blobs/sha256/{sealed[-1]['manifest'][7:]}")
            layers = json.loads(manifest)["layers"]
            self.assertEqual({la["mediaType"] for la in layers}, {f"application/vnd.oci.image.layer.v1.tar+{codec}"})
            for la in layers:
                plain = subprocess.run([codec, "-dc"], input=raw(f"{self.at}/{codec}/blobs/sha256/{la['digest'][7:]}"),
                                       capture_output=True, check=True).stdout
                listed = subprocess.run(["tar", "-tf", "-"], input=plain, capture_output=True, check=True)
                self.assertEqual(listed.stderr, b"")
        self.assertEqual(sealed[0]["diff_ids"], sealed[1]["diff_ids"])
        self.assertNotEqual(sealed[0]["manifest"], sealed[1]["manifest"])

    def test_verify_varies_what_must_not_matter(self):
        self.made("verified", self.declared)
        said = self.good("verify", "verified", self.declared)
        for word in "byte for byte", "folder", "umask", "time zone", "threads":
            self.assertIn(word, said)

    def test_verify_finds_what_differs(self):
        self.made("differs", self.declared, store="wrong")
        # A cell that is not what its package gives: the second build, in a store of its own, makes the right one.
        folder = f"{self.at}/wrong/cells"
        of = {what: next(n[:-4] for n in os.listdir(folder) if n.endswith(".idx") and what in raw(f"{folder}/{n}"))
              for what in (b"usr/share/library", b"passwd.master")}
        wrong, right = (f"{folder}/{of[what]}" for what in (b"passwd.master", b"usr/share/library"))
        shutil.copy(f"{wrong}.zst", f"{right}.zst")
        head, entries = raw(f"{wrong}.idx").split(b"\0", 1)[0].split(b"\n", 1)
        rest = entries + b"\0" + raw(f"{right}.idx").split(b"\0", 1)[1]
        with open(f"{right}.idx", "wb") as f:
            f.write(b" ".join([*head.split()[:3], hashlib.sha256(rest).hexdigest().encode()]) + b"\n" + rest)
        lock = self.lock("differs")
        lock["sealed"] = None
        self.write_lock("differs", lock)
        done = self.env("verify", "differs", self.declared, store="wrong")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stderr, "two builds differ: compare|both bring")
        for name in os.listdir(f"{self.at}/wrong/tmp"):
            shutil.rmtree(f"{self.at}/wrong/tmp/{name}")

    def changed(self, name, body, *more):
        """What `env diff` says between the declaration and another."""
        self.made("left", self.declared)
        self.made(name, body)
        done = subprocess.run([self.program, "diff", self.lock_path("left"), self.lock_path(name), f"-dir={self.at}",
                               f"-store={self.at}/store", *more], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2, done.stderr)
        return done.stdout.splitlines()

    def test_diff_names_packages_and_their_files_and_layers(self):
        other = {**self.declared, "debian": {"packages": ["app=2", "tool-a"]}}
        said = self.changed("packages", other)
        for line in "~ app 1 -> 2", "- tool-b 1", "~ /usr/bin/app", "+ /usr/share/new", "- /usr/bin/tool.b":
            self.assertIn(line, [s[:len(line)] for s in said])
        self.assertTrue(any(re.match("~ layer app sha256:.* -> sha256:", s) for s in said), said)
        self.assertTrue(any(s.startswith("- layer tool-b sha256:") for s in said), said)
        self.assertFalse(any("layer library" in s for s in said), said)
        brief = self.changed("packages", other, "-brief")
        self.assertIn("~ app 1 -> 2", brief)
        self.assertFalse(any("layer" in s or s[2:3] == "/" for s in brief), brief)

    def test_diff_names_variables(self):
        said = self.changed("variables", {**self.declared, "env": {"A": "9", "C": "3"}})
        self.assertEqual(said, ['~ variable A "1" -> "9"', '- variable B "2"', '+ variable C "3"'])

    def test_diff_of_equals_says_nothing(self):
        self.made("left", self.declared)
        done = subprocess.run([self.program, "diff", *[self.lock_path("left")] * 2, f"-dir={self.at}", f"-store={self.at}/store"],
                              capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_vendored_inputs_build_without_the_mirror(self):
        self.made("vendored", self.declared, f"-out={self.at}/one")
        self.good("vendor", "vendored", self.declared, f"-out={self.at}/v")
        os.rename(self.mirror.at, self.mirror.at + ".away")
        self.addCleanup(os.rename, self.mirror.at + ".away", self.mirror.at)
        self.good("build", "vendored", self.declared, f"-vendor={self.at}/v", "-offline", f"-out={self.at}/two", store="away")
        self.good("build", "vendored", self.declared, "-vendor=v", "-offline", store="away2", cwd=self.at)
        names = os.listdir(f"{self.at}/one/blobs/sha256")
        self.assertEqual(names, os.listdir(f"{self.at}/two/blobs/sha256"))
        self.assertEqual(filecmp.cmpfiles(f"{self.at}/one/blobs/sha256", f"{self.at}/two/blobs/sha256", names, shallow=False)[1:], ([], []))


if __name__ == "__main__":
    main("tar", "zstd", "gzip")
