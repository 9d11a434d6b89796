"""The mask check and the bank selector of R25 as hardware: every input of small ones, against the rule."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from amaranth.sim import Simulator

from hwsim.rtl.bank_select import BankSelect
from hwsim.rtl.mask_check import MaskCheck

LANES = 2
BITS = range(1 << LANES)


def simulated(unit: Any, process: Any) -> None:
    simulator = Simulator(unit)
    simulator.add_testbench(process)
    simulator.run()


def test_a_word_whose_lanes_are_all_off_is_skipped_and_what_is_being_written_counts() -> None:
    unit = MaskCheck(LANES, 2)

    async def process(ctx: Any) -> None:
        for active, off, written, writes, word, other in product(BITS, BITS, BITS, (0, 1), (0, 1), (0, 1)):
            for port, value in ((unit.active, active), (unit.off, off), (unit.written, written), (unit.writes, writes),
                                (unit.word, word), (unit.written_word, other)):
                ctx.set(port, value)
            on = active & ~(written if writes and word == other else off)
            assert ctx.get(unit.on) == on
            assert ctx.get(unit.skip) == (on == 0)

    simulated(unit, process)


@pytest.mark.parametrize("banks", [1, 3, 4])
def test_banks_without_a_real_channel_of_the_last_group_rest(banks: int) -> None:
    unit = BankSelect(banks)

    async def process(ctx: Any) -> None:
        for group, last, filled, access in product(range(3), range(3), range(banks), (0, 1)):
            for port, value in ((unit.group, group), (unit.last_group, last), (unit.last_banks, filled), (unit.access, access)):
                ctx.set(port, value)
            asked = banks if group != last else filled + 1
            assert ctx.get(unit.enables) == (1 << asked) - 1 if access else ctx.get(unit.enables) == 0

    simulated(unit, process)
