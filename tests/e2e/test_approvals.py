#!/usr/bin/env python3
"""Saved plans sealed, signed and approved: what was reviewed is what is applied, by those who may, once."""
import hashlib

from support import *

STAGE = "required_approvals: 2\n"


class Signed(Case):
    """Keys as openssl makes them; approvers are listed by their public keys."""

    def setUp(self):
        super().setUp()
        self.keys = {}
        for name in ("ada", "bob", "eve", "ci"):
            self.keys[name] = self.make_key(name)

    def make_key(self, name):
        path = self.path(f"keys/{name}.pem")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", path], check=True, capture_output=True)
        os.chmod(path, 0o600)
        return path

    def public(self, name):
        done = subprocess.run(["openssl", "pkey", "-in", self.keys[name], "-pubout"], check=True, capture_output=True, text=True)
        return "".join(done.stdout.splitlines()[1:-1])

    def settings(self, signers=(), approvers=()):
        lines = ["mlops_iac:", "  plans:"]
        for what, names in (("signers", signers), ("approvers", approvers)):
            if names:
                lines += [f"    {what}:"] + [f"      {n}: {self.public(n)}" for n in names]
        return "\n".join(lines if signers or approvers else []) + "\n"

    def stage(self, text=STAGE, name="prod"):
        self.write(f"stages/{name}.yaml", text)

    def approve(self, name, *args, plan="p.plan", **how):
        return self.run_tool("approve", "-auto-approve", f"-key={self.keys[name]}", plan, *args, **how)

    def refused(self, *says, args=(), plan="p.plan", **how):
        """Nothing is asked of any provider: the cloud is not even opened."""
        ops = self.ops()
        done = self.fails("apply", *args, plan, says=says, **how)
        self.assertIn(plan, done.text, "the error names the file")
        self.assertEqual(self.ops(), ops)
        return done


class Approvals(Signed):
    def setUp(self):
        super().setUp()
        self.template("thing: { a: { name: a, inputs: { v: 1 } } }", top=self.settings(approvers=("ada", "bob", "ci")))
        self.stage()
        self.ok("init", "-stage=prod")

    def plan(self, *args, **how):
        return self.ok("plan", "-stage=prod", "-out=p.plan", *args, **how)

    def apply_plan(self, *args, **how):
        return self.ok("apply", "-stage=prod", "p.plan", *args, **how)

    def refused(self, *says, **how):
        return super().refused(*says, args=("-stage=prod",), **how)

    def good(self):
        return self.ok("approve", "-list", "-json", "p.plan").json()["good"]

    def test_two_of_two(self):
        self.plan(says="2 approvals")
        self.refused("0 of 2 approvals", "mlops-iac approve 'p.plan'")
        digest = self.ok("approve", "-list", "-json", "p.plan").json()["plan_digest"]
        self.check(self.approve("ada"), 0, ["thing.a will be created", digest, "1 of 2"])
        self.refused("1 of 2 approvals")
        self.check(self.approve("bob"), 0, "2 of 2")
        self.ok("approve", "-show", "p.plan", says=["thing.a will be created", "approved by ada", "approved by bob"])
        self.apply_plan(says=[digest, "approved by ada", "approved by bob", "1 added"])
        line = self.ok("state", "history", "-stage=prod", "-json").json()[-1]
        self.assertEqual([a["by"] for a in line["approvals"]], ["ada", "bob"])
        self.assertEqual(line["plan_digest"], digest)
        self.ok("state", "history", "-stage=prod", says=["approved by ada, bob", digest[:12]])

    def test_the_same_approver_counts_once(self):
        self.plan()
        self.assertEqual(self.approve("ada").code, 0)
        self.check(self.approve("ada"), 1, ["would not count", "counted already"])
        self.refused("1 of 2")

    def test_strangers_and_makers_do_not_count(self):
        self.plan(env={"MLOPS_IAC_PLAN_KEY_FILE": self.keys["ci"]}, says="signed by")
        self.check(self.approve("eve"), 1, ["not one of the approvers", "SHA256:"])
        self.check(self.approve("ci"), 1, "by the one who made the plan")
        self.assertEqual(self.good(), 0)

    def test_an_approval_is_of_this_plan_alone(self):
        self.plan()
        self.approve("ada")
        self.approve("bob")
        with open(self.path("p.plan"), encoding="utf-8") as f:
            seals = [line for line in f if line.startswith('{"approval"')]
        self.template("thing: { a: { name: a, inputs: { v: 2 } } }", top=self.settings(approvers=("ada", "bob", "ci")))
        self.plan()
        with open(self.path("p.plan"), "a", encoding="utf-8") as f:
            f.writelines(seals)
        self.refused("0 of 2", "of another plan")

    def test_altered_approvals(self):
        self.plan()
        self.approve("ada")
        self.approve("bob")
        with open(self.path("p.plan"), encoding="utf-8") as f:
            text = f.read()
        at = text.index('{"approval"')
        self.write("p.plan", text[:at] + text[at:].replace('"by":"ada"', '"by":"eve"', 1))
        self.refused("1 of 2", "signature does not hold")
        self.write("p.plan", text[:-10])
        self.refused("cut off")

    def test_merged_from_copies(self):
        self.plan()
        shutil.copy(self.path("p.plan"), self.path("copy.plan"))
        self.approve("ada")
        self.assertEqual(self.approve("bob", plan="copy.plan").code, 0)
        self.ok("approve", "p.plan", "copy.plan", says=["1 approval taken over", "2 of 2"])
        self.apply_plan(says="1 added")

    def test_approvals_expire(self):
        self.plan()
        self.check(self.approve("ada", "-valid-for=1s"), 0, ())
        self.approve("bob")
        time.sleep(2.1)
        self.refused("1 of 2", "it has expired")

    def test_plans_expire(self):
        self.plan("-valid-for=1s")
        time.sleep(2.1)
        self.check(self.approve("ada"), 1, ["expired", "-valid-for"])
        self.refused("p.plan: the saved plan is stale: it has expired")

    def test_a_clock_that_went_back(self):
        """What was made in the future would hold for longer than was said: it is refused, and such approvals do not count."""
        if not shutil.which("faketime") or slow() > 1:
            self.skipTest("faketime is not installed, or would come before the sanitizer")
        self.plan()
        self.approve("ada")
        self.approve("bob")
        early, late = ({"through": ("faketime", "-m", "-f", by)} for by in ("-10m", "+10m"))
        self.refused("the saved plan was made in the future", "clock", **early)
        self.plan()
        self.approve("ada", **late)
        self.approve("bob")
        self.refused("1 of 2", "made in the future")

    def test_nothing_without_a_plan(self):
        for command in (["apply", "-auto-approve"], ["destroy", "-auto-approve"]):
            if command[0] == "destroy":
                self.test_two_of_two()
            ops = self.ops()
            self.fails(*command, "-stage=prod", says=["needs 2 approvals", "plan -out"])
            self.assertEqual(self.ops(), ops)

    def test_other_stage(self):
        self.stage("variables: {}\n", "dev")
        self.plan()
        self.refused_elsewhere = self.fails("apply", "-stage=dev", "p.plan", says=["p.plan", "another stage", "-stage=prod"])
        self.fails("approve", "-stage=dev", "p.plan", f"-key={self.keys['ada']}", says='for stage "prod"')

    def test_approvers_of_a_file_and_of_the_stage(self):
        self.write("people", f"# who\nbob {self.public('bob')}\n\n")
        self.stage("required_approvals: 1\napprovers: people\n")
        self.plan()
        self.check(self.approve("ada"), 1, "not one of the approvers of stage prod")
        self.check(self.approve("bob"), 0, "1 of 1")
        self.apply_plan(says="1 added")

    def test_bad_settings_are_named(self):
        self.stage("required_approvals: 1\napprovers: { bob: nonsense }\n")
        self.fails("plan", "-stage=prod", "-out=p.plan", says=["bob", "no Ed25519 public key", "ssh-ed25519"])

    def test_keys_are_kept_secret(self):
        self.plan()
        os.chmod(self.keys["ada"], 0o644)
        self.check(self.approve("ada"), 1, ["can be read by others", "chmod 600"])
        self.fails("approve", "-auto-approve", "p.plan", says=["no key to approve with", "openssl genpkey"])

    def test_keys_of_openssh_are_read(self):
        raw = subprocess.run(["openssl", "pkey", "-in", self.keys["bob"], "-pubout", "-outform", "DER"], check=True,
                             capture_output=True).stdout[-32:]
        import base64
        blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + raw
        key = "ssh-ed25519 " + base64.b64encode(blob).decode() + " bob@example"
        self.stage(f"required_approvals: 1\napprovers: {{ robert: '{key}' }}\n")
        self.plan()
        finger = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
        self.check(self.approve("bob"), 0, ["approved by robert", f"SHA256:{finger}"])

    def test_used_once_even_when_nothing_worked(self):
        self.template("thing: { a: { name: a, fail: create, inputs: { v: 1 } } }", top=self.settings(approvers=("ada", "bob")))
        self.plan()
        self.approve("ada")
        self.approve("bob")
        self.fails("apply", "-stage=prod", "p.plan")
        self.refused("p.plan: the saved plan is stale: it was applied already", "not all of it")

    def test_used_once_even_when_killed(self):
        self.template("thing: { a: { count: 6, inputs: { v: 1 } } }", top=self.settings(approvers=("ada", "bob")), sim="latency_ms: 300")
        self.plan()
        self.approve("ada")
        self.approve("bob")
        process = self.start("apply", "-stage=prod", "-parallelism=1", "p.plan", start_new_session=True)
        self.wait_for("the first thing", lambda: len(self.things()) > 0 or self.ops())
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        done = self.fails("apply", "-stage=prod", "p.plan", says=["p.plan: the saved plan is stale"])
        self.assertIn("settled", done.text)
        last = self.ok("state", "history", "-stage=prod", "-json").json()[-1]
        self.assertEqual((last["operation"], last["complete"]), ("recovery", False))
        self.assertEqual([a["by"] for a in last["approvals"]], ["ada", "bob"])
        self.assertEqual(len(self.ok("state", "list", "-stage=prod").out.split()), len(self.ops()))


class Signatures(Signed):
    def setUp(self):
        super().setUp()
        self.env = {"MLOPS_IAC_PLAN_KEY_FILE": self.keys["ci"]}
        self.template("thing: { a: { name: a, inputs: { v: 1 } } }", top=self.settings(signers=("ci",)))
        self.init()

    def test_signed_by_the_right_one(self):
        self.ok("plan", "-out=p.plan", env=self.env, says="signed by ci")
        self.ok("show", "p.plan", says="Signed by ci")
        self.ok("apply", "p.plan", says="1 added")
        self.assertEqual(self.ok("state", "history", "-json").json()[-1]["signed_by"], "ci")

    def test_the_commit_is_told(self):
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        for args in (["init", "-q"], ["add", "main.yaml"], ["commit", "-qm", "one"]):
            subprocess.run([*git, *args], cwd=self.dir, check=True, capture_output=True)
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=self.dir, check=True, capture_output=True, text=True).stdout.strip()
        self.ok("plan", "-out=p.plan", env=self.env)
        self.ok("show", "p.plan", says=f"commit {head}\n")
        self.ok("apply", "p.plan")
        self.assertEqual(self.ok("state", "history", "-json").json()[-1]["commit"], head)
        self.template("thing: { a: { name: a, inputs: { v: 2 } } }", top=self.settings(signers=("ci",)))
        self.apply()
        self.assertEqual(self.ok("state", "history", "-json").json()[-1]["commit"], head + "-dirty")
        self.ok("state", "history", says=f"commit {head[:12]} with changes")

    def test_key_in_the_environment(self):
        with open(self.keys["ci"], encoding="utf-8") as f:
            self.ok("plan", "-out=p.plan", env={"MLOPS_IAC_PLAN_KEY": f.read()}, says="signed by ci")

    def test_unsigned_or_by_another(self):
        self.fails("plan", "-out=p.plan", says=["p.plan", "not signed", "MLOPS_IAC_PLAN_KEY_FILE"])
        self.assertFalse(os.path.exists(self.path("p.plan")))
        self.fails("plan", "-out=p.plan", env={"MLOPS_IAC_PLAN_KEY_FILE": self.keys["eve"]}, says="not by one of the signers")
        self.ok("plan", "-out=p.plan", env=self.env)
        with open(self.path("p.plan"), encoding="utf-8") as f:
            lines = f.readlines()
        self.write("p.plan", "".join(line for line in lines if not line.startswith('{"signature"')))
        self.refused("not signed")

    def test_forged(self):
        """Somebody alters the plan and makes every digest fit again."""
        self.ok("plan", "-out=p.plan", env=self.env)
        with open(self.path("p.plan"), encoding="utf-8") as f:
            header, rest = f.read().split("\n", 1)
        doc = json.loads(header)
        doc["expires"] += 1000000
        del doc["header_sha256"]
        plain = json.dumps(doc, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        doc["header_sha256"] = hashlib.sha256(plain.encode()).hexdigest()
        self.write("p.plan", json.dumps(doc, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n" + rest)
        self.ok("show", "p.plan")  # in itself it is whole ...
        self.refused("signed, but not by one of the signers")  # ... but it is not what ci made


class Sealed(Signed):
    def setUp(self):
        super().setUp()
        self.env = {"MLOPS_IAC_STATE_KEY": "11" * 32}
        self.template("thing: { a: { name: a, inputs: { v: \"${var.v}\" } } }", top="variables: { v: { default: needle } }\n")
        self.init()

    def test_sealed_where_the_state_is(self):
        self.ok("plan", "-out=p.plan", env=self.env, says="sealed with key key")
        with open(self.path("p.plan"), "rb") as f:
            self.assertNotIn(b"needle", f.read())
        self.ok("show", "p.plan", env=self.env, says=["thing.a will be created", "needle"])
        self.assertIn("resource_changes", self.ok("show", "-json", "p.plan", env=self.env).json())
        self.ok("explain", "thing.a", "p.plan", env=self.env, says="thing.a will be created")
        os.makedirs(self.path("elsewhere"))  # a reviewer needs the key alone
        self.ok("show", self.path("p.plan"), env=self.env, cwd=self.path("elsewhere"), says="needle")
        self.ok("apply", "p.plan", env=self.env, says="1 added")
        self.refused("it was applied already", env=self.env)

    def test_wrong_key_and_none(self):
        self.ok("plan", "-out=p.plan", env=self.env)
        self.fails("show", "p.plan", says=["p.plan", "sealed with key key"])
        self.fails("show", "p.plan", env={"MLOPS_IAC_STATE_KEY": "22" * 32}, says=["p.plan", "wrong secret"])
        self.refused("wrong secret", env={"MLOPS_IAC_STATE_KEY": "22" * 32})

    def test_in_clear_where_plans_are_sealed(self):
        self.ok("plan", "-out=p.plan")
        self.refused("in clear", env=self.env)
        self.refused("in clear", env={**self.env, "MLOPS_IAC_ENCRYPTION_ENFORCED": "true"})

    def test_every_part_of_it_is_needed(self):
        self.ok("plan", "-out=p.plan", env=self.env)
        with open(self.path("p.plan"), "rb") as f:
            whole = f.read()
        step = max(1, len(whole) // 24)
        for at in range(0, len(whole), step):
            for broken in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:]):
                with open(self.path("p.plan"), "wb") as f:
                    f.write(broken)
                self.refused(env=self.env)
        self.assertEqual(self.things(), {})

    def test_approvals_are_sealed_in(self):
        self.template("thing: { a: { name: a, inputs: { v: 1 } } }", top=self.settings(approvers=("ada",)))
        self.stage("required_approvals: 1\n")
        self.ok("plan", "-stage=prod", "-out=p.plan", env=self.env)
        self.check(self.approve("ada", env=self.env), 0, "1 of 1")
        with open(self.path("p.plan"), "rb") as f:
            self.assertNotIn(b"approval", f.read())
        self.ok("apply", "-stage=prod", "p.plan", env=self.env, says=["approved by ada", "1 added"])

    def test_a_state_does_not_pass_for_a_plan(self):
        self.apply(env=self.env)
        shutil.copy(self.state_file(), self.path("p.plan"))
        self.refused("sealed, but as a state", env=self.env)



# Runs a program that sees a folder as /etc/mlops-iac, and nobody else does: a file system laid over /etc in a mount
# namespace of its own.
ADMIN = """
t=$1; shift
mount -t tmpfs none "$t" && mkdir "$t/upper" "$t/work" && cp -a "$MIO_ADMIN" "$t/upper/mlops-iac" &&
mount -t overlay none -o "lowerdir=/etc,upperdir=$t/upper,workdir=$t/work" /etc && exec "$@"
echo "no namespace" >&2; exit 77
"""


class MachineWide(Signed):
    """/etc/mlops-iac of the machine that applies: out of reach of who writes the template."""

    def setUp(self):
        super().setUp()
        os.makedirs(self.path("admin"))
        os.makedirs(self.path("mount"))
        if self.as_admin("version").returncode:
            self.skipTest("mount namespaces are not to be had here")
        self.template("thing: { a: { name: a } }", top=self.settings(approvers=("eve",)))
        self.stage("required_approvals: 1\n")
        self.ok("init", "-stage=prod")

    def as_admin(self, *args, env=None):
        user = [] if os.geteuid() == 0 else ["-r"]
        return subprocess.run(["unshare", "-m", *user, "sh", "-c", ADMIN, "sh", self.path("mount"), PROGRAM, *args], cwd=self.dir, text=True,
                              env={**self.environment(env), "MIO_ADMIN": self.path("admin")}, capture_output=True, stdin=subprocess.DEVNULL)

    def there(self, *args, code=0, says=(), env=None):
        done = self.as_admin(*args, env=env)
        return self.check(Done(args, done.returncode, done.stdout, done.stderr), code, says)

    def lists(self, names):
        return "{ " + ", ".join(f'{n}: "{self.public(n)}"' for n in names) + " }"

    def test_approvers_and_how_many(self):
        """They replace the template's, and the number is the least: eve, whom the template lists, counts for nothing."""
        self.write("admin/approvals.yaml", f"approvers: {self.lists(['ada', 'bob'])}\nrequired_approvals: {{ prod: 2 }}\n")
        self.ok("plan", "-stage=prod", "-out=p.plan", says="1 approval")
        self.check(self.approve("eve"), 0, "1 of 1")
        self.there("apply", "-stage=prod", "p.plan", code=1, says=["0 of 2 approvals", '"eve" does not count'])
        self.assertEqual(self.things(), {})
        for name, count in (("ada", "1 of 2"), ("bob", "2 of 2")):
            self.there("approve", "-auto-approve", f"-key={self.keys[name]}", "p.plan", says=count)
        self.there("apply", "-stage=prod", "p.plan", says="1 added")
        self.there("apply", "-stage=prod", "p.plan", code=1, says="it was applied already")
        self.there("destroy", "-stage=prod", "-auto-approve", code=1, says="needs 2 approvals")
        self.assertEqual(len(self.things()), 1)

    def test_of_the_default_stage(self):
        self.write("admin/approvals.yaml", f"approvers: {self.lists(['ada'])}\nrequired_approvals: {{ default: 1 }}\n")
        self.init()
        self.there("apply", "-auto-approve", code=1, says=["the default stage needs 1 approval", "without a saved plan"])
        self.there("plan", "-out=p.plan")
        self.there("approve", "-auto-approve", f"-key={self.keys['ada']}", "p.plan")
        self.there("apply", "p.plan", says="1 added")

    def test_signers(self):
        self.write("admin/approvals.yaml", f"signers: {self.lists(['ci'])}\n")
        self.init()
        self.ok("plan", "-out=p.plan")
        self.there("apply", "p.plan", code=1, says="not signed")
        self.there("plan", "-out=p.plan", env={"MLOPS_IAC_PLAN_KEY_FILE": self.keys["eve"]}, code=1, says="not by one of the signers")
        self.there("plan", "-out=p.plan", env={"MLOPS_IAC_PLAN_KEY_FILE": self.keys["ci"]})
        self.there("apply", "p.plan", says="1 added")

    def test_a_wrong_file_stops_everything(self):
        """A slip of the administrator must not open what it was meant to close."""
        self.init()
        self.write("people", f"eve {self.public('eve')}\n")  # of the template: it is not meant
        for text, says in (("required_approvals: { prod: many }\n", "must be a number"), ("approvals: 2\n", "no setting `approvals`"),
                           ("approvers: { ada: nonsense }\n", "ada"), ("a: [\n", "approvals.yaml"), ("[1]\n", "map"),
                           ("approvers: people\n", "/etc/mlops-iac/people"), ("", "empty")):
            with self.subTest(text):
                self.write("admin/approvals.yaml", text)
                self.there("apply", "-stage=prod", "-auto-approve", code=1, says=["/etc/mlops-iac/approvals.yaml", says])
                self.assertEqual(self.things(), {})

    def test_sealing(self):
        """`enforced` by the machine: the template cannot take it back, and a state in clear is neither read nor written."""
        self.write("admin/encryption.yaml", "enforced: true\n")
        key = {"MLOPS_IAC_STATE_KEY": "66" * 32}
        self.init()
        for settings, env in (("enforced: false", {}), ("write_clear: true", key)):
            self.template("thing: { a: { name: a } }", top=f"mlops_iac: {{ encryption: {{ {settings} }} }}\n")
            self.there("apply", "-auto-approve", env=env, code=1, says="enforced")
            self.assertEqual(self.things(), {})
        self.template("thing: { a: { name: a } }")
        self.apply()
        self.there("plan", code=1, env=key, says=["in clear although sealing is enforced", "rekey -accept-clear"])
        self.there("state", "rekey", "-accept-clear", env=key)
        self.there("plan", "-detailed-exitcode", env=key, says="No changes.")


if __name__ == "__main__":
    main()
