"""R1 to R4: clears, the FIFO, the words of an event and their order, end-of-timestep marks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.laws.draws import OPERATORS, arithmetic_run
from tests.laws.implementation import CASES, Laws
from tests.laws.neurons import Neurons
from tests.laws.runs import EOT, NOWHERE, event, issued, kinds, linear_run, spec
from tests.laws.vectors import changed


class OrderLaws(Laws):
    events = 12
    """Of a random run, in each plane."""

    # -- R1 -----------------------------------------------------------------------------------------------------------

    def test_a_clear_leaves_foreign_states_alone(self) -> None:
        """Only a direct table's clear touches the current; a tile's run leaves the other tiles' potentials."""
        case = next(c for c in CASES if c.run.clear and not c.run.table.direct and c.run.groups[1] > 1)
        run = replace(case.run, groups=(1, 2), table=replace(case.run.table, passes=()))
        log = self.execute(run, [EOT] * 3, potentials=np.full(run.shape, 3), currents=np.full(run.shape, 4))
        lanes = slice(run.core.lanes, min(2 * run.core.lanes, run.shape[0]))
        np.testing.assert_array_equal(log.potentials[lanes], run.table.initial[lanes])
        assert (np.delete(log.potentials, np.r_[lanes], axis=0) == 3).all()
        assert (log.currents == 4).all()
        assert self.counted(log)["membrane_write_clear"] == run.words
        assert log.done == log.pop[-1] + 1 == run.words + 4, "R8: a run that ends in an EOT is done after its slot"

    def test_a_run_without_a_clear_goes_on(self) -> None:
        run = linear_run([[1], [2]], (), spec(), initial=[5, 6], clear=False, direct=True)
        log = self.execute(run, [event(payload=3), EOT], potentials=[7, 8], currents=[1, -1])
        assert issued(log) == [(1, "acc", 0), (2, "eot", -1)]
        assert (log.potentials.ravel().tolist(), log.currents.ravel().tolist()) == ([7, 8], [4, 5])

    # -- R2 -----------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(("depth", "pushes"), [(1, [0, 3, 6, 8]), (2, [0, 1, 3, 5]), (3, [0, 1, 2, 3])])
    def test_a_freed_slot_is_used_in_the_next_cycle(self, depth: int, pushes: list[int]) -> None:
        run = linear_run([[1]] * 8, (), spec(fifo_depth=depth), clear=False)
        log = self.execute(run, [event(), event(), EOT, EOT])
        assert log.push.tolist() == pushes
        if depth == 3:
            assert log.pop.tolist() == [2, 4, 5, 6]

    def test_gaps_count_from_the_last_push(self) -> None:
        run = linear_run([[1]], (), spec(), clear=False)
        log = self.execute(run, [event(), event(), EOT], gaps=[3, 1, 4])
        assert log.push.tolist() == [2, 3, 7]
        assert log.pop.tolist() == [3, 4, 8]

    def test_every_push_obeys_r2_and_every_pop_its_visibility(self, case_kind: str) -> None:
        for case in self.cases(case_kind):
            rng = np.random.default_rng(case.id)
            n = len(case.tokens)
            gaps = np.where(rng.random(n) < 0.5, 1, rng.integers(1, 8, n))
            earliest = np.where(rng.random(n) < 0.7, 0, rng.integers(0, 1 + case.expect["done"], n))
            depth = int(rng.integers(1, 6))
            log = changed(self, case, gaps, earliest, fifo_depth=depth)
            before = -1
            for k in range(n):
                room = log.pop[k - depth] + 1 if k >= depth else 0
                before = max(before + gaps[k], earliest[k], room)
                assert log.push[k] == before, case.name
                assert log.pop[k] > log.push[k], case.name

    # -- R3, R4 -------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("operator", OPERATORS)
    def test_slots_come_in_the_order_of_the_rules(self, operator: str) -> None:
        """Words of a clear, then of each event by row, column and group, EOTs, and passes over all words."""
        skipped = 0
        for seed in self.draws(12):
            run, tokens = arithmetic_run(seed, 16, operator, self.events)
            model = Neurons(run, *np.zeros((3, *run.shape), np.int64))
            model.execute(tokens)
            assert [(kind, word) for _, kind, word in issued(self.execute(run, tokens))] == model.order, seed
            skipped += ("skip", -1) in model.order
        assert skipped or operator == "linear" or self.thorough < 1

    def test_an_event_is_popped_with_its_last_word_and_one_without_a_word_takes_a_slot(self) -> None:
        run = linear_run([[1]] * 8, (), spec(), clear=False, pooled=True)
        log = self.execute(run, [event(), NOWHERE, event(), EOT])
        assert kinds(log) == ["acc", "acc", "skip", "acc", "acc", "eot"]
        assert log.pop.tolist() == [2, 3, 5, 6]
