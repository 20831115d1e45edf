"""Everything a host needs to know about its run, and nothing that changes while it runs."""

from dataclasses import dataclass, fields
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.draws import from_quantiles
from engine.enums import Incident, Op, PoolSize, Row
from engine.rows import FIRST
from engine.shape import HostShape
from fleet.hosts.ageing import Age, Own, history
from fleet.plan.draws import Purpose, draw
from fleet.plan.tables import Plan, narrow, without_workloads
from fleet.run.spool import load, save

Int64 = NDArray[np.int64]
EngineName = Literal["fast", "reference"]

_ENGINES: dict[EngineName, tuple[str, str]] = {
    "fast": ("engine.host", "Host"),
    "reference": ("engine.reference.host", "ReferenceHost"),
}


class Engine(Protocol):
    """The part of the engine contract that the fleet uses."""

    @property
    def offline_running(self) -> bool:
        """Whether an offline has not returned yet."""
        ...

    @property
    def offline_repeats_until_ns(self) -> int:
        """Until when an offline only repeats itself, if no command comes; 0: it may not."""
        ...

    @property
    def available_pages(self) -> int:
        """Free pages and pages of files in all zones."""
        ...

    @property
    def kernel_available_pages(self) -> int:
        """As ``available_pages``, of kernel zones."""
        ...

    @property
    def nr_errors(self) -> int:
        """Commands of the last ``execute`` that returned an errno."""
        ...

    @property
    def nr_commands(self) -> int:
        """Commands carried out."""
        ...

    def use_table(self, table: Int64) -> None:
        """Go on under another decision table of the same profile."""
        ...

    def settle(self) -> None:
        """Lay out memory for a host that has its age."""
        ...

    def execute(self, commands: Int64, until_ns: int) -> Int64:
        """Apply commands and advance; see ``docs/architecture.md``."""
        ...

    def pool(self, size: int = PoolSize.HUGE) -> Int64:
        """Hugetlb pages of each node: all, free, surplus, reserved."""
        ...

    def probe(self, commands: Int64, until_ns: int) -> Int64:
        """Rows of ``execute`` on a copy, which is forgotten."""
        ...


class Wants(NamedTuple):
    """Columns of the plan's workloads for reading single entries (see ``plan.tables``)."""

    backing: "memoryview[int]"
    pinner: "memoryview[int]"
    pages: "memoryview[int]"
    pinned_pages: "memoryview[int]"
    present_pages: "memoryview[int]"
    touched_pages: "memoryview[int]"
    hinted: "memoryview[int]"
    io_density: "memoryview[int]"
    io_pages: "memoryview[int]"
    io_hold_ns: "memoryview[int]"
    io_before_pin: "memoryview[int]"
    io_key: "memoryview[int]"
    """63-bit draw, of which the engine draws what is in flight."""
    cpu: "memoryview[int]"
    """64-bit draw of a CPU, as ``engine.draws.below`` uses it."""


@dataclass(frozen=True)
class World:
    """One arm and replication, as the hosts see it.

    Attributes
    ----------
    plan : Plan
    shapes : tuple of HostShape
        Of every host under the arm's sizing.
    table, costs : int64 arrays
        The arm's decision table and the cost vector.
    latency_ns : int
        Reaction latency, the longest window.
    boot_ns : tuple of int
        Quantiles of the time a host needs to boot.
    engine : str
        ``fast`` or ``reference``.
    age : Age, optional
        Age and background of the hosts; None: fresh hosts without.
    plain_table : int64 array, optional
        Decision table hosts age under: the profile's own, equal for every arm.
    spool : Path, optional
        Folder where aged hosts are kept for other arms.
    """

    plan: Plan
    shapes: tuple[HostShape, ...]
    table: Int64
    costs: Int64
    latency_ns: int
    boot_ns: tuple[int, ...]
    engine: EngineName = "fast"
    age: Age | None = None
    plain_table: Int64 | None = None
    spool: Path | None = None

    @cached_property
    def engine_class(self) -> Any:
        """The engine's class."""
        module, name = _ENGINES[self.engine]
        return getattr(import_module(module), name)

    @cached_property
    def wants(self) -> Wants:
        """What workloads want, by number."""
        work, plan = self.plan.workloads, self.plan
        columns: dict[str, Any] = {
            "io_key": draw(plan.seed, plan.replication, work.key, Purpose.IN_FLIGHT)
            >> np.uint64(1),
            "cpu": draw(plan.seed, plan.replication, work.key, Purpose.CPU),
        }
        columns |= {name: getattr(work, name) for name in Wants._fields if name not in columns}
        return Wants(**{name: memoryview(column) for name, column in columns.items()})

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what every process works out for itself.

        Of the workloads, the most by far of a plan, ``wants`` alone goes on the way, in narrow
        integers: every process of a machine has its own.
        """
        state = {spec.name: getattr(self, spec.name) for spec in fields(self)}
        columns = [narrow(np.asarray(column)) for column in self.wants]
        return {**state, "plan": without_workloads(self.plan), "wants": columns}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up what was sent."""
        wants = Wants(*(memoryview(column) for column in state["wants"]))
        self.__dict__.update({**state, "wants": wants})

    def new_engine(self, host: int) -> Engine:
        """Build a host as it is before anything has run on it."""
        return self._booted(host, self.table)

    def _booted(self, host: int, table: Int64) -> Engine:
        """Build a host with the 1 GiB hugetlb pages that it reserves at boot."""
        shape, pages = self.shapes[host], int(self.plan.hosts.boot_1g[host])
        engine: Engine = self.engine_class(shape, table, self.costs)
        if pages:
            nodes = shape.nr_nodes
            shares = [pages // nodes + (node < pages % nodes) for node in range(nodes)]
            rows = [
                [0, Op.POOL, node, share, PoolSize.GIGANTIC, 0, 0, 0]
                for node, share in enumerate(shares)
                if share
            ]
            engine.execute(np.array(rows, np.int64), 0)
        return engine

    def own(self, host: int) -> Own:
        """Return what is a host's own."""
        plan, hosts = self.plan, self.plan.hosts
        pages = int(hosts.kernel_pages[host]), int(hosts.base_pages[host])
        return Own((plan.seed, plan.replication, host), *pages)

    def aged_engine(self, host: int, age: Age) -> tuple[Engine, bool]:
        """Return a host as it is at time zero, from the spool where it is kept; did it panic?

        It aged under the plain kernel of the profile, so arms of one sizing share it.
        """
        shape = self.shapes[host]
        aged: Engine | None = load(self.spool, host, shape) if self.spool else None
        if aged is None:
            table = self.table if self.plain_table is None else self.plain_table
            aged = self._booted(host, table)
            if has_panicked(aged.execute(history(self.own(host), shape, age.history), 0)):
                return aged, True
            if self.spool:
                save(self.spool, host, aged)
        aged.settle()
        aged.use_table(self.table)
        return aged, False

    def boot_time_ns(self, host: int, number: int) -> int:
        """Return how long the ``number``-th boot of a host takes, whatever made it boot."""
        key = (self.plan.seed, self.plan.replication, host, Purpose.BOOT, number)
        return from_quantiles(self.boot_ns, *key)


def has_panicked(rows: NDArray[np.int64]) -> bool:
    """Whether rows of an engine tell a panic."""
    return bool(((rows[:, 1] == Row.INCIDENT) & (rows[:, FIRST] == Incident.PANIC)).any())
