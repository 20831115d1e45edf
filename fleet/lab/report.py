"""Whole files: select, replay, and sum up agreement per class."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from fleet.lab.lines import Case, CaseError, read
from fleet.lab.machine import EngineFactory, Ints
from fleet.lab.replay import Outcome, replay

TableOf = Callable[[str], Ints | None]
"""Kernel version of a case to the decision table it runs under; None: no profile yet."""


@dataclass(slots=True)
class Summary:
    """What replaying some files gave.

    Attributes
    ----------
    outcomes : list of Outcome
        Cases that were replayed, in file order.
    errors : list of CaseError
        Lines that could not be replayed (kernel without a profile, unknown or unsupported
        operation, unknown guest): one each, never left out.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    errors: list[CaseError] = field(default_factory=list)

    def by_class(self, kernel: str | None = None) -> dict[str, list[Outcome]]:
        """Outcomes per class, sorted by class, of one kernel or all."""
        out: dict[str, list[Outcome]] = {}
        for outcome in self.outcomes:
            if kernel in (None, outcome.case.kernel):
                out.setdefault(outcome.kind, []).append(outcome)
        return dict(sorted(out.items()))

    def kernels(self) -> list[str]:
        """Kernels that were replayed, oldest first."""
        found = {o.case.kernel for o in self.outcomes}
        return sorted(found, key=lambda k: [int(x) if x.isdigit() else 0 for x in k.split(".")])


def agreement(outcomes: Sequence[Outcome]) -> float:
    """Share of cases that agree (1.0 when there are none)."""
    return sum(o.agrees for o in outcomes) / len(outcomes) if outcomes else 1.0


def validate(
    files: Iterable[Path],
    factory: EngineFactory,
    table_of: TableOf,
    kernels: Sequence[str] = (),
    names: Sequence[str] = (),
    progress: Callable[[Outcome | CaseError], None] = lambda _: None,
) -> Summary:
    """Replay the selected cases of some files.

    Parameters
    ----------
    kernels, names : sequences of str
        Only cases of these kernels, and whose id matches one of these patterns (all when empty).
        The selection is all that ids are used for.

    Raises
    ------
    CaseError
        A file cannot be read or a line is malformed.
    """
    summary = Summary()
    for path in files:
        for item in list(read(path)):
            result = _one(item, factory, table_of, kernels, names)
            if isinstance(result, Outcome):
                summary.outcomes.append(result)
            elif result is not None:
                summary.errors.append(result)
            if result is not None:
                progress(result)
    return summary


def _one(
    item: Case | CaseError,
    factory: EngineFactory,
    table_of: TableOf,
    kernels: Sequence[str],
    names: Sequence[str],
) -> Outcome | CaseError | None:
    """Replay one case; its error when it cannot be, None when it is not selected."""
    if kernels and item.kernel not in kernels:
        return None
    if names and not any(fnmatchcase(item.name, pattern) for pattern in names):
        return None
    if isinstance(item, CaseError):
        return item
    table = table_of(item.kernel)
    if table is None:
        return CaseError(item.where, "kernel", f"no profile for kernel {item.kernel!r} yet")
    try:
        return replay(item, factory, table)
    except CaseError as error:
        return error


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
        "cases": {
            "replayed": len(summary.outcomes),
            "agreed": sum(o.agrees for o in summary.outcomes),
            "classes": {name: len(found) for name, found in classes.items()},
        },
        "disagreements": [
            {
                "where": outcome.case.where,
                "case": outcome.case.label,
                "class": outcome.kind,
                "operation": d.operation,
                "text": d.text,
                "field": d.mismatch.field,
                "recorded": d.mismatch.recorded,
                "simulated": d.mismatch.simulated,
            }
            for outcome in summary.outcomes
            for d in outcome.disagreements
        ],
        "errors": [
            {"where": e.where, "field": e.field, "reason": e.reason} for e in summary.errors
        ],
    }


def as_text(summary: Summary) -> str:
    """Agreement per class and kernel, then every disagreement and every error."""
    kernels = summary.kernels()
    lines = ["  ".join(f"{word:<14}" for word in ("class", "all", *kernels)).rstrip()]
    for name, outcomes in summary.by_class().items():
        cells = [_share(outcomes)]
        cells += [_share(summary.by_class(kernel).get(name, [])) for kernel in kernels]
        lines.append("  ".join(f"{word:<14}" for word in (name, *cells)).rstrip())
    lines.append("  ".join(f"{w:<14}" for w in ("overall", _share(summary.outcomes))).rstrip())
    for outcome in summary.outcomes:
        if outcome.agrees:
            continue
        lines += ["", f"{outcome.case.where} {outcome.case.label} ({outcome.kind})"]
        for d in outcome.disagreements:
            m = d.mismatch
            lines.append(
                f"  ops[{d.operation}] {d.text}: {m.field}: "
                f"recorded {m.recorded}, simulated {m.simulated}"
            )
    if summary.errors:
        lines += ["", f"not replayed: {len(summary.errors)}"]
        lines += [f"  {error}" for error in summary.errors]
    return "\n".join(lines)


def _share(outcomes: Sequence[Outcome]) -> str:
    """``7/8 88 %``, or a dash."""
    if not outcomes:
        return "-"
    agreed = sum(o.agrees for o in outcomes)
    return f"{agreed}/{len(outcomes)} {100 * agreed // len(outcomes)}%"
