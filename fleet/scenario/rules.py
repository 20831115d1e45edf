"""Rules between fields, and the readers of plain values. Errors are ``units.fail``."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.costs import MODELS
from fleet.scenario.units import MILLION, STATIONARY, fail, format_duration, format_share
from policies import registry
from policies.arms import parse_arm
from policies.models import PolicyError, Sizing

GIB_PAGES = 1 << 18

if TYPE_CHECKING:
    from fleet.scenario.demands import Removals
    from fleet.scenario.hosts import Hosts, Pressure
    from fleet.scenario.own import OwnPolicy
    from fleet.scenario.scenario import Scenario
    from fleet.scenario.workloads import Io, Maps, WorkloadKind, Workloads

MAX_IO_PAGES = 512
"""2 MiB: I/O in flight is drawn by pageblock."""
MAX_HOLD_NS = 4 * 10**9
MAX_MAPPED_PAGES = 2**32
MAX_STUCK_NS = 1 << 59
"""Longest mean interval that exponential draws take."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


def plain_int(value: Any) -> int:
    """Accept whole numbers only (no text, no bool, no 1.5)."""
    if isinstance(value, bool) or not isinstance(value, int):
        shown = str(value).lower() if isinstance(value, bool) else repr(value)
        raise fail(f"needs a whole number, got {shown}")
    return value


def plain_bool(value: Any) -> bool:
    """Accept true and false only."""
    if not isinstance(value, bool):
        raise fail(f"needs true or false, got {value!r}")
    return value


def plain_text(value: Any) -> str:
    """Accept text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise fail(f"needs text, got {value!r}")
    return value


def check_name(value: str) -> str:
    """Names go into folder names and columns: letters, digits, dot, dash, underscore."""
    if not _NAME.fullmatch(value):
        raise fail(f"not a name: {value!r} (letters, digits, '.', '-', '_'; at most 64)")
    return value


def check_quantiles(value: tuple[int, ...]) -> tuple[int, ...]:
    """A quantile table ascends and does not end at zero."""
    if list(value) != sorted(value):
        raise fail("quantiles must ascend")
    if value[-1] == 0:
        raise fail("the last quantile must be above zero")
    return value


def check_cost_model(value: str) -> str:
    """A machine the engine has costs of."""
    if value not in MODELS:
        raise fail(f"unknown cost model {value!r} (known: {', '.join(MODELS)})")
    return value


def check_profile(value: str) -> str:
    """A kernel profile known to the policies."""
    return _known(registry.profile, value)


def check_sizing(value: str) -> str:
    """A sizing preset known to the policies."""
    return _known(registry.sizing, value)


def _known(look_up: Callable[[str], object], value: str) -> str:
    try:
        look_up(value)
    except PolicyError as error:
        raise fail(str(error)) from error
    return value


def check_arms(arms: tuple[str, ...]) -> tuple[str, ...]:
    """Arms differ."""
    names: list[str] = []
    for index, text in enumerate(arms):
        name = text.strip()
        if name in names:
            raise fail(f"arm {name!r} is listed twice", f"[{index}]")
        names.append(name)
    return tuple(names)


def check_own(policies: "tuple[OwnPolicy, ...]") -> None:
    """Own policies differ in their names."""
    _unique([policy.name for policy in policies], "policies")


def check_policies(scenario: "Scenario") -> None:
    """Own policies differ, and every arm is composed of policies that there are."""
    check_own(scenario.policies)
    own = [policy.policy() for policy in scenario.policies]
    for index, text in enumerate(scenario.arms):
        try:
            arm = parse_arm(text, scenario.profile, scenario.sizing, own)
        except PolicyError as error:
            raise fail(str(error), f"arms[{index}]") from error
        _check_boot_pages(scenario.hosts, arm.sizing)


def _check_boot_pages(hosts: "Hosts", sizing: Sizing) -> None:
    """Pages of 1 GiB fit outside ZONE_MOVABLE, where alone a host can reserve them at boot."""
    for index, item in enumerate(hosts.classes):
        boot = hosts.boot_1g if item.boot_1g is None else item.boot_1g
        outside = item.memory_pages - item.memory_pages * sizing.movable_millionths // MILLION
        if boot * GIB_PAGES > outside:
            room = f"{outside // GIB_PAGES}GiB under {sizing.name}"
            reason = f"{boot} pages of 1GiB do not fit outside ZONE_MOVABLE ({room})"
            raise fail(reason, f"hosts.classes[{index}].hugepages_1g")


def _unique(names: list[str], field: str) -> None:
    """Names of a list must differ."""
    for index, name in enumerate(names):
        if name in names[:index]:
            raise fail(f"{name!r} is used twice", f"{field}[{index}].name")


def check_hosts(hosts: "Hosts") -> "Hosts":
    """Classes or inventory; shares with a total, or counts; room for the host's own memory."""
    if bool(hosts.classes) == (hosts.inventory is not None):
        raise fail("give either `classes` or `inventory` (--set inventory=FILE)")
    _unique([c.name for c in hosts.classes], "classes")
    shared = [c.share_millionths is not None for c in hosts.classes]
    for index, item in enumerate(hosts.classes):
        if (item.share_millionths is None) == (item.count is None):
            raise fail("give either `share` or `count`", f"classes[{index}]")
        if shared[index] != shared[0]:
            raise fail("all classes need shares, or all need counts", f"classes[{index}]")
    if hosts.classes and shared[0]:
        total = sum(c.share_millionths or 0 for c in hosts.classes)
        if total != MILLION:
            raise fail(f"shares add up to {format_share(total)}, not 100%", "classes")
        if hosts.total is None:
            raise fail("shares need `total`, the number of hosts")
    elif hosts.classes and hosts.total is not None:
        raise fail("classes with counts need no `total`", "total")
    _check_own_memory(hosts)
    return hosts


def _check_own_memory(hosts: "Hosts") -> None:
    """Kernel memory, cache, base load and pages of 1 GiB together must leave memory free."""
    default = (hosts.kernel_millionths, hosts.cache_millionths, hosts.base_millionths)
    if sum(default) >= MILLION:
        raise fail("kernel_memory, page_cache and base_load together leave no memory")
    for index, item in enumerate(hosts.classes):
        own = (item.kernel_millionths, item.cache_millionths, item.base_millionths)
        share = sum(d if o is None else o for o, d in zip(own, default, strict=True))
        if share >= MILLION:
            reason = "kernel_memory, page_cache and base_load together leave no memory"
            raise fail(reason, f"classes[{index}]")
        boot = hosts.boot_1g if item.boot_1g is None else item.boot_1g
        if boot * GIB_PAGES + item.memory_pages * share // MILLION >= item.memory_pages:
            reason = f"{boot} pages of 1GiB and the host's own memory leave none of its RAM"
            raise fail(reason, f"classes[{index}].hugepages_1g")


def check_mix(mix: dict[str, int]) -> dict[str, int]:
    """Shares of a mix add up to 100 %."""
    total = sum(mix.values())
    if mix and total != MILLION:
        raise fail(f"shares add up to {format_share(total)}, not 100%")
    return mix


def check_io(io: "Io") -> "Io":
    """Size and hold time within what the engine draws."""
    if io.pages > MAX_IO_PAGES or io.pages & (io.pages - 1):
        raise fail("the memory of one I/O is a power of two of at most 2MiB", "memory")
    if io.hold_ns > MAX_HOLD_NS:
        raise fail("an I/O in flight takes at most 4s; longer ones are `stuck_io`", "hold")
    return io


def check_maps(maps: "Maps") -> "Maps":
    """So many buffers fit into some memory at all."""
    if maps.buffers * maps.pages > MAX_MAPPED_PAGES:
        raise fail("`buffers` of `memory` are more than 16TiB", "buffers")
    return maps


def check_kind(kind: "WorkloadKind") -> "WorkloadKind":
    """I/O in flight is drawn for anonymous memory alone; mappings are what a pinner takes."""
    hugetlb = kind.backing in ("hugetlb", "hugetlb1g")
    if kind.io is not None and hugetlb:
        raise fail("I/O in flight is not modelled on hugetlb memory", "io")
    if kind.maps is None:
        return kind
    if kind.pin == "none":
        raise fail("needs `pin`: who takes the mappings", "maps")
    if hugetlb:
        raise fail("mappings are not modelled on hugetlb memory", "maps")
    if kind.pinned_millionths != MILLION or kind.present_millionths:
        raise fail("takes the place of `pinned` and `present`; `touched` counts for all", "maps")
    return kind


def check_workloads(work: "Workloads") -> "Workloads":
    """Trace or generators; mixes name kinds that exist; the hint's quality is possible."""
    if bool(work.generators) == (work.trace is not None):
        raise fail("give either `generators` or `trace` (--set trace=FILE)")
    kinds = [k.name for k in work.kinds]
    _unique(kinds, "kinds")
    _unique([g.name for g in work.generators], "generators")
    if work.trace is not None and not work.mix:
        raise fail("a trace needs `mix`, the share of each kind")
    if work.trace is None and work.mix:
        raise fail("`mix` goes with a trace; generators have their own", "mix")
    if work.trace is None and work.scale_millionths != STATIONARY:
        raise fail("`scale` goes with a trace; generators have `arrivals`", "scale")
    mixes = [(f"generators[{i}].mix", g.mix) for i, g in enumerate(work.generators)]
    for field, mix in [("mix", work.mix), *mixes]:
        for name in mix:
            if name not in kinds:
                known = ", ".join(kinds)
                raise fail(f"unknown kind {name!r} (known: {known})", f"{field}.{name}")
    if work.stuck_io is not None:
        if not any(kind.io for kind in work.kinds):
            raise fail("no kind has `io`", "stuck_io")
        if work.stuck_io.interval_ns >= MAX_STUCK_NS:
            raise fail("a rate above one in 18 years is needed", "stuck_io.rate")
    hint_chances(work)
    return work


def hint_chances(work: "Workloads") -> tuple[int, int]:
    """Return the chance of an madvise hint, in millionths, for workloads that pin and the rest.

    Of those that pin a share ``recall`` gives it; of the others as many as make a share
    ``precision`` of all hints true, in expectation over the mixes.
    """
    recall, precision = work.hint.recall_millionths, work.hint.precision_millionths
    streams = [(g.arrivals_interval_ns, g.mix) for g in work.generators] or [(1, work.mix)]
    common = max(interval for interval, _ in streams)
    pinning = {kind.name for kind in work.kinds if kind.pin != "none"}
    pin = rest = 0
    for interval, mix in streams:
        rate = common * MILLION // interval
        pin += rate * sum(share for name, share in mix.items() if name in pinning)
        rest += rate * sum(share for name, share in mix.items() if name not in pinning)
    false = pin * recall * (MILLION - precision)
    if false > rest * precision * MILLION:
        reason = "needs more false hints than there are workloads that do not pin"
        raise fail(reason, "hint.precision")
    return recall, false // (rest * precision) if rest else 0


def check_pressure(pressure: "Pressure") -> "Pressure":
    """An episode ends before the span it lies in."""
    if pressure.duration_ns >= pressure.every_ns:
        raise fail("lasts as long as the span it lies in (`every`)", "duration")
    return pressure


def check_removals(removals: "Removals") -> "Removals":
    """One amount, one way to count, a window that is not empty."""
    if (removals.pages is None) == (removals.blocks is None):
        raise fail("give either `bytes` or `blocks`")
    ways = (removals.count is not None) + (removals.interval_ns is not None)
    if removals.target == "all" and ways:
        raise fail("target `all` takes neither `count` nor `rate`", "target")
    if removals.target == "drawn" and ways != 1:
        raise fail("give either `count` or `rate`")
    return removals


def check_scenario(scenario: "Scenario") -> "Scenario":
    """Arms of known policies, windows inside the horizon, lookahead within the latency."""
    check_policies(scenario)
    for name in ("removals", "probes"):
        part = getattr(scenario, name)
        if part is None:
            continue
        end_ns = scenario.horizon_ns if part.end_ns is None else part.end_ns
        if end_ns > scenario.horizon_ns:
            raise fail("the window ends after the horizon", f"{name}.end")
        if part.start_ns >= end_ns:
            raise fail("the window is empty: it starts at or after its end", f"{name}.start")
    _check_until_ci(scenario)
    window_ns = scenario.executor.window_ns
    if window_ns is not None and window_ns > scenario.reaction_latency_ns:
        latency = format_duration(scenario.reaction_latency_ns)
        raise fail(f"longer than reaction_latency ({latency})", "executor.window")
    reboots = scenario.removals is not None and scenario.removals.before_reboot
    if scenario.watchdog.mechanism == "reboot" and not reboots:
        raise fail("`reboot` needs removals with before_reboot: true", "watchdog.mechanism")
    if scenario.executor.actors is not None and scenario.executor.hosts_per_actor is not None:
        raise fail("give either `actors` or `hosts_per_actor`", "executor.hosts_per_actor")
    return scenario


def _check_until_ci(scenario: "Scenario") -> None:
    """There is something to compare, and the limit leaves room to begin."""
    if scenario.until_ci is None:
        return
    if len(scenario.arms) < 2:
        raise fail("compares arms, and there is one", "until_ci")
    if scenario.probes is None and scenario.removals is None:
        raise fail("is about hang rates, and there are neither probes nor removals", "until_ci")
    if scenario.until_ci.limit < scenario.replications:
        reason = f"below `replications`, where it begins ({scenario.replications})"
        raise fail(reason, "until_ci.limit")
