"""Writing a trace, sample by sample, and opening it when it is done."""

from __future__ import annotations

from types import TracebackType

from hwsim.trace.reader import Trace, opened
from hwsim.trace.recording import Recording


class TraceWriter(Recording):
    """Streams samples into a trace.

    >>> with TraceWriter(network, "mine.h5", name="mine") as writer:        # doctest: +SKIP
    ...     for inputs in images:
    ...         recorded, potentials = forward(network, inputs)
    ...         writer.append(Sample(inputs, recorded), label=3)

    The file appears under its name when the block ends without an exception, or on `finish()`, which also returns the
    open Trace. Without a path the trace stays in memory. Raises TraceError when the network or a sample is unsound.
    """

    def finish(self) -> Trace:
        """Seal the trace, move it to its path and open it."""
        return opened(self.seal())

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is not None:
            self.abort()
        elif not self.sealed:
            self.finish().close()
