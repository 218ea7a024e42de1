"""What is ended from outside, in each phase, leaves no process behind: neither the builder nor what it started. Only the program
itself gets the signal, as by a supervisor or a pipeline's runner. usage: ended.py PROGRAM
"""
import http.server
import json
import os
import re
import signal
import subprocess
import threading
import time

from tiny import Case, Package, entry, main

TOOL = os.path.join(os.environ["MIO_BUILD"], "bin/mlops-iac")


class Mirror(http.server.SimpleHTTPRequestHandler):
    """Never answers what `holds` matches."""
    holds, reached = None, threading.Event()

    def __init__(self, *args):
        super().__init__(*args, directory=Ended.mirror.at)

    def log_message(self, *args):
        pass

    def do_GET(self):
        if self.holds and re.search(self.holds, self.path):
            self.reached.set()
            time.sleep(30)
            return
        super().do_GET()


class Ended(Case):
    packages = [Package("base", members=[entry("./usr/bin/one", b"1\n", 0o755)]),
                Package("app", Depends="base", members=[entry("./usr/bin/app", b"1\n", 0o755)])]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
        cls.server.daemon_threads = True
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()

    def setUp(self):
        self.dir = f"{self.at}/{self.id().split('.')[-1]}"
        os.makedirs(self.dir)
        body = self.body(["app"])
        body["base"]["mirror"] = f"http://127.0.0.1:{self.server.server_port}"
        with open(f"{self.dir}/main.yaml", "w", encoding="utf-8") as f:
            json.dump({"providers": {"local": {}}, "resources": {"environment": {"e": body}}}, f)
        self.tool("init")

    def start(self, *args):
        kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        return subprocess.Popen([TOOL, *args], cwd=self.dir, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env={**kept, "MLOPS_IAC_ENV_STORE": f"{self.dir}/store", "MIO_TEST_ENDED": self.dir})

    def tool(self, *args):
        out, err = (p := self.start(*args)).communicate(timeout=120)
        self.assertEqual(p.returncode, 0, out + err)
        return out

    def left(self):
        """Processes that descend from a run of this test."""
        found, mark = [], f"MIO_TEST_ENDED={self.dir}\0".encode()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as f, open(f"/proc/{pid}/cmdline", "rb") as g:
                    if mark in f.read() + b"\0":
                        found.append((pid, g.read()))
            except OSError:
                pass  # it ended, or is another user's
        return found

    def ended(self, number, holds, *args):
        Mirror.holds = holds
        Mirror.reached.clear()
        p = self.start(*args)
        self.assertTrue(Mirror.reached.wait(60))
        self.assertGreater(len(self.left()), 2)
        p.send_signal(number)
        out, err = p.communicate(timeout=30)
        Mirror.holds = None
        self.assertNotEqual(p.returncode, 0)
        for _ in range(100):
            if not self.left():
                break
            time.sleep(0.1)
        self.assertEqual(self.left(), [])
        return out + err

    def test_no_phase_leaves_a_process(self):
        lock = f"{self.dir}/environment.e.lock.json"
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGKILL:
            said = self.ended(number, "InRelease", "env", "lock", "e")
            self.assertFalse(os.path.exists(lock))
            if number != signal.SIGKILL:
                self.assertIn("env lock was interrupted: nothing half-made is left", said)
        self.tool("env", "lock", "e")
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGKILL:
            self.ended(number, "app_1_amd64", "env", "build", "e", "-out=image", "-root=root")
            self.assertEqual(sorted(os.listdir(self.dir)), [".mlops-iac.lock.json", "environment.e.lock.json", "main.yaml", "store"])
            with open(lock, encoding="utf-8") as f:
                self.assertIsNone(json.load(f)["sealed"])
        self.tool("env", "build", "e", "-out=image", "-root=root")
        self.assertEqual(os.listdir(f"{self.dir}/store/tmp"), [])

    def test_a_builder_that_was_killed_is_told(self):
        Mirror.holds = "InRelease"
        Mirror.reached.clear()
        p = self.start("env", "lock", "e")
        self.assertTrue(Mirror.reached.wait(60))
        builder = [int(pid) for pid, words in self.left() if b"mlops-iac-env\0" in words]
        self.assertEqual(len(builder), 1)
        os.kill(builder[0], signal.SIGKILL)
        _, err = p.communicate(timeout=30)
        Mirror.holds = None
        self.assertEqual(p.returncode, 1)
        self.assertIn("the environment builder was killed (signal 9)", err)
        self.assertIn("Run it again", err)


if __name__ == "__main__":
    if not os.path.exists("/usr/lib/apt/apt-helper"):
        print("ended.py: skipped, apt is not installed")
        raise SystemExit(77)
    main()
