"""Numbers as people read them: three significant digits and a unit."""

PAGE = 4096
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_TIMES = ((10**9 * 3600, "h"), (10**9 * 60, "min"), (10**9, "s"), (10**6, "ms"), (10**3, "us"))
_LARGE = ((10**9, "billion"), (10**6, "million"))
NONE = "-"


def digits(value: float) -> str:
    """Three significant digits, no exponent: 1,230  45.6  0.00789  448 million.

    Below ten million all digits before the point are there.
    """
    if value == 0:
        return "0"
    if abs(value) >= 9_995_000:
        scale, name = next(t for t in _LARGE if abs(value) >= 0.9995 * t[0])
        return f"{digits(value / scale)} {name}"
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    if abs(value) >= 9.995:
        return f"{value:.1f}"
    if abs(value) >= 0.9995:
        return f"{value:.2f}"
    return f"{value:.3g}"


def count(value: int | None) -> str:
    """An exact count."""
    return NONE if value is None else f"{value:,}"


def size(value: int | None) -> str:
    """Bytes."""
    if not value:
        return NONE if value is None else "0"
    amount, unit = float(value), 0
    while abs(amount) >= 1024 and unit < len(_BYTES) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{digits(amount)} {_BYTES[unit]}"


def pages(value: int | None) -> str:
    """4 KiB pages as bytes."""
    return NONE if value is None else size(value * PAGE)


def time(value: int | None) -> str:
    """Nanoseconds."""
    if not value:
        return NONE if value is None else "0"
    for scale, unit in _TIMES:
        if abs(value) >= scale:
            return f"{digits(value / scale)} {unit}"
    return f"{value} ns"


def percent(value: float | None) -> str:
    """A share."""
    return NONE if value is None else f"{digits(value * 100)} %"


def points(value: float | None) -> str:
    """A difference of shares, with its sign."""
    if value is None:
        return NONE
    return f"{'+' if value > 0 else ''}{digits(value * 100)}"


def interval(low: float | None, high: float | None, *, signed: bool = False) -> str:
    """An interval of shares, in per cent (or percentage points with signs)."""
    if low is None or high is None:
        return NONE
    if signed:
        return f"{points(low)} to {points(high)}"
    return f"{digits(low * 100)} to {digits(high * 100)} %"


def _scaled(unit: str, values: list[float]) -> tuple[float, str, float]:
    """Return factor, divisor's name and divisor that suit the largest of ``values``."""
    largest = max(map(abs, values), default=0.0)
    if unit == "share":
        return 100.0, "pt", 1.0
    if unit in ("bytes", "pages"):
        factor, step = (PAGE if unit == "pages" else 1), 0
        while largest * factor / 1024**step >= 1024 and step < len(_BYTES) - 1:
            step += 1
        return float(factor), _BYTES[step], 1024.0**step
    if unit in ("ns", "page-ns"):
        scale, name = next((t for t in _TIMES if largest >= t[0]), (1, "ns"))
        return 1.0, name, float(scale)
    return 1.0, "", 1.0


def value(unit: str, amount: float | None) -> str:
    """A value of a comparison, by the name of its unit."""
    if amount is None:
        return NONE
    if unit == "share":
        return percent(amount)
    factor, name, scale = _scaled(unit, [amount])
    return f"{digits(amount * factor / scale)} {name}".rstrip()


def change(unit: str, difference: float, low: float | None, high: float | None) -> tuple[str, str]:
    """A difference and its interval, signed, in one unit that both share."""
    known = [v for v in (difference, low, high) if v is not None]
    factor, name, scale = _scaled(unit, known)

    def signed(amount: float) -> str:
        shown = digits(amount * factor / scale)
        return f"+{shown}" if amount > 0 else shown

    told = f"{signed(difference)} {name}".rstrip()
    return told, NONE if low is None or high is None else f"{signed(low)} to {signed(high)}"
