"""The C allocator serves pages as a buddy allocator must, and as often as the engine."""

import ctypes

import numpy as np
import pytest

from benchmarks.against_c import make_hosts
from benchmarks.buddy import BuddyHost, build, compiler
from benchmarks.demands import Demand, random_pages
from benchmarks.driver import page_commands, vm_commands
from engine.enums import AreaKind, Op

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    return build()


def test_a_vm_gets_every_page_once_and_owns_it(library: ctypes.CDLL) -> None:
    host = BuddyHost(library, 4096, 3000)
    host.churn([Demand(True, 0, 3000), Demand(True, 1, 1096)])
    frames = np.concatenate([host.table[0], host.table[1, :1096]])
    assert sorted(frames.tolist()) == list(range(4096))
    assert host.free_pages == 0
    assert {host.owner(int(pfn)) for pfn in host.table[0]} == {0}
    assert {host.owner(int(pfn)) for pfn in host.table[1, :1096]} == {1}
    host.close()


def test_a_full_host_refuses(library: ctypes.CDLL) -> None:
    host = BuddyHost(library, 1024, 1025)
    with pytest.raises(MemoryError):
        host.churn([Demand(True, 0, 1025)])
    host.close()


def test_freed_pages_merge_so_that_the_next_vm_is_contiguous(library: ctypes.CDLL) -> None:
    host = BuddyHost(library, 4096, 4096)
    host.churn([Demand(True, 0, 4096)])
    scattered = np.stack([np.zeros(4096, np.int64), np.random.default_rng(1).permutation(4096)], 1)
    host.free(scattered)
    assert host.owner(17) == -1
    assert host.free_pages == 4096
    host.churn([Demand(True, 0, 1024)])
    assert np.diff(host.table[0, :1024].astype(np.int64)).tolist() == [1] * 1023
    host.close()


def test_the_page_freed_last_is_taken_first(library: ctypes.CDLL) -> None:
    host = BuddyHost(library, 1024, 1024)
    host.churn([Demand(True, 0, 1024)])
    pages = np.array([[0, 10], [0, 100], [0, 900]])
    freed = host.table[0, pages[:, 1]].tolist()
    host.free(pages)
    host.touch(pages)
    assert host.table[0, pages[:, 1]].tolist() == freed[::-1]
    assert host.free_pages == 0
    host.close()


def test_both_sides_hold_the_same_pages_after_the_same_demands(library: ctypes.CDLL) -> None:
    hosts = make_hosts(library, 8, 1, ("4 KiB",))
    engine = hosts.engines["4 KiB"]
    for turn in range(3):
        demands = hosts.churn.turn(2)
        hosts.c.churn(demands)
        engine.run(vm_commands(demands, AreaKind.ANON))
        hosts.check()
        assert hosts.c.free_pages < 2 << 18
        freed, touched = random_pages(hosts.churn.running, 300, turn)
        hosts.c.free(freed)
        engine.run(page_commands(Op.FREE, freed))
        hosts.check()
        hosts.c.touch(touched)
        engine.run(page_commands(Op.TOUCH, touched))
        hosts.check()
    hosts.c.free(freed[:1])
    with pytest.raises(RuntimeError, match="free pages differ"):
        hosts.check()
    hosts.c.close()
