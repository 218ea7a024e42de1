"""The store wherever it lies and whatever became of it: names that mean something to other programs, folders of somebody else,
no home, what a power cut or a killed build left. usage: store.py PROGRAM
"""
import glob
import hashlib
import os
import pwd
import shutil
import subprocess

from tiny import Case, Package, entry, main, raw

NAMES = "a b:c", "UPPER_", "@sha256:b", "ünï-日本", "-dash", "per%s%20cent", "new\nline", "quote'\"$`\\*?[x]{y,z}#;&", "x" * 200 + "/" + "y" * 200


def empty(path):
    os.truncate(path, 0)


def cut(path):
    os.truncate(path, os.path.getsize(path) // 2)


def zero(path):
    with open(path, "r+b") as f:
        f.write(bytes(os.path.getsize(path)))


def flip(paths):
    """One bit in the middle of each, the time as it was."""
    for path in paths:
        was = os.stat(path)
        with open(path, "r+b") as f:
            f.seek(was.st_size // 2)
            byte = f.read(1)[0]
            f.seek(was.st_size // 2)
            f.write(bytes([byte ^ 1]))
        os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def swap(paths):
    """The two largest for one another: each is sound, and the wrong one."""
    first, second = raw(paths[-1]), raw(paths[-2])
    for path, content in ((paths[-1], second), (paths[-2], first)):
        with open(path, "wb") as f:
            f.write(content)


class Store(Case):
    content = {"one": b"1\n" * 5000, "app": hashlib.shake_256(b"app").digest(9000)}
    packages = [Package("base", members=[entry("./usr/bin/one", content["one"], 0o755)]),
                Package("app", Depends="base", members=[entry("./usr/bin/app", content["app"], 0o755)])]

    def setUp(self):
        self.declared = self.body(["app"])
        self.good("lock", "e", self.declared)
        self.unsealed = self.lock("e")
        self.good("build", "e", self.declared)
        self.sealed = self.lock("e")["sealed"]
        self.count = 0

    def built(self, store, *more, **how):
        """Builds with nothing to compare with: the same image must come out, every blob whole."""
        self.count += 1
        out = f"{self.at}/{self.id().split('.')[-1]}-{self.count}"
        self.write_lock("e", self.unsealed)
        self.good("build", "e", self.declared, f"-out={out}", *more, store=store, **how)
        self.assertEqual(self.lock("e")["sealed"], self.sealed)
        for path in glob.glob(glob.escape(out) + "/blobs/sha256/*"):
            self.assertEqual(hashlib.sha256(raw(path)).hexdigest(), os.path.basename(path))

    # ---- where it lies ----

    def test_a_store_lies_below_any_name(self):
        for name in NAMES:
            with self.subTest(name):
                self.good("lock", "e", self.declared, store=name)
                self.built(name)
                self.good("verify", "e", self.declared, store=name)
                self.nothing_half_made(name)

    def test_a_folder_of_somebody_else_is_no_store(self):
        for folder, kept in ("house", "tmp/mine"), ("template", "main.yaml"):
            path = f"{self.at}/{folder}/{kept}"
            os.makedirs(os.path.dirname(path))
            open(path, "w").close()
            if folder == "house":
                open(f"{self.at}/house/letter", "w").close()
            for verb in "lock", "build", "verify":
                done = self.env(verb, "e", self.declared, store=folder)
                self.assertEqual(done.returncode, 1)
                self.assertIn(f"{self.at}/{folder} is no store of environments: it holds ", done.stderr)
                self.assertIn(f"-store={self.at}/{folder}/mlops-iac", done.stderr)
                self.assertTrue(os.path.exists(path))
            self.assertFalse(os.path.exists(f"{self.at}/{folder}/blobs"))

    def test_only_names_of_its_own_are_swept(self):
        os.makedirs(f"{self.at}/swept/tmp/mine")
        os.makedirs(f"{self.at}/swept/tmp/0123456789abcdef/over")
        os.makedirs(f"{self.at}/swept/tmp/0123456789abcdef.partial-1")
        os.makedirs(f"{self.at}/swept/lost+found")
        self.built("swept")
        self.assertEqual(os.listdir(f"{self.at}/swept/tmp"), ["mine"])

    def test_an_option_without_a_value_is_no_folder(self):
        for option in "store", "out", "root":
            done = self.env("build", "e", self.declared, f"-{option}=", cwd=self.at)
            self.assertIn(f"option -{option} needs a value", done.stderr)
        self.assertNotIn("cells", os.listdir(self.at))

    def test_a_slash_at_the_end_is_nothing(self):
        self.good("build", "e", self.declared, f"-out={self.at}/slash-out/", f"-root={self.at}/slash-root//", store="store/")
        self.assertTrue(os.path.exists(f"{self.at}/slash-out/index.json"))
        self.assertTrue(os.path.exists(f"{self.at}/slash-root/usr/bin/app"))

    def test_without_a_home_it_is_the_users_own(self):
        """Never a folder that another user of this machine could have made first."""
        if os.geteuid():
            self.skipTest("only root becomes nobody")
        env = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME", "MLOPS_IAC_ENV_STORE")}
        done = subprocess.run([self.program, "build", f"-spec={self.at}/e.json", f"-dir={self.at}"], env=env, capture_output=True,
                              text=True, user=65534, group=65534, extra_groups=[])
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{pwd.getpwuid(65534).pw_dir}", done.stderr)
        self.assertIn("name another folder: -store=DIR, or MLOPS_IAC_ENV_STORE", done.stderr)
        done = subprocess.run([self.program, "build", f"-spec={self.at}/e.json", f"-dir={self.at}"], env=env, capture_output=True,
                              text=True, user=54321, group=54321, extra_groups=[])
        self.assertIn("this user has no home", done.stderr)
        self.assertIn("name a folder: -store=DIR", done.stderr)

    # ---- what became of it ----

    def test_what_a_power_cut_left_is_made_again(self):
        for kind in "blobs/sha256/*", "layers/*", "cells/*.idx", "cells/*.zst", "indices/*":
            for harm in empty, cut, zero:
                if (harm, kind) == (zero, "blobs/sha256/*"):
                    continue  # told, see below
                with self.subTest(kind, harm=harm.__name__):
                    shutil.rmtree(f"{self.at}/harmed", ignore_errors=True)
                    shutil.copytree(f"{self.at}/store", f"{self.at}/harmed")
                    if kind.startswith("cells"):
                        shutil.rmtree(f"{self.at}/harmed/layers")
                    for path in glob.glob(f"{self.at}/harmed/{kind}"):
                        harm(path)
                    self.good("lock", "e", self.declared, store="harmed")
                    self.built("harmed")

    def test_no_wrong_bytes_of_the_right_size_are_handed_on(self):
        """Whatever was written into the store: what comes out is right, or the damage is named and gone when it is run again."""
        kinds = {"blobs/sha256/*": ("layers", "cells"), "cells/*.zst": ("layers",), "cells/*.idx": (), "layers/*": ()}
        root = {**self.unsealed, "sealed": None}
        for kind, gone in kinds.items():
            for harm in flip, swap:
                for without in [(), gone] if gone else [()]:
                    with self.subTest(kind, harm=harm.__name__, without=without):
                        shutil.rmtree(f"{self.at}/harmed", ignore_errors=True)
                        shutil.copytree(f"{self.at}/store", f"{self.at}/harmed")
                        self.built("harmed")  # it has seen its own files
                        for folder in without:
                            shutil.rmtree(f"{self.at}/harmed/{folder}")
                        harm(sorted(glob.glob(f"{self.at}/harmed/{kind}"), key=os.path.getsize))
                        for _ in range(5):
                            self.write_lock("e", root)
                            done = self.env("build", "e", self.declared, f"-out={self.at}/tried", f"-root={self.at}/tree", store="harmed")
                            for made in "tried", "tree":
                                shutil.rmtree(f"{self.at}/{made}", ignore_errors=True)
                            if done.returncode == 0:
                                break
                            self.refused(done, "was damaged (SHA-256 is ", "is removed", "run it again")
                            self.nothing_half_made("harmed")
                        self.assertEqual(done.returncode, 0, done.stderr)
                        self.assertEqual(self.lock("e")["sealed"], self.sealed)
                        self.built("harmed", f"-root={self.at}/tree")
                        self.assertEqual({name: raw(f"{self.at}/tree/usr/bin/{name}") for name in ("one", "app")}, self.content)
                        shutil.rmtree(f"{self.at}/tree")

    def test_an_edit_of_what_was_exported_is_none_of_the_store(self):
        self.built("store")
        out = f"{self.at}/{self.id().split('.')[-1]}-{self.count}"
        self.good("vendor", "e", self.declared, f"-out={self.at}/copies")
        self.good("build", "e", self.declared, f"-root={self.at}/edited")
        for path in glob.glob(out + "/blobs/sha256/*") + glob.glob(f"{self.at}/copies/sha256/*") + glob.glob(f"{self.at}/edited/usr/bin/*"):
            flip([path])
        for path in glob.glob(f"{self.at}/store/blobs/sha256/*"):
            self.assertEqual(hashlib.sha256(raw(path)).hexdigest(), os.path.basename(path))
        self.built("store")

    def test_a_copy_is_made_sound_again(self):
        """One that was cut off or damaged under its final name is no copy."""
        out = f"{self.at}/again"
        self.good("vendor", "e", self.declared, f"-out={out}")
        for harm in cut, empty, zero:
            for path in glob.glob(out + "/sha256/*"):
                harm(path)
            with open(glob.glob(out + "/sha256/*")[0] + ".partial-999999", "w", encoding="utf-8"):
                pass
            self.good("vendor", "e", self.declared, f"-out={out}")
            for name in os.listdir(out + "/sha256"):
                self.assertEqual(hashlib.sha256(raw(f"{out}/sha256/{name}")).hexdigest(), name)

    def test_nothing_damaged_is_vendored(self):
        shutil.copytree(f"{self.at}/store", f"{self.at}/vending")
        package = self.lock("e")["packages"][0]["sha256"]
        zero(f"{self.at}/vending/blobs/sha256/{package}")
        done = self.env("vendor", "e", self.declared, f"-out={self.at}/vendored", store="vending")
        self.refused(done, "was damaged", "run it again")
        self.good("vendor", "e", self.declared, f"-out={self.at}/vendored", store="vending")
        for name in os.listdir(f"{self.at}/vendored/sha256"):
            self.assertEqual(hashlib.sha256(raw(f"{self.at}/vendored/sha256/{name}")).hexdigest(), name)


main()
