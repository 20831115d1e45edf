"""The one sentence a report starts with: which arm hangs least, how sure, at what price."""

from typing import Any

from fleet.report import units
from fleet.report.figures import Figures, collect
from queries.catalog import Catalog

NOUNS = {"probe": ("probe", "probes"), "removal": ("removal", "removals")}
ALONE = ("hang_rate", "comparisons")
AMONG_OTHERS = (*ALONE, "outcomes", "migration_cost", "guardrails", "workload_impact")
"""Figures that the sentence on one arm, or on several, is made of."""
Row = dict[str, Any]


def ask_verdict(catalog: Catalog) -> str:
    """Return the verdict on runs; InputError as ``figures.collect``."""
    return verdict(collect(catalog, AMONG_OTHERS if len(catalog.arms) > 1 else ALONE))


def verdict(figures: Figures) -> str:
    """Return the verdict.

    Probes decide when there are any (they are paired), removals otherwise. An arm is called
    better than the baseline only when the comparison of their hang rates says so.
    """
    if not figures["kinds"]:
        return "Nothing was asked of the hosts: the run has neither probes nor removals."
    kind = figures["kinds"][0]
    rates = _rates(figures, kind)
    base = rates[figures["baseline"]]
    if len(rates) == 1:
        return f"{base['arm']}: {_hung(base, kind)} hung ({_sure(base)})."
    if not any(row["hung"] for row in rates.values()):
        n = min(row["requests"] for row in rates.values())
        bound = units.percent(min(3 / n, 1.0)) if n else "100 %"
        return f"No {NOUNS[kind][0]} hung under any arm: each rate is below {bound}."
    changes = {arm: _change(figures, kind, arm) for arm in rates}
    better = [row for row in rates.values() if _is_better(changes[row["arm"]])]
    if better:
        best = _best(figures, kind, better)
        return _winner(figures, kind, base, best, changes[best["arm"]] or {})
    best = _best(figures, kind, [row for row in rates.values() if row["requests"]])
    return _no_winner(base, best, changes[best["arm"]], kind)


def _rates(figures: Figures, kind: str) -> dict[str, Row]:
    """Return hang rates of the arms that are judged: of fresh and aged runs, those of the first."""
    rates = {row["arm"]: row for row in figures["hang_rate"][kind]}
    rows, base = figures["comparisons"], figures["baseline"]
    if all(row["arm_a"] == base for row in rows):
        return rates
    judged = {base, *(row["arm_b"] for row in rows if row["arm_a"] == base)}
    return {arm: row for arm, row in rates.items() if arm in judged}


def _is_better(change: Row | None) -> bool:
    return change is not None and change["verdict"] == "better"


def _best(figures: Figures, kind: str, rows: list[Row]) -> Row:
    """Lowest hang rate; among equals that remove as much, the least harm, then the fewest bytes.

    As much: at least 95 % of the most. Harm is what users lose: panics, killed processes, failed
    pins.
    """
    guard = {row["arm"]: row for row in figures["guardrails"]}
    harm = {a: g["panics"] + g["oom_kills"] + g["pin_failures"] for a, g in guard.items()}
    done = {row["arm"]: row["offlined"] for row in figures["outcomes"][kind]}
    moved = {row["arm"]: row["total_bytes"] for row in figures["migration_cost"][kind]}

    lowest = min(row["hang_rate"] for row in rows)
    equals = [row["arm"] for row in rows if row["hang_rate"] == lowest]
    enough = max(done[arm] for arm in equals) * 95 // 100

    def order(row: Row) -> tuple[float, bool, int, int, int]:
        arm = row["arm"]
        return row["hang_rate"], done[arm] < enough, harm[arm], -done[arm], moved[arm]

    return min(rows, key=order)


def _change(figures: Figures, kind: str, arm: str) -> Row | None:
    """Return the comparison of the arm's hang rate with the baseline's."""
    for row in figures["comparisons"]:
        if row["metric"] == "hang_rate" and (row["kind"], row["arm_b"]) == (kind, arm):
            return dict(row)
    return None


def _no_winner(base: Row, best: Row, change: Row | None, kind: str) -> str:
    if best is base or change is None:
        return f"No arm hangs less than {base['arm']}: {_hung(base, kind)} ({_sure(base)})."
    against = f"{_hung(best, kind)} against {base['hung']:,} under {base['arm']}"
    if change["low"] is None:
        return f"Not decided: {best['arm']} has fewest, {against}, but {change['note']}."
    told = units.interval(change["low"], change["high"], signed=True)
    if change["verdict"] == "equivalent":
        margin = units.points(change["margin"]).lstrip("+")
        return (
            f"No difference that matters: {best['arm']} has fewest, {against}, 95 % interval "
            f"{told} points, margin {margin}."
        )
    few = f"which rests on {change['rests_on']:,} {change['rests_on_what']}"
    notes = [few if change["cautious"] else None, change["note"], change.get("ages")]
    note = "".join(f", {text}" for text in notes if text)
    return f"Not decided: {best['arm']} has fewest, {against}, 95 % interval {told} points{note}."


def _winner(figures: Figures, kind: str, base: Row, best: Row, change: Row) -> str:
    told = units.interval(change["low"], change["high"], signed=True)
    done = {row["arm"]: row["offlined"] for row in figures["outcomes"][kind]}
    lowest = min(row["hang_rate"] for row in _rates(figures, kind).values())
    word = "least" if best["hang_rate"] == lowest else "less often"
    head = (
        f"{best['arm']} hangs {word}: {_hung(best, kind)} ({_sure(best)}) against "
        f"{base['hung']:,} ({units.percent(base['hang_rate'])}) under {base['arm']}, "
        f"{units.points(change['difference'])} points (95 % {told}); "
        f"{done[best['arm']]:,} went offline instead of {done[base['arm']]:,}"
    )
    return f"{head}; price: {_price(figures, kind, base['arm'], best['arm'])}.{_survival(change)}"


def _survival(change: Row) -> str:
    """Say whether the verdict outlives another age of the hosts, when both were run."""
    if change.get("survives") is None:
        return ""
    head = "Both ages of the hosts agree" if change["survives"] else "It turns on the hosts' age"
    return f" {head}: {change['ages']}."


def _price(figures: Figures, kind: str, base: str, best: str) -> str:
    """Say what ``best`` costs more (or less) than ``base``."""
    cost = {row["arm"]: row for row in figures["migration_cost"][kind]}
    guard = {row["arm"]: row for row in figures["guardrails"]}
    moved = cost[best]["pin_bytes"] - cost[base]["pin_bytes"]
    parts = [f"{units.size(abs(moved))} {'more' if moved > 0 else 'less'} migrated at pin"]
    if not moved:
        parts = ["nothing more migrated at pin"]
    for key, one, many in (
        ("pin_failures", "failed pin", "failed pins"),
        ("oom_kills", "OOM kill", "OOM kills"),
        ("panics", "panic", "panics"),
    ):
        extra = guard[best][key] - guard[base][key]
        if extra:
            noun = one if abs(extra) == 1 else many
            parts.append(f"{abs(extra):,} {'more' if extra > 0 else 'fewer'} {noun}")
    lost = {row["arm"]: row["flow_seconds_lost"] for row in figures["workload_impact"]}
    if lost[best] != lost[base]:
        word = "more" if lost[best] > lost[base] else "fewer"
        parts.append(f"{units.digits(abs(lost[best] - lost[base]))} {word} flow-seconds lost")
    return ", ".join(parts)


def _hung(row: Row, kind: str) -> str:
    return f"{row['hung']:,} of {row['requests']:,} {NOUNS[kind][row['requests'] != 1]}"


def _sure(row: Row) -> str:
    """Return the hang rate with its interval; zero of n as the bound 3/n."""
    if not row["requests"]:
        return "no requests"
    if row["hung"] == 0:
        return f"below {units.percent(min(3 / row['requests'], 1.0))}"
    told = units.interval(row["low"], row["high"])
    return f"{units.percent(row['hang_rate'])}, 95 % {told}"
