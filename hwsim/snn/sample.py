"""One sample of a trace: what was presented and what each layer sent, as dense arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(eq=False)
class Sample:
    """What one sample of a trace holds, dense: uint8 / int16 arrays of shape (T, H, W, C).

    inputs      the input's planes: payloads (1, H, W, C) for a direct input, else 0 / 1.
    recorded    by layer name, the outputs that the trace recorded (0 / 1, or payloads); read-outs have none.
    """

    inputs: NDArray[np.integer]
    recorded: Mapping[str, NDArray[np.integer]]

