"""Memory that goes back to the system."""

from benchmarks.process_tree import resident_bytes
from fleet.run.heap import give_back


def test_what_was_freed_goes_back() -> None:
    """Blocks of 64 KiB come from the heap, and the last one keeps the rest there."""
    blocks = [b"x" * (1 << 16) for _ in range(512)]
    last = b"x" * (1 << 16)
    filled = resident_bytes()
    blocks.clear()
    give_back()
    assert resident_bytes() < filled - (24 << 20)
    assert len(last) == 1 << 16
