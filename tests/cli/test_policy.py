"""``fleet policy list|explain``."""

import json
from typing import Any

import pytest

from engine.enums import Cell
from fleet.cli.app import main
from policies.pins import PIN_POLICIES


def run(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(["policy", *args]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def explain(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(run(capsys, "explain", *args, "--format", "json"))
    return loaded


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "list")
    listing = json.loads(run(capsys, "list", "--format", "json"))
    assert list(listing) == ["profile", "pin_policy", "offline_policy", "sizing_preset"]
    assert [p["name"] for p in listing["profile"]] == ["linux-5.10", "linux-6.1", "linux-6.12"]
    assert [p["name"] for p in listing["pin_policy"]] == [p.name for p in PIN_POLICIES]
    names = [item["name"] for items in listing.values() for item in items]
    assert all(f"  {name}" in text for name in names)


def test_explain_a_pin_policy(capsys: pytest.CaptureFixture[str]) -> None:
    data = explain(capsys, "pin-in-place", "--profile", "linux-6.1")
    assert (data["kind"], data["profile"], data["movable_millionths"]) == (
        "pin policy",
        "linux-6.1",
        None,
    )
    cells = {row["cell"]: row for row in data["cells"]}
    assert list(cells) == [c.name for c in Cell]
    row = cells["PIN_MIGRATES"]
    assert (row["value"], row["text"], row["profile_value"], row["overridden"]) == (
        0,
        "no",
        1,
        True,
    )
    assert "5.10.35" in row["source"]
    assert not cells["VFIO_CALL_PAGES"]["overridden"]
    assert cells["VFIO_CALL_PAGES"]["value"] == cells["VFIO_CALL_PAGES"]["profile_value"] == 512


def test_explain_an_arm_composes_it(capsys: pytest.CaptureFixture[str]) -> None:
    data = explain(capsys, "linux-5.13+timeout-5s@movable-75", "--profile", "linux-5.10")
    cells = {row["cell"]: row for row in data["cells"]}
    assert data["movable_millionths"] == 750_000
    assert cells["PIN_MIGRATES"]["value"] == 1
    assert cells["OFFLINE_RULE"]["text"] == "timeout"
    assert cells["OFFLINE_BOUND_NS"]["value"] == 5_000_000_000
    assert cells["VFIO_CALL_PAGES"]["value"] == 1


def test_explain_without_sizing_says_nothing_about_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(capsys, "kernel+unbounded")["movable_millionths"] is None


def test_explain_a_profile_a_timeout_and_a_share(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(capsys, "linux-5.10")["profile"] == "linux-5.10"
    assert explain(capsys, "timeout-90s")["kind"] == "offline policy"
    share = explain(capsys, "movable-33")
    assert (share["kind"], share["movable_millionths"], share["cells"]) == (
        "sizing preset",
        330_000,
        [],
    )


def test_explain_as_text_shows_value_profile_meaning_and_source(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = run(capsys, "explain", "deny")
    assert "* PIN_DENIED           yes            profile: no" in text
    assert "gets -EBUSY" in text
    assert "include/linux/mmzone.h" in text


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["pin-in-plaice"], "unknown profile, policy or preset 'pin-in-plaice'; did you mean"),
        (["kernel+never"], "unknown offline policy 'never'; known: unbounded"),
        (["kernel", "--profile", "linux-7"], "unknown profile 'linux-7'; did you mean"),
        (["movable-10", "--profile", "bsd"], "unknown profile 'bsd'; known: linux-5.10"),
        (["movable-150"], "sizing preset 'movable-150': want a share of 0 to 90 per cent"),
        (["timeout-x"], "offline policy 'timeout-x': want a duration up to 24h"),
        (["@movable-10"], "arm '@movable-10': want PIN+OFFLINE[@SIZING]"),
    ],
)
def test_explain_bad_names(args: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "explain", *args]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(line)
    assert captured.err.count("\n") == 1
