"""The rows that a question to a run came to, in the form one wants to go on with."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

INT64 = 2**63


class Answer:
    """The whole result of one question.

    Parameters
    ----------
    table : pyarrow.Table
        As DuckDB returned it: BIGINT is int64, DOUBLE float64, VARCHAR string, and a sum of BIGINT
        decimal128(38, 0), because it could be larger than 64 bits.

    Attributes
    ----------
    columns : list of str
    """

    def __init__(self, table: "pa.Table") -> None:
        self._table = table
        self.columns: list[str] = table.column_names

    def arrow(self) -> "pa.Table":
        """Return the table as it is."""
        return self._table

    def df(self) -> "pd.DataFrame":
        """Return a pandas DataFrame.

        Whole-number decimals that fit become int64, or the nullable Int64 where rows have none, so
        that they add up and plot like numbers.
        """
        import pandas as pd

        def nullable(kind: Any) -> Any:
            return pd.Int64Dtype() if str(kind) == "int64" else None

        table = whole_numbers(self._table)
        frame = table.to_pandas()
        for name, column in zip(table.column_names, table.columns, strict=True):
            if column.null_count and nullable(column.type) is not None:
                frame[name] = column.to_pandas(types_mapper=nullable)
        return frame

    def rows(self) -> list[dict[str, Any]]:
        """Return one dict a row; whole-number decimals are int, NULL is None."""
        return whole_numbers(self._table).to_pylist()  # type: ignore[no-any-return]

    def value(self) -> Any:
        """Return the one value there is (ValueError when it is not one row of one column)."""
        if self._table.shape != (1, 1):
            rows, columns = self._table.shape
            raise ValueError(f"{rows} rows of {columns} columns are not one value")
        return next(iter(self.rows()[0].values()))

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self._table.num_rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Go through the rows."""
        return iter(self.rows())

    def __repr__(self) -> str:
        """Return the first rows as text, as a notebook shows them."""
        shown = self.df().head(20).to_string(index=False) if len(self) else ", ".join(self.columns)
        more = f"\n... {len(self):,} rows" if len(self) > 20 else ""
        return f"{shown}{more}"


def whole_numbers(table: "pa.Table") -> "pa.Table":
    """Return a table whose decimals without a fraction are int64 where all of them fit."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for index, field in enumerate(table.schema):
        if not pa.types.is_decimal(field.type) or field.type.scale:
            continue
        ends = pc.min_max(table.column(index)).as_py()
        if ends["min"] is None or (ends["min"] >= -INT64 and ends["max"] < INT64):
            column = table.column(index).cast(pa.int64())
            table = table.set_column(index, field.with_type(pa.int64()), column)
    return table
