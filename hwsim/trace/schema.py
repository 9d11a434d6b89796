"""What a trace file says, in the words of the network: attributes by type, columns, and back to a Network.

docs/formats/trace.md is this module as tables. Nothing here touches HDF5: attributes come from a Manifest, arrays from
a function, so the same code checks a file's claims before any of its data are read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.snn.network import ENCODINGS, INPUT_CODINGS, Connection, InputSpec, Layer, Network, Shape, by_axis
from hwsim.snn.neurons import MODELS, Neuron
from hwsim.snn.validate import is_int
from hwsim.trace.hdf5_scan import MAX_OBJECTS
from hwsim.trace.hdf5_writer import Attribute
from hwsim.trace.manifest import Manifest, TraceError, product, trouble

FORMAT = "hwsim-trace"
FORMAT_VERSION = 2
VERSIONS = (1, FORMAT_VERSION)
ROW_HASHES = "/row_hashes"
# Names that version 2 keeps for what engines cannot replay yet; a file that needs one of them is refused by that name.
RESERVED = {
    "masks": "pruned neurons",
    "signed_spikes": "spikes of either sign",
    "pool_per_axis": "a pool that differs between the axes",
    "recurrent": "a layer that reads itself or a later layer",
    "delays": "synapses with delays",
}

ReadArray = Callable[[str], NDArray[Any]]


@dataclass
class Reader:
    """Takes attributes of one entry by type, and knows which were never asked for."""

    where: str
    path: str
    attributes: dict[str, Attribute]
    taken: set[str] = field(default_factory=set)

    def fail(self, name: str, expected: str) -> TraceError:
        value = self.attributes.get(name)
        found = "nothing" if value is None else repr(value)[:80]
        return trouble(self.where, f"{self.path}, attribute {name!r}", found, expected, "see docs/formats/trace.md")

    def integer(self, name: str, low: int = -(1 << 62), high: int = 1 << 62) -> int:
        self.taken.add(name)
        value = self.attributes.get(name)
        if not isinstance(value, int) or not low <= value <= high:
            raise self.fail(name, f"an integer from {low} to {high}")
        return value

    def integers(self, name: str, count: int | None = None, optional: bool = False) -> tuple[int, ...]:
        self.taken.add(name)
        value = self.attributes.get(name)
        if value is None and optional:
            return ()
        if not isinstance(value, list) or not value or not all(is_int(n, -(1 << 62), 1 << 62) for n in value):
            raise self.fail(name, "a one-dimensional array of integers")
        if count is not None and len(value) != count:
            raise self.fail(name, f"{count} integers")
        return tuple(int(n) for n in value)

    def text(self, name: str, allowed: tuple[str, ...] = ()) -> str:
        self.taken.add(name)
        value = self.attributes.get(name)
        if not isinstance(value, str) or (allowed and value not in allowed):
            raise self.fail(name, " or ".join(map(repr, allowed)) if allowed else "a string")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        self.taken.add(name)
        value = self.attributes.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.fail(name, "a one-dimensional array of strings")
        return tuple(str(item) for item in value)

    def side(self, name: str) -> tuple[int, int]:
        """A size stated for y and x."""
        y, x = self.integers(name, 2)
        return y, x

    def pool(self) -> int:
        """A pool's size, stated for y and x, which have to be equal."""
        y, x = self.side("pool")
        if y != x:
            raise unsupported(self.where, f"{self.path}, attribute 'pool'", "pool_per_axis")
        return y

    def mapping(self, name: str) -> dict[str, Any]:
        """A JSON object in a string."""
        try:
            value = json.loads(self.text(name), parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise self.fail(name, "a JSON object (NaN and Infinity are not JSON)")
        return value

    def shape(self) -> Shape:
        c, h, w = self.integers("shape", 3)
        return (c, h, w)

    def finish(self) -> None:
        unknown = sorted(set(self.attributes) - self.taken)
        if unknown:
            raise trouble(self.where, self.path, f"unknown attributes {', '.join(unknown)}", "only documented ones",
                          "remove them, or read the file with the hwsim that wrote it")


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def unsupported(where: str, place: str, name: str) -> TraceError:
    """The error for a reserved name."""
    return trouble(where, place, f"{name} ({RESERVED[name]})", "what this hwsim can replay",
                   f"{name} is reserved in version {FORMAT_VERSION} and not supported by this version of hwsim")


def capabilities(network: Network) -> tuple[str, ...]:
    """What a reader must know to understand a trace of this network, sorted."""
    needed = {f"input:{network.input.encoding}"}
    for layer in network:
        needed |= {f"neuron:{layer.neuron.model}", f"coding:{layer.coding}"}
        needed |= {"stages"} if len(layer.stages) > 2 else set()
        needed |= {"unconnected"} if not layer.connections else set()
        needed |= {"per_axis"} if any(c.differs_by_axis for c in layer.connections) else set()
        needed |= {f"operator:{c.operator}" for c in layer.connections}
        needed |= {f"pool:{c.pool_mode}" for c in layer.connections if c.pool_mode != "none"}
    return tuple(sorted(needed))


def known_capabilities() -> set[str]:
    """What this hwsim understands; RESERVED names what it does not understand yet."""
    known = {"pool:folded", "pool:unit", "pool:max", "stages", "per_axis", "unconnected"}
    known |= {f"input:{name}" for name in ENCODINGS} | {f"operator:{name}" for name in ("conv2d", "linear", "identity")}
    for cls in MODELS.values():
        known |= {f"neuron:{cls.model}", f"coding:{cls.coding}"}
    return known


@dataclass(frozen=True)
class RecordedPlanes:
    """Where the recorded planes (T, H, W, C) of the input or of a layer lie.

    payload_bits   0: a packed bit array `spikes`; else integers `values`.
    hybrid         values in the first plane, 0 and 1 in the others.
    """

    path: str
    planes: tuple[int, int, int, int]
    payload_bits: int = 0
    signed: bool = False
    hybrid: bool = False

    @property
    def size(self) -> int:
        """Bits or values of one sample."""
        return product(self.planes)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one sample in the file."""
        return self.planes if self.payload_bits else (-(-self.size // 8),)

    @property
    def file_dtype(self) -> np.dtype[Any]:
        if not self.payload_bits:
            return np.dtype("u1")
        return np.dtype(f"<{'i' if self.signed else 'u'}{1 if self.payload_bits <= 8 else 2}")

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that a Sample holds: the narrowest of uint8, int16 and int32 that carries every value."""
        if not self.signed and self.payload_bits <= 8:
            return np.dtype(np.uint8)
        return np.dtype(np.int32 if not self.signed and self.payload_bits == 16 else np.int16)

    @property
    def limits(self) -> tuple[int, int]:
        """Lowest and highest value."""
        bits = max(1, self.payload_bits)
        return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if self.signed else (0, (1 << bits) - 1)

    def outside(self, planes: NDArray[Any]) -> tuple[str, str] | None:
        """What planes (T, H, W, C) hold that this column cannot, and what it can; None when all is in range."""
        low, high = self.limits
        if int(planes.min()) < low or int(planes.max()) > high:
            return f"values from {planes.min()} to {planes.max()}", f"{low} to {high}"
        later = planes[1:]
        if self.hybrid and later.size and (int(later.min()) < 0 or int(later.max()) > 1):
            return f"values from {later.min()} to {later.max()} after the first plane", "0 and 1, spikes"
        return None


def columns(network: Network) -> dict[str, RecordedPlanes]:
    """Columns of the input (under "input") and of every layer that sends anything, in order."""
    spec = network.input
    c, h, w = spec.shape
    bits = spec.value_bits
    found = {"input": RecordedPlanes(f"/input/{'values' if bits else 'spikes'}", (spec.timesteps, h, w, c), bits, spec.signed,
                             spec.is_hybrid)}
    for layer in network:
        c, h, w = layer.shape
        bits = layer.payload_bits
        if layer.sends:
            path = f"/layers/{layer.name}/{'values' if bits else 'spikes'}"
            found[layer.name] = RecordedPlanes(path, (layer.timesteps, h, w, c), bits)
    return found


def potential_path(layer: Layer) -> str:
    """Where the final potentials of a layer lie."""
    return f"/layers/{layer.name}/final_potentials"


def potential_dtype(layer: Layer) -> np.dtype[Any]:
    """Type that final potentials of a layer are stored in."""
    return np.dtype("<i2" if layer.potential_bits <= 16 else "<i4" if layer.potential_bits <= 32 else "<i8")


def network_paths(network: Network) -> set[str]:
    """Every path that a network's description occupies or may occupy in a file."""
    paths = {"/", "/input", "/layers"}
    for layer in network:
        path = f"/layers/{layer.name}"
        paths |= {path, f"{path}/bias", f"{path}/initial_potential"}
        for k in range(len(layer.connections)):
            paths |= {f"{path}/connection{k}", f"{path}/connection{k}/weights"}
    return paths


def encode(network: Network) -> tuple[dict[str, dict[str, Attribute]], dict[str, NDArray[Any]]]:
    """Attributes of the groups that describe a network, and its arrays, both by path: what `decode` reads."""
    spec = network.input
    said: dict[str, Attribute] = {
        "shape": list(spec.shape), "encoding": spec.encoding, "timesteps": spec.timesteps, "payload_bits": spec.payload_bits,
        "signed": int(spec.signed), "coding": spec.coding,
    }
    if spec.is_hybrid:
        said["spike_shift"] = spec.spike_shift
    groups: dict[str, dict[str, Attribute]] = {"/input": said, "/layers": {"order": [layer.name for layer in network]}}
    arrays: dict[str, NDArray[Any]] = {}
    for layer in network:
        path = f"/layers/{layer.name}"
        groups[path] = _layer_attributes(layer)
        arrays[f"{path}/initial_potential"] = layer.initial_potential.astype(np.int64)
        if layer.bias is not None:
            arrays[f"{path}/bias"] = layer.bias.astype(np.int64)
        for k, connection in enumerate(layer.connections):
            groups[f"{path}/connection{k}"] = _connection_attributes(connection)
            if connection.weights is not None:
                arrays[f"{path}/connection{k}/weights"] = narrowest(connection.weights)
    return groups, arrays


def _layer_attributes(layer: Layer) -> dict[str, Attribute]:
    said: dict[str, Attribute] = {
        "shape": list(layer.shape), "neuron": layer.neuron.model,
        "neuron_parameters": json.dumps(layer.neuron.parameters(), sort_keys=True, allow_nan=False), "coding": layer.coding,
        "timesteps": layer.timesteps, "potential_bits": layer.potential_bits, "payload_bits": layer.payload_bits,
        "signed": 0, "connections": len(layer.connections),
    }
    if len(layer.thresholds):
        said["thresholds"] = [int(theta) for theta in layer.thresholds]
    if layer.stages:
        said["stages"] = list(layer.stages)
    return said


def _connection_attributes(c: Connection) -> dict[str, Attribute]:
    return {
        "source": c.source, "operator": c.operator, "source_shape": list(c.source_shape),
        "kernel": list(by_axis(c.kernel)), "stride": list(by_axis(c.stride)), "padding": list(by_axis(c.padding)),
        "groups": c.groups, "pool": [c.pool, c.pool], "pool_mode": c.pool_mode, "channel_offset": c.channel_offset,
    }


def narrowest(array: NDArray[np.integer]) -> NDArray[np.integer]:
    """The same integers in the smallest signed type of 1, 2, 4 or 8 bytes."""
    low, high = int(array.min()), int(array.max())
    for dtype in ("<i1", "<i2", "<i4"):
        info = np.iinfo(dtype)
        if info.min <= low and high <= info.max:
            return array.astype(dtype)
    return array.astype("<i8")


def decode(manifest: Manifest, where: str, read: ReadArray) -> Network:
    """The network that a manifest describes; `read(path)` gives a dataset's array."""
    top = Reader(where, "/layers", _attributes_of(manifest, "/layers", where))
    names = top.texts("order")
    top.finish()
    return Network(_decode_input(manifest, where), tuple(_decode_layer(manifest, where, read, name) for name in names))


def _attributes_of(manifest: Manifest, path: str, where: str) -> dict[str, Attribute]:
    if path not in manifest or manifest[path].shape is not None:
        raise trouble(where, path, "no such group", "one", "the file is incomplete: make it again")
    return manifest[path].attributes


def _decode_input(manifest: Manifest, where: str) -> InputSpec:
    r = Reader(where, "/input", _attributes_of(manifest, "/input", where))
    spec = InputSpec(
        shape=r.shape(), encoding=r.text("encoding", ENCODINGS),  # type: ignore[arg-type]
        timesteps=r.integer("timesteps"),
        payload_bits=r.integer("payload_bits"), signed=bool(r.integer("signed", 0, 1)),
        coding=r.text("coding", tuple(INPUT_CODINGS)),  # type: ignore[arg-type]
        spike_shift=r.integer("spike_shift") if "spike_shift" in r.attributes else 0,
    )
    r.finish()
    return spec


def _decode_layer(manifest: Manifest, where: str, read: ReadArray, name: str) -> Layer:
    path = f"/layers/{name}"
    r = Reader(where, path, _attributes_of(manifest, path, where))
    neuron = _decode_neuron(r)
    r.text("coding", (neuron.coding,))
    if r.integer("signed", 0, 1):
        raise unsupported(where, f"{path}, attribute 'signed'", "signed_spikes")
    count = r.integer("connections", 0, MAX_OBJECTS)
    layer = Layer(
        name=name, shape=r.shape(), neuron=neuron, timesteps=r.integer("timesteps"),
        connections=tuple(_decode_connection(manifest, where, read, f"{path}/connection{k}") for k in range(count)),
        thresholds=np.array(r.integers("thresholds", optional=True), np.int64),
        bias=_optional(manifest, read, f"{path}/bias"),
        initial_potential=read(f"{path}/initial_potential"),
        potential_bits=r.integer("potential_bits"), payload_bits=r.integer("payload_bits"),
        stages=r.integers("stages", optional=True),
    )
    r.finish()
    return layer


def _decode_neuron(r: Reader) -> Neuron:
    cls = MODELS[r.text("neuron", tuple(MODELS))]
    parameters = r.mapping("neuron_parameters")
    names = {f.name for f in fields(cls)}
    if set(parameters) != names:
        raise r.fail("neuron_parameters", f"exactly the parameters {sorted(names)} of {cls.model}")
    if not all(v is None or isinstance(v, str) or is_int(v, -(1 << 62), 1 << 62) for v in parameters.values()):
        raise r.fail("neuron_parameters", "integers, strings or null")
    return cls(**parameters)


def _decode_connection(manifest: Manifest, where: str, read: ReadArray, path: str) -> Connection:
    r = Reader(where, path, _attributes_of(manifest, path, where))
    c, h, w = r.integers("source_shape", 3)
    connection = Connection(
        source=r.text("source"), operator=r.text("operator", ("conv2d", "linear", "identity")),  # type: ignore[arg-type]
        source_shape=(c, h, w), weights=_optional(manifest, read, f"{path}/weights"),
        kernel=r.side("kernel"), stride=r.side("stride"), padding=r.side("padding"), groups=r.integer("groups"), pool=r.pool(),
        pool_mode=r.text("pool_mode", ("none", "folded", "unit", "max")),  # type: ignore[arg-type]
        channel_offset=r.integer("channel_offset"),
    )
    r.finish()
    return connection


def _optional(manifest: Manifest, read: ReadArray, path: str) -> NDArray[Any] | None:
    return read(path) if path in manifest else None
