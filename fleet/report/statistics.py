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


def by_replication(arms: list[str], rows: list[Row]) -> list[Row]:
    """Compare arms replication by replication from rows of ``hang_rate_by_replication``.

    Returns
    -------
    list of dict
        Per pair of arms: ``arm_a, arm_b, replications, difference, low, high``: mean over the
        replications of rate b - rate a, with Student's t interval (None below two replications).
        Replications without a request in either arm are left out.
    """
    rate = {(row["arm"], row["rep"]): row["hang_rate"] for row in rows}
    reps = sorted({row["rep"] for row in rows})
    out = []
    for i, a in enumerate(arms):
        for b in arms[i + 1 :]:
            pairs = [(rate.get((a, rep)), rate.get((b, rep))) for rep in reps]
            both = [y - x for x, y in pairs if x is not None and y is not None]
            if both:
                out.append({"arm_a": a, "arm_b": b, "replications": len(both), **_mean(both)})
    return out


def _mean(values: list[float]) -> Row:
    from scipy.stats import t

    n = len(values)
    mean = fsum(values) / n
    if n < 2:
        return {"difference": mean, "low": None, "high": None}
    deviation = sqrt(fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * deviation / sqrt(n)
    return {"difference": mean, "low": max(mean - half, -1.0), "high": min(mean + half, 1.0)}
