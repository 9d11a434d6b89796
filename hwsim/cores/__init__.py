"""Core models: what one kind of core brings, a file or a folder for each kind, and the registry that finds it.

A kind has a DESIGN, the CoreDesign that a YAML file describes, and a MODEL, a CoreModel: what does not fit it, how it runs a
network, what it is made of, how it is named. Both stand in one module, or in `fields` and `model` of a package; then a design
is read without what runs it. To add a kind: write it and add a line to KINDS (docs/recipes.md). A kind is loaded when it is
first named, so unused ones cost nothing. Here beside the kinds: `base`, `buffers` and `parts`, which kinds share, `provision`,
which memories are on, and `model`, what a CoreModel is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hwsim.errors import HwsimError

if TYPE_CHECKING:
    from hwsim.cores.base import CoreDesign

KINDS: dict[str, str] = {
    "event": "hwsim.cores.event",
    "multiply_accumulate": "hwsim.cores.event",
    "dense_bit_serial": "hwsim.cores.dense",
    "systolic": "hwsim.cores.systolic",
    "odin": "hwsim.cores.odin",
}
"""core.kind in a YAML file, and the module or package that knows it."""


class CoreKindError(HwsimError):
    """A kind of core that nobody knows; the text lists those that are known."""


def member_of(kind: object, name: str, module: str) -> Any:
    """DESIGN or MODEL of a kind of core: from its own module, or from `module` of its package. Raises CoreKindError."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise CoreKindError(f"found {kind!r}, allowed {', '.join(map(repr, KINDS))}")
    home = import_module(KINDS[kind])
    return getattr(home if hasattr(home, name) else import_module(f"{KINDS[kind]}.{module}"), name)


def core_design(kind: object) -> type[CoreDesign]:
    """The fields of a core of this kind. Raises CoreKindError."""
    found: type[CoreDesign] = member_of(kind, "DESIGN", "fields")
    return found
