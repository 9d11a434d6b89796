"""What differs between two saved runs: settings, numbers, and which of the energy's changes prices made and which counts made."""

from __future__ import annotations

from hwsim.diff.between import Difference, DiffError, difference

__all__ = ["DiffError", "Difference", "difference"]
