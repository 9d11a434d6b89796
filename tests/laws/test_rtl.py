"""The golden hardware keeps the laws, in Amaranth's simulator; each run is elaborated by itself, so fewer are drawn.

Not here: buffers around the core (A4), which it does not have; what an engine refuses; the chip (C1 to C6); R19 to R24,
whose hardware is held to vectors and to the reference engine in tests/rtl/test_dataflows.py.
"""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")

from hwsim.record import CoreLog
from hwsim.rtl.machine import run_core
from hwsim.rtl.stimulus import NOT_THE_CORES
from tests.laws.activity import ActivityLaws
from tests.laws.arithmetic import ArithmeticLaws
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


class TestRtlAnswers(Rtl, AnswerLaws):
    case_kinds = CASE_KINDS
    every = 9


@pytest.mark.slow
class TestRtlAllAnswers(TestRtlAnswers):
    every = 1


class TestRtlConservation(Rtl, ConservationLaws): ...


class TestRtlOrder(Rtl, OrderLaws):
    events = 4


class TestRtlTiming(Rtl, TimingLaws): ...


class TestRtlArithmetic(Rtl, ArithmeticLaws):
    events = 4
    widths = (4, 12, 33)


class TestRtlFlags(Rtl, FlagLaws):
    events = 8
    widths = (5, 12, 24, 40)


class TestRtlSweeps(Rtl, SweepLaws): ...
class TestRtlActivity(Rtl, ActivityLaws): ...
