"""Rules that the vectors do not draw, worked out by hand: read-outs, requantisers, hazards, stalls, widths, counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hwsim.activity import INDEX
from hwsim.engine.reference import ReferenceEngine
from hwsim.passes import Pass, PassTable
from hwsim.program import CoreRun, CoreSpec, ProgramError
from hwsim.record import ISSUE_KINDS, CoreLog
from hwsim.snn.network import Connection

ENGINE = ReferenceEngine()
EOT = (-1, 0, 0, 0, 0, 0)
NEVER = 1 << 30


def event(c: int = 0, payload: int | None = None) -> tuple[int, ...]:
    return (0, c, 0, 0, payload or 0, int(payload is not None))


def spec(**changes: Any) -> CoreSpec:
    numbers: dict[str, Any] = {
        "lanes": 4, "potential_bits": 16, "current_bits": 24, "fifo_depth": 4, "bypass": True, "shift_at": "weight",
        "buffer": "aer", "scan_bits": 64,
    }
    return CoreSpec(**(numbers | changes))


def linear_run(
    weights: list[list[int]] | np.ndarray, passes: tuple[Pass, ...], core: CoreSpec, planes: int = 1,
    initial: list[int] | None = None, clear: bool = True, first_plane: int = 0, **table: Any,
) -> CoreRun:
    """A linear layer of len(weights) neurons with one source channel a column."""
    matrix = np.array(weights, np.int64)
    shape = (len(matrix), 1, 1)
    start = np.zeros(shape, np.int64) if initial is None else np.array(initial, np.int64).reshape(shape)
    if "addend" in table:
        table["addend"] = np.array(table["addend"], np.int64).reshape(shape)
    connection = Connection("source", "linear", (matrix.shape[1], 1, 1), matrix)
    return CoreRun(
        core=core, shape=shape, groups=(0, -(-shape[0] // core.lanes)), connections=(connection,),
        table=PassTable(planes=planes, passes=passes, initial=start, **table), potential_bits=core.potential_bits,
        current_bits=core.current_bits, clear=clear, first_plane=first_plane,
    )


def execute(run: CoreRun, tokens: list[tuple[int, ...]], gaps: list[int] | None = None) -> CoreLog:
    n, zeros = len(tokens), np.zeros(run.shape, np.int64)
    return ENGINE.run_core(
        run, np.array(tokens, np.int64).reshape(n, 6), np.array(gaps or [1] * n, np.int64), np.zeros(n, np.int64),
        zeros if run.clear else run.table.initial, zeros,
    )


def issued(log: CoreLog) -> list[tuple[int, str, int]]:
    return [(int(cycle), ISSUE_KINDS[kind], int(word)) for cycle, kind, word in log.issue]


def counted(log: CoreLog, row: int | None = None) -> dict[str, int]:
    counts = log.counts.sum(axis=0) if row is None else log.counts[row]
    return {name: int(counts[i]) for name, i in INDEX.items() if counts[i]}


# -- R14: read-outs ---------------------------------------------------------------------------------------------------

READ_OUT = (Pass(after_eot=2, kind="readout", timestep=1),)


def test_a_read_out_with_bypass() -> None:
    run = linear_run([[3], [-4]], READ_OUT, spec(), planes=2)
    log = execute(run, [event(), EOT, event(), EOT])
    assert issued(log) == [(1, "clear", 0), (2, "acc", 0), (3, "eot", -1), (4, "acc", 0), (5, "eot", -1),
                           (6, "readout", 0)]
    assert log.done == 8
    assert log.potentials[:, 0, 0].tolist() == [6, -8]
    assert counted(log, 1)["membrane_read_readout"] == 1
    assert counted(log, 1)["reg_bits"] == 2 * 16 + 2 * 16
    assert not {"membrane_write_readout", "bias_read", "bias_add", "cmp", "spike_out"} & set(counted(log))


def test_a_read_out_without_bypass_pays_one_hazard_behind_the_clear() -> None:
    run = linear_run([[3], [-4]], READ_OUT, spec(bypass=False), planes=2)
    log = execute(run, [event(), EOT, event(), EOT])
    assert issued(log)[:3] == [(1, "clear", 0), (3, "acc", 0), (4, "eot", -1)]
    assert log.done == 9
    assert counted(log)["cycles_stall_hazard"] == 1
    assert log.potentials[:, 0, 0].tolist() == [6, -8]


def horner(bypass: bool) -> CoreRun:
    passes = (Pass(1, "shift", timestep=0), Pass(2, "readout", add=True, timestep=1))
    return linear_run([[3]], passes, spec(bypass=bypass), planes=2, addend=[5])


def test_an_adding_read_out_adds_once_and_writes_back() -> None:
    log = execute(horner(bypass=True), [event(), EOT, event(), EOT])
    assert issued(log) == [(1, "clear", 0), (2, "acc", 0), (3, "eot", -1), (4, "shift", 0), (5, "acc", 0),
                           (6, "eot", -1), (7, "readout", 0)]
    assert log.done == 9
    assert log.potentials.tolist() == [[[2 * 3 + 3 + 5]]]
    last = counted(log, 1)
    assert (last["membrane_write_readout"], last["bias_read"], last["bias_add"]) == (1, 1, 1)
    assert counted(log, 0)["membrane_shift"] == 1


def test_without_bypass_the_event_behind_the_doubling_waits() -> None:
    log = execute(horner(bypass=False), [event(), EOT, event(), EOT])
    assert issued(log) == [(1, "clear", 0), (3, "acc", 0), (4, "eot", -1), (5, "shift", 0), (7, "acc", 0),
                           (8, "eot", -1), (9, "readout", 0)]
    assert log.done == 11
    assert counted(log)["cycles_stall_hazard"] == 2
    assert log.potentials.tolist() == [[[14]]]


def test_two_read_outs_of_one_word_meet_r6_though_nothing_is_written() -> None:
    run = linear_run([[3]], (Pass(1, "readout"), Pass(1, "readout")), spec(bypass=False), clear=False)
    log = execute(run, [EOT])
    assert issued(log) == [(1, "eot", -1), (2, "readout", 0), (4, "readout", 0)]
    assert counted(log)["cycles_stall_hazard"] == 1


# -- R15: requantisers ------------------------------------------------------------------------------------------------


def test_requantised_values_leave_through_the_serialiser() -> None:
    initial = [-5, 3, 8, 100, 4, 7]
    run = linear_run([[1]] * 6, (Pass(1, "requant", threshold=4),), spec(), initial=initial, clear=False, max_level=7)
    log = execute(run, [EOT])
    # word 0: levels 0 (-5 // 4 < 0), 0, 2, 7; word 1: 1, 1, and waits for the two values before it.
    assert issued(log) == [(1, "eot", -1), (2, "requant", 0), (3, "requant", 1)]
    assert log.spikes.tolist() == [[4, 0, 2], [5, 0, 3], [6, 0, 4], [7, 0, 5]]
    assert log.done == 8
    assert log.potentials.reshape(-1).tolist() == initial
    seen = counted(log)
    assert seen["requant"] == 6
    assert seen["membrane_read_fire"] == 2
    assert seen["reg_bits"] == 6 * 16
    assert seen["spike_out"] == seen["buffer_write"] == 4
    assert seen["cycles_stall_serialiser"] == 1
    assert not {"membrane_write_fire", "cmp", "reset_sub", "threshold_shift"} & set(seen)


def test_an_operation_behind_a_requant_meets_r6_and_reads_what_is_there() -> None:
    passes = (Pass(1, "requant", threshold=4), Pass(1, "fire", threshold=NEVER))
    for bypass, cycle in ((True, 3), (False, 4)):
        run = linear_run([[1]], passes, spec(bypass=bypass), initial=[3], clear=False, max_level=7, leak_shift=None)
        log = execute(run, [EOT])
        assert issued(log) == [(1, "eot", -1), (2, "requant", 0), (cycle, "fire", 0)]
        assert log.potentials.tolist() == [[[3]]]


# -- R3, R4, R7: the serialiser, and what may pass a waiting EXEC ------------------------------------------------------


def test_no_word_events_and_eots_take_their_slot_while_exec_waits() -> None:
    passes = (Pass(1, "fire", threshold=1), Pass(2, "fire", threshold=NEVER, timestep=1))
    run = linear_run([[1]] * 8, passes, spec(), planes=2, initial=[1] * 8, clear=False)
    nowhere = (0, 0, 5, 0, 0, 0)
    log = execute(run, [EOT, nowhere, EOT])
    # word 0: e = 3, s = 7 with four spikes; word 1 waits in EXEC from 4 to 7, then sends until 11.
    assert issued(log) == [(1, "eot", -1), (2, "fire", 0), (3, "fire", 1), (4, "skip", -1), (5, "eot", -1),
                           (7, "fire", 0), (11, "fire", 1)]
    assert log.spikes[:, 0].tolist() == [4, 5, 6, 7, 8, 9, 10, 11]
    assert log.spikes[:, 2].tolist() == list(range(8))
    # the second pass's word 0 waits from 8 to 11, is silent, and leaves at 12; word 1 issued at 11 is done at 12.
    assert log.done == 13
    seen = counted(log)
    assert seen["cycles_overlapped"] == 2
    assert seen["cycles_stall_serialiser"] == 3 + 3
    assert seen["cycles_busy"] == 7
    assert log.done - 7 - 6 + 2 == 2, "cycles 0 and 12 are idle"


def test_a_slot_in_the_cycle_in_which_exec_gets_done_is_not_overlapped() -> None:
    run = linear_run([[1]] * 8, (Pass(1, "fire", threshold=1),), spec(fifo_depth=8), planes=2, initial=[1] * 8,
                     clear=False)
    nowhere = (0, 0, 5, 0, 0, 0)
    log = execute(run, [EOT, *[nowhere] * 4, EOT])
    # word 1 waits in EXEC from 4 to 7: the slots at 4, 5 and 6 lie in that time, the one at 7 does not.
    assert [cycle for cycle, kind, _ in issued(log) if kind in ("skip", "eot")] == [1, 4, 5, 6, 7, 8]
    assert counted(log)["cycles_stall_serialiser"] == 3
    assert counted(log)["cycles_overlapped"] == 3


def test_an_event_behind_a_fire_pass_waits_for_exec() -> None:
    passes = (Pass(1, "fire", threshold=1), Pass(2, "fire", threshold=NEVER, timestep=1))
    run = linear_run([[1]] * 8, passes, spec(), planes=2, initial=[1] * 8, clear=False)
    log = execute(run, [EOT, event(), EOT])
    assert issued(log)[2:5] == [(3, "fire", 1), (7, "acc", 0), (8, "acc", 1)]
    assert log.potentials.reshape(-1).tolist() == [1] * 8


def test_a_run_can_end_in_its_last_spike_or_in_an_eot() -> None:
    run = linear_run([[1]] * 4, (Pass(1, "fire", threshold=1),), spec(), initial=[1] * 4, clear=False)
    assert execute(run, [EOT]).done == 1 + 1 + 1 + 4 + 1
    run = linear_run([[1]] * 4, (), spec(), clear=False)
    assert execute(run, [EOT]).done == 2


# -- R2: the FIFO -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "pushes"), [(1, [0, 3, 6, 8]), (2, [0, 1, 3, 5]), (3, [0, 1, 2, 3])])
def test_a_freed_slot_is_used_in_the_next_cycle(depth: int, pushes: list[int]) -> None:
    run = linear_run([[1]] * 8, (), spec(fifo_depth=depth), clear=False)
    log = execute(run, [event(), event(), EOT, EOT])
    assert log.push.tolist() == pushes
    if depth == 3:
        assert log.pop.tolist() == [2, 4, 5, 6]


def test_gaps_count_from_the_last_push() -> None:
    run = linear_run([[1]], (), spec(), clear=False)
    log = execute(run, [event(), event(), EOT], gaps=[3, 1, 4])
    assert log.push.tolist() == [2, 3, 7]
    assert log.pop.tolist() == [3, 4, 8]


def test_a_second_event_on_one_word_waits_a_cycle_without_bypass() -> None:
    """The pair that R6 is about: read at 2 what EXEC writes at 2."""
    run = linear_run([[5]], (), spec(bypass=False), clear=False)
    log = execute(run, [event(), event(), EOT])
    assert log.pop.tolist() == [1, 3, 4]
    assert log.potentials.tolist() == [[[10]]]


# -- R10 to R12: arithmetic -------------------------------------------------------------------------------------------


def test_every_step_saturates_and_is_counted_once_a_neuron() -> None:
    run = linear_run([[6], [-6], [1]], (), spec(potential_bits=4))
    log = execute(run, [event(), event(), EOT])
    assert log.potentials.reshape(-1).tolist() == [7, -8, 2]
    assert log.saturations == 2


def test_products_are_full_width_inside() -> None:
    run = linear_run([[100]], (), spec(potential_bits=8), initial=[-128], clear=False)
    log = execute(run, [event(payload=2), EOT])
    assert (log.potentials.item(), log.saturations) == (72, 0)


def test_the_addend_is_added_before_the_current_and_each_saturates() -> None:
    passes = (Pass(1, "fire", threshold=NEVER, add=True),)
    run = linear_run([[-5]], passes, spec(potential_bits=4), initial=[6], addend=[4], direct=True)
    log = execute(run, [event(payload=1), EOT])
    assert log.potentials.item() == min(7, 6 + 4) - 5
    assert log.saturations == 1
    assert log.currents.item() == -5


def test_the_current_has_its_own_width_and_lives_through_timesteps() -> None:
    passes = tuple(Pass(t + 1, "fire", threshold=NEVER, add=True, timestep=t) for t in range(2))
    run = linear_run([[100]], passes, spec(current_bits=8), planes=2, direct=True)
    log = execute(run, [event(payload=2), EOT, EOT])
    assert (log.currents.item(), log.potentials.item(), log.saturations) == (127, 254, 1)
    seen = counted(log)
    assert (seen["current_write"], seen["current_read"]) == (1 + 1, 1 + 2)
    assert "membrane_write_accumulate" not in seen
    assert "membrane_read_accumulate" not in seen
    assert seen["mult"] == 1
    assert seen["bias_add"] == 2
    assert "bias_read" not in seen
    assert seen["reg_bits"] == 8 + 2 * 16


def test_a_current_word_hazards_with_the_clear_but_not_with_a_fire_pass() -> None:
    passes = tuple(Pass(t + 1, "fire", threshold=NEVER, add=True, timestep=t) for t in range(2))
    run = linear_run([[1]], passes, spec(bypass=False), planes=2, direct=True)
    log = execute(run, [event(payload=2), EOT, event(payload=3), EOT])
    assert issued(log) == [(1, "clear", 0), (3, "acc", 0), (4, "eot", -1), (5, "fire", 0), (6, "acc", 0),
                           (7, "eot", -1), (8, "fire", 0)]
    assert log.potentials.item() == 2 + 5


def test_planes_weigh_and_payloads_multiply() -> None:
    run = linear_run([[3, 5]], (), spec(shift_at="weight"), planes=3, weigh_planes=True)
    log = execute(run, [event(0), EOT, event(1, payload=-2), EOT, event(0), event(1, payload=7), EOT])
    assert log.potentials.item() == 3 + 2 * -10 + 4 * 3 + 4 * 35
    seen = counted(log)
    assert (seen["acc_add"], seen["mult"], seen["weight_shift"]) == (4, 2, 3)
    assert [counted(log, row).get("weight_shift", 0) for row in range(3)] == [0, 1, 2]


def test_thresholds_fall_by_the_shift_and_hard_reset_and_leak_follow() -> None:
    passes = (Pass(1, "fire", threshold=13, shift=1),)
    run = linear_run([[1]] * 3, passes, spec(), initial=[5, 6, 9], clear=False, reset="hard", leak_shift=1)
    log = execute(run, [EOT])
    assert log.spikes[:, 2].tolist() == [1, 2]
    assert log.potentials.reshape(-1).tolist() == [3, 0, 0]
    seen = counted(log)
    assert (seen["reset_zero"], seen["leak"], seen["threshold_shift"], seen["cmp"]) == (2, 3, 1, 3)


# -- A1 to A4: where things are counted --------------------------------------------------------------------------------


def test_counts_go_to_the_row_of_their_plane_or_pass() -> None:
    passes = (Pass(1, "fire", threshold=2, timestep=3),)
    run = linear_run([[1]] * 5, passes, spec(), initial=[0, 1, 2, 3, 4], first_plane=2)
    log = execute(run, [event(), EOT])
    assert log.counts.shape[0] == 4
    assert not counted(log, 0)
    assert not counted(log, 1)
    assert counted(log, 2) == {
        "fifo_push": 2, "fifo_pop": 2, "addr_gen": 2 + 2, "weight_read": 2, "membrane_write_clear": 2, "bias_read": 2,
        "membrane_read_accumulate": 2, "membrane_write_accumulate": 2, "buffer_read": 1, "acc_add": 5,
        "reg_bits": 5 * 16, "cycles_busy": 2 + 2 + 1,
    }
    assert counted(log, 3) == {
        "addr_gen": 2, "membrane_read_fire": 2, "membrane_write_fire": 2, "cmp": 5, "reset_sub": 4, "spike_out": 4,
        "buffer_write": 4, "reg_bits": 5 * 16, "cycles_busy": 2, "cycles_stall_serialiser": 2,
    }


def test_a_bitmap_plane_is_cleared_in_each_pass_that_fills_it() -> None:
    passes = (Pass(1, "shift"), Pass(1, "fire", threshold=NEVER, shift=1), Pass(1, "fire", threshold=NEVER, timestep=1))
    run = linear_run([[1]] * 7, passes, spec(buffer="bitmap", scan_bits=3), clear=False)
    log = execute(run, [EOT])
    assert [counted(log, row).get("buffer_write", 0) for row in range(2)] == [3, 3]
    assert counted(log)["threshold_shift"] == 1
    assert "buffer_read" not in counted(log)


def test_a_requant_pass_clears_its_plane_too_and_each_plane_counts_its_own_tokens() -> None:
    passes = (Pass(2, "requant", threshold=1, timestep=1),)
    run = linear_run([[1]] * 7, passes, spec(buffer="bitmap", scan_bits=3), planes=2, clear=False, max_level=7)
    log = execute(run, [event(), EOT, event(), event(), EOT])
    assert [counted(log, row).get("buffer_write", 0) for row in range(2)] == [0, 3 + 7]
    for name in ("fifo_push", "fifo_pop"):
        assert [counted(log, row)[name] for row in range(2)] == [2, 3]
    assert [counted(log, row)["acc_add"] for row in range(2)] == [7, 14]


def test_spikes_name_their_pass_among_the_fire_passes_since_the_last_eot() -> None:
    passes = (Pass(1, "fire", threshold=1), Pass(2, "shift"), Pass(2, "fire", threshold=1, timestep=1),
              Pass(2, "readout", timestep=1), Pass(2, "fire", threshold=1, timestep=2))
    run = linear_run([[1]], passes, spec(), planes=2, initial=[5], clear=False)
    assert execute(run, [EOT, EOT]).spikes[:, 1].tolist() == [0, 0, 1]


def test_a_second_period_starts_the_count_of_eots_again() -> None:
    passes = (Pass(2, "fire", threshold=1, timestep=0), Pass(2, "fire", threshold=NEVER, timestep=1))
    run = linear_run([[3]], passes, spec(), planes=2, weigh_planes=True)
    log = execute(run, [EOT, event(), EOT, event(), EOT, EOT])
    assert [kind for _, kind, _ in issued(log)] == ["clear", "eot", "acc", "eot", "fire", "fire", "acc", "eot", "eot",
                                                    "fire", "fire"]
    assert log.potentials.item() == (2 * 3 - 1) + 3 - 1
    assert log.spikes[:, 1].tolist() == [0, 0]


# -- what is refused --------------------------------------------------------------------------------------------------


def test_undefined_runs_are_refused() -> None:
    for kind in ("shift", "requant"):
        run = linear_run([[1]], (Pass(1, kind, threshold=1, add=True),), spec())
        with pytest.raises(ProgramError, match=f"a {kind} pass after EOT 1 that adds"):
            execute(run, [EOT])
    with pytest.raises(ProgramError, match="fifo_depth is 0"):
        execute(linear_run([[1]], (), spec(fifo_depth=0)), [EOT])
