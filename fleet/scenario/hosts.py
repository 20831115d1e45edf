"""The hosts of a scenario file: their inventory, and what they have been through."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from fleet.scenario.fields import MINUTE_NS, Count, Model, Name, Natural, Text
from fleet.scenario.rules import check_hosts, check_pressure, plain_int
from fleet.scenario.units import BlockSize, Duration, Share, Size


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
