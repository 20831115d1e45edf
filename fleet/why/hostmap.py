"""The memory of one host at a time, replayed: blocks, zones, and who pins most."""

from dataclasses import dataclass
from typing import Any

from fleet.hosts.blockmap import Line, lines
from fleet.hosts.zones import zone_name
from fleet.report import units
from fleet.report.blockmap import Block, blocks_of
from fleet.why.replay import Replay
from fleet.why.watched import Moment
from fleet.why.words import stamp


@dataclass(frozen=True)
class HostMap:
    """A host at a time.

    Attributes
    ----------
    title, subtitle : str
        What there is to see, and which host when.
    blocks : list of Block
        Empty while the host is down.
    lines : list of fleet.hosts.blockmap.Line
        The map as text.
    zones : list of dict
        Per populated zone: name, managed, free, min, pinned (pages), blocks, pinned_blocks.
    """

    title: str
    subtitle: str
    blocks: list[Block]
    lines: list[Line]
    zones: list[dict[str, Any]]


def host_map(replay: Replay, at_ns: int) -> HostMap:
    """Return a host as it is after everything that happens at a time (InputError: see replay)."""
    moment = replay.to(at_ns + 1).last
    name = replay.plan.hosts.name[replay.host]
    where = f"host {replay.host} ({name}) at {stamp(at_ns)}, {replay.arm}/{replay.rep}"
    if moment is None:
        return HostMap(f"Host {replay.host} is down", where, [], [], [])
    blocks = _blocks(moment)
    text = lines(moment.engine.blocks(), moment.engine.shape, unmovable=True)
    return HostMap(_title(blocks), where, blocks, text, _zones(moment, blocks))


def _blocks(moment: Moment) -> list[Block]:
    shape = moment.engine.shape
    reserved = [count * shape.pageblock_pages for count in shape.block_reserved]
    rows = moment.engine.blocks().tolist()
    return blocks_of(rows, shape.block_node, shape.block_pages, reserved)


def _title(blocks: list[Block]) -> str:
    """Say the finding: how much of ZONE_MOVABLE cannot be taken back."""
    movable = [block for block in blocks if block.zone >= 0 and block.zone % 3 == 2]
    held = [block for block in movable if block.pinned]
    pinned = units.pages(sum(block.pinned for block in blocks))
    if not movable:
        kept = sum(block.unmovable > 0 for block in blocks)
        return f"No ZONE_MOVABLE: {kept} of {len(blocks)} blocks hold unmovable memory"
    if not held:
        return f"No block of ZONE_MOVABLE holds a pin; {pinned} are pinned in kernel zones"
    share = units.pages(sum(block.pinned for block in held))
    return f"{len(held)} of {len(movable)} blocks of ZONE_MOVABLE hold a pin, {share} in all"


def _zones(moment: Moment, blocks: list[Block]) -> list[dict[str, Any]]:
    """What each zone holds."""
    found = []
    for zone, row in enumerate(moment.engine.zones().tolist()):
        own = [block for block in blocks if block.zone == zone]
        if own:
            found.append({
                "zone": zone_name(zone), "managed_pages": row[0], "free_pages": row[1],
                "min_pages": row[2], "pinned_pages": sum(block.pinned for block in own),
                "blocks": len(own), "pinned_blocks": sum(block.pinned > 0 for block in own),
            })  # fmt: skip
    return found
