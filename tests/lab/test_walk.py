"""The random walk of occupancy: as recorded, and inside its limits."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.lab.operations import MIXED_CHUNKS, parse
from fleet.lab.walk import UNIT_PAGES, NoWalkError, walk

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "kernel-lab" / "placement.jsonl"


def recorded_walks() -> Iterator[tuple[str, int, tuple[int, int, int]]]:
    """Operation, pages the hog filled, and (steps, present, freed) of every recorded walk."""
    for text in RECORDED.read_text().splitlines():
        used = 0
        for op in json.loads(text)["ops"]:
            used = op.get("hog_pages", used)
            if op["op"].startswith("steady:"):
                yield op["op"], used, (op["steps"], op["present_pages"], op["freed_pages"])


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded cases are not there")
def test_every_recorded_walk_is_drawn_as_recorded() -> None:
    found = sorted(set(recorded_walks()))
    assert len({seen for _, _, seen in found}) >= 9
    for text, used, seen in found:
        _, seed, chunks, goal, low, high = parse(text).args
        drawn = walk(seed, used, chunks, goal, low, high)
        assert (len(drawn.steps), drawn.present_pages, drawn.freed_pages) == seen, text


@pytest.mark.parametrize("chunks", [(1,), (16,), (512,), MIXED_CHUNKS])
def test_a_walk_stays_inside_its_limits_and_accounts_every_page(chunks: tuple[int, ...]) -> None:
    used = 20 * UNIT_PAGES + 77
    pages, here, freed = 20 * UNIT_PAGES, [True] * 20 * UNIT_PAGES, 0
    present = pages
    drawn = walk(3, used, chunks, 4 * pages, 60, 80)
    reached = False
    for frees, first, count in drawn.steps:
        assert here[first] is frees
        before = sum(here[first : first + count])
        freed += before if frees else 0
        here[first : first + count] = [not frees] * count
        present += (0 if frees else count) - before
        reached = reached or present < pages * 80 // 100
        assert not reached or pages * 60 // 100 - 512 < present < pages * 80 // 100 + 512
    assert (sum(here), freed) == (drawn.present_pages, drawn.freed_pages)
    assert 4 * pages <= freed < 4 * pages + 512


def test_a_walk_without_a_chunk_to_find_goes_on_with_another_size() -> None:
    drawn = walk(1, UNIT_PAGES, MIXED_CHUNKS, 4 * UNIT_PAGES, 1, 99)
    assert drawn.freed_pages >= 4 * UNIT_PAGES


@pytest.mark.parametrize(("chunk", "low", "high"), [(1, 0, 0), (512, 0, 0), (300, 0, 1)])
def test_a_walk_that_can_go_nowhere_is_refused(chunk: int, low: int, high: int) -> None:
    with pytest.raises(NoWalkError, match="no chunk is left to free"):
        walk(1, UNIT_PAGES, (chunk,), 4 * UNIT_PAGES, low, high)
