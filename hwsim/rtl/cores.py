"""Which core a dataflow takes."""

from __future__ import annotations

from hwsim.rtl.core import HardwareCore
from hwsim.rtl.flow_core import FlowCore
from hwsim.rtl.gather_core import GatherCore
from hwsim.rtl.parameters import Parameters


def core_for(p: Parameters) -> HardwareCore:
    """The core of R1 to R18, or the one that the dataflow of `p` asks for."""
    if p.gathers:
        return GatherCore(p)
    return FlowCore(p) if p.keeps_words else HardwareCore(p)
