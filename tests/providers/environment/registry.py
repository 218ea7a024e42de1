"""Push to a real registry with TLS and passwords on loopback. usage: registry.py PROGRAM

Needs Debian's docker-registry, apache2-utils, openssl and a mirror; without them: exit 77, skipped.
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

PROGRAM = sys.argv[1]


def skip(why):
    print("registry: skipped,", why)
    sys.exit(77)


def start(at, port):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{at}/key.pem", "-out",
                    f"{at}/cert.pem", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    with open(f"{at}/users", "w") as f:
        subprocess.run(["htpasswd", "-Bbn", "ml", "secret-word"], check=True, stdout=f)
    with open(f"{at}/config.yml", "w") as f:
        json.dump({"version": "0.1", "log": {"level": "error", "accesslog": {"disabled": True}},
                   "storage": {"filesystem": {"rootdirectory": f"{at}/data"}},
                   "auth": {"htpasswd": {"realm": "r", "path": f"{at}/users"}},
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


def check(at, port):
    with open(f"{at}/spec.json", "w") as f:
        json.dump({"name": "e", "body": {"base": {"debian": "bookworm"}}}, f)
    common = [f"-spec={at}/spec.json", f"-dir={at}", f"-store={at}/store"]
    reference = f"127.0.0.1:{port}/team/e:v1"

    def run(*words, **env):
        e = {**os.environ, "MLOPS_IAC_REGISTRY_CA": f"{at}/cert.pem", "MLOPS_IAC_REGISTRY_USER": "ml",
             "MLOPS_IAC_REGISTRY_PASSWORD": "secret-word", **env}
        return subprocess.run([PROGRAM, *words, *common], capture_output=True, text=True, env=e)

    if run("lock").returncode:
        skip("no mirror is reached")
    assert run("build").returncode == 0
    r = run("push", reference, MLOPS_IAC_REGISTRY_PASSWORD="wrong-word")
    assert r.returncode == 1 and "refuses this user" in r.stderr, r.stderr
    r = run("push", reference, MLOPS_IAC_REGISTRY_CA="/etc/ssl/certs/ca-certificates.crt")
    assert r.returncode == 1 and "cannot be reached" in r.stderr, r.stderr
    r = run("drift", reference)
    assert r.returncode == 2 and "not in the registry" in r.stdout, r.stdout + r.stderr
    first, second = run("push", reference), run("push", reference)
    assert first.returncode == 0, first.stderr
    assert "\n0 of " not in first.stdout and "\n0 of " in second.stdout, first.stdout + second.stdout
    r = run("drift", reference)
    assert r.returncode == 0 and "as sealed" in r.stdout, r.stdout + r.stderr
    if shutil.which("skopeo"):
        r = subprocess.run(["skopeo", "copy", "--src-tls-verify=false", "--src-creds=ml:secret-word", f"docker://{reference}",
                            f"oci:{at}/copy:e"], capture_output=True, text=True)
        assert r.returncode == 0, r.stderr
        with open(f"{at}/copy/index.json") as f, open(f"{at}/environment.e.lock.json") as g:
            assert json.load(f)["manifests"][0]["digest"] == json.load(g)["sealed"]["manifest"]


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
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
