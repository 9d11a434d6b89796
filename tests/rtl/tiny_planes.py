"""The smallest runs that are fed from planes, in every dataflow, and every plane that they can be given (R19 to R24).

Two lanes. `windows`: two source neurons and a padded kernel, so that six positions see none, one or both of them. `groups`: four
source neurons and one position of three words, so that a visit is one word or two. Two planes, or values of two bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from hwsim.checks.dataflow import core_problems, table_problems
from hwsim.passes import Pass, PassTable
from hwsim.program import CoreRun, CoreSpec
from hwsim.rtl.stimulus import PlaneStimulus
from hwsim.snn.network import Connection

SHAPES = ("windows", "groups")
TABLES = ("rate", "bit_serial", "values")
THETA, PLANES = 3, 2
# The settings of ports, writer, FIFO and scanner are varied together: each meets each order, token and table.
TOGETHER: tuple[dict[str, Any], ...] = (
    {"membrane_ports": "1r1w", "writer": "serial", "fifo_depth": 1, "bypass": False, "scan_bits": 1},
    {"membrane_ports": "1rw", "writer": "word", "fifo_depth": 2, "bypass": True, "scan_bits": 3},
)


def tiny_plane_runs(shape: str, table: str) -> Iterator[CoreRun]:
    """A run in each dataflow that can be built, kept and not kept in turn."""
    for number, (order, token, passes, more) in enumerate(product(
            ("scatter", "gather"), ("one", "all"), ("by_pass", "by_word"), TOGETHER)):
        multiplier = "bit_serial" if token == "all" and table == "values" and number % 2 else "parallel"
        core = CoreSpec(
            lanes=2, potential_bits=5, current_bits=5, shift_at="weight", buffer="bitmap", order=order,  # type: ignore[arg-type]
            accumulators=2, planes_per_token=token, adders=1 + number % 2, multiplier=multiplier, passes=passes, **more)
        run = replace(_layer(shape, table), core=core, keep=number % 3 == 0)
        if not core_problems(core) and not table_problems(run):
            yield run


def _layer(shape: str, table: str) -> CoreRun:
    if shape == "windows":
        weights = np.array([[[[1, 3], [2, -1]]], [[[-2, 4], [3, 1]]]])
        wire, out = Connection("a", "conv2d", (1, 1, 2), weights, kernel=2, padding=1), (2, 2, 3)
    else:
        weights = np.array([[1, -2, 3, 0], [2, 2, -1, 4], [0, 3, 1, -3], [3, -1, 0, 2], [-1, 1, 2, 3]])
        wire, out = Connection("a", "linear", (1, 2, 2), weights), (5, 1, 1)
    fires = {"rate": tuple(Pass(n + 1, "fire", THETA, add=True, timestep=n) for n in range(PLANES)),
             "bit_serial": tuple(Pass(PLANES, "fire", THETA << 1, shift=n, timestep=n) for n in range(PLANES)),
             "values": (Pass(1, "fire", THETA << 1, timestep=0), Pass(1, "fire", THETA << 1, shift=1, timestep=1))}[table]
    initial = np.arange(np.prod(out)).reshape(out) % 3 - 1
    planes = 1 if table == "values" else PLANES
    lowered = PassTable(planes, fires, initial, addend=np.ones(out, np.int64) if table == "rate" else None,
                        weigh_planes=table == "bit_serial")
    core = CoreSpec(2, 5, 5, 1, True, "weight", "bitmap")
    return CoreRun(core, out, (0, -(-out[0] // 2)), (wire,), lowered, 5, 5, clear=True,
                   payload_bits=(2 if table == "values" else 0,))


def tiny_plane_stimuli(run: CoreRun) -> Iterator[PlaneStimulus]:
    """Every content of the planes, with a clear and from potentials just below, at and above the threshold."""
    channels, height, width = run.connections[0].source_shape
    valued = run.sends_payloads(0)
    planes, levels = run.table.planes, 4 if valued else 2
    nothing = np.zeros(run.shape, np.int64)
    start = (np.arange(nothing.size).reshape(run.shape) % 4) + THETA - 2
    for content in product(range(levels), repeat=planes * height * width * channels):
        given = np.array(content, np.int64).reshape(planes, height, width, channels)
        for clear in (True, False):
            yield PlaneStimulus(replace(run, clear=clear), (given,), 1 if run.merged else planes,
                                nothing if clear else start, nothing, nothing)
