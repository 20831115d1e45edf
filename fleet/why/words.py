"""Facts about a request (``explain``) as sentences; every number in them stands in the facts."""

from collections.abc import Iterator
from typing import Any

from fleet.report import units

Facts = dict[str, Any]
Moment = tuple[int, str]
"""Simulated time, and what happened then."""

SHOWN = 4
"""Workloads that are told one by one; the others are counted."""
NOUN = {"probe": "probe", "removal": "removal"}


def stamp(time_ns: int) -> str:
    """Return simulated time as ``h:mm:ss.mmm``."""
    seconds, ns = divmod(time_ns, 10**9)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{ns // 10**6:03d}"


def blocks(facts: Facts) -> str:
    """Return the blocks of a request: ``block 127`` or ``blocks 16 to 31``."""
    first, count = facts["first_block"], facts["nr_blocks"]
    if first is None:
        return f"{count} block{'s' if count > 1 else ''}"
    return f"block {first}" if count == 1 else f"blocks {first} to {first + count - 1}"


def summary(facts: Facts) -> str:
    """Return the whole outcome in one sentence."""
    what = f"{NOUN[facts['kind']]} of {blocks(facts)} on host {facts['host']}"
    return f"The {what} {_ended(facts)}{_because(facts)}."


def _ended(facts: Facts) -> str:
    outcome, errno = facts["outcome"], _errno(facts["errno"])
    if facts["reset"]:
        return "hung until the watchdog reset the host"
    if outcome == "host_down" and any(item["kind"] == "panic" for item in facts["incidents"]):
        return "ended with its host, which ran out of memory and panicked"
    return {
        "offlined": "succeeded",
        "stuck": "had not returned at its deadline",
        "refused": f"was refused with {errno}",
        "gave_up": f"was given up by the offline policy ({facts['reason']}, {errno})",
        "host_down": "ended with its host going down",
        "withdrawn": "was withdrawn before it began",
        "censored": "was still open when the run ended",
    }[str(outcome)]


def _because(facts: Facts) -> str:
    """Return why, as the end of a sentence."""
    start, made = facts["at_start"], facts["attempts_made"]
    last = made[-1]["attempt"] if made else None
    names = [b["class"] for b in facts["blockers"] if b["attempt"] == last]
    if facts["outcome"] == "withdrawn":
        return f": {_withdrawn(facts['withdrawal'])}"
    if facts["outcome"] == "offlined" or start is None:
        return ""
    if facts["outcome"] == "host_down" and not facts["reset"]:
        return ""  # whatever held its pages, something else ended it
    if start["zone"] == "offline":
        return ": the memory was offline already"
    if start["offline_running"] and facts["reason"] == "bad_state":
        return ": another removal was running on the host (one at a time)"
    if facts["reason"] == "unmovable" or "unmovable" in names:
        held = "memory the kernel took at boot" if start["reserved"] else "unmovable kernel memory"
        return f": {held} lies in {start['zone']}"
    if facts["causes"] and start["pinned_pages"]:
        many = len([c for c in facts["causes"] if c["pinned_pages"]])
        whose = "a workload has" if many == 1 else f"{many} workloads have"
        return f": {whose} {units.pages(start['pinned_pages'])} of it pinned"
    if facts["causes"]:
        return ": short references held pages of it"
    if "no_room" in names:
        return ": the other nodes had no room for its pages"
    if "hugetlb_reserved" in names:
        return ": free huge pages in it are reserved, so they cannot be dissolved"
    if "short_reference" in names:
        return ": I/O in flight held pages of it"
    return ""


def _withdrawn(found: Facts) -> str:
    """What the controller's ledger said."""
    committed, capacity, asked = (
        units.pages(found[key]) for key in ("committed_pages", "capacity_pages", "asked_pages")
    )
    if found["reason"] == "no_room":
        return (
            f"by the ledger no room, {committed} of {capacity} are promised to workloads"
            f" and {asked} would go"
        )
    if found["reason"] == "no_range":
        return "by the ledger no range of that size was left"
    return "no time was left before its deadline"


def timeline(facts: Facts) -> list[Moment]:
    """Return what happened, by time."""
    found = [*_causes_told(facts), *_asked(facts), *_attempts(facts), *_slowed(facts), *_end(facts)]
    return sorted(found, key=lambda item: item[0])


def _causes_told(facts: Facts) -> Iterator[Moment]:
    causes = [c for c in facts["causes"] if c["pinned_pages"]]
    for cause in causes[:SHOWN]:
        yield cause["placed_ns"], _cause_told(facts, cause)
    rest = causes[SHOWN:]
    if rest:
        pages = sum(c["pinned_pages"] for c in rest)
        first_ns = max(c["placed_ns"] for c in rest)
        many = f"{len(rest)} other workload{'s' if len(rest) > 1 else ''}"
        yield first_ns, f"by now {many} had {units.pages(pages)} of {blocks(facts)} pinned as well"
    for cause in facts["causes"]:
        if cause["held_pages"] and not cause["pinned_pages"]:
            held, until = units.pages(cause["held_pages"]), stamp(cause["held_until_ns"])
            name = f"workload {cause['workload']} ({cause['kind']})"
            text = f"{name} takes short references on {held} of {blocks(facts)}, until {until}"
            yield cause["held_since_ns"], text


def _cause_told(facts: Facts, cause: Facts) -> str:
    """One workload: what it faulted, by which path, into which zone, and its pin."""
    pins, here = cause["pins"], units.pages(cause["pinned_pages"])
    path = max(cause["paths"], key=lambda name: (cause["paths"][name], name))
    size = units.pages(pins["pinned_pages"]) if pins else here
    comes = "is there from the start" if not cause["placed_ns"] else "starts"
    name = f"workload {cause['workload']} ({cause['kind']}, {size}) {comes}"
    if cause["before"] >= cause["by_pin"]:
        how = f"its memory was touched ({path} faults) before the pin came"
    else:
        how = f"the pin itself faults its memory in ({path})"
    moved = f"; {units.pages(pins['migrated_pages'])} of it were moved first" if pins else ""
    moved = moved if pins and pins["migrated_pages"] else ""
    return f"{name}: {how}{moved}; {_lies(facts, cause)} and stay pinned ({cause['pinner']})"


def _lies(facts: Facts, cause: Facts) -> str:
    """Where the pages in the way were born, and how they came to the block."""
    here, zones = units.pages(cause["pinned_pages"]), " and ".join(cause["born"]) or "nowhere"
    gone = cause["pinned_pages"] - cause["stayed"]
    if not gone:
        return f"{here} of it fall into {blocks(facts)}, {zones},"
    if gone == cause["pinned_pages"]:
        return f"{here} of it, born in {zones}, were moved to {blocks(facts)} later"
    return f"{here} of it (born in {zones}, {units.pages(gone)} moved later) lie in {blocks(facts)}"


def _asked(facts: Facts) -> Iterator[Moment]:
    bound = units.time(facts["deadline_ns"] - facts["issued_ns"])
    yield facts["issued_ns"], f"{NOUN[facts['kind']]} {facts['request']} asks for {blocks(facts)}" \
        f" back within {bound}"  # fmt: skip


def _attempts(facts: Facts) -> Iterator[Moment]:
    """Each attempt: where it began, what its passes did."""
    made = facts["attempts_made"]
    for number, row in enumerate(made, 1):
        which = f"attempt {number} of {len(made)}" if len(made) > 1 else "the attempt"
        block = f" on {blocks(row)}" if facts["kind"] == "removal" else ""
        found = f": {_content(facts['at_start'])}" if row is made[-1] and facts["at_start"] else ""
        yield row["start_ns"], f"{which} begins{block}{found}"
        end_ns = row["end_ns"] if row["end_ns"] is not None else None
        if end_ns is not None:
            yield end_ns, f"it returns {_errno(row['errno'])} ({row['reason']}) after {_work(row)}"


def _content(start: Facts) -> str:
    if start["zone"] == "offline":
        return "all of it offline"
    used, pinned = units.pages(start["used_pages"]), units.pages(start["pinned_pages"])
    kernel = f", {units.pages(start['kernel_pages'])} kernel" if start["kernel_pages"] else ""
    held = f"{pinned} pinned" if start["pinned_pages"] else "nothing pinned"
    return f"{used} used, {held}{kernel} ({start['zone']})"


def _work(row: Facts) -> str:
    """What the passes of an attempt did."""
    passes = f"{row['passes']:,} pass{'es' if row['passes'] != 1 else ''}"
    moved = f"moved {units.pages(row['migrated_pages'])}" if row["migrated_pages"] else ""
    failed = f"failed {row['failed_pages']:,} page migrations" if row["failed_pages"] else ""
    did = " and ".join(part for part in (moved, failed) if part)
    return f"{passes} that {did}" if did else passes


def _slowed(facts: Facts) -> Iterator[Moment]:
    """Whose pages each attempt took away while it worked, and for how long."""
    for attempt in facts["attempts_made"]:
        rows = [s for s in facts["slowed"] if s["attempt"] == attempt["attempt"]]
        whose = [s for s in rows if s["workload"] is not None]
        if not whose:
            continue
        first, rest = whose[0], [*whose[1:], *(s for s in rows if s["workload"] is None)]
        text = f"while it worked, {_away(first)} of {units.time(first['worked_ns'])}"
        if first["unmaps"]:
            text += f", in {first['unmaps']:,} unmappings"
        if rest:
            away = sum(s["unavailable_ns"] + s["suspended_ns"] for s in rest)
            text += f"; those of {_others(whose[1:], rest)} for {units.time(away)}"
        yield first["time_ns"], text


def _away(slowed: Facts) -> str:
    """For how long pages of a workload, or all its mapping, could not be used."""
    name = f"workload {slowed['workload']}"
    if slowed["suspended_ns"]:
        both = slowed["suspended_ns"] + slowed["unavailable_ns"]
        return f"what {name} had pinned was taken away for {units.time(both)}"
    away = units.time(slowed["unavailable_ns"])
    return f"pages of {name} were unavailable, one at a time, for {away}"


def _others(workloads: list[Facts], rest: list[Facts]) -> str:
    """Who else: other workloads, the host itself."""
    many = len(workloads)
    named = f"{many} other workload{'s' if many > 1 else ''}" if many else ""
    host = "the host itself" if len(rest) > many else ""
    return " and ".join(part for part in (named, host) if part)


def _end(facts: Facts) -> Iterator[Moment]:
    """Deadline, watchdog, and what a loop would have become."""
    for item in facts["incidents"]:
        if item["kind"] == "reset":
            yield (
                item["time_ns"],
                f"the {item['mechanism']} resets the host, with all that ran on it",
            )
        else:
            ident = f"incident:{facts['arm']}/{facts['rep']}/{item['incident']}"
            yield item["time_ns"], f"the host panics ({item['mechanism']}); {ident} tells why"
    made = facts["attempts_made"]
    loop = "; the loop is endless: a pass changes nothing any more" if facts["endless"] else ""
    if facts["outcome"] == "stuck":
        yield facts["deadline_ns"], f"not back: {_work(made[-1])}{loop}" if made else "not back"
    elif facts["outcome"] == "withdrawn":
        yield facts["ended_ns"], f"the controller withdraws it: {_withdrawn(facts['withdrawal'])}"


def cells(arm: Facts) -> str:
    """Return in what the policies of two arms differ, as far as it matters here."""
    wanted = [c for c in arm["cells"] if c["cell"] in _TOLD]
    return "; ".join(f"{c['cell']} {c['there']} instead of {c['here']}" for c in wanted[:3])


_TOLD = ("FAULT_FLAG_THP", "PIN_MIGRATES", "PIN_DENIED", "OFFLINE_RULE", "OFFLINE_TARGET")


def other_arm(facts: Facts, arm: Facts) -> str:
    """Return what became of the same request under another arm, and why."""
    ended, made = _ended(arm), arm["attempts_made"]
    work = f" after {_work(made[-1])}" if made else ""
    same = arm["first_block"] == facts["first_block"]
    place = "" if same else f"{blocks(arm)[0].upper()}{blocks(arm)[1:]}: "
    held = (
        f" There {blocks(arm)} began with {_content(arm['at_start'])}." if arm["at_start"] else ""
    )
    return (
        f"{place}it {ended}{work}{_because({**arm, 'causes': []})}.{held}{_difference(facts, arm)}"
    )


def _difference(facts: Facts, arm: Facts) -> str:
    """Why it went differently: where the workloads in the way were, what their pins did."""
    start, pins = arm["at_start"], [w["pins"] for w in arm["workloads"] if w["pins"]]
    online = bool(start) and start["zone"] != "offline"
    if online and (facts["at_start"] or start)["movable"] and not start["movable"]:
        text = f" The block is not in ZONE_MOVABLE under this sizing ({start['zone']})."
    else:
        text = _pinned_there(pins) if pins else ""
    return text + _elsewhere(facts, arm)


def _pinned_there(pins: list[Facts]) -> str:
    """What the pins of the workloads in the way did under another arm."""
    movable, moved, faulted = (
        sum(pin[key] for pin in pins)
        for key in ("movable_pages", "migrated_pages", "faulted_pages")
    )
    many = "The workload in the way" if len(pins) == 1 else f"The {len(pins)} workloads in the way"
    if movable:
        return f" {many} pinned {units.pages(movable)} in ZONE_MOVABLE there, too."
    how = [f"{units.pages(moved)} moved out before the pin"] * bool(moved)
    how += [f"{units.pages(faulted)} faulted into kernel zones by the pin"] * bool(faulted)
    told = ", ".join(how) or "what is pinned lay in kernel zones already"
    return f" {many} pinned nothing in ZONE_MOVABLE: {told}."


def _elsewhere(facts: Facts, arm: Facts) -> str:
    """Which of the workloads in the way were not on the host."""
    away = [w for w in arm["workloads"] if w["host"] != facts["host"]]
    if not away:
        return ""
    if len(away) > 2:
        return f" {len(away)} of them were not on host {facts['host']}."
    told = [
        f"workload {w['workload']} "
        + ("was placed nowhere" if w["host"] is None else f"was on host {w['host']}")
        for w in away
    ]
    return f" There {' and '.join(told)}."


def change(facts: Facts, item: Facts) -> str:
    """Return a change that was tried, as something one could do."""
    about, size = item["about"], units.pages(item["pages"])
    whose = _whose(about.get("workloads", []))
    texts = {
        "release_pin": f"release the pin{_s(about)} of {whose} ({size} pinned in all)",
        "move_pages": f"have the pinned {size} of {whose} lie outside {blocks(facts)}",
        "release_reference": f"drop the short references of {whose} ({size})",
        "same_node": f"let it move pages within node {about.get('node')}",
        "room": f"make room on node {about.get('node')}: {whose} ({size}) gone",
        "shrink_pool": f"shrink the huge page pool of node {about.get('node')}"
        f" by {about.get('folios')} pages ({size})",
        "grow_pool": f"grow the huge page pool of node {about.get('node')}"
        f" by {about.get('folios')} pages ({size})",
        "wait": "interrupt the other removal first",
        "other_block": f"take {blocks({**facts, 'first_block': about.get('first_block')})} instead"
        f" ({size} used)",
    }
    return ", then ".join(texts[kind] for kind in item["kind"].split("+"))


def _whose(workloads: list[int]) -> str:
    shown = ", ".join(str(w) for w in workloads[:SHOWN])
    more = f" and {len(workloads) - SHOWN} more" if len(workloads) > SHOWN else ""
    return f"workload{'s' if len(workloads) != 1 else ''} {shown}{more}"


def _s(about: Facts) -> str:
    return "s" if len(about.get("workloads", [])) > 1 else ""


def result(facts: Facts, item: Facts) -> str:
    """Return how the attempt ended after a change."""
    ended = item["ended"]
    if item["returned"]:
        after = units.time(ended["end_ns"] - facts["attempts_made"][-1]["start_ns"])
        many = f"{ended['passes']:,} pass{'es' if ended['passes'] != 1 else ''}"
        return f"back after {after}, {many}"
    if ended["reason"] == "running":
        return f"still looping at the deadline, {ended['passes']:,} passes"
    return f"{ended['errno_name']} ({ended['reason']})"


def _errno(errno: int) -> str:
    from engine.enums import Errno

    return Errno(errno).name if errno else "0"
