"""Sizes of windows as tools write them (an integer, a pair, a word) and as hwsim has them.

A convolution's are those of a Connection: one number, or (y, x). Pooling has one: its windows are square.
Raises UnsupportedError for windows that are dilated, or padded with anything but zeros: no Connection has those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwsim.capture.errors import UnsupportedError
from hwsim.snn.network import Side, by_axis


def one_side(what: str, value: Any) -> int:
    """The integer of an integer, or of a pair of equal ones."""
    pair = _whole(what, value)
    if len(pair) not in (1, 2) or len(set(pair)) != 1:
        raise UnsupportedError(f"{what} {tuple(pair)}", "the same in both directions", "use one number for both")
    return pair[0]


def _whole(what: str, value: Any) -> list[int]:
    """Numbers as integers. Raises UnsupportedError for others."""
    numbers = np.atleast_1d(np.asarray(value)).reshape(-1).tolist()
    if not all(isinstance(n, int | float) and float(n).is_integer() for n in numbers):
        raise UnsupportedError(f"{what} {value}", "whole numbers", "correct it")
    return [int(n) for n in numbers]


def sides(what: str, value: Any) -> Side:
    """One integer, or (y, x) where the axes differ, of an integer or a pair."""
    pair = _whole(what, value)
    if len(pair) not in (1, 2):
        raise UnsupportedError(f"{what} {tuple(pair)}", "a number, or one for each of two directions", "use Conv2d")
    return pair[0] if len(set(pair)) == 1 else (pair[0], pair[1])


def convolution(kernel: Sequence[int], stride: Any, padding: Any, dilation: Any, mode: str = "zeros") -> tuple[Side, Side, Side]:
    """(kernel, stride, padding) of a convolution with these settings."""
    side = sides("a kernel of", kernel)
    if (gaps := sides("a dilation of", dilation)) != 1:
        raise UnsupportedError(f"a dilation of {gaps}", "1", "use a convolution without gaps")
    if mode != "zeros":
        raise UnsupportedError(f"padding_mode {mode!r}", "'zeros'", "pad with zeros")
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise UnsupportedError(f"padding {padding!r}", "'same', 'valid' or numbers", "give the padding as a number")
        if padding == "same" and any(n % 2 == 0 for n in by_axis(side)):
            raise UnsupportedError(f"padding 'same' with a kernel of {side}", "an odd kernel", "give the padding as a number")
        padding = [(n - 1) // 2 if padding == "same" else 0 for n in by_axis(side)]
    return side, sides("a stride of", stride), sides("a padding of", padding)


def window(kernel: Any, stride: Any, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False) -> int:
    """Side of the window of a pooling whose windows neither overlap nor leave gaps."""
    side = one_side("a pooling window of", kernel)
    step = side if stride is None or (isinstance(stride, Sequence) and not stride) else one_side("a pooling stride of", stride)
    if step != side or one_side("a padding of", padding) or one_side("a dilation of", dilation) != 1:
        raise UnsupportedError(f"pooling by {side} with stride {step}, padding {padding}, dilation {dilation}",
                               "a stride equal to the window, no padding, no dilation", "pool by blocks")
    if ceil_mode:
        raise UnsupportedError("pooling with ceil_mode", "incomplete windows dropped", "set ceil_mode to False")
    return side


def windows(size: Sequence[int], kernel: Any, stride: Any, padding: Any = 0, ceil_mode: bool = False) -> tuple[int, int, int]:
    """(side, stride, padding) of a pooling of (H, W) `size` whose windows may overlap; incomplete ones are refused."""
    side = one_side("a pooling window of", kernel)
    step = side if stride is None or (isinstance(stride, Sequence) and not stride) else one_side("a pooling stride of", stride)
    pad = one_side("a padding of", padding)
    if min(size) + 2 * pad < side:
        raise UnsupportedError(f"pooling by {side} of {size[0]} x {size[1]} values", "a window that fits", "pool by less")
    if ceil_mode and any((n + 2 * pad - side) % step for n in size):
        raise UnsupportedError(f"pooling of {size[0]} x {size[1]} values with ceil_mode", "incomplete windows dropped",
                               "set ceil_mode to False, or give images whose sizes divide")
    return side, step, pad


def adaptive_window(size: Sequence[int], output: Any) -> int:
    """Side of the blocks of an adaptive pooling from (H, W) `size` to `output`; 1 when nothing changes."""
    pair = list(output) if isinstance(output, Sequence) else [output, output]
    sides = []
    for have, want in zip(size, pair, strict=True):
        goal = have if want is None else int(want)
        if goal < 1 or have % goal:
            raise UnsupportedError(f"adaptive pooling from {tuple(size)} to {tuple(pair)}", "equal blocks",
                                   "choose an output size that divides the input's")
        sides.append(have // goal)
    return one_side("adaptive pooling by", sides)
