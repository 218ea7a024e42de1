#!/usr/bin/env python3
"""init -migrate-state between every pair of some backends, both ways, on real servers."""
import contextlib
import sys

from support import *

sys.path.insert(0, os.path.join(SOURCE, "tests/state/backends"))
import servers  # noqa: E402

KINDS = ("http", "pg", "etcd")


class Migrate(Case):
    def backend(self, config, number):
        top = f"mlops_iac: {{ backend: {config.replace('@', f'm{number}')} }}\n" if config else ""
        self.template("thing: { a: { name: a }, b: { name: b, inputs: { to: \"${thing.a.id}\" } } }", top=top)

    def test_every_pair(self):
        with contextlib.ExitStack() as running:
            configs = {"file": ""}
            for kind in KINDS:
                with contextlib.suppress(servers.Skip):
                    configs[kind] = running.enter_context(servers.run(kind))
            names = list(configs)
            self.assertGreater(len(names), 1)
            # Every pair next to each other, in both orders: there and back from the first, then from the next one.
            tour = [names[0]]
            for i, home in enumerate(names):
                for other in names[i + 1:]:
                    tour += [other, home]
                tour += names[i + 1:i + 2]
            self.backend(configs["file"], 0)
            self.init()
            self.apply()
            pulled = self.ok("state", "pull").out
            for n, kind in enumerate(tour[1:], 1):
                with self.subTest(step=n, to=kind):
                    if kind == "file":  # an empty place
                        for name in os.listdir(self.path(".state/default")):
                            if name.startswith(("state.jsonl", "history.jsonl")):
                                os.remove(self.path(".state/default/" + name))
                    self.backend(configs[kind], n)
                    self.fails("plan", says="mlops-iac init")
                    self.ok("init", "-migrate-state", says=["It was moved there", kind])
                    body = self.ok("state", "pull").out.split("\n", 1)[1]
                    self.assertEqual(body, pulled.split("\n", 1)[1])
                    self.assertEqual(len(self.ok("state", "history", "-json").json()), 1)
            self.no_changes()
            self.assertEqual(sorted(self.things()), ["a", "b"])


if __name__ == "__main__":
    main()
