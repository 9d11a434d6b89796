"""The compiled kernels of kernels.cpp, and how they come to be: built when first asked for, kept in the user's cache folder."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from hwsim.errors import HwsimError

SOURCE = Path(__file__).with_name("kernels.cpp")
FLAGS = ("-O3", "-march=native", "-ffast-math", "-std=c++17", "-shared", "-fPIC", "-pthread")


class NativeError(HwsimError):
    """The kernels cannot be built or loaded here; the text says why and what to do."""


def cache_folder() -> Path:
    """Where built kernels are kept: $XDG_CACHE_HOME/hwsim, or ~/.cache/hwsim."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hwsim"


@cache
def library() -> Any:
    """The compiled kernels. Raises NativeError without a compiler, or when it fails."""
    compiler = shlex.split(os.environ.get("CXX", "g++"))
    source = SOURCE.read_bytes()
    identity = "\0".join([*compiler, *FLAGS, platform.machine(), _processor()]).encode()
    target = cache_folder() / f"kernels-{hashlib.sha256(source + identity).hexdigest()[:16]}.so"
    if not target.exists():
        _build(compiler, target)
    try:
        loaded = ctypes.CDLL(str(target))
    except OSError as error:
        raise NativeError(f"{target}: the built kernels do not load ({error}); delete the file, or train with --kernels torch"
                          ) from None
    loaded.staircase_backward.restype = loaded.norm_staircase_backward.restype = ctypes.c_double
    return loaded


def _build(compiler: list[str], target: Path) -> None:
    """Compile beside `target`, then rename: two trainings that start at once do not meet half a library."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            part = Path(folder) / target.name
            done = subprocess.run([*compiler, *FLAGS, str(SOURCE), "-o", str(part)], capture_output=True, text=True)
            if done.returncode:
                why = done.stderr.strip()[:500] or f"exit status {done.returncode}"
                raise NativeError(f"{SOURCE}: {' '.join(compiler)} failed: {why}; install a C++17 compiler, or train with "
                                  f"--kernels torch")
            os.replace(part, target)
    except OSError as error:
        raise NativeError(f"the native kernels cannot be built ({error}); install g++ (or name a compiler in CXX), or train "
                          f"with --kernels torch") from None


def keep_memory() -> None:
    """Ask glibc to keep what is freed: each activation is megabytes, and the system clears every page that it hands out anew.
    Elsewhere nothing happens, and training is a fifth slower."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        most_maps, trim_threshold, top_padding = -4, -1, -2
        mallopt(most_maps, 0)
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(top_padding, 64 << 20)


def _processor() -> str:
    """What -march=native depends on, so that a cache on a shared disk serves unlike machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "".join(line for line in lines if line.startswith(("model name", "flags")))[:4000]
