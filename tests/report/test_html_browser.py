"""The page in a real headless Chromium: no errors, no requests, no overflow, with and without
scripts, in both themes, on a laptop, on a phone, in print."""

from collections.abc import Callable, Iterator
from itertools import combinations
from math import sqrt
from pathlib import Path

import pytest

from fleet.report.figures import collect
from fleet.report.html.arms import STYLES
from fleet.report.html.page import page
from tests.log.example import make_units, memory_catalog
from tests.marks import first_quick
from tests.report import browser
from tests.report.browser import Browser
from tests.report.compared import comparisons
from tests.report.test_html import CASES

pytestmark = pytest.mark.skipif(not browser.BINARY, reason=browser.MISSING)
PHONE, LAPTOP = 390, 1280
TEXT_OUTSIDE = """
[...document.querySelectorAll("main *, header *")].filter(e => {
  if (e.closest(".scroll") || e.closest("pre")) return false;
  const box = e.getBoundingClientRect();
  return box.width && (box.right > innerWidth + 0.5 || box.left < -0.5);
}).map(e => e.outerHTML.slice(0, 200))
"""
COLLISIONS = """
[...document.querySelectorAll("figure svg")].flatMap(svg => {
  const texts = [...svg.querySelectorAll("text")];
  const boxes = texts.map(e => [e.textContent, e.getBoundingClientRect()]);
  return boxes.flatMap(([a, p], i) => boxes.slice(i + 1).filter(([b, q]) =>
    p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 2 && q.top < p.bottom - 2
  ).map(([b]) => svg.closest("figure").id + ": " + a + " on " + b));
})
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser.start(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that writes the page of a case of the example, once."""
    folder = tmp_path_factory.mktemp("pages")

    def write(case: str) -> Path:
        file = folder / f"{case.replace(' ', '-')}.html"
        if not file.exists():
            units = make_units()
            CASES[case](units)
            catalog = memory_catalog(units)
            compared = {"comparisons": comparisons()} if case == "as it is" else {}
            file.write_bytes(page(catalog, collect(catalog) | compared))
        return file

    return write


@pytest.mark.parametrize("width", [PHONE, LAPTOP])
@pytest.mark.parametrize("case", first_quick(CASES, 2))
def test_no_errors_no_requests_no_overflow(
    chromium: Browser, report: Callable[[str], Path], case: str, width: int
) -> None:
    file = report(case)
    chromium.open(file, width, 800, dark=width == PHONE)
    assert chromium.requests() == [file.resolve().as_uri()]
    assert chromium.complaints() == []
    assert chromium.size()[0] == width
    assert chromium.run(TEXT_OUTSIDE) == []
    assert chromium.run(COLLISIONS) == []


@pytest.mark.parametrize("dark", [False, True])
def test_both_themes(
    chromium: Browser, report: Callable[[str], Path], tmp_path: Path, dark: bool
) -> None:
    chromium.open(report("as it is"), dark=dark)
    ink, ground = (
        chromium.run(f"getComputedStyle(document.body).{name}")
        for name in ("color", "backgroundColor")
    )
    assert (brightness(ink) > brightness(ground)) == dark
    assert abs(brightness(ink) - brightness(ground)) > 150
    picture = chromium.screenshot(tmp_path / "page.png")
    assert len(picture) > 50_000


def test_arms_differ_for_every_eye(chromium: Browser, report: Callable[[str], Path]) -> None:
    """Colours of two arms stay apart as people without red or green cones see them."""
    for dark in (False, True):
        chromium.open(report("as it is"), dark=dark)
        style = "getComputedStyle(document.documentElement).getPropertyValue('--a{}')"
        colors = [chromium.run(style.format(i)) for i in range(STYLES)]
        card = channels(chromium.run("getComputedStyle(document.documentElement)"
                                     ".getPropertyValue('--card')"))  # fmt: skip
        for a, b in combinations([channels(color) for color in colors[:5]], 2):
            for matrix in EYES.values():
                assert distance(seen(a, matrix), seen(b, matrix)) > 0.1, (a, b)
        assert all(contrast(channels(color), card) > 4.5 for color in colors)


Color = tuple[float, ...]
EYES = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.1121, 0.8853, -0.0005), (0.1127, 0.8897, -0.0001), (0.0045, 0.0085, 0.9923)),
    "no green": ((0.2928, 0.7054, -0.0005), (0.2934, 0.7089, 0.0), (-0.0210, 0.0256, 0.9921)),
}  # fmt: skip
"""Linear RGB as it is seen: Vienot, Brettel, Mollon, Color Research and Application 24 (1999)."""


def channels(color: str) -> Color:
    """Return linear red, green and blue of ``#rrggbb`` or ``#rgb``."""
    code = color.strip().lstrip("#")
    code = "".join(c * 2 for c in code) if len(code) == 3 else code
    shares = [int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    return tuple(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares)


def seen(color: Color, matrix: tuple[Color, ...]) -> Color:
    return tuple(sum(x * y for x, y in zip(row, color, strict=True)) for row in matrix)


def distance(a: Color, b: Color) -> float:
    """Return how far apart two colours are, on a scale that is even to the eye (cube roots)."""
    roots = [[max(c, 0.0) ** (1 / 3) for c in color] for color in (a, b)]
    return sqrt(sum((x - y) ** 2 for x, y in zip(*roots, strict=True)))


def contrast(a: Color, b: Color) -> float:
    """Return the contrast ratio of WCAG 2."""
    low, high = sorted(0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in (a, b))
    return (high + 0.05) / (low + 0.05)


def brightness(color: str) -> float:
    """Return the mean of the three channels of ``rgb(r, g, b)``."""
    return sum(float(x) for x in color[4:-1].split(",")) / 3


def test_nothing_is_lost_without_scripts(chromium: Browser, report: Callable[[str], Path]) -> None:
    file, words = report("as it is"), "document.body.innerText"
    chromium.open(file)
    with_scripts = chromium.run(words)
    titles = "document.querySelectorAll('figure svg title').length"
    assert chromium.run(titles) == 0
    chromium.open(file, scripts=False)
    assert chromium.run(words) == with_scripts
    assert chromium.run(titles) > 50
    assert chromium.complaints() == []


def test_hovering_shows_the_value(chromium: Browser, report: Callable[[str], Path]) -> None:
    chromium.open(report("as it is"))
    x, y = chromium.run(
        "(() => { const e = document.querySelector('#hang-rate-probe circle'); "
        "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect(); "
        "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )
    chromium.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    assert "hung" in chromium.run("document.getElementById('tip').innerText")
    box = chromium.run("document.getElementById('tip').getBoundingClientRect().toJSON()")
    assert box["left"] >= 0
    assert box["right"] <= LAPTOP
    chromium.send("Input.dispatchMouseEvent", type="mouseMoved", x=2, y=2)
    assert chromium.run("document.getElementById('tip').hidden") is True


def test_it_prints(chromium: Browser, report: Callable[[str], Path], tmp_path: Path) -> None:
    chromium.open(report("as it is"), dark=True)
    assert chromium.pdf(tmp_path / "page.pdf").startswith(b"%PDF-")
    chromium.send("Emulation.setEmulatedMedia", media="print")
    assert chromium.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    chromium.send("Emulation.setEmulatedMedia", media="")
