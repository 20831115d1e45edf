"""Malformed scripts name the line and the field, whatever is wrong with them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.host import Host
from fleet.errors import InputError
from fleet.lab.operations import GRAMMAR, Operation, OperationError
from fleet.lab.script.language import WORDS, parse_step
from fleet.lab.script.load import load_script
from fleet.lab.script.run import run_script
from tests.lab.cases import spoiled

KINDS = "4k, thp, hugetlb, hugetlb1g, memfd, shmanon, file=PATH"
"""Kinds of buffers, as the refusal names them."""

PLACE = re.compile(r"\S+mine\.yaml:\d+:\d+ [^ :]+: .+")
POLICY = {
    "name": "own", "kind": "pin", "summary": "one of its own", "extends": "linux-5.13",
    "cells": {"PIN_WAIT_NS": "1ms", "PIN_FAILURE": {"value": "enomem", "source": "none"}},
}  # fmt: skip
RICH: dict[str, Any] = {
    "title": "all fields",
    "story": "a script that has them",
    "profile": "linux-6.1",
    "policies": [POLICY],
    "arms": ["linux-6.1", "own+unbounded"],
    "host": {
        "memory": "256MiB", "block": "128MiB", "nodes": 1, "cpus": 2, "sizing": "no-movable-zone",
        "kernel": "4MiB", "dimms": ["128MiB"], "dimm_nodes": [0],
    },
    "steps": [
        "online:h0:movable",
        {"op": "alloc:a:2:4k", "as": "first", "note": "a buffer"},
        "touch:a",
        {"op": "offline:h0:1", "as": "off"},
    ],
    "expect": {"linux-6.1": {"off": {"result": "ok", "passes": 1}, "end": {"fate": "finished"}}},
}  # fmt: skip
WRONG: list[Any] = [
    ..., None, "x", "", -1, 0, 3, 1.5, True, [], {}, {"x": None}, ["x"], "²", "1" * 30, 10**30
]  # fmt: skip

SETUP = [
    "online:h0:movable", "alloc:a:2:4k", "alloc:b:2:thp", "touch:a", "filewrite:/m/f:1", "mark:a",
]  # fmt: skip
"""What the examples below need."""
EXAMPLES = [
    "online:h0-h0:kernel", "alloc:c:1:thp", "hint:c:1:4k", "touch:a:1", "read:b", "hogfree:c:120",
    "hogmov:c:100:thp", "hognode:c:0:mov:100", "punch:a:4", "pin:a:iou:0:64k", "pinblocks:a:1:iou",
    "pinstride:a:64:vfio", "repin:a:rdma:2", "unpin:a", "unpin_after:a:0.1", "mark:a",
    "offline:of=a:0.1", "offlineall:0.1", "fork_hold", "child_kill", "mlock:a", "free:a",
    "filewrite:/m/g:1", "kmem:1", "oomadj:-1000", "put:/proc/sys/vm/nr_hugepages=1",
    "cat:/proc/sys/vm/nr_hugepages", "sleep:0.1", "vfio_init:x", "zones", "dist:a", "blockstates",
    "runs:a:3", "freemap", "buddyinfo", "churn:a:1:16k:50", "steady:a:1:mix:1:20:80", "alt:a:b:1:1",
    "par:a:b", "share:a:b", "overlap:a:b", "release:a", "cacheread:/m/h:1", "cpu:1", "mpol:bind=0",
    "nodefree", "map", "freepat:a:every:2:16k", "freepat:a:rand:1:50:16k",
]  # fmt: skip
"""Each operation once, with all its arguments."""
ARGUMENTS = [
    "", "x", "-1", "0", "²", "٣", "1_0", " 1", "nan", "inf", "1e400", "1e300", "1e3", "1.5",
    "9" * 25, "9" * 5000, "3000", "999999G", "h0-h99", "b0", "b999", "h9", "h²", "of=", "of=zz",
    "was=zz", "bind=9", "bind=²", "a=b", "4k", "hugetlb", "file=", "file=/m/f", "iou", "vmsplice",
    "/proc/sys/vm/nr_hugepages=²", "/proc/sys/vm/min_free_kbytes=" + "9" * 25,
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to everything inside a value."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


def changed(path: tuple[Any, ...], wrong: Any) -> dict[str, Any]:
    """The rich script with something else at a place; ``...`` takes it out."""
    return spoiled(RICH, path, wrong)


def error_of(folder: Path, script: dict[str, Any], run: bool = True) -> str:
    """Load a script and run it under its first arm; the error it makes, or nothing."""
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(script, sort_keys=False, allow_unicode=True, width=10_000))
    try:
        loaded = load_script(str(path))
        if run:
            run_script(loaded, loaded.script.arms[0], Host)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: repr(value)[:12])
def test_whatever_is_wrong_the_error_names_line_and_field(tmp_path: Path, wrong: Any) -> None:
    """Every place of a script in turn: it runs, or an error that names line and field."""
    seen = 0
    for path in places(RICH):
        error = error_of(tmp_path, changed(path, wrong))
        if error:
            seen += 1
            assert PLACE.fullmatch(error), (path, wrong, error)
    assert seen > 10
    assert error_of(tmp_path, RICH) == ""


def variants(example: str) -> Iterator[str]:
    """An operation with each of its arguments replaced, one less and one more."""
    words = example.split(":")
    for at in range(len(words)):
        for wrong in ARGUMENTS:
            yield ":".join([*words[:at], wrong, *words[at + 1 :]])
    yield from (f"{example}:", f"{example}:x", f":{example}", ":".join(words[:-1]))


def parsed(text: str) -> Operation | None:
    """An operation, None when it is refused (any other exception is a fault)."""
    try:
        return parse_step(text)
    except OperationError:
        return None


def test_every_operation_has_an_example() -> None:
    names = {example.partition(":")[0] for example in EXAMPLES}
    assert names == {*GRAMMAR, *WORDS, "freepat"}
    assert all(parsed(example) for example in EXAMPLES)


def test_no_argument_is_more_than_one_error() -> None:
    refused = {text for e in EXAMPLES for text in variants(e) if parsed(text) is None}
    assert len(refused) > 2_000


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_what_parses_runs_or_names_its_step(example: str, tmp_path: Path) -> None:
    steps = [] if example.startswith("oomadj") else SETUP
    steps = [*steps, "fork_hold"] if example == "child_kill" else steps
    assert error_of(tmp_path, RICH | {"expect": {}, "steps": [*steps, example]}) == ""
    for text in dict.fromkeys(variants(example)):
        if parsed(text):
            error = error_of(tmp_path, RICH | {"expect": {}, "steps": [*steps, text]})
            assert not error or f"steps[{len(steps)}]: " in error, text
            assert not error or PLACE.fullmatch(error), text


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        ("alloc:c:4:8k", f"'8k' is not one of {KINDS}"),
        ("hint:c:4:8k", f"'8k' is not one of {KINDS}"),
        ("hogmov:c:4:huge", f"'huge' is not one of {KINDS}"),
        ("alloc:c:0:4k", "'0' is no memory at all"),
        ("alloc:c:2000G:4k", "'2000G' is more than 1024 GiB"),
        ("touch:a:0", "'0' is no memory at all"),
        ("offline:h0:0", "'0' is no bound (above 0 seconds)"),
        ("offline:h0:inf", "'inf' is more than 1,000,000 seconds"),
        ("sleep:nan", "'nan' is not a number from 0 on"),
        ("punch:a:0", "'0' is not between 1 and 4611686018427387904"),
        ("repin:a:iou:10001", "'10001' is not between 1 and 10000"),
        ("hint:c", "hint takes 3 arguments"),
    ],
)
def test_arguments_are_refused_where_the_script_is_loaded(
    tmp_path: Path, operation: str, reason: str
) -> None:
    error = error_of(tmp_path, RICH | {"expect": {}, "steps": [*SETUP, operation]}, run=False)
    assert PLACE.fullmatch(error)
    assert error.endswith(f" steps[{len(SETUP)}]: '{operation}': {reason}")


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        ("pin:a:iou:1:64", "buffer 'a' has 512 pages"),
        ("touch:a:1G", "buffer 'a' has 512 pages"),
        ("hognode:c:3:mov:1", "the host has no node 3"),
        ("cpu:7", "the host has no CPU 7"),
        ("offline:b99:1", "the host has 3 blocks"),
        ("steady:a:1:512p:4:0:0", "no chunk is left to free in these limits"),
        ("put:/proc/sys/vm/nr_hugepages=²", "writing /proc/sys/vm/nr_hugepages is not supported"),
    ],
)
def test_what_the_host_does_not_have_is_the_error_of_its_step(
    tmp_path: Path, operation: str, reason: str
) -> None:
    error = error_of(tmp_path, RICH | {"expect": {}, "steps": [*SETUP, operation]})
    assert PLACE.fullmatch(error)
    assert f" steps[{len(SETUP)}]: {reason}" in error


def test_a_policy_file_that_is_not_there_is_the_error_of_its_line(tmp_path: Path) -> None:
    error = error_of(tmp_path, RICH | {"policies": ["nowhere.yaml"]})
    assert error.endswith("mine.yaml:5:3 policies[0]: No such file or directory: nowhere.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9\n")
    error = error_of(tmp_path, RICH | {"policies": [POLICY | {"name": "other"}, "latin.yaml"]})
    assert error.endswith(" policies[1]: not UTF-8 text (byte 6): latin.yaml")
    assert PLACE.fullmatch(error)
    (tmp_path / "mine-too.yaml").write_text("name: x\n- y\n")
    assert "mine-too.yaml:2:1" in error_of(tmp_path, RICH | {"policies": ["mine-too.yaml"]})
