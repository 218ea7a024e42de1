#!/usr/bin/env python3
"""The JSON Schema of templates: valid as a schema, right about templates, and of use in an editor; the pages of the
providers: what their tables say.

A validator from PyPI and the YAML language server from npm are put into the build folder once; without a way to get
them their tests are skipped.
"""
import threading

from support import *

TOOLS = os.path.join(BUILD, "tools")
VALIDATE = """
import json, sys, yaml, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
for path in sys.argv[2:]:
    for e in validator.iter_errors(yaml.safe_load(open(path))):
        print(path, "/".join(map(str, e.absolute_path)), e.message[:200])
"""


def get(folder, made, *commands):
    """A tool in TOOLS/folder, installed by its own client the first time; None when that does not work."""
    made = os.path.join(TOOLS, folder, made)
    os.makedirs(os.path.join(TOOLS, folder), exist_ok=True)
    for command in [] if os.path.exists(made) else commands:
        try:
            subprocess.run(command, cwd=os.path.join(TOOLS, folder), check=True, timeout=180,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except (OSError, subprocess.SubprocessError):
            return None
    return made if os.path.exists(made) else None


class Schema(Case):
    GOOD = """
        providers: { local: { root: here } }
        variables: { n: { type: number, default: 1 }, x: {} }
        resources:
          workspace: { w: {} }
          compute:
            c: { workspace: "${workspace.w.name}", max_instances: "${var.n}", type: AmlCompute, for_each: { a: 1 } }
          data: { d: { path: data, lifecycle: { prevent_destroy: true } } }
        outputs: { o: { value: "${workspace.w.id}" } }
        checks: { c: { condition: "${var.n > 0}", error: e } }
    """

    def setUp(self):
        super().setUp()
        self.write("t/main.yaml", self.GOOD)
        with open(self.path("schema.json"), "w", encoding="utf-8") as f:
            f.write(self.ok("-chdir=t", "schema").out)

    def validate(self, *paths):
        python = get("python", "venv/bin/jsonschema", ["/usr/bin/python3", "-m", "venv", "venv"],
                     ["venv/bin/pip", "install", "-q", "jsonschema", "pyyaml"])
        if not python:
            self.skipTest("jsonschema from PyPI cannot be installed here")
        done = subprocess.run([os.path.join(TOOLS, "python/venv/bin/python"), "-c", VALIDATE,
                               self.path("schema.json"), *paths], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_templates_that_are_right(self):
        paths = [self.path("t/main.yaml"), os.path.join(SOURCE, ".cloud/main.yaml")]
        for module in os.listdir(os.path.join(SOURCE, "modules")):
            paths += [os.path.join(SOURCE, "modules", module, p) for p in ("main.yaml", "example/main.yaml")]
        self.assertEqual(self.validate(*paths), "")

    def test_what_the_program_takes(self):
        """What is written half is not wrong: nothing behind a colon; and lists where a map does as well."""
        self.write("t/main.yaml", """
            mlops_iac:
            variables: { a: {}, n: { default: 1 } }
            locals:
            providers: { local: null }
            resources:
              workspace: { w: null, v: { lifecycle: null, timeouts: null, for_each: [a, b] } }
              compute: { c: { workspace: "${workspace.w.name}", type: null, timeouts: { create: 10m, delete: 5 } } }
              data:
            data:
            modules: { m: { source: ./m, for_each: [a] } }
            outputs:
            moved:
            import: [{ to: workspace.w, id: 5 }]
            removed:
            checks:
            policies:
            include: [more/*.yaml, { files: "more/*.yaml", expand: true, prefix: x }]
            set:
            notifications:
        """)
        self.write("t/m/main.yaml", "locals: { a: 1 }\n")
        self.write("t/more/main.yaml", "locals: { a: 1 }\n")
        self.ok("-chdir=t", "init")
        self.ok("-chdir=t", "validate")
        self.assertEqual(self.validate(self.path("t/main.yaml")), "")

    def test_templates_that_are_wrong(self):
        wrong = {
            "resource: {}": "resource",
            "resources: { computer: { c: {} } }": "computer",
            "resources: { compute: { c: { max_instancs: 1 } } }": "max_instancs",
            "resources: { compute: { c: { max_instances: many } } }": "resources/compute/c/max_instances",
            "resources: { compute: { c: { max_instances: 0 } } }": "resources/compute/c/max_instances",
            "resources: { compute: { c: { type: mainframe } } }": "resources/compute/c/type",
            "resources: { data: { d: {} } }": "'path' is a required property",
            "resources: { endpoint: { e: { scoring_uri: x } } }": "scoring_uri",
            "outputs: { o: {} }": "'value' is a required property",
            "resources: { workspace: { w: { lifecycle: { prevent: true } } } }": "prevent",
            "resources: { data: { d: null } }": "resources/data/d",
            "resources: { workspace: { w: { for_each: [1] } } }": "resources/workspace/w/for_each",
            "resources: { workspace: { w: { timeouts: { create: [] } } } }": "timeouts/create",
            "include: { files: x }": "include",
            "include: [{ file: x }]": "include/0",
            "set: { workspace.w: 1 }": "set/workspace.w",
            "notifications: { n: 1 }": "notifications/n",
        }
        for i, (text, says) in enumerate(wrong.items()):
            with self.subTest(template=text):
                self.write(f"w{i}.yaml", text + "\n")
                self.assertIn(says, self.validate(self.path(f"w{i}.yaml")))

    def test_one_kind(self):
        doc = self.ok("-chdir=t", "schema", "compute").json()
        self.assertEqual(doc["title"], "compute")
        self.assertIn("max_instances", doc["properties"])
        self.assertIn("for_each", doc["properties"])
        self.assertNotIn("id", doc["properties"], "what the platform sets cannot be written")
        self.fails("-chdir=t", "schema", "comptue", says="Did you mean compute?")


class Editor(Schema):
    """The real language server over its standard streams."""

    def setUp(self):
        super().setUp()
        server = get("npm", "node_modules/.bin/yaml-language-server",
                     ["npm", "install", "--silent", "--no-fund", "--no-audit", "yaml-language-server"])
        if not server:
            self.skipTest("yaml-language-server from npm cannot be installed here")
        self.server = subprocess.Popen([server, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL)
        self.addCleanup(self.stop)
        self.next, self.diagnostics = 0, {}
        self.ask("initialize", {"processId": None, "rootUri": None, "capabilities": {
            "workspace": {"configuration": True}, "textDocument": {"hover": {"contentFormat": ["markdown"]}}}})
        self.tell("initialized", {})

    def stop(self):
        self.server.kill()
        self.server.communicate()

    def tell(self, method, params, **more):
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **more}).encode()
        self.send(body)

    def send(self, body):
        self.server.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.server.stdin.flush()

    def read(self):
        length = 0
        watchdog = threading.Timer(slow(30), self.server.kill)
        watchdog.start()
        try:
            while True:
                line = self.server.stdout.readline()
                if not line:
                    self.fail("the language server is gone or silent")
                if line == b"\r\n":
                    break
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            return json.loads(self.server.stdout.read(length))
        finally:
            watchdog.cancel()

    def handle(self, message):
        """Requests and notices of the server."""
        if message.get("method") == "textDocument/publishDiagnostics":
            self.diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif message.get("method") == "workspace/configuration":
            settings = {"schemas": {"file://" + self.path("schema.json"): "*.yaml"}, "validate": True, "hover": True,
                        "completion": True, "schemaStore": {"enable": False}}
            answer = [settings if i.get("section") == "yaml" else None for i in message["params"]["items"]]
            self.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": answer}).encode())
        elif "method" in message and "id" in message:
            self.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": None}).encode())

    def ask(self, method, params):
        self.next += 1
        self.tell(method, params, id=self.next)
        while True:
            message = self.read()
            if message.get("id") == self.next and "method" not in message:
                return message.get("result")
            self.handle(message)

    def open(self, text):
        uri = "file://" + self.path("edited.yaml")
        self.tell("textDocument/didOpen",
                  {"textDocument": {"uri": uri, "languageId": "yaml", "version": 1, "text": text}})
        while uri not in self.diagnostics:
            self.handle(self.read())
        return uri

    def at(self, uri, line, character):
        return {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}

    def test_completion_hover_and_typo(self):
        uri = self.open("resources:\n  compute:\n    c:\n      max_instances: 2\n      \n      max_instancs: 3\n")
        found = [d for d in self.diagnostics[uri] if "max_instancs" in d["message"]]
        self.assertEqual([d["range"]["start"]["line"] for d in found], [5], self.diagnostics)
        names = [i["label"] for i in self.ask("textDocument/completion", self.at(uri, 4, 6))["items"]]
        self.assertIn("min_instances", names)
        self.assertIn("workspace", names)
        self.assertNotIn("provisioning_state", names)
        hover = self.ask("textDocument/hover", self.at(uri, 3, 8))
        self.assertIn("Most machines at once", json.dumps(hover))

    def test_every_kind(self):
        """A typo is told, the key above is explained and its neighbours are offered, in a block of each kind."""
        schema = self.ok("-chdir=t", "schema").json()
        kinds = sorted(schema["properties"]["resources"]["properties"])
        self.assertGreaterEqual(len(kinds), 8, kinds)
        lines = ["resources:"]
        for kind in kinds:
            lines += [f"  {kind}:", "    x:", "      name: n", "      ", "      descriptoin: d"]
        uri = self.open("\n".join(lines) + "\n")
        wrong = {d["range"]["start"]["line"] for d in self.diagnostics[uri] if "descriptoin" in d["message"]}
        for i, kind in enumerate(kinds):
            with self.subTest(kind=kind):
                at = 5 * i + 3
                self.assertIn(at + 2, wrong)
                self.assertIn("Name of the", json.dumps(self.ask("textDocument/hover", self.at(uri, at, 7))))
                offered = [c["label"] for c in self.ask("textDocument/completion", self.at(uri, at + 1, 6))["items"]]
                self.assertIn("description", offered)
                self.assertIn("for_each", offered)

    test_templates_that_are_right = test_templates_that_are_wrong = test_one_kind = None


class Pages(Case):
    def page_is_what_the_tables_say(self, name):
        self.write("main.yaml", "providers: { %s: {} }\n" % name)
        self.ok("init")
        with open(os.path.join(SOURCE, "docs", "providers", name + ".md"), encoding="utf-8") as f:
            self.assertEqual(f.read(), self.ok("docs", "provider").out, "make it: mlops-iac docs provider > " + f.name)

    def test_local(self):
        self.page_is_what_the_tables_say("local")

    def test_sim(self):
        self.page_is_what_the_tables_say("sim")


if __name__ == "__main__":
    main()
