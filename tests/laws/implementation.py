"""What a law is run on: an engine or the hardware, behind one `run`; and what laws ask of the logs that it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.activity import INDEX
from hwsim.program import CoreRun, Program
from hwsim.record import CoreLog, Engine, SampleRecord
from hwsim.snn.sample import Sample
from hwsim.verify.core_cases import CoreCase
from tests.engine.core_cases import load_cases

CASES = load_cases()
CASE_KINDS = tuple(dict.fromkeys(case.kind for case in CASES))
State = Sequence[int] | NDArray[np.int64] | None
Tokens = Sequence[tuple[int, ...]] | NDArray[np.int64]
RUBBISH = -7
"""What a clear finds in the membrane, so that one that forgets a word shows."""


class Implementation:
    """Derived by test_reference.py, test_fast.py and test_rtl.py.

    not_counted   events that it cannot count because they are not its own (A4).
    thorough      how many random runs a law draws, as a share of what the fastest implementation can afford.
    case_kinds    kinds of published cases that a law looks at, and one of how many cases of each (`every`).
    """

    not_counted: frozenset[str] = frozenset()
    thorough: float = 1.0
    case_kinds: tuple[str, ...] = CASE_KINDS
    every: int = 1

    def run(
        self, run: CoreRun, tokens: NDArray[np.int64], gaps: NDArray[np.int64], earliest: NDArray[np.int64],
        potentials: NDArray[np.int64], currents: NDArray[np.int64], flags: NDArray[np.int64] | None = None,
    ) -> CoreLog:
        """As `Engine.run_core`."""
        raise NotImplementedError

    def run_planes(self, *arguments: Any) -> CoreLog:
        """As `Engine.run_planes`."""
        raise NotImplementedError

    def run_sample(self, program: Program, sample: Sample, spikes: str, record: bool = False) -> SampleRecord:
        """As `Engine.run_sample`."""
        raise NotImplementedError


class OnEngine(Implementation):
    """An implementation that is an engine."""

    engine: Engine

    def run(self, *arguments: Any) -> CoreLog:  # type: ignore[override]
        return self.engine.run_core(*arguments)

    def run_planes(self, *arguments: Any) -> CoreLog:
        return self.engine.run_planes(*arguments)

    def run_sample(self, program: Program, sample: Sample, spikes: str, record: bool = False) -> SampleRecord:
        return self.engine.run_sample(program, sample, spikes, record)


class Laws(Implementation):
    """Base of the law classes."""

    def execute(
        self, run: CoreRun, tokens: Tokens, gaps: Sequence[int] | None = None, earliest: Sequence[int] | None = None,
        potentials: State = None, currents: State = None, flags: State = None,
    ) -> CoreLog:
        """A run from given states, one number per neuron. Left out: gaps of 1, in time, zeros; what a clear finds is rubbish.

        Flags that are left out are left out of the call, too.
        """
        def state(values: State, rest: int = 0) -> NDArray[np.int64]:
            return np.full(run.shape, rest) if values is None else np.array(values, np.int64).reshape(run.shape)

        n = len(tokens)
        more = () if flags is None else (state(flags),)
        return self.run(
            run, np.array(tokens, np.int64).reshape(n, 6), np.array([1] * n if gaps is None else gaps, np.int64),
            np.array([0] * n if earliest is None else earliest, np.int64), state(potentials, RUBBISH if run.clear else 0),
            state(currents), *more)

    def draws(self, most: int) -> range:
        """Seeds of random runs: `most` of them where they are cheap, at least one everywhere."""
        return range(max(1, round(most * self.thorough)))

    def cases(self, kind: str) -> list[CoreCase]:
        """Published cases of a kind: one of `every`, beginning at another place in each kind, so that codings differ."""
        return [case for case in CASES if case.kind == kind][CASE_KINDS.index(kind) % self.every :: self.every]

    # -- what was counted ---------------------------------------------------------------------------------------------

    def counted(self, log: CoreLog, row: int | None = None) -> dict[str, int]:
        """Events that happened, in one row or in all."""
        counts = log.counts.sum(axis=0) if row is None else log.counts[row]
        return self.known({name: int(counts[column]) for name, column in INDEX.items() if counts[column]})

    def rows(self, log: CoreLog, *names: str) -> dict[str, list[int]]:
        """Counts of some events, row by row."""
        return self.known({name: log.counts[:, INDEX[name]].tolist() for name in names})

    def known(self, counts: dict[str, Any]) -> dict[str, Any]:
        """Without what the implementation does not count."""
        return {name: count for name, count in counts.items() if name not in self.not_counted}
