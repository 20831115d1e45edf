"""Reading recorded cases: one JSON object per line, checked before anything is replayed."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.errors import InputError
from fleet.lab.observed import fault
from fleet.lab.operations import Operation, OperationError, parse

FATES = ("finished", "oom-killed", "kernel-panic", "stuck")
"""How a case ended."""
MOST = 65_536
"""Largest number of CPUs, DIMMs, blocks or MiB of a DIMM that a case may name."""


class CaseError(InputError):
    """A line that cannot be read or replayed: ``file:line field: reason`` in one line.

    ``name`` and ``kernel`` are those of the line where they are known, for selection only.
    """

    def __init__(
        self, where: str, field: str, reason: str, *, name: str = "", kernel: str = ""
    ) -> None:
        super().__init__(reason, field=field, where=where)
        self.name, self.kernel = name, kernel

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes."""
        state = {"name": self.name, "kernel": self.kernel}
        return CaseError, (self.where, self.field, self.reason), state


@dataclass(frozen=True, slots=True)
class Guest:
    """The machine of a case.

    Attributes
    ----------
    memory_mib, dimm_mib, block_mib : int
        Boot memory, size of one DIMM and of a memory block, MiB.
    dimms : int
        Number of DIMMs.
    cpus : int
        vCPUs.
    dimm_nodes : tuple of int
        Node of each DIMM; boot memory and CPUs are spread over the same nodes.
    """

    memory_mib: int
    dimms: int
    dimm_mib: int
    block_mib: int
    cpus: int
    dimm_nodes: tuple[int, ...]

    @property
    def nodes(self) -> int:
        """Number of NUMA nodes."""
        return max(self.dimm_nodes) + 1


@dataclass(frozen=True, slots=True)
class Record:
    """One operation and what was observed while it ran (the raw fields of the line)."""

    operation: Operation
    seen: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One recorded case run.

    ``label`` is for people only (case id, kernel, run); nothing that replays, classifies or
    compares reads it.
    """

    where: str
    label: str
    name: str
    kernel: str
    guest: Guest
    hot_blocks: tuple[int, ...]
    fate: str
    oom_kills: int
    records: tuple[Record, ...]
    unfinished: Operation | None


def _field(row: Mapping[str, Any], name: str, kind: type, where: str, prefix: str = "") -> Any:
    """Return ``row[name]`` after a type check."""
    if name not in row:
        raise CaseError(where, prefix + name, "missing")
    value = row[name]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise CaseError(where, prefix + name, f"expected {kind.__name__}, got {value!r}")
    return value


def _mib(text: str, where: str) -> int:
    """``1G`` or ``512M`` in MiB."""
    units = {"G": 1024, "M": 1}
    if re.fullmatch(r"\d{1,6}", text[:-1], re.ASCII) and text[-1:] in units:
        return int(text[:-1]) * units[text[-1]]
    raise CaseError(where, "guest.mem", f"{text!r} is not a size")


def _guest(row: Mapping[str, Any], where: str) -> Guest:
    """Read the ``guest`` object."""
    guest = _field(row, "guest", dict, where)

    def number(name: str) -> int:
        value = _field(guest, name, int, where, "guest.")
        if value <= 0:
            raise CaseError(where, f"guest.{name}", f"{value} is not positive")
        if value > MOST:
            raise CaseError(where, f"guest.{name}", f"{value} is more than {MOST}")
        return int(value)

    dimms = number("dimms")
    nodes = tuple(guest.get("numa_dimm_nodes") or (0,) * dimms)
    if len(nodes) != dimms or not all(_whole(n) and n < dimms for n in nodes):
        raise CaseError(where, "guest.numa_dimm_nodes", "expected one node per DIMM, from 0")
    memory = _mib(_field(guest, "mem", str, where, "guest."), where)
    return Guest(memory, dimms, number("dimm_mb"), number("block_mb"), number("smp"), nodes)


def _whole(value: object) -> bool:
    """Whether something is a whole number that is not negative."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _hot_blocks(row: Mapping[str, Any], where: str, boot_blocks: int) -> tuple[int, ...]:
    """Read the numbers of the hot blocks: above those of boot memory, and different."""
    hot = _field(row, "hot_blocks", list, where)
    for index, block in enumerate(hot):
        if not _whole(block) or not boot_blocks <= block <= MOST or block in hot[:index]:
            reason = f"expected different numbers from {boot_blocks} to {MOST}, got {block!r}"
            raise CaseError(where, f"hot_blocks[{index}]", reason)
    return tuple(hot)


def _operation(text: object, where: str, field: str) -> Operation:
    """Parse an operation text, with the place in the error."""
    if not isinstance(text, str):
        raise CaseError(where, field, f"expected str, got {text!r}")
    try:
        return parse(text)
    except OperationError as error:
        raise CaseError(where, field, str(error)) from error


def _case(row: Mapping[str, Any], where: str) -> Case:
    """Turn a decoded line into a case."""
    name, kernel = _field(row, "case", str, where), _field(row, "kernel", str, where)
    fate = _field(row, "fate", str, where)
    if fate not in FATES:
        raise CaseError(where, "fate", f"{fate!r} is not one of {', '.join(FATES)}")
    records = []
    for i, seen in enumerate(_field(row, "ops", list, where)):
        if not isinstance(seen, dict):
            raise CaseError(where, f"ops[{i}]", f"expected dict, got {seen!r}")
        operation = _operation(seen.get("op"), where, f"ops[{i}].op")
        if found := fault(seen):
            raise CaseError(where, f"ops[{i}].{found[0]}", found[1])
        if operation.name == "offlineall" and not isinstance(seen.get("blocks", []), list):
            raise CaseError(where, f"ops[{i}].blocks", f"expected list, got {seen['blocks']!r}")
        records.append(Record(operation, seen))
    unfinished = row.get("last_op_started")
    if fate != "finished" and unfinished is None:
        raise CaseError(where, "last_op_started", f"missing although fate is {fate!r}")
    guest = _guest(row, where)
    return Case(
        where=where,
        label=f"{name} [{kernel} run {row.get('run', 1)}]",
        name=name,
        kernel=kernel,
        guest=guest,
        hot_blocks=_hot_blocks(row, where, guest.memory_mib // guest.block_mib),
        fate=fate,
        oom_kills=len(row.get("oom_killed") or ()),
        records=tuple(records),
        unfinished=None if fate == "finished" else _operation(unfinished, where, "last_op_started"),
    )


class _Doubtful(dict[str, Any]):
    """An object that gives a field twice, which JSON leaves to the reader."""

    twice = ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A decoded object, marked when a field is given twice."""
    row = dict(pairs)
    if len(row) == len(pairs):
        return row
    names = [name for name, _ in pairs]
    doubtful = _Doubtful(row)
    doubtful.twice = next(name for i, name in enumerate(names) if name in names[:i])
    return doubtful


def _given_twice(value: Any, at: str = "") -> str:
    """Path of the first field that is given twice anywhere in a decoded value; or nothing."""
    if isinstance(value, _Doubtful):
        return f"{at}{value.twice}"
    inner: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        inner = ((f"{at}{name}.", part) for name, part in value.items())
    elif isinstance(value, list):
        inner = ((f"{at.removesuffix('.')}[{i}].", part) for i, part in enumerate(value))
    return next(filter(None, (_given_twice(part, path) for path, part in inner)), "")


def read(path: Path) -> Iterator[Case | CaseError]:
    """Yield the cases of a file; an operation that does not parse is yielded as its error.

    Raises
    ------
    CaseError
        The file cannot be read, or a line is not the JSON object it should be.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CaseError(str(path), "file", str(getattr(error, "strerror", error))) from None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line, object_pairs_hook=_object)
        except json.JSONDecodeError as error:
            raise CaseError(f"{where}:{error.colno}", "line", f"not JSON: {error.msg}") from None
        if twice := _given_twice(row):
            raise CaseError(where, twice, "given twice")
        if not isinstance(row, dict):
            raise CaseError(where, "line", "not a JSON object")
        try:
            yield _case(row, where)
        except CaseError as error:
            if not isinstance(error.__cause__, OperationError):
                raise
            error.name, error.kernel = row["case"], row["kernel"]
            yield error
