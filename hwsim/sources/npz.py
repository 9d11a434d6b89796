"""Images and labels of one's own: an NPZ file with `images` (or `inputs`) and perhaps `labels`, or an NPY file of images.

Bytes are pixels, 0 to 255; floats are what the network takes. Images come as (N, H, W, C) or (N, C, H, W), grey ones also as
(N, H, W), and vectors as (N, F); hwsim has (N, H, W, C) throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.sources.data import DataError, Labels

NAMES = ("images", "inputs")


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """images, bytes or floats of whatever shape the file has, and labels (N,) or None."""

    images: NDArray[Any]
    labels: Labels | None

    def first(self, count: int | None) -> LabelledImages:
        """The first `count` images, or all of them."""
        return LabelledImages(self.images[:count], None if self.labels is None else self.labels[:count])


def read_npz(path: str | Path) -> LabelledImages:
    """The images and labels of a file. Raises DataError."""
    place = Path(path)
    advice = "write it with numpy.savez(path, images=..., labels=...)"
    if not place.is_file():
        raise DataError(f"{place}: no such file; expected an NPZ with images and perhaps labels, or an NPY; check the path")
    try:
        loaded = np.load(place, allow_pickle=False)
        found = {"images": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except Exception as error:  # numpy and zipfile raise half a dozen kinds for a damaged file
        # Of a file that is neither, NumPy says that it may be pickled, and how to run it.
        why = "" if "pickle" in str(error) else f" ({str(error)[:120]})"
        raise DataError(f"{place}: found no readable arrays{why}, expected an NPZ or NPY of numbers; {advice}") from None
    held = [name for name in NAMES if name in found]
    if len(held) != 1 or set(found) - {*held, "labels"}:
        listed = ", ".join(sorted(found)) or "none"
        raise DataError(f"{place}: found arrays {listed}, expected images and perhaps labels; {advice}")
    return checked(str(place), found[held[0]], found.get("labels"))


def checked(where: str, images: Any, labels: Any = None) -> LabelledImages:
    """Images and labels as arrays, refused where they cannot be that. Tensors are taken as well. Raises DataError."""
    values, classes = (None if v is None else np.asarray(v.detach().cpu() if hasattr(v, "detach") else v)
                       for v in (images, labels))
    if values is None or values.ndim not in (2, 3, 4) or not values.size or values.dtype.kind not in "uif":
        found = "missing" if values is None else f"{values.dtype} of shape {values.shape}"
        if values is not None and not values.size:
            raise DataError(f"{where}: holds no images, the shape is {values.shape}; expected a few hundred")
        raise DataError(f"{where}: images are {found}, expected bytes or floats (N, H, W, C), (N, C, H, W), (N, H, W) or (N, F)")
    if values.dtype.kind in "ui" and (values.min() < 0 or values.max() > 255):
        raise DataError(f"{where}: images are whole numbers from {values.min()} to {values.max()}, expected bytes, 0 to 255, or "
                        "floats as the network takes them; divide them")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(f"{where}: images have NaN or infinity, expected finite numbers; look at how they were made")
    if classes is not None and (classes.shape != (len(values),) or classes.dtype.kind not in "iu" or int(classes.min()) < 0):
        raise DataError(f"{where}: labels are {classes.dtype} of shape {classes.shape}, expected one whole number from 0 for "
                        f"each of the {len(values)} images; number the classes from 0")
    return LabelledImages(values.astype(np.uint8) if values.dtype.kind in "ui" else values,
                          None if classes is None else classes.astype(np.int64))


def channels_last(where: str, images: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Images as (N, H, W, C) for a network that takes `shape`, (C, H, W) or (F,). Raises DataError."""
    shape = (shape[0], 1, 1) if len(shape) == 1 else shape
    c, h, w = shape
    for candidate, axes in ((shape, (0, 2, 3, 1)), ((h, w, c), (0, 1, 2, 3))):
        if images.ndim == 4 and images.shape[1:] == candidate:
            return np.ascontiguousarray(images.transpose(axes))
    if images.shape[1:] == (h, w) and c == 1:
        return images[..., None]
    if images.shape[1:] == (c,) and (h, w) == (1, 1):
        return images[:, None, None, :]
    raise DataError(f"{where}: images of shape {images.shape[1:]}, expected {shape} or {(h, w, c)}, as the network takes them")


def image_shape(where: str, images: NDArray[Any], channels: int | None) -> tuple[int, ...]:
    """(C, H, W) or (F,) of images for a network whose first layer reads `channels` channels, None where it reads vectors.

    Bytes whose first and last axis could both be channels are taken as (N, H, W, C), floats as (N, C, H, W). Raises DataError.
    """
    rest = tuple(int(n) for n in images.shape[1:])
    if len(rest) == 1:
        return rest
    if len(rest) == 2:
        return (1, *rest)
    last, first = (rest[2], rest[0], rest[1]), rest
    fitting = [s for s in ((last, first) if images.dtype == np.uint8 else (first, last)) if channels in (None, s[0])]
    if not fitting:
        raise DataError(f"{where}: images of shape {rest}, expected {channels} channels first or last, as the network's first "
                        "layer reads")
    return fitting[0]
