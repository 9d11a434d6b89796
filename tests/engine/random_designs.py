"""Random networks, spikes and architectures for the equivalence tests, drawn so that the rare is common.

Few words and no bypass (hazards), shallow FIFOs (back-pressure), narrow potentials (saturation), small memories (tiles,
spills, streamed weights), strides, groups, residuals, every pooling, flags, hybrid inputs. Spikes are random, not the
network's own: engines must agree on what the hardware does with any of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwsim.arch import SHORT_FORM, Architecture, dump_architecture, rebuild_architecture
from hwsim.cores.event.tiles import connection_rows
from hwsim.snn.network import Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import BitSerial, IntegrateAndFire, ReadOut, Requantise, SingleSpike, TwoStage
from hwsim.snn.sample import Sample
from tests.engine.random_runs import pulled_apart

Rng = np.random.Generator
STAGED, FLAGGED = "two_stage", ("two_stage", "single_spike")
BINARY = ("rate", "hybrid", *FLAGGED)


def random_network(rng: Rng, coding: str, apart: bool = False) -> Network:
    """One to three hidden layers of `coding` (one of BINARY, `bit_serial` or `quantised`) and, mostly, a read-out.

    `hybrid` is rate-coded neurons behind a hybrid input; two-stage and single-spike neurons have any input. `apart`: sides of
    connections differ between the axes, and some layers have no connections.
    """
    timesteps = 1 if coding == "quantised" else int(rng.integers(1 + (coding == STAGED), 5 + (coding == STAGED)))
    stages = (0, int(rng.integers(1, timesteps)), timesteps) if coding == STAGED else ()
    shape = (int(rng.integers(1, 4)), int(rng.integers(2, 7)), int(rng.integers(2, 7)))
    hybrid = coding == "hybrid" or (coding in FLAGGED and rng.random() < 0.4)
    direct = not hybrid and (coding == "quantised" or rng.random() < 0.4)
    spec = InputSpec(
        shape=shape, encoding="hybrid" if hybrid else "direct" if direct else "spikes", timesteps=1 if direct else timesteps,
        payload_bits=int(rng.integers(2, 9)), signed=bool((direct or hybrid) and rng.random() < 0.4),
        coding="bit_serial" if coding == "bit_serial" else "rate", spike_shift=int(rng.integers(0, 5)) if hybrid else 0)
    layers: list[Layer] = []
    for number in range(int(rng.integers(1, 4))):
        source, grid = ("input", shape) if not layers else (layers[-1].name, layers[-1].shape)
        spikes = coding in BINARY and not ((direct or hybrid) and not layers)
        first = random_connection(
            rng, source, grid, pool_ok=True, max_ok=spikes, unit_ok=not hybrid or bool(layers), apart=apart)
        channels = first.weights.shape[0] if first.operator != "identity" else first.pooled_shape[0]
        out = first.natural_shape(channels)
        extra = residuals(rng, layers[:-1], out) if coding != "bit_serial" or not (direct and not layers) else []
        made = random_layer(rng, f"layer{number}", out, (first, *extra), coding, timesteps, stages)
        if apart and coding in BINARY and rng.random() < 0.2:  # nothing but its bias drives it
            made = replace(made, connections=(), bias=rng.integers(-3, 13, out))
        layers.append(made)
    if rng.random() < 0.7:
        last = layers[-1]
        out = random_connection(rng, last.name, last.shape, pool_ok=True, max_ok=coding in BINARY, operator="linear")
        layers.append(Layer(
            "out", (out.weights.shape[0], 1, 1), (out,), ReadOut(), timesteps if coding != "quantised" else 1,
            initial_potential=rng.integers(-20, 20, (out.weights.shape[0], 1, 1)), potential_bits=24,
            stages=stages))
    return Network(spec, tuple(layers))


def random_connection(
    rng: Rng, source: str, grid: tuple[int, int, int], *, pool_ok: bool, max_ok: bool, unit_ok: bool = True,
    operator: str | None = None, apart: bool = False,
) -> Connection:
    """A connection of any kind that leaves at least one output position."""
    c, h, w = grid
    pool, mode = 1, "none"
    if pool_ok and min(h, w) >= 2 and rng.random() < 0.4:
        pool, mode = 2, str(rng.choice(["folded"] + ["unit"] * unit_ok + ["max"] * max_ok))
    h, w = h // pool, w // pool
    operator = operator or str(rng.choice(["conv2d", "conv2d", "conv2d", "linear", "identity"]))
    if operator == "linear":
        weights = rng.integers(-9, 10, (int(rng.integers(1, 12)), c * h * w))
        return Connection(source, "linear", grid, weights.astype(np.int8), pool=pool, pool_mode=mode)
    if operator == "identity":
        stride = int(rng.integers(1, 3))
        return Connection(source, "identity", grid, rng.integers(1, 9, c).astype(np.int8), pool=pool,
                          stride=(stride, 3 - stride) if apart else stride,
                          pool_mode=mode)
    kernel = int(rng.integers(1, 4))
    padding = int(rng.integers(0, kernel))
    if min(h, w) + 2 * padding < kernel:
        kernel, padding = 1, 0
    groups = int(rng.choice([g for g in range(1, c + 1) if c % g == 0]))
    channels = groups * int(rng.integers(1, 5))
    weights = rng.integers(-9, 10, (channels, c // groups, kernel, kernel)).astype(np.int8)
    made = Connection(source, "conv2d", grid, weights, kernel=kernel, stride=int(rng.integers(1, 3)), padding=padding,
                      groups=groups, pool=pool, pool_mode=mode)
    if not apart:
        return made
    other = replace(made, **pulled_apart(rng, {"kernel": kernel, "stride": int(rng.integers(1, 3)), "padding": padding}))
    if min(other.natural_shape(channels)) < 1:
        return made
    return replace(other, weights=rng.integers(-9, 10, other.weight_shape(other.natural_shape(channels))).astype(np.int8))


def residuals(rng: Rng, earlier: list[Layer], out: tuple[int, int, int]) -> list[Connection]:
    """An identity from an earlier layer when its (strided) grid fits the output's."""
    for layer in earlier:
        for stride in (1, 2):
            c, h, w = layer.shape
            fits = (-(-h // stride), -(-w // stride)) == out[1:] and c <= out[0]
            if fits and rng.random() < 0.8:
                scale = rng.integers(1, 9, c).astype(np.int8)
                return [Connection(layer.name, "identity", layer.shape, scale, stride=stride,
                                   channel_offset=int(rng.integers(0, out[0] - c + 1)))]
    return []


def random_layer(
    rng: Rng, name: str, shape: tuple[int, int, int], connections: tuple[Connection, ...], coding: str, timesteps: int,
    stages: tuple[int, ...] = (),
) -> Layer:
    by_channel = (shape[0], 1, 1)
    bias = rng.integers(-12, 13, by_channel) if rng.random() < 0.6 else None
    common = {"bias": bias, "potential_bits": int(rng.choice([7, 8, 9, 12, 16, 20]))}
    if coding == "quantised":
        return Layer(name, shape, connections, Requantise(), 1, thresholds=rng.integers(1, 12, 1), payload_bits=4, **common)
    if coding == "bit_serial":
        theta = int(rng.integers(1, 4)) << timesteps
        return Layer(name, shape, connections, BitSerial(), timesteps, thresholds=np.full(timesteps, theta),
                     initial_potential=np.full((1, 1, 1), theta >> (timesteps + 1)), **common)
    reset = str(rng.choice(["soft", "hard"]))
    leak = int(rng.integers(1, 5)) if rng.random() < 0.3 else None
    neuron = {STAGED: TwoStage(), "single_spike": SingleSpike(leak)}.get(coding, IntegrateAndFire(reset, leak))
    # By channel for neurons whose later passes write it again: they read the bias memory to do so.
    start = by_channel if coding in FLAGGED and rng.random() < 0.5 else (1, 1, 1)
    return Layer(name, shape, connections, neuron, timesteps, thresholds=rng.integers(1, 40, timesteps),
                 initial_potential=rng.integers(-9, 10, start), stages=stages, **common)


def random_architecture(rng: Rng, network: Network, coding: str) -> Architecture:
    """Any core; memories between what one group of output channels needs and what all layers need together."""
    lanes = int(rng.integers(1, 9))
    potential_bits = int(rng.choice([7, 8, 10, 16, 17, 24, 33]))
    current_bits = int(rng.choice([8, 12, 24]))
    groups = [-(-layer.shape[0] // lanes) for layer in network]
    words = [layer.shape[1] * layer.shape[2] for layer in network]
    spans = [[(g * lanes, min((g + 1) * lanes, layer.shape[0])) for g in range(n)]
             for layer, n in zip(network, groups, strict=True)]
    rows = [[sum(connection_rows(c, layer.shape[0], lanes, span)[0] for c in layer.connections) for span in every]
            for layer, every in zip(network, spans, strict=True)]
    least = {"weight": max(max(r) for r in rows), "membrane": max(words)}
    most = {"weight": sum(sum(r) for r in rows), "membrane": sum(g * w for g, w in zip(groups, words, strict=True))}
    if rng.random() < 0.3:  # too little for a group of all rows of the largest layer, which is then cut by rows as well
        least["membrane"], most["membrane"] = max(layer.shape[2] for layer in network), max(words)

    def between(memory: str, width: int) -> str:
        room = most[memory] if rng.random() < 0.4 else rng.integers(least[memory], most[memory] + 1)
        return f"{int(room) * width} bit"

    gates = bool(rng.random() < 0.3)
    return Architecture.model_validate({
        "name": "random", "clock": "500 MHz",
        "core": {
            "kind": "multiply_accumulate" if coding == "quantised" else "event", "lanes": lanes, "weight_bits": 8,
            "potential_bits": potential_bits, "current_bits": current_bits, "payload_bits": 8,
            "fifo_depth": int(rng.choice([1, 1, 2, 3, 8])), "bypass": bool(rng.random() < 0.4),
            "shift_at": str(rng.choice(["weight", "membrane"]))},
        "spike_buffer": {"kind": str(rng.choice(["aer", "bitmap"])), "capacity": "1 MiB", "address_bits": 16,
                         "scan_bits": int(rng.choice([1, 3, 8, 64]))},
        "memories": {"weight": between("weight", lanes * 8), "membrane": between("membrane", lanes * potential_bits),
                     "membrane_gate_by_channel": gates, "current": between("membrane", lanes * current_bits),
                     "bias": f"{lanes * potential_bits * 400} bit",
                     **({"mask": f"{sum(g * w for g, w in zip(groups, words, strict=True)) * lanes} bit"}
                        if coding in FLAGGED else {})},
        "channel": {"bits_per_cycle": int(rng.choice([1, 16, 64])), "latency_cycles": int(rng.integers(0, 30))},
    })


def random_dataflow(rng: Rng, sums: int = 0) -> dict[str, object]:
    """Settings of R19 to R24 that a core with a bitmap can have; networks that they do not suit are refused.

    sums   of planes, of a core that merges planes beside accumulators.
    """
    flow = {"type": "output_stationary", "accumulators": int(rng.integers(1, 5))}
    token = {"planes": "merged", "adders": int(rng.integers(1, 4))}
    gathers = rng.random() < 0.7
    return {
        "dataflow": flow if gathers else {"type": "event_driven"},
        "token": (token | {"sums": sums * gathers} if rng.random() < 0.4 else {"planes": "single"}),
        "writer": str(rng.choice(["serial", "word"])), "passes": str(rng.choice(["by_pass", "by_word"]))}


def random_chip(rng: Rng, network: Network, coding: str) -> Architecture:
    """One to four cores of different lanes, widths, buffers and memories on one channel; entries with a count among them."""
    entries, left = [], int(rng.integers(1, 5))
    first = dump_architecture(random_architecture(rng, network, coding))
    while left:
        count = int(rng.integers(1, left + 1))
        one = dump_architecture(random_architecture(rng, network, coding))
        if one["spike_buffer"]["kind"] == "bitmap" and rng.random() < 0.4:
            one["core"] |= random_dataflow(rng, 0 if coding == "quantised" else 62)
        entries.append({"count": count, **{name: one[name] for name in SHORT_FORM}})
        left -= count
    return rebuild_architecture({**{k: v for k, v in first.items() if k not in SHORT_FORM}, "cores": entries})


def random_sample(rng: Rng, network: Network) -> Sample:
    """Random input and random recorded outputs: dense enough to collide, sparse enough to leave gaps."""
    density = float(rng.choice([0.0, 0.1, 0.4, 0.9]))

    def planes(timesteps: int, shape: tuple[int, int, int], top: int, low: int = 1) -> np.ndarray:
        c, h, w = shape
        values = rng.integers(low, top + 1, (timesteps, h, w, c))
        return np.where(rng.random((timesteps, h, w, c)) < density, values, 0).astype(np.int16 if top > 1 else np.uint8)

    spec = network.input
    if spec.encoding == "direct":
        top = (1 << (spec.payload_bits - spec.signed)) - 1
        inputs = planes(1, spec.shape, max(top, 1), -top if spec.signed else 1).astype(np.int16)
    elif spec.encoding == "hybrid":
        top = (1 << (spec.payload_bits - spec.signed)) - 1
        payloads = planes(1, spec.shape, max(top, 1), -top if spec.signed else 1).astype(np.int16)
        inputs = np.concatenate([payloads, planes(spec.timesteps - 1, spec.shape, 1).astype(np.int16)])
    else:
        inputs = planes(spec.timesteps, spec.shape, 1)
    recorded = {layer.name: planes(layer.timesteps, layer.shape, (1 << layer.payload_bits) - 1 if layer.payload_bits else 1)
                for layer in network if layer.coding != "readout"}
    return Sample(inputs=inputs, recorded=recorded)
