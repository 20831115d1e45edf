"""The heap of the recorded driver: what is mapped by itself, what is used again."""

from fleet.lab.heap import PAGE_BYTES, Heap

LARGE = 192 * PAGE_BYTES


def test_large_requests_are_mapped_until_one_was_freed() -> None:
    heap = Heap()
    assert not heap.maps(31 * PAGE_BYTES)
    assert heap.maps(32 * PAGE_BYTES)
    assert heap.maps(LARGE)
    heap.unmapped(LARGE)
    assert not heap.maps(LARGE)
    assert heap.maps(LARGE + PAGE_BYTES)


def test_the_threshold_never_falls() -> None:
    heap = Heap()
    heap.unmapped(LARGE)
    heap.unmapped(40 * PAGE_BYTES)
    assert not heap.maps(LARGE)


def test_freed_heap_is_used_again() -> None:
    heap = Heap()
    assert heap.reuse(5) == 0
    heap.spare_pages += 12
    assert [heap.reuse(8), heap.reuse(8), heap.reuse(8)] == [8, 4, 0]
