"""Made-up comparisons of the example's arms, one of every kind, as a report has them."""

from pathlib import Path
from typing import Any

from tests.log.example import ARMS, make_units, write_run

Row = dict[str, Any]
COMMON: Row = {
    "role": "guardrail", "unit": "share", "kind": None, "estimand": "workload", "arm_a": ARMS[0],
    "relative": None, "method": "Student's t", "n": 12, "n_unit": "replications",
    "more_is_better": False, "p_value": None, "p_holm": None, "discordant": None, "note": None,
    "query": "guardrails", "rests_on": None, "rests_on_what": None, "cautious": False,
}  # fmt: skip


def comparisons() -> list[Row]:
    """Return rows with every verdict, with and without an interval, of every unit."""
    hung = {"metric": "hang_rate", "label": "probes that hung", "role": "primary", "kind": "probe",
            "estimand": "probe", "a": 0.2, "margin": 0.01, "method": "Tango's score",
            "n_unit": "hosts", "query": "hang_rate"}  # fmt: skip
    return [
        _row(ARMS[1], b=0.05, low=-0.21, high=-0.09, verdict="better", p_value=0.0001,
             p_holm=0.0002, discordant={"only_a": 9, "only_b": 0}, **hung),
        _row(ARMS[2], b=0.19, low=-0.05, high=0.03, verdict="undecided", p_value=0.6, p_holm=1.0,
             discordant={"only_a": 3, "only_b": 2}, cautious=True, rests_on=5,
             rests_on_what="requests that hung under one arm alone", **hung),
        *_both("pin_bytes", "moved at pin", "bytes", 0.0, 2**34, 2**33, role="primary",
               cautious=True, rests_on=1.25, rests_on_what="whole moves more or less"),
        *_both("unavailable", "unavailable, probes", "page-ns", 5e9, 7e9, 1e9),
        *_both("pin_latency", "pin latency, 99 %", "ns", 5e8, 7e8, 2e7),
        *_both("headroom", "kernel head-room, least", "pages", 10**6, 2 * 10**5, 10**5),
        *_both("flow_seconds", "flow-seconds lost", "flow-s", 12.0, 500.25, 30.0),
        *_both("oom_kills", "OOM kills", "share", 0.0, 0.1, 0.01),
    ]  # fmt: skip


def _both(metric: str, label: str, unit: str, a: float, b: float, half: float,
          **more: Any) -> list[Row]:  # fmt: skip
    """Return a line in which one arm is worse and the other has no interval."""
    named = {"metric": metric, "label": label, "unit": unit, "a": a, "margin": half / 2, **more}
    return [
        _row(ARMS[1], b=b, low=b - a - half, high=b - a + half, verdict="worse", **named),
        _row(ARMS[2], b=a, low=None, high=None, verdict="undecided",
             note="one replication: there is no interval", **{**named, "cautious": False}),
    ]  # fmt: skip


def _row(arm_b: str, **values: Any) -> Row:
    return {**COMMON, "arm_b": arm_b, "difference": values["b"] - values["a"], **values}


def twin_runs(root: Path) -> list[Path]:
    """Write a run of fresh hosts and one of aged ones, in which only the first arm hangs."""
    aged = make_units()
    for (arm, _), unit in aged.items():
        for row in unit["requests"]:
            row["outcome"], row["reset"] = ("stuck" if arm == ARMS[0] else "offlined"), False
            row["ended_ns"] = None if arm == ARMS[0] else row["issued_ns"] + 10**9
    folders = [write_run(root), write_run(root, aged, name="aged")]
    text = "arms: [some]\nname: example\n"
    (folders[0] / "scenario.resolved.yaml").write_text(text)
    (folders[1] / "scenario.resolved.yaml").write_text(f"{text}age: {{history: deep}}\n")
    return folders
