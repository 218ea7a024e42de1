#!/usr/bin/env python3
"""Seeds for the fuzz targets: seeds.py FOLDER PROGRAM. What the tests hold already, cut into files: a folder a target."""
import base64
import glob
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SOURCE, "tests/providers/environment"))
import tiny  # noqa: E402
TEMPLATE = """\
providers: { sim: { path: cloud.db } }
resources:
  thing:
    a: { name: first, inputs: { x: 1 }, triggers: [a] }
    b: { name: "second-${thing.a.id}" }
outputs: { id: { value: "${thing.a.id}" } }
"""


def read(path):
    with open(path, "rb") as f:
        return f.read()


def documents():
    """Azure ML documents: ours, and the corpus where it lies beside the sources."""
    folders = [os.path.join(SOURCE, "tests/planner/template/documents")]
    corpus = [os.environ.get("MIO_CORPUS", "")] + [os.path.join(SOURCE, up, "shared/corpus") for up in ("..", "../..")]
    folders += [f for f in corpus if f and os.path.isdir(f)][:1]
    paths = [p for f in folders for p in glob.glob(f + "/**/*.y*ml", recursive=True)]
    return [read(p) for p in sorted(paths) if os.path.getsize(p) < 4096]


def yaml():
    for path in sorted(glob.glob(SOURCE + "/tests/cases/template/*.case")):
        for part in read(path).split(b"\n--- ")[1:]:
            yield part.partition(b"\n")[2].partition(b"\n=== ")[0]
    for path in sorted(glob.glob(SOURCE + "/modules/**/*.yaml", recursive=True)):
        yield read(path)
    yield from documents()


def expr():
    for line in read(SOURCE + "/tests/planner/expr/oracle/cases.tsv").splitlines()[::4]:
        yield line.split(b"\t")[0]
    for path in sorted(glob.glob(SOURCE + "/modules/**/*.yaml", recursive=True)):
        for line in read(path).splitlines():
            if b"${" in line:
                yield line.strip()


def azureml():
    return [b"\xff" + d for d in documents()]  # the document's own $schema


def module():
    for source in (b"git::https://h.example/r.git//a/b?ref=v1", b"git::ssh://git@h.example/r.git", b"https://h.example/m.tgz//x?y=z",
                   b"https://h.example/m.zip\nsha256:" + b"0" * 64, b"git::file:///r.git//..", b"https://[::1]:8443/a.tar.zst"):
        yield b"\0" + source
    yield b"\2" + json.dumps({"format": "mlops-iac-lock", "version": 1, "plugins": [
        {"type": "sim", "version": "0.1.0", "path": "/p/sim.so", "sha256": "0" * 64, "abi": 1}]}).encode()
    for mode in ("w", "w:gz", "w:xz", "w:bz2"):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode=mode) as tar:
            for name, kind in (("m/main.yaml", tarfile.REGTYPE), ("m/d", tarfile.DIRTYPE), ("m/l", tarfile.SYMTYPE)):
                entry = tarfile.TarInfo(name)
                entry.type, entry.size, entry.linkname = kind, 4 if kind == tarfile.REGTYPE else 0, "../../x"
                tar.addfile(entry, io.BytesIO(b"a: 1"))
        yield b"\1" + out.getvalue()
    for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", how) as z:
            z.writestr("m/main.yaml", "variables: {}\n" * 5)
            z.writestr("m/sub/x.yaml", "locals: {}\n")
        yield b"\1" + out.getvalue()


def state():
    """What one apply leaves behind."""
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/main.yaml", "w", encoding="utf-8") as f:
            f.write(TEMPLATE)
        for args in (["init"], ["apply", "-auto-approve"], ["plan", "-destroy", "-out=next.plan"]):
            subprocess.run([sys.argv[2], *args], cwd=folder, capture_output=True, check=False, timeout=120,
                           env={**os.environ, "XDG_STATE_HOME": folder + "/seen"})
        for root, _, names in os.walk(folder):
            for name in names:
                data = read(os.path.join(root, name))
                if data[:10] == b'{"format":':
                    yield b"\0" + data
                    yield from (b"\3" + row for row in data.splitlines()[1:])
                elif name == "next.plan":
                    yield b"\2" + data
    begin = (b'B{"apply_id":"a","lineage":"l","base_serial":"1","epoch":"0","plan_digest":"","tool_version":"0.1.0",'
             b'"commit":"","signed_by":"","approvals":null,"stage":"","salt":"' + b"0" * 64 + b'"}\n')
    intent = b'I{"op":"1","verb":"create","address":"thing.a","provider":"sim","kind":"thing","key":"k","inputs":{"name":"x"}}\n'
    for end in (b"", b'D{"op":"1","outcome":"ok"}\nE{}', b'H{"op":"1","handle":"h"}\nF{"op":"1","text":"no"}\nR{"op":"1"}'):
        yield b"\1" + begin + intent + end


def archive():
    for seed in module():
        if seed[0] == 1:
            yield seed
    deb = tiny.Package("x", members=[tiny.entry("./bin/x", b"x", 0o755), tiny.entry("./l", kind=b"2", link="x")], postinst="#!/bin/sh\n").deb
    points = b"[console_scripts]\np = p:main\n"
    files = {"p/__init__.py": b"x = 1\n", "p-1.dist-info/entry_points.txt": points}
    record = "".join(f"{n},sha256={base64.urlsafe_b64encode(hashlib.sha256(c).digest()).decode().rstrip('=')},\n" for n, c in files.items())
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as z:
        for name, content in {**files, "p-1.dist-info/RECORD": (record + "p-1.dist-info/RECORD,,\n").encode()}.items():
            z.writestr(name, content)
    for how in (0, 2):
        yield bytes([how]) + deb
        yield bytes([how + 1]) + wheel.getvalue()
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w", format=tarfile.GNU_FORMAT) as t:
        for info, content in (tiny.entry("etc/.wh..wh..opq"), tiny.entry(".wh.file"), tiny.entry("lib/x", b"x"), tiny.entry("out/y", b"y"),
                              tiny.entry("lib/z", kind=b"1", link="lib/x"), tiny.entry("etc", kind=b"2", link="out")):
            t.addfile(info, io.BytesIO(content))
    yield b"\4" + layer.getvalue()
    yield b"\4" + gzip.compress(layer.getvalue())


def lock():
    package = {k: "x" for k in ("name", "version", "arch", "source", "source_version", "path", "suite")}
    yield json.dumps({"format": 1, "name": "e", "inputs": "0" * 64, "suite": "s", "arch": "amd64", "epoch": 1, "indices": [],
                      "packages": [{**package, "sha256": "0" * 64, "size": 1}], "wheels": [], "files": [], "sealed": None,
                      "config": {"base": {"debian": "s"}, "users": [{"name": "a", "uid": 7}]}}).encode()
    yield b"Suite: s\nDate: Sat, 11 Jul 2026 10:16:37 UTC\nSHA256:\n " + b"0" * 64 + b" 1 main/binary-amd64/Packages\n"


def main():
    for make in (yaml, expr, azureml, module, state, archive, lock):
        folder = os.path.join(sys.argv[1], make.__name__)
        os.makedirs(folder, exist_ok=True)
        for i, data in enumerate(make()):
            with open(os.path.join(folder, f"{i:04}"), "wb") as f:
                f.write(data)


main()
