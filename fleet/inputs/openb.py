"""Importer of the openb node list (alibaba/clusterdata, cluster-trace-gpu-v2023).

Columns ``sn,cpu_milli,memory_mib,gpu,model`` (Weng et al., "Beware of Fragmentation", USENIX ATC
2023). A GPU model becomes the host's class; hosts without one are class ``cpu``.
"""

from typing import Any

from fleet.inputs.columns import read_columns
from fleet.inputs.numbers import Spec

COLUMNS = (
    Spec("sn", "text", "Name.", required=True),
    Spec("cpu_milli", "CPU/1000", "CPUs.", required=True, low=1000, high=4_096_000),
    Spec("memory_mib", "MiB", "RAM.", required=True, low=512, high=2**26),
    Spec("model", "text", "GPU model."),
)


def read_openb(file: str) -> dict[str, list[Any]]:
    """Return the inventory's columns (``fleet.inputs.inventory.COLUMNS``) of a node list.

    Raises
    ------
    InputError
        If the file is not an openb node list.
    """
    table = read_columns(file, COLUMNS)
    models = table.texts.get("model", ("",) * table.rows)
    return {
        "name": list(table.texts["sn"]),
        "class": [model or "cpu" for model in models],
        "memory_mib": table.numbers["memory_mib"].tolist(),
        "cpus": (table.numbers["cpu_milli"] // 1000).tolist(),
    }
