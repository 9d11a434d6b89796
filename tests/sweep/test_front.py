"""Pareto fronts, the best rows and conditions, against their definitions by force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwsim.sweep.axis import SweepError
from hwsim.sweep.front import best, front, knee, pareto

costs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=25)


@given(costs)
def test_a_front_is_what_no_other_row_beats(rows: list[tuple[int, int, int]]) -> None:
    """By force over all pairs; of equal rows one stays."""
    values = np.array(rows, float)
    beaten = {j for i, one in enumerate(values) for j, other in enumerate(values)
              if (one <= other).all() and (one < other).any()}
    wanted = {tuple(values[i]) for i in range(len(values)) if i not in beaten}
    kept = [tuple(values[i]) for i in front(values)]
    assert len(kept) == len(set(kept))
    assert set(kept) == wanted
    assert kept == sorted(kept)


@given(costs, st.floats(0.1, 10))
def test_a_factor_on_a_column_moves_neither_front_nor_knee(rows: list[tuple[int, int, int]], factor: float) -> None:
    values = np.array(rows, float) + 1
    scaled = values * [factor, 1, 1]
    assert list(front(values)) == list(front(scaled))
    chosen = values[front(values)]
    products = chosen.prod(axis=1)
    assert products[knee(chosen)] == pytest.approx(products.min())
    assert products[knee(chosen * [factor, 1, 1])] == pytest.approx(products.min())


TABLE = pd.DataFrame({"arch": ["a", "b", "c", "d"], "x": [1.0, 2.0, None, 1.0], "y": [3.0, 1.0, 0.0, 3.0],
                      "error": [None, None, "no", None]})


def test_rows_without_a_number_are_no_candidates_and_maximise_turns_a_column() -> None:
    assert list(pareto(TABLE, ["x", "y"])["arch"]) == ["a", "b"]
    assert list(pareto(TABLE, ["x"], ["y"])["arch"]) == ["a"]
    assert list(best(TABLE, "x", count=9)["arch"]) == ["a", "d", "b"]


@pytest.mark.parametrize(("where", "kept"), [
    ("y < 3", ["b"]), ("y<=3", ["a", "b", "d"]), ("y != 3", ["b"]), ("arch == a", ["a"]), ("arch != 'a'", ["b", "d"]),
    ("x >= 2", ["b"])])
def test_conditions(where: str, kept: list[str]) -> None:
    assert sorted(best(TABLE, "x", [where], 9)["arch"]) == kept


@pytest.mark.parametrize(("call", "expected"), [
    (lambda: best(TABLE, "z"), "found no such column, expected one of arch, x, y"),
    (lambda: best(TABLE, "arch"), "found no numbers in this column; columns with numbers are x, y"),
    (lambda: best(TABLE, "x", ["y ~ 3"]), "found no condition"),
    (lambda: best(TABLE, "x", ["arch < b"]), "expected a number beside <"),
    (lambda: best(TABLE, "x", ["y > 9"]), "found no row of 4 with x and y > 9"),
    (lambda: pareto(TABLE, []), "nothing to minimise"),
])
def test_questions_without_an_answer_are_refused(call, expected: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SweepError, match=expected):
        call()
