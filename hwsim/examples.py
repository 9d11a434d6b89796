"""Traces that come with hwsim, so that it can be tried without a checkout: `hwsim demo`, `hwsim.load_example()`.

They are those of `tiny` on Fashion-MNIST (Zalando SE, MIT licence) in traces/methods of a checkout, where README.md says how they
were made; a wheel carries copies.
"""

from __future__ import annotations

from pathlib import Path

from hwsim.errors import HwsimError
from hwsim.trace.reader import Trace

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
    here = Path(__file__).resolve().parent
    for folder in (here / "example_traces", here.parent / "traces" / "methods"):
        if (folder / EXAMPLES[name]).is_file():
            return folder / EXAMPLES[name]
    raise ExampleError(f"example {name!r}: {EXAMPLES[name]} is in neither {here / 'example_traces'} nor a checkout's "
                       "traces/methods; install hwsim again")


def load_example(name: str = "bit_serial") -> Trace:
    """An example as an open Trace: bit_serial, rate or ann. Raises ExampleError.

    >>> trace = load_example()
    >>> trace.samples, trace.coding, trace.timesteps
    (32, 'bit_serial', 4)
    """
    return Trace.open(example_path(name))
