"""Choosing and seeding faults (hunting them is a command of its own)."""

import ast
import re
import shutil
from pathlib import Path

import pytest

from tests.mutants.equivalent import EQUIVALENT, PLACES
from tests.mutants.hunt import DIRECT, LEFT_OUT, QUICK
from tests.mutants.policies import fault_of as policy_fault
from tests.mutants.policies import faults
from tests.mutants.seeds import KINDS, Seed, chosen, seed, sites

ENGINE = Path(__file__).resolve().parents[2] / "engine"
SOURCE = """
@kernel
def small(h, x, n):
    if x < n and x != 3:
        push(h, x + 1)
    return x

def plain(h, x):
    return x < 1
"""


@pytest.fixture(scope="module")
def found() -> list[Seed]:
    return sites(ENGINE)


def test_the_engine_has_places_of_every_kind(found: list[Seed]) -> None:
    assert {s.kind for s in found} == set(KINDS)
    assert len(found) > 800
    assert sum(KINDS.values()) == 100


def test_the_choice_is_fixed_and_has_no_place_twice(found: list[Seed]) -> None:
    picked = chosen(found, 120)
    assert picked == chosen(sites(ENGINE), 120)
    assert len({(s.file, s.function, s.index) for s in picked}) == len(picked) == 120
    assert len({s.file for s in picked}) > 10


def test_only_kernels_have_faults_and_each_its_own_switch(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(SOURCE)
    found = sites(tmp_path)
    assert [(s.kind, s.before, s.after) for s in found] == [
        ("logic", "x < n and x != 3", "x < n or x != 3"),
        ("list", "push(h, x + 1)", "(left out)"),
        ("comparison", "x < n", "x <= n"),
        ("comparison", "x != 3", "x == 3"),
        ("bound", "x + 1", "x"),
    ]
    seed(tmp_path, dict(enumerate(found, 1)), 77)
    text = (tmp_path / "small.py").read_text()
    assert set(re.findall(r"h\.g\[77\] != (\d)", text)) == set("12345")
    assert "return x < 1" in text


def test_a_switch_that_is_off_changes_nothing(tmp_path: Path) -> None:
    """The seeded kernel, run as Python: as before with no fault on, else as seeded."""
    (tmp_path / "small.py").write_text(SOURCE)
    seed(tmp_path, dict(enumerate(sites(tmp_path), 1)), 0)

    def pushed(on: int, x: int) -> list[int]:
        out: list[int] = []

        class Host:
            g = (on,)

        names = {"kernel": lambda f: f, "push": lambda _h, value: out.append(value)}
        exec((tmp_path / "small.py").read_text(), names)
        names["small"](Host, x, 5)  # type: ignore[operator]
        return out

    assert [pushed(0, x) for x in (2, 3, 5)] == [[3], [], []]
    assert pushed(1, 3) == [4]
    assert pushed(2, 2) == []
    assert pushed(3, 5) == [6]
    assert pushed(4, 3) == [4]
    assert pushed(5, 2) == [2]


@pytest.mark.slow
def test_all_kernels_can_be_seeded(tmp_path: Path, found: list[Seed]) -> None:
    folder = tmp_path / "engine"
    shutil.copytree(ENGINE, folder, ignore=shutil.ignore_patterns("__pycache__", "reference"))
    seed(folder, dict(enumerate(chosen(found, 200), 1)), 91)
    for path in folder.glob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"))


def test_policies_have_faults_in_cells_and_bounds() -> None:
    found = list(faults())
    assert len(found) > 60
    assert all(fault.before != fault.after for fault in found)
    setting = ast.parse("Setting(PinFailure.ENOMEM, 'x')", mode="eval").body
    changed = policy_fault(setting)
    assert changed is not None
    assert ast.unparse(changed) == "Setting(PinFailure.PIN_IN_PLACE, 'x')"


def test_every_file_of_engine_tests_hunts_or_says_that_it_does_not() -> None:
    files = {f"tests/engine/{p.name}" for p in (ENGINE.parent / "tests" / "engine").glob("test_*")}
    assert files == {*QUICK, *(f"tests/engine/test_{name}.py" for name in LEFT_OUT)}
    assert {name.partition("::")[0] for name in DIRECT} <= set(QUICK)


def test_every_argument_is_about_one_place(found: list[Seed]) -> None:
    """A change of the sources must not let an argument excuse another fault, or none."""
    keys = [(s.file, s.function, s.before, s.after) for s in found]
    places = dict.fromkeys(EQUIVALENT, 1) | PLACES
    assert {key: keys.count(key) for key in EQUIVALENT} == places
