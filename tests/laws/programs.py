"""C2 to C5 on random Programs: samples are their runs on tokens that the rules list; tiles, order and logs change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from hwsim.activity import EVENTS
from hwsim.program import Program, Run
from hwsim.snn.forward import connection_sums, forward
from hwsim.snn.sample import Sample
from tests.engine.random_designs import random_sample
from tests.engine.random_programs import draw_design
from tests.laws.chip import assert_same
from tests.laws.counting import check_counts, check_pushes
from tests.laws.implementation import Laws
from tests.laws.listing import tokens_of

CODINGS = ("rate", "bit_serial", "quantised", "two_stage", "single_spike", "hybrid")
BLOCKS = 6
Random = tuple[Program, np.random.Generator]
# What a run by itself cannot know: rows that were scanned, spikes that a pooling unit took in.
KNOWN = [i for i, name in enumerate(EVENTS) if name not in ("buffer_read", "pool_update", "payload_read_bits")]
blocks = pytest.mark.parametrize("block", range(BLOCKS))


def draw(seed: int) -> Random | None:
    """A random Program of any coding and schedule, or None when it does not fit its memories."""
    drawn = draw_design(seed, CODINGS)
    return drawn and (drawn.program, drawn.rng)


class ProgramLaws(Laws):
    seeds = 120

    def random(self, block: int, seeds: int | None = None) -> Iterator[tuple[int, Program, np.random.Generator]]:
        """The Programs of a block of seeds; every coding is in every block."""
        number = 0
        for seed in range(block * (seeds or self.seeds) // BLOCKS, (block + 1) * (seeds or self.seeds) // BLOCKS):
            drawn = draw(seed)
            if drawn is not None:
                number += 1
                yield seed, *drawn
        assert number, "all of them are refused"

    @blocks
    def test_samples_are_their_runs(self, block: int) -> None:
        """`run_sample` against single runs on tokens listed by the rules, states and flags handed from run to run."""
        for seed, program, rng in self.random(block):
            sample = random_sample(rng, program.network)
            record = self.run_sample(program, sample, "trace", record=True)
            states = {i: np.zeros((3, *layer.shape), np.int64) for i, layer in enumerate(program.network)}
            for op in program.runs:
                tokens, gaps = tokens_of(program, op, {**sample.recorded, "input": sample.inputs})
                log, logged = self.run(op.body, tokens, gaps, 0 * gaps, *states[op.layer]), record.logs[op.id]
                states[op.layer] = np.stack([log.potentials, log.currents, log.flags])
                here = f"seed {seed}, operation {op.id}"
                for name in ("push", "pop", "issue", "spikes", "potentials", "currents", "flags", "done", "saturations"):
                    np.testing.assert_array_equal(getattr(logged, name), getattr(log, name), err_msg=f"{here}: {name}")
                np.testing.assert_array_equal(logged.counts[:, KNOWN], log.counts[:, KNOWN], err_msg=here)
                check_pushes(op.body, gaps, logged)
                if not op.body.table.flagged:
                    check_counts(op, program.network, tokens, sample, logged)

    @blocks
    def test_spikes_and_potentials_are_the_networks_own(self, block: int) -> None:
        """Without limits a core computes what the models say; a hybrid input's spikes are worth 2**spike_shift."""
        for seed, program, rng in self.random(block):
            network, sample = program.network, random_sample(rng, program.network)
            given = network.input
            scaled = sample.inputs.copy()
            scaled[1:] <<= given.spike_shift
            outputs, potentials = forward(replace(network, input=replace(given, spike_shift=0)), scaled)
            wide = replace(program, operations=tuple(
                replace(op, body=replace(op.body, potential_bits=30, current_bits=30)) if isinstance(op, Run) else op
                for op in program.operations))
            record = self.run_sample(wide, Sample(sample.inputs, outputs), "computed")
            assert not record.saturations.any(), seed
            assert record.mismatches.max() == 0 or not outputs, seed
            for name, wanted in outputs.items():
                np.testing.assert_array_equal(record.outputs[name], wanted, err_msg=f"seed {seed}: {name}")
            for layer in network:
                wanted = potentials[layer.name]
                if layer.coding == "readout" and layer.stages:  # the last stage alone, whatever came before
                    sums = sum(connection_sums(c, outputs[c.source], layer.shape) for c in layer.connections)
                    wanted = layer.initial_potential + sums[layer.stages[1] :].sum(axis=0)
                np.testing.assert_array_equal(record.potentials[layer.name], wanted, err_msg=f"seed {seed}: {layer.name}")

    @blocks
    def test_recording_and_order_change_nothing(self, block: int) -> None:
        for _, program, rng in self.random(block, max(BLOCKS, self.seeds // 3)):
            samples = [random_sample(rng, program.network) for _ in range(2)]
            for spikes in ("trace", "computed"):
                recorded = [self.run_sample(program, sample, spikes, record=True) for sample in samples]
                for sample, wanted in zip(samples[::-1], recorded[::-1], strict=True):
                    quick = self.run_sample(program, sample, spikes)
                    assert not quick.logs
                    assert_same(quick, wanted)
                for op in program.runs:
                    log = recorded[0].logs[op.id]
                    assert log.done == recorded[0].end[op.id] - recorded[0].start[op.id]
                    np.testing.assert_array_equal(recorded[0].counts[op.id].sum(axis=0), log.counts.sum(axis=0))

    @blocks
    def test_a_layer_in_tiles_computes_what_it_computes_whole(self, block: int) -> None:
        """Same network on a core with memories for everything and lanes for all: other cycles, the same spikes and sums."""
        compared = 0
        for seed, program, rng in self.random(block):
            sample = random_sample(rng, program.network)
            cut = self.run_sample(program, sample, "computed")
            lanes = max(layer.shape[0] for layer in program.network)
            aer_order = any(len(feed.tiles) > 1 for op in program.runs for feed in op.feeds)
            runs: list[Run] = []
            for op in program.runs:
                if op.tile == 0:
                    run = replace(op.body, core=replace(op.body.core, lanes=lanes), groups=(0, 1), last_channel=None,
                                  rows=None)
                    feeds = tuple(replace(f, tiles=((0, op.body.connections[f.connection].source_shape[0]),), rows=())
                                  for f in op.feeds)
                    runs.append(replace(op, id=len(runs), deps=(), body=run, feeds=feeds))
            whole = self.run_sample(replace(program, operations=tuple(runs)), sample, "computed")
            if aer_order and whole.saturations.any():
                continue  # additions that meet a limit depend on their order, and tiles change the order of an AER list
            compared += 1
            np.testing.assert_array_equal(cut.saturations, whole.saturations, err_msg=str(seed))
            np.testing.assert_array_equal(cut.mismatches, whole.mismatches, err_msg=str(seed))
            for name, potentials in whole.potentials.items():
                np.testing.assert_array_equal(cut.potentials[name], potentials, err_msg=f"seed {seed}: {name}")
        assert compared
