"""Laws of a simulation as a user sees it: the check holds and can fail, totals add up, samples are independent."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hwsim
from hwsim.activity import INDEX
from hwsim.compare import Comparison, comparison_row
from hwsim.counted import WORKING
from hwsim.result_file import seal
from hwsim.snn.forward import layer_sums
from hwsim.snn.network import INPUT, Connection, Layer, Network
from hwsim.snn.neurons import ReadOut
from hwsim.snn.sample import Sample
from hwsim.trace.reader import Trace
from hwsim.trace.writer import TraceWriter
from hwsim.view.plot import save_figures

CASES = [
    ("rate", "event_core_64", "layer_by_layer"), ("rate", "event_core_64", "step_by_step"),
    ("rate", "event_core_16", "layer_by_layer"), ("rate", "event_core_16", "step_by_step"),
    ("bit_serial", "event_core_64", "layer_by_layer"), ("bit_serial", "event_core_16", "layer_by_layer"),
    ("quantised", "mac_core_64", "layer_by_layer"), ("quantised", "systolic_8x8", "layer_by_layer"),
]


@pytest.fixture
def traces(rate_trace: Trace, bit_serial_trace: Trace, quantised_trace: Trace) -> dict[str, Trace]:
    return {"rate": rate_trace, "bit_serial": bit_serial_trace, "quantised": quantised_trace}


@pytest.mark.parametrize(("coding", "arch", "schedule"), CASES)
@pytest.mark.parametrize("spikes", ["trace", "computed"])
def test_no_saturation_implies_no_mismatch(
    traces: dict[str, Trace], coding: str, arch: str, schedule: str, spikes: str
) -> None:
    result = hwsim.simulate(traces[coding], arch, schedule=schedule, spikes=spikes)
    assert result.facts.saturations == 0
    assert result.mismatches == 0
    assert result.synaptic_operations > 0


@pytest.mark.parametrize(("coding", "arch", "schedule"), CASES[:-1])
def test_engines_agree_on_whole_results(traces: dict[str, Trace], coding: str, arch: str, schedule: str) -> None:
    both = [hwsim.simulate(traces[coding], arch, schedule=schedule, engine=e, samples=2) for e in ("fast", "reference")]
    np.testing.assert_array_equal(both[0].spans, both[1].spans)
    np.testing.assert_array_equal(both[0].operation_counts, both[1].operation_counts)
    np.testing.assert_array_equal(both[0].layer_counts, both[1].layer_counts)
    assert both[0].energy_pj == pytest.approx(both[1].energy_pj, rel=1e-12)


def rewritten(trace: Trace, change: str) -> Trace:
    """A copy of a trace with one recorded spike flipped, or without weights."""
    network = trace.network
    if change == "no weights":
        layers = tuple(replace(layer, connections=tuple(replace(c, weights=None) for c in layer.connections))
                       for layer in network)
        network = Network(network.input, layers)
    writer = TraceWriter(network, name=change)
    for i in range(trace.samples):
        sample = trace.sample(i)
        recorded = {name: planes.copy() for name, planes in sample.recorded.items()}
        if change == "flipped" and i == 0:
            recorded["conv1"][0, 2, 3, 1] ^= 1
        writer.append(Sample(sample.inputs, recorded))
    return writer.finish()


def test_the_check_can_fail(rate_trace: Trace) -> None:
    """One flipped spike is a mismatch of its own layer; it also changes what the next layers are fed."""
    result = hwsim.simulate(rewritten(rate_trace, "flipped"), "event_core_64")
    assert result.mismatches >= 1
    assert result.facts.mismatches_by_layer["conv1"] == 1


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_without_weights_cycles_are_the_same_and_nothing_is_claimed(rate_trace: Trace, engine: str) -> None:
    bare = rewritten(rate_trace, "no weights")
    known = hwsim.simulate(rate_trace, "event_core_64", engine=engine)
    blind = hwsim.simulate(bare, "event_core_64", engine=engine)
    assert blind.mismatches is None
    np.testing.assert_array_equal(blind.cycles, known.cycles)
    np.testing.assert_array_equal(blind.operation_counts, known.operation_counts)
    with pytest.raises(hwsim.SimulationError, match="no weights"):
        hwsim.simulate(bare, "event_core_64", spikes="computed", engine=engine)


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_samples_are_independent(rate_trace: Trace, engine: str) -> None:
    whole = hwsim.simulate(rate_trace, "event_core_16", engine=engine)
    turned = hwsim.simulate(rate_trace, "event_core_16", engine=engine, samples=[2, 0])
    np.testing.assert_array_equal(turned.cycles, whole.cycles[[2, 0]])
    np.testing.assert_array_equal(turned.layer_counts, whole.layer_counts[[2, 0]])


GATHER = {"type": "output_stationary", "accumulators": 2}


@pytest.mark.parametrize(("coding", "arch", "schedule", "fields"), [
    *((*case, {}) for case in CASES[:-1]), ("rate", "event_core_16", "step_by_step", {"dataflow": GATHER}),
    ("bit_serial", "event_core_64", "layer_by_layer", {"dataflow": GATHER}),
    ("bit_serial", "event_core_64", "layer_by_layer", {"token": {"planes": "merged", "adders": 2}}),
])
def test_busy_cycles_are_told_apart_as_the_engine_counts_what_they_do(
    traces: dict[str, Trace], coding: str, arch: str, schedule: str, fields: dict[str, Any]
) -> None:
    """Slots of passes, clears and moves are a closed form of the run; the engine counts words that are read and written."""
    result = hwsim.simulate(traces[coding], hwsim.load_architecture(arch).with_core(**fields), schedule=schedule)
    cores = result.cycles_frame[result.cycles_frame["resource"] != "channel"]
    told, counted = (frame.groupby(name)[f"total_{what}"].sum() for frame, name, what in (
        (cores, "cause", "cycles"), (result.activity, "event", "count")))
    assert told[[cause for cause in WORKING if cause in told]].sum() == counted["cycles_busy"]
    assert "busy" not in told
    assert told.min() >= 0
    gathers, moves = "dataflow" in fields, counted.get("membrane_read_load", 0) + counted.get("membrane_write_store", 0)
    assert told["move"] == (moves if gathers else 0)
    assert told["clear"] == (0 if gathers else counted.get("membrane_write_clear", 0))
    if gathers:  # each of the other operations on words is an accumulation, of which end marks are none
        assert told["fire"] <= counted["accumulator_access"] - moves <= told["fire"] + told["accumulate"]
    else:
        assert told["fire"] == sum(counted.get(f"membrane_read_{kind}", 0) for kind in ("fire", "shift", "readout", "mask"))


@pytest.mark.parametrize(("coding", "arch", "schedule"), CASES)
def test_frames_add_up(traces: dict[str, Trace], coding: str, arch: str, schedule: str) -> None:
    result = hwsim.simulate(traces[coding], arch, schedule=schedule)
    for _, mine in result.cycles_frame.groupby("resource"):
        assert mine["total_cycles"].sum() == result.cycles.sum()
        assert mine["cycles"].sum() == pytest.approx(result.cycles.mean())
    assert set(result.cycles_frame["resource"]) == {"core", "channel"}
    assert (result.cycles_frame["cycles"] >= 0).all()
    by_event = result.activity.groupby("event")["total_count"].sum()
    by_sample = result.activity_by_sample.groupby("event")["count"].sum()
    assert by_event.to_dict() == by_sample.to_dict()
    energy = result.energy
    assert energy["energy_pj"].sum() == pytest.approx(result.energy_pj["system"])
    priced = energy[energy["event"] != "leakage"]
    assert (priced["count"] * priced["price_pj"]).to_numpy() == pytest.approx(priced["energy_pj"].to_numpy())
    assert result.energy_pj["compute"] < result.energy_pj["core"] < result.energy_pj["system"]
    assert 0 < result.utilisation <= 1


def test_narrow_potentials_saturate_and_the_loop_still_closes(rate_trace: Trace) -> None:
    narrow = hwsim.load_architecture("event_core_64").with_core(potential_bits=12)
    fed = hwsim.simulate(rate_trace, narrow)
    assert fed.facts.saturations > 0
    closed = hwsim.simulate(rate_trace, narrow, spikes="computed", engine="reference")
    assert closed.facts.saturations == hwsim.simulate(rate_trace, narrow, spikes="computed").facts.saturations


def test_repricing_never_simulates_again(rate_trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    result = hwsim.simulate(rate_trace, "event_core_64")
    monkeypatch.setattr("hwsim.engine.fast.chip.FastEngine.run_sample", None)
    dearer = result.reprice({"acc_add": 1.0})
    assert dearer.sim_id == result.sim_id
    assert dearer.run_id != result.run_id
    adds = result.layer_counts[..., INDEX["acc_add"]].sum() / result.facts.samples
    old = result.arithmetic.query("event == 'acc_add'")["energy_pj"].sum()
    assert dearer.energy_pj["compute"] == pytest.approx(result.energy_pj["compute"] - old + adds)
    other = result.reprice(memory="cacti_hp")
    assert other.sim_id == result.sim_id
    assert other.energy_pj["core"] != result.energy_pj["core"]
    assert other.energy_pj["compute"] == pytest.approx(result.energy_pj["compute"])


def test_identity_moves_with_what_decides_cycles_and_only_with_that(rate_trace: Trace) -> None:
    base = hwsim.simulate(rate_trace, "event_core_64")
    design = hwsim.load_architecture("event_core_64")
    renamed = design.model_copy(update={"name": "other", "description": "x"})
    assert hwsim.simulate(rate_trace, renamed).sim_id == base.sim_id
    for other in (hwsim.simulate(rate_trace, design.with_core(fifo_depth=2)),
                  hwsim.simulate(rate_trace, design, samples=2), hwsim.simulate(rate_trace, design, spikes="computed"),
                  hwsim.simulate(rate_trace, design, schedule="step_by_step")):
        assert other.sim_id != base.sim_id


def test_saved_results_load_back_exactly(rate_trace: Trace, tmp_path: Path) -> None:
    result = hwsim.simulate(rate_trace, "event_core_16", overrides={"cmp": 0.01})
    folder = result.save(tmp_path / "run")
    loaded = hwsim.load_result(folder)
    assert loaded.summary() == result.summary()
    assert loaded.timeline.equals(result.timeline)
    np.testing.assert_array_equal(loaded.operation_counts, result.operation_counts)
    assert loaded.reprice({}).energy_pj["compute"] > loaded.energy_pj["compute"]
    assert result.save(folder) == folder, "an earlier result is replaced"


def test_saving_never_overwrites_what_is_not_a_result(rate_trace: Trace, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    result = hwsim.simulate(rate_trace, "event_core_64", samples=1)
    with pytest.raises(hwsim.ResultError, match="not a saved result"):
        result.save(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_broken_results_are_refused(rate_trace: Trace, tmp_path: Path) -> None:
    with pytest.raises(hwsim.ResultError, match="no result.json"):
        hwsim.load_result(tmp_path)
    folder = hwsim.simulate(rate_trace, "event_core_64", samples=1).save(tmp_path / "run")
    (folder / "counts.csv").unlink()
    with pytest.raises(hwsim.ResultError, match=r"counts\.csv"):
        hwsim.load_result(folder)
    (folder / "result.json").write_text("{")
    with pytest.raises(hwsim.ResultError, match="not valid JSON"):
        hwsim.load_result(folder)


@pytest.mark.parametrize(("arguments", "expected"), [
    ({"engine": "warp"}, "fast, reference"), ({"spikes": "guessed"}, "trace, computed"),
    ({"schedule": "sideways"}, "layer_by_layer"), ({"samples": 0}, "1 to 3"), ({"samples": 4}, "1 to 3"),
    ({"samples": [0, 0]}, "different indices"), ({"samples": []}, "different indices"),
    ({"overrides": {"no_such_event": 1.0}}, "no_such_event"), ({"overrides": {"cmp": -1.0}}, "cmp"),
])
def test_wrong_arguments_are_told_before_anything_runs(
    rate_trace: Trace, arguments: dict[str, object], expected: str
) -> None:
    with pytest.raises(ValueError, match=expected):
        hwsim.simulate(rate_trace, "event_core_64", **arguments)


def test_a_cut_or_edited_result_is_refused(rate_trace: Trace, tmp_path: Path) -> None:
    """A shortened file would give plausible, wrong numbers."""
    folder = hwsim.simulate(rate_trace, "event_core_64", samples=2).save(tmp_path / "run")
    for name in ("counts.csv", "samples.csv", "spans.csv", "operations.csv", "counts_by_sample.csv"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(hwsim.ResultError, match=name):
            hwsim.load_result(folder)
        (folder / name).write_bytes(whole)
    assert hwsim.load_result(folder).facts.samples == 2


def test_a_clock_that_memories_cannot_meet_is_told(rate_trace: Trace) -> None:
    design = hwsim.load_architecture("event_core_64")
    assert hwsim.simulate(rate_trace, design, samples=1).summary()["meets_clock"]
    hasty = design.model_copy(update={"clock": 3_000_000_000})
    result = hwsim.simulate(rate_trace, hasty, samples=1)
    assert not result.summary()["meets_clock"]
    assert any("weight memory" in problem for problem in result.clock_problems)


def test_long_weightless_traces_run() -> None:
    """Nothing is computed without weights, so thresholds that nobody gave must not stop a replay."""
    rng = np.random.default_rng(0)
    spikes = rng.random((1, 63, 4, 4, 4)) < 0.1
    images = rng.integers(0, 256, (1, 1, 4, 4))
    trace = Trace.from_arrays(images, [{"name": "conv", "operator": "conv2d", "kernel": 3, "padding": 1}],
                              spikes={"conv": spikes.astype(np.float32)})
    result = hwsim.simulate(trace, "event_core_64")
    assert result.mismatches is None
    assert result.facts.saturations is None, "no sum was made that could saturate"
    assert result.synaptic_operations > 0


def test_a_timing_only_replay_says_that_nothing_was_compared(rate_trace: Trace, tmp_path: Path) -> None:
    """Cycles, counts and energy are the checked ones; identity is not, and everything that shows a result copes."""
    checked, timing = (hwsim.simulate(rate_trace, "event_core_64", check=c) for c in (True, False))
    assert (timing.mismatches, timing.facts.saturations, timing.facts.mismatches_by_layer) == (None, None, {})
    np.testing.assert_array_equal(timing.spans, checked.spans)
    np.testing.assert_array_equal(timing.layer_counts, checked.layer_counts)
    assert timing.energy_pj == checked.energy_pj
    assert timing.accuracy == checked.accuracy, "that of the recorded potentials"
    assert not timing.task.check
    assert checked.task.check
    assert timing.sim_id != checked.sim_id
    body = timing.summary()
    assert (body["check"], body["mismatches"], body["saturations"]) == (False, None, None)
    assert json.loads(json.dumps(body, allow_nan=False)) == body

    loaded = hwsim.load_result(timing.save(tmp_path / "run"))
    assert loaded.summary() == body
    shards = [hwsim.simulate(rate_trace, "event_core_64", check=False, samples=[i]) for i in range(2)]
    merged = hwsim.Result.merge(shards)
    assert (merged.mismatches, merged.facts.saturations) == (None, None)
    with pytest.raises(hwsim.HwsimError, match="differ in check"):
        hwsim.Result.merge([shards[0], hwsim.simulate(rate_trace, "event_core_64", samples=[1])])
    row = comparison_row(timing, "")
    assert (row["mismatches"], row["saturations"], row["cycles"]) == (None, None, checked.cycles.mean())
    assert list(Comparison([checked, timing]).table["mismatches"].isna()) == [False, True]
    save_figures([checked, timing], tmp_path)


def test_a_timing_only_replay_hides_a_wrong_spike_and_a_checked_one_does_not(rate_trace: Trace) -> None:
    flipped = rewritten(rate_trace, "flipped")
    assert hwsim.simulate(flipped, "event_core_64").mismatches
    assert hwsim.simulate(flipped, "event_core_64", check=False).mismatches is None


@pytest.mark.parametrize(("given", "text"), [
    ({"spikes": "computed"}, "spikes='trace'"), ({"engine": "reference"}, "engine='fast'"), ({"check": 0}, "True or False")])
def test_a_timing_only_replay_is_refused_by_name(rate_trace: Trace, given: dict[str, Any], text: str) -> None:
    with pytest.raises(hwsim.HwsimError, match="check") as error:
        hwsim.simulate(rate_trace, "event_core_64", **{"check": False, **given})
    assert text in str(error.value)


def test_potentials_of_a_network_of_read_outs_are_not_compared_either(rate_trace: Trace) -> None:
    """Nothing sends, so nothing but final potentials could be compared, and a timing-only replay makes none."""
    spec = rate_trace.network.input
    weights = np.ones((3, *spec.shape), np.int8).reshape(3, -1)
    layer = Layer("out", (3, 1, 1), (Connection(INPUT, "linear", spec.shape, weights),), ReadOut(), spec.timesteps,
                  initial_potential=np.zeros((3, 1, 1), np.int64), potential_bits=24)
    network = Network(spec, (layer,))
    writer = TraceWriter(network, name="read-outs")
    sample = Sample(rate_trace.sample(0).inputs, {})
    writer.append(sample, potentials={"out": layer.neuron.emit(layer_sums(network, layer, {INPUT: sample.inputs}), layer)[1]})
    trace = writer.finish()
    assert hwsim.simulate(trace, "event_core_64").mismatches == 0
    assert hwsim.simulate(trace, "event_core_64", check=False).mismatches is None


def test_what_always_computes_refuses_timing_only(quantised_trace: Trace) -> None:
    with pytest.raises(hwsim.HwsimError, match=r"systolic_8x8: check=False: its engine, closed_form, always computes"):
        hwsim.simulate(quantised_trace, "systolic_8x8", check=False)


@pytest.mark.parametrize("label", [-1, 10, 3.5])
def test_labels_must_name_a_read_out_neuron(rate_trace: Trace, label: float) -> None:
    writer = TraceWriter(rate_trace.network, name="labelled")
    with pytest.raises(hwsim.TraceError, match="label|integer"):
        writer.append(rate_trace.sample(0), label=label)


def test_names_are_printable(rate_trace: Trace) -> None:
    with pytest.raises(hwsim.TraceError, match="printable"):
        TraceWriter(rate_trace.network, name="evil\x1b[31m")


@pytest.mark.parametrize("samples", [1.5, True, "2"])
def test_samples_are_counted_in_whole_numbers(rate_trace: Trace, samples: object) -> None:
    with pytest.raises(hwsim.SimulationError, match="expected a number"):
        hwsim.simulate(rate_trace, "event_core_64", samples=samples)


def test_changed_cores_are_checked() -> None:
    design = hwsim.load_architecture("event_core_64")
    for change in ({"lane": 3}, {"lanes": -3}, {"lanes": True}):
        with pytest.raises(hwsim.ArchitectureError, match="event_core_64: core"):
            design.with_core(**change)


def test_two_designs_of_one_name_cannot_be_compared(rate_trace: Trace) -> None:
    from hwsim.compare import compare

    design = hwsim.load_architecture("event_core_64")
    with pytest.raises(hwsim.ArchitectureError, match="two different architectures"):
        compare([rate_trace], [design, design.with_core(fifo_depth=2)])
    assert len(compare([rate_trace], [design, design], samples=1).results) == 2


def test_a_comparison_can_be_timing_only_and_names_what_always_computes(rate_trace: Trace, quantised_trace: Trace) -> None:
    """Every row that there is has the energies of the checked comparison; arrays are told apart, not checked in silence."""
    from hwsim.compare import compare

    checked, timing = (compare([rate_trace, quantised_trace], ["event_core_64"], samples=1, check=c) for c in (True, False))
    rows = {(r.facts.trace, r.facts.arch, r.facts.schedule): r.energy_pj for r in checked.results}
    found = {(r.facts.trace, r.facts.arch, r.facts.schedule): r.energy_pj for r in timing.results}
    assert {name for _, name, _ in found} >= {"event_core_64", "event_core_64+mac"}
    assert all(rows[key] == energy for key, energy in found.items())
    assert {r.task.check for r in timing.results} == {False}
    told = [(trace, design, schedule) for trace, design, schedule, why in timing.refused if "closed_form, always computes" in why]
    assert {*found, *told} == set(rows)
    assert told
    assert {row["mismatches"] for row in timing.rows if not row["reason"]} == {None}


def test_kernels_find_a_place_without_a_writable_home(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = ("import numba, hwsim.kernel_cache as cache; cache._writable = lambda folder: False; "
            "numba.config.CACHE_DIR = ''; cache.settle_cache_folder(); print(numba.config.CACHE_DIR)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "hwsim-kernels-" in done.stdout


@pytest.mark.parametrize("given", [5, True, [("acc_add", 1)], object()])
def test_overrides_are_a_mapping_or_a_path(rate_trace: Trace, tmp_path: Path, given: Any) -> None:
    result = hwsim.simulate(rate_trace, "event_core_16", samples=1)
    for use in (result.reprice, lambda what: hwsim.simulate(rate_trace, "event_core_16", overrides=what),
                lambda what: result.priced(result.architecture, what)):
        with pytest.raises(hwsim.EnergyError, match="overrides: found .*, expected a mapping such as .* or the path"):
            use(given)
    file = tmp_path / "prices.yaml"
    file.write_text("acc_add: 2\n")
    priced = result.reprice({"acc_add": 2})
    assert result.reprice(file).run_id == result.reprice(str(file)).run_id == priced.run_id != result.run_id
    assert hwsim.load_result(result.reprice(file).save(tmp_path / "saved")).run_id == priced.run_id


@pytest.mark.parametrize("found", [5, "prices.yaml", None])
def test_overrides_of_a_saved_result_are_a_mapping(rate_trace: Trace, tmp_path: Path, found: object) -> None:
    path = hwsim.simulate(rate_trace, "event_core_16", samples=1).save(tmp_path / "run") / "result.json"
    body = json.loads(path.read_text()) | {"overrides": found}
    path.write_text(json.dumps(body | {"seal": seal(body)}))
    with pytest.raises(hwsim.ResultError, match=r"result.json: overrides: found .*, expected a mapping"):
        hwsim.load_result(path.parent)


@pytest.mark.parametrize("given", ["no", 0, 1, [True]])
def test_whether_unused_memories_leak_is_true_or_false(rate_trace: Trace, given: Any) -> None:
    with pytest.raises(hwsim.SimulationError, match="leak_unused is .*, expected True or False"):
        hwsim.simulate(rate_trace, "event_core_16", leak_unused=given)
    result = hwsim.simulate(rate_trace, "event_core_16", samples=1)
    with pytest.raises(hwsim.RepriceError, match="leak_unused is .*, expected True or False"):
        result.reprice(leak_unused=given)
    with pytest.raises(hwsim.RepriceError, match="leak_unused is .*, expected True or False"):
        result.priced(result.architecture, leak_unused=given)


def test_a_network_of_one_readout_is_compared_with_what_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends nothing, so the read-out is all that there is to compare; without a record there is nothing."""
    trace = hwsim.Trace.from_arrays(np.ones((1, 2, 1, 2, 2), np.uint8), [
        {"name": "out", "operator": "linear", "source": "input", "neuron": "read_out", "weights": np.ones((3, 4), np.int64)}])
    assert hwsim.simulate(trace, "event_core_16").mismatches is None
    for recorded, wrong in ((8, 0), (7, 3)):
        monkeypatch.setattr(trace, "final_potentials", lambda index, value=recorded: {"out": np.full((3, 1, 1), value)})
        assert hwsim.simulate(trace, "event_core_16").facts.mismatches_by_layer == {"out": wrong}


def test_repricing_keeps_the_overrides_that_it_is_not_asked_about(rate_trace: Trace) -> None:
    result = hwsim.simulate(rate_trace, "event_core_16", samples=1, check=False, overrides={"acc_add": 7.0})
    for other in (result.reprice(leak_unused=True), result.reprice(memory="cacti_hp")):
        assert other.overrides == result.overrides
        assert other.energy_pj["compute"] == result.energy_pj["compute"]
    assert result.reprice({}).energy_pj["compute"] < result.energy_pj["compute"]
