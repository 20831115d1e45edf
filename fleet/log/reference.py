"""Writes docs/events.md: ``python -m fleet.log.reference DOCS_FOLDER``."""

import sys
from pathlib import Path

from fleet.log.tables import PARTITIONS, SCHEMA_VERSION, TABLES, Column, LogTable

_GENERATED = "<!-- written by `python -m fleet.log.reference docs`; do not edit -->"


def events_markdown() -> str:
    """Return the reference of all tables."""
    intro = (
        f"Schema version {SCHEMA_VERSION}. Arrow IPC files (zstd) under"
        " `events/<table>/arm=<arm>/rep=<rep>/shard=<shard>/part-<n>.arrow`, opened by"
        " `fleet sql` and `fleet query`. Times are integer nanoseconds from the start of the run,"
        " sizes are pages of 4 KiB; floats are made in SQL. Ids are unique within (arm, rep)."
    )
    partitions = "\n".join(f"| `{name}` | {kind} | {text} |" for name, kind, text in PARTITIONS)
    parts = ["# Event log", _GENERATED, intro]
    parts += ["Every table has these columns, taken from the path:"]
    parts += ["| column | type | meaning |\n| --- | --- | --- |\n" + partitions]
    parts += [_table(table) for table in TABLES.values()]
    return "\n\n".join(parts) + "\n"


def _table(table: LogTable) -> str:
    head = "| column | type | unit | nulls | meaning |\n| --- | --- | --- | --- | --- |"
    rows = "\n".join(_row(column) for column in table.columns)
    key = f" Named by {', '.join(f'`{name}`' for name in table.key)}." if table.key else ""
    return f"## {table.name}\n\nA row is {table.row}.{key}\n\n{head}\n{rows}"


def _row(column: Column) -> str:
    meaning = column.description
    if column.values:
        meaning += ": " + ", ".join(f"`{value}`" for value in column.values)
    nulls = "yes" if column.nullable else ""
    return f"| `{column.name}` | {column.type} | {column.unit} | {nulls} | {meaning} |"


if __name__ == "__main__":
    (Path(sys.argv[1]) / "events.md").write_text(events_markdown(), encoding="utf-8")
