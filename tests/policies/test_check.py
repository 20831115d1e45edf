"""``fleet policy check``: what a policy changes, and that a broken engine does not pass."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.enums import Op
from engine.host import Host
from engine.reference.host import ReferenceHost
from fleet.cli.app import main
from fleet.policy.check import Report, check
from fleet.policy.laws import LawError
from fleet.policy.pair import Pair, tiny_shape
from fleet.policy.show import as_text
from fleet.policy.stories import STORIES
from fleet.policy.walk import Walk
from policies import registry
from policies.arms import parse_arm
from policies.models import Policy
from policies.offlines import OFFLINE_POLICIES
from policies.pins import PIN_POLICIES
from tests.lab import cases


def table(arm: str = "kernel+unbounded") -> Any:
    return parse_arm(arm, "linux-6.1", "movable-50").table()


def report(policy: Policy, sequences: int = 0) -> Report:
    return check(policy, "linux-6.1", sequences, 20, 1)


def outcomes(found: Report, story: str) -> dict[str, tuple[str, str]]:
    return {c.what: (c.plain, c.own) for c in found.outcomes if c.where.startswith(story)}


def test_the_plain_kernel_changes_nothing() -> None:
    found = report(registry.pin_policy("kernel"))
    assert (found.cells, found.outcomes, found.broken) == ([], [], [])
    assert len(found.same) == len(STORIES)


@pytest.mark.parametrize("name", ["deny", "linux-5.13-leaky"])
def test_a_shipped_policy_passes(name: str) -> None:
    assert report(registry.pin_policy(name), 2).broken == []


@pytest.mark.slow
@pytest.mark.parametrize("policy", [*PIN_POLICIES, *OFFLINE_POLICIES], ids=lambda p: p.name)
def test_every_shipped_policy_passes_and_all_but_the_profiles_own_change_something(
    policy: Policy,
) -> None:
    found = report(policy, 3)
    assert found.broken == []
    if policy.name not in ("kernel", "unbounded", "linux-5.13"):
        assert found.outcomes, as_text(found)


def test_what_pinning_in_place_changes() -> None:
    found = report(registry.pin_policy("pin-in-place"))
    touched = outcomes(found, "touched memory is pinned, 4 KiB")
    assert touched["pages lie in"] == ("16 normal", "16 movable")
    assert touched["offline"] == ("no page is in MOVABLE", "hangs")
    assert outcomes(found, "memory is pinned with the kernel zones full")["pin"][1] == "ok"


def test_what_a_bounded_offline_changes() -> None:
    found = report(registry.offline_policy("bounded-4.13"))
    pinned = outcomes(found, "touched memory is pinned, THP")
    assert pinned["offline"] == ("hangs", "-EBUSY (max errors)")
    assert found.plain == "pin-in-place+unbounded"


def test_what_unmapping_first_changes() -> None:
    found = report(registry.offline_policy("unmap-first"))
    pinned = outcomes(found, "touched memory is pinned, 4 KiB")
    assert pinned["offline"] == ("hangs", "done")


# -- broken engines -------------------------------------------------------------------------------


class Lossy(ReferenceHost):
    """Loses a free chunk when something is unmapped."""

    def _unmap(self, slot: int) -> Any:
        errno = super()._unmap(slot)
        zone = self.zone[max(z.zid for z in self.zone if z.present)]
        pfn = next(iter(zone.free_area[1][self.max_order]), None)
        if pfn is not None:
            self._remove(zone, pfn)
        return errno


class Forgetful(ReferenceHost):
    """Does not hold what a PIN holds."""

    def _take_pins(self, *_: Any, **__: Any) -> Any:
        """Take no pin."""


def test_a_lost_page_is_found_and_the_command_named() -> None:
    pair = Pair(tiny_shape("NNMM"), table(), (Lossy,))
    pair.do(Op.SPAWN, 0, 0, 0)
    pair.do(Op.MAP, 0, 0, 0, 4, 0)
    with pytest.raises(LawError, match=r"free 32, lists 24 after UNMAP \[0,"):
        pair.do(Op.UNMAP, 0)


def test_engines_that_differ_are_found() -> None:
    pair = Pair(tiny_shape("NNMM"), table(), (ReferenceHost, Forgetful))
    pair.do(Op.SPAWN, 0, 0, 0)
    pair.do(Op.MAP, 0, 0, 0, 4, 0)
    with pytest.raises(LawError, match="the engines differ in rows after PIN"):
        pair.do(Op.PIN, 1, 0, 0, 4, 0, -1)


def test_a_moved_pin_is_found() -> None:
    class Mover(ReferenceHost):
        def _migrate_one(self, call: Any, folio: Any) -> Any:
            held, folio.pins = folio.pins, 0
            errno = super()._migrate_one(call, folio)
            self.owner[self.area_of[folio.area].pages[folio.index]].pins = held
            return errno

    pair = Pair(tiny_shape("NNMM|NNMM"), table("pin-in-place+unbounded"), (Mover,))
    pair.do(Op.SPAWN, 0, 0, 0)
    pair.do(Op.MAP, 0, 0, 0, 4, 0)
    pair.do(Op.PIN, 1, 0, 0, 4, 0, -1)
    block = int(np.flatnonzero(pair.host.blocks()[:, 4])[0])
    pair.do(Op.OFFLINE, 1, block, 1, 0)
    with pytest.raises(LawError, match=r"pinned page .* was moved"):
        pair.wait(60_000_000_000)


def test_a_broken_law_fails_the_check() -> None:
    found = check(registry.pin_policy("kernel"), "linux-6.1", 8, 40, 1, classes=(Lossy,))
    assert any(text.startswith("sequence") for text in found.broken)
    assert "BROKEN" in as_text(found)


def test_walks_are_functions_of_their_key() -> None:
    a, b, c = (Walk(table(), key, (Host,)).run(30).pair.log for key in ((1, 2), (1, 2), (1, 3)))
    assert a == b != c
    assert len({row[1] for row in a if len(row) > 1}) >= 8


# -- the command ----------------------------------------------------------------------------------


def test_the_command_prints_text_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "check", "deny", "--sequences", "2", "--steps", "10"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("pin policy deny: deny+unbounded beside kernel+unbounded on linux-6.1")
    assert "-EBUSY" in text
    assert "passes: 21 stories and 2 sequences" in text
    assert main(["policy", "check", "deny", "--sequences", "0", "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["passes"] is True
    assert {"where", "what", "plain", "own"} == set(data["outcomes"][0])


def test_recorded_cases_show_what_would_have_gone_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_text(cases.text(cases.pin_line()))
    kernel = json.loads(file.read_text().splitlines()[0])["kernel"]
    args = ["policy", "check", "--sequences", "0", "--cases", str(file)]
    assert main([*args, "deny", "--profile", f"linux-{kernel}", "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["cases"] == 1
    assert main([*args, "kernel", "--profile", f"linux-{kernel}", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed_cases"] == []


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["zzz"], "unknown profile, policy or preset 'zzz'; known: "),
        (["movable-50"], "'movable-50' is a sizing preset, not a policy"),
        (["deny", "--profile", "linux-9"], "unknown profile 'linux-9'; did you mean"),
        (["no.yaml"], "no.yaml: No such file or directory"),
        (["deny", "--sequences", "0", "--cases", "no.jsonl"], "no.jsonl"),
    ],
)
def test_bad_input(args: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "check", *args]) == 2
    assert capsys.readouterr().err.startswith(line)
