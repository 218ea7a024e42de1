#!/usr/bin/env python3
"""Where the state lives: sealed files, remote backends against real servers, and the commands that look after it."""
import contextlib
import glob
import pwd
import re
import secrets
import socket
import sys

from support import *

sys.path.insert(0, os.path.join(SOURCE, "tests/state/backends"))
import servers  # noqa: E402

SERVER = os.path.join(SOURCE, "tests/state/backends/http_server.py")
CANARY = "canary-77f3a1"


def template(case, top="", value=CANARY):
    case.template(f"thing:\n  a: {{ name: a, inputs: {{ v: {value} }} }}\n", top=top)


def everything(folder):
    """Every byte below it."""
    text = b""
    for path, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(path, name), "rb") as f:
                text += f.read()
    return text


class Silent(Case):
    """A server that accepts connections and says nothing, as one behind a broken load balancer."""

    def test_who_is_waited_for(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(slow(30))
            address = f"127.0.0.1:{server.getsockname()[1]}"
            for log in ({}, {"MLOPS_IAC_LOG_PATH": self.path("it.log")}):
                template(self, top=f"""
                    mlops_iac: {{ backend: {{ type: http, address: "http://{address}/state?token=hidden-99" }} }}
                """)
                process = self.start("init", env=log)
                server.accept()[0].close()  # the first attempt fails at once, the second one waits
                with server.accept()[0]:
                    self.wait_for("the message", lambda log=log: not log or os.path.getsize(log["MLOPS_IAC_LOG_PATH"]))
                    line = "" if log else process.stderr.readline()
                    process.kill()
                rest = self.finish(process).text
                if log:
                    with open(self.path("it.log"), encoding="utf-8") as f:
                        line = f.read()
                self.assertIn(f"no answer from http://{address}/state for 5 s", line)
                self.assertIn("attempt 2, each waits up to 60 s", line)
                self.assertNotIn("hidden-99", line + rest)


    def test_a_silent_database_is_given_up(self):
        if not os.path.exists(os.path.join(BUILD, "lib/mlops-iac/backends/pg.so")):
            self.skipTest("the backend pg is not built")
        with socket.create_server(("127.0.0.1", 0)) as server:
            at = f"host=127.0.0.1 port={server.getsockname()[1]} user=mlops dbname=x"
            template(self, top="mlops_iac: { backend: { type: pg, name: x } }\n")
            for more, seconds in (("", 10), (" connect_timeout=3", 3)):
                started = time.monotonic()
                self.fails("init", env={"MLOPS_IAC_BACKEND_CONN_STR": at + more}, says=["cannot connect to PostgreSQL", "timeout"])
                self.assertAlmostEqual(time.monotonic() - started, seconds, delta=slow(4))


class Sealed(Case):
    def setUp(self):
        super().setUp()
        template(self)
        self.init()
        self.key = self.new_key("key")

    def new_key(self, name):
        self.write(f"keys/{name}", secrets.token_hex(32) + "\n")
        os.chmod(self.path(f"keys/{name}"), 0o600)
        return {"MLOPS_IAC_STATE_KEY_FILE": self.path(f"keys/{name}")}

    def content(self, name):
        with open(self.path(f"keys/{name}"), encoding="ascii") as f:
            return f.read().strip()

    def test_nothing_is_in_clear(self):
        self.apply(env=self.key)
        self.assertNotIn(CANARY.encode(), everything(self.path(".state")))
        self.assertIn(CANARY, self.ok("state", "show", "thing.a", env=self.key).out)
        self.assertIn(CANARY, self.ok("state", "pull", env=self.key).out)
        self.ok("plan", "-detailed-exitcode", env=self.key, says="No changes.")

    def test_without_the_key(self):
        self.apply(env=self.key)
        before = everything(self.path(".state"))
        self.fails("plan", says=["sealed with key key", "not configured"])
        self.fails("apply", "-auto-approve", env=self.new_key("other"), says="wrong secret")
        self.fails("plan", env={"MLOPS_IAC_STATE_KEY": "short"}, says="openssl rand -hex 32")
        os.chmod(self.path("keys/key"), 0o644)
        self.fails("plan", env=self.key, says="chmod 600")
        self.assertEqual(before, everything(self.path(".state")))

    def test_the_key_leaves_the_environment(self):
        """A child of the program does not see it, and its own first environment holds it no more."""
        self.write("wrap.py", """
            import json, os, sys
            with open("/proc/%d/environ" % os.getppid(), "rb") as f:
                seen = f.read()
            with open("seen", "ab") as f:
                f.write(seen + b"|" + repr(dict(os.environ)).encode())
            print(json.dumps({"key": json.load(sys.stdin)["key"]}))
        """)
        template(self, top="""
            mlops_iac:
              encryption: { keys: [{ id: kms, type: external, command: [/usr/bin/python3, wrap.py] }] }
        """)
        self.apply(env={"MLOPS_IAC_STATE_OLD_KEY": self.content("key"),
                        "MLOPS_IAC_STATE_OLD_PASSPHRASE": "a long passphrase 9"})
        with open(self.path("seen"), "rb") as f:
            seen = f.read()
        self.assertIn(b"XDG_STATE_HOME", seen)
        self.assertNotIn(self.content("key").encode(), seen)
        self.assertNotIn(b"a long passphrase", seen)

    def test_a_new_key(self):
        self.apply(env=self.key)
        both = {**self.new_key("new"), "MLOPS_IAC_STATE_OLD_KEY": self.content("key")}
        self.ok("state", "rekey", env=both, says="sealed with key key")
        self.ok("plan", env=self.new_key_again("new"), says="No changes.")
        self.fails("plan", env=self.key, says="wrong secret")

    def new_key_again(self, name):
        return {"MLOPS_IAC_STATE_KEY_FILE": self.path(f"keys/{name}")}

    def test_enforced(self):
        """A state in clear is refused until it has been sealed; the template cannot take the demand back."""
        on = {"MLOPS_IAC_ENCRYPTION_ENFORCED": "true"}
        self.apply()
        self.fails("plan", env=on, says="there is no key")
        self.fails("plan", env={**on, **self.key}, says="state rekey -accept-clear")
        template(self, top="mlops_iac: { encryption: { enforced: false, write_clear: true } }\n")
        self.fails("state", "rekey", "-accept-clear", env={**on, **self.key}, says="cannot be given up")
        template(self, top="mlops_iac: { encryption: { enforced: false } }\n")
        self.ok("state", "rekey", "-accept-clear", env={**on, **self.key})
        self.ok("plan", env={**on, **self.key}, says="No changes.")
        template(self, top="mlops_iac: { encryption: { enforced: true } }\n")
        self.fails("plan", says="there is no key")
        template(self, top="mlops_iac: { encryption: { enforce: true } }\n")
        self.fails("plan", env=self.key, says="no setting `enforce`")

    def test_giving_it_up(self):
        self.apply(env=self.key)
        template(self, top="mlops_iac: { encryption: { write_clear: true } }\n")
        self.ok("state", "rekey", env=self.key, says="in clear")
        template(self)
        self.no_changes()


class Commands(Case):
    def setUp(self):
        super().setUp()
        template(self)
        self.init()
        self.apply()
        template(self, value="second")
        self.apply()
        self.serial = json.loads(self.ok("state", "pull").out.splitlines()[0])["serial"]

    def damage(self):
        with open(self.state_file(), "r+b") as f:
            f.seek(120)
            f.write(b"\0\0\0\0")

    def test_fsck(self):
        self.ok("state", "fsck", says="in order")
        self.damage()
        self.fails("plan", says="state fsck -repair")
        self.fails("state", "fsck", says=["damage", "-repair"])
        self.ok("state", "fsck", "-repair", says="mended")
        self.ok("state", "fsck", says="in order")
        self.ok("plan", says="thing.a")

    def test_history(self):
        lines = self.ok("state", "history", "-json").json()
        self.assertEqual([(h["operation"], h["added"], h["changed"]) for h in lines],
                         [("apply", 1, 0), ("apply", 0, 1)])
        self.ok("state", "history", says="1 added, 0 changed")
        path = self.path(".state/default/history.jsonl")
        with open(path, encoding="utf-8") as f:
            first, second = f.read().splitlines()
        with open(path, "w", encoding="utf-8") as f:
            f.write(second + "\n")
        self.fails("state", "history", says="line 1")

    def test_at_and_diff(self):
        older = next(s for s in range(self.serial - 1, 0, -1) if CANARY in self.ok("state", "at", str(s)).out)
        self.ok("state", "diff", str(older), "current", says=["thing.a", f'inputs.v: "{CANARY}" -> "second"'])
        rows = self.ok("state", "diff", "-json", str(older), str(self.serial)).json()
        self.assertEqual([(r["address"], r["action"]) for r in rows], [("thing.a", "changed")])
        self.ok("state", "diff", "current", "current", says="the same")
        self.fails("state", "diff", "-detailed-exitcode", str(older), "current", code=2)
        self.fails("state", "at", "9999", says="9999")
        self.fails("state", "at", "yesterday", says="no serial")

    def test_pull_and_push(self):
        older = next(s for s in range(self.serial - 1, 0, -1) if CANARY in self.ok("state", "at", str(s)).out)
        self.write("older", self.ok("state", "at", str(older)).out)
        self.write("now", self.ok("state", "pull").out)
        self.fails("state", "push", "older", says="-force")
        self.ok("state", "push", "-force", "-", input=self.ok("state", "at", str(older)).out, says="The state of standard input")
        self.assertIn(CANARY, self.ok("state", "show", "thing.a").out)
        self.write("broken", "{}\n")
        self.fails("state", "push", "-force", "broken", says=["what is to be put in place", "Nothing was changed", "state pull"])
        self.write("other", self.ok("state", "pull").out.replace('"lineage":"', '"lineage":"0'))
        self.fails("state", "push", "other", says="SHA-256")
        self.ok("plan", "-refresh=false", says="second")

    def test_an_older_state_is_noticed(self):
        self.write("kept", "")
        shutil.copyfile(self.state_file(), self.path("kept"))
        template(self, value="third")
        self.apply()
        shutil.copyfile(self.path("kept"), self.state_file())
        self.fails("plan", says=["older state was put back", "-accept-rollback"])
        self.ok("plan", "-accept-rollback")
        self.ok("plan")


class BrokenTemplate(Case):
    """What looks after the state needs no more of the template than where the state is."""

    READING = (("state", "list"), ("state", "pull"), ("state", "show", "thing.a"), ("state", "history"), ("state", "fsck"),
               ("state", "diff", "current", "current"), ("output",), ("show",))

    def setUp(self):
        super().setUp()
        template(self)
        self.init()
        self.apply()

    def test_wrong_elsewhere(self):
        before = self.ok("state", "pull").out
        for broken in ("resources: { thing: { a: { nmae: b } } }\n", "resources: [ a: ]: b\n", "resources:\n\tthing: {}\n",
                       "variables: { x: {} }\nresources: { thing: { a: { name: \"${var.y}\" } } }\n"):
            self.write("main.yaml", broken)
            for command in self.READING:
                with self.subTest(broken=broken, command=command):
                    self.ok(*command)
            self.fails("plan")
        self.write("state", before)
        self.fails("state", "push", "state", says="-force")
        self.assertEqual(self.ok("state", "pull").out, before)

    def test_wrong_where_the_backend_is(self):
        """A file that may say where the state is must be readable: another state must not be shown instead."""
        self.write("backend.yaml", "mlops_iac: { backend: { type: pg, name: x }\n")
        self.fails("state", "list", says="backend.yaml")
        self.write("backend.yaml", "mlops_iac: { backend: { type: pg, name: x } }\n")
        self.fails("state", "list", says="has not been initialised here")
        os.remove(self.path("backend.yaml"))
        self.assertEqual(self.recorded(), ["thing.a"])


class Settings(Case):
    def backend(self, settings):
        self.template("", top=f"mlops_iac:\n  backend: {{ {settings} }}\n")

    def test_misspelt(self):
        self.backend("type: pg, nmae: x")
        self.fails("init", says=["the backend pg has no setting `nmae`", "Did you mean `name`?", "main.yaml line 4, column 24"])
        self.backend("type: htpp, address: x")
        self.fails("init", says=['no backend of type "htpp"', 'Did you mean "http"?', "main.yaml line 4, column 14"])
        self.backend("type: ssh, host: h, path: /p, bucket: b")
        self.fails("init", says=["the backend ssh has no setting `bucket`", "identity_file"])
        self.backend("type: file, path: x")
        self.fails("init", says="the backend file has no setting `path`")

    def test_of_the_wrong_type(self):
        self.backend('type: http, address: "http://127.0.0.1:1", insecure_http: "yes"')
        self.fails("init", says=["`insecure_http` is true or false", "main.yaml line 4"])
        self.backend("type: pg, name: [a]")
        self.fails("init", says="`name` is a text")
        self.backend("type: [pg]")
        self.fails("init", says="`type` is a text")

    def test_of_the_command_line(self):
        self.backend("type: pg")
        self.fails("init", "-backend-config=nmae=x", says=["no setting `nmae`", "Did you mean `name`?"])


class Http(Case):
    flags = ["--etag"]

    def setUp(self):
        super().setUp()
        self.sick = self.path("sick")
        server = subprocess.Popen(["/usr/bin/python3", SERVER, *self.flags, "--sick", self.sick], stdout=subprocess.PIPE)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.base = f"http://127.0.0.1:{int(server.stdout.readline())}"

    def backend(self, name="it", value=CANARY):
        template(self, value=value, top=f"""
            mlops_iac:
              backend: {{ type: http, address: "{self.base}/state/{name}", lock_address: "{self.base}/lock/{name}" }}
        """)

    def test_life(self):
        self.backend()
        self.ok("init", "-backend=false")
        self.fails("plan", says=["has not been initialised here", "mlops-iac init"])
        self.ok("init", says="kept by the backend http")
        self.apply()
        self.assertFalse(os.path.exists(self.state_file()))
        self.assertEqual(self.recorded(), ["thing.a"])
        self.no_changes()
        self.ok("init")
        self.ok("state", "fsck", says="in order")
        self.ok("destroy", "-auto-approve")
        self.assertEqual(self.recorded(), [])

    def dies_in_mid_apply(self, methods, env=None):
        """The backend answers 500 from the first thing on. Gives the file that holds what was done."""
        self.template("thing: { n: { count: 3, name: 'n-${count.index}', inputs: { v: %s } } }\n" % CANARY, sim="latency_ms: 300", top=f"""
            mlops_iac:
              backend: {{ type: http, address: "{self.base}/state/it", lock_address: "{self.base}/lock/it" }}
        """)
        self.init()
        process = self.start("apply", "-auto-approve", "-parallelism=1", env=env)
        self.wait_for("the first thing", self.things)
        self.write("sick", methods)
        done = self.check(self.finish(process, timeout=slow(60)), 1, ["status 500", "What was done is in", "mlops-iac state push"])
        os.remove(self.sick)
        file, = set(re.findall(r"'([^']*/emergency-\d+\.state)'", " ".join(done.text.split())))
        self.assertEqual(os.stat(file).st_mode & 0o777, 0o600)
        return file

    def test_a_backend_that_dies(self):
        """What was done is saved beside it, sealed; push brings it back: without the journal of that machine, and with it."""
        key = {"MLOPS_IAC_STATE_KEY": "33" * 32}
        for env in ({}, key):
            for elsewhere in (True, False):
                with self.subTest(sealed=bool(env), elsewhere=elsewhere):
                    file = self.dies_in_mid_apply("POST", env)
                    with open(file, "rb") as f:
                        self.assertEqual(CANARY.encode() in f.read(), not env)
                    if elsewhere:
                        os.rename(file, self.path("emergency"))
                        file = self.path("emergency")
                        shutil.rmtree(self.path(".state"))
                        self.init()
                        if env:
                            self.fails("state", "push", file, says="sealed")
                    self.ok("state", "push", file, env=env)
                    self.fails("state", "push", file, env=env, says="has serial")
                    self.ok("plan", "-detailed-exitcode", env=env, says="No changes.")
                    self.assertEqual(len(self.things()), 3)
                    self.ok("destroy", "-auto-approve", env=env)
                    self.ok("state", "history", env=env)
                    if not env:
                        continue
                    shutil.rmtree(self.path(".state"))
                    self.base = self.base.replace("/again", "") + "/again"
                    os.remove(self.path("cloud.db"))

    def test_a_backend_that_dies_with_its_lock(self):
        file = self.dies_in_mid_apply("POST UNLOCK LOCK")
        held = self.fails("plan", says="force-unlock")
        self.ok("force-unlock", "-force", re.search(r"force-unlock (\w+)", held.text).group(1))
        self.ok("plan", says=["interrupted apply was found", "No changes."])  # the journal is here, and does the same
        self.fails("state", "push", file, says="has serial")
        self.assertEqual(len(self.things()), 3)

    def test_another_machine(self):
        """A second folder with the same template sees what the first one did."""
        self.backend()
        self.init()
        self.apply()
        shutil.rmtree(self.path(".state"))
        self.init()
        self.assertEqual(self.recorded(), ["thing.a"])

    def test_a_changed_backend(self):
        self.backend()
        self.init()
        self.apply()
        self.backend("elsewhere")
        self.fails("plan", says=["init -migrate-state", "init -reconfigure"])
        self.fails("init", says="-migrate-state")
        self.ok("init", "-migrate-state", says="It was moved there")
        self.assertEqual(self.recorded(), ["thing.a"])
        self.no_changes()
        self.backend("empty")
        self.ok("init", "-reconfigure", says=["is left there: 1 resource\n", "restore the settings"])
        self.assertEqual(self.recorded(), [])
        self.backend("third")
        self.ok("init", "-backend=false")
        self.fails("plan", says="-migrate-state")

    def test_an_apply_that_was_killed_is_not_left_unsaid(self):
        self.template("thing: { a: { name: a } }", sim="latency_ms: 60000")
        self.init()
        self.assertNotIn("left there", self.ok("init", "-reconfigure").text)
        process, journal = self.start("apply", "-auto-approve"), self.path(".state/default/journal")
        self.wait_for("its intent", lambda: os.path.exists(journal) and b"thing.a" in everything(os.path.dirname(journal)))
        process.kill()
        process.communicate()
        self.backend()
        self.fails("init", says="may hold the state")
        self.ok("init", "-reconfigure", says="left there: 0 resources and an apply that was killed, unsettled")

    def test_from_file_and_back(self):
        template(self)
        self.init()
        self.apply()
        self.backend()
        self.fails("init", says="-migrate-state")
        self.ok("init", "-migrate-state", says="It was moved there")
        self.assertEqual(self.recorded(), ["thing.a"])
        self.assertEqual(len(self.ok("state", "history", "-json").json()), 1)
        shutil.rmtree(self.path("aside"), ignore_errors=True)
        os.mkdir(self.path("aside"))
        for name in glob.glob(self.path(".state/default/*.jsonl*")):
            shutil.move(name, self.path("aside"))
        template(self)
        self.fails("plan", says="-migrate-state")
        self.ok("init", "-migrate-state", says="backend file")
        self.assertEqual(self.recorded(), ["thing.a"])

    def test_settings_of_the_command_line(self):
        template(self, top="mlops_iac: { backend: { type: http } }\n")
        self.fails("init", says="needs the setting `address`")
        self.fails("init", "-backend-config=address", says="KEY=VALUE")
        self.fails("init", "-backend-config=password=x", says="MLOPS_IAC_BACKEND_PASSWORD")
        template(self, top="mlops_iac: { backend: { type: s3, bucket: b, region: r, access_key: a } }\n")
        self.fails("init", says=["needs the setting `secret_key`", "set MLOPS_IAC_BACKEND_SECRET_KEY in the environment"])
        template(self, top="mlops_iac: { backend: { type: http } }\n")
        self.ok("init", f"-backend-config=address={self.base}/state/x", f"-backend-config=lock_address={self.base}/lock/x")
        self.apply()
        self.ok("init")
        self.assertEqual(self.recorded(), ["thing.a"])
        self.fails("init", f"-backend-config=address={self.base}/state/y", says="-migrate-state")

    def test_expressions_are_refused(self):
        self.template("", top="mlops_iac: { backend: { type: http, address: \"${var.x}\" } }\n")
        self.fails("init", says="takes no expressions")

    def test_the_lock_is_there(self):
        self.backend()
        self.template("thing:\n  a: { name: a, inputs: {} }\n", sim="latency_ms: 3000", top=f"""
            mlops_iac:
              backend: {{ type: http, address: "{self.base}/state/it", lock_address: "{self.base}/lock/it" }}
        """)
        self.init()
        holder = self.start("apply", "-auto-approve", "-lock-timeout=60s")
        self.wait_for("the create", lambda: self.run_tool("plan", "-refresh=false").text.find("force-unlock") >= 0)
        self.assertEqual(self.finish(holder).code, 0)
        self.assertEqual(self.recorded(), ["thing.a"])

    def test_sealed_on_the_wire(self):
        self.backend()
        key = {"MLOPS_IAC_STATE_KEY": secrets.token_hex(32)}
        self.ok("init", env=key)
        self.apply(env=key)
        raw = subprocess.run(["/usr/bin/python3", "-c", "import sys, urllib.request as u;"
                              "sys.stdout.buffer.write(u.urlopen(sys.argv[1]).read())", f"{self.base}/state/it"],
                             stdout=subprocess.PIPE, check=True).stdout
        self.assertTrue(raw.startswith(b'{"sealed"'))
        self.assertNotIn(CANARY.encode(), raw + everything(self.path(".state")))
        self.fails("plan", says="not configured")


class Ssh(Case):
    def test_life_and_the_host_key(self):
        with contextlib.ExitStack() as running:
            try:
                config = running.enter_context(servers.run("ssh"))
            except servers.Skip as why:
                self.skipTest(str(why))
            template(self, top=f"mlops_iac: {{ backend: {config.replace('@', 'life')} }}\n")
            self.ok("init", says="kept by the backend ssh")
            self.apply()
            self.assertEqual(self.recorded(), ["thing.a"])
            known = json.loads(config)["known_hosts"]
            with open(known, encoding="utf-8") as f:
                line = f.read()
            with open(known, "w", encoding="utf-8") as f:  # another host answers
                with open(known.replace("known", "user.pub"), encoding="utf-8") as key:
                    f.write(" ".join([line.split()[0], *key.read().split()[:2]]) + "\n")
            self.fails("state", "list", says="host key")
            with open(known, "w", encoding="utf-8") as f:  # one that nobody knows
                f.write("")
            self.fails("state", "list", says="host key")
            with open(known, "w", encoding="utf-8") as f:
                f.write(line)
            self.no_changes()


class HttpWithoutPreconditions(Http):
    """The same on a server that knows nothing of ETag: it works, and says what it lacks."""
    flags = []

    def test_it_warns(self):
        self.backend()
        self.init()
        self.apply()
        self.ok("plan", says="sends no ETag")
        self.ok("init", says="sends no ETag")


class Postgres(Case):
    @classmethod
    def setUpClass(cls):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
        if not found or not os.path.exists(os.path.join(BUILD, "lib/mlops-iac/backends/pg.so")):
            raise unittest.SkipTest("there is no PostgreSQL here")
        who = {}
        cls.root = subprocess.run(["mktemp", "-d", "/tmp/mio-pg-XXXXXX"], stdout=subprocess.PIPE, text=True,
                                  check=True).stdout.strip()
        cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
        if os.geteuid() == 0:
            try:
                pwd.getpwnam("postgres")
            except KeyError:
                raise unittest.SkipTest("PostgreSQL does not run as root") from None
            who = {"user": "postgres"}
            shutil.chown(cls.root, "postgres")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            cls.port = s.getsockname()[1]
        cls.tools = found[0]
        data = os.path.join(cls.root, "data")
        subprocess.run([found[0] + "/initdb", "-D", data, "-U", "mlops", "-A", "trust", "-N"], check=True, cwd="/",
                       stdout=subprocess.DEVNULL, **who)
        server = subprocess.Popen([found[0] + "/postgres", "-D", data, "-p", str(cls.port), "-h", "127.0.0.1", "-k",
                                   cls.root, "-F"], cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, **who)
        cls.addClassCleanup(server.wait)
        cls.addClassCleanup(server.send_signal, signal.SIGINT)
        ready = [found[0] + "/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(cls.port)]
        until = time.monotonic() + slow(30)
        while subprocess.run(ready, check=False).returncode:
            if time.monotonic() > until:
                raise RuntimeError("PostgreSQL does not start")
            time.sleep(0.1)

    def setUp(self):
        super().setUp()
        self.env = {"MLOPS_IAC_BACKEND_CONN_STR": f"host=127.0.0.1 port={self.port} user=mlops dbname=postgres"}
        self.space = os.path.basename(self.dir)
        template(self, top=f"mlops_iac: {{ backend: {{ type: pg, name: {self.space} }} }}\n")

    def run_tool(self, *args, env=None, **how):
        return super().run_tool(*args, env={**self.env, **(env or {})}, **how)

    def test_life(self):
        self.ok("init", says="kept by the backend pg")
        self.apply()
        self.assertEqual(self.recorded(), ["thing.a"])
        self.no_changes()
        self.assertNotIn(b"127.0.0.1", everything(self.path(".state")))
        self.ok("state", "fsck", says="in order")
        self.assertEqual(len(self.ok("state", "history", "-json").json()), 1)

    def test_killed_in_mid_apply(self):
        """The journal is in the database: another folder settles what the killed apply did."""
        self.template("thing:\n  a: { name: a, inputs: {} }\n  b: { name: b, inputs: { to: \"${thing.a.id}\" } }\n",
                      sim="latency_ms: 1000", top=f"mlops_iac: {{ backend: {{ type: pg, name: {self.space} }} }}\n")
        self.ok("init")
        holder = self.start("apply", "-auto-approve", env=self.env)
        self.wait_for("the first create", lambda: "a" in self.things())
        holder.kill()
        self.finish(holder)
        shutil.rmtree(self.path(".state"))
        self.ok("init")
        refused = self.fails("apply", "-auto-approve", says="force-unlock")
        self.ok("force-unlock", "-force", re.search(r"force-unlock ([0-9a-f]+)", refused.text).group(1))
        self.apply()
        self.assertEqual(self.recorded(), ["thing.a", "thing.b"])
        self.assertEqual(sorted(self.ops()), ["create 1", "create 2"])

    def test_killed_with_the_plan_alone_in_the_journal(self):
        """-durability=plan: what the runner had not sent to the backend yet is found by its key."""
        self.template("thing:\n  n: { count: 6, name: \"n-${count.index}\" }\n", sim="latency_ms: 300",
                      top=f"mlops_iac: {{ backend: {{ type: pg, name: {self.space} }} }}\n")
        self.ok("init")
        holder = self.start("apply", "-auto-approve", "-parallelism=2", "-durability=plan", env=self.env)
        self.wait_for("some creates", lambda: len(self.things()) >= 3)
        holder.kill()
        self.finish(holder)
        shutil.rmtree(self.path(".state"))
        self.ok("init")
        refused = self.fails("plan", says="force-unlock")
        self.ok("force-unlock", "-force", re.search(r"force-unlock ([0-9a-f]+)", refused.text).group(1))
        made = len(self.things())
        self.ok("plan", says="interrupted apply was found")
        self.assertEqual((len(self.recorded()), len(self.things())), (made, made))
        self.apply()
        self.assertEqual(sorted(self.ops()), [f"create {n}" for n in range(1, 7)])

    def test_generations_of_a_machine_whose_clock_is_ahead(self):
        """Those that come after it are younger all the same: none is taken for the oldest, and a repair takes the last one."""
        self.ok("init")
        self.apply()
        self.query("UPDATE mlops_iac.object SET name = 'generations/05' || substr(name, 15) "
                   f"WHERE space = '{self.space}' AND name LIKE 'generations/%'")
        for n in range(10):
            self.ok("state", "mv", f"thing.{'ab'[n % 2]}", f"thing.{'ba'[n % 2]}")
        self.assertEqual(self.query(f"SELECT count(*) FROM mlops_iac.object WHERE space = '{self.space}' AND name LIKE 'gen%'"), "8")
        last = json.loads(self.ok("state", "pull").out.split("\n")[0])["serial"]
        self.query(f"UPDATE mlops_iac.object SET body = 'x', version = 0 WHERE space = '{self.space}' AND name = 'state'")
        self.ok("state", "fsck", "-repair", says=f"(serial {last}, 1 resources)")
        self.no_changes()

    def query(self, sql):
        argv = [self.tools + "/psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "mlops", "-d", "postgres", "-Atc", sql]
        return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()

    def test_moved_from_http_or_file(self):
        template(self)
        self.ok("init")
        self.apply()
        template(self, top=f"mlops_iac: {{ backend: {{ type: pg, name: {self.space} }} }}\n")
        self.ok("init", "-migrate-state", says="It was moved there")
        self.no_changes()

    def test_no_server(self):
        self.fails("init", env={"MLOPS_IAC_BACKEND_CONN_STR": "host=127.0.0.1 port=1 user=mlops"}, says="127.0.0.1")


if __name__ == "__main__":
    main()
