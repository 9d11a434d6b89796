"""Laws of slices (C9): layers cut by columns, slices of a given width, and spare neurons that pad the last one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hwsim
from hwsim.activity import INDEX
from hwsim.arch import Architecture, ArchitectureError, dump_architecture, load_architecture, rebuild_architecture
from hwsim.chip.slices import laid_out, laid_out_sample
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.mapping import MappingError
from hwsim.program import ProgramError
from hwsim.record import SampleRecord
from hwsim.rtl.coverage import uncovered
from hwsim.simulation import make_program
from hwsim.snn.forward import forward
from hwsim.snn.network import Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import IntegrateAndFire, ReadOut, SingleSpike
from hwsim.snn.sample import Sample
from hwsim.snn.turn import turned_network, turned_sample
from hwsim.trace.reader import Trace
from hwsim.trace.writer import TraceWriter
from tests.engine.random_runs import RandomRun, random_run
from tests.engine.test_engines_agree import assert_same_log
from tests.engine.test_timing_only import check_program as assert_timing_is_the_checked_one
from tests.snn.networks import random_input, random_network

FAST, REFERENCE = FastEngine(), ReferenceEngine()
SEEDS = st.integers(0, 2**32 - 1)


def quietly(examples: int) -> Any:
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


# --- spare neurons ---------------------------------------------------------------------------------------------------------


def padded_run(seed: int) -> RandomRun:
    """A run of the last rows of its layer and of one to three spare ones, which both engines take."""
    for further in range(200):
        rng = np.random.default_rng(seed + further)
        case = random_run(rng)
        height = case.run.shape[1]
        run = replace(case.run, rows=(int(rng.integers(0, height)), height), spare_rows=int(rng.integers(1, 4)))
        try:
            FAST.run_planes(run, *case.arguments[1:])
        except ProgramError:
            continue
        return replace(case, run=run)
    raise AssertionError("no such run")


@quietly(12)
@given(seed=SEEDS)
def test_both_engines_agree_on_spare_neurons_and_nobody_sees_them(seed: int) -> None:
    """The spikes, states and saturations of the run without them; every word of theirs takes every pass."""
    case = padded_run(seed)
    fast, reference = (engine.run_planes(*case.arguments) for engine in (FAST, REFERENCE))
    assert_same_log(fast, reference, "spare")
    np.testing.assert_array_equal(fast.counts, reference.counts)
    without = FAST.run_planes(replace(case.run, spare_rows=0), *case.arguments[1:])
    assert sorted(fast.spikes[:, 1:].tolist()) == sorted(without.spikes[:, 1:].tolist())
    for field in ("potentials", "currents", "saturations"):
        np.testing.assert_array_equal(getattr(fast, field), getattr(without, field), err_msg=field)
    channels = case.run.channels[1] - case.run.channels[0]
    fires = sum(p.kind == "fire" for p in case.run.table.passes)
    compared = [int(log.counts[:, INDEX["cmp"]].sum()) for log in (fast, without)]
    assert compared[0] - compared[1] == fires * channels * case.run.spare_rows * case.run.shape[2]


def test_spare_neurons_take_the_events_of_their_fields() -> None:
    """Closed form: 3 x 3, stride 2, 7 rows give 3; a spare row sees rows 6 to 8, of which row 6 is there."""
    wire = Connection("input", "conv2d", (1, 7, 7), np.ones((2, 1, 3, 3), np.int8), kernel=3, stride=2)
    network = Network(InputSpec((1, 7, 7), "spikes", 1), (
        Layer("conv", (2, 3, 3), (wire,), IntegrateAndFire("hard"), 1, thresholds=np.array([100])),))
    planes = np.ones((1, 7, 7, 1), np.uint8)
    taps = sum(sum(0 <= y - 2 * oy < 3 for oy in range(3)) * sum(0 <= x - 2 * ox < 3 for ox in range(3))
               for y in range(7) for x in range(7))
    for width, spare_events in ((2, 3 * 3), (3, 0)):  # row 6: each of its places is seen by the fields of 3 columns
        chip = sliced({"conv": ["core0", "core1"]}, {"conv": width}, slices="rows", pad_slices=True)
        record = FAST.run_sample(make_program(network, chip), Sample(planes, {}), "computed")
        assert record.counts[..., INDEX["acc_add"]].sum() == 2 * (taps + spare_events), width
        assert record.counts[..., INDEX["cmp"]].sum() == 2 * 3 * (4 if width == 2 else 3)


def test_a_spare_row_reads_what_no_other_row_reads() -> None:
    """3 x 3, stride 3, 11 rows give 3; a spare row sees rows 9 and 10, which travel for its sake. A core that has just sent many
    spikes sends none for it."""
    first = Connection("input", "identity", (2, 11, 8), np.ones(2, np.int8))
    second = Connection("a", "conv2d", (2, 11, 8), np.ones((2, 2, 3, 3), np.int8), kernel=3, stride=3)
    network = Network(InputSpec((2, 11, 8), "spikes", 1), (
        Layer("a", (2, 11, 8), (first,), IntegrateAndFire("hard"), 1, thresholds=np.array([1])),
        Layer("b", (2, 3, 2), (second,), IntegrateAndFire("hard"), 1, thresholds=np.array([100]))))
    sample = Sample(np.ones((1, 11, 8, 2), np.uint8), {})
    adds = []
    for padded in (False, True):
        placement = {"a": [f"core{n}" for n in range(4)], "b": ["core0", "core1"]}
        chip = sliced(placement, {"a": 3, "b": 2}, slices="rows", pad_slices=padded)
        program = make_program(network, chip)
        fast, reference = (engine.run_sample(program, sample, "computed") for engine in (FAST, REFERENCE))
        for field in ("start", "end", "counts"):
            np.testing.assert_array_equal(getattr(fast, field), getattr(reference, field), err_msg=field)
        counts = fast.counts.sum(axis=(0, 1))
        adds.append(int(counts[INDEX["acc_add"]]))
        assert counts[INDEX["spike_out"]] == 2 * 11 * 8
        assert counts[INDEX["cmp"]] == 2 * 8 * (12 if padded else 11) + 2 * 2 * (4 if padded else 3)
    assert adds[1] - adds[0] == 2 * 2 * 2 * 6, "rows 9 and 10, columns 0 to 5, of 2 channels each onto 2"


# --- columns ---------------------------------------------------------------------------------------------------------------


def sliced(placement: Any, widths: dict[str, int] | None = None, **links: Any) -> Architecture:
    """Four small cores with one lane on a bus."""
    data = dump_architecture(load_architecture("event_core_16_x4"))
    core = data["cores"][0]
    core["core"] |= {"lanes": 1, "potential_bits": 24}
    core["memories"] = {name: "64 KiB" for name in ("weight", "membrane", "current", "bias", "mask")}
    data["network"] |= {"placement": placement, "slice_widths": widths, "buffer_planes": 4, **links}
    return rebuild_architecture(data)


def recorded(network: Network, seed: int) -> Trace:
    rng = np.random.default_rng(seed)
    with TraceWriter(network, name="drawn") as writer:
        planes = random_input(rng, network.input)
        spikes, potentials = forward(network, planes)
        writer.append(Sample(planes, spikes), potentials=potentials)
        return writer.finish()


def turned_trace(trace: Trace) -> Trace:
    """The trace of the same network with rows and columns exchanged, computed anew."""
    network = turned_network(trace.network)
    with TraceWriter(network, name="turned") as writer:
        planes = np.ascontiguousarray(turned_sample(trace.sample(0)).inputs)
        spikes, potentials = forward(network, planes)
        writer.append(Sample(planes, spikes), potentials=potentials)
        return writer.finish()


def drawn(seed: int) -> tuple[Trace, dict[str, list[str]]]:
    rng = np.random.default_rng(seed)
    trace = recorded(random_network(rng, "rate"), seed)
    cores = [f"core{n}" for n in range(4)]
    return trace, {layer.name: [str(c) for c in rng.permutation(cores)[: int(rng.integers(1, 5))]] for layer in trace.network}


@quietly(8)
@given(seed=SEEDS)
def test_columns_are_the_rows_of_the_turned_network(seed: int) -> None:
    """The same cycles, counts and spikes, by a network and by its transpose on the other axis; closed loop, no mismatch."""
    trace, placement = drawn(seed)
    schedule = str(np.random.default_rng(seed).choice(["layer_by_layer", "step_by_step", "pipelined"]))
    try:
        columns = hwsim.simulate(trace, sliced(placement, slices="columns"), schedule=schedule, spikes="computed")
    except ProgramError:
        return
    rows = hwsim.simulate(turned_trace(trace), sliced(placement, slices="rows"), schedule=schedule, spikes="computed")
    assert columns.facts.mismatches == 0 == rows.facts.mismatches
    assert columns.cycles.tolist() == rows.cycles.tolist()
    np.testing.assert_array_equal(columns.layer_counts, rows.layer_counts)
    np.testing.assert_array_equal(columns.operation_counts, rows.operation_counts)
    assert columns.spans.tolist() == rows.spans.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_whatever_the_axis_the_same_work_is_done(seed: int) -> None:
    """Additions, comparisons and spikes are those of one core: a cut moves tokens, waits and reads only."""
    trace, placement = drawn(seed)
    found = []
    cut = (sliced(placement, slices=axis) for axis in ("rows", "columns"))
    for chip in (sliced({name: "core0" for name in placement}), *cut):
        counts = hwsim.simulate(trace, chip, spikes="computed").activity.groupby("event")["count"].sum()
        found.append([int(counts.get(name, 0)) for name in ("acc_add", "cmp", "spike_out", "reset_sub", "reset_zero", "leak")])
    assert found[0] == found[1] == found[2]


def machine(trace: Trace, chip: Architecture, engine: str, schedule: str) -> SampleRecord:
    from hwsim.chip.model import chip_model
    from hwsim.schedules import schedule_by_name

    made = chip_model(chip).machine(trace.network, chip, schedule_by_name(schedule), engine)
    if engine == "fast":
        program = make_program(laid_out(trace.network, chip), chip, schedule)
        assert_timing_is_the_checked_one(program, laid_out_sample(trace.sample(0), chip))
    return made.run(trace.sample(0), "computed")


@pytest.mark.parametrize("seed", range(6))
def test_both_engines_agree_on_padded_slices(seed: int) -> None:
    """Of given widths, by rows and by columns, the last slice padded: outputs and potentials as the network has them."""
    trace, _ = drawn(seed)
    axis, schedule = ("rows", "columns")[seed % 2], ("step_by_step", "pipelined", "layer_by_layer")[seed % 3]
    cores = [f"core{n}" for n in range(4)]
    sizes = {layer.name: layer.shape[1 if axis == "rows" else 2] for layer in trace.network
             if not any(wire.operator == "linear" for wire in layer.connections)}
    widths = {name: -(-size // 3) for name, size in sizes.items() if size > 1}
    chip = sliced({layer.name: cores for layer in trace.network}, widths, slices=axis, pad_slices=True)
    try:
        fast, reference = (machine(trace, chip, engine, schedule) for engine in ("fast", "reference"))
    except MappingError:
        return
    for field in ("start", "end", "counts", "saturations", "mismatches"):
        np.testing.assert_array_equal(getattr(fast, field), getattr(reference, field), err_msg=field)
    assert not fast.mismatches.clip(0).any()
    for layer in trace.network:
        np.testing.assert_array_equal(fast.potentials[layer.name], reference.potentials[layer.name])
        if layer.sends:
            np.testing.assert_array_equal(fast.outputs[layer.name], trace.sample(0).recorded[layer.name])
        else:
            np.testing.assert_array_equal(fast.potentials[layer.name], trace.final_potentials(0)[layer.name])


def test_turning_twice_is_turning_back() -> None:
    trace, _ = drawn(3)
    again = turned_network(turned_network(trace.network))
    for layer, same in zip(trace.network, again, strict=True):
        assert layer.shape == same.shape
        for wire, other in zip(layer.connections, same.connections, strict=True):
            assert (wire.kernel, wire.stride, wire.padding, wire.source_shape) == (
                other.kernel, other.stride, other.padding, other.source_shape)
            np.testing.assert_array_equal(wire.weights, other.weights)
    np.testing.assert_array_equal(turned_sample(turned_sample(trace.sample(0))).inputs, trace.sample(0).inputs)


# --- mistakes --------------------------------------------------------------------------------------------------------------


def tower(neuron: Any = None, width: int = 9) -> Network:
    wire = Connection("input", "conv2d", (1, 5, width), np.ones((2, 1, 3, 3), np.int8), kernel=3, padding=1)
    last = Connection("conv", "linear", (2, 5, width), np.ones((3, 10 * width), np.int8))
    return Network(InputSpec((1, 5, width), "spikes", 1), (
        Layer("conv", (2, 5, width), (wire,), neuron or IntegrateAndFire("hard"), 1, thresholds=np.array([3])),
        Layer("out", (3, 1, 1), (last,), ReadOut(), 1)))


CORES = ["core0", "core1"]


@pytest.mark.parametrize(("widths", "changes", "says"), [
    ({"conv": 4}, {}, "layer conv has 9 columns, and slices of 4 on its cores hold 8; give it 3 cores"),
    ({"conv": 4}, {"slices": "rows", "placement": {"conv": "core0", "out": "core1"}},
     "layer conv has 5 rows, and slices of 4 on its cores hold 4; give it 2 cores"),
    ({"out": 1}, {}, "layer out has no columns, and is split by channels; leave it out"),
])
def test_slices_that_do_not_hold_a_layer_are_refused(widths: dict[str, int], changes: dict[str, Any], says: str) -> None:
    chip = sliced(**{"placement": {"conv": CORES, "out": CORES}, "widths": widths, "slices": "columns", **changes})
    with pytest.raises(MappingError, match=says):
        make_program(tower(), chip)


def test_slices_of_strange_layers_are_mistakes_of_the_file() -> None:
    with pytest.raises(ArchitectureError, match=r"network.slice_widths.conv3: conv3 is a layer that placement does not name"):
        sliced({"conv": CORES}, {"conv3": 3})
    with pytest.raises(ArchitectureError, match="shares rows out itself; give each layer's cores, or leave slice_widths out"):
        sliced("spread", {"conv": 3})
    with pytest.raises(ArchitectureError, match="network.slices"):
        sliced("spread", slices="diagonals")


def test_spare_neurons_with_flags_are_refused_by_name() -> None:
    flagged = tower(SingleSpike())
    chip = sliced({"conv": CORES, "out": CORES}, {"conv": 5}, slices="columns", pad_slices=True)
    with pytest.raises(ProgramError, match="spare rows of neurons that have flags"):
        make_program(flagged, chip)
    make_program(flagged, sliced({"conv": CORES, "out": CORES}, {"conv": 5}, slices="columns"))


def test_a_chip_without_slices_is_the_chip_that_it_was() -> None:
    plain, given = sliced("spread"), sliced("spread", slices="rows", pad_slices=False)
    assert plain.timing_hash() == given.timing_hash() != sliced("spread", slices="columns").timing_hash()
    assert not {"slices", "slice_widths", "pad_slices"} & set(plain.timing()["network"])
    assert laid_out(tower(), plain).layers[0].shape == (2, 5, 9)
    assert laid_out(tower(), sliced("spread", slices="columns")).layers[0].shape == (2, 9, 5)


def test_the_golden_hardware_refuses_spare_rows_by_name() -> None:
    assert "spare_rows" in "".join(uncovered(padded_run(0).run))
