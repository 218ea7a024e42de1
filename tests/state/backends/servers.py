"""The real servers behind the backends, on loopback, for tests: started here, stopped by their process id.

    with servers.run("pg") as config: ...

`config` is the text of a `backend:` block as JSON, @ standing for a name (the block must keep it in one of its
settings). Skip: this machine has no such server.
"""
import base64
import contextlib
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
sys.path.insert(0, os.path.dirname(os.path.dirname(HERE)))
import tools  # noqa: E402

AZURE_ACCOUNT = "devstoreaccount1"  # the emulator's, fixed and published with it, as the key is
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class Skip(Exception):
    pass


def need(*names, folders=()):
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/bin", *folders])
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return found
    raise Skip(f"{names[0]} is not installed")


def need_tool(name):
    found = tools.find(name)
    if not found:
        raise Skip(f"{name} is not installed (tests/tools.py does it)")
    return found


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Group:
    """Servers that belong together, and the folder of theirs."""

    def __init__(self):
        self.scratch = tempfile.mkdtemp(prefix="mio-backend-")
        self.started, self.undo = [], []

    def path(self, name):
        return os.path.join(self.scratch, name)

    def start(self, argv, **more):
        with open(self.path("log"), "ab") as log:
            p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **more)
        self.started.append(p)
        return p

    def start_saying_port(self, name, *args, python="/usr/bin/python3"):
        with open(self.path("log"), "ab") as log:
            p = subprocess.Popen([python, os.path.join(HERE, name), *args], stdout=subprocess.PIPE, stderr=log)
        self.started.append(p)
        return int(p.stdout.readline())

    def wait_for(self, port, process, host="127.0.0.1"):
        for _ in range(600):
            try:
                socket.create_connection((host, port), 1).close()
                return
            except OSError:
                if process.poll() is not None:
                    break
                time.sleep(0.1)
        with open(self.path("log"), errors="replace", encoding="utf-8") as f:
            sys.stderr.write(f.read()[-2000:])
        raise RuntimeError("the server does not start")

    def stop(self):
        for p in self.started:
            p.terminate()
        for p in self.started:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
            if p.stdout:
                p.stdout.close()
        for argv in self.undo:
            subprocess.run(argv, check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.scratch, ignore_errors=True)


def other_host(g):
    """A host of its own: a network namespace at the other end of a wire, with a name and mounts of its own. Its address
    and what starts a program there; on this machine, where that is not allowed."""
    here, there = f"10.213.{os.getpid() % 250}.1", f"10.213.{os.getpid() % 250}.2"
    name, wire = f"mio-{os.getpid()}", f"miov{os.getpid()}"
    steps = (["ip", "netns", "add", name],
             ["ip", "link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", name],
             ["ip", "addr", "add", here + "/30", "dev", wire], ["ip", "link", "set", wire, "up"],
             ["ip", "-n", name, "addr", "add", there + "/30", "dev", "eth0"], ["ip", "-n", name, "link", "set", "lo", "up"],
             ["ip", "-n", name, "link", "set", "eth0", "up"])
    if os.geteuid() or not all(map(shutil.which, ("ip", "nsenter", "unshare"))):
        return "127.0.0.1", []
    for step in steps:
        if subprocess.run(step, stderr=subprocess.DEVNULL, check=False).returncode:
            for argv in (["ip", "link", "del", wire], ["ip", "netns", "del", name]):
                subprocess.run(argv, stderr=subprocess.DEVNULL, check=False)
            return "127.0.0.1", []
    g.undo += [["ip", "link", "del", wire], ["ip", "netns", "del", name]]
    return there, ["nsenter", f"--net=/run/netns/{name}", "unshare", "-m", "-u", "sh", "-c", f"hostname {name}; exec \"$@\"", "sh"]


def http(g, *flags):
    base = f"http://127.0.0.1:{g.start_saying_port('http_server.py', *flags)}"
    return {"type": "http", "address": base + "/state/@", "lock_address": base + "/lock/@"}


def pg(g):
    home = "/usr/lib/postgresql"
    versions = sorted(os.listdir(home), key=lambda v: int(v) if v.isdigit() else 0, reverse=True) if os.path.isdir(home) else []
    folders = [f"{home}/{v}/bin" for v in versions]
    initdb, postgres, psql = (need(name, folders=folders) for name in ("initdb", "postgres", "psql"))
    who = {}
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            raise Skip("PostgreSQL does not run as root and there is no user postgres") from None
        who = {"user": "postgres"}
        shutil.chown(g.scratch, "postgres")
    data, port = g.path("pg"), free_port()
    subprocess.run([initdb, "-D", data, "-U", "mlops", "-A", "trust", "-N"], check=True, stdout=subprocess.DEVNULL, cwd="/", **who)
    p = g.start([postgres, "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", g.scratch, "-F"], cwd="/", **who)
    g.wait_for(port, p)
    for _ in range(100):  # the port answers before the server does
        if subprocess.run([psql, "-h", "127.0.0.1", "-p", str(port), "-U", "mlops", "-d", "postgres", "-c", "select 1"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0:
            break
        time.sleep(0.1)
    return {"type": "pg", "name": "@", "conn_str": f"host=127.0.0.1 port={port} user=mlops dbname=postgres"}


def etcd(g, quota=8 << 30):
    """It keeps every revision until it compacts: many thousand writes of a state are more than the 2 GiB it takes by itself."""
    port, peer = free_port(), free_port()
    url, other = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer}"
    p = g.start([need("etcd"), "--data-dir", g.path("etcd"), "--listen-client-urls", url, "--advertise-client-urls", url,
                 "--listen-peer-urls", other, "--initial-advertise-peer-urls", other, "--initial-cluster", "default=" + other,
                 "--unsafe-no-fsync", "--quota-backend-bytes", str(quota), "--auto-compaction-mode", "revision",
                 "--auto-compaction-retention", "1000"])
    g.wait_for(port, p)
    for _ in range(100):  # it listens before it has a leader
        try:
            with urllib.request.urlopen(url + "/health", timeout=2) as r:
                if b"true" in r.read():
                    break
        except OSError:
            pass
        time.sleep(0.1)
    return {"type": "etcd", "prefix": "/mlops/@", "endpoint": url}


def s3(g):
    port = g.start_saying_port("s3_server.py", python=os.path.join(os.path.dirname(need_tool("moto_server")), "python3"))
    url = f"http://127.0.0.1:{port}"
    urllib.request.urlopen(urllib.request.Request(url + "/states", method="PUT"), timeout=30).close()
    return {"type": "s3", "bucket": "states", "key": "@", "region": "us-east-1", "endpoint": url, "access_key": "testing",
            "secret_key": "testing"}


def s3_blind(g):
    """The same behind a relay that takes the conditions away, as a store would be that does not know them."""
    config = s3(g)
    port = g.start_saying_port("blind_relay.py", config["endpoint"].rsplit(":", 1)[1])
    return {**config, "endpoint": f"http://127.0.0.1:{port}"}


def azure(g):
    port = free_port()
    # In memory: on files, an upload that is cut off takes the file with it into which Azurite writes, and all later ones fail.
    p = g.start([need("node"), need_tool("azurite-blob"), "--blobHost", "127.0.0.1", "--blobPort", str(port),
                 "--inMemoryPersistence", "--silent", "--skipApiVersionCheck"])
    g.wait_for(port, p)
    url = f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}"
    date = email.utils.formatdate(usegmt=True)
    text = (f"PUT\n\n\n\n\napplication/octet-stream\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:2021-12-02\n"
            f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/states\nrestype:container")
    mac = base64.b64encode(hmac.new(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256).digest()).decode()
    headers = {"Content-Type": "application/octet-stream", "x-ms-date": date, "x-ms-version": "2021-12-02",
               "Authorization": f"SharedKey {AZURE_ACCOUNT}:{mac}"}
    urllib.request.urlopen(urllib.request.Request(url + "/states?restype=container", method="PUT", headers=headers, data=b""),
                           timeout=30).close()
    return {"type": "azure", "storage_account_name": AZURE_ACCOUNT, "container_name": "states", "key": "@", "endpoint": url,
            "access_key": AZURE_KEY, "lease_seconds": 15}


def ssh(g):
    sshd, keygen, port = need("sshd"), need("ssh-keygen"), free_port()
    need("ssh")
    host, there = other_host(g)
    for name in ("host", "user"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", g.path(name)], check=True)
    shutil.copy(g.path("user.pub"), g.path("authorized"))
    with open(g.path("sshd_config"), "w", encoding="utf-8") as f:
        f.write(f"Port {port}\nListenAddress {host}\nHostKey {g.path('host')}\nAuthorizedKeysFile {g.path('authorized')}\n"
                "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nMaxStartups 100\nMaxSessions 100\n"
                "PermitRootLogin prohibit-password\n")
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)
    p = g.start([*there, sshd, "-D", "-e", "-f", g.path("sshd_config")])
    g.wait_for(port, p, host)
    with open(g.path("host.pub"), encoding="utf-8") as f:
        key = " ".join(f.read().split()[:2])
    with open(g.path("known"), "w", encoding="utf-8") as f:
        f.write(f"[{host}]:{port} {key}\n")
    return {"type": "ssh", "host": host, "port": str(port), "user": pwd.getpwuid(os.geteuid()).pw_name,
            "path": g.path("states") + "/@", "identity_file": g.path("user"), "known_hosts": g.path("known")}


KINDS = {"http": lambda g: http(g, "--etag"), "http_bare": http, "pg": pg, "etcd": etcd,
         "etcd_full": lambda g: etcd(g, 4 << 20), "s3": s3, "s3_blind": s3_blind, "azure": azure, "ssh": ssh}


@contextlib.contextmanager
def run(kind):
    """Starts the servers of the kind; gives the settings as JSON; stops them all."""
    g = Group()
    try:
        yield json.dumps(KINDS[kind](g))
    finally:
        g.stop()
