"""Workloads on one host: from demands to the engine's commands.

A workload is one process with one area under the same number. It runs on the node with most room
by this host's own count, on a CPU drawn by its key. It is touched and pinned as the plan says:
present pages, the long-term pin (which faults the rest of its range), then what is not pinned.
Hugetlb pages come from the pool of the node, which grows when a workload needs more than it holds
(``nr_hugepages`` set by the launcher) and keeps what it gets back.
"""

from dataclasses import dataclass, field

from engine.draws import below, draw
from engine.enums import AreaKind, Op
from engine.shape import HostShape
from fleet.plan.draws import Purpose
from fleet.plan.tables import NO_PINNER, Plan
from fleet.run.messages import PLACEMENTS_PER_WORKLOAD
from fleet.run.slots import Slots

EngineCommand = tuple[int, int, int, int, int, int, int, int]
"""``time_ns, op, a0..a5`` of ``Host.execute``."""

NOBODY = -1
"""Owner or pin id where there is none."""


@dataclass(slots=True)
class Guest:
    """A workload on this host: its process and area number, its pins."""

    placement: int
    slot: int
    node: int
    pages: int
    pool_pages: int
    pins: list[int] = field(default_factory=list)
    holds: dict[int, int] = field(default_factory=dict)


class Guests:
    """All workloads of one host since it booted.

    Parameters
    ----------
    plan : Plan
    shape : HostShape
    first_slot : int
        Numbers below are the host's own.
    rest_ns : int
        See ``slots``.

    Attributes
    ----------
    causes : list of int
        Per command sent to the engine since boot: pin id of a PIN, attempt id of an OFFLINE,
        ``NOBODY`` otherwise; indexed by the ``cause`` column of rows.
    """

    def __init__(self, plan: Plan, shape: HostShape, first_slot: int, rest_ns: int) -> None:
        self._plan, self._shape = plan, shape
        self._slots, self._pins = Slots(first_slot, rest_ns), Slots(first_slot, rest_ns)
        self._of: dict[int, Guest] = {}
        self._owner: dict[int, int] = {}
        self._pin_id: dict[int, int] = {}
        self._placement: dict[int, int] = {}
        self._room = [0] * shape.nr_nodes
        for node, zone in zip(shape.block_node, shape.block_zone, strict=True):
            self._room[node] += shape.block_pages if zone >= 0 else 0
        self._cpus = [[c for c, n in enumerate(shape.cpu_node) if n == node]
                      for node in range(shape.nr_nodes)]  # fmt: skip
        self._pool = [0] * shape.nr_nodes
        self.causes: list[int] = []
        self.batch: list[EngineCommand] = []

    # -- who owns what --------------------------------------------------------------------------

    def owner(self, slot: int) -> tuple[int, int]:
        """Return workload and placement behind a process or area, ``NOBODY`` for the host's."""
        workload = self._owner.get(slot, NOBODY)
        return workload, self._placement.get(slot, 0)

    def pin_id(self, pin: int) -> int:
        """Return the id of a long-term pin by its number, ``NOBODY`` for other references."""
        return self._pin_id.get(pin, NOBODY)

    # -- commands -------------------------------------------------------------------------------

    def send(self, time_ns: int, op: Op, *args: int, cause: int = NOBODY) -> None:
        """Append a command to the batch for the engine."""
        padding = (0,) * (6 - len(args))
        self.batch.append((time_ns, int(op), *args, *padding))  # type: ignore[arg-type]
        self.causes.append(cause)

    def place(self, now_ns: int, workload: int, placement: int) -> None:
        """Start a workload."""
        work = self._plan.workloads
        kind, pinner = int(work.backing[workload]), int(work.pinner[workload])
        pinned, present = int(work.pinned_pages[workload]), int(work.present_pages[workload])
        touched, pages = int(work.touched_pages[workload]), int(work.pages[workload])
        huge = kind == AreaKind.HUGETLB
        node = max(range(len(self._room)), key=lambda n: (self._room[n], -n))
        slot = self._slots.take(now_ns)
        needed = self._whole(pinned + touched) if huge else 0
        guest = Guest(placement, slot, node, pages, needed)
        self._of[workload], self._owner[slot], self._placement[slot] = guest, workload, placement
        self._room[node] -= pages
        self.send(now_ns, Op.SPAWN, slot, self._cpu(workload, node), 0)
        size = self._whole(pages) if huge else pages
        self.send(now_ns, Op.MAP, slot, slot, kind, size, int(work.hinted[workload]))
        if huge:
            self._grow_pool(now_ns, node, needed)
        if present:
            self.send(now_ns, Op.TOUCH, slot, 0, present, -1, -1)
        if work.io_before_pin[workload]:
            self._start_io(now_ns, slot, workload)
        if pinned and pinner != NO_PINNER:
            pin = self._take_pin(now_ns, guest)
            ident = self._pin_id[pin] = workload * PLACEMENTS_PER_WORKLOAD + placement
            self.send(now_ns, Op.PIN, pin, slot, 0, pinned, pinner, -1, cause=ident)
        if touched:
            self.send(now_ns, Op.TOUCH, slot, pinned, touched, -1, -1)
        if not work.io_before_pin[workload]:
            self._start_io(now_ns, slot, workload)

    def _start_io(self, now_ns: int, slot: int, workload: int) -> None:
        """From now on the workload has direct I/O in flight, drawn by its key."""
        plan, work = self._plan, self._plan.workloads
        density = int(work.io_density[workload])
        if density:
            pages, hold_ns = int(work.io_pages[workload]), int(work.io_hold_ns[workload])
            entity = int(work.key[workload])
            key = draw(plan.seed, plan.replication, entity, Purpose.IN_FLIGHT) >> 1
            self.send(now_ns, Op.IO, slot, density, pages, hold_ns, key)

    def leave(self, now_ns: int, workload: int, placement: int) -> None:
        """End a workload, or clear away what is left of it."""
        guest = self._of.get(workload)
        if guest is None or guest.placement != placement:
            return
        del self._of[workload]
        self.send(now_ns, Op.EXIT, guest.slot)
        self._room[guest.node] += guest.pages
        self._pool[guest.node] += guest.pool_pages
        self._slots.give(guest.slot, now_ns)
        for pin in (*guest.pins, *guest.holds.values()):
            self._pins.give(pin, now_ns)

    def hold(self, now_ns: int, hold: int, workload: int, placement: int) -> None:
        """Take the short references of a hold."""
        guest = self._of.get(workload)
        if guest is None or guest.placement != placement:
            return
        holds = self._plan.holds
        pin = guest.holds[hold] = self._pins.take(now_ns)
        self._pin_id.pop(pin, None)
        first, pages = int(holds.first_page[hold]), int(holds.pages[hold])
        self.send(now_ns, Op.HOLD, pin, guest.slot, first, pages)

    def unhold(self, now_ns: int, hold: int, workload: int, placement: int) -> None:
        """Drop the short references of a hold."""
        guest = self._of.get(workload)
        if guest is None or guest.placement != placement or hold not in guest.holds:
            return
        pin = guest.holds.pop(hold)
        self.send(now_ns, Op.UNPIN, pin)
        self._pins.give(pin, now_ns)

    def _take_pin(self, now_ns: int, guest: Guest) -> int:
        pin = self._pins.take(now_ns)
        guest.pins.append(pin)
        return pin

    def _cpu(self, workload: int, node: int) -> int:
        """Draw a CPU of the node by the workload's key."""
        plan, cpus = self._plan, self._cpus[node] or [0]
        key = int(plan.workloads.key[workload])
        return cpus[below(len(cpus), plan.seed, plan.replication, key, Purpose.CPU)]

    def _whole(self, pages: int) -> int:
        """Round up to whole huge pages."""
        huge = self._shape.pageblock_pages
        return -(-pages // huge) * huge

    def _grow_pool(self, now_ns: int, node: int, pages: int) -> None:
        """Have the node's hugetlb pool hold ``pages`` free ones for a new workload."""
        missing = pages - self._pool[node]
        if missing > 0:
            self.send(now_ns, Op.POOL, node, missing // self._shape.pageblock_pages)
            self._pool[node] += missing
        self._pool[node] -= pages
