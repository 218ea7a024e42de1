"""Starts a real server on loopback, runs the conformance suite against it, stops it by its process id.

run.py PROGRAM KIND. Exit 77: skipped, because this machine has no such server.
"""
import base64
import email.utils
import hashlib
import hmac
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
program, kind = sys.argv[1:3]
scratch = tempfile.mkdtemp(prefix="mio-backend-")
started = []


class Skip(Exception):
    pass


def need(*names, folders=()):
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/bin", *folders])
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return found
    raise Skip("%s is not installed" % names[0])


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(argv, **more):
    log = open(os.path.join(scratch, "log"), "ab")
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **more)
    started.append(p)
    return p


def wait_for(port, process):
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    sys.stderr.write(open(os.path.join(scratch, "log"), errors="replace").read()[-2000:])
    raise SystemExit("the server of %s does not start" % kind)


def http(*flags):
    p = subprocess.Popen([sys.executable, os.path.join(HERE, "http_server.py"), *flags], stdout=subprocess.PIPE)
    started.append(p)
    port = int(p.stdout.readline())
    base = "http://127.0.0.1:%d" % port
    return '{"type":"http","address":"%s/state/@","lock_address":"%s/lock/@"}' % (base, base)


def http_bare():
    os.environ["MIO_UNSAFE"] = "1"
    return http()


def pg():
    folders = sorted(("/usr/lib/postgresql/" + v + "/bin" for v in os.listdir("/usr/lib/postgresql")), reverse=True) \
        if os.path.isdir("/usr/lib/postgresql") else []
    initdb, postgres = need("initdb", folders=folders), need("postgres", folders=folders)
    who = {}
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            raise Skip("PostgreSQL does not run as root and there is no user postgres")
        who = {"user": "postgres"}
        shutil.chown(scratch, "postgres")
    data, port = os.path.join(scratch, "pg"), free_port()
    subprocess.run([initdb, "-D", data, "-U", "mlops", "-A", "trust", "-N"], check=True, stdout=subprocess.DEVNULL, cwd="/",
                   **who)
    p = start([postgres, "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", scratch, "-F"], cwd="/", **who)
    wait_for(port, p)
    for _ in range(100):  # the port answers before the server does
        r = subprocess.run([need("psql", folders=folders), "-h", "127.0.0.1", "-p", str(port), "-U", "mlops", "-d", "postgres",
                            "-c", "select 1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if r.returncode == 0:
            break
        time.sleep(0.1)
    return '{"type":"pg","name":"@","conn_str":"host=127.0.0.1 port=%d user=mlops dbname=postgres"}' % port


def etcd():
    port, peer = free_port(), free_port()
    url = "http://127.0.0.1:%d" % port
    p = start([need("etcd"), "--data-dir", os.path.join(scratch, "etcd"), "--listen-client-urls", url,
               "--advertise-client-urls", url, "--listen-peer-urls", "http://127.0.0.1:%d" % peer,
               "--initial-advertise-peer-urls", "http://127.0.0.1:%d" % peer,
               "--initial-cluster", "default=http://127.0.0.1:%d" % peer])
    wait_for(port, p)
    for _ in range(100):  # it listens before it has a leader
        try:
            with urllib.request.urlopen(url + "/health", timeout=2) as r:
                if b"true" in r.read():
                    break
        except OSError:
            pass
        time.sleep(0.1)
    return '{"type":"etcd","prefix":"/mlops/@","endpoint":"%s"}' % url


def s3():
    port = free_port()
    p = start([need("moto_server"), "-H", "127.0.0.1", "-p", str(port)])
    wait_for(port, p)
    url = "http://127.0.0.1:%d" % port
    urllib.request.urlopen(urllib.request.Request(url + "/states", method="PUT"), timeout=30).close()
    return ('{"type":"s3","bucket":"states","key":"@","region":"us-east-1","endpoint":"%s",'
            '"access_key":"testing","secret_key":"testing"}' % url)


def azure():
    # The emulator's account and key are fixed and published with it.
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    folder = os.environ.get("MIO_AZURITE", "")
    program, port = need("azurite-blob", folders=[folder] if folder else ()), free_port()
    p = start([program, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", os.path.join(scratch, "az"),
               "--silent", "--skipApiVersionCheck"])
    wait_for(port, p)
    url = "http://127.0.0.1:%d/devstoreaccount1" % port
    date = email.utils.formatdate(usegmt=True)
    text = ("PUT\n\n\n\n\napplication/octet-stream\n\n\n\n\n\n\nx-ms-date:%s\nx-ms-version:2021-12-02\n"
            "/devstoreaccount1/devstoreaccount1/states\nrestype:container" % date)
    mac = base64.b64encode(hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()).decode()
    headers = {"Content-Type": "application/octet-stream", "x-ms-date": date, "x-ms-version": "2021-12-02", "Authorization": "SharedKey devstoreaccount1:" + mac}
    urllib.request.urlopen(urllib.request.Request(url + "/states?restype=container", method="PUT", headers=headers,
                                                  data=b""), timeout=30).close()
    return ('{"type":"azure","storage_account_name":"devstoreaccount1","container_name":"states","key":"@",'
            '"endpoint":"%s","access_key":"%s"}' % (url, key))


def ssh():
    sshd, keygen, port = need("sshd"), need("ssh-keygen"), free_port()
    need("ssh")
    os.environ["MIO_SLOW"] = "1"
    for name in ("host", "user"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(scratch, name)], check=True)
    in_scratch = lambda name: os.path.join(scratch, name)
    shutil.copy(in_scratch("user.pub"), in_scratch("authorized"))
    with open(in_scratch("sshd_config"), "w") as f:
        f.write("Port %d\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nStrictModes no\n"
                "UsePAM no\nPasswordAuthentication no\nMaxStartups 100\nMaxSessions 100\nPermitRootLogin prohibit-password\n"
                % (port, in_scratch("host"), in_scratch("authorized")))
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)
    p = start([sshd, "-D", "-e", "-f", in_scratch("sshd_config")])
    wait_for(port, p)
    with open(in_scratch("known"), "w") as f:
        f.write("[127.0.0.1]:%d %s" % (port, " ".join(open(in_scratch("host.pub")).read().split()[:2]) + "\n"))
    return json.dumps({"type": "ssh", "host": "127.0.0.1", "port": str(port), "user": pwd.getpwuid(os.geteuid()).pw_name,
                       "path": in_scratch("states") + "/@", "identity_file": in_scratch("user"), "known_hosts": in_scratch("known")})


KINDS = {"http": lambda: http("--etag"), "http_bare": http_bare, "pg": pg, "etcd": etcd, "s3": s3, "azure": azure, "ssh": ssh}


def main():
    config = KINDS[kind]()
    return subprocess.run([program], env={**os.environ, "MIO_BACKEND": config}).returncode


try:
    code = main()
except Skip as why:
    print("skipped: %s: %s" % (kind, why))
    code = 77
finally:
    for p in started:
        p.terminate()
    for p in started:
        try:
            p.wait(10)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
    shutil.rmtree(scratch, ignore_errors=True)
sys.exit(code)
