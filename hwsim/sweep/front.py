"""What is best among the rows of a study: the Pareto front of several columns, the least of one, and conditions on both.

A condition is `COLUMN < NUMBER`, with <, <=, >, >=, == or !=; words are compared with == and != only. Rows with an error, or
without a number in a column that is asked for, are no candidates.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import shown
from hwsim.sweep.axis import SweepError

if TYPE_CHECKING:
    import pandas as pd

_CONDITION = re.compile(r"\s*(.+?)\s*(<=|>=|==|!=|<|>)\s*(.+?)\s*\Z")
_TESTS: dict[str, Any] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne}


def pareto(table: pd.DataFrame, minimise: Sequence[str], maximise: Sequence[str] = (), where: Sequence[str] = ()) -> pd.DataFrame:
    """The rows that no other row beats: none is as good in every column and better in one. Sorted by the first column.

    Of rows that are equal in all columns the first stays. Raises SweepError for columns or conditions that cannot be.
    """
    chosen = candidates(table, [*minimise, *maximise], where)
    costs = np.column_stack([*(chosen[name].to_numpy(float) for name in minimise),
                             *(-chosen[name].to_numpy(float) for name in maximise)])
    return chosen.iloc[front(costs)]


def best(table: pd.DataFrame, minimise: str, where: Sequence[str] = (), count: int = 1) -> pd.DataFrame:
    """The `count` rows of least `minimise`, the least first. Raises SweepError."""
    chosen = candidates(table, [minimise], where)
    return chosen.iloc[np.argsort(chosen[minimise].to_numpy(float), kind="stable")[:count]]


def knee(costs: NDArray[np.float64]) -> int:
    """Of a front's points (n, d), all above 0, the row of least product of costs: what an equal share of each would choose.

    A product does not ask for weights or scales: a factor on a column moves no choice.
    """
    return int(np.argmin(np.log(costs).sum(axis=1)))


def front(costs: NDArray[np.float64]) -> NDArray[np.intp]:
    """Rows of (n, d) that no other row beats, by the first column. A sort, then each row against the front so far."""
    order = np.lexsort(costs.T[::-1])
    kept: list[int] = []
    best_rows = np.empty((0, costs.shape[1]))
    for row in order:
        if not (best_rows <= costs[row]).all(axis=1).any():
            kept.append(int(row))
            best_rows = np.vstack([best_rows, costs[row]])
    return np.array(kept, np.intp)


def candidates(table: pd.DataFrame, columns: Sequence[str], where: Sequence[str]) -> pd.DataFrame:
    """The rows that meet all conditions and have a number in every column asked for. Raises SweepError where there is none."""
    import pandas as pd

    if not columns:
        raise SweepError("found nothing to minimise, expected at least one column")
    chosen = table
    for condition in where:
        chosen = chosen[_met(chosen, condition)]
    for name in columns:
        _known(table, name)
        numbers = pd.to_numeric(table[name], errors="coerce")
        if numbers.isna().all() and "error" in table and table["error"].notna().all():
            raise SweepError(f"{name}: all {len(table)} points failed; the column error says why")
        if numbers.isna().all() and len(table):
            raise SweepError(f"{name}: found no numbers in this column; columns with numbers are {_numeric(table)}")
        chosen = chosen[numbers[chosen.index].notna()]
    if chosen.empty:
        raise SweepError(f"found no row of {len(table)} with {', '.join(columns)}"
                         f"{' and ' + ' and '.join(where) if where else ''}; loosen the conditions")
    return chosen


def _met(table: pd.DataFrame, condition: str) -> pd.Series[bool]:
    import pandas as pd

    found = _CONDITION.match(condition)
    if found is None:
        raise SweepError(f"--where {shown(condition)}: found no condition, expected for example 'latency_ms < 1'")
    name, sign, value = found.groups()
    _known(table, name)
    try:
        number = float(value)
    except ValueError:
        if sign not in ("==", "!="):
            raise SweepError(f"--where {shown(condition)}: found {shown(value)}, expected a number beside {sign}") from None
        return table[name].map(lambda have: bool(_TESTS[sign](str(have), value.strip("'\""))))
    numbers = pd.to_numeric(table[name], errors="coerce")
    met: pd.Series[bool] = _TESTS[sign](numbers, number) & numbers.notna()
    return met


def _known(table: pd.DataFrame, name: str) -> None:
    if name not in table:
        raise SweepError(f"{shown(name)}: found no such column, expected one of {', '.join(map(str, table.columns))}")


def _numeric(table: pd.DataFrame) -> str:
    return ", ".join(str(name) for name in table if table[name].dtype.kind in "fi")
