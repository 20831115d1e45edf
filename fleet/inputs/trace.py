"""Traces: one row per workload that arrives."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleet.inputs.columns import Table, read_columns
from fleet.inputs.numbers import NULL, Spec

MIB_PAGES = 256
NS = 10**9

COLUMNS = (
    Spec("arrival_s", "seconds", "Arrival, counted from the start of the trace.", required=True,
         scale=NS, high=2**62),
    Spec("lifetime_s", "seconds", "From arrival to end; empty: it is never seen to end.",
         required=True, nullable=True, scale=NS, low=1, high=2**62),
    Spec("memory_mib", "MiB", "Memory.", required=True, low=1, high=2**26),
    Spec("vcpus", "CPUs", "CPUs; default 1.", nullable=True, low=1, high=4096),
    Spec("kind", "text", "Kind of workload by the scenario's name; empty: drawn from the mix."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trace:
    """Workloads by arrival (rows of equal arrival in the order of the file).

    Attributes
    ----------
    table : Table
        The file as read, for errors.
    row : int64[n]
        Row of ``table`` each workload comes from.
    arrival_ns : int64[n]
        Ascending.
    lifetime_ns : int64[n]
        ``NULL`` (-1): never seen to end.
    pages, vcpus : int64[n]
        Memory, CPUs.
    kind : tuple of str
        "" where the mix decides.
    """

    table: Table
    row: NDArray[np.int64]
    arrival_ns: NDArray[np.int64]
    lifetime_ns: NDArray[np.int64]
    pages: NDArray[np.int64]
    vcpus: NDArray[np.int64]
    kind: tuple[str, ...]


def read_trace(file: str) -> Trace:
    """Read and check a trace (columns: ``COLUMNS``); InputError as ``read_columns``."""
    table = read_columns(file, COLUMNS)
    arrival = table.numbers["arrival_s"]
    order = np.argsort(arrival, kind="stable").astype(np.int64)
    vcpus = table.numbers.get("vcpus", np.full(table.rows, NULL, np.int64))
    kinds = table.texts.get("kind")
    return Trace(
        table=table,
        row=order,
        arrival_ns=arrival[order],
        lifetime_ns=table.numbers["lifetime_s"][order],
        pages=table.numbers["memory_mib"][order] * MIB_PAGES,
        vcpus=np.where(vcpus == NULL, 1, vcpus)[order],
        kind=("",) * table.rows if kinds is None else tuple(kinds[row] for row in order.tolist()),
    )
