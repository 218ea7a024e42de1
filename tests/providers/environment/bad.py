"""Input that is wrong, damaged, old, forged or hostile: a clear error with the next step, and a store that holds nothing
of it. usage: bad.py PROGRAM

Everything is made here: a small signed archive, so that no network is needed.
"""
import base64
import hashlib
import os
import tarfile
import zipfile

from tiny import Case, DAY, Keys, Package, entry, main

GOOD = Package("good", members=[entry("./usr/bin/good", b"#!/bin/sh\n", 0o755)])
LINKED = Package("linked", members=[entry("./usr/x", kind=tarfile.SYMTYPE, link="/etc"), entry("./usr/x/passwd", b"x")])
HOSTILE = {
    "dotdot": ([entry("./usr/../../etc/passwd", b"x")], "unsafe name"),
    "absolute": ([entry("/etc/passwd", b"x")], "unsafe name"),
    "linked": (None, "lies behind usr/x, which is no folder"),
    "device": ([entry("./dev/sda", kind=tarfile.BLKTYPE, devmajor=8)], "is a device, pipe or socket"),
    "pipe": ([entry("./run/pipe", kind=tarfile.FIFOTYPE)], "is a device, pipe or socket"),
    "setuid": ([entry("./usr/bin/su", b"x", 0o4755)], "runs with another user's rights (mode 4755)"),
    "hardlink": ([entry("./usr/h", kind=tarfile.LNKTYPE, link="../../etc/passwd")], "has an unsafe target"),
}


class Bad(Case):
    packages = [GOOD, Package("needy", Depends="absent (>= 2)"), Package("left", Conflicts="right"), Package("right"),
                LINKED, *(Package(n, members=m) for n, (m, _) in HOSTILE.items() if m is not None)]

    def setUp(self):
        self.mirror.write()

        self.addCleanup(self.still_sound)

    def still_sound(self):
        """Whatever went wrong, the same store still gives a sound environment."""
        self.mirror.write()
        body = self.body(["good"])
        self.good("lock", "sound", body)
        self.good("build", "sound", body)

    # ---- indices ----

    def lock_fails(self, *words):
        self.refused(self.env("lock", "e", self.body(["good"])), *words)

    def test_an_index_past_its_date(self):
        self.mirror.write(until=-DAY)
        with open(f"{self.at}/apt.conf", "w", encoding="utf-8") as f:  # whatever apt is set to on this machine
            f.write('Dir::Etc::main "/nonexistent"; Dir::Etc::parts "/nonexistent";')
        done = self.env("lock", "e", self.body(["good"]), env={**os.environ, "APT_CONFIG": f"{self.at}/apt.conf"})
        self.refused(done, "its index expired on", "use a fresh mirror")

    def test_an_index_without_signature(self):
        self.mirror.write(sign=False)
        self.lock_fails("it has no signature", "set base.keyring")

    def test_an_index_signed_by_a_key_that_nobody_trusts(self):
        other = Keys(f"{self.at}/other")
        self.mirror.write(keys=other)
        self.lock_fails("is signed by key", "which the keyring does not hold", "set base.keyring")
        other.close()

    def test_an_index_signed_in_what_the_clock_takes_for_the_future(self):
        other = Keys(f"{self.at}/later", "--faked-system-time", "20600101T000000")
        self.mirror.write(keys=other)
        done = self.env("lock", "e", {**self.body(["good"]), "base": {**self.body(["good"])["base"], "keyring": other.keyring}})
        other.close()
        self.refused(done, "it was signed later than this machine's clock says it is (20", "set the clock")

    def test_an_index_changed_after_it_was_signed(self):
        path = f"{self.mirror.at}/dists/tiny/InRelease"
        with open(path, encoding="utf-8") as f:
            signed = f.read()
        with open(path, "w", encoding="utf-8") as f:
            f.write(signed.replace("Codename: tiny", "Codename: tony"))
        self.lock_fails("its signature is bad (BADSIG")

    def test_a_list_of_packages_that_the_index_does_not_vouch_for(self):
        self.mirror.packages.append(Package("new-one"))
        self.mirror.write()
        self.mirror.packages.pop()
        with open(f"{self.mirror.at}/dists/tiny/main/binary-amd64/Packages", "ab") as f:
            f.write(b"\n")
        self.lock_fails("Packages: ", "bytes came instead of")

    # ---- requests ----

    def test_requests_that_cannot_be_met(self):
        for names, words in ((["no-such"], ("no package no-such in the suite", "check the name")),
                             (["good=9"], ("no package good=9 in the suite",)),
                             (["needy"], ("cannot be had together", "absent")),
                             (["left", "right"], ("cannot be had together", "conflicts", "drop the dependency"))):
            self.refused(self.env("lock", "e", self.body(names)), *words)

    # ---- packages ----

    def build_fails(self, names, *words, damage=None):
        body = self.body(names)
        self.good("lock", "fails", body)
        if damage:
            damage(f"{self.mirror.at}/{GOOD.path}")
        store = f"fresh-{self.id().split('.')[-1]}-{names[0]}"
        done = self.env("build", "fails", body, f"-out={self.at}/out", f"-root={self.at}/root", store=store)
        self.refused(done, *words)
        self.nothing_half_made(store)
        for path in "out", "root":
            self.assertFalse(os.path.exists(f"{self.at}/{path}"))
        self.assertEqual([n for n in os.listdir(f"{self.at}/{store}/cells") if n.endswith(".idx")] if names != ["setuid"] else [], [])
        self.assertIsNone(self.lock("fails")["sealed"])

    def test_a_package_with_another_hash(self):
        def flip(path):
            with open(path, "r+b") as f:
                f.seek(-1, os.SEEK_END)
                f.write(b"?")
        self.build_fails(["good"], "SHA-256 is", "does not hold what was signed or locked", damage=flip)

    def test_a_download_that_was_cut_off(self):
        self.build_fails(["good"], "bytes came instead of", damage=lambda path: os.truncate(path, 100))

    def test_a_package_that_is_gone_from_the_mirror(self):
        self.build_fails(["good"], "is not there", "'env lock' resolves anew", damage=os.unlink)

    def test_archives_that_reach_beyond_the_root(self):
        for name, (_, words) in HOSTILE.items():
            with self.subTest(name):
                self.build_fails([name], f"package {name}", words)

    def test_an_archive_that_is_none(self):
        broken = Package("good")
        broken.deb = b"no archive at all"
        self.addCleanup(setattr, self.mirror, "packages", self.mirror.packages)
        self.mirror.packages = [broken]
        self.mirror.write()
        self.build_fails(["good"], "package good: the archive is broken")

    def test_a_lock_that_says_another_version_than_its_archive(self):
        body = self.body(["good"])
        self.good("lock", "edited", body)
        lock = self.lock("edited")
        for key in "version", "name":
            self.write_lock("edited", {**lock, "packages": [{**lock["packages"][0], key: "9-fixed"}]})
            for store in "store", "edited-store":
                self.refused(self.env("build", "edited", body, store=store), "the lock says ", "9-fixed, but" if key == "version" else "9-fixed 1, but",
                             "is good 1", "the lock was edited")

    def test_a_lock_that_is_no_lock(self):
        for text in "", "<<<<<<< HEAD\n{}", "[]":
            with open(self.lock_path("broken"), "w", encoding="utf-8") as f:
                f.write(text)
            for verb in "lock", "build":
                self.refused(self.env(verb, "broken", self.body(["good"])), "broken.lock.json", "or remove it and run 'env lock'")

    # ---- wheels ----

    def wheel(self, record):
        """A lock with one wheel in the store, whose RECORD is given."""
        body = self.body(["good"])
        self.good("lock", "wheel", body)
        path = f"{self.at}/p-1-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as z:
            for name, content in (("p/__init__.py", b"x = 1\n"), ("p-1.dist-info/RECORD", record)):
                z.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content)
        with open(path, "rb") as f:
            content = f.read()
        digest, lock = hashlib.sha256(content).hexdigest(), self.lock("wheel")
        lock["wheels"] = [{"name": "p", "version": "1", "file": os.path.basename(path), "sha256": digest, "size": len(content)}]
        self.write_lock("wheel", lock)
        with open(f"{self.at}/store/blobs/sha256/{digest}", "wb") as f:
            f.write(content)
        return self.env("build", "wheel", body, "-offline")

    def test_a_wheel_whose_record_is_wrong(self):
        right = base64.urlsafe_b64encode(hashlib.sha256(b"x = 1\n").digest()).rstrip(b"=")
        for record, words in ((b"p/__init__.py,sha256=AAAA,6\np-1.dist-info/RECORD,,\n", "does not match its RECORD: p/__init__.py"),
                              (b"p-1.dist-info/RECORD,,\n", "a file is missing in its RECORD: p/__init__.py"),
                              (b"p/__init__.py,sha256=%s,6\np/gone.py,,\n" % right, "RECORD names a file that is not there")):
            self.refused(self.wheel(record), "wheel p-1-py3-none-any.whl", words)


main()
