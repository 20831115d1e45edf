"""The heap of the recorded driver program: which of its own pages it touches and gives back.

glibc's ``malloc``: a request of at least the mmap threshold gets pages of its own, which go back
to the kernel when it is freed, and the threshold then rises to its size; anything smaller lies on
the heap, whose pages stay with the process and are used again (malloc/malloc.c,
``DEFAULT_MMAP_THRESHOLD``, ``munmap_chunk``; the driver's recorded ``pgfault`` counts agree).
"""

from dataclasses import dataclass

PAGE_BYTES = 4096
HEADER_BYTES = 16
"""What ``malloc`` keeps in front of a request that it maps."""


@dataclass(slots=True)
class Heap:
    """Heap of one process.

    Attributes
    ----------
    mapped_from_pages : int
        Requests of at least so many pages are mapped by themselves (128 KiB at first).
    spare_pages : int
        Pages of the heap that were touched and are free again.
    """

    mapped_from_pages: int = 32
    spare_pages: int = 0

    def maps(self, size_bytes: int) -> bool:
        """Whether a request gets pages of its own."""
        return size_bytes >= self.mapped_from_pages * PAGE_BYTES

    def reuse(self, pages: int) -> int:
        """Take pages for a request on the heap; returns how many had been touched before."""
        old = min(pages, self.spare_pages)
        self.spare_pages -= old
        return old

    def unmapped(self, size_bytes: int) -> None:
        """A request with pages of its own was freed."""
        pages = -(-(size_bytes + HEADER_BYTES) // PAGE_BYTES)
        self.mapped_from_pages = max(self.mapped_from_pages, pages)
