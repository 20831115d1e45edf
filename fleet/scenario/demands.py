"""What a scenario file asks of its hosts: removals, probes, and the watchdog over them."""

from typing import Literal

from pydantic import Field, model_validator

from fleet.scenario.fields import MINUTE_NS, Count, Flag, Model, Quantiles
from fleet.scenario.rules import check_removals
from fleet.scenario.units import Duration, Rate, Size


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
