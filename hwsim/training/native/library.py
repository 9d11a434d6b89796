"""The compiled kernels of kernels.cpp, and how they come to be: built when first asked for, kept in the user's cache folder."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from hwsim.code_folders import own_temporary_folder, user_cache, why_unsafe
from hwsim.errors import HwsimError
from hwsim.files import whole_file

SOURCE = Path(__file__).with_name("kernels.cpp")
FLAGS = ("-O3", "-march=native", "-fassociative-math", "-freciprocal-math", "-fno-signed-zeros", "-fno-trapping-math",
         "-fno-math-errno", "-std=c++17", "-shared", "-fPIC", "-pthread",
         *(["-mprefer-vector-width=512"] if platform.machine() == "x86_64" else []))
"""What vectors need of -ffast-math. All of it would hide what is not a number, and turn off subnormal numbers in the process."""


class NativeError(HwsimError):
    """The kernels cannot be built or loaded here; the text says why and what to do."""


def cache_folder() -> Path:
    """Where built kernels are kept: $XDG_CACHE_HOME/hwsim, or ~/.cache/hwsim; without a home, a temporary folder of this user."""
    cache = user_cache()
    return own_temporary_folder("hwsim-native") if cache is None else cache / "hwsim"


def compiler() -> list[str]:
    """The command that CXX names, g++ by default. Raises NativeError when it is none."""
    try:
        return shlex.split(os.environ.get("CXX") or "g++")
    except ValueError as error:
        raise NativeError(f"CXX is {os.environ['CXX']!r}, which is no command ({error}); name a C++ compiler") from None


def built_path() -> Path:
    """Where the kernels for this source, compiler and processor are kept, built or not."""
    identity = "\0".join([*compiler(), *FLAGS, platform.machine(), _processor()]).encode()
    return cache_folder() / f"kernels-{hashlib.sha256(SOURCE.read_bytes() + identity).hexdigest()[:16]}.so"


@cache
def library() -> Any:
    """The compiled kernels. Raises NativeError without a compiler, or when it fails."""
    target = built_path()
    if why := why_unsafe(target):
        raise NativeError(f"{target}: {why}, and code is loaded from there; take the right to write from others, name another "
                          "folder in XDG_CACHE_HOME, or train with --kernels torch")
    if not target.exists():
        _build(compiler(), target)
    try:
        loaded = ctypes.CDLL(str(target))
        for name in ("staircase_backward", "norm_staircase_backward", "clip_backward"):
            getattr(loaded, name).restype = ctypes.c_double
    except (OSError, AttributeError) as error:
        raise NativeError(f"{target}: the built kernels do not load ({error}); delete the file, or train with --kernels torch"
                          ) from None
    return loaded


def _build(command: list[str], target: Path) -> None:
    """Compile a whole file or none: two trainings that start at once do not meet half a library."""
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with whole_file(target) as part:
            done = subprocess.run([*command, *FLAGS, str(SOURCE), "-o", str(part)], capture_output=True, text=True)
            if done.returncode:
                why = done.stderr.strip()[:500] or f"exit status {done.returncode}"
                raise NativeError(f"{SOURCE}: {' '.join(command)} failed: {why}; install a C++17 compiler, or train with "
                                  f"--kernels torch")
    except OSError as error:
        raise NativeError(f"the native kernels cannot be built with {command[0]} into {target.parent} ({error}); install g++ or "
                          f"name a compiler in CXX, and a folder that can be written in XDG_CACHE_HOME, or train with "
                          f"--kernels torch") from None


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
