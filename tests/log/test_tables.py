"""The schemas keep their promises, and the reference is made from them."""

from enum import IntEnum
from pathlib import Path

import duckdb
import pytest

from engine.enums import (
    BlockerClass,
    FaultPath,
    Incident,
    MigrateReason,
    OfflineReason,
    SlowReason,
)
from fleet.log.reference import events_markdown
from fleet.log.tables import SCHEMA_VERSION, TABLES
from queries import catalog

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_column_says_what_it_is() -> None:
    for table in TABLES.values():
        for field in table.schema:
            assert field.metadata[b"description"], f"{table.name}.{field.name}"
            if field.type in ("int64", "int32"):
                assert field.metadata[b"unit"], f"{table.name}.{field.name}"


def test_a_time_or_size_carries_its_unit_in_its_name() -> None:
    for table in TABLES.values():
        for column in table.columns:
            if column.unit == "ns":
                assert column.name.endswith("_ns"), f"{table.name}.{column.name}"


@pytest.mark.parametrize(
    ("table", "column", "enum"),
    [
        ("attempts", "reason", OfflineReason),
        ("requests", "reason", OfflineReason),
        ("blockers", "class", BlockerClass),
        ("blockers", "path", FaultPath),
        ("pins", "path", FaultPath),
        ("migrations", "reason", MigrateReason),
        ("slowdowns", "reason", SlowReason),
    ],
)
def test_words_are_those_of_the_engine(table: str, column: str, enum: type[IntEnum]) -> None:
    (values,) = (c.values for c in TABLES[table].columns if c.name == column)
    assert values == tuple(member.name.lower() for member in enum)


def test_incidents_of_the_engine_are_a_part_of_the_logs() -> None:
    (values,) = (c.values for c in TABLES["incidents"].columns if c.name == "kind")
    assert {member.name.lower() for member in Incident} | {"reset"} == set(values)


@pytest.mark.parametrize("table", TABLES)
def test_names_need_no_quotes_in_sql(table: str) -> None:
    names = [column.name for column in TABLES[table].columns]
    with duckdb.connect() as connection:
        columns = ", ".join(f"1 AS {name}" for name in names)
        connection.execute(f"CREATE TABLE {table} AS SELECT {columns}")
        connection.execute(f"SELECT {', '.join(names)} FROM {table}").fetchall()


def test_catalog_reads_this_schema_version() -> None:
    assert catalog.SCHEMA_VERSION == SCHEMA_VERSION


def test_reference_is_not_stale() -> None:
    assert (DOCS / "events.md").read_text(encoding="utf-8") == events_markdown(), (
        "run: python -m fleet.log.reference docs"
    )
