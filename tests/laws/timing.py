"""R5 to R9: when operations issue, hazards, the serialiser, the end of a run, and which passes come when."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from hwsim.passes import Pass
from hwsim.program import CoreRun
from hwsim.record import CoreLog
from hwsim.verify.core_cases import CoreCase
from tests.laws.implementation import CASES, Laws
from tests.laws.runs import EOT, NEVER, NOWHERE, event, fire, flat, issued, kinds, linear_run, narrow, spec
from tests.laws.stepping import step_through
from tests.laws.vectors import changed


def is_one_period(case: CoreCase) -> bool:
    return bool((case.tokens[:, 0] < 0).sum() == case.run.table.planes)


class TimingLaws(Laws):
    # -- R5 to R7, operation by operation -----------------------------------------------------------------------------

    def check_steps(self, run: CoreRun, log: CoreLog, name: str) -> None:
        cycles, counted = step_through(run, log)
        assert cycles == log.issue[:, 0].tolist(), name
        assert counted == {event: self.counted(log).get(event, 0) for event in counted}, name

    def test_an_event_costs_what_its_operations_cost(self, case_kind: str) -> None:
        for case in filter(is_one_period, self.cases(case_kind)):
            self.check_steps(case.run, self.run(*case.arguments), case.name)

    def test_events_of_a_direct_table_do_not_wait_for_the_membrane(self) -> None:
        """R6: the vectors' direct inputs come before the first EOT; here they come again after each fire pass."""
        close = 0
        for case in [c for c in CASES if is_one_period(c) and c.run.table.direct][:: self.every]:
            period = case.tokens[: 1 + int(np.argmax(case.tokens[:, 0] < 0))]
            tokens = np.tile(period, (case.run.table.planes, 1))
            run = replace(case.run, core=replace(case.run.core, bypass=False, fifo_depth=8))
            log = self.execute(run, tokens, potentials=case.potentials, currents=case.currents)
            self.check_steps(run, log, case.name)
            close += sum(a[1] == "fire" and b[1:] == ("acc", a[2]) for a, b in itertools.pairwise(issued(log)))
        assert close, "some event must reach the word that was fired last"

    def test_a_second_event_on_one_word_waits_a_cycle_without_bypass(self) -> None:
        """The pair that R6 is about: read at 2 what EXEC writes at 2."""
        run = linear_run([[5]], (), spec(bypass=False), clear=False)
        log = self.execute(run, [event(), event(), EOT])
        assert log.pop.tolist() == [1, 3, 4]
        assert log.potentials.tolist() == [[[10]]]

    def test_bypass_fifo_and_gaps_move_cycles_but_not_results(self, case_kind: str) -> None:
        for case in self.cases(case_kind):
            log = self.run(*case.arguments)
            slow = np.full(len(case.tokens), 5)
            other = changed(self, case, slow, case.earliest, bypass=not case.run.core.bypass, fifo_depth=7)
            np.testing.assert_array_equal(log.spikes[:, 1:], other.spikes[:, 1:], err_msg=case.name)
            np.testing.assert_array_equal(log.potentials, other.potentials, err_msg=case.name)
            np.testing.assert_array_equal(log.currents, other.currents, err_msg=case.name)
            assert log.saturations == other.saturations, case.name
            assert "cycles_stall_hazard" not in self.counted(log if case.run.core.bypass else other), case.name

    # -- R3, R4, R7: the serialiser, and what may pass a waiting EXEC ---------------------------------------------------

    def test_no_word_events_and_eots_take_their_slot_while_exec_waits(self) -> None:
        passes = (Pass(1, "fire", threshold=1), Pass(2, "fire", threshold=NEVER, timestep=1))
        run = linear_run([[1]] * 8, passes, spec(), clear=False, pooled=True)
        log = self.execute(run, [EOT, NOWHERE, EOT], potentials=[1] * 8)
        # word 0: e = 3, s = 7 with four spikes; word 1 waits in EXEC from 4 to 7, then sends until 11.
        assert issued(log) == [(1, "eot", -1), (2, "fire", 0), (3, "fire", 1), (4, "skip", -1), (5, "eot", -1),
                               (7, "fire", 0), (11, "fire", 1)]
        assert log.spikes[:, 0].tolist() == [4, 5, 6, 7, 8, 9, 10, 11]
        assert log.spikes[:, 2].tolist() == list(range(8))
        # the second pass's word 0 waits from 8 to 11, is silent, and leaves at 12; word 1 issued at 11 is done at 12.
        assert log.done == 13
        seen = self.counted(log)
        assert seen["cycles_overlapped"] == 2
        assert seen["cycles_stall_serialiser"] == 3 + 3
        assert seen["cycles_busy"] == 7
        assert log.done - 7 - 6 + 2 == 2, "cycles 0 and 12 are idle"

    def test_a_slot_in_the_cycle_in_which_exec_gets_done_is_not_overlapped(self) -> None:
        run = linear_run([[1]] * 8, (Pass(1, "fire", threshold=1),), spec(fifo_depth=8), planes=2, clear=False, pooled=True)
        log = self.execute(run, [EOT, *[NOWHERE] * 4, EOT], potentials=[1] * 8)
        # word 1 waits in EXEC from 4 to 7: the slots at 4, 5 and 6 lie in that time, the one at 7 does not.
        assert [cycle for cycle, kind, _ in issued(log) if kind in ("skip", "eot")] == [1, 4, 5, 6, 7, 8]
        assert self.counted(log)["cycles_stall_serialiser"] == 3
        assert self.counted(log)["cycles_overlapped"] == 3

    def test_an_event_behind_a_fire_pass_waits_for_exec(self) -> None:
        passes = (Pass(1, "fire", threshold=1), Pass(2, "fire", threshold=NEVER, timestep=1))
        log = self.execute(linear_run([[1]] * 8, passes, spec(), clear=False), [EOT, event(), EOT], potentials=[1] * 8)
        assert issued(log)[2:5] == [(3, "fire", 1), (7, "acc", 0), (8, "acc", 1)]
        assert flat(log.potentials) == [1] * 8

    # -- R8 -----------------------------------------------------------------------------------------------------------

    def test_a_run_can_end_in_its_last_spike_or_in_an_eot(self) -> None:
        run = linear_run([[1]] * 4, (Pass(1, "fire", threshold=1),), spec(), clear=False)
        assert self.execute(run, [EOT], potentials=[1] * 4).done == 1 + 1 + 1 + 4 + 1
        assert self.execute(linear_run([[1]] * 4, (), spec(), clear=False), [EOT]).done == 2

    def test_closed_form(self, case_kind: str) -> None:
        """Slots add up; with bypass, no spikes, depth >= 2, tokens in time and an operation last, done = S + 2."""
        for case in self.cases(case_kind):
            silent = tuple(replace(p, threshold=1 << 40) for p in case.run.table.passes)
            core = replace(case.run.core, bypass=True, fifo_depth=max(2, case.run.core.fifo_depth))
            run = replace(case.run, core=core, table=replace(case.run.table, passes=silent))
            log = self.execute(run, case.tokens, potentials=case.potentials, currents=case.currents)
            eots = int((case.tokens[:, 0] < 0).sum())
            passes = sum(len([p for p in silent if p.after_eot == n % run.table.planes + 1]) for n in range(eots))
            seen = kinds(log)
            slots = run.words * run.clear + seen.count("acc") + seen.count("skip") + eots + run.words * passes
            assert len(log.issue) == slots == self.counted(log)["cycles_busy"], case.name
            # A word silent in every pass still holds the serialiser for a cycle, so nothing ever waits for it.
            assert seen[-1] == "fire", case.name
            assert log.done == slots + 2, case.name

    # -- R9 -----------------------------------------------------------------------------------------------------------

    def test_spikes_name_their_pass_among_the_fire_passes_since_the_last_eot(self) -> None:
        passes = (Pass(1, "fire", threshold=1), Pass(2, "shift"), Pass(2, "fire", threshold=1, timestep=1),
                  Pass(2, "readout", timestep=1), Pass(2, "fire", threshold=1, timestep=2))
        run = linear_run([[1]], passes, spec(), clear=False)
        assert self.execute(run, [EOT, EOT], potentials=[5]).spikes[:, 1].tolist() == [0, 0, 1]

    def test_passes_that_send_nothing_have_no_number(self) -> None:
        """A mask and a reinitialise pass between two fire passes of one EOT do not move the second one's number."""
        passes = (Pass(1, "fire", 2), Pass(1, "mask"), Pass(1, "reinitialise"), fire(1, 1, flags="fire_once"))
        run = linear_run([[0], [0]], passes, narrow(), clear=False, flagged=True, initial=[1, 1])
        log = self.execute(run, [EOT], potentials=[2, -3], flags=[0, 0])
        assert log.spikes[:, 1:].tolist() == [[0, 0], [1, 0]]
        assert flat(log.flags) == [1, 1]

    def test_a_second_period_starts_the_count_of_eots_again(self) -> None:
        passes = (Pass(2, "fire", threshold=1, timestep=0), Pass(2, "fire", threshold=NEVER, timestep=1))
        run = linear_run([[3]], passes, spec(), weigh_planes=True)
        log = self.execute(run, [EOT, event(), EOT, event(), EOT, EOT])
        assert kinds(log) == ["clear", "eot", "acc", "eot", "fire", "fire", "acc", "eot", "eot", "fire", "fire"]
        assert log.potentials.item() == (2 * 3 - 1) + 3 - 1
        assert log.spikes[:, 1].tolist() == [0, 0]
