"""Ratios of costs that recorded guests showed, and what the engine says to the same operations.

The guests ran in an emulator whose clock counts instructions, or (pass rates) by its wall clock:
either tells ratios only. The figures of ``lab-*`` in ``engine.costs`` are instructions; a ratio is
fitted where it is the quotient of two such figures, predicted where commands of the engine add up
to it or a figure had to be a compromise.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.costs import MODELS
from engine.enums import AreaKind, Cost, Op, Pinner
from fleet.lab.published.bench import Bench, one_node
from fleet.lab.published.tables import FITTED, PREDICTED

BLOCK_PAGES = 1 << 15
BUFFER_PAGES = 8192
NORMAL_BLOCKS, MOVABLE_BLOCKS = 8, 4
KINDS = {"4k": AreaKind.ANON, "thp": AreaKind.THP}
HELD_PAGES = (1, 64, 1024, 8192)

RECORDED: dict[str, dict[str, float]] = {
    "5.10": {
        "512 faults 4k : 1 thp": 2.65, "faulting pin : pin, 4k": 6.32,
        "faulting pin : pin, thp": 2.64, "512 offline moves 4k : 1 thp": 5.71,
        "failed page a pass : move, 4k": 6.30, "failed page a pass : move, thp": 5.44,
        "empty block : move, 4k": 861.0, "pass, 1 held : move": 328.6,
        "pass, 64 held : move": 725.7, "pass, 1024 held : move": 6_777.0,
        "pass, 8192 held : move": 51_960.0,
    },
    "6.1": {
        "512 faults 4k : 1 thp": 3.02, "faulting pin : pin, 4k": 6.29,
        "faulting pin : pin, thp": 2.61, "512 offline moves 4k : 1 thp": 6.01,
        "failed page a pass : move, 4k": 7.29, "failed page a pass : move, thp": 5.45,
        "empty block : move, 4k": 2_183.0, "pass, 1 held : move": 411.3,
        "pass, 64 held : move": 870.6, "pass, 1024 held : move": 7_870.0,
        "pass, 8192 held : move": 60_130.0,
        "moving pin : pin, 4k": 13.5, "moving pin : pin, thp": 3.55,
        "512 pin moves 4k : 1 thp": 4.01, "pin move : offline move, 4k": 1.07,
    },
}  # fmt: skip
"""Quotients of instruction counts of 5.10.223 and 6.1.176, by kernel."""

FITTED_RATIOS = frozenset(
    {"512 faults 4k : 1 thp", "failed page a pass : move, 4k", "empty block : move, 4k"}
)

RATES: dict[str, dict[str, float]] = {
    "5.10": {"1": 822, "64": 234, "1024": 19, "8192": 2.5, "16 thp": 14.5},
    "6.1": {"1": 746, "64": 196, "1024": 16, "8192": 2.1, "16 thp": 14},
    "6.12": {"1": 490, "64": 313, "1024": 54, "8192": 7.6, "16 thp": 64},
}
"""Passes a second of an offline that loops over held pages, by the emulator's wall clock."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """One recorded ratio beside the engine's."""

    kernel: str
    name: str
    recorded: float
    simulated: float
    how: str

    @property
    def error(self) -> float:
        """Relative error of the simulated ratio."""
        return self.simulated / self.recorded - 1


def guest(kernel: str) -> Bench:
    """A guest of 1 GiB kernel zone and four MOVABLE blocks of 128 MiB, in instructions."""
    blocks = one_node("N" * NORMAL_BLOCKS + "M" * MOVABLE_BLOCKS)
    return Bench(blocks, BLOCK_PAGES, MODELS[f"lab-{kernel}"], f"linux-{kernel}")


def pin_ns(kernel: str, backing: str, *, touched: bool, hinted: bool = False) -> int:
    """A pin of 32 MiB: of untouched pages, of pages in MOVABLE, or (hinted) of pages outside."""
    bench = guest(kernel)
    area = bench.map(KINDS[backing], BUFFER_PAGES)
    if touched:
        bench.touch(area, BUFFER_PAGES)
    if hinted:  # the first pin moved them out, or left them where they are
        bench.ns(Op.PIN, 0, area, 0, BUFFER_PAGES, Pinner.IO_URING, -1)
        bench.ns(Op.UNPIN, 0)
    return bench.ns(Op.PIN, 1, area, 0, BUFFER_PAGES, Pinner.IO_URING, -1)


def fault_ns(kernel: str, backing: str) -> int:
    """First touch of 32 MiB."""
    bench = guest(kernel)
    return bench.touch(bench.map(KINDS[backing], BUFFER_PAGES), BUFFER_PAGES)


def offline_ns(kernel: str, backing: str, pages: int) -> int:
    """Offline of the first MOVABLE block with so many pages in it."""
    bench = guest(kernel)
    if pages:
        bench.touch(bench.map(KINDS[backing], pages), pages)
    return bench.offline(NORMAL_BLOCKS, 1)


def pass_ns(kernel: str, backing: str, held: int) -> float:
    """One pass of an offline that loops over held pages."""
    bench = guest(kernel)
    area = bench.map(KINDS[backing], BUFFER_PAGES)
    bench.touch(area, BUFFER_PAGES)
    bench.ns(Op.HOLD, 0, area, 0, held)
    bench.ns(Op.OFFLINE, 0, NORMAL_BLOCKS, 1, 0)
    bench.passes(2_000_000_000)
    window = 40_000_000_000
    return window / bench.passes(window)


def simulated(kernel: str) -> dict[str, float]:
    """The engine's ratios, from commands of a guest of that kernel."""
    empty = offline_ns(kernel, "4k", 0)
    scan = MODELS[f"lab-{kernel}"].figures
    extra = scan[Cost.PASS_FIXED].ns + 64 * scan[Cost.PASS_SCAN_PAGEBLOCK].ns
    move = {b: offline_ns(kernel, b, BUFFER_PAGES) - empty - extra for b in KINDS}
    one = move["4k"] / BUFFER_PAGES
    plain = {b: pin_ns(kernel, b, touched=True, hinted=True) for b in KINDS}
    faulting = {b: pin_ns(kernel, b, touched=False) for b in KINDS}
    moving = {b: pin_ns(kernel, b, touched=True) for b in KINDS}
    loop = {held: pass_ns(kernel, "4k", held) for held in HELD_PAGES}
    each = (loop[8192] - loop[1024]) / (8192 - 1024)
    huge = (pass_ns(kernel, "thp", BUFFER_PAGES) - loop[1] + each) / 16
    out = {
        "512 faults 4k : 1 thp": fault_ns(kernel, "4k") / fault_ns(kernel, "thp"),
        "512 offline moves 4k : 1 thp": move["4k"] / move["thp"],
        "failed page a pass : move, 4k": each / one,
        "failed page a pass : move, thp": huge / (move["thp"] / 16),
        "empty block : move, 4k": empty / one,
        "512 pin moves 4k : 1 thp": 0.0,
        "pin move : offline move, 4k": (moving["4k"] - plain["4k"]) / BUFFER_PAGES / one,
    }
    if moving["thp"] > plain["thp"]:
        at_pin = {b: moving[b] - plain[b] for b in KINDS}
        out["512 pin moves 4k : 1 thp"] = at_pin["4k"] / at_pin["thp"]
    for backing in KINDS:
        out[f"faulting pin : pin, {backing}"] = faulting[backing] / plain[backing]
        out[f"moving pin : pin, {backing}"] = moving[backing] / plain[backing]
    return out | {f"pass, {held} held : move": ns / one for held, ns in loop.items()}


def ratios() -> Iterator[Ratio]:
    """Every recorded ratio beside the engine's."""
    for kernel, recorded in RECORDED.items():
        found = simulated(kernel)
        for name, value in recorded.items():
            how = FITTED if name in FITTED_RATIOS else PREDICTED
            yield Ratio(kernel, name, value, found[name], how)


def rates() -> Iterator[Ratio]:
    """Recorded pass rates beside the engine's, after one scale factor per kernel.

    The factor is the one that makes the largest deviations up and down equal.
    """
    for kernel, recorded in RATES.items():
        found = {
            name: 1e9 / pass_ns(kernel, "4k", int(name)) for name in recorded if name.isdigit()
        }
        found["16 thp"] = 1e9 / pass_ns(kernel, "thp", BUFFER_PAGES)
        quotients = [recorded[name] / found[name] for name in recorded]
        scale = (min(quotients) * max(quotients)) ** 0.5
        for name, value in recorded.items():
            yield Ratio(kernel, f"{name} held", value, found[name] * scale, PREDICTED)
