"""The contract out: what engines report of a run (CoreLog) and of a sample (SampleRecord), and what an engine offers.

Cycles count from the start of the run or of the sample; docs/cycle-model.md says what each of them is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hwsim.program import CoreRun, Listed, Program, Run
from hwsim.snn.sample import Sample

ISSUE_KINDS = (
    "clear", "acc", "shift", "fire", "eot", "skip", "readout", "requant", "mask", "reinitialise", "load", "store", "count",
)


@dataclass(eq=False)
class CoreLog:
    """Everything one run did, for engines to be held against each other, the vectors and the RTL.

    push, pop   (tokens,) cycles.      issue   (n, 3) cycle, kind (ISSUE_KINDS), word.
                eot has word -1, and so has the skip of an event that touches no word; the skip of an operation whose
                neurons are all off has its word (R25).
    spikes      (n, 3) cycle, pass (fire and requant passes since the last EOT, from 0), neuron (c * H + y) * W + x.
    potentials, currents, flags   (C, H, W) states after the run; in a Program, no potentials of a run that uses none (R27).
    counts      (rows, len(EVENTS)) int64; row first_plane + n for what happens before EOT n of a period (the clear:
                first_plane), row Pass.timestep for what a pass does.
    """

    push: NDArray[np.int64]
    pop: NDArray[np.int64]
    issue: NDArray[np.int64]
    spikes: NDArray[np.int64]
    done: int
    counts: NDArray[np.int64]
    saturations: int
    potentials: NDArray[np.int64]
    currents: NDArray[np.int64]
    flags: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CoreReplay:
    """One run by itself: the arguments of `Engine.run_core`, and the answer.

    tokens (n, 6), gaps and earliest (n,).      before   potentials, currents and flags (C, H, W) that the run found.
    operation      of the Program, with as many EOTs as it was given here.
    payload_bits   signed bits of the events' payloads, 0 if none has one.
    """

    operation: Run
    payload_bits: int
    tokens: NDArray[np.int64]
    gaps: NDArray[np.int64]
    earliest: NDArray[np.int64]
    before: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
    log: CoreLog

    @property
    def run(self) -> CoreRun:
        return self.operation.body

    @property
    def eots(self) -> int:
        """EOTs of the run; in gather order, those of each visit."""
        return self.operation.eots

    @property
    def visits(self) -> int:
        """Visits of a run in gather order (R19); else 1."""
        return int((self.tokens[:, 0] < 0).sum()) // self.eots


@dataclass(eq=False)
class SampleRecord:
    """What an engine reports of one sample.

    start, end   (operations,) cycles, setup operations excluded from time: both 0.
    counts       (operations, planes, len(EVENTS)) int64.
    saturations  (layers,) additions that met the limit, 0 where none is made.
    mismatches   (layers,) outputs unlike the recorded, -1 unknown.
    outputs      by layer name (T, H, W, C); potentials  by layer name (C, H, W) int64, the final ones, zero where none is made.
    logs         by operation id, only when asked for.
    bits         (operations,) that transfers moved; None from an engine whose transfers all move what the Program says.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    counts: NDArray[np.int64]
    saturations: NDArray[np.int64]
    mismatches: NDArray[np.int64]
    outputs: dict[str, NDArray[np.integer]]
    potentials: dict[str, NDArray[np.int64]]
    logs: dict[int, CoreLog] = field(default_factory=dict)
    bits: NDArray[np.int64] | None = None


@dataclass(frozen=True, eq=False)
class ListTimes:
    """When the operations of a list happened and what they held (C7, C8). Cycles, (operations,) int64; 0 for setup operations.

    ready        from when an operation could have started. A transfer that starts later has waited for its links.
    link_bits    bits x links held.     link_hops   flits x links held.
    held         by operation, the names of the resources that it held from start to end.
    """

    ready: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    link_bits: NDArray[np.int64]
    link_hops: NDArray[np.int64]
    held: tuple[tuple[str, ...], ...]


Logged = bool | Collection[int]
"""Which runs of a sample are reported with a CoreLog: all, none, or those of these operations."""


def is_logged(record: Logged, operation: int) -> bool:
    """Whether the run `operation` is to be reported with a CoreLog."""
    return record if isinstance(record, bool) else operation in record


class Engine(Protocol):
    """What both engines offer. `spikes` is `trace` (each layer is fed the recording) or `computed` (closed loop)."""

    def run_sample(
        self, program: Program, sample: Sample, spikes: str, record: Logged = False, check: bool = True
    ) -> SampleRecord:
        """`record`: which runs have a log. `check` False: timing only (C6). ProgramError from an engine that knows no such
        replay."""
        ...

    def run_core(
        self, run: CoreRun, tokens: NDArray[np.int64], gaps: NDArray[np.int64], earliest: NDArray[np.int64],
        potentials: NDArray[np.int64], currents: NDArray[np.int64], flags: NDArray[np.int64] | None = None,
    ) -> CoreLog:
        """One run by itself. tokens (n, 6): connection (-1 EOT), c, y, x, payload, has_payload; (C, H, W) states.

        `flags` are 0 / 1, none set when left out. The payload of a merged spike token is its pattern: bit n is plane n.
        In gather order the tokens are those of all visits, one after the other (R19).
        """
        ...

    def run_planes(
        self, run: CoreRun, planes: Sequence[NDArray[np.integer]], eots: int,
        potentials: NDArray[np.int64], currents: NDArray[np.int64], flags: NDArray[np.int64] | None = None,
    ) -> CoreLog:
        """One run by itself, fed from its connections' planes, each (n, H, W, C) in the order in which they are read.

        An AER list gives a plane in (y, x, c) order. Rows scanned are counted, as `run_core` cannot.
        """
        ...

    def run_list(self, listed: Listed, cycles: Sequence[int]) -> ListTimes:
        """Operations without a sample: a run takes the cycles that are given at its position. ProgramError for a bad list."""
        ...
