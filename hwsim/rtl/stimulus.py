"""What a core is given, whoever simulates it: Amaranth's simulator or CXXRTL.

A Stimulus is the arguments of `Engine.run_core`, a PlaneStimulus those of `Engine.run_planes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from amaranth.lib import data
from numpy.typing import NDArray

from hwsim.activity import EVENTS
from hwsim.program import CoreRun
from hwsim.rtl.dataflow import Dataflow
from hwsim.rtl.parameters import Parameters

Ready = Callable[[int], bool]
ALWAYS: Ready = lambda cycle: True  # noqa: E731
# Events of the buffers around the core (A4): not the core's to make, so not compared.
NOT_THE_CORES = ("buffer_read", "buffer_write", *(name for name in EVENTS if name.endswith("_banks")))


@dataclass(frozen=True, eq=False)
class Stimulus:
    """One run: arguments of `Engine.run_core`. tokens (n, 6), gaps and earliest (n,), states (C, H, W)."""

    run: CoreRun
    tokens: NDArray[np.int64]
    gaps: NDArray[np.int64]
    earliest: NDArray[np.int64]
    potentials: NDArray[np.int64]
    currents: NDArray[np.int64]
    flags: NDArray[np.int64]

    @property
    def arguments(self) -> tuple[object, ...]:
        """Positional arguments of `run_core`; the states are fresh copies."""
        return (self.run, self.tokens, self.gaps, self.earliest, self.potentials.copy(), self.currents.copy(),
                self.flags.copy())

    @property
    def eots(self) -> int:
        """EOTs of the run; in gather order, those of each visit."""
        return int((self.tokens[:, 0] < 0).sum()) // Dataflow(self.run).visits

    @property
    def payload_bits(self) -> int:
        """Signed bits that hold every payload."""
        low, high = (int(self.tokens[:, 4].min()), int(self.tokens[:, 4].max())) if len(self.tokens) else (0, 0)
        return 1 + max(high.bit_length(), (~low).bit_length() if low < 0 else 0)

    @property
    def longest_cycles(self) -> int:
        """More cycles than the run can take by R1 to R8: every token late, every operation stalled, every neuron a spike."""
        words, lanes = self.run.words * self._slots, self.run.core.lanes
        arrivals = int(self.earliest.max(initial=0)) + int(self.gaps.sum())
        operations = words * (len(self.tokens) + 2)
        passes = words * self.eots * len(self.run.table.passes)
        return 100 + arrivals + 3 * (len(self.tokens) + operations) + (3 + lanes) * passes


    @property
    def _slots(self) -> int:
        """At most, of an operation (R21)."""
        return self.payload_bits if self.run.merged else 1


@dataclass(frozen=True, eq=False)
class PlaneStimulus:
    """One run: arguments of `Engine.run_planes`. planes (n, H, W, C) of each connection, states (C, H, W)."""

    run: CoreRun
    planes: tuple[NDArray[np.integer], ...]
    eots: int
    potentials: NDArray[np.int64]
    currents: NDArray[np.int64]
    flags: NDArray[np.int64]

    @property
    def arguments(self) -> tuple[object, ...]:
        """Positional arguments of `run_planes`; the states are fresh copies."""
        return (self.run, self.planes, self.eots, self.potentials.copy(), self.currents.copy(), self.flags.copy())

    @property
    def longest_cycles(self) -> int:
        """More cycles than the run can take: every row read for itself, every neuron an event of all words and slots."""
        words, lanes, visits = self.run.words, self.run.core.lanes, Dataflow(self.run).visits
        neurons = sum(int(each[0].size) for each in self.planes if len(each))
        bits = sum(int(each.size) for each in self.planes)
        passes = words * self.eots * (len(self.run.table.passes) + 3)
        return 100 + visits * (3 * bits + self.eots) + 3 * neurons * words * 64 + 3 * (3 + lanes) * passes


Given = Stimulus | PlaneStimulus


class Feeder:
    """R2 as a producer: token k is offered from max(p_(k-1) + gap_k, earliest_k) on, until the FIFO takes it."""

    def __init__(self, stimulus: Stimulus, layout: data.StructLayout) -> None:
        self.tokens = [pack_token(layout, token) for token in stimulus.tokens.tolist()]
        self.is_eot = (stimulus.tokens[:, 0] < 0).tolist()
        self.gaps, self.earliest = stimulus.gaps.tolist(), stimulus.earliest.tolist()
        self.at, self.last = 0, -1

    def offers(self, cycle: int) -> int | None:
        """The token offered in this cycle as bits, or None."""
        if self.at == len(self.tokens) or cycle < max(self.last + self.gaps[self.at], self.earliest[self.at]):
            return None
        return self.tokens[self.at]

    def taken(self, cycle: int) -> bool:
        """The FIFO took it; whether it was an EOT."""
        self.at, self.last = self.at + 1, cycle
        return bool(self.is_eot[self.at - 1])


def pack_token(layout: data.StructLayout, token: list[int]) -> int:
    """A row (connection, c, y, x, payload, has_payload) as the bits of the core's token."""
    connection, c, y, x, payload, has_payload = token
    eot = connection < 0
    values = {"eot": int(eot), "connection": 0 if eot else connection, "c": c, "y": y, "x": x, "has_payload": has_payload,
              "payload": payload}
    bits = 0
    for name, field in layout:
        bits |= (values[name] & ((1 << field.width) - 1)) << field.offset
    return bits


def parameters_of(stimuli: list[Stimulus]) -> Parameters:
    """One elaboration for stimuli that share their run (but for `clear`) and fit the widest payload."""
    return Parameters(stimuli[0].run, max(2, *(s.payload_bits for s in stimuli)))


def with_clear(stimulus: Stimulus, clear: bool) -> Stimulus:
    return replace(stimulus, run=replace(stimulus.run, clear=clear))


def state_widths(p: Parameters) -> Iterator[tuple[str, str, int]]:
    """(host memory, CoreLog field, bits a lane) of every state memory that the core has."""
    yield "MEMBRANE", "potentials", p.run.potential_bits
    if p.direct:
        yield "CURRENT", "currents", p.run.current_bits
    if p.flagged:
        yield "MASK", "flags", 1
