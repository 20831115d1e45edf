# ruff: noqa: E501 (a table of whole lines)
"""Bad inventories, traces and import sources, as ``tests.scenario.bad_inputs`` has scenarios."""

from tests.scenario.bad_inputs import INVENTORY_BASE, TRACE_BASE, Case


def _hosts(id: str, content: str | bytes, line: str, **more: str) -> Case:
    """A fault in an inventory."""
    files = {"s.yaml": INVENTORY_BASE, "hosts.csv": content, **more}
    return Case(id, ["scenario", "check", "s.yaml"], line, files)


def _trace(id: str, content: str | bytes, line: str) -> Case:
    """A fault in a trace."""
    return Case(
        id, ["scenario", "check", "s.yaml"], line, {"s.yaml": TRACE_BASE, "vms.csv": content}
    )


INPUTS = [
    Case(
        "inventory missing",
        ["scenario", "check", "s.yaml"],
        "s.yaml:5:14 hosts.inventory: No such file or directory: {folder}/hosts.csv",
        {"s.yaml": INVENTORY_BASE},
    ),
    _hosts(
        "empty inventory",
        "",
        "{folder}/hosts.csv:1 memory_mib: column missing (the file has: none)",
    ),
    _hosts("inventory without hosts", "name,memory_mib\n", "{folder}/hosts.csv: no rows"),
    _hosts(
        "inventory without memory",
        "name,ram\na,1\n",
        "{folder}/hosts.csv:1 memory_mib: column missing (the file has: name, ram)",
    ),
    _hosts(
        "inventory value no number",
        "name,memory_mib\na,8192\nb,8 GiB\n",
        "{folder}/hosts.csv:3 memory_mib: not a number: '8 GiB'",
    ),
    _hosts(
        "inventory negative memory",
        "name,memory_mib\na,-8192\n",
        "{folder}/hosts.csv:2 memory_mib: must be at least 512 MiB, got '-8192'",
    ),
    _hosts(
        "inventory short line",
        "name,memory_mib\na\n",
        "{folder}/hosts.csv:2: 1 values, the header has 2",
    ),
    _hosts(
        "inventory name twice",
        "name,memory_mib\na,8192\na,8192\n",
        "{folder}/hosts.csv:3 name: 'a' is used twice (first in line 2)",
    ),
    _hosts(
        "inventory odd block",
        "memory_mib,memory_block_mib\n8192,96\n",
        "{folder}/hosts.csv:2 memory_block_mib: a memory block is a power of two, got 96 MiB",
    ),
    _hosts(
        "inventory tiny host",
        "memory_mib,memory_block_mib\n8192,\n512,512\n",
        "{folder}/hosts.csv:3 memory_mib: fewer than two memory blocks of 512 MiB per node",
    ),
    _hosts(
        "inventory column twice",
        "memory_mib,memory_mib\n1,2\n",
        "{folder}/hosts.csv:1 memory_mib: column given twice",
    ),
    _hosts(
        "inventory not UTF-8", b"memory_mib\n\xff\n", "{folder}/hosts.csv: not UTF-8 text (byte 11)"
    ),
    _hosts(
        "inventory open quote",
        'name,memory_mib\n"a,8192\n',
        "{folder}/hosts.csv:2: not CSV: unexpected end of data",
    ),
    Case(
        "fewer hosts than asked",
        ["scenario", "check", "s.yaml", "--set", "hosts.total=3"],
        "--set hosts.total: the inventory has 1 hosts, not 3",
        {"s.yaml": INVENTORY_BASE, "hosts.csv": "memory_mib\n8192\n"},
    ),
    Case(
        "inventory neither CSV nor Parquet",
        ["scenario", "check", "s.yaml", "--set", "inventory=h.txt"],
        "{folder}/h.txt: want a .csv or .parquet file",
        {"s.yaml": INVENTORY_BASE, "hosts.csv": "", "h.txt": "x"},
    ),
    Case(
        "broken Parquet",
        ["scenario", "check", "s.yaml", "--set", "inventory=h.parquet"],
        "{folder}/h.parquet: not Parquet: Parquet file size is 7 bytes, smaller than the minimum file footer (8 bytes)",
        {"s.yaml": INVENTORY_BASE, "hosts.csv": "", "h.parquet": "PAR1 no"},
    ),
    _trace(
        "trace without a column",
        "arrival_s,memory_mib\n0,1024\n",
        "{folder}/vms.csv:1 lifetime_s: column missing (the file has: arrival_s, memory_mib)",
    ),
    _trace(
        "trace arrival missing",
        "arrival_s,lifetime_s,memory_mib\n,5,1024\n",
        "{folder}/vms.csv:2 arrival_s: value missing",
    ),
    _trace(
        "trace negative arrival",
        "arrival_s,lifetime_s,memory_mib\n-5,5,1024\n",
        "{folder}/vms.csv:2 arrival_s: must be at least 0 seconds, got '-5'",
    ),
    _trace(
        "trace zero lifetime",
        "arrival_s,lifetime_s,memory_mib\n0,0,1024\n",
        "{folder}/vms.csv:2 lifetime_s: must be above 0 seconds, got '0'",
    ),
    _trace(
        "trace unknown kind",
        "arrival_s,lifetime_s,memory_mib,kind\n0,,64,vm\n1,,64,pod\n",
        "{folder}/vms.csv:3 kind: unknown kind 'pod' (the scenario has: vm, dpdk)",
    ),
    Case(
        "trace of less than a day, to be scaled",
        ["scenario", "check", "s.yaml"],
        "s.yaml:19:10 workloads.trace: less than a whole day of arrivals: there is no stationary load to scale to the commitment (with `scale: 1` the trace is played once, as it is)",
        {
            "s.yaml": TRACE_BASE.replace("  scale: 1\n", ""),
            "vms.csv": "arrival_s,lifetime_s,memory_mib\n0,9,64\n",
        },
    ),
    Case(
        "the same, dry run",
        ["simulate", "s.yaml", "--dry-run"],
        "s.yaml:19:10 workloads.trace: less than a whole day of arrivals: there is no stationary load to scale to the commitment (with `scale: 1` the trace is played once, as it is)",
        {
            "s.yaml": TRACE_BASE.replace("  scale: 1\n", ""),
            "vms.csv": "arrival_s,lifetime_s,memory_mib\n0,9,64\n",
        },
    ),
]

IMPORTS = [
    Case(
        "openb without memory",
        ["import", "openb", "n.csv", "-o", "h.csv"],
        "n.csv:1 memory_mib: column missing (the file has: sn, cpu_milli)",
        {"n.csv": "sn,cpu_milli\na,1000\n"},
    ),
    Case(
        "openb missing",
        ["import", "openb", "n.csv", "-o", "h.csv"],
        "n.csv: No such file or directory",
    ),
    Case(
        "import to an unknown ending",
        ["import", "openb", "n.csv", "-o", "h.xlsx"],
        "h.xlsx: want a .csv or .parquet file",
        {"n.csv": "sn,cpu_milli,memory_mib\na,1000,8192\n"},
    ),
    Case(
        "import to no folder",
        ["import", "openb", "n.csv", "-o", "no/h.csv"],
        "no/h.csv: No such file or directory",
        {"n.csv": "sn,cpu_milli,memory_mib\na,1000,8192\n"},
    ),
    Case(
        "azure folder missing", ["import", "azure2017", "no", "-o", "v.csv"], "no: no such folder"
    ),
    Case(
        "azure without a pair",
        ["import", "azure2017", ".", "-o", "v.csv"],
        ".: no lifetime file v1.SPLIT.cSECONDS.txt, want one",
        {"flav_map.txt": "1,2 a\n", "v1.interval_map.txt": "0 0\n300 1\n"},
    ),
    Case(
        "azure pair out of step",
        ["import", "azure2017", ".", "-o", "v.csv"],
        "v1.x.c900.txt:1: does not pair with v1.x.txt:1",
        {
            "flav_map.txt": "1,2 a\n",
            "v1.interval_map.txt": "0 0\n300 1\n",
            "v1.x.txt": "0 a,|,\n",
            "v1.x.c900.txt": "0 U1,U1,\n",
        },
    ),
    Case(
        "azure unknown flavour",
        ["import", "azure2017", ".", "-o", "v.csv"],
        "v1.x.c900.txt:1: unknown flavour or lifetime 'b', 'U1'",
        {
            "flav_map.txt": "1,2 a\n",
            "v1.interval_map.txt": "0 0\n300 1\n",
            "v1.x.txt": "0 b,|,\n",
            "v1.x.c900.txt": "0 U1,|,\n",
        },
    ),
    Case(
        "azure partner missing",
        ["import", "azure2017", ".", "-o", "v.csv"],
        ".: v1.x.c900.txt has no partner v1.x.txt",
        {
            "flav_map.txt": "1,2 a\n",
            "v1.interval_map.txt": "0 0\n300 1\n",
            "v1.x.c900.txt": "0 U1,|,\n",
        },
    ),
    Case(
        "init over a file",
        ["scenario", "init", "-o", "mine.yaml"],
        "mine.yaml: File exists",
        {"mine.yaml": "x"},
    ),
    Case(
        "init from the unknown",
        ["scenario", "init", "-o", "mine.yaml", "--from", "nope"],
        "--from: no such shipped scenario (shipped: open-questions, pmem-reboot, quickstart, real-fleet)",
    ),
    Case(
        "init with a bad name",
        ["scenario", "init", "-o", "mine.yaml", "--name", "a b"],
        "--name: not a name: 'a b' (letters, digits, '.', '-', '_')",
    ),
]


CASES = [*INPUTS, *IMPORTS]
