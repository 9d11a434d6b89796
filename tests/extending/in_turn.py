"""A schedule that hwsim does not have, in one file: layer by layer, and nothing overlaps.

Every operation waits for the one before it in the list, whatever resource it takes. So a sample takes the sum of all durations,
and the difference to layer by layer is what overlap gains. Any network and any chip that runs layer by layer runs so too.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hwsim.mapping import Mapping
from hwsim.program import Program
from hwsim.schedules.base import Schedule
from hwsim.schedules.layer_by_layer import LAYER_BY_LAYER


def build_in_turn(mapping: Mapping) -> Program:
    """The Program of one sample."""
    program = LAYER_BY_LAYER.build(mapping)
    before = {op.id: last.id for last, op in pairwise(op for op in program.operations if not op.setup)}
    operations = tuple(
        replace(op, deps=tuple(sorted({*op.deps, before[op.id]}))) if op.id in before else op for op in program.operations)
    return replace(program, schedule=IN_TURN.name, operations=operations)


IN_TURN = Schedule(
    name="in_turn", short="in turn", build=build_in_turn, states_wait=False, planes_wait=LAYER_BY_LAYER.planes_wait,
    misfits=LAYER_BY_LAYER.misfits)
