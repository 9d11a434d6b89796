"""How a number printed at a few widths becomes a number at every width: exact at the points, and with its formula.

A form is affine, power, product or proportional (docs/energy-model.md, "Other widths"). Between two points the curve
is the one of its form through both; beyond the ends the nearest two points are continued, and the formula says so.
Widths are bits; the value keeps the unit of the points (pJ, um2, nW). No input or output, no sources: mathematics only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import exp, log

FORMS = ("affine", "power", "product", "proportional")
MAX_BITS = 64

Points = Sequence[tuple[int, float]]


def evaluate(form: str, points: Points, widths: Sequence[int]) -> tuple[float, str]:
    """Value and formula of a curve at `widths`: one width, or two for a `product` (one stands for both).

    `points` are (bits, value), rising in bits; a product's point is the square one, bits x bits.
    """
    if form == "product":
        x, shown = widths[0] * widths[-1], f"{widths[0]} x {widths[-1]}"
        points = [(bits * bits, value) for bits, value in points]
    else:
        (x,), shown = widths, str(widths[0])
    for at, value in points:
        if at == x:
            return value, f"{value:g}"
    if form == "proportional":
        ((at, value),) = points
        return value * x / at, f"{value:g} x {shown}" + (f" / {at}" if at != 1 else "")
    (x0, y0), (x1, y1) = _segment(points, x)
    tail = "" if points[0][0] < x < points[-1][0] else " (continued beyond the table)"
    if form == "affine":
        value = y0 + (y1 - y0) * (x - x0) / (x1 - x0)
        return value, f"{y0:g} + ({y1:g} - {y0:g}) x ({shown} - {x0}) / ({x1} - {x0}){tail}"
    exponent = log(y1 / y0) / log(x1 / x0)
    return y0 * (x / x0) ** exponent, f"{y0:g} x ({shown} / {x0})^{exponent:.3f}{tail}"


def printed(form: str, points: Points, widths: Sequence[int]) -> bool:
    """Whether the value at `widths` is one of the points itself (a proportional one counts: it has only one)."""
    return form == "proportional" or (len(set(widths)) == 1 and any(bits == widths[0] for bits, _ in points))


def _segment(points: Points, x: int) -> tuple[tuple[int, float], tuple[int, float]]:
    """The two neighbouring points around x, or the nearest two beyond the ends."""
    i = min(max(bisect_right([at for at, _ in points], x), 1), len(points) - 1)
    return points[i - 1], points[i]


def flaw(form: str, points: Points) -> str | None:
    """What is wrong with a curve, or None: it must rise with the width and stay positive from 1 to 64 bits."""
    wanted = "exactly one point" if form == "proportional" else "at least two points"
    if (form == "proportional") != (len(points) == 1):
        return f"form {form} needs {wanted}, found {len(points)}"
    if any(b[0] <= a[0] for a, b in zip(points, points[1:], strict=False)):
        return "points must be listed by rising bits"
    values = [evaluate(form, points, [bits])[0] for bits in range(1, MAX_BITS + 1)]
    if values[0] <= 0:
        low = next(bits for bits, value in enumerate(values, 1) if value > 0)
        return f"form {form} through these points is not positive below {low} bits; use another form"
    if any(b < a for a, b in zip(values, values[1:], strict=False)):
        return f"form {form} through these points falls with the width; a wider unit cannot cost less"
    return None


def log_log(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """Power law between neighbouring points, exact at them, continued beyond the ends."""
    i = min(max(bisect_right(xs, x), 1), len(xs) - 1)
    for at in (i - 1, i):
        if xs[at] == x:
            return ys[at]
    exponent = log(ys[i] / ys[i - 1]) / log(xs[i] / xs[i - 1])
    return ys[i - 1] * exp(exponent * log(x / xs[i - 1]))
