"""A run, open for questions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleet.api.answer import Answer
from fleet.errors import InputError

if TYPE_CHECKING:
    from fleet.log.find import RunInfo
    from fleet.log.verify import Verification
    from queries.catalog import Catalog


class Run:
    """One run folder, or several whose arms are looked at together. ``open_run`` makes it.

    Attributes
    ----------
    paths : tuple of Path
        The run folders.
    arms : tuple of str
        Arms in the order of the scenarios; ``<folder>:<arm>`` when there are several runs.
    """

    def __init__(self, catalog: "Catalog") -> None:
        self._catalog = catalog
        self.paths: tuple[Path, ...] = tuple(run.path for run in catalog.runs)
        self.arms: tuple[str, ...] = catalog.arms

    @property
    def path(self) -> Path:
        """The run folder (the first, when there are several)."""
        return self.paths[0]

    def sql(self, statement: str, **parameters: object) -> Answer:
        """Run one SQL statement (DuckDB) over the event log.

        Parameters
        ----------
        statement : str
            One SELECT; tables and columns as ``tables`` says.
        **parameters
            Values of the ``$name`` in the statement.

        Raises
        ------
        InputError
            ``sql:line:col reason`` for anything that DuckDB refuses.
        """
        with _as_input_errors():
            return Answer(self._catalog.query(statement, parameters))

    def query(self, name: str, **parameters: object) -> Answer:
        """Answer a shipped question (``fleet query`` lists them) with its parameters.

        Raises
        ------
        InputError
            No such question or parameter.
        """
        from queries.shipped import find

        with _as_input_errors():
            given = {key: str(value) for key, value in parameters.items()}
            return Answer(find(name).run(self._catalog, given))

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Return the columns of every table: name, type, unit, description, nullable."""
        return {name: [dict(c) for c in columns] for name, columns in self._catalog.columns.items()}

    def report(self) -> dict[str, Any]:
        """Return every number of the A/B report, the shape of ``fleet report --format json``.

        Raises
        ------
        InputError, FleetError
            The arms did not get the same demands, so that nothing can be compared.
        """
        from fleet.report.figures import collect
        from fleet.report.verdict import verdict

        with _as_input_errors():
            figures = collect(self._catalog)
        return {"verdict": verdict(figures), **figures}

    def verdict(self) -> str:
        """Return the sentence that the report starts with, without asking for all the rest.

        Raises
        ------
        InputError, FleetError
            As ``report``.
        """
        from fleet.report.verdict import ask_verdict

        with _as_input_errors():
            return ask_verdict(self._catalog)

    def verify(self) -> "tuple[Verification, ...]":
        """Read every byte of each run folder again and say what is wrong with it, if anything."""
        from fleet.log.verify import verify_run

        return tuple(verify_run(path) for path in self.paths)

    @contextmanager
    def session(self) -> "Iterator[Run]":
        """Let the questions inside share one connection: many small ones come faster."""
        with self._catalog.session():
            yield self

    def __repr__(self) -> str:
        """Return where it lies and which arms it has."""
        return f"Run({', '.join(map(str, self.paths))}; arms: {', '.join(self.arms)})"


def open_run(*runs: str | Path, partial: bool = False) -> Run:
    """Open runs for questions.

    Parameters
    ----------
    *runs : str or Path
        Run folders, or names (or the start of a name) below ``runs/``; none: the newest run there.
    partial : bool
        Take the finished units of an interrupted run; otherwise such a run is an error.

    Raises
    ------
    InputError
        No such run, an interrupted or damaged one, another schema version.
    """
    from fleet.log.find import find_run
    from queries.catalog import Catalog

    names: Sequence[str | None] = [str(run) for run in runs] or [None]
    with _as_input_errors():
        return Run(Catalog.open([find_run(name) for name in names], partial=partial))


def list_runs(folder: str | Path = "runs") -> "list[RunInfo]":
    """Return what there is to say about each run below a folder, newest first."""
    from fleet.log import find

    return find.list_runs(Path(folder))


@contextmanager
def _as_input_errors() -> Iterator[None]:
    """Turn a QueryError into the InputError that everything else raises."""
    from queries.catalog import QueryError

    try:
        yield
    except QueryError as error:
        raise InputError(str(error)) from error
