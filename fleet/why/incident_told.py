"""Facts about an incident (``explain_incident``) as sentences; every number stands in the facts."""

from collections.abc import Iterator
from typing import Any

from fleet.report import units
from fleet.why.words import Moment

Facts = dict[str, Any]


NO_VICTIM = (
    "nothing can be killed, as the host's own processes are spared and hugetlb memory counts for"
    " nothing: panic"
)
"""A panic in the midst of a run (mm/oom_kill.c ``oom_badness``, ``out_of_memory``)."""
BOOT_PANIC = (
    "the host boots; its own memory does not fit into its kernel zones, and there is no process to"
    " kill: panic, as at every boot, so it stays down"
)
"""A panic that no command of the run set off."""


def summary(facts: Facts) -> str:
    """Return what happened in one sentence."""
    host, who = f"host {facts['host']}", f"workload {facts['workload']}"
    if facts["kind"] == "oom_kill":
        victim = who if facts["workload"] is not None else "a process of the host itself"
        freed = units.pages(facts["pages"])
        return f"The OOM killer of {host} took {victim} ({freed}){_for_whom(facts)}."
    if facts["kind"] == "panic":
        return (
            f"The kernel of {host} panicked{_when(facts)}: out of memory, and nothing left to kill."
        )
    if facts["kind"] == "pin_failed":
        return f"A pin of {who} failed on {host}{_pin_reason(facts)}."
    if facts["kind"] == "pin_stuck":
        return f"A pin of {who} on {host} hung, waiting for pages that nobody put back."
    return f"The {facts['mechanism']} reset {host} for {facts['request']}; explain that request."


def _when(facts: Facts) -> str:
    """What a kernel did when it panicked.

    Not in a removal: a target it does not get ends its pass (GFP_USER | __GFP_RETRY_MAYFAIL,
    mm/memory_hotplug.c ``do_migrate_range``), so no OOM killer is called.
    """
    asked = facts["asked"]
    if asked is None:
        return " while it booted"
    if asked["workload"] is None:
        return " when the host's own memory asked for more"
    return f" when workload {asked['workload']} ({asked['kind']}) asked for memory"


def _for_whom(facts: Facts) -> str:
    asked = facts["asked"]
    if asked is None:
        return ""
    if asked["workload"] is None:
        return " because the host's own memory asked for more than there was"
    if asked["workload"] == facts["workload"]:
        return ", which asked for more than there was itself"
    return f" because workload {asked['workload']} asked for more than there was"


def _pin_reason(facts: Facts) -> str:
    movable = sum(pages for zone, pages in facts["lies"].items() if zone.endswith("Movable"))
    if movable:
        return f": {units.pages(movable)} of it lie in ZONE_MOVABLE and could not all be moved out"
    return ": its memory could not all be faulted in" if facts["asked"] else ""


def timeline(facts: Facts) -> list[Moment]:
    """Return what happened, in order; all of it at one instant."""
    now_ns = facts["time_ns"]
    return [(now_ns, text) for text in _told(facts)]


def _told(facts: Facts) -> Iterator[str]:
    asked = facts["asked"]
    if asked is not None:
        yield _asked(facts, asked)
        yield from (_room(zone) for zone in facts["zones"])
    if asked is not None and asked["killed_before"]:
        count = len(asked["killed_before"])
        others = "others were" if count > 1 else "other was"
        yield f"for the same demand {count} {others} killed before"
    if facts["kind"] == "oom_kill":
        yield _chosen(facts)
    elif facts["kind"] == "reset":
        yield f"the {facts['mechanism']} resets the host, with all that ran on it"
    elif facts["kind"] == "panic":
        yield BOOT_PANIC if facts["booting"] else NO_VICTIM
    elif facts["kind"] == "pin_failed":
        yield f"the pin fails ({facts['mechanism']}), and its workload cannot run without it"
    else:
        yield f"the pin does not return ({facts['mechanism']}); its owner kills it"


def _room(zone: Facts) -> str:
    """What a zone has left."""
    names = ("free_pages", "managed_pages", "free_huge_pages", "min_pages")
    free, managed, huge, low = (units.pages(zone[name]) for name in names)
    kept = ""
    if zone["reserve_pages"]:
        kept = f", and {units.pages(zone['reserve_pages'])} more are kept from movable pages"
    return (
        f"room: {zone['zone']} has {free} of {managed} free, {huge} in huge pages; its min mark is"
        f" {low}{kept}"
    )


def _asked(facts: Facts, asked: Facts) -> str:
    """Who asked for what, by which path, and where it lies already."""
    if asked["workload"] is None:
        return f"the host's own memory asks for pages ({asked['op']})"
    verb = {"touch": "touches", "pin": "pins", "hold": "holds", "read": "reads"}.get(asked["op"])
    name = f"workload {asked['workload']} ({asked['kind']})"
    if verb is None:
        return f"{name} asks for pages ({asked['op']})"
    size = units.pages(asked["pages"])
    there = "; ".join(f"{units.pages(n)} lie in {zone}" for zone, n in facts["lies"].items())
    absent = asked["pages"] - asked["present_pages"]
    fault = f"{units.pages(absent)} are to be faulted in ({asked['backing']})" if absent else ""
    how = "; ".join(part for part in (there, fault) if part)
    return f"{name} {verb} {size}{': ' + how if how else ''}"


def _chosen(facts: Facts) -> str:
    """Whom the OOM killer chose, and why."""
    named = [
        f"workload {w['workload']} {units.pages(w['rss_pages'])}" for w in facts["largest"][:3]
    ]
    whom = "the largest" if facts["workload"] is not None else "a process of the host"
    told = f" (largest before: {', '.join(named)})" if named else ""
    return f"the OOM killer takes {whom}, {units.pages(facts['pages'])}{told}"


def other_arm(facts: Facts, arm: Facts) -> str:
    """Return what became of the same workloads under another arm."""
    count = arm["same_kind"]
    several = "s" if count != 1 else ""
    parts = [f"{count or 'no'} {facts['kind']} incident{several} in all"]
    for item in arm["workloads"]:
        where = "was placed nowhere" if item["host"] is None else f"on host {item['host']}"
        pin = item["pins"]
        held = f", {units.pages(pin['pinned_pages'])} pinned" if pin else ""
        parts.append(f"workload {item['workload']} {where}: {item['outcome']}{held}")
    return "; ".join(parts) + "."


def change(item: Facts) -> str:
    """Return a change that was tried, as something one could do."""
    size = units.pages(item["pages"])
    if item["kind"] == "fewer_pages":
        return f"ask for {size} less: so much room is wanting"
    if item["kind"] == "kernel_share":
        count = len(item["about"]["blocks"])
        return (
            f"have {count} block{'s' if count > 1 else ''} ({size}) of ZONE_MOVABLE in kernel zones"
        )
    if item["kind"] == "room":
        return f"workload {item['about']['workloads'][0]} ({size}) elsewhere"
    if item["kind"] == "pressure":
        return f"no episode of memory pressure on the host itself ({size}) at that time"
    return f"the policy of {item['about']['arm']} from here on"
