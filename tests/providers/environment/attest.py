"""Bills of materials before their own validators, provenance before verifiers that are not ours, and both in a registry.
usage: attest.py PROGRAM

Validators and a DSSE library come from PyPI into the build folder, once; where PyPI is not reached those cases are skipped.
The registry is Debian's docker-registry with TLS and passwords on loopback.
"""
import base64
import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import unittest
import urllib.request

from registry import start
from tiny import Case, Package, entry, main, text

TOOLS = os.path.join(os.environ.get("MIO_BUILD") or os.path.join(os.path.dirname(__file__), "../../../build/release"), "tools/sbom")
FROM_PYPI = ["spdx-tools==0.8.*", "cyclonedx-python-lib[json-validation]", "securesystemslib[crypto]"]
CYCLONEDX = """import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
found = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read())
sys.exit(str(found) if found else 0)"""
DSSE = """import json, sys
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
key = load_pem_public_key(open(sys.argv[2], 'rb').read())
envelope = Envelope.from_dict(json.load(open(sys.argv[1])))
key = SSlibKey.from_crypto(key, next(iter(envelope.signatures)))
envelope.verify([key], 1)"""


def from_pypi():
    """The Python of a folder with the validators, or None."""
    python = f"{TOOLS}/bin/python"
    if not os.path.exists(f"{TOOLS}/complete"):
        shutil.rmtree(TOOLS, ignore_errors=True)
        made = [subprocess.run(words, capture_output=True).returncode == 0 for words in
                (["/usr/bin/python3", "-m", "venv", TOOLS], [f"{TOOLS}/bin/pip", "install", "-q", *FROM_PYPI])
                if words[0].startswith("/usr") or os.path.exists(words[0])]
        if made != [True, True]:
            return None
        with open(f"{TOOLS}/complete", "w", encoding="utf-8"):
            pass
    return python


class Attest(Case):
    packages = [Package("one", "1:2.0~rc1+b1", Source="origin (2.0)", members=[entry("./usr/share/one", b"1\n")]), Package("two")]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.python = from_pypi()
        cls.declared = Case.body(cls, ["one", "two"])
        for verb in "lock", "build":
            done = Case.env(cls, verb, "e", cls.declared)
            assert not done.returncode, done.stderr
        lock = json.loads(text(f"{cls.at}/environment.e.lock.json"))
        lock["wheels"] = [{"name": "Some_Wheel", "version": "1.0+local", "file": "some_wheel-1.0-py3-none-any.whl", "sha256": "ab" * 32,
                           "size": 1}]
        lock["sealed"] = {"config": "sha256:" + "cd" * 32, "manifest": "sha256:" + "ef" * 32, "diff_ids": [], "encoder": "x"}
        with open(f"{cls.at}/with-wheel.json", "w", encoding="utf-8") as f:
            json.dump(lock, f)
        done = subprocess.run([cls.program, "sbom", f"-lock={cls.at}/with-wheel.json", f"-out={cls.at}/sbom"], capture_output=True)
        assert not done.returncode, done.stderr

    def validator(self):
        if not self.python:
            self.skipTest("PyPI is not reached: no validators")
        return self.python

    def key(self, *kind):
        private, public = f"{self.at}/{kind[0]}.pem", f"{self.at}/{kind[0]}.pub"
        subprocess.run(["openssl", "genpkey", "-algorithm", *kind, "-out", private], check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
        return private, public

    # ---- bills of materials ----

    def test_spdx_is_valid_for_its_own_validator(self):
        python = self.validator()
        said = subprocess.run([f"{os.path.dirname(python)}/pyspdxtools", "-i", f"{self.at}/sbom/e.spdx.json", "--version", "SPDX-2.3"],
                              capture_output=True, text=True)
        self.assertEqual(said.returncode, 0, said.stdout + said.stderr)
        document = json.loads(text(f"{self.at}/sbom/e.spdx.json"))
        del document["packages"][0]["downloadLocation"]
        with open(f"{self.at}/broken.spdx.json", "w", encoding="utf-8") as f:
            json.dump(document, f)
        said = subprocess.run([f"{os.path.dirname(python)}/pyspdxtools", "-i", f"{self.at}/broken.spdx.json"], capture_output=True)
        self.assertNotEqual(said.returncode, 0)

    def test_cyclonedx_is_valid_for_its_own_schema(self):
        python = self.validator()
        said = subprocess.run([python, "-c", CYCLONEDX, f"{self.at}/sbom/e.cdx.json"], capture_output=True, text=True)
        self.assertEqual(said.returncode, 0, said.stderr)
        with open(f"{self.at}/broken.cdx.json", "w", encoding="utf-8") as f:
            f.write(text(f"{self.at}/sbom/e.cdx.json").replace('"library"', '"libary"'))
        self.assertNotEqual(subprocess.run([python, "-c", CYCLONEDX, f"{self.at}/broken.cdx.json"], capture_output=True).returncode, 0)

    def test_both_name_every_package_and_wheel(self):
        spdx, cdx = (json.loads(text(f"{self.at}/sbom/e.{kind}.json")) for kind in ("spdx", "cdx"))
        urls = {"pkg:deb/debian/one@1%3A2.0~rc1%2Bb1?arch=amd64&distro=tiny", "pkg:deb/debian/two@1?arch=amd64&distro=tiny",
                "pkg:pypi/some-wheel@1.0%2Blocal"}
        self.assertEqual({p["externalRefs"][0]["referenceLocator"] for p in spdx["packages"]}, urls)
        self.assertEqual({c["purl"] for c in cdx["components"]}, urls)

    # ---- provenance ----

    @staticmethod
    def write(path, content):
        with open(path, "w", encoding="utf-8") as f:
            f.write(content)

    def signed(self, private, out):
        return self.env("sbom", "e", self.declared, f"-out={self.at}/{out}", env={**os.environ, "MLOPS_IAC_ENV_KEY": private})

    def test_signatures_hold_before_openssl_and_securesystemslib(self):
        for kind in ["ed25519"], ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]:
            private, public = self.key(*kind)
            self.assertEqual(self.signed(private, kind[0]).returncode, 0)
            path = f"{self.at}/{kind[0]}/e.provenance.dsse.json"
            self.openssl_accepts(json.loads(text(path)), public, kind[0])
            if self.python:
                self.assertEqual(subprocess.run([self.python, "-c", DSSE, path, public], capture_output=True, text=True).stderr, "")
                envelope = json.loads(text(path))
                payload = base64.b64decode(envelope["payload"]).replace(b'"name":"e"', b'"name":"f"')
                with open(f"{path}.forged", "w", encoding="utf-8") as f:
                    json.dump({**envelope, "payload": base64.b64encode(payload).decode()}, f)
                forged = subprocess.run([self.python, "-c", DSSE, f"{path}.forged", public], capture_output=True, text=True)
                self.assertIn("VerificationError", forged.stderr)

    def openssl_accepts(self, envelope, public, kind):
        payload, type_ = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
        with open(f"{self.at}/message", "wb") as f:
            f.write(b"DSSEv1 %d %s %d %s" % (len(type_), type_, len(payload), payload))
        with open(f"{self.at}/signature", "wb") as f:
            f.write(base64.b64decode(envelope["signatures"][0]["sig"]))
        check = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-sigfile", f"{self.at}/signature", "-in",
                 f"{self.at}/message"] + (["-digest", "sha256"] if kind == "EC" else [])
        self.assertEqual(subprocess.run(check, capture_output=True).returncode, 0)
        with open(f"{self.at}/message", "ab") as f:
            f.write(b" ")
        self.assertNotEqual(subprocess.run(check, capture_output=True).returncode, 0)
        return json.loads(payload)

    def test_keys_that_cannot_sign_are_refused(self):
        rsa, _ = self.key("RSA")
        for path in rsa, f"{self.at}/absent.pem", f"{self.at}/e.json":
            done = self.signed(path, "none")
            self.assertEqual(done.returncode, 1)
            self.assertIn("holds no Ed25519 or ECDSA private key in PEM", done.stderr)
            self.assertIn("openssl genpkey", done.stderr)

    # ---- a registry ----

    @unittest.skipUnless(shutil.which("docker-registry") and shutil.which("htpasswd"), "docker-registry or htpasswd is not installed")
    def test_attestations_lie_beside_the_image_as_cosign_puts_them(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        at = f"{self.at}/registry"
        os.mkdir(at)
        server = start(at, port)
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        private, public = self.key("ed25519")
        path = f"{self.at}/environment.e.lock.json"
        before = text(path)
        lock = json.loads(before)
        sealed = lock["sealed"]["manifest"]
        lock["sealed"].update(encoder="another", manifest="sha256:" + "ef" * 32)  # what is signed is what was sent
        self.addCleanup(self.write, path, before)
        self.write(path, json.dumps(lock))
        done = self.env("push", "e", self.declared, f"127.0.0.1:{port}/team/e:v1", env={
            **os.environ, "MLOPS_IAC_REGISTRY_CA": f"{at}/cert.pem", "MLOPS_IAC_REGISTRY_USER": "ml",
            "MLOPS_IAC_REGISTRY_PASSWORD": "secret-word", "MLOPS_IAC_ENV_KEY": private})
        self.assertEqual(done.returncode, 0, done.stderr)
        tag = sealed.replace(":", "-") + ".att"
        self.assertIn(tag, done.stdout)
        self.a_copy_bears_signature_and_attestations(f"127.0.0.1:{port}/team/e", sealed, public)

        def get(path):
            request = urllib.request.Request(f"https://127.0.0.1:{port}/v2/team/e/{path}", headers={
                "Authorization": "Basic " + base64.b64encode(b"ml:secret-word").decode(),
                "Accept": "application/vnd.oci.image.manifest.v1+json"})
            return urllib.request.urlopen(request, context=ssl.create_default_context(cafile=f"{at}/cert.pem")).read()
        layers = json.loads(get(f"manifests/{tag}"))["layers"]
        kinds = set()
        for layer in layers:
            self.assertEqual(layer["mediaType"], "application/vnd.dsse.envelope.v1+json")
            self.assertIn("dev.cosignproject.cosign/signature", layer["annotations"])
            envelope = get(f"blobs/{layer['digest']}")
            self.assertEqual("sha256:" + hashlib.sha256(envelope).hexdigest(), layer["digest"])
            statement = self.openssl_accepts(json.loads(envelope), public, "ed25519")
            self.assertEqual(statement["predicateType"], layer["annotations"]["predicateType"])
            self.assertEqual("sha256:" + statement["subject"][0]["digest"]["sha256"], sealed)
            kinds.add(statement["predicateType"])
        self.assertEqual(kinds, {"https://slsa.dev/provenance/v1", "https://spdx.dev/Document", "https://cyclonedx.org/bom"})

    def a_copy_bears_signature_and_attestations(self, repository, sealed, public):
        """By skopeo, jq and openssl alone: what 'cosign verify' looks at, and in that order."""
        if not shutil.which("skopeo") or not shutil.which("jq"):
            return
        def run(*args):
            return subprocess.run(args, check=True, capture_output=True, text=True).stdout.strip()
        for ending in "sig", "att":
            to = f"{self.at}/copied-{ending}"
            run("skopeo", "copy", "-q", "--src-tls-verify=false", "--src-creds=ml:secret-word", "--insecure-policy",
                f"docker://{repository}:{sealed.replace(':', '-')}.{ending}", f"oci:{to}:x")
            digest = run("jq", "-r", ".manifests[0].digest", f"{to}/index.json").split(":")[1]
            manifest = f"{to}/blobs/sha256/{digest}"
            layer = f"{to}/blobs/sha256/" + run("jq", "-r", ".layers[0].digest", manifest).split(":")[1]
            if ending == "att":
                self.assertEqual(run("jq", "-r", ".payloadType", layer), "application/vnd.in-toto+json")
                continue
            self.assertEqual(run("jq", "-r", ".layers[0].mediaType", manifest), "application/vnd.dev.cosign.simplesigning.v1+json")
            self.assertEqual(json.loads(text(layer)), {
                "critical": {"identity": {"docker-reference": repository}, "image": {"docker-manifest-digest": sealed},
                             "type": "cosign container image signature"}, "optional": None})
            signature = run("jq", "-r", '.layers[0].annotations["dev.cosignproject.cosign/signature"]', manifest)
            with open(f"{self.at}/signature", "wb") as f:
                f.write(base64.b64decode(signature))
            check = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-sigfile", f"{self.at}/signature", "-in"]
            run(*check, layer)
            with open(f"{self.at}/other", "w", encoding="utf-8") as f:
                f.write(text(layer).replace("team/e", "team/f"))
            self.assertNotEqual(subprocess.run([*check, f"{self.at}/other"], capture_output=True).returncode, 0)


if __name__ == "__main__":
    main("openssl")
