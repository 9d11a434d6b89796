"""What the equations of accounts are told apart by: counts of shipped traces, and of a network that has what those lack.

Shipped are a rate code, bit planes and their ANN. The probe has a hybrid input in five steps, neurons that leak and fire once,
groups, strides, a folded pooling and a residual. Its spikes are its own arithmetic's. An account whose equations change in any of
this charges another amount for one of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hwsim.accounts.work import Work, count_network, count_work
from hwsim.examples import load_example
from hwsim.snn.forward import forward
from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import ReadOut, SingleSpike
from hwsim.snn.sample import Sample

STEPS = 5


def known_works() -> Iterator[tuple[str, Work, Work | None]]:
    """By name, counts of an SNN and of its ANN (None: it has none)."""
    with load_example("ann") as ann:
        rival = count_work(ann, 1)
    for name in ("rate", "bit_serial"):
        with load_example(name) as snn:
            yield name, count_work(snn, 1), rival
    network = probe()
    inputs = _numbers((STEPS, 6, 6, 2), 0, 16)
    inputs[1:] = inputs[1:] > 10
    yield "probe", count_network(network, [Sample(inputs, forward(network, inputs)[0])], "probe"), None


def probe() -> Network:
    """A small network of three layers and a read-out."""
    def layer(name: str, shape: tuple[int, int, int], *connections: Connection) -> Layer:
        return Layer(name, shape, connections, SingleSpike(2), STEPS, np.full(STEPS, 12), _numbers((shape[0], 1, 1), -2, 3))

    first = layer("a", (4, 6, 6), Connection(INPUT, "conv2d", (2, 6, 6), _numbers((4, 2, 3, 3), -3, 5), 3, 1, 1))
    second = layer("b", (4, 3, 3), Connection("a", "conv2d", (4, 6, 6), _numbers((4, 2, 3, 3), -3, 5), 3, 2, 1, 2))
    third = layer("c", (4, 3, 3), Connection("a", "conv2d", (4, 6, 6), _numbers((4, 4, 1, 1), -3, 5), pool=2, pool_mode="folded"),
                  Connection("b", "identity", (4, 3, 3), np.full(4, 6)))
    last = Layer("out", (3, 1, 1), (Connection("c", "linear", (4, 3, 3), _numbers((3, 36), -3, 5)),), ReadOut(), STEPS)
    return Network(InputSpec((2, 6, 6), "hybrid", STEPS, 4, spike_shift=3), (first, second, third, last))


def _numbers(shape: tuple[int, ...], low: int, high: int) -> np.ndarray:
    """Numbers in [low, high) that are the same everywhere: a generator of their own, of 16 bits."""
    found, state = [], 1
    for _ in range(int(np.prod(shape))):
        state = (state * 25173 + 13849) % 65536
        found.append(low + (state >> 8) % (high - low))
    return np.array(found, np.int64).reshape(shape)
