"""SIGKILL to the whole process tree at every system call of an apply, and chains of kills."""
from world import Prepared


def campaign(c):
    prepared = Prepared()
    try:
        with prepared.trial("count") as w:
            total, _ = w.killed_apply(0)
        every_call(c, prepared, total)
        chains(c, prepared, total)
    finally:
        prepared.close()


def every_call(c, prepared, total):
    points = c.sample(range(1, total + 1), 30 if c.mode == "ci" else 120)
    attempts, killed = 1, 0
    for nth in points:
        if c.enough():
            return
        result = c.trial(f"at call {nth}", one_kill, prepared, nth)
        if result:
            attempts, killed = max(attempts, result[0]), killed + result[1]
    # The number of calls differs a little between runs: the rest of the range is walked until nothing dies any more.
    nth, alive = total + 1, 0
    while c.full and alive < 3:
        result = c.trial(f"at call {nth}", one_kill, prepared, nth)
        alive = 0 if result and result[1] else alive + 1
        killed += bool(result and result[1])
        nth += 1
    c.note(f"{killed} kills in an apply of {total} system calls, at most {attempts} run(s) to converge")


def one_kill(prepared, nth):
    with prepared.trial(f"kill-{nth}") as w:
        _, killed = w.killed_apply(nth)
        return prepared.converge(w), killed


def chains(c, prepared, total):
    count = {"all": 1000, "ci": 8}.get(c.mode, 20)
    kills = 0
    for i in range(count):
        if c.enough():
            return
        length = c.random.randint(2, 6)
        # Runs that recover are shorter the more there was done before.
        points = [c.random.randint(1, total * 2 // (k + 3)) for k in range(length)]
        kills += c.trial(f"chain {points}", one_chain, prepared, i, points) or 0
    c.note(f"{count} chains with {kills} kills")


def one_chain(prepared, i, points):
    with prepared.trial(f"chain-{i}") as w:
        kills = sum(w.killed_apply(nth)[1] for nth in points)
        prepared.converge(w)
        return kills
