"""The workloads of a scenario file: kinds, arrivals, and how they use memory."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fleet.scenario.fields import MINUTE_NS, Count, Flag, Mix, Model, Name, Natural, Quantiles, Text
from fleet.scenario.rules import check_io, check_kind, check_maps, check_workloads
from fleet.scenario.units import STATIONARY, Copies, Duration, Rate, Share, Size


class Io(Model):
    """Direct I/O in flight: pages without FOLL_LONGTERM that a pin or a pass may meet.

    What is met is drawn from the stationary law, rate times hold time per page.
    """

    interval_ns: Rate = Field(
        alias="rate", description="Mean rate of I/Os of one workload, for example 2000/s."
    )
    pages: Size = Field(
        16, alias="memory", gt=0,
        description="Memory of one I/O: a power of two, at most 2MiB (direct I/O: up to 1MiB).",
    )  # fmt: skip
    hold_ns: Duration = Field(
        330_000, alias="hold", gt=0,
        description="Mean time from its submission to its completion, at most 4s (the default: "
        "log-normal with median 0.2 ms and sigma 1). What takes longer is stuck I/O.",
    )  # fmt: skip
    before_pin: Flag = Field(
        False,
        description="Whether it runs when the long-term pin is taken (a device attached to a "
        "running VM), or begins after placement.",
    )

    _check = model_validator(mode="after")(check_io)


class Maps(Model):
    """DMA mappings that come and go: a device behind a vIOMMU, registration on demand."""

    pages: Size = Field(512, alias="memory", gt=0, description="Memory of one mapping.")
    every_ns: Duration = Field(
        10 * 10**9, alias="every", gt=0,
        description="Time between the starts of two mappings of one workload.",
    )  # fmt: skip
    duration_ns: Duration = Field(
        5 * 10**9, alias="duration", gt=0, description="How long one is pinned."
    )
    buffers: Natural = Field(
        0,
        description="Buffers that are mapped again and again, each time one of them, drawn; 0: any "
        "place of the memory, so that most mappings are of pages never pinned before.",
    )

    _check = model_validator(mode="after")(check_maps)


class WorkloadKind(Model):
    """How a workload uses its memory: backing, pins, traffic."""

    name: Name = Field(description="Name of the kind, referred to by mixes.")
    backing: Literal["thp", "4k", "hugetlb", "hugetlb1g"] = Field(
        "thp",
        description="Anonymous THP, anonymous 4 KiB pages, hugetlb pages of 2 MiB or of 1 GiB "
        "(then its memory is rounded up to whole GiB).",
    )
    pin: Literal["none", "vfio", "rdma", "io_uring"] = Field(
        "none", description="Who takes long-term pins on its memory; `none`: nobody."
    )
    pinned_millionths: Share = Field(
        1_000_000, alias="pinned", description="Share of its memory that is pinned."
    )
    present_millionths: Share = Field(
        0, alias="present",
        description="Share of the pinned memory already touched when the pin is taken: fresh VM "
        "0%, restored VM 100%, DPDK on hugetlb 100%.",
    )  # fmt: skip
    touched_millionths: Share = Field(
        1_000_000, alias="touched",
        description="Share of the memory that is not pinned which is touched at start.",
    )  # fmt: skip
    maps: Maps | None = Field(
        None,
        description="Pins that come and go, taken by `pin`, instead of one on the pinned share "
        "(not with hugetlb); all of the memory then counts as `touched` says. Default none.",
    )
    flows: Natural = Field(0, description="Network flows it carries, lost while it is down.")
    io: Io | None = Field(
        None, description="Direct I/O on its memory (not with hugetlb); default none."
    )

    _check = model_validator(mode="after")(check_kind)


class SizeChoice(Model):
    """One entry of a generator's size mix."""

    memory_pages: Size = Field(alias="memory", gt=0, description="Memory of the workload.")
    vcpus: Count = Field(1, description="CPUs of the workload.")
    weight: Count = Field(1, description="Relative frequency among arrivals.")


class Generator(Model):
    """A Poisson stream of workloads."""

    name: Name = Field(description="Name of the stream; its draws depend on it.")
    arrivals_interval_ns: Rate = Field(
        alias="arrivals", description="Mean arrival rate of the whole fleet, for example 120/h."
    )
    sizes: Annotated[tuple[SizeChoice, ...], Field(min_length=1)] = Field(
        description="Size mix, drawn by weight."
    )
    lifetime_ns: Quantiles = Field(
        alias="lifetime",
        description="Lifetimes at equal steps of probability, ascending, linear in between: "
        "the first is the shortest, the last the longest.",
    )
    mix: Mix = Field(min_length=1, description="Share of arrivals per kind, 100% in all.")


class StuckIo(Model):
    """Direct I/O that does not complete for seconds (a path fails over): each is an event."""

    interval_ns: Rate = Field(
        alias="rate", description="Mean rate per workload with `io`, for example 1/30d."
    )
    pages: Size = Field(16, alias="memory", gt=0, description="Memory of one such I/O.")
    duration_ns: Quantiles = Field(
        (10**9, 3 * 10**9, 10 * 10**9, 30 * 10**9), alias="duration",
        description="How long it is stuck, a quantile table like `lifetime`.",
    )  # fmt: skip


class Holds(Model):
    """Long short references (vmsplice-like): no FOLL_LONGTERM, yet the page cannot move."""

    share_millionths: Share = Field(
        alias="share", description="Share of workloads that take such references."
    )
    pages: Size = Field(16, alias="memory", gt=0, description="Memory held at a time.")
    duration_ns: Duration = Field(
        2 * 10**9, alias="duration", gt=0, description="How long a reference is held."
    )
    every_ns: Duration = Field(
        10 * MINUTE_NS, alias="every", gt=0,
        description="Time between the starts of two holds of one workload.",
    )  # fmt: skip


class Hint(Model):
    """Quality of the madvise hint for policies that honour it."""

    recall_millionths: Share = Field(
        1_000_000, alias="recall", description="Share of pinning workloads that give the hint."
    )
    precision_millionths: Share = Field(
        1_000_000, alias="precision", gt=0,
        description="Share of hinted workloads that do pin; the rest are false alarms.",
    )  # fmt: skip


class Workloads(Model):
    """What runs on the fleet: a trace of arrivals, or generators, and how they use memory."""

    kinds: Annotated[tuple[WorkloadKind, ...], Field(min_length=1)] = Field(
        description="The kinds of workload."
    )
    trace: Text | None = Field(
        None,
        description="CSV or Parquet file of arrivals (columns in the section on traces); "
        "paths as for `hosts.inventory`. Its whole days (24 h from its time zero) come in their "
        "order, then whole days drawn; a trace of less than a day is played once.",
    )
    mix: Mix = Field(
        default_factory=dict,
        description="With a trace: share of its workloads per kind, 100% in all (a `kind` "
        "column of the trace has precedence).",
    )
    generators: tuple[Generator, ...] = Field((), description="Streams; or `trace`.")
    commitment_millionths: Share = Field(
        0, alias="commitment",
        description="Memory of workloads, share of the fleet's RAM. Residents of time zero have "
        "it: drawn from arrival rate times length-biased lifetime. With a trace it also is what "
        "the arrivals come to in the long run (`scale`). 0%: the fleet starts empty.",
    )  # fmt: skip
    scale_millionths: Copies = Field(
        STATIONARY, alias="scale",
        description="How many copies of a trace arrive. `stationary`: as many, to a millionth, as "
        "keep the commitment level (arrival rate x mean of lifetime x memory over the trace's "
        "whole days; a workload never seen to end counts, and ends, with the longest lifetime "
        "known). Or a number such as `1` (the trace as it is) or `0.5` (half of it, drawn); then, "
        "and with commitment 0%, where `stationary` means `1`, workloads never seen to end run on.",
    )  # fmt: skip
    holds: Holds | None = Field(
        None, description="Explicit short references at intervals; default none."
    )
    stuck_io: StuckIo | None = Field(None, description="Stuck direct I/O; default none.")
    hint: Hint = Field(
        default_factory=lambda: Hint.model_validate({}),
        description="The madvise hint (only `madvise-hint` reads it).",
    )

    _check = model_validator(mode="after")(check_workloads)
