"""Code is loaded only from where nobody else can have put it (hwsim/code_folders.py)."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import hwsim.kernel_cache as kernels
from hwsim import code_folders
from hwsim.code_folders import own_temporary_folder, safe_code, user_cache, why_unsafe

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes and owners of POSIX")
OTHER = 54321


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests is another user than the one who owns their files."""
    monkeypatch.setattr(os, "geteuid", lambda: OTHER)


def test_a_folder_of_ones_own_is_safe(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert why_unsafe(tmp_path / "a" / "b") == why_unsafe(tmp_path / "a" / "not" / "there") == ""


@pytest.mark.parametrize("which", ["a", "a/b", "a/b/file.so"])
@pytest.mark.parametrize(("mode", "who"), [(0o777, "everybody"), (0o757, "everybody"), (0o775, "group")])
def test_what_others_may_write_is_not_safe_and_neither_is_what_lies_below(
    which: str, mode: int, who: str, tmp_path: Path
) -> None:
    file = tmp_path / "a" / "b" / "file.so"
    file.parent.mkdir(parents=True)
    file.touch()
    if who == "group":
        try:
            os.chown(tmp_path / which, -1, OTHER)
        except PermissionError:
            pytest.skip("only root may give files to groups that it is not in")
    (tmp_path / which).chmod(mode)
    assert why_unsafe(file).startswith(f"{tmp_path / which} may be written by {who}")
    (tmp_path / which).chmod(0o755)
    assert why_unsafe(file) == ""


def test_the_sticky_bit_protects_what_lies_below_and_not_the_folder_itself(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir(mode=0o700)
    tmp_path.chmod(0o1777)
    assert why_unsafe(tmp_path / "own") == ""
    assert "may be written by everybody" in why_unsafe(tmp_path)
    assert "may be written by everybody" in why_unsafe(tmp_path / "not there")


def test_what_belongs_to_somebody_else_is_not_safe(other: None, tmp_path: Path) -> None:
    if tmp_path.stat().st_uid == 0:
        pytest.skip("what belongs to root is safe for everybody")
    assert f"belongs to user {tmp_path.stat().st_uid}" in why_unsafe(tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root may give files away")
def test_what_belongs_to_somebody_else_is_not_safe_for_root(tmp_path: Path) -> None:
    os.chown(tmp_path, OTHER, -1)
    assert why_unsafe(tmp_path / "x") == f"{tmp_path} belongs to user {OTHER}"


def test_a_link_is_looked_at_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to("open")
    assert "may be written by everybody" in why_unsafe(tmp_path / "link" / "x.so")


# -- a folder among the temporary files -----------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("planted", ["file", "link", "dangling link", "pipe", "open folder", "folder with a file of others"])
def test_what_is_planted_at_its_name_neither_is_used_nor_keeps_hwsim_from_starting(planted: str, place: Path) -> None:
    first = own_temporary_folder("x")
    assert own_temporary_folder("x") == first, "the same next time"
    first.rmdir()
    (place / "elsewhere").mkdir()
    if planted == "file":
        first.write_text("")
    elif "link" in planted:
        first.symlink_to("elsewhere" if planted == "link" else "nowhere")
    elif planted == "pipe":
        os.mkfifo(first)
    else:
        first.mkdir()
        if planted == "open folder":
            first.chmod(0o777)
        elif os.getuid() == 0:
            (first / "planted.so").touch()
            os.chown(first / "planted.so", OTHER, -1)
        else:
            pytest.skip("only root may give files away")
    found = own_temporary_folder("x")
    assert found != first
    assert found.is_dir()
    assert why_unsafe(found) == ""
    assert own_temporary_folder("x") == found, "the same next time"


def test_with_all_names_taken_there_is_still_one(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_folders, "SPARES", 2)
    for name in (f"x-{os.getuid()}", f"x-{os.getuid()}-1"):
        (place / name).touch()
    assert own_temporary_folder("x").is_dir()


# -- who uses it ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("xdg", "home", "expected"), [
    ("/c", "/h", "/c"), ("", "/h", "/h/.cache"), ("relative", "/h", "/h/.cache"), ("", "relative", None)])
def test_the_user_s_cache(xdg: str, home: str, expected: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    monkeypatch.setenv("HOME", home)
    assert user_cache() == (None if expected is None else Path(expected))


@pytest.mark.parametrize("unsafe", ["package", "cache", "named"])
def test_numba_is_pointed_away_from_where_others_can_write(
    unsafe: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, named = tmp_path / "cache", tmp_path / "named"
    named.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(kernels.numba.config, "CACHE_DIR", str(named) if unsafe == "named" else "")
    package = Path(kernels.__file__).parent
    monkeypatch.setattr(kernels, "_writable", lambda folder: folder.is_relative_to(package) is (unsafe == "package"))
    kernels.settle_cache_folder()
    assert kernels.numba.config.CACHE_DIR == (str(named) if unsafe == "named" else ""), "all is safe"
    bad = {"package": package, "cache": cache, "named": named}[unsafe]
    monkeypatch.setattr(kernels, "why_unsafe", lambda path: "others" if path.is_relative_to(bad) else "")
    if unsafe == "named":
        with pytest.warns(UserWarning, match="is not used: others"):
            kernels.settle_cache_folder()
    else:
        kernels.settle_cache_folder()
    assert Path(kernels.numba.config.CACHE_DIR).parent == place
    assert Path(kernels.numba.config.CACHE_DIR) != named


@pytest.mark.parametrize("mode", [0o700, 0o777])
def test_a_process_that_is_started_loads_nothing_that_others_may_have_planted(
    mode: int, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a module in the working folder, nor machine code in a cache folder that everybody can write."""
    cache = tmp_path / "cache"
    (cache / "wasmtime").mkdir(parents=True)
    (cache / "wasmtime").chmod(mode)
    (tmp_path / "planted.py").write_text("open('ran', 'w').close()")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    with safe_code():
        done = subprocess.run([sys.executable, "-m", "planted"], capture_output=True, text=True)
        used = user_cache()
    assert dict(os.environ) == before
    assert "No module named planted" in done.stderr
    assert not (tmp_path / "ran").exists()
    assert used is not None
    assert (used == cache) == (mode == 0o700)
    assert not why_unsafe(used / "wasmtime")


def test_a_planted_library_is_not_loaded(tmp_path: Path) -> None:
    """A shared library that writes a file when it is loaded, in a cache folder that everybody can write."""
    pytest.importorskip("torch")
    program = ("from hwsim.training.native.library import NativeError, built_path, library\n"
               "import os, subprocess, pathlib\n"
               "path = built_path()\npath.parent.mkdir(parents=True)\npath.parent.chmod(0o777)\n"
               "pathlib.Path('x.c').write_text('#include <stdio.h>\\n__attribute__((constructor)) void f(void)"
               " { fclose(fopen(\"ran\", \"w\")); }')\n"
               "subprocess.run(['cc', '-shared', '-fPIC', '-o', path, 'x.c'], check=True)\n"
               "try:\n    library()\nexcept NativeError as error:\n    print(error)\n")
    if subprocess.run(["which", "cc"], capture_output=True).returncode:
        pytest.skip("no C compiler")
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert done.returncode == 0, done.stderr
    assert "may be written by everybody, and code is loaded from there" in done.stdout
    assert not (tmp_path / "ran").exists()
