"""R16: neurons that are off, and neurons that fire once; with random runs of R16 to R18."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from hwsim.passes import Pass
from hwsim.record import CoreLog
from tests.laws.draws import FLAG_WIDTHS, flagged_run
from tests.laws.implementation import Laws
from tests.laws.neurons import COUNTS, Neurons
from tests.laws.runs import EOT, both, event, fire, fires, flat, issued, kinds, linear_run, narrow, spec
from tests.laws.stepping import step_through

ONCE = linear_run([[6, 0], [3, -2], [0, 7]], fires(6, "fire_once", 3), narrow(), flagged=True)
ONCE_TOKENS = (event(0), EOT, event(0), event(1), EOT, event(0), EOT)


class FlagLaws(Laws):
    events = 30
    """Of a random run, at most, in each plane."""
    widths: tuple[int, ...] = FLAG_WIDTHS

    @pytest.mark.parametrize("block", range(4))
    def test_random_runs_do_what_the_rules_say_to_each_neuron(self, block: int) -> None:
        """Passes that use flags in any way, against Python integers; every cycle, operation by operation."""
        seen: Counter[str] = Counter()
        for bits in self.widths[block :: 4]:
            clipped = 0
            for seed in self.draws(30):
                run, tokens = flagged_run(seed, bits, self.events)
                rng, limit = np.random.default_rng(seed), 1 << bits - 1
                v, i = rng.integers(-limit, limit, (2, *run.shape))
                off = rng.integers(0, 2, run.shape)
                model = Neurons(run, v, i, off)
                model.execute(tokens)
                log = self.execute(run, tokens, potentials=v, currents=i, flags=off)
                here = f"seed {seed}, {bits} bits"
                for name, expected in (("potentials", model.v), ("currents", model.i), ("flags", model.off)):
                    np.testing.assert_array_equal(getattr(log, name), expected, err_msg=f"{here}: {name}")
                assert log.spikes[:, 2].tolist() == model.spikes, here
                assert log.saturations == model.clipped, here
                counted = self.counted(log)
                assert {name: counted.get(name, 0) for name in COUNTS} == {name: model.counts[name] for name in COUNTS}, here
                cycles, stalls = step_through(run, log)
                assert cycles == log.issue[:, 0].tolist(), here
                assert stalls == {name: counted.get(name, 0) for name in stalls}, here
                clipped, seen = clipped + model.clipped, seen + Counter(kinds(log))
            assert clipped or bits > 24 or self.thorough < 1
        assert {"mask", "reinitialise", "fire"} <= set(seen) or self.thorough < 1

    # -- R16: masked --------------------------------------------------------------------------------------------------

    def test_a_neuron_that_is_off_is_left_out_and_zero_is_written_in_its_place(self) -> None:
        run = linear_run([[1]] * 3, (fire(1, 4, add=True, flags="masked"),), spec(potential_bits=8), clear=False,
                         addend=[0, 120, 2], leak_shift=1, flagged=True)
        log = self.execute(run, [EOT], potentials=[7, 100, 1], flags=[0, 1, 0])
        assert issued(log) == [(1, "eot", -1), (2, "fire", 0)]
        assert log.spikes.tolist() == [[4, 0, 0]]
        assert log.done == 5
        # 7 - 4 = 3, leaks to 2; off; 1 + 2 = 3, leaks to 2.
        assert flat(log.potentials) == [2, 0, 2]
        assert flat(log.flags) == [0, 1, 0]
        assert log.saturations == 0, "100 + 120 never happens"
        assert self.counted(log) == self.known({
            "fifo_push": 1, "fifo_pop": 1, "addr_gen": 1, "membrane_read_fire": 1, "membrane_write_fire": 1, "bias_read": 1,
            "mask_read": 1, "bias_add": 2, "cmp": 2, "reset_sub": 1, "leak": 2, "reg_bits": 2 * 8, "spike_out": 1,
            "buffer_write": 1, "cycles_busy": 2})

    @pytest.mark.parametrize(("flags", "reset", "v", "leaks", "off"), [
        # 9 + 10 is clipped to 15 and fires at 12; soft: 3 - (3 >> 1) = 2.
        ("masked", "soft", 2, 1, 0), ("masked", "hard", 0, 1, 0),
        # Once: not reset, zero in its place, off when the leak would come.
        ("fire_once", "soft", 0, 0, 1), ("fire_once", "hard", 0, 0, 1),
    ])
    def test_what_is_off_is_left_out(self, flags: str, reset: str, v: int, leaks: int, off: int) -> None:
        """n0 is off: it would be clipped, fire and leak; n1 does. 5-bit potentials, one word."""
        run = linear_run([[0], [0]], fires(12, flags, 1, add=True), narrow(5), clear=False, flagged=True, leak_shift=1,
                         reset=reset, addend=[10, 10])
        log = self.execute(run, [EOT], potentials=[9, 9], flags=[1, 0])
        assert log.spikes.tolist() == [[4, 0, 1]]
        assert flat(log.potentials) == [0, v]
        assert flat(log.flags) == [1, off]
        assert log.saturations == 1
        wanted = {"bias_add": [1], "bias_read": [1], "cmp": [1], "leak": [leaks], "mask_read": [1], "mask_write": [off],
                  "reg_bits": [5], "reset_sub": [int(leaks and reset == "soft")], "reset_zero": [int(leaks and reset == "hard")]}
        assert self.rows(log, *wanted) == wanted

    def test_words_are_read_whether_or_not_any_neuron_is_on(self) -> None:
        run = linear_run([[1]] * 2, (fire(1, 1, shift=1, add=True, flags="masked"),), spec(), clear=False, addend=[3, 4],
                         direct=True, flagged=True)
        log = self.execute(run, [EOT], potentials=[9, 9], flags=[1, 1], currents=[5, 6])
        seen = self.counted(log)
        assert [seen[name] for name in ("bias_read", "current_read", "mask_read", "membrane_read_fire")] == [1] * 4
        assert seen["membrane_write_fire"] == seen["threshold_shift"] == 1
        assert not {"cmp", "bias_add", "reg_bits", "reset_sub", "spike_out", "mask_write"} & set(seen)
        assert flat(log.potentials) == [0, 0], "a threshold of zero makes no neuron fire that is off"
        assert flat(log.currents) == [5, 6]
        assert len(log.spikes) == 0

    def test_what_is_off_takes_no_current(self) -> None:
        """Direct table, 5 bits: n1 is clipped at 9 + 10 and at 15 + 5, n2 at 1 + 10 + 5 alone; n0 and n3 are off."""
        run = linear_run([[0]] * 4, fires(20, "masked", 1, add=True), narrow(5), clear=False, flagged=True, direct=True,
                         addend=[10] * 4)
        log = self.execute(run, [EOT], potentials=[9, 9, 1, 9], currents=[5] * 4, flags=[1, 0, 0, 1])
        assert log.saturations == 3
        assert not len(log.spikes)
        assert flat(log.potentials) == [0, 15, 15, 0], "a threshold of 20 cannot be reached, zero is written all the same"
        assert flat(log.currents) == [5] * 4
        wanted = {"bias_add": [2 + 2], "bias_read": [2], "current_read": [2], "cmp": [2], "reg_bits": [2 * 5]}
        assert self.rows(log, *wanted) == wanted

    def test_accumulations_do_not_look_at_flags(self) -> None:
        """n0 is off and still clips: 8 bits, 100 + 100; then zero is written."""
        run = linear_run([[100], [1]], fires(50, "masked", 1), narrow(), clear=False, flagged=True)
        log = self.execute(run, [event(), event(), EOT], flags=[1, 0])
        assert log.saturations == 1
        assert flat(log.potentials) == [0, 2]
        assert self.rows(log, "acc_add", "cmp") == {"acc_add": [4], "cmp": [1]}

    def test_a_flagged_table_may_ignore_flags(self) -> None:
        run = replace(ONCE, clear=False, table=replace(ONCE.table, passes=fires(6, "ignore", 3)))
        log = self.execute(run, ONCE_TOKENS, flags=[1, 0, 1])
        # V: (6, 3, 0) n0 fires; (6, 4, 7) n0, n2; (6, 7, 1) n0, n1; soft reset.
        assert log.spikes[:, 2].tolist() == [0, 0, 2, 0, 1]
        assert flat(log.flags) == [1, 0, 1]
        wanted = {"mask_read": [0, 0, 0], "mask_write": [0, 0, 0], "cmp": [3, 3, 3], "reset_sub": [1, 2, 2]}
        assert self.rows(log, *wanted) == wanted

    @pytest.mark.parametrize(("flagged", "after"), [(True, [0, 0, 0, 0, 0]), (False, [1, 0, 1, 0, 1])])
    def test_a_flagged_clear_writes_zero_flags_and_no_other_does(self, flagged: bool, after: list[int]) -> None:
        log = self.execute(linear_run([[1]] * 5, (), spec(), flagged=flagged), [EOT], flags=[1, 0, 1, 0, 1])
        assert flat(log.flags) == after
        assert self.counted(log).get("mask_write", 0) == (2 if flagged else 0), "one a word"
        assert self.counted(log)["membrane_write_clear"] == 2
        assert issued(log) == [(1, "clear", 0), (2, "clear", 1), (3, "eot", -1)]

    def test_a_run_writes_the_flags_of_its_own_groups(self) -> None:
        whole = linear_run([[1]] * 6, (Pass(1, "mask"),), spec(lanes=2), clear=False, flagged=True)
        log = self.execute(replace(whole, groups=(1, 2)), [EOT], potentials=[-1] * 6, flags=[1, 0, 0, 0, 1, 0])
        assert flat(log.flags) == [1, 0, 1, 1, 1, 0]
        assert flat(log.potentials) == [-1, -1, 0, 0, -1, -1]

    # -- R16: once ----------------------------------------------------------------------------------------------------

    def test_once_fires_once(self) -> None:
        """V of (n0, n1, n2) before each fire pass: (6, 3, 0), (6, 4, 7), (6, 7, 0); theta is 6, so n0, then n2, then n1 fire.

        What fires is written as zero and is off; n0 receives 6 twice more, which is lost. Cycles: clear 1, 2; event 3-4,
        EOT 5, fire 6, 7 (e 7, s 8, spike at 8; e 8, s 9); events 8-9, 10-11, EOT 12, fire 13, 14 (e 14, s 15; e 15, spike at
        16); event 15-16, EOT 17, fire 18, 19 (e 19, s 20, spike at 20; e 20): done 21.
        """
        log = self.execute(ONCE, ONCE_TOKENS)
        assert log.spikes.tolist() == [[8, 0, 0], [16, 0, 2], [20, 0, 1]]
        assert [cycle for cycle, kind, _ in issued(log) if kind == "fire"] == [6, 7, 13, 14, 18, 19]
        assert log.done == 21
        assert flat(log.potentials) == [0, 0, 0]
        assert flat(log.flags) == [1, 1, 1]
        assert log.flags.shape == (3, 1, 1)
        assert log.flags.dtype == np.int64
        # The clear writes both mask words, a fire pass those in which a neuron fired: one each.
        wanted = {"mask_write": [3, 1, 1], "mask_read": [2, 2, 2], "cmp": [3, 2, 1], "spike_out": [1, 1, 1],
                  "reset_sub": [0, 0, 0], "reset_zero": [0, 0, 0], "reg_bits": [8 * (3 + 3), 8 * (6 + 2), 8 * (3 + 1)]}
        assert self.rows(log, *wanted) == wanted

    def single_spike(self, bypass: bool, reset: str = "soft") -> CoreLog:
        run = linear_run([[2], [5], [1]], fires(4, "fire_once", 3), spec(bypass=bypass), leak_shift=4, reset=reset, flagged=True)
        return self.execute(run, [event(), EOT] * 3, flags=[1, 1, 1])

    @pytest.mark.parametrize("reset", ["soft", "hard"])
    @both
    def test_a_neuron_fires_once_in_many_timesteps(self, bypass: bool, reset: str) -> None:
        log = self.single_spike(bypass, reset)
        # V at the comparison: 2 5 1, then 4 (5) 2, then (2) (5) 3; neurons in brackets are off. Leak >> 4 leaves these be.
        assert log.spikes[:, 2].tolist() == [1, 0]
        assert flat(log.potentials) == [0, 0, 3]
        assert flat(log.flags) == [1, 1, 0]
        wanted = {
            "mask_read": [1, 1, 1], "mask_write": [1 + 1, 1, 0], "cmp": [3, 2, 1], "leak": [2, 1, 1],
            "reset_sub": [0, 0, 0], "reset_zero": [0, 0, 0], "spike_out": [1, 1, 0], "acc_add": [3, 3, 3],
            "reg_bits": [16 * (3 + 3), 16 * (3 + 2), 16 * (3 + 1)], "membrane_read_fire": [1, 1, 1],
            "membrane_write_fire": [1, 1, 1]}
        assert self.rows(log, *wanted) == wanted

    @pytest.mark.parametrize(("bypass", "cycles", "spikes", "done"), [
        (True, (1, 2, 3, 4, 5, 6, 7, 8, 9, 10), [6, 9], 12), (False, (1, 3, 4, 5, 7, 8, 9, 11, 12, 13), [7, 11], 15)])
    def test_once_keeps_the_timing_of_a_fire_operation(
        self, bypass: bool, cycles: tuple[int, ...], spikes: list[int], done: int
    ) -> None:
        log = self.single_spike(bypass)
        names = ["clear", *["acc", "eot", "fire"] * 3]
        assert [(kind, cycle) for cycle, kind, _ in issued(log)] == list(zip(names, cycles, strict=True))
        assert log.spikes[:, 0].tolist() == spikes
        assert log.done == done
        assert self.counted(log).get("cycles_stall_hazard", 0) == (0 if bypass else 3)

    @both
    def test_the_next_operation_knows_who_has_just_fired(self, bypass: bool) -> None:
        """Pass two reads the mask word in the cycle in which EXEC writes it; bias takes V over the threshold again."""
        passes = (fire(1, 4, add=True, flags="fire_once"), fire(1, 4, add=True, flags="fire_once"))
        run = linear_run([[1]] * 2, passes, spec(bypass=bypass), clear=False, addend=[5, 1], flagged=True)
        log = self.execute(run, [EOT], flags=[0, 0])
        assert issued(log)[1:] == [(2, "fire", 0), (3 if bypass else 4, "fire", 0)]
        assert log.spikes.tolist() == [[4, 0, 0]]
        assert flat(log.potentials) == [0, 2]
        assert flat(log.flags) == [1, 0]
        seen = self.counted(log)
        assert (seen["mask_read"], seen["mask_write"], seen["cmp"], seen["bias_add"]) == (2, 1, 2 + 1, 2 + 1)
        assert seen.get("cycles_stall_hazard", 0) == (0 if bypass else 1)

    def test_one_word_holds_two_that_fire_at_once(self) -> None:
        """mask_write counts words: both neurons of word 0 fire, of word 1 none."""
        log = self.execute(linear_run([[9], [9], [1]], fires(6, "fire_once", 1), narrow(), flagged=True, clear=False),
                           [event(), EOT])
        assert log.spikes[:, 2].tolist() == [0, 1]
        assert self.rows(log, "mask_write", "mask_read") == {"mask_write": [1], "mask_read": [2]}

    def test_spikes_of_a_once_operation_hold_the_serialiser(self) -> None:
        run = linear_run([[1]] * 8, (fire(1, 1, flags="fire_once"),), spec(), clear=False, flagged=True)
        log = self.execute(run, [EOT], potentials=[1] * 8, flags=[0, 1, 0, 0, 0, 0, 1, 1])
        # word 0: e = 3, three spikes, s = 6; word 1 is issued at 3, waits from 4 to 6 and sends two.
        assert log.spikes.tolist() == [[4, 0, 0], [5, 0, 2], [6, 0, 3], [7, 0, 4], [8, 0, 5]]
        assert self.counted(log)["cycles_stall_serialiser"] == 2
        assert log.done == 9
        assert flat(log.flags) == [1] * 8

    def test_flags_live_over_runs_until_a_flagged_clear(self) -> None:
        """C5: what is off stays off in a run that does not clear, or whose table has no flags; a flagged clear ends it."""
        kept = replace(ONCE, clear=False)
        log = self.execute(kept, ONCE_TOKENS, flags=[1, 0, 1])
        assert log.spikes[:, 2].tolist() == [1], "(6, 3, 0), (6, 4, 7), (6, 7, 0): n1 alone is on"
        wanted = {"cmp": [1, 1, 1], "mask_write": [0, 0, 1], "mask_read": [2, 2, 2]}
        assert self.rows(log, *wanted) == wanted
        assert flat(log.flags) == [1, 1, 1]
        after = self.execute(kept, ONCE_TOKENS, potentials=log.potentials, flags=log.flags)
        assert not len(after.spikes), "all three are off now"
        assert self.execute(ONCE, ONCE_TOKENS, flags=[1, 1, 1]).spikes[:, 2].tolist() == [0, 2, 1], "cleared"
        plain = replace(ONCE, table=replace(ONCE.table, flagged=False, passes=fires(6, "ignore", 3)))
        log = self.execute(plain, ONCE_TOKENS, flags=[1, 0, 1])
        assert flat(log.flags) == [1, 0, 1], "a clear without flags does not know them"
        assert self.rows(log, "mask_write", "mask_read") == {"mask_write": [0, 0, 0], "mask_read": [0, 0, 0]}
