"""Inputs and labels as a user has them, checked before anything runs: images (samples, C, H, W) or (samples, N), which are the
same in every timestep, or spikes (samples, T, C, H, W) or (samples, T, N). What a trace records of images are integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.capture.errors import refusal
from hwsim.snn.network import InputSpec, Shape
from hwsim.snn.validate import MAX_PAYLOAD_BITS, MAX_TIMESTEPS, is_int

SHAPES = "(samples, C, H, W) or (samples, N) for images, (samples, T, C, H, W) or (samples, T, N) for spikes"


@dataclass(frozen=True, eq=False)
class Inputs:
    """values (samples, ...) as given; recorded (samples, planes, C, H, W) integers of the trace; spec; what was rounded."""

    values: NDArray[Any]
    recorded: NDArray[Any]
    spec: InputSpec
    note: str

    @property
    def flat(self) -> bool:
        """Whether a sample is (N,) to the tool, not (C, H, W)."""
        return self.values.ndim in (2, 3)


def read_inputs(where: str, inputs: ArrayLike, input_bits: int = 8) -> Inputs:
    """Check and describe inputs. Floats that are not whole are rounded to `input_bits` for the trace. Raises CaptureError."""
    values = as_array(where, "inputs", inputs)
    if values.dtype.kind not in "biuf" or values.ndim not in (2, 3, 4, 5):
        raise refusal(where, "inputs", f"{values.dtype} of shape {values.shape}", SHAPES, "reshape them")
    if not values.size:
        raise refusal(where, "inputs", f"nothing in shape {values.shape}", "at least one sample, timestep and value", "give some")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        place = tuple(int(i[0]) for i in np.nonzero(~np.isfinite(values)))
        raise refusal(where, f"inputs{list(place)}", "NaN or infinity", "finite numbers", "look at how they were made")
    spikes = values.ndim in (3, 5)
    shape = _sample_shape(values, spikes)
    if spikes:
        return _spikes(where, values, shape)
    if not is_int(input_bits, 1, MAX_PAYLOAD_BITS):
        raise refusal(where, "input_bits", repr(input_bits), f"1 to {MAX_PAYLOAD_BITS}", "choose a width")
    recorded, spec, note = _images(where, values.reshape(len(values), 1, *shape), shape, input_bits)
    return Inputs(values, recorded, spec, note)


def as_array(where: str, what: str, value: Any) -> NDArray[Any]:
    """Lists, arrays and tensors of any device as an array. Raises CaptureError."""
    try:
        return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    except (TypeError, ValueError) as error:
        raise refusal(where, what, f"{type(value).__name__} that is no array ({error})", "numbers of one shape",
                      "pad or cut") from None


def _sample_shape(values: NDArray[Any], spikes: bool) -> Shape:
    rest = tuple(int(n) for n in values.shape[1 + spikes:])
    return (rest[0], 1, 1) if len(rest) == 1 else (rest[0], rest[1], rest[2])


def _spikes(where: str, values: NDArray[Any], shape: Shape) -> Inputs:
    wrong = values[(values != 0) & (values != 1)]
    if wrong.size:
        raise refusal(where, "inputs", f"{wrong.reshape(-1)[0]:g} in an array of shape {values.shape}", "spikes, 0 and 1 only",
                      "images are (samples, C, H, W), grey ones with C = 1; values that change over time are not taken over")
    timesteps = values.shape[1]
    if timesteps > MAX_TIMESTEPS:
        raise refusal(where, "inputs", f"{timesteps} timesteps", f"1 to {MAX_TIMESTEPS}, the trace format's limit", "cut them")
    recorded = values.astype(bool).reshape(len(values), timesteps, *shape)
    return Inputs(values, recorded, InputSpec(shape, "spikes", timesteps, 0), "spikes, as given")


def _images(where: str, values: NDArray[Any], shape: Shape, bits: int) -> tuple[NDArray[Any], InputSpec, str]:
    low, high = float(values.min()), float(values.max())
    signed = low < 0
    whole = values.dtype.kind != "f" or bool((values == np.round(values)).all())
    if whole:
        limits = (-(1 << MAX_PAYLOAD_BITS - 1), (1 << MAX_PAYLOAD_BITS - 1) - 1) if signed else (0, (1 << MAX_PAYLOAD_BITS) - 1)
        if low < limits[0] or high > limits[1]:
            raise refusal(where, "inputs", f"values from {low:g} to {high:g}", f"{limits[0]} to {limits[1]}", "scale them")
        integers = values.astype(np.int64)
        needed = max(int(high).bit_length(), (~int(low)).bit_length() if signed else 0, 1) + signed
        return integers, InputSpec(shape, "direct", 1, max(needed, 1 + signed), signed), "whole numbers, as given"
    if signed and bits < 2:
        raise refusal(where, "input_bits", f"{bits} for values from {low:g} to {high:g}", "2 or more for signed ones", "raise it")
    top = (1 << (bits - signed)) - 1
    scale = max(abs(low), abs(high)) / top
    integers = np.rint(values / scale).astype(np.int64)
    lost = int(((integers == 0) & (values != 0)).sum())
    note = (f"rounded to {bits}-bit multiples of {scale:.6g} in the trace; "
            f"{lost} of {int((values != 0).sum())} non-zero values became 0")
    return integers, InputSpec(shape, "direct", 1, bits, signed), note


def read_labels(where: str, labels: Sequence[int] | NDArray[Any] | None, samples: int) -> list[int] | None:
    """One class a sample, from 0; None stays None. Raises CaptureError."""
    if labels is None:
        return None
    array = as_array(where, "labels", labels)
    if array.shape != (samples,):
        raise refusal(where, "labels", f"shape {array.shape}", f"({samples},), one a sample", "make them match the inputs")
    if array.dtype.kind not in "iu" or int(array.min()) < 0:
        raise refusal(where, "labels", f"{array.dtype}, lowest {array.min()}", "whole numbers from 0", "number classes from 0")
    return [int(label) for label in array]
