"""What a step did, in words and with round units."""

from collections.abc import Iterator

from fleet.lab.script.sight import Seen, Step

PAGES_PER_MIB, PAGES_PER_GIB = 256, 1 << 18
UNITS_NS = ((10**9, "s"), (10**6, "ms"), (10**3, "us"))


def amount(pages: int) -> str:
    """Pages as GiB or MiB where they are whole ones, else as a count."""
    if pages and pages % PAGES_PER_GIB == 0:
        return f"{pages // PAGES_PER_GIB:,} GiB"
    if pages and pages % PAGES_PER_MIB == 0:
        return f"{pages // PAGES_PER_MIB:,} MiB"
    return f"{pages:,} page{'' if pages == 1 else 's'}"


def duration(time_ns: int) -> str:
    """A time with three digits and a unit."""
    for factor, unit in UNITS_NS:
        if time_ns >= factor:
            value = time_ns / factor
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    return f"{time_ns} ns" if time_ns else "0"


def outcome(seen: Seen) -> str:
    """The word for how a step ended: ``ok``, an errno, how an offline returned, a death."""
    if "died" in seen:
        return str(seen["died"])
    errno = seen.get("result") or seen.get("pin_result") or seen.get("errno", "0")
    return "ok" if errno == "0" else str(errno)


def told(step: Step) -> str:
    """What a step did, in a few words."""
    parts = [*_faults(step), *_pin(step), *_offline(step), *_where(step)]
    return "; ".join(parts)


def _faults(step: Step) -> Iterator[str]:
    seen = step.seen
    if seen.get("faulted_pages"):
        yield f"{amount(seen['faulted_pages'])} faulted in"
    if seen.get("fallbacks"):
        yield f"{seen['fallbacks']:,} huge faults fell back to base pages"
    if seen.get("reclaimed_pages"):
        yield f"{amount(seen['reclaimed_pages'])} of page cache dropped"


def _pin(step: Step) -> Iterator[str]:
    seen = step.seen
    if seen.get("moved_for_pin_pages"):
        yield f"{amount(seen['moved_for_pin_pages'])} moved out of MOVABLE first"
    if seen.get("left_for_pin_pages"):
        yield f"{amount(seen['left_for_pin_pages'])} could not be moved"
    there, elsewhere = seen.get("pinned_movable_pages", 0), seen.get("pinned_elsewhere_pages", 0)
    if there:
        yield f"{amount(there)} pinned in MOVABLE"
    if elsewhere:
        yield f"{amount(elsewhere)} pinned outside MOVABLE"


def _offline(step: Step) -> Iterator[str]:
    """How each block went; several blocks are summed up."""
    seen = step.seen
    attempts = step.details.get("attempts", [])
    if len(attempts) > 1:
        went = sum(row["errno"] == "OK" for row in attempts)
        yield f"{went} of {len(attempts)} blocks went"
    elif "block" in seen:
        yield f"block b{seen['block']}"
    if seen.get("moved_pages"):
        targets = sorted({row["to"] for row in step.details.get("migrations", [])})
        to = f" to {', '.join(targets)}" if targets else ""
        yield f"{amount(seen['moved_pages'])} moved{to}"
    if seen.get("passes") and seen.get("result") != "ok":
        endless = ", would never end" if seen["endless"] else ""
        yield f"{seen['passes']:,} pass{'' if seen['passes'] == 1 else 'es'}{endless}"
    yield from _blockers(step)


def _blockers(step: Step) -> Iterator[str]:
    """Who keeps the block, by class and buffer."""
    pages: dict[tuple[str, str], int] = {}
    for row in step.details.get("blockers", []):
        key = row["class"], row["buffer"]
        pages[key] = pages.get(key, 0) + row["pages"]
    for (name, buffer), count in pages.items():
        of = f" of {buffer}" if buffer else ""
        yield f"kept by {amount(count)}{of} ({name.replace('_', ' ')})"


def _where(step: Step) -> Iterator[str]:
    """Where the buffer lies, unless the pin has said it."""
    seen = step.seen
    if "movable_pages" not in seen or "pin_result" in seen:
        return
    there, elsewhere = seen["movable_pages"], seen["elsewhere_pages"]
    parts = [f"{amount(there)} in MOVABLE"] if there else []
    parts += [f"{amount(elsewhere)} elsewhere"] if elsewhere else []
    parts += [f"{amount(seen['absent_pages'])} absent"] if seen.get("absent_pages") else []
    yield "lies: " + (", ".join(parts) or "nowhere")
