#!/usr/bin/env python3
"""Bad templates, plugins and states: the error says where, what, and what to do next; nothing is lost."""
import re

from support import *

PROVIDER = "providers: { sim: { path: cloud.db } }\n"
# name, template below the providers, and what the error must say (the first one: its position)
TEMPLATES = [
    ("unknown_key", "resources: { thing: { a: { nmae: a } } }", ["main.yaml line 2, column 28", "nmae", "name"]),
    ("unknown_top_key", "resorces: {}", ["main.yaml line 2, column 1", "resorces", "resources"]),
    ("unknown_kind", "resources: { thin: { a: {} } }", ["main.yaml line 2, column", "thin", "thing"]),
    ("unknown_provider", "resources: { thing: { a: { provider: cloud } } }", ["main.yaml line 2", "cloud"]),
    ("unknown_reference", 'resources: { thing: { a: { name: "${thing.bb.id}" }, b: {} } }', ["main.yaml line 2", "thing.bb"]),
    ("unknown_attribute", 'resources: { thing: { a: { name: "${thing.b.nam}" }, b: {} } }', ["main.yaml line 2", "nam", "name"]),
    ("unknown_variable", 'resources: { thing: { a: { name: "${var.nothing}" } } }', ["main.yaml line 2", "var.nothing"]),
    ("unknown_function", 'resources: { thing: { a: { name: "${uper(1)}" } } }', ["main.yaml line 2", "uper", "upper"]),
    ("wrong_type", "resources: { thing: { a: { inputs: [1, 2] } } }", ["main.yaml line 2", "inputs", "map"]),
    ("wrong_type_of_count", "resources: { thing: { a: { count: many } } }", ["main.yaml line 2", "count", "number"]),
    ("count_unknown", 'resources: { thing: { a: { count: "${length(thing.b.id)}" }, b: {} } }', ["main.yaml line 2", "count", "-target"]),
    ("cycle", 'resources: { thing: { a: { name: "${thing.b.id}" }, b: { name: "${thing.a.id}" } } }',
     ["main.yaml", "circle", "thing.a", "thing.b"]),
    ("refers_to_itself", 'resources: { thing: { a: { name: "${thing.a.id}" } } }', ["main.yaml line 2", "thing.a"]),
    ("duplicate_key", "resources: { thing: { a: {}, a: {} } }", ["main.yaml line 2, column 30", "a"]),
    ("broken_yaml", "resources: { thing: { a: { } ] } }", ["main.yaml line 2"]),
    ("broken_expression", 'resources: { thing: { a: { name: "${1 +}" } } }', ["main.yaml line 2"]),
    ("tab", "resources:\n\tthing: {}", ["main.yaml line 3", "tab"]),
    ("missing_file", 'resources: { thing: { a: { name: "${file("nowhere.txt")}" } } }'.replace('("', "('").replace('")', "')"),
     ["main.yaml line 2"]),
    ("missing_module", "modules: { m: { source: ./nowhere } }", ["main.yaml line 2", "nowhere"]),
    ("both_count_and_for_each", "resources: { thing: { a: { count: 1, for_each: { x: 1 } } } }", ["main.yaml line 2", "for_each"]),
    ("bad_name", 'resources: { thing: { "a b": {} } }', ["main.yaml line 2", "a b"]),
]


class Command(Case):
    def test_a_misspelt_one_is_told_the_nearest(self):
        for words, near in (("aply", "apply"), ("history", "state history"), ("state hist", "state history"),
                            ("env lokc", "env lock")):
            self.fails(*words.split(), says=[f'there is no command "{words}"', f"Did you mean '{near}'?"])
        self.fails("env", "xyzzyxyzzy", says="'mlops-iac env -help' lists its commands.")


class Template(Case):
    def test_every_error_is_reported_not_the_first(self):
        self.template("thing: {}")
        self.init()
        self.write("main.yaml", PROVIDER + "resources: { thing: { a: { nmae: x }, b: { inptus: {} }, c: { name: '${var.q}' } } }\n")
        self.fails("validate", says=["nmae", "inptus", "var.q"])

    def test_missing_directory_and_empty_directory(self):
        self.fails("-dir=nowhere", "plan", says="nowhere")
        self.fails("plan", says="template")

    def test_not_initialised(self):
        self.template("thing: { a: {} }")
        self.fails("plan", says=["mlops-iac init"])

    def test_unreadable_command_lines(self):
        self.template("thing: { a: {} }")
        self.init()
        for args, part in ((["aply"], "apply"), (["plan", "-dstroy"], "-destroy"), (["apply", "-parallelism=many"], "many"),
                           (["state", "lst"], "list"), (["import", "thing.a"], "ID"), (["explain"], "ADDRESS")):
            with self.subTest(args=args):
                self.fails(*args, says=part)

    def test_no_question_without_a_terminal(self):
        self.template("thing: { a: {} }")
        self.init()
        self.fails("apply", says="-auto-approve")
        self.assertEqual(self.things(), {})
        self.apply()
        self.fails("destroy", says="-auto-approve")
        self.assertEqual(len(self.things()), 1)


def template_case(text, says):
    def test(self):
        self.write("main.yaml", PROVIDER + text + "\n")
        if self.run_tool("init").code == 0:
            done = self.fails("plan", says=says)
        else:
            done = self.fails("init", says=says)
        self.assertTrue(re.search(r"\^", done.text), f"no caret:\n{done}")
        self.assertFalse(os.path.exists(self.path(".state/default/state.jsonl")))
    return test


for case_name, case_text, case_says in TEMPLATES:
    setattr(Template, f"test_{case_name}", template_case(case_text, case_says))


class Plugin(Case):
    """A plugin that is not what it should be; tests/providers/host has those that misbehave once they are loaded."""

    def use(self, plugin, name="odd"):
        os.makedirs(self.path("plugins"), exist_ok=True)
        shutil.copy(plugin, self.path(f"plugins/{name}.so"))

    def init_fails(self, *says):
        self.write("main.yaml", "providers: { odd: {} }\n")
        self.fails("init", f"-plugin-dir={self.path('plugins')}", says=["odd", *says])
        self.assertFalse(os.path.exists(self.path(".mlops-iac.lock.json")))

    def test_absent(self):
        os.makedirs(self.path("plugins"))
        self.init_fails("main.yaml line 1", "MLOPS_IAC_PLUGIN_DIR")

    def test_folders_of_plugins(self):
        self.template("thing: { a: {} }")
        self.fails("init", "-plugin-dir=nowhere", says=["/nowhere", "-plugin-dir is no directory"])
        self.ok("init", "-plugin-dir=" + os.path.relpath(PLUGINS, self.dir))
        os.makedirs(self.path("mine"))
        shutil.copy(os.path.join(PLUGINS, "sim.so"), self.path("mine/sim.so"))
        self.ok("init", "-plugin-dir=mine")
        self.ok("plan", "-plugin-dir=mine", env={"MLOPS_IAC_LOG": "debug"}, says="1 to add")

    def test_no_plugin_at_all(self):
        self.write("plugins/odd.so", "this is no shared object\n")
        self.init_fails("odd.so")

    def test_other_abi(self):
        self.use(os.path.join(BUILD, "tests/plugins/wrong_symbol.so"))
        self.init_fails("mlops_provider_v1")

    def test_crashes_while_it_is_loaded(self):
        self.use(os.path.join(BUILD, "tests/plugins/crash_at_load.so"))
        self.init_fails()

    def test_refuses(self):
        self.use(os.path.join(BUILD, "tests/plugins/refuses.so"))
        self.init_fails()

    def test_altered_after_init(self):
        self.template("thing: { a: { name: a } }")
        os.makedirs(self.path("plugins"))
        shutil.copy(os.path.join(PLUGINS, "sim.so"), self.path("plugins/sim.so"))
        self.ok("init", f"-plugin-dir={self.path('plugins')}")
        self.apply(f"-plugin-dir={self.path('plugins')}")
        with open(self.path("plugins/sim.so"), "ab") as f:
            f.write(b"x")
        self.fails("plan", f"-plugin-dir={self.path('plugins')}", says=["sim.so is not the one in the lock file", "init -upgrade"])
        self.fails("init", f"-plugin-dir={self.path('plugins')}", says=["init -upgrade"])
        self.ok("init", "-upgrade", f"-plugin-dir={self.path('plugins')}")
        self.no_changes(f"-plugin-dir={self.path('plugins')}")
        os.remove(self.path("plugins/sim.so"))
        self.fails("plan", f"-plugin-dir={self.path('plugins')}", says=["sim.so", "init"])
        self.assertEqual(list(self.things()), ["a"])

    def test_damaged_lock_file(self):
        self.template("thing: { a: { name: a } }")
        self.init()
        self.write(".mlops-iac.lock.json", '{"plugins": [')
        self.fails("plan", says=[".mlops-iac.lock.json", "mlops-iac init"])


if __name__ == "__main__":
    main()
