"""What runs a Program: `fast` (Numba) and `reference` (SimPy), identical to the cycle, sharing nothing but the Program."""

from __future__ import annotations

from hwsim.program import Engine

ENGINES = ("fast", "reference")


def make_engine(name: str) -> Engine:
    """The engine of that name, one of ENGINES. Engines load their libraries on first use: importing hwsim stays quick."""
    if name == "fast":
        from hwsim.engine.fast import FastEngine

        return FastEngine()
    if name == "reference":
        from hwsim.engine.reference import ReferenceEngine

        return ReferenceEngine()
    raise ValueError(f"unknown engine {name!r}, allowed are {', '.join(ENGINES)}")
