"""Numbers as a page says them: with SI prefixes, thousands, deviations; what one reads, not what one computes with."""

from __future__ import annotations

from hwsim.units import format_si

MICRO = "µ"


def si(value: float, unit: str, digits: int = 3) -> str:
    """"27.2 µJ"."""
    return format_si(value, unit, digits).replace(f" u{unit}", f" {MICRO}{unit}")


def picojoules(value: float, digits: int = 3) -> str:
    return si(value * 1e-12, "J", digits)


def spread(value: float, deviation: float | None, scale: float, unit: str) -> str:
    """"27.2 ± 1.9 µJ"; without a deviation, the value alone."""
    text = si(value * scale, unit)
    if deviation is None or not value:
        return text
    shown, prefixed = text.split()
    return f"{shown} ± {deviation * float(shown) / value:.2g} {prefixed}"


def count(value: float) -> str:
    """Whole where it is large or whole; four digits where it is small and a mean."""
    if float(value).is_integer() or abs(value) >= 1e4:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"


def share(part: float, whole: float) -> str:
    """Percents to a tenth; what is smaller is said to be small, not zero."""
    percents = 100 * part / whole if whole else 0.0
    if not whole:
        return "-"
    return "<0.1 %" if 0 < percents < 0.05 else f"{percents:.1f} %"


def signed(value: float, text: str) -> str:
    """A change: with a plus where it is one."""
    return f"+{text}" if value > 0 else text
