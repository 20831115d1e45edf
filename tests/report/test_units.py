"""Numbers for people."""

import pytest

from fleet.report import units
from fleet.report.terminal import letter


@pytest.mark.parametrize(
    ("show", "value", "text"),
    [
        (units.size, 0, "0"), (units.size, 1, "1.00 B"), (units.size, 1023, "1,023 B"),
        (units.size, 1024, "1.00 KiB"), (units.size, 5 * 2**40, "5.00 TiB"),
        (units.size, 2**60, "1,024 PiB"), (units.size, None, "-"), (units.pages, 256, "1.00 MiB"),
        (units.time, 0, "0"), (units.time, 17, "17 ns"), (units.time, 1_200, "1.20 us"),
        (units.time, 999_960_000, "1,000 ms"), (units.time, 7_200 * 10**9, "2.00 h"),
        (units.time, 90 * 10**9, "1.50 min"), (units.time, None, "-"),
        (units.percent, 0.0, "0 %"), (units.percent, 0.00123, "0.123 %"),
        (units.percent, 0.09996, "10.0 %"), (units.percent, 1.0, "100 %"),
        (units.percent, None, "-"), (units.points, 0.1, "+10.0"), (units.points, -0.25, "-25.0"),
        (units.points, 0.0, "0"), (units.count, 1234567, "1,234,567"), (units.count, None, "-"),
        (units.digits, 99.96, "100"), (units.digits, 9.996, "10.0"),
        (units.digits, 9_994_999, "9,994,999"), (units.digits, 9_995_000, "10.0 million"),
        (units.digits, 448_039_297, "448 million"), (units.digits, -448e6, "-448 million"),
        (units.digits, 999_600_000, "1.00 billion"), (units.digits, 2.5e12, "2,500 billion"),
    ],
)  # fmt: skip
def test_three_digits_and_a_unit(show: object, value: object, text: str) -> None:
    assert show(value) == text  # type: ignore[operator]


def test_intervals() -> None:
    assert units.interval(0.1, 0.25) == "10.0 to 25.0 %"
    assert units.interval(-0.1, 0.25, signed=True) == "-10.0 to +25.0"
    assert units.interval(None, 0.1) == "-"


def test_letters_do_not_end_at_z() -> None:
    names = [letter(i) for i in (0, 25, 26, 51, 52, 701, 702)]
    assert names == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]
