"""Both engines under one table: the same commands, the same rows, and laws after each of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.costs import CostModel
from engine.enums import Cost, Counter, Op, Row, ZoneKind
from engine.rows import COLUMNS, FIRST
from engine.shape import HOLE, OFFLINE, HostShape
from fleet.policy import laws

Int64 = NDArray[np.int64]
PASS_NS = 1_000_000_000
"""What a pass of an offline costs here: so the reference needs few of them for a long time."""
_KINDS = {
    "D": ZoneKind.DMA32, "N": ZoneKind.NORMAL, "M": ZoneKind.MOVABLE, "-": OFFLINE, "h": HOLE,
}  # fmt: skip


def tiny_shape(nodes: str, order: int = 2, cpus_per_node: int = 1) -> HostShape:
    """Return a host drawn with a letter per block of four pageblocks, ``|`` between nodes.

    ``D`` DMA32, ``N`` NORMAL, ``M`` MOVABLE, ``-`` offline, ``h`` a hole.
    """
    parts = nodes.split("|")
    letters = [(node, c) for node, part in enumerate(parts) for c in part]
    return HostShape(
        pageblock_order=order,
        block_pages=4 << order,
        block_node=tuple(node for node, _ in letters),
        block_zone=tuple(int(_KINDS[c]) for _, c in letters),
        block_reserved=(0,) * len(letters),
        cpu_node=tuple(node for node in range(len(parts)) for _ in range(cpus_per_node)),
        thp=False,
    )


def engines() -> tuple[Any, ...]:
    """Return the classes of both engines, the reference first."""
    from engine.host import Host
    from engine.reference.host import ReferenceHost

    return ReferenceHost, Host


class Pair:
    """Hosts of all engines in step.

    Parameters
    ----------
    shape : HostShape
    table : int64[NR_CELLS]
    classes : sequence of engine classes, optional
        The first one's state is looked at; default both engines.
    """

    def __init__(self, shape: HostShape, table: Int64, classes: Sequence[Any] = ()) -> None:
        costs = CostModel().vector()
        costs[Cost.PASS_FIXED] = PASS_NS
        self.shape, self.now_ns, self.log = shape, 0, list[list[int]]()
        self._hosts = [each(shape, table, costs) for each in classes or engines()]
        self.rows: Int64 = np.zeros((0, 1), np.int64)
        self._held = laws.held(self.host)
        self._pinned = laws.pinned(self.host)

    @property
    def host(self) -> Any:
        """The first engine's host."""
        return self._hosts[0]

    def do(self, op: Op, *arguments: int) -> dict[str, int]:
        """Run a command now; return its RESULT row by column name. Raises LawError."""
        padding = [0] * (6 - len(arguments))
        self._step([[self.now_ns, int(op), *map(int, arguments), *padding]], self.now_ns)
        return self.seen(Row.RESULT)[-1]

    def wait(self, ns: int) -> None:
        """Let time pass. Raises LawError."""
        self.now_ns += ns
        self._step([], self.now_ns)

    def seen(self, kind: Row) -> list[dict[str, int]]:
        """Rows of one kind that the last step made."""
        names = COLUMNS[kind]
        rows = self.rows[self.rows[:, 1] == kind][:, FIRST:].tolist()
        return [dict(zip(names, row, strict=False)) for row in rows]

    def _step(self, commands: list[list[int]], until_ns: int) -> None:
        self.log += commands or [[until_ns]]
        matrix = np.array(commands, np.int64).reshape(-1, 8)
        before = np.array(self.host.counters)
        found = [host.execute(matrix, until_ns) for host in self._hosts]
        self.rows = found[0]
        for other, rows in zip(self._hosts[1:], found[1:], strict=True):
            self._compare(other, rows)
        self._check(np.array(self.host.counters) - before)

    def _compare(self, other: Any, rows: Int64) -> None:
        """All engines show the same; LawError otherwise."""
        mine = self.host
        shown = (
            ("rows", self.rows, rows),
            ("counters", mine.counters, other.counters),
            ("zones", mine.zones(), other.zones()),
            ("blocks", mine.blocks(), other.blocks()),
            ("pages", mine.pages(), other.pages()),
        )
        for what, a, b in shown:
            same = a.shape == b.shape and bool((a == b).all())
            laws.require(same, f"the engines differ in {what} after {self._last()}")

    def _check(self, grown: Int64) -> None:
        """The laws hold, of this moment and between the last two; LawError otherwise."""
        try:
            laws.check_memory(self.host, self.shape)
            laws.check_pins(self.host)
            laws.require(bool((grown >= 0).all()), "a counter went back")
            now_held, now_pinned = laws.held(self.host), laws.pinned(self.host)
            laws.check_moves(self._held, now_held, "referenced")
            if not (grown[Counter.PIN_REVOKED] or grown[Counter.PIN_SUSPENDED]):
                laws.check_moves(self._pinned, now_pinned, "pinned")
            self._held, self._pinned = now_held, now_pinned
        except laws.LawError as error:
            raise laws.LawError(f"{error} after {self._last()}") from None

    def _last(self) -> str:
        """The last command in words."""
        row = self.log[-1]
        if len(row) == 1:
            return f"{row[0]} ns"
        name = Op(row[1]).name if row[1] in list(Op) else str(row[1])
        return f"{name} {row[2:]} at {row[0]} ns"
