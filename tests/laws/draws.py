"""Random runs whose potentials often meet their limits, and their tokens: every operator, every kind of pass, one period."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.passes import Pass, PassTable
from hwsim.program import CoreRun, CoreSpec
from hwsim.snn.network import Connection
from tests.laws.runs import EOT

Drawn = tuple[CoreRun, NDArray[np.int64]]
OPERATORS = ("conv2d", "grouped", "linear", "identity")
WIDTHS = (4, 8, 12, 16, 24, 32, 33, 40)
FLAG_WIDTHS = (5, 8, 12, 16, 24, 32, 33, 40)


def arithmetic_run(seed: int, bits: int, operator: str, events: int) -> Drawn:
    """A run of a few words with passes of any kind but those of flags, and its tokens: `events` per plane."""
    rng = np.random.default_rng(seed)
    grid = (int(rng.integers(1, 5)) * 2, 4, 5)
    top = max(1, 1 << max(0, min(bits, 24) - 4))
    draw = lambda *size: rng.integers(-top, top + 1, size)  # noqa: E731
    folded: dict[str, Any] = {"pool": 2, "pool_mode": "folded"} if rng.random() < 0.4 else {}
    h, w = (2, 2) if folded else grid[1:]
    connection = {
        "conv2d": lambda: Connection("a", "conv2d", grid, draw(9, grid[0], 3, 3), kernel=3, stride=2, padding=1, **folded),
        "grouped": lambda: Connection(
            "a", "conv2d", grid, draw(6, grid[0] // 2, 2, 2), kernel=2, padding=1, groups=2, **folded),
        "linear": lambda: Connection("a", "linear", grid, draw(7, grid[0] * h * w), **folded),
        "identity": lambda: Connection("a", "identity", grid, draw(grid[0]), channel_offset=1, stride=2, **folded),
    }[operator]()
    assert connection.weights is not None
    shape = connection.natural_shape(connection.weights.shape[0])
    planes = int(rng.integers(1, 4))
    kinds: tuple[Any, ...] = ("fire", "shift") if rng.random() < 0.3 else ("fire",)
    if rng.random() < 0.3:
        kinds += (str(rng.choice(["readout", "requant"])),)
    passes = tuple(Pass(n, kind, int(rng.integers(1, 4 * top)), int(rng.integers(0, 2)) * (kind == "fire"),
                        kind in ("fire", "readout"), n - 1) for n in range(1, planes + 1) for kind in kinds)
    table = PassTable(
        planes=planes, passes=passes, initial=rng.integers(-1 << bits - 2, 1 << bits - 2, shape),
        addend=draw(*shape) if rng.random() < 0.5 else None, weigh_planes=bool(rng.random() < 0.4),
        reset=str(rng.choice(["soft", "hard"])), leak_shift=int(rng.integers(1, 4)) if rng.random() < 0.4 else None,  # type: ignore[arg-type]
        max_level=int(rng.integers(1, 8)))
    core = CoreSpec(4, bits, bits, 3, False, "weight", "aer")
    run = CoreRun(core, shape, (0, -(-shape[0] // 4)), (connection,), table, bits, bits, bool(rng.random() < 0.7))
    return run, tokens_of(rng, grid, [events] * planes)


def flagged_run(seed: int, bits: int, events: int) -> Drawn:
    """A run of few words whose passes use flags in any way, one fire pass per timestep; up to `events` tokens per plane."""
    rng = np.random.default_rng(seed)
    grid, top = (3, 4, 3), max(1, 1 << max(0, min(bits, 20) - 4))
    draw = lambda *size: rng.integers(-top, top + 1, size)  # noqa: E731
    connection = (
        Connection("a", "conv2d", grid, draw(5, 3, 3, 3), kernel=3, stride=2, padding=1),
        Connection("a", "linear", grid, draw(7, 6), pool=2, pool_mode="folded"),
        Connection("a", "identity", grid, draw(3), stride=2),
    )[seed % 3]
    assert connection.weights is not None
    shape = connection.natural_shape(connection.weights.shape[0])
    planes = int(rng.integers(1, 5))
    passes: list[Pass] = []
    for n in range(planes):
        use: Any = str(rng.choice(["ignore", "masked", "fire_once"]))
        passes.append(Pass(n + 1, "fire", int(rng.integers(1, 4 * top)), add=bool(rng.random() < 0.5), timestep=n, flags=use))
        if rng.random() < 0.4:
            kind: Any = str(rng.choice(["mask", "reinitialise"]))
            passes.insert(len(passes) - int(rng.integers(0, 2)), Pass(n + 1, kind, timestep=n))
    table = PassTable(
        planes=planes, passes=tuple(passes), initial=rng.integers(-1 << bits - 2, 1 << bits - 2, shape),
        addend=draw(*shape) if rng.random() < 0.6 else None, weigh_planes=bool(rng.random() < 0.4),
        direct=bool(rng.random() < 0.4), reset=str(rng.choice(["soft", "hard"])), flagged=True,  # type: ignore[arg-type]
        leak_shift=int(rng.integers(1, 4)) if rng.random() < 0.5 else None, spike_shift=int(rng.integers(0, 4)))
    lanes = int(rng.integers(1, 5))
    core = CoreSpec(lanes, bits, bits, 3, bool(rng.random() < 0.3), "weight", "aer")
    run = CoreRun(core, shape, (0, -(-shape[0] // lanes)), (connection,), table, bits, bits, bool(rng.random() < 0.6))
    return run, tokens_of(rng, grid, [int(n) for n in rng.integers(0, events, planes)])


def tokens_of(rng: np.random.Generator, grid: tuple[int, int, int], events: list[int]) -> NDArray[np.int64]:
    """Spikes, payloads or both in each plane, in order or not."""
    tokens = []
    for count in events:
        c, y, x = (rng.integers(0, size, count) for size in grid)
        payload, has = rng.integers(-9, 10, count), rng.random(count) < rng.choice([0, 0.5, 1])
        listed = np.stack([np.zeros(count, np.int64), c, y, x, payload * has, has], axis=1)
        if rng.random() < 0.5:
            listed = listed[np.lexsort((listed[:, 1], listed[:, 3], listed[:, 2]))]
        tokens += [listed, [EOT]]
    return np.concatenate(tokens).astype(np.int64)
