"""Traces that come with hwsim, by name: the files of a checkout's traces/methods, of which a wheel carries copies.

They are those of `tiny` on Fashion-MNIST (Zalando SE, MIT licence); traces/methods/README.md says how they were made.
"""

from __future__ import annotations

import os
from os.path import isdir, isfile  # those of pathlib raise for a name that is too long
from pathlib import Path

from hwsim.errors import HwsimError, shown
from hwsim.trace.manifest import TraceError, trouble

EXAMPLES = {
    "bit_serial": "fashion_mnist_tiny_bit_serial_t4.h5",
    "rate": "fashion_mnist_tiny_rate_t4.h5",
    "ann": "fashion_mnist_tiny_ann_t4.h5",
}
"""By name: the same small network as bit planes, as rate code, and as the quantised ANN that it came from; 32 images each."""


class ExampleError(HwsimError):
    """An example that is not there; the text names those that are."""


def example_path(name: str = "bit_serial") -> Path:
    """The file of an example. Raises ExampleError."""
    if name not in EXAMPLES:
        raise ExampleError(f"no example {name!r}; there are {', '.join(EXAMPLES)}")
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "example_traces", package.parent / "traces" / "methods"):
        if (folder / EXAMPLES[name]).is_file():
            return folder / EXAMPLES[name]
    raise ExampleError(f"example {name!r}: {EXAMPLES[name]} is in neither {package / 'example_traces'} nor a checkout's "
                       "traces/methods; install hwsim again")


def trace_file(given: str | Path, folder: str | Path = "") -> Path:
    """The file of a trace that somebody named: a path, relative to `folder`, or the name of an example. A file comes first.

    A path of no file is given back as it is: who opens it says what is wrong.
    """
    path = Path(folder, given)
    return example_path(str(given)) if str(given) in EXAMPLES and not isfile(path) else path


def no_trace(path: Path) -> TraceError:
    """What is said of a path that is no file."""
    if not isdir(path):
        return trouble(shown(path, 200, str), "file", "no such file",
                       f"a trace, or the name of an example ({', '.join(EXAMPLES)})", "check the path")
    kept = " that `hwsim run --out` wrote" if isfile(path / "result.json") else ""
    return trouble(shown(path, 200, str), "file", f"a folder{kept}", "a trace, a file in HDF5",
                   "hwsim report and hwsim plot read such folders" if kept else "name a file in it")


def whole_path(given: str | Path) -> str:
    """The same file for a process that works in another folder."""
    return os.path.abspath(trace_file(given))
