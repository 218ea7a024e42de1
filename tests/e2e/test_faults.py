#!/usr/bin/env python3
"""Failures in mid-apply: refused changes, kills, interrupts, plugins that crash, hang or lose their reply.

The oracle is the cloud: nothing is orphaned, nothing is made twice, and the next run carries on by itself.
"""
from support import *

TEN = """
thing:
  n: { count: 10, name: "n-${count.index}", inputs: { i: "${count.index}" } }
"""


class Faults(Case):
    def settled(self, count):
        """After a plain apply: everything is there once, recorded, and there is nothing to do."""
        self.apply()
        self.assertEqual(len(self.things()), count)
        ids = [f"t-{row[0]}" for row in self.sql("SELECT id FROM things")]
        self.assertEqual(len(ids), count)
        with open(self.state_file(), encoding="utf-8") as f:
            recorded = [json.loads(line) for line in f.read().splitlines()[1:]]
        self.assertEqual(sorted(r["id"] for r in recorded), sorted(ids))
        self.assertEqual(sum(op.startswith("create") for op in self.ops()), count, self.ops())
        self.no_changes()

    def test_partial_failure_keeps_the_rest(self):
        self.template("""
            thing:
              good: { name: good }
              bad: { name: bad, fail: create }
              after: { name: after, inputs: { from: "${thing.bad.id}" } }
        """)
        self.init()
        self.fails("apply", "-auto-approve", says=["thing.bad", "refuses this create", "1 added", "1 failed, 1 skipped"])
        self.assertEqual((list(self.things()), self.recorded()), (["good"], ["thing.good"]))
        self.template("""
            thing:
              good: { name: good }
              bad: { name: bad }
              after: { name: after, inputs: { from: "${thing.bad.id}" } }
        """)
        self.settled(3)

    def test_failed_update_and_delete_keep_the_record(self):
        self.template("thing: { u: { name: u, fail: update, inputs: { v: 1 } }, d: { name: d, fail: delete } }")
        self.init()
        self.apply()
        self.template("thing: { u: { name: u, fail: update, inputs: { v: 2 } } }")
        self.fails("apply", "-auto-approve", says=["thing.u", "thing.d", "2 failed"])
        self.assertEqual(self.recorded(), ["thing.d", "thing.u"])
        self.assertIn("v = 1", self.ok("state", "show", "thing.u").out)

    def test_passing_failures_are_retried(self):
        self.template("thing: { a: { name: a } }", sim="fail: [{ op: create, times: 2, code: transient, retry_after_ms: 10 }]")
        self.init()
        self.apply(says="1 added")
        self.assertEqual(self.ops(), ["create 1"])

    def test_a_plugin_that_is_stopped(self):
        """SIGSTOP: what was in flight is settled on a new process, and what waited goes on there, long before any deadline."""
        self.template(TEN, sim="latency_ms: 700")
        self.init()
        process = self.start("apply", "-auto-approve", "-parallelism=2")
        self.wait_for("the first one", lambda: len(self.things()) >= 2)
        host, = self.children(process.pid, "provider-host")
        os.kill(host, signal.SIGSTOP)
        began = time.monotonic()
        done = self.check(self.finish(process), 0, "10 added")
        self.assertLess(time.monotonic() - began, slow(30), str(done))
        self.settled(10)

    def children(self, pid, word):
        found = []
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                found += map(int, f.read().split())
        def name(child):
            with open(f"/proc/{child}/cmdline", encoding="utf-8", errors="replace") as f:
                return f.read()
        return [child for child in found if word in name(child).split("\0")[0]]

    def kill_in_mid_apply(self, sim, enough):
        self.template(TEN, sim=sim)
        self.init()
        process = self.start("apply", "-auto-approve", "-parallelism=3", start_new_session=True)
        self.wait_for("half of the things", lambda: len(self.sql("SELECT id FROM things")) >= enough)
        os.killpg(process.pid, signal.SIGKILL)
        self.finish(process)

    def test_killed_in_mid_apply(self):
        self.kill_in_mid_apply("latency_ms: 40", 4)
        self.template(TEN)
        self.settled(10)

    def test_killed_before_the_first_reply(self):
        self.kill_in_mid_apply("latency_ms: 20, lag_ms: 1", 1)
        self.settled(10)

    def test_only_the_engine_is_killed(self):
        self.template(TEN, sim="latency_ms: 40")
        self.init()
        process = self.start("apply", "-auto-approve", "-parallelism=3")
        self.wait_for("a thing", lambda: len(self.sql("SELECT id FROM things")) >= 2)
        process.kill()
        self.finish(process)
        self.settled(10)

    def test_killed_twice(self):
        self.kill_in_mid_apply("latency_ms: 40", 2)
        process = self.start("apply", "-auto-approve", start_new_session=True)
        self.wait_for("more things", lambda: len(self.sql("SELECT id FROM things")) >= 5)
        os.killpg(process.pid, signal.SIGKILL)
        self.finish(process)
        self.settled(10)

    def test_killed_destroy(self):
        self.template(TEN, sim="latency_ms: 40")
        self.init()
        self.apply()
        process = self.start("destroy", "-auto-approve", "-parallelism=2", start_new_session=True)
        self.wait_for("something to go", lambda: len(self.sql("SELECT id FROM things")) <= 7)
        os.killpg(process.pid, signal.SIGKILL)
        self.finish(process)
        self.ok("destroy", "-auto-approve")
        self.assertEqual((self.things(), self.recorded()), ({}, []))

    def test_a_plan_tells_of_the_killed_apply(self):
        self.kill_in_mid_apply("latency_ms: 40", 4)
        self.ok("plan", says="to add")
        self.settled(10)

    def test_timeout_of_a_block_that_is_gone(self):
        """timeouts.delete is in the record: the deletion keeps to it when the block is no more."""
        self.template("thing: { a: { name: a, timeouts: { delete: 1s } } }")
        self.init()
        self.apply()
        self.template("thing: { a: { name: a, timeouts: { delete: 2s } } }")
        self.apply()  # the record follows the block
        with open(self.state_file(), encoding="utf-8") as f:
            self.assertIn('"delete_timeout_s":2', f.read())
        self.no_changes()
        self.template("", sim="hang: [{ op: delete }]")
        started = time.monotonic()
        self.fails("apply", "-auto-approve", says="thing.a")
        self.assertLess(time.monotonic() - started, slow(60))  # not the 1,200 s of a block without

    def drained(self, planned, said=None):
        """Not all was made, what was made is recorded and settled, and the next apply makes the rest."""
        made = len(self.things())
        self.assertLess(made, planned, said)
        self.assertEqual(len(self.recorded()), made)
        self.assertFalse(os.path.exists(self.path(".state/default/journal")))
        self.settled(planned)

    def test_ctrl_c_drains(self):
        self.template(TEN, sim="latency_ms: 150")
        self.init()
        process = self.start("apply", "-auto-approve", "-parallelism=2")
        self.wait_for("a thing", lambda: len(self.sql("SELECT id FROM things")) >= 2)
        process.send_signal(signal.SIGINT)
        done = self.check(self.finish(process), 1, ["nterrupt"])
        self.drained(10, str(done))

    def test_a_terminal_that_goes_away_drains(self):
        """Hang-up: what is under way is finished and recorded, though nobody can be told any more."""
        import pty
        self.template(TEN, sim="latency_ms: 150")
        self.init()
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(self.dir)
            os.execve(PROGRAM, [PROGRAM, "apply", "-auto-approve", "-parallelism=2"], self.environment(None))
        self.wait_for("a thing", lambda: len(self.sql("SELECT id FROM things")) >= 2)
        os.close(fd)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 1)
        self.drained(10)

    def test_nohup_is_heeded(self):
        self.template(TEN, sim="latency_ms: 50")
        self.init()
        process = self.start("apply", "-auto-approve", "-parallelism=2", through=["nohup"])
        self.wait_for("a thing", lambda: len(self.sql("SELECT id FROM things")) >= 2)
        process.send_signal(signal.SIGHUP)
        self.check(self.finish(process), 0, ["10 added"])

    def test_ctrl_c_twice_aborts(self):
        self.template(TEN, sim="latency_ms: 20000")
        self.init()
        process = self.start("apply", "-auto-approve", "-parallelism=2")
        self.wait_for("the journal", lambda: os.path.exists(self.path(".state/default/journal")))
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        time.sleep(0.8)  # closer ones count as one
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        done = self.finish(process)
        self.assertLess(time.monotonic() - started, slow(15))  # before anything is made
        self.assertNotEqual(done.code, 0)
        self.template(TEN)
        self.settled(10)

    def test_plugin_crashes(self):
        self.template(TEN, sim='crash: "create:n-4"')
        self.init()
        self.fails("apply", "-auto-approve", says=["sim", "thing.n[4]"])
        self.template(TEN)
        self.settled(10)

    def test_plugin_crashes_after_the_change(self):
        self.template(TEN, sim='crash: "create:n-4@after"')
        self.init()
        self.run_tool("apply", "-auto-approve")  # the reply is found out in the same run, or in the next one
        self.template(TEN)
        self.settled(10)

    def test_reply_is_lost_and_the_second_attempt_is_refused(self):
        """A second attempt that never reached the object says nothing of the first one: it stays open."""
        for kind in ("thing", "thing_a"):
            for code in ("auth", "provider", "io"):
                with self.subTest(kind=kind, code=code):
                    self.setUp()
                    # What else is applied gives the state a new serial, and the next create another key.
                    self.template(f"{kind}: {{ a: {{ name: a }}, b: {{ name: b }} }}",
                                  sim="fail: [{ op: create, name: a, times: 1, code: lost }, "
                                      f"{{ op: create, name: a, times: 1, code: {code} }}]")
                    self.init()
                    self.fails("apply", "-auto-approve", says=[f"{kind}.a", "1 failed"])
                    self.settled(2)

    def test_reply_is_lost(self):
        self.template(TEN, sim="fail: [{ op: create, name: n-4, times: 1, code: lost }]")
        self.init()
        self.run_tool("apply", "-auto-approve")
        self.settled(10)

    def test_create_takes_effect_after_the_deadline(self):
        self.template("thing: { n: { name: n } }", sim="late_commit_ms: 300")
        self.init()
        self.run_tool("apply", "-auto-approve")
        self.template("thing: { n: { name: n } }")
        self.settled(1)

    def test_plugin_hangs(self):
        self.template("""
            thing:
              a: { name: a, timeouts: { create: 1s } }
              b: { name: b }
        """, sim="hang: [{ op: create, name: a, times: 1 }]")
        self.init()
        started = time.monotonic()
        self.apply(says="2 added")  # stopped at its deadline, and the same request sent again
        self.assertGreater(time.monotonic() - started, 1)
        self.settled(2)

    def test_plugin_answers_garbage(self):
        for mode in ("index", "double", "json", "huge", "missing", "status"):
            with self.subTest(mode=mode):
                Case.setUp(self)
                self.template("thing: { a: { name: a } }", sim=f"garbage: {mode}")
                self.init()
                self.fails("apply", "-auto-approve", says=["thing.a", "sim"])
                self.template("thing: { a: { name: a } }")
                self.settled(1)

    def test_create_classes_survive_a_kill(self):
        for kind in ("thing_a", "thing_c"):
            with self.subTest(kind=kind):
                Case.setUp(self)
                self.template(TEN.replace("thing:", f"{kind}:"), sim="latency_ms: 40")
                self.init()
                process = self.start("apply", "-auto-approve", "-parallelism=3", start_new_session=True)
                self.wait_for("some", lambda: len(self.sql("SELECT id FROM things")) >= 4)
                os.killpg(process.pid, signal.SIGKILL)
                self.finish(process)
                self.settled(10)


if __name__ == "__main__":
    main()
