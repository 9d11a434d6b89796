"""Flags, mask and reinitialise operations (R16 to R18), shifted spikes (R11) and hybrid inputs (C2), worked out by hand.

Most runs have one membrane word, so that every operation can meet the one before it. The programs at the end are held
against the neuron models' own `emit`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest

from hwsim.activity import INDEX
from hwsim.engine.reference import ReferenceEngine
from hwsim.engine.reference.tokens import run_stream
from hwsim.passes import Pass
from hwsim.program import CoreRun, Feed, Program, ProgramError
from hwsim.record import CoreLog
from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import IntegrateAndFire, ReadOut, SingleSpike, TwoStage
from hwsim.snn.sample import Sample
from tests.engine.test_reference_chip import core_spec, program_of
from tests.engine.test_reference_core import EOT, NEVER, counted, event, issued, linear_run, spec
from tests.engine.test_reference_tokens import operation, places, wire

ENGINE = ReferenceEngine()
both = pytest.mark.parametrize("bypass", [True, False], ids=["bypass", "no bypass"])


def execute(
    run: CoreRun, tokens: list[tuple[int, ...]], potentials: list[int] | None = None, flags: list[int] | None = None,
    currents: list[int] | None = None,
) -> CoreLog:
    """A run from given states, one number a neuron; zeros when left out (flags: left out of the call, too)."""
    def state(values: list[int] | None) -> np.ndarray:
        return np.zeros(run.shape, np.int64) if values is None else np.array(values, np.int64).reshape(run.shape)

    n = len(tokens)
    more = {} if flags is None else {"flags": state(flags)}
    return ENGINE.run_core(run, np.array(tokens, np.int64).reshape(n, 6), np.ones(n, np.int64), np.zeros(n, np.int64),
                           state(potentials), state(currents), **more)


def flat(state: np.ndarray) -> list[int]:
    values: list[int] = state.reshape(-1).tolist()
    return values


def fire(eot: int = 1, threshold: int = NEVER, **changes: Any) -> Pass:
    return Pass(eot, "fire", threshold=threshold, **({"timestep": eot - 1} | changes))


# -- R16: masked --------------------------------------------------------------------------------------------------------


def test_a_neuron_that_is_off_is_left_out_and_zero_is_written_in_its_place() -> None:
    run = linear_run([[1]] * 3, (fire(threshold=4, add=True, flags="masked"),), spec(potential_bits=8), clear=False,
                     addend=[0, 120, 2], leak_shift=1, flagged=True)
    log = execute(run, [EOT], potentials=[7, 100, 1], flags=[0, 1, 0])
    assert issued(log) == [(1, "eot", -1), (2, "fire", 0)]
    assert log.spikes.tolist() == [[4, 0, 0]]
    assert log.done == 5
    # 7 - 4 = 3, leaks to 2; off; 1 + 2 = 3, leaks to 2.
    assert flat(log.potentials) == [2, 0, 2]
    assert flat(log.flags) == [0, 1, 0]
    assert log.saturations == 0, "100 + 120 never happens"
    assert counted(log) == {
        "fifo_push": 1, "fifo_pop": 1, "addr_gen": 1, "membrane_read_fire": 1, "membrane_write_fire": 1, "bias_read": 1,
        "mask_read": 1, "bias_add": 2, "cmp": 2, "reset_sub": 1, "leak": 2, "reg_bits": 2 * 8, "spike_out": 1,
        "buffer_write": 1, "cycles_busy": 2,
    }


def test_words_are_read_whether_or_not_any_neuron_is_on() -> None:
    run = linear_run([[1]] * 2, (fire(threshold=1, shift=1, add=True, flags="masked"),), spec(), clear=False,
                     addend=[3, 4], direct=True, flagged=True)
    log = execute(run, [EOT], potentials=[9, 9], flags=[1, 1], currents=[5, 6])
    seen = counted(log)
    assert [seen[name] for name in ("bias_read", "current_read", "mask_read", "membrane_read_fire")] == [1] * 4
    assert seen["membrane_write_fire"] == seen["threshold_shift"] == 1
    assert not {"cmp", "bias_add", "reg_bits", "reset_sub", "spike_out", "mask_write"} & set(seen)
    assert flat(log.potentials) == [0, 0], "a threshold of zero makes no neuron fire that is off"
    assert flat(log.currents) == [5, 6]
    assert len(log.spikes) == 0


def test_currents_are_added_to_neurons_that_are_on() -> None:
    run = linear_run([[1]] * 3, (fire(add=True, flags="masked"),), spec(), clear=False, addend=[3, 4, 5], direct=True,
                     flagged=True)
    log = execute(run, [EOT], potentials=[10, 20, 30], flags=[0, 0, 1], currents=[100, 200, 300])
    assert flat(log.potentials) == [113, 224, 0]
    assert counted(log)["bias_add"] == 2 + 2
    assert counted(log)["reg_bits"] == 2 * 16


def test_passes_that_ignore_flags_and_accumulations_do_not_look_at_them() -> None:
    run = linear_run([[2], [3]], (fire(threshold=5),), spec(), clear=False, flagged=True)
    log = execute(run, [event(), EOT], potentials=[1, 2], flags=[1, 1])
    assert flat(log.potentials) == [3, 0]
    assert log.spikes[:, 2].tolist() == [1]
    assert flat(log.flags) == [1, 1]
    assert counted(log)["cmp"] == 2
    assert not {"mask_read", "mask_write"} & set(counted(log))


def test_a_flagged_clear_writes_zero_flags_and_no_other_does() -> None:
    for flagged, after in ((True, [0, 0, 0, 0, 0]), (False, [1, 0, 1, 0, 1])):
        run = linear_run([[1]] * 5, (), spec(), flagged=flagged)
        log = execute(run, [EOT], flags=[1, 0, 1, 0, 1])
        assert flat(log.flags) == after
        assert counted(log).get("mask_write", 0) == (2 if flagged else 0), "one a word"
        assert counted(log)["membrane_write_clear"] == 2
        assert issued(log) == [(1, "clear", 0), (2, "clear", 1), (3, "eot", -1)]


def test_a_run_writes_the_flags_of_its_own_groups() -> None:
    whole = linear_run([[1]] * 6, (Pass(1, "mask"),), spec(lanes=2), clear=False, flagged=True)
    log = execute(replace(whole, groups=(1, 2)), [EOT], potentials=[-1] * 6, flags=[1, 0, 0, 0, 1, 0])
    assert flat(log.flags) == [1, 0, 1, 1, 1, 0]
    assert flat(log.potentials) == [-1, -1, 0, 0, -1, -1]


# -- R16: once --------------------------------------------------------------------------------------------------------


def single_spike(bypass: bool, reset: str = "soft") -> CoreLog:
    passes = tuple(fire(t + 1, 4, flags="fire_once") for t in range(3))
    run = linear_run([[2], [5], [1]], passes, spec(bypass=bypass), planes=3, leak_shift=4, reset=reset, flagged=True)
    return execute(run, [event(), EOT] * 3, flags=[1, 1, 1])


@pytest.mark.parametrize("reset", ["soft", "hard"])
@both
def test_a_neuron_fires_once_in_many_timesteps(bypass: bool, reset: str) -> None:
    log = single_spike(bypass, reset)
    # V at the comparison: 2 5 1, then 4 (5) 2, then (2) (5) 3; neurons in brackets are off. Leak >> 4 leaves these be.
    assert log.spikes[:, 2].tolist() == [1, 0]
    assert flat(log.potentials) == [0, 0, 3]
    assert flat(log.flags) == [1, 1, 0]


def test_what_once_costs() -> None:
    log = single_spike(bypass=True)
    rows = {name: log.counts[:, INDEX[name]].tolist() for name in (
        "mask_read", "mask_write", "cmp", "leak", "reset_sub", "reset_zero", "spike_out", "acc_add", "reg_bits",
        "membrane_read_fire", "membrane_write_fire",
    )}
    assert rows == {
        "mask_read": [1, 1, 1], "mask_write": [1 + 1, 1, 0], "cmp": [3, 2, 1], "leak": [2, 1, 1],
        "reset_sub": [0, 0, 0], "reset_zero": [0, 0, 0], "spike_out": [1, 1, 0], "acc_add": [3, 3, 3],
        "reg_bits": [16 * (3 + 3), 16 * (3 + 2), 16 * (3 + 1)], "membrane_read_fire": [1, 1, 1],
        "membrane_write_fire": [1, 1, 1],
    }


def test_once_keeps_the_timing_of_a_fire_operation() -> None:
    log = single_spike(bypass=True)
    assert issued(log) == [(1, "clear", 0), (2, "acc", 0), (3, "eot", -1), (4, "fire", 0), (5, "acc", 0),
                           (6, "eot", -1), (7, "fire", 0), (8, "acc", 0), (9, "eot", -1), (10, "fire", 0)]
    assert log.spikes[:, 0].tolist() == [6, 9]
    assert log.done == 12
    log = single_spike(bypass=False)
    assert issued(log) == [(1, "clear", 0), (3, "acc", 0), (4, "eot", -1), (5, "fire", 0), (7, "acc", 0),
                           (8, "eot", -1), (9, "fire", 0), (11, "acc", 0), (12, "eot", -1), (13, "fire", 0)]
    assert log.spikes[:, 0].tolist() == [7, 11]
    assert log.done == 15
    assert counted(log)["cycles_stall_hazard"] == 3


@both
def test_the_next_operation_knows_who_has_just_fired(bypass: bool) -> None:
    """Pass two reads the mask word in the cycle in which EXEC writes it; bias takes V over the threshold again."""
    passes = (fire(threshold=4, add=True, flags="fire_once"), fire(threshold=4, add=True, flags="fire_once"))
    run = linear_run([[1]] * 2, passes, spec(bypass=bypass), clear=False, addend=[5, 1], flagged=True)
    log = execute(run, [EOT])
    assert issued(log)[1:] == [(2, "fire", 0), (3 if bypass else 4, "fire", 0)]
    assert log.spikes.tolist() == [[4, 0, 0]]
    assert flat(log.potentials) == [0, 2]
    assert flat(log.flags) == [1, 0]
    seen = counted(log)
    assert (seen["mask_read"], seen["mask_write"], seen["cmp"], seen["bias_add"]) == (2, 1, 2 + 1, 2 + 1)
    assert seen.get("cycles_stall_hazard", 0) == (0 if bypass else 1)


def test_spikes_of_a_once_operation_hold_the_serialiser() -> None:
    run = linear_run([[1]] * 8, (fire(threshold=1, flags="fire_once"),), spec(), clear=False, flagged=True)
    log = execute(run, [EOT], potentials=[1] * 8, flags=[0, 1, 0, 0, 0, 0, 1, 1])
    # word 0: e = 3, three spikes, s = 6; word 1 is issued at 3, waits from 4 to 6 and sends two.
    assert log.spikes.tolist() == [[4, 0, 0], [5, 0, 2], [6, 0, 3], [7, 0, 4], [8, 0, 5]]
    assert counted(log)["cycles_stall_serialiser"] == 2
    assert log.done == 9
    assert flat(log.flags) == [1] * 8


def test_flags_outlive_runs_until_a_clear() -> None:
    run = linear_run([[5], [1]], (fire(threshold=4, flags="fire_once"),), spec(), flagged=True)
    go_on = replace(run, clear=False)
    log, fired = execute(run, [event(), EOT], flags=[1, 1]), []
    for following in (go_on, go_on, run):
        fired.append(log.spikes[:, 2].tolist())
        log = execute(following, [event(), EOT], potentials=flat(log.potentials), flags=flat(log.flags))
    assert [*fired, log.spikes[:, 2].tolist()] == [[0], [], [], [0]]
    assert flat(log.potentials) == [0, 1]


# -- R17: mask --------------------------------------------------------------------------------------------------------


def test_a_mask_operation_flags_who_is_below_zero_and_starts_again() -> None:
    run = linear_run([[1]] * 3, (Pass(1, "mask"),), spec(), initial=[7, 7, 7], clear=False, flagged=True)
    log = execute(run, [EOT], potentials=[-1, 0, 3], flags=[0, 1, 0])
    assert issued(log) == [(1, "eot", -1), (2, "mask", 0)]
    assert log.done == 4
    assert flat(log.flags) == [1, 0, 0], "the flag becomes V < 0, whatever it was"
    assert flat(log.potentials) == [7, 7, 7]
    assert counted(log) == {
        "fifo_push": 1, "fifo_pop": 1, "addr_gen": 1, "membrane_read_mask": 1, "membrane_write_mask": 1, "mask_write": 1,
        "cmp": 3, "reg_bits": 3 * 16, "cycles_busy": 2,
    }


def test_a_mask_operation_fetches_an_initial_that_is_not_uniform_and_sends_nothing() -> None:
    passes = (Pass(1, "mask", timestep=2), fire(threshold=1, flags="masked"))
    run = linear_run([[1]] * 5, passes, spec(), initial=[1, 2, 3, 4, 5], clear=False, flagged=True)
    log = execute(run, [EOT], potentials=[-1, 0, -1, 0, -1])
    assert counted(log, 2) == {
        "addr_gen": 2, "membrane_read_mask": 2, "membrane_write_mask": 2, "mask_write": 2, "bias_read": 2, "cmp": 5,
        "reg_bits": 5 * 16, "cycles_busy": 2,
    }
    assert issued(log) == [(1, "eot", -1), (2, "mask", 0), (3, "mask", 1), (4, "fire", 0), (5, "fire", 1)]
    assert log.spikes.tolist() == [[6, 0, 1], [7, 0, 3]], "the pass number counts fire passes only"
    assert flat(log.potentials) == [0, 1, 0, 3, 0]
    assert log.done == 8, "word 1 waits in EXEC until 7; it is silent, and its cycle in the serialiser ends nothing"


@both
def test_a_fire_operation_behind_a_mask_operation_meets_r6(bypass: bool) -> None:
    passes = (Pass(1, "mask"), fire(threshold=3, flags="masked"))
    run = linear_run([[1]] * 2, passes, spec(bypass=bypass), initial=[3, 3], clear=False, flagged=True)
    log = execute(run, [EOT], potentials=[-5, 5], flags=[0, 1])
    assert issued(log) == [(1, "eot", -1), (2, "mask", 0), (3 if bypass else 4, "fire", 0)]
    assert counted(log).get("cycles_stall_hazard", 0) == (0 if bypass else 1)
    assert log.spikes[:, 2].tolist() == [1]
    assert flat(log.potentials) == [0, 0]
    assert flat(log.flags) == [1, 0]


@both
def test_a_mask_operation_meets_r6_itself_and_so_does_the_event_behind_it(bypass: bool) -> None:
    passes = (fire(threshold=3), Pass(1, "mask"))
    run = linear_run([[4]] * 2, passes, spec(bypass=bypass), planes=2, initial=[-9, -9], flagged=True)
    log = execute(run, [EOT, event(), EOT])
    # V = -9 is below the threshold; without bypass fire meets nothing (the EOT lies between), mask and event do.
    cycles = [1, 2, 3, 4, 5, 6] if bypass else [1, 2, 3, 5, 7, 8]
    assert issued(log) == list(zip(cycles, ["clear", "eot", "fire", "mask", "acc", "eot"], [0, -1, 0, 0, 0, -1],
                                   strict=True))
    assert counted(log).get("cycles_stall_hazard", 0) == (0 if bypass else 2)
    assert flat(log.flags) == [1, 1]
    assert flat(log.potentials) == [-5, -5]


def test_a_mask_operation_waits_for_a_fire_operation_that_waits() -> None:
    run = linear_run([[1]] * 8, (fire(threshold=1), Pass(1, "mask")), spec(), clear=False, flagged=True)
    log = execute(run, [EOT], potentials=[1] * 8)
    # word 1 waits in EXEC from 4 to 7 for four spikes.
    assert issued(log)[1:] == [(2, "fire", 0), (3, "fire", 1), (7, "mask", 0), (8, "mask", 1)]
    assert log.done == 12


# -- R18: reinitialise ------------------------------------------------------------------------------------------------


def test_a_reinitialise_operation_only_writes_the_membrane() -> None:
    passes = (Pass(1, "reinitialise", timestep=1),)
    run = linear_run([[1]] * 5, passes, spec(), initial=[1, 2, 3, 4, 5], clear=False, direct=True, flagged=True)
    log = execute(run, [EOT], potentials=[9] * 5, flags=[0, 1, 0, 0, 1], currents=[6] * 5)
    assert issued(log) == [(1, "eot", -1), (2, "reinitialise", 0), (3, "reinitialise", 1)]
    assert log.done == 5
    assert flat(log.potentials) == [1, 2, 3, 4, 5]
    assert flat(log.flags) == [0, 1, 0, 0, 1]
    assert flat(log.currents) == [6] * 5
    assert counted(log, 1) == {"addr_gen": 2, "membrane_write_clear": 2, "bias_read": 2, "cycles_busy": 2}
    run = linear_run([[1]] * 5, passes, spec(), initial=[2] * 5, clear=False)
    assert counted(execute(run, [EOT]), 1) == {"addr_gen": 2, "membrane_write_clear": 2, "cycles_busy": 2}


@both
def test_a_reinitialise_operation_meets_no_hazard_but_makes_one(bypass: bool) -> None:
    passes = (fire(threshold=3), Pass(1, "reinitialise"))
    run = linear_run([[4]], passes, spec(bypass=bypass), planes=2, initial=[2])
    log = execute(run, [EOT, event(), EOT])
    cycles = [1, 2, 3, 4, 5 if bypass else 6, 6 if bypass else 7]
    assert issued(log) == list(zip(cycles, ["clear", "eot", "fire", "reinitialise", "acc", "eot"],
                                   [0, -1, 0, 0, 0, -1], strict=True))
    assert counted(log).get("cycles_stall_hazard", 0) == (0 if bypass else 1)
    assert flat(log.potentials) == [2 + 4]


def test_a_reinitialise_operation_waits_for_exec() -> None:
    run = linear_run([[1]] * 8, (fire(threshold=1), Pass(1, "reinitialise"), fire(threshold=1)), spec(), initial=[1] * 8,
                     clear=False)
    log = execute(run, [EOT], potentials=[1] * 8)
    assert issued(log)[1:5] == [(2, "fire", 0), (3, "fire", 1), (7, "reinitialise", 0), (8, "reinitialise", 1)]
    assert log.spikes[:, 1].tolist() == [0] * 8 + [1] * 8


# -- R11: the weight of a spike ---------------------------------------------------------------------------------------


def test_spikes_weigh_and_payloads_multiply() -> None:
    run = linear_run([[3], [-1]], (), spec(), spike_shift=2)
    log = execute(run, [event(), event(payload=5), event(), EOT])
    assert flat(log.potentials) == [3 * (4 + 5 + 4), -(4 + 5 + 4)]
    seen = counted(log)
    assert (seen["acc_add"], seen["mult"], seen["weight_shift"]) == (6, 2, 4)


def test_spikes_weigh_on_top_of_their_plane() -> None:
    run = linear_run([[3], [-1]], (), spec(), planes=2, weigh_planes=True, spike_shift=2)
    log = execute(run, [event(), event(payload=5), EOT, event(), event(payload=7), EOT])
    total = 4 + 5 + 8 + 2 * 7
    assert flat(log.potentials) == [3 * total, -total]
    # Plane 0: the spike; plane 1: both events, and a synapse that is shifted twice over is shifted once.
    assert log.counts[:, INDEX["weight_shift"]].tolist() == [2, 4]
    assert log.counts[:, INDEX["mult"]].tolist() == [2, 2]


def test_spikes_weigh_in_a_current_too() -> None:
    run = linear_run([[3]], (), spec(), direct=True, spike_shift=3)
    log = execute(run, [event(), event(payload=2), EOT])
    assert flat(log.currents) == [3 * (8 + 2)]
    assert counted(log)["weight_shift"] == 1


# -- C2, C3: hybrid inputs --------------------------------------------------------------------------------------------

HYBRID = np.array([[-7, 0, 9], [1, 0, 0], [0, 1, 1]], np.int16).reshape(3, 1, 1, 3)
PLANES_OF_EVENTS = [[(0, 0, 0, 0, -7, 1), (0, 2, 0, 0, 9, 1)], [(0, 0, 0, 0, 0, 0)], [(0, 1, 0, 0, 0, 0), (0, 2, 0, 0, 0, 0)]]


@pytest.mark.parametrize("buffer", ["aer", "bitmap"])
@pytest.mark.parametrize("bits", [0, 8])
@pytest.mark.parametrize("planes", [(0, 1, 2), (1,), (2, 0), (0,)])
def test_plane_zero_of_a_hybrid_input_alone_carries_payloads(planes: tuple[int, ...], bits: int, buffer: str) -> None:
    op = operation([wire((3, 1, 1), source=INPUT)], [Feed(0, planes, ((0, 3),))], len(planes), buffer, scan_bits=2)
    made = run_stream(op, lambda _: HYBRID, lambda _: bits, lambda _: True)
    assert [tuple(token) for token in made.tokens] == [t for n in planes for t in (*PLANES_OF_EVENTS[n], EOT)]
    as_bits = run_stream(op, lambda _: HYBRID != 0, lambda _: 0)
    assert places(made) == places(as_bits)
    assert (made.gaps, made.rows) == (as_bits.gaps, as_bits.rows), "a payload has one presence bit"


def test_pooling_of_a_hybrid_input_that_is_not_defined_is_refused() -> None:
    plane = np.zeros((2, 2, 2, 1), np.int16)
    plane[:, 0, 0] = 1
    for mode, text in (("unit", "hybrid"), ("max", "max pooling")):
        op = operation([wire((1, 2, 2), source=INPUT, pool=2, pool_mode=mode)], [Feed(0, (0, 1), ((0, 1),))], 2)
        with pytest.raises(ProgramError, match=text):
            run_stream(op, lambda _: plane, lambda _: 0, lambda _: True)


SHIFT = 3


def two_stage_network(hidden: Literal["single spike", "two stages"]) -> tuple[Network, Sample, dict[str, np.ndarray]]:
    """A hybrid input, a hidden layer, a read-out of stage two; the recording and final potentials are `emit`'s."""
    rng, steps = np.random.default_rng(11), 4
    spikes = rng.random((steps, 1, 1, 6)) < 0.5
    inputs = np.asarray(spikes, np.int16)
    inputs[0] = rng.integers(-9, 10, (1, 1, 6))
    wires = (Connection(INPUT, "linear", (6, 1, 1), rng.integers(-4, 6, (7, 6))),)
    rest: dict[str, Any] = {
        "timesteps": steps, "bias": rng.integers(-2, 3, (7, 1, 1)), "initial_potential": rng.integers(0, 9, (7, 1, 1)),
    }
    if hidden == "single spike":
        first = Layer("a", (7, 1, 1), wires, SingleSpike(leak_shift=3), thresholds=np.array([40, 50, 20, 60]), **rest)
    else:
        first = Layer("a", (7, 1, 1), wires, TwoStage(), thresholds=np.full(steps, 25), stages=(0, 2, 4), **rest)
    out = Connection("a", "linear", (7, 1, 1), rng.integers(-5, 9, (3, 7)))
    last = Layer("out", (3, 1, 1), (out,), ReadOut(), steps, bias=rng.integers(1, 9, (3, 1, 1)), stages=(0, 2, 4))
    weighed = inputs.astype(np.int64)
    weighed[1:] <<= SHIFT
    sums = weighed.reshape(steps, 6) @ np.asarray(wires[0].weights).T
    fired, potential = first.neuron.emit(sums.reshape(steps, 7, 1, 1), first)
    sums = fired.reshape(steps, 7) @ np.asarray(out.weights).T
    _, answer = last.neuron.emit(sums.reshape(steps, 3, 1, 1), last)
    network = Network(InputSpec((6, 1, 1), "hybrid", steps, 5, signed=True, spike_shift=SHIFT), (first, last))
    recorded = np.moveaxis(fired, 1, 3).astype(np.uint8)
    return network, Sample(inputs, {"a": recorded}), {"a": potential, "out": answer}


def lowered(network: Network, schedule: str, **core: Any) -> Program:
    """test_reference_chip's program, in tiles of two neurons; the layer that reads the input knows what a spike weighs."""
    program = program_of(network, core_spec(lanes=2, **core), schedule)
    return replace(program, operations=tuple(
        op if op.layer else replace(op, body=replace(op.body, table=replace(op.body.table, spike_shift=SHIFT)))
        for op in program.runs
    ))


@pytest.mark.parametrize("spikes", ["computed", "trace"])
@pytest.mark.parametrize("buffer", ["aer", "bitmap"])
@pytest.mark.parametrize("schedule", ["layer_by_layer", "step_by_step"])
@pytest.mark.parametrize("hidden", ["single spike", "two stages"])
@both
def test_a_network_of_flags_and_stages_computes_what_its_models_say(
    bypass: bool, hidden: Literal["single spike", "two stages"], schedule: str, buffer: str, spikes: str
) -> None:
    network, sample, potentials = two_stage_network(hidden)
    program = lowered(network, schedule, buffer=buffer, bypass=bypass)
    record = ENGINE.run_sample(program, sample, spikes, record=True)
    assert record.mismatches.tolist() == [0, -1]
    for name, potential in potentials.items():
        np.testing.assert_array_equal(record.potentials[name], potential)
    np.testing.assert_array_equal(record.outputs["a"], sample.recorded["a"])
    flags = record.logs[[op.id for op in program.operations if op.layer == 0][-1]].flags
    off = flat(flags)
    assert 0 < sum(off) < 7, "some are off at the end, over all tiles"
    per_neuron = sample.recorded["a"].sum(axis=0)[0, 0]
    if hidden == "single spike":
        assert per_neuron.tolist() == off
    else:
        assert not sample.recorded["a"][2:, 0, 0][:, np.array(off) == 1].any()


# -- C6: a trace without weights --------------------------------------------------------------------------------------


def without_weights(network: Network) -> Network:
    return Network(network.input, tuple(
        replace(layer, connections=tuple(replace(c, weights=None) for c in layer.connections)) for layer in network
    ))


@pytest.mark.parametrize("schedule", ["layer_by_layer", "step_by_step"])
def test_flags_of_once_follow_the_replayed_spikes(schedule: str) -> None:
    network, sample, _ = two_stage_network("single spike")
    seeing = ENGINE.run_sample(lowered(network, schedule), sample, "trace")
    blind = ENGINE.run_sample(lowered(without_weights(network), schedule), sample, "trace", record=True)
    for name in ("start", "end", "counts"):
        np.testing.assert_array_equal(getattr(blind, name), getattr(seeing, name))
    np.testing.assert_array_equal(blind.outputs["a"], sample.recorded["a"])
    assert not any(state.any() for state in blind.potentials.values())


def test_a_recording_that_fires_twice_is_sent_as_it_is() -> None:
    network, sample, _ = two_stage_network("single spike")
    twice = Sample(sample.inputs, {"a": np.ones_like(sample.recorded["a"])})
    record = ENGINE.run_sample(lowered(without_weights(network), "layer_by_layer"), twice, "trace")
    np.testing.assert_array_equal(record.outputs["a"], twice.recorded["a"])
    layer = record.counts[:4].sum(axis=0)  # four tiles of two neurons
    assert layer[:, INDEX["cmp"]].tolist() == [7, 0, 0, 0]
    assert layer[:, INDEX["spike_out"]].tolist() == [7, 7, 7, 7]
    assert layer[:, INDEX["leak"]].tolist() == [0, 0, 0, 0]


def test_a_mask_operation_without_weights_flags_nobody() -> None:
    network, sample, _ = two_stage_network("two stages")
    seeing = ENGINE.run_sample(lowered(network, "layer_by_layer"), sample, "trace", record=True)
    blind = ENGINE.run_sample(lowered(without_weights(network), "layer_by_layer"), sample, "trace", record=True)
    np.testing.assert_array_equal(blind.end, seeing.end)
    np.testing.assert_array_equal(blind.outputs["a"], sample.recorded["a"])
    assert seeing.logs[3].flags.any()
    assert not blind.logs[3].flags.any()
    differ = {name for name, i in INDEX.items() if (blind.counts[:, :, i] != seeing.counts[:, :, i]).any()}
    assert differ == {"cmp", "bias_add", "reg_bits"}
    # Stage one compares all neurons once more with zero; in stage two all of them count as on.
    assert blind.counts[:4, :, INDEX["cmp"]].sum(axis=0).tolist() == [7, 7 + 7, 7, 7]


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sweep", "flagged", "text"), [
    (Pass(1, "mask"), False, "a mask pass after EOT 1 that uses flags, and the table is not flagged"),
    (fire(flags="masked"), False, "a fire pass after EOT 1 that uses flags 'masked', and the table is not flagged"),
    (fire(flags="fire_once"), False, "a fire pass after EOT 1 that uses flags 'fire_once', and the table is not flagged"),
    (Pass(1, "requant", threshold=1, flags="masked"), True, "a requant pass after EOT 1 with flags 'masked'; only fire passes"),
    (Pass(1, "mask", flags="fire_once"), True, "a mask pass after EOT 1 with flags 'fire_once'; only fire"),
    (Pass(1, "mask", add=True), True, "a mask pass after EOT 1 that adds"),
    (Pass(1, "reinitialise", add=True), True, "a reinitialise pass after EOT 1 that adds"),
    (Pass(1, "clear"), True, "a clear pass after EOT 1 of no known kind; there are fire, .*reinitialise"),  # type: ignore[arg-type]
    (Pass(1, "flip"), True, "a flip pass after EOT 1 of no known kind"),  # type: ignore[arg-type]
    (fire(flags="twice"), True, "with flags 'twice', allowed are ignore, masked, fire_once"),
])
def test_what_the_rules_leave_undefined_is_refused(sweep: Pass, flagged: bool, text: str) -> None:
    with pytest.raises(ProgramError, match=text):
        execute(linear_run([[1]], (sweep,), spec(), flagged=flagged), [EOT])


def test_a_spike_that_weighs_less_than_one_is_refused() -> None:
    with pytest.raises(ProgramError, match="spike_shift is -1"):
        execute(linear_run([[1]], (), spec(), spike_shift=-1), [EOT])


def test_a_reinitialise_pass_needs_no_flags() -> None:
    run = linear_run([[1]], (Pass(1, "reinitialise"),), spec(), initial=[4], clear=False)
    assert flat(execute(run, [EOT]).potentials) == [4]


def test_a_layer_of_another_model_leaves_flags_alone() -> None:
    network, sample, _ = two_stage_network("single spike")
    first = replace(network.layers[0], neuron=IntegrateAndFire())
    record = ENGINE.run_sample(lowered(Network(network.input, (first, network.layers[1])), "layer_by_layer"), sample,
                               "computed", record=True)
    assert not any(log.flags.any() for log in record.logs.values())
    assert not record.counts[:, :, [INDEX["mask_read"], INDEX["mask_write"]]].any()
