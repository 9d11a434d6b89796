"""The 225 published core cases (tests/data/core_cases.json.gz): their answers, and what every one of them must conserve."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.record import CoreLog
from hwsim.verify.core_cases import CoreCase
from tests.laws.implementation import CASE_KINDS, CASES, Implementation, Laws
from tests.laws.runs import kinds


def changed(
    on: Implementation, case: CoreCase, gaps: NDArray[np.int64], earliest: NDArray[np.int64], **core: Any
) -> CoreLog:
    """A case with other arrivals, on a core that differs."""
    run = replace(case.run, core=replace(case.run.core, **core))
    return on.run(run, case.tokens, gaps, earliest, case.potentials.copy(), case.currents.copy())


class AnswerLaws(Laws):
    def test_the_file_holds_five_cases_of_each_kind_and_coding(self) -> None:
        assert len(CASES) == 225
        assert len(CASE_KINDS) == 9
        assert all(sum(case.kind == kind for case in CASES) == 25 for kind in CASE_KINDS)

    def test_answers(self, case_kind: str) -> None:
        """Every push, pop, issue, spike and count, `done`, and the final potentials."""
        for case in self.cases(case_kind):
            found = case.difference(self.run(*case.arguments))
            assert found is None, f"{case.name}: {found}"


class ConservationLaws(Laws):
    def test_tokens_slots_and_cycles_are_conserved(self, case_kind: str) -> None:
        for case in self.cases(case_kind):
            log = self.run(*case.arguments)
            seen = self.counted(log)
            assert seen["fifo_push"] == seen["fifo_pop"] == len(case.tokens), case.name
            assert seen["cycles_busy"] == len(log.issue), case.name
            assert seen.get("spike_out", 0) == len(log.spikes), case.name
            assert "buffer_write" in self.not_counted or seen.get("buffer_write", 0) == len(log.spikes), case.name
            stalls = seen.get("cycles_stall_hazard", 0) + seen.get("cycles_stall_serialiser", 0)
            assert log.done - len(log.issue) - stalls + seen.get("cycles_overlapped", 0) >= 0, case.name
            for cycles in (log.issue[:, 0], log.push, log.pop, log.spikes[:, 0]):
                assert (np.diff(cycles) >= 1).all(), f"{case.name}: a unit does one thing a cycle"
            assert seen["addr_gen"] == sum(kind not in ("eot", "skip") for kind in kinds(log)), case.name

    def test_groups_can_be_run_one_after_the_other(self, case_kind: str) -> None:
        """Tiles of a layer give the spikes, potentials and synapses of the whole layer."""
        for case in self.cases(case_kind):
            whole = self.run(*case.arguments)
            potentials, currents, spikes, adds = case.potentials, case.currents, list[int](), 0
            for group in range(case.run.group_count):
                run = replace(case.run, groups=(group, group + 1))
                log = self.run(run, case.tokens, case.gaps, case.earliest, potentials, currents)
                potentials, currents = log.potentials, log.currents
                spikes += log.spikes[:, 2].tolist()
                adds += self.counted(log).get("acc_add", 0)
            np.testing.assert_array_equal(potentials, whole.potentials, err_msg=case.name)
            np.testing.assert_array_equal(currents, whole.currents, err_msg=case.name)
            assert sorted(spikes) == sorted(whole.spikes[:, 2].tolist()), case.name
            assert adds == self.counted(whole).get("acc_add", 0), case.name
