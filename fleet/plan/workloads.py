"""From arrivals to the plan's workloads: kinds, pins, hints, short references."""

from collections.abc import Sequence

import numpy as np

from engine.enums import Pinner
from fleet.inputs.trace import Trace
from fleet.plan.arrivals import Arrivals, Seed, generated, joined, residents
from fleet.plan.backing import Backing
from fleet.plan.copies import trace_residents, traced
from fleet.plan.draws import Column, Purpose, chance, pick_weighted
from fleet.plan.inflight import io_columns
from fleet.plan.steady import Steady, is_stationary
from fleet.plan.tables import NO_PINNER, Workloads
from fleet.scenario import workloads as asked
from fleet.scenario.rules import hint_chances
from fleet.scenario.units import MILLION

_BACKING = {
    "thp": Backing.THP, "4k": Backing.ANON, "hugetlb": Backing.HUGETLB,
    "hugetlb1g": Backing.HUGETLB1G,
}  # fmt: skip
UNIT_PAGES = {
    Backing.ANON: 1, Backing.THP: 512, Backing.HUGETLB: 512, Backing.HUGETLB1G: 512 * 512,
}  # fmt: skip
"""Base pages of a page of each backing."""
PINNERS = {
    "none": NO_PINNER, "vfio": Pinner.VFIO, "rdma": Pinner.RDMA, "io_uring": Pinner.IO_URING,
}  # fmt: skip


def workloads_table(
    work: asked.Workloads,
    trace: Trace | None,
    seed: Seed,
    horizon_ns: int,
    steady: Steady,
) -> Workloads:
    """Build the table of workloads: residents first, then arrivals by (time, key).

    Parameters
    ----------
    work : fleet.scenario.workloads.Workloads
    trace : Trace, optional
        The trace the scenario names.
    seed : (int, int)
        Seed and replication.
    horizon_ns : int
        Arrivals come before.
    steady : Steady
        RAM of the fleet, from which the commitment counts, and copies of the trace.

    Raises
    ------
    InputError
        If the trace names a kind that the scenario has not.
    """
    wanted = steady.fleet_pages * work.commitment_millionths // MILLION
    if trace is not None:
        ends = is_stationary(work)
        parts = [
            trace_residents(trace, seed, wanted, ends=ends),
            traced(trace, seed, horizon_ns, steady.scale_millionths, ends=ends),
        ]
    else:
        streams = enumerate(work.generators)
        parts = [residents(work.generators, seed, wanted)]
        parts += [generated(g, number, seed, horizon_ns) for number, g in streams]
    first, later = parts[0], joined(parts[1:])
    order = np.lexsort((later.key, later.arrival_ns))
    later = Arrivals(*(getattr(later, name)[order] for name in Arrivals.__slots__))
    rows = joined([first, later])
    kind = _kinds(work, trace, rows, seed)
    return _table(work, rows, kind, _hints(work, kind, rows.key, seed))


def _kinds(work: asked.Workloads, trace: Trace | None, rows: Arrivals, seed: Seed) -> Column:
    """Return the kind of each workload: what the trace says, else drawn from the mix."""
    names = [kind.name for kind in work.kinds]
    out = np.zeros(len(rows.key), np.int64)
    mixes = [work.mix] if trace is not None else [g.mix for g in work.generators]
    for number, mix in enumerate(mixes):
        own = np.full(len(out), True) if trace is not None else rows.source == number
        weights = [mix.get(name, 0) for name in names]
        out[own] = pick_weighted(weights, *seed, rows.key[own], Purpose.KIND)
    if trace is not None and any(trace.kind):
        said = _said_kinds(trace, names)[rows.source]
        out = np.where(said >= 0, said, out)
    return out


def _said_kinds(trace: Trace, names: list[str]) -> Column:
    """Return the kind's number for each row of a trace, -1 where it is empty."""
    number = {name: index for index, name in enumerate(names)} | {"": -1}
    for at, name in enumerate(trace.kind):
        if name not in number:
            reason = f"unknown kind {name!r} (the scenario has: {', '.join(names)})"
            raise trace.table.error(int(trace.row[at]), "kind", reason)
    return np.array([number[name] for name in trace.kind], np.int64)


def _table(work: asked.Workloads, rows: Arrivals, kind: Column, hinted: Column) -> Workloads:
    """Apply each kind's attributes. THP and hugetlb parts are whole pages of 2 MiB or 1 GiB."""

    def per_kind(values: Sequence[int]) -> Column:
        return np.array(values, np.int64)[kind]

    kinds = work.kinds
    backing = per_kind([_BACKING[k.backing] for k in kinds])
    pinner = per_kind([PINNERS[k.pin] for k in kinds])
    unit = per_kind([UNIT_PAGES[_BACKING[k.backing]] for k in kinds])
    hugetlb = (backing == Backing.HUGETLB) | (backing == Backing.HUGETLB1G)
    pages = np.where(hugetlb, -(-rows.pages // unit) * unit, rows.pages)
    share = per_kind([k.pinned_millionths if k.pin != "none" and not k.maps else 0 for k in kinds])
    pinned = _share(pages, share, unit)
    touched = _share(pages - pinned, per_kind([k.touched_millionths for k in kinds]), unit)
    return Workloads(
        key=rows.key,
        kind_names=tuple(k.name for k in kinds),
        kind=kind,
        arrival_ns=rows.arrival_ns,
        age_ns=rows.age_ns,
        lifetime_ns=rows.lifetime_ns,
        pages=pages,
        vcpus=rows.vcpus,
        backing=backing,
        pinner=np.where(pinned > 0, pinner, NO_PINNER),
        pinned_pages=pinned,
        present_pages=_share(pinned, per_kind([k.present_millionths for k in kinds]), unit),
        touched_pages=touched,
        flows=per_kind([k.flows for k in kinds]),
        hinted=hinted,
        **io_columns(kinds, kind, pinned + touched),
    )


def _share(pages: Column, millionths: Column, unit: Column) -> Column:
    """Return a share of pages in whole units, the whole being kept whole."""
    part: Column = pages * millionths // MILLION // unit * unit
    return np.where(millionths == MILLION, pages, part)


def _hints(work: asked.Workloads, kind: Column, key: Column, seed: Seed) -> Column:
    """Return 1 for workloads that give the madvise hint.

    Of those that pin, a share ``recall`` does. Of the others as many as make a share
    ``precision`` of all hints true, in expectation, by the numbers of this plan's mixes.
    """
    pins = np.array([k.pin != "none" for k in work.kinds])[kind]
    chances = hint_chances(work)
    return chance(np.where(pins, chances[0], chances[1]), *seed, key, Purpose.HINT).astype(np.int64)
