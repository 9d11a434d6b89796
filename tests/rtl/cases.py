"""Random runs of one core, drawn by stratum so that what is rare in a trace is common here.

A design is a CoreRun; several stimuli share it, because elaborating hardware costs more than running it. Strata name what they
press on: few words and no bypass (read after write), shallow FIFOs and late tokens (back-pressure), many spikes a word
(serialiser), narrow potentials (saturation), events that touch nothing, and pass tables that no neuron model makes (`wild`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.activity import INDEX
from hwsim.passes import Pass, PassTable
from hwsim.program import CoreRun, CoreSpec
from hwsim.record import CoreLog
from hwsim.rtl.stimulus import NOT_THE_CORES, Stimulus
from hwsim.snn.network import Connection, Layer, by_axis
from hwsim.snn.neurons import BitSerial, Context, IntegrateAndFire, Neuron, ReadOut, Requantise, SingleSpike, TwoStage
from tests.engine.random_designs import random_connection

Rng = np.random.Generator
CODINGS = ("rate", "direct", "bit_serial", "horner", "bit_direct", "quantised", "read_out", "horner_read_out", "two_stage",
           "single_spike", "hybrid", "wild")


@dataclass(frozen=True)
class Stratum:
    """What a design presses on. None: drawn at random.

    lanes           fewest and most.      channels   fewest of the layer.
    highest_theta   of fire thresholds.   quiet      share of empty timesteps.
    ragged          most designs have source neurons that touch no word: strides, windows that a folded pool leaves over.
    """

    name: str
    bypass: bool | None = None
    depths: tuple[int, ...] = (1, 2, 3, 8)
    potential_bits: tuple[int, ...] = (6, 9, 12, 16)
    positions: int = 3
    lanes: tuple[int, int] = (1, 4)
    channels: int = 1
    late: float = 0.2
    dense: bool = False
    highest_theta: int = 40
    quiet: float = 0.1
    ragged: bool = False
    codings: tuple[str, ...] = CODINGS


STRATA = (
    Stratum("any"),
    Stratum("read after write", bypass=False, positions=1, depths=(4, 8), late=0.0),
    Stratum("forwarding", bypass=True, positions=1, depths=(4, 8), late=0.0),
    Stratum("shallow FIFO", depths=(1, 2), late=0.6),
    Stratum("saturation", potential_bits=(3, 4, 5), dense=True),
    Stratum("busy serialiser", potential_bits=(12, 16), lanes=(3, 6), channels=3, dense=True, highest_theta=3, quiet=0.5,
            late=0.0, ragged=True, codings=("rate", "direct", "bit_serial", "wild", "wild", "wild")),
    Stratum("wild tables", codings=("wild",), positions=2),
    Stratum("flags", codings=("two_stage", "single_spike", "wild"), positions=2),
)


def draw(seed: int, stimuli: int = 3, stratum: Stratum | None = None) -> list[Stimulus]:
    """Stimuli that share one random design; the stratum follows from the seed unless it is given."""
    rng = np.random.default_rng(seed)
    chosen = STRATA[seed % len(STRATA)] if stratum is None else stratum
    run = random_run(rng, chosen)
    if seed >= DECAYING:
        run = replace(run, table=decaying(rng, run.table))
    return [random_stimulus(rng, chosen, run) for _ in range(stimuli)]


DECAYING = 1000
"""Designs from this number on: potentials and currents decay."""


def decaying(rng: Rng, table: PassTable) -> PassTable:
    """A table with a decay in place of its leak; half of those that weigh no planes have a current, which decays too."""
    decay, of_current = (int(rng.choice((1, 1024, 4095, 4096, rng.integers(1, 4097)))) for _ in range(2))
    direct = table.direct or bool(not table.weigh_planes and rng.random() < 0.5)
    passes = tuple(replace(p, add=p.add or (direct and p.kind == "fire")) for p in table.passes)
    return replace(table, passes=passes, direct=direct, leak_shift=None, decay=decay if rng.random() < 0.8 else 0,
                   current_decay=of_current if direct else 0)


# -- designs ------------------------------------------------------------------------------------------------------


def random_run(rng: Rng, stratum: Stratum) -> CoreRun:
    coding = str(rng.choice(stratum.codings))
    lanes = int(rng.integers(stratum.lanes[0], stratum.lanes[1] + 1))
    potential_bits = int(rng.choice(stratum.potential_bits))
    horner = coding.startswith("horner")
    core = CoreSpec(
        lanes=lanes, potential_bits=potential_bits, current_bits=int(rng.choice((3, 5, 8, 12))),
        fifo_depth=int(rng.choice(stratum.depths)),
        bypass=bool(rng.random() < 0.5) if stratum.bypass is None else stratum.bypass,
        shift_at="membrane" if horner else "weight", buffer="aer",
    )
    shape, wires = random_wires(rng, stratum)
    table = random_table(rng, coding, shape, wires, potential_bits, stratum)
    count = -(-shape[0] // lanes)
    lo = int(rng.integers(0, count))
    groups = (lo, int(rng.integers(lo + 1, count + 1))) if rng.random() < 0.4 else (0, count)
    first_plane = int(rng.integers(0, 2)) if table.planes == 1 and len(table.passes) <= 1 else 0
    return CoreRun(core=core, shape=shape, groups=groups, connections=wires, table=table, potential_bits=potential_bits,
                   current_bits=core.current_bits, clear=True, first_plane=first_plane)


def random_wires(rng: Rng, stratum: Stratum) -> tuple[tuple[int, int, int], tuple[Connection, ...]]:
    """One or two connections and the output shape on which they agree."""
    while True:
        side = int(rng.integers(1, stratum.positions + 1))
        grid = (int(rng.integers(1, 4)), max(1, side), int(rng.integers(1, stratum.positions + 1)))
        if stratum.positions == 1 and rng.random() < 0.5:
            grid = (grid[0], 3, 3)  # a linear layer has one position whatever its source
        first = wide(rng, random_connection(rng, "a", grid, pool_ok=True, max_ok=False, unit_ok=False))
        shape = first.natural_shape(len(first.weights) if first.operator != "identity" else first.pooled_shape[0])
        if shape[1] * shape[2] > max(1, stratum.positions) ** 2 or shape[0] < stratum.channels:
            continue
        if stratum.ragged and not has_edges(first) and rng.random() < 0.8:
            continue
        wires = [first]
        if rng.random() < 0.4:
            scale = rng.integers(-9, 10, min(shape[0], 3)).astype(np.int64)
            wires.append(Connection("b", "identity", (len(scale), *shape[1:]), scale,
                                    channel_offset=int(rng.integers(0, shape[0] - len(scale) + 1))))
        return shape, tuple(wires)


def has_edges(wire: Connection) -> bool:
    """Whether source neurons may lie between the strides or outside the complete windows of a folded pool."""
    return max(by_axis(wire.stride)) > 1 or any(size % wire.pool for size in wire.source_shape[1:])


def wide(rng: Rng, wire: Connection) -> Connection:
    """Weights of both signs and, now and then, large ones."""
    assert wire.weights is not None
    top = int(rng.choice((9, 9, 60)))
    return replace(wire, weights=rng.integers(-top, top + 1, wire.weights.shape).astype(np.int64))


def random_table(
    rng: Rng, coding: str, shape: tuple[int, int, int], wires: tuple[Connection, ...], potential_bits: int, stratum: Stratum
) -> PassTable:
    if coding == "wild":
        return wild_table(rng, shape, potential_bits, stratum)
    timesteps = int(rng.integers(2, 4)) if coding in ("two_stage", "hybrid") else int(rng.integers(1, 4))
    stages = (0, int(rng.integers(1, timesteps)), timesteps) if coding == "two_stage" else ()
    neuron = random_neuron(rng, coding)
    limit = 1 << (potential_bits - 1)
    theta = rng.integers(1, max(2, min(stratum.highest_theta, limit)), timesteps)
    if coding in ("bit_serial", "horner", "bit_direct"):
        theta = np.full(timesteps, max(1, int(rng.integers(1, max(2, limit >> timesteps)))) << timesteps)
    layer = Layer(
        "layer", shape, wires, neuron, 1 if coding == "quantised" else timesteps,
        thresholds=np.zeros(0, np.int64) if "read_out" in coding else theta[:1] if coding == "quantised" else theta,
        bias=None if rng.random() < 0.4 else random_state(rng, shape, limit),
        initial_potential=random_state(rng, shape, limit) if rng.random() < 0.5 else np.full((1, 1, 1), int(rng.integers(-3, 3))),
        payload_bits=3 if coding == "quantised" else 0, stages=stages,
    )
    horner = coding.startswith("horner")
    table = neuron.lower(layer, Context(
        planes=1 if coding in ("quantised", "bit_direct") else timesteps, direct=coding in ("direct", "bit_direct"),
        binary_weighted=horner or coding == "bit_serial", shift_at="membrane" if horner else "weight",
        spike_shift=int(rng.integers(1, 4)) if coding == "hybrid" else 0,
    ))
    return replace(table, initial=np.clip(table.initial, -limit, limit - 1),
                   addend=None if table.addend is None else np.clip(table.addend, -limit, limit - 1))


def random_neuron(rng: Rng, coding: str) -> Neuron:
    leak = int(rng.integers(1, 4)) if rng.random() < 0.4 else None
    return {
        "bit_serial": BitSerial(), "horner": BitSerial(), "bit_direct": BitSerial(), "quantised": Requantise(),
        "read_out": ReadOut(), "horner_read_out": ReadOut(), "two_stage": TwoStage(), "single_spike": SingleSpike(leak),
    }.get(coding) or IntegrateAndFire("soft" if rng.random() < 0.6 else "hard", leak)


def random_state(rng: Rng, shape: tuple[int, int, int], limit: int) -> NDArray[np.int64]:
    """By neuron or by channel, small against the range."""
    top = max(1, min(12, limit // 2))
    return rng.integers(-top, top, shape if rng.random() < 0.5 else (shape[0], 1, 1))


def wild_table(rng: Rng, shape: tuple[int, int, int], potential_bits: int, stratum: Stratum) -> PassTable:
    """Any passes in any order: what the rules allow, not what models ask for."""
    limit, planes = 1 << (potential_bits - 1), int(rng.integers(1, 4))
    flagged, direct = bool(rng.random() < 0.5), bool(rng.random() < 0.25)
    kinds = ["fire", "fire", "shift", "readout", "requant", "reinitialise"] + ["mask"] * flagged
    passes = []
    for number in range(int(rng.integers(1, 9 if stratum.dense else 6))):
        kind: Any = str(rng.choice(kinds))
        threshold = int(rng.integers(1, max(2, min(stratum.highest_theta, limit))))
        flags: Any = str(rng.choice(("ignore", "masked", "fire_once"))) if flagged and kind == "fire" else "ignore"
        passes.append(Pass(
            after_eot=int(rng.integers(1, planes + 1)), kind=kind, threshold=threshold if kind in ("fire", "requant") else 0,
            shift=int(rng.integers(0, max(1, threshold.bit_length()))) if kind == "fire" else 0,
            add=bool(kind in ("fire", "readout") and rng.random() < 0.6), timestep=number % 3, flags=flags))
    start = random_state(rng, shape, limit) if rng.random() < 0.5 else np.full((1, 1, 1), int(rng.integers(-2, 3)))
    start = np.broadcast_to(start, shape)
    return PassTable(
        planes=planes, passes=tuple(passes), initial=np.ascontiguousarray(start),
        addend=None if rng.random() < 0.4 else np.ascontiguousarray(np.broadcast_to(random_state(rng, shape, limit), shape)),
        weigh_planes=bool(not direct and rng.random() < 0.4), direct=direct, reset="soft" if rng.random() < 0.6 else "hard",
        leak_shift=int(rng.integers(1, 4)) if rng.random() < 0.4 else None, max_level=int(rng.integers(1, 8)),
        spike_shift=int(rng.integers(1, 3)) if rng.random() < 0.2 else 0, flagged=flagged,
    )


# -- stimuli ------------------------------------------------------------------------------------------------------


def random_stimulus(rng: Rng, stratum: Stratum, run: CoreRun) -> Stimulus:
    """Tokens of one or two periods, and the states that the run starts from."""
    eots = run.table.planes * int(rng.integers(1, 3))
    tokens: list[tuple[int, ...]] = []
    for _ in range(eots):
        if rng.random() >= stratum.quiet:
            tokens += [random_event(rng, run) for _ in range(int(rng.integers(0, 12 if stratum.dense else 6)))]
        tokens.append((-1, 0, 0, 0, 0, 0))
    late = rng.random(len(tokens)) < stratum.late
    gaps = np.where(rng.random(len(tokens)) < stratum.late, rng.integers(1, 6, len(tokens)), 1)
    earliest = np.where(late, np.cumsum(rng.integers(0, 9, len(tokens))), 0)
    low, high = -(1 << (run.potential_bits - 1)), (1 << (run.potential_bits - 1)) - 1
    edge = 1 << (run.current_bits - 1)
    return Stimulus(
        run=replace(run, clear=bool(rng.random() < 0.7)), tokens=np.array(tokens, np.int64), gaps=gaps.astype(np.int64),
        earliest=earliest.astype(np.int64), potentials=rng.integers(low, high + 1, run.shape),
        currents=rng.integers(-edge, edge, run.shape) if run.table.direct else np.zeros(run.shape, np.int64),
        flags=(rng.random(run.shape) < 0.4).astype(np.int64) * run.table.flagged,
    )


def random_event(rng: Rng, run: CoreRun) -> tuple[int, ...]:
    """An event of a source neuron; direct tables and, mixed in, others carry a payload."""
    connection = int(rng.integers(0, len(run.connections)))
    c, h, w = run.connections[connection].token_shape
    payload = bool(rng.random() < (0.9 if run.table.direct else 0.25))
    value = int(rng.integers(-9, 10)) if payload else 0
    return (connection, int(rng.integers(c)), int(rng.integers(h)), int(rng.integers(w)), value, int(payload))


# -- comparison ---------------------------------------------------------------------------------------------------


def differences(rtl: CoreLog, engine: CoreLog) -> Iterator[str]:
    """Every way in which two logs of one run differ, in words; buffers' events (A4) are not the core's."""
    for field in ("push", "pop", "issue", "spikes", "potentials", "currents", "flags"):
        mine, its = getattr(rtl, field), getattr(engine, field)
        if mine.shape != its.shape or (mine != its).any():
            yield f"{field}: RTL {mine.tolist()}, engine {its.tolist()}"
    if rtl.done != engine.done:
        yield f"done: RTL {rtl.done}, engine {engine.done}"
    if rtl.saturations != engine.saturations:
        yield f"saturations: RTL {rtl.saturations}, engine {engine.saturations}"
    for name, column in INDEX.items():
        if name not in NOT_THE_CORES:
            mine, its = rtl.counts[:, column], engine.counts[:, column]
            if mine.shape != its.shape or (mine != its).any():
                yield f"{name}: RTL {mine.tolist()}, engine {its.tolist()}"
