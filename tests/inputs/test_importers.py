"""The importers, on small made-up folders and on the real data sets."""

from collections import Counter
from math import exp
from pathlib import Path

import pytest

from engine.draws import draw
from fleet.errors import InputError
from fleet.inputs.azure2017 import read_azure2017
from fleet.inputs.inventory import read_inventory
from fleet.inputs.lifetimes import ONE, Survival, kaplan_meier
from fleet.inputs.openb import read_openb
from fleet.inputs.trace import read_trace
from fleet.inputs.write import write_table

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not here")

SMALL = {
    "flav_map.txt": "1,0.75 a\n2,3.5 b\n",
    "v1.interval_map.txt": "0 0\n300 1\n600 2\n900 3\n1200 3\n",
    "v1.x.txt": "600 a,|,b,b,|,\n900 a,\n",
    "v1.x.c1500.txt": "600 U1,|,U3,C2,|,\n900 U0,\n",
}


def folder(path: Path, **changes: str) -> str:
    for name, text in (SMALL | changes).items():
        (path / name).write_text(text)
    return str(path)


def test_azure_small(tmp_path: Path) -> None:
    imported = read_azure2017(folder(tmp_path))
    assert imported.columns["arrival_s"] == [0, 0, 0, 300]
    assert imported.columns["memory_mib"] == [768, 3584, 3584, 768]
    assert imported.columns["vcpus"] == [1, 2, 2, 1]
    assert imported.columns["censored"] == [False, False, True, False]
    assert imported.columns["lifetime_s"] == [300, 1200, 1200, 150]
    assert "begins at 600 s" in imported.notes[0]
    assert "1 VMs were still running at the end (censored): 1 got" in imported.notes[2]


BEYOND = {"v1.x.c1500.txt": "600 U1,|,U2,C3,|,\n900 U0,\n"}
"""One VM of two cores reaches 1,200 s; all others have ended by 600 s."""


def test_azure_censored_beyond_all_ends_run_on(tmp_path: Path) -> None:
    imported = read_azure2017(folder(tmp_path, **BEYOND), core_hours=0)
    assert imported.columns["lifetime_s"] == [300, 600, None, 150]
    assert "0 got a lifetime" in imported.notes[2]
    assert "1 outlive all ends seen and run on (lifetime null)" in imported.notes[2]


def test_azure_rests_make_up_the_core_hours(tmp_path: Path) -> None:
    """4 VMs of 3 core hours have 43,200 core seconds: 1,650 by ends seen, 2,400 by 1,200 s."""
    rests = []
    for seed in range(2_000):
        imported = read_azure2017(folder(tmp_path, **BEYOND), seed, core_hours=3)
        *others, last = (imported.columns["lifetime_s"][i] for i in (0, 1, 3, 2))
        assert others == [300, 600, 150]
        rests.append(last - 1_200)
    mean = (43_200 - 1_650 - 2_400) // 2
    assert f"by {mean / 86_400:.3g} days" in imported.notes[2]
    assert min(rests) > 0
    assert sum(rests) / len(rests) == pytest.approx(mean, rel=0.07)  # three deviations
    assert sum(rest > mean for rest in rests) / len(rests) == pytest.approx(exp(-1), abs=0.033)


def test_azure_rests_begin_where_the_last_end_was_seen(tmp_path: Path) -> None:
    """A VM last seen at 300 s ends at 600 s, as one that was seen to, or lives on from there."""
    changes = {"v1.x.c1500.txt": "600 U1,|,U2,C2,|,\n900 C1,\n"}
    lives = [
        read_azure2017(folder(tmp_path, **changes), seed).columns["lifetime_s"][3]
        for seed in range(50)
    ]
    assert set(lives) > {600}
    assert min(lives) == 600


@pytest.mark.parametrize("core_hours", [1, 10**9])
def test_azure_core_hours_out_of_reach(tmp_path: Path, core_hours: int) -> None:
    changes = BEYOND | {"v1.x.c1500.txt": "600 U1,|,U2,C9,|,\n900 U0,\n"}
    changes["v1.interval_map.txt"] = SMALL["v1.interval_map.txt"] + "".join(
        f"{900 * number} {number}\n" for number in range(4, 10)
    )
    with pytest.raises(InputError, match=r"the 1 of 4 VMs .* VMs have 1\.24 core hours"):
        read_azure2017(folder(tmp_path, **changes), core_hours=core_hours)


def test_kaplan_meier_by_hand() -> None:
    """Six lives: ends at 0, 1, 1, 3; lost at 1 and 2."""
    survival = kaplan_meier([1, 2, 0, 1], [0, 1, 1, 0])
    five_sixths = ONE * 5 // 6
    after_one = five_sixths * 3 // 5
    assert survival.beyond == (five_sixths, after_one, after_one, 0)


def test_draws_follow_the_tail() -> None:
    survival = Survival((ONE, ONE // 2, ONE // 2, ONE // 4, ONE // 8))
    drawn = Counter(survival.draw_bin(1, 7, 0, n) for n in range(20_000))
    assert set(drawn) == {3, 4, None}
    assert drawn[3] / 20_000 == pytest.approx(1 / 2, abs=0.015)
    assert drawn[4] / 20_000 == pytest.approx(1 / 4, abs=0.015)
    assert survival.draw_bin(1, 7, 0, 3) == survival.draw_bin(1, 7, 0, 3)
    assert draw(7, 0, 3) != draw(7, 0, 4)


@needs_data
def test_openb_real(tmp_path: Path) -> None:
    columns = read_openb(str(DATA / "hosts-openb" / "openb_node_list_all_node.csv"))
    write_table(columns, str(tmp_path / "h.parquet"))
    inventory = read_inventory(str(tmp_path / "h.parquet"))
    assert len(inventory.name) == 1523
    assert inventory.memory_pages.sum() / 2**28 == pytest.approx(583.7, abs=0.05)
    assert Counter((inventory.memory_pages // 2**18).tolist())[384] == 596
    assert "cpu" in inventory.host_class


@needs_data
def test_azure_real(tmp_path: Path) -> None:
    imported = read_azure2017(str(DATA / "vms-azure2017"))
    write_table(imported.columns, str(tmp_path / "v.parquet"))
    trace = read_trace(str(tmp_path / "v.parquet"))
    assert len(trace.arrival_ns) == 259_159
    assert trace.arrival_ns[0] == 0
    assert trace.arrival_ns[-1] // 10**9 == 299_700
    censored = sum(imported.columns["censored"])
    assert censored == 14_317
    assert (trace.lifetime_ns > 0).all()
    assert read_azure2017(str(DATA / "vms-azure2017")).columns == imported.columns
    runs_on = read_azure2017(str(DATA / "vms-azure2017"), core_hours=0).columns["lifetime_s"]
    for known, life in zip(runs_on, imported.columns["lifetime_s"], strict=True):
        assert life == known if known is not None else life > 345_600
    assert 0 < runs_on.count(None) < censored


@needs_data
def test_azure_real_lives_as_long_as_published() -> None:
    """118.1 core hours a VM (AzurePublicDatasetV1.md); those of more than a day have over 95 % of
    core hours (Cortez et al., SOSP 2017, section 3.5).
    """
    columns = read_azure2017(str(DATA / "vms-azure2017")).columns
    lives = list(zip(columns["lifetime_s"], columns["vcpus"], strict=True))
    core_s = sum(life * cores for life, cores in lives)
    assert core_s / 3600 / len(lives) == pytest.approx(237_815_104 / 2_013_767, rel=0.02)
    long = sum(life * cores for life, cores in lives if life > 86_400)
    assert 0.95 < long / core_s < 0.97
