"""A Debian archive of a few packages made here, signed with a key made here: what the builder reads of a mirror, in
seconds and without a network. Packages may hold whatever a test needs them to hold.
"""
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest

SUITE = "tiny"
DAY = 86400


def need(*programs):
    """Ends the test program as skipped where one is missing."""
    for p in programs:
        if not shutil.which(p):
            print(f"{os.path.basename(sys.argv[0])}: skipped, {p} is not installed")
            sys.exit(77)


def text(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def raw(path):
    with open(path, "rb") as f:
        return f.read()


def entry(name, content=b"", mode=0o644, kind=tarfile.REGTYPE, link="", **more):
    """One member of a package, of any kind."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.type, info.linkname, info.mtime = len(content), mode, kind, link, 1600000000
    for key, value in more.items():
        setattr(info, key, value)
    return info, content


def packed(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:xz", format=tarfile.GNU_FORMAT) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def ar(members):
    out = b"!<arch>\n"
    for name, content in members:
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode() + content + b"\n" * (len(content) % 2)
    return out


class Package:
    def __init__(self, name, version="1", members=(), postinst=None, **fields):
        self.name, self.version = name, version
        self.fields = {"Package": name, "Version": version, "Architecture": "amd64", "Maintainer": "T <t@example.org>",
                       "Priority": "optional", **{k.replace("_", "-"): v for k, v in fields.items()}, "Description": "made by a test"}
        control = "".join(f"{k}: {v}\n" for k, v in self.fields.items())
        scripts = [entry("./control", control.encode())] + ([entry("./postinst", postinst.encode(), 0o755)] if postinst else [])
        self.deb = ar([("debian-binary", b"2.0\n"), ("control.tar.xz", packed(scripts)), ("data.tar.xz", packed(members))])
        self.path = f"pool/{name}_{version}_amd64.deb"

    def stanza(self):
        return "".join(f"{k}: {v}\n" for k, v in self.fields.items()) + \
            f"Filename: {self.path}\nSize: {len(self.deb)}\nSHA256: {hashlib.sha256(self.deb).hexdigest()}\n\n"


class Keys:
    """A folder of keys for gpg; `keyring` is what gpgv takes."""

    def __init__(self, at, *options):
        self.home, self.keyring, self.options = f"{at}/gpg", f"{at}/keyring.gpg", options
        os.makedirs(self.home, 0o700)
        self.gpg("--passphrase", "", "--quick-generate-key", "Tiny <t@example.org>", "ed25519", "sign", "never")
        self.gpg("--output", self.keyring, "--export")

    def gpg(self, *args):
        subprocess.run(["gpg", "--batch", "--quiet", "--homedir", self.home, *self.options, *args], check=True, capture_output=True)

    def close(self):
        subprocess.run(["gpgconf", "--homedir", self.home, "--kill", "all"], capture_output=True)


def stamp(seconds):
    return time.strftime("%a, %d %b %Y %H:%M:%S UTC", time.gmtime(seconds))


class Mirror:
    def __init__(self, at, keys, packages):
        self.at, self.keys, self.packages = at, keys, packages
        self.write()

    def write(self, until=DAY, sign=True, keys=None):
        """Writes the archive anew; `until`: how long its index is valid from now on."""
        folder, index = f"{self.at}/dists/{SUITE}", "".join(p.stanza() for p in self.packages).encode()
        os.makedirs(f"{folder}/main/binary-amd64", exist_ok=True)
        os.makedirs(f"{self.at}/pool", exist_ok=True)
        for p in self.packages:
            with open(f"{self.at}/{p.path}", "wb") as f:
                f.write(p.deb)
        with open(f"{folder}/main/binary-amd64/Packages", "wb") as f:
            f.write(index)
        release = (f"Suite: {SUITE}\nCodename: {SUITE}\nArchitectures: amd64\nComponents: main\nDate: {stamp(1700000000)}\n"
                   f"Valid-Until: {stamp(time.time() + until)}\nSHA256:\n"
                   f" {hashlib.sha256(index).hexdigest()} {len(index)} main/binary-amd64/Packages\n")
        with open(f"{folder}/Release", "w", encoding="utf-8") as f:
            f.write(release)
        shutil.copy(f"{folder}/Release", f"{folder}/InRelease")
        if sign:
            os.unlink(f"{folder}/InRelease")
            (keys or self.keys).gpg("--output", f"{folder}/InRelease", "--clearsign", f"{folder}/Release")


def vanished(_, path, error):
    """For rmtree: an agent that ends takes its sockets away at the same time."""
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]


class Case(unittest.TestCase):
    """A mirror, a store and a folder for declarations. The program is the first argument of the test."""
    program = None
    packages = []

    @classmethod
    def setUpClass(cls):
        cls.at = tempfile.mkdtemp(prefix="mio-Tiny-", suffix="_")  # no path that could be the name of an image
        os.chmod(cls.at, 0o755)
        cls.keys = Keys(cls.at)
        cls.mirror = Mirror(f"{cls.at}/mirror", cls.keys, list(cls.packages))

    @classmethod
    def tearDownClass(cls):
        cls.keys.close()
        shutil.rmtree(cls.at, onerror=vanished)

    def body(self, packages, **more):
        debian = {"packages": packages, **more.pop("debian", {})}
        return {"base": {"debian": SUITE, "variant": "none", "mirror": f"file://{self.mirror.at}", "keyring": self.keys.keyring},
                "debian": debian, **more}

    def env(self, verb, name, body, *more, store="store", **how):
        with open(f"{self.at}/{name}.json", "w", encoding="utf-8") as f:
            json.dump({"name": name, "body": body}, f)
        return subprocess.run([self.program, verb, f"-spec={self.at}/{name}.json", f"-dir={self.at}",
                               f"-store={self.at}/{store}", *more], capture_output=True, text=True, **how)

    def good(self, *args, **more):
        done = self.env(*args, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def refused(self, done, *words):
        """An error with these words and a next step; nothing half-made is left."""
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        for w in words:
            self.assertIn(w, done.stderr)
        self.assertIn("\n\n  ", done.stderr, "no next step")
        self.nothing_half_made()

    def nothing_half_made(self, store="store"):
        at = f"{self.at}/{store}"
        self.assertEqual(os.listdir(f"{at}/tmp") if os.path.exists(at) else [], [])
        self.assertEqual([n for n in os.listdir(self.at) if "partial" in n], [])

    def lock_path(self, name):
        return f"{self.at}/environment.{name}.lock.json"

    def lock(self, name):
        return json.loads(text(self.lock_path(name)))

    def write_lock(self, name, lock):
        with open(self.lock_path(name), "w", encoding="utf-8") as f:
            json.dump(lock, f)


def main(*programs):
    Case.program = os.path.abspath(sys.argv.pop(1))
    need("gpg", "gpgv", *programs)
    unittest.main()
