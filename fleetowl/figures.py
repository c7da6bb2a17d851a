"""Figures as a person reads them."""

from __future__ import annotations

NOTHING = "-"
"""Where a figure is not known."""

_GIB = 1 << 30


def percent(ratio: float | None) -> str:
    """A ratio from 0 to 1.

    >>> percent(0.974), percent(None)
    ('97 %', '-')
    """
    return NOTHING if ratio is None else f"{ratio * 100:.0f} %"


def gibibytes(used: float | None, total: float | None) -> str:
    """Used of total.

    >>> gibibytes(71.25 * 2**30, 80 * 2**30), gibibytes(None, 2**31), gibibytes(2**29, None)
    ('71.2/80.0 GiB', '-/2.0 GiB', '0.5 GiB')
    """
    if total is None:
        return NOTHING if used is None else f"{used / _GIB:.1f} GiB"
    return f"{NOTHING if used is None else f'{used / _GIB:.1f}'}/{total / _GIB:.1f} GiB"


def number(value: float | None, unit: str = "", digits: int = 0) -> str:
    """A figure with its unit.

    >>> number(61.0, "C"), number(None, "C"), number(0.213, "s", 2)
    ('61 C', '-', '0.21 s')
    """
    if value is None:
        return NOTHING
    return f"{value:.{digits}f} {unit}".rstrip()


def watts(power: float | None, limit: float | None) -> str:
    """Power, and its limit where that is known.

    >>> watts(612.4, 700), watts(612.4, None), watts(None, 700)
    ('612/700 W', '612 W', '-')
    """
    if power is None:
        return NOTHING
    return f"{power:.0f} W" if limit is None else f"{power:.0f}/{limit:.0f} W"


def since(seconds: float | None) -> str:
    """A duration in its largest unit.

    >>> since(0.4), since(75), since(7200), since(90_000), since(None)
    ('0.4 s', '75 s', '2 h', '25 h', '-')
    """
    if seconds is None:
        return NOTHING
    if seconds < 10:
        return f"{seconds:.1f} s"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
