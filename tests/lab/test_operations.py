"""The operation grammar."""

import pytest

from fleet.lab.operations import (
    MIXED_CHUNKS,
    OperationError,
    UnknownOperationError,
    pages_of,
    parse,
)


@pytest.mark.parametrize(
    ("text", "pages"),
    [("32", 8192), ("64k", 16), ("512p", 512), ("1G", 262144), ("2m", 512), ("0", 0)],
)
def test_sizes_are_mib_unless_they_say_otherwise(text: str, pages: int) -> None:
    assert pages_of(text) == pages


@pytest.mark.parametrize("text", ["", "k", "-1", "1.5", "3x", "2k", "1k"])
def test_sizes_that_are_no_whole_pages_are_refused(text: str) -> None:
    with pytest.raises(OperationError):
        pages_of(text)


@pytest.mark.parametrize(
    ("text", "name", "args"),
    [
        ("online:h0-h3:movable", "online", ((0, 1, 2, 3), "movable")),
        ("online:h7-h5:kernel", "online", ((7, 6, 5), "kernel")),
        ("alloc:a:64:file=/t/f", "alloc", ("a", 16384, "file=/t/f")),
        ("touch:a", "touch", ("a", None)),
        ("pin:a:iou:0:1p", "pin", ("a", "iou", 0, 1)),
        ("offline:was=a:0.3", "offline", (("was", "a"), 300_000_000)),
        ("offline:b35:8", "offline", (("b", "35"), 8_000_000_000)),
        ("hognode:hk:0:ker:10", "hognode", ("hk", 0, "ker", 2560)),
        ("freepat:h:every:2:2", "freepat", ("h", "every", 2, 0, 512)),
        ("freepat:h:rand:200:10:4k", "freepat", ("h", "rand", 200, 10, 1)),
        ("mpol:default", "mpol", (("default", -1),)),
        ("put:/proc/x=3", "put", (("/proc/x", "3"),)),
        ("steady:h:11:mix:750:75:92", "steady", ("h", 11, MIXED_CHUNKS, 192000, 75, 92)),
        ("steady:h:11:64k:750:75:92", "steady", ("h", 11, (16,), 192000, 75, 92)),
        ("alt:a:b:2:1", "alt", ("a", "b", 512, 1)),
        ("blockstates", "blockstates", ()),
    ],
)
def test_operations_parse_to_typed_values(text: str, name: str, args: tuple[object, ...]) -> None:
    operation = parse(text)
    assert (operation.name, operation.args) == (name, args)


@pytest.mark.parametrize(
    "text",
    [
        "online:h0-x3:movable", "online:h0:both", "alloc:a:32", "pin:a:xdp", "offline:q9:3",
        "offline:h0:soon", "offline:h0:-1", "freepat:a:some:2", "mpol:bind=x", "put:/x", "touch",
        "oomadj:high", "blockstates:now", "alloc::32:4k", "churn:h:1:0:10", "churn:h:1:4k:101",
        "steady:h:1:odd:75:75:92", "steady:h:1:4k:75:-1:92", "alt:a:b:1:3", "alt:a:b:0:1",
        "freepat:h:every:0:4k", "freepat:h:rand:1:200:4k",
    ],
)  # fmt: skip
def test_malformed_arguments_are_told(text: str) -> None:
    with pytest.raises(OperationError) as error:
        parse(text)
    assert not isinstance(error.value, UnknownOperationError)


def test_an_unknown_name_is_its_own_error() -> None:
    with pytest.raises(UnknownOperationError, match="unknown operation 'frob:a'"):
        parse("frob:a")
