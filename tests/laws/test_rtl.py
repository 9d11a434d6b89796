"""The golden hardware keeps the laws, in Amaranth's simulator; each run is elaborated by itself, so fewer are drawn.

Not here: buffers around the core (A4), which it does not have; what an engine refuses; the chip (C1 to C6); row tiles and flags
first (R25).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")

from hwsim.record import CoreLog
from hwsim.rtl.coverage import uncovered
from hwsim.rtl.machine import run_core
from hwsim.rtl.scan_machine import run_planes
from hwsim.rtl.stimulus import NOT_THE_CORES
from tests.engine.random_runs import RandomRun, random_run
from tests.laws.activity import ActivityLaws
from tests.laws.arithmetic import ArithmeticLaws
from tests.laws.dataflows import DataflowLaws, anything
from tests.laws.flags import FlagLaws
from tests.laws.implementation import CASE_KINDS, Implementation
from tests.laws.order import OrderLaws
from tests.laws.sweeps import SweepLaws
from tests.laws.timing import TimingLaws
from tests.laws.vectors import AnswerLaws, ConservationLaws


class Rtl(Implementation):
    not_counted = frozenset(NOT_THE_CORES)
    thorough = 0.0
    case_kinds = ("conv", "linear_pool", "residual")
    every = 25

    def run(self, *arguments: Any) -> CoreLog:  # type: ignore[override]
        return run_core(*arguments)

    def run_planes(self, *arguments: Any) -> CoreLog:
        return run_planes(*arguments)


@pytest.mark.slow
class TestRtlAnswers(Rtl, AnswerLaws):
    case_kinds = CASE_KINDS
    every = 9


@pytest.mark.slow
class TestRtlAllAnswers(TestRtlAnswers):
    every = 1


@pytest.mark.slow
class TestRtlConservation(Rtl, ConservationLaws): ...


class TestRtlOrder(Rtl, OrderLaws):
    events = 4


@pytest.mark.slow
class TestRtlTiming(Rtl, TimingLaws): ...


@pytest.mark.slow
class TestRtlArithmetic(Rtl, ArithmeticLaws):
    events = 4
    widths = (4, 12, 33)


@pytest.mark.slow
class TestRtlFlags(Rtl, FlagLaws):
    events = 8
    widths = (5, 12, 24, 40)


class TestRtlSweeps(Rtl, SweepLaws): ...
class TestRtlActivity(Rtl, ActivityLaws): ...


class TestRtlDataflows(Rtl, DataflowLaws):
    examples = 1
    every = 31
    wide, deep = 32, 8

    def random(self, seed: int, suits: Callable[[RandomRun], bool] = anything) -> RandomRun:
        """The first from `seed` on that is small, suits the law, and is fed from a bitmap, with all rows of its layer."""
        for each in count(seed):
            drawn = random_run(np.random.default_rng(each))
            case = replace(drawn, run=replace(drawn.run, rows=None)).with_core(buffer="bitmap", mask_first=False)
            if small(case) and suits(case) and not list(uncovered(case.run)):
                return case
        raise AssertionError("seeds end")


@pytest.mark.slow
class TestRtlDataflowsAtLength(TestRtlDataflows):
    examples = 10
    every = 1


def small(case: RandomRun) -> bool:
    """Whether the hardware is simulated in about a second."""
    run = case.run
    events = sum(int(np.count_nonzero(each)) for each in case.planes)
    bits = sum(each.size for each in case.planes)
    return bits <= 100 and run.words * (2 + run.table.planes) <= 60 and events * run.positions <= 300 and run.core.lanes <= 4
