"""Profiles, policies and arms: completeness, composition, names."""

from dataclasses import FrozenInstanceError

import pytest

from engine.enums import NR_CELLS, Cell, OfflineRule, PcpRule, PinFailure
from policies import registry
from policies.arms import Arm, parse_arm
from policies.cells import CELL_DOCS
from policies.models import PinPolicy, PolicyError, Profile, Setting
from policies.offlines import OFFLINE_POLICIES
from policies.pins import FLAG_CELLS, PIN_POLICIES
from policies.profiles import LINUX_5_10, LINUX_6_1, PROFILES

OFFLINE_CELLS = {
    Cell.OFFLINE_RULE, Cell.OFFLINE_BOUND_NS, Cell.OFFLINE_MAX_ERRORS, Cell.OFFLINE_TARGET,
    Cell.OFFLINE_PAUSE_NS, Cell.OFFLINE_PAUSE_MAX_NS, Cell.OFFLINE_UNMAPS,
}  # fmt: skip


def arm(text: str, profile: str = "linux-6.1") -> Arm:
    return parse_arm(text, profile, "movable-50")


def test_every_cell_is_documented_and_named() -> None:
    assert list(CELL_DOCS) == list(Cell)
    for doc in CELL_DOCS.values():
        assert doc.low <= doc.high
        if doc.names is not None:
            assert [v.value for v in doc.names] == list(range(doc.low, doc.high + 1))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.name)
def test_profile_fills_every_cell_with_a_source(profile: Profile) -> None:
    assert list(profile.settings) == list(Cell)
    assert all(len(s.source) > 10 for s in profile.settings.values())


def test_profiles_differ_where_the_kernels_do() -> None:
    old, new = LINUX_5_10.settings, LINUX_6_1.settings
    differing = {cell for cell in Cell if old[cell].value != new[cell].value}
    assert differing == {
        *FLAG_CELLS,
        Cell.PIN_MIGRATES,
        Cell.PIN_FAILURE,
        Cell.ISOLATED_UNPINNABLE,
        Cell.VFIO_CALL_PAGES,
        Cell.PCP_RULE,
        Cell.THP_FAIL_PAGES,
        Cell.HUGETLB_PIN_MIGRATES,
        Cell.PCP_THP,
        Cell.PCP_BATCH_SCALE,
        Cell.SPLIT_TAILS_LAST,
        Cell.PIN_ISOLATION,
        Cell.HUGETLB_COUNTS_PAGES,
        Cell.SPLIT_COUNTS_FAIL,
        Cell.GIGANTIC_STRADDLE_FAILS,
    }
    assert (old[Cell.VFIO_CALL_PAGES].value, new[Cell.VFIO_CALL_PAGES].value) == (1, 512)
    assert (old[Cell.THP_FAIL_PAGES].value, new[Cell.THP_FAIL_PAGES].value) == (1, 512)
    assert old[Cell.PCP_RULE].value == PcpRule.BATCH_TIMES_6
    assert new[Cell.PCP_RULE].value == PcpRule.LOW_MARK


@pytest.mark.parametrize(
    ("pin", "flags", "migrates", "failure", "denied", "hint"),
    [
        ("pin-in-place", 0, 0, PinFailure.PIN_IN_PLACE, 0, 0),
        ("fault-aware", 1, 0, PinFailure.PIN_IN_PLACE, 0, 0),
        ("migrate-on-pin", 0, 1, PinFailure.ENOMEM, 0, 0),
        ("linux-5.13", 1, 1, PinFailure.ENOMEM, 0, 0),
        ("move-before-pin", 0, 2, PinFailure.PIN_IN_PLACE, 0, 0),
        ("linux-5.13-soft", 1, 1, PinFailure.PIN_IN_PLACE, 0, 0),
        ("madvise-hint", 1, 1, PinFailure.ENOMEM, 0, 1),
        ("deny", 0, 0, PinFailure.PIN_IN_PLACE, 1, 0),
    ],
)
@pytest.mark.parametrize("profile", ["linux-5.10", "linux-6.1", "linux-6.12"])
def test_pin_policy_cells(
    profile: str, pin: str, flags: int, migrates: int, failure: int, denied: int, hint: int
) -> None:
    table = arm(f"{pin}+unbounded", profile).table()
    assert table.shape == (NR_CELLS,)
    assert [table[c] for c in FLAG_CELLS] == [flags] * len(FLAG_CELLS)
    cells = (Cell.PIN_MIGRATES, Cell.PIN_FAILURE, Cell.PIN_DENIED, Cell.HINT_HONOURED)
    assert [table[c] for c in cells] == [migrates, failure, denied, hint]


@pytest.mark.parametrize(
    ("name", "rule", "bound_ns", "errors"),
    [
        ("unbounded", OfflineRule.UNBOUNDED, 0, 0),
        ("bounded-4.13", OfflineRule.BOUNDED_4_13, 120_000_000_000, 5),
        ("timeout", OfflineRule.TIMEOUT, 20_000_000_000, 0),
        ("timeout-250ms", OfflineRule.TIMEOUT, 250_000_000, 0),
        ("timeout-2min", OfflineRule.TIMEOUT, 120_000_000_000, 0),
        ("timeout-24h", OfflineRule.TIMEOUT, 86_400_000_000_000, 0),
        ("pin-aware", OfflineRule.PIN_AWARE, 0, 0),
        ("same-node-fallback", OfflineRule.UNBOUNDED, 0, 0),
        ("unmap-first", OfflineRule.UNBOUNDED, 0, 0),
        ("paced", OfflineRule.PACED, 0, 5),
    ],
)
def test_offline_policy_cells(name: str, rule: int, bound_ns: int, errors: int) -> None:
    table = arm(f"kernel+{name}").table()
    cells = (Cell.OFFLINE_RULE, Cell.OFFLINE_BOUND_NS, Cell.OFFLINE_MAX_ERRORS)
    assert [table[c] for c in cells] == [rule, bound_ns, errors]
    assert table[Cell.OFFLINE_TARGET] == (name == "same-node-fallback")


def test_pin_and_offline_policies_are_orthogonal() -> None:
    for pin in PIN_POLICIES:
        assert not OFFLINE_CELLS & set(pin.settings)
    for offline in OFFLINE_POLICIES:
        assert set(offline.settings) == OFFLINE_CELLS


def test_kernel_policy_is_the_profile() -> None:
    for profile in PROFILES:
        settings = parse_arm("kernel+unbounded", profile.name, "movable-50").settings()
        values = {cell: s.value for cell, s in settings.items()}
        assert values == {cell: s.value for cell, s in profile.settings.items()}


def test_arm_names_and_sizing() -> None:
    a = arm(" linux-5.13+timeout@movable-75 ")
    assert (a.name, a.pin.name, a.offline.name) == (
        "linux-5.13+timeout@movable-75",
        "linux-5.13",
        "timeout",
    )
    assert a.movable_millionths == 750_000
    assert arm("kernel+unbounded").movable_millionths == 500_000
    assert arm("kernel+unbounded@no-movable-zone").movable_millionths == 0
    assert arm("kernel+unbounded@movable-0").movable_millionths == 0
    with pytest.raises(FrozenInstanceError):
        a.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "want PIN+OFFLINE[@SIZING]"),
        ("linux-5.13", "want PIN+OFFLINE[@SIZING]"),
        ("kernel+", "want PIN+OFFLINE[@SIZING]"),
        ("+unbounded", "want PIN+OFFLINE[@SIZING]"),
        ("kernel+unbounded+timeout", "want PIN+OFFLINE[@SIZING]"),
        ("kernel+unbounded@", "want PIN+OFFLINE[@SIZING]"),
        ("linux-5.31+unbounded", "did you mean 'linux-5.13'?"),
        ("linux-5.13-loses-disk+unbounded", "no fault path 'disk' (known: anon, thp"),
        ("linux-5.13-loses-thp-thp+unbounded", "want each fault path once"),
        ("linux-5.13-loses-+unbounded", "want each fault path once"),
        ("deny-loses-thp+unbounded", "deny does not honour the flag on 'thp'"),
        ("linux-5.31-loses-thp+unbounded", "did you mean 'linux-5.13'?"),
        ("zzz+unbounded", "known: kernel, pin-in-place"),
        ("kernel+bounded", "did you mean 'unbounded'?"),
        ("kernel+timeout-0s", "want a duration"),
        ("kernel+timeout-25h", "want a duration"),
        ("kernel+timeout-5", "want a duration"),
        ("kernel+timeout-٣s", "want a duration"),
        ("kernel+unbounded@movable-101", "want a share of 0 to 90"),
        ("kernel+unbounded@movable--5", "want a share of 0 to 90"),
        ("kernel+unbounded@no-movable", "did you mean 'no-movable-zone'?"),
    ],
)
def test_bad_arm_is_one_line_that_helps(text: str, expected: str) -> None:
    with pytest.raises(PolicyError) as caught:
        arm(text)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_profile() -> None:
    with pytest.raises(PolicyError, match=r"unknown profile 'linux-6\.2'; did you mean"):
        registry.profile("linux-6.2")


def test_models_reject_values_out_of_range_and_missing_cells() -> None:
    with pytest.raises(PolicyError, match="MIGRATE_TRIES must be within"):
        PinPolicy("bad", "", {Cell.MIGRATE_TRIES: Setting(0, "test")})
    with pytest.raises(PolicyError, match="cells not set: FAULT_FLAG_ANON"):
        Profile("bad", "", {})
