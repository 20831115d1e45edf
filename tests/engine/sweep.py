"""Random sequences until a time is over: ``python -m tests.engine.sweep KEY SECONDS``.

As ``test_state_machine`` makes them, with a key of one's own, so that each sweep sees others. A
difference between the engines prints its number and a snippet that replays it, cut to the commands
it needs; exit code 1. ``python -m tests.engine.sweep KEY 0 NUMBER`` makes one sequence again.
"""

import sys
import time
import traceback

from tests.engine.bench import ALL_ENGINES
from tests.engine.commands import Commander, Draws, Fragmenter, make_bench

STEPS, FULL_EVERY = 60, 20
SMALL_ORDER = 4
"""Largest pageblock order: the reference needs minutes for some sequences of larger hosts."""


def sequence(key: int, number: int) -> bool:
    """Make one sequence; returns whether it was made, and not on a host that is too large.

    Raises what differs (MismatchError), or breaks a law, with a snippet as its note.
    """
    d = Draws(key, number)
    bench = make_bench(d, ALL_ENGINES, FULL_EVERY)
    if bench.shape.pageblock_order > SMALL_ORDER:
        return False
    kind = (Commander, Fragmenter)[number % 2]
    commander = kind(bench, d)
    for step in range(STEPS):
        commander.act(Draws(key, number, step))
    bench.finish()
    return True


def sweep(key: int, seconds: float, number: int = 0) -> tuple[int, int]:
    """Make sequences from a number on; returns how many were made, and how many differ."""
    made = wrong = 0
    end = time.monotonic() + seconds
    while True:
        try:
            made += sequence(key, number)
        except Exception:
            made += 1
            wrong += 1
            print(f"sequence {number} of key {key}:")
            traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
        number += 1
        if time.monotonic() >= end:
            return made, wrong


if __name__ == "__main__":
    made, wrong = sweep(*map(int, sys.argv[1:]))
    print(f"{made} sequences, {wrong} in which the engines differ")
    raise SystemExit(1 if wrong else 0)
