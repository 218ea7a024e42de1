#!/usr/bin/env python3
"""Secrets that a platform makes up: kept in a sealed state so that they can be used, in clear nowhere; masks otherwise."""
import base64
import re
import threading

from support import *

ENV = {"MLOPS_IAC_STATE_KEY": "11" * 32}
MADE_UP = "made-up-token-"
MAKES = "thing_s: { maker: { name: maker } }\n"


class Secrets(Case):
    def uses(self, v, more=""):
        self.template(MAKES + f'thing: {{ user: {{ name: user, inputs: {{ v: {v}, password: "x-${{thing_s.maker.token}}-y" }} }} }}\n' + more)

    def token(self):
        (number,), = self.sql("SELECT id FROM things WHERE name = 'maker'")
        return f"{MADE_UP}{number}"

    def nowhere(self, *outputs):
        """Not in what was printed, nor in any file beside the cloud itself, in no usual form."""
        raw = MADE_UP.encode()
        forms = (raw, raw.hex().encode(), base64.b64encode(raw)[:-4])
        for done in outputs:
            for form in forms:
                self.assertNotIn(form.decode(), done.text, str(done))
        for folder in (self.dir, self.dir + ".seen"):
            for at, _, names in os.walk(folder):
                for name in names:
                    if name.startswith("cloud.db"):
                        continue
                    with open(os.path.join(at, name), "rb") as f:
                        data = f.read()
                    for form in forms:
                        self.assertNotIn(form, data, os.path.join(at, name))

    def held(self):
        return self.things()["user"]["password"]

    def first(self, env):
        self.uses(1)
        self.init()
        self.apply(env=env)
        self.assertEqual(self.held(), f"x-{self.token()}-y")

    def test_used_in_a_later_run_where_the_state_is_sealed(self):
        self.first(ENV)
        self.uses(2)
        plan = self.ok("plan", "-out=p.plan", env=ENV, says="1 to change")
        shown = self.ok("show", "p.plan", env=ENV), self.ok("show", "-json", "p.plan", env=ENV), self.ok("explain", "thing.user", "p.plan", env=ENV)
        done = self.ok("apply", "p.plan", env=ENV, says="1 changed")
        self.assertEqual(self.things()["user"], {"v": 2, "password": f"x-{self.token()}-y"})
        self.nowhere(plan, *shown, done)
        self.ok("plan", "-detailed-exitcode", env=ENV, says="No changes.")

    def test_masks_and_a_clear_error_where_it_is_not(self):
        self.first({})
        self.uses(2)
        done = self.fails("apply", "-auto-approve", says=["thing.user", "needs a secret that the state does not hold", "MLOPS_IAC_STATE_KEY_FILE"])
        self.assertEqual(self.things()["user"]["v"], 1)
        self.nowhere(done)
        for use in ("${thing_s.maker.token}", "${jsonencode([thing_s.maker])}", "${length(thing_s.maker.token)}",
                    "${thing_s.maker.token == \"x\"}"):
            self.template(MAKES + f"thing: {{ user: {{ name: user, inputs: {{ v: 2, password: '{use}' }} }} }}\n")
            self.nowhere(self.fails("apply", "-auto-approve", says=["needs a secret that the state does not hold"]))
        self.assertEqual(self.things()["user"]["v"], 1)

    def test_a_condition_cannot_be_decided_by_a_digest(self):
        """It is an error, in the plan and in the apply: what nobody can decide must not pass for what holds."""
        self.first({})
        ask = "[{ condition: '${thing_s.maker.token}', error: no }]"
        for top, life in ((f"policies: {{ p: {ask[1:-1]} }}\n", ""), (f"checks: {{ c: {ask[1:-1]} }}\n", ""),
                          (f"outputs: {{ o: {{ value: 1, precondition: {ask} }} }}\n", ""),
                          ("", f"precondition: {ask}"), ("", f"postcondition: {ask}")):
            self.template(MAKES + f"thing: {{ user: {{ name: user, inputs: {{ v: 2 }}, lifecycle: {{ {life} }} }} }}\n", top=top)
            for command in (["plan"], ["apply", "-auto-approve"]):
                self.nowhere(self.fails(*command, says=["this needs a secret that the state does not hold", "MLOPS_IAC_STATE_KEY_FILE"]))
        self.assertEqual(self.things()["user"]["v"], 1)

    def test_sealed_later(self):
        """What was recorded as masks is asked for again, and kept from then on."""
        self.first({})
        self.ok("state", "rekey", env=ENV)
        self.uses(2)
        done = self.apply(env=ENV, says="1 changed")
        self.assertEqual(self.held(), f"x-{self.token()}-y")
        self.uses(3)
        self.nowhere(done, self.apply("-refresh=false", env=ENV, says="1 changed"))
        self.assertEqual(self.things()["user"], {"v": 3, "password": f"x-{self.token()}-y"})
        self.ok("plan", "-detailed-exitcode", env=ENV, says="No changes.")

    def test_what_leaves_the_seal_has_masks(self):
        self.first(ENV)
        outputs = [self.ok(*args, env=ENV) for args in (
            ("state", "pull"), ("state", "at", "2"), ("show",), ("show", "-json"), ("state", "show", "thing.user"),
            ("state", "show", "-json", "thing_s.maker"), ("state", "diff", "1", "2"), ("state", "diff", "-json", "1", "current"),
            ("state", "history"), ("state", "fsck"), ("graph",), ("drift",), ("drift", "-json"), ("output", "-json"))]
        self.nowhere(*outputs)
        self.write("pulled", outputs[0].out)
        self.ok("state", "push", "-force", "pulled", env=ENV)
        self.nowhere(self.ok("plan", "-detailed-exitcode", env=ENV, says="No changes."))
        self.apply(env=ENV)
        self.uses(2)  # healed by the apply before, from what the platform tells
        self.apply("-refresh=false", env=ENV, says="1 changed")

    def test_sealing_given_up(self):
        self.first(ENV)
        with open(self.path("main.yaml"), "a", encoding="utf-8") as f:
            f.write("mlops_iac: { encryption: { write_clear: true } }\n")
        self.nowhere(self.ok("state", "rekey", env=ENV))
        with open(self.state_file(), encoding="utf-8") as f:
            self.assertIn('"$mio":"digest"', f.read())
        self.nowhere(self.fails("plan", env=ENV, says="does not hold"))

    def test_in_outputs_and_console(self):
        self.uses(1, "")
        with open(self.path("main.yaml"), "a", encoding="utf-8") as f:
            f.write('outputs: { t: { value: "${thing_s.maker.token}", sensitive: true } }\n')
        self.init()
        applied = self.apply("-json", env=ENV)
        outputs = self.ok("output", env=ENV), self.ok("show", "-json", env=ENV), self.ok("state", "pull", env=ENV)
        process = subprocess.run([PROGRAM, "console"], cwd=self.dir, env=self.environment(ENV), input="thing_s.maker.token\nlength(thing_s.maker.token)\n"
                                 'jsonencode(thing_s.maker)\n"${thing_s.maker.token}"\n', capture_output=True, text=True)
        self.nowhere(applied, *outputs, Done(["console"], process.returncode, process.stdout, process.stderr))

    def test_outputs_of_a_sealed_state(self):
        """Shown when asked for, as Terraform shows them; a state in clear has a digest, and says what to do."""
        self.template(MAKES, top="outputs: { t: { value: '${thing_s.maker.token}', sensitive: true }, "
                      "m: { sensitive: true, value: { url: 'pg://${thing_s.maker.token}@h', n: 7 } }, o: { value: open } }\n")
        self.init()
        self.nowhere(self.apply(), self.ok("output", says=["t = <sensitive>", "m = <sensitive>"]))
        clear = [self.fails("output", "-raw", "t", says=["has only a digest", "state rekey"])]
        clear += [self.ok("output", *args, says=["(sensitive value)", "has only a digest"]) for args in (("t",), ("-json", "t"), ("-json",), ("m",))]
        self.nowhere(*clear)
        self.ok("state", "rekey", env=ENV)
        self.fails("output", "-raw", "t", env=ENV, says="has only a digest")
        self.nowhere(self.ok("plan", env=ENV, says="Changes to Outputs"), self.apply(env=ENV))
        token = self.token()
        self.assertEqual(self.ok("output", "-raw", "t", env=ENV).out, token)
        self.assertEqual(self.ok("output", "t", env=ENV).out, f'"{token}"\n')
        self.assertEqual(self.ok("output", "-json", "t", env=ENV).json(), token)
        self.assertEqual(self.ok("output", "-json", "m", env=ENV).json(), {"url": f"pg://{token}@h", "n": 7})
        self.assertIn(f'"pg://{token}@h"', self.ok("output", "m", env=ENV).out)
        whole = self.ok("output", "-json", env=ENV).json()
        self.assertEqual(whole["t"], {"sensitive": True, "type": "string", "value": token})
        self.assertEqual(whole["o"]["value"], "open")
        self.nowhere(self.ok("output", env=ENV, says="t = <sensitive>"), self.ok("show", "-json", env=ENV), self.ok("state", "pull", env=ENV),
                     self.ok("plan", "-detailed-exitcode", "-out=p.plan", env=ENV), self.ok("show", "-json", "p.plan", env=ENV))
        with open(self.path("main.yaml"), "a", encoding="utf-8") as f:
            f.write("mlops_iac: { encryption: { write_clear: true } }\n")
        self.nowhere(self.ok("state", "rekey", env=ENV), self.fails("output", "-raw", "t", env=ENV, says="has only a digest"))

    def test_drift_is_recorded_without_losing_them(self):
        """Somebody changes the maker; what is recorded of it still holds the secret, also through a saved plan."""
        self.first(ENV)
        for saved in (False, True):
            self.edit("maker", {"by": f"hand {saved}"})
            if saved:
                self.ok("plan", "-refresh-only", "-out=p.plan", env=ENV)
                self.nowhere(self.ok("apply", "p.plan", env=ENV))
            else:
                self.nowhere(self.ok("apply", "-refresh-only", "-auto-approve", env=ENV))
        self.uses(7)
        self.template(MAKES.replace("maker }", "maker, inputs: { by: hand True } }") +
                      'thing: { user: { name: user, inputs: { v: 7, password: "x-${thing_s.maker.token}-y" } } }\n')
        self.apply("-refresh=false", "-target=thing.user", env=ENV)
        self.assertEqual(self.things()["user"], {"v": 7, "password": f"x-{self.token()}-y"})

    def test_killed(self):
        """The sealed journal holds them too: recovery sends the same again, and clear ones hold none."""
        for env in (ENV, {}):
            with self.subTest(sealed=bool(env)):
                self.template(MAKES + 'thing: { user: { name: user, inputs: { v: 1, password: "x-${thing_s.maker.token}-y" } } }\n',
                              sim="latency_ms: 1500")
                self.init()
                process = self.start("apply", "-auto-approve", env=env, start_new_session=True)
                self.wait_for("the maker", lambda: self.sql("SELECT 1 FROM things WHERE name = 'maker'"))
                time.sleep(0.7)  # the user is asked for, and not made
                os.killpg(process.pid, signal.SIGKILL)
                out, err = process.communicate()
                self.nowhere(Done([], 0, out, err))
                if env:
                    self.nowhere(self.apply(env=env))
                    self.assertEqual(self.held(), f"x-{self.token()}-y")
                else:
                    self.nowhere(self.fails("apply", "-auto-approve", says="does not hold"))
                self.assertLessEqual(len(self.things()), 2)
                self.ok("destroy", "-auto-approve", env=env)
                shutil.rmtree(self.path(".state"))

    def test_in_generated_blocks_and_test_reports(self):
        self.template(MAKES + f'thing: {{ held: {{ name: held, secret: "{MADE_UP}x" }} }}\n')
        self.init()
        self.apply(env=ENV)
        maker, held = self.id_of("maker"), self.id_of("held")
        self.template("thing: {}", top=f"import: [{{ to: thing_s.maker, id: {maker} }}, {{ to: thing.held, id: {held} }}]\n")
        done = self.ok("plan", "-generate-config-out=made.yaml", "-state-dir=" + self.path("fresh"), env=ENV)
        self.nowhere(done)
        os.remove(self.path("made.yaml"))
        self.template('thing_s: { maker: { name: other } }\n')
        self.write("tests/t.mlopstest.yaml", f"""
            providers: {{ sim: {{ path: "${{path.temp}}/cloud.db" }} }}
            run:
              - name: told
                assert: [{{ condition: '${{thing_s.maker.token == "no"}}', error: "it is ${{thing_s.maker.token}}" }}]
            """)
        self.nowhere(self.run_tool("test", "-junit-xml=it.xml", env=ENV), self.run_tool("test", "-json", env=ENV))
        self.assertTrue(os.path.exists(self.path("it.xml")))

    def test_quoted_by_a_plugin(self):
        """The plugin's error and log line quote the request; every way out is without what is secret in it."""
        secret = 'canary"one/7+x\\q-4411'
        given = {"MLOPS_IAC_VAR_pw": secret, "MLOPS_IAC_LOG": "trace"}
        self.template('thing: { one: { name: shown, secret: "${var.pw}" } }\n',
                      top="variables: { pw: { type: string, sensitive: true } }\n",
                      sim="fail: [{ op: create, code: reality, quote: true }]")
        self.init()
        for args in (("-no-color",), ("-json",), ("-json-into=it.json",)):
            done = self.fails("apply", "-auto-approve", *args, env=given, says=["refuses this create: ", "shown", "(sensitive value)"])
            text = done.text
            if "into" in args[0]:
                with open(self.path("it.json"), encoding="utf-8") as f:
                    text += f.read()
            if args[0] == "-json":
                self.assertTrue(done.messages("diagnostic") and done.messages("log"))
            self.assertNotIn("canary", text)

    def test_credentials_in_messages(self):
        """Of the backend and of keys: whatever quotes them does it without them."""
        self.template("thing: { one: { name: one } }\n", top="mlops_iac: { backend: { type: http, address: 'http://127.0.0.1:9/x' } }\n")
        given = {"TF_HTTP_PASSWORD": "canary-backend-1", "MLOPS_IAC_STATE_KEY": "22" * 32, "AWS_SECRET_ACCESS_KEY": "canary-platform-2"}
        done = self.fails("init", "-backend-config=lock_method=canary-backend-1", "-backend-config=update_method=canary-platform-2", env=given)
        again = self.fails("validate", "-dir=" + "22" * 32, env=given, says="(sensitive value) is no directory")
        self.assertNotIn("canary", done.text + again.text)

    def test_what_is_declared_to_be_none(self):
        """nonsensitive() is the template's word for it: shown again, in the same run and inside other texts."""
        self.template("thing: { one: { name: one } }\n", top="""
            variables: { pw: { type: string, sensitive: true, default: "swordfish-1" } }
            outputs: { open: { value: "${nonsensitive(var.pw)}" }, shut: { value: "${var.pw}", sensitive: true } }
            """)
        self.init()
        self.apply(says=['open = "swordfish-1"', "shut = <sensitive>"])

    def test_logs_and_children(self):
        self.uses(1)
        self.init()
        log = {**ENV, "MLOPS_IAC_LOG": "trace", "MLOPS_IAC_LOG_PATH": self.path("it.log")}
        process = self.start("apply", "-auto-approve", "-json-into=it.json", env=log)
        seen, stop = [], threading.Event()

        def look():
            while not stop.is_set():
                for pid in filter(str.isdigit, os.listdir("/proc")):
                    try:
                        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                            if int(f.read().rsplit(")", 1)[1].split()[1]) != process.pid:
                                continue
                        for what in ("cmdline", "environ"):
                            with open(f"/proc/{pid}/{what}", "rb") as f:
                                seen.append(f.read())
                    except (OSError, IndexError):
                        continue

        thread = threading.Thread(target=look)
        thread.start()
        done = self.finish(process)
        stop.set()
        thread.join()
        self.check(done, 0, "2 added")
        for data in seen:
            self.assertFalse(re.search(rb"made-up-token|1111111111111111", data))
        self.nowhere(done)


if __name__ == "__main__":
    main()
