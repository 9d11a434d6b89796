"""One thing that a sweep varies: a field and the values that it takes, from a list or a range.

A range is {from, to, step} (both ends belong to it), {from, to, factor} or, for a Latin hypercube, {from, to} alone. Its ends are
numbers, or numbers with one unit such as "56 KiB"; values come in that unit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hwsim.errors import HwsimError, shown

MOST_VALUES = 1 << 20
"""Values of one axis."""
_QUANTITY = re.compile(r"\s*(-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?)\s*([A-Za-z]*)\s*\Z")
_KEYS = {"from", "to", "step", "factor"}


class SweepError(HwsimError):
    """A sweep that cannot be; the text says where, what was found and what is expected."""


@dataclass(frozen=True)
class Axis:
    """A field and its values: those of a list, or the ends of a range without steps.

    field    `trace`, `arch`, `schedule`, ... (hwsim/sweep/space.py), `prices.NAME`, or a field of a design such as `core.lanes`.
    values   in the order given.        span   the range that a Latin hypercube draws from; then there are no values.
    """

    field: str
    values: tuple[Any, ...] = ()
    span: Span | None = None

    def at(self, share: float) -> Any:
        """The value at 0 <= share < 1 of the axis: each value of a list has an equal part."""
        return self.values[int(share * len(self.values))] if self.span is None else self.span.at(share)


@dataclass(frozen=True)
class Span:
    """All numbers from `low` to `high`, in `unit`; whole ones where both ends are."""

    low: Fraction
    high: Fraction
    unit: str
    whole: bool

    def at(self, share: float) -> Any:
        """The number at 0 <= share < 1 of the way; each whole one has an equal part."""
        if self.whole:
            return self.value(self.low + int(share * (self.high - self.low + 1)))
        return self.value(self.low + (self.high - self.low) * Fraction(share).limit_denominator(10**6))

    def value(self, number: Fraction) -> Any:
        """A number as a file would give it: an integer, a float, or text with its unit."""
        plain = int(number) if number.denominator == 1 else float(number)
        return f"{plain} {self.unit}" if self.unit else plain


def axis_of(field: str, given: Any, where: str) -> Axis:
    """The axis that a file or an option describes. Raises SweepError; `where` names the place in its text."""
    if isinstance(given, Mapping) and {"from", "to"} <= set(given):
        return _range(field, given, where)
    values = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not values:
        raise SweepError(f"{where}: {field}: found an empty list, expected at least one value")
    if len(values) == 1 and isinstance(values[0], Mapping) and {"from", "to"} <= set(values[0]):
        return _range(field, values[0], where)
    return Axis(field, values)


def _range(field: str, given: Mapping[str, Any], where: str) -> Axis:
    place = f"{where}: {field}"
    if unknown := sorted(set(given) - _KEYS):
        raise SweepError(f"{place}: found {', '.join(map(shown, unknown))} in a range, expected from, to, and step or factor")
    if {"step", "factor"} <= set(given):
        raise SweepError(f"{place}: found step and factor, expected one of them")
    ends = {name: _quantity(given[name], f"{place}.{name}") for name in given}
    (low, unit), (high, other) = ends["from"], ends["to"]
    if unit != other:
        raise SweepError(f"{place}: found from in {unit or 'no unit'} and to in {other or 'no unit'}, expected one unit")
    if high < low:
        raise SweepError(f"{place}: found from {given['from']} above to {given['to']}, expected from <= to")
    span = Span(low, high, unit, low.denominator == high.denominator == 1)
    if "step" in given:
        step, named = ends["step"]
        if step <= 0 or named not in ("", unit):
            expected = f"a number above 0, in {unit}" if unit else "a number above 0"
            raise SweepError(f"{place}.step: found {shown(given['step'])}, expected {expected}")
        count = int((high - low) / step) + 1
        _not_too_many(count, place)
        return Axis(field, tuple(span.value(low + n * step) for n in range(count)))
    if "factor" in given:
        factor, named = ends["factor"]
        if factor <= 1 or named or low <= 0:
            raise SweepError(f"{place}.factor: found {shown(given['factor'])} from {given['from']}, expected a factor above 1 "
                             "and a range that begins above 0")
        count = int(math.log(high / low) / math.log(factor) + 1e-9) + 1
        _not_too_many(count, place)
        return Axis(field, tuple(span.value(low * factor**n) for n in range(count)))
    return Axis(field, span=span)


def _not_too_many(count: int, place: str) -> None:
    if count > MOST_VALUES:
        raise SweepError(f"{place}: found a range of {count:,} values, expected at most {MOST_VALUES:,}; give a larger step")


def _quantity(value: Any, place: str) -> tuple[Fraction, str]:
    """A number and its unit. Raises SweepError."""
    found = _QUANTITY.match(str(value)) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    if found is None or len(found[1]) > 40:
        raise SweepError(f"{place}: found {shown(value)}, expected a number, or one with a unit such as '56 KiB'")
    number = Fraction(found[1])
    if abs(number) > 10**15:
        raise SweepError(f"{place}: found {shown(value)}, expected a number within 10**15")
    return number, found[2]
