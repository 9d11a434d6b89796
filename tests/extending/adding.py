"""Adds one file to the running package, and a line to a registry, and takes both away again.

The file is not written into the source tree: other tests read that tree at the same time. It is copied into a folder that stands
on the package's path for as long as it is needed, so it is imported by the name that it would have in the package.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import hwsim

TREE = Path(hwsim.__file__).parent
Entry = Callable[[ModuleType], tuple[str, Any]]


@contextmanager
def added(example: Path, package: str, folder: Path, registry: dict[str, Any], entry: Entry) -> Iterator[ModuleType]:
    """The module `example` as `package`.NAME, listed in `registry` under what `entry` makes of it.

    folder   an empty folder, where the file stands meanwhile.
    """
    home, name = importlib.import_module(package), f"{package}.{example.stem}"
    shutil.copy(example, folder)
    home.__path__.append(str(folder))
    importlib.invalidate_caches()
    kept = dict(registry)
    try:
        module = importlib.import_module(name)
        assert Path(str(module.__file__)).parent == folder, f"{name} is a module of the package already"
        key, value = entry(module)
        assert key not in registry, f"{key} is listed already"
        registry[key] = value
        yield module
    finally:
        registry.clear()
        registry.update(kept)
        home.__path__.remove(str(folder))
        sys.modules.pop(name, None)
        vars(home).pop(example.stem, None)
        importlib.invalidate_caches()


def state(example: Path, package: str, registry: dict[str, Any]) -> dict[str, Any]:
    """What adding `example` could leave behind: files of the tree, the registry, the package's path, the module itself."""
    home = importlib.import_module(package)
    return {
        "files": {str(path.relative_to(TREE)): sha256(path.read_bytes()).hexdigest()
                  for path in sorted(TREE.rglob("*")) if path.is_file() and "__pycache__" not in path.parts},
        "registry": list(registry.items()), "path": list(home.__path__), "attribute": hasattr(home, example.stem),
        "module": f"{package}.{example.stem}" in sys.modules,
    }
