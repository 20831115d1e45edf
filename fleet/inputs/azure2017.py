"""Importer of Azure VM arrivals, AzurePublicDataset V1 as processed for trace generation.

Files (Cortez et al., SOSP 2017; huaweicloud/trace_generation_rnn): ``flav_map.txt``
(``VCPUS,GIB LETTER``), ``v1.interval_map.txt`` (``SECONDS BIN``, steps of 300 s), and one pair per
split: ``v1.X.txt`` (``SECONDS F,F,|,...``, ``|`` between batches of a tenant) with
``v1.X.cSECONDS.txt``, the same sequence with ``U<bin>`` (ended) or ``C<bin>`` (still running at
SECONDS, the bin is the age reached).
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from fleet.errors import InputError
from fleet.inputs.lifetimes import kaplan_meier

_PAIR = re.compile(r"v1\.(?P<split>.+)\.c(?P<end>\d+)\.txt")
_LIFETIME = re.compile(r"([UC])(\d{1,6})", re.ASCII)
DRAW_CENSORED = 2017
"""Purpose word of the draws for censored lifetimes."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A trace and what was done to make it.

    Attributes
    ----------
    columns : dict
        Columns of ``fleet.inputs.trace.COLUMNS`` and ``censored`` (bool: the lifetime is drawn).
    notes : tuple of str
        Lines for the user: offset, bins, censoring.
    """

    columns: dict[str, list[Any]]
    notes: tuple[str, ...]


def _lines(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield ``file:line`` and the two words of each line; InputError if there are not two."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InputError(reason or "cannot be read", where=str(file)) from None
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if len(words) != 2:
            raise InputError(f"want two words, got {len(words)}", where=f"{file}:{number}")
        yield f"{file}:{number}", words


def _flavours(file: Path) -> dict[str, tuple[int, int]]:
    """Return vCPUs and MiB by flavour letter."""
    flavours = {}
    for where, (size, letter) in _lines(file):
        match = re.fullmatch(r"(\d{1,4}),(\d{1,6}(?:\.\d{1,6})?)", size)
        mib = Fraction(match[2]) * 1024 if match else Fraction(0)
        if match is None or mib < 1 or mib.denominator != 1:
            raise InputError(f"want VCPUS,GIB LETTER, got {size!r}", where=where)
        flavours[letter] = int(match[1]), int(mib)
    return flavours


def _bins(file: Path) -> list[int]:
    """Return the upper edge in seconds of each bin."""
    edges: dict[int, int] = {}
    for where, words in _lines(file):
        if not (words[0].isdigit() and words[1].isdigit()):
            raise InputError("want SECONDS BIN", where=where)
        edges[int(words[1])] = max(edges.get(int(words[1]), 0), int(words[0]))
    if sorted(edges) != list(range(len(edges))) or not edges:
        raise InputError("bins must be numbered from 0 without gaps", where=str(file))
    return [edges[number] for number in range(len(edges))]


def _find_pair(folder: Path) -> tuple[Path, Path]:
    """Return the flavour and lifetime files of the one split in a folder."""
    found = [file for file in sorted(folder.glob("v1.*.c*.txt")) if _PAIR.fullmatch(file.name)]
    if len(found) != 1:
        what = "no lifetime file" if not found else f"{len(found)} lifetime files"
        raise InputError(f"{what} v1.SPLIT.cSECONDS.txt, want one", where=str(folder))
    match = _PAIR.fullmatch(found[0].name)
    assert match is not None
    arrivals = folder / f"v1.{match['split']}.txt"
    if not arrivals.is_file():
        raise InputError(f"{found[0].name} has no partner {arrivals.name}", where=str(folder))
    return arrivals, found[0]


def _pairs(arrivals: Path, lifetimes: Path) -> Iterator[tuple[str, int, str, str]]:
    """Yield ``file:line``, seconds, flavour and lifetime of each VM; the files must run in step."""
    first, second = list(_lines(arrivals)), list(_lines(lifetimes))
    if len(first) != len(second):
        reason = f"{len(second)} lines, {arrivals.name} has {len(first)}"
        raise InputError(reason, where=str(lifetimes))
    for (where, (time, flavours)), (other, (time2, ends)) in zip(first, second, strict=True):
        left, right = flavours.split(","), ends.split(",")
        if not time.isdigit() or time != time2 or len(left) != len(right):
            raise InputError(f"does not pair with {where}", where=other)
        for flavour, end in zip(left, right, strict=True):
            if (flavour in "|") != (end in "|"):
                raise InputError(f"does not pair with {where}", where=other)
            if flavour not in "|":
                yield other, int(time), flavour, end


def _edge_s(edges: list[int], number: int) -> int:
    """Duration of a bin: its upper edge; half a step for bin 0, whose upper edge is 0."""
    return edges[number] if number else max(1, edges[1] // 2 if len(edges) > 1 else 1)


def read_azure2017(folder: str, seed: int = 1) -> Imported:
    """Read a folder of the data set.

    Ended VMs live to the upper edge of their bin (150 s in bin 0, shorter than one sample).
    Censored ones get a lifetime drawn, by key, from the Kaplan-Meier tail beyond the age they
    had reached; where that outlives all ends seen, the lifetime is null (runs on).

    Parameters
    ----------
    folder : str
        The two maps and one pair.
    seed : int
        Seed of the draws.

    Raises
    ------
    InputError
        Missing or malformed files, or a pair that does not run in step.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError("no such folder", where=folder)
    flavours, edges = _flavours(root / "flav_map.txt"), _bins(root / "v1.interval_map.txt")
    times: list[int] = []
    sizes: list[tuple[int, int]] = []
    states: list[tuple[str, int]] = []
    for where, time, flavour, end in _pairs(*_find_pair(root)):
        match = _LIFETIME.fullmatch(end)
        if flavour not in flavours or match is None or int(match[2]) >= len(edges):
            raise InputError(f"unknown flavour or lifetime {flavour!r}, {end!r}", where=where)
        times.append(time)
        sizes.append(flavours[flavour])
        states.append((match[1], int(match[2])))
    if not times:
        raise InputError("no VMs", where=folder)
    lifetimes = _resolve(states, edges, seed)
    offset = min(times)
    notes = _notes(offset, states, lifetimes)
    columns: dict[str, list[Any]] = {
        "arrival_s": [time - offset for time in times],
        "lifetime_s": lifetimes,
        "memory_mib": [mib for _, mib in sizes],
        "vcpus": [vcpus for vcpus, _ in sizes],
        "censored": [state == "C" for state, _ in states],
    }
    return Imported(columns, notes)


def _resolve(states: list[tuple[str, int]], edges: list[int], seed: int) -> list[int | None]:
    """Return seconds per VM, None where it runs on."""
    counts = Counter(states)
    bins = range(len(edges))
    survival = kaplan_meier([counts["U", b] for b in bins], [counts["C", b] for b in bins])
    out: list[int | None] = []
    for index, (state, number) in enumerate(states):
        ends = survival.draw_bin(number, seed, 0, index, DRAW_CENSORED) if state == "C" else number
        out.append(None if ends is None else _edge_s(edges, ends))
    return out


def _notes(
    offset: int, states: list[tuple[str, int]], lifetimes: list[int | None]
) -> tuple[str, ...]:
    """Say what was assumed, with counts."""
    censored = sum(state == "C" for state, _ in states)
    runs_on = sum(lifetime is None for lifetime in lifetimes)
    short = sum(state == ("U", 0) for state in states)
    return (
        f"{len(states)} VMs; arrivals rebased to 0 (the trace begins at {offset} s)",
        f"{short} VMs ended within their first 300 s sample: lifetime 150 s; "
        "all others live to the upper edge of their bin",
        f"{censored} VMs were still running at the end (censored): "
        f"{censored - runs_on} got a lifetime drawn from the Kaplan-Meier tail beyond their age, "
        f"{runs_on} run on (lifetime null)",
    )
