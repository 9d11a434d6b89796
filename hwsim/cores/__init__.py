"""Core models: what one kind of core brings, a folder for each kind, and the registry that finds it.

A folder holds `fields.py` with DESIGN, the CoreDesign that a YAML file describes, and `model.py` with MODEL, a CoreModel:
what does not fit it, how it runs a network, what it is made of, how it is named. To add a kind: write the folder and add a
line to KINDS (docs/recipes.md). Folders are loaded when their kind is first named, so unused ones cost nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from hwsim.errors import HwsimError

if TYPE_CHECKING:
    from hwsim.cores.base import CoreDesign

KINDS: dict[str, str] = {
    "event": "hwsim.cores.event",
    "multiply_accumulate": "hwsim.cores.event",
    "systolic": "hwsim.cores.systolic",
    "odin": "hwsim.cores.odin",
}
"""core.kind in a YAML file, and the package that knows it."""


class CoreKindError(HwsimError):
    """A kind of core that nobody knows; the text lists those that are known."""


def package_of(kind: object) -> str:
    if not isinstance(kind, str) or kind not in KINDS:
        raise CoreKindError(f"found {kind!r}, allowed {', '.join(map(repr, KINDS))}")
    return KINDS[kind]


def core_design(kind: object) -> type[CoreDesign]:
    """The fields of a core of this kind. Raises CoreKindError."""
    found: type[CoreDesign] = import_module(f"{package_of(kind)}.fields").DESIGN
    return found
