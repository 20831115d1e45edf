"""Hosts replayed from the log: every row comes out again, or the replay says so."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fleet.errors import InputError
from fleet.why.replay import HOST_TABLES, Replay
from fleet.why.source import Source, open_source

SECOND = 10**9
END = 2**62


def units(source: Source) -> list[tuple[str, int, int]]:
    return [
        (arm, rep, host)
        for arm, rep in source.units
        for host in range(source.rows("hosts", arm, rep).num_rows)
    ]


def kinds(source: Source, table: str, column: str) -> set[Any]:
    found = [source.rows(table, *unit)[column].to_pylist() for unit in source.units]
    return {value for values in found for value in values}


def test_the_run_has_what_makes_replays_hard(aged: Source, reboots: Source) -> None:
    assert kinds(aged, "incidents", "kind") >= {"oom_kill", "pin_failed"}
    assert kinds(reboots, "incidents", "kind") >= {"oom_kill", "pin_failed", "reset"}
    assert kinds(aged, "commands", "kind") >= {"place", "evict", "replace", "offline", "retry"}
    assert kinds(reboots, "commands", "kind") >= {"place", "evict", "replace", "offline", "reset"}
    assert kinds(aged, "blockers", "class") >= {"longterm_pin", "short_reference"}
    assert kinds(aged, "attempts", "reason") >= {"none", "signal", "pin_seen", "running"}


@pytest.mark.parametrize("name", ["aged", "reboots"])
def test_every_host_of_every_arm_comes_out_as_logged(
    name: str, request: pytest.FixtureRequest
) -> None:
    source: Source = request.getfixturevalue(name)
    made = dict.fromkeys(HOST_TABLES, 0)
    for unit in units(source):
        for table, rows in Replay(source, *unit).to(END).rows.items():
            made[table] += rows.num_rows
    logged = {t: sum(source.rows(t, *unit).num_rows for unit in source.units) for t in HOST_TABLES}
    assert made == logged
    assert all(made.values())


@pytest.mark.parametrize("at_s", [0, 1, 59, 200])
def test_a_replay_to_a_time_is_the_beginning(aged: Source, at_s: int) -> None:
    replay = Replay(aged, *units(aged)[0])
    whole, part = replay.to(END).rows, replay.to(at_s * SECOND).rows
    for table in HOST_TABLES:
        assert whole[table].slice(0, part[table].num_rows).equals(part[table])
    assert part["pins"].num_rows < whole["pins"].num_rows
    assert (part["pins"].num_rows > 0) == (at_s > 0)


def test_moments_are_before_the_attempt(aged: Source) -> None:
    arm, rep = aged.units[0]
    rows = aged.rows("attempts", arm, rep, host=0).to_pylist()
    moments = Replay(aged, arm, rep, 0).to(END, [row["attempt"] for row in rows]).moments
    assert sorted(moments) == sorted(row["attempt"] for row in rows)
    for row in rows:
        assert moments[row["attempt"]].time_ns == row["start_ns"]


def test_births_are_where_the_pin_says(aged: Source) -> None:
    """Under pin-in-place nothing moves by the pin: pages are born where the pins table has them."""
    arm, rep = aged.units[0]
    replay = Replay(aged, arm, rep, 1)
    moment = replay.to(100 * SECOND).last
    assert moment is not None
    pinned = [w for w, guest in moment.books.guests.items() if guest.pin >= 0]
    births = replay.births(moment, pinned)
    assert sorted(births) == sorted(pinned)
    block_pages, checked = moment.engine.shape.block_pages, 0
    for workload, ((until_ns, area, _), *_) in births.items():
        rows = aged.rows("pins", arm, rep, host=1, workload=workload).to_pylist()
        assert {row["time_ns"] for row in rows} == {until_ns - 1}
        logged: dict[int, int] = {}
        for row in rows:
            logged[row["block"]] = logged.get(row["block"], 0) + row["pinned_pages"]
        found: dict[int, int] = {}
        for _, pages, pfn, step in area.tolist():
            for i in range(pages):
                block = (pfn + (i * step if step in (1, -1) else i)) // block_pages
                found[block] = found.get(block, 0) + 1
        assert found == logged
        checked += 1
    assert checked > 3


def test_a_difference_is_told_with_its_row(aged: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    arm, rep = aged.units[0]
    plain = Source.rows

    def rows(self: Source, table: str, *unit: Any, **equal: Any) -> pa.Table:
        found = plain(self, table, *unit, **equal)
        if table != "pins":
            return found
        column = found["pinned_pages"].to_pylist()
        column[5] += 1
        where = found.schema.names.index("pinned_pages")
        return found.set_column(where, found.schema.field(where), pa.array(column, pa.int64()))

    monkeypatch.setattr(Source, "rows", rows)
    with pytest.raises(InputError, match=r"host 0 differs from the log at row 5 of its pins \("):
        Replay(aged, arm, rep, 0).to(END)


@pytest.mark.parametrize("cut", ["first", "last"])
def test_a_missing_row_is_a_difference(
    aged: Source, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    arm, rep = aged.units[0]
    plain = Source.rows

    def rows(self: Source, table: str, *unit: Any, **equal: Any) -> pa.Table:
        found = plain(self, table, *unit, **equal)
        if table != "host_samples":
            return found
        return found.slice(1) if cut == "first" else found.slice(0, found.num_rows - 1)

    monkeypatch.setattr(Source, "rows", rows)
    with pytest.raises(InputError, match="of its host_samples"):
        Replay(aged, arm, rep, 0).to(END)


def test_another_version_is_named(aged_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.run.runner.code_digest", lambda: "another")
    source = open_source(aged_run)
    assert not source.same_version
    monkeypatch.setattr("fleet.why.replay._first_difference", lambda *_: 7)
    monkeypatch.setattr(Replay, "_missing", lambda *_: True)
    with pytest.raises(InputError, match="row 7 of its attempts; another version of fleet made"):
        Replay(source, *units(source)[0]).to(END)
