"""What a script file says: a host, arms to run under, operations, and what is to be seen.

Frozen models, unknown fields refused; sizes carry units. See docs/lab.md.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from fleet.lab.operations import OperationError
from fleet.lab.script.arms import PLAIN, script_arm
from fleet.lab.script.language import parse_step
from fleet.scenario.fields import Model, Natural, Text
from fleet.scenario.own import OwnPolicy, policies_of
from fleet.scenario.rules import check_own, check_profile, check_sizing, plain_int
from fleet.scenario.units import BlockSize, Size, fail
from policies.models import PolicyError


class HostModel(Model):
    """The simulated host."""

    memory_pages: Size = Field(1 << 18, alias="memory", gt=0, description="RAM at boot.")
    block_pages: BlockSize = Field(0, alias="block", description="Memory block size, or `auto`.")
    nodes: Annotated[int, BeforeValidator(plain_int), Field(ge=1, le=8)] = Field(
        1, description="NUMA nodes."
    )
    cpus: Annotated[int, BeforeValidator(plain_int), Field(ge=1, le=4096)] = Field(
        1, description="CPUs, spread over the nodes."
    )
    sizing: Annotated[Text, AfterValidator(check_sizing)] = Field(
        "no-movable-zone", description="Share of each node in ZONE_MOVABLE at boot (a preset)."
    )
    kernel_pages: Size = Field(
        0, alias="kernel", description="Unmovable memory taken at boot, spread over the nodes."
    )
    boot_1g: Natural = Field(
        0, alias="hugepages_1g",
        description="1 GiB hugetlb pages reserved at boot, spread over the nodes.",
    )  # fmt: skip
    dimms: tuple[Size, ...] = Field(
        (), description="DIMMs above RAM, offline until an `online` operation."
    )
    dimm_nodes: tuple[Natural, ...] = Field((), description="Node of each DIMM; default 0.")

    @model_validator(mode="after")
    def _fits(self) -> "HostModel":
        """DIMMs have nodes that exist."""
        if self.dimm_nodes and len(self.dimm_nodes) != len(self.dimms):
            raise fail(f"needs one node for each of {len(self.dimms)} DIMMs", "dimm_nodes")
        for index, node in enumerate(self.dimm_nodes):
            if node >= self.nodes:
                raise fail(f"the host has {self.nodes} node(s), from 0", f"dimm_nodes[{index}]")
        return self


class StepModel(Model):
    """One operation; written as text alone where nothing else is said about it."""

    op: Text = Field(description="The operation, such as `pin:vm:vfio`.")
    label: Text | None = Field(None, alias="as", description="Name that `expect` uses.")
    note: Text | None = Field(None, description="A line that is printed before it.")

    @model_validator(mode="before")
    @classmethod
    def _text_alone(cls, value: Any) -> Any:
        """Accept text for the operation."""
        return {"op": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _parses(self) -> "StepModel":
        """The operation is one of the language."""
        try:
            parse_step(self.op)
        except OperationError as error:
            raise fail(str(error)) from error
        return self


END = "end"
"""What `expect` calls the end of a script."""

Seen = dict[str, dict[str, str | int | bool]]
"""Label of a step -> field -> value."""


class Script(Model):
    """A whole script."""

    title: Text = Field(description="What it shows, in one line.")
    story: Text | None = Field(None, description="The explanation, for docs and listings.")
    profile: Annotated[Text, AfterValidator(check_profile)] = Field(
        "linux-6.1", description="Kernel profile of arms that name none."
    )
    policies: tuple[OwnPolicy, ...] = Field(
        (),
        description="Own policies that arms may name: files, from the script's folder, or their "
        "content.",
    )
    arms: tuple[Text, ...] = Field(
        (PLAIN,),
        min_length=1,
        description="What to run under: `[PROFILE:]PIN+OFFLINE[@SIZING]`, or a profile alone. "
        "With several the steps are shown side by side.",
    )
    host: HostModel = Field(
        default_factory=lambda: HostModel.model_validate({}), description="The simulated host."
    )
    steps: tuple[StepModel, ...] = Field(min_length=1, description="Operations, in order.")
    expect: dict[Text, Seen] = Field(
        {}, description="Arm -> label of a step, or `end` -> what is seen there."
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Script":
        """Own policies differ, arms parse and differ, labels differ."""
        check_own(self.policies)
        own = policies_of(self.policies)
        for index, text in enumerate(self.arms):
            try:
                script_arm(text, self.profile, self.host.sizing, own)
            except PolicyError as error:
                raise fail(str(error), f"arms[{index}]") from error
            if text in self.arms[:index]:
                raise fail(f"arm {text!r} is listed twice", f"arms[{index}]")
        labels: list[str] = [END]
        for index, step in enumerate(self.steps):
            if step.label in labels:
                raise fail(f"{step.label!r} is used already", f"steps[{index}].as")
            labels += [step.label] if step.label else []
        return self

    def labels(self) -> dict[str, int]:
        """Labels of steps and their numbers, from 0."""
        return {step.label: i for i, step in enumerate(self.steps) if step.label}
