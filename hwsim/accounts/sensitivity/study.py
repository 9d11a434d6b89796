"""`hwsim sensitivity`: comparisons of traces on the machines of hwsim/accounts/ours.yaml, at drawn prices and over designs.

Counts are simulated once; everything else is repricing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hwsim.accounts.ours import Runs, our_data
from hwsim.accounts.sensitivity.bill import Priced
from hwsim.accounts.sensitivity.designs import Shares, alternatives, shares
from hwsim.accounts.sensitivity.draws import drawn, nominal, steps
from hwsim.accounts.sensitivity.flips import Comparison, Finding, found, unranged
from hwsim.accounts.sensitivity.ranges import Held, Ranges
from hwsim.accounts.work import WorkError
from hwsim.activity import SCOPES
from hwsim.errors import HwsimError
from hwsim.result import Result
from hwsim.trace.reader import Trace
from hwsim.trace.twin import ann_in

Progress = Callable[[int, int], None]


class SensitivityError(HwsimError):
    """A comparison that cannot be made; the text says why."""


@dataclass(frozen=True)
class Sensitivity:
    """What was found.

    lacks     comparisons that could not be made: title and reason.
    fixed     prices of the compared machines that no published range is of: what they are of, and the largest share that each
              has of a machine's energy (whole system, nominal prices).
    samples   how many samples of each trace were counted.
    designs   by scope what decides, prices or designs; empty where it was not asked for.
    """

    findings: tuple[Finding, ...]
    lacks: tuple[tuple[str, str], ...]
    designs: tuple[Shares, ...]
    draws: int
    seed: int
    fixed: tuple[tuple[str, float], ...] = ()
    samples: int = 0

    @property
    def verdict(self) -> str:
        """How many orders stand, and which of prices and designs decides more."""
        stand = sum(f.stands for f in self.findings)
        said = f"The order of {stand} of {len(self.findings)} comparisons stands over the published prices (flips in under 5 %)."
        for one in self.designs:
            if one.scope == "system":
                said += (f" Of the system ratio's variance the design decides {100 * one.designs:.0f} %, the prices "
                         f"{100 * one.prices:.0f} %, both together {100 * one.both:.0f} %.")
        return said


def sensitivity(
    trace: str | Path, ann: str | Path | None, others: Sequence[str | Path] = (), *, ranges: Ranges, held: Held, draws: int,
    seed: int, samples: int | None = None, with_designs: bool = True, progress: Progress | None = None,
) -> Sensitivity:
    """A trace against its ANN, and against other spiking traces on the same machines.

    ann            its trace; None: the one in a bit-serial trace, if it is one.
    samples        how many of the first samples of each trace count (None: all that every trace has).
    with_designs   whether the comparison with the ANN is also made over lanes and ports of each dataflow.
    Raises SensitivityError where nothing can be compared, DrawError, what reading traces raises.
    """
    at, alone = nominal(ranges, held), steps(ranges, held)
    prices = drawn(ranges, held, draws, seed)
    with ExitStack() as opened:
        own, *rest = (opened.enter_context(Trace.open(path)) for path in (trace, *others))
        given = None if ann is None else opened.enter_context(Trace.open(ann))
        _check(own, rest, given)
        count = _count([own, *rest, *([] if given is None else [given])], samples)
        rival = ann_in(own, count) if given is None else given
        lacks: list[tuple[str, str]] = []
        findings: list[Finding] = []
        keys: dict[str, float] = {}
        for one in _comparisons(own, rival, rest, count, ranges, lacks):
            findings += found(one, prices, alone, at)
            for side in (one.own, one.rival):
                for name, share in unranged(side, at, ranges).items():
                    keys[name] = max(share, keys.get(name, 0.0))
        if not findings:
            why = "; ".join(f"{title}: {why}" for title, why in lacks) or "give its ANN with --ann, or another trace"
            raise SensitivityError(f"{own.name}: nothing can be compared: {why}")
        split: list[Shares] = []
        if rival is not None and with_designs:
            every = list(alternatives(own, rival, count, ranges.technology, lacks, progress))
            split = [shares(every, prices, at, scope) for scope in SCOPES] if every else []
        fixed = tuple(sorted(keys.items(), key=lambda pair: -pair[1]))
        return Sensitivity(tuple(findings), tuple(lacks), tuple(split), draws, seed, fixed, count)


def _count(traces: list[Trace], samples: int | None) -> int:
    """How many samples are counted: those asked for, or as many as every trace has. Raises SensitivityError."""
    most = min(trace.samples for trace in traces)
    if samples is None:
        return most
    if not 1 <= samples <= most:
        raise SensitivityError(f"samples: found {samples}, allowed are 1 to {most}, as many as every trace has")
    return samples


def _called(trace: Trace) -> str:
    return f"{trace.coding.replace('_', '-')} T = {trace.timesteps}"


def _check(own: Trace, others: list[Trace], ann: Trace | None) -> None:
    for one in (own, *others):
        if one.network.is_ann:
            raise WorkError(f"{one.name}: is a quantised ANN, expected an SNN; give the ANN with --ann, and the SNN first")
    if ann is not None and not ann.network.is_ann:
        raise WorkError(f"{ann.name}: is {ann.coding}, expected a quantised ANN; give the trace of the ANN with --ann")


def _comparisons(
    own: Trace, ann: Trace | None, others: list[Trace], samples: int, ranges: Ranges, lacks: list[tuple[str, str]]
) -> Iterator[Comparison]:
    runs, fixed, seen = Runs(samples), ranges.technology, set[str]()
    for design in our_data().designs.values():
        here = runs.of(own, design.snn, design.fields)
        rivals = [(f"ANN, {design.title}", runs.of(ann, design.ann, design.fields), "ANN")] if ann is not None else []
        if design.snn not in seen:
            rivals += [(f"{_called(one)}, {design.title}", runs.of(one, design.snn, design.fields), _called(one))
                       for one in others]
        seen.add(design.snn)
        for title, there, name in rivals:
            if isinstance(here, Result) and isinstance(there, Result):
                yield Comparison(title, Priced(here, fixed), Priced(there, fixed), "SNN" if name == "ANN" else _called(own), name)
            else:
                lacks.append((title, "; ".join(dict.fromkeys(x for x in (here, there) if isinstance(x, str)))))
