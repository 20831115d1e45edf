"""Both engines in step under random commands.

Hypothesis drives the reference and the fast engine with the same commands over host shapes,
profiles and policies. After each command rows, counters, zones and blocks are equal, every
20th step everything is, and the conservation laws hold. A failure prints a snippet that replays
it, cut to the commands it needs.
"""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from engine.enums import Counter
from tests.engine import sweep
from tests.engine.bench import ALL_ENGINES, Bench, MismatchError
from tests.engine.commands import Commander, Draws, Fragmenter, make_bench

KEYS = st.integers(0, (1 << 62) - 1)


class OftenFragmented(Fragmenter):
    """So often that a few of 50 sequences compact zones: one host in ten does."""

    at_start_percent, one_in = 80, 25


class Engines(RuleBasedStateMachine):
    """Random commands by key, so that likelihoods are ours and not the shrinker's.

    What is drawn is a function of shard, sequence and key: Hypothesis likes to repeat keys, and by
    key alone it made the same hosts again and again, the largest ones for minutes.
    """

    bench: Bench
    full_every = 20
    made_by: type[Commander] = OftenFragmented
    shard = sequence = 0
    """Which part of all sequences this is, and which sequence of it."""
    failed = False
    compactions = 0
    """Requests that compacted a zone, on all hosts."""

    @initialize(key=KEYS)
    def build(self, key: int) -> None:
        """Make the hosts and their history; a sequence that failed is run again as it was."""
        if not self.failed:
            type(self).sequence += 1
        d = Draws(self.shard, self.sequence, key)
        self.steps = 0
        self.bench = make_bench(d, ALL_ENGINES, self.full_every)
        self.commander = self.made_by(self.bench, d)

    @rule(key=KEYS)
    def act(self, key: int) -> None:
        """Do something."""
        self.steps += 1
        self.commander.act(Draws(self.shard, self.sequence, key, self.steps))

    def teardown(self) -> None:
        """Everything is equal at the end, too."""
        if not hasattr(self, "bench"):
            return
        if not self.bench.broken:
            self.bench.finish()
            type(self).compactions += int(self.bench.host.counters[Counter.COMPACT_STALL])
        type(self).failed |= self.bench.broken


QUICK = settings(
    max_examples=50,
    stateful_step_count=60,
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
    report_multiple_bugs=False,
)
SHARDS, SHARD_SEQUENCES = 9, 50
"""With the quick ones 500 sequences, in parts that several processes share."""


def test_both_engines_agree_on_every_step_of_50_sequences() -> None:
    machine: type[Engines] = type("EnginesQuick", (Engines,), {})
    run_state_machine_as_test(machine, settings=QUICK)
    assert machine.sequence >= QUICK.max_examples
    assert machine.compactions > 0


class Breaks(Engines):
    """Its second sequence fails."""

    @rule(key=KEYS)
    def act(self, key: int) -> None:
        """Fail as a bench does."""
        if self.sequence == 2:
            self.bench.broken = True
            raise MismatchError(f"here, {key}")


def test_a_failing_sequence_is_run_again_as_it_was() -> None:
    """Hypothesis calls a failure flaky that does not come again."""
    few = settings(QUICK, max_examples=4, stateful_step_count=3)
    with pytest.raises(MismatchError, match="here"):
        run_state_machine_as_test(Breaks, settings=few)


def test_a_sweep_counts_what_it_made_and_what_differs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep.sweep(1, 0) == (1, 0)

    def differs(_: int, number: int) -> bool:
        raise MismatchError(f"here, {number}")

    monkeypatch.setattr(sweep, "sequence", differs)
    assert sweep.sweep(1, 0, 5) == (1, 1)
    assert "sequence 5 of key 1" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(1, 1 + SHARDS))
def test_both_engines_agree_on_every_step_of_450_more(shard: int) -> None:
    machine = type(f"Engines{shard}", (Engines,), {"shard": shard, "made_by": Commander})
    run_state_machine_as_test(machine, settings=settings(QUICK, max_examples=SHARD_SEQUENCES))


class EnginesInFull(Engines):
    """As Engines, everything compared at each step."""

    full_every = 1


@pytest.mark.endless
def test_both_engines_agree_on_every_step_of_5000_long_sequences() -> None:
    long = settings(QUICK, max_examples=5_000, stateful_step_count=120, derandomize=False)
    run_state_machine_as_test(EnginesInFull, settings=long)
