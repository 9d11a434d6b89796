"""Lists tokens, issues and spikes of a run in another dataflow for its CoreLog, from what kernels.dataflow leaves behind.

Nothing is written in order: each issue has a cycle of its own, and so have a word's spikes or, with the word writer, their
neurons.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.engine.fast.packing import Ints, RunPack
from hwsim.engine.fast.sweep_plan import Sweep
from hwsim.record import ISSUE_KINDS


class FlowLog:
    """`KINDS` are the numbers of load, store, acc and eot among ISSUE_KINDS, in this order, `MASKED` those of acc and skip."""

    KINDS = np.array([ISSUE_KINDS.index(kind) for kind in ("load", "store", "acc", "eot")], np.int64)
    MASKED = (ISSUE_KINDS.index("acc"), ISSUE_KINDS.index("skip"))

    def __init__(self, pack: RunPack) -> None:
        self._pack, self._groups, self._lanes = pack, pack.run.groups[1] - pack.run.groups[0], pack.run.core.lanes
        self._tokens = [np.zeros((0, 2), np.int64)]
        self._issue = [np.zeros((0, 3), np.int64)]
        self._swept: list[tuple[str, Sweep, Ints | None]] = []
        self._times: tuple[Ints, Ints] | None = None

    def _issued(self, cycles: Ints, kind: str, words: Ints) -> None:
        kinds = np.full(len(cycles), ISSUE_KINDS.index(kind))
        self._issue.append(np.stack([cycles, kinds, words], axis=1).astype(np.int64))

    def moved(self, kind: str, first: int, words: range) -> None:
        """Clears, loads or stores of neighbouring words, one a cycle."""
        self._issued(first + np.arange(len(words)), kind, np.array(words))

    def events(self, log: Ints, reach: Ints, slots: Ints, apart: int, words: Ints | None) -> None:
        """log (n, 3) and reach (n, 3) as in kernels.dataflow; the words of an event are its slots and `apart` apart."""
        self._tokens.append(log[:, :2])
        count = reach[:, 0]
        step = (slots if slots.size else np.ones(len(reach), np.int64)) + apart
        rank = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        assert words is not None
        self._issued(np.repeat(log[:, 2], count) + rank * np.repeat(step, count), "acc", words)
        empty = log[count == 0, 2]
        self._issued(empty, "skip", np.full(len(empty), -1))

    def marked(self, pushed: int, slot: int) -> None:
        self._tokens.append(np.array([[pushed, slot]], np.int64))
        self._issued(np.array([slot]), "eot", np.full(1, -1))

    def gathered(self, tokens: Ints, issue: Ints) -> None:
        self._tokens.append(tokens)
        self._issue.append(issue)

    def sweeps(self, shape: tuple[int, ...]) -> tuple[Ints, Ints]:
        """Where the cycles of all sweeps go: issue and completion, (sweeps, words) each."""
        if self._times is None:
            self._times = (np.zeros(shape, np.int64), np.zeros(shape, np.int64))
        return self._times

    def swept(self, kind: str, sweep: Sweep, plane: Ints | None) -> None:
        """A pass, and what it sent (positions, lanes)."""
        self._swept.append((kind, sweep, None if plane is None else plane.copy()))

    def listed(self, word_writer: bool) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Pushes and pops (tokens, 2), issues (n, 3) and spikes (n, 3), as CoreLog has them."""
        spikes = [np.zeros((0, 3), np.int64)]
        for kind, sweep, plane in self._swept:
            assert self._times is not None
            issued, completed = self._times[0][sweep.place], self._times[1][sweep.place]
            self._issued(issued, kind, np.arange(len(issued)))
            if plane is not None:
                spikes.append(self._spikes(plane, completed, sweep.number, word_writer))
        issue, sent = np.concatenate(self._issue), np.concatenate(spikes)
        return (
            np.concatenate(self._tokens), issue[np.argsort(issue[:, 0], kind="stable")],
            sent[np.lexsort((sent[:, 2], sent[:, 0]))])

    def _spikes(self, plane: Ints, completed: Ints, number: int, word_writer: bool) -> Ints:
        position, lane = np.nonzero(plane)
        word = position * self._groups + lane // self._lanes
        rank = np.arange(len(word)) - np.searchsorted(word, word)
        neuron = self._pack.neurons(position, lane)
        cycle = completed[word] + 1 + (0 if word_writer else rank)
        return np.stack([cycle, np.full(len(word), number), neuron], axis=1).astype(np.int64)
