"""Maps of memory blocks: what they say is what the log and the engine say."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from fleet.cli.app import main
from fleet.errors import InputError
from fleet.report.blockmap import STATES, Block, blocks_of, groups
from fleet.report.blockmap_svg import svg
from fleet.why.hostmap import host_map
from fleet.why.replay import Replay
from fleet.why.source import Source
from fleet.why.times import parse_at

SECOND = 10**9


@pytest.mark.parametrize("arm", range(5))
def test_a_map_agrees_with_the_sample_of_that_time(aged: Source, arm: int) -> None:
    unit = aged.units[arm]
    for host in (0, 3):
        replay = Replay(aged, *unit, host)
        for row in aged.rows("host_samples", *unit, host=host, time_ns=120 * SECOND).to_pylist():
            shown = host_map(replay, 120 * SECOND)
            own = [block for block in shown.blocks if block.zone == row["zone"]]
            assert len(own) == row["blocks_online"]
            assert sum(block.pinned for block in own) == row["pinned_pages"]
            assert sum(block.pinned > 0 for block in own) == row["blocks_pinned"]
            for block in shown.blocks:
                parts = block.unmovable, block.pinned, block.movable, block.cache, block.free
                assert block.zone < 0 or sum(parts) == block.pages
                assert min(parts) >= 0


def test_a_host_that_is_down_is_said_to_be(reboots: Source) -> None:
    arm, rep = reboots.units[0]
    reset = reboots.rows("incidents", arm, rep, kind="reset").to_pylist()[0]
    shown = host_map(Replay(reboots, arm, rep, reset["host"]), reset["time_ns"])
    assert shown.blocks == []
    assert shown.title.endswith("is down")
    ET.fromstring(svg(shown.blocks, shown.title, shown.subtitle))


def test_the_picture_is_whole_without_scripts_and_network(aged: Source) -> None:
    shown = host_map(Replay(aged, *aged.units[0], 1), 120 * SECOND)
    text = svg(shown.blocks, shown.title, "a < b & c")
    root = ET.fromstring(text)
    assert root.attrib["role"] == "img"
    assert not re.search(r"<script|https?://(?!www\.w3\.org/2000/svg)|@import", text)
    assert text.count("<g><title>block ") == len(shown.blocks)
    assert "prefers-color-scheme:dark" in text
    wide = float(root.attrib["width"])
    boxes = [e for e in root.iter() if e.tag.endswith("rect") and "x" in e.attrib]
    assert all(float(e.attrib["x"]) + float(e.attrib["width"]) <= wide for e in boxes)


def test_states_are_worst_first() -> None:
    rows = [
        (2, 0, 0, 64, 3, 0, 1), (2, 0, 0, 64, 3, 0, 0), (2, 0, 32, 32, 0, 0, 0),
        (2, 0, 32, 32, 0, 32, 0), (2, 0, 64, 0, 0, 0, 0), (2, 1, 0, 64, 3, 0, 0),
        (-1, 0, 0, 0, 0, 0, 0), (-2, 0, 0, 0, 0, 0, 0),
    ]  # fmt: skip
    found = blocks_of(rows, [0] * 8, 64, [0] * 8)
    states = [block.state for block in found]
    assert states == ["unmovable", "pinned", "movable", "cache", "free", "isolated", "offline"]
    assert set(states) == set(STATES)
    assert [title for title, _ in groups(found)] == ["node0 Movable", "node0 offline"]
    assert blocks_of([(0, 0, 0, 0, 0, 0, 0)], [0], 64, [64])[0] == Block(
        0, 0, 64, 0, False, 64, 0, 0, 0, 0
    )


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("2h", 7200 * SECOND), ("1h30m", 5400 * SECOND), ("1.5s", 1_500_000_000), ("0s", 0),
        ("0:33:19.216", 1_999_216_000_000), ("3m19s5ms", 199_005_000_000), ("17ns", 17),
    ],
)  # fmt: skip
def test_times(text: str, time_ns: int) -> None:
    assert parse_at(text, 10_000 * SECOND) == time_ns


@pytest.mark.parametrize("text", ["", "2", "h", "2h x", "-1s", "1:70:00", "2 h 3", "0.1ns"])
def test_bad_times(text: str) -> None:
    with pytest.raises(InputError, match="--at"):
        parse_at(text, 10_000 * SECOND)


def test_the_command(aged_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "map.svg"
    args = ["show", str(aged_run), "--host", "1", "--at", "2m", "--svg", str(out)]
    assert main(args) == 0
    said = capsys.readouterr()
    assert "blocks of ZONE_MOVABLE hold a pin" in said.out
    assert "node1 Movable" in said.out
    assert said.err == f"wrote {out}\n"
    ET.parse(out)
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("args", "reason", "code"),
    [
        (["--host", "9", "--at", "1m"], "--host: no host 9; the run has 0 to 5", 2),
        (["--host", "0", "--at", "7m"], "--at: 7m is after the end of the run at 360 s", 2),
        (["--host", "0", "--at", "soon"], "--at: 'soon' is not a time", 2),
        (["--host", "0"], "--at", 2),
        (["--host", "0", "--at", "1m", "--arm", "x"], "--arm: 'x' is not an arm of this run", 2),
        (["--host", "0", "--at", "1m", "--svg", "/proc/no.svg"], "/proc/no.svg: cannot write", 1),
    ],
)
def test_bad_input_is_one_line(
    aged_run: Path, args: list[str], reason: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", str(aged_run), *args]) == code
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert reason in said.err
