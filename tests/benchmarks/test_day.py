"""The table of where a day's time goes adds up."""

from benchmarks.day import AGEING, REST, Meter, table


def test_what_no_command_took_is_python() -> None:
    meter = Meter()
    meter.cost_ns[REST, "PIN"], meter.count[REST, "PIN"] = 3_000_000_000, 1_500
    meter.figures[REST, "PIN", "pages"] = 512 * 7_000
    meter.cost_ns[REST, "IO"], meter.count[REST, "IO"] = 1_000_000, 10
    rows = {row[0]: row[1:] for row in table(meter, {AGEING: 0, REST: 4_001_000_000}).rows}
    assert rows["day: PIN"][:4] == ("1,500", "3.00", "2,000", "7,000")
    assert "day: IO" not in rows  # too little to be told
    assert rows["day: Python and the log"][1] == "1.00"
