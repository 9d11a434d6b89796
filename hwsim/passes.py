"""The pass table: what a run of the core does besides accumulating, whatever the neuron model that asked for it.

A run of the core receives `planes` end-of-timestep marks (EOT) a period. After some of them it makes passes over all
membrane words of the layer. Everything a neuron model asks of the hardware is here; engines know passes, not models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PassKind = Literal["fire", "shift", "readout", "requant", "mask", "reinitialise", "count"]
DECAY_BITS = 12
DECAY_WHOLE = 1 << DECAY_BITS
"""Decays are in 1 / DECAY_WHOLE."""
BANKS = 2
"""Of the current memory, where a current lives for one timestep and events have a pipe of their own (R27)."""
FlagUse = Literal["ignore", "masked", "fire_once"]


@dataclass(frozen=True)
class Pass:
    """One sweep over the membrane words, made after the `after_eot`-th EOT (1-based) of a period.

    kind       fire: add, compare, reset, leak or decay, write; shift: V <- 2 V; readout: potentials leave;
               requant: the value clip(V // threshold, 0, max_level) leaves, V is not written;
               mask: a neuron with V < 0 is flagged off, V <- initial; reinitialise: V <- initial;
               count: a neuron below the threshold pays the table's `wait`, another is flagged and pays no more (R28).
    threshold  compared value before the shift; the pass compares with threshold >> shift.
    add        the pass first adds the table's addend (bias) and, for direct tables, the current.
    timestep   timestep of the layer's output that the pass makes (0-based), for reports.
    flags      of a fire pass: `ignore` them; `masked`: a neuron that is flagged off is left out; `fire_once`: the same, and a
               neuron that fires is flagged off instead of being reset. A count pass has `fire_once`: it flags, and sends nothing.
    """

    after_eot: int
    kind: PassKind
    threshold: int = 0
    shift: int = 0
    add: bool = False
    timestep: int = 0
    flags: FlagUse = "ignore"

    @property
    def sends(self) -> bool:
        """Whether it writes a plane of the layer's output: spikes, or values."""
        return self.kind in ("fire", "requant")


@dataclass(frozen=True, eq=False)
class PassTable:
    """What a run of one layer does besides accumulating.

    planes        EOTs in a period; after `planes` EOTs the count starts again.
    weigh_planes  True: an event after n EOTs (n < planes) weighs 2**n: its weight is shifted left by n.
    direct        True: events build up a current that every adding pass adds (rate-coded first layer; `cuba_lif`).
    initial       (C, H, W) what the clear pass writes.       addend  (C, H, W) what adding passes add, or None.
    reset         soft subtracts the compared threshold, hard writes zero.  leak_shift  V -= V >> k after reset.
    decay         after the reset V <- V * (DECAY_WHOLE - decay) / DECAY_WHOLE, rounded toward zero; 0: none.
    current_decay the same for the current of a direct table, in each fire pass, which then writes the current too. DECAY_WHOLE:
                  zero is written, and nothing is multiplied.
    max_level     highest value of a requant pass.
    spike_shift   an event without a payload weighs 2**spike_shift (hybrid inputs; docs/cycle-model.md R11).
    flagged       the run has a mask memory, one flag a neuron, that the clear empties (R16); passes that use flags need it.
    wait          what a count pass takes from a neuron that has not reached its threshold yet, 1 or more; 0: there is none.
    """

    planes: int
    passes: tuple[Pass, ...]
    initial: NDArray[np.int64]
    addend: NDArray[np.int64] | None = None
    weigh_planes: bool = False
    direct: bool = False
    reset: Literal["soft", "hard"] = "soft"
    leak_shift: int | None = None
    decay: int = 0
    current_decay: int = 0
    max_level: int = 0
    spike_shift: int = 0
    flagged: bool = False
    wait: int = 0

    @property
    def flags_are_off(self) -> bool:
        """Whether a neuron whose flag is set is off. Count passes, of an earlier timestep too, set flags of neurons that go on
        (R28)."""
        return self.flagged and not self.wait

    @property
    def clear_reads_bias(self) -> bool:
        """Whether the clear pass must fetch what it writes: a uniform value sits in a register."""
        return bool((self.initial != self.initial.flat[0]).any())

    @property
    def decays(self) -> int:
        """States that a fire pass multiplies: the potential, the current, or both."""
        return (self.decay > 0) + (0 < self.current_decay < DECAY_WHOLE)

    @property
    def current_banks(self) -> int:
        """Words of current that a word of neurons has: two where a current lives for one timestep, so that the next one can build
        up while passes take it (R27)."""
        return BANKS if self.direct and self.current_decay == DECAY_WHOLE else int(self.direct)

    @property
    def feeds_passes_by_current(self) -> bool:
        """Whether a fire pass, and no other, follows each EOT, and nothing but potentials lives from one to the next."""
        return (not (self.direct or self.flagged or self.weigh_planes)
                and [p.after_eot for p in self.passes] == list(range(1, self.planes + 1))
                and all(p.kind == "fire" for p in self.passes))

    def by_current(self) -> PassTable:
        """The same neurons where events build up a current that lives for one timestep, and passes add it (R27); the table itself
        where that is not possible. Potentials are the same unless something saturates."""
        if not self.feeds_passes_by_current:
            return self
        return replace(self, direct=True, current_decay=DECAY_WHOLE, passes=tuple(replace(p, add=True) for p in self.passes))

    def at(self, timestep: int) -> PassTable:
        """The table of one timestep run on its own (step by step): one EOT, that timestep's passes."""
        passes = tuple(replace(p, after_eot=1) for p in self.passes if p.after_eot == timestep + 1)
        return replace(self, planes=1, passes=passes)


def horner_passes(planes: int) -> tuple[Pass, ...]:
    """The doublings V <- 2 V at each EOT but the last, when the membrane is shifted instead of the weights."""
    return tuple(Pass(after_eot=n, kind="shift", timestep=n - 1) for n in range(1, planes))
