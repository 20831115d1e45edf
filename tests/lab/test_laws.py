"""Changed sizes follow the laws that the recorded kernels showed; ids play no part."""

from pathlib import Path
from typing import Any

import pytest

from engine.enums import Counter, ZoneKind
from fleet.cli.engines import EngineName, engine_class
from fleet.cli.validate import _tables
from fleet.lab import guest
from fleet.lab.driver import Driver
from fleet.lab.machine import ProcessKilledError
from fleet.lab.operations import parse
from tests.lab.test_classes import case_of

BOTH = pytest.mark.parametrize("kernel", ["5.10", "6.1"])
MARGIN_PAGES = 3_000
"""More than the per-CPU lists and page tables of a guest."""


@pytest.fixture
def drive(tmp_path: Path) -> Any:
    """Boot the recorded guest under a kernel; operations are then driven one by one."""

    def boot(kernel: str) -> Driver:
        case = case_of(tmp_path, ["sleep:1"], kernel=kernel)
        machine = guest.start(case, engine_class(EngineName.FAST), _tables("")(kernel))
        return Driver(machine, case.hot_blocks, guest.first_free_slot(case.guest) + 1)

    return boot


def run(driver: Driver, *texts: str) -> dict[str, Any]:
    """Drive some operations; what the last one saw, with the change of the counters."""
    seen: dict[str, Any] = {}
    for text in texts:
        before = driver.machine.counters()
        seen = driver.run(parse(text))
        after = driver.machine.counters()
        seen["counters"] = {c: after[c] - before[c] for c in Counter}
    return seen


@BOTH
@pytest.mark.parametrize("pages", [1, 63, 512, 3_001, 16_384])
@pytest.mark.parametrize("pinner", ["iou", "vfio"])
def test_a_pin_moves_all_pages_or_none(drive: Any, kernel: str, pages: int, pinner: str) -> None:
    """nr_foll_pin_acquired counts a page that moves twice, nr_foll_pin_released once."""
    driver = drive(kernel)
    seen = run(driver, "online:h0-h3:movable", f"alloc:a:{pages}p:4k", "touch:a", f"pin:a:{pinner}")
    moved = pages if kernel == "6.1" else 0
    assert seen["pin_result"] == "0"
    assert seen["after"]["by_zone"] == {"Movable": pages - moved, "kernel": moved}
    assert seen["counters"][Counter.PGMIGRATE_SUCCESS] == moved
    assert seen["counters"][Counter.NR_FOLL_PIN_ACQUIRED] == pages + moved
    assert seen["counters"][Counter.NR_FOLL_PIN_RELEASED] == moved


@pytest.mark.parametrize("mib", [48, 96, 200])
@pytest.mark.parametrize("fits", [True, False])
def test_a_pin_fits_when_free_less_min_outside_movable_is_enough(
    drive: Any, mib: int, fits: bool
) -> None:
    """Else the OOM killer takes the process that pins (6.1); 5.10 pins in the same state."""
    for kernel in ("6.1", "5.10"):
        driver = drive(kernel)
        run(driver, f"hogfree:hog:{mib}", "online:h0-h3:movable")
        zones = driver.machine.engine.zones()
        outside = [row for kind, row in enumerate(zones.tolist()) if kind % 3 != ZoneKind.MOVABLE]
        room = sum(row[1] - row[2] for row in outside if row[0])
        pages = room + (-MARGIN_PAGES if fits else MARGIN_PAGES)
        run(driver, f"alloc:a:{pages}p:4k", "touch:a")
        if fits or kernel == "5.10":
            assert run(driver, "pin:a:iou")["pin_result"] == "0"
        else:
            with pytest.raises(ProcessKilledError):
                run(driver, "pin:a:iou")


@BOTH
@pytest.mark.parametrize("blocks", range(9))
def test_as_many_blocks_loop_as_hold_a_pinned_page(drive: Any, kernel: str, blocks: int) -> None:
    driver = drive(kernel)
    run(driver, "online:h0-h7:movable", "alloc:a:900:4k", "touch:a")
    if blocks:
        run(driver, f"pinblocks:a:{blocks}:iou")
    run(driver, "punch:a:256")
    seen = run(driver, "offlineall:0.02")
    looping = [b["result"] == "EINTR_after_bound" for b in seen["blocks"]]
    assert looping == [kernel == "5.10" and i < blocks for i in range(8)]


@BOTH
def test_a_pass_is_a_fixed_part_and_a_part_for_each_pinned_page(drive: Any, kernel: str) -> None:
    """Recorded: fits 1, 64, 1024 and 8192 pages within 2 to 4 %."""
    pass_ns = {}
    for pages in (64, 1_024, 8_192):
        driver = drive(kernel)
        run(driver, "online:h0:movable", f"alloc:a:{pages}p:4k", "touch:a", "pin:a:vmsplice")
        seen = run(driver, "offline:h0:10")
        assert seen["result"] == "EINTR_after_bound"
        pass_ns[pages] = 10**10 / seen["counters"][Counter.OFFLINE_PASSES]
    per_page = (pass_ns[8_192] - pass_ns[64]) / (8_192 - 64)
    assert pass_ns[1_024] == pytest.approx(pass_ns[64] + per_page * (1_024 - 64), rel=0.04)
    assert per_page > 0


@pytest.mark.parametrize(("pages", "held"), [(1, 0), (700, 0), (700, 699), (8_192, 4_000)])
def test_one_foreign_reference_fails_the_whole_pin(drive: Any, pages: int, held: int) -> None:
    """The others are moved by then and stay outside ZONE_MOVABLE, unpinned (6.1)."""
    driver = drive("6.1")
    run(driver, "online:h0-h1:movable", f"alloc:a:{pages}p:4k", "touch:a")
    run(driver, f"pin:a:vmsplice:{held}p:1p")
    seen = run(driver, "pin:a:iou")
    assert seen["pin_result"] == "ENOMEM"
    assert seen["after"]["by_zone"] == {"Movable": 1, "kernel": pages - 1}
    counters = seen["counters"]
    assert counters[Counter.NR_FOLL_PIN_ACQUIRED] == counters[Counter.NR_FOLL_PIN_RELEASED] == pages


@pytest.mark.parametrize("rounds", [1, 3, 7])
def test_migration_at_the_pin_is_one_way(drive: Any, rounds: int) -> None:
    """Only the first of many pins moves; each fresh buffer takes more of the other zones."""
    driver = drive("6.1")
    run(driver, "online:h0-h3:movable")
    free = driver.free_outside()
    for index in range(rounds):
        name = f"b{index}"
        run(driver, f"alloc:{name}:5000p:4k", f"touch:{name}")
        seen = run(driver, f"repin:{name}:iou:3")
        assert [r["moved"] for r in seen["rounds"]] == [5000, 0, 0]
    taken = free - driver.free_outside()
    assert taken == pytest.approx(rounds * 5_000, abs=MARGIN_PAGES)


@pytest.mark.parametrize("mib", [8, 30, 101])
@pytest.mark.parametrize("kind", ["4k", "thp"])
def test_an_offline_moves_what_the_block_holds(drive: Any, mib: int, kind: str) -> None:
    driver = drive("5.10")
    run(driver, "online:h0-h3:movable", f"alloc:a:{mib}:{kind}", "touch:a", "mark:a")
    seen = run(driver, "offline:was=a:30")
    pages = seen["target_block_pages_of_buffer"]
    moved = seen["counters"][Counter.PGMIGRATE_SUCCESS]
    assert (seen["result"], pages) == ("ok", mib * 256)
    assert pages <= moved <= pages + 64 + mib
