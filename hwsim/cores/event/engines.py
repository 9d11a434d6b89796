"""The engines that run event cores, by name. They load their libraries on first use: importing hwsim stays quick."""

from __future__ import annotations

from hwsim.program import Engine

ENGINES = ("fast", "reference")


def make_engine(name: str) -> Engine:
    """The engine of that name, one of ENGINES; ValueError for another."""
    if name == "fast":
        from hwsim.engine.fast import FastEngine

        return FastEngine()
    if name == "reference":
        from hwsim.engine.reference import ReferenceEngine

        return ReferenceEngine()
    raise ValueError(f"unknown engine {name!r}, allowed are {', '.join(ENGINES)}")
