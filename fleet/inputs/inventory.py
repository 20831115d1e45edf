"""Inventories: one row per host."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleet.inputs.columns import read_columns
from fleet.inputs.numbers import NULL, Spec

MIB_PAGES = 256

COLUMNS = (
    Spec("name", "text", "Unique name; default `host-00000` and so on."),
    Spec("class", "text", "Class of the host, any text; default `host`."),
    Spec("memory_mib", "MiB", "RAM.", required=True, low=512, high=2**26),
    Spec("cpus", "CPUs", "CPUs; default 32.", nullable=True, low=1, high=4096),
    Spec("nodes", "nodes", "NUMA nodes; default: two from 128GiB.", nullable=True, low=1, high=8),
    Spec("memory_block_mib", "MiB", "Memory block size, a power of two; default as the scenario "
         "says.", nullable=True, low=4, high=2048),
)  # fmt: skip

DEFAULT_CPUS = 32


@dataclass(frozen=True, slots=True)
class Inventory:
    """Hosts of a file, in its order.

    Attributes
    ----------
    file : str
        Where from.
    name, host_class : tuple of str
        Names and classes.
    memory_pages, cpus : int64[n]
        RAM, CPUs.
    nodes, block_pages : int64[n]
        ``NULL`` (-1) where the scenario's rule decides.
    places : sequence of str
        ``file:line`` of each host, for errors.
    """

    file: str
    name: tuple[str, ...]
    host_class: tuple[str, ...]
    memory_pages: NDArray[np.int64]
    cpus: NDArray[np.int64]
    nodes: NDArray[np.int64]
    block_pages: NDArray[np.int64]
    places: tuple[str, ...]


def read_inventory(file: str) -> Inventory:
    """Read and check an inventory (columns: ``COLUMNS``).

    Raises
    ------
    InputError
        As ``read_columns``; also names that repeat and block sizes that are no power of two.
    """
    table = read_columns(file, COLUMNS)
    empty = np.full(table.rows, NULL, np.int64)
    names = table.texts.get("name", tuple(f"host-{i:05d}" for i in range(table.rows)))
    seen: dict[str, int] = {}
    for row, name in enumerate(names):
        if not name:
            raise table.error(row, "name", "value missing")
        if name in seen:
            first = f"{table.place_word or 'line '}{table.places[seen[name]]}"
            raise table.error(row, "name", f"{name!r} is used twice (first in {first})")
        seen[name] = row
    blocks = table.numbers.get("memory_block_mib", empty)
    for row in np.flatnonzero((blocks > 0) & (blocks & (blocks - 1) != 0)).tolist():
        reason = f"a memory block is a power of two, got {blocks[row]} MiB"
        raise table.error(row, "memory_block_mib", reason)
    cpus = table.numbers.get("cpus", empty)
    classes = table.texts.get("class", ("host",) * table.rows)
    return Inventory(
        file=file,
        name=names,
        host_class=tuple(text or "host" for text in classes),
        memory_pages=table.numbers["memory_mib"] * MIB_PAGES,
        cpus=np.where(cpus == NULL, DEFAULT_CPUS, cpus),
        nodes=table.numbers.get("nodes", empty),
        block_pages=np.where(blocks == NULL, NULL, blocks * MIB_PAGES),
        places=tuple(f"{file}:{table.place_word}{place}" for place in table.places),
    )
