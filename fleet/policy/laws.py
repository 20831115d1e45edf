"""What holds of every host whatever its policy: nothing is lost, nothing is in two places.

Only the surface that both engines share is read, so a law does not know how an engine works.
"""

from collections import Counter as Tally
from typing import Any

from engine.enums import Counter, Migratetype
from engine.shape import HostShape
from fleet.errors import FleetError

MANAGED, FREE, PCP, ISOLATED = 0, 1, 6, 7
"""Columns of ``zones()``."""
PFN, ORDER, AREA, INDEX, PINS, REFERENCES = range(6)
"""Columns of ``pages()``."""


class LawError(FleetError):
    """A law is broken; the text says which."""


def require(law: bool, text: str) -> None:
    """Raise LawError with ``text`` unless ``law`` holds."""
    if not law:
        raise LawError(text)


def free_chunks(host: Any, shape: HostShape) -> dict[int, tuple[int, int, int]]:
    """Return the free chunks of a host: pfn to (order, migratetype of the list, zone)."""
    chunks: dict[int, tuple[int, int, int]] = {}
    for zone in range(shape.nr_zones):
        for mt in range(len(Migratetype)):
            for order in range(shape.pageblock_order + 2):
                for pfn in host.free_list(zone, mt, order).tolist():
                    require(pfn not in chunks, f"chunk {pfn} is on two free lists")
                    chunks[pfn] = order, mt, zone
    return chunks


def check_memory(host: Any, shape: HostShape) -> None:
    """Every page is free, on a CPU's list or used, once; zones and blocks count them right.

    Raises LawError.
    """
    chunks, pages = free_chunks(host, shape), host.pages().tolist()
    blocks, zones = host.blocks().tolist(), host.zones().tolist()
    taken: Tally[int] = Tally()
    free, isolated, used = Tally[int](), Tally[int](), Tally[int]()
    in_block = [[0, 0, 0] for _ in blocks]
    for pfn, (order, mt, zone) in chunks.items():
        block = pfn // shape.block_pages
        require(blocks[block][0] == zone, f"chunk {pfn} is on a list of another zone")
        taken.update(range(pfn, pfn + (1 << order)))
        (isolated if mt == Migratetype.ISOLATE else free)[zone] += 1 << order
        in_block[block][0] += 1 << order
    for folio in pages:
        end = folio[PFN] + (1 << folio[ORDER])
        taken.update(range(folio[PFN], end))
        for pfn in range(folio[PFN], end, shape.pageblock_pages):
            size, block = min(shape.pageblock_pages, end - pfn), pfn // shape.block_pages
            used[blocks[block][0]] += size
            in_block[block][1] += size
            in_block[block][2] += size if folio[PINS] else 0
    for zone in range(shape.nr_zones):
        for cpu in range(len(shape.cpu_node)):
            taken.update(host.pcp(cpu, zone).tolist())
    twice = sorted(pfn for pfn, times in taken.items() if times > 1)
    require(not twice, f"pages in two places: {twice[:8]}")
    for zone, z in enumerate(zones):
        require(z[FREE] == free[zone], f"zone {zone}: free {z[FREE]}, lists {free[zone]}")
        require(z[ISOLATED] == isolated[zone], f"zone {zone}: isolated {z[ISOLATED]}")
        total = z[FREE] + z[PCP] + z[ISOLATED] + used[zone]
        require(z[MANAGED] == total, f"zone {zone}: managed {z[MANAGED]}, accounted for {total}")
    for block, (row, mine) in enumerate(zip(blocks, in_block, strict=True)):
        require(row[2:5] == mine, f"block {block}: free, used, pinned {row[2:5]}, recount {mine}")


def check_pins(host: Any) -> None:
    """Counts are not negative, and pins on pages are those acquired and not released.

    Raises LawError.
    """
    pins = 0
    for folio in host.pages().tolist():
        require(folio[PINS] >= 0 and folio[REFERENCES] >= 0, f"folio {folio}: a negative count")
        pins += folio[PINS]
    counters = host.counters
    live = int(counters[Counter.NR_FOLL_PIN_ACQUIRED] - counters[Counter.NR_FOLL_PIN_RELEASED])
    require(live == pins, f"pins acquired - released = {live}, on pages {pins}")


def held(host: Any) -> dict[tuple[int, int], int]:
    """Return where the folios lie that somebody refers to: (area, index) to pfn."""
    return {(f[AREA], f[INDEX]): f[PFN] for f in host.pages().tolist() if f[REFERENCES]}


def pinned(host: Any) -> dict[tuple[int, int], int]:
    """Return where the folios lie that are pinned for long: (area, index) to pfn."""
    return {(f[AREA], f[INDEX]): f[PFN] for f in host.pages().tolist() if f[PINS]}


def check_moves(
    before: dict[tuple[int, int], int], after: dict[tuple[int, int], int], what: str
) -> None:
    """A folio that is held before and after a step has not moved; LawError otherwise."""
    for place, pfn in before.items():
        require(after.get(place, pfn) == pfn, f"{what} page {place} was moved")
