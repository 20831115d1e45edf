"""A whole small fleet is the same on the fast engine and on the one that defines it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.run import small
from tests.run.harness import digests, run_files

REBOOT: dict[str, Any] = {
    "removals": {"count": 1, "blocks": 1, "attempts": 2, "before_reboot": True},
    "watchdog": {"mechanism": "reboot", "timeout": "5s", "boot": ["100ms", "3s"]},
}


@pytest.mark.parametrize(
    ("arm", "changes"),
    [
        ("pin-in-place+timeout-5s", {}),
        ("linux-5.13+unbounded", {}),
        ("migrate-on-pin+pin-aware", {}),
        ("fault-aware+bounded-4.13", {}),
        ("kernel+timeout-5s@no-movable-zone", {}),
        ("pin-in-place+unbounded", REBOOT),
    ],
)
def test_both_engines_write_the_same_bytes(
    arm: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    scenario = small.scenario(samples="60s", **changes)
    world = small.world(small.busy_plan(), scenario, arm)
    fast = digests(run_files(tmp_path / "fast", world, scenario))
    reference = replace(world, engine="reference")
    assert digests(run_files(tmp_path / "reference", reference, scenario)) == fast
