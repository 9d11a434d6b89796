"""Writing files whole or not at all: the one atomic write of hwsim.

What is new is made beside its target, under a hidden name in the same folder, and renamed over the target in one step. So a
reader finds the old file or the new one, never half of one, also after a kill; a file is brought to the disk first, so also after
a power cut. Whatever goes wrong on the way (KeyboardInterrupt included), what was made is removed, and the old file stays. A new
file has the permissions that the umask gives, whatever those of the old one were. A link at the target is replaced, not followed.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hwsim.errors import HwsimError


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
    Raises FileError at once where no file can be: without a folder, in one that may not be written, over a folder.
    """

    def __init__(self, path: str | Path, spare: Path | None = None) -> None:
        self.path, self.spare = Path(path), spare
        if self.path.is_dir():
            raise FileError(self.path, "there is a folder of this name", "name a file")
        _check_folder_of(self.path)
        self.part = _beside(self.path)

    def put(self) -> None:
        """Bring `part` to the disk and rename it over `path`. When that fails, `path` is as it was, and `part` is removed."""
        with _removed_unless_done(self.part, self.path):
            with self.part.open("r+b") as file:
                os.fsync(file.fileno())
            if self.spare is not None and self.path.exists():
                _keep(self.path, self.spare)
            os.replace(self.part, self.path)

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


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of the folder at `path`, if there is one, when the block has ended.

    Folders above it are made. A folder cannot be renamed over another, so a reader may find none at `path` for a moment, but
    never half of one. The files in it are not brought to the disk one by one: hashes tell what a power cut left of them.
    What the block raises goes on, as that of `whole_file`. Raises FileError where no folder can be.
    """
    path = Path(path)
    if not path.name:
        raise FileError(path, "it is not named by a name of its own", "name a folder")
    if path.exists() and not path.is_dir():
        raise FileError(path, "there is a file of this name", "name a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(path, f"the folder {path.parent} cannot be made: {error.strerror}", "name another place") from None
    _check_folder_of(path)
    made = _beside(path)
    with _removed_unless_done(made, path):
        made.mkdir()
        yield made
        _replace_folder(made, path)


def append_lines(path: str | Path, lines: Iterable[bytes]) -> None:
    """Add lines to a file (made with its folders if missing), each in one write, and all on the disk when this returns.

    So lines of several writers never mix, and a kill leaves whole lines and at most one that is cut off, which the next call
    ends before it adds its own. Raises OSError.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
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
    return named == path or named.is_relative_to(made)


def _remove(made: Path) -> None:
    """Remove a file or folder that may be there; whatever keeps it from going is not what went wrong."""
    if made.is_dir():
        shutil.rmtree(made, ignore_errors=True)
        return
    try:
        made.unlink(missing_ok=True)
    except OSError:
        pass


def _beside(path: Path) -> Path:
    """A hidden name in the same folder, so that a rename is all that is left to do."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.part")


def _check_folder_of(path: Path) -> None:
    """Raises FileError where nothing can be made in the folder that `path` is to be in."""
    above = path.parent
    if not above.is_dir():
        raise FileError(path, f"{above} is no folder" if above.exists() else f"there is no folder {above}", "make it first")
    if not os.access(above, os.W_OK | os.X_OK):
        raise FileError(path, f"the folder {above} may not be written", "name another place")


def _keep(path: Path, spare: Path) -> None:
    """A second name for the file at `path`, so that at no moment either name is missing."""
    part = _beside(spare)
    try:
        try:
            os.link(path, part)
        except OSError:  # a file system without hard links
            shutil.copyfile(path, part)
        os.replace(part, spare)
    finally:
        _remove(part)  # also after a rename: one of a file over itself, as a kill may leave it, does nothing


def _replace_folder(made: Path, path: Path) -> None:
    """Rename `made` to `path`. The folder that was there goes when that is done, and goes back when it fails."""
    if not path.exists():
        os.replace(made, path)
        return
    old = _beside(path)
    try:
        os.replace(path, old)
        os.replace(made, path)
    except BaseException:
        if old.exists() and not path.exists():
            os.replace(old, path)
        _remove(old)
        raise
    shutil.rmtree(old)


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
