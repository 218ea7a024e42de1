#!/usr/bin/env python3
"""Modules of https archives: TLS verified, digest compared, unpacked by a program that trusts no entry, locked by content."""
import hashlib
import http.server
import io
import ssl
import tarfile
import threading
import zipfile

from support import *

MODULE = b"resources: { thing: { t: { name: one } } }\noutputs: { id: { value: '${thing.t.id}' } }\n"


def authority(folder, name):
    """A certificate authority and a certificate for 127.0.0.1: paths of the CA, and of certificate with key."""
    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=folder)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
            f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=here", "-keyout",
            f"{name}-server.key", "-out", f"{name}-server.csr")
    with open(os.path.join(folder, f"{name}.ext"), "w", encoding="utf-8") as f:
        f.write("subjectAltName = IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", f"{name}-server.csr", "-CA", f"{name}.pem", "-CAkey", f"{name}.key", "-CAcreateserial",
            "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}-server.pem")
    with open(os.path.join(folder, f"{name}-both.pem"), "w", encoding="utf-8") as out:
        for part in ("server.pem", "server.key"):
            with open(os.path.join(folder, f"{name}-{part}"), encoding="utf-8") as f:
                out.write(f.read())
    return os.path.join(folder, f"{name}.pem"), os.path.join(folder, f"{name}-both.pem")


class Server:
    """Answers from `files`: bytes, or a function of the handler."""

    def __init__(self, certificate):
        self.files, self.asked = {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                found = outer.files.get(self.path)
                if callable(found):
                    return found(self)
                self.send_response(404 if found is None else 200)
                self.send_header("Content-Length", str(len(found or b"")))
                self.end_headers()
                self.wfile.write(found or b"")

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


def tar(entries, mode="w:gz"):
    """(name, bytes) for files, TarInfo for anything else."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as t:
        for e in entries:
            if isinstance(e, tarfile.TarInfo):
                t.addfile(e)
            else:
                info = tarfile.TarInfo(e[0])
                info.size = len(e[1])
                t.addfile(info, io.BytesIO(e[1]))
    return out.getvalue()


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zipped(entries):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in entries:
            z.writestr(name, content)
    return out.getvalue()


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


@unittest.skipUnless(os.path.exists(os.path.join(BUILD, "libexec/mlops-iac/mlops-iac-module")),
                     "built without libcurl or libarchive")
class Archives(Case):
    def setUp(self):
        super().setUp()
        self.ca, certificate = authority(self.dir, "ours")
        self.server = Server(certificate)
        self.addCleanup(self.server.close)
        self.serve("m.tar.gz", tar([("lib/main.yaml", MODULE), ("other/x.txt", b"x")]))

    def environment(self, extra=None):
        return super().environment({"SSL_CERT_FILE": self.ca, "HOME": self.dir, **(extra or {})})

    def serve(self, name, content):
        self.server.files["/" + name] = content

    def use(self, name="m.tar.gz//lib", more=""):
        self.write("t/main.yaml", "providers: { sim: { path: cloud.db } }\n"
                   f"modules: {{ m: {{ source: \"{self.server.url}/{name}\"{more} }} }}\n")

    def refused(self, content, *says, name="bad.tar.gz", **how):
        self.serve(name, content)
        self.use(name)
        done = self.fails("-chdir=t", "init", says=says, **how)
        self.assertIn("main.yaml line 2", done.text)
        modules = self.path("t/.mlops-iac/modules")
        self.assertEqual(os.listdir(modules) if os.path.exists(modules) else [], [])
        self.assertFalse(os.path.exists(self.path("t/.mlops-iac.modules.json")))

    def test_fetched_locked_and_verified(self):
        self.use()
        self.fails("-chdir=t", "plan", says=["is not fetched", "Run `mlops-iac init`"])
        self.ok("-chdir=t", "init")
        with open(self.path("t/.mlops-iac.modules.json"), encoding="utf-8") as f:
            lock = json.load(f)["modules"]
        self.assertEqual(list(lock), [f"{self.server.url}/m.tar.gz//lib"])
        self.assertRegex(lock[f"{self.server.url}/m.tar.gz//lib"], "^sha256:[0-9a-f]{64}$")
        self.ok("-chdir=t", "plan", says="module.m.thing.t will be created")
        self.ok("-chdir=t", "init")
        self.assertEqual(self.server.asked, ["/m.tar.gz"])  # once
        tree = os.path.join(self.path("t/.mlops-iac/modules"), os.listdir(self.path("t/.mlops-iac/modules"))[0])
        with open(os.path.join(tree, "lib/main.yaml"), "a", encoding="utf-8") as f:
            f.write("# altered\n")
        self.fails("-chdir=t", "plan", says="was altered")
        self.ok("-chdir=t", "init", "-lockfile=readonly")
        self.ok("-chdir=t", "plan")

    def test_an_archive_that_changed_is_refused_until_upgraded(self):
        self.use()
        self.ok("-chdir=t", "init")
        self.serve("m.tar.gz", tar([("lib/main.yaml", MODULE.replace(b"one", b"two"))]))
        shutil.rmtree(self.path("t/.mlops-iac"))
        self.fails("-chdir=t", "init", says=["is not the one that the lock file names", "init -upgrade"])
        self.ok("-chdir=t", "init", "-upgrade")
        self.ok("-chdir=t", "plan", says='"two"')

    def test_the_digest_of_the_template_is_compared(self):
        good = digest(self.server.files["/m.tar.gz"])
        self.use(more=f', digest: "{good}"')
        self.ok("-chdir=t", "init")
        self.ok("-chdir=t", "plan", says="module.m.thing.t will be created")
        self.use(more=', digest: "sha256:%s"' % ("0" * 64))
        self.fails("-chdir=t", "plan", says="is not fetched")  # another digest is another module
        self.fails("-chdir=t", "init", says=["is not the one that the template's `digest` names", good])
        self.use(more=', digest: "md5:1"')
        self.fails("-chdir=t", "init", says=["is no digest", "sha256sum"])
        self.write("t/main.yaml", f"modules: {{ m: {{ source: ../x, digest: \"{good}\" }} }}\n")
        self.fails("-chdir=t", "init", says="`digest` is for modules from https archives")

    def test_formats(self):
        files = [("main.yaml", MODULE)]
        for name, content in {"a.tar": tar(files, "w"), "a.tgz": tar(files), "a.tar.bz2": tar(files, "w:bz2"),
                              "a.tar.xz": tar(files, "w:xz"), "a.zip": zipped(files), "without-an-end": tar(files)}.items():
            with self.subTest(name=name):
                self.serve(name, content)
                self.use(name)
                self.ok("-chdir=t", "init")
                self.ok("-chdir=t", "plan", says="module.m.thing.t will be created")

    def test_a_query_and_a_module_in_the_archive(self):
        inner = b"modules: { n: { source: ../lib } }\n"
        self.serve("m?ref=v1", tar([("top/main.yaml", inner), ("lib/main.yaml", MODULE)]))
        self.use("m//top?ref=v1")
        self.ok("-chdir=t", "init")
        self.ok("-chdir=t", "plan", says="module.m.module.n.thing.t will be created")
        self.serve("out.tgz", tar([("main.yaml", b"modules: { n: { source: ../../.. } }\n")]))
        self.use("out.tgz")
        self.fails("-chdir=t", "init", says="leaves the fetched module")

    def test_nothing_leaves_its_folder(self):
        for name in ("../out.yaml", "a/../../out.yaml", "/tmp/mio-out.yaml", "a\\..\\out.yaml"):
            with self.subTest(name=name):
                self.refused(tar([(name, b"x")]), "leaves its folder")
        self.refused(zipped([("../out.yaml", b"x")]), "leaves its folder", name="bad.zip")
        self.assertFalse(os.path.exists("/tmp/mio-out.yaml"))
        for kind, target in ((tarfile.SYMTYPE, "/etc/passwd"), (tarfile.SYMTYPE, "main.yaml"), (tarfile.LNKTYPE, "../x"),
                             (tarfile.CHRTYPE, ""), (tarfile.BLKTYPE, ""), (tarfile.FIFOTYPE, "")):
            with self.subTest(kind=kind, target=target):
                self.refused(tar([("main.yaml", MODULE), special("link", kind, target)]), "holds a link or device: link")
        self.refused(tar([special("d", tarfile.SYMTYPE, "/tmp"), ("d/out.yaml", b"x")]), "holds a link or device: d")

    def test_budgets(self):
        started = time.monotonic()
        self.refused(tar([("bomb", bytes(300 << 20))]), "unpacks to more than 256 MiB")
        self.refused(tar([(f"f{i}", b"") for i in range(20001)]), "more than 20000 entries")
        self.refused(tar([("a/" * 40 + "f", b"")]), "too long or too deep")
        self.refused(tar([("n" * 1100, b"")]), "too long or too deep")

        def endless(handler):
            handler.send_response(200)
            handler.end_headers()
            try:
                while True:
                    handler.wfile.write(bytes(1 << 20))
            except OSError:
                pass
        self.refused(endless, "larger than 64 MiB")
        self.assertLess(time.monotonic() - started, slow(60))

    def test_broken(self):
        whole = tar([("main.yaml", os.urandom(100000))])
        self.refused(whole[:-5000], "broken or cut off")
        self.refused(zipped([("main.yaml", os.urandom(100000))])[:-5000], "no tar or zip archive", name="a.zip")
        self.refused(b"<html>hello</html>", "is no tar or zip archive", "git::https://")
        self.refused(b"", "no tar or zip archive")
        self.refused(tar([]), "holds no files")
        self.refused(tar([("a", b"1"), ("a", b"2")]), "has an entry twice: a")
        self.refused(tar([("a", b"1"), ("a/b", b"2")]), "a is not a folder")
        def short(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(whole)))
            handler.end_headers()
            handler.wfile.write(whole[:500])
        self.refused(short, "broke off before the end")
        self.use("m.tar.gz//nowhere")
        self.fails("-chdir=t", "init", says="nowhere")

    def test_the_server(self):
        self.refused(None, "there is no such archive (status 404)")

        def denied(handler):
            handler.send_response(401)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        self.refused(denied, "status 401", "~/.netrc")

        def to(place):
            def redirect(handler):
                handler.send_response(302)
                handler.send_header("Location", place)
                handler.send_header("Content-Length", "0")
                handler.end_headers()
            return redirect
        self.refused(to("https://localhost:1/x.tar.gz?token=secret"), "redirects to another one: https://localhost:1/x.tar.gz")
        self.refused(to("http://127.0.0.1/x"), "redirects to another one")
        self.refused(to("/bad.tar.gz"), "more than 5 times")
        self.serve("old", to("/m.tar.gz"))
        self.use("old//lib")
        self.ok("-chdir=t", "init")

    def test_the_certificate_must_hold(self):
        other, _ = authority(self.dir, "theirs")
        self.use()
        says = ["the certificate of the server does not hold", "SSL_CERT_FILE"]
        self.fails("-chdir=t", "init", says=says, env={"SSL_CERT_FILE": other})
        self.fails("-chdir=t", "init", says=says, env={"SSL_CERT_FILE": ""})
        self.write("t/main.yaml", "modules: { m: { source: '%s/m.tar.gz//lib' } }\n" % self.server.url.replace("127.0.0.1", "localhost"))
        self.fails("-chdir=t", "init", says=says)  # made out for another name
        self.assertEqual(self.server.asked, [])
        self.ok("-chdir=t", "version")

    def test_sources_that_are_none(self):
        for source in ("http://127.0.0.1/x.zip", "https://", "https://u:p@h/x.zip", "https://h/x.zip//../y", "https://h/$(id).zip",
                       "ftp://h/x.zip", "https://h/x.zip?a=b c"):
            with self.subTest(source=source):
                self.write("t/main.yaml", f"modules: {{ m: {{ source: {json.dumps(source)} }} }}\n")
                self.fails("-chdir=t", "init", says="is no source of a module")


if __name__ == "__main__":
    main()
