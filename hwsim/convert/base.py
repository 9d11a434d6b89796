"""What a conversion method declares: which source it takes, and how a checkpoint becomes a Network.

A method's file ends with a Method, and hwsim/convert/methods.py lists it (docs/recipes.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.convert.folded import FoldedSource, fold
from hwsim.convert.integers import ConversionError, Widths, input_unit, payloads
from hwsim.snn.network import Network
from hwsim.sources.calibrate import CALIBRATION_IMAGES
from hwsim.sources.checkpoint import Checkpoint
from hwsim.sources.data import Dataset


@dataclass(frozen=True)
class Request:
    """How to convert. tau: timesteps of the first stage (two_stage). below: what bit_serial does with fewer bits than
    were trained. calibration: training images that alpha_beta looks at. first_crossing: single_spike answers with the final
    potential minus the time in which it first reached the read-out's threshold (paper 004, Eq. 12)."""

    method: str
    timesteps: int
    tau: int = 4
    widths: Widths = field(default_factory=Widths)
    below: Literal["refire", "truncate"] = "refire"
    calibration: int = CALIBRATION_IMAGES
    first_crossing: bool = False


Images = NDArray[Any]
Encode = Callable[[Images], NDArray[np.integer]]
"""Images (N, H, W, C), 0 to 255 or as floats, to the planes (N, planes, H, W, C) that drive a network."""


@dataclass(frozen=True, eq=False)
class Driven:
    """A network of integers and what drives it.

    inputs   turns images (N, H, W, C) into the planes (N, planes, H, W, C) that drive the network.
    notes    what is worth knowing of how it came about, JSON-ready.
    """

    network: Network
    inputs: Encode
    notes: dict[str, Any]


Built = tuple[Network, Encode, dict[str, Any]]
"""A network, its encoding of images, and notes for the trace's provenance, JSON-ready."""


@dataclass(frozen=True)
class Method:
    """One published conversion.

    name      as in `hwsim convert --method`.      paper   its number or name in docs/methods.md.
    says      what it does, in one line.           sources   activations of the ANNs that it takes.
    build     makes the network; raises ConversionError for what the method cannot take.
    maximum   whether what its neurons send has a maximum, as binary spikes have.
    weighs_times   whether its read-out can weigh the time of its first crossing.
    """

    name: str
    paper: str
    says: str
    sources: tuple[str, ...]
    build: Callable[[Request, Checkpoint, Dataset], Built]
    maximum: bool = True
    weighs_times: bool = False


def folded(request: Request, checkpoint: Checkpoint) -> tuple[FoldedSource, Encode]:
    """The ANN in numbers, and how its images become payloads."""
    says = checkpoint.description
    source = fold(checkpoint.network(), says.mean, says.std)
    unit = input_unit(source, request.widths)
    return source, lambda images: payloads(source, images, unit)


def check_trained_for(checkpoint: Checkpoint, request: Request, what: str) -> None:
    """Refuse another T than the SNN was trained for."""
    trained = checkpoint.description.activation.timesteps
    if request.timesteps != trained:
        raise ConversionError(f"{checkpoint.path}: was trained for {trained} timesteps, {request.timesteps} are asked "
                              f"for; {what} mean nothing at another T: give --timesteps {trained}")
