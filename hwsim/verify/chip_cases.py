"""Chip cases: operation lists by the rules C1, C7 and C8, and small pipelines of which C9 makes the list.

What a file may say is hwsim/verify/chip_fields.py's; here is what an engine answers, and how it is compared. Cycles and bits.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from hwsim.checks.chip import check_list
from hwsim.program import CoreOperation, Listed, Operation, OperationList, ProgramError, Transfer, Wait
from hwsim.schedules.listing import ListError
from hwsim.verify.chip_fields import ListCaseFields, PipelineCaseFields, RunFields, TransferFields
from hwsim.verify.engines import LIST_ENGINES, run_list_of
from hwsim.verify.fields import parse
from hwsim.verify.format import CaseError, Difference, Format, VerifyError, brief, first_difference
from hwsim.verify.pipeline_cases import list_of_case, pipeline_misfits, steps_of_case

Case = ListCaseFields | PipelineCaseFields
KINDS: dict[str, type[Case]] = {"operations": ListCaseFields, "pipelines": PipelineCaseFields}
"""The two lists of a file, and what their entries are."""
ROWS = frozenset({"operations", "busy"})


class ChipCases(Format):
    """docs/formats/vectors.md, "Chip cases"."""

    title = "chip cases"
    engines = tuple(LIST_ENGINES)

    def recognises(self, document: Any) -> bool:
        """An object with a list of operation lists, or of pipelines."""
        return isinstance(document, dict) and not document.keys().isdisjoint(KINDS)

    def entries(self, document: Any) -> list[tuple[str, Any]]:
        """Cases are named `operations.ID` and `pipelines.ID`."""
        if unknown := sorted(document.keys() - KINDS.keys()):
            raise VerifyError(f"{', '.join(unknown)}: unknown key; the format has {' and '.join(KINDS)}, so leave it out")
        found = []
        for kind, entries in document.items():
            if not isinstance(entries, list):
                raise VerifyError(f"{kind}: found {brief(entries)}, expected a list of cases")
            try:
                found += [(f"{kind}.{name}", (kind, entry)) for name, entry in super().entries(entries)]
            except VerifyError as error:
                raise VerifyError(f"{kind}: {error}") from None
        return found

    def read(self, entry: tuple[str, Any]) -> Case:
        kind, raw = entry
        case: Case = parse(KINDS[kind], raw)
        problems = list(case.misfits())
        if isinstance(case, PipelineCaseFields):
            problems += pipeline_misfits(case)
        if not problems:
            problems = _chip_problems(case)
        if problems:
            raise CaseError(problems)
        return case

    def compare(self, case: Case, engine: str) -> Difference | None:
        found = list_answers(case, engine) if isinstance(case, ListCaseFields) else pipeline_answers(case, engine)
        expected = {name: getattr(case.expect, name) for name in found}
        if "busy" in expected:
            expected["busy"] = sorted(map(list, expected["busy"].items()))
        return first_difference(expected, found, ROWS)


def operations_of(case: ListCaseFields) -> tuple[OperationList, list[int]]:
    """The list of a case, and the cycles of what are runs."""
    operations: list[Operation] = []
    for one in case.operations:
        deps = tuple(one.deps)
        if isinstance(one, RunFields):
            operations.append(CoreOperation(id=one.id, deps=deps, layer=0, on=one.core))
        elif isinstance(one, TransferFields):
            operations.append(Transfer(id=one.id, deps=deps, layer=0, source=one.source, targets=tuple(one.targets),
                                       memory="spike", bits=one.bits, once=one.setup))
        else:
            operations.append(Wait(id=one.id, deps=deps, cycles=one.cycles))
    cycles = [one.cycles if isinstance(one, RunFields) else 0 for one in case.operations]
    return OperationList(tuple(case.cores), case.spec(), case.mesh(), tuple(operations)), cycles


def _chip_problems(case: Case) -> list[str]:
    """What keeps the case's list from being executed; of a pipeline, what keeps its chip from being one."""
    try:
        listed: Listed = (operations_of(case)[0] if isinstance(case, ListCaseFields)
                          else OperationList(tuple(case.cores), case.spec(), case.mesh(), ()))
        check_list(listed)
    except ProgramError as error:
        return [line.strip().removeprefix("- ") for line in str(error).splitlines()[1:]]
    return []


def list_answers(case: ListCaseFields, engine: str) -> dict[str, Any]:
    """What an engine says of an operation list, in the words of `expect`."""
    listed, cycles = operations_of(case)
    times = run_list_of(engine)(listed, cycles)
    return {"ready": times.ready.tolist(), "start": times.start.tolist(), "end": times.end.tolist(), **_sums(listed, times)}


def pipeline_answers(case: PipelineCaseFields, engine: str) -> dict[str, Any]:
    """What an engine says of a pipeline: its list with starts and ends, or that there is none."""
    try:
        steps = steps_of_case(case)
    except ListError:
        return {"refused": True}
    listed, cycles = list_of_case(case, steps)
    times = run_list_of(engine)(listed, cycles)
    rows = [[step.kind, step.stage, step.item, step.tile, int(start), int(end)]
            for step, start, end in zip(steps, times.start, times.end, strict=True)]
    return {"refused": False, "operations": rows, **_sums(listed, times)}


def _sums(listed: Listed, times: Any) -> dict[str, Any]:
    """Latency, cycles by resource, and what went over links; setup operations are counted nowhere."""
    busy: Counter[str] = Counter()
    for resources, start, end in zip(times.held, times.start.tolist(), times.end.tolist(), strict=True):
        busy.update(dict.fromkeys(resources, end - start))
    counted = np.array([not op.setup for op in listed.operations])
    return {"latency": int(times.end.max(initial=0)), "busy": sorted([name, spent] for name, spent in busy.items() if spent),
            "link_bits": int(times.link_bits[counted].sum()), "link_hops": int(times.link_hops[counted].sum())}
