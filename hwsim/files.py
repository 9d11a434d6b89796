"""Writing files whole or not at all: the one atomic write of hwsim.

What is new is made beside its target, under a hidden name in the same folder, and put in its place in one step: a file by a
rename, a folder by exchanging the two names, where the system can. So a reader finds the old or the new, never half of one,
also after a kill. Files and their folder are brought to the disk, so it holds after a power cut too. Whatever goes wrong
(KeyboardInterrupt included), what was made is removed, and the old stays. What a killed process left is removed by the next
write to the same target. Only regular files and folders are replaced: no links, devices or pipes. A new file has the permissions
that the umask gives, whatever those of the old one were.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hwsim.errors import HwsimError
from hwsim.leftovers import hidden, remove_leftovers
from hwsim.rename_exchange import exchange


class FileError(OSError, HwsimError):
    """A file or folder that cannot be written; the text names it, why, and what to do. `strerror` is the reason alone."""

    def __init__(self, path: str | Path, why: str, do: str = "make room, or name another place") -> None:
        super().__init__(None, why, str(path))
        self.do = do

    def __str__(self) -> str:
        return f"{self.filename}: cannot be written ({self.strerror}); {self.do}"

    def __reduce__(self) -> tuple[type[FileError], tuple[str, str, str]]:
        return FileError, (self.filename, self.strerror or "", self.do)


class WholeFile:
    """The file that will be at `path`. It is written at `part`; then `put` puts it in its place, or `drop` removes it.

    `whole_file` does all of it for whoever writes in one block.

    spare   where the file that was at `path` is kept, if there was one.
    Raises FileError at once where no file can be: without a folder, in one that may not be written, over what is no regular file.
    """

    def __init__(self, path: str | Path, spare: Path | None = None) -> None:
        self.path, self.spare = Path(path), spare
        _check_regular(self.path)
        _check_folder_of(self.path)
        for name in (self.path, *([self.spare] if self.spare else [])):
            remove_leftovers(name)
        self.part = hidden(self.path)

    def put(self) -> None:
        """Bring `part` to the disk and rename it over `path`. When that fails, `path` is as it was, and `part` is removed."""
        with _removed_unless_done(self.part, self.path):
            _check_regular(self.path)
            _sync(self.part)
            if self.spare is not None and self.path.exists():
                _keep(self.path, self.spare)
            os.replace(self.part, self.path)
            _sync(self.path.parent)

    def drop(self) -> None:
        """Remove what was written so far; `path` stays as it is."""
        _remove(self.part)


@contextmanager
def whole_file(path: str | Path, spare: Path | None = None) -> Iterator[Path]:
    """The file at `path`, whole when the block has ended: the block writes the path that it is given.

    >>> with whole_file("table.csv") as part:        # doctest: +SKIP
    ...     frame.to_csv(part)

    What the block raises goes on; but an OSError about that path, or about none at all (a full disk), becomes a FileError that
    names `path`. Raises FileError, and takes `spare`, as WholeFile does.
    """
    file = WholeFile(path, spare)
    with _removed_unless_done(file.part, file.path):
        yield file.part
    file.put()


def whole_files(texts: Mapping[Path, str]) -> None:
    """Files that belong together, or none of them: each is complete and on the disk before the first takes its place.

    No step replaces several names at once. So the old ones go first, and a kill between leaves names that are missing, never old
    and new ones together. Raises FileError.
    """
    with ExitStack() as stack:
        files = [WholeFile(path) for path in texts]
        for file, text in zip(files, texts.values(), strict=True):
            stack.enter_context(_removed_unless_done(file.part, file.path))
            file.part.write_text(text)
            _sync(file.part)
        for file in files if len(files) > 1 else ():
            file.path.unlink(missing_ok=True)
        for file in files:
            file.put()


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of the folder at `path`, if there is one, when the block has ended.

    Folders above it are made. Where the system cannot exchange two names (hwsim/rename_exchange.py), a reader may find none at
    `path` for a moment, and after a kill in that moment the next write puts the old one back; never half of one.
    What the block raises goes on, as that of `whole_file`. Raises FileError where no folder can be.
    """
    path = Path(path)
    if not path.name:
        raise FileError(path, "it is not named by a name of its own", "name a folder")
    if path.is_symlink():
        raise FileError(path, f"it is a link to {os.readlink(path)}", "name the folder itself")
    if path.exists() and not path.is_dir():
        raise FileError(path, "there is a file of this name", "name a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(path, f"the folder {path.parent} cannot be made: {error.strerror}", "name another place") from None
    _check_folder_of(path)
    remove_leftovers(path)
    made = hidden(path)
    with _removed_unless_done(made, path):
        made.mkdir()
        yield made
        for below in [*made.rglob("*"), made]:
            _sync(below)
        _replace_folder(made, path)
        _sync(path.parent)


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file of a folder of ours to read it. Raises OSError, for a pipe or a device too: they can keep a reader for ever."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(handle, "rb")


def append_lines(path: str | Path, lines: Iterable[bytes]) -> None:
    """Add lines to a file (made with its folders if missing), each in one write, and all on the disk when this returns.

    So lines of several writers never mix, and a kill leaves whole lines and at most one that is cut off, which the next call
    ends before it adds its own. Raises OSError.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _check_regular(path)
    with path.open("ab") as file:
        if file.tell() and not _ends_a_line(path):
            file.write(b"\n")
        for line in lines:
            file.write(line + b"\n")
            file.flush()
        os.fsync(file.fileno())


@contextmanager
def _removed_unless_done(made: Path, path: Path) -> Iterator[None]:
    """Removes `made`, file or folder, when the block raises anything, and tells what the system says of it as of `path`."""
    try:
        yield
    except BaseException as error:
        _remove(made)
        if not isinstance(error, OSError) or isinstance(error, FileError) or not _is_about(error, made, path):
            raise
        raise FileError(path, error.strerror or str(error)) from error


def _is_about(error: OSError, made: Path, path: Path) -> bool:
    """Whether it speaks of what is written, or of no file at all, as the error of a full disk does."""
    if error.filename is None or isinstance(error.filename, int):
        return True
    named = Path(os.fsdecode(error.filename))
    return named in (path, path.parent) or named.is_relative_to(made)


def _remove(made: Path) -> None:
    """Remove a file or folder that may be there; whatever keeps it from going is not what went wrong.

    A disk that refuses once may not refuse twice. What stays is hidden, and the next write to the same target removes it.
    """
    for _ in range(2):
        if made.is_dir() and not made.is_symlink():
            shutil.rmtree(made, ignore_errors=True)
        else:
            with suppress(OSError):
                made.unlink(missing_ok=True)
        if not os.path.lexists(made):
            return


def _check_regular(path: Path) -> None:
    """Raises FileError for a name that something else than a file has."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return  # there is none, or what keeps it from being seen is told where it is written
    if stat.S_ISDIR(mode):
        raise FileError(path, "there is a folder of this name", "name a file")
    if stat.S_ISLNK(mode):
        raise FileError(path, f"it is a link to {os.readlink(path)}", "name the file itself")
    if not stat.S_ISREG(mode):
        raise FileError(path, "it is a device, a pipe or a socket", "name a file")


def _check_folder_of(path: Path) -> None:
    """Raises FileError where nothing can be made in the folder that `path` is to be in."""
    above = path.parent
    if not above.is_dir():
        raise FileError(path, f"{above} is no folder" if above.exists() else f"there is no folder {above}", "make it first")
    if not os.access(above, os.W_OK | os.X_OK):
        raise FileError(path, f"the folder {above} may not be written", "name another place")


def _sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _keep(path: Path, spare: Path) -> None:
    """A second name for the file at `path`, so that at no moment either name is missing."""
    _check_regular(spare)
    part = hidden(spare)
    try:
        try:
            os.link(path, part)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS):
                raise
            shutil.copyfile(path, part)  # a file system without hard links
        os.replace(part, spare)
    finally:
        _remove(part)  # also after a rename: one of a file over itself, as a kill may leave it, does nothing


def _replace_folder(made: Path, path: Path) -> None:
    """Give `made` the name `path`. The folder that was there goes when that is done, and goes back when it fails."""
    if not path.exists():
        os.replace(made, path)
        return
    if exchange(made, path):
        _remove(made)  # what was at `path`
        return
    old = hidden(path, ".old")
    try:
        os.replace(path, old)
        os.replace(made, path)
    except BaseException:
        if old.exists() and not path.exists():
            os.replace(old, path)
        _remove(old)
        raise
    _remove(old)


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
