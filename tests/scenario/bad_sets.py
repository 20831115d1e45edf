# ruff: noqa: E501 (a table of whole lines)
"""Bad ``--set`` values, as ``bad_inputs`` has bad files."""

from tests.scenario.bad_inputs import BASE, Case


def set_case(id: str, value: str, line: str) -> Case:
    """A fault in ``--set``."""
    return Case(id, ["scenario", "check", "s.yaml", "--set", value], line, {"s.yaml": BASE})


CASES = [
    set_case("set without value", "hosts.total", "--set: want path=value, got 'hosts.total'"),
    set_case("set to nothing", "hosts.total=", "--set hosts.total: needs a value (null unsets it)"),
    set_case("set negative", "hosts.total=-3", "--set hosts.total: must be at least 1, got -3"),
    set_case(
        "set unknown field", "hosts.ttl=3", "--set hosts.ttl: unknown field (did you mean 'total'?)"
    ),
    set_case(
        "set past the end of a list",
        "hosts.classes[7].memory=1GiB",
        "--set hosts.classes[7].memory: the list hosts.classes has 2 entries (from 0)",
    ),
    set_case("set below a value", "horizon.x=1", "--set horizon.x: horizon has no field 'x'"),
    set_case("set malformed path", "hosts..total=1", "--set: not a field path: 'hosts..total'"),
    set_case(
        "set malformed YAML", "arms=[a", "--set arms: expected ',' or ']', but got '<stream end>'"
    ),
    set_case(
        "set list element",
        "hosts.classes[1].memory=1TB",
        "--set hosts.classes[1].memory: unknown unit 'TB' in size '1TB' (known: TiB, GiB, MiB, KiB)",
    ),
    set_case(
        "set whole section",
        "removals={count: 1, blocks: 0}",
        "--set removals removals.blocks: must be at least 1, got 0",
    ),
    set_case(
        "set beside classes",
        "inventory=hosts.csv",
        "s.yaml:5:3 hosts: give either `classes` or `inventory` (--set inventory=FILE)",
    ),
    set_case(
        "plan larger than memory",
        "hosts.total=500000000",
        "plan: needs about 114101.9 GiB of memory, … are available (500000000 hosts with 5859375 TiB, 600000060 workloads, 0 holds, 8 requests)",
    ),
]
