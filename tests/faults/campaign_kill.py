"""SIGKILL to the whole process tree at every system call of an apply, and chains of kills."""
from world import Prepared

PARTS = ["calls", "chains"]


def campaign(c):
    runs = c.chosen(PARTS)
    prepared = Prepared()
    try:
        with prepared.trial("count") as w:
            total, _ = w.killed_apply(0)
        if "calls" in runs:
            every_call(c, prepared, total)
        if "chains" in runs:
            chains(c, prepared, total)
    finally:
        prepared.close()


def every_call(c, prepared, total):
    def at(nth):
        return c.trial(f"at call {nth}", one_kill, prepared, nth)

    points = c.sample(range(1, total + 1), 30 if c.mode == "ci" else 120)
    results = c.each("calls", points, at)
    # The number of calls differs a little between runs: the rest of the range is walked until nothing dies any more.
    nth, alive = total + 1, 0
    while c.full and alive < 3 and c.part[0] == c.part[1]:
        results.append(at(nth))
        alive = 0 if results[-1] and results[-1][1] else alive + 1
        nth += 1
    results = [r for r in results if r]
    c.note(f"{sum(killed for _, killed in results)} kills in an apply of {total} system calls, at most "
           f"{max((attempts for attempts, _ in results), default=1)} run(s) to converge")


def one_kill(prepared, nth):
    with prepared.trial(f"kill-{nth}") as w:
        _, killed = w.killed_apply(nth)
        return prepared.converge(w), killed


def chains(c, prepared, total):
    count = {"all": 1000, "ci": 8}.get(c.mode, 20)
    # Runs that recover are shorter the more there was done before.
    cases = [[c.random.randint(1, total * 2 // (k + 3)) for k in range(c.random.randint(2, 6))] for _ in range(count)]
    kills = c.each("chains", cases, lambda points: c.trial(f"chain {points}", one_chain, prepared, points))
    c.note(f"{len(kills)} chains with {sum(k or 0 for k in kills)} kills")


def one_chain(prepared, points):
    with prepared.trial("chain") as w:
        kills = sum(w.killed_apply(nth)[1] for nth in points)
        prepared.converge(w)
        return kills
