"""The papers' arithmetic of an ODIN core; its gates are in logic.py."""

from __future__ import annotations

from hwsim.cores.parts import Term

POTENTIAL: tuple[int, ...] = (8,)


def terms() -> dict[str, tuple[Term, ...]]:
    """What each event uses. A leak is a subtraction in the one adder."""
    return {"acc_add": (("add", POTENTIAL),), "leak": (("add", POTENTIAL),), "cmp": (("compare", POTENTIAL),),
            "reset_zero": (("clear", POTENTIAL),)}
