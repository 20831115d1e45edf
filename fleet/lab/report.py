"""What a validation found, as JSON and as text."""

from collections.abc import Callable, Sequence
from typing import Any

from fleet.lab import null
from fleet.lab.chance import Chance
from fleet.lab.known import entry_for
from fleet.lab.replay import Disagreement, Outcome
from fleet.lab.validate import Summary, agreement


def unlisted(summary: Summary) -> list[tuple[Outcome, Disagreement]]:
    """Disagreements that no entry of the list of known ones describes."""
    return [
        (outcome, found)
        for outcome in summary.outcomes
        if not outcome.agrees
        for found in outcome.disagreements
        if entry_for(outcome, found) is None
    ]


def as_json(summary: Summary) -> dict[str, Any]:
    """The documented JSON shape (docs/fidelity.md)."""
    classes = summary.by_class()
    return {
        "agreement": {
            "overall": agreement(summary.outcomes),
            "classes": {name: agreement(found) for name, found in classes.items()},
            "kernels": {
                kernel: {n: agreement(found) for n, found in summary.by_class(kernel).items()}
                for kernel in summary.kernels()
            },
        },
        "null_model": {name: _null_share(found) for name, found in classes.items()},
        "cases": {
            "replayed": len(summary.outcomes),
            "agreed": sum(o.agrees for o in summary.outcomes),
            "classes": {name: len(found) for name, found in classes.items()},
        },
        "start_cpus": [
            {"where": o.case.where, "case": o.case.label, "cpu": o.chance.start_cpu}
            for o in summary.outcomes
            if o.agrees and o.chance.start_cpu
        ],
        "threads": [
            {
                "where": o.case.where,
                "case": o.case.label,
                "second_begins": o.chance.second_begins,
                "missed_turns": o.chance.missed_turns,
            }
            for o in _by_threads(summary)
        ],
        "ticks": [
            {"where": o.case.where, "case": o.case.label, "eighths": o.chance.tick}
            for o in _by_ticks(summary)
        ],
        "stray_pages": [_stray(outcome) for outcome in summary.outcomes if outcome.strays],
        "disagreements": [
            _row(outcome, found)
            for outcome in summary.outcomes
            if not outcome.agrees
            for found in outcome.disagreements
        ],
        "errors": [
            {"where": e.where, "field": e.field, "reason": e.reason} for e in summary.errors
        ],
    }


def _row(outcome: Outcome, found: Disagreement) -> dict[str, Any]:
    """One disagreement of the JSON shape."""
    entry = entry_for(outcome, found)
    return {
        "where": outcome.case.where,
        "case": outcome.case.label,
        "class": outcome.kind,
        "operation": found.operation,
        "text": found.text,
        "field": found.mismatch.field,
        "recorded": found.mismatch.recorded,
        "simulated": found.mismatch.simulated,
        "known": None if entry is None else entry.name,
    }


def _stray(outcome: Outcome) -> dict[str, Any]:
    """One case with offlines whose result turns on stray kernel pages."""
    return {
        "where": outcome.case.where,
        "case": outcome.case.label,
        "offlines": [
            {"operation": s.operation, "text": s.text, "recorded": list(s.results)}
            for s in outcome.strays
        ],
    }


def as_text(summary: Summary) -> str:
    """Agreement per class and kernel, then every disagreement and every error."""
    kernels = summary.kernels()
    rows = [("class", "all", "null model", *kernels)]
    for name, outcomes in summary.by_class().items():
        each = [_share(summary.by_class(kernel).get(name, [])) for kernel in kernels]
        rows.append((name, _share(outcomes), _null(outcomes), *each))
    rows.append(("overall", _share(summary.outcomes), _null(summary.outcomes)))
    lines = ["  ".join(f"{word:<16}" for word in row).rstrip() for row in rows]
    lines += _stray_lines(summary) + _start_lines(summary)
    lines += _thread_lines(summary) + _tick_lines(summary)
    for outcome in summary.outcomes:
        if not outcome.agrees:
            lines += ["", f"{outcome.case.where} {outcome.case.label} ({outcome.kind})"]
            lines += [_told(outcome, found) for found in outcome.disagreements]
    if summary.errors:
        lines += ["", f"not replayed: {len(summary.errors)}"]
        lines += [f"  {error}" for error in summary.errors]
    return "\n".join(lines)


def _told(outcome: Outcome, found: Disagreement) -> str:
    """One disagreement in a line."""
    entry, m = entry_for(outcome, found), found.mismatch
    known = "" if entry is None else f" (known: {entry.name})"
    return (
        f"  ops[{found.operation}] {found.text}: {m.field}: "
        f"recorded {m.recorded}, simulated {m.simulated}{known}"
    )


def _stray_lines(summary: Summary) -> list[str]:
    """Say which offlines accept any of the results of their repeats."""
    lines = [
        f"  {o.case.where} {o.case.label} ops[{s.operation}] {s.text}: {' or '.join(s.results)}"
        for o in summary.outcomes
        for s in o.strays
    ]
    head = "turns on stray kernel pages, any recorded result of the offline is accepted:"
    return ["", head, *lines] if lines else []


def _start_lines(summary: Summary) -> list[str]:
    """Say which cases agree only from another CPU than the first, where chance chose it."""
    head = "the driver started on a CPU that chance chose, agrees from:"
    others = [o for o in summary.outcomes if o.agrees and o.chance.start_cpu]
    return _chance_lines(head, others, lambda chance: f"CPU {chance.start_cpu}")


def _thread_lines(summary: Summary) -> list[str]:
    """Say which cases agree only with another order of their threads than the first."""
    head = "chance chose how two threads took turns, agrees where:"
    return _chance_lines(head, _by_threads(summary), Chance.threads)


def _tick_lines(summary: Summary) -> list[str]:
    """Say which cases agree only where the tick came at another time than the first tried."""
    head = "chance chose when kswapd had its turns, agrees where:"
    return _chance_lines(
        head, _by_ticks(summary), lambda chance: f"{chance.tick} eighths of a turn had passed"
    )


def _chance_lines(
    head: str, outcomes: Sequence[Outcome], way: Callable[[Chance], str]
) -> list[str]:
    """Cases and the ways that chance went in them, under a head; nothing without any."""
    lines = [f"  {o.case.where} {o.case.label}: {way(o.chance)}" for o in outcomes]
    return ["", head, *lines] if lines else []


def _by_ticks(summary: Summary) -> list[Outcome]:
    """Cases that agree, but not with the first time of the tick."""
    return [o for o in summary.outcomes if o.agrees and o.chance.tick]


def _by_threads(summary: Summary) -> list[Outcome]:
    """Cases that agree, but not with the first order of their threads."""
    return [
        o
        for o in summary.outcomes
        if o.agrees and (o.chance.second_begins or o.chance.missed_turns)
    ]


def _share(outcomes: Sequence[Outcome]) -> str:
    """``7/8 88%``, or a dash."""
    return _parts(sum(o.agrees for o in outcomes), len(outcomes))


def _null(outcomes: Sequence[Outcome]) -> str:
    """The same for the null model; a dash where it has nothing to say."""
    return _parts(*null.score(o.case for o in outcomes))


def _null_share(outcomes: Sequence[Outcome]) -> float | None:
    """The null model's share; None where it has nothing to say."""
    right, asked = null.score(o.case for o in outcomes)
    return right / asked if asked else None


def _parts(agreed: int, of: int) -> str:
    return f"{agreed}/{of} {100 * agreed // of}%" if of else "-"
