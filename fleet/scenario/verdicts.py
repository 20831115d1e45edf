"""How well a scenario file wants its answer known, and what differences do not matter."""

from typing import Annotated

from pydantic import Field

from fleet.scenario.fields import Count, Model
from fleet.scenario.units import Share


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
