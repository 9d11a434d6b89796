"""The smallest cores that still have everything to go wrong, and every stimulus that is worth giving them.

Two lanes, one or two words; the one connection has an event for each set of words: none, the first, the second, both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np

from hwsim.program import CoreRun, CoreSpec
from hwsim.rtl.stimulus import Stimulus
from hwsim.snn.network import Connection, Layer
from hwsim.snn.neurons import BitSerial, Context, IntegrateAndFire, Neuron, SingleSpike

TABLES = ("rate", "bit_serial", "direct", "fire_once")
TOKENS, LAST_GAP = 3, 4
EOT = (-1, 0, 0, 0, 0, 0)
THETA = 4
# Potentials before a run without a clear, lane by lane, of the first and of the second word: no spike, one, or two.
STARTS = (((0, 0), (0, 0)), ((THETA, 0), (THETA, THETA)), ((THETA, THETA), (0, THETA)))


def tiny_run(table: str, words: int, bypass: bool, depth: int) -> CoreRun:
    """Kernel 3, stride 2, no padding: x = 2 touches both of two output columns, the last x touches none."""
    spec = CoreSpec(lanes=2, potential_bits=4, current_bits=4, fifo_depth=depth, bypass=bypass, shift_at="weight", buffer="aer")
    source, shape = (1, 3, 2 * words + 2), (2, 1, words)
    weights = np.array([[[[3, 1, -2]] * 3], [[[2, -1, 4]] * 3]])
    timesteps = 1 if table in ("rate", "fire_once") else 2
    neurons: dict[str, Neuron] = {"bit_serial": BitSerial(), "fire_once": SingleSpike(None)}
    neuron = neurons.get(table, IntegrateAndFire("soft"))
    wires = (Connection("a", "conv2d", source, weights, kernel=3, stride=2),)
    layer = Layer("layer", shape, wires, neuron, timesteps, thresholds=np.full(timesteps, THETA),
                  bias=np.ones((2, 1, 1), np.int64))
    lowered = neuron.lower(layer, Context(
        planes=timesteps, direct=table == "direct", binary_weighted=table == "bit_serial", shift_at="weight"))
    return CoreRun(spec, shape, (0, 1), wires, lowered, 4, 4, clear=True)


def events(words: int) -> list[tuple[int, ...]]:
    """One event for each set of words that an event can touch."""
    columns = (0, 3) if words == 1 else (0, 4, 2, 5)
    return [(0, 0, 0, x, 0, 0) for x in columns]


def tiny_stimuli(run: CoreRun) -> Iterator[Stimulus]:
    """Every sequence of at most TOKENS tokens that ends in an EOT, every gap up to LAST_GAP before each, every start."""
    words = run.words
    for before in range(TOKENS):
        for tokens in product((*events(words), EOT), repeat=before):
            for gaps in product(range(1, LAST_GAP + 1), repeat=before + 1):
                yield from tiny_starts(run, np.array((*tokens, EOT), np.int64), np.array(gaps, np.int64))


def tiny_starts(run: CoreRun, tokens: np.ndarray, gaps: np.ndarray) -> Iterator[Stimulus]:
    """With a clear, and from potentials that make no, one or two spikes a word."""
    nothing = np.zeros(run.shape, np.int64)
    yield Stimulus(run, tokens, gaps, np.zeros_like(gaps), nothing, nothing, nothing)
    goes_on = replace(run, clear=False)
    for start in STARTS:
        potentials = np.array(start[: run.words], np.int64).T.reshape(run.shape)
        yield Stimulus(goes_on, tokens, gaps, np.zeros_like(gaps), potentials, nothing, nothing)
