"""Where Numba keeps compiled kernels. Its own choice is the package's folder, then the user's cache folder; where neither can be
written (a container, a shared installation) it refuses to compile cached functions at all, so a temporary folder stands in.

Importing this module settles the question; kernels must be imported after it.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import numba


def settle_cache_folder() -> None:
    """Point Numba at a temporary folder of this user when none of its own places can be written."""
    if numba.config.CACHE_DIR:
        return
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path(os.path.expanduser("~")) / ".cache")
    here = Path(__file__).parent
    if any(_writable(place) for place in (here / "__pycache__", home / "numba")):
        return
    numba.config.CACHE_DIR = str(_private_folder())


def _private_folder() -> Path:
    """A temporary folder that only this user can write: compiled code is loaded from it. The same next time, if it is ours."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"hwsim-kernels-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    ours = stat.S_ISDIR(found.st_mode) and (os.name != "posix" or (found.st_uid == user and not found.st_mode & 0o022))
    return folder if ours else Path(tempfile.mkdtemp(prefix="hwsim-kernels-"))


def _writable(folder: Path) -> bool:
    """Whether files can be made in `folder`, or the folder itself can be made."""
    nearest = next(p for p in (folder, *folder.parents) if p.exists())
    return os.access(nearest, os.W_OK | os.X_OK)


settle_cache_folder()
