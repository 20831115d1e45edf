"""What every chart is: a finding, a picture, the values behind it, the queries it is from."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from fleet.report.figures import Figures
from fleet.report.html.answers import Answers, Form, Row
from fleet.report.html.arms import Arm
from fleet.report.html.render import render


@dataclass(frozen=True, slots=True)
class Paper:
    """What a chart is drawn from.

    Attributes
    ----------
    arms : list of Arm
    answers : Answers
    figures : dict
        All figures of the report.
    """

    arms: list[Arm]
    answers: Answers
    figures: Figures

    def arm(self, name: str) -> Arm:
        """Return the arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure of the page.

    Attributes
    ----------
    key : str
        Its id in the page.
    finding : Markup or str
        What it shows, computed.
    what : str
        What is drawn, with units.
    body : Markup
        The picture; its text alternative is part of it.
    sources : tuple of str
        ``fleet query`` words, such as ``hang_rate --param kind=probe``.
    values : Markup
        Table of the values, for pictures that do not spell them.
    note : str
        What a reader must know to read it.
    wide : bool
        Takes the whole width of the page.
    """

    key: str
    finding: Markup | str
    what: str
    body: Markup
    sources: tuple[str, ...]
    values: Markup = field(default_factory=Markup)
    note: str = ""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table of values: name in the answer, heading, how it is shown."""

    name: str
    heading: str
    form: Form


def source(name: str, **given: str) -> str:
    """Return the words after ``fleet query`` that ask for an answer again."""
    return " ".join([name, *(f"--param {key}={value}" for key, value in given.items())])


def table_of(paper: Paper, rows: Sequence[Row], columns: Sequence[Column]) -> Markup:
    """Return a table of rows that have an ``arm``."""
    return render("values.html", rows=[(paper.arm(r["arm"]), r) for r in rows], columns=columns)
