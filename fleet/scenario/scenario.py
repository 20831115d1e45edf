"""A scenario file as a whole: frozen models, unknown fields refused."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from fleet.errors import InputError
from fleet.scenario.demands import Probes, Removals, Watchdog
from fleet.scenario.fields import Count, Model, Name, Natural, Text
from fleet.scenario.hosts import Age, Hosts
from fleet.scenario.own import OwnPolicy
from fleet.scenario.places import Places
from fleet.scenario.rules import (
    check_arms,
    check_cost_model,
    check_profile,
    check_scenario,
    check_sizing,
)
from fleet.scenario.units import Duration
from fleet.scenario.verdicts import Margins, UntilCi
from fleet.scenario.workloads import Workloads


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
