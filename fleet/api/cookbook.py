"""Writes the answers into the cookbook: ``python -m fleet.api.cookbook docs/cookbook.md``."""

import contextlib
import io
import re
import shlex
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from fleet.api.run import Run
from fleet.api.simulation import load_scenario, simulate

_QUESTION = re.compile(r"```sql\n(?P<sql>.*?)```\n(?:\n```text\n.*?```\n)?", re.DOTALL)
_COMMAND = re.compile(r"^fleet simulate (?P<words>.*)$", re.MULTILINE)


def questions(text: str) -> list[str]:
    """Return the SQL statements of a cookbook."""
    return [match["sql"] for match in _QUESTION.finditer(text)]


def answered(text: str, run: Run) -> str:
    """Return a cookbook with the answer that ``run`` gives after each question."""

    def answer(match: re.Match[str]) -> str:
        return f"```sql\n{match['sql']}```\n\n```text\n{_shown(run, match['sql'])}```\n"

    return _QUESTION.sub(answer, text)


def _shown(run: Run, sql: str) -> str:
    """Return what ``fleet sql`` would print."""
    from fleet.report.show import Format, show

    with contextlib.redirect_stdout(io.StringIO()) as out:
        show(run.sql(sql).arrow(), Format.TABLE)
    return out.getvalue() or "(no rows)\n"


def make_run(text: str, out: Path) -> Run:
    """Make the run that a cookbook's ``fleet simulate`` line describes, in this process."""
    found = _COMMAND.search(text)
    if found is None:
        raise ValueError("no fleet simulate line")
    name, *options = shlex.split(found["words"])
    changes: dict[str, object] = {}
    for option, value in pairwise(options):
        if option == "--set":
            path, _, given = value.partition("=")
            changes[path] = int(given) if given.isdigit() else given
    return simulate(load_scenario(name, changes), out=out, inline=True)


def main(file: str) -> None:
    """Write a cookbook's answers anew."""
    text = Path(file).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        Path(file).write_text(answered(text, make_run(text, Path(folder) / "run")), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
