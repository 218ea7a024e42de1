"""The same packages with the same versions as apt, for 26 requests. usage: parity.py PROGRAM [WORD]

Both work on the same mirror: the one that this system's apt is configured for. Without a network: exit 77, skipped.
"""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

SUITE = "bookworm"
REQUESTS = """python3-minimal | python3-numpy | python3-scipy | python3-pandas | python3-sklearn | python3-matplotlib
 | python3-torch | python3-flask gunicorn | python3-uvicorn python3-fastapi | python3-skimage | python3-nltk
 | ffmpeg | imagemagick | git | curl ca-certificates | openssh-client | g++ | build-essential | cmake | perl
 | nginx | postgresql | redis-server | default-jre-headless | r-base-core | nodejs"""


def apt_options(folder):
    lists = [f for f in ["/etc/apt/sources.list"] + glob.glob("/etc/apt/sources.list.d/*")
             if os.path.exists(f) and re.search(rf"\b{SUITE}(-security)?\b(?!-)", open(f).read())
             and re.search(rf"^(Suites:.*|deb .* ){SUITE}\b", open(f).read(), re.M)]
    if not lists:
        return None
    os.makedirs(folder + "/lists/partial")
    os.makedirs(folder + "/cache/archives/partial")
    keys = {"Dir::Etc::SourceList": lists[0], "Dir::Etc::SourceParts": "-", "Dir::State::lists": folder + "/lists",
            "Dir::State::status": "/dev/null", "Dir::Cache": folder + "/cache", "Dir::Cache::pkgcache": "p.bin",
            "Dir::Cache::srcpkgcache": "s.bin", "APT::Install-Recommends": "false", "Debug::NoLocking": "1",
            "APT::Sandbox::User": "root", "APT::Architecture": "amd64", "APT::Architectures::": "amd64"}
    return [word for k, v in keys.items() for word in ("-o", f"{k}={v}")]


def by_apt(options, names):
    out = subprocess.run(["apt-get", *options, "-s", "install", *names], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    return dict(re.findall(r"^Inst (\S+) \((\S+) ", out.stdout, re.M))


def by_us(program, folder, names):
    body = {"base": {"debian": SUITE, "variant": "none"}, "debian": {"packages": names}}
    with open(folder + "/spec.json", "w") as f:
        json.dump({"name": "parity", "body": body}, f)
    subprocess.run([program, "lock", f"-spec={folder}/spec.json", f"-dir={folder}", f"-store={folder}/store"],
                   check=True, stdout=subprocess.DEVNULL)
    with open(folder + "/environment.parity.lock.json") as f:
        return {p["name"]: p["version"] for p in json.load(f)["packages"]}


def main():
    requests = [r.split() for r in REQUESTS.split("|") if len(sys.argv) < 3 or sys.argv[2] in r]
    with tempfile.TemporaryDirectory() as folder:
        options = apt_options(folder)
        if not options or subprocess.run(["apt-get", *options, "-qq", "update"], capture_output=True).returncode:
            print(f"parity: skipped, no mirror of Debian {SUITE} is reached")
            return 77
        wrong = 0
        for names in requests:
            apt, us = by_apt(options, names), by_us(sys.argv[1], folder, names)
            differing = sorted(set(apt.items()) ^ set(us.items()))
            wrong += bool(differing)
            print("differs" if differing else "equal  ", len(apt), *names,
                  "| apt:", *(n for n in apt if n not in us), "| us:", *(n for n in us if n not in apt))
        print(f"{len(requests) - wrong} passed, {wrong} failed")
        return 1 if wrong else 0


sys.exit(main())
