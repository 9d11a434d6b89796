"""What one event adds: factors, bits and slots of an accumulation, one plane or all planes to a token (R11, R21)."""

from __future__ import annotations

from typing import NamedTuple

from hwsim.engine.reference.tokens import Token
from hwsim.program import CoreRun


class Work(NamedTuple):
    """An accumulation, the same for every word that its event touches.

    slots     cycles that EXEC works for.
    factors   what the weight is multiplied by in each saturating addition.
    planes    instead of factors: the planes whose sums each take the weight once.
    adds      terms per synapse.      shifts  those of them that are shifted.      multiplies  whether a multiplier works.
    """

    slots: int
    factors: tuple[int, ...]
    planes: tuple[int, ...]
    adds: int
    shifts: int
    multiplies: bool


def work_of(token: Token, plane: int, run: CoreRun) -> Work:
    """The work of an event that comes after `plane` EOTs of its period."""
    if run.merged:
        return _merged(token, run)
    # One shifter does both shifts of R11, so that a synapse is shifted once or not at all.
    shift = (plane if run.table.weigh_planes else 0) + (0 if token.has_payload else run.table.spike_shift)
    factor = (token.payload if token.has_payload else 1) << shift
    return Work(1, (factor,), (), 1, int(shift > 0), bool(token.has_payload))


def _merged(token: Token, run: CoreRun) -> Work:
    if token.has_payload and run.core.multiplier == "parallel":
        return Work(1, (token.payload,), (), 1, 0, True)
    bits = _set_bits(abs(token.payload))
    adders = run.core.adders
    in_slots = [bits[k : k + adders] for k in range(0, len(bits), adders)] or [[]]
    if not token.has_payload and not run.table.weigh_planes:
        return Work(len(in_slots), (), tuple(bits), len(bits), 0, False)
    sign = -1 if token.payload < 0 else 1
    factors = tuple(sign * sum(1 << bit for bit in slot) for slot in in_slots)
    return Work(len(in_slots), factors, (), len(bits), sum(bit > 0 for bit in bits), False)


def _set_bits(pattern: int) -> list[int]:
    """By rising weight."""
    return [n for n in range(pattern.bit_length()) if pattern >> n & 1]
