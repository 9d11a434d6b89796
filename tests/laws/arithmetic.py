"""R10 to R15: saturation, thresholds, resets, leaks, weighed planes, payloads, currents, doublings, read-outs, requantisers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwsim.passes import Pass
from hwsim.program import CoreRun
from hwsim.snn.network import Connection
from tests.laws.draws import OPERATORS, WIDTHS, arithmetic_run
from tests.laws.implementation import Laws
from tests.laws.neurons import COUNTS, Neurons
from tests.laws.runs import EOT, NEVER, both, event, fire, flat, issued, linear_run, narrow, spec

READ_OUT = (Pass(after_eot=2, kind="readout", timestep=1),)


def horner(bypass: bool) -> CoreRun:
    passes = (Pass(1, "shift", timestep=0), Pass(2, "readout", add=True, timestep=1))
    return linear_run([[3]], passes, spec(bypass=bypass), addend=[5])


class ArithmeticLaws(Laws):
    events = 40
    """Of a random run, in each plane."""
    widths: tuple[int, ...] = WIDTHS

    # -- R10 to R12 ---------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("operator", OPERATORS)
    def test_every_step_is_what_the_rules_say_to_each_neuron(self, operator: str) -> None:
        """Random runs of every width against Python integers, synapse by synapse: every step clips at its width."""
        for bits in self.widths:
            clipped = 0
            for seed in self.draws(6):
                run, tokens = arithmetic_run(seed, bits, operator, self.events)
                limit = 1 << bits - 1
                states = np.random.default_rng(seed).integers(-limit, limit, run.shape)
                model = Neurons(run, states, 0 * states, 0 * states)
                model.execute(tokens)
                log = self.execute(run, tokens, potentials=states)
                here = f"seed {seed}, {bits} bits"
                np.testing.assert_array_equal(log.potentials, model.v, err_msg=here)
                assert log.saturations == model.clipped, here
                assert log.spikes[:, 2].tolist() == model.spikes, here
                seen = self.counted(log)
                assert {name: seen.get(name, 0) for name in COUNTS} == {name: model.counts[name] for name in COUNTS}, here
                clipped += model.clipped
            assert clipped or bits > 24 or self.thorough < 1, "the stimuli must meet the limits"

    def test_every_step_saturates_and_is_counted_once_a_neuron(self) -> None:
        run = linear_run([[6], [-6], [1]], (), spec(potential_bits=4))
        log = self.execute(run, [event(), event(), EOT])
        assert flat(log.potentials) == [7, -8, 2]
        assert log.saturations == 2

    def test_products_are_full_width_inside(self) -> None:
        run = linear_run([[100]], (), spec(potential_bits=8), clear=False)
        log = self.execute(run, [event(payload=2), EOT], potentials=[-128])
        assert (log.potentials.item(), log.saturations) == (72, 0)

    def test_the_addend_is_added_before_the_current_and_each_saturates(self) -> None:
        run = linear_run([[-5]], (fire(add=True),), spec(potential_bits=4), initial=[6], addend=[4], direct=True)
        log = self.execute(run, [event(payload=1), EOT])
        assert log.potentials.item() == min(7, 6 + 4) - 5
        assert log.saturations == 1
        assert log.currents.item() == -5

    def test_the_current_has_its_own_width_and_lives_through_timesteps(self) -> None:
        passes = tuple(fire(t + 1, add=True) for t in range(2))
        run = linear_run([[100]], passes, spec(current_bits=8), direct=True)
        log = self.execute(run, [event(payload=2), EOT, EOT])
        assert (log.currents.item(), log.potentials.item(), log.saturations) == (127, 254, 1)
        seen = self.counted(log)
        assert (seen["current_write"], seen["current_read"]) == (1 + 1, 1 + 2)
        assert not {"membrane_write_accumulate", "membrane_read_accumulate", "bias_read"} & set(seen)
        assert seen["mult"] == 1
        assert seen["bias_add"] == 2
        assert seen["reg_bits"] == 8 + 2 * 16

    def test_a_current_word_hazards_with_the_clear_but_not_with_a_fire_pass(self) -> None:
        passes = tuple(fire(t + 1, add=True) for t in range(2))
        run = linear_run([[1]], passes, spec(bypass=False), direct=True)
        log = self.execute(run, [event(payload=2), EOT, event(payload=3), EOT])
        assert issued(log) == [(1, "clear", 0), (3, "acc", 0), (4, "eot", -1), (5, "fire", 0), (6, "acc", 0),
                               (7, "eot", -1), (8, "fire", 0)]
        assert log.potentials.item() == 2 + 5

    def test_planes_weigh_and_payloads_multiply(self) -> None:
        run = linear_run([[3, 5]], (), spec(), planes=3, weigh_planes=True)
        log = self.execute(run, [event(0), EOT, event(1, payload=-2), EOT, event(0), event(1, payload=7), EOT])
        assert log.potentials.item() == 3 + 2 * -10 + 4 * 3 + 4 * 35
        assert self.rows(log, "acc_add", "mult", "weight_shift") == {
            "acc_add": [1, 1, 2], "mult": [0, 1, 1], "weight_shift": [0, 1, 2]}

    def test_thresholds_fall_by_the_shift_and_hard_reset_and_leak_follow(self) -> None:
        run = linear_run([[1]] * 3, (fire(1, 13, shift=1),), spec(), clear=False, reset="hard", leak_shift=1)
        log = self.execute(run, [EOT], potentials=[5, 6, 9])
        assert log.spikes[:, 2].tolist() == [1, 2]
        assert flat(log.potentials) == [3, 0, 0]
        seen = self.counted(log)
        assert (seen["reset_zero"], seen["leak"], seen["threshold_shift"], seen["cmp"]) == (2, 3, 1, 3)

    # -- R11: the weight of a spike -----------------------------------------------------------------------------------

    def test_spikes_weigh_and_payloads_multiply(self) -> None:
        """Weights (5, -1): a spike adds them times 8, a payload of 3 times 3; only the spike's synapses count as shifted."""
        run = linear_run([[5], [-1]], (Pass(1, "readout"),), narrow(16), spike_shift=3)
        log = self.execute(run, [event(), event(payload=3), event(), EOT])
        assert flat(log.potentials) == [5 * 19, -19]
        assert self.rows(log, "weight_shift", "mult", "acc_add") == {"weight_shift": [4], "mult": [2], "acc_add": [6]}
        # 8 bits: 40, 80, 120, then 127.
        log = self.execute(replace(run, potential_bits=8), [*[event()] * 4, EOT])
        assert flat(log.potentials) == [127, -32]
        assert log.saturations == 1
        plain = replace(run, table=replace(run.table, spike_shift=0))
        assert self.rows(self.execute(plain, [event(), EOT]), "weight_shift") == {"weight_shift": [0]}

    def test_spikes_weigh_on_top_of_their_plane(self) -> None:
        """Spikes weigh 4 and 8 in planes 0 and 1, payloads 1 and 2; a synapse that is shifted twice over is shifted once."""
        run = linear_run([[3], [-1]], (), spec(), planes=2, weigh_planes=True, spike_shift=2)
        log = self.execute(run, [event(), event(payload=5), EOT, event(), event(payload=7), EOT])
        total = 4 + 5 + 8 + 2 * 7
        assert flat(log.potentials) == [3 * total, -total]
        assert self.rows(log, "weight_shift", "mult") == {"weight_shift": [2, 4], "mult": [2, 2]}

    def test_spikes_weigh_in_a_current_and_through_an_identity(self) -> None:
        run = linear_run([[5], [-1]], (fire(1, 20, add=True),), narrow(16), spike_shift=2, direct=True)
        log = self.execute(run, [event(), event(payload=3), EOT])
        assert flat(log.currents) == [35, -7]
        assert log.spikes[:, 2].tolist() == [0]
        identity = Connection("input", "identity", (2, 1, 1), np.array([5, -1]))
        log = self.execute(replace(run, connections=(identity,)), [event(0), event(1), event(1, 3), EOT])
        assert flat(log.currents) == [20, -7]
        assert self.rows(log, "weight_shift", "mult") == {"weight_shift": [2], "mult": [1]}

    # -- R13, R14: doublings and read-outs ----------------------------------------------------------------------------

    def test_a_read_out_with_bypass(self) -> None:
        log = self.execute(linear_run([[3], [-4]], READ_OUT, spec()), [event(), EOT, event(), EOT])
        assert issued(log) == [(1, "clear", 0), (2, "acc", 0), (3, "eot", -1), (4, "acc", 0), (5, "eot", -1),
                               (6, "readout", 0)]
        assert log.done == 8
        assert flat(log.potentials) == [6, -8]
        last = self.counted(log, 1)
        assert last["membrane_read_readout"] == 1
        assert last["reg_bits"] == 2 * 16 + 2 * 16
        assert not {"membrane_write_readout", "bias_read", "bias_add", "cmp", "spike_out"} & set(self.counted(log))

    def test_a_read_out_without_bypass_pays_one_hazard_behind_the_clear(self) -> None:
        log = self.execute(linear_run([[3], [-4]], READ_OUT, spec(bypass=False)), [event(), EOT, event(), EOT])
        assert issued(log)[:3] == [(1, "clear", 0), (3, "acc", 0), (4, "eot", -1)]
        assert log.done == 9
        assert self.counted(log)["cycles_stall_hazard"] == 1
        assert flat(log.potentials) == [6, -8]

    def test_an_adding_read_out_adds_once_and_writes_back(self) -> None:
        log = self.execute(horner(bypass=True), [event(), EOT, event(), EOT])
        assert issued(log) == [(1, "clear", 0), (2, "acc", 0), (3, "eot", -1), (4, "shift", 0), (5, "acc", 0),
                               (6, "eot", -1), (7, "readout", 0)]
        assert log.done == 9
        assert log.potentials.tolist() == [[[2 * 3 + 3 + 5]]]
        last = self.counted(log, 1)
        assert (last["membrane_write_readout"], last["bias_read"], last["bias_add"]) == (1, 1, 1)
        assert self.counted(log, 0)["membrane_shift"] == 1

    def test_without_bypass_the_event_behind_the_doubling_waits(self) -> None:
        log = self.execute(horner(bypass=False), [event(), EOT, event(), EOT])
        assert issued(log) == [(1, "clear", 0), (3, "acc", 0), (4, "eot", -1), (5, "shift", 0), (7, "acc", 0),
                               (8, "eot", -1), (9, "readout", 0)]
        assert log.done == 11
        assert self.counted(log)["cycles_stall_hazard"] == 2
        assert log.potentials.tolist() == [[[14]]]

    def test_two_read_outs_of_one_word_meet_r6_though_nothing_is_written(self) -> None:
        run = linear_run([[3]], (Pass(1, "readout"), Pass(1, "readout")), spec(bypass=False), clear=False)
        log = self.execute(run, [EOT])
        assert issued(log) == [(1, "eot", -1), (2, "readout", 0), (4, "readout", 0)]
        assert self.counted(log)["cycles_stall_hazard"] == 1

    # -- R15: requantisers --------------------------------------------------------------------------------------------

    def test_requantised_values_leave_through_the_serialiser(self) -> None:
        initial = [-5, 3, 8, 100, 4, 7]
        run = linear_run([[1]] * 6, (Pass(1, "requant", threshold=4),), spec(), clear=False, max_level=7)
        log = self.execute(run, [EOT], potentials=initial)
        # word 0: levels 0 (-5 // 4 < 0), 0, 2, 7; word 1: 1, 1, and waits for the two values before it.
        assert issued(log) == [(1, "eot", -1), (2, "requant", 0), (3, "requant", 1)]
        assert log.spikes.tolist() == [[4, 0, 2], [5, 0, 3], [6, 0, 4], [7, 0, 5]]
        assert log.done == 8
        assert flat(log.potentials) == initial
        seen = self.counted(log)
        wanted = {"requant": 6, "membrane_read_fire": 2, "reg_bits": 6 * 16, "spike_out": 4, "buffer_write": 4,
                  "cycles_stall_serialiser": 1}
        assert {name: seen[name] for name in self.known(wanted)} == self.known(wanted)
        assert not {"membrane_write_fire", "cmp", "reset_sub", "threshold_shift"} & set(seen)

    @both
    def test_an_operation_behind_a_requant_meets_r6_and_reads_what_is_there(self, bypass: bool) -> None:
        passes = (Pass(1, "requant", threshold=4), Pass(1, "fire", threshold=NEVER))
        run = linear_run([[1]], passes, spec(bypass=bypass), clear=False, max_level=7)
        log = self.execute(run, [EOT], potentials=[3])
        assert issued(log) == [(1, "eot", -1), (2, "requant", 0), (3 if bypass else 4, "fire", 0)]
        assert log.potentials.tolist() == [[[3]]]
