"""The papers' arithmetic of a systolic array; its gates are in logic.py."""

from __future__ import annotations

from hwsim.cores.parts import Term, multiplication, shared_terms
from hwsim.cores.systolic.fields import SystolicDesign


def terms(design: SystolicDesign, payload_bits: int | None) -> dict[str, tuple[Term, ...]]:
    """What each event uses."""
    return shared_terms(design) | multiplication(design, payload_bits)
