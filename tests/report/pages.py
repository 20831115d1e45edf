"""Reads a report page: its numbers with where they are from, and the text that is no number."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "rect", "line", "circle", "path", "br"}


@dataclass(slots=True)
class Element:
    """An element that stands for a value of a query, and the text in it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""

    @property
    def value(self) -> str:
        return self.attributes.get("value", self.attributes.get("data-value", ""))

    @property
    def origin(self) -> str:
        return self.attributes["data-from"]


@dataclass(slots=True)
class Node:
    tag: str
    classes: set[str]
    element: Element | None


@dataclass
class Page(HTMLParser):
    """A parsed page.

    Attributes
    ----------
    numbers : list of Element
        Everything with ``data-from``.
    pieces : list of (set, str)
        Text with the tags and classes it is under, data elements left out.
    """

    numbers: list[Element] = field(default_factory=list)
    pieces: list[tuple[set[str], str]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    _open: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    @classmethod
    def parse(cls, data: bytes) -> "Page":
        page = cls()
        page.feed(data.decode())
        page.close()
        assert page._open == [], [node.tag for node in page._open]
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._add(tag, attrs, stays=tag not in ("meta",))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._add(tag, attrs, stays=False)

    def _add(self, tag: str, attrs: list[tuple[str, str | None]], *, stays: bool) -> None:
        known = {name: value or "" for name, value in attrs}
        element = Element(tag, known) if "data-from" in known else None
        if element:
            self.numbers.append(element)
        if "id" in known:
            self.ids.append(known["id"])
        if stays:
            self._open.append(Node(tag, set(known.get("class", "").split()), element))

    def handle_endtag(self, tag: str) -> None:
        node = self._open.pop()
        assert node.tag == tag, (node.tag, tag)

    def handle_data(self, data: str) -> None:
        for node in self._open:
            if node.element:
                node.element.text += data
        if not any(node.tag == "data" for node in self._open):
            under = {node.tag for node in self._open}
            for node in self._open:
                under |= node.classes
            self.pieces.append((under, data))

    def text(self, name: str) -> str:
        """Return all text under a tag or class, numbers left out."""
        return "".join(text for under, text in self.pieces if name in under)
