"""What runs a Program: `fast` (Numba) and `reference` (SimPy), identical to the cycle, sharing nothing but the Program.

Each loads its library on first use, so importing hwsim stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwsim.record import Engine

ENGINES = ("fast", "reference")


def make_engine(name: str) -> Engine:
    """The engine of that name, one of ENGINES; ValueError for another."""
    if name == "fast":
        from hwsim.engine.fast.chip import FastEngine  # loads Numba

        return FastEngine()
    if name == "reference":
        from hwsim.engine.reference import ReferenceEngine  # loads SimPy

        return ReferenceEngine()
    raise ValueError(f"unknown engine {name!r}, allowed are {', '.join(ENGINES)}")
