"""Says what the workloads of a scenario come to in the long run (``simulate`` and ``check``)."""

from fleet.plan.steady import Steady
from fleet.scenario.units import MILLION


def steady_lines(steady: Steady, trace: bool) -> dict[str, str]:
    """Return label and text of each line.

    Parameters
    ----------
    steady : Steady
    trace : bool
        Whether arrivals come from a trace.
    """
    arrivals = f"{steady.arrivals_per_day:,} a day"
    if trace:
        arrivals += f", {steady.scale_millionths / MILLION:,.6g} copies of the trace"
    if not steady.arrivals_per_day:
        arrivals = "a trace of less than a day, played once"
    return {
        "commitment": f"{_percent(steady.commitment_millionths)} of RAM at time zero, "
        f"{_percent(steady.offered_millionths)} in the long run",
        "arrivals": arrivals,
        "CPUs": f"{steady.vcpus:,} vCPUs in the long run on {steady.fleet_cpus:,} CPUs "
        f"({steady.cpu_millionths / MILLION:.2f} to 1)",
    }


def _percent(millionths: int) -> str:
    return f"{millionths * 100 / MILLION:.1f} %"
