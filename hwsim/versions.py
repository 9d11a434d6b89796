"""Versions that a result can depend on: hwsim's own, Python's, and those of the libraries that compute."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from hwsim import __version__

LIBRARIES = ("numpy", "numba", "h5py", "pandas", "torch")


def versions() -> dict[str, str | None]:
    """By name: hwsim, python, then LIBRARIES; None for a library that is not installed."""
    return {"hwsim": __version__, "python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}}


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
