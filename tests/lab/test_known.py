"""The list of known disagreements: rendered, precise, and blind to names."""

from dataclasses import replace
from pathlib import Path

import pytest

from fleet.lab import known
from fleet.lab.classes import _RULES
from fleet.lab.compare import Mismatch
from fleet.lab.lines import Case
from fleet.lab.replay import Disagreement, Outcome
from tests.lab.test_classes import case_of

DOCS = Path(__file__).resolve().parents[2] / "docs"
PIN = Disagreement(4, "pin:a:iou", Mismatch("after.thp", 16_384, 13_824))


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return case_of(tmp_path, ["hogfree:hog:48", "punch:hog:4", "pin:a:iou"])


def test_the_list_is_rendered_into_the_docs() -> None:
    text = (DOCS / "fidelity.md").read_text(encoding="utf-8")
    fresh = known.BEGIN + known.markdown() + known.END in text
    assert fresh, "docs/fidelity.md is stale: run python -m fleet.lab.known docs"


def test_entries_name_classes_that_exist() -> None:
    names = {name for name, _ in _RULES}
    for entry in known.known():
        assert set(entry.classes) <= names
        assert entry.mechanism
        assert entry.cannot
        assert all(operation and field for operation, field in entry.observations)


def test_a_disagreement_is_known_by_class_kernel_and_observation(case: Case) -> None:
    outcome = Outcome(case, "fragmented", (PIN,))
    entry = known.entry_for(outcome, PIN)
    assert entry is not None
    assert entry.classes == ("fragmented",)
    renamed = replace(case, name="another", label="another")
    assert known.entry_for(replace(outcome, case=renamed), PIN) is entry
    for other in (
        replace(outcome, kind="touched"),
        replace(outcome, case=replace(case, kernel="5.10")),
    ):
        assert known.entry_for(other, PIN) is None
    for text, mismatch in (
        ("pin:a:iou", Mismatch("pin_result", "0", "ENOMEM")),
        ("offline:h0:1", Mismatch("after.thp", 1, 2)),
        ("", Mismatch("fate", "finished", "stuck")),
    ):
        assert known.entry_for(outcome, Disagreement(4, text, mismatch)) is None


def test_words_must_match_too(case: Case) -> None:
    outcome = Outcome(replace(case, kernel="5.10"), "kernel-zone-full", ())

    def listed(recorded: str, simulated: str) -> bool:
        found = Disagreement(6, "offline:h2:20", Mismatch("result", recorded, simulated))
        return known.entry_for(outcome, found) is not None

    assert listed("EBUSY", "ok")
    assert not listed("ok", "EBUSY")
    assert listed("EBUSY", "EINTR_after_bound")
    assert not listed("ok", "EINTR_after_bound")
