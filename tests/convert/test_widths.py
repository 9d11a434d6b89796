"""Laws of potential widths: no input saturates the worst case, some input nearly does, and samples need no more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwsim.convert.alpha_beta import algorithm_1, to_alpha_beta
from hwsim.convert.bit_serial import to_bit_serial, to_quantised_ann
from hwsim.convert.evaluate import run_batch
from hwsim.convert.rate import to_rate, to_two_stage
from hwsim.convert.widths import needed_bits, worst_case, worst_case_bits
from hwsim.engine.fast.chip import FastEngine
from hwsim.simulation import make_program
from hwsim.snn.forward import forward, layer_sums, safe_potential_bits
from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import BitSerial, IntegrateAndFire, Neuron, ReadOut, Requantise, SingleSpike
from hwsim.snn.sample import Sample
from tests.convert.sources import as_inputs, matrix, payload_grid, random_source
from tests.convert.test_bit_serial import design
from tests.snn.networks import CODINGS, random_input, random_network

Rng = np.random.Generator
UNLIMITED = 1 << 60


def weights_by_source(layer: Layer) -> dict[str, np.ndarray]:
    """By source, the dense weights (neurons, source neurons) of all its connections to the layer together."""
    found: dict[str, np.ndarray] = {}
    for c in layer.connections:
        found[c.source] = found.get(c.source, 0) + matrix(c, c.weights, layer.shape)
    return found


def extreme_planes(network: Network, c: Connection, row: np.ndarray, sign: int) -> np.ndarray:
    """What the source must send for the sum of `row` to be as large (sign 1) or small (-1) as can be: (T, H, W, C)."""
    up = (sign * row.reshape(c.source_shape) > 0).transpose(1, 2, 0)
    planes, bits = network.source_timesteps(c), network.carries_payload(replace(c, pool_mode="none"))
    high, low = np.ones(planes, np.int64), np.zeros(planes, np.int64)
    if c.source != INPUT and network.source_coding(c) == "single_spike":
        high[1:] = 0  # its neurons fire once
    if bits:
        signed = c.source == INPUT and network.input.signed
        high[0], low[0] = (1 << (bits - signed)) - 1, -(1 << (bits - 1)) if signed else 0
    return np.where(up, high[:, None, None, None], low[:, None, None, None])


def reached(network: Network, layer: Layer) -> int:
    """Largest magnitude of potential over neurons at their extreme inputs; the layer never fires on the way."""
    silent = replace(layer, thresholds=np.full(len(layer.thresholds), UNLIMITED))
    dense, wires = weights_by_source(layer), {c.source: c for c in layer.connections}
    most = 0
    for neuron in np.linspace(0, layer.neurons - 1, min(layer.neurons, 12)).astype(int):
        for sign in (1, -1):
            planes = {name: extreme_planes(network, wires[name], dense[name][neuron], sign) for name in dense}
            _, v = silent.neuron.emit(layer_sums(network, layer, planes), silent)
            most = max(most, int(np.abs(v).max()))
    return most


@pytest.mark.parametrize("coding", CODINGS)
def test_no_input_exceeds_the_worst_case(coding: str) -> None:
    """Random networks of every coding, pooling and input; leaks are left out, they only take away."""
    for seed in range(25):
        network = random_network(np.random.default_rng(seed), coding)
        for layer in network:
            calm = layer
            if getattr(layer.neuron, "leak_shift", None) is not None:
                calm = replace(layer, neuron=replace(layer.neuron, leak_shift=None))
            assert reached(network, calm) <= worst_case(network, layer), (seed, layer.name)


def single_layer(rng: Rng, neuron: Neuron, signed: bool) -> Network:
    """One layer that its input feeds by direct payloads or spikes; no padding, so that some neuron sees every weight."""
    steps = int(rng.integers(1, 6))
    coding = neuron.coding
    if signed or coding == "quantised":
        spec = InputSpec((3, 5, 5), "direct", 1, int(rng.integers(2, 9)), signed)
    else:
        spec = InputSpec((3, 5, 5), "spikes", steps, 1, False, "bit_serial" if coding == "bit_serial" else "rate")
    if coding == "quantised":
        steps = 1
    pool = int(rng.integers(1, 3))
    wire = Connection(INPUT, "conv2d", spec.shape, rng.integers(-127, 128, (2, 3, 2, 2)), 2, pool=pool,
                      pool_mode="none" if pool == 1 else str(rng.choice(("folded", "unit"))))
    shape = wire.natural_shape(2)
    theta = np.zeros(0, np.int64) if coding == "readout" else np.full(steps, 1 << steps)
    return Network(spec, (Layer("only", shape, (wire,), neuron, steps, theta, payload_bits=4 if coding == "quantised" else 0),))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("neuron", [IntegrateAndFire(), BitSerial(), Requantise(), ReadOut(), SingleSpike()],
                         ids=lambda neuron: neuron.model)
def test_a_single_layer_s_width_is_tight_to_one_bit(neuron: Neuron, signed: bool) -> None:
    for seed in range(10):
        network = single_layer(np.random.default_rng(seed), neuron, signed)
        layer = network.layers[0]
        assert reached(network, layer) <= worst_case(network, layer)
        needed = 1 + reached(network, layer).bit_length()
        assert needed <= worst_case_bits(network)["only"] <= needed + 1


def test_random_inputs_need_no_more() -> None:
    """hwsim.snn.forward's bound of a sample, any order of its events, is within that of all samples."""
    for coding in CODINGS:
        for seed in range(25):
            rng = np.random.default_rng(seed)
            network = random_network(rng, coding)
            safe = safe_potential_bits(network, [random_input(rng, network.input) for _ in range(3)])
            worst = worst_case_bits(network)
            assert all(safe[name] <= max(worst[name], 2) for name in safe), (coding, seed)


def test_conversions_take_the_worst_case() -> None:
    rng = np.random.default_rng(4)
    source = random_source(rng)
    seen = {layer.name: np.linspace(0, layer.threshold, 101) for layer in source.layers if layer.fires}
    networks = [to_rate(source, 4), to_two_stage(source, 3, 3), to_bit_serial(source, 4), to_quantised_ann(source, 4),
                to_alpha_beta(source, 3, algorithm_1(source, 3, seen))]
    for network in networks:
        worst = worst_case_bits(network)
        assert {layer.name: layer.potential_bits for layer in network} == worst
        safe = safe_potential_bits(network, as_inputs(payload_grid(rng, source, 3)))
        assert all(safe[name] <= worst[name] for name in safe)
        for layer in network:
            assert reached(network, layer) <= worst_case(network, layer)


def needed_in_any_order(network: Network, inputs: np.ndarray) -> dict[str, int]:
    """Widths of layers that see the sum of all planes, by dense matrices: contributions of one sign first, then the others;
    bias and first potential, one number, before all or after all."""
    values: dict[str, np.ndarray] = {INPUT: inputs[:, 0].transpose(0, 3, 1, 2).astype(np.int64)}
    bits = {}
    planes, _ = run_batch(network, inputs)
    for layer in network:
        once = (np.broadcast_to(layer.initial_potential, layer.shape) + np.broadcast_to(
            np.zeros((1, 1, 1), np.int64) if layer.bias is None else layer.bias, layer.shape)).ravel()
        low, high = np.minimum(once, 0), np.maximum(once, 0)
        for c in layer.connections:
            each = matrix(c, c.weights, layer.shape)[None] * values[c.source].reshape(len(inputs), 1, -1)
            low, high = low + np.minimum(each, 0).sum(2), high + np.maximum(each, 0).sum(2)
        bits[layer.name] = 1 + int(max(high.max(), -low.min() - 1)).bit_length()
        if layer.name in planes:
            sent = planes[layer.name].astype(np.int64)
            weights = 2 ** np.arange(sent.shape[1])[::-1]  # of an ANN's one plane: 1
            values[layer.name] = np.tensordot(sent, weights, (1, 0))
    return bits


@pytest.mark.parametrize("build", [to_bit_serial, to_quantised_ann], ids=lambda build: build.__name__)
def test_tested_widths_are_what_the_worst_order_of_the_tested_events_needs(build) -> None:
    narrower = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        source = random_source(rng)
        network, inputs = build(source, 3), as_inputs(payload_grid(rng, source, 3))
        found, worst, safe = needed_bits(network, inputs), worst_case_bits(network), safe_potential_bits(network, inputs)
        assert found == {name: max(2, bits) for name, bits in needed_in_any_order(network, inputs).items()}
        assert all(found[name] <= min(worst[name], safe[name]) for name in found)
        narrower += sum(worst[name] - found[name] for name in found)
    assert narrower > 8, "or nothing is gained"


def test_a_bias_that_counts_once_and_a_first_potential_are_one_number() -> None:
    """257 * 255 = 65,535 just fits 17 bits: nothing is added that is not there. A bias of each timestep comes by itself."""
    wire = Connection(INPUT, "identity", (1, 1, 1), np.array([257]))
    bits = {}
    for neuron in (Requantise(), IntegrateAndFire()):
        bias, first = (np.full((1, 1, 1), value) for value in (-1000, 340))
        layer = Layer("only", (1, 1, 1), (wire,), neuron, 1, np.array([1 << 14]), bias, first,
                      payload_bits=4 * neuron.sends_values)
        bits[neuron.model] = needed_bits(Network(InputSpec((1, 1, 1)), (layer,)), [np.full((1, 1, 1, 1), 255)])["only"]
    assert bits == {"requantise": 17, "integrate_and_fire": 18}


@pytest.mark.parametrize("shift_at", ["weight", "membrane"])
def test_nothing_saturates_at_tested_widths(shift_at: str) -> None:
    """On the simulated core: bias and offset first with shifted weights, last with doubled potentials."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        source = random_source(rng)
        for network in (to_bit_serial(source, 3), to_rate(source, 3)):
            inputs = as_inputs(payload_grid(rng, source, 2))
            bits = needed_bits(network, inputs)
            sized = Network(network.input, tuple(replace(layer, potential_bits=bits[layer.name]) for layer in network))
            program = make_program(sized, design(network, shift_at), "layer_by_layer")
            for planes in inputs:
                recorded, potentials = forward(network, planes)
                run = FastEngine().run_sample(program, Sample(planes, recorded), "computed")
                assert not run.saturations.any()
                np.testing.assert_array_equal(run.potentials["out"], potentials["out"])
