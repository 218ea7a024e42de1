#!/usr/bin/python3
"""Real servers that tests need and Debian does not have: Azurite from npm, moto from PyPI. Pinned, in build/tools.

`tools.py` installs what is missing, by the registries' own clients, and says what cannot be had. The tests only look
for them: find("azurite-blob").
"""
import os
import shutil
import subprocess
import sys

HOME = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "build", "tools")
TOOLS = {
    # program: (folder, where it is in it, the client that installs it, commands)
    "azurite-blob": ("azurite-3.29.0", "node_modules/.bin/azurite-blob", "npm", [
        ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", ".", "azurite@3.29.0"]]),
    "moto_server": ("moto-5.2.5", "venv/bin/moto_server", "/usr/bin/python3", [
        ["/usr/bin/python3", "-m", "venv", "venv"],
        ["venv/bin/pip", "install", "-q", "--disable-pip-version-check", "moto[s3]==5.2.5", "flask", "flask-cors"]]),
}


def find(program):
    """Its path, or None where it is not installed."""
    folder, path, _, _ = TOOLS[program]
    path = os.path.join(HOME, folder, path)
    return path if os.path.exists(path) else None


def install(program):
    """None, or why it cannot be had. What is half installed is made anew."""
    folder, path, client, commands = TOOLS[program]
    if find(program):
        return None
    if not shutil.which(client):
        return f"{client} is not installed"
    place = os.path.join(HOME, folder)
    making = place + ".new"
    shutil.rmtree(making, ignore_errors=True)
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(making)
    if "venv" in path:  # its programs know where they are
        os.rename(making, place)
        making = place
    for command in commands:
        try:
            done = subprocess.run(command, cwd=making, timeout=900, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        except (OSError, subprocess.SubprocessError) as why:
            return str(why)
        if done.returncode:
            return f"{command[0]}: {done.stdout.strip()[-300:]}"
    if making != place:
        os.rename(making, place)
    return None if find(program) else f"{path} did not come with it"


if __name__ == "__main__":
    for name in TOOLS:
        if trouble := install(name):
            print(f"{name} cannot be installed, its tests are skipped: {trouble}", file=sys.stderr)
