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
        (Pass(1, "mask"), {}, "a mask pass after EOT 1 that uses flags, and the table is not flagged"),
        (fire(flags="masked"), {}, "a fire pass after EOT 1 that uses flags 'masked', and the table is not flagged"),
        (fire(flags="fire_once"), {}, "a fire pass after EOT 1 that uses flags 'fire_once', and the table is not flagged"),
        (Pass(1, "requant", threshold=1, flags="masked"), {"flagged": True}, "a requant pass .* with flags 'masked'; only fire"),
        (Pass(1, "readout", flags="masked"), {"flagged": True}, "a readout pass after EOT 1 with flags 'masked'; only fire"),
        (Pass(1, "mask", flags="fire_once"), {"flagged": True}, "a mask pass after EOT 1 with flags 'fire_once'; only fire"),
        (Pass(1, "mask", add=True), {"flagged": True}, "a mask pass after EOT 1 that adds"),
        (Pass(1, "reinitialise", add=True), {}, "a reinitialise pass after EOT 1 that adds"),
        (Pass(1, "shift", add=True), {}, "a shift pass after EOT 1 that adds"),
        (Pass(1, "requant", threshold=1, add=True), {}, "a requant pass after EOT 1 that adds"),
        (Pass(1, "clear"), {}, "a clear pass after EOT 1 of no known kind; there are fire, .*reinitialise"),  # type: ignore[arg-type]
        (Pass(1, "flip"), {}, "a flip pass after EOT 1 of no known kind"),  # type: ignore[arg-type]
        (fire(flags="twice"), {"flagged": True}, "with flags 'twice', allowed are ignore, masked, fire_once"),
        (fire(), {"spike_shift": -1}, "spike_shift is -1"),
    ])
    def test_a_table_that_has_no_meaning(self, sweep: Pass, table: dict[str, Any], text: str) -> None:
        with pytest.raises(ProgramError, match=text):
            self.execute(linear_run([[1]], (sweep,), spec(), **table), [EOT])

    def test_a_fifo_without_room(self) -> None:
        with pytest.raises(ProgramError, match="fifo_depth is 0"):
            self.execute(linear_run([[1]], (), spec(fifo_depth=0)), [EOT])

    def test_a_run_by_itself_without_weights(self) -> None:
        run = linear_run([[1]], (), spec())
        bare = replace(run, connections=tuple(replace(c, weights=None) for c in run.connections))
        with pytest.raises(ProgramError, match="no weights"):
            self.execute(bare, [EOT])
