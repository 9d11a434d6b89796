"""Flags, mask and reinitialise operations and hybrid inputs on the fast engine: R11 and R16 to R18, worked out by hand.

The small cases have two or three neurons and every cycle and count written down. The laws at the end hold on random runs
and designs: against the rules neuron by neuron in Python integers, against what the neuron models say they send, and
between a layer in one piece and the same layer in tiles or in steps.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from hwsim.activity import EVENTS, INDEX
from hwsim.engine.fast.chip import FastEngine
from hwsim.mapping import MappingError
from hwsim.passes import Pass, PassTable
from hwsim.program import ChannelSpec, CoreRun, CoreSpec, Feed, Program, ProgramError, Run
from hwsim.record import ISSUE_KINDS, CoreLog
from hwsim.simulation import make_program
from hwsim.snn.forward import connection_sums, forward
from hwsim.snn.network import Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import IntegrateAndFire, SingleSpike, TwoStage
from hwsim.snn.neurons.base import Context
from hwsim.snn.sample import Sample
from tests.engine.random_designs import random_architecture, random_network, random_sample
from tests.engine.test_fast_core import step_through, synapses
from tests.engine.test_fast_samples import tokens_of

EOT = (-1, 0, 0, 0, 0, 0)
CODINGS = ("two_stage", "single_spike", "hybrid")


def event(c: int, payload: int | None = None) -> tuple[int, ...]:
    return (0, c, 0, 0, payload or 0, int(payload is not None))


def column(*values: int) -> np.ndarray:
    return np.array(values, np.int64).reshape(-1, 1, 1)


def run_of(weights: list[list[int]], passes: tuple[Pass, ...], *, bits: int = 8, bypass: bool = True, clear: bool = True,
           lanes: int = 2, **table: object) -> CoreRun:
    """A fully connected run; weights (neurons, inputs), `table` the fields of its PassTable."""
    neurons, inputs = np.shape(weights)
    connection = Connection("input", "linear", (inputs, 1, 1), np.array(weights, np.int8))
    fields = {"planes": max((p.after_eot for p in passes), default=1), "initial": column(*[0] * neurons), **table}
    core = CoreSpec(lanes, bits, bits, 8, bypass, "weight", "aer")
    return CoreRun(core, (neurons, 1, 1), (0, -(-neurons // lanes)), (connection,), PassTable(passes=passes, **fields),
                   bits, bits, clear)


def go(run: CoreRun, *tokens: tuple[int, ...], v: tuple[int, ...] = (), i: tuple[int, ...] = (),
       flags: tuple[int, ...] | None = None) -> CoreLog:
    """The run by itself: potentials, currents and flags are zero where not given."""
    rest = (0,) * run.shape[0]
    return FastEngine().run_core(
        run, np.array(tokens, np.int64), np.ones(len(tokens), np.int64), np.zeros(len(tokens), np.int64),
        column(*(v or rest)), column(*(i or rest)), *(() if flags is None else (column(*flags),)))


def issued(log: CoreLog) -> list[tuple[str, int, int]]:
    return [(ISSUE_KINDS[kind], word, cycle) for cycle, kind, word in log.issue.tolist()]


def counted(log: CoreLog, *names: str) -> dict[str, list[int]]:
    return {name: log.counts[:, INDEX[name]].tolist() for name in names}


def fires(threshold: int, flags: str, times: int, **more: object) -> tuple[Pass, ...]:
    return tuple(Pass(n + 1, "fire", threshold, timestep=n, flags=flags, **more) for n in range(times))


ONCE = run_of([[6, 0], [3, -2], [0, 7]], fires(6, "fire_once", 3), flagged=True)
ONCE_TOKENS = (event(0), EOT, event(0), event(1), EOT, event(0), EOT)


def test_once_fires_once() -> None:
    """V of (n0, n1, n2) before each fire pass: (6, 3, 0), (6, 4, 7), (6, 7, 0); theta is 6, so n0, then n2, then n1 fire.

    What fires is written as zero and is off; n0 receives 6 twice more, which is lost. Cycles: clear 1, 2; event 3-4,
    EOT 5, fire 6, 7 (e 7, s 8, spike at 8; e 8, s 9); events 8-9, 10-11, EOT 12, fire 13, 14 (e 14, s 15; e 15, spike at
    16); event 15-16, EOT 17, fire 18, 19 (e 19, s 20, spike at 20; e 20): done 21.
    """
    log = go(ONCE, *ONCE_TOKENS)
    assert log.spikes.tolist() == [[8, 0, 0], [16, 0, 2], [20, 0, 1]]
    assert [cycle for kind, _, cycle in issued(log) if kind == "fire"] == [6, 7, 13, 14, 18, 19]
    assert log.done == 21
    assert log.potentials.ravel().tolist() == [0, 0, 0]
    assert log.flags.ravel().tolist() == [1, 1, 1]
    assert log.flags.shape == (3, 1, 1)
    assert log.flags.dtype == np.int64
    # The clear writes both mask words, a fire pass those in which a neuron fired: one each.
    assert counted(log, "mask_write", "mask_read", "cmp", "spike_out", "reset_sub", "reset_zero", "reg_bits") == {
        "mask_write": [3, 1, 1], "mask_read": [2, 2, 2], "cmp": [3, 2, 1], "spike_out": [1, 1, 1],
        "reset_sub": [0, 0, 0], "reset_zero": [0, 0, 0], "reg_bits": [8 * (3 + 3), 8 * (6 + 2), 8 * (3 + 1)]}


def test_flags_live_over_runs_until_a_flagged_clear() -> None:
    """C5: what is off stays off in a run that does not clear, or whose table has no flags; a flagged clear ends it."""
    kept = replace(ONCE, clear=False)
    log = go(kept, *ONCE_TOKENS, flags=(1, 0, 1))
    assert log.spikes[:, 2].tolist() == [1], "(6, 3, 0), (6, 4, 7), (6, 7, 0): n1 alone is on"
    assert counted(log, "cmp", "mask_write", "mask_read") == {
        "cmp": [1, 1, 1], "mask_write": [0, 0, 1], "mask_read": [2, 2, 2]}
    assert log.flags.ravel().tolist() == [1, 1, 1]
    assert go(ONCE, *ONCE_TOKENS, flags=(1, 1, 1)).spikes[:, 2].tolist() == [0, 2, 1], "cleared"
    plain = replace(ONCE, table=replace(ONCE.table, flagged=False, passes=fires(6, "ignore", 3)))
    log = go(plain, *ONCE_TOKENS, flags=(1, 0, 1))
    assert log.flags.ravel().tolist() == [1, 0, 1], "a clear without flags does not know them"
    assert counted(log, "mask_write", "mask_read") == {"mask_write": [0, 0, 0], "mask_read": [0, 0, 0]}


def test_a_flagged_table_may_ignore_flags() -> None:
    run = replace(ONCE, clear=False, table=replace(ONCE.table, passes=fires(6, "ignore", 3)))
    log = go(run, *ONCE_TOKENS, flags=(1, 0, 1))
    # V: (6, 3, 0) n0 fires; (6, 4, 7) n0, n2; (6, 7, 1) n0, n1; soft reset.
    assert log.spikes[:, 2].tolist() == [0, 0, 2, 0, 1]
    assert log.flags.ravel().tolist() == [1, 0, 1]
    assert counted(log, "mask_read", "mask_write", "cmp", "reset_sub") == {
        "mask_read": [0, 0, 0], "mask_write": [0, 0, 0], "cmp": [3, 3, 3], "reset_sub": [1, 2, 2]}


def test_one_word_holds_two_that_fire_at_once() -> None:
    """mask_write counts words: both neurons of word 0 fire, of word 1 none."""
    log = go(run_of([[9], [9], [1]], fires(6, "fire_once", 1), flagged=True, clear=False), event(0), EOT)
    assert log.spikes[:, 2].tolist() == [0, 1]
    assert counted(log, "mask_write", "mask_read") == {"mask_write": [1], "mask_read": [2]}


@pytest.mark.parametrize(("flags", "reset", "v", "leaks", "off"), [
    # 9 + 10 is clipped to 15 and fires at 12; soft: 3 - (3 >> 1) = 2.
    ("masked", "soft", 2, 1, 0), ("masked", "hard", 0, 1, 0),
    # Once: not reset, zero in its place, off when the leak would come.
    ("fire_once", "soft", 0, 0, 1), ("fire_once", "hard", 0, 0, 1),
])
def test_what_is_off_is_left_out(flags: str, reset: str, v: int, leaks: int, off: int) -> None:
    """n0 is off: it would be clipped, fire and leak; n1 does. 5-bit potentials, one word."""
    run = run_of([[0], [0]], fires(12, flags, 1, add=True), bits=5, clear=False, flagged=True, leak_shift=1, reset=reset,
                 addend=column(10, 10))
    log = go(run, EOT, v=(9, 9), flags=(1, 0))
    assert log.spikes.tolist() == [[4, 0, 1]]
    assert log.potentials.ravel().tolist() == [0, v]
    assert log.flags.ravel().tolist() == [1, off]
    assert log.saturations == 1
    assert counted(log, "bias_add", "bias_read", "cmp", "leak", "mask_read", "mask_write", "reg_bits") == {
        "bias_add": [1], "bias_read": [1], "cmp": [1], "leak": [leaks], "mask_read": [1], "mask_write": [off],
        "reg_bits": [5]}
    assert counted(log, "reset_sub", "reset_zero") == {
        "reset_sub": [int(leaks and reset == "soft")], "reset_zero": [int(leaks and reset == "hard")]}


def test_what_is_off_takes_no_current() -> None:
    """Direct table, 5 bits: n1 is clipped at 9 + 10 and at 15 + 5; words are read whether or not anyone is on."""
    run = run_of([[0], [0], [0]], fires(20, "masked", 1, add=True), bits=5, clear=False, flagged=True, direct=True,
                 addend=column(10, 10, 10))
    log = go(run, EOT, v=(9, 9, 9), i=(5, 5, 5), flags=(1, 0, 1))
    assert log.saturations == 2
    assert not len(log.spikes)
    assert log.potentials.ravel().tolist() == [0, 15, 0], "a threshold of 20 cannot be reached, zero is written all the same"
    assert log.currents.ravel().tolist() == [5, 5, 5]
    assert counted(log, "bias_add", "bias_read", "current_read", "cmp", "reg_bits") == {
        "bias_add": [2], "bias_read": [2], "current_read": [2], "cmp": [1], "reg_bits": [5]}


def test_accumulations_do_not_look_at_flags() -> None:
    """n0 is off and still clips: 8 bits, 100 + 100; then zero is written."""
    run = run_of([[100], [1]], fires(50, "masked", 1), clear=False, flagged=True)
    log = go(run, event(0), event(0), EOT, flags=(1, 0))
    assert log.saturations == 1
    assert log.potentials.ravel().tolist() == [0, 2]
    assert counted(log, "acc_add", "cmp") == {"acc_add": [4], "cmp": [1]}


MASKED = (Pass(1, "fire", 100), Pass(1, "mask"), Pass(2, "fire", 1, timestep=1, flags="masked"))


@pytest.mark.parametrize(("bypass", "cycles", "spike", "hazards"), [
    (True, (1, 2, 3, 4, 5, 6, 7, 8), 10, 0),
    # The event meets the clear (3), the mask operation the fire operation (7), the event the mask operation (9).
    (False, (1, 3, 4, 5, 7, 9, 10, 11), 13, 3),
])
def test_mask_operation(bypass: bool, cycles: tuple[int, ...], spike: int, hazards: int) -> None:
    """One word. V starts at (1, 2); the event makes it (-2, 6), so n0 is flagged and V is (1, 2) again, then (-2, 6).

    Theta 1: n1 alone fires and keeps 5. The mask operation's e is its issue + 1, and it sends nothing.
    """
    run = run_of([[-3], [4]], MASKED, bypass=bypass, flagged=True, initial=column(1, 2))
    log = go(run, event(0), EOT, event(0), EOT)
    kinds = ("clear", "acc", "eot", "fire", "mask", "acc", "eot", "fire")
    assert [(kind, cycle) for kind, _, cycle in issued(log)] == list(zip(kinds, cycles, strict=True))
    assert log.spikes.tolist() == [[spike, 0, 1]]
    assert log.done == spike + 1
    assert log.potentials.ravel().tolist() == [0, 5]
    assert log.flags.ravel().tolist() == [1, 0]
    assert sum(counted(log, "cycles_stall_hazard")["cycles_stall_hazard"]) == hazards
    assert counted(
        log, "addr_gen", "membrane_read_mask", "membrane_write_mask", "membrane_write_clear", "mask_write", "mask_read",
        "cmp", "bias_read", "reset_sub", "reg_bits", "cycles_busy",
    ) == {
        "addr_gen": [4, 2], "membrane_read_mask": [1, 0], "membrane_write_mask": [1, 0], "membrane_write_clear": [1, 0],
        "mask_write": [2, 0], "mask_read": [0, 1], "cmp": [4, 1], "bias_read": [2, 0], "reset_sub": [0, 1],
        "reg_bits": [8 * (2 + 2 + 2), 8 * (2 + 1)], "cycles_busy": [5, 3]}


def test_a_mask_operation_sets_flags_anew() -> None:
    """It reads no flags: who was off and has V >= 0 is on again; zero is not negative; a uniform start needs no bias word."""
    run = run_of([[0], [0], [0], [0]], (Pass(1, "mask"),), clear=False, flagged=True, initial=column(3, 3, 3, 3))
    log = go(run, EOT, v=(5, -1, 0, -9), flags=(1, 0, 1, 1))
    assert log.flags.ravel().tolist() == [0, 1, 0, 1]
    assert log.potentials.ravel().tolist() == [3, 3, 3, 3]
    assert counted(log, "bias_read", "mask_read", "mask_write", "membrane_read_mask", "cmp") == {
        "bias_read": [0], "mask_read": [0], "mask_write": [2], "membrane_read_mask": [2], "cmp": [4]}


def test_a_mask_operation_waits_for_exec_and_leaves_the_serialiser_alone() -> None:
    """Four neurons in two words all fire. EOT 1; fire 2 (e 3, s 5), 3 (e 5, s 7); mask 5, 6 (e 7); done by the spikes at 6, 7.

    The spikes of word 1 leave at 6 and 7 while the mask operations issue: done 8.
    """
    run = run_of([[0]] * 4, (Pass(1, "fire", 1), Pass(1, "mask")), clear=False, flagged=True, bypass=False)
    log = go(run, EOT, v=(2, 2, 2, 2))
    assert issued(log) == [("eot", -1, 1), ("fire", 0, 2), ("fire", 1, 3), ("mask", 0, 5), ("mask", 1, 6)]
    assert log.spikes[:, 0].tolist() == [4, 5, 6, 7]
    assert log.done == 8
    assert counted(log, "cycles_stall_hazard", "cycles_stall_serialiser") == {
        "cycles_stall_hazard": [0], "cycles_stall_serialiser": [1]}


def test_reinitialise_meets_no_hazard_but_can_be_met() -> None:
    """One word, no bypass. Clear 1; event 3 (hazard); EOT 4; fire 5, V (-2, 6): n1 fires at 7; reinitialise 6, in the cycle
    in which EXEC writes its word; event 8 (hazard with it, e 9); EOT 9; read-out 10: V is (1, 2) + (-3, 4). Done 12.
    """
    passes = (Pass(1, "fire", 5), Pass(1, "reinitialise"), Pass(2, "readout", timestep=1))
    log = go(run_of([[-3], [4]], passes, bypass=False, initial=column(1, 2)), event(0), EOT, event(0), EOT)
    assert issued(log) == [
        ("clear", 0, 1), ("acc", 0, 3), ("eot", -1, 4), ("fire", 0, 5), ("reinitialise", 0, 6), ("acc", 0, 8),
        ("eot", -1, 9), ("readout", 0, 10)]
    assert log.spikes.tolist() == [[7, 0, 1]]
    assert log.done == 12
    assert log.potentials.ravel().tolist() == [-2, 6]
    assert counted(
        log, "addr_gen", "membrane_write_clear", "membrane_read_fire", "membrane_read_mask", "bias_read", "reg_bits", "cmp",
        "cycles_busy", "cycles_stall_hazard",
    ) == {
        "addr_gen": [4, 2], "membrane_write_clear": [2, 0], "membrane_read_fire": [1, 0], "membrane_read_mask": [0, 0],
        "bias_read": [2, 0], "reg_bits": [8 * (2 + 2), 8 * (2 + 2)], "cmp": [2, 0], "cycles_busy": [5, 3],
        "cycles_stall_hazard": [1, 1]}


def test_reinitialise_waits_for_exec() -> None:
    """Fire 2 (e 3, s 5), 3 (e 5) as above; reinitialise 5, 6, not 4; then a read-out at 7, 8 of words written before."""
    passes = (Pass(1, "fire", 1), Pass(1, "reinitialise"), Pass(1, "readout"))
    log = go(run_of([[0]] * 4, passes, clear=False, bypass=False), EOT, v=(2, 2, 2, 2))
    assert [cycle for _, _, cycle in issued(log)] == [1, 2, 3, 5, 6, 7, 8]
    assert log.done == 10
    assert not counted(log, "cycles_stall_hazard")["cycles_stall_hazard"][0]


def test_reinitialise_leaves_currents_and_flags() -> None:
    """A direct table's event right after it reads the current, which it did not write: no hazard."""
    passes = (Pass(1, "reinitialise"), Pass(2, "readout", timestep=1))
    run = run_of([[5], [6]], passes, clear=False, bypass=False, direct=True, flagged=True, initial=column(1, 2))
    log = go(run, EOT, event(0), EOT, v=(7, 8), i=(3, 4), flags=(1, 0))
    assert [cycle for _, _, cycle in issued(log)] == [1, 2, 3, 4, 5]
    assert log.potentials.ravel().tolist() == [1, 2]
    assert log.currents.ravel().tolist() == [8, 10]
    assert log.flags.ravel().tolist() == [1, 0]
    assert counted(log, "mask_read", "mask_write", "current_write", "membrane_write_clear") == {
        "mask_read": [0, 0], "mask_write": [0, 0], "current_write": [0, 1], "membrane_write_clear": [1, 0]}


def test_passes_that_send_nothing_have_no_number() -> None:
    """R9: a mask and a reinitialise pass between two fire passes of one EOT do not move the second one's number."""
    passes = (Pass(1, "fire", 2), Pass(1, "mask"), Pass(1, "reinitialise"), Pass(1, "fire", 1, flags="fire_once"))
    log = go(run_of([[0], [0]], passes, clear=False, flagged=True, initial=column(1, 1)), EOT, v=(2, -3))
    assert log.spikes[:, 1:].tolist() == [[0, 0], [1, 0]]
    assert log.flags.ravel().tolist() == [1, 1]


def test_spike_shift() -> None:
    """Weights (5, -1): a spike adds them times 8, a payload of 3 times 3; only the spike's synapses count as shifted."""
    run = run_of([[5], [-1]], (Pass(1, "readout"),), bits=16, spike_shift=3)
    log = go(run, event(0), event(0, 3), event(0), EOT)
    assert log.potentials.ravel().tolist() == [5 * 19, -19]
    assert counted(log, "weight_shift", "mult", "acc_add") == {"weight_shift": [4], "mult": [2], "acc_add": [6]}
    # 8 bits: 40, 80, 120, then 127.
    log = go(replace(run, potential_bits=8), *[event(0)] * 4, EOT)
    assert log.potentials.ravel().tolist() == [127, -32]
    assert log.saturations == 1
    assert counted(go(replace(run, table=replace(run.table, spike_shift=0)), event(0), EOT), "weight_shift") == {
        "weight_shift": [0]}


def test_spike_shift_and_weighed_planes() -> None:
    """k = 1: spikes weigh 2 and 4 in planes 0 and 1, payloads of 3 weigh 3 and 6; a synapse is shifted once at most."""
    run = run_of([[5], [-1]], (Pass(2, "readout", timestep=1),), bits=16, spike_shift=1, weigh_planes=True)
    log = go(run, event(0), event(0, 3), EOT, event(0), event(0, 3), EOT)
    assert log.potentials.ravel().tolist() == [5 * 15, -15]
    assert counted(log, "weight_shift", "mult") == {"weight_shift": [2, 4], "mult": [2, 2]}


def test_spike_shift_into_the_current_and_through_slices() -> None:
    run = run_of([[5], [-1]], (Pass(1, "fire", 20, add=True),), bits=16, spike_shift=2, direct=True)
    log = go(run, event(0), event(0, 3), EOT)
    assert log.currents.ravel().tolist() == [35, -7]
    assert log.spikes[:, 2].tolist() == [0]
    identity = Connection("input", "identity", (2, 1, 1), np.array([5, -1]))
    log = go(replace(run, connections=(identity,)), event(0), event(1), event(1, 3), EOT)
    assert log.currents.ravel().tolist() == [20, -7]
    assert counted(log, "weight_shift", "mult") == {"weight_shift": [2], "mult": [1]}


# --- whole samples ---------------------------------------------------------------------------------------------------


def one_layer(layer: Layer, inputs: InputSpec, *, steps: bool = False, buffer: str = "aer", tiles: int = 1) -> Program:
    """The layer alone, as one run, or one a timestep, or one a tile of a group."""
    direct = inputs.encoding == "direct"
    spec = CoreSpec(2, 8, 8, 4, True, "weight", buffer, 3)
    table = layer.neuron.lower(layer, Context(1 if direct else inputs.timesteps, direct, False, "weight", inputs.spike_shift))
    run = CoreRun(spec, layer.shape, (0, -(-layer.shape[0] // 2)), layer.connections, table, 8, 8, clear=True)
    whole = ((0, inputs.shape[0]),)
    planes = tuple(range(1 if direct else inputs.timesteps))
    operations = []
    for t in range(table.planes) if steps else (None,):
        for tile in range(tiles):
            part = run if tiles == 1 else replace(run, groups=(tile, tile + 1))
            if t is not None:
                part = replace(part, table=table.at(t), clear=t == 0, first_plane=t)
            feed = Feed(0, planes if t is None else planes[t : t + 1], whole)
            span = (0, table.planes) if t is None else (t, t + 1)
            operations.append(Run(
                id=len(operations), on="core", layer=0, tile=tile, timesteps=span, body=part, feeds=(feed,),
                eots=part.table.planes, pools=tile == 0))
    return Program(Network(inputs, (layer,)), ("core",), ChannelSpec(8, 3), "by hand", tuple(operations))


def layer_of(neuron: object, weights: list[list[int]] | None, thresholds: tuple[int, ...], **more: object) -> Layer:
    neurons, inputs = (3, 2) if weights is None else np.shape(weights)
    connection = Connection("input", "linear", (inputs, 1, 1), None if weights is None else np.array(weights))
    return Layer("a", (neurons, 1, 1), (connection,), neuron, len(thresholds), thresholds=np.array(thresholds), **more)


SPIKES = InputSpec((2, 1, 1), "spikes", 3)
PLANES = np.array([[1, 0], [1, 1], [1, 0]], np.uint8).reshape(3, 1, 1, 2)


@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize("tiles", [1, 2])
def test_flags_of_a_layer_live_over_runs_and_tiles_and_not_over_samples(steps: bool, tiles: int) -> None:
    layer = layer_of(SingleSpike(), [[6, 0], [3, -2], [0, 7]], (6, 6, 6))
    program, engine = one_layer(layer, SPIKES, steps=steps, tiles=tiles), FastEngine()
    for _ in range(2):
        record = engine.run_sample(program, Sample(PLANES, {}), "trace", record=True)
        assert record.outputs["a"].reshape(3, 3).tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
        assert record.counts[:, :, INDEX["cmp"]].sum(axis=0).tolist() == [3, 2, 1]
        assert record.logs[len(program.operations) - 1].flags.ravel().tolist() == [1, 1, 1]
    # Without a clear a layer's flags start empty in every sample.
    operations = tuple(replace(op, body=replace(op.body, clear=False)) for op in program.operations)
    program = replace(program, operations=operations)
    first, second = (engine.run_sample(program, Sample(PLANES, {}), "trace") for _ in range(2))
    np.testing.assert_array_equal(first.outputs["a"], second.outputs["a"])
    np.testing.assert_array_equal(first.counts, second.counts)
    assert first.counts[:, :, INDEX["mask_write"]].sum() == 3


@pytest.mark.parametrize("buffer", ["aer", "bitmap"])
def test_a_hybrid_input_gives_payloads_first_and_spikes_then(buffer: str) -> None:
    """Plane 0 holds -3 and 2, the others spikes of weight 2**2: V of (n0, n1) is -3 * (2, 1) + 2 * (1, 5), then 4 times."""
    spec = InputSpec((2, 1, 1), "hybrid", 3, payload_bits=4, signed=True, spike_shift=2)
    layer = layer_of(IntegrateAndFire(), [[2, 1], [1, 5]], (100, 100, 100))
    program = one_layer(layer, spec, buffer=buffer)
    inputs = np.array([[-3, 2], [1, 0], [1, 1]], np.int16).reshape(3, 1, 1, 2)
    record = FastEngine().run_sample(program, Sample(inputs, {}), "trace", record=True)
    assert record.potentials["a"].ravel().tolist() == [-4 + 8 + 12, 7 + 4 + 24]
    assert counted(record.logs[0], "mult", "weight_shift", "acc_add") == {
        "mult": [4, 0, 0], "weight_shift": [0, 2, 4], "acc_add": [4, 2, 4]}
    if buffer == "bitmap":
        assert counted(record.logs[0], "buffer_read") == {"buffer_read": [1, 1, 1]}
    stepped = FastEngine().run_sample(one_layer(layer, spec, buffer=buffer, steps=True), Sample(inputs, {}), "trace")
    np.testing.assert_array_equal(stepped.potentials["a"], record.potentials["a"])


@pytest.mark.parametrize("steps", [False, True])
def test_without_weights_once_follows_the_recording(steps: bool) -> None:
    """Time and counts are those of the run that computes the recording; a neuron is off after its recorded spike."""
    layer = layer_of(SingleSpike(2), [[6, 0], [3, -2], [0, 7]], (6, 6, 6), bias=column(0, 0, 0))
    program = one_layer(layer, SPIKES, steps=steps)
    expected = FastEngine().run_sample(program, Sample(PLANES, {}), "trace", record=True)
    bare = one_layer(layer_of(SingleSpike(2), None, (6, 6, 6), bias=column(0, 0, 0)), SPIKES, steps=steps)
    found = FastEngine().run_sample(bare, Sample(PLANES, expected.outputs), "trace", record=True)
    np.testing.assert_array_equal(found.counts, expected.counts)
    np.testing.assert_array_equal(found.end, expected.end)
    for op, log in expected.logs.items():
        np.testing.assert_array_equal(found.logs[op].spikes, log.spikes)
        np.testing.assert_array_equal(found.logs[op].flags, log.flags)
    assert expected.counts[:, :, INDEX["leak"]].sum(axis=0).tolist() == [2, 1, 0]


def test_without_weights_a_mask_pass_flags_nobody() -> None:
    """Two-stage, tau 1: every recorded spike is sent, every neuron is compared in both stages."""
    recorded = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1]], np.uint8).reshape(3, 1, 1, 3)
    bare = one_layer(layer_of(TwoStage(), None, (6, 6, 6), stages=(0, 1, 3)), SPIKES)
    record = FastEngine().run_sample(bare, Sample(PLANES, {"a": recorded}), "trace", record=True)
    np.testing.assert_array_equal(record.outputs["a"], recorded)
    assert counted(record.logs[0], "spike_out", "cmp", "mask_read", "mask_write", "reset_sub") == {
        "spike_out": [1, 2, 2], "cmp": [6, 3, 3], "mask_read": [0, 2, 2], "mask_write": [4, 0, 0], "reset_sub": [1, 2, 2]}
    assert not record.logs[0].flags.any()


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("passes", "table", "said"), [
    (fires(1, "masked", 1), {}, "a fire pass after EOT 1 that uses flags 'masked', and the table is not flagged"),
    (fires(1, "fire_once", 1), {}, "a fire pass after EOT 1 that uses flags 'fire_once', and the table is not flagged"),
    ((Pass(1, "mask"),), {}, "a mask pass after EOT 1 that uses flags, and the table is not flagged"),
    ((Pass(1, "readout", flags="masked"),), {"flagged": True}, "a readout pass after EOT 1 with flags 'masked'; only fire"),
    ((Pass(1, "mask", flags="fire_once"),), {"flagged": True}, "a mask pass after EOT 1 with flags 'fire_once'; only fire"),
    ((Pass(1, "mask", add=True),), {"flagged": True}, "a mask pass after EOT 1 that adds"),
    ((Pass(1, "reinitialise", add=True),), {}, "a reinitialise pass after EOT 1 that adds"),
    (fires(1, "twice", 1), {"flagged": True}, "with flags 'twice', allowed are ignore, masked, fire_once"),
    (fires(1, "ignore", 1), {"spike_shift": -1}, "spike_shift is -1"),
])
def test_what_has_no_meaning_is_refused(passes: tuple[Pass, ...], table: dict[str, object], said: str) -> None:
    with pytest.raises(ProgramError, match=said):
        go(run_of([[1], [1]], passes, **table), EOT)


@pytest.mark.parametrize("mode", ["unit", "max"])
def test_a_pooling_unit_cannot_take_a_hybrid_input(mode: str) -> None:
    spec = InputSpec((2, 2, 2), "hybrid", 3, spike_shift=2)
    connection = Connection("input", "linear", (2, 2, 2), np.ones((3, 2), np.int64), pool=2, pool_mode=mode)
    layer = Layer("a", (3, 1, 1), (connection,), IntegrateAndFire(), 3, thresholds=np.array([6, 6, 6]))
    with pytest.raises(ProgramError, match="folded"):
        FastEngine().run_sample(one_layer(layer, spec), Sample(np.zeros((3, 2, 2, 2), np.int16), {}), "trace")


# --- laws ------------------------------------------------------------------------------------------------------------


class Neurons:
    """R10 to R18 and A1 to A3 neuron by neuron in Python integers, for one run of one period."""

    def __init__(self, run: CoreRun, v: np.ndarray, i: np.ndarray, off: np.ndarray) -> None:
        self.run, self.table, self.lanes = run, run.table, run.core.lanes
        self.v, self.i, self.off = v.copy(), i.copy(), off.copy()
        self.clipped, self.counts, self.spikes = 0, Counter(), []
        self.neurons = list(np.ndindex(run.shape))
        if run.clear:
            self.v = run.table.initial.copy()
            self.i = 0 * self.i if run.table.direct else self.i
            self.off = 0 * self.off if run.table.flagged else self.off
            self.counts["mask_write"] += run.words * run.table.flagged

    def put(self, state: np.ndarray, n: tuple[int, ...], value: int, bits: int) -> None:
        state[n] = min(max(value, -1 << bits - 1), (1 << bits - 1) - 1)
        self.clipped += int(state[n]) != value

    def execute(self, tokens: np.ndarray) -> None:
        marks, run = 0, self.run
        memory = (self.i, run.current_bits) if self.table.direct else (self.v, run.potential_bits)
        for connection, c, y, x, payload, has in tokens.tolist():
            if connection < 0:
                marks += 1
                for p in (p for p in self.table.passes if p.after_eot == marks):
                    self.sweep(p)
                continue
            shift = marks * self.table.weigh_planes + (0 if has else self.table.spike_shift)
            for n, weight in synapses(run.connections[connection], run.shape, c, y, x):
                self.put(memory[0], n, int(memory[0][n]) + weight * (payload if has else 1) * 2**shift, memory[1])
                self.counts["acc_add"] += 1
                self.counts["weight_shift"] += shift > 0
                self.counts["mult"] += has
                self.counts["reg_bits"] += memory[1]

    def sweep(self, p: Pass) -> None:
        counts, table, words = self.counts, self.table, self.run.words
        fired_words = set()
        if p.kind == "mask":
            self.off[...] = self.v < 0
            counts["mask_write"] += words
        if p.kind in ("mask", "reinitialise"):
            self.v[...] = table.initial
        counts["mask_read"] += words * (p.flags != "ignore")
        for n in self.neurons:
            counts["reg_bits"] += self.run.potential_bits * (p.kind == "mask")
            counts["cmp"] += p.kind == "mask"
            if p.kind == "fire" and self.fire(p, n):
                fired_words.add((n[0] // self.lanes, *n[1:]))
        counts["mask_write"] += len(fired_words) * (p.flags == "fire_once")

    def fire(self, p: Pass, n: tuple[int, ...]) -> bool:
        table, counts, bits = self.table, self.counts, self.run.potential_bits
        if p.flags != "ignore" and self.off[n]:
            self.v[n] = 0
            return False
        for term in (table.addend, self.i if table.direct else None):
            if p.add and term is not None:
                self.put(self.v, n, int(self.v[n]) + int(term[n]), bits)
                counts["bias_add"] += 1
        counts["cmp"] += 1
        counts["reg_bits"] += bits
        threshold = p.threshold >> p.shift
        fired = int(self.v[n]) >= threshold
        if fired:
            self.spikes.append((n[0] * self.run.shape[1] + n[1]) * self.run.shape[2] + n[2])
        if fired and p.flags == "fire_once":
            self.v[n], self.off[n] = 0, 1
            return True
        if fired:
            self.v[n] = self.v[n] - threshold if table.reset == "soft" else 0
            counts["reset_sub" if table.reset == "soft" else "reset_zero"] += 1
        if table.leak_shift is not None:
            self.v[n] -= self.v[n] >> table.leak_shift
            counts["leak"] += 1
        return fired


def draw_run(seed: int, bits: int) -> tuple[CoreRun, np.ndarray]:
    """A run of few words and one period whose passes use flags in any way, one fire pass a timestep, and its tokens."""
    rng = np.random.default_rng(seed)
    grid, top = (3, 4, 3), max(1, 1 << max(0, min(bits, 20) - 4))
    draw = lambda *size: rng.integers(-top, top + 1, size)  # noqa: E731
    connection = (
        Connection("a", "conv2d", grid, draw(5, 3, 3, 3), kernel=3, stride=2, padding=1),
        Connection("a", "linear", grid, draw(7, 6), pool=2, pool_mode="folded"),
        Connection("a", "identity", grid, draw(3), stride=2),
    )[seed % 3]
    shape = connection.natural_shape(connection.weights.shape[0])
    planes = int(rng.integers(1, 5))
    passes = []
    for n in range(planes):
        use = str(rng.choice(["ignore", "masked", "fire_once"]))
        passes.append(Pass(n + 1, "fire", int(rng.integers(1, 4 * top)), add=bool(rng.random() < 0.5), timestep=n, flags=use))
        if rng.random() < 0.4:
            passes.insert(len(passes) - int(rng.integers(0, 2)), Pass(n + 1, str(rng.choice(["mask", "reinitialise"])),
                                                                       timestep=n))
    table = PassTable(
        planes=planes, passes=tuple(passes), initial=rng.integers(-1 << bits - 2, 1 << bits - 2, shape),
        addend=draw(*shape) if rng.random() < 0.6 else None, weigh_planes=bool(rng.random() < 0.4),
        direct=bool(rng.random() < 0.4), reset=str(rng.choice(["soft", "hard"])), flagged=True,
        leak_shift=int(rng.integers(1, 4)) if rng.random() < 0.5 else None, spike_shift=int(rng.integers(0, 4)))
    lanes = int(rng.integers(1, 5))
    core = CoreSpec(lanes, bits, bits, 3, bool(rng.random() < 0.3), "weight", "aer")
    run = CoreRun(core, shape, (0, -(-shape[0] // lanes)), (connection,), table, bits, bits, bool(rng.random() < 0.6))
    tokens = []
    for _ in range(planes):
        count = int(rng.integers(0, 30))
        c, y, x = (rng.integers(0, size, count) for size in grid)
        payload, has = rng.integers(-9, 10, count), rng.random(count) < rng.choice([0, 0.5, 1])
        tokens += [np.stack([np.zeros(count, np.int64), c, y, x, payload * has, has], axis=1), [EOT]]
    return run, np.concatenate(tokens)


@pytest.mark.parametrize("bits", [5, 8, 12, 16, 24, 32, 33, 40])
def test_random_runs_do_what_the_rules_say_to_each_neuron(bits: int) -> None:
    clipped, seen = 0, Counter()
    for seed in range(30):
        run, tokens = draw_run(seed, bits)
        rng, limit = np.random.default_rng(seed), 1 << bits - 1
        v, i = rng.integers(-limit, limit, (2, *run.shape))
        off = rng.integers(0, 2, run.shape)
        model = Neurons(run, v, i, off)
        model.execute(tokens)
        late = np.zeros((2, len(tokens)), np.int64) + [[1], [0]]
        log = FastEngine().run_core(run, tokens, *late, v.copy(), i.copy(), off.copy())
        np.testing.assert_array_equal(log.potentials, model.v)
        np.testing.assert_array_equal(log.currents, model.i)
        np.testing.assert_array_equal(log.flags, model.off)
        assert sorted(log.spikes[:, 2].tolist()) == sorted(model.spikes)
        assert log.saturations == model.clipped
        names = ("mask_read", "mask_write", "acc_add", "weight_shift", "mult", "reg_bits", "cmp", "bias_add", "reset_sub",
                 "reset_zero", "leak")
        found = dict(zip(EVENTS, log.counts.sum(axis=0).tolist(), strict=True))
        assert {name: found[name] for name in names} == {name: model.counts[name] for name in names}
        cycles, stalls = step_through(run, log)
        assert cycles == log.issue[:, 0].tolist()
        assert stalls == {name: found[name] for name in stalls}
        clipped, seen = clipped + model.clipped, seen + Counter(log.issue[:, 1].tolist())
    assert clipped or bits > 24
    assert {"mask", "reinitialise", "fire"} <= {ISSUE_KINDS[kind] for kind in seen}


def draw(seed: int) -> tuple[Program, np.random.Generator] | None:
    """A random Program of layers with flags or behind a hybrid input, or None when it does not fit its memories."""
    rng, coding = np.random.default_rng(seed), CODINGS[seed % 3]
    network = random_network(rng, coding)
    arch = random_architecture(rng, network, coding)
    schedule = "layer_by_layer" if rng.random() < 0.5 else "step_by_step"
    try:
        return make_program(network, arch, schedule), rng
    except MappingError:
        return None


SEEDS = [seed for seed in range(60) if draw(seed) is not None]


def shifted(program: Program, bits: int = 0) -> Program:
    """The Program with the input's spike_shift in the tables that read it, and potentials of `bits`, if given."""
    operations = []
    for op in program.operations:
        if isinstance(op, Run):
            reads = any(c.source == "input" for c in op.body.connections)
            table = replace(op.body.table, spike_shift=program.network.input.spike_shift) if reads else op.body.table
            widths = {"potential_bits": bits, "current_bits": bits} if bits else {}
            op = replace(op, body=replace(op.body, table=table, **widths))
        operations.append(op)
    return replace(program, operations=tuple(operations))


@pytest.mark.parametrize("seed", SEEDS)
def test_samples_are_their_runs(seed: int) -> None:
    """`run_sample` against `run_core` on tokens listed by the rules, states and flags handed from run to run."""
    program, rng = draw(seed)
    program, sample = shifted(program), random_sample(rng, program.network)
    record = FastEngine().run_sample(program, sample, "trace", record=True)
    states = {i: np.zeros((3, *layer.shape), np.int64) for i, layer in enumerate(program.network)}
    for op in program.operations:
        if not isinstance(op, Run):
            continue
        tokens, gaps = tokens_of(program, op, {**sample.recorded, "input": sample.inputs})
        log, expected = FastEngine().run_core(op.body, tokens, gaps, 0 * gaps, *states[op.layer]), record.logs[op.id]
        states[op.layer] = np.stack([log.potentials, log.currents, log.flags])
        for name in ("push", "pop", "issue", "spikes", "potentials", "currents", "flags", "done", "saturations"):
            np.testing.assert_array_equal(getattr(expected, name), getattr(log, name), err_msg=f"{op.id} {name}")
        known = [i for i, name in enumerate(EVENTS) if name not in ("buffer_read", "pool_update", "payload_read_bits")]
        np.testing.assert_array_equal(expected.counts[:, known], log.counts[:, known], err_msg=str(op.id))


@pytest.mark.parametrize("seed", SEEDS)
def test_spikes_and_potentials_are_the_models_own(seed: int) -> None:
    """Without limits the core computes what the neuron models say; a hybrid input's spikes are worth 2**spike_shift."""
    program, rng = draw(seed)
    sample, spec = random_sample(rng, program.network), program.network.input
    scaled = sample.inputs.copy()
    scaled[1:] <<= spec.spike_shift
    outputs, potentials = forward(replace(program.network, input=replace(spec, spike_shift=0)), scaled)
    record = FastEngine().run_sample(shifted(program, 30), Sample(sample.inputs, outputs), "computed")
    assert not record.saturations.any()
    assert record.mismatches.max() == 0
    for layer in program.network:
        expected = potentials[layer.name]
        if layer.coding == "readout" and layer.stages:  # the last stage alone, whatever came before
            sums = sum(connection_sums(c, outputs[c.source], layer.shape) for c in layer.connections)
            expected = layer.initial_potential + sums[layer.stages[1] :].sum(axis=0)
        np.testing.assert_array_equal(record.potentials[layer.name], expected, err_msg=layer.name)
