"""Copies of the hardware and of the engines, in which a module may be edited; the real modules stay as they are.

The modules of a target are executed again beside the real ones, each after those that it imports. Nothing in the hardware or in
an engine knows of this.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path
from types import CodeType, ModuleType
from typing import Literal

import hwsim
from tests.mutants.edits import Edit, EditError, apply

ROOT = Path(hwsim.__file__).parents[1]
Target = Literal["rtl", "reference", "fast"]
Modules = Mapping[str, ModuleType]
Trees = Mapping[str, ast.Module]

PACKAGES: Mapping[Target, str] = {"rtl": "hwsim.rtl", "reference": "hwsim.engine.reference", "fast": "hwsim.engine.fast"}
# What stands above a core: a copy that held it would not run it.
ABOVE: Mapping[Target, tuple[str, ...]] = {
    "rtl": ("export", "ports", "testbench", "synthesis"), "reference": ("chip",), "fast": ()}


def path_of(name: str) -> Path:
    return ROOT.joinpath(*name.split(".")).with_suffix(".py")


@cache
def source_of(name: str) -> str:
    return path_of(name).read_text(encoding="utf-8")


@cache
def imports_of(name: str) -> frozenset[str]:
    """Modules, or names of modules, that a module imports when it is executed."""
    found: set[str] = set()
    for node in ast.parse(source_of(name)).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(found)


@cache
def copied(target: Target) -> tuple[str, ...]:
    """The modules that a copy consists of, each after those that it imports."""
    folder = path_of(PACKAGES[target]).with_suffix("")
    files = sorted(file.relative_to(folder).with_suffix("") for file in folder.rglob("*.py") if file.stem != "__init__")
    names = [f"{PACKAGES[target]}.{'.'.join(file.parts)}" for file in files if ".".join(file.parts) not in ABOVE[target]]
    return tuple(TopologicalSorter({name: sorted(imports_of(name) & set(names)) for name in names}).static_order())


def edited(target: Target, edits: Iterable[Edit]) -> dict[str, ast.Module]:
    """The modules that change, by full name. EditError unless every edit fits exactly once."""
    trees: dict[str, ast.Module] = {}
    for edit in edits:
        name = f"{PACKAGES[target]}.{edit.module}"
        if name not in copied(target):
            known = ", ".join(sorted(each.removeprefix(f"{PACKAGES[target]}.") for each in copied(target)))
            raise EditError(f"no module {edit.module!r} is copied for {target}; there are {known}")
        if name not in trees:
            trees[name] = ast.parse(source_of(name))
        apply(edit, trees[name], path_of(name).relative_to(ROOT).as_posix())
    return trees


@cache
def _compiled(name: str) -> CodeType:
    return _code(name, ast.parse(source_of(name)))


def _code(name: str, tree: ast.Module) -> CodeType:
    return compile(tree, f"<copy of {name}>", "exec", dont_inherit=True)


def copies(target: Target, trees: Trees | None = None) -> Modules:
    """The modules of `target`, with `trees` in the place of their own.

    Executed again are those from the first edited one on (all if none is): what comes before cannot know of the edit. Kernels
    run compiled as they are unless they are edited.
    """
    return copies_of(copied(target), trees or {})


def copies_of(names: Iterable[str], trees: Trees) -> Modules:
    """The modules `names`, each after those that it imports, with `trees` in the place of their own."""
    listed = [name for name in names if name in trees or ".kernels." not in name]
    first = min((listed.index(name) for name in trees), default=0)
    made = {name: import_module(name) for name in listed[:first]}
    kept = {name: sys.modules.get(name) for name in (*listed, "numba")}
    try:
        # A kernel that is edited runs as the Python it is written in: compiling it would take longer than running it.
        sys.modules["numba"] = _plain_python()
        for name in listed[first:]:
            made[name] = sys.modules[name] = ModuleType(name)
            exec(_code(name, trees[name]) if name in trees else _compiled(name), vars(made[name]))
            _give_copies(made, made[name])
    finally:
        for name, module in kept.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
    return made


def _plain_python() -> ModuleType:
    numba = ModuleType("numba")
    numba.njit = lambda **_: lambda function: function  # type: ignore[attr-defined]
    return numba


def _give_copies(made: Modules, module: ModuleType) -> None:
    """`from hwsim.engine.fast.kernels import timing` reads the package, which knows the real module: put the copy there."""
    for alias, value in vars(module).copy().items():
        if isinstance(value, ModuleType) and value.__name__ in made:
            setattr(module, alias, made[value.__name__])
