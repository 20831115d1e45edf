"""The hugetlb pool: free huge pages by node, reservations, surplus, and nr_hugepages.

Sources: mm/hugetlb.c of Linux 5.10, 6.1 and 6.12: ``set_max_huge_pages``,
``hstate_next_node_to_alloc``, ``enqueue_huge_page``, ``dequeue_huge_page_nodemask``,
``free_huge_page``, ``hugetlb_acct_memory``, ``dissolve_free_huge_page``,
``alloc_huge_page_nodemask``, ``move_hugetlb_state``. Overcommit (nr_overcommit_hugepages) is 0,
so a page is surplus only where nr_hugepages was lowered below what is in use.
"""

from collections.abc import Iterator

from engine.enums import Cell, Counter, Errno
from engine.reference.allocator import NOBODY, Allocator
from engine.reference.state import POOL_AREA, Folio


class HugePool(Allocator):
    """The layer of the hugetlb pool."""

    # -- state --------------------------------------------------------------------------------

    def _available(self) -> int:
        """available_huge_pages: free pages that no mapping has reserved."""
        return sum(map(len, self.free_pool)) - self.pool_reserved

    def _persistent(self) -> int:
        """persistent_huge_pages: what nr_hugepages shows."""
        return sum(self.pool_total) - sum(self.pool_surplus)

    def _enqueue(self, pfn: int) -> None:
        """enqueue_huge_page: the folio is the next one taken on its node."""
        folio = Folio(pfn, self.pbo, POOL_AREA, 0)
        for i in range(self.pb_pages):
            self.owner[pfn + i] = folio
        self.free_pool[self._node_of(pfn)].append(pfn)

    def _remove_from_pool(self, pfn: int) -> None:
        """Take a free folio off its list; it belongs to nobody then."""
        self.free_pool[self._node_of(pfn)].remove(pfn)
        for i in range(self.pb_pages):
            del self.owner[pfn + i]

    def _dequeue(self, nodes: list[int], *, pinnable: bool) -> int:
        """dequeue_huge_page_nodemask: most recently freed folio of the first node; -1 if none."""
        for node in nodes:
            for pfn in reversed(self.free_pool[node]):
                if pinnable and self._unpinnable(pfn):
                    continue
                self._remove_from_pool(pfn)
                return pfn
        return -1

    def _offers(self, nodes: list[int], *, pinnable: bool) -> bool:
        """Whether a migration would get a pool folio."""
        return self._available() > 0 and any(
            not (pinnable and self._unpinnable(pfn))
            for node in nodes
            for pfn in self.free_pool[node]
        )

    def _unpinnable(self, pfn: int) -> bool:
        """Whether a long-term pin must not take this page (is_pinnable_page)."""
        zone = self._zone_at(pfn)
        if zone.kind == 2:
            return True
        isolated = self.block_isolated[pfn // self.shape.block_pages]
        return isolated and bool(self.table[Cell.ISOLATED_UNPINNABLE])

    def _free_hugetlb(self, pfn: int, cpu: int) -> None:
        """free_huge_page: back to the pool, or to the buddy while the node has a surplus."""
        node = self._node_of(pfn)
        if self.pool_surplus[node]:
            self.pool_surplus[node] -= 1
            self.pool_total[node] -= 1
            self._free_huge(pfn, cpu)
        else:
            self._enqueue(pfn)

    def _dissolve(self, pfn: int) -> bool:
        """dissolve_free_huge_page: a free folio goes to the buddy; False: all are reserved."""
        if self._available() == 0:
            return False
        self._remove_from_pool(pfn)
        self.pool_total[self._node_of(pfn)] -= 1
        self._free_chunk(pfn, self.pbo)
        return True

    def _trade(self, old: int, new: int) -> None:
        """move_hugetlb_state: a fresh page takes the place of one that leaves the pool."""
        source, target = self._node_of(old), self._node_of(new)
        self.pool_total[source] -= 1
        self.pool_total[target] += 1
        if source != target and self.pool_surplus[source]:
            self.pool_surplus[source] -= 1
            self.pool_surplus[target] += 1

    def _reserve_folios(self, folios: int) -> bool:
        """hugetlb_acct_memory of a new mapping: False when too few are free."""
        if self._available() < folios:
            return False
        self.pool_reserved += folios
        return True

    # -- size ---------------------------------------------------------------------------------

    def _fresh_hugetlb(self, node: int) -> int:
        """alloc_fresh_huge_page on one node: pfn, or -1."""
        request = self._request([node], True, 0, NOBODY, may_oom=False)
        pfn = self._alloc(request, self.pbo)
        found = pfn >= 0
        self.counters[
            Counter.HTLB_BUDDY_ALLOC_SUCCESS if found else Counter.HTLB_BUDDY_ALLOC_FAIL
        ] += 1
        return pfn

    def _add_to_pool(self, fresh: list[int]) -> None:
        """Fresh pages join the pool: one by one, or since 6.7 in one batch, last page first."""
        for pfn in reversed(fresh) if self.table[Cell.HUGETLB_POOL_BATCHED] else fresh:
            self.pool_total[self._node_of(pfn)] += 1
            self._enqueue(pfn)
        self.tally.pages += len(fresh) * self.pb_pages

    def _grow_pool(self, node: int, folios: int) -> Errno:
        """POOL: add to nr_hugepages of a node; ENOMEM when it falls short (what fits stays)."""
        if not 0 <= node < self.shape.nr_nodes or folios <= 0:
            return Errno.EINVAL
        fresh: list[int] = []
        while len(fresh) < folios and (pfn := self._fresh_hugetlb(node)) >= 0:
            fresh.append(pfn)
        self._add_to_pool(fresh)
        return Errno.OK if len(fresh) == folios else Errno.ENOMEM

    def _turns(self, pointer: int, nodes: list[int]) -> Iterator[int]:
        """hstate_next_node_to_alloc (0), _to_free (1): each allowed node once, from where the last
        one stopped.
        """
        for _ in nodes:
            start = self.pool_turn[pointer]
            node = min(nodes, key=lambda n: (n < start, n))
            self.pool_turn[pointer] = min(nodes, key=lambda n: (n <= node, n))
            yield node

    def _set_pool(self, node: int, folios: int, cpu: int) -> Errno:
        """NR_HUGEPAGES: write nr_hugepages (of one node, or -1: all, page by page in turn).

        Never fails: what cannot be had is missing; what is in use beyond the new size becomes
        surplus and leaves when it is freed.
        """
        if not -1 <= node < self.shape.nr_nodes or folios < 0 or cpu >= len(self.shape.cpu_node):
            return Errno.EINVAL
        nodes, count = self._populated_nodes(), folios
        if node >= 0:
            nodes, count = [node], folios + sum(self.pool_total) - self.pool_total[node]
        while count > self._persistent() and self._shift_surplus(nodes, -1):
            pass
        fresh: list[int] = []
        while count > self._persistent() + len(fresh) and (pfn := self._next_fresh(nodes)) >= 0:
            fresh.append(pfn)
        self._add_to_pool(fresh)
        needed = self.pool_reserved + sum(self.pool_total) - sum(map(len, self.free_pool))
        while max(count, needed) < self._persistent() and self._shrink_by_one(nodes, cpu):
            pass
        while count < self._persistent() and self._shift_surplus(nodes, 1):
            pass
        self.tally.pages = self._persistent() * self.pb_pages
        return Errno.OK

    def _next_fresh(self, nodes: list[int]) -> int:
        """alloc_pool_huge_page: from the next node in turn that has one; -1 if none."""
        for node in self._turns(0, nodes):
            pfn = self._fresh_hugetlb(node)
            if pfn >= 0:
                return pfn
        return -1

    def _shrink_by_one(self, nodes: list[int], cpu: int) -> bool:
        """free_pool_huge_page: the head of the next node's list goes to the buddy."""
        for node in self._turns(1, nodes):
            if self.free_pool[node]:
                pfn = self.free_pool[node][-1]
                self._remove_from_pool(pfn)
                self.pool_total[node] -= 1
                self._free_huge(pfn, cpu)
                return True
        return False

    def _shift_surplus(self, nodes: list[int], delta: int) -> bool:
        """adjust_pool_surplus: one page of the next node becomes surplus, or persistent again."""
        for node in self._turns(0 if delta < 0 else 1, nodes):
            fits = self.pool_surplus[node] < self.pool_total[node]
            if self.pool_surplus[node] if delta < 0 else fits:
                self.pool_surplus[node] += delta
                return True
        return False
