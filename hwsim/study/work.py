"""What runs in a worker of a study, whichever process or machine it is: outlines of points, and the rows of points of one Task.

Whatever goes wrong with a point is its own row's `error`; nothing is raised.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

from hwsim.cost.rate import check_rate
from hwsim.result import Result
from hwsim.simulation import simulate
from hwsim.study.point import Outline, Point, Row, StudyError, failed, key_of, outline, task_of
from hwsim.study.proof import Claim, Proof, claim_of, shown_by
from hwsim.trace.kept import kept_trace


def outlines(points: Sequence[Point]) -> list[Outline | Row]:
    """What is known of points before they run; the row of one that cannot run."""
    found: list[Outline | Row] = []
    for point in points:
        try:
            found.append(outline(point))
        except Exception as error:  # one bad point never ends the others
            found.append(failed(point, error))
    return found


def run_points(points: Sequence[Point], done: Collection[str], proof: Proof | None) -> list[Row]:
    """The rows of points of one Task: simulated once, priced for each.

    done    keys of rows that are there; of a point that has one, its row is only that `key`.
    proof   that the Task's sums need not be made; None: they are made, if the points ask for it.
    """
    result, claim, rows = None, None, list[Row]()
    for point in points:
        key = None
        try:
            design, trace = point.design(), kept_trace(point.trace)
            task = task_of(point, design, trace)
            key = key_of(point, task.hash, design, trace)
            if key in done:
                rows.append({"key": key})
                continue
            if result is None:
                claim = claim_of(task, design, trace)
                result = simulate(
                    trace, design, schedule=point.schedule, engine=point.engine, spikes=point.spikes, samples=point.samples,
                    check=point.check and proof is None, overrides=point.overrides, leak_unused=point.leak_unused)
                result = result if proof is None else proof.completes(result, task)
            priced = result.priced(design, point.overrides, point.leak_unused)
            rows.append({"key": key, "labels": dict(point.labels),
                         **row_of(replace(priced, rate_hz=check_rate(point.rate_hz)), claim, proof)})
        except Exception as error:  # one bad point never ends the others
            rows.append(failed(point, error, key))
    return rows


def row_of(result: Result, claim: Claim | None = None, proof: Proof | None = None) -> Row:
    """What a row says of a result. Raises StudyError where a number is not finite: JSON could not say it."""
    row: Row = {
        "task": result.task.hash, "prices": result.price_id, "model_version": result.task.model_version, **result.summary(),
        "rows_per_cycle": result.rows_per_cycle, "arithmetic": shown_by(result, claim) if proof is None else proof.said()}
    numbers = [(name, value) for name, values in row.items()
               for value in (values.values() if isinstance(values, dict) else [values])]
    if wrong := [f"{name} is {value}" for name, value in numbers if isinstance(value, float) and not math.isfinite(value)]:
        raise StudyError(f"numbers that are not finite: {', '.join(dict.fromkeys(wrong))}; check clock and prices")
    return row
