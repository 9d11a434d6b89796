"""A trace is what was put in, wherever it is kept, and its hash names its content."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tracemalloc
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hwsim
from hwsim.snn.forward import forward
from hwsim.snn.network import InputSpec, Layer, Network
from hwsim.snn.sample import Sample
from hwsim.trace.reader import Trace, TraceError
from hwsim.trace.writer import TraceWriter
from tests.snn.networks import CODINGS, random_input, random_network

seeds = st.integers(0, 2**32 - 1)


def record(network: Network, inputs: list[np.ndarray], path: Path | None = None, **more: Any) -> Trace:
    """What the network does on the inputs, with labels and the potentials of every layer."""
    with TraceWriter(network, path, **more) as writer:
        for label, planes in enumerate(inputs):
            recorded, potentials = forward(network, planes)
            writer.append(Sample(planes, recorded), label=label, potentials=potentials)
        return writer.finish()


def small(seed: int = 7, coding: str = "rate", samples: int = 3) -> tuple[Network, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    network = random_network(rng, coding)
    return network, [random_input(rng, network.input) for _ in range(samples)]


def assert_same_object(found: Any, expected: Any, place: str) -> None:
    """Field by field, arrays by value."""
    for f in fields(expected):
        a, b = getattr(found, f.name), getattr(expected, f.name)
        if f.name == "connections":
            for k, (x, y) in enumerate(zip(a, b, strict=True)):
                assert_same_object(x, y, f"{place}.connection{k}")
        elif isinstance(b, np.ndarray):
            np.testing.assert_array_equal(a, b, err_msg=f"{place}.{f.name}")
        else:
            assert a == b, f"{place}.{f.name}"


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from(CODINGS))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, seed: int, coding: str) -> None:
    network, inputs = small(seed, coding)
    memory = record(network, inputs, name="ä name", provenance={"origin": "test", "accuracy": 0.5})
    path = tmp_path_factory.mktemp("trace") / "saved.h5"
    file = memory.save(path)
    streamed = record(network, inputs, path.with_name("streamed.h5"), name="ä name",
                      provenance={"accuracy": 0.5, "origin": "test"})
    for trace in (memory, file, streamed):
        assert trace.content_hash == memory.content_hash
        assert (trace.name, trace.samples, len(trace)) == ("ä name", 3, 3)
        assert trace.provenance == {"origin": "test", "accuracy": 0.5}
        assert trace.has_weights
        assert trace.labels.tolist() == [0, 1, 2]
        assert_same_object(trace.network.input, network.input, "input")
        for layer, expected in zip(trace.network, network, strict=True):
            assert_same_object(layer, expected, layer.name)
        trace.check()
        for index, (planes, sample) in enumerate(zip(inputs, trace, strict=True)):
            recorded, potentials = forward(network, planes)
            np.testing.assert_array_equal(sample.inputs, planes)
            assert list(sample.recorded) == list(recorded)
            for name in recorded:
                np.testing.assert_array_equal(sample.recorded[name], recorded[name])
                assert sample.recorded[name].dtype == np.uint8
            finals = trace.final_potentials(index)
            assert list(finals) == [layer.name for layer in network]
            for name in potentials:
                np.testing.assert_array_equal(finals[name], potentials[name])
            last = network.layers[-1].name
            np.testing.assert_array_equal(trace.logits(index), potentials[last].reshape(-1))
        trace.close()


def test_the_public_name_is_this_class() -> None:
    assert hwsim.Trace is Trace
    assert issubclass(TraceError, ValueError)


def test_what_a_trace_says_of_itself() -> None:
    for coding, timesteps in (("rate", None), ("bit_serial", None), ("quantised", 1)):
        network, inputs = small(3, coding)
        with record(network, inputs) as trace:
            assert trace.coding == coding
            assert trace.timesteps == (timesteps or network.layers[0].timesteps)
            assert trace.logits(0) is not None
            assert repr(trace).startswith("<Trace 'trace'")


def changes(network: Network, inputs: list[np.ndarray]) -> dict[str, Trace]:
    """Traces that differ from record(network, inputs) in one thing each."""
    first, *rest = network.layers
    wire = first.connections[0]
    def using(**kw: Any) -> Network:
        return replace(network, layers=(replace(first, **kw), *rest))
    flipped = wire.weights.copy()
    flipped.flat[0] += 1
    return {
        "weight": record(using(connections=(replace(wire, weights=flipped), *first.connections[1:])), inputs),
        "threshold": record(using(thresholds=first.thresholds + 1), inputs),
        "width": record(using(potential_bits=30), inputs),
        "initial": record(using(initial_potential=first.initial_potential + 1), inputs),
        "input": record(replace(network, input=replace(network.input, payload_bits=7)), inputs),
        "samples": record(network, inputs[:-1]),
        "order": record(network, inputs[::-1]),
        "name": record(network, inputs, name="other"),
        "provenance": record(network, inputs, provenance={"a": 1}),
    }


def test_any_change_of_content_changes_the_hash() -> None:
    network, inputs = small()
    hashes = {"same": record(network, inputs).content_hash}
    hashes |= {what: trace.content_hash for what, trace in changes(network, inputs).items()}
    assert hashes["same"] == record(network, inputs).content_hash
    assert len(set(hashes.values())) == len(hashes)


def test_the_hash_does_not_depend_on_compression(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor on who wrote the datasets: the HDF5 library's own, without gzip and with shuffle, hold the same content."""
    network, inputs = small()
    trace = record(network, inputs, tmp_path / "a.h5")
    monkeypatch.setattr("hwsim.trace.hdf5_writer.GZIP_LEVEL", 9)
    assert record(network, inputs, tmp_path / "b.h5", name="a").content_hash == trace.content_hash
    assert (tmp_path / "a.h5").read_bytes() != (tmp_path / "b.h5").read_bytes()
    with h5py.File(tmp_path / "b.h5", "r+", libver=("v110", "v110")) as file:
        names: list[str] = []
        file.visit(names.append)
        for name in names:
            if isinstance(node := file[name], h5py.Dataset):
                chunks, array, said = node.chunks, node[...], dict(node.attrs)
                del file[name]
                made = file.create_dataset(name, data=array, chunks=chunks, fletcher32=True, shuffle=True)
                for key, value in said.items():
                    made.attrs.create(key, value)
    with Trace.open(tmp_path / "b.h5") as other:
        assert other.content_hash == trace.content_hash
        other.check()


def test_traces_travel_between_processes(tmp_path: Path) -> None:
    network, inputs = small()
    memory = record(network, inputs)
    for trace in (memory, memory.save(tmp_path / "t.h5")):
        arrived = pickle.loads(pickle.dumps(trace))
        assert arrived.content_hash == trace.content_hash
        assert arrived.path == trace.path
        np.testing.assert_array_equal(arrived.sample(1).inputs, trace.sample(1).inputs)


def test_samples_stream_in_constant_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    network, _ = small()
    with TraceWriter(network, tmp_path / "long.h5") as writer:
        for _ in range(300):
            planes = random_input(rng, network.input)
            writer.append(Sample(planes, forward(network, planes)[0]))
    with Trace.open(tmp_path / "long.h5") as trace:
        trace.sample(0)
        tracemalloc.start()
        for sample in trace:
            assert sample.inputs is not None
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 300_000, "a sample must not be kept"


def test_nothing_half_written_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, inputs = small()
    memory = record(network, inputs)
    memory.save(tmp_path / "t.h5")
    before = (tmp_path / "t.h5").read_bytes()

    def interrupted(network: Network) -> None:
        with TraceWriter(network, tmp_path / "t.h5") as writer:
            writer.append(Sample(inputs[0], forward(network, inputs[0])[0]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted(network)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    for attempt in (lambda: memory.save(tmp_path / "t.h5"), lambda: record(network, inputs, tmp_path / "t.h5")):
        with pytest.raises(TraceError, match=r"cannot be written \(disk full\)"):
            attempt()
    assert os.listdir(tmp_path) == ["t.h5"]
    assert (tmp_path / "t.h5").read_bytes() == before


def test_a_full_disk_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """In a process whose files may not grow beyond 20 KB, which to a writer looks like a full disk."""
    program = f"""
import resource
import numpy as np
from hwsim.trace.synth import synthesise
from hwsim.trace.writer import TraceWriter
trace = synthesise("tiny", 4, 0.3, 1, 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
with TraceWriter(trace.network, {str(tmp_path / "t.h5")!r}) as writer:
    for _ in range(500):
        writer.append(trace.sample(0))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "t.h5: file: found that it cannot be written" in done.stderr
    assert "Exception ignored" not in done.stderr
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    network, inputs = small()
    for attempt in (lambda: record(network, inputs).save(tmp_path / "no" / "t.h5"),
                    lambda: record(network, inputs, tmp_path / "no" / "t.h5")):
        with pytest.raises(TraceError, match=r"no/t.h5: file: found that it cannot be written"):
            attempt()


def test_a_trace_can_be_saved_over_itself(tmp_path: Path) -> None:
    network, inputs = small()
    trace = record(network, inputs, tmp_path / "t.h5")
    again = trace.save(tmp_path / "t.h5")
    assert again.content_hash == trace.content_hash
    again.check()
    np.testing.assert_array_equal(trace.sample(0).inputs, inputs[0])


def test_values_of_every_width_survive(tmp_path: Path) -> None:
    for bits, signed, dtype in ((1, False, "uint8"), (8, False, "uint8"), (9, False, "int16"), (15, False, "int16"),
                                (16, False, "int32"), (8, True, "int16"), (16, True, "int16")):
        low = -(1 << (bits - 1)) if signed else 0
        extremes = np.array([low, low + (1 << bits) - 1]).reshape(2, 1, 1, 1)
        trace = Trace.from_arrays(extremes, [{"name": "out", "weights": [[1]], "neuron": "read_out"}], input_bits=bits)
        trace = trace.save(tmp_path / f"{bits}{signed}.h5")
        assert_same_object(trace.network.input, InputSpec((1, 1, 1), "direct", 1, bits, signed), "input")
        found = [trace.sample(i).inputs for i in range(2)]
        assert [int(x.item()) for x in found] == extremes.reshape(-1).tolist()
        assert {str(x.dtype) for x in found} == {dtype}


def test_samples_outside_and_closed_traces_say_so() -> None:
    network, inputs = small()
    trace = record(network, inputs)
    for index in (-1, 3):
        with pytest.raises(IndexError, match="the trace has 0 to 2"):
            trace.sample(index)
    trace.close()
    for read in (lambda: trace.sample(0), lambda: trace.logits(0), trace.check):
        with pytest.raises(TraceError, match="closed"):
            read()


# -- what a writer refuses ----------------------------------------------------------------------------------------


def layer_of(network: Network) -> Layer:
    return network.layers[0]


@pytest.mark.parametrize(("what", "says"), [
    ("missing", "expected planes of shape"), ("shape", r"expected integers of shape \(T, H, W, C\)"),
    ("two", "values from 0 to 2"), ("negative", "values from -1"), ("float", "float64"),
])
def test_a_sample_that_does_not_fit_is_refused_and_leaves_no_trace(what: str, says: str) -> None:
    network, inputs = small()
    recorded, _ = forward(network, inputs[0])
    name = layer_of(network).name
    wrong = {key: value.copy() for key, value in recorded.items()}
    if what == "missing":
        del wrong[name]
    elif what == "shape":
        wrong[name] = wrong[name][..., None]
    elif what == "float":
        wrong[name] = wrong[name].astype(float)
    else:
        wrong[name] = wrong[name].astype(int)
        wrong[name].flat[0] = 2 if what == "two" else -1
    writer = TraceWriter(network)
    with pytest.raises(TraceError, match=says):
        writer.append(Sample(inputs[0], wrong))
    writer.append(Sample(inputs[0], recorded))
    with writer.finish() as trace:
        assert trace.samples == 1
        trace.check()


def test_labels_for_some_samples_only_are_refused() -> None:
    network, inputs = small()
    writer = TraceWriter(network)
    writer.append(Sample(inputs[0], forward(network, inputs[0])[0]), label=1)
    with pytest.raises(TraceError, match="for every sample or for none"):
        writer.append(Sample(inputs[1], forward(network, inputs[1])[0]))
    writer.abort()


def test_an_empty_trace_and_an_unsound_network_are_refused(tmp_path: Path) -> None:
    network, inputs = small()
    with pytest.raises(TraceError, match="at least one"):
        TraceWriter(network, tmp_path / "t.h5").finish()
    unsound = replace(network, layers=(replace(layer_of(network), potential_bits=1), *network.layers[1:]))
    with pytest.raises(TraceError, match="potential_bits is 1"):
        TraceWriter(unsound, tmp_path / "t.h5")
    with pytest.raises(TraceError, match="not JSON"):
        TraceWriter(network, tmp_path / "t.h5", provenance={"a": float("nan")})
    with pytest.raises(TraceError, match="printable"):
        TraceWriter(network, tmp_path / "t.h5", name="a\0b")
    with pytest.raises(TraceError, match="shorten"):
        TraceWriter(network, tmp_path / "t.h5", provenance={"log": "x" * 100_000})
    assert os.listdir(tmp_path) == []


def test_logits_must_be_finite_numbers() -> None:
    network, inputs = small()
    writer = TraceWriter(network)
    sample = Sample(inputs[0], forward(network, inputs[0])[0])
    for wrong in (np.array([1.0, np.nan]), np.array([[1.0]]), np.array(["a"])):
        with pytest.raises(TraceError, match="finite numbers"):
            writer.append(sample, logits=wrong)
    writer.append(sample, logits=np.array([0.5, 2.0]))
    for wrong in (np.array([1, 2]), np.array([1.0, 2.0, 3.0])):
        with pytest.raises(TraceError, match="as for sample 0"):
            writer.append(sample, logits=wrong)
    with writer.finish() as trace:
        assert trace.logits(0).tolist() == [0.5, 2.0]
