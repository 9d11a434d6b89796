"""Both engines by name; each loads when it is first asked for."""

from __future__ import annotations

from hwsim.cores.odin.errors import OdinError
from hwsim.cores.odin.record import OdinEngine

NAMES = ("fast", "reference")


def engine_named(name: str) -> OdinEngine:
    """The engine `fast` or `reference`. Raises OdinError for any other name."""
    if name == "fast":
        from hwsim.cores.odin.fast import OdinFastEngine  # loads Numba

        return OdinFastEngine()
    if name == "reference":
        from hwsim.cores.odin.reference import OdinReferenceEngine  # loads SimPy

        return OdinReferenceEngine()
    raise OdinError(f"engine: found {name!r}, expected one of {', '.join(NAMES)}")
