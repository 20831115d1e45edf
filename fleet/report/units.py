"""Numbers as people read them: three significant digits and a unit."""

PAGE = 4096
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_TIMES = ((10**9 * 3600, "h"), (10**9 * 60, "min"), (10**9, "s"), (10**6, "ms"), (10**3, "us"))
NONE = "-"


def digits(value: float) -> str:
    """Three significant digits, no exponent: 1,230  45.6  0.00789."""
    if value == 0:
        return "0"
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
