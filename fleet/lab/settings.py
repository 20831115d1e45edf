"""Kernel settings that the recorded driver reads and writes: the files it names, what they mean."""

import re
from typing import Any, NamedTuple

from engine.enums import Errno, Op, PoolSize
from fleet.lab.buffers import UnsupportedOperationError, errno_name
from fleet.lab.histories import Histories

MIN_FREE = "/proc/sys/vm/min_free_kbytes"
NR_HUGEPAGES = "/proc/sys/vm/nr_hugepages"
_HUGEPAGES = re.compile(
    r"/sys/(?:kernel/mm|devices/system/node/node(?P<node>\d+))/hugepages/"
    r"hugepages-(?P<kbytes>2048|1048576)kB/(?P<column>nr|free|surplus|resv)_hugepages"
)
"""Documentation/admin-guide/mm/hugetlbpage.rst: of the system, and of one node (without resv)."""
_VALUE = re.compile(r"\d{1,15}", re.ASCII)
COLUMNS = {"nr": 0, "free": 1, "surplus": 2, "resv": 3}


class Pool(NamedTuple):
    """What a file about huge pages means: column, node (-1: all) and size of the pages."""

    column: str
    node: int
    size: PoolSize


class Settings(Histories):
    """The part of the driver that reads and writes settings. Parameters: see ``Buffers``."""

    def op_put(self, setting: tuple[str, str]) -> Errno:
        """Write a kernel setting."""
        path, value = setting
        if _VALUE.fullmatch(value):
            if path == MIN_FREE:
                return self.machine.do(Op.MIN_FREE, int(value) // 4)
            pool = _hugepages(path)
            if pool is not None and pool.column == "nr" and pool.node < self.machine.shape.nr_nodes:
                self._spawn()  # the driver has touched a page by then (recorded: 3 faults)
                wanted = (pool.node, int(value), self.cpu_now, pool.size)
                return self.machine.do(Op.NR_HUGEPAGES, *wanted)
        raise UnsupportedOperationError(f"writing {path} is not supported yet")

    def op_cat(self, path: str) -> dict[str, Any]:
        """Read a kernel setting.

        ``/proc/sys/vm/nr_hugepages`` leaves out what is surplus, the file of sysfs does not
        (mm/hugetlb.c ``hugetlb_sysctl_handler_common``, ``nr_hugepages_show_common``).
        """
        wanted = _hugepages(path)
        if (
            wanted is None
            or wanted.node >= self.machine.shape.nr_nodes
            or (wanted.node >= 0 and wanted.column == "resv")
        ):
            raise UnsupportedOperationError(f"reading {path} is not supported yet")
        pool = self.machine.engine.pool(wanted.size)
        rows = pool if wanted.node < 0 else pool[wanted.node : wanted.node + 1]
        value = int(rows[:, COLUMNS[wanted.column]].sum())
        if path == NR_HUGEPAGES:
            value -= int(pool[:, COLUMNS["surplus"]].sum())
        return {"errno": errno_name(Errno.OK), "value": str(value)}


def _hugepages(path: str) -> Pool | None:
    """What a file about huge pages means, None for another one."""
    if path == NR_HUGEPAGES:
        return Pool("nr", -1, PoolSize.HUGE)
    found = _HUGEPAGES.fullmatch(path)
    if found is None:
        return None
    size = PoolSize.HUGE if found["kbytes"] == "2048" else PoolSize.GIGANTIC
    return Pool(found["column"], -1 if found["node"] is None else int(found["node"]), size)
