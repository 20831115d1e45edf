"""What tables may say at all: laws of every profile and policy, limits, names that are numbers."""

from itertools import product

import pytest

from engine.enums import (
    Cell,
    FilePin,
    OfflineRule,
    OfflineTarget,
    PcpRule,
    PinFailure,
    PinIsolation,
    PinMigrates,
)
from policies import registry
from policies.arms import parse_arm
from policies.cells import CELL_DOCS
from policies.models import OfflinePolicy, PinPolicy, PolicyError, Profile, Setting
from policies.offlines import OFFLINE_POLICIES
from policies.pins import FLAG_CELLS, PIN_POLICIES
from policies.profiles import PROFILES
from policies.sizing import SIZINGS

SECOND_NS = 1_000_000_000
HOUR_NS = 3600 * SECOND_NS
DAY_NS = 24 * HOUR_NS

PROPOSED = (
    Cell.PIN_DENIED, Cell.HINT_HONOURED, Cell.PIN_WAIT_NS, Cell.PIN_POOL_MILLIONTHS,
    Cell.UNPIN_RETURNS, Cell.PIN_REVOCABLE, Cell.OFFLINE_PAUSE_NS, Cell.OFFLINE_PAUSE_MAX_NS,
    Cell.OFFLINE_UNMAPS, Cell.OFFLINE_BOUND_NS, Cell.OFFLINE_MAX_ERRORS,
)  # fmt: skip
"""Cells of things that mails and this simulator propose and that no kernel from 5.10 on does."""


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.name)
def test_no_kernel_does_what_is_only_proposed(profile: Profile) -> None:
    values = {cell: s.value for cell, s in profile.settings.items()}
    assert [values[cell] for cell in PROPOSED] == [0] * len(PROPOSED)
    assert values[Cell.OFFLINE_RULE] == OfflineRule.UNBOUNDED
    assert values[Cell.OFFLINE_TARGET] == OfflineTarget.OTHER_NODES
    assert values[Cell.PIN_RETRIES] == 1


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.name)
def test_a_kernel_carries_the_pins_flag_on_all_fault_paths_or_none(profile: Profile) -> None:
    """And one that moves pages before a pin has the flag, too: both came with 5.13."""
    values = {profile.settings[cell].value for cell in FLAG_CELLS}
    assert values == {min(profile.settings[Cell.PIN_MIGRATES].value, 1)}


@pytest.mark.parametrize(
    ("pin", "offline"), [*product(PIN_POLICIES, OFFLINE_POLICIES)], ids=lambda p: p.name
)
def test_a_table_has_a_value_only_where_its_rules_read_it(
    pin: PinPolicy, offline: OfflinePolicy
) -> None:
    name = f"{pin.name}+{offline.name}"
    for profile in PROFILES:
        table = parse_arm(name, profile.name, "movable-50").table()
        rule = OfflineRule(int(table[Cell.OFFLINE_RULE]))
        bounded, paced = rule == OfflineRule.BOUNDED_4_13, rule == OfflineRule.PACED
        assert (table[Cell.OFFLINE_BOUND_NS] > 0) == (bounded or rule == OfflineRule.TIMEOUT)
        assert (table[Cell.OFFLINE_MAX_ERRORS] > 0) == (bounded or paced)
        pauses = [int(table[c]) for c in (Cell.OFFLINE_PAUSE_NS, Cell.OFFLINE_PAUSE_MAX_NS)]
        assert [p > 0 for p in pauses] == [paced, paced]
        assert pauses == sorted(pauses)
        times = [*pauses, int(table[Cell.OFFLINE_BOUND_NS]), int(table[Cell.PIN_WAIT_NS])]
        assert [ns % SECOND_NS for ns in times] == [0] * 4
        retries = table[Cell.PIN_RETRIES] > 1 or table[Cell.PIN_WAIT_NS] > 0
        assert table[Cell.PIN_MIGRATES] or not retries


BASES: dict[str, tuple[str, dict[Cell, int]]] = {
    "fault-aware": ("pin-in-place", dict.fromkeys(FLAG_CELLS, 1)),
    "move-before-pin": ("pin-in-place", {Cell.PIN_MIGRATES: PinMigrates.BEFORE_FAULTS}),
    "revocable": ("pin-in-place", {Cell.PIN_REVOCABLE: 1}),
    "deny": ("pin-in-place", {Cell.PIN_DENIED: 1}),
    "migrate-on-pin": ("linux-5.13", dict.fromkeys(FLAG_CELLS, 0)),
    "linux-5.13-bounded": (
        "linux-5.13",
        {Cell.PIN_ISOLATION: PinIsolation.ENOMEM, Cell.PIN_RETRIES: 10},
    ),
    "linux-5.13-leaky": ("linux-5.13", {Cell.PIN_ISOLATION: PinIsolation.PIN_IN_PLACE}),
    "linux-5.13-patient": ("linux-5.13", {Cell.PIN_WAIT_NS: SECOND_NS}),
    "linux-5.13-soft": ("linux-5.13", {Cell.PIN_FAILURE: PinFailure.PIN_IN_PLACE}),
    "isolate-aware": ("linux-5.13", {Cell.ISOLATED_UNPINNABLE: 1}),
    "reserved-pool": ("linux-5.13", {Cell.PIN_POOL_MILLIONTHS: 500_000}),
    "return-on-unpin": ("linux-5.13", {Cell.UNPIN_RETURNS: 1}),
    "madvise-hint": ("linux-5.13", {Cell.HINT_HONOURED: 1}),
    "linux-5.13-loses-thp-file": (
        "linux-5.13",
        {Cell.FAULT_FLAG_THP: 0, Cell.FAULT_FLAG_FILE: 0},
    ),
    "fault-aware-loses-anon": (
        "pin-in-place",
        {c: 1 for c in FLAG_CELLS if c != Cell.FAULT_FLAG_ANON},
    ),
}
"""Policies that are another one with a few cells changed; the base itself changes with kernels."""


@pytest.mark.parametrize("name", BASES)
def test_a_policy_differs_from_its_base_in_what_its_summary_says(name: str) -> None:
    base, differences = BASES[name]
    policy, plain = registry.pin_policy(name).settings, registry.pin_policy(base).settings
    assert set(policy) == set(plain)
    found = {cell: s.value for cell, s in policy.items() if s.value != plain[cell].value}
    assert found == differences


def test_the_two_bases_are_the_kernels_before_and_after_the_fix() -> None:
    """pin-in-place on any kernel pins as 5.10 does, linux-5.13 as the first kernel with the fix."""
    for name, fixed in (("pin-in-place", 0), ("linux-5.13", 1)):
        values = {cell: s.value for cell, s in registry.pin_policy(name).settings.items()}
        assert {values[cell] for cell in (*FLAG_CELLS, Cell.PIN_MIGRATES)} == {fixed}
        want = PinFailure.ENOMEM if fixed else PinFailure.PIN_IN_PLACE
        assert values[Cell.PIN_FAILURE] == want
        assert [values[cell] for cell in PROPOSED if cell in values] == [0] * 6
        assert values[Cell.ISOLATED_UNPINNABLE] == 0  # the test of 5.13 knows CMA only
        assert values[Cell.HUGETLB_PIN_MIGRATES] == 1
        assert values[Cell.PIN_ISOLATION] == PinIsolation.WAIT
        assert values[Cell.PIN_RETRIES] == 1


ENUMS = {
    Cell.PIN_MIGRATES: PinMigrates, Cell.PIN_FAILURE: PinFailure, Cell.PCP_RULE: PcpRule,
    Cell.OFFLINE_RULE: OfflineRule, Cell.OFFLINE_TARGET: OfflineTarget, Cell.FILE_PIN: FilePin,
    Cell.PIN_ISOLATION: PinIsolation,
}  # fmt: skip
RANGES = {
    Cell.MIGRATE_TRIES: (1, 1000),
    Cell.PIN_RETRIES: (1, 1000),
    Cell.VFIO_CALL_PAGES: (1, (4 << 30) >> 12),  # 4 GiB in one call
    Cell.PCP_HIGH_PAGES: (0, (4 << 40) >> 12),  # 4 TiB on one list
    Cell.THP_FAIL_PAGES: (1, (2 << 20) >> 12),  # base pages of a THP
    Cell.COMPACT_ISOLATED_SHIFT: (0, 63),  # of an int64
    Cell.PCP_BATCH_SCALE: (0, 6),  # CONFIG_PCP_BATCH_SCALE_MAX, mm/Kconfig
    Cell.OFFLINE_MAX_ERRORS: (0, 10**6),
    Cell.OFFLINE_BOUND_NS: (0, 365 * DAY_NS),
    Cell.OFFLINE_PAUSE_NS: (0, DAY_NS),
    Cell.OFFLINE_PAUSE_MAX_NS: (0, DAY_NS),
    Cell.PIN_WAIT_NS: (0, HOUR_NS),
    Cell.PIN_POOL_MILLIONTHS: (0, 900_000),
}


@pytest.mark.parametrize("cell", Cell, ids=lambda c: c.name)
def test_a_cell_takes_its_limits_and_nothing_beyond(cell: Cell) -> None:
    names = ENUMS.get(cell)
    low, high = RANGES.get(cell, (0, len(names) - 1 if names else 1))
    assert CELL_DOCS[cell].names is names
    for value in (low, high):
        assert PinPolicy("own", "", {cell: Setting(value, "test")}).settings[cell].value == value
    for value in (low - 1, high + 1):
        with pytest.raises(PolicyError, match=rf"{cell.name} must be within {low}\.\.{high}, not"):
            PinPolicy("own", "", {cell: Setting(value, "test")})


@pytest.mark.parametrize(
    ("name", "ns"),
    [
        ("timeout-1ms", 10**6),
        ("timeout-1s", SECOND_NS),
        ("timeout-1min", 60 * SECOND_NS),
        ("timeout-1h", HOUR_NS),
        ("timeout-86400000ms", DAY_NS),
        ("timeout-24h", DAY_NS),
    ],
)
def test_a_timeout_lasts_what_it_says(name: str, ns: int) -> None:
    policy = registry.offline_policy(name)
    assert policy.settings[Cell.OFFLINE_BOUND_NS].value == ns
    assert policy.settings[Cell.OFFLINE_RULE].value == OfflineRule.TIMEOUT


@pytest.mark.parametrize("name", ["timeout-86400001ms", "timeout-86401s", "timeout-0ms"])
def test_a_timeout_is_at_most_a_day(name: str) -> None:
    with pytest.raises(PolicyError, match="duration"):
        registry.offline_policy(name)


def test_pauses_are_those_of_virtio_mem() -> None:
    """VIRTIO_MEM_RETRY_TIMER_MIN_MS, _MAX_MS; 5 tries (drivers/virtio/virtio_mem.c)."""
    paced = registry.offline_policy("paced").settings
    assert paced[Cell.OFFLINE_PAUSE_NS].value == 50_000 * 10**6
    assert paced[Cell.OFFLINE_PAUSE_MAX_NS].value == 300_000 * 10**6
    assert paced[Cell.OFFLINE_MAX_ERRORS].value == 5


@pytest.mark.parametrize("offline", OFFLINE_POLICIES, ids=lambda p: p.name)
def test_only_the_policies_named_so_unmap_or_move_inside_the_node(
    offline: OfflinePolicy,
) -> None:
    settings = offline.settings
    unmaps, target = settings[Cell.OFFLINE_UNMAPS], settings[Cell.OFFLINE_TARGET]
    assert unmaps.value == (offline.name == "unmap-first")
    assert target.value == (offline.name == "same-node-fallback")
    assert ("not upstream" in target.source) == (offline.name == "same-node-fallback")


@pytest.mark.parametrize("percent", [1, 10, 33, 90])
def test_sizes_and_pools_are_the_per_cent_they_say(percent: int) -> None:
    sizing = registry.sizing(f"movable-{percent}")
    assert sizing.movable_millionths == percent * 10_000
    assert sizing.summary.startswith(f"{percent} % ")
    pool = registry.pin_policy(f"reserved-pool-{percent}")
    assert pool.settings[Cell.PIN_POOL_MILLIONTHS].value == percent * 10_000
    assert f" {percent} %" in pool.summary


def test_presets_are_those_that_listings_show() -> None:
    assert [s.movable_millionths // 10_000 for s in SIZINGS] == [0, 10, 25, 50, 75, 90]
    for sizing in SIZINGS[1:]:
        assert registry.sizing(sizing.name) == sizing


@pytest.mark.parametrize("percent", [91, 100])
def test_more_than_90_per_cent_is_refused(percent: int) -> None:
    with pytest.raises(PolicyError, match="want a share of 0 to 90 per cent"):
        registry.sizing(f"movable-{percent}")
    with pytest.raises(PolicyError, match="want a share of 1 to 90 per cent"):
        registry.pin_policy(f"reserved-pool-{percent}")


def test_an_error_lists_eight_names_and_where_to_find_the_others() -> None:
    names = [f"zone{letter}" for letter in "abcdefghi"]
    assert str(registry.unknown("x", "q", names[:8])).endswith("; known: " + ", ".join(names[:8]))
    many = str(registry.unknown("x", "q", names))
    assert many.endswith("; known: " + ", ".join(names[:8]) + ", ... (fleet policy list)")
