"""The house itself: what imports what, and what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hwsim

ROOT = Path(hwsim.__file__).parent
HEAVY = ("numba", "pandas", "matplotlib", "simpy", "torch", "joblib", "h5py", "amaranth")


def imports_of(path: Path) -> set[str]:
    """Modules that a file imports anywhere, functions included, type-checking blocks left out."""
    tree = ast.parse(path.read_text())
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def modules(*parts: str) -> list[Path]:
    place = ROOT.joinpath(*parts)
    return sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]


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
                "cores/event/model.py", "cores/event/runs.py", "cli/rtl.py", "simulation.py", "verify/engines.py"):
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
            assert not any(name.split(".")[0] in ("nir", "spikingjelly", "snntorch") for name in imports_of(path)), path


def test_amaranth_is_fenced() -> None:
    for path in modules():
        if path.relative_to(ROOT).parts[0] != "rtl":
            assert not any(name.split(".")[0] == "amaranth" for name in imports_of(path)), path
        else:
            assert not any(name.startswith("hwsim.engine") for name in imports_of(path)), "the RTL shares nothing with engines"


def imports_for_whatever(path: Path) -> set[str]:
    """Modules of hwsim that a file names in any import, for type checkers as well."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_no_module_imports_itself_around_a_corner() -> None:
    """Not even for type checkers: what two modules both need is a third. A package's own face is not counted as a corner."""
    named = {".".join(("hwsim", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
             for path in modules()}
    imported = {name: {other for other in imports_for_whatever(path) & set(named)
                       if other != name and not name.startswith(f"{other}.")} for name, path in named.items()}
    while free := [name for name, others in imported.items() if not others & set(imported)]:
        for name in free:
            del imported[name]
    assert not imported, f"circles among {sorted(imported)}"


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
