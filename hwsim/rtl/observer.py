"""What is observed of a core in every cycle, whoever simulates it, and how it becomes a CoreLog.

One packed word per cycle (`Probe`): the push, the slot, the activity strobes, the spikes, `done`; `Observer` adds the words up to
the form that both engines answer in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from amaranth import Cat, Value
from numpy.typing import NDArray

from hwsim.activity import EVENTS, INDEX
from hwsim.record import ISSUE_KINDS, CoreLog
from hwsim.rtl.core import HardwareCore
from hwsim.rtl.memories import unpack
from hwsim.rtl.stimulus import Given, state_widths
from hwsim.rtl.strobes import exec_events, issue_events

if TYPE_CHECKING:
    from hwsim.rtl.scanned_core import ScannedCore

WITHOUT_WORD = (ISSUE_KINDS.index("eot"), ISSUE_KINDS.index("skip"))


@dataclass(frozen=True)
class Field:
    """Where a named value lies in an observed word."""

    offset: int
    width: int

    def of(self, word: int) -> int:
        return (word >> self.offset) & ((1 << self.width) - 1)


class Probe:
    """All that is observed of a core, as one value."""

    def __init__(self, core: HardwareCore, scanned: ScannedCore | None = None) -> None:
        p = core.p
        parts: list[tuple[str, Value]] = [
            ("done", core.done), ("push", core.tokens.valid & core.tokens.ready),
            ("slot_valid", core.slot.valid), ("slot_kind", Value.cast(core.slot.kind)), ("slot_word", core.slot.word),
            *([("slot_quiet", core.slot.quiet)] if p.masks_first else []),
            ("spike_valid", core.spikes.valid & core.spikes.ready),
            *((f"spike_{name}", Value.cast(core.spikes.payload[name])) for name, _ in p.sent),
            *((name, core.activity[name]) for name in ("fifo_push", *issue_events(p), *exec_events(p))),
            *((f"{stage}_{name}", core.activity[f"{stage}_tag"][name]) for stage in ("issue", "exec")
              for name in ("in_pass", "index")),
            *(_kept(core) if p.keeps_words else ()),
            *([("bias_read_begun", core.activity.bias_read_begun)] if p.gathers else []),
            *(_scanned(scanned) if scanned is not None else ()),
        ]
        self.value = Cat(*(Value.cast(value) for _, value in parts))
        self.fields: dict[str, Field] = {}
        offset = 0
        for name, value in parts:
            width = len(Value.cast(value))
            self.fields[name] = Field(offset, width)
            offset += width
        self.parameters = p


def _kept(core: HardwareCore) -> Iterator[tuple[str, Value]]:
    yield "kept_word", core.kept.word
    for name in core.p.state_bits:
        yield f"kept_{name}", core.kept[name]
        yield f"kept_seen_{name}", core.kept.seen[name]


def _scanned(scanned: ScannedCore) -> Iterator[tuple[str, Value]]:
    tokens = scanned.core.tokens
    yield "buffer_read", scanned.scans
    yield "push_eot", tokens.valid & tokens.ready & tokens.payload.eot


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
        self.plane = self.marks = 0
        self.stimulus: Given | None = None
        # Only what may differ from cycle to cycle is looked at, and most of it is zero in most cycles.
        self._issue = [(name, INDEX[name], probe.fields[name]) for name in issue_events(self.p)]
        self.kept: dict[str, dict[int, int]] = {name: {} for name in self.p.state_bits if self.p.keeps_words}
        self._exec = [(name, INDEX[name], probe.fields[name]) for name in exec_events(self.p) if name != "saturations"]

    def of(self, stimulus: Given) -> Observer:
        """Tells what the core is given: what it does says neither a visit's EOTs nor what an untouched word begins with."""
        self.stimulus = stimulus
        return self

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
            quiet = "slot_quiet" in f and f["slot_quiet"].of(word)  # skipped, but with a word (R25)
            self.issue.append((cycle, kind, -1 if kind in WITHOUT_WORD and not quiet else f["slot_word"].of(word)))
        if f["spike_valid"].of(word):
            self._spikes(cycle, word)
        if "buffer_read" in f:
            self.counts[self.run.first_plane + self.plane, INDEX["buffer_read"]] += f["buffer_read"].of(word)
        self._count(word, self._issue, self._row(word, "issue"))
        self._count(word, self._exec, self._row(word, "exec"))
        if self.p.gathers:
            self.counts[self.run.first_plane, INDEX["bias_read"]] += f["bias_read_begun"].of(word)
        self.saturations += f["saturations"].of(word)
        for name, kept in self.kept.items():
            if f[f"kept_seen_{name}"].of(word):
                kept[f["kept_word"].of(word)] = f[f"kept_{name}"].of(word)
        if f["done"].of(word):
            self.done = cycle
            return True
        return False

    def _spikes(self, cycle: int, word: int) -> None:
        """A spike, or those of a word, lowest lane first."""
        f, (_, height, width) = self.probe.fields, self.run.shape
        fired = f["spike_fired"].of(word) if self.p.writes_words else 1
        levels = f["spike_levels" if self.p.writes_words else "spike_level"].of(word)
        for lane in range(fired.bit_length()):
            if fired >> lane & 1:
                channel = f["spike_c"].of(word) + lane
                neuron = (channel * height + f["spike_y"].of(word)) * width + f["spike_x"].of(word)
                self.spikes.append((cycle, f["spike_number"].of(word), neuron))
                bits = self.p.level_shape.width
                self.levels.append(levels >> (lane * bits) & ((1 << bits) - 1))

    def pushed_eot(self) -> None:
        """The token that was just pushed is an EOT: what is pushed from now on belongs to the next plane."""
        self.marks += 1
        if self.p.gathers and self.stimulus is not None:
            self.marks %= self.stimulus.eots
        self.plane = self.marks % self.run.table.planes

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
        if not self.p.memories_tell:
            states = {name: self._as_kept(name, state) for name, state in states.items()}
        return CoreLog(
            push=np.array(self.push, np.int64), pop=np.array(self.pop, np.int64),
            issue=np.array(self.issue, np.int64).reshape(-1, 3), spikes=np.array(self.spikes, np.int64).reshape(-1, 3),
            done=self.done, counts=self.counts, saturations=self.saturations, **states,
        )


    def _as_kept(self, name: str, state: NDArray[np.int64]) -> NDArray[np.int64]:
        """A state with what the last operation on each word left of it, which no memory holds."""
        before = state
        memory = next((memory.lower() for memory, field, _ in state_widths(self.p) if field == name), None)
        if memory is None:
            return state
        if self.p.gathers and self.stimulus is not None and self.stimulus.run.clear:
            state = self.run.table.initial if memory == "membrane" else np.zeros_like(state)
        bits, words = self.p.state_bits[memory], self.p.state_words(state)
        for word, packed in self.kept[memory].items():
            values = unpack(packed, self.p.lanes, bits)
            words[word] = [value & 1 for value in values] if memory == "mask" else values
        return self.p.state_of(words, before)
