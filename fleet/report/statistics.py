"""The statistics that SQL has no functions for; every count comes from a shipped query."""

from math import fsum, sqrt
from typing import Any

CONFIDENCE = 0.95
Row = dict[str, Any]


def paired(row: Row) -> Row:
    """Complete a row of ``paired_probes`` with an interval and an exact test.

    Adds
    ----
    low, high : float or None
        95 % interval of the difference: Student's t with hosts - 1 degrees of freedom on the
        cluster-robust standard error; without any discordant probe +-3/pairs, the "rule of
        three" bound (Hanley and Lippman-Hand, JAMA 249 (1983)); None when all probes are on one
        host.
    p_value : float
        Exact two-sided McNemar test: binomial test of only_a against only_b with 1/2 (McNemar,
        Psychometrika 12 (1947)). It takes probes as independent.
    """
    from scipy.stats import binomtest, t

    discordant = row["only_a"] + row["only_b"]
    low = high = None
    if discordant == 0:
        low, high = -min(3 / row["pairs"], 1.0), min(3 / row["pairs"], 1.0)
    elif row["std_error"] is not None:
        half = float(t.ppf((1 + CONFIDENCE) / 2, row["hosts"] - 1)) * row["std_error"]
        low, high = max(row["difference"] - half, -1.0), min(row["difference"] + half, 1.0)
    p_value = float(binomtest(row["only_a"], discordant).pvalue) if discordant else 1.0
    return {**row, "low": low, "high": high, "p_value": p_value}


def removals(arms: list[str], rates: list[Row], by_replication: list[Row]) -> list[Row]:
    """Compare arms on real removals.

    Parameters
    ----------
    arms : list of str
        In the order of the scenario.
    rates, by_replication : list of dict
        Rows of ``hang_rate`` and of ``hang_rate_by_replication`` for removals.

    Returns
    -------
    list of dict
        Per pair of arms with requests:
        ``replications, mean, mean_low, mean_high``: mean over the replications of rate b - rate a,
        Student's t interval (None below two replications, or when they all agree: then nothing is
        known about their scatter);
        ``difference, low, high``: of all requests together, Newcombe's interval, which takes
        requests as independent (method 10 of Newcombe, Statistics in Medicine 17 (1998)).
    """
    whole = {row["arm"]: row for row in rates if row["requests"]}
    rate = {(row["arm"], row["rep"]): row["hang_rate"] for row in by_replication}
    reps = sorted({row["rep"] for row in by_replication})
    out = []
    for i, a in enumerate(arms):
        for b in arms[i + 1 :]:
            if a in whole and b in whole:
                pairs = [(rate.get((a, rep)), rate.get((b, rep))) for rep in reps]
                both = [y - x for x, y in pairs if x is not None and y is not None]
                named = {"arm_a": a, "arm_b": b, "replications": len(both)}
                out.append({**named, **_mean(both), **_newcombe(whole[a], whole[b])})
    return out


def _mean(values: list[float]) -> Row:
    from scipy.stats import t

    n = len(values)
    mean = fsum(values) / n if n else None
    unknown = {"mean": mean, "mean_low": None, "mean_high": None}
    if mean is None or n < 2:
        return unknown
    deviation = sqrt(fsum((value - mean) ** 2 for value in values) / (n - 1))
    if deviation == 0:
        return unknown
    half = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * deviation / sqrt(n)
    return {"mean": mean, "mean_low": max(mean - half, -1.0), "mean_high": min(mean + half, 1.0)}


def _newcombe(a: Row, b: Row) -> Row:
    """Combine the Wilson intervals of two rates into one of their difference."""
    difference = b["hang_rate"] - a["hang_rate"]
    below = sqrt((b["hang_rate"] - b["low"]) ** 2 + (a["high"] - a["hang_rate"]) ** 2)
    above = sqrt((b["high"] - b["hang_rate"]) ** 2 + (a["hang_rate"] - a["low"]) ** 2)
    return {"difference": difference, "low": difference - below, "high": difference + above}
