"""Quantities: exact, both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from fleet.scenario import units


@pytest.mark.parametrize(
    ("text", "pages"),
    [("4KiB", 1), ("1.5 GiB", 393_216), ("8GiB", 2_097_152), ("0.5TiB", 1 << 27), ("0MiB", 0)],
)
def test_sizes(text: str, pages: int) -> None:
    assert units.parse_size(text) == pages


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [("1ns", 1), ("1.5h", 5_400 * 10**9), ("2d", 172_800 * 10**9), ("3m", 180 * 10**9),
     ("3min", 180 * 10**9), ("0.25us", 250)],
)  # fmt: skip
def test_durations(text: str, duration_ns: int) -> None:
    assert units.parse_duration(text) == duration_ns


@pytest.mark.parametrize(
    ("text", "interval_ns"),
    [("120/h", 30 * 10**9), ("1/30s", 30 * 10**9), ("2.5/s", 400_000_000), ("3/1.5s", 500_000_000)],
)
def test_rates(text: str, interval_ns: int) -> None:
    assert units.parse_rate(text) == interval_ns


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (units.parse_size, "8 gib"), (units.parse_size, "1e3GiB"), (units.parse_size, ""),
        (units.parse_size, "GiB"), (units.parse_size, "1.00000001GiB"),
        (units.parse_size, "99999999999999TiB"), (units.parse_size, None),
        (units.parse_duration, "0.5ns"), (units.parse_duration, "1h30m"),
        (units.parse_duration, True), (units.parse_share, "50"), (units.parse_share, "-1%"),
        (units.parse_share, "100.0001%"), (units.parse_share, "0.00001%"),
        (units.parse_rate, "h"), (units.parse_rate, "1/2/h"), (units.parse_rate, "9999999999/s"),
        (units.parse_block, "3MiB"), (units.parse_block, "4GiB"), (units.parse_block, "AUTO"),
        (units.parse_copies, True), (units.parse_copies, -1), (units.parse_copies, 10**7),
        (units.parse_copies, float("nan")), (units.parse_copies, "2"),
    ],
)  # fmt: skip
def test_refused(parse: object, text: object) -> None:
    assert callable(parse)
    with pytest.raises(PydanticCustomError):
        parse(text)


@given(st.integers(0, 2**40))
def test_texts_come_back(amount: int) -> None:
    assert units.parse_size(units.format_size(amount)) == amount
    assert units.parse_duration(units.format_duration(amount)) == amount
    assert units.parse_rate(units.format_rate(amount + 1)) == amount + 1
    share = amount % (units.MILLION + 1)
    assert units.parse_share(units.format_share(share)) == share
    copies = amount % (units.MILLION**2 + 1)
    assert units.parse_copies(units.format_copies(copies)) == copies
