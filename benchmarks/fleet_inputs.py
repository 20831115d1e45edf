"""A generated inventory and trace, for those who have no real ones.

Only roughly like the real inputs (hosts of 256 to 1,024 GiB, most VMs small and short-lived): it
shows that the harness runs and how time grows, not what the real fleet costs.
"""

from pathlib import Path

import numpy as np

from fleet.inputs.write import write_table
from fleet.plan.draws import below, exponential, pick_weighted

HOST_GIB, HOST_WEIGHTS = (256, 384, 512, 768, 1024), (30, 40, 15, 10, 5)
VM_MIB, VM_WEIGHTS = (768, 1792, 3584, 7168, 14336, 28672, 57344), (20, 35, 25, 10, 5, 3, 2)
DAYS = 3
MEAN_LIFETIME_S = 5 * 3600
VMS_PER_DAY = 8_000
HOST, SIZE, TIME, LIFE = range(4)
KEY = 6


def generate(folder: Path, hosts: int) -> tuple[Path, Path]:
    """Write an inventory of this many hosts and a trace; return both files."""
    inventory, trace = folder / "hosts.parquet", folder / "vms.parquet"
    number = np.arange(hosts)
    memory = np.array(HOST_GIB)[pick_weighted(HOST_WEIGHTS, KEY, HOST, number)]
    write_table(
        {
            "name": [f"host-{n:05}" for n in number.tolist()],
            "class": ["generated"] * hosts,
            "memory_mib": (memory * 1024).tolist(),
            "cpus": (memory // 8).tolist(),
        },
        str(inventory),
    )
    vm = np.arange(DAYS * VMS_PER_DAY)
    arrival = np.sort(below(DAYS * 86_400, KEY, TIME, vm))
    mib = np.array(VM_MIB)[pick_weighted(VM_WEIGHTS, KEY, SIZE, vm)]
    write_table(
        {
            "arrival_s": arrival.tolist(),
            "lifetime_s": exponential(MEAN_LIFETIME_S, KEY, LIFE, vm).tolist(),
            "memory_mib": mib.tolist(),
            "vcpus": np.maximum(mib // 3584, 1).tolist(),
        },
        str(trace),
    )
    return inventory, trace
