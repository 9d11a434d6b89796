"""What a core is given and what is observed of it, whoever simulates it: Amaranth's simulator or CXXRTL.

A Stimulus is the arguments of `Engine.run_core`. Every cycle one packed word is observed (`Probe`): the push, the slot, the
activity strobes, the spike and `done`; `Observer` adds the words up to a CoreLog, the form that both engines answer in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from amaranth import Cat, Value
from amaranth.lib import data
from numpy.typing import NDArray

from hwsim.activity import EVENTS, INDEX
from hwsim.program import CoreRun
from hwsim.record import ISSUE_KINDS, CoreLog
from hwsim.rtl.activity import EXEC_EVENTS, ISSUE_EVENTS
from hwsim.rtl.core import HardwareCore
from hwsim.rtl.parameters import Parameters

Ready = Callable[[int], bool]
ALWAYS: Ready = lambda cycle: True  # noqa: E731
# Events of the buffers around the core (A4): not the core's to make, so not compared.
NOT_THE_CORES = ("buffer_read", "buffer_write", *(name for name in EVENTS if name.endswith("_banks")))
WITHOUT_WORD = (ISSUE_KINDS.index("eot"), ISSUE_KINDS.index("skip"))


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
        return int((self.tokens[:, 0] < 0).sum())

    @property
    def payload_bits(self) -> int:
        """Signed bits that hold every payload."""
        low, high = (int(self.tokens[:, 4].min()), int(self.tokens[:, 4].max())) if len(self.tokens) else (0, 0)
        return 1 + max(high.bit_length(), (~low).bit_length() if low < 0 else 0)

    @property
    def longest_cycles(self) -> int:
        """More cycles than the run can take by R1 to R8: every token late, every operation stalled, every neuron a spike."""
        words, lanes = self.run.words, self.run.core.lanes
        arrivals = int(self.earliest.max(initial=0)) + int(self.gaps.sum())
        operations = words * (len(self.tokens) + self.run.clear)
        passes = words * self.eots * len(self.run.table.passes)
        return 100 + arrivals + 3 * (len(self.tokens) + operations) + (3 + lanes) * passes


@dataclass(frozen=True)
class Field:
    """Where a named value lies in an observed word."""

    offset: int
    width: int

    def of(self, word: int) -> int:
        return (word >> self.offset) & ((1 << self.width) - 1)


class Probe:
    """All that is observed of a core, as one value."""

    def __init__(self, core: HardwareCore) -> None:
        p = core.p
        parts: list[tuple[str, Value]] = [
            ("done", core.done), ("push", core.tokens.valid & core.tokens.ready),
            ("slot_valid", core.slot.valid), ("slot_kind", Value.cast(core.slot.kind)), ("slot_word", core.slot.word),
            ("spike_valid", core.spikes.valid & core.spikes.ready),
            *((f"spike_{name}", core.spikes.payload[name]) for name in ("number", "c", "y", "x", "level")),
            *((name, core.activity[name]) for name in ("fifo_push", *ISSUE_EVENTS, *EXEC_EVENTS)),
            *((f"{stage}_{name}", core.activity[f"{stage}_tag"][name]) for stage in ("issue", "exec")
              for name in ("in_pass", "index")),
        ]
        self.value = Cat(*(Value.cast(value) for _, value in parts))
        self.fields: dict[str, Field] = {}
        offset = 0
        for name, value in parts:
            width = len(Value.cast(value))
            self.fields[name] = Field(offset, width)
            offset += width
        self.parameters = p


class Observer:
    """Adds observed words up to a CoreLog, cycle by cycle from cycle 0 of the run."""

    def __init__(self, probe: Probe) -> None:
        self.probe, self.p, self.run = probe, probe.parameters, probe.parameters.run
        self.push: list[int] = []
        self.pop: list[int] = []
        self.issue: list[tuple[int, int, int]] = []
        self.spikes: list[tuple[int, int, int]] = []
        self.levels: list[int] = []
        rows = max(self.run.first_plane + self.run.table.planes, *(p.timestep + 1 for p in self.p.passes), 1) \
            if self.p.passes else self.run.first_plane + self.run.table.planes
        self.counts = np.zeros((rows, len(EVENTS)), np.int64)
        self.saturations = self.done = 0
        self.plane = 0
        # Only what may differ from cycle to cycle is looked at, and most of it is zero in most cycles.
        self._issue = [(name, INDEX[name], probe.fields[name]) for name in ISSUE_EVENTS]
        self._exec = [(name, INDEX[name], probe.fields[name]) for name in EXEC_EVENTS if name != "saturations"]

    def see(self, cycle: int, word: int) -> bool:
        """One cycle; True when it is the cycle of `done`."""
        f = self.probe.fields
        if f["push"].of(word):
            self.push.append(cycle)
            self.counts[self.run.first_plane + self.plane, INDEX["fifo_push"]] += 1
        if f["fifo_pop"].of(word):
            self.pop.append(cycle)
        if f["slot_valid"].of(word):
            kind = f["slot_kind"].of(word)
            self.issue.append((cycle, kind, -1 if kind in WITHOUT_WORD else f["slot_word"].of(word)))
        if f["spike_valid"].of(word):
            _, height, width = self.run.shape
            neuron = (f["spike_c"].of(word) * height + f["spike_y"].of(word)) * width + f["spike_x"].of(word)
            self.spikes.append((cycle, f["spike_number"].of(word), neuron))
            self.levels.append(f["spike_level"].of(word))
        self._count(word, self._issue, self._row(word, "issue"))
        self._count(word, self._exec, self._row(word, "exec"))
        self.saturations += f["saturations"].of(word)
        if f["done"].of(word):
            self.done = cycle
            return True
        return False

    def pushed_eot(self) -> None:
        """The token that was just pushed is an EOT: what is pushed from now on belongs to the next plane."""
        self.plane = (self.plane + 1) % self.run.table.planes

    def _row(self, word: int, stage: str) -> int:
        f = self.probe.fields
        index = f[f"{stage}_index"].of(word)
        return self.p.passes[index].timestep if f[f"{stage}_in_pass"].of(word) else self.run.first_plane + index

    def _count(self, word: int, events: list[tuple[str, int, Field]], row: int) -> None:
        for _, column, field in events:
            if amount := (word >> field.offset) & ((1 << field.width) - 1):
                self.counts[row, column] += amount

    def log(self, states: dict[str, NDArray[np.int64]]) -> CoreLog:
        """The run as a CoreLog; `states` are the potentials, currents and flags that were read out after it."""
        return CoreLog(
            push=np.array(self.push, np.int64), pop=np.array(self.pop, np.int64),
            issue=np.array(self.issue, np.int64).reshape(-1, 3), spikes=np.array(self.spikes, np.int64).reshape(-1, 3),
            done=self.done, counts=self.counts, saturations=self.saturations, **states,
        )


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
