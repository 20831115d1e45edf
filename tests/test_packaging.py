"""Version lock and README agree with pyproject.toml."""

import re
import tomllib
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return {key(n): v for n, _, v in (x.partition("==") for x in lines if not x.startswith("#"))}


def closure() -> set[str]:
    """Return every package that the project and its dev extra bring, by installed metadata."""
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    todo, seen = [key(match[0]) for w in wanted if (match := NAME.match(w))], set[str]()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for line in metadata.distribution(name).requires or []:
            requirement, _, marker = line.partition(";")
            match = NAME.match(requirement)
            if match and not marker.strip():
                todo.append(key(match[0]))
    return seen


def test_the_lock_covers_the_closure() -> None:
    assert closure() - set(pins()) == set()


def test_the_lock_lists_nothing_of_ours() -> None:
    assert "fleet" not in pins()


def test_readme_has_exactly_two_commands() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert [len(block.splitlines()) for block in blocks] == [1, 1]
    assert blocks[0].rstrip().endswith("fleet simulate quickstart")
    assert blocks[1].rstrip().endswith("python -m pytest")
    assert all("-c requirements.lock" in block for block in blocks)


def test_readme_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_console_script_and_package_exists() -> None:
    assert PROJECT["scripts"] == {"fleet": "fleet.cli.app:main"}
    for name in ("engine", "fleet", "policies", "queries"):
        assert (ROOT / name / "__init__.py").is_file()


def test_what_is_shipped_holds_no_tests_and_no_benchmarks() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = tools["packages"]["find"]["include"]
    names = [p.name for p in ROOT.iterdir() if (p / "__init__.py").is_file()]
    shipped = {n for n in names if any(fnmatch(n, pattern) for pattern in patterns)}
    assert shipped == {"engine", "fleet", "policies", "queries"}
    assert {"benchmarks", "tests"} < set(names)
