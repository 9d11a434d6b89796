"""What the reference engine alone refuses of a run by itself, and its words for a sample that lacks something."""

from __future__ import annotations

from typing import Any

import pytest

from hwsim.engine.reference import ReferenceEngine
from hwsim.passes import Pass
from hwsim.program import ProgramError
from hwsim.snn.sample import Sample
from tests.laws.chip import sample_of_two_layers, two_layers
from tests.laws.implementation import Laws
from tests.laws.runs import EOT, linear_run, spec
from tests.laws.test_reference import Reference


class Checked(Reference, Laws):
    """The engine with what laws say of it."""


@pytest.mark.parametrize(("kind", "core", "text"), [
    ("clear", {}, "a clear pass after EOT 1: no such kind of pass; there are fire, .*reinitialise"),
    ("flip", {}, "a flip pass after EOT 1: no such kind"),
    ("fire", {"fifo_depth": 0}, "fifo_depth is 0"),
])
def test_a_run_that_has_no_meaning(kind: Any, core: dict[str, int], text: str) -> None:
    with pytest.raises(ProgramError, match=text):
        Checked().execute(linear_run([[1]], (Pass(1, kind),), spec(**core)), [EOT])


def test_a_recording_that_is_missing_is_named_beside_those_that_are_there() -> None:
    sample = sample_of_two_layers()
    with pytest.raises(ProgramError, match="no recorded outputs of layer 'hidden', found .'b'."):
        ReferenceEngine().run_sample(two_layers(), Sample(sample.inputs, {"b": sample.recorded["hidden"]}), "trace")
