"""What the models of a scenario file share: their base, and the types of their fields.

In files quantities carry units (``256GiB``, ``30s``, ``75%``, ``120/h``) under short names; in
Python the same fields are exact integers with the unit last in the name (``memory_pages``,
``horizon_ns``, ``share_millionths``, ``arrivals_interval_ns``). The descriptions in the models are
the reference: ``docs/scenario.md`` is generated from them.
"""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from fleet.scenario.rules import (
    check_mix,
    check_name,
    check_quantiles,
    plain_bool,
    plain_int,
    plain_text,
)
from fleet.scenario.units import MAX_INT, Duration, Share

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
