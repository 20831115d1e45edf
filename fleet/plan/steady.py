"""Little's law: what the workloads of a scenario come to, and how many copies of a trace it takes.

Stationary amount = arrival rate x mean (lifetime x amount), in exact fractions.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from fleet.errors import InputError
from fleet.inputs.trace import Trace
from fleet.plan.days import DAY_NS, days_of, lifetimes
from fleet.plan.draws import Column
from fleet.scenario.units import MILLION, STATIONARY
from fleet.scenario.workloads import Generator, Workloads


@dataclass(frozen=True, slots=True)
class Load:
    """What is there at a time in the long run, of the generators or of one copy of the trace.

    Attributes
    ----------
    arrivals : Fraction
        Arrivals per day.
    workloads, memory_pages, vcpus : Fraction
        Stationary means.
    """

    arrivals: Fraction
    workloads: Fraction
    memory_pages: Fraction
    vcpus: Fraction


@dataclass(frozen=True, slots=True)
class Steady:
    """The stationary state of a scenario beside what its fleet has, rounded down.

    Attributes
    ----------
    commitment_millionths : int
        Memory of workloads that the scenario asks for, share of RAM; residents of time zero
        have it.
    scale_millionths : int
        Copies of the trace that arrive (generators: one).
    arrivals_per_day, workloads, memory_pages, vcpus : int
        Stationary means of what arrives; 0 for a trace of less than a day, which ends.
    fleet_pages, fleet_cpus : int
        RAM and CPUs of all hosts.
    """

    commitment_millionths: int
    scale_millionths: int
    arrivals_per_day: int
    workloads: int
    memory_pages: int
    vcpus: int
    fleet_pages: int
    fleet_cpus: int

    @property
    def offered_millionths(self) -> int:
        """Stationary memory, share of RAM. A commitment equal to it stays level."""
        return self.memory_pages * MILLION // self.fleet_pages

    @property
    def cpu_millionths(self) -> int:
        """Stationary vCPUs, share of CPUs: above one million the CPUs are over-committed."""
        return self.vcpus * MILLION // self.fleet_cpus


def steady_of(work: Workloads, trace: Trace | None, fleet_pages: int, fleet_cpus: int) -> Steady:
    """Return the stationary state of workloads on a fleet.

    Parameters
    ----------
    work : fleet.scenario.workloads.Workloads
    trace : Trace, optional
        The trace it names.
    fleet_pages, fleet_cpus : int
        RAM and CPUs of all hosts.

    Raises
    ------
    InputError
        The arrivals shall be scaled to a commitment, but the trace has no whole day.
    """
    load = load_of(work, trace)
    scale = scale_millionths(work, trace, load, fleet_pages)
    ends = trace is not None and days_of(trace).whole == 0
    copies = Fraction(0 if ends else scale, MILLION)
    return Steady(
        commitment_millionths=work.commitment_millionths,
        scale_millionths=scale,
        arrivals_per_day=int(load.arrivals * copies),
        workloads=int(load.workloads * copies),
        memory_pages=int(load.memory_pages * copies),
        vcpus=int(load.vcpus * copies),
        fleet_pages=fleet_pages,
        fleet_cpus=fleet_cpus,
    )


def is_stationary(work: Workloads) -> bool:
    """Return whether the arrivals of a trace are scaled to the commitment, and so all end."""
    return work.scale_millionths == STATIONARY and work.commitment_millionths > 0


def scale_millionths(work: Workloads, trace: Trace | None, load: Load, fleet_pages: int) -> int:
    """Return how many copies of the trace arrive, in millionths; InputError as ``steady_of``."""
    if trace is None:
        return MILLION
    if not is_stationary(work):
        return work.scale_millionths or MILLION
    if days_of(trace).whole == 0:
        reason = (
            "less than a whole day of arrivals: there is no stationary load to scale to the "
            "commitment (with `scale: 1` the trace is played once, as it is)"
        )
        raise InputError(reason, field="workloads.trace")
    return max(1, int(fleet_pages * work.commitment_millionths / load.memory_pages))


def load_of(work: Workloads, trace: Trace | None) -> Load:
    """Return the stationary load of the generators, or of one copy of a trace."""
    if trace is not None:
        return _load_of_trace(trace)
    parts = [_load_of_generator(generator) for generator in work.generators]
    return Load(
        arrivals=sum((p.arrivals for p in parts), Fraction(0)),
        workloads=sum((p.workloads for p in parts), Fraction(0)),
        memory_pages=sum((p.memory_pages for p in parts), Fraction(0)),
        vcpus=sum((p.vcpus for p in parts), Fraction(0)),
    )


def _load_of_trace(trace: Trace) -> Load:
    """Sum over the whole days; a trace without one as if it were a day."""
    days = days_of(trace)
    rows, whole = days.rows, max(days.whole, 1)
    life, span_ns = lifetimes(trace)[:rows], whole * DAY_NS
    return Load(
        arrivals=Fraction(rows, whole),
        workloads=Fraction(exact_dot(life, np.ones(rows, np.int64)), span_ns),
        memory_pages=Fraction(exact_dot(life, trace.pages[:rows]), span_ns),
        vcpus=Fraction(exact_dot(life, trace.vcpus[:rows]), span_ns),
    )


def _load_of_generator(generator: Generator) -> Load:
    """Rate times mean lifetime times mean size."""
    workloads = Fraction(mean_lifetime_ns(generator), generator.arrivals_interval_ns)
    weight = sum(s.weight for s in generator.sizes)
    pages = sum(s.weight * s.memory_pages for s in generator.sizes)
    vcpus = sum(s.weight * s.vcpus for s in generator.sizes)
    return Load(
        arrivals=Fraction(DAY_NS, generator.arrivals_interval_ns),
        workloads=workloads,
        memory_pages=workloads * Fraction(pages, weight),
        vcpus=workloads * Fraction(vcpus, weight),
    )


def mean_lifetime_ns(generator: Generator) -> int:
    """Return the mean of a table of lifetimes, linear between its values."""
    q = generator.lifetime_ns
    return (sum(q) * 2 - q[0] - q[-1]) // (2 * (len(q) - 1))


def exact_dot(a: Column, b: Column) -> int:
    """Return the sum of products of two columns that are not negative, whatever its size.

    In limbs of 16 bits: their products, summed over less than 2**31 rows, fit into int64.
    """
    limbs = [(a >> 16 * i) & 0xFFFF for i in range(4)]
    others = [(b >> 16 * i) & 0xFFFF for i in range(4)]
    return sum(
        int(limb @ other) << 16 * (i + j)
        for i, limb in enumerate(limbs)
        for j, other in enumerate(others)
        if limb.any() and other.any()
    )
