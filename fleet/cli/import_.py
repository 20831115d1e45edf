"""``fleet import``: real inventories and traces to the documented columns."""

import sys
from typing import Annotated

import typer

app = typer.Typer(help="Turn real inventories and traces into fleet's own columns.")

Out = Annotated[
    str, typer.Option("--out", "-o", metavar="FILE", help="File to write, .parquet or .csv.")
]


@app.command()
def openb(
    nodes: Annotated[str, typer.Argument(metavar="NODES.csv", help="The openb node list.")],
    out: Out,
) -> None:
    """Import the hosts of alibaba/clusterdata, cluster-trace-gpu-v2023.

    Example: fleet import openb openb_node_list_all_node.csv -o hosts.parquet
    """
    from fleet.inputs.openb import read_openb
    from fleet.inputs.write import write_table

    columns = read_openb(nodes)
    write_table(columns, out)
    tib = sum(columns["memory_mib"]) / 2**20
    print(f"{out}: {len(columns['name'])} hosts, {tib:.1f} TiB", file=sys.stderr)


@app.command()
def azure2017(
    folder: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER",
            help="Folder with flav_map.txt, v1.interval_map.txt and one pair "
            "v1.SPLIT.txt, v1.SPLIT.cSECONDS.txt.",
        ),
    ],
    out: Out,
    seed: Annotated[int, typer.Option(help="Seed of the draws for censored lifetimes.")] = 1,
    core_hours: Annotated[
        int,
        typer.Option(
            min=0,
            help="Core hours of a VM in the mean. VMs that outlive all ends seen get lifetimes "
            "that lead to it; 0: none, they run on. 118 is the whole data set's.",
        ),
    ] = 118,
) -> None:
    """Import the VM arrivals of AzurePublicDataset V1 as processed for trace generation.

    Example: fleet import azure2017 azure-folder -o vms.parquet
    """
    from fleet.inputs.azure2017 import read_azure2017
    from fleet.inputs.write import write_table

    trace = read_azure2017(folder, seed, core_hours)
    write_table(trace.columns, out)
    for note in trace.notes:
        print(f"{out}: {note}", file=sys.stderr)
