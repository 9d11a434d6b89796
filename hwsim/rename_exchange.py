"""Exchanging two names in one step, which Linux can (renameat2 with RENAME_EXCHANGE, since 3.15) on most file systems."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path
from typing import Any

AT_FDCWD, RENAME_EXCHANGE = -100, 2


def exchange(one: Path, other: Path) -> bool:
    """Give each the name of the other; False, and nothing done, where the system or the file system cannot."""
    function = _function()
    return function is not None and function(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0


@cache
def _function() -> Any:
    """glibc's renameat2 (since 2.28); None elsewhere."""
    if os.name != "posix":
        return None
    function = getattr(ctypes.CDLL(None), "renameat2", None)
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return function
