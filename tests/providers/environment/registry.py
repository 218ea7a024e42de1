"""Push to and pull from a real registry with TLS and passwords on loopback. usage: registry.py PROGRAM

Needs Debian's docker-registry, apache2-utils, openssl and a mirror; without them: exit 77, skipped.
"""
import base64
import glob
import hashlib
import http.client
import http.server
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

PROGRAM = sys.argv[1] if len(sys.argv) > 1 else None


def skip(why):
    print("registry: skipped,", why)
    sys.exit(77)


def certify(at):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{at}/key.pem", "-out",
                    f"{at}/cert.pem", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    with open(f"{at}/users", "w") as f:
        subprocess.run(["htpasswd", "-Bbn", "ml", "secret-word"], check=True, stdout=f)


def start(at, port, auth=None):
    if not os.path.exists(f"{at}/cert.pem"):
        certify(at)
    with open(f"{at}/config.yml", "w") as f:
        closed = {} if auth is False else {"auth": auth or {"htpasswd": {"realm": "r", "path": f"{at}/users"}}}
        json.dump({"version": "0.1", "log": {"level": "error", "accesslog": {"disabled": True}},
                   "storage": {"filesystem": {"rootdirectory": f"{at}/data"}},
                   **closed,
                   "http": {"addr": f"127.0.0.1:{port}", "tls": {"certificate": f"{at}/cert.pem", "key": f"{at}/key.pem"}}}, f)
    server = subprocess.Popen(["docker-registry", "serve", f"{at}/config.yml"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    for _ in range(100):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return server
        time.sleep(0.1)
    server.kill()
    raise AssertionError("the registry did not start")


class Cutting(threading.Thread):
    """Between the program and the registry; TLS passes through. Breaks a connection after so many bytes, `cuts` times;
    closes at once those that come after so many bytes altogether, `refusals` times."""

    def __init__(self, port, after=1 << 40, cuts=0, refuse_after=0, refusals=0):
        super().__init__(daemon=True)
        self.to, self.after, self.cuts, self.done, self.total = port, after, cuts, 0, 0
        self.refuse_after, self.refusals, self.refused = refuse_after, refusals, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            here, _ = self.listener.accept()
            if self.total > self.refuse_after and self.refused < self.refusals:
                self.refused += 1
                here.close()
                continue
            there = socket.create_connection(("127.0.0.1", self.to))
            for a, b in ((here, there), (there, here)):
                threading.Thread(target=self.copy, args=(a, b), daemon=True).start()

    def copy(self, a, b):
        passed = 0
        try:
            while data := a.recv(1 << 16):
                b.sendall(data)
                passed += len(data)
                self.total += len(data)
                if passed > self.after and self.done < self.cuts:
                    self.done += 1
                    break
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Flaky(http.server.BaseHTTPRequestHandler):
    """In front of the registry: the first request of each kind gets HTTP 503, before or after the registry has seen it."""
    protocol_version = "HTTP/1.1"
    to, late, met = 0, False, set()

    def pass_on(self):
        kind = self.command, re.match(r"/v2/team/\w+/(blobs/uploads/|blobs/|manifests/)", self.path)[1]
        first = kind not in self.met
        self.met.add(kind)
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        status, headers, data = 503, [], b""
        if self.late or not first:
            there = http.client.HTTPSConnection("127.0.0.1", self.to, context=ssl._create_unverified_context())
            there.request(self.command, self.path, body, dict(self.headers))
            answer = there.getresponse()
            data = answer.read()
            if not first:
                status, headers = answer.status, answer.getheaders()
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD" or first:
            self.send_header("Content-Length", str(len(data) if not first else 0))
        self.end_headers()
        self.wfile.write(data if self.command != "HEAD" and not first else b"")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = pass_on

    def log_message(self, *_):
        pass


def secure(at, handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{at}/cert.pem", f"{at}/key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Case:
    def __init__(self, at, port):
        self.at, self.port = at, port
        self.common = [f"-spec={at}/spec.json", f"-dir={at}", f"-store={at}/store"]
        with open(f"{at}/big.bin", "wb") as f:  # three chunks of an upload
            f.write(os.urandom(40 << 20))
        self.body = {"base": {"debian": "bookworm"}, "layers": {"compression": "gzip"},
                     "files": [{"source": "big.bin", "target": "/opt/big.bin"}]}
        with open(f"{at}/spec.json", "w") as f:
            json.dump({"name": "e", "body": self.body}, f)

    def run(self, *words, store=None, spec=True, **env):
        e = {**os.environ, "MLOPS_IAC_REGISTRY_CA": f"{self.at}/cert.pem", "MLOPS_IAC_REGISTRY_USER": "ml",
             "MLOPS_IAC_REGISTRY_PASSWORD": "secret-word", **env}
        common = (self.common[:2] if spec else []) + [f"-store={self.at}/{store or 'store'}"]
        return subprocess.run([PROGRAM, *words, *common], capture_output=True, text=True, env=e)

    def expect(self, code, *words, says=(), **more):
        r = self.run(*words, **more)
        assert r.returncode == code, (words, r.stdout, r.stderr)
        for part in [says] if isinstance(says, str) else says:
            assert part in r.stdout + r.stderr, (words, part, r.stdout, r.stderr)
        return r

    def sealed(self):
        with open(f"{self.at}/environment.e.lock.json") as f:
            return json.load(f)["sealed"]

    def refused(self, reference):
        self.expect(1, "push", reference, MLOPS_IAC_REGISTRY_PASSWORD="wrong-word", says="refuses this user")
        self.expect(1, "push", reference, MLOPS_IAC_REGISTRY_CA="/etc/ssl/certs/ca-certificates.crt", says="cannot be reached")
        self.expect(2, "drift", reference, says="not in the registry")
        self.expect(1, "pull", reference, says="not in the registry")

    def pushed(self, reference):
        first, second = self.expect(0, "push", reference), self.expect(0, "push", reference)
        assert "\n0 of " not in first.stdout and "\n0 of " in second.stdout, first.stdout + second.stdout
        self.expect(0, "drift", reference, says="as sealed")

    def pulled(self, reference):
        self.expect(0, "pull", reference, f"-out={self.at}/pulled", store="other", says=self.sealed()["config"])
        again = self.expect(0, "pull", reference, store="other", spec=False)
        assert "\n0 of " in again.stdout, again.stdout
        with open(f"{self.at}/pulled/index.json") as f:
            assert json.load(f)["manifests"][0]["digest"] == self.sealed()["manifest"]
        for name in os.listdir(f"{self.at}/pulled/blobs/sha256"):
            with open(f"{self.at}/pulled/blobs/sha256/{name}", "rb") as f:
                assert hashlib.sha256(f.read()).hexdigest() == name
        digest = reference.rpartition(":")[0] + "@" + self.sealed()["manifest"]
        self.expect(0, "pull", digest, store="other", spec=False)

    def cut(self):
        """Layers larger than a chunk of 16 MiB, through connections that break."""
        name = f"127.0.0.1:%d/team/cut:v1"
        proxy = Cutting(self.port, 10 << 20, 2)
        proxy.start()
        self.expect(0, "push", name % proxy.port, says="blobs were sent")
        assert proxy.done == 2, proxy.done
        self.expect(0, "drift", name % self.port, says="as sealed")
        for path in glob.glob(f"{self.at}/data/docker/registry/v2/repositories/team/*"):
            shutil.rmtree(path)  # and with them what links to the blobs
        proxy = Cutting(self.port, refuse_after=20 << 20, refusals=3)
        proxy.start()
        self.expect(0, "push", name % proxy.port)
        assert proxy.refused == 3 and proxy.total < 70 << 20, (proxy.refused, proxy.total)  # of 52 MiB nothing twice
        self.expect(0, "push", name.replace("cut", "e") % self.port)
        proxy = Cutting(self.port, 5 << 20, 2)
        proxy.start()
        self.expect(0, "pull", name % proxy.port, store="third")
        assert proxy.done == 2, proxy.done
        assert os.listdir(f"{self.at}/third/tmp") == []

    def flaky(self):
        """Each kind of request fails once: it is asked again."""
        Flaky.to = self.port
        server = secure(self.at, Flaky)
        for late in False, True:
            Flaky.late = late
            name = f"127.0.0.1:%d/team/flaky{int(late)}:v1"
            for path in glob.glob(f"{self.at}/data/docker/registry/v2/repositories/team/*"):
                shutil.rmtree(path)
            for verb, more in (("push", {}), ("pull", {"store": f"flaky{int(late)}"})):
                Flaky.met = set()
                self.expect(0, verb, name % server.server_port, says="blobs were", **more)
                assert len(Flaky.met) >= (6 if verb == "push" else 2), Flaky.met
            self.expect(0, "drift", name % self.port, says="as sealed")
        server.shutdown()
        self.expect(0, "push", f"127.0.0.1:{self.port}/team/e:v1")

    def damaged(self, reference):
        """A registry that gives other bytes than their digest says."""
        layer = max(glob.glob(f"{self.at}/data/docker/registry/v2/blobs/sha256/*/*/data"), key=os.path.getsize)
        with open(layer, "r+b") as f:
            kept = f.read(1)
            f.seek(0)
            f.write(bytes([kept[0] ^ 1]))
        self.expect(1, "pull", reference, f"-out={self.at}/bad", store="fourth", says="the registry gives sha256:")
        assert os.listdir(f"{self.at}/fourth/tmp") == [] and not os.path.exists(f"{self.at}/bad")
        with open(layer, "r+b") as f:
            f.write(kept)

    def altered(self, reference):
        """Another image under the tag: what differs is named path by path."""
        with open(f"{self.at}/environment.e.lock.json") as f:
            kept = f.read()
        with open(f"{self.at}/more.txt", "w") as f:
            f.write("x")
        body = {**self.body, "env": {"A": "1"}, "files": [*self.body["files"], {"source": "more.txt", "target": "/opt/more.txt"}]}
        with open(f"{self.at}/spec.json") as f:
            spec = f.read()
        with open(f"{self.at}/spec.json", "w") as f:
            json.dump({"name": "e", "body": body}, f)
        self.expect(0, "lock")
        self.expect(0, "build")
        self.expect(0, "push", reference)
        for name, text in (("spec.json", spec), ("environment.e.lock.json", kept)):
            with open(f"{self.at}/{name}", "w") as f:
                f.write(text)
        self.expect(2, "drift", reference, says=("which is not what the lock", "+ /opt/more.txt\n", "~ Env ", "A=1"))
        self.expect(1, "pull", reference, says=("is sealed as", "env drift"))

    def read_by_others(self, reference):
        for tool in "skopeo", "umoci":
            if not shutil.which(tool):
                skip(f"{tool} is not installed")
        r = subprocess.run(["skopeo", "copy", "--src-tls-verify=false", "--src-creds=ml:secret-word", f"docker://{reference}",
                            f"oci:{self.at}/copy:e"], capture_output=True, text=True)
        assert r.returncode == 0, r.stderr
        with open(f"{self.at}/copy/index.json") as f:
            assert json.load(f)["manifests"][0]["digest"] == self.sealed()["manifest"]
        rootless = [] if os.geteuid() == 0 else ["--rootless"]
        r = subprocess.run(["umoci", "unpack", *rootless, "--image", f"{self.at}/copy:e", f"{self.at}/bundle"],
                           capture_output=True, text=True)
        assert r.returncode == 0, r.stderr
        self.expect(0, "drift", f"{self.at}/bundle/rootfs", says="is as locked")
        with open(f"{self.at}/bundle/rootfs/etc/passwd", "a") as f:
            f.write("x")
        os.unlink(f"{self.at}/bundle/rootfs/usr/bin/mawk")
        self.expect(2, "drift", f"{self.at}/bundle/rootfs", says=("~ /etc/passwd (content)\n- /usr/bin/mawk\n", ": 2 paths differ"))


def check(at, port):
    c = Case(at, port)
    if c.run("lock").returncode:
        skip("no mirror is reached")
    c.expect(0, "build")
    reference = f"127.0.0.1:{port}/team/e:v1"
    c.refused(reference)
    c.pushed(reference)
    c.pulled(reference)
    c.read_by_others(reference)
    c.cut()
    c.flaky()
    c.damaged(reference)
    c.altered(reference)


class Tokens(http.server.BaseHTTPRequestHandler):
    """The token server of a registry: a signed token for a name and a password; at first it is away."""
    asked, away = [], 0

    def do_GET(self):
        at = self.server.at
        if Tokens.away:
            Tokens.away -= 1
            self.send_error(503)
            return
        if self.headers["Authorization"] != "Basic " + base64.b64encode(b"ml:secret-word").decode():
            self.send_error(401)
            return
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        access = []
        for scope in query.get("scope", []):
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        self.asked.append(access)

        def part(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=")
        der = subprocess.run(["openssl", "x509", "-in", f"{at}/cert.pem", "-outform", "DER"], capture_output=True, check=True)
        now = int(time.time())
        head = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der.stdout).decode()]}
        body = {"iss": "test", "sub": "ml", "aud": query["service"][0], "exp": now + 300, "nbf": now - 5, "iat": now,
                "jti": str(now), "access": access}
        signed = part(json.dumps(head).encode()) + b"." + part(json.dumps(body).encode())
        sig = subprocess.run(["openssl", "dgst", "-sha256", "-sign", f"{at}/key.pem"], input=signed, capture_output=True, check=True)
        answer = json.dumps({"token": (signed + b"." + part(sig.stdout)).decode()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def check_tokens(at, port):
    """The same registry, which sends its users to a token server."""
    server = secure(at, Tokens)
    server.at = at
    realm = f"https://127.0.0.1:{server.server_port}/token"
    registry = start(at, port, {"token": {"realm": realm, "service": "the registry", "issuer": "test",
                                          "rootcertbundle": f"{at}/cert.pem"}})
    try:
        c = Case(at, port)
        c.expect(0, "lock")
        c.expect(0, "build")
        reference = f"127.0.0.1:{port}/token/e:v1"
        c.expect(1, "push", reference, MLOPS_IAC_REGISTRY_PASSWORD="wrong-word", says="token server of the registry refuses")
        Tokens.away = 2
        c.expect(0, "push", reference)
        c.expect(0, "pull", reference, store="fifth")
        assert any(a and set(a[0]["actions"]) == {"push", "pull"} for a in Tokens.asked), Tokens.asked
    finally:
        registry.terminate()
        registry.wait()
        server.shutdown()


def main():
    for program in "docker-registry", "htpasswd", "openssl":
        if not shutil.which(program):
            skip(f"{program} is not installed")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with tempfile.TemporaryDirectory() as at:
        server = start(at, port)
        try:
            check(at, port)
        finally:
            server.terminate()
            server.wait()
        check_tokens(at, port)
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
