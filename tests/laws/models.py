"""C2 to C6: a chip computes what its neuron models say, whatever the buffer and schedule; a trace needs no weights for that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwsim.activity import INDEX
from hwsim.program import ProgramError
from hwsim.record import SampleRecord
from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import IntegrateAndFire, ReadOut, Requantise, SingleSpike
from hwsim.snn.sample import Sample
from tests.laws.chip import without_clears
from tests.laws.implementation import Laws
from tests.laws.networks import (
    Hidden,
    bit_serial_network,
    chip_spec,
    expected,
    program_of,
    rate_network,
    sample_of,
    staged_network,
    without_weights,
)
from tests.laws.runs import both, flat

buffers = pytest.mark.parametrize("buffer", ["aer", "bitmap"])
schedules = pytest.mark.parametrize("schedule", ["layer_by_layer", "step_by_step"])
fed = pytest.mark.parametrize("spikes", ["computed", "trace"])


def check(network: Network, inputs: np.ndarray, record: SampleRecord) -> None:
    outputs, potentials = expected(network, inputs)
    assert set(record.outputs) == {layer.name for layer in network if layer.coding != "readout"}
    for layer in network:
        np.testing.assert_array_equal(record.potentials[layer.name], potentials[layer.name])
        if layer.coding != "readout":
            np.testing.assert_array_equal(record.outputs[layer.name], outputs[layer.name])
            assert outputs[layer.name].any()
            assert record.outputs[layer.name].dtype == np.uint8
    assert record.mismatches.tolist() == [-1 if layer.coding == "readout" else 0 for layer in network]
    assert not record.saturations.any()


class ModelLaws(Laws):
    @fed
    @buffers
    @schedules
    @pytest.mark.parametrize("direct", [False, True], ids=["spikes", "direct"])
    @pytest.mark.parametrize("seed", range(4))
    def test_a_rate_network_computes_what_its_models_say(
        self, seed: int, direct: bool, schedule: str, buffer: str, spikes: str
    ) -> None:
        neuron = {"reset": "hard", "leak_shift": 3} if seed % 2 else {}
        network, inputs = rate_network(seed, direct, **neuron)
        program = program_of(network, chip_spec(buffer=buffer), schedule)
        check(network, inputs, self.run_sample(program, sample_of(network, inputs), spikes))

    @pytest.mark.parametrize("shift_at", ["weight", "membrane"])
    @buffers
    @pytest.mark.parametrize("seed", range(3))
    def test_a_bit_serial_network_computes_what_its_models_say(self, seed: int, buffer: str, shift_at: str) -> None:
        network, inputs = bit_serial_network(seed)
        program = program_of(network, chip_spec(buffer=buffer, shift_at=shift_at), "layer_by_layer")
        check(network, inputs, self.run_sample(program, sample_of(network, inputs), "computed"))

    def test_a_quantised_network_sends_values(self) -> None:
        rng = np.random.default_rng(5)
        first = Layer("a", (6, 4, 4), (Connection(INPUT, "conv2d", (2, 4, 4), rng.integers(-5, 9, (6, 2, 3, 3)), 3, 1, 1),),
                      Requantise(), 1, np.array([13]), bias=rng.integers(-5, 9, (6, 1, 1)), payload_bits=3)
        last = Layer("out", (3, 1, 1), (Connection("a", "linear", (6, 4, 4), rng.integers(-5, 6, (3, 96))),), ReadOut(), 1)
        network, inputs = Network(InputSpec((2, 4, 4)), (first, last)), rng.integers(0, 16, (1, 4, 4, 2))
        program = program_of(network, chip_spec(), "layer_by_layer")
        record = self.run_sample(program, sample_of(network, inputs), "computed")
        check(network, inputs, record)
        assert record.outputs["a"].max() == 7

    def test_values_of_sixteen_bits_need_no_recording(self) -> None:
        wire = Connection(INPUT, "conv2d", (1, 2, 2), np.full((1, 1, 1, 1), 1 << 12), 1)
        first = Layer("a", (1, 2, 2), (wire,), Requantise(), 1, np.array([1]), payload_bits=16)
        last = Layer("out", (1, 1, 1), (Connection("a", "linear", (1, 2, 2), np.ones((1, 4), int)),), ReadOut(), 1)
        network, inputs = Network(InputSpec((1, 2, 2)), (first, last)), np.array([0, 1, 8, 15]).reshape(1, 2, 2, 1)
        record = self.run_sample(program_of(network, chip_spec(lanes=1), "layer_by_layer"), Sample(inputs, {}), "computed")
        assert record.outputs["a"].ravel().tolist() == [0, 1 << 12, 1 << 15, 15 << 12]

    # -- flags, stages and hybrid inputs (R11, R16 to R18, C2, C5) ----------------------------------------------------

    @fed
    @buffers
    @schedules
    @pytest.mark.parametrize("hidden", ["single spike", "two stages"])
    @both
    def test_a_network_of_flags_and_stages_computes_what_its_models_say(
        self, bypass: bool, hidden: Hidden, schedule: str, buffer: str, spikes: str
    ) -> None:
        network, inputs = staged_network(hidden)
        sample = sample_of(network, inputs)
        program = program_of(network, chip_spec(lanes=2, buffer=buffer, bypass=bypass), schedule)
        record = self.run_sample(program, sample, spikes, record=True)
        check(network, inputs, record)
        off = flat(record.logs[[op.id for op in program.operations if op.layer == 0][-1]].flags)
        fired = sample.recorded["a"].sum(axis=0)[0, 0]
        assert 0 < sum(off) < 7, "some are off at the end, over all tiles"
        if hidden == "single spike":
            assert fired.tolist() == off
        else:
            assert not sample.recorded["a"][2:, 0, 0][:, np.array(off) == 1].any()

    @schedules
    @pytest.mark.parametrize("lanes", [2, 4], ids=["two tiles", "one tile"])
    def test_flags_of_a_layer_live_over_runs_and_not_over_samples(self, lanes: int, schedule: str) -> None:
        """Three neurons that fire once, one after the other; V before each fire pass: (6, 3, 0), (-, 4, 7), (-, 7, -)."""
        wire = Connection(INPUT, "linear", (2, 1, 1), np.array([[6, 0], [3, -2], [0, 7]]))
        layer = Layer("a", (3, 1, 1), (wire,), SingleSpike(), 3, thresholds=np.array([6, 6, 6]))
        network = Network(InputSpec((2, 1, 1), "spikes", 3), (layer,))
        program = program_of(network, chip_spec(lanes=lanes), schedule)
        sample = Sample(np.array([[1, 0], [1, 1], [1, 0]], np.uint8).reshape(3, 1, 1, 2), {})
        for _ in range(2):
            record = self.run_sample(program, sample, "trace", record=True)
            assert record.outputs["a"].reshape(3, 3).tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
            assert record.counts[:, :, INDEX["cmp"]].sum(axis=0).tolist() == [3, 2, 1]
            assert flat(record.logs[len(program.operations) - 1].flags) == [1, 1, 1]
        # Without a clear a layer's flags start empty in every sample.
        first, second = (self.run_sample(without_clears(program), sample, "trace") for _ in range(2))
        np.testing.assert_array_equal(first.outputs["a"], second.outputs["a"])
        np.testing.assert_array_equal(first.counts, second.counts)
        assert first.counts[:, :, INDEX["mask_write"]].sum() == 3

    @buffers
    def test_a_hybrid_input_gives_payloads_first_and_spikes_then(self, buffer: str) -> None:
        """Plane 0 holds -3 and 2, the others spikes of weight 2**2: V of (n0, n1) is -3 * (2, 1) + 2 * (1, 5), then 4 times."""
        given = InputSpec((2, 1, 1), "hybrid", 3, payload_bits=4, signed=True, spike_shift=2)
        wire = Connection(INPUT, "linear", (2, 1, 1), np.array([[2, 1], [1, 5]]))
        network = Network(given, (Layer("a", (2, 1, 1), (wire,), IntegrateAndFire(), 3, thresholds=np.full(3, 100)),))
        inputs = np.array([[-3, 2], [1, 0], [1, 1]], np.int16).reshape(3, 1, 1, 2)
        whole, stepped = (self.run_sample(
            program_of(network, chip_spec(buffer=buffer), schedule), Sample(inputs, {}), "trace", record=True)
            for schedule in ("layer_by_layer", "step_by_step"))
        assert whole.potentials["a"].ravel().tolist() == [-4 + 8 + 12, 7 + 4 + 24]
        wanted = {"mult": [4, 0, 0], "weight_shift": [0, 2, 4], "acc_add": [4, 2, 4]}
        assert self.rows(whole.logs[0], *wanted) == wanted
        if buffer == "bitmap":
            assert self.rows(whole.logs[0], "buffer_read") == {"buffer_read": [1, 1, 1]}
        np.testing.assert_array_equal(stepped.potentials["a"], whole.potentials["a"])

    def test_a_layer_of_another_model_leaves_flags_alone(self) -> None:
        network, inputs = staged_network("single spike")
        network = Network(network.input, (replace(network.layers[0], neuron=IntegrateAndFire()), network.layers[1]))
        program = program_of(network, chip_spec(lanes=2), "layer_by_layer")
        record = self.run_sample(program, sample_of(network, inputs), "computed", record=True)
        assert not any(log.flags.any() for log in record.logs.values())
        assert not record.counts[:, :, [INDEX["mask_read"], INDEX["mask_write"]]].any()

    @pytest.mark.parametrize("mode", ["unit", "max"])
    def test_a_pooling_unit_cannot_take_a_hybrid_input(self, mode: str) -> None:
        given = InputSpec((2, 2, 2), "hybrid", 3, spike_shift=2)
        wire = Connection(INPUT, "linear", (2, 2, 2), np.ones((3, 2), np.int64), pool=2, pool_mode=mode)  # type: ignore[arg-type]
        layer = Layer("a", (3, 1, 1), (wire,), IntegrateAndFire(), 3, thresholds=np.array([6, 6, 6]))
        program = program_of(Network(given, (layer,)), chip_spec(), "layer_by_layer")
        with pytest.raises(ProgramError, match="folded"):
            self.run_sample(program, Sample(np.zeros((3, 2, 2, 2), np.int16), {}), "trace")

    # -- C6: a trace without weights ----------------------------------------------------------------------------------

    @buffers
    @schedules
    @pytest.mark.parametrize("kind", ["rate", "single spike"])
    def test_without_weights_a_recording_takes_the_same_cycles(self, kind: str, schedule: str, buffer: str) -> None:
        network, inputs = rate_network(1, False) if kind == "rate" else staged_network("single spike")
        sample, core = sample_of(network, inputs), chip_spec(buffer=buffer)
        seeing = self.run_sample(program_of(network, core, schedule), sample, "trace", record=True)
        program = program_of(without_weights(network), core, schedule)
        blind = self.run_sample(program, sample, "trace", record=True)
        for name in ("start", "end", "counts"):
            np.testing.assert_array_equal(getattr(blind, name), getattr(seeing, name))
        for op, log in seeing.logs.items():
            np.testing.assert_array_equal(blind.logs[op].spikes, log.spikes)
            np.testing.assert_array_equal(blind.logs[op].flags, log.flags)
        assert set(blind.mismatches.tolist()) == {-1}
        assert not blind.saturations.any()
        assert not any(state.any() for state in blind.potentials.values())
        for name, recorded in sample.recorded.items():
            np.testing.assert_array_equal(blind.outputs[name], recorded)
        with pytest.raises(ProgramError, match="no weights"):
            self.run_sample(program, sample, "computed")

    def test_a_recording_that_fires_twice_is_sent_as_it_is(self) -> None:
        network, inputs = staged_network("single spike")
        twice = Sample(inputs, {"a": np.ones((4, 1, 1, 7), np.uint8)})
        program = program_of(without_weights(network), chip_spec(lanes=2), "layer_by_layer")
        record = self.run_sample(program, twice, "trace")
        np.testing.assert_array_equal(record.outputs["a"], twice.recorded["a"])
        layer = record.counts[:4].sum(axis=0)  # four tiles of two neurons
        assert layer[:, INDEX["cmp"]].tolist() == [7, 0, 0, 0]
        assert layer[:, INDEX["spike_out"]].tolist() == [7, 7, 7, 7]
        assert layer[:, INDEX["leak"]].tolist() == [0, 0, 0, 0]

    def test_a_mask_operation_without_weights_flags_nobody(self) -> None:
        network, inputs = staged_network("two stages")
        sample, core = sample_of(network, inputs), chip_spec(lanes=2)
        seeing, blind = (self.run_sample(program_of(one, core, "layer_by_layer"), sample, "trace", record=True)
                         for one in (network, without_weights(network)))
        np.testing.assert_array_equal(blind.end, seeing.end)
        np.testing.assert_array_equal(blind.outputs["a"], sample.recorded["a"])
        assert seeing.logs[3].flags.any()
        assert not blind.logs[3].flags.any()
        differ = {name for name, i in INDEX.items() if (blind.counts[:, :, i] != seeing.counts[:, :, i]).any()}
        assert differ == {"cmp", "bias_add", "reg_bits"}
        # Stage one compares all neurons once more with zero; in stage two all of them count as on.
        assert blind.counts[:4, :, INDEX["cmp"]].sum(axis=0).tolist() == [7, 7 + 7, 7, 7]
