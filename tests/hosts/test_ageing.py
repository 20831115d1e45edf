"""Statistics of aged hosts stay where docs/ageing.md says they are."""

import numpy as np
import pytest

from benchmarks.histories import Content, Subject
from engine.enums import AreaKind, Op
from fleet.hosts.ageing import BASE, HISTORIES, KERNEL, Own, first_slot, history
from fleet.hosts.shape import host_shape

GIB = 1 << 18
BLOCKS = 24
"""MOVABLE memory blocks of a node of a host of 192 GiB."""


@pytest.mark.parametrize("depth", HISTORIES)
def test_what_stays_is_the_hosts_own(depth: str) -> None:
    subject = Subject(128, 3, depth)
    blocks = subject.host.blocks()
    assert blocks[:, 3].sum() == pytest.approx(subject.pages * 0.06, rel=0.01)  # tenants are gone
    assert blocks[:, 6].sum() == subject.pages // 25
    assert blocks[blocks[:, 0] % 3 == 2, 6].sum() == 0  # no kernel memory in MOVABLE


def test_default_splits_what_it_should() -> None:
    found = [Subject(128, number, "default").content() for number in range(4)]
    for content in found:
        assert 0.05 < content.split < 0.08
        assert content.runs < 6  # 192 bytes
        assert 0.1 < content.never_used < 0.13
        assert content.kernel > 0.05  # 4 % of memory on more than 5 % of the pageblocks
    assert len({content.split for content in found}) == 4


def touched(depth: str) -> tuple[int, int]:
    """Memory blocks of MOVABLE that a THP buffer of 1 GiB touches, after VMs and after a churn."""
    subject = Subject(192, 1, depth)
    for vm in subject.fill(0.3)[::2]:
        subject.do(Op.EXIT, vm)
    movable = subject.host.blocks()[:, 0] % 3 == 2
    buffers = [
        subject.blocks_of(subject.place(kind, GIB)) for kind in (AreaKind.THP, AreaKind.ANON)
    ]
    first, second = (sum(bool(movable[b]) for b in buffer) for buffer in buffers)
    return first, second


@pytest.mark.parametrize("depth", ["shallow", "default", "deep"])
def test_buffers_are_as_scattered_as_the_frees_before(depth: str) -> None:
    expected = BLOCKS * (1 - (1 - 1 / BLOCKS) ** 512)
    assert min(touched(depth)) > 0.9 * expected
    assert max(touched("none")) < 0.5 * expected


def test_a_history_is_about_the_host_alone() -> None:
    shape = host_shape(64 * GIB, GIB, 1, 8, 500_000)
    own = Own((1, 0, 5), 70_000, 30_000)
    assert np.array_equal(history(own, shape, "deep"), history(own, shape, "deep"))
    other = history(Own((1, 0, 6), 70_000, 30_000), shape, "deep")
    assert not np.array_equal(history(own, shape, "deep")[:, 3], other[:, 3])
    assert (history(own, shape, "none", 77)[:, 0] == 77).all()
    assert first_slot(shape) > max(KERNEL, BASE)


def test_never_used_memory_is_counted_once() -> None:
    subject = Subject(64, 0, "none")
    content = Content(subject.host)
    assert 0.9 < content.never_used < 0.95
