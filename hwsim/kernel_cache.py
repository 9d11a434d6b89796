"""Where Numba keeps compiled kernels. Its own choice is the package's folders, then the user's cache folder. Where neither can be
written (a container, a shared installation) it refuses to compile cached functions at all, and where others can write, it would
run their code: a temporary folder of this user alone stands in.

Importing this module settles the question; kernels must be imported after it.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numba

from hwsim.code_folders import own_temporary_folder, user_cache, why_unsafe

HOMES = ("convert", "cores/odin", "engine/fast/kernels")
"""Folders of hwsim that have kernels."""


def settle_cache_folder() -> None:
    """Point Numba at a temporary folder of this user when none of its own places can be written by this user alone."""
    if numba.config.CACHE_DIR:
        if not (why := why_unsafe(Path(numba.config.CACHE_DIR))):
            return
        warnings.warn(f"NUMBA_CACHE_DIR={numba.config.CACHE_DIR} is not used: {why}, and code is loaded from there", stacklevel=2)
        numba.config.CACHE_DIR = str(own_temporary_folder("hwsim-kernels"))
        return
    here, cache = Path(__file__).parent, user_cache()
    in_package = [here / home / "__pycache__" for home in HOMES]
    # Numba takes the package's folder if it can write there, whoever else can.
    if any(map(_writable, in_package)):
        settled = not any(map(why_unsafe, in_package))
    else:
        settled = cache is not None and _writable(cache / "numba") and not why_unsafe(cache / "numba")
    if not settled:
        numba.config.CACHE_DIR = str(own_temporary_folder("hwsim-kernels"))


def _writable(folder: Path) -> bool:
    """Whether files can be made in `folder`, or the folder itself can be made."""
    nearest = next(p for p in (folder, *folder.parents) if p.exists())
    return os.access(nearest, os.W_OK | os.X_OK)


settle_cache_folder()
