"""Folders that compiled code is loaded from: whoever can write there can run code as this user, so each is checked before.

A folder is safe when it and all folders above it belong to this user or to root, and nobody else may write to them. Above it a
folder with the sticky bit (as /tmp has) will do, where others cannot rename what is not theirs. A group of which this user is the
only member is nobody else. Outside of POSIX there are no such modes, and everything counts as safe.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if os.name == "posix":
    import grp
    import pwd

SPARES = 8
"""Names that are tried for a folder of our own in the place for temporary files, where anybody may have planted some."""


def why_unsafe(path: Path) -> str:
    """Who else could put code at `path`, a file or folder (or its nearest folder that exists); empty when nobody can."""
    if os.name != "posix":
        return ""
    try:
        place = Path(os.path.realpath(path))
        above = [one for one in (place, *place.parents) if os.path.lexists(one)]
        for one in above:
            found = one.lstat()
            if found.st_uid not in (0, os.geteuid()):
                return f"{one} belongs to user {found.st_uid}"
            sticky = found.st_mode & stat.S_ISVTX and one is not above[0]
            if (others := _others_who_write(found)) and not sticky:
                return f"{one} may be written by {others}"
    except OSError as error:
        return f"{path} cannot be looked at ({error.strerror})"
    return ""


def _others_who_write(found: os.stat_result) -> str:
    if found.st_mode & stat.S_IWOTH:
        return "everybody"
    if found.st_mode & stat.S_IWGRP and found.st_gid != 0 and not _is_own_group(found.st_gid):
        return f"group {found.st_gid}"
    return ""


def _is_own_group(gid: int) -> bool:
    """Whether it is the private group that many systems give to each user."""
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return user.pw_gid == gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def user_cache() -> Path | None:
    """The folder for caches of this user: $XDG_CACHE_HOME or ~/.cache; None where there is no home."""
    named = os.environ.get("XDG_CACHE_HOME") or ""
    if os.path.isabs(named):
        return Path(named)
    home = os.path.expanduser("~")
    return Path(home) / ".cache" if os.path.isabs(home) else None


def own_temporary_folder(name: str) -> Path:
    """A folder among the temporary files that only this user can write: the same next time, if it is still ours alone."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    for number in range(SPARES):
        folder = Path(tempfile.gettempdir()) / f"{name}-{user}{f'-{number}' if number else ''}"
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            pass
        if _is_ours_alone(folder):
            return folder
    return Path(tempfile.mkdtemp(prefix=f"{name}-"))


def _is_ours_alone(folder: Path) -> bool:
    """Whether it is a folder, no link, of this user and in a safe place, and so is all that lies in it."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or why_unsafe(folder):
        return False
    return os.name != "posix" or all(path.lstat().st_uid == os.geteuid() for path in (folder, *folder.rglob("*")))


@contextmanager
def safe_code() -> Iterator[None]:
    """While it lasts, Python processes that are started load no code from where others can write.

    Amaranth's yosys is such a process: wasmtime keeps machine code in the user's cache, and `python -m` imports from the working
    folder first. A cache that is not safe is replaced by a temporary folder of this user alone.
    """
    cache, changes = user_cache(), {"PYTHONSAFEPATH": "1"}
    if cache is None or why_unsafe(cache / "wasmtime"):
        changes["XDG_CACHE_HOME"] = str(own_temporary_folder("hwsim-cache"))
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
