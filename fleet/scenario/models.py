"""What a scenario file says: frozen models, unknown fields refused.

In files quantities carry units (``256GiB``, ``30s``, ``75%``, ``120/h``) under short names; in
Python the same fields are exact integers with the unit last in the name (``memory_pages``,
``horizon_ns``, ``share_millionths``, ``arrivals_interval_ns``). The field descriptions here are
the reference: ``docs/scenario.md`` is generated from them.
"""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    model_validator,
)

from fleet.errors import InputError
from fleet.scenario.own import OwnPolicy
from fleet.scenario.places import Places
from fleet.scenario.rules import (
    check_arms,
    check_cost_model,
    check_hosts,
    check_io,
    check_kind,
    check_maps,
    check_mix,
    check_name,
    check_pressure,
    check_profile,
    check_quantiles,
    check_removals,
    check_scenario,
    check_sizing,
    check_workloads,
    plain_bool,
    plain_int,
    plain_text,
)
from fleet.scenario.units import (
    MAX_INT,
    STATIONARY,
    BlockSize,
    Copies,
    Duration,
    Rate,
    Share,
    Size,
)

Text = Annotated[str, BeforeValidator(plain_text)]
Name = Annotated[Text, AfterValidator(check_name)]
Count = Annotated[int, BeforeValidator(plain_int), Field(ge=1, le=10**9)]
Natural = Annotated[int, BeforeValidator(plain_int), Field(ge=0, le=MAX_INT)]
Flag = Annotated[bool, BeforeValidator(plain_bool)]
Quantiles = Annotated[
    tuple[Duration, ...], Field(min_length=2), AfterValidator(check_quantiles)
]  # fmt: skip
Mix = Annotated[dict[Name, Share], AfterValidator(check_mix)]

MINUTE_NS = 60 * 10**9


class Model(BaseModel):
    """Base of all scenario models: frozen, no unknown fields, aliases are the file's names."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False)


class HostClass(Model):
    """A class of equal hosts, for fleets described by shares or counts."""

    name: Name = Field(description="Name of the class, unique in the fleet.")
    share_millionths: Share | None = Field(
        None, alias="share",
        description="Part of the fleet's hosts in this class; all shares add up to 100%.",
    )  # fmt: skip
    count: Count | None = Field(None, description="Number of hosts, instead of a share.")
    memory_pages: Size = Field(alias="memory", gt=0, description="RAM of one host.")
    nodes: Annotated[int, BeforeValidator(plain_int), Field(ge=1, le=8)] | None = Field(
        None, description="NUMA nodes; default two from 128GiB on, one below."
    )
    cpus: Annotated[int, BeforeValidator(plain_int), Field(ge=1, le=4096)] = Field(
        32, description="CPUs, spread over the nodes."
    )
    memory_block_pages: BlockSize | None = Field(
        None, alias="memory_block", description="Memory block size; default: the fleet's."
    )
    kernel_millionths: Share | None = Field(
        None, alias="kernel_memory", description="As in `hosts`, for this class only."
    )
    cache_millionths: Share | None = Field(
        None, alias="page_cache", description="As in `hosts`, for this class only."
    )
    base_millionths: Share | None = Field(
        None, alias="base_load", description="As in `hosts`, for this class only."
    )
    boot_1g: Natural | None = Field(
        None, alias="hugepages_1g", description="As in `hosts`, for this class only."
    )


class Hosts(Model):
    """The inventory: classes, or a file of real hosts."""

    classes: tuple[HostClass, ...] = Field((), description="Host classes; or `inventory`.")
    inventory: Text | None = Field(
        None,
        description="CSV or Parquet file of hosts (columns in the section on inventories); "
        "a relative path counts from the scenario file, with --set from the current folder.",
    )
    total: Count | None = Field(
        None,
        description="Number of hosts: needed with class shares; with an inventory the first "
        "`total` hosts of the file (default: all).",
    )
    memory_block_pages: BlockSize = Field(
        0, alias="memory_block",
        description="Memory block size; `auto` is the x86 rule: 128MiB below 64GiB of RAM, 2GiB "
        "from there on (bare metal).",
    )  # fmt: skip
    kernel_millionths: Share = Field(
        40_000, alias="kernel_memory",
        description="Unmovable kernel memory (slab, page tables, network buffers), share of RAM.",
    )  # fmt: skip
    cache_millionths: Share = Field(
        100_000, alias="page_cache", description="Page cache, share of RAM."
    )
    base_millionths: Share = Field(
        20_000, alias="base_load", description="Anonymous memory of the host's own daemons."
    )
    boot_1g: Natural = Field(
        0, alias="hugepages_1g",
        description="1 GiB hugetlb pages that each host reserves at boot (hugepagesz=1G), evenly "
        "over its nodes: outside ZONE_MOVABLE and before anything else, as far as there is room. "
        "What workloads need beyond them has to be found free at run time.",
    )  # fmt: skip

    _check = model_validator(mode="after")(check_hosts)


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


class Removals(Model):
    """A campaign of real hot-removes with a controller that reacts."""

    count: Count | None = Field(None, description="Number of requests, spread over the window.")
    interval_ns: Rate | None = Field(
        None, alias="rate", description="Mean rate of requests of the whole fleet, or `count`."
    )
    target: Literal["drawn", "all"] = Field(
        "drawn",
        description="`drawn`: each request names a host drawn by key; `all`: one request for "
        "every host, spread over the window (neither count nor rate).",
    )
    pages: Size | None = Field(None, alias="bytes", gt=0, description="Memory per request.")
    blocks: Count | None = Field(None, description="Memory blocks per request, or `bytes`.")
    start_ns: Duration = Field(0, alias="start", description="Begin of the window.")
    end_ns: Duration | None = Field(
        None, alias="end", description="End of the window; default the horizon."
    )
    deadline_ns: Duration = Field(
        30 * MINUTE_NS, alias="deadline", gt=0,
        description="A request that has not returned this long after its issue is `stuck`.",
    )  # fmt: skip
    attempts: Count = Field(3, description="Offline attempts per request at most.")
    retry_delay_ns: Duration = Field(
        MINUTE_NS, alias="retry_delay", gt=0, description="Wait after a failed attempt."
    )
    before_reboot: Flag = Field(
        False, description="The removal is part of a reboot: the host restarts when it is done."
    )

    _check = model_validator(mode="after")(check_removals)


class Probes(Model):
    """Offline attempts on a clone of the host, forgotten afterwards: paired across arms."""

    count: Count = Field(description="Number of probes, spread over the window.")
    bound_ns: Duration = Field(
        MINUTE_NS, alias="bound", gt=0, description="A probe that takes longer is `stuck`."
    )
    start_ns: Duration = Field(0, alias="start", description="Begin of the window.")
    end_ns: Duration | None = Field(
        None, alias="end", description="End of the window; default the horizon."
    )


class Watchdog(Model):
    """What resets a host whose removal hangs."""

    mechanism: Literal["none", "reboot"] = Field(
        "none",
        description="`reboot`: the shutdown watchdog is armed while a removal is part of a "
        "reboot and nobody pets it; `none`: no reset.",
    )
    timeout_ns: Duration = Field(
        30 * 10**9, alias="timeout", gt=0, description="Watchdog timeout (iTCO: 30 s)."
    )
    boot_ns: Quantiles = Field(
        (300 * 10**9, 600 * 10**9), alias="boot",
        description="Time from reset to service, a quantile table like `lifetime`.",
    )  # fmt: skip


class Pressure(Model):
    """Episodes in which a process of the host itself takes much memory for a while."""

    memory_millionths: Share = Field(
        30_000, alias="memory", gt=0, description="What it takes, share of RAM (page cache gives)."
    )
    every_ns: Duration = Field(
        24 * 60 * MINUTE_NS, alias="every", gt=0,
        description="One episode in each span of this length, at a time drawn for the host.",
    )  # fmt: skip
    duration_ns: Duration = Field(
        20 * MINUTE_NS, alias="duration", gt=0, description="How long one lasts."
    )

    _check = model_validator(mode="after")(check_pressure)


class Age(Model):
    """What hosts have been through at time zero, and the life of their own memory since."""

    history: Literal["none", "shallow", "default", "deep", "nearly-full"] = Field(
        "default",
        description="Earlier tenants that came and went: `none`, the host has just booted; "
        "`default`, the limit of many turnovers at 50 to 88% occupancy; `shallow` (0.1 turnovers "
        "of memory at 50 to 60%), `deep` (2 at 50 to 88%) and `nearly-full` (1 at 50 to 100%) are "
        "played one by one, which takes longer.",
    )
    used_millionths: Share = Field(
        940_000, alias="used", gt=0,
        description="Memory in use, page cache included: in each zone the cache fills what user "
        "memory could have without reclaim but for the rest, and gives back when workloads took "
        "more. Low marks and lowmem reserves (1 to 3% of RAM) stay free besides.",
    )  # fmt: skip
    churn_millionths: Share = Field(
        5_000, alias="churn", description="Page cache renewed per step, share of RAM."
    )
    every_ns: Duration = Field(
        120 * MINUTE_NS, alias="every", gt=0, description="Time between steps of the background."
    )
    pressure: Pressure | None = Field(None, description="Memory pressure; default none.")


class UntilCi(Model):
    """Adds replications until the difference of the hang rates is known well enough.

    `replications` is where it begins to look. With probes their intervals are looked at,
    otherwise those of the removals; every arm is compared with the first.
    """

    half_width_millionths: Share = Field(
        alias="half_width", gt=0,
        description="Half the width that the 95 % interval of every difference must come down to, "
        "in points.",
    )  # fmt: skip
    limit: Annotated[Count, Field(le=10_000)] = Field(
        200, description="Replications at most, reached or not."
    )


class Margins(Model):
    """Differences between arms that do not matter; verdicts of a report are against these.

    An arm is `equivalent` when the whole interval of the difference lies within the margin.
    """

    hang_rate_millionths: Share = Field(
        10_000, alias="hang_rate", description="Of the hang rate, in points."
    )
    migration_millionths: Share = Field(
        100_000, alias="migration",
        description="Of bytes and time of migration, at pin and at offline, share of the "
        "baseline's.",
    )  # fmt: skip
    pin_failures_millionths: Share = Field(
        1_000, alias="pin_failures", description="Of failed pins per workload, in points."
    )
    oom_kills_millionths: Share = Field(
        1_000, alias="oom_kills", description="Of OOM kills per workload, in points."
    )
    pin_latency_millionths: Share = Field(
        100_000, alias="pin_latency",
        description="Of the 99 % quantile of pin latency, share of the baseline's.",
    )  # fmt: skip
    unavailable_millionths: Share = Field(
        100_000, alias="unavailable",
        description="Of the time that pages were not mapped, share of the baseline's.",
    )  # fmt: skip
    removal_time_millionths: Share = Field(
        100_000, alias="removal_time",
        description="Of the mean time to offline, share of the baseline's.",
    )  # fmt: skip
    removal_tail_millionths: Share = Field(
        20_000, alias="removal_tail",
        description="Of the requests slower than nine of ten of the first arm's, in points.",
    )  # fmt: skip
    headroom_millionths: Share = Field(
        100_000, alias="headroom",
        description="Of the smallest kernel-zone head-room, share of the baseline's.",
    )  # fmt: skip
    flow_seconds_millionths: Share = Field(
        100_000, alias="flow_seconds", description="Of flow-seconds lost, share of the baseline's."
    )

    def shares(self) -> dict[str, float]:
        """Return the margins as shares by their short names."""
        names = type(self).model_fields
        return {name.removesuffix("_millionths"): getattr(self, name) / 10**6 for name in names}


class Executor(Model):
    """How to compute; never changes a result and is not part of the run's hash."""

    actors: Count | None = Field(None, description="Processes; default the number of CPUs.")
    hosts_per_actor: Count | None = Field(
        None, description="Hosts per process instead: 1 is one process per host."
    )
    window_ns: Duration | None = Field(
        None, alias="window", gt=0,
        description="Length of a window, at most `reaction_latency` (the default).",
    )  # fmt: skip


class Digests(Model):
    """SHA-256 of the input files, filled in when a scenario is resolved, checked when given."""

    inventory: Text | None = Field(None, description="Of `hosts.inventory`.")
    trace: Text | None = Field(None, description="Of `workloads.trace`.")


class Scenario(Model):
    """One question to the fleet."""

    name: Name = Field(description="Name of the scenario and of its run folders.")
    seed: Natural = Field(1, description="Seed of all draws.")
    replications: Annotated[Count, Field(le=10_000)] = Field(
        1, description="Independent repetitions, each with the same plan for every arm."
    )
    until_ci: UntilCi | None = Field(
        None, description="Add replications until intervals are narrow enough; default none."
    )
    horizon_ns: Duration = Field(alias="horizon", gt=0, description="Simulated time.")
    profile: Annotated[Text, AfterValidator(check_profile)] = Field(
        "linux-6.1", description="Kernel profile: what everything but the policies does."
    )
    arms: Annotated[
        tuple[Text, ...], Field(min_length=1), AfterValidator(check_arms)
    ] = Field(description="Arms to compare, each `PIN+OFFLINE[@SIZING]`.")  # fmt: skip
    policies: tuple[OwnPolicy, ...] = Field(
        (),
        description="Policies of one's own that arms may name: YAML files (a relative path counts "
        "from the scenario file) or their fields; see [own-policy.md](own-policy.md).",
    )
    sizing: Annotated[Text, AfterValidator(check_sizing)] = Field(
        "movable-50", description="Zone sizing of arms that name none."
    )
    costs: Annotated[Text, AfterValidator(check_cost_model)] = Field(
        "default", description="Cost model: the machine whose figures are used (docs/costs.md)."
    )
    hosts: Hosts = Field(description="The inventory.")
    age: Age | None = Field(
        None,
        description="Hosts have a past, and a life of their own (`hosts.page_cache` then is what "
        "the host fills, not a fixed size). Default none: fresh hosts that stay as they are.",
    )
    workloads: Workloads = Field(description="What runs on it.")
    removals: Removals | None = Field(None, description="Removal campaign; default none.")
    probes: Probes | None = Field(None, description="Probes; default none.")
    watchdog: Watchdog = Field(
        default_factory=lambda: Watchdog.model_validate({}),
        description="The watchdog of every host.",
    )
    reaction_latency_ns: Duration = Field(
        10**9, alias="reaction_latency", gt=0,
        description="Time from what the controller knows to what it does.",
    )  # fmt: skip
    placement: Literal["first-fit", "spread"] = Field(
        "spread", description="First host with room, or the host with most room."
    )
    samples_ns: Duration | None = Field(
        None, alias="samples", gt=0, description="Interval of host samples; default none."
    )
    margins: Margins = Field(
        default_factory=lambda: Margins.model_validate({}),
        description="Differences that do not matter (verdicts of `fleet report`).",
    )
    executor: Executor = Field(
        default_factory=lambda: Executor.model_validate({}), description="How to compute."
    )
    digests: Digests = Field(
        default_factory=lambda: Digests.model_validate({}),
        description="Input digests (written by the resolver).",
    )

    _check = model_validator(mode="after")(check_scenario)
    _places: Places | None = PrivateAttr(None)

    def written_at(self, places: Places) -> "Scenario":
        """Remember where the fields were written; returns the scenario itself."""
        self._places = places
        return self

    def locate(self, error: InputError) -> InputError:
        """Add file, line and column to an error that names one of this scenario's fields."""
        if self._places is None:
            return error
        names = [spec.alias or name for name, spec in type(self).model_fields.items()]
        return self._places.locate(error, names)
