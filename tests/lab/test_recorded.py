"""The recorded real-kernel cases: class targets, and profiles that must not be mixed up."""

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from fleet.cli.engines import EngineName, engine_class
from fleet.cli.validate import _tables
from fleet.lab.classes import PLACEMENT
from fleet.lab.report import unlisted
from fleet.lab.validate import Summary, agreement, validate
from tests.marks import first_quick

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "kernel-lab"
FILES = [RECORDED / "cases.jsonl", RECORDED / "placement.jsonl"]
KERNELS = ("5.10", "6.1", "6.12")
SELECTED = (
    "01-*", "03-*", "04-*", "05-normal-*", "06*", "07*", "08-*", "09-*", "10-*", "11-*",
    "12-*", "13-*", "14-*", "P*", "N[a-e]-*",
)  # fmt: skip
HEAVY = (
    "01-touched-4k-*", "09-k1-*", "Pb-4k-4k-*", "Pd-lifo-scatter", "Pe-4k-churn4k-*", "Pg-4k-4k",
    "Ph-4k-4k-*", "Pj-4k-4k*",
)  # fmt: skip
"""Cases that take most of the time: histories of single pages, loops over many pinned ones."""
CLASSES = {
    "touched", "untouched", "nopin", "vmsplice", "release", "k-of-8", "kernel-zone", "noroom",
    "repin", "normal-leave", "vfio", "hugetlb", "fork", "special-memory",
} | PLACEMENT  # fmt: skip

pytestmark = pytest.mark.skipif(
    not all(f.exists() for f in FILES), reason="the recorded cases are not beside the repository"
)


def replayed(profile: str, *names: str, kernels: tuple[str, ...] = KERNELS) -> Summary:
    """Replay selected cases on the fast engine."""
    factory: Any = engine_class(EngineName.FAST)
    return validate(FILES, factory, _tables(profile), kernels, names)


def light() -> list[str]:
    """Names of the selected cases but the heavy ones."""
    lines = [line for file in FILES for line in file.read_text().splitlines()]
    names = dict.fromkeys(str(json.loads(line)["case"]) for line in lines)
    return [n for n in names if _matches(n, SELECTED) and not _matches(n, HEAVY)]


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@pytest.fixture(scope="module", params=["light", pytest.param("all", marks=pytest.mark.slow)])
def summary(request: pytest.FixtureRequest) -> Summary:
    """Every selected case under its own kernel's profile."""
    return replayed("", *(SELECTED if request.param == "all" else light()))


def test_every_selected_case_is_replayed(summary: Summary) -> None:
    assert [str(e) for e in summary.errors] == []
    assert set(summary.by_class()) == CLASSES
    assert len(summary.outcomes) >= 200


@pytest.mark.parametrize("kernel", ["5.10", "6.1"])
def test_class_targets(summary: Summary, kernel: str) -> None:
    shares = {name: agreement(found) for name, found in summary.by_class(kernel).items()}
    low = {
        name: share
        for name, share in shares.items()
        if share < (0.85 if name in PLACEMENT else 0.95)
    }
    assert low == {}


def test_only_known_disagreements_are_found(summary: Summary) -> None:
    found = [(o.case.label, d.text, d.mismatch) for o, d in unlisted(summary)]
    assert found == [], "fleet/lab/known.yaml does not describe these"


@pytest.mark.parametrize(
    ("kernel", "profile"),
    first_quick(
        [
            ("6.12", "linux-5.10"),
            ("6.1", "linux-5.10"),
            ("5.10", "linux-6.1"),
            ("5.10", "linux-6.12"),
        ]
    ),
)
def test_long_term_pins_disagree_under_the_other_kernel(kernel: str, profile: str) -> None:
    """5.10 pins in MOVABLE and loops, 6.1 moves first: no such case may look right in both."""
    names = ("01-*", "03-*-iou", "09-*", "11-*", "12-*-iou", "14-*", "Nc-*")
    wrong = replayed(profile, *names, kernels=(kernel,))
    assert len(wrong.outcomes) >= 5
    assert [o.case.label for o in wrong.outcomes if o.agrees] == []


def test_what_does_not_pin_long_term_agrees_under_both_profiles() -> None:
    names = ("04-nopin-4k-032mb", "06-*", "10-kernel-empty")
    for kernel, profile in (("5.10", "linux-6.1"), ("6.1", "linux-5.10")):
        same = replayed(profile, *names, kernels=(kernel,))
        assert same.outcomes
        assert all(o.agrees for o in same.outcomes)


def test_a_pin_that_has_to_compact() -> None:
    """Movable neighbours make room for whole THPs; among pinned ones 6.12 never returns."""
    found = replayed("", "05-thp-frag-*", kernels=("6.1", "6.12"))
    assert {o.case.label for o in found.outcomes if o.agrees} == {
        f"05-thp-frag-{how} [{kernel} run 1]"
        for how in ("compactable", "pinned")
        for kernel in ("6.1", "6.12")
    }


def test_memory_full_of_page_cache_agrees_under_its_own_kernel_alone() -> None:
    """Eight ways of chance are tried for 6.12; other passes, lists and turns agree in none."""
    own = replayed("", "Pf-cache-full").outcomes
    assert [o.case.label for o in own if not o.agrees] == []
    for kernel, profile in (("6.12", "linux-6.1"), ("6.1", "linux-6.12"), ("5.10", "linux-6.12")):
        wrong = replayed(profile, "Pf-cache-full", kernels=(kernel,)).outcomes
        assert [len(o.disagreements) > 5 for o in wrong] == [True]


def test_two_threads_at_once_agree_under_their_own_kernel_alone() -> None:
    """Several ways of chance are tried; lists of another size agree in none of them."""
    own = replayed("", "Pc-par2-*").outcomes
    assert [o.case.label for o in own if not o.agrees] == []
    for kernel, profile in (("6.12", "linux-6.1"), ("6.1", "linux-6.12"), ("5.10", "linux-6.12")):
        wrong = replayed(profile, "Pc-par2-*", kernels=(kernel,)).outcomes
        assert [o.case.label for o in wrong if o.agrees] == []
