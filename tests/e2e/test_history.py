#!/usr/bin/env python3
"""The history of applies: sealed with the state, moved over from clear, keyed anew, never silently altered."""
from support import *

ONE, TWO = "11" * 32, "22" * 32


class History(Case):
    def setUp(self):
        super().setUp()
        self.n = 0
        self.template('thing: { a: { name: a, inputs: { v: "${var.v}" } } }', top="variables: { v: { default: 0 } }\n")
        self.init()

    def next(self, **env):
        self.n += 1
        return self.apply(f"-var=v={self.n}", env={f"MLOPS_IAC_{k}": v for k, v in env.items()})

    def serials(self, **env):
        done = self.ok("state", "history", "-json", env={f"MLOPS_IAC_{k}": v for k, v in env.items()})
        return [(line["operation"], line["added"], line["changed"]) for line in done.json()]

    def file(self, stage="default"):
        return self.path(f".state/{stage}/history.jsonl")

    def lines(self):
        with open(self.file(), "rb") as f:
            return f.readlines()

    def put(self, lines):
        with open(self.file(), "wb") as f:
            f.writelines(lines)

    def test_sealed_from_the_first_line_on(self):
        self.next(STATE_KEY=ONE)
        self.next(STATE_KEY=ONE)
        raw = b"".join(self.lines())
        for word in (b'"apply"', b'"who"', b'"serial"'):  # quoted, so that no cipher text can have them
            self.assertNotIn(word, raw)
        self.assertEqual(self.serials(STATE_KEY=ONE), [("apply", 1, 0), ("apply", 0, 1)])
        self.fails("state", "history", says=["the history in", "sealed with key key"])
        self.fails("state", "history", env={"MLOPS_IAC_STATE_KEY": TWO}, says="wrong secret")

    def test_moved_over_from_clear_and_back(self):
        self.next()
        self.assertIn(b'"apply"', self.lines()[0])
        self.ok("state", "rekey", env={"MLOPS_IAC_STATE_KEY": ONE})
        self.assertNotIn(b'"apply"', b"".join(self.lines()))
        self.next(STATE_KEY=ONE)
        self.assertEqual(len(self.serials(STATE_KEY=ONE)), 2)
        self.template('thing: { a: { name: a, inputs: { v: "${var.v}" } } }',
                      top="variables: { v: { default: 0 } }\nmlops_iac: { encryption: { write_clear: true } }\n")
        self.ok("state", "rekey", env={"MLOPS_IAC_STATE_KEY": ONE})
        self.template('thing: { a: { name: a, inputs: { v: "${var.v}" } } }', top="variables: { v: { default: 0 } }\n")
        self.assertEqual(self.serials(), [("apply", 1, 0), ("apply", 0, 1)])

    def test_moved_over_by_the_next_apply(self):
        self.next()
        self.next(STATE_KEY=ONE)
        self.assertNotIn(b'"apply"', b"".join(self.lines()))
        self.assertEqual(len(self.serials(STATE_KEY=ONE)), 2)

    def test_keyed_anew(self):
        self.next(STATE_KEY=ONE)
        self.ok("state", "rekey", env={"MLOPS_IAC_STATE_KEY": TWO, "MLOPS_IAC_STATE_OLD_KEY": ONE})
        self.assertEqual(len(self.serials(STATE_KEY=TWO)), 1)
        self.fails("state", "history", env={"MLOPS_IAC_STATE_KEY": ONE}, says="wrong secret")
        self.next(STATE_KEY=TWO)
        self.assertEqual(len(self.serials(STATE_KEY=TWO)), 2)

    def test_enforced(self):
        """A history in clear is let in once; until then nothing is applied, for it could not be recorded."""
        self.next()
        self.ok("state", "rekey", env={"MLOPS_IAC_STATE_KEY": ONE})
        self.next(STATE_KEY=ONE)
        clear = b'{"prev":"' + b"0" * 64 + b'"}\n'
        sealed = self.lines()
        self.put([clear])
        ops = self.ops()
        env = {"MLOPS_IAC_STATE_KEY": ONE, "MLOPS_IAC_ENCRYPTION_ENFORCED": "true"}
        self.fails("apply", "-auto-approve", "-var=v=9", env=env, says=["the history", "in clear although", "-accept-clear"])
        self.assertEqual(self.ops(), ops)
        self.put(sealed)
        self.ok("apply", "-auto-approve", "-var=v=9", env=env, says="1 changed")

    def test_altered_removed_exchanged(self):
        for _ in range(3):
            self.next(STATE_KEY=ONE)
        whole = self.lines()
        self.assertEqual(len(whole), 4)
        flipped = bytearray(whole[2])
        flipped[40] ^= 1
        env = {"MLOPS_IAC_STATE_KEY": ONE}
        for broken, line in (([*whole[:2], bytes(flipped), whole[3]], 2), ([whole[0], *whole[2:]], 1),
                             ([whole[0], whole[2], whole[1], whole[3]], 1)):
            self.put(broken)
            self.fails("state", "history", env=env, says=f"line {line} of the history")
            self.ok("state", "fsck", env=env, says=f"line {line}")
            self.fails("state", "rekey", env=env, says="altered")
        self.put(whole)
        self.ok("state", "history", env=env)

    def test_of_another_stage(self):
        for name in ("one", "two"):
            self.write(f"stages/{name}.yaml", "variables: {}\n")
        env = {"MLOPS_IAC_STATE_KEY": ONE}
        self.ok("apply", "-auto-approve", "-stage=one", env=env)
        self.sql("DELETE FROM things")
        self.ok("apply", "-auto-approve", "-stage=two", env=env)
        shutil.copy(self.file("one"), self.file("two"))
        self.fails("state", "history", "-stage=two", env=env, says="history of another stage")

    def test_a_torn_line_is_dropped(self):
        self.next(STATE_KEY=ONE)
        self.put([*self.lines(), b'{"sealed":"AAAA'])
        self.next(STATE_KEY=ONE)
        self.assertEqual(len(self.serials(STATE_KEY=ONE)), 2)


if __name__ == "__main__":
    main()
