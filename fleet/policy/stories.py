"""Small stories of pins and offlines, each with what an operator would see at its end.

A host has four blocks of kernel zones and four of ZONE_MOVABLE, 16 pages each (a huge page is four
pages), and where it says so a second node. An offline has half a virtual minute.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

from engine.enums import AreaKind, Counter, Errno, OfflineReason, Op, Row, ZoneKind
from fleet.policy.pair import Int64, Pair, tiny_shape

Seen = dict[str, str]
"""What was seen, by what was looked at."""

SECOND_NS = 1_000_000_000
PATIENCE_NS = 30 * SECOND_NS
"""How long an operator waits for an offline."""
ONE_NODE, TWO_NODES = "NNNNMMMM", "NNNNMMMM|NNNNMMMM"
PAGES = 16
"""Pages of most areas: four huge ones."""
PIN, HOLD, AREA, OTHER, HOG = 9, 8, 1, 2, 3
"""Numbers of the pin, the foreign reference and the areas of a story."""
PAGE_KINDS = {"4 KiB": AreaKind.ANON, "THP": AreaKind.THP}


@dataclass(frozen=True, slots=True)
class Story:
    """What happens on a host.

    Attributes
    ----------
    name : str
        In a few words.
    nodes : str
        The host, as ``tiny_shape`` draws it.
    play : callable
        Runs it and returns what was seen.
    """

    name: str
    nodes: str
    play: Callable[[Pair], Seen]

    def run(self, table: Int64, classes: tuple[type, ...] = ()) -> Seen:
        """Play on a fresh host under a table, on both engines. Raises ``laws.LawError``."""
        pair = Pair(tiny_shape(self.nodes), table, classes)
        pair.do(Op.MIN_FREE, 8)
        for proc in (1, 2):
            pair.do(Op.SPAWN, proc, 0, 0)
        return self.play(pair)


# -- what is looked at ----------------------------------------------------------------------------


def _pfns(pair: Pair, area: int) -> list[int]:
    """Pfn of every page of an area, negative where absent."""
    out: list[int] = []
    for _, count, pfn, step in pair.host.area(area).tolist():
        stride = 0 if pfn < 0 else -1 if step == -1 else 1
        out += [pfn + stride * i for i in range(count)]
    return out


def _zones(pair: Pair, area: int) -> str:
    """Where the pages of an area lie, in virtual order: ``8 movable, 8 normal``."""
    blocks = pair.host.blocks()[:, 0].tolist()
    size = pair.shape.block_pages
    kinds = [
        ZoneKind(blocks[p // size] % len(ZoneKind)).name.lower() if p >= 0 else "absent"
        for p in _pfns(pair, area)
    ]
    return ", ".join(f"{len(list(run))} {kind}" for kind, run in groupby(kinds))


def _block(pair: Pair, area: int, index: int = 0) -> int:
    """Memory block of a page."""
    return _pfns(pair, area)[index] // pair.shape.block_pages


def _errno(errno: int) -> str:
    return "ok" if errno == Errno.OK else f"-{Errno(errno).name}"


def _pin(pair: Pair, count: int = PAGES, area: int = AREA) -> Seen:
    """Pin an area; what came of it and who paid."""
    killed = int(pair.host.counters[Counter.OOM_KILL])
    result = pair.do(Op.PIN, PIN, area, 0, count, 0, -1)
    seen = {"pin": _errno(result["errno"])}
    if result["migrated_pages"]:
        seen["moved at the pin"] = f"{result['migrated_pages']} pages"
    if result["latency_ns"] >= SECOND_NS:
        seen["the pin took"] = f"{result['latency_ns'] / SECOND_NS:.0f} s"
    if pair.host.counters[Counter.OOM_KILL] > killed:
        seen["OOM killer"] = "yes"
    if getattr(pair.host, "panicked", False):
        seen["panic"] = "yes"
    return seen


def _where(pair: Pair, area: int = AREA) -> Seen:
    alive = pair.host.pages()[:, 2].tolist()
    return {"pages lie in": _zones(pair, area) if area in alive else "nothing, its process died"}


def _offline(pair: Pair, block: int) -> Seen:
    """Ask for a block; whether it came, how the attempt ended, how long pages were away."""
    result = pair.do(Op.OFFLINE, 1, block, 1, 0)
    if result["errno"]:
        return {"offline": _errno(result["errno"])}
    pair.wait(PATIENCE_NS)
    if not pair.host.offline_running:
        (attempt,) = pair.seen(Row.ATTEMPT)
        reason = OfflineReason(attempt["reason"])
        why = "" if reason is OfflineReason.NONE else f" ({reason.name.lower().replace('_', ' ')})"
        seen = {"offline": ("done" if not why else _errno(attempt["errno"])) + why}
    else:
        pair.do(Op.STATUS, 1)
        (attempt,) = pair.seen(Row.ATTEMPT)
        seen = {"offline": "hangs"}
    seen["passes"] = "a few" if attempt["passes"] <= 8 else "many"
    away = "for seconds" if attempt["unavailable_ns"] >= SECOND_NS else ""
    return seen | ({"mappings away": away} if away else {})


def _offline_if_movable(pair: Pair, area: int = AREA) -> Seen:
    """Ask for the first ZONE_MOVABLE block that the area has pages in."""
    blocks = pair.host.blocks()[:, 0].tolist()
    mine = sorted({p // pair.shape.block_pages for p in _pfns(pair, area) if p >= 0})
    movable = [b for b in mine if blocks[b] % len(ZoneKind) == ZoneKind.MOVABLE]
    return _offline(pair, movable[0]) if movable else {"offline": "no page is in MOVABLE"}


# -- stories --------------------------------------------------------------------------------------


def _map(
    pair: Pair, kind: int, present: int, area: int = AREA, pages: int = PAGES, hinted: int = 0
) -> None:
    """Map an area of process 1 and touch its first pages."""
    pair.do(Op.MAP, area, 1, kind, pages, hinted)
    if present:
        pair.do(Op.TOUCH, area, 0, present, -1, -1)


def _pinned_then_offlined(kind: AreaKind, present: int) -> Callable[[Pair], Seen]:
    def play(pair: Pair) -> Seen:
        _map(pair, kind, present)
        return _pin(pair) | _where(pair) | _offline_if_movable(pair)

    return play


def _foreign_reference(kind: AreaKind) -> Callable[[Pair], Seen]:
    def play(pair: Pair) -> Seen:
        _map(pair, kind, PAGES)
        pair.do(Op.HOLD, HOLD, AREA, 4, 4)
        seen = _pin(pair) | _where(pair)
        pair.do(Op.UNPIN, HOLD)
        return seen | _offline_if_movable(pair)

    return play


def _direct_io(pair: Pair) -> Seen:
    _map(pair, AreaKind.ANON, PAGES)
    pair.do(Op.IO, AREA, 4 * 10**12 // PAGES, 1, SECOND_NS // 5000, 3)
    return _pin(pair) | _where(pair)


def _hinted(pair: Pair) -> Seen:
    _map(pair, AreaKind.ANON, PAGES, hinted=1)
    return {"first touch": _zones(pair, AREA)} | _pin(pair) | _where(pair)


def _no_kernel_memory(pair: Pair) -> Seen:
    _map(pair, AreaKind.ANON, PAGES)
    pair.do(Op.MAP, HOG, 2, AreaKind.KERNEL, 64, 0)
    for index in range(64):
        if all(z[1] <= z[2] + 4 for z in pair.host.zones().tolist()[:2] if z[0]):
            break
        pair.do(Op.TOUCH, HOG, index, 1, -1, -1)
    pair.do(Op.MAP, OTHER, 2, AreaKind.ANON, PAGES, 0)
    pair.do(Op.TOUCH, OTHER, 0, PAGES, -1, -1)
    return _pin(pair) | _where(pair)


def _page_cache(kind: AreaKind) -> Callable[[Pair], Seen]:
    def play(pair: Pair) -> Seen:
        _map(pair, kind, PAGES // 2)
        return _pin(pair) | _where(pair)

    return play


def _hugetlb(pair: Pair) -> Seen:
    pair.do(Op.POOL, 0, 6)
    _map(pair, AreaKind.HUGETLB, 8, pages=8)
    return _pin(pair, 8) | _where(pair) | _offline_if_movable(pair)


def _listed(pair: Pair) -> Seen:
    """A pin of pages that a running offline has on its list."""
    _map(pair, AreaKind.ANON, 8, pages=8)
    _map(pair, AreaKind.ANON, 8, OTHER, 8)
    pair.do(Op.HOLD, HOLD, OTHER, 0, 8)
    pair.do(Op.HOLD, HOLD - 1, AREA, 0, 8)
    pair.do(Op.OFFLINE, 1, _block(pair, AREA), 1, 0)
    pair.wait(SECOND_NS + SECOND_NS // 2)
    for _ in range(200):
        if pair.host.pages()[:, 6].any():
            break
        pair.wait(SECOND_NS // 100)
    pair.do(Op.UNPIN, HOLD - 1)
    seen = _pin(pair, 8) | _where(pair)
    pair.do(Op.UNPIN, HOLD)
    pair.wait(PATIENCE_NS)
    return seen | {"offline": "hangs" if pair.host.offline_running else "done"}


def _kernel_block(pair: Pair) -> Seen:
    """A pin in a kernel-zone block that a running offline has isolated."""
    _map(pair, AreaKind.ANON, 4, pages=4)
    pair.do(Op.HOLD, HOLD, AREA, 0, 4)
    block = _block(pair, AREA)
    pair.do(Op.OFFLINE, 1, block, 1, 0)
    pair.wait(3 * SECOND_NS)
    pair.do(Op.UNPIN, HOLD)
    seen = _pin(pair, 4)
    left = block not in {p // pair.shape.block_pages for p in _pfns(pair, AREA) if p >= 0}
    pair.wait(PATIENCE_NS)
    done = "hangs" if pair.host.offline_running else "done"
    return seen | {"pages left the block": "yes" if left else "no", "offline": done}


def _unpinned(kind: AreaKind) -> Callable[[Pair], Seen]:
    def play(pair: Pair) -> Seen:
        _map(pair, kind, PAGES // 2)
        seen = _pin(pair)
        pair.do(Op.UNPIN, PIN)
        return seen | {"after the unpin": _zones(pair, AREA)}

    return play


def _reference_goes(pair: Pair) -> Seen:
    """A short reference that is dropped after ten seconds."""
    _map(pair, AreaKind.ANON, PAGES)
    pair.do(Op.HOLD, HOLD, AREA, 0, 1)
    pair.do(Op.OFFLINE, 1, _block(pair, AREA), 1, 0)
    pair.wait(10 * SECOND_NS)
    if not pair.host.offline_running:
        return {"offline": "gave up before the reference went"}
    pair.do(Op.UNPIN, HOLD)
    pair.wait(PATIENCE_NS)
    return {"offline": "hangs" if pair.host.offline_running else "done"}


def _no_room(pair: Pair) -> Seen:
    """The other node is full; the block's own has room."""
    _map(pair, AreaKind.ANON, PAGES)
    pair.do(Op.MAP, HOG, 2, AreaKind.ANON, 128, 0)
    for index in range(128):
        if all(z[1] <= z[2] + 2 for z in pair.host.zones().tolist()[3:] if z[0]):
            break
        pair.do(Op.TOUCH, HOG, index, 1, -1, 1)
    return _offline(pair, _block(pair, AREA))


def _plain(pair: Pair) -> Seen:
    _map(pair, AreaKind.ANON, PAGES)
    return _offline(pair, _block(pair, AREA))


def _stories() -> Iterator[Story]:
    for pages, kind in PAGE_KINDS.items():
        for what, present in (("untouched", 0), ("half touched", PAGES // 2), ("touched", PAGES)):
            play = _pinned_then_offlined(kind, present)
            yield Story(f"{what} memory is pinned, {pages}", ONE_NODE, play)
        name = f"somebody else refers to a page that is pinned, {pages}"
        yield Story(name, ONE_NODE, _foreign_reference(kind))
        yield Story(f"a pin is released, {pages}", ONE_NODE, _unpinned(kind))
    yield Story("memory with direct I/O in flight is pinned", ONE_NODE, _direct_io)
    yield Story("memory hinted as 'will be pinned' is touched and pinned", ONE_NODE, _hinted)
    yield Story("memory is pinned with the kernel zones full", ONE_NODE, _no_kernel_memory)
    yield Story("a file's page cache is pinned", ONE_NODE, _page_cache(AreaKind.FILE))
    yield Story("shared memory is pinned", ONE_NODE, _page_cache(AreaKind.SHMEM))
    yield Story("hugetlb pages are pinned", ONE_NODE, _hugetlb)
    yield Story("pages on the list of an offline are pinned", TWO_NODES, _listed)
    yield Story(
        "pages of a kernel-zone block going offline are pinned", "NNNNNN|NNNN", _kernel_block
    )
    yield Story("a block with nothing held goes offline", TWO_NODES, _plain)
    yield Story(
        "a block goes offline whose page is referenced for 10 s", TWO_NODES, _reference_goes
    )
    yield Story("a block goes offline with the other node full", TWO_NODES, _no_room)


STORIES: tuple[Story, ...] = tuple(_stories())
"""All stories, those of pins first."""
