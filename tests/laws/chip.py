"""C1 to C6 on Programs written out by hand: order, states, spikes, mismatches, transfers, and what is counted around a core."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from hwsim.activity import EVENTS, INDEX
from hwsim.program import CHANNEL, ChannelSpec, CoreRun, Feed, Program, ProgramError, Run, Transfer
from hwsim.record import SampleRecord
from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import Context, IntegrateAndFire, ReadOut
from hwsim.snn.sample import Sample
from tests.laws.implementation import Laws
from tests.laws.networks import chip_spec, program_of, rate_network, sample_of
from tests.laws.runs import narrow


def assert_same(found: SampleRecord, wanted: SampleRecord) -> None:
    for name in ("start", "end", "counts", "saturations", "mismatches"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), err_msg=name)
    for name in ("outputs", "potentials"):
        assert getattr(found, name).keys() == getattr(wanted, name).keys()
        for layer, value in getattr(wanted, name).items():
            np.testing.assert_array_equal(getattr(found, name)[layer], value, err_msg=layer)


def without_clears(program: Program) -> Program:
    return replace(program, operations=tuple(
        replace(op, body=replace(op.body, clear=False)) if isinstance(op, Run) else op for op in program.operations))


# -- a hidden layer that clips, and a read-out with transfers ---------------------------------------------------------


def two_layers() -> Program:
    """Three inputs, a hidden layer of three neurons (two words), one read-out; weights loaded before each run."""
    weights = np.array([[5, 1, 0], [2, -9, 4], [100, 100, 3]])
    hidden = Layer(
        "hidden", (3, 1, 1), (Connection(INPUT, "linear", (3, 1, 1), weights),),
        IntegrateAndFire(), 2, thresholds=np.array([6, 6]), potential_bits=8)
    out = Layer(
        "out", (1, 1, 1), (Connection("hidden", "linear", (3, 1, 1), np.array([[10, 20, 40]])),), ReadOut(), 2,
        bias=np.array([[[7]]]), potential_bits=8)
    network = Network(InputSpec((3, 1, 1), "spikes", 2), (hidden, out))
    core = narrow(fifo_depth=4)
    runs = []
    for layer in network:
        table = layer.neuron.lower(layer, Context(2, False, False, "weight"))
        groups = (0, -(-layer.shape[0] // core.lanes))
        runs.append(CoreRun(core, layer.shape, groups, layer.connections, table, 8, 8, clear=True))
    feed = Feed(0, (0, 1), ((0, 3),))
    load = partial(Transfer, source=CHANNEL, targets=("core",))
    run = partial(Run, on="core", timesteps=(0, 2), feeds=(feed,), eots=2)
    return Program(network, ("core",), ChannelSpec(8, 3), "by hand", (
        load(id=0, layer=0, memory="weight", rows=6, bits=48, once=True),
        load(id=1, layer=1, memory="weight", rows=3, bits=24),
        load(id=2, layer=1, memory="bias", rows=1, bits=1),
        run(id=3, deps=(0,), layer=0, body=runs[0]),
        run(id=4, deps=(1, 3), layer=1, body=runs[1]),
        Transfer(id=5, deps=(4,), layer=1, timesteps=(1, 2), source="core", targets=(CHANNEL,), memory="output", bits=9),
    ))


def sample_of_two_layers() -> Sample:
    inputs = np.array([[1, 1, 0], [0, 1, 1]], np.uint8).reshape(2, 1, 1, 3)
    return Sample(inputs, {"hidden": np.array([[1, 0, 1], [0, 0, 1]], np.uint8).reshape(2, 1, 1, 3)})


# -- two neurons that each fire on their own input spike --------------------------------------------------------------


def pair() -> tuple[Network, Sample]:
    """Two neurons that each fire on their own input spike; one read-out neuron; T = 2."""
    given = InputSpec((2, 1, 1), "spikes", 2)
    first = Layer("a", (2, 1, 1), (Connection(INPUT, "linear", (2, 1, 1), np.array([[4, 0], [0, 4]])),),
                  IntegrateAndFire(), 2, np.array([4, 4]))
    last = Layer("out", (1, 1, 1), (Connection("a", "linear", (2, 1, 1), np.array([[3, 5]])),), ReadOut(), 2)
    inputs = np.array([[1, 1], [0, 1]], np.uint8).reshape(2, 1, 1, 2)
    return Network(given, (first, last)), Sample(inputs, {"a": inputs.copy()})


def transfer(number: int, kind: str, bits: int, memory: str, deps: tuple[int, ...] = (), **what: Any) -> Transfer:
    ends = {"source": CHANNEL, "targets": ("core",)} if kind == "load" else {"source": "core", "targets": (CHANNEL,)}
    return Transfer(id=number, deps=deps, layer=0, memory=memory, bits=bits, **ends, **what)  # type: ignore[arg-type]


class ChipLaws(Laws):
    # -- C1 -----------------------------------------------------------------------------------------------------------

    def test_two_layers_by_hand(self) -> None:
        """Hidden, V of (n0, n1, n2): events of step 0 give (6, -7, 127), one addition clipped; n0 and n2 fire, which leaves
        (0, -7, 121). Step 1 gives (1, -12, 127), clipped twice (221, then 130); n2 fires and keeps 121.

        Its cycles: clear issues at 1, 2; events at 3-4, 5-6; EOT 7; fire 8, 9 (e 9, 10; spikes at 10 and 11); then events
        at 10-11 and 12-13, EOT 14, fire 15, 16 (e 16, 17; spike at 18). The last spike leaves at 18: done 19.
        Read-out, V starts at the bias 7: +10 +40 in step 0, +40 in step 1: 97. Clear 1, events 2, 3, EOT 4, event 5, EOT 6,
        read-out 7, e 8: done 9.
        """
        record = self.run_sample(two_layers(), sample_of_two_layers(), "computed", record=True)
        assert record.outputs["hidden"].reshape(2, 3).tolist() == [[1, 0, 1], [0, 0, 1]]
        assert record.potentials["hidden"].ravel().tolist() == [1, -12, 121]
        assert record.potentials["out"].ravel().tolist() == [97]
        assert record.saturations.tolist() == [3, 0]
        assert record.mismatches.tolist() == [0, -1]
        assert record.logs[3].spikes.tolist() == [[10, 0, 0], [11, 0, 2], [18, 0, 2]]
        # The loads take 3 + 24 / 8 and 3 + 1 cycles, one after the other; the store waits for the read-out: 3 + 2.
        assert record.start.tolist() == [0, 0, 6, 0, 19, 28]
        assert record.end.tolist() == [0, 6, 10, 19, 28, 33]

    def test_two_layers_are_counted(self) -> None:
        record = self.run_sample(two_layers(), sample_of_two_layers(), "trace")
        counts = {name: record.counts[:, :, INDEX[name]].tolist() for name in EVENTS}
        load, loads, biases, hidden, out, store = range(6)

        def rows(found: dict[int, list[int]]) -> list[list[int]]:
            return [found.get(i, [0, 0]) for i in range(6)]

        assert counts["acc_add"] == rows({hidden: [6, 6], out: [2, 1]})
        assert counts["weight_write"] == rows({load: [6, 0], loads: [3, 0]})
        assert counts["bias_write"] == rows({biases: [1, 0]})
        assert counts["channel_read_bits"] == rows({load: [48, 0], loads: [24, 0], biases: [1, 0]})
        assert counts["channel_write_bits"] == rows({store: [0, 9]})
        assert counts["membrane_write_clear"] == rows({hidden: [2, 0], out: [1, 0]})
        assert counts["membrane_read_readout"] == rows({out: [0, 1]})
        assert counts["spike_out"] == rows({hidden: [2, 1]})
        assert counts["reg_bits"] == rows({hidden: [8 * 9, 8 * 9], out: [8 * 2, 8 * 2]})
        assert counts["cycles_busy"] == rows({hidden: [9, 7], out: [4, 3]})

    def test_two_layers_layer_by_layer_to_the_cycle(self) -> None:
        network, sample = pair()
        record = self.run_sample(program_of(network, chip_spec(bypass=True), "layer_by_layer"), sample, "computed", True)
        a, out = record.logs[0], record.logs[1]
        # clear 1, two events 2 3, EOT 4, fire 5 (e 6, spikes 7 8), event 6 (e 7), EOT 7, fire 8 (e 9, spike 10)
        assert a.issue[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
        assert a.spikes.tolist() == [[7, 0, 0], [8, 0, 1], [10, 0, 1]]
        # clear 1, two events 2 3, EOT 4, event 5, EOT 6, read-out 7 (e 8)
        assert out.issue[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]
        assert record.start.tolist() == [0, 11]
        assert record.end.tolist() == [11, 11 + 9]
        assert record.outputs["a"].reshape(2, 2).tolist() == [[1, 1], [0, 1]]
        assert record.potentials["out"].item() == 3 + 5 + 5
        assert record.potentials["a"].reshape(-1).tolist() == [0, 0]
        assert record.mismatches.tolist() == [0, -1]

    def test_two_layers_step_by_step_to_the_cycle(self) -> None:
        network, sample = pair()
        record = self.run_sample(program_of(network, chip_spec(bypass=True), "step_by_step"), sample, "computed", True)
        # t 0: clear 1, events 2 3, EOT 4, fire 5, e 6, spikes 7 8: done 9; then clear 1, events 2 3, EOT 4: done 5
        # t 1: event 1, EOT 2, fire 3, e 4, spike 5: done 6; then event 1, EOT 2, read-out 3, e 4: done 5
        assert record.start.tolist() == [0, 9, 14, 20]
        assert record.end.tolist() == [9, 14, 20, 25]
        assert record.outputs["a"].reshape(2, 2).tolist() == [[1, 1], [0, 1]]
        assert record.potentials["out"].item() == 13
        assert record.counts[:, :, INDEX["cmp"]].tolist() == [[2, 0], [0, 0], [0, 2], [0, 0]]
        assert record.counts[:, :, INDEX["acc_add"]].tolist() == [[4, 0], [2, 0], [0, 2], [0, 1]]

    def test_resources_work_in_list_order_and_wait_for_their_dependencies(self) -> None:
        network, sample = pair()
        runs = program_of(network, chip_spec(bypass=True), "step_by_step").operations
        channel = ChannelSpec(bits_per_cycle=8, latency_cycles=3)
        operations = (
            transfer(0, "load", 1000, "weight", rows=7, once=True),
            transfer(1, "load", 17, "weight", rows=4),                                    # 0 .. 3 + 3
            transfer(2, "load", 0, "bias"),                                               # 6 .. 6, nothing to move
            replace(runs[0], id=3, deps=(0, 1)),                                          # 6 .. 15
            transfer(4, "store", 8, "membrane", deps=(3,), rows=1),                       # 15 .. 19
            transfer(5, "load", 64, "spike", rows=2, timesteps=(1, 2)),                   # 19 .. 30, behind 4 in the list
            replace(runs[1], id=6, deps=(3,)),                                            # 15 .. 20
            replace(runs[2], id=7, deps=(5,)),                                            # 30 .. 36
            replace(runs[3], id=8, deps=()),                                              # 36 .. 41
            transfer(9, "store", 24, "output", deps=(8,), rows=3, timesteps=(1, 2)),      # 41 .. 47
        )
        record = self.run_sample(Program(network, ("core",), channel, "by hand", operations), sample, "trace")
        assert record.start.tolist() == [0, 0, 6, 6, 15, 19, 15, 30, 36, 41]
        assert record.end.tolist() == [0, 6, 6, 15, 19, 30, 20, 36, 41, 47]
        moved = {(o, t, name): int(record.counts[o, t, i]) for name, i in INDEX.items() for o in (0, 1, 2, 4, 5, 9)
                 for t in (0, 1) if record.counts[o, t, i]}
        assert moved == {
            (0, 0, "weight_write"): 7, (0, 0, "channel_read_bits"): 1000, (1, 0, "weight_write"): 4,
            (1, 0, "channel_read_bits"): 17, (4, 0, "membrane_read_transfer"): 1, (4, 0, "channel_write_bits"): 8,
            (5, 1, "buffer_write"): 2, (5, 1, "channel_read_bits"): 64, (9, 1, "channel_write_bits"): 24,
        }

    # -- C5, C6 -------------------------------------------------------------------------------------------------------

    def test_a_sample_leaves_nothing_behind(self) -> None:
        program = without_clears(two_layers())
        first, second = (self.run_sample(program, sample_of_two_layers(), "trace") for _ in range(2))
        assert_same(second, first)
        assert first.potentials["out"].ravel().tolist() == [90], "no clear, no bias"

    def test_feeds_read_the_recording_or_what_was_produced(self) -> None:
        sample = sample_of_two_layers()
        sample.recorded["hidden"][1, 0, 0] = [1, 1, 0]
        traced, computed = (self.run_sample(two_layers(), sample, spikes) for spikes in ("trace", "computed"))
        assert traced.mismatches.tolist() == computed.mismatches.tolist() == [3, -1]
        assert traced.potentials["out"].ravel().tolist() == [87]
        assert computed.potentials["out"].ravel().tolist() == [97]

    def test_mismatches_count_the_outputs_that_differ(self) -> None:
        network, inputs = rate_network(3, False)
        sample = sample_of(network, inputs)
        program = program_of(network, chip_spec(), "step_by_step")
        good = self.run_sample(program, sample, "computed")
        for t, y, x, c in ((0, 0, 0, 0), (0, 1, 2, 3), (2, 4, 4, 5)):
            sample.recorded["a"][t, y, x, c] ^= 1
        closed = self.run_sample(program, sample, "computed")
        assert closed.mismatches.tolist() == [3, 0, -1]
        np.testing.assert_array_equal(closed.end, good.end)
        fed = self.run_sample(program, sample, "trace")
        assert fed.mismatches[0] == 3
        assert fed.mismatches[1] > 0, "layer b is fed the wrong recording"

    # -- A4 -----------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("buffer", ["aer", "bitmap"])
    def test_buffers_and_pooling_units_are_counted(self, buffer: str) -> None:
        network, inputs = rate_network(1, False)  # pool_mode unit
        program = program_of(network, chip_spec(buffer=buffer), "layer_by_layer")
        record = self.run_sample(program, sample_of(network, inputs), "trace", record=True)
        grids = {0: [(5, 5, 2)], 1: [(2, 2, 6)] * 2, 2: [network.layers[1].shape]}
        for operation in program.runs:
            counts = record.counts[operation.id]
            seen = {name: int(counts[:, INDEX[name]].sum()) for name in ("buffer_read", "buffer_write")}
            run, log = operation.body, record.logs[operation.id]
            rows = sum(-(-int(np.prod(grid)) // 5) for grid in grids[operation.layer])
            assert seen["buffer_read"] == (3 * rows if buffer == "bitmap" else len(log.push) - 3)
            real = min(4, run.shape[0] - 4 * run.groups[0]) * run.shape[1] * run.shape[2]
            sweeps = 0 if operation.layer == 2 else 3
            cleared = -(-real // 5) * sweeps if buffer == "bitmap" else 0
            assert seen["buffer_write"] == cleared + len(log.spikes)
            # Both connections of the second layer have a pooling unit; the fifth row and column are in no window.
            inside = 2 * np.count_nonzero(record.outputs["a"][:, :4, :4], axis=(1, 2, 3))
            pooled = operation.layer == 1 and operation.tile == 0
            assert counts[:, INDEX["pool_update"]].tolist() == (inside.tolist() if pooled else [0, 0, 0])
            np.testing.assert_array_equal(log.counts, counts[: len(log.counts)])

    def test_a_layer_of_fewer_potential_bits_saturates_and_says_so(self) -> None:
        network, inputs = rate_network(2, True)
        small = Network(network.input, tuple(replace(layer, potential_bits=6) for layer in network))
        program = program_of(small, chip_spec(), "layer_by_layer")
        record = self.run_sample(program, sample_of(network, inputs), "trace", record=True)
        for index in range(len(network.layers)):
            parts = [record.logs[o.id].saturations for o in program.operations if o.layer == index]
            assert record.saturations[index] == sum(parts) > max(parts[1:])
        assert max(abs(state).max() for state in record.potentials.values()) <= 32

    # -- what is refused ----------------------------------------------------------------------------------------------

    def test_an_operation_that_waits_for_a_later_one_is_named(self) -> None:
        network, sample = pair()
        operations = (transfer(0, "load", 8, "weight", deps=(1,)), transfer(1, "load", 8, "weight"))
        with pytest.raises(ProgramError, match=r"operation 0 depends on \[1\], which do not stand before it"):
            self.run_sample(Program(network, ("core",), ChannelSpec(8, 0), "by hand", operations), sample, "trace")

    def test_what_is_missing_or_unknown_is_named(self) -> None:
        program, sample = two_layers(), sample_of_two_layers()
        with pytest.raises((ProgramError, ValueError), match=r"spikes.* 'recorded'"):
            self.run_sample(program, sample, "recorded")
        with pytest.raises(ProgramError, match="'hidden'"):
            self.run_sample(program, Sample(sample.inputs, {}), "trace")
        wrong = replace(program, operations=(replace(program.operations[0], memory="plans"), *program.operations[1:]))
        with pytest.raises(ProgramError, match="a transfer of memory 'plans'"):
            self.run_sample(wrong, sample, "trace")
