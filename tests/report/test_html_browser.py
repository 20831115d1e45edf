"""The page in a real headless Chromium: no errors, no requests, no overflow, with and without
scripts, in both themes, on a laptop, on a phone, in print."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleet.report.figures import collect
from fleet.report.html.page import page
from tests.log.example import make_units, memory_catalog
from tests.report import browser
from tests.report.browser import Browser
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
            file.write_bytes(page(catalog, collect(catalog)))
        return file

    return write


@pytest.mark.parametrize("width", [PHONE, LAPTOP])
@pytest.mark.parametrize("case", CASES)
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
