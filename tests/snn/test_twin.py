"""The twin of a bit-serial trace is the ANN's trace, and the other way round: the shipped pairs, made from one source, say so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwsim.simulation import simulate
from hwsim.snn.forward import forward
from hwsim.snn.network import InputSpec, Network
from hwsim.snn.sample import Sample
from hwsim.trace.manifest import TraceError
from hwsim.trace.reader import Trace
from hwsim.trace.schema import encode
from hwsim.trace.synth import synthesise
from hwsim.trace.twin import twin
from hwsim.trace.writer import TraceWriter

TRACES = Path(__file__).parents[2] / "traces"
PAIRS = [("fashion_mnist_bit_serial_t4.h5", "fashion_mnist_ann.h5"),
         ("methods/fashion_mnist_tiny_bit_serial_t4.h5", "methods/fashion_mnist_tiny_ann_t4.h5")]


@pytest.mark.parametrize(("given", "expected"), [*PAIRS, *(pair[::-1] for pair in PAIRS)])
def test_the_twin_of_a_shipped_trace_is_the_shipped_twin(given: str, expected: str, tmp_path: Path) -> None:
    with Trace.open(TRACES / given) as trace, Trace.open(TRACES / expected) as other:
        made = twin(trace, tmp_path / "twin.h5", samples=3)
        groups, arrays = encode(made.network)
        groups_of, arrays_of = encode(other.network)
        assert groups == groups_of
        assert all(np.array_equal(arrays[name], array) for name, array in arrays_of.items())
        for index in range(3):
            mine, theirs = made.sample(index), other.sample(index)
            assert np.array_equal(mine.inputs, theirs.inputs)
            assert all(np.array_equal(mine.recorded[name], planes) for name, planes in theirs.recorded.items())
            assert all(np.array_equal(made.final_potentials(index)[name], potential)
                       for name, potential in other.final_potentials(index).items())
        made.check()


def test_what_the_twin_of_a_random_network_recorded_is_what_it_computes() -> None:
    """Random weights, pooling by a unit, and an input of bit planes, which becomes one of values."""
    trace = synthesise("tiny", timesteps=3, samples=2, seed=5, coding="bit_serial", pool="unit")
    spec = InputSpec(trace.network.input.shape, "spikes", 8, coding="bit_serial")
    network = Network(spec, trace.network.layers)
    with TraceWriter(network) as writer:
        for sample in trace:
            bits = (sample.inputs >> np.arange(7, -1, -1).reshape(-1, 1, 1, 1) & 1).astype(np.uint8)
            recorded, _ = forward(network, bits)
            writer.append(Sample(bits, recorded))
        given = writer.finish()
    made = twin(given)
    assert made.network.is_ann
    for index, sample in enumerate(made):
        recorded, _ = forward(made.network, sample.inputs)
        assert all(np.array_equal(sample.recorded[name], planes) for name, planes in recorded.items())
        assert np.array_equal(sample.inputs, trace.sample(index).inputs)


def test_a_twin_of_a_twin_replays_as_its_origin() -> None:
    trace = synthesise("tiny", samples=1, coding="quantised")
    again = twin(twin(trace))
    rows = [simulate(each, "mac_core_64", check=False).cycles for each in (trace, again)]
    assert rows[0].sum() > 0
    assert np.array_equal(rows[0], rows[1])


def test_other_networks_have_none(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"layer 'conv1'.*integrate_and_fire.*expected bit_serial"):
        twin(synthesise("tiny", samples=1), tmp_path / "twin.h5")
    trace = synthesise("tiny", samples=1, coding="bit_serial")
    layers = trace.network.layers
    odd = Network(trace.network.input, (replace(layers[0], thresholds=layers[0].thresholds + 1), *layers[1:]))
    with TraceWriter(odd) as writer:
        for sample in trace:
            writer.append(Sample(sample.inputs, forward(odd, sample.inputs)[0]))
        with pytest.raises(TraceError, match=r"no multiple of 16"):
            twin(writer.finish())
    with pytest.raises(TraceError, match="1 to 1"):
        twin(trace, samples=2)
    assert list(tmp_path.iterdir()) == []
