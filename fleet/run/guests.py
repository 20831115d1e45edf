"""Workloads on one host: from demands to the engine's commands.

A workload is one process with one area under the same number. It runs on the node with most room
by this host's own count, on a CPU drawn by its key. It is touched and pinned as the plan says:
present pages, the long-term pin (which faults the rest of its range), then what is not pinned.
Hugetlb pages come from the pool of the node, which grows when a workload needs more than it holds
(``nr_hugepages`` set by the launcher) and keeps what it gets back. Pages of 1 GiB have a pool of
their own, which begins with what was reserved at boot.
"""

from array import array
from collections.abc import Sequence
from typing import NamedTuple

from engine.enums import Op, PoolSize
from engine.shape import HostShape
from fleet.plan.backing import Backing
from fleet.plan.tables import NO_PINNER
from fleet.run.messages import pin_id
from fleet.run.slots import Slots
from fleet.run.world import World

EngineCommand = tuple[int, int, int, int, int, int, int, int]
"""``time_ns, op, a0..a5`` of ``Host.execute``."""

SPAWN, MAP, TOUCH, PIN, EXIT = (
    int(op) for op in (Op.SPAWN, Op.MAP, Op.TOUCH, Op.PIN, Op.EXIT)
)  # fmt: skip
HUGETLB, HUGETLB1G = int(Backing.HUGETLB), int(Backing.HUGETLB1G)
NORESERVE, HUGE_1G = 2, 4
"""Flags of MAP: its hugetlb pages are not reserved; they are of 1 GiB."""

NOBODY = -1
"""Owner or pin id where there is none."""
_TWO_NOBODIES = (NOBODY, NOBODY)


class Guest(NamedTuple):
    """A workload on this host: process and area number, node, memory, long-term pin, pool.

    Integers only: a host has many, and nothing in them is for the garbage collector.
    """

    placement: int
    slot: int
    node: int
    pages: int
    pool_pages: int
    pin: int
    pool: int = PoolSize.HUGE


class Books(NamedTuple):
    """Who owns what on a host, copied.

    Attributes
    ----------
    owners : dict
        Process and area number to (workload, placement), those of the dead included.
    guests : dict
        Workload to what it has here, as far as it has not left.
    pin_ids : dict
        Number of a long-term pin to its id.
    held : dict
        Workload to its short references: hold to the number under which it is held.
    """

    owners: dict[int, tuple[int, int]]
    guests: dict[int, Guest]
    pin_ids: dict[int, int]
    held: dict[int, dict[int, int]]


class Guests:
    """All workloads of one host since it booted.

    Parameters
    ----------
    world : World
        Numbers come back into use after its reaction latency (``slots``).
    shape : HostShape
    first_slot : int
        Numbers below are the host's own.
    boot_1g : sequence of int
        Pages of 1 GiB that each node has reserved at boot; none by default.

    Attributes
    ----------
    causes : array of int64
        Per command sent to the engine since boot: pin id of a PIN or UNPIN, attempt id of an
        OFFLINE, ``NOBODY`` otherwise; indexed by the ``cause`` column of rows.
    last_offline : int
        Index in ``causes`` of the last OFFLINE.
    """

    def __init__(
        self, world: World, shape: HostShape, first_slot: int, boot_1g: Sequence[int] = ()
    ) -> None:
        self._wants = world.wants
        huge = shape.pageblock_pages
        self._unit = (huge, huge * shape.gigantic_pageblocks)
        self._holds = world.plan.holds
        rest_ns = world.latency_ns
        self._slots, self._pins = Slots(first_slot, rest_ns), Slots(first_slot, rest_ns)
        self._of: dict[int, Guest] = {}
        self._held: dict[int, dict[int, int]] = {}
        self._owner: dict[int, int] = {}
        self._pin_id: dict[int, int] = {}
        self._placement: dict[int, int] = {}
        self._former: dict[int, list[tuple[int, int, int]]] = {}
        self._former_pins: dict[int, list[tuple[int, int]]] = {}
        self._room = [0] * shape.nr_nodes
        for node, zone in zip(shape.block_node, shape.block_zone, strict=True):
            self._room[node] += shape.block_pages if zone >= 0 else 0
        self._cpus = [[c for c, n in enumerate(shape.cpu_node) if n == node]
                      or [0] for node in range(shape.nr_nodes)]  # fmt: skip
        at_boot = list(boot_1g) or [0] * shape.nr_nodes
        self._pool = ([0] * shape.nr_nodes, [pages * self._unit[1] for pages in at_boot])
        self._total_1g = at_boot
        self.causes = array("q")
        self.batch: list[EngineCommand] = []
        self.last_offline = NOBODY

    # -- who owns what --------------------------------------------------------------------------

    def owner(self, slot: int, at_ns: int) -> tuple[int, int]:
        """Return workload and placement behind a process or area, ``NOBODY`` for the host's.

        ``at_ns``: at the time of a row made since the last ``settle``, or later; who has left
        keeps a number until somebody else gets it.
        """
        for until_ns, workload, placement in self._former.get(slot, ()):
            if at_ns < until_ns:
                return workload, placement
        return self._owner.get(slot, NOBODY), self._placement.get(slot, 0)

    def pin_id(self, pin: int, at_ns: int) -> int:
        """Return the id of a long-term pin by its number, ``NOBODY`` for other references.

        ``at_ns``: as of ``owner``.
        """
        for until_ns, ident in self._former_pins.get(pin, ()):
            if at_ns < until_ns:
                return ident
        return self._pin_id.get(pin, NOBODY)

    def settle(self) -> None:
        """All rows of what was sent have been read: nobody asks for earlier owners any more."""
        self._former.clear()
        self._former_pins.clear()

    def guest(self, workload: int) -> Guest | None:
        """Return what a workload has here, None when it is not here."""
        return self._of.get(workload)

    def books(self) -> Books:
        """Return copies of who owns what."""
        owners = {slot: (self._owner[slot], self._placement[slot]) for slot in self._owner}
        held = {workload: dict(pins) for workload, pins in self._held.items()}
        return Books(owners, dict(self._of), dict(self._pin_id), held)

    # -- commands -------------------------------------------------------------------------------

    def send(self, time_ns: int, op: Op, *args: int, cause: int = NOBODY) -> None:
        """Append a command to the batch for the engine."""
        if op == Op.OFFLINE:
            self.last_offline = len(self.causes)
        padding = (0,) * (6 - len(args))
        self.batch.append((time_ns, int(op), *args, *padding))  # type: ignore[arg-type]
        self.causes.append(cause)

    def place(self, now_ns: int, workload: int, placement: int) -> None:
        """Start a workload."""
        wants = self._wants
        pinned, present = wants.pinned_pages[workload], wants.present_pages[workload]
        touched, pages = wants.touched_pages[workload], wants.pages[workload]
        kind, batch, causes = wants.backing[workload], self.batch, self.causes
        node, slot = self._roomiest(), self._slots.take(now_ns)
        size = int(PoolSize.GIGANTIC if kind == HUGETLB1G else PoolSize.HUGE)
        huge = kind in (HUGETLB, HUGETLB1G)
        needed = self._whole(pinned + touched, size) if huge else 0
        self._own(now_ns, slot, workload, placement)
        self._room[node] -= pages
        batch.append((now_ns, SPAWN, slot, self._cpu(workload, node), 0, 0, 0, 0))
        whole = self._whole(pages, size) if huge else pages
        flags = wants.hinted[workload] | NORESERVE  # the pool grows with what is touched
        if kind == HUGETLB1G:
            kind, flags = HUGETLB, flags | HUGE_1G
        batch.append((now_ns, MAP, slot, slot, kind, whole, flags, 0))
        causes.extend(_TWO_NOBODIES)
        if huge:
            self._grow_pool(now_ns, node, needed, size)
        if present:
            batch.append((now_ns, TOUCH, slot, 0, present, -1, -1, 0))
            causes.append(NOBODY)
        if wants.io_before_pin[workload]:
            self._start_io(now_ns, slot, workload)
        pin = NOBODY
        if pinned and wants.pinner[workload] != NO_PINNER:
            ident = pin_id(workload, placement)
            pin = self._take_pin(now_ns, ident)
            batch.append((now_ns, PIN, pin, slot, 0, pinned, wants.pinner[workload], -1))
            causes.append(ident)
        if touched:
            batch.append((now_ns, TOUCH, slot, pinned, touched, -1, -1, 0))
            causes.append(NOBODY)
        if not wants.io_before_pin[workload]:
            self._start_io(now_ns, slot, workload)
        self._of[workload] = Guest(placement, slot, node, pages, needed, pin, size)

    def _own(self, now_ns: int, slot: int, workload: int, placement: int) -> None:
        """Note whose a process and area number is from now on."""
        former = now_ns, self._owner.get(slot, NOBODY), self._placement.get(slot, 0)
        self._former.setdefault(slot, []).append(former)
        self._owner[slot], self._placement[slot] = workload, placement

    def _take_pin(self, now_ns: int, ident: int) -> int:
        """Take a number for a pin; ``ident``: ``NOBODY`` unless it is a long-term one."""
        pin = self._pins.take(now_ns)
        former = now_ns, self._pin_id.pop(pin, NOBODY)
        self._former_pins.setdefault(pin, []).append(former)
        if ident != NOBODY:
            self._pin_id[pin] = ident
        return pin

    def _roomiest(self) -> int:
        """Return the node with most room, the lowest of several."""
        room = self._room
        return room.index(max(room)) if len(room) > 1 else 0

    def _start_io(self, now_ns: int, slot: int, workload: int) -> None:
        """From now on the workload has direct I/O in flight, drawn by its key."""
        wants = self._wants
        density = wants.io_density[workload]
        if density:
            pages, hold_ns = wants.io_pages[workload], wants.io_hold_ns[workload]
            self.send(now_ns, Op.IO, slot, density, pages, hold_ns, wants.io_key[workload])

    def leave(self, now_ns: int, workload: int, placement: int) -> None:
        """End a workload, or clear away what is left of it."""
        guest = self._of.get(workload)
        if guest is None or guest.placement != placement:
            return
        del self._of[workload]
        self.batch.append((now_ns, EXIT, guest.slot, 0, 0, 0, 0, 0))
        self.causes.append(NOBODY)
        self._room[guest.node] += guest.pages
        self._pool[guest.pool][guest.node] += guest.pool_pages
        self._slots.give(guest.slot, now_ns)
        if guest.pin != NOBODY:
            self._pins.give(guest.pin, now_ns)
        for pin in self._held.pop(workload, {}).values():
            self._pins.give(pin, now_ns)

    def hold(self, now_ns: int, hold: int, workload: int, placement: int) -> None:
        """Take the short references of a hold, or the long-term pin of a DMA mapping."""
        guest = self._of.get(workload)
        if guest is None or guest.placement != placement:
            return
        holds = self._holds
        where = guest.slot, int(holds.first_page[hold]), int(holds.pages[hold])
        pinner, ident = int(holds.pinner[hold]), NOBODY
        if pinner != NO_PINNER:
            ident = pin_id(workload, placement, int(holds.number[hold]))
        pin = self._held.setdefault(workload, {})[hold] = self._take_pin(now_ns, ident)
        if pinner == NO_PINNER:
            self.send(now_ns, Op.HOLD, pin, *where)
            return
        self.send(now_ns, Op.PIN, pin, *where, pinner, -1, cause=ident)

    def unhold(self, now_ns: int, hold: int, workload: int, placement: int) -> None:
        """Drop what a hold or a mapping has taken."""
        guest = self._of.get(workload)
        held = self._held.get(workload, {})
        if guest is None or guest.placement != placement or hold not in held:
            return
        pin = held.pop(hold)
        self.send(now_ns, Op.UNPIN, pin, cause=self.pin_id(pin, now_ns))
        self._pins.give(pin, now_ns)

    def _cpu(self, workload: int, node: int) -> int:
        """Return the CPU of the node that the workload's key draws (``engine.draws.below``)."""
        cpus = self._cpus[node]
        return cpus[(self._wants.cpu[workload] * len(cpus)) >> 64]

    def _whole(self, pages: int, size: int) -> int:
        """Round up to whole huge pages of a ``PoolSize``."""
        return -(-pages // self._unit[size]) * self._unit[size]

    def _grow_pool(self, now_ns: int, node: int, pages: int, size: int) -> None:
        """Have the node's hugetlb pool of a size hold ``pages`` free ones for a new workload.

        Pages of 1 GiB are asked for by their total: those that were not to be had are asked for
        again the next time (the host's boot had its own, by ``POOL``).
        """
        missing = pages - self._pool[size][node]
        if missing > 0:
            folios = missing // self._unit[size]
            if size == PoolSize.HUGE:
                self.send(now_ns, Op.POOL, node, folios)
            else:
                self._total_1g[node] += folios
                self.send(now_ns, Op.NR_HUGEPAGES, node, self._total_1g[node], -1, size)
            self._pool[size][node] += missing
        self._pool[size][node] -= pages
