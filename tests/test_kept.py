"""Answers about a design that are kept: found again by what the design holds, and never for another one."""

from __future__ import annotations

import pytest

import hwsim
from hwsim.arch import Architecture
from hwsim.kept import forget, kept


def test_an_answer_is_found_by_what_a_design_holds() -> None:
    asked: list[tuple[str, object]] = []

    @kept
    def answer(arch: Architecture, used: object = None) -> list[int]:
        asked.append((arch.name, used))
        if arch.clock == 1_000_000:
            raise ValueError("too slow")
        return [arch.core.lanes]

    design = hwsim.load_architecture("event_core_16")
    first = answer(design)
    assert answer(design.model_copy()) is first
    assert answer(hwsim.load_architecture("event_core_16")) is first
    assert len(asked) == 1
    assert answer(design.with_core(lanes=8)) == [8]
    assert answer(design, ["weight", "bias"]) is answer(design, {"bias", "weight"}) is not first
    assert len(asked) == 3
    slow = design.model_copy(update={"clock": 1_000_000})
    for _ in range(2):  # errors are not kept
        with pytest.raises(ValueError, match="too slow"):
            answer(slow)
    assert len(asked) == 5
    forget()
    assert answer(design) == first
    assert answer(design) is not first
