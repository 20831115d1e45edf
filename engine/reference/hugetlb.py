"""The hugetlb pools: free huge pages by node, reservations, surplus, and nr_hugepages.

Sources: mm/hugetlb.c of Linux 5.10, 6.1 and 6.12: ``set_max_huge_pages``,
``hstate_next_node_to_alloc``, ``enqueue_huge_page``, ``dequeue_huge_page_nodemask``,
``free_huge_page``, ``hugetlb_acct_memory``, ``dissolve_free_huge_page``,
``alloc_huge_page_nodemask``, ``move_hugetlb_state``. Overcommit (nr_overcommit_hugepages) is 0,
so a page is surplus only where nr_hugepages was lowered below what is in use.

There is a pool of each page size. Gigantic pages (1 GiB on x86-64) are larger than any chunk of the
buddy: ``alloc_gigantic_page`` takes a range by ``alloc_contig_pages``, and ``free_gigantic_page``
gives it back page by page. They are movable, but none is taken from ZONE_MOVABLE
(``hugepage_movable_supported``, ``htlb_alloc_mask``), and none is made for a migration
(``alloc_migrate_huge_page``).

Simplified: a range is taken only where all of it is free (mm/page_alloc.c
``pfn_range_valid_contig`` of 5.10; 5.13 and later also empty a range by migration), and what is
given back does not stop on a CPU's list.
"""

from collections.abc import Iterator

from engine.enums import Cell, Counter, Errno, Migratetype, PoolSize, ZoneKind
from engine.reference.allocator import NOBODY, Allocator
from engine.reference.state import POOL_AREA, Folio, Pool, Zone


class HugePool(Allocator):
    """The layer of the hugetlb pools."""

    # -- state --------------------------------------------------------------------------------

    def _enqueue(self, pool: Pool, pfn: int) -> None:
        """enqueue_huge_page: the folio is the next one taken on its node."""
        folio = Folio(pfn, pool.order, POOL_AREA, 0)
        for i in range(folio.pages):
            self.owner[pfn + i] = folio
        pool.free[self._node_of(pfn)].append(pfn)

    def _remove_from_pool(self, pool: Pool, pfn: int) -> None:
        """Take a free folio off its list; it belongs to nobody then."""
        pool.free[self._node_of(pfn)].remove(pfn)
        for i in range(pool.pages):
            del self.owner[pfn + i]

    def _dequeue(self, pool: Pool, nodes: list[int], *, pinnable: bool) -> int:
        """dequeue_huge_page_nodemask: most recently freed folio of the first node; -1 if none."""
        for node in nodes:
            for pfn in reversed(pool.free[node]):
                if pinnable and self._unpinnable(pfn):
                    continue
                self._remove_from_pool(pool, pfn)
                return pfn
        return -1

    def _offers(self, pool: Pool, nodes: list[int], *, pinnable: bool) -> bool:
        """Whether a migration would get a pool folio."""
        return pool.available > 0 and any(
            not (pinnable and self._unpinnable(pfn)) for node in nodes for pfn in pool.free[node]
        )

    def _unpinnable(self, pfn: int) -> bool:
        """Whether a long-term pin must not take a folio that begins here (is_pinnable_page)."""
        zone = self._zone_at(pfn)
        if zone.kind == 2:
            return True
        isolated = self.block_isolated[pfn // self.shape.block_pages]
        return isolated and bool(self.table[Cell.ISOLATED_UNPINNABLE])

    def _free_hugetlb(self, pool: Pool, pfn: int, cpu: int) -> None:
        """free_huge_page: back to the pool, or to the buddy while the node has a surplus."""
        node = self._node_of(pfn)
        if pool.surplus[node]:
            pool.surplus[node] -= 1
            pool.total[node] -= 1
            self._to_buddy(pool, pfn, cpu)
        else:
            self._enqueue(pool, pfn)

    def _to_buddy(self, pool: Pool, pfn: int, cpu: int) -> None:
        """update_and_free_page: a folio that has left the pool."""
        if pool.gigantic:
            for part in range(pfn, pfn + pool.pages, self.pb_pages):
                self._free_chunk(part, self.pbo)
        else:
            self._free_huge(pfn, cpu)

    def _dissolve(self, folio: Folio) -> bool:
        """dissolve_free_huge_page: a free folio goes to the buddy; False: all are reserved."""
        pool = self._pool_of(folio.order)
        if pool.available == 0:
            return False
        self._remove_from_pool(pool, folio.pfn)
        pool.total[self._node_of(folio.pfn)] -= 1
        self._to_buddy(pool, folio.pfn, NOBODY)
        return True

    def _trade(self, pool: Pool, old: int, new: int) -> None:
        """move_hugetlb_state: a fresh page takes the place of one that leaves the pool."""
        source, target = self._node_of(old), self._node_of(new)
        pool.total[source] -= 1
        pool.total[target] += 1
        if source != target and pool.surplus[source]:
            pool.surplus[source] -= 1
            pool.surplus[target] += 1

    def _reserve_folios(self, pool: Pool, folios: int) -> bool:
        """hugetlb_acct_memory of a new mapping: False when too few are free."""
        if pool.available < folios:
            return False
        pool.reserved += folios
        return True

    # -- size ---------------------------------------------------------------------------------

    def _fresh_hugetlb(self, pool: Pool, node: int) -> int:
        """alloc_fresh_huge_page on one node: pfn, or -1."""
        if pool.gigantic:
            return self._fresh_gigantic(pool, node)
        request = self._request([node], True, 0, NOBODY, may_oom=False)
        pfn = self._alloc(request, self.pbo)
        found = pfn >= 0
        self.counters[
            Counter.HTLB_BUDDY_ALLOC_SUCCESS if found else Counter.HTLB_BUDDY_ALLOC_FAIL
        ] += 1
        return pfn

    def _fresh_gigantic(self, pool: Pool, node: int) -> int:
        """alloc_contig_pages on one node: the first range of ZONE_NORMAL, else of DMA32; or -1."""
        for kind in (ZoneKind.NORMAL, ZoneKind.DMA32):
            zone = self.zone[node * len(ZoneKind) + kind]
            for pfn in range(0, self.shape.nr_blocks * self.shape.block_pages, pool.pages):
                if self._all_free(zone, pfn, pool.pages):
                    return self._take_range(zone, pfn, pool.pages)
        return -1

    def _boot_gigantic(self, pool: Pool, node: int) -> int:
        """alloc_bootmem_huge_page: memblock gives the highest range of the kernel zones; or -1."""
        top = self.shape.nr_blocks * self.shape.block_pages
        for pfn in range(top - top % pool.pages - pool.pages, -1, -pool.pages):
            zone = self._zone_of(pfn)
            if zone is None or zone.node != node or zone.kind == ZoneKind.MOVABLE:
                continue
            if self._all_free(zone, pfn, pool.pages):
                return self._take_range(zone, pfn, pool.pages)
        return -1

    def _all_free(self, zone: Zone, first: int, pages: int) -> bool:
        """Whether a range lies in a zone, is not being isolated, and nobody has a page of it.

        What is on a CPU's list counts as free. The last range may reach beyond the last block.
        """
        size = self.shape.block_pages
        for block in range(first // size, (first + pages - 1) // size + 1):
            if block >= self.shape.nr_blocks or self.block_zone[block] != zone.zid:
                return False
            if self.block_isolated[block]:
                return False
            reserved_end = block * size + self.shape.block_reserved[block] * self.pb_pages
            if first < reserved_end and block * size < reserved_end:
                return False
        return not any(pfn in self.owner for pfn in range(first, first + pages))

    def _take_range(self, zone: Zone, first: int, pages: int) -> int:
        """alloc_contig_range of a free range: its pageblocks are MOVABLE afterwards."""
        self._drain_pcp(zone)
        folio = Folio(first, pages.bit_length() - 1, POOL_AREA, 0)
        for pfn in range(first, first + pages):
            if pfn in self.chunk:
                zone.free_pages -= 1 << self._remove(zone, pfn)
            self.owner[pfn] = folio
        for pb in range(first >> self.pbo, (first + pages) >> self.pbo):
            self.pb_mt[pb] = Migratetype.MOVABLE
        return first

    def _add_to_pool(self, pool: Pool, fresh: list[int]) -> None:
        """Fresh pages join the pool: one by one, or since 6.7 in one batch, last page first."""
        for pfn in reversed(fresh) if self.table[Cell.HUGETLB_POOL_BATCHED] else fresh:
            pool.total[self._node_of(pfn)] += 1
            self._enqueue(pool, pfn)
        self.tally.pages += len(fresh) * pool.pages

    def _grow_pool(self, node: int, folios: int, size: int) -> Errno:
        """POOL: add to nr_hugepages of a node; ENOMEM when it falls short (what fits stays).

        Gigantic pages as at boot, which has them from memblock and keeps them on a list that it
        enters last page first (``gather_bootmem_prealloc``).
        """
        if not 0 <= node < self.shape.nr_nodes or folios <= 0:
            return Errno.EINVAL
        if not 0 <= size < len(PoolSize):
            return Errno.EINVAL
        pool, fresh = self.pools[size], list[int]()
        take = self._boot_gigantic if pool.gigantic else self._fresh_hugetlb
        while len(fresh) < folios and (pfn := take(pool, node)) >= 0:
            fresh.append(pfn)
        if pool.gigantic:
            fresh.reverse()
        self._add_to_pool(pool, fresh)
        return Errno.OK if len(fresh) == folios else Errno.ENOMEM

    def _turns(self, pool: Pool, pointer: int, nodes: list[int]) -> Iterator[int]:
        """hstate_next_node_to_alloc (0), _to_free (1): each allowed node once, from where the last
        one stopped.
        """
        for _ in nodes:
            start = pool.turn[pointer]
            node = min(nodes, key=lambda n: (n < start, n))
            pool.turn[pointer] = min(nodes, key=lambda n: (n <= node, n))
            yield node

    def _set_pool(self, node: int, folios: int, cpu: int, size: int) -> Errno:
        """NR_HUGEPAGES: write nr_hugepages (of one node, or -1: all, page by page in turn).

        Never fails: what cannot be had is missing; what is in use beyond the new size becomes
        surplus and leaves when it is freed.
        """
        if not -1 <= node < self.shape.nr_nodes or folios < 0 or cpu >= len(self.shape.cpu_node):
            return Errno.EINVAL
        if not 0 <= size < len(PoolSize):
            return Errno.EINVAL
        pool = self.pools[size]
        nodes, count = self._populated_nodes(), folios
        if node >= 0:
            nodes, count = [node], folios + sum(pool.total) - pool.total[node]
        while count > pool.persistent and self._shift_surplus(pool, nodes, -1):
            pass
        fresh: list[int] = []
        while count > pool.persistent + len(fresh) and (pfn := self._next_fresh(pool, nodes)) >= 0:
            fresh.append(pfn)
        self._add_to_pool(pool, fresh)
        needed = pool.reserved + sum(pool.total) - sum(map(len, pool.free))
        while max(count, needed) < pool.persistent and self._shrink_by_one(pool, nodes, cpu):
            pass
        while count < pool.persistent and self._shift_surplus(pool, nodes, 1):
            pass
        self.tally.pages = pool.persistent * pool.pages
        return Errno.OK

    def _next_fresh(self, pool: Pool, nodes: list[int]) -> int:
        """alloc_pool_huge_page: from the next node in turn that has one; -1 if none."""
        for node in self._turns(pool, 0, nodes):
            pfn = self._fresh_hugetlb(pool, node)
            if pfn >= 0:
                return pfn
        return -1

    def _shrink_by_one(self, pool: Pool, nodes: list[int], cpu: int) -> bool:
        """free_pool_huge_page: the head of the next node's list goes to the buddy."""
        for node in self._turns(pool, 1, nodes):
            if pool.free[node]:
                pfn = pool.free[node][-1]
                self._remove_from_pool(pool, pfn)
                pool.total[node] -= 1
                self._to_buddy(pool, pfn, cpu)
                return True
        return False

    def _shift_surplus(self, pool: Pool, nodes: list[int], delta: int) -> bool:
        """adjust_pool_surplus: one page of the next node becomes surplus, or persistent again."""
        for node in self._turns(pool, 0 if delta < 0 else 1, nodes):
            fits = pool.surplus[node] < pool.total[node]
            if pool.surplus[node] if delta < 0 else fits:
                pool.surplus[node] += delta
                return True
        return False
