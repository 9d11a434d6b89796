"""Whole processes, several at once, and places that are not there: cold caches, no home that can be written. Slow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from hwsim.trace.synth import synthesise
from tests.conftest import ROOT


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that other users may enter, as those of pytest's are not."""
    folder = Path(tempfile.mkdtemp(prefix="hwsim-test-"))
    folder.chmod(0o755)
    synthesise("tiny", 2, samples=1).save(folder / "t.h5").close()
    (folder / "t.h5").chmod(0o644)
    yield folder
    shutil.rmtree(folder)


def begun(place: Path, given: dict[str, str | None], *code: str, within: Sequence[str] = ()) -> subprocess.Popen[str]:
    """A process in `place` whose environment is changed; None takes a variable away."""
    environment = {name: value for name, value in (os.environ | {"PYTHONPATH": str(ROOT)} | given).items() if value is not None}
    return subprocess.Popen([*within, sys.executable, *code], cwd=place, env=environment, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


NOBODY = 65534
"""A user who owns nothing and whose home, in the password file, does not exist."""
RUN = ("-m", "hwsim", "run", "t.h5", "--arch", "event_core_16", "--json")


@pytest.mark.slow
@pytest.mark.parametrize("home", ["none", "missing", "read-only"])
def test_a_command_runs_without_a_home_that_can_be_written(home: str, place: Path) -> None:
    """Neither can the package's folders be written. For root the command runs as a user who may read all and write nothing:
    root itself would make the missing home, and the password file knows one for it.
    """
    package, temporary = place / "package", place / "tmp"
    for name in ("hwsim", "arch_configs"):
        shutil.copytree(ROOT / name, package / name, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [package, *package.rglob("*")]:
        folder.chmod(0o555)
    temporary.mkdir(mode=0o700)
    if home == "read-only":
        place.chmod(0o555)
    within: list[str] = []
    if os.geteuid() == 0:
        os.chown(temporary, NOBODY, NOBODY)
        reads = "+dac_read_search"  # Python itself may lie in root's home
        within = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                  "--inh-caps", reads, "--ambient-caps", reads, "--"]
    if within and not shutil.which(within[0]):
        pytest.skip("root, without setpriv")
    homes = {"none": None, "missing": str(place / "no"), "read-only": str(place)}
    run = begun(place, {"HOME": homes[home], "XDG_CACHE_HOME": None, "NUMBA_CACHE_DIR": None, "TMPDIR": str(temporary),
                        "PYTHONPATH": str(package)}, *RUN, within=within)
    out, said = run.communicate()
    place.chmod(0o755)
    for folder in [package, *package.rglob("*")]:
        folder.chmod(0o755)
    assert run.returncode == 0, said
    assert '"mismatches": 0' in out
    assert "Traceback" not in said
    assert list(temporary.rglob("*.nbc")), "kernels are kept among the temporary files"


@pytest.mark.slow
def test_cold_caches_of_several_processes_at_once(place: Path) -> None:
    """Numba's kernels of the engine, in one empty folder: each process gives the same numbers, and so does one after them."""
    cache = place / "cache"
    cache.mkdir(mode=0o700)
    runs = [begun(place, {"NUMBA_CACHE_DIR": str(cache)}, *RUN) for _ in range(3)]
    found = [run.communicate() for run in runs]
    found.append(begun(place, {"NUMBA_CACHE_DIR": str(cache)}, *RUN).communicate())
    assert {out for out, _ in found} == {found[0][0]}
    assert '"mismatches": 0' in found[0][0], found[0][1]
    assert list(cache.rglob("*.nbc"))


@pytest.mark.slow
def test_native_kernels_built_by_several_processes_at_once(place: Path) -> None:
    pytest.importorskip("torch")
    if not shutil.which("g++"):
        pytest.skip("no C++ compiler")
    code = "from hwsim.training.native.library import library, built_path; library(); print(built_path())"
    builds = [begun(place, {"XDG_CACHE_HOME": str(place / "cache")}, "-c", code) for _ in range(3)]
    found = [build.communicate() for build in builds]
    assert len({out for out, _ in found}) == 1, found
    built = Path(found[0][0].strip())
    assert [path.name for path in built.parent.iterdir()] == [built.name]
