"""Runs in a copy with seeded kernels: each fault on its own against what the reference says.

``python -m tests.mutants.hunt SEQUENCES STEPS JOBS NUMBER...`` prints ``number answer``
for each fault. First come random sequences, then the engine's quick tests as sequences
(``tests.mutants.stories``), both also on hosts with landmarks; last the tests that look at
the fast engine itself. With no fault on nothing may differ and every test passes, or nothing is
hunted.
"""

import sys
import time
from functools import partial
from pathlib import Path

import engine.state
from engine.host import Host
from tests.engine.bench import Surveyed
from tests.mutants.sequences import Sequence, differs, record
from tests.mutants.stories import listened
from tests.mutants.trial import BROKEN, SEQUENCE_SECONDS, answer, forked, limit, tested

QUICK = [
    f"tests/engine/test_{name}.py"
    for name in (
        "seeded", "checkerboard", "compaction", "hugetlb", "gigantic", "semantics", "sharing",
        "gather", "reclaim", "kswapd", "inflight", "same_node", "page_cache", "pinners", "history",
        "bags", "draws", "ahead", "slowdown", "skipped_loops", "arena", "conservation",
        "plausibility", "costs", "fast_engine", "calls", "freebits", "rehearsal",
        "singles",
    )
]  # fmt: skip
"""Quick tests of the engine: those written for faults first."""
LEFT_OUT = ["kernel_cache", "pointer", "shape", "state_machine"]
"""Tests of the engine that no fault in kernels can fail, and those that the sequences stand for."""
DIRECT = [
    f"tests/engine/test_{name}"
    for name in (
        "rehearsal.py",
        "singles.py",
        "seeded.py::test_records_come_back_however_pieces_merge",
        "seeded.py::test_fresh_memory_is_one_entry_however_many_blocks",
        "seeded.py::test_pages_that_come_one_by_one_fill_whole_pageblocks",
        "ahead.py::test_a_large_area_remembers_ways_that_lead_into_it",
        "ahead.py::test_single_pages_of_one_batch_come_and_go_alike",
        "bags.py",
        "freebits.py",
        "compaction.py::test_what_a_pin_has_isolated_counts_in_every_pageblock",
        "gather.py::test_the_stories_do_reach_the_straight_way",
        "history.py::test_a_saved_host_goes_on_as_the_host",
        "history.py::test_one_command_may_make_many_records",
        "history.py::test_a_bag_that_grows_page_by_page_needs_no_records_for_whole_pageblocks",
        "history.py::test_a_whole_pageblock_from_a_list_needs_no_record",
        "inflight.py::test_passes_until_a_block_with_io_is_offline_are_those_of_explicit_events",
        "skipped_loops.py::test_where_the_windows_are_cut_does_not_matter",
        "skipped_loops.py::test_a_loop_of_a_year_costs_no_more_than_its_first_passes",
        "slowdown.py::test_a_sweep_over_pinned_pages_hardly_waits_for_the_loop",
        "slowdown.py::test_a_skipped_shuttle_is_away_as_if_each_pass_had_been_made",
        "fast_engine.py",
    )
]
"""Those that also look at a fast host by itself, which no sequence repeats."""
EVERY = 3
"""Of the sequences, so many-th is repeated on a host with landmarks, too."""


def hunt(number: int, told: list[Sequence]) -> str:
    """Switch a fault on and say what catches it; nothing: it survives."""
    engine.state.MUTANT = number  # type: ignore[attr-defined]
    for kind, every in ((Host, 1), (Surveyed, EVERY)):
        for index in range(0, len(told), every):
            limit(SEQUENCE_SECONDS)
            try:
                found = differs(told[index], kind)
            except Exception as error:
                found = type(error).__name__
            if found:
                return f"sequence {index} on {kind.__name__}: {found}"
    return tested(DIRECT)


def main(count: int, steps: int, jobs: int, *numbers: int) -> None:
    """Hunt faults, some at a time; without any first."""
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - start:.0f} s: {text}", file=sys.stderr, flush=True)

    told = [record(key, steps) for key in range(count)]
    say(f"recorded {count} sequences")
    Host(told[0].shape, told[0].table, told[0].costs)
    say("compiled")
    told += listened(QUICK, Path("stories.pickle"))
    say(f"{len(told) - count} stories; {sum(len(t.steps) for t in told)} steps in all")
    wrong = answer(*forked(partial(hunt, 0, told)))
    if wrong:
        raise SystemExit(f"without a fault: {wrong}")
    say("nothing differs without a fault")
    for first in range(0, len(numbers), jobs):
        running = [(n, *forked(partial(hunt, n, told))) for n in numbers[first : first + jobs]]
        for number, child, read in running:
            text = answer(child, read)
            print(number, text, flush=True)
            say(f"{number} {text or 'survives'}")
            if text.startswith(BROKEN):
                raise SystemExit(f"fault {number}: {text}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
