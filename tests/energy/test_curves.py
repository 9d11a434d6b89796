"""Laws of the curves between printed widths: exact at the points, rising, positive, and honest about where they end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwsim.cost.technology.curves import MAX_BITS, evaluate, flaw
from hwsim.cost.technology.sources import shipped
from hwsim.cost.technology.tables import unit_cost, units

QUANTITIES = ("energy_pj", "area_um2", "leakage_nw")
LOOKUPS = [(table, operation, quantity) for table in shipped("units")
           for operation in units(table).operations for quantity in QUANTITIES]


@pytest.mark.parametrize(("table", "operation", "quantity"), LOOKUPS)
def test_every_table_rises_and_is_positive_at_every_width(table: str, operation: str, quantity: str) -> None:
    values = [unit_cost(table, operation, quantity, (b,)).value for b in range(1, MAX_BITS + 1)]  # type: ignore[arg-type]
    assert values[0] > 0
    assert values == sorted(values)


@given(st.sampled_from(["affine", "power"]), st.integers(1, 31), st.floats(0.01, 10), st.floats(1.01, 50))
def test_both_ends_are_exact_and_the_middle_lies_between(form: str, low: int, value: float, ratio: float) -> None:
    points = [(low, value), (32, value * ratio)]
    assert evaluate(form, points, [low])[0] == value
    assert evaluate(form, points, [32])[0] == value * ratio
    for bits in range(low, 33):
        assert value * (1 - 1e-12) <= evaluate(form, points, [bits])[0] <= value * ratio * (1 + 1e-12)


@given(st.integers(1, 32), st.integers(1, 32), st.floats(1.5, 2.5))
def test_a_product_depends_on_the_product_of_its_widths(a: int, b: int, exponent: float) -> None:
    points = [(8, 0.2), (32, 0.2 * 4**exponent)]
    value = evaluate("product", points, [a, b])[0]
    assert value == evaluate("product", points, [b, a])[0]
    assert value == pytest.approx(0.2 * (a * b / 64) ** (exponent / 2))
    assert evaluate("product", points, [8, 8])[0] == 0.2 == evaluate("product", points, [8])[0]
    assert evaluate("product", points, [4, 16])[0] == 0.2, "the same partial products"


def test_a_formula_says_when_it_leaves_the_table() -> None:
    points = [(8, 0.03), (32, 0.1)]
    assert evaluate("affine", points, [8])[1] == "0.03"
    assert evaluate("affine", points, [16])[1] == "0.03 + (0.1 - 0.03) x (16 - 8) / (32 - 8)"
    for bits in (4, 40):
        assert "continued beyond the table" in evaluate("affine", points, [bits])[1]


@pytest.mark.parametrize(("form", "points", "says"), [
    ("affine", [(8, 0.024), (32, 0.13)], "not positive below 3 bits"),
    ("affine", [(8, 0.2), (32, 0.1)], "falls with the width"),
    ("power", [(8, 0.2)], "at least two points"),
    ("proportional", [(1, 1.0), (2, 2.0)], "exactly one point"),
    ("power", [(32, 0.2), (8, 0.1)], "rising bits"),
])
def test_a_curve_that_cannot_be_is_told(form: str, points: list[tuple[int, float]], says: str) -> None:
    assert says in (flaw(form, points) or "")
