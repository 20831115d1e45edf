"""Malformed recorded cases name the line and the field, whatever is wrong with them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.host import Host
from engine.table import make_table
from fleet.errors import InputError
from fleet.lab.lines import Case, read
from fleet.lab.replay import replay
from policies.registry import profile
from tests.lab.cases import pin_line, spoiled, text

TABLE = make_table({c: int(s.value) for c, s in profile("linux-6.1").settings.items()})
RUNS = {
    "op": "runs:a", "va_runs": 1, "phys_runs": 1, "pageblocks": 2, "block_seq": [[0, 1024]],
    "errno": "0", "vmstat": {},
}  # fmt: skip
WRONG: list[Any] = [None, "x", "²", -1, 0, 1.5, True, 10**12, 10**30, [], {"x": None}]


def rich_line() -> dict[str, Any]:
    """A line with most of what is compared."""
    row = pin_line()
    dist = row["ops"][4]["after"]
    more = [
        RUNS | {"dist": dist},
        {"op": "repin:a:iou:1", "rounds": [{"pin_result": "0", "moved": 0}], "before": dist,
         "after": dist, "errno": "0", "vmstat": {}},
        {"op": "offlineall:1", "blocks": [{"block": 33, "result": "ok"}], "errno": "0",
         "vmstat": {}},
    ]  # fmt: skip
    row["ops"] = [{"op": "zones", "zones": {"DMA32": {"free": 180_000}}, "errno": "0",
                   "vmstat": {}}, *row["ops"], *more]  # fmt: skip
    return row


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to everything inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


def broken(path: tuple[Any, ...], wrong: Any) -> dict[str, Any]:
    """The line with something wrong at a place; ``...`` takes it out."""
    return spoiled(rich_line(), path, wrong)


def replayed(tmp_path: Path, row: dict[str, Any]) -> str:
    """Read and replay a line; the error it makes, or nothing."""
    path = tmp_path / "cases.jsonl"
    path.write_text(text(row))
    try:
        for case in read(path):
            if not isinstance(case, Case):
                raise case
            replay(case, Host, TABLE)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("wrong", [..., *WRONG], ids=str)
def test_no_malformed_line_is_more_than_one_error(tmp_path: Path, wrong: Any) -> None:
    """Every place of a line in turn: replayed, or an error that names line and field."""
    seen = set()
    for path in places(rich_line()):
        if "vmstat" in path[:-1] or path[0] in ("title", "run"):
            continue
        error = replayed(tmp_path, broken(path, wrong))
        if error:
            seen.add(path)
            where, _, rest = error.partition("cases.jsonl:1 ")
            assert where.endswith("/"), (path, error)
            assert ": " in rest, (path, error)
            assert "\n" not in error
    assert len(seen) > 20


@pytest.mark.parametrize(
    ("path", "wrong", "message"),
    [
        (("ops", 5, "after", "pages"), "x", "ops[5].after.pages: "),
        (("ops", 5, "after", "by_zone", "DMA32"), -1, "ops[5].after.by_zone.DMA32: "),
        (("ops", 5, "after", "lru"), ..., "ops[5].after.lru: "),
        (("ops", 4, "marked_block"), ..., "ops[4].marked_block: missing in what was recorded"),
        (("ops", 1, "op"), "online:x:movable", "ops[1].op: 'online:x:movable': 'x' is not a range"),
        (("ops", 10, "blocks", 0, "result"), 3, "ops[10].blocks[0].result: "),
        (("guest", "smp"), 0, "guest.smp: 0 is not positive"),
        (("guest", "dimms"), 10**9, "guest.dimms: 1000000000 is more than 65536"),
        (("guest", "numa_dimm_nodes"), [0, 9], "guest.numa_dimm_nodes: expected one node per"),
        (
            ("hot_blocks", 1),
            32,
            "hot_blocks[1]: expected different numbers from 8 to 65536, got 32",
        ),
        (("ops", 2, "op"), "alloc:a:4:8k", "ops[2].op: 'alloc:a:4:8k': '8k' is not one of 4k, thp"),
        (("ops", 2, "op"), "offline:h8:4", "ops[2]: the guest has 8 hot blocks"),
        (("ops", 2, "op"), "offline:b99:4", "ops[2]: the guest has 40 blocks"),
        (("ops", 2, "op"), "hognode:a:1:mov:4", "ops[2]: the guest has no node 1"),
        (("hot_blocks", 0), "x", "hot_blocks[0]: expected different numbers from 8 to 65536"),
    ],
)
def test_the_field_is_named(tmp_path: Path, path: Any, wrong: Any, message: str) -> None:
    assert f"cases.jsonl:1 {message}" in replayed(tmp_path, broken(path, wrong))


def test_the_rich_line_is_replayed(tmp_path: Path) -> None:
    assert replayed(tmp_path, rich_line()) == ""
    json.dumps(rich_line())
