"""The house itself: what imports what, how large its rooms are, and what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import hwsim

ROOT = Path(hwsim.__file__).parent
HEAVY = ("numba", "pandas", "matplotlib", "simpy", "torch", "h5py", "amaranth", "scipy")
LIBRARIES = {*HEAVY, "rich", "PIL", "nir", "onnx", "tonic", "jinja2", "markdown_it", "distributed"}
"""Libraries that may be imported where they are used: loading one takes longer than all of hwsim, or it is an extra."""
ON_USE = {("cli.run", name) for name in ("timeline.write", "shards", "stream")}
"""(who, what): modules that a start of `hwsim run` does without; with what they load they are 17 files and multiprocessing."""

FLOORS = (
    ("errors", "units", "fields", "files", "leftovers", "rename_exchange", "yaml_file", "activity", "passes", "links",
     "code_folders", "kernel_cache", "versions", "kept"),
    ("snn",),
    ("trace",),
    ("operations", "program"),
    ("record", "chip.network"),
    ("checks",),
    ("engine",),
    ("cores", "cores.base", "cores.buffers", "cores.parts", "cores.provision"),
    ("arch_changes", "arch_mistakes", "arch_network"),
    ("arch", "arch_schema"),
    ("mapping",),
    ("schedules",),
    ("cores.model",),
    ("chip",),
    ("cores.event", "cores.dense", "cores.odin", "cores.systolic"),
    ("cost",),
    ("task",),
    ("counted",),
    ("result_file", "result_card"),
    ("result",),
    ("result_reader",),
    ("baseline",),
    ("simulation",),
    ("timeline",),
    ("examples", "study", "compare", "rivals", "stream", "shards", "accounts"),
    ("sweep",),
    ("view",),
    ("diff",),
    ("report",),
    ("capture", "sources", "rtl"),
    ("convert",),
    ("training", "one_call"),
    ("cli",),
    ("verify", "__main__"),
)
"""Rooms from the ground up. A room may import from those below it, and within itself."""

LARGEST_SHARE = 0.15
"""Of the lines of hwsim, that one room may have: more, and it is two rooms."""


@dataclass(frozen=True)
class Import:
    """`line` of module `by` imports `name`; `local`: inside a function; `typing`: for type checkers only; `reason`: a comment."""

    by: str
    name: str
    line: int
    local: bool
    typing: bool
    reason: bool


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree() -> dict[str, Path]:
    """Every module by its name below hwsim; "" is the package itself."""
    return {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


@cache
def imports() -> tuple[Import, ...]:
    """All imports of all modules. A name is a module of hwsim (without "hwsim."), or a library."""
    return tuple(found for name, path in tree().items() for found in _imports(name, path))


def _imports(by: str, path: Path) -> Iterator[Import]:
    text = path.read_text()
    lines = text.splitlines()

    def visit(node: ast.AST, local: bool, typing: bool) -> Iterator[Import]:
        explained = False
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                above = lines[child.lineno - 2].strip() if child.lineno > 1 else ""
                explained = explained or above.startswith("#") or "#" in lines[child.end_lineno - 1]
                for name in _names(child):
                    yield Import(by, name, child.lineno, local, typing, explained)
            elif isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
                yield from visit(child, local, True)
            else:
                explained = False
                yield from visit(child, local or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda), typing)

    yield from visit(ast.parse(text), False, False)


def _names(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    module = node.module or ""
    if module.split(".")[0] != "hwsim":
        return [module]
    inside = module.removeprefix("hwsim").removeprefix(".")
    below = [f"{inside}.{alias.name}".removeprefix(".") for alias in node.names]
    return sorted({name if name in tree() else inside for name in below})


def floor(module: str) -> int:
    """The floor that a module stands on: that of the longest name in FLOORS which it begins with."""
    places = {name: n for n, names in enumerate(FLOORS) for name in names}
    parts = module.split(".")
    known = [".".join(parts[:end]) for end in range(len(parts), 0, -1) if ".".join(parts[:end]) in places]
    assert known, f"hwsim/{module.replace('.', '/')} stands on no floor: add its room to FLOORS"
    return places[known[0]]


def room(module: str) -> str:
    """A folder of hwsim with what is below it; the engines and the core models are rooms of their own."""
    parts = module.split(".")
    deep = parts[0] in ("engine", "cores") and len(parts) > 1 and ROOT.joinpath(*parts[:2]).is_dir()
    return "/".join(parts[: 1 + deep])


def imports_of(path: Path) -> set[str]:
    """Modules that a file imports anywhere, functions included, type-checking blocks left out; hwsim's with their package."""
    return imported_by()[module_name(path)]


@cache
def imported_by() -> dict[str, set[str]]:
    """What `imports_of` gives, by module."""
    found: dict[str, set[str]] = {name: set() for name in tree()}
    for i in imports():
        if not i.typing:
            found[i.by].add(f"hwsim.{i.name}" if i.name in tree() else i.name)
    return found


def modules(*parts: str) -> list[Path]:
    place = ROOT.joinpath(*parts)
    return sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]


def test_no_arrow_points_upward() -> None:
    """Type-checking imports are arrows too: who reads a module must read what it names."""
    wrong = [f"hwsim.{i.by}:{i.line} imports hwsim.{i.name}, which stands above it" for i in imports()
             if i.by and i.name in tree() and i.name and floor(i.name) > floor(i.by)]
    assert not wrong, "\n".join(wrong)


def test_there_is_no_circle() -> None:
    """Nor one that only type checkers walk. The package's own list of public names is left out."""
    arrows: dict[str, set[str]] = {name: set() for name in tree() if name}
    for i in imports():
        if i.by and i.name in arrows and i.name != i.by:
            arrows[i.by].add(i.name)
    # What imports nothing any more, and what nothing imports any more, is on no circle.
    while free := {n for n, to in arrows.items() if not to} | (set(arrows) - set().union(*arrows.values())):
        arrows = {name: targets - free for name, targets in arrows.items() if name not in free}
    assert not arrows, f"circles among these: {sorted(arrows)}"


def test_no_room_is_too_large() -> None:
    lines: Counter[str] = Counter()
    for path in (p for pattern in ("*.py", "*.cpp", "*.v") for p in ROOT.rglob(pattern)):
        name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        lines[room(name)] += len(path.read_text().splitlines())
    largest, size = lines.most_common(1)[0]
    assert size <= LARGEST_SHARE * lines.total(), f"hwsim/{largest} has {size} of {lines.total()} lines"


@cache
def loads(module: str) -> frozenset[str]:
    """Libraries of LIBRARIES that importing a module of hwsim loads."""
    return frozenset(one.split(".")[0] for one in everything_below(module) if one.split(".")[0] in LIBRARIES)


@cache
def everything_below(module: str) -> frozenset[str]:
    """All that importing a module of hwsim imports, names of hwsim without the package."""
    found: set[str] = set()
    seen, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        seen.add(name)
        below = {i.name for i in imports() if i.by == name and not i.local and not i.typing}
        below |= {".".join(name.split(".")[:end]) for end in range(1, name.count(".") + 1)}
        found |= below
        waiting += [one for one in below if one in tree() and one not in seen]
    return frozenset(found)


def test_what_is_loaded_on_use_is_not_loaded_at_the_start() -> None:
    for who, what in ON_USE:
        assert what not in everything_below(who)
        assert not {"study", "timeline"} & {name.partition(".")[0] for name in everything_below(who)}


def test_imports_in_functions_are_of_what_is_expensive_to_load_and_say_so() -> None:
    """A library of LIBRARIES says it by its name; a module that loads one needs a comment, on its line or above its block."""
    wrong = []
    for i in imports():
        if not i.local or i.typing or i.name.split(".")[0] in LIBRARIES:
            continue
        place = f"hwsim/{i.by.replace('.', '/')} line {i.line} imports {i.name}"
        if (i.by, i.name) not in ON_USE and (i.name not in tree() or not loads(i.name) - loads(i.by)):
            wrong.append(f"{place}, which costs little: import it at the top")
        elif not i.reason:
            wrong.append(f"{place}, which loads {', '.join(sorted(loads(i.name)))}: say why here in a comment")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("heavy", HEAVY)
def test_importing_hwsim_and_its_command_line_loads_nothing_heavy(heavy: str) -> None:
    code = f"import sys, hwsim, hwsim.cli; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_engines_share_nothing_but_the_program() -> None:
    fast, reference = modules("engine", "fast"), modules("engine", "reference")
    assert fast
    assert reference
    for path in fast:
        assert not any(name.startswith("hwsim.engine.reference") for name in imports_of(path)), path
    for path in reference:
        assert not any(name.startswith("hwsim.engine.fast") for name in imports_of(path)), path
        assert "numba" not in imports_of(path)


def test_engines_know_neither_prices_nor_schedules() -> None:
    for path in modules("engine"):
        for name in imports_of(path):
            assert not name.startswith(("hwsim.cost", "hwsim.schedules", "hwsim.mapping", "hwsim.arch", "hwsim.result"))


def test_only_the_core_that_they_run_and_what_holds_them_to_answers_know_engines() -> None:
    for path in modules():
        relative = path.relative_to(ROOT)
        if relative.parts[0] == "engine" or relative.as_posix() in (
                "cores/dense/model.py", "cores/event/model.py", "cores/event/runs.py", "cores/systolic/replay.py", "cli/rtl.py",
                "simulation.py", "verify/engines.py"):
            continue
        assert not any(name.startswith("hwsim.engine") for name in imports_of(path)), relative


def test_networks_know_nothing_of_hardware() -> None:
    for path in modules("snn"):
        for name in imports_of(path):
            assert not name.startswith(("hwsim.arch", "hwsim.engine", "hwsim.cost.energy", "hwsim.mapping", "hwsim.schedules"))


def test_torch_is_fenced() -> None:
    for path in modules():
        if path.relative_to(ROOT).parts[0] not in ("capture", "sources", "convert", "training"):
            assert not any(name.split(".")[0] == "torch" for name in imports_of(path)), path


def test_other_peoples_tools_come_in_through_capture_and_nowhere_else() -> None:
    for path in modules():
        if path.relative_to(ROOT).parts[0] != "capture":
            tools = {"nir", "onnx", "spikingjelly", "snntorch", "tonic"}
            assert not any(name.split(".")[0] in tools for name in imports_of(path)), path


def test_amaranth_is_fenced() -> None:
    for path in modules():
        if path.relative_to(ROOT).parts[0] != "rtl":
            assert not any(name.split(".")[0] == "amaranth" for name in imports_of(path)), path
        else:
            assert not any(name.startswith("hwsim.engine") for name in imports_of(path)), "the RTL shares nothing with engines"


def test_public_names_exist() -> None:
    for name in hwsim.__all__:
        assert getattr(hwsim, name) is not None
    assert callable(hwsim.simulate)
    assert callable(hwsim.simulate), "a second look must find the function again"
    with pytest.raises(AttributeError):
        _ = hwsim.no_such_name


def test_every_module_opens_with_its_paragraph() -> None:
    for path in modules():
        assert ast.get_docstring(ast.parse(path.read_text())), path
