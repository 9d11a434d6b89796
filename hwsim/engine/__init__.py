"""Where a cycle is decided: what runs a Program, by the rules of docs/cycle-model.md. `single_run` takes one run by itself.

`reference` (SimPy) has a process for each unit and is made to be read, `fast` (Numba) computes the times of events. They agree
to the cycle and share nothing but the Program. Kinds of cores with engines of their own have them in their folders
(hwsim/cores).

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
