"""A user's model from FILE.py:FUNCTION. This runs the code in the file."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from typing import Any

import typer

from hwsim.errors import HwsimError


def load_model(where: str) -> Any:
    """Run FILE.py and call FUNCTION in it, or take the model of that name. Raises HwsimError."""
    file, _, function = where.rpartition(":")
    path = Path(file)
    if not file or not function.isidentifier() or path.suffix != ".py":
        raise HwsimError(f"{where}: expected FILE.py:FUNCTION, a function that gives the model; e.g. model.py:make_model")
    if not path.is_file():
        raise HwsimError(f"{file}: no such file; expected a Python file with a function {function}(); check the path")
    typer.echo(f"running {path}: {function}()", err=True)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
        if not callable(getattr(module, function, None)):
            raise HwsimError(f"{file}: no function {function}, it defines {', '.join(_public(module)) or 'none'}; "
                             "correct the name")
        made = getattr(module, function)
        # A module of PyTorch can be called as well, but with images.
        return made if hasattr(made, "named_parameters") and not isinstance(made, type) else made()
    except HwsimError:
        raise
    except ModuleNotFoundError as error:
        missing = (error.name or str(error)).partition(".")[0]
        raise HwsimError(f"{file}{_line_in(path, error)}: {_who_imports(path, error)} needs the package {missing}, which is not "
                         f"installed here; install it, e.g. pip install {missing}") from None
    except Exception as error:
        line = _line_in(path, error)
        raise HwsimError(f"{file}{line}: {function}() failed with {type(error).__name__}: {str(error)[:300]}; "
                         "it must give the model without arguments") from error
    finally:
        sys.path.pop(0)


def _public(module: Any) -> list[str]:
    return [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")
            and getattr(value, "__module__", None) == module.__name__]


def _who_imports(path: Path, error: BaseException) -> str:
    """The package whose file tried an import: `the package spikingjelly`, or the user's file itself."""
    frames = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    last = frames[-1] if frames else path
    at = max((i for i, part in enumerate(last.parts) if part in ("site-packages", "dist-packages")), default=-1)
    return f"the package {last.parts[at + 1].removesuffix('.py')}" if at >= 0 else last.name


def _line_in(path: Path, error: BaseException) -> str:
    """":LINE" of the user's file in a traceback, or nothing."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == path.resolve()]
    return f":{lines[-1]}" if lines else ""
