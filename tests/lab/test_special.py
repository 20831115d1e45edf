"""Buffers of every kind and children, replayed on the reference: what the driver observes."""

import pytest

from engine.reference.host import ReferenceHost
from fleet.lab import guest
from fleet.lab.driver import Driver
from fleet.lab.lines import Case, Guest
from fleet.lab.operations import parse
from policies.arms import parse_arm

HOT = tuple(range(32, 40))


def driver(kernel: str = "6.1") -> Driver:
    """The driver on a fresh guest with all hot blocks in MOVABLE."""
    case = Case(
        where="x:1", label="x", name="x", kernel=kernel, guest=Guest(1024, 2, 512, 128, 1, (0, 0)),
        hot_blocks=HOT, fate="finished", oom_kills=0, records=(), unfinished=None,
    )  # fmt: skip
    table = parse_arm("kernel+unbounded", f"linux-{kernel}", "movable-50").table()
    made = Driver(guest.start(case, ReferenceHost, table), HOT, guest.first_free_slot(case.guest))
    made.run(parse("online:h0-h1:movable"))
    return made


def play(made: Driver, *operations: str) -> dict[str, object]:
    """Run operations; what the last one observed."""
    seen: dict[str, object] = {}
    for text in operations:
        seen = made.run(parse(text))
        assert text.startswith(("pin", "offline")) or seen["errno"] == "0", text
    return seen


def movable(seen: dict[str, object], field: str = "dist") -> int:
    """Pages of a look that lie in MOVABLE."""
    dist = seen[field]
    assert isinstance(dist, dict)
    return int(dist["by_zone"]["Movable"])


@pytest.mark.parametrize("kind", ["memfd", "shmanon"])
@pytest.mark.parametrize(("kernel", "left"), [("5.10", 512), ("6.1", 0)])
def test_shmem_pins_as_anonymous_memory_does(kind: str, kernel: str, left: int) -> None:
    seen = play(driver(kernel), f"alloc:a:2:{kind}", "touch:a", "pin:a:iou")
    assert (seen["pin_result"], movable(seen, "after")) == ("0", left)


@pytest.mark.parametrize(("kernel", "left"), [("5.10", 512), ("6.1", 0)])
def test_a_refused_pin_of_a_file_has_its_side_effect_on_6_1(kernel: str, left: int) -> None:
    made = driver(kernel)
    seen = play(made, "filewrite:/m/f:2", "alloc:a:2:file=/m/f", "touch:a", "pin:a:iou")
    assert (seen["pin_result"], movable(seen, "after")) == ("EOPNOTSUPP", left)
    assert play(made, "offline:h0:6")["result"] == "ok"


def test_a_tmpfs_file_can_be_pinned() -> None:
    made = driver()
    seen = play(made, "filewrite:/t/f:2", "alloc:a:2:file=/t/f", "read:a", "pin:a:iou")
    assert (seen["pin_result"], movable(seen, "after")) == ("0", 0)


def test_a_file_outlives_its_buffer_and_an_unnamed_one_does_not() -> None:
    made = driver()
    play(made, "filewrite:/t/f:2", "alloc:a:2:file=/t/f", "read:a", "alloc:m:2:memfd", "touch:m")
    used = made.machine.engine.blocks()[32:34, 3].sum()
    play(made, "free:a")
    assert made.machine.engine.blocks()[32:34, 3].sum() >= used - 8
    play(made, "free:m")
    assert made.machine.engine.blocks()[32:34, 3].sum() <= used - 512


def test_an_untouched_mapping_shows_nothing_of_its_file() -> None:
    seen = play(driver(), "filewrite:/t/f:2", "alloc:a:2:file=/t/f", "dist:a")
    dist = seen["dist"]
    assert isinstance(dist, dict)
    assert dist["absent"] == 512


@pytest.mark.parametrize("kernel", ["5.10", "6.1"])
def test_a_pin_after_fork_leaves_the_childs_pages_alone(kernel: str) -> None:
    made = driver(kernel)
    play(made, "alloc:a:2:4k", "touch:a", "mark:a", "fork_hold")
    seen = play(made, "pin:a:iou")
    assert seen["pin_result"] == "0"
    assert movable(seen, "after") == (512 if kernel == "5.10" else 0)
    before = made.machine.engine.blocks()[:, 3].sum()
    play(made, "child_kill")
    assert made.machine.engine.blocks()[:, 3].sum() <= before - 512


def test_locking_faults_in_what_was_not_touched() -> None:
    assert movable(play(driver(), "alloc:a:2:4k", "mlock:a", "dist:a")) == 512


def test_reading_an_untouched_thp_buffer_shows_the_huge_zero_page() -> None:
    seen = play(driver(), "alloc:a:2:thp", "read:a", "dist:a")
    dist = seen["dist"]
    assert isinstance(dist, dict)
    assert (dist["absent"], dist["thp"], movable(seen)) == (0, 512, 0)


def test_a_buffer_with_a_random_history_is_pinned_as_a_whole() -> None:
    made = driver()
    made.scattered = frozenset({"a"})
    seen = play(made, "alloc:a:4:4k", "touch:a", "churn:a:7:64k:50", "pin:a:iou")
    assert (seen["pin_result"], movable(seen, "after")) == ("0", 0)
    play(made, "unpin:a", "free:a")


def test_one_held_page_fails_the_pin_of_all_parts_and_the_others_have_moved() -> None:
    made = driver()
    made.scattered = frozenset({"a"})
    play(made, "alloc:a:4:4k", "touch:a", "pin:a:vmsplice:600p:1p")
    seen = play(made, "pin:a:iou")
    assert (seen["pin_result"], movable(seen, "after")) == ("ENOMEM", 1)
