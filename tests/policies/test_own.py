"""Own policies: files, scenarios, installed packages, and the tutorial."""

import re
import shlex
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from engine.enums import Cell, OfflineRule, PinFailure
from fleet.cli.app import main
from fleet.errors import InputError
from fleet.run.runner import arms_of, identity_of
from fleet.scenario.load import load_policy, load_scenario, resolve
from policies import registry
from policies.models import PinPolicy, PolicyError, Setting

GENTLE = """\
name: gentle
kind: pin
summary: waits, and gives back
extends: linux-5.13
cells:
  PIN_FAILURE: pin-in-place
  PIN_WAIT_NS: 20ms
  HINT_HONOURED:
    value: yes
    source: an idea
"""
QUICK = """\
name: quick
kind: offline
summary: gives up soon
cells: {OFFLINE_RULE: bounded-4-13, OFFLINE_MAX_ERRORS: 2, OFFLINE_BOUND_NS: 1500ms}
"""
TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "own-policy.md"


def written(folder: Path, text: str, name: str = "p.yaml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_a_file_sets_cells_on_top_of_a_shipped_policy(tmp_path: Path) -> None:
    policy = load_policy(written(tmp_path, GENTLE)).policy()
    base = registry.pin_policy("linux-5.13")
    assert isinstance(policy, PinPolicy)
    assert policy.settings[Cell.PIN_FAILURE] == Setting(
        PinFailure.PIN_IN_PLACE, "own policy gentle"
    )
    assert policy.settings[Cell.PIN_WAIT_NS].value == 20_000_000
    assert policy.settings[Cell.HINT_HONOURED] == Setting(1, "an idea")
    assert policy.settings[Cell.PIN_MIGRATES] == base.settings[Cell.PIN_MIGRATES]


def test_an_offline_policy_starts_from_unbounded(tmp_path: Path) -> None:
    policy = load_policy(written(tmp_path, QUICK)).policy()
    assert policy.settings[Cell.OFFLINE_RULE].value == OfflineRule.BOUNDED_4_13
    assert policy.settings[Cell.OFFLINE_BOUND_NS].value == 1_500_000_000
    shipped = registry.offline_policy("unbounded").settings
    assert policy.settings[Cell.OFFLINE_TARGET] == shipped[Cell.OFFLINE_TARGET]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("pin-in-place", "in-place", "6:16 cells.PIN_FAILURE: must be one of enomem, pin-in-place"),
        ("PIN_FAILURE", "PIN_FAILURES", "6:17 cells.PIN_FAILURES: no such cell; did you mean"),
        ("20ms", "2x", "7:16 cells.PIN_WAIT_NS: unknown unit 'x'"),
        ("20ms", "2h", "7:16 cells.PIN_WAIT_NS: must be within 0..3600000000000, got 72000"),
        ("kind: pin", "kind: pn", "2:7 kind: must be 'pin' or 'offline'"),
        ("name: gentle", "name: deny", "1:7 name: 'deny' is a shipped policy's name"),
        ("name: gentle", "name: A+B", "1:7 name: not a policy's name: 'A+B'"),
        ("extends: linux-5.13", "extends: linux-5.31", "4:10 extends: unknown pin policy"),
        ("value: yes", "value: 7", "9:5 cells.HINT_HONOURED: must be within 0..1, got 7"),
        ("value: yes", "valu: yes", "9:11 cells.HINT_HONOURED.valu: needs `value` and may have"),
        ("HINT_HONOURED", "OFFLINE_RULE", "9:5 cells.OFFLINE_RULE: must be one of"),
        (
            "PIN_FAILURE: pin-in-place",
            "OFFLINE_BOUND_NS: 1s",
            "6:21 cells.OFFLINE_BOUND_NS: belongs",
        ),
        ("summary: waits", "sumary: waits", "3:1 sumary: unknown field (did you mean 'summary'?)"),
        ("name: gentle", "name: gentle\nname: soft", "2:1 name: written twice"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(
    old: str, new: str, line: str, tmp_path: Path
) -> None:
    file = written(tmp_path, GENTLE.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        load_policy(file)
    text = str(caught.value)
    assert re.sub(r":\d+:\d+ ", " ", text).startswith(
        f"{file} " + re.sub(r"^\d+:\d+ ", "", line)
    ), text
    assert re.match(re.escape(str(file)) + r":\d+:\d+ ", text)


def scenario(folder: Path, policies: str = "[p.yaml]", arms: str = "[gentle+unbounded]") -> str:
    """A scenario file beside the policy's."""
    main(["scenario", "show", "quickstart"])
    shipped = (
        Path(load_scenario.__code__.co_filename).parent / "library/quickstart.yaml"
    ).read_text()
    text = re.sub(r"^arms:\n(  - .*\n)+|^arms: .*\n", f"arms: {arms}\n", shipped, flags=re.M)
    return str(written(folder, f"{text}\npolicies: {policies}\n", "s.yaml"))


def test_a_scenario_holds_its_policies_and_their_content_is_its_identity(tmp_path: Path) -> None:
    written(tmp_path, GENTLE)
    source = scenario(tmp_path, arms="[gentle+unbounded, gentle-loses-thp+timeout-5s]")
    loaded = load_scenario(source)
    gentle, lossy = arms_of(loaded)
    assert gentle.table()[Cell.PIN_WAIT_NS] == lossy.table()[Cell.PIN_WAIT_NS] == 20_000_000
    assert (gentle.table()[Cell.FAULT_FLAG_THP], lossy.table()[Cell.FAULT_FLAG_THP]) == (1, 0)
    again = load_scenario(str(written(tmp_path, resolve(loaded), "resolved.yaml")))
    assert again == loaded
    assert identity_of(again).folder_name == identity_of(loaded).folder_name
    (tmp_path / "p.yaml").write_text(GENTLE.replace("20ms", "21ms"))
    assert identity_of(load_scenario(source)).folder_name != identity_of(loaded).folder_name
    assert load_scenario(str(tmp_path / "resolved.yaml")) == loaded  # the file is not read again


def test_an_option_adds_a_file(tmp_path: Path) -> None:
    written(tmp_path, GENTLE)
    quick = written(tmp_path, QUICK, "q.yaml")
    source = scenario(tmp_path, arms="[gentle+quick]")
    with pytest.raises(InputError, match=r"arms\[0\]: unknown offline policy 'quick'"):
        load_scenario(source)
    (arm,) = arms_of(load_scenario(source, policies=[str(quick)]))
    assert arm.table()[Cell.OFFLINE_MAX_ERRORS] == 2


def test_policies_are_written_into_a_scenario_too(tmp_path: Path) -> None:
    inline = "[{name: gentle, kind: pin, summary: s, cells: {PIN_DENIED: true}}]"
    (arm,) = arms_of(load_scenario(scenario(tmp_path, inline)))
    assert arm.table()[Cell.PIN_DENIED] == 1
    twice = inline[:-1] + ", " + inline[1:]
    with pytest.raises(InputError, match=r"policies\[1\]\.name: 'gentle' is used twice"):
        load_scenario(scenario(tmp_path, twice))
    with pytest.raises(InputError, match=r"s\.yaml:\d+:\d+ policies\[0\]\.cells\.PIN_DENIED: must"):
        load_scenario(scenario(tmp_path, inline.replace("true", "9")))


# -- installed packages ---------------------------------------------------------------------------

OFFERED = PinPolicy("offered", "of a package", {Cell.PIN_DENIED: Setting(1, "a package")})
"""What the entry points of the tests offer."""
MANY = [OFFERED]
CLASHES = PinPolicy("deny", "again", {})
NONSENSE = 7


def offered() -> list[PinPolicy]:
    return [OFFERED]


def install(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    entries = [EntryPoint(n, f"tests.policies.test_own:{n}", registry.GROUP) for n in names]
    monkeypatch.setattr(registry, "entry_points", lambda group: entries if group else [])
    registry.installed.cache_clear()


@pytest.fixture(autouse=True)
def _forget() -> Any:
    yield
    registry.installed.cache_clear()


@pytest.mark.parametrize("name", ["OFFERED", "MANY", "offered"])
def test_an_entry_point_offers_policies(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch, name)
    assert registry.pin_policy("offered") is OFFERED
    assert main(["policy", "list"]) == 0
    assert "  offered" in capsys.readouterr().out
    assert main(["policy", "explain", "offered+unbounded"]) == 0
    assert "* PIN_DENIED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("CLASHES", "'deny' exists already"),
        ("NONSENSE", "not a PinPolicy, an OfflinePolicy or a list"),
        ("absent", "AttributeError"),
    ],
)
def test_an_entry_point_that_is_wrong_is_named(
    name: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, name)
    with pytest.raises(PolicyError, match=f"entry point '{name}': .*{reason}"):
        registry.pin_policy("nobody")
    assert registry.pin_policy("deny").summary != "again"


# -- the tutorial ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_tutorials_commands_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = TUTORIAL.read_text()
    monkeypatch.chdir(tmp_path)
    for name, block in re.findall(r"```yaml\n# (\S+\.yaml)\n(.*?)```", text, flags=re.S):
        written(tmp_path, block, name)
    commands = [
        line
        for block in re.findall(r"```sh\n(.*?)```", text, flags=re.S)
        for line in block.split("\n")
    ]
    commands = [line for line in commands if line]
    assert len(commands) >= 6
    printed = {}
    for line in commands:
        words = shlex.split(line)
        if "check" in words and "--sequences" not in words:
            words += ["--sequences", "3"]
        assert main(words[1:]) == 0, line
        printed[line] = capsys.readouterr().out
    checked = printed["fleet policy check gentle.yaml"]
    assert "memory with direct I/O in flight is pinned" in checked
    assert "somebody else refers to a page that is pinned, THP" in checked
    assert "passes: " in checked
    assert "gentle+unbounded" in printed[commands[-2]]
    assert "* PIN_WAIT_NS" in printed["fleet policy explain gentle.yaml"]


def test_the_tutorials_mistake_is_what_is_printed(tmp_path: Path) -> None:
    text = TUTORIAL.read_text()
    block = re.search(r"```yaml\n# gentle\.yaml\n(.*?)```", text, flags=re.S)
    assert block is not None
    file = written(tmp_path, "# gentle.yaml\n" + block[1].replace("20ms", "2x"), "gentle.yaml")
    with pytest.raises(InputError) as caught:
        load_policy(file)
    assert str(caught.value).replace(str(file), "gentle.yaml") in text


def test_the_tutorials_package_works() -> None:
    text = TUTORIAL.read_text()
    block = re.search(r"```python\n(.*?)```", text, flags=re.S)
    assert block is not None
    scope: dict[str, Any] = {}
    exec(block[1], scope)
    (policy,) = scope["POLICIES"]
    assert policy.settings[Cell.PIN_WAIT_NS].value == 2_000_000
