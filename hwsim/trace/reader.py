"""A Trace: a Network and what it did, sample by sample, opened lazily from one HDF5 file or held in memory.

Samples are read when asked for and never kept, so a file of any length streams in constant memory. Everything read was
checked first: structure and network when the trace is opened, each recorded row against its own SHA-256 when its sample is
read. A version 1 file has no hashes of rows; there, the first row that is read of a dataset has the whole dataset compared
with its SHA-256. The file is described in docs/formats/trace.md.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from os.path import isfile  # that of pathlib raises for a name that is too long
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.files import whole_file
from hwsim.snn.network import INPUT, Network
from hwsim.snn.neurons import Requantise
from hwsim.snn.sample import Sample
from hwsim.snn.validate import validate_network
from hwsim.trace.arrays import LayerLike, build_network, describe_input, gather_spikes, samples_of
from hwsim.trace.file import TraceFile
from hwsim.trace.manifest import (
    TraceError,
    content_hash,
    guard,
    trouble,
    writing,
)
from hwsim.trace.recording import MAX_NAME, Recording, network_trouble, whole_number
from hwsim.trace.schema import (
    FORMAT,
    RESERVED,
    ROW_HASHES,
    VERSIONS,
    Reader,
    RecordedPlanes,
    capabilities,
    columns,
    decode,
    known_capabilities,
    network_paths,
    potential_dtype,
    potential_path,
    unsupported,
)
from hwsim.trace.shipped import no_trace, trace_file
from hwsim.trace.storage import Storage, open_storage

__all__ = ["Trace", "TraceError"]

IN_MEMORY = "trace in memory"
MAX_SAMPLE_BYTES = 1 << 29
"""Of the planes of one sample, unpacked: ResNet-50 on ImageNet at 32 timesteps has two thirds of it."""

OTHER_FILES = {
    ".net": ("a network of lava-dl", "hwsim capture netx FILE --out TRACE"),
    ".nir": ("a NIR graph", "hwsim capture nir FILE --inputs INPUTS --reset soft|hard --dt DT --out TRACE"),
    ".onnx": ("an ONNX network", "hwsim convert --model FILE --calibrate IMAGES --out FOLDER"),
    ".pt": ("a checkpoint", "hwsim convert FILE --data FOLDER --out TRACE"),
    ".py": ("a Python file", "hwsim capture torch FILE:FUNCTION, for an SNN, or hwsim convert --model FILE:FUNCTION, for an ANN"),
}
"""What people give instead of a trace, by the end of its name: what it is, and the command that makes a trace of it."""


class Trace:
    """What a network did on some samples.

    network         the Network, weights included where they were recorded (`has_weights`).
    samples         how many samples.            labels    (samples,) int64 or None.
    name            a short name for tables.     provenance   origin, script, licence, accuracies: free-form.
    coding          coding of the hidden layers: rate, bit_serial, quantised or mixed.
    timesteps       most planes that a hidden layer sends.
    content_hash    SHA-256 of everything said above and recorded, equal for equal content wherever it is kept.
    format_version  of the file: 2, or 1 for older ones, which are read under today's names.
    """

    def __init__(self, storage: Storage, where: str, path: Path | None, trusted: bool) -> None:
        """Use Trace.open, Trace.from_arrays or a TraceWriter; this takes an open file and owns it from now on."""
        self.path, self._where, self._trusted = path, where, trusted
        self._keeps_bytes, self._kept = 0, dict[int, Sample]()
        self._file = TraceFile(storage, where)
        self._read_head()
        self.network = self._read_network()
        self._columns = columns(self.network)
        self._check_sample_size()
        self.labels = self._read_recorded()

    # -- opening and closing ----------------------------------------------------------------------------------

    @classmethod
    def open(cls, path: str | Path, trust_version_1: bool = False) -> Trace:
        """Open a trace file for reading. Raises TraceError when the file is anything but a sound trace.

        path              a file, or the name of a trace that comes with hwsim: bit_serial, rate or ann.
        trust_version_1   read a version 1 file that hwsim does not ship, whose structures are not scanned; a forged one can crash
                          the HDF5 library. The environment variable HWSIM_TRUST_VERSION_1=1 says the same.
        """
        path = trace_file(path)
        where = str(path)
        if not isfile(path):
            raise no_trace(path)
        with guard(where, "file"):
            handle = open(path, "rb")
        try:
            return cls._adopt(handle, where, path, trust_version_1)
        except TraceError:
            if (other := OTHER_FILES.get(path.suffix.lower())) is None:
                raise
            raise trouble(where, "file", other[0], "a trace", f"make a trace of it first: {other[1]}") from None

    @classmethod
    def from_arrays(
        cls, inputs: ArrayLike, layers: Sequence[LayerLike], spikes: Mapping[str, ArrayLike] | None = None, *,
        labels: Sequence[int] | None = None, logits: ArrayLike | None = None, input_bits: int | None = None,
        input_coding: Literal["rate", "bit_serial"] = "rate", name: str = "trace",
        provenance: Mapping[str, Any] | None = None,
    ) -> Trace:
        """A trace in memory from anybody's recorded spikes.

        inputs   integers (samples, C, H, W): multi-bit values that drive the first layer (`input_bits` wide, by default
                 as many as they need); or booleans (samples, T, C, H, W): spikes.
        layers   in order, each a Layer or a dictionary with `name` and, as far as they do not follow from weights,
                 spikes and the layer before: `source` (default: the layer before), `weights` (integers: 4 axes a
                 convolution, 2 a linear layer, 1 an identity), `operator, kernel, stride, padding` (a number, or (y, x)),
                 `groups, pool, pool_mode, channel_offset`, or several of these as `connections=[...]`, none for a layer
                 that its bias drives; `neuron` (a model's name or a
                 Neuron; integrate_and_fire), `thresholds` (one integer or one a timestep), `bias, initial_potential`
                 (scalar, (C,) or (C, H, W)), `shape, timesteps, potential_bits` (24), `payload_bits`.
        spikes   by layer name, (samples, T, C, H, W) booleans; (samples, T, N) for linear layers; values
                 (samples, C, H, W) for a quantised ANN. A layer's dictionary may hold its own under `spikes`. With all
                 weights and no spikes at all, the spikes are computed. Read-outs send none.

        Weights may be left out: then cycles and energy are simulated and nothing is compared. Raises TraceError.

        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> trace = Trace.from_arrays(
        ...     inputs=rng.integers(0, 256, (5, 3, 8, 8)),
        ...     layers=[
        ...         dict(name="conv", operator="conv2d", kernel=3, padding=1),
        ...         dict(name="out", operator="linear", pool=2, neuron="read_out", shape=(10, 1, 1)),
        ...     ],
        ...     spikes={"conv": rng.random((5, 4, 16, 8, 8)) < 0.2},
        ...     labels=[3, 1, 4, 1, 5],
        ... )
        >>> trace.samples, trace.coding, trace.timesteps, trace.has_weights, trace.sample(0).recorded["conv"].shape
        (5, 'rate', 4, False, (4, 8, 8, 16))
        """
        values, recorded = np.asarray(inputs), gather_spikes(layers, spikes)
        network = build_network(describe_input(values, input_bits, input_coding), layers, recorded)
        for what, column in (("labels", labels), ("logits", logits)):
            if column is not None and len(np.asarray(column)) != len(values):
                raise trouble("Trace.from_arrays", what, f"{len(np.asarray(column))} of them", f"{len(values)}, one a "
                              "sample of inputs", "make them match")
        recording = Recording(network, name=name, provenance=provenance)
        for i, sample in enumerate(samples_of(network, values, recorded)):
            recording.append(
                sample, label=None if labels is None else whole_number(labels[i], f"label {i}"),
                logits=None if logits is None else np.asarray(logits)[i],
            )
        return opened(recording.seal())

    @classmethod
    def from_image(cls, image: bytes, trust_version_1: bool = False) -> Trace:
        """A trace in memory from the bytes of its file (how traces in memory travel between processes)."""
        return cls._adopt(io.BytesIO(image), IN_MEMORY, None, trust_version_1)

    @classmethod
    def _adopt(cls, handle: BinaryIO, where: str, path: Path | None, trusted: bool) -> Trace:
        storage: Storage | None = None
        try:
            with guard(where, "file"):
                storage = open_storage(handle, where, path, trusted)
                return cls(storage, where, path, trusted)
        except BaseException:
            (storage or handle).close()
            raise

    def close(self) -> None:
        """Close the file; samples cannot be read any more."""
        self._columns, self._kept, self._keeps_bytes = {}, {}, 0
        self._file.storage.close()

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[..., Trace], tuple[Any, ...]]:
        if self.path is None:
            return Trace.from_image, (self._image(), self._trusted)
        return Trace.open, (self.path, self._trusted)

    def __repr__(self) -> str:
        return f"<Trace {self.name!r}: {len(self.network.layers)} layers, {self.samples} samples, {self.coding}>"

    # -- what it holds ----------------------------------------------------------------------------------------

    @property
    def has_weights(self) -> bool:
        """Whether every connection has weights, so that a replay can be checked."""
        return self.network.has_weights

    @property
    def has_logits(self) -> bool:
        """Whether logits were recorded beside, or in place of, final potentials."""
        return "/logits" in self._file

    @property
    def coding(self) -> str:
        """`rate`, `bit_serial`, `single_spike` or `quantised` when all hidden layers agree, else `mixed`."""
        found = {layer.coding for layer in self.network if layer.sends}
        if not found:
            return Requantise.coding if self.network.is_ann else self.network.input.coding
        return found.pop() if len(found) == 1 else "mixed"

    @property
    def timesteps(self) -> int:
        """Most timesteps (bit planes) that a hidden layer takes; 1 for a quantised ANN."""
        hidden = [layer.timesteps for layer in self.network if layer.sends]
        return max(hidden, default=self.network.input.timesteps)

    @property
    def content_hash(self) -> str:
        """SHA-256 over the hashes of all datasets and over the metadata; names the content, not the file."""
        return self._content_hash

    def __len__(self) -> int:
        return self.samples

    def sample(self, index: int) -> Sample:
        """Input and recorded outputs of one sample, planes (T, H, W, C), read now, and kept where `keep` said so."""
        index = self._index(index)
        if (known := self._kept.get(index)) is not None:
            return known
        planes = {name: self._planes(column, index) for name, column in self._columns.items()}
        size = sum(plane.nbytes for plane in planes.values())
        found = Sample(inputs=planes.pop(INPUT), recorded=planes)
        if size <= self._keeps_bytes:
            self._keeps_bytes -= size
            self._kept[index] = found
        return found

    def keep(self, most_bytes: int) -> Trace:
        """From now on samples are kept when they are read, up to so many bytes: for who reads them again and again."""
        self._keeps_bytes = most_bytes
        return self

    def __iter__(self) -> Iterator[Sample]:
        """All samples, one at a time."""
        return (self.sample(i) for i in range(self.samples))

    def logits(self, index: int) -> NDArray[Any] | None:
        """Recorded logits (K,) of one sample, or the final potentials of a last read-out layer, or None."""
        index = self._index(index)
        if self.has_logits:
            row = self._file.row("/logits", index)
            if not np.isfinite(row).all():
                raise trouble(self._where, f"/logits[{index}]", "NaN or infinity", "numbers", "make the file again")
            return row
        path = potential_path(self.network.layers[-1])
        return self._file.row(path, index).astype(np.int64).reshape(-1) if path in self._file else None

    def final_potentials(self, index: int) -> dict[str, NDArray[np.int64]]:
        """Potentials (C, H, W) after the last timestep, of the layers for which they were recorded."""
        index = self._index(index)
        found = {}
        for layer in self.network:
            if (path := potential_path(layer)) in self._file:
                found[layer.name] = self._file.row(path, index).astype(np.int64)
        return found

    def _planes(self, column: RecordedPlanes, index: int) -> NDArray[np.integer]:
        row = self._file.row(column.path, index)
        if not column.payload_bits:
            return np.unpackbits(row, count=column.size).reshape(column.planes)
        if (wrong := column.outside(row)) is not None:
            raise trouble(self._where, f"{column.path}[{index}]", wrong[0], f"{wrong[1]}, as its attributes say",
                          "the file is mislabelled: make it again")
        return row.astype(column.dtype, copy=False)

    def _check_sample_size(self) -> None:
        """Refuse samples that would not fit into memory, before any is read: packed rows shrink a thousandfold in a file."""
        size = sum(column.size * column.dtype.itemsize for column in self._columns.values())
        if size > MAX_SAMPLE_BYTES:
            raise trouble(self._where, "/layers", f"{size} bytes of planes per sample", f"at most {MAX_SAMPLE_BYTES}",
                          "a trace of this size cannot be replayed: record fewer timesteps or layers")

    def _index(self, index: int) -> int:
        if not self._columns:
            raise trouble(self._where, "file", "closed trace", "an open one", "open it again")
        if not 0 <= index < self.samples:
            raise IndexError(f"{self._where}: sample {index} asked for, the trace has 0 to {self.samples - 1}")
        return int(index)

    # -- saving and checking ----------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Trace:
        """Write the trace to `path`, whole or not at all, and return it opened from there. A version 1 file stays one."""
        self.check(deep=True)
        with writing(str(path)), whole_file(path) as part:
            if self.path is not None:
                shutil.copyfile(self.path, part)
            else:
                part.write_bytes(self._image())
        return Trace.open(path, self._trusted)

    def _image(self) -> bytes:
        """The bytes of a file in memory."""
        return self._file.storage.image()

    def check(self, deep: bool = True, progress: Callable[[int, int], None] | None = None) -> None:
        """Verify structure and hashes again and, when `deep`, all recorded data against their SHA-256 and ranges.

        `progress` is called with (samples checked, samples in all). Raises TraceError at the first thing that is wrong.
        """
        self._index(0)
        with guard(self._where, "file"):
            if content_hash(self._file.storage.manifest()) != self._content_hash:
                raise trouble(self._where, "file", "other content than when it was opened", "the same", "open it again")
            if not deep:
                return
            for path, entry in self._file.manifest.items():
                if entry.shape is not None and not (self._file.hashes_rows and path in self._file.row_paths):
                    self._file.check_hash(path)
            for index in range(self.samples):
                self.sample(index)
                self.logits(index)
                self.final_potentials(index)
                if progress:
                    progress(index + 1, self.samples)

    # -- reading the file -------------------------------------------------------------------------------------

    def _read_head(self) -> None:
        head = Reader(self._where, "/", self._file.manifest["/"].attributes)
        head.text("format", (FORMAT,))
        self.format_version = head.integer("format_version", VERSIONS[0], VERSIONS[-1])
        self._capabilities = head.texts("capabilities")
        for name in self._capabilities:
            if name in RESERVED:
                raise unsupported(self._where, "/, attribute 'capabilities'", name)
        unknown = sorted(set(self._capabilities) - known_capabilities())
        if unknown:
            raise trouble(self._where, "/, attribute 'capabilities'", ", ".join(unknown), "only what this hwsim can do",
                          "read it with a newer hwsim, or register the neuron model it names")
        self.name, self.provenance = head.text("name"), head.mapping("provenance")
        if not self.name.isprintable() or not 0 < len(self.name) <= MAX_NAME:
            raise trouble(self._where, "/, attribute 'name'", repr(self.name[:MAX_NAME]),
                          f"1 to {MAX_NAME} printable characters", "rename the trace")
        self.samples = head.integer("samples", 1, 1 << 40)
        stated = head.text("content_sha256")
        head.finish()
        self._content_hash = content_hash(self._file.stated)
        if stated != self._content_hash:
            raise trouble(self._where, "/, attribute 'content_sha256'", f"{stated[:12]}...",
                          f"{self._content_hash[:12]}... as its content says", "the file was altered: make it again")

    def _read_network(self) -> Network:
        # First with arrays that only have a shape: no weight is read before all claimed sizes make sense.
        for read in (self._file.placeholder, self._file.array):
            network = decode(self._file.manifest, self._where, read)
            problems = validate_network(network)
            if problems:
                raise network_trouble(self._where, problems)
        if capabilities(network) != self._capabilities:
            raise trouble(self._where, "/, attribute 'capabilities'", ", ".join(self._capabilities),
                          ", ".join(capabilities(network)), "the file is mislabelled: list what it uses, sorted")
        return network

    def _read_recorded(self) -> NDArray[np.int64] | None:
        """Expect every recorded dataset in its place and nothing else; returns the labels."""
        known = network_paths(self.network)
        for column in self._columns.values():
            known.add(column.path)
            self._file.expect_rows(column.path, (self.samples, *column.row_shape), column.file_dtype.name)
        for layer in self.network:
            path = potential_path(layer)
            known.add(path)
            if path in self._file:
                self._file.expect_rows(path, (self.samples, *layer.shape), potential_dtype(layer).name)
        if "/logits" in self._file:
            known.add("/logits")
            width = (self._file.entry("/logits").shape or ())[1:2] or (1,)
            self._file.expect_rows("/logits", (self.samples, *width), "int64", "float64")
        if self._file.hashes_rows:
            known.add(ROW_HASHES)
            self._file.read_row_hashes(ROW_HASHES, self.samples)
        labels: NDArray[np.int64] | None = None
        if "/labels" in self._file:
            known.add("/labels")
            self._file.expect("/labels", (self.samples,), "int64")
            labels = self._file.array("/labels")
            last = self.network.layers[-1]
            classes = 1 << 31 if last.sends else last.neurons
            if int(labels.min()) < 0 or int(labels.max()) >= classes:
                raise trouble(self._where, "/labels", f"labels from {labels.min()} to {labels.max()}",
                              f"0 to {classes - 1}, one a read-out neuron", "number the classes from 0")
        unknown = sorted(set(self._file.manifest) - known)
        if unknown:
            raise trouble(self._where, unknown[0], "an object that the format does not know", "only documented ones",
                          "remove it, or read the file with the hwsim that wrote it")
        return labels


def opened(sealed: Path | bytes) -> Trace:
    """What a Recording has made of samples, opened."""
    return Trace.from_image(sealed) if isinstance(sealed, bytes) else Trace.open(sealed)
