#!/usr/bin/env python3
"""Modules of git sources: fetched by init, locked by content, verified by every run, kept in their tree."""
from support import *


@unittest.skipUnless(shutil.which("git"), "git is not installed")
class Sources(Case):
    def setUp(self):
        super().setUp()
        self.write("repo/lib/main.yaml", "resources: { thing: { t: { name: one } } }\noutputs: { id: { value: '${thing.t.id}' } }\n")
        self.git("init", "-q", "-b", "main")
        self.commit()
        self.git("tag", "v1")
        self.use("?ref=v1")

    def git(self, *args):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", self.path("repo"), *args], check=True,
                       env={"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null"}, capture_output=True)

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-qm", "x")

    def use(self, query="", folder="//lib"):
        self.write("t/main.yaml", "providers: { sim: { path: cloud.db } }\n"
                   f"modules: {{ m: {{ source: \"git::file://{self.path('repo')}{folder}{query}\" }} }}\n")

    def test_fetched_locked_and_verified(self):
        self.fails("-chdir=t", "plan", says=["is not fetched", "Run `mlops-iac init`"])
        self.ok("-chdir=t", "init")
        with open(self.path("t/.mlops-iac.modules.json"), encoding="utf-8") as f:
            lock = json.load(f)
        self.assertRegex(list(lock["modules"].values())[0], "^sha256:[0-9a-f]{64}$")
        self.ok("-chdir=t", "plan", says="module.m.thing.t will be created")
        tree = os.path.join(self.path("t/.mlops-iac/modules"), os.listdir(self.path("t/.mlops-iac/modules"))[0])
        self.assertFalse(os.path.exists(os.path.join(tree, ".git")))
        with open(os.path.join(tree, "lib/main.yaml"), "a", encoding="utf-8") as f:
            f.write("# altered\n")
        self.fails("-chdir=t", "plan", says="was altered")
        self.ok("-chdir=t", "init", "-lockfile=readonly")
        self.ok("-chdir=t", "plan")

    def test_a_ref_that_moved_is_refused_until_upgraded(self):
        self.ok("-chdir=t", "init")
        self.write("repo/lib/main.yaml", "resources: { thing: { t: { name: two } } }\n")
        self.commit()
        self.git("tag", "-f", "v1")
        self.ok("-chdir=t", "init")  # what is there is what is locked
        shutil.rmtree(self.path("t/.mlops-iac"))
        self.fails("-chdir=t", "init", says=["is not the one that the lock file names", "init -upgrade"])
        self.ok("-chdir=t", "init", "-upgrade")
        self.ok("-chdir=t", "plan", says='"two"')

    def test_nothing_leaves_the_tree(self):
        self.write("outside/main.yaml", "resources: {}\n")
        self.write("repo/lib/main.yaml", "modules: { o: { source: ../../../../../outside } }\n")
        self.commit()
        self.use()
        self.fails("-chdir=t", "init", says="leaves the fetched module")
        self.write("repo/lib/main.yaml", "resources: {}\n")
        os.symlink("/etc/passwd", self.path("repo/lib/link.txt"))
        self.commit()
        self.fails("-chdir=t", "init", "-upgrade", says="holds a link")

    def test_sources_that_are_none(self):
        for source in ("git::ext::sh -c id", "git::http://x/y", "git::file:///x?ref=-x", "git::file:///x//../y",
                       "git::https://x/$(id)", "git::--upload-pack=id"):
            with self.subTest(source=source):
                self.write("t/main.yaml", f"modules: {{ m: {{ source: {json.dumps(source)} }} }}\n")
                self.fails("-chdir=t", "init", says="is no source of a module")
        self.use("?ref=nope")
        self.fails("-chdir=t", "init", says=["cannot be fetched", "nope"])


if __name__ == "__main__":
    main()
