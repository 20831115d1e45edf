"""Writes docs/queries.md: ``python -m queries.reference DOCS_FOLDER``."""

import sys
from pathlib import Path

from queries.catalog import MACROS
from queries.shipped import Query, shipped

_GENERATED = "<!-- written by `python -m queries.reference docs`; do not edit -->"


def queries_markdown() -> str:
    """Return the reference of all shipped queries, from their headers."""
    intro = (
        "`fleet query NAME [--param name=value]` answers these questions about a run;"
        ' `fleet sql "SELECT ..."` any other. SQL is DuckDB\'s, over one view per table of'
        " [events.md](events.md), plus `arms` (`position`, `arm`: the order of the scenario) and"
        " `units` (`unit`: its number, `arm`, `rep`: what is finished, `demands`: fingerprint of"
        " what it was demanded). Each table is there a second time as `<table>_by_unit`, with that"
        " number in a column `unit`: large runs are grouped and joined faster by it than by `arm`."
        " It can not read or write files."
        f" Macros: {', '.join(f'`{macro}`' for macro in MACROS)}."
    )
    return "\n\n".join(["# Queries", _GENERATED, intro, *map(_query, shipped().values())]) + "\n"


def _query(query: Query) -> str:
    parts = [f"## {query.name}", query.question]
    if query.parameters:
        lines = [
            f"| `{p.name}` | {', '.join(p.choices) or 'integer'} | {p.default} | {p.description} |"
            for p in query.parameters
        ]
        parts += ["| parameter | values | default | meaning |\n| --- | --- | --- | --- |\n"
                  + "\n".join(lines)]  # fmt: skip
    lines = [f"| `{c.name}` | {c.unit} | {c.description} |" for c in query.columns]
    parts += ["| column | unit | meaning |\n| --- | --- | --- |\n" + "\n".join(lines)]
    return "\n\n".join([*parts, query.notes] if query.notes else parts)


if __name__ == "__main__":
    (Path(sys.argv[1]) / "queries.md").write_text(queries_markdown(), encoding="utf-8")
