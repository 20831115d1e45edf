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

from engine.draws import exponential
from fleet.errors import InputError
from fleet.inputs.lifetimes import kaplan_meier

_PAIR = re.compile(r"v1\.(?P<split>.+)\.c(?P<end>\d+)\.txt")
_LIFETIME = re.compile(r"([UC])(\d{1,6})", re.ASCII)
DRAW_CENSORED, DRAW_TAIL = 2017, 2018
"""Purpose words of the draws for censored lifetimes: within the ends seen, and beyond them."""

CORE_HOURS = 118
"""Core hours of a VM in the mean: 237,815,104 virtual core hours of 2,013,767 VMs in 30 days
(AzurePublicDataset, AzurePublicDatasetV1.md). A split of some days sees few of them."""

LONGEST_MEAN_S = 10 * 365 * 86_400
"""Longest mean of the lifetimes beyond all ends seen: more is a sign of another data set."""


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


def read_azure2017(folder: str, seed: int = 1, core_hours: int = CORE_HOURS) -> Imported:
    """Read a folder of the data set.

    Ended VMs live to the upper edge of their bin (150 s in bin 0, shorter than one sample).
    Censored ones get a lifetime drawn, by key, from the Kaplan-Meier tail beyond the age they
    had reached. Some outlive all ends seen, and few days say nothing of how long: they get an
    exponential rest (the completion of Brown, Hollander and Korwar, Reliability and Biometry,
    1974), whose mean makes the VMs' mean core hours what the whole data set's are.

    Parameters
    ----------
    folder : str
        The two maps and one pair.
    seed : int
        Seed of the draws.
    core_hours : int
        Core hours of a VM in the mean; 0: the lifetime of who outlives all ends seen is null.

    Raises
    ------
    InputError
        Missing or malformed files, a pair that does not run in step, or core hours that no rest of
        up to ten years in the mean comes to.
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
    lifetimes = _within_ends_seen(states, edges, seed)
    outlive = [vm for vm, lifetime in enumerate(lifetimes) if lifetime is None]
    rest_s = 0
    if core_hours and outlive:
        last = max((number for state, number in states if state == "U"), default=0)
        reached = {vm: _edge_s(edges, max(last, states[vm][1])) for vm in outlive}
        cores = [vcpus for vcpus, _ in sizes]
        rest_s = _mean_rest_s(lifetimes, reached, cores, core_hours)
        for vm in outlive:
            lifetimes[vm] = reached[vm] + exponential(rest_s, seed, 0, vm, DRAW_TAIL)
    offset = min(times)
    notes = _notes(offset, states, len(outlive), rest_s, core_hours)
    columns: dict[str, list[Any]] = {
        "arrival_s": [time - offset for time in times],
        "lifetime_s": lifetimes,
        "memory_mib": [mib for _, mib in sizes],
        "vcpus": [vcpus for vcpus, _ in sizes],
        "censored": [state == "C" for state, _ in states],
    }
    return Imported(columns, notes)


def _within_ends_seen(
    states: list[tuple[str, int]], edges: list[int], seed: int
) -> list[int | None]:
    """Return seconds per VM, None where it outlives all ends seen."""
    counts = Counter(states)
    bins = range(len(edges))
    survival = kaplan_meier([counts["U", b] for b in bins], [counts["C", b] for b in bins])
    out: list[int | None] = []
    for index, (state, number) in enumerate(states):
        ends = survival.draw_bin(number, seed, 0, index, DRAW_CENSORED) if state == "C" else number
        out.append(None if ends is None else _edge_s(edges, ends))
    return out


def _mean_rest_s(
    lifetimes: list[int | None], reached_s: dict[int, int], cores: list[int], core_hours: int
) -> int:
    """Return how long VMs live on, in the mean, beyond all ends seen.

    Parameters
    ----------
    lifetimes : list
        Seconds per VM, None for those that outlive all ends seen.
    reached_s : dict
        For these: the age up to which they are known to live.
    cores : list of int
        vCPUs per VM.
    core_hours : int
        What all VMs are to have in the mean.
    """
    known = sum(
        number * (reached_s[vm] if lifetime is None else lifetime)
        for vm, (number, lifetime) in enumerate(zip(cores, lifetimes, strict=True))
    )
    missing = core_hours * 3600 * len(cores) - known
    rest_s = missing // sum(cores[vm] for vm in reached_s)
    if not 0 < rest_s <= LONGEST_MEAN_S:
        seen = known / 3600 / len(cores)
        reason = (
            f"the {len(reached_s)} of {len(cores)} VMs that outlive all ends seen cannot make up "
            f"for it: VMs have {seen:.3g} core hours in the mean until then (with 0 they run on)"
        )
        raise InputError(reason, field="--core-hours")
    return rest_s


def _notes(
    offset: int, states: list[tuple[str, int]], outlive: int, rest_s: int, core_hours: int
) -> tuple[str, ...]:
    """Say what was assumed, with counts."""
    censored = sum(state == "C" for state, _ in states)
    short = sum(state == ("U", 0) for state in states)
    if rest_s:
        rest = f"outlive all ends seen, by {rest_s / 86_400:.3g} days in the mean"
        rest += f" (exponential), so that VMs have {core_hours} core hours in the mean"
    else:
        rest = "outlive all ends seen and run on (lifetime null)"
    return (
        f"{len(states)} VMs; arrivals rebased to 0 (the trace begins at {offset} s)",
        f"{short} VMs ended within their first 300 s sample: lifetime 150 s; "
        "all others live to the upper edge of their bin",
        f"{censored} VMs were still running at the end (censored): "
        f"{censored - outlive} got a lifetime drawn from the Kaplan-Meier tail beyond their age, "
        f"{outlive} {rest}",
    )
