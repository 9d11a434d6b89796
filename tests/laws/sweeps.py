"""R17 and R18: the operations of mask and reinitialise passes."""

from __future__ import annotations

import pytest

from hwsim.passes import Pass
from tests.laws.implementation import Laws
from tests.laws.runs import EOT, both, event, fire, flat, issued, linear_run, narrow, spec

MASKED = (Pass(1, "fire", 100), Pass(1, "mask"), Pass(2, "fire", 1, timestep=1, flags="masked"))


class SweepLaws(Laws):
    # -- R17 ----------------------------------------------------------------------------------------------------------

    def test_a_mask_operation_sets_flags_anew_and_starts_again(self) -> None:
        """Who was off and has V >= 0 is on again; zero is not negative; a uniform start needs no bias word."""
        run = linear_run([[0]] * 5, (Pass(1, "mask"),), narrow(), clear=False, flagged=True, initial=[3] * 5)
        log = self.execute(run, [EOT], potentials=[5, -1, 0, -9, 4], flags=[1, 0, 1, 1, 0])
        assert issued(log) == [(1, "eot", -1), (2, "mask", 0), (3, "mask", 1), (4, "mask", 2)]
        assert log.done == 6
        assert flat(log.flags) == [0, 1, 0, 1, 0], "the flag becomes V < 0, whatever it was"
        assert flat(log.potentials) == [3] * 5
        assert self.counted(log) == {
            "fifo_push": 1, "fifo_pop": 1, "addr_gen": 3, "membrane_read_mask": 3, "membrane_write_mask": 3, "mask_write": 3,
            "cmp": 5, "reg_bits": 5 * 8, "cycles_busy": 4}

    def test_a_mask_operation_fetches_an_initial_that_is_not_uniform_and_sends_nothing(self) -> None:
        passes = (Pass(1, "mask", timestep=2), fire(1, 1, flags="masked"))
        run = linear_run([[1]] * 5, passes, spec(), initial=[1, 2, 3, 4, 5], clear=False, flagged=True)
        log = self.execute(run, [EOT], potentials=[-1, 0, -1, 0, -1], flags=[0] * 5)
        assert self.counted(log, 2) == {
            "addr_gen": 2, "membrane_read_mask": 2, "membrane_write_mask": 2, "mask_write": 2, "bias_read": 2, "cmp": 5,
            "reg_bits": 5 * 16, "cycles_busy": 2}
        assert issued(log) == [(1, "eot", -1), (2, "mask", 0), (3, "mask", 1), (4, "fire", 0), (5, "fire", 1)]
        assert log.spikes.tolist() == [[6, 0, 1], [7, 0, 3]], "the pass number counts fire passes only"
        assert flat(log.potentials) == [0, 1, 0, 3, 0]
        assert log.done == 8, "word 1 waits in EXEC until 7; it is silent, and its cycle in the serialiser ends nothing"

    @both
    def test_a_fire_operation_behind_a_mask_operation_meets_r6(self, bypass: bool) -> None:
        passes = (Pass(1, "mask"), fire(1, 3, flags="masked"))
        run = linear_run([[1]] * 2, passes, spec(bypass=bypass), initial=[3, 3], clear=False, flagged=True)
        log = self.execute(run, [EOT], potentials=[-5, 5], flags=[0, 1])
        assert issued(log) == [(1, "eot", -1), (2, "mask", 0), (3 if bypass else 4, "fire", 0)]
        assert self.counted(log).get("cycles_stall_hazard", 0) == (0 if bypass else 1)
        assert log.spikes[:, 2].tolist() == [1]
        assert flat(log.potentials) == [0, 0]
        assert flat(log.flags) == [1, 0]

    @pytest.mark.parametrize(("bypass", "cycles", "spike", "hazards"), [
        (True, (1, 2, 3, 4, 5, 6, 7, 8), 10, 0),
        # The event meets the clear (3), the mask operation the fire operation (7), the event the mask operation (9).
        (False, (1, 3, 4, 5, 7, 9, 10, 11), 13, 3),
    ])
    def test_a_mask_operation_between_two_stages(self, bypass: bool, cycles: tuple[int, ...], spike: int, hazards: int) -> None:
        """One word. V starts at (1, 2); the event makes it (-2, 6), so n0 is flagged and V is (1, 2) again, then (-2, 6).

        Theta 1: n1 alone fires and keeps 5. The mask operation's e is its issue + 1, and it sends nothing.
        """
        run = linear_run([[-3], [4]], MASKED, narrow(bypass=bypass), flagged=True, initial=[1, 2])
        log = self.execute(run, [event(), EOT, event(), EOT])
        names = ("clear", "acc", "eot", "fire", "mask", "acc", "eot", "fire")
        assert [(kind, cycle) for cycle, kind, _ in issued(log)] == list(zip(names, cycles, strict=True))
        assert log.spikes.tolist() == [[spike, 0, 1]]
        assert log.done == spike + 1
        assert flat(log.potentials) == [0, 5]
        assert flat(log.flags) == [1, 0]
        assert self.counted(log).get("cycles_stall_hazard", 0) == hazards
        wanted = {
            "addr_gen": [4, 2], "membrane_read_mask": [1, 0], "membrane_write_mask": [1, 0], "membrane_write_clear": [1, 0],
            "mask_write": [2, 0], "mask_read": [0, 1], "cmp": [4, 1], "bias_read": [2, 0], "reset_sub": [0, 1],
            "reg_bits": [8 * (2 + 2 + 2), 8 * (2 + 1)], "cycles_busy": [5, 3]}
        assert self.rows(log, *wanted) == wanted

    def test_a_mask_operation_waits_for_exec_and_leaves_the_serialiser_alone(self) -> None:
        """Four neurons in two words all fire. EOT 1; fire 2 (e 3, s 5), 3 (e 5, s 7); mask 5, 6 (e 7).

        The spikes of word 1 leave at 6 and 7, while the mask operations issue: done 8.
        """
        run = linear_run([[0]] * 4, (Pass(1, "fire", 1), Pass(1, "mask")), narrow(bypass=False), clear=False, flagged=True)
        log = self.execute(run, [EOT], potentials=[2] * 4)
        assert issued(log) == [(1, "eot", -1), (2, "fire", 0), (3, "fire", 1), (5, "mask", 0), (6, "mask", 1)]
        assert log.spikes[:, 0].tolist() == [4, 5, 6, 7]
        assert log.done == 8
        assert self.rows(log, "cycles_stall_hazard", "cycles_stall_serialiser") == {
            "cycles_stall_hazard": [0], "cycles_stall_serialiser": [1]}

    # -- R18 ----------------------------------------------------------------------------------------------------------

    def test_a_reinitialise_operation_only_writes_the_membrane(self) -> None:
        passes = (Pass(1, "reinitialise", timestep=1),)
        run = linear_run([[1]] * 5, passes, spec(), initial=[1, 2, 3, 4, 5], clear=False, direct=True, flagged=True)
        log = self.execute(run, [EOT], potentials=[9] * 5, flags=[0, 1, 0, 0, 1], currents=[6] * 5)
        assert issued(log) == [(1, "eot", -1), (2, "reinitialise", 0), (3, "reinitialise", 1)]
        assert log.done == 5
        assert flat(log.potentials) == [1, 2, 3, 4, 5]
        assert flat(log.flags) == [0, 1, 0, 0, 1]
        assert flat(log.currents) == [6] * 5
        assert self.counted(log, 1) == {"addr_gen": 2, "membrane_write_clear": 2, "bias_read": 2, "cycles_busy": 2}

    def test_a_reinitialise_operation_needs_neither_flags_nor_a_word_of_a_uniform_start(self) -> None:
        run = linear_run([[1]] * 5, (Pass(1, "reinitialise", timestep=1),), spec(), initial=[2] * 5, clear=False)
        log = self.execute(run, [EOT])
        assert flat(log.potentials) == [2] * 5
        assert self.counted(log, 1) == {"addr_gen": 2, "membrane_write_clear": 2, "cycles_busy": 2}

    @pytest.mark.parametrize(("bypass", "cycles", "spike", "done"), [
        (True, (1, 2, 3, 4, 5, 6, 7, 8), 6, 10), (False, (1, 3, 4, 5, 6, 8, 9, 10), 7, 12)])
    def test_a_reinitialise_operation_meets_no_hazard_but_can_be_met(
        self, bypass: bool, cycles: tuple[int, ...], spike: int, done: int
    ) -> None:
        """One word. Without bypass: clear 1; event 3 (hazard); EOT 4; fire 5, V (-2, 6): n1 fires at 7; reinitialise 6, in the
        cycle in which EXEC writes its word; event 8 (hazard with it, e 9); EOT 9; read-out 10: V is (1, 2) + (-3, 4). Done 12.
        """
        passes = (Pass(1, "fire", 5), Pass(1, "reinitialise"), Pass(2, "readout", timestep=1))
        run = linear_run([[-3], [4]], passes, narrow(bypass=bypass), initial=[1, 2])
        log = self.execute(run, [event(), EOT, event(), EOT])
        names = ("clear", "acc", "eot", "fire", "reinitialise", "acc", "eot", "readout")
        assert [(kind, cycle) for cycle, kind, _ in issued(log)] == list(zip(names, cycles, strict=True))
        assert log.spikes.tolist() == [[spike, 0, 1]]
        assert log.done == done
        assert flat(log.potentials) == [-2, 6]
        wanted = {
            "addr_gen": [4, 2], "membrane_write_clear": [2, 0], "membrane_read_fire": [1, 0], "membrane_read_mask": [0, 0],
            "bias_read": [2, 0], "reg_bits": [8 * (2 + 2), 8 * (2 + 2)], "cmp": [2, 0], "cycles_busy": [5, 3],
            "cycles_stall_hazard": [0, 0] if bypass else [1, 1]}
        assert self.rows(log, *wanted) == wanted

    def test_a_reinitialise_operation_waits_for_exec(self) -> None:
        """Fire 2 (e 3, s 5), 3 (e 5) as above; reinitialise 5, 6, not 4; then fire at 7, 8 on words written before."""
        passes = (Pass(1, "fire", 1), Pass(1, "reinitialise"), Pass(1, "fire", 1))
        run = linear_run([[0]] * 4, passes, narrow(bypass=False), clear=False, initial=[1] * 4)
        log = self.execute(run, [EOT], potentials=[2] * 4)
        assert [cycle for cycle, _, _ in issued(log)] == [1, 2, 3, 5, 6, 7, 8]
        assert log.spikes[:, 1:].tolist() == [[number, n] for number in (0, 1) for n in range(4)]
        assert "cycles_stall_hazard" not in self.counted(log)

    def test_a_reinitialise_operation_leaves_currents_and_flags(self) -> None:
        """A direct table's event right after it reads the current, which it did not write: no hazard."""
        passes = (Pass(1, "reinitialise"), Pass(2, "readout", timestep=1))
        run = linear_run([[5], [6]], passes, narrow(bypass=False), clear=False, direct=True, flagged=True, initial=[1, 2])
        log = self.execute(run, [EOT, event(), EOT], potentials=[7, 8], currents=[3, 4], flags=[1, 0])
        assert [cycle for cycle, _, _ in issued(log)] == [1, 2, 3, 4, 5]
        assert flat(log.potentials) == [1, 2]
        assert flat(log.currents) == [8, 10]
        assert flat(log.flags) == [1, 0]
        wanted = {"mask_read": [0, 0], "mask_write": [0, 0], "current_write": [0, 1], "membrane_write_clear": [1, 0]}
        assert self.rows(log, *wanted) == wanted
