"""Traces that come with hwsim, so that it can be tried without a checkout: `hwsim demo`, `hwsim.load_example()`."""

from __future__ import annotations

from hwsim.trace.reader import Trace
from hwsim.trace.shipped import EXAMPLES, ExampleError, example_path

__all__ = ["EXAMPLES", "ExampleError", "example_path", "load_example"]


def load_example(name: str = "bit_serial") -> Trace:
    """An example as an open Trace: bit_serial, rate or ann. Raises ExampleError.

    >>> trace = load_example()
    >>> trace.samples, trace.coding, trace.timesteps
    (32, 'bit_serial', 4)
    """
    return Trace.open(example_path(name))
