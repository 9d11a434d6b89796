"""What the rules leave undefined, and every engine refuses with a text that names it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hwsim.passes import Pass
from hwsim.program import ProgramError
from tests.laws.implementation import Laws
from tests.laws.runs import EOT, fire, linear_run, spec


class RefusalLaws(Laws):
    @pytest.mark.parametrize(("sweep", "table", "text"), [
        (Pass(1, "mask"), {}, "a mask pass.* is not .?flagged"),
        (fire(flags="masked"), {}, "pass.* flags .?'masked'.* is not .?flagged"),
        (fire(flags="fire_once"), {}, "pass.* flags .?'fire_once'.* is not .?flagged"),
        (Pass(1, "requant", threshold=1, flags="masked"), {"flagged": True}, "a requant pass.* only fire passes"),
        (Pass(1, "readout", flags="masked"), {"flagged": True}, "a readout pass.* flags 'masked'.* only fire passes"),
        (Pass(1, "mask", flags="fire_once"), {"flagged": True}, "a mask pass.* flags 'fire_once'.* only fire passes"),
        (Pass(1, "mask", add=True), {"flagged": True}, "a mask pass.* add"),
        (Pass(1, "reinitialise", add=True), {}, "a reinitialise pass.* add"),
        (Pass(1, "shift", add=True), {}, "a shift pass.* add"),
        (Pass(1, "requant", threshold=1, add=True), {}, "a requant pass.* add"),
        (fire(flags="twice"), {"flagged": True}, "flags 'twice'.* allowed are ignore, masked, fire_once"),
        (fire(), {"spike_shift": -1}, "spike_shift is -1"),
    ])
    def test_a_table_that_has_no_meaning(self, sweep: Pass, table: dict[str, Any], text: str) -> None:
        with pytest.raises(ProgramError, match=text):
            self.execute(linear_run([[1]], (sweep,), spec(), **table), [EOT])

    def test_a_run_by_itself_without_weights(self) -> None:
        run = linear_run([[1]], (), spec())
        bare = replace(run, connections=tuple(replace(c, weights=None) for c in run.connections))
        with pytest.raises(ProgramError, match="no weights"):
            self.execute(bare, [EOT])
