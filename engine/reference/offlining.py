"""Offlining: the state machine from the request to commit or abort.

Source: mm/memory_hotplug.c ``offline_pages`` and mm/page_isolation.c
``has_unmovable_pages``, Linux 5.10 and 6.1; the bounded rule is the one of 4.13. A pass is
SCAN (find and isolate what is movable), then up to ten MIGRATE steps, one a try of
migrate_pages; other commands act between steps.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum

from engine.enums import (
    AreaKind,
    BlockerClass,
    Cell,
    Cost,
    Counter,
    Errno,
    FaultPath,
    MigrateReason,
    OfflineReason,
    OfflineRule,
    Row,
    SlowReason,
    ZoneKind,
)
from engine.reference.allocator import NOBODY, PanicError
from engine.reference.memory import PATH_OF
from engine.reference.migration import Call, Target
from engine.reference.pinning import Pinning
from engine.reference.state import POOL_AREA, Folio, Moves, Pin, Tally

BLOCKER_ROWS = 32
"""Most BLOCKER rows of one attempt; the attempt's own counts are complete."""


class Phase(IntEnum):
    """Which step comes next."""

    BEGIN = 0
    SCAN = 1
    MIGRATE = 2
    FINISH = 3
    PAUSE = 4


@dataclass(slots=True)
class Offline:
    """A running offline."""

    attempt: int
    first_block: int
    nr_blocks: int
    start_ns: int
    bound_ns: int
    cause: int
    zone: int
    step_ns: int
    block: int
    phase: Phase = Phase.BEGIN
    cursor: int = 0
    tries: int = 0
    call: Call | None = None
    passes: int = 0
    errors: int = 0
    pause_ns: int = 0
    migrated_pages: int = 0
    failed_pages: int = 0
    unavailable_ns: int = 0
    signalled: bool = False
    endless: bool = False
    no_room: bool = False
    reclaimed_before: int = 0
    hugetlb_before: int = 0
    moves: Moves = field(default_factory=Moves)
    done: list[int] = field(default_factory=list)


class Offlining(Pinning):
    """The layer of memory hot-remove."""

    offline: Offline | None = None

    def _online(self, first: int, count: int, kind: int) -> Errno:
        """ONLINE: give offline blocks to a zone of their node; EAGAIN while an offline runs."""
        if self.offline is not None:
            return Errno.EAGAIN
        if first < 0 or count <= 0 or first + count > self.shape.nr_blocks or kind not in (1, 2, 0):
            return Errno.EINVAL
        if any(self.block_zone[b] != -1 for b in range(first, first + count)):
            return Errno.EINVAL
        for block in range(first, first + count):
            self._add_block(block, self.shape.block_node[block] * len(ZoneKind) + kind)
            self._set_watermarks()
        pageblocks = count * (self.shape.block_pages >> self.pbo)
        self.tally.latency_ns += pageblocks * self.costs[Cost.ONLINE_PAGEBLOCK]
        return Errno.OK

    def _offline(self, attempt: int, first: int, count: int, bound_ns: int) -> Errno:
        """OFFLINE: start to remove a range of blocks, one after the other."""
        if self.offline is not None:
            return Errno.EAGAIN
        if first < 0 or count <= 0 or first + count > self.shape.nr_blocks or bound_ns < 0:
            return Errno.EINVAL
        self.offline = Offline(
            attempt, first, count, self.now_ns, bound_ns, self.cause, -1, self.now_ns, first
        )
        return Errno.OK

    def _signal(self) -> Errno:
        """SIGNAL: the running offline ends at its next scan."""
        if self.offline is None:
            return Errno.EINVAL
        self.offline.signalled = True
        if self.offline.phase == Phase.PAUSE:
            self.offline.step_ns = self.now_ns
        return Errno.OK

    def _status(self, attempt: int) -> Errno:
        """STATUS: report the running offline as if it ended here."""
        if self.offline is None or self.offline.attempt != attempt:
            return Errno.EINVAL
        self._report(self.offline, Errno.OK, OfflineReason.RUNNING)
        return Errno.OK

    # -- steps --------------------------------------------------------------------------------

    def _advance_offline(self, until_ns: int) -> None:
        """Run the steps that start before ``until_ns``."""
        while self.offline is not None and self.offline.step_ns < until_ns:
            off = self.offline
            self.now_ns = off.step_ns
            if off.phase == Phase.BEGIN:
                self._step_begin(off)
            elif off.phase == Phase.SCAN:
                self._step_scan(off)
            elif off.phase == Phase.MIGRATE:
                self._step_migrate(off)
            elif off.phase == Phase.FINISH:
                self._step_finish(off)
            elif not self._gives_up(off):
                off.phase = Phase.BEGIN

    def _try_left_ns(self) -> int:
        """How long the present try of the running offline still takes."""
        return max(self.offline.step_ns - self.now_ns, 0) if self.offline else 0

    def _span(self, off: Offline) -> tuple[int, int]:
        """Pfn range of the block being removed."""
        first = off.block * self.shape.block_pages
        return first, first + self.shape.block_pages

    def _step_begin(self, off: Offline) -> None:
        """CHECK, QUIESCE, ISOLATE of one block."""
        zid = self.block_zone[off.block]
        if zid < 0 or (off.zone >= 0 and zid != off.zone):
            self._end(off, Errno.EINVAL, OfflineReason.BAD_STATE)
            return
        if self._unmovable_pages(off.block):
            self._end(off, Errno.EBUSY, OfflineReason.UNMOVABLE)
            return
        off.zone = zid
        if self.table[Cell.OFFLINE_UNMAPS]:
            self._suspend_pins(off)
        self._disable_pcp(self.zone[zid])
        self._isolate_block(off.block)
        off.phase, off.cursor = Phase.SCAN, self._span(off)[0]
        off.step_ns += self.costs[Cost.OFFLINE_FIXED]

    def _suspend_pins(self, off: Offline) -> None:
        """Applications with a pinned page in the block stop their flows and unmap the area.

        Of a page that was freed under its pin it is the area that it left.
        """
        held = {f.area for f in self._folios_in(off.block) if f.pins}
        areas = held | {area for area, _, number in self.gone if number in held}
        self.tally = Tally()
        for pin in sorted(self.pin_of):
            taken = self.pin_of[pin]
            if taken.area not in areas or not taken.longterm or taken.away:
                continue
            cpu = self.proc_of[taken.proc].cpu if taken.proc in self.proc_of else -1
            for folio in self._drop_pins(taken):
                self._let_go(folio, cpu)
            taken.away_ns = self.now_ns
            self.counters[Counter.PIN_SUSPENDED] += 1
            off.step_ns += self.costs[Cost.PIN_SUSPEND]
        off.step_ns += self.tally.latency_ns

    def _still_mapped(self, taken: Pin) -> bool:
        """Whether the area that a pin was taken through is there yet."""
        area = self.area_of.get(taken.through)
        return area is not None and area.sequence == taken.mapped

    def _away(self) -> list[Pin]:
        """Pins whose mappings an offline had taken away, of areas that are there yet."""
        taken = (self.pin_of[pin] for pin in sorted(self.pin_of))
        return [p for p in taken if p.away and self._still_mapped(p)]

    def _forget_area(self, slot: int) -> None:
        """An area ends: say what the running offline has done to it so far."""
        if self.offline is not None and slot in self.offline.moves.areas:
            worked = self.offline.moves.areas.pop(slot)
            reason, attempt = SlowReason.MEMORY_HOTPLUG, self.offline.attempt
            self._emit(Row.SLOWED, reason, attempt, slot, *worked)
        super()._forget_area(slot)

    def _resume_pins(self, cause: int) -> None:
        """The offline has returned: each area is mapped again, as by a PIN of its process."""
        before, self.cause = self.cause, cause
        for pin in sorted(p for p, q in self.pin_of.items() if q.away):
            taken = self.pin_of.pop(pin, None)
            if taken is None or not self._still_mapped(taken):
                continue  # its area is gone, or its process was killed for another mapping
            self.tally = Tally()
            with suppress(PanicError):
                self._pin(pin, taken.through, taken.first, taken.count, taken.pinner, -1)
            if self.panicked:
                break
        self.cause = before

    def _unmovable_pages(self, block: int) -> list[Folio]:
        """has_unmovable_pages: kernel pages; reserved pageblocks make a block unmovable, too.

        And a gigantic page that begins in the block, or before it, and goes on behind its end:
        mm/page_isolation.c ``isolate_single_pageblock`` (5.19 to 6.13) wants to move it out of the
        way, which ``isolate_or_dissolve_huge_page`` refuses, be it free or in use.
        """
        if self.shape.block_reserved[block]:
            first = block * self.shape.block_pages
            return [Folio(first, 0, NOBODY, 0)]
        end = (block + 1) * self.shape.block_pages
        fails = self.table[Cell.GIGANTIC_STRADDLE_FAILS]
        return [
            f
            for f in self._folios_in(block)
            if (f.area != POOL_AREA and self.area_of[f.area].kind == AreaKind.KERNEL)
            or (fails and f.pfn + f.pages > end)
        ]

    def _folios_in(self, block: int, first: int = -1) -> list[Folio]:
        """Folios of a block from a pfn on, ascending."""
        start, end = block * self.shape.block_pages, (block + 1) * self.shape.block_pages
        found: dict[int, Folio] = {}
        for pfn in range(max(start, first), end):
            folio = self.owner.get(pfn)
            if folio is not None:
                found[folio.pfn] = folio
        return list(found.values())

    def _step_scan(self, off: Offline) -> None:
        """Signals, SCAN, and a new migrate_pages call if anything movable is left."""
        end = self._span(off)[1]
        if self._gives_up(off) or self._pauses(off):
            return
        cost = self.costs[Cost.PASS_FIXED]
        pageblocks = (end >> self.pbo) - (off.cursor >> self.pbo)
        cost += self.costs[Cost.PASS_SCAN_PAGEBLOCK] * pageblocks
        off.step_ns += cost
        off.passes += 1
        self.counters[Counter.OFFLINE_PASSES] += 1
        listed = [f for f in self._folios_in(off.block, off.cursor) if f.area != POOL_AREA]
        listed = [f for f in listed if not f.isolated]
        if not listed:
            off.phase = Phase.FINISH
            return
        for folio in listed:
            folio.isolated = True
        off.cursor = max(listed[0].pfn, self._span(off)[0])
        self.counters[Counter.MIGRATE_PAGES_CALLS] += 1
        off.call = Call(Target.OFFLINE, 0, NOBODY, pending=listed)
        off.tries, off.phase = 0, Phase.MIGRATE
        off.reclaimed_before = int(self.counters[Counter.PGSTEAL])
        off.hugetlb_before = self._hugetlb_pages(off.block)

    def _gives_up(self, off: Offline) -> bool:
        """Whether a signal, the bound or the policy ends the offline before this scan."""
        waited = off.step_ns - off.start_ns
        rule = self.table[Cell.OFFLINE_RULE]
        if off.signalled or (off.bound_ns and waited >= off.bound_ns):
            self._end(off, Errno.EINTR, OfflineReason.SIGNAL)
        elif rule == OfflineRule.TIMEOUT and waited >= self.table[Cell.OFFLINE_BOUND_NS]:
            self._end(off, Errno.EINTR, OfflineReason.TIMEOUT)
        elif rule == OfflineRule.BOUNDED_4_13 and off.errors >= self.table[Cell.OFFLINE_MAX_ERRORS]:
            self._end(off, Errno.EBUSY, OfflineReason.MAX_ERRORS)
        elif rule == OfflineRule.BOUNDED_4_13 and waited >= self.table[Cell.OFFLINE_BOUND_NS]:
            self._end(off, Errno.EAGAIN, OfflineReason.TIMEOUT)
        elif rule == OfflineRule.PIN_AWARE and any(
            f.pins for f in self._folios_in(off.block, off.cursor)
        ):
            self._end(off, Errno.EBUSY, OfflineReason.PIN_SEEN)
        else:
            return False
        return True

    def _pauses(self, off: Offline) -> bool:
        """Whether a paced offline leaves the block alone for a while instead of scanning it.

        As drivers/virtio/virtio_mem.c: alloc_contig_range has some tries and undoes the isolation,
        then a timer that doubles up to a limit starts the whole request again.
        """
        paced = self.table[Cell.OFFLINE_RULE] == OfflineRule.PACED
        if not paced or off.errors < self.table[Cell.OFFLINE_MAX_ERRORS]:
            return False
        self._unisolate_block(off.block)
        self.zone[off.zone].pcp_disabled = False
        first, most = self.table[Cell.OFFLINE_PAUSE_NS], self.table[Cell.OFFLINE_PAUSE_MAX_NS]
        off.pause_ns = min(2 * off.pause_ns or first, most)
        off.errors, off.phase = 0, Phase.PAUSE
        resume_ns = off.step_ns + off.pause_ns
        off.step_ns = min(resume_ns, off.start_ns + off.bound_ns) if off.bound_ns else resume_ns
        return True

    def _step_migrate(self, off: Offline) -> None:
        """One try of migrate_pages; after the last one, PUTBACK."""
        call = off.call
        assert call is not None
        call.pending = [f for f in self._folios_in(off.block) if f.isolated]
        before = call.latency_ns
        self.moves, kept = off.moves, self.moves
        self._migrate_try(call)
        self.moves = kept
        spent = call.latency_ns - before
        off.step_ns += spent
        off.unavailable_ns += spent
        off.tries += 1
        if call.pending and not call.aborted and off.tries < self.table[Cell.MIGRATE_TRIES]:
            return
        self._migrate_end(call)
        for folio in self._folios_in(off.block):
            folio.isolated = False
        off.migrated_pages += call.moved
        off.failed_pages += call.failed_pages
        off.errors += call.failed_folios > 0
        off.no_room = call.aborted
        off.endless = self._no_progress(off, call)
        off.call, off.phase = None, Phase.SCAN

    def _no_progress(self, off: Offline, call: Call) -> bool:
        """Whether the pass freed nothing of the block: the loop has no end of its own.

        Hugetlb folios that only changed places inside the block are no progress either. Where an
        I/O in flight made a folio stay, another pass may find it free.
        """
        stolen = int(self.counters[Counter.PGSTEAL]) - off.reclaimed_before
        if call.split or stolen or call.in_flight:
            return False
        left = self._hugetlb_pages(off.block)
        return call.moved == 0 or (call.moved == call.moved_hugetlb and left == off.hugetlb_before)

    def _hugetlb_pages(self, block: int) -> int:
        """Pages of a block in hugetlb folios that are in use."""
        first = block * self.shape.block_pages
        owners = map(self.owner.get, range(first, first + self.shape.block_pages))
        return sum(f is not None and self._is_hugetlb(f) for f in owners)

    def _step_finish(self, off: Offline) -> None:
        """DISSOLVE free hugetlb folios, TEST, COMMIT; or start over from the block's start.

        dissolve_free_huge_pages goes in pfn order and stops at the first one that is needed for a
        reservation; what was dissolved before has left the pool.
        """
        first, end = self._span(off)
        off.phase, off.cursor = Phase.SCAN, first
        for folio in self._folios_in(off.block):
            if folio.area == POOL_AREA and not self._dissolve(folio):
                self._end(off, Errno.EBUSY, OfflineReason.DISSOLVE)
                return
        if any(pfn in self.owner for pfn in range(first, end)):
            return
        zone = self.zone[off.zone]
        self._remove_block(off.block)
        zone.pcp_disabled = False
        off.done.append(off.block)
        off.block += 1
        off.pause_ns = 0
        if off.block == off.first_block + off.nr_blocks:
            self._end(off, Errno.OK, OfflineReason.NONE)
            return
        off.phase = Phase.BEGIN

    def _end(self, off: Offline, errno: Errno, reason: OfflineReason) -> None:
        """COMMIT or ABORT of the whole range: report, undo, put removed blocks back."""
        self._report(off, errno, reason)
        if errno != Errno.OK:
            if 0 <= off.block < self.shape.nr_blocks and self.block_isolated[off.block]:
                self._unisolate_block(off.block)
                self.zone[off.zone].pcp_disabled = False
            for block in off.done:
                self._add_block(block, off.zone)
                self._set_watermarks()
        self.offline = None
        self._resume_pins(off.cause)

    # -- reports ------------------------------------------------------------------------------

    def _report(self, off: Offline, errno: Errno, reason: OfflineReason) -> None:
        """ATTEMPT, MIGRATION, SLOWED rows since the last report, BLOCKER rows unless it ended well.

        SLOWED rows of mappings that are away say for how long in all, not since the last report.
        """
        running, cause = reason == OfflineReason.RUNNING, self.cause
        self.cause = off.cause
        failed = -1 if errno == Errno.OK and not running else off.block
        migrated = off.migrated_pages + (off.call.moved if off.call else 0)
        self._emit(
            Row.ATTEMPT, off.attempt, off.first_block, off.nr_blocks, errno, reason, off.start_ns,
            self.now_ns, off.passes, migrated, off.failed_pages, failed, off.endless,
            off.unavailable_ns + sum(self.now_ns - pin.away_ns for pin in self._away()),
        )  # fmt: skip
        self._emit_moves(MigrateReason.MEMORY_HOTPLUG, off.attempt, off.moves)
        for pin in self._away():
            away_ns = self.now_ns - pin.away_ns
            self._emit(Row.SLOWED, SlowReason.SUSPENDED, off.attempt, pin.through, 1, away_ns)
        if failed >= 0 and reason != OfflineReason.BAD_STATE:
            self._emit_blockers(off, reason)
        self.cause = cause

    def _emit_blockers(self, off: Offline, reason: OfflineReason) -> None:
        """BLOCKER rows: neighbouring folios with the same story are one row."""
        folios = self._folios_in(off.block)
        if reason == OfflineReason.UNMOVABLE:
            folios = self._unmovable_pages(off.block)
        last: list[int] | None = None
        rows: list[list[int]] = []
        for folio in folios:
            if (folio.area == POOL_AREA) != (reason == OfflineReason.DISSOLVE):
                if reason != OfflineReason.UNMOVABLE:
                    continue
            row = self._blocker(off, reason, folio)
            if row[2] == BlockerClass.NO_ROOM and not off.no_room:
                continue  # it would have moved, had the offline gone on
            if (
                last is not None
                and last[3] + last[4] == row[3]
                and last[5:] == row[5:]
                and (last[2] == row[2])
            ):
                last[4] += row[4]
                continue
            if len(rows) == BLOCKER_ROWS:
                break
            rows.append(row)
            last = row
        for row in rows:
            self._emit(Row.BLOCKER, *row)

    def _blocker(self, off: Offline, reason: OfflineReason, folio: Folio) -> list[int]:
        """One BLOCKER row of a folio."""
        kind = self.area_of[folio.area].kind if folio.area != POOL_AREA else None
        references = folio.references + self._flights(folio)
        if reason == OfflineReason.UNMOVABLE:
            cls = BlockerClass.UNMOVABLE
        elif folio.area == POOL_AREA:
            cls = BlockerClass.HUGETLB_RESERVED
        elif folio.pins:
            kernel = self.block_zone[off.block] % len(ZoneKind) != ZoneKind.MOVABLE
            cls = BlockerClass.KERNEL_ZONE_PIN if kernel else BlockerClass.LONGTERM_PIN
        elif references:
            cls = BlockerClass.SHORT_REFERENCE
        elif kind == AreaKind.HUGETLB and not off.no_room:
            cls = BlockerClass.HUGETLB_SHUTTLE
        else:
            cls = BlockerClass.NO_ROOM
        path = PATH_OF.get(kind, FaultPath.ANON) if kind is not None else FaultPath.ANON
        if cls == BlockerClass.HUGETLB_RESERVED:
            path = FaultPath.HUGETLB
        if path == FaultPath.THP and folio.order == 0:
            path = FaultPath.ANON
        pin = self._pin_over(folio)
        return [
            off.attempt, off.block, cls, folio.pfn, folio.pages, folio.area, folio.pins,
            references, path, self.block_zone[off.block], pin,
        ]  # fmt: skip

    def _pin_over(self, folio: Folio) -> int:
        """Lowest pin number that covers a held folio, -1 if none."""
        return min(self._pins_over(folio), default=-1) if folio.held else -1
