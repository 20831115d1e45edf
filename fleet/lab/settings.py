"""Kernel settings that the recorded driver reads and writes: the files it names, what they mean."""

import re
from typing import Any

from engine.enums import Errno, Op
from fleet.lab.buffers import UnsupportedOperationError, errno_name
from fleet.lab.histories import Histories

MIN_FREE = "/proc/sys/vm/min_free_kbytes"
NR_HUGEPAGES = "/proc/sys/vm/nr_hugepages"
_HUGEPAGES = re.compile(
    r"/sys/(?:kernel/mm|devices/system/node/node(?P<node>\d+))/hugepages/hugepages-2048kB/"
    r"(?P<column>nr|free|surplus|resv)_hugepages"
)
"""Documentation/admin-guide/mm/hugetlbpage.rst: of the system, and of one node (without resv)."""
_VALUE = re.compile(r"\d{1,15}", re.ASCII)
COLUMNS = {"nr": 0, "free": 1, "surplus": 2, "resv": 3}


class Settings(Histories):
    """The part of the driver that reads and writes settings. Parameters: see ``Buffers``."""

    def op_put(self, setting: tuple[str, str]) -> Errno:
        """Write a kernel setting."""
        path, value = setting
        if _VALUE.fullmatch(value):
            if path == MIN_FREE:
                return self.machine.do(Op.MIN_FREE, int(value) // 4)
            column, node = _hugepages(path)
            if column == "nr" and node < self.machine.shape.nr_nodes:
                self._spawn()  # the driver has touched a page by then (recorded: 3 faults)
                return self.machine.do(Op.NR_HUGEPAGES, node, int(value), self.cpu_now)
        raise UnsupportedOperationError(f"writing {path} is not supported yet")

    def op_cat(self, path: str) -> dict[str, Any]:
        """Read a kernel setting.

        ``/proc/sys/vm/nr_hugepages`` leaves out what is surplus, the file of sysfs does not
        (mm/hugetlb.c ``hugetlb_sysctl_handler_common``, ``nr_hugepages_show_common``).
        """
        column, node = _hugepages(path)
        if not column or node >= self.machine.shape.nr_nodes or (node >= 0 and column == "resv"):
            raise UnsupportedOperationError(f"reading {path} is not supported yet")
        pool = self.machine.engine.pool()
        rows = pool if node < 0 else pool[node : node + 1]
        value = int(rows[:, COLUMNS[column]].sum())
        if path == NR_HUGEPAGES:
            value -= int(pool[:, COLUMNS["surplus"]].sum())
        return {"errno": errno_name(Errno.OK), "value": str(value)}


def _hugepages(path: str) -> tuple[str, int]:
    """Column and node (-1: all) of a file about 2 MiB pages; an empty column for another."""
    if path == NR_HUGEPAGES:
        return "nr", -1
    found = _HUGEPAGES.fullmatch(path)
    if found is None:
        return "", -1
    return found["column"], -1 if found["node"] is None else int(found["node"])
