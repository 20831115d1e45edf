# ruff: noqa: E501 (a table of whole lines)
"""Bad input as a table: what is typed, and the one line that must come back.

Every case is run by ``test_bad_inputs.py`` through the command line, in a folder of its own: exit
code 2, nothing on stdout, exactly this line on stderr, no new file. Other areas add their cases
with ``Case(id, argv, line, files)`` to a list of their own and call ``check_case``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fleet.cli.app import main

BASE = """\
name: base
horizon: 1h
arms: [pin-in-place+unbounded]
hosts:
  total: 4
  classes:
    - name: a
      share: 50%
      memory: 8GiB
    - name: b
      share: 50%
      memory: 16GiB
workloads:
  commitment: 10%
  kinds:
    - name: vm
    - name: dpdk
      pin: vfio
  generators:
    - name: g
      arrivals: 60/h
      sizes: [{memory: 1GiB}]
      lifetime: [1m, 1h]
      mix: {vm: 60%, dpdk: 40%}
removals:
  count: 4
  blocks: 1
probes:
  count: 4
"""
"""A scenario without fault; cases replace a part of it."""

INVENTORY_BASE = BASE.replace(
    BASE[BASE.index("  total:") : BASE.index("workloads:")], "  inventory: hosts.csv\n"
)
TRACE_BASE = BASE.replace(
    BASE[BASE.index("  generators:") : BASE.index("removals:")],
    "  trace: vms.csv\n  scale: 1\n  mix: {vm: 60%, dpdk: 40%}\n",
)


@dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes
    ----------
    id : str
        Name of the test.
    argv : sequence of str
        Arguments of ``fleet``.
    line : str
        The whole line expected on stderr; ``{folder}`` is the folder, ``…`` anything.
    files : mapping of str to str or bytes
        Files laid into the folder first.
    """

    id: str
    argv: Sequence[str]
    line: str
    files: Mapping[str, str | bytes] = field(default_factory=dict)


def check_case(
    case: Case,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Run one case in ``folder`` and assert all that must hold of bad input."""
    for name, content in case.files.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    before = sorted(folder.rglob("*"))
    monkeypatch.chdir(folder)
    monkeypatch.delenv("FLEET_DEBUG", raising=False)
    code = main(list(case.argv))
    out, err = capsys.readouterr()
    parts = case.line.replace("{folder}", str(folder)).split("…")
    assert re.fullmatch(".*".join(re.escape(part) for part in parts) + "\n", err), err
    assert out == ""
    assert code == 2
    assert sorted(folder.rglob("*")) == before


def _yaml(id: str, old: str, new: str, line: str) -> Case:
    """A fault in the scenario file: ``old`` becomes ``new``."""
    assert BASE.count(old) == 1, f"{id}: {old!r} is not unique in BASE"
    files = {"s.yaml": BASE.replace(old, new)}
    return Case(id, ["scenario", "check", "s.yaml"], line, files)


SYNTAX = [
    _yaml(
        "bracket left open",
        "[pin-in-place+unbounded]",
        "[pin-in-place+unbounded",
        "s.yaml:4:6: expected ',' or ']', but got ':'",
    ),
    _yaml(
        "tab as indentation",
        "  total: 4",
        "\ttotal: 4",
        "s.yaml:5:1: found character '\\t' that cannot start any token",
    ),
    _yaml(
        "duplicate key",
        "  count: 4\n  blocks: 1",
        "  count: 4\n  count: 5",
        "s.yaml:27:3 removals.count: written twice (first in line 26)",
    ),
    _yaml(
        "anchor",
        "commitment: 10%",
        "commitment: &x 10%",
        "s.yaml:14:15: anchors and aliases are not used here",
    ),
    _yaml(
        "tag",
        "horizon: 1h",
        "horizon: !!timestamp 1h",
        "s.yaml:2:10 horizon: tags are not used here: tag:yaml.org,2002:timestamp",
    ),
    _yaml(
        "second document",
        "horizon: 1h",
        "---\nhorizon: 1h",
        "s.yaml:2:1: expected a single document in the stream, but found another document",
    ),
    _yaml("list as field name", "horizon: 1h", "[a]: 1h", "s.yaml:2:1: a field name must be text"),
    Case(
        "control character",
        ["scenario", "check", "s.yaml"],
        "s.yaml:2:2: a character that YAML does not allow",
        {"s.yaml": "name: a\nb\x01: 1\n"},
    ),
    Case(
        "not UTF-8",
        ["scenario", "check", "s.yaml"],
        "s.yaml: not UTF-8 text (byte 6)",
        {"s.yaml": b"name: \xff\n"},
    ),
    Case(
        "no mapping",
        ["scenario", "check", "s.yaml"],
        "s.yaml:1:1: a scenario is a mapping of fields",
        {"s.yaml": "- a\n"},
    ),
    Case(
        "empty file",
        ["scenario", "check", "s.yaml"],
        "s.yaml:1:1: a scenario is a mapping of fields",
        {"s.yaml": ""},
    ),
    Case(
        "too deep",
        ["scenario", "check", "s.yaml"],
        "s.yaml: nested too deeply",
        {"s.yaml": "a: " + "[" * 5000},
    ),
    Case(
        "no such scenario",
        ["scenario", "check", "nope"],
        "nope: no such file or shipped scenario (shipped: open-questions, pmem-reboot, quickstart, real-fleet)",
    ),
]

FIELDS = [
    _yaml(
        "unknown field",
        "  total: 4",
        "  totl: 4",
        "s.yaml:5:3 hosts.totl: unknown field (did you mean 'total'?)",
    ),
    _yaml(
        "unknown nested field",
        "      share: 50%\n      memory: 8GiB",
        "      share: 50%\n      memry: 8GiB",
        "s.yaml:9:7 hosts.classes[0].memry: unknown field (did you mean 'memory'?)",
    ),
    _yaml(
        "unknown top-level field",
        "horizon: 1h",
        "horizon: 1h\nfoo: 1",
        "s.yaml:3:1 foo: unknown field (known: name, seed, replications, until_ci, horizon, profile, arms, policies, sizing, costs, hosts, age, workloads, removals, probes, watchdog, reaction_latency, placement, samples, margins, executor, digests)",
    ),
    _yaml("field missing", "horizon: 1h\n", "", "s.yaml:1:1 horizon: required field is missing"),
    _yaml(
        "nested field missing",
        "      arrivals: 60/h\n",
        "",
        "s.yaml:20:7 workloads.generators[0].arrivals: required field is missing",
    ),
    _yaml(
        "wrong unit of size",
        "memory: 8GiB",
        "memory: 8GB",
        "s.yaml:9:15 hosts.classes[0].memory: unknown unit 'GB' in size '8GB' (known: TiB, GiB, MiB, KiB)",
    ),
    _yaml(
        "size without unit",
        "memory: 8GiB",
        "memory: 8",
        "s.yaml:9:15 hosts.classes[0].memory: size needs a unit (TiB, GiB, MiB, KiB), got 8",
    ),
    _yaml(
        "negative size",
        "memory: 8GiB",
        "memory: -8GiB",
        "s.yaml:9:15 hosts.classes[0].memory: a size cannot be negative: '-8GiB'",
    ),
    _yaml(
        "size not whole pages",
        "memory: 8GiB",
        "memory: 1.3KiB",
        "s.yaml:9:15 hosts.classes[0].memory: '1.3KiB' is not a whole number of 4 KiB pages",
    ),
    _yaml(
        "zero size",
        "memory: 8GiB",
        "memory: 0GiB",
        "s.yaml:9:15 hosts.classes[0].memory: must be above 0",
    ),
    _yaml(
        "host too small",
        "memory: 8GiB",
        "memory: 128MiB",
        "s.yaml:9:15 hosts.classes[0].memory: fewer than two memory blocks of 128 MiB per node",
    ),
    _yaml(
        "wrong unit of duration",
        "horizon: 1h",
        "horizon: 1 week",
        "s.yaml:2:10 horizon: unknown unit 'week' in duration '1 week' (known: d, h, min, m, s, ms, us, ns)",
    ),
    _yaml(
        "duration as a number",
        "horizon: 1h",
        "horizon: 3600",
        "s.yaml:2:10 horizon: duration needs a unit (d, h, min, m, s, ms, us, ns), got 3600",
    ),
    _yaml("zero horizon", "horizon: 1h", "horizon: 0s", "s.yaml:2:10 horizon: must be above 0"),
    _yaml(
        "share above 100%",
        "commitment: 10%",
        "commitment: 101%",
        "s.yaml:14:15 workloads.commitment: a share cannot be above 100%: '101%'",
    ),
    _yaml(
        "share without percent",
        "commitment: 10%",
        "commitment: 0.1",
        "s.yaml:14:15 workloads.commitment: share needs a unit (%), got 0.1",
    ),
    _yaml(
        "copies of a trace without a trace",
        "commitment: 10%",
        "scale: 2",
        "s.yaml:14:10 workloads.scale: `scale` goes with a trace; generators have `arrivals`",
    ),
    _yaml(
        "copies by another word",
        "commitment: 10%",
        "scale: steady",
        "s.yaml:14:10 workloads.scale: needs `stationary` or a number of copies above 0 (at most 10**6): 'steady'",
    ),
    _yaml(
        "no copies",
        "commitment: 10%",
        "scale: 0",
        "s.yaml:14:10 workloads.scale: needs `stationary` or a number of copies above 0 (at most 10**6): 0",
    ),
    _yaml(
        "copies finer than a millionth",
        "commitment: 10%",
        "scale: 0.0000005",
        "s.yaml:14:10 workloads.scale: 5e-07 is not a whole number of millionths",
    ),
    _yaml(
        "rate without time",
        "arrivals: 60/h",
        "arrivals: 60",
        "s.yaml:21:17 workloads.generators[0].arrivals: not a rate: 60 (write a count per time: 120/h)",
    ),
    _yaml(
        "rate of nothing",
        "arrivals: 60/h",
        "arrivals: 0/h",
        "s.yaml:21:17 workloads.generators[0].arrivals: a rate needs a positive count before the slash: '0/h'",
    ),
    _yaml(
        "lifetimes descend",
        "lifetime: [1m, 1h]",
        "lifetime: [1h, 1m]",
        "s.yaml:23:17 workloads.generators[0].lifetime: quantiles must ascend",
    ),
    _yaml(
        "one quantile",
        "lifetime: [1m, 1h]",
        "lifetime: [1m]",
        "s.yaml:23:17 workloads.generators[0].lifetime: needs at least 2 entries, got 1",
    ),
    _yaml(
        "text for a list",
        "sizes: [{memory: 1GiB}]",
        "sizes: 1GiB",
        "s.yaml:22:14 workloads.generators[0].sizes: needs a list, got '1GiB'",
    ),
    _yaml(
        "truth value for a count",
        "  blocks: 1",
        "  blocks: true",
        "s.yaml:27:11 removals.blocks: needs a whole number, got true",
    ),
    _yaml(
        "bad name",
        "name: base",
        "name: ../base",
        "s.yaml:1:7 name: not a name: '../base' (letters, digits, '.', '-', '_'; at most 64)",
    ),
]

RULES = [
    _yaml(
        "unknown pin policy",
        "[pin-in-place+unbounded]",
        "[pin-in-plac+unbounded]",
        "s.yaml:3:8 arms[0]: unknown pin policy 'pin-in-plac'; did you mean 'pin-in-place'?",
    ),
    _yaml(
        "unknown offline policy",
        "[pin-in-place+unbounded]",
        "[pin-in-place+forever]",
        "s.yaml:3:8 arms[0]: unknown offline policy 'forever'; known: unbounded, bounded-4.13, timeout, pin-aware, paced, unmap-first, same-node-fallback",
    ),
    _yaml(
        "unknown sizing",
        "[pin-in-place+unbounded]",
        "[pin-in-place+unbounded@huge]",
        "s.yaml:3:8 arms[0]: unknown sizing preset 'huge'; known: no-movable-zone, movable-10, movable-25, movable-50, movable-75, movable-90",
    ),
    _yaml(
        "movable share above the limit",
        "[pin-in-place+unbounded]",
        "[pin-in-place+unbounded@movable-101]",
        "s.yaml:3:8 arms[0]: sizing preset 'movable-101': want a share of 0 to 90 per cent, such as movable-75",
    ),
    _yaml(
        "malformed arm",
        "[pin-in-place+unbounded]",
        "[pin-in-place]",
        "s.yaml:3:8 arms[0]: arm 'pin-in-place': want PIN+OFFLINE[@SIZING], such as linux-5.13+unbounded@movable-75",
    ),
    _yaml(
        "arm twice",
        "[pin-in-place+unbounded]",
        "[deny+timeout, deny+timeout]",
        "s.yaml:3:22 arms[1]: arm 'deny+timeout' is listed twice",
    ),
    _yaml(
        "no arms",
        "[pin-in-place+unbounded]",
        "[]",
        "s.yaml:3:7 arms: needs at least 1 entry, got 0",
    ),
    _yaml(
        "unknown profile",
        "horizon: 1h",
        "horizon: 1h\nprofile: linux-2.6",
        "s.yaml:3:10 profile: unknown profile 'linux-2.6'; did you mean 'linux-6.1'?",
    ),
    _yaml(
        "unknown placement",
        "horizon: 1h",
        "horizon: 1h\nplacement: best-fit",
        "s.yaml:3:12 placement: must be 'first-fit' or 'spread', got 'best-fit'",
    ),
    _yaml(
        "unknown cost model",
        "horizon: 1h",
        "horizon: 1h\ncosts: free",
        "s.yaml:3:8 costs: unknown cost model 'free' (known: default, zen3-7.0,"
        " zen3-7.1, broadwell, lab-5.10, lab-6.1, lab-6.12)",
    ),
    _yaml(
        "host shares below 100%",
        "    - name: b\n      share: 50%",
        "    - name: b\n      share: 40%",
        "s.yaml:7:5 hosts.classes: shares add up to 90%, not 100%",
    ),
    _yaml(
        "class twice",
        "    - name: b",
        "    - name: a",
        "s.yaml:10:13 hosts.classes[1].name: 'a' is used twice",
    ),
    _yaml(
        "shares without total",
        "  total: 4\n",
        "",
        "s.yaml:5:3 hosts: shares need `total`, the number of hosts",
    ),
    _yaml(
        "mix below 100%",
        "{vm: 60%, dpdk: 40%}",
        "{vm: 60%}",
        "s.yaml:24:12 workloads.generators[0].mix: shares add up to 60%, not 100%",
    ),
    _yaml(
        "mix of an unknown kind",
        "{vm: 60%, dpdk: 40%}",
        "{vm: 60%, dpkd: 40%}",
        "s.yaml:24:28 workloads.generators[0].mix.dpkd: unknown kind 'dpkd' (known: vm, dpdk)",
    ),
    _yaml(
        "bytes and blocks",
        "  blocks: 1",
        "  blocks: 1\n  bytes: 1GiB",
        "s.yaml:26:3 removals: give either `bytes` or `blocks`",
    ),
    _yaml(
        "window after the horizon",
        "  blocks: 1",
        "  blocks: 1\n  end: 2h",
        "s.yaml:28:8 removals.end: the window ends after the horizon",
    ),
    _yaml(
        "empty window",
        "  blocks: 1",
        "  blocks: 1\n  start: 1h",
        "s.yaml:28:10 removals.start: the window is empty: it starts at or after its end",
    ),
    _yaml(
        "removal of a whole host",
        "  blocks: 1",
        "  blocks: 64",
        "s.yaml:27:11 removals.blocks: would take the whole memory of host a-00001",
    ),
    _yaml(
        "lookahead beyond the latency",
        "horizon: 1h",
        "horizon: 1h\nexecutor: {window: 2s}",
        "s.yaml:3:20 executor.window: longer than reaction_latency (1s)",
    ),
    _yaml(
        "watchdog without reboots",
        "horizon: 1h",
        "horizon: 1h\nwatchdog: {mechanism: reboot}",
        "s.yaml:3:23 watchdog.mechanism: `reboot` needs removals with before_reboot: true",
    ),
    _yaml(
        "impossible hint",
        "  commitment: 10%",
        "  hint: {precision: 1%}",
        "s.yaml:14:21 workloads.hint.precision: needs more false hints than there are workloads that do not pin",
    ),
    _yaml(
        "io of an odd size",
        "    - name: vm\n",
        "    - name: vm\n      io: {rate: 2000/s, memory: 12KiB}\n",
        "s.yaml:17:34 workloads.kinds[0].io.memory: the memory of one I/O is a power of two of at most 2MiB",
    ),
    _yaml(
        "io that is stuck",
        "    - name: vm\n",
        "    - name: vm\n      io: {rate: 2000/s, hold: 5s}\n",
        "s.yaml:17:32 workloads.kinds[0].io.hold: an I/O in flight takes at most 4s; longer ones are `stuck_io`",
    ),
    _yaml(
        "io on hugetlb",
        "    - name: vm\n",
        "    - name: vm\n      backing: hugetlb\n      io: {rate: 2000/s}\n",
        "s.yaml:18:11 workloads.kinds[0].io: I/O in flight is not modelled on hugetlb memory",
    ),
    _yaml(
        "mappings of nobody",
        "    - name: vm\n",
        "    - name: vm\n      maps: {every: 1m}\n",
        "s.yaml:17:13 workloads.kinds[0].maps: needs `pin`: who takes the mappings",
    ),
    _yaml(
        "mappings beside a pinned share",
        "    - name: vm\n",
        "    - name: vm\n      pin: vfio\n      pinned: 10%\n      maps: {every: 1m}\n",
        "s.yaml:19:13 workloads.kinds[0].maps: takes the place of `pinned` and `present`; `touched` counts for all",
    ),
    _yaml(
        "mappings of too many buffers",
        "    - name: vm\n",
        "    - name: vm\n      pin: vfio\n      maps: {memory: 1TiB, buffers: 17}\n",
        "s.yaml:18:37 workloads.kinds[0].maps.buffers: `buffers` of `memory` are more than 16TiB",
    ),
    _yaml(
        "stuck io of nobody",
        "  commitment: 10%",
        "  stuck_io: {rate: 1/30d}",
        "s.yaml:14:13 workloads.stuck_io: no kind has `io`",
    ),
    _yaml(
        "no memory left",
        "  total: 4",
        "  total: 4\n  page_cache: 97%",
        "s.yaml:5:3 hosts: kernel_memory, page_cache and base_load together leave no memory",
    ),
    _yaml(
        "more pages of 1 GiB than memory",
        "  total: 4",
        "  total: 4\n  hugepages_1g: 4000",
        "s.yaml:8:7 hosts.classes[0].hugepages_1g: 4000 pages of 1GiB and the host's own memory"
        " leave none of its RAM",
    ),
    _yaml(
        "more pages of 1 GiB than outside ZONE_MOVABLE",
        "  total: 4",
        "  total: 4\n  hugepages_1g: 5",
        "s.yaml:8:7 hosts.classes[0].hugepages_1g: 5 pages of 1GiB do not fit outside ZONE_MOVABLE (4GiB under movable-50)",
    ),
    _yaml(
        "io on 1 GiB pages",
        "    - name: vm\n",
        "    - name: vm\n      backing: hugetlb1g\n      io: {rate: 2000/s}\n",
        "s.yaml:18:11 workloads.kinds[0].io: I/O in flight is not modelled on hugetlb memory",
    ),
]

CASES = [*SYNTAX, *FIELDS, *RULES]
