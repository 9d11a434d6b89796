"""Small hardware idioms that several units share: naming an intermediate value, saturating, counting bits."""

from __future__ import annotations

from collections.abc import Iterable

from amaranth import Cat, Module, Mux, Signal, Value, ValueLike, signed


def wire(m: Module, name: str, value: ValueLike) -> Signal:
    """A named signal, as wide as `value`, that carries it: full width inside (R10)."""
    cast = Value.cast(value)
    named = Signal(cast.shape(), name=name)
    m.d.comb += named.eq(cast)
    return named


def least(a: ValueLike, b: ValueLike) -> Value:
    return Mux(Value.cast(a) < b, a, b)


def most(a: ValueLike, b: ValueLike) -> Value:
    return Mux(Value.cast(a) > b, a, b)


def saturate(m: Module, name: str, value: ValueLike, bits: int) -> tuple[Signal, Signal]:
    """`value` clipped to a signed number of `bits`, and whether it was clipped (R10)."""
    full = wire(m, f"{name}_full", value)
    top, bottom = (1 << (bits - 1)) - 1, -(1 << (bits - 1))
    above, below = full > top, full < bottom
    result, clipped = Signal(signed(bits), name=name), Signal(name=f"{name}_clipped")
    m.d.comb += [result.eq(Mux(above, top, Mux(below, bottom, full))), clipped.eq(above | below)]
    return result, clipped


def total(values: Iterable[ValueLike]) -> Value:
    """The sum of a few small numbers, as wide as it needs to be: a balanced tree of adders."""
    parts = [Value.cast(value) for value in values]
    while len(parts) > 1:
        parts = [parts[i] + parts[i + 1] if i + 1 < len(parts) else parts[i] for i in range(0, len(parts), 2)]
    return parts[0] if parts else Cat()
