"""Small synthetic case lines for the tests."""

import copy
import json
from typing import Any

DIST = {
    "pages": 1024, "absent": 0, "moved_since_last": 0, "thp": 0, "hugetlb": 0, "lru": 1024,
    "by_zone": {"Movable": 1024}, "by_block": {"32": 1024},
}  # fmt: skip


def line(ops: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """A case line with the given operation records."""
    row: dict[str, Any] = {
        "case": "synthetic",
        "kernel": "6.1",
        "title": "a line of the tests",
        "guest": {
            "mem": "1G", "dimms": 2, "dimm_mb": 512, "block_mb": 128, "smp": 1, "machine": "pc",
        },
        "hot_blocks": [32, 33, 34, 35, 36, 37, 38, 39],
        "fate": "finished",
        "run": 1,
        "ops": [{"errno": "0", "vmstat": {}} | op for op in ops],
    }  # fmt: skip
    return row | changes


def pin_line(**changes: Any) -> dict[str, Any]:
    """Touched pages, a long-term pin as 6.1 does it, and an offline that succeeds."""
    moved = DIST | {
        "moved_since_last": 1024, "by_zone": {"DMA32": 1024}, "by_block": {"0": 1024}
    }  # fmt: skip
    return line(
        [
            {"op": "online:h0-h1:movable"},
            {"op": "alloc:a:4:4k"},
            {"op": "touch:a"},
            {"op": "mark:a", "dist": DIST, "marked_block": 32},
            {
                "op": "pin:a:iou", "before": DIST, "after": moved, "pin_pages": 1024,
                "pin_result": "0",
                "vmstat": {
                    "pgmigrate_success": 1024, "nr_foll_pin_acquired": 2048,
                    "nr_foll_pin_released": 1024,
                },
            },
            {"op": "offline:was=a:6", "block": 32, "result": "ok"},
            {
                "op": "blockstates",
                "hot_blocks": {str(b): "Movable" if b == 33 else "offline" for b in range(32, 40)},
            },
        ],
        **changes,
    )  # fmt: skip


def text(*rows: dict[str, Any]) -> str:
    """Rows as JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def spoiled(whole: dict[str, Any], path: tuple[Any, ...], wrong: Any) -> dict[str, Any]:
    """A copy with something else at a place; ``...`` takes it out."""
    copied = copy.deepcopy(whole)
    inner: Any = copied
    for key in path[:-1]:
        inner = inner[key]
    if wrong is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = wrong
    return copied
