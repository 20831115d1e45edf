"""The life of a host's own memory: page cache, daemons, kernel memory, episodes of pressure.

A fixed schedule per host, drawn by key, in steps of some hours. A step counts when the host is
next touched, at once for all that are due, or at its own time while the host is being asked for
memory: nobody can see the difference, as nothing else happens on a host in between. So a host
nobody touches costs nothing, and however its time is divided the same steps happen.

At each step daemons go to a level drawn for it, kernel memory gives back and takes a little, and
page cache of each zone follows what is free: it fills all but the stated share, and part of it is
replaced. The first step belongs to time zero, when the residents are there: it fills the host.
"""

from engine.draws import below, draw
from engine.enums import ZONES_PER_NODE, AreaKind, Op
from engine.shape import HostShape
from fleet.hosts.ageing import (
    BASE,
    CACHE,
    GROWTH,
    KERNEL,
    MAX_AREA_PAGES,
    MILLION,
    PIECES,
    PRESSURE,
    PROC,
    WHOLE,
    Age,
    Own,
    memory_pages,
)

STEP_PURPOSE, LEVEL_PURPOSE, EPISODE_PURPOSE = 24, 25, 26
"""``fleet.plan.draws.Purpose.STEP``, ``LEVEL`` and ``EPISODE``."""
KEYS_PER_STEP = 32
SWING = 50_000
"""Daemons are between 95 % and 105 % of their usual size (background estimate)."""
KERNEL_CHURN = 5_000
"""Kernel memory that a step frees and takes again, millionths of it (background estimate)."""

EngineCall = tuple[int, ...]
"""``op, a0, a1, ..`` of a command, without its time."""


class Background:
    """What is still to come of a host's background.

    Parameters
    ----------
    own : Own
    shape : HostShape
    age : Age
    from_ns : int
        When the host came up; steps before are not made.

    Attributes
    ----------
    due_ns : int
        Time of the next step.
    """

    def __init__(self, own: Own, shape: HostShape, age: Age, from_ns: int = 0) -> None:
        self._own, self._shape, self._age = own, shape, age
        self._ram = memory_pages(shape)
        self._zone_pages = _zone_pages(shape)
        self._first_ns = 1 + below(age.every_ns, *own.key, STEP_PURPOSE)
        late_ns = from_ns - self._first_ns
        self._step = max(0, -(-late_ns // age.every_ns)) + 1 if from_ns else 0
        self._edge = 2 * (from_ns // age.pressure_every_ns) if age.pressure else 0
        while age.pressure and self._edge_ns() < from_ns:
            self._edge += 1
        self.due_ns = self._next_ns()

    def take(self, until_ns: int) -> list[EngineCall]:
        """Return the commands of all steps due by ``until_ns``, in order."""
        calls: list[EngineCall] = []
        while self.due_ns <= until_ns:
            if self._age.pressure and self._edge_ns() == self.due_ns:
                calls += self._episode()
                self._edge += 1
            else:
                calls += self._ordinary()
                self._step += 1
            self.due_ns = self._next_ns()
        return calls

    def _next_ns(self) -> int:
        """Time of the next step or edge of an episode; at one time the episode comes first."""
        step_ns = self._first_ns + (self._step - 1) * self._age.every_ns if self._step else 0
        return min(step_ns, self._edge_ns()) if self._age.pressure else step_ns

    def _edge_ns(self) -> int:
        """Begin (even edges) or end of an episode; one lies in each span of its period."""
        age, number = self._age, self._edge // 2
        slack_ns = max(age.pressure_every_ns - age.pressure_ns, 1)
        late_ns = below(slack_ns, *self._own.key, EPISODE_PURPOSE, number)
        begin_ns = number * age.pressure_every_ns + late_ns + 1
        return begin_ns + (age.pressure_ns if self._edge % 2 else 0)

    def _key(self, purpose: int, *index: int) -> int:
        return draw(*self._own.key, purpose, *index) >> 2

    def _episode(self) -> list[EngineCall]:
        """A process of some size comes, taking what reclaim can give it, or it ends."""
        if self._edge % 2:
            room = min(self._ram, MAX_AREA_PAGES)
            return [(Op.UNMAP, PRESSURE), (Op.MAP, PRESSURE, PROC, AreaKind.ANON, room)]
        pages = self._ram * self._age.pressure // MILLION
        key = self._key(EPISODE_PURPOSE, self._edge, 1)
        return [(Op.AGE, PRESSURE, key, 0, pages, pages, GROWTH)]

    def _ordinary(self) -> list[EngineCall]:
        """One step of daemons, kernel memory and page cache."""
        own, age, step = self._own, self._age, self._step * KEYS_PER_STEP
        keys = [self._key(STEP_PURPOSE, step + i) for i in range(2 + self._shape.nr_zones)]
        level, before = self._base_pages(self._step), self._base_pages(self._step - 1)
        kernel, churn = own.kernel_pages, own.kernel_pages * KERNEL_CHURN // MILLION
        calls: list[EngineCall] = [
            (Op.AGE, BASE, keys[0], max(before - level, 0), level, level, GROWTH),
            (Op.AGE, KERNEL, keys[1], churn, kernel - churn, kernel, PIECES),
        ]
        for zone, pages in enumerate(self._zone_pages):
            renewed = pages if not self._step else pages * age.churn // MILLION
            free = pages * (MILLION - age.used) // MILLION
            if pages:
                calls.append((Op.CACHE, CACHE + zone, keys[2 + zone], zone, renewed, free, WHOLE))
        return calls

    def _base_pages(self, step: int) -> int:
        """Memory of daemons after a step; as their history left them before the first one."""
        own = self._own
        if step < 0:
            return own.base_pages
        swing = below(2 * SWING + 1, *own.key, LEVEL_PURPOSE, step) - SWING
        return own.base_pages + own.base_pages * swing // MILLION


def _zone_pages(shape: HostShape) -> list[int]:
    """Memory of each zone."""
    pages = [0] * shape.nr_zones
    for node, kind in zip(shape.block_node, shape.block_zone, strict=True):
        if kind >= 0:
            pages[node * ZONES_PER_NODE + kind] += shape.block_pages
    return pages
