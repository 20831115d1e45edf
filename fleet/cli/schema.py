"""``fleet schema``: tables, columns and units."""

from typing import Annotated

import typer


def run(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="Run (default: the tables of this version)."),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
) -> None:
    """Describe the tables of the event log; with a run, also how many rows it has.

    Example: fleet schema --format csv
    """
    import pyarrow as pa

    from fleet.log.find import find_run
    from fleet.log.tables import PARTITIONS, TABLES
    from fleet.report.opening import as_input_errors, open_catalog, output_format
    from fleet.report.show import show

    shown = output_format(form)
    heads = ("table", "column", "type", "unit", "nulls", "description")
    lines = [
        (table.name, c.name, c.type, c.unit, c.nullable, c.description)
        for table in TABLES.values()
        for c in table.columns
    ]
    lines += [("(every table)", name, kind, "", False, text) for name, kind, text in PARTITIONS]
    result = pa.table({head: [line[i] for line in lines] for i, head in enumerate(heads)})
    if name is not None:
        with as_input_errors():
            catalog = open_catalog([find_run(name)], partial=True)
            rows = {t: catalog.query(f"SELECT count(*) AS n FROM {t}")["n"][0].as_py()
                    for t in catalog.columns}  # fmt: skip
        counts = [rows.get(line[0]) for line in lines]
        result = result.add_column(1, "rows", pa.array(counts, pa.int64()))
    show(result, shown)
