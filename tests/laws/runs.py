"""Small runs for laws, and how their logs are read: a linear layer of a few neurons, whatever its pass table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hwsim.passes import Pass, PassTable
from hwsim.program import CoreRun, CoreSpec
from hwsim.record import ISSUE_KINDS, CoreLog
from hwsim.snn.network import Connection

EOT = (-1, 0, 0, 0, 0, 0)
NOWHERE = (0, 0, 0, 2, 0, 0)
"""An event that touches no word of a `pooled` run: it lies outside the complete windows."""
NEVER = 1 << 30
"""A threshold that is not reached."""
both = pytest.mark.parametrize("bypass", [True, False], ids=["bypass", "no bypass"])


def event(c: int = 0, payload: int | None = None) -> tuple[int, ...]:
    return (0, c, 0, 0, payload or 0, int(payload is not None))


def fire(eot: int = 1, threshold: int = NEVER, **changes: Any) -> Pass:
    return Pass(eot, "fire", threshold=threshold, **({"timestep": eot - 1} | changes))


def fires(threshold: int, flags: str, times: int, **more: Any) -> tuple[Pass, ...]:
    return tuple(fire(n + 1, threshold, flags=flags, **more) for n in range(times))


def spec(**changes: Any) -> CoreSpec:
    numbers: dict[str, Any] = {
        "lanes": 4, "potential_bits": 16, "current_bits": 24, "fifo_depth": 4, "bypass": True, "shift_at": "weight",
        "buffer": "aer", "scan_bits": 64,
    }
    return CoreSpec(**(numbers | changes))


def narrow(bits: int = 8, **changes: Any) -> CoreSpec:
    """Two lanes, potentials and currents of equal width, a FIFO that never fills."""
    return spec(**({"lanes": 2, "potential_bits": bits, "current_bits": bits, "fifo_depth": 8} | changes))


def linear_run(
    weights: list[list[int]], passes: tuple[Pass, ...], core: CoreSpec, planes: int = 0, initial: list[int] | None = None,
    clear: bool = True, first_plane: int = 0, pooled: bool = False, **table: Any,
) -> CoreRun:
    """A linear layer of len(weights) neurons with one source channel per column.

    planes   those of the passes, if left out.       pooled   the source is 2 x 3 per channel, behind a folded pool of 2.
    """
    matrix = np.array(weights, np.int64)
    shape = (len(matrix), 1, 1)
    start = np.zeros(shape, np.int64) if initial is None else np.array(initial, np.int64).reshape(shape)
    if "addend" in table:
        table["addend"] = np.array(table["addend"], np.int64).reshape(shape)
    planes = planes or max((p.after_eot for p in passes), default=1)
    pool: dict[str, Any] = {"pool": 2, "pool_mode": "folded"} if pooled else {}
    connection = Connection("source", "linear", (matrix.shape[1], *((2, 3) if pooled else (1, 1))), matrix, **pool)
    return CoreRun(
        core=core, shape=shape, groups=(0, -(-shape[0] // core.lanes)), connections=(connection,),
        table=PassTable(planes=planes, passes=passes, initial=start, **table), potential_bits=core.potential_bits,
        current_bits=core.current_bits, clear=clear, first_plane=first_plane,
    )


def issued(log: CoreLog) -> list[tuple[int, str, int]]:
    """(cycle, kind, word) of every slot."""
    return [(int(cycle), ISSUE_KINDS[kind], int(word)) for cycle, kind, word in log.issue]


def kinds(log: CoreLog) -> list[str]:
    return [ISSUE_KINDS[kind] for kind in log.issue[:, 1]]


def flat(state: np.ndarray) -> list[int]:
    values: list[int] = state.reshape(-1).tolist()
    return values
