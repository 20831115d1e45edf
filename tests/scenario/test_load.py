"""Loading: overrides, aliases, file names, canonical text, hash."""

import hashlib
import json
import pickle
from pathlib import Path

import pytest

from fleet.cli.scenario_reference import scenario_markdown
from fleet.errors import InputError
from fleet.scenario.load import hash_input, load_scenario, resolve, shipped
from fleet.scenario.scenario import Scenario
from fleet.scenario.yamlpos import parse_yaml, read_path, show_path
from tests.scenario.bad_inputs import BASE, INVENTORY_BASE

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "scenario.md"


def write(folder: Path, text: str, name: str = "s.yaml") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_quantities_become_integers(tmp_path: Path) -> None:
    scenario = load_scenario(write(tmp_path, BASE))
    assert scenario.horizon_ns == 3_600 * 10**9
    assert scenario.hosts.classes[1].memory_pages == 4 << 20
    assert scenario.hosts.classes[1].share_millionths == 500_000
    assert scenario.workloads.generators[0].arrivals_interval_ns == 60 * 10**9
    assert scenario.workloads.generators[0].mix == {"vm": 600_000, "dpdk": 400_000}
    assert scenario.workloads.kinds[1].present_millionths == 0
    assert scenario.hosts.memory_block_pages == 0


def test_sets_are_applied_in_order_and_options_win(tmp_path: Path) -> None:
    source = write(tmp_path, BASE)
    sets = ["seed=3", "seed=4", "hosts.classes[0].memory=32GiB", "removals=null", "probes.count=9"]
    scenario = load_scenario(source, sets, {"--seed": ("seed", 5)})
    assert scenario.seed == 5
    assert scenario.hosts.classes[0].memory_pages == 8 << 20
    assert scenario.removals is None
    assert scenario.probes is not None
    assert scenario.probes.count == 9
    with pytest.raises(InputError, match="--seed: needs a whole number, got 'x'"):
        load_scenario(source, [], {"--seed": ("seed", "x")})


def test_the_first_error_of_the_file_is_told(tmp_path: Path) -> None:
    source = write(tmp_path, BASE.replace("horizon: 1h", "horizon: 1").replace("60/h", "60"))
    with pytest.raises(InputError) as caught:
        load_scenario(source, ["seed=-1"])
    assert (caught.value.field, caught.value.where) == ("horizon", f"{source}:2:10")


def test_aliases_stand_for_the_long_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hosts.csv").write_text("memory_mib\n8192\n")
    (tmp_path / "sub").mkdir()
    text = INVENTORY_BASE.replace("hosts:\n  inventory: hosts.csv\n", "inventory: ../hosts.csv\n")
    source = write(tmp_path / "sub", text)
    from_file = load_scenario(source)
    assert from_file.hosts.inventory == str(tmp_path / "hosts.csv")
    monkeypatch.chdir(tmp_path)
    by_set = load_scenario(source, ["inventory=hosts.csv"])
    assert by_set == from_file
    assert load_scenario(source, (), {"inventory": ("inventory", "hosts.csv")}) == from_file
    assert by_set.digests.inventory == hashlib.sha256(b"memory_mib\n8192\n").hexdigest()


def test_an_alias_beside_its_long_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"also given as hosts\.inventory"):
        load_scenario(write(tmp_path, INVENTORY_BASE + "inventory: x.csv\n"))


def test_resolved_text_loads_to_the_same_scenario(tmp_path: Path) -> None:
    (tmp_path / "hosts.csv").write_text("memory_mib\n8192\n")
    for text in (BASE, INVENTORY_BASE):
        scenario = load_scenario(write(tmp_path, text), ["workloads.holds={share: 5%}"])
        again = load_scenario(write(tmp_path, resolve(scenario), "resolved.yaml"))
        assert again == scenario
        assert resolve(again) == resolve(scenario)
        assert hash_input(again) == hash_input(scenario)


def test_a_changed_input_file_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "hosts.csv").write_text("memory_mib\n8192\n")
    resolved = resolve(load_scenario(write(tmp_path, INVENTORY_BASE)))
    (tmp_path / "hosts.csv").write_text("memory_mib\n16384\n")
    with pytest.raises(InputError, match=r"digests\.inventory: the file has changed"):
        load_scenario(write(tmp_path, resolved))


def test_the_hash_follows_what_decides_results_only(tmp_path: Path) -> None:
    (tmp_path / "hosts.csv").write_text("memory_mib\n8192\n")
    (tmp_path / "copy.csv").write_text("memory_mib\n8192\n")
    source = write(tmp_path, INVENTORY_BASE)
    plain = hash_input(load_scenario(source))
    assert hash_input(load_scenario(source, ["executor.actors=7"])) == plain
    assert hash_input(load_scenario(source, [f"inventory={tmp_path}/copy.csv"])) == plain
    assert hash_input(load_scenario(source, ["horizon=60min"])) == plain
    assert hash_input(load_scenario(source, ["seed=2"])) != plain
    (tmp_path / "copy.csv").write_text("memory_mib\n8193\n")
    assert hash_input(load_scenario(source, [f"inventory={tmp_path}/copy.csv"])) != plain


def test_a_scenario_travels_to_other_processes(tmp_path: Path) -> None:
    scenario = load_scenario(write(tmp_path, BASE))
    assert pickle.loads(pickle.dumps(scenario)) == scenario


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_scenarios_are_explained_and_load(name: str, tmp_path: Path) -> None:
    lines = shipped()[name].read_text().splitlines()
    comments = [line for line in lines if line.startswith("# ")]
    assert comments[0].startswith(f"# {name}: ")
    assert len(comments) >= 5
    sets = []
    if name == "real-fleet":
        (tmp_path / "h.csv").write_text("memory_mib\n262144\n")
        (tmp_path / "t.csv").write_text("arrival_s,lifetime_s,memory_mib\n0,60,1024\n")
        sets = [f"inventory={tmp_path}/h.csv", f"trace={tmp_path}/t.csv", "horizon=24h"]
    assert load_scenario(name, sets).name == name


def test_real_fleet_is_what_was_promised(tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text("memory_mib\n262144\n")
    (tmp_path / "t.csv").write_text("arrival_s,lifetime_s,memory_mib\n0,60,1024\n")
    scenario = load_scenario(
        "real-fleet", [f"inventory={tmp_path}/h.csv", f"trace={tmp_path}/t.csv", "horizon=24h"]
    )
    assert scenario.arms == (
        "pin-in-place+unbounded",
        "linux-5.13+unbounded",
        "linux-5.13+timeout",
        "kernel+unbounded@no-movable-zone",
    )
    assert scenario.removals is not None
    assert scenario.probes is not None
    assert (scenario.removals.count or 0) >= 500
    assert scenario.probes.count >= 2000


def test_paths_are_read_as_they_are_shown() -> None:
    path = ("hosts", "classes", 0, "memory")
    assert read_path(show_path(path)) == path
    assert read_path("hosts.classes.0.memory") == path
    with pytest.raises(ValueError, match="empty"):
        read_path("")


def test_yaml_core_schema() -> None:
    data = parse_yaml("a: on\nb: 010\nc: 1e3\nd: 10:30\ne: ~\nf: 2020-01-01\ng: 'true'\n", "x").data
    assert data == {"a": "on", "b": 10, "c": 1000.0, "d": "10:30", "e": None,
                    "f": "2020-01-01", "g": "true"}  # fmt: skip


def test_the_schema_names_every_field() -> None:
    schema = json.dumps(Scenario.model_json_schema(by_alias=True))
    for word in ("commitment", "retry_delay", "page_cache", "hosts_per_actor"):
        assert f'"{word}"' in schema


def test_reference_of_fields_is_fresh() -> None:
    fresh = REFERENCE.read_text(encoding="utf-8") == scenario_markdown()
    assert fresh, (
        "docs/scenario.md is stale: python -m fleet.cli.scenario_reference docs/scenario.md"
    )
