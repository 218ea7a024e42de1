"""Starts a real server on loopback and runs the conformance suite against it.

run.py PROGRAM KIND. Exit 77: skipped, because this machine has no such server.
"""
import os
import subprocess
import sys

import servers

# What the suite must know of a kind: MIO_UNSAFE, it does not compare; MIO_SLOW, it logs in for each store.
KNOWN = {"http_bare": {"MIO_UNSAFE": "1"}, "ssh": {"MIO_SLOW": "1"}, "s3_blind": {"MIO_BLIND": "1"},
         "etcd_full": {"MIO_FULL": "1"}}

program, kind = sys.argv[1:3]
try:
    with servers.run(kind) as config:
        code = subprocess.run([program], env={**os.environ, **KNOWN.get(kind, {}), "MIO_BACKEND": config}, check=False).returncode
except servers.Skip as why:
    print(f"skipped: {kind}: {why}")
    code = 77
sys.exit(code)
