"""The papers' arithmetic of an event core; its gates are in logic.py."""

from __future__ import annotations

from hwsim.cores.event.fields import EventDesign
from hwsim.cores.parts import Term, multiplication, shared_terms


def terms(design: EventDesign, payload_bits: int | None) -> dict[str, tuple[Term, ...]]:
    """What each event uses."""
    return shared_terms(design) | multiplication(design, payload_bits)
