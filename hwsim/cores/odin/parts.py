"""What an ODIN core is made of and what an event uses, as far as price tables have it; names are units of activity.VOCABULARY.

Not here, because no table has a price of it: the controller, the latches of both links, the SPI bus, and the parts of the real
chip for learning and Izhikevich neurons (docs/assumptions.md, "ODIN").
"""

from __future__ import annotations

from hwsim.cores.odin.fields import OdinDesign
from hwsim.cores.parts import Part, Term

POTENTIAL: tuple[int, ...] = (8,)
ENTRY: tuple[int, ...] = (13,)  # 5 bits of a virtual event, 8 of an address
ADDRESS: tuple[int, ...] = (8,)


def parts(design: OdinDesign) -> list[Part]:
    """One adder, one comparator, one reset for all neurons; the scheduler's entries; the output's address."""
    return [
        Part("accumulator", 1, (("add", POTENTIAL),)),
        Part("comparator", 1, (("compare", POTENTIAL),)),
        Part("reset", 1, (("clear", POTENTIAL),)),
        Part("fifo", design.core.scheduler.depth, (("register", ENTRY),)),
        Part("serialiser", 1, (("register", ADDRESS),)),
    ]


def terms() -> dict[str, tuple[Term, ...]]:
    """What each event uses. A leak is a subtraction in the one adder."""
    return {
        "acc_add": (("add", POTENTIAL),), "leak": (("add", POTENTIAL),), "cmp": (("compare", POTENTIAL),),
        "reset_zero": (("clear", POTENTIAL),), "fifo_push": (("register", ENTRY),), "fifo_pop": (("register", ENTRY),),
        "spike_out": (("register", ADDRESS),),
    }
