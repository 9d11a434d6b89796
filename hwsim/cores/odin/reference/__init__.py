"""The reference engine: SimPy, every unit of the chip a process, one clock cycle after the other."""

from hwsim.cores.odin.reference.chip import OdinReferenceEngine

__all__ = ["OdinReferenceEngine"]
