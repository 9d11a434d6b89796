"""Laws of the one atomic write (hwsim/files.py): old or new and never half, nothing left behind, the umask's permissions."""

from __future__ import annotations

import ast
import errno
import os
import pickle
import resource
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count, groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hwsim
from hwsim import files, leftovers
from hwsim.errors import HwsimError
from hwsim.files import FileError, WholeFile, append_lines, whole_file, whole_files, whole_folder

OLD, NEW = {"result": b"old", "more": b"older"}, {"result": b"new"}
Whole = Callable[[Path], AbstractContextManager[Path]]


class File:
    """A target that is one file."""

    whole: Whole = staticmethod(whole_file)
    usual = 0o666

    @staticmethod
    def fill(place: Path, what: dict[str, bytes]) -> None:
        place.write_bytes(what["result"])

    @staticmethod
    def read(path: Path) -> dict[str, bytes] | None:
        """Whichever of OLD and NEW is there, whole; None for nothing; anything else is half of something."""
        found = path.read_bytes() if path.exists() else None
        return next((known for known in (OLD, NEW) if found == known["result"]), None if found is None else {"half": found})


class Folder(File):
    """A target that is a folder of files."""

    whole = staticmethod(whole_folder)
    usual = 0o777

    @staticmethod
    def fill(place: Path, what: dict[str, bytes]) -> None:
        place.mkdir(exist_ok=True)
        for name, content in what.items():
            (place / name).write_bytes(content)

    @staticmethod
    def read(path: Path) -> dict[str, bytes] | None:
        return {file.name: file.read_bytes() for file in path.iterdir()} if path.exists() else None


@pytest.fixture(params=[True, False], ids=["exchange", "two renames"])
def exchanges(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the system can exchange two names."""
    if not request.param:
        monkeypatch.setattr(files, "exchange", lambda *_: False)
    return bool(request.param)


both = pytest.mark.parametrize("kind", [File, Folder])
STEPS = ("fsync", "replace", "link")


def write(kind: type[File], path: Path, what: dict[str, bytes]) -> None:
    with kind.whole(path) as made:
        kind.fill(made, what)


def watched(monkeypatch: pytest.MonkeyPatch, look: Callable[[str], None]) -> None:
    """Calls `look` with its name before and after every step that changes what a reader can see."""
    for name in STEPS:
        real = getattr(os, name)

        def step(*arguments: Any, name: str = name, real: Callable[..., Any] = real) -> Any:
            look(name)
            try:
                return real(*arguments)
            finally:
                look(name)

        monkeypatch.setattr(os, name, step)
    exchange = files.exchange

    def watched_exchange(*names: Path) -> bool:
        look("replace")
        try:
            return exchange(*names)
        finally:
            look("replace")

    monkeypatch.setattr(files, "exchange", watched_exchange)


# -- old or new ---------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("before", [None, OLD])
def test_a_reader_sees_the_old_or_the_new_never_half(
    kind: type[File], before: dict[str, bytes] | None, exchanges: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "target"
    if before:
        kind.fill(path, before)
    seen: list[dict[str, bytes] | None] = []
    watched(monkeypatch, lambda _: seen.append(kind.read(path)))
    with kind.whole(path) as made:
        assert kind.read(path) == before
        kind.fill(made, NEW)
        assert kind.read(path) == before
    assert kind.read(path) == NEW
    assert NEW in seen
    allowed = [before, NEW] if kind is File or exchanges else [before, None, NEW]
    assert all(one in allowed for one in seen)
    assert [p.name for p in tmp_path.iterdir()] == ["target"]


def test_a_file_is_on_the_disk_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    synced: list[int] = []
    real = os.fsync
    watched(monkeypatch, steps.append)
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), steps.append("fsync"), real(handle)))
    write(File, tmp_path / "target", NEW)
    assert synced == [(tmp_path / "target").stat().st_ino, tmp_path.stat().st_ino], "the file, and then its name"
    assert [name for name, _ in groupby(steps)] == ["fsync", "replace", "fsync"]


def test_a_folder_with_all_that_is_in_it_is_on_the_disk_before_it_is_put_in_its_place(
    exchanges: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(Folder, tmp_path / "target", OLD)
    synced: list[int | str] = []
    real = os.fsync
    watched(monkeypatch, synced.append)
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), real(handle)))
    write(Folder, tmp_path / "target", NEW)
    before, after = synced[: synced.index("replace")], synced[-1]
    assert before == [(tmp_path / "target" / "result").stat().st_ino, (tmp_path / "target").stat().st_ino]
    assert after == tmp_path.stat().st_ino


@both
def test_a_killed_process_leaves_the_old(kind: type[File], tmp_path: Path) -> None:
    """Half of the new is written when the process is killed; a hidden rest may stay, the target is whole."""
    path = tmp_path / "target"
    kind.fill(path, OLD)
    half = "made.write_bytes(b'ne')" if kind is File else "(made / 'result').write_bytes(b'ne')"
    program = (f"import os, signal\nfrom pathlib import Path\nfrom hwsim.files import {kind.whole.__name__} as whole\n"
               f"with whole(Path({str(path)!r})) as made:\n    {half}\n    os.kill(os.getpid(), signal.SIGKILL)\n")
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode < 0
    assert kind.read(path) == OLD
    assert all(p.name.startswith(".") for p in tmp_path.iterdir() if p != path)
    write(kind, path, NEW)
    assert kind.read(path) == NEW


@both
def test_of_two_writers_the_last_one_wins_whole(kind: type[File], tmp_path: Path) -> None:
    path = tmp_path / "target"
    with kind.whole(path) as one:
        kind.fill(one, NEW)
        with kind.whole(path) as other:
            assert other != one
            kind.fill(other, OLD)
        assert kind.read(path) == OLD
    assert kind.read(path) == NEW
    assert [p.name for p in tmp_path.iterdir()] == ["target"]


# -- nothing is left behind ---------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("before", [None, OLD])
@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(1), OSError(28, "No space left on device")])
def test_what_the_block_raises_goes_on_and_all_is_as_before(
    kind: type[File], before: dict[str, bytes] | None, error: BaseException, tmp_path: Path
) -> None:
    path = tmp_path / "target"
    if before:
        kind.fill(path, before)

    def broken() -> None:
        with kind.whole(path) as made:
            kind.fill(made, NEW)
            raise error

    with pytest.raises(type(error)):
        broken()
    assert kind.read(path) == before
    assert [p.name for p in tmp_path.iterdir()] == (["target"] if before else [])


@both
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_step_that_fails_leaves_the_old_or_the_new_and_nothing_else(
    kind: type[File], error: type[BaseException], exchanges: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error just before and just after each step, once; the steps after it, which put the old back, work."""
    path = tmp_path / "target"
    found = []
    moments = count()
    with monkeypatch.context() as patched:
        watched(patched, lambda _: next(moments))
        write(kind, path, NEW)
        write(kind, path, OLD)
        first = next(moments)
        write(kind, path, NEW)
        steps = next(moments) - first - 1
    for moment in range(steps):
        write(kind, path, OLD)
        moments = count()

        def fail(_: str, moment: int = moment, moments: Iterator[int] = moments) -> None:
            if next(moments) == moment:
                raise error

        with monkeypatch.context() as patched:
            watched(patched, fail)
            with pytest.raises(error):
                write(kind, path, NEW)
        found.append(kind.read(path))
        assert [p.name for p in tmp_path.iterdir()] == ["target"], moment
    put = steps - 3  # the last three are after the last rename and around the sync of its folder
    assert found == [OLD] * put + [NEW] * 3, "it is new from the last rename on"


def test_a_removal_that_the_disk_refuses_once_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each file of the old folder in turn: an error while it is removed, once."""
    path, unlink = tmp_path / "target", os.unlink
    for refused in OLD:
        write(Folder, path, OLD)
        calls = count()

        def once(name: Any, *rest: Any, refused: str = refused, calls: Iterator[int] = calls, **more: Any) -> None:
            if os.path.basename(name) == refused and next(calls) == 0:
                raise OSError(errno.EIO, "refused")
            unlink(name, *rest, **more)

        with monkeypatch.context() as patched:
            patched.setattr(os, "unlink", once)
            write(Folder, path, NEW)
        assert next(calls) == 2, "refused once, then removed"
        assert Folder.read(path) == NEW
        assert [p.name for p in tmp_path.iterdir()] == ["target"]


def test_put_and_drop_do_what_the_block_does(tmp_path: Path) -> None:
    path = tmp_path / "target"
    for what, expected in ((NEW, NEW), (OLD, NEW)):
        file = WholeFile(path)
        File.fill(file.part, what)
        if what is NEW:
            file.put()
        else:
            file.drop()
            file.drop()
        assert File.read(path) == expected
    assert [p.name for p in tmp_path.iterdir()] == ["target"]


# -- what a killed process left --------------------------------------------------------------------------------------


def left_by(process: str, ending: str) -> str:
    """The hidden name of a process that was killed, or of one that may live."""
    here = list(leftovers._here())
    pid, start = os.getpid(), leftovers._start(os.getpid())
    if process == "dead":
        pid = int(subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True).stdout)
    elif process == "number taken again":
        start = "1"
    elif process in ("before the machine was started", "another machine", "another container"):
        here[["another machine", "before the machine was started", "another container"].index(process)] = "0" * 8
        pid = 1 << 22
    return f".target.{'-'.join(here)}-{pid}-{start}-{'0' * 12}{ending}"


@both
@pytest.mark.parametrize(("process", "gone"), [
    ("dead", True), ("number taken again", True), ("before the machine was started", True), ("alive", False),
    ("another machine", False), ("another container", False)])
def test_the_next_write_removes_what_a_dead_process_left_and_nothing_of_one_that_may_live(
    kind: type[File], process: str, gone: bool, tmp_path: Path
) -> None:
    left = tmp_path / left_by(process, ".part")
    kind.fill(left, NEW)
    foreign = [tmp_path / ".target.part", tmp_path / ".target.notes", tmp_path / left.name.replace(".target.", ".targets.")]
    for path in foreign:
        path.write_text("of somebody else")
    write(kind, tmp_path / "target", OLD)
    assert left.exists() is not gone
    assert all(path.exists() for path in foreign)


@pytest.mark.parametrize("new", [None, NEW])
def test_a_kill_between_two_renames_loses_nothing(new: dict[str, bytes] | None, tmp_path: Path) -> None:
    """Where names cannot be exchanged the old folder is away for a moment; the next write puts it back, or removes it."""
    path, old = tmp_path / "target", tmp_path / left_by("dead", ".old")
    Folder.fill(old, OLD)
    if new:
        Folder.fill(path, new)
    with pytest.raises(KeyError), whole_folder(path):
        raise KeyError
    assert Folder.read(path) == (new or OLD)
    assert [p.name for p in tmp_path.iterdir()] == ["target"]


# -- only files and folders are replaced ------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["link", "dangling link", "pipe", "device"])
@pytest.mark.parametrize("whole", [whole_file, whole_folder, lambda path: append_lines(path, [b"x"])])
def test_links_devices_and_pipes_are_not_replaced(what: str, whole: Any, tmp_path: Path) -> None:
    path = tmp_path / "target"
    (tmp_path / "precious").write_text("precious")
    if what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path = Path("/dev/null")
    else:
        path.symlink_to(tmp_path / ("precious" if what == "link" else "nothing"))
    before = path.lstat()

    def attempt() -> None:
        with whole(path):
            pytest.fail("nothing may be written")

    with pytest.raises(FileError, match="it is a|there is a file"):
        attempt()
    assert path.lstat() == before
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_link_to_a_folder_is_not_replaced(tmp_path: Path) -> None:
    Folder.fill(tmp_path / "real", OLD)
    (tmp_path / "target").symlink_to("real")
    with pytest.raises(FileError, match="it is a link to real"):
        write(Folder, tmp_path / "target", NEW)
    assert Folder.read(tmp_path / "real") == OLD


# -- several files ----------------------------------------------------------------------------------------------------


def test_of_files_that_belong_together_old_and_new_ones_never_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / name for name in "abc"]

    def look(_: str) -> None:
        there = {path.read_text() for path in paths if path.exists()}
        assert len(there) <= 1, there

    watched(monkeypatch, look)
    for text in ("old", "new"):
        whole_files(dict.fromkeys(paths, text))
        assert [path.read_text() for path in paths] == [text] * 3
    assert len(list(tmp_path.iterdir())) == 3


def test_of_files_that_belong_together_one_that_cannot_be_keeps_all_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").mkdir()
    with pytest.raises(FileError, match="folder of this name"):
        whole_files({tmp_path / "a": "new", tmp_path / "b": "new"})
    with pytest.raises(UnicodeEncodeError):
        whole_files({tmp_path / "a": "new", tmp_path / "c": "\ud800"})
    assert (tmp_path / "a").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


# -- permissions --------------------------------------------------------------------------------------------------


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@both
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o027, 0o077])
def test_permissions_are_those_of_the_umask(kind: type[File], mask: int, tmp_path: Path) -> None:
    path = tmp_path / "target"
    for _ in ("new", "replaced"):
        with umask(mask):
            write(kind, path, NEW)
        assert stat.S_IMODE(path.stat().st_mode) == kind.usual & ~mask
        path.chmod(0o700)


# -- the file that was there --------------------------------------------------------------------------------------


@pytest.mark.parametrize("links", [True, False])
def test_the_spare_is_the_one_before_and_neither_is_ever_missing(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, spare = tmp_path / "target", tmp_path / "spare"
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError()))
    seen: list[tuple[bool, bool]] = []
    watched(monkeypatch, lambda _: seen.append((path.exists(), spare.exists())))
    for number in range(4):
        seen.clear()
        with whole_file(path, spare) as part:
            part.write_text(str(number))
        assert path.read_text() == str(number)
        assert number == 0 or spare.read_text() == str(number - 1)
        assert number < 1 or all(here for here, _ in seen)
        assert number < 2 or all(kept for _, kept in seen)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["spare", "target"]


def test_a_spare_that_a_kill_left_as_a_second_name_of_the_file_is_taken(tmp_path: Path) -> None:
    path, spare = tmp_path / "target", tmp_path / "spare"
    path.write_text("old")
    os.link(path, spare)
    with whole_file(path, spare) as part:
        part.write_text("new")
    assert (path.read_text(), spare.read_text()) == ("new", "old")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["spare", "target"]


# -- what cannot be written is told -------------------------------------------------------------------------------


@pytest.mark.parametrize(("whole", "target", "why"), [
    (whole_file, "no/target", "there is no folder"), (WholeFile, "no/target", "there is no folder"),
    (whole_file, "folder", "there is a folder of this name"), (WholeFile, "folder", "there is a folder of this name"),
    (whole_file, "file/target", "is no folder"), (whole_folder, "file/target", "cannot be made"),
    (whole_folder, "file", "there is a file of this name"),
])
def test_a_target_that_cannot_be_is_refused_before_anything_is_written(
    whole: Any, target: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("precious")
    before = sorted(tmp_path.rglob("*"))

    def attempt() -> None:
        with whole(tmp_path / target):
            pytest.fail("nothing may be written")

    with pytest.raises(FileError) as told:
        attempt() if whole is not WholeFile else WholeFile(tmp_path / target)
    assert isinstance(told.value, HwsimError)
    assert str(told.value).startswith(f"{tmp_path / target}: cannot be written (")
    assert why in str(told.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "precious"


@both
def test_a_folder_that_may_not_be_written_is_told(kind: type[File], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may be allowed everything, so the system's answer is given for it."""
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(FileError, match=f"the folder {tmp_path} may not be written"):
        write(kind, tmp_path / "target", NEW)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", [Path("."), Path("/")])
def test_a_folder_without_a_name_is_refused(path: Path) -> None:
    with pytest.raises(FileError, match="name a folder"), whole_folder(path):
        pytest.fail("nothing may be written")


@both
def test_a_full_disk_is_told_with_the_target(kind: type[File], tmp_path: Path) -> None:
    """The system's error names no file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3, hard))
    try:
        with pytest.raises(FileError, match="File too large") as told:
            write(kind, tmp_path / "target", {"result": b"four"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(told.value).startswith(f"{tmp_path / 'target'}: cannot be written (")
    assert not list(tmp_path.iterdir())


@both
def test_an_error_about_another_file_goes_on_as_it_is(kind: type[File], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as told, kind.whole(tmp_path / "target"):
        (tmp_path / "elsewhere").read_bytes()
    assert told.value.filename == str(tmp_path / "elsewhere")
    assert not list(tmp_path.iterdir())


@both
def test_a_block_that_writes_nothing_makes_no_file(kind: type[File], tmp_path: Path) -> None:
    if kind is Folder:
        write(kind, tmp_path / "target", {})
        assert kind.read(tmp_path / "target") == {}
        return
    with pytest.raises(FileError, match="No such file"), whole_file(tmp_path / "target"):
        pass
    assert not list(tmp_path.iterdir())


def test_the_error_travels_between_processes() -> None:
    error = FileError("a/b", "no reason", "do nothing")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "a/b: cannot be written (no reason); do nothing"
    assert (again.filename, again.strerror) == ("a/b", "no reason")


# -- lines --------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary().map(lambda line: line.replace(b"\n", b"")), max_size=5), st.integers(0, 200),
       st.lists(st.binary().map(lambda line: line.replace(b"\n", b"")), min_size=1, max_size=3))
def test_lines_follow_whatever_a_kill_left(tmp_path: Path, before: list[bytes], cut: int, more: list[bytes]) -> None:
    """What was there stays, a line that was cut off is a line of its own, and the new ones are whole."""
    path = tmp_path / "new" / "rows"
    path.unlink(missing_ok=True)
    append_lines(path, before)
    left = path.read_bytes()[: cut % (path.stat().st_size + 1)]
    path.write_bytes(left)
    append_lines(path, more)
    assert path.read_bytes() == left + (b"\n" if left and not left.endswith(b"\n") else b"") + b"".join(
        line + b"\n" for line in more)


# -- the house ----------------------------------------------------------------------------------------------------

REPLACES = {"replace", "rename", "renames", "fsync", "mkstemp", "mkdtemp", "NamedTemporaryFile", "TemporaryFile"}
OTHERS = {
    "leftovers.py": {"replace"},  # a part of files.py
    "code_folders.py": {"mkdtemp"},  # a folder for compiled code
}
"""Modules besides files.py that call one of REPLACES, and which."""


def test_nothing_else_in_hwsim_writes_files_by_its_own_rules() -> None:
    """No other module renames, syncs or makes temporary files: `os.NAME` or `tempfile.NAME`."""
    root = Path(hwsim.__file__).parent
    found: dict[str, set[str]] = {}
    for path in root.rglob("*.py"):
        calls = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
                 and isinstance(node.value, ast.Name) and node.value.id in ("os", "tempfile") and node.attr in REPLACES}
        if calls:
            found[path.relative_to(root).as_posix()] = calls
    assert found.pop("files.py") == {"replace", "fsync"}
    assert found == OTHERS
