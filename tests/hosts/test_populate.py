"""A fresh host holds what it should, by the reference engine."""

from dataclasses import dataclass

import numpy as np
import pytest

from engine.costs import CostModel
from engine.enums import Op, Row, ZoneKind
from engine.reference.host import ReferenceHost
from engine.rows import COLUMNS, FIRST, NR_COLUMNS
from engine.shape import HostShape
from fleet.hosts.populate import FIRST_SLOT, populate
from policies.arms import parse_arm


@dataclass
class Own:
    kernel_pages: np.ndarray
    cache_pages: np.ndarray
    base_pages: np.ndarray


@dataclass
class Tiny:
    """A plan of two hosts with little memory."""

    seed: int
    replication: int
    hosts: Own


def plan(seed: int = 1, kernel: int = 300, cache: int = 500, base: int = 200) -> Tiny:
    columns = (np.array([pages, pages], np.int64) for pages in (kernel, cache, base))
    return Tiny(seed, 0, Own(*columns))


def shape() -> HostShape:
    zones = (ZoneKind.DMA32, *[ZoneKind.NORMAL] * 3, *[ZoneKind.MOVABLE] * 4)
    return HostShape(3, 256, (0,) * 4 + (0,) * 4, zones, (1, 0, 0, 0, 0, 0, 0, 0), (0, 0))


def test_own_memory_is_there() -> None:
    arm = parse_arm("kernel+unbounded", "linux-6.1", "movable-50")
    host = ReferenceHost(shape(), arm.table(), CostModel().vector())
    commands, first_slot = populate(plan(), 0, shape(), 5)
    rows = host.execute(commands, 6)
    errno = rows[rows[:, 1] == Row.RESULT, FIRST + COLUMNS[Row.RESULT].index("errno")]
    assert first_slot == FIRST_SLOT
    assert np.all(errno == 0)
    assert rows.shape[1] == NR_COLUMNS
    blocks = host.blocks()
    assert blocks[:, 3].sum() == 300 + 500 + 200
    assert blocks[:, 5].sum() == 500


def test_pieces_cover_each_area_once_in_a_drawn_order() -> None:
    commands, _ = populate(plan(), 0, shape(), 5)
    touches = commands[commands[:, 1] == Op.TOUCH]
    for area, pages in enumerate((300, 200, 500)):
        own = touches[touches[:, 2] == area]
        own = own[np.argsort(own[:, 3])]
        assert own[0, 3] == 0
        assert np.all(own[1:, 3] == own[:-1, 3] + own[:-1, 4])
        assert own[-1, 3] + own[-1, 4] == pages
    assert len(set(touches[:6, 2].tolist())) > 1


@pytest.mark.parametrize(("host", "seed", "equal"), [(0, 1, True), (1, 1, False), (0, 2, False)])
def test_the_order_is_about_the_host_alone(host: int, seed: int, equal: bool) -> None:
    one, _ = populate(plan(), 0, shape(), 5)
    other, _ = populate(plan(seed), host, shape(), 5)
    assert np.array_equal(one, other) == equal


def test_nothing_asked_nothing_mapped() -> None:
    commands, _ = populate(plan(kernel=0, cache=0, base=0), 0, shape(), 5)
    assert commands[:, 1].tolist() == [Op.SPAWN]
