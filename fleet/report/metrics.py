"""What two arms are compared by: each metric, where its sums come from, which margin judges it."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["primary", "guardrail"]
Estimand = Literal["probe", "campaign", "workload"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes
    ----------
    name, label : str
    role : str
        ``primary`` metrics answer the question (and share Holm's correction); a ``guardrail`` must
        not get worse by more than its margin.
    unit : str
        Of the value: ``share``, ``bytes``, ``ns``, ``page-ns``, ``count``, ``pages``, ``flow-s``.
    estimand : str
        ``probe``: paired per request, units are hosts; ``campaign`` and ``workload``: what one
        thing led to is in it, so units are whole replications.
    over, per : str
        Columns of the query: value = sum(over) / sum(per); an empty ``per`` is one per unit (the
        mean over replications).
    margin : str
        Field of the scenario's ``margins``; those in ``RELATIVE`` are shares of the baseline's
        value, the others shares as they are.
    test : str
        ``paired``: yes or no per request, score interval and exact test; ``times``: a time per
        request, score interval of what the requests differ by; ``moves``: what each request moved,
        score interval of totals that knows the size of a whole move; ``mean``: the same of what
        no request is known of; ``level``: no sum of anything, compared by the middle unit.
    up : bool
        More is better.
    scale : int
        Units of the column in one unit of the value.
    mishap : str
        Kind of incident it counts: workloads that it befell under one arm alone are told, too.
    """

    name: str
    label: str
    role: Role
    unit: str
    estimand: Estimand
    over: str
    per: str
    margin: str
    test: Literal["paired", "times", "moves", "mean", "level"] = "mean"
    up: bool = False
    scale: int = 1
    mishap: str = ""

    @property
    def kind(self) -> str | None:
        """Kind of the requests it is about; None for pins, memory and applications."""
        return {"probe": "probe", "campaign": "removal"}.get(self.estimand)

    @property
    def pairing(self) -> str | None:
        """Parameter ``kind`` of the query that counts discordant pairs; None: nothing is paired.

        ``paired_outcomes`` for requests, ``paired_mishaps`` for workloads.
        """
        return self.mishap or (self.kind if self.test == "paired" else None)

    @property
    def query(self) -> str:
        """Shipped query that holds its sums, unit by unit."""
        return "probe_clusters" if self.estimand == "probe" else "replication_totals"


RELATIVE = frozenset(
    {"migration", "pin_latency", "unavailable", "removal_time", "headroom", "flow_seconds"}
)
"""Margins that are shares of the baseline's value."""


def _of_requests(estimand: Estimand, many: str) -> tuple[Metric, ...]:
    return (
        Metric("hang_rate", f"{many} that hung", "primary", "share", estimand, "hung", "requests",
               "hang_rate", test="paired"),
        Metric("offline_bytes", f"moved, {many}", "primary", "bytes", estimand,
               "offline_bytes", "requests", "migration", test="moves"),
        Metric("offline_ns", f"time of moves, {many}", "primary", "ns", estimand, "offline_ns",
               "requests", "migration", test="moves"),
    )  # fmt: skip


def _guards_of_requests(estimand: Estimand, many: str) -> tuple[Metric, ...]:
    return (
        Metric("unavailable", f"unavailable, {many}", "guardrail", "page-ns", estimand,
               "unavailable_ns", "requests", "unavailable"),
        Metric("removal_tail", f"slow tail, {many}", "guardrail", "share", estimand, "slow",
               "timed", "removal_tail"),
        Metric("removal_time", f"time to offline, {many}", "guardrail", "ns", estimand,
               "time_ns", "timed", "removal_time", test="times"),
    )  # fmt: skip


METRICS = (
    *_of_requests("probe", "probes"),
    *_of_requests("campaign", "removals"),
    Metric("pin_bytes", "moved at pin", "primary", "bytes", "workload", "pin_bytes", "",
           "migration"),
    Metric("pin_ns", "time of moves at pin", "primary", "ns", "workload", "pin_ns", "",
           "migration"),
    *_guards_of_requests("probe", "probes"),
    *_guards_of_requests("campaign", "removals"),
    Metric("pin_failures", "pins failed", "guardrail", "share", "workload",
           "pin_failures", "workloads", "pin_failures", mishap="pin_failed"),
    Metric("oom_kills", "OOM kills", "guardrail", "share", "workload", "oom_kills",
           "workloads", "oom_kills", mishap="oom_kill"),
    Metric("pin_latency", "pin latency, 99 %", "guardrail", "ns", "workload", "pin_p99_ns", "",
           "pin_latency", test="level"),
    Metric("headroom", "kernel head-room, least", "guardrail", "pages", "workload",
           "headroom_pages", "", "headroom", test="level", up=True),
    Metric("flow_seconds", "flow-seconds lost", "guardrail", "flow-s", "workload", "flow_us_lost",
           "", "flow_seconds", scale=10**6),
)  # fmt: skip
"""All metrics, in the order of the report."""
