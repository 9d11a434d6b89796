"""The ANN's trace of a comparison: the one that was given, or the one in a bit-serial trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hwsim.accounts.work import WorkError
from hwsim.trace.reader import Trace
from hwsim.trace.twin import ann_in


@contextmanager
def opened_ann(snn: Trace, ann: str | Path | None) -> Iterator[Trace]:
    """The ANN's trace, open for a block, or the ANN in a bit-serial trace. Raises WorkError where that holds none."""
    if ann is not None:
        with Trace.open(ann) as found:
            yield found
        return
    if snn.network.is_ann:
        raise WorkError(f"{snn.name}: is a quantised ANN, expected an SNN first; give the ANN with --ann")
    held = ann_in(snn)
    if held is None:
        raise WorkError(f"{snn.name}: --ann: found nothing, and a trace of coding {snn.coding} holds no ANN; give the trace of "
                        "the ANN that it was converted from")
    yield held
