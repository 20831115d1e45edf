"""The rooms of docs/architecture.md: who may import whom. The table there is what is enforced."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ("benchmarks", "engine", "fleet", "policies", "queries")
NOT_IN_ENGINE = {"csv", "datetime", "io", "json", "logging", "random", "socket", "sqlite3", "time"}
"""Standard modules that would bring I/O, clocks or hidden randomness into the engine."""

TOLERATED = {("engine.host", "time")}
"""The fast host says how long compilation took."""

NO_FILES = {"__pycache__", "build", "dist", "runs"}


def rooms() -> dict[str, set[str]]:
    """Return room -> names it may import, from the table's first and last columns."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text.split("## Rooms and imports")[1].split("\n## ")[0]
    rows = [re.split(r"\s*\|\s*", line)[1:-1] for line in table.splitlines() if line[:3] == "| `"]
    return {
        row[0].strip("`/").replace("/", "."): set(re.findall(r"`([\w.]+)`", row[-1]))
        for row in rows
    }


ROOMS = rooms()


def sources() -> list[Path]:
    return [path for name in OURS for path in sorted((ROOT / name).rglob("*.py"))]


def module_of(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def room_of(module: str) -> str | None:
    """Return the innermost room that holds ``module``; None for ``fleet``'s own few files."""
    held = [room for room in ROOMS if module == room or module.startswith(room + ".")]
    return max(held, key=len, default=None)


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def imports(path: Path) -> Iterator[str]:
    """Yield the modules a file imports, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if is_module(inner) else str(node.module)


def within(module: str, names: set[str]) -> bool:
    return any(module == name or module.startswith(name + ".") for name in names)


def allowed(path: Path, imported: str) -> bool:
    """Say whether the file may import the module by the table."""
    module, top = module_of(path), imported.split(".")[0]
    room = room_of(module)
    may = ROOMS[room] if room is not None else set()
    if top in OURS:
        if module == "fleet.__main__":
            return imported == "fleet.cli.app"
        if module == "fleet":
            return imported in ("fleet.errors", "fleet.api")
        common = {"fleet.errors"} if module.startswith("fleet.") else set()
        return room_of(imported) == room or within(imported, may | common)
    third_party = {name for name in may if name.split(".")[0] not in OURS}
    return top in sys.stdlib_module_names or not third_party or top in third_party


def test_the_table_has_every_room() -> None:
    expected = {"benchmarks", "engine", "engine.reference", "policies", "queries"}
    expected |= {
        f"fleet.{p.name}" for p in (ROOT / "fleet").iterdir() if (p / "__init__.py").is_file()
    }
    assert set(ROOMS) == expected
    assert ROOMS["engine"] == {"numpy", "numba", "llvmlite"}
    assert ROOMS["queries"] == {"pyarrow", "duckdb"}


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    wrong = [name for name in imports(path) if not allowed(path, name)]
    assert wrong == []


def test_nothing_imports_the_command_line() -> None:
    importers = {
        module_of(path)
        for path in sources()
        if any(within(name, {"fleet.cli"}) for name in imports(path))
    }
    assert {m for m in importers if not m.startswith("fleet.cli")} == {"fleet.__main__"}


def test_the_engine_has_no_io_clock_or_hidden_randomness() -> None:
    wrong = [
        (str(path.relative_to(ROOT)), name)
        for path in sources()
        if module_of(path).split(".")[0] == "engine"
        for name in imports(path)
        if name.split(".")[0] in NOT_IN_ENGINE and (module_of(path), name) not in TOLERATED
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("engine/enums.py", "fleet.errors"),
        ("engine/enums.py", "policies.arms"),
        ("engine/enums.py", "pydantic"),
        ("engine/enums.py", "engine.reference.host"),
        ("engine/enums.py", "benchmarks.timing"),
        ("fleet/run/unit.py", "benchmarks.timing"),
        ("benchmarks/timing.py", "psutil"),
        ("engine/reference/host.py", "engine.kernel"),
        ("policies/arms.py", "engine.host"),
        ("queries/__init__.py", "fleet.log"),
        ("fleet/log/tables.py", "fleet.run"),
        ("fleet/log/tables.py", "engine.enums"),
        ("fleet/scenario/scenario.py", "fleet.cli.app"),
        ("fleet/plan/tables.py", "fleet.run.coordinator"),
    ],
)
def test_the_check_itself_refuses(module: str, imported: str) -> None:
    assert not allowed(ROOT / module, imported)


def texts() -> Iterator[tuple[Path, str]]:
    """Yield every text file of the project."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(p.startswith(".") and p != ".ci" for p in parts)
        if path.is_file() and not hidden and not NO_FILES & set(parts):
            if any(p.endswith(".egg-info") for p in parts):
                continue
            try:
                yield path, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def test_no_file_names_a_registry_or_a_machine_path() -> None:
    hosts = r"py[p]i\.org|python[h]osted|ana[c]onda\.org|index-[u]rl|/sim[p]le/"
    folders = r"(?<![\w./])/(?:work|opt|home|root|Users)/"
    pattern = re.compile(f"{hosts}|{folders}")
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path, text in texts()
        if (match := pattern.search(text))
    ]
    assert found == []


def test_the_lock_pins_exact_versions_only() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert len(pins) > 40
    assert [p for p in pins if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][\w.+!]*", p)] == []
    assert pins == sorted(pins, key=str.lower)
