"""Pins: the GUP chain from a long-term pin down to faults and migration.

Sources: mm/gup.c of Linux 5.10 and 6.1 (``__gup_longterm_locked``,
``check_and_migrate_movable_pages``), drivers/vfio/vfio_iommu_type1.c
(``vfio_pin_pages_remote``: 1 page a call on 5.10, 512 later). A failed call unwinds the whole
map request; what was migrated stays migrated. Page cache with a disk behind it: io_uring of 5.10
and 6.1 looks at the mapping after the pin (io_uring/rsrc.c ``io_sqe_buffer_register``), 6.12
refuses all pinners before (mm/gup.c ``writable_file_mapping_allowed``).
"""

from engine.enums import (
    RDMA_CALL_PAGES,
    AreaKind,
    Cell,
    Cost,
    Counter,
    Errno,
    FilePin,
    Incident,
    MigrateReason,
    PinFailure,
    PinIsolation,
    PinMigrates,
    Pinner,
    Row,
    ZoneKind,
)
from engine.reference.allocator import KilledError, PanicError
from engine.reference.compaction import StuckError
from engine.reference.memory import ANONYMOUS, CACHES
from engine.reference.migration import Call, Migration, Target
from engine.reference.state import VIEW, Folio, Pin, PinRows


class Pinning(Migration):
    """The layer of pins and short references."""

    def _pin(self, pin: int, slot: int, first: int, count: int, pinner: int, cpu: int) -> Errno:
        """PIN: a FOLL_LONGTERM pin of a range for a device."""
        if pin in self.pin_of or pin < 0 or not self._range_ok(slot, first, count):
            return Errno.EINVAL
        if self.area_of[slot].kind == AreaKind.KERNEL:
            return Errno.EFAULT
        proc, behind = self.area_of[slot].proc, self._behind(slot, first, count)
        longterm = pinner != Pinner.DIRECT_IO
        rows, taken = PinRows(), Pin(behind, first, 0, longterm, proc, self._latest())
        taken.pinner, taken.through = pinner, slot
        taken.mapped = self.area_of[slot].sequence
        self.pin_of[pin] = taken
        cpu = self._cpu(slot, cpu)
        unit = self._call_pages(pinner, count)
        self.tally.calls = self._calls(pinner, count)
        self.tally.latency_ns += self.tally.calls * self.costs[Cost.PIN_CALL]
        errno = Errno.OK
        self.pin_rows, self.busy_area, self.on_behalf = rows, behind, proc
        try:
            while taken.count < count and errno == Errno.OK:
                start = first + taken.count
                size = min(unit, first + count - start)
                errno = self._pin_call(behind, start, size, cpu, pinner, rows)
                if errno == Errno.OK:
                    taken.count += size
            if errno == Errno.OK and self._refuses_file(behind, pinner):
                errno = Errno.EOPNOTSUPP
        except KilledError:
            errno = Errno.EINTR
        except StuckError:  # it would return only when somebody kills the process
            errno = Errno.EINTR
            self._emit(Row.INCIDENT, Incident.PIN_STUCK, self.area_of[slot].proc, pin, 0)
        except PanicError:
            self.tally.pages = 0
            raise
        finally:
            self.pin_rows, self.busy_area, self.on_behalf, self.later_ns = None, -1, -1, 0
        if errno != Errno.OK and pin in self.pin_of:
            self._unpin(pin)
        elif errno == Errno.OK and pinner == Pinner.IO_URING:
            self._keep_folio_pins(taken)
        self.tally.pages = count if errno == Errno.OK else 0
        self._emit_pin(pin, slot, errno, rows)
        self._emit_moves(MigrateReason.LONGTERM_PIN, pin, self.moves)
        return errno

    def _call_pages(self, pinner: int, count: int) -> int:
        """Pages handled as one GUP call; where no call can fail the range is one."""
        by_call = self.table[Cell.PIN_MIGRATES] == PinMigrates.AFTER_FAULTS
        if pinner == Pinner.DIRECT_IO or not (by_call or self.table[Cell.PIN_DENIED]):
            return count
        return self._unit(pinner, count)

    def _unit(self, pinner: int, count: int) -> int:
        """Pages of one GUP call of a pinner that wants ``count``."""
        if pinner == Pinner.VFIO:
            return self.table[Cell.VFIO_CALL_PAGES]
        return RDMA_CALL_PAGES if pinner == Pinner.RDMA else count

    def _refuses_file(self, slot: int, pinner: int) -> bool:
        """Whether the pinner itself turns the area down, with everything pinned."""
        rule = self.table[Cell.FILE_PIN]
        refuses = rule == FilePin.IO_URING_REFUSES and pinner == Pinner.IO_URING
        return refuses and self.area_of[slot].kind == AreaKind.FILE

    def _calls(self, pinner: int, count: int) -> int:
        """GUP calls the pinner makes for ``count`` pages."""
        return -(-count // self._unit(pinner, count))

    def _pin_call(
        self, slot: int, first: int, count: int, cpu: int, pinner: int, rows: PinRows
    ) -> Errno:
        """One GUP call: fault, check and migrate, take the pins (or migrate, then fault)."""
        if pinner == Pinner.DIRECT_IO:
            errno = self._populate(slot, first, count, cpu, -1, pinning=False)
            if errno == Errno.OK:
                self._take_pins(slot, first, count, rows, longterm=False)
            return errno
        file = self.area_of[slot].kind == AreaKind.FILE
        if file and self.table[Cell.FILE_PIN] == FilePin.REFUSED:
            return Errno.EFAULT
        if self._pool_short(slot, count):
            return Errno.ENOMEM
        before = self.table[Cell.PIN_MIGRATES] == PinMigrates.BEFORE_FAULTS
        wanted, errno = self._before_refused(slot, first, count), Errno.OK
        if before and wanted:
            errno = self._check_and_migrate(slot, first, wanted, cpu, rows)
            if errno != Errno.OK:
                return errno
        if wanted:
            errno = self._populate(slot, first, wanted, cpu, -1, pinning=True)
        if errno == Errno.OK and wanted == count and before:
            self._take_pins(slot, first, count, rows)
            return Errno.OK
        if errno == Errno.OK and wanted == count:
            errno = self._check_and_migrate(slot, first, count, cpu, rows)
            if errno == Errno.OK:
                self._take_pins(slot, first, count, rows)
            return errno
        if self.area_of[slot].kind != AreaKind.HUGETLB:
            return errno
        return self._cut_short(slot, first, count, cpu, pinner, rows, refused=errno == Errno.OK)

    def _before_refused(self, slot: int, first: int, count: int) -> int:
        """Pages of a range in front of a hugetlb folio that the pin refuses; the range as a rule.

        mm/hugetlb.c ``follow_hugetlb_page`` of 6.1 takes an unpinnable folio for a bug: a warning
        and -ENOMEM instead of a migration.
        """
        refuses = self.table[Cell.PIN_MIGRATES] and not self.table[Cell.PIN_DENIED]
        if self.area_of[slot].kind != AreaKind.HUGETLB or not refuses:
            return count
        if self.table[Cell.HUGETLB_PIN_MIGRATES]:
            return count
        for i, pfn in enumerate(self.area_of[slot].pages[first : first + count]):
            if pfn >= 0 and self._unpinnable(self.owner[pfn].pfn):
                return i
        return count

    def _cut_short(
        self, slot: int, first: int, count: int, cpu: int, pinner: int, rows: PinRows,
        *, refused: bool,
    ) -> Errno:  # fmt: skip
        """GUP of hugetlb memory ended at a folio that it could not have.

        The pages in front of it are returned, moved if need be, and the caller lets go of them:
        io_uring with -EFAULT (io_uring/rsrc.c ``io_pin_pages``), the others after asking for the
        rest, which gives them the errno.
        """
        pages = self.area_of[slot].pages[first : first + count]
        got = next((i for i, pfn in enumerate(pages) if pfn < 0), count)
        if refused:
            got = self._before_refused(slot, first, count)
        if got:
            errno = self._check_and_migrate(slot, first, got, cpu, rows)
            if errno != Errno.OK:
                return errno
            self.counters[Counter.NR_FOLL_PIN_ACQUIRED] += got
            self.counters[Counter.NR_FOLL_PIN_RELEASED] += got
        if refused and not (got and pinner == Pinner.IO_URING):
            return Errno.ENOMEM
        return Errno.EFAULT

    def _pool_short(self, slot: int, count: int) -> bool:
        """Whether the pool of pins has fewer pages left than a call asks for.

        Hugetlb pages have a pool of their own.
        """
        if not self.table[Cell.PIN_POOL_MILLIONTHS] or self.area_of[slot].kind == AreaKind.HUGETLB:
            return False
        return count > sum(self._pool_left(zone) for zone in self.zone)

    def _check_and_migrate(
        self, slot: int, first: int, count: int, cpu: int, rows: PinRows
    ) -> Errno:
        """check_and_migrate_movable_pages of one call."""
        bad = [f for f in self._folios(slot, first, count) if self._unpinnable(f.pfn)]
        if not bad:
            return Errno.OK
        if self.table[Cell.PIN_DENIED] and any(
            self._zone_at(f.pfn).kind == ZoneKind.MOVABLE for f in bad
        ):
            return Errno.EBUSY
        if not self.table[Cell.PIN_MIGRATES]:
            return Errno.OK
        self.counters[Counter.NR_FOLL_PIN_ACQUIRED] += count
        self.counters[Counter.NR_FOLL_PIN_RELEASED] += count
        lost = self._isolate(bad)
        self.later_ns = self._await_references([f for f in bad if not f.isolated])
        self.tally.latency_ns += self.later_ns
        stayed = False
        for _ in range(self.table[Cell.PIN_RETRIES]):
            call = Call(Target.PIN, cpu, self.on_behalf, span=(slot, first, count))
            found = self._folios(slot, first, count)
            call.pending = [f for f in found if self._unpinnable(f.pfn) and not f.isolated]
            self._migrate_now(call)
            stayed = bool(call.pending) or call.aborted
            if not stayed:
                break
        self.later_ns = 0
        for folio in self._folios(slot, first, count):
            if self._unpinnable(folio.pfn):
                parts, path = self._parts(folio), self._path(folio)
                for part in parts:
                    rows.add(self._block(part), path, PinRows.FAILED, folio.pages // len(parts), 0)
        if lost and self.table[Cell.PIN_ISOLATION] == PinIsolation.ENOMEM:
            return Errno.ENOMEM
        if not stayed or self.table[Cell.PIN_FAILURE] == PinFailure.PIN_IN_PLACE:
            return Errno.OK
        return Errno.ENOMEM

    def _isolate(self, folios: list[Folio]) -> int:
        """folio_isolate_lru of each; how many are not to be had.

        Who waits gets them when the running migrate_pages call has ended its pass; at this
        instant that is the same as taking them off its list, for the time its try still takes.
        """
        listed = [f for f in folios if f.isolated]
        if self.table[Cell.PIN_ISOLATION] != PinIsolation.WAIT:
            return len(listed)
        if listed:
            self.tally.latency_ns += self._try_left_ns()
        for folio in listed:
            folio.isolated = False
        return 0

    def _try_left_ns(self) -> int:
        """How long the present try of a running offline still takes (the layer above knows)."""
        return 0

    def _take_pins(
        self, slot: int, first: int, count: int, rows: PinRows, *, longterm: bool = True
    ) -> None:
        """Add a pin (a reference) to each page; a huge folio counts its sub-pages."""
        taken: dict[int, int] = {}
        for pfn in self.area_of[slot].pages[first : first + count]:
            folio = self.owner[pfn]
            folio.pins += longterm
            folio.references += not longterm
            part = folio.pfn + (pfn - folio.pfn) // self.pb_pages * self.pb_pages
            taken[part] = taken.get(part, 0) + 1
        for pfn, pages in taken.items():
            folio = self.owner[pfn]
            cost = self.costs[Cost.PIN_4K] * pages
            if folio.order:
                cost = self.costs[Cost.PIN_2M] * pages // self.pb_pages
            self.tally.latency_ns += cost
            rows.add(self._block(pfn), self._path(folio), PinRows.PINNED, pages, cost)
        self.counters[Counter.NR_FOLL_PIN_ACQUIRED] += count * longterm

    def _keep_folio_pins(self, taken: Pin) -> None:
        """io_coalesce_buffer: a buffer that is all huge folios keeps one pin of each."""
        pages = self.area_of[taken.area].pages[taken.first : taken.first + taken.count]
        if not self.table[Cell.IOU_FOLIO_PINS] or not all(self.owner[p].order for p in pages):
            return
        folios = self._folios(taken.area, taken.first, taken.count)
        for pfn in pages:
            self.owner[pfn].pins -= 1
        for folio in folios:
            folio.pins += 1
        taken.by_folio = True
        self.counters[Counter.NR_FOLL_PIN_RELEASED] += taken.count - len(folios)

    def _emit_pin(self, pin: int, slot: int, errno: Errno, rows: PinRows) -> None:
        """One PIN row per (block, path), ascending; an incident when it failed."""
        for (block, path), (pinned, faulted, migrated, failed, ns) in sorted(rows.cells.items()):
            held = pinned if errno == Errno.OK else 0
            self._emit(
                Row.PIN, pin, slot, errno, self.block_zone[block], block, path,
                held, faulted, migrated, failed, ns,
            )  # fmt: skip
        if errno != Errno.OK:
            area = self.area_of.get(slot)
            self._emit(Row.INCIDENT, Incident.PIN_FAILED, area.proc if area else -1, pin, 0)

    def _unpin(self, pin: int, *, returns: bool = False) -> Errno:
        """UNPIN: release what PIN or HOLD took; ``returns``: what nobody holds goes to MOVABLE."""
        if pin not in self.pin_of:
            return Errno.EINVAL
        taken = self.pin_of.pop(pin)
        if not taken.count:  # a hold of the zero page outlives the unmapping of its area
            return Errno.OK
        cpu = self.proc_of[taken.proc].cpu if taken.proc in self.proc_of else -1
        folios = [] if taken.away else self._drop_pins(taken)
        if returns and taken.longterm:
            own = [f for f in folios if f.area == taken.area]
            self._return_pages(pin, own, cpu, taken.proc)
        for folio in folios:
            self._let_go(folio, cpu)
        self.tally.pages += taken.count
        return Errno.OK

    def _drop_pins(self, taken: Pin) -> list[Folio]:
        """Take the pins or references of a PIN or HOLD off its folios. Returns these."""
        folios, released, last, size = dict[int, Folio](), 0, -1, self.pb_pages
        for i in range(taken.first, taken.first + taken.count):
            if taken.by_folio and i > taken.first and i % size:
                continue
            pfn = self._page_of(taken, i)
            folio = self.owner[pfn]
            size = max(size, folio.pages)
            folio.pins -= taken.longterm
            folio.references -= not taken.longterm
            released += taken.longterm
            part = folio.pfn + (pfn - folio.pfn) // self.pb_pages * self.pb_pages
            if taken.longterm and part != last:
                cost = Cost.UNPIN_2M if folio.order else Cost.UNPIN_4K
                self.tally.latency_ns += self.costs[cost]
            last = part if folio.order else -1
            folios[folio.pfn] = folio
        self.counters[Counter.NR_FOLL_PIN_RELEASED] += released
        return list(folios.values())

    def _unpin_and_return(self, pin: int) -> Errno:
        """UNPIN; where the policy says so pages outside ZONE_MOVABLE return to it."""
        return self._unpin(pin, returns=bool(self.table[Cell.UNPIN_RETURNS]))

    def _return_pages(self, pin: int, folios: list[Folio], cpu: int, proc: int) -> None:
        """Move what nobody holds any more to ZONE_MOVABLE, as far as there is room.

        The reverse of check_and_migrate_movable_pages. Hugetlb folios stay: their pool has a place
        for each node.
        """
        call = Call(Target.RETURN, cpu, proc)
        call.pending = [
            f
            for f in folios
            if not (f.held or f.isolated or self._is_hugetlb(f))
            and self._zone_at(f.pfn).kind != ZoneKind.MOVABLE
        ]
        if not call.pending:
            return
        self._migrate_now(call)
        self._emit_moves(MigrateReason.UNPIN, pin, self.moves)

    def _hold(self, pin: int, slot: int, first: int, count: int) -> Errno:
        """HOLD: references without FOLL_LONGTERM.

        A wholly untouched anonymous range gets the zero page and no reference, one that is
        partly present is EFAULT; page cache is faulted in.
        """
        if pin in self.pin_of or pin < 0 or not self._range_ok(slot, first, count):
            return Errno.EINVAL
        if self.area_of[slot].kind == AreaKind.KERNEL:
            return Errno.EFAULT
        proc, behind = self.area_of[slot].proc, self._behind(slot)
        area = self.area_of[behind]
        self.busy_area = behind
        try:
            if area.kind in CACHES:
                self._populate_through(slot, first, count, self._cpu(slot, -1), -1)
            for i in range(first, first + count):
                if area.pages[i] == VIEW:
                    self._populate_through(slot, i, 1, self._cpu(slot, -1), -1)
        finally:
            self.busy_area = -1
        if area.kind == AreaKind.HUGETLB:  # no zero page: a read fault takes a folio, too
            cpu = self._cpu(slot, -1)
            if self._populate(slot, first, count, cpu, -1, pinning=False) != Errno.OK:
                return Errno.EFAULT
        present = sum(p >= 0 for p in area.pages[first : first + count])
        if present not in (0, count) or (present == 0 and area.kind not in ANONYMOUS):
            return Errno.EFAULT
        self.pin_of[pin] = Pin(behind, first, present, False, proc, self._latest())
        if not present:
            self._map_zero(slot, first, count)
        for pfn in area.pages[first : first + present]:
            self.owner[pfn].references += 1
        self.tally.pages = count
        return Errno.OK
