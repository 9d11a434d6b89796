"""lava-dl's HDF5 network files, read and checked: layers with their arrays as integers, and nothing that is not understood.

A file is a stranger's: links out of it, data outside of it, objects of absurd size and names that are not known are refused
before any number is used. What the names mean: lava-dl's `netx`; shapes here are (C, H, W), sides (y, x), as in the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.capture.errors import CaptureError, refusal
from hwsim.errors import shown
from hwsim.snn.network import Shape

KINDS = ("input", "conv", "flatten", "dense")
NEURONS = ("LOIHI", "CUBA")
UNSUPPORTED_KINDS = {
    "pool": "a pooling layer", "unpool": "an unpooling layer", "convT": "a transposed convolution",
    "average": "an averaging layer", "concat": "a concatenation", "dense_rec": "a recurrent layer",
    "recurrent": "a recurrent layer",
}
UNSUPPORTED_NEURONS = {
    "SDNN": "sigma-delta neurons (SDNN)", "ALIF": "adaptive neurons (ALIF)", "RF": "resonators (RF)",
    "RF-IZ": "resonators (RF-IZ)", "RFIZ": "resonators (RF-IZ)", "ADRF": "adaptive resonators (ADRF)",
    "ADRF-IZ": "adaptive resonators (ADRF-IZ)",
}
OF_LAYERS = {
    "input": {"weight", "bias"}, "flatten": set[str](),
    "dense": {"weight", "bias", "inFeatures", "outFeatures", "delay"},
    "conv": {"weight", "bias", "inChannels", "outChannels", "kernelSize", "stride", "padding", "dilation", "groups", "delay"},
}
OF_NEURONS = {"type", "iDecay", "vDecay", "vThMant", "refDelay", "wgtExp", "theta", "scaleRho", "tauRho", "gradedSpike"}
"""theta, scaleRho and tauRho belong to training: vThMant is the threshold, the others shape gradients."""
MOST_VALUES, MOST_OBJECTS, MOST_LAYERS = 1 << 26, 10_000, 256
WHOLE_DECAY, MOST_THRESHOLD = 4096, (1 << 17) - 1
Group = dict[str, Any]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class NeuronEntry:
    """Decays in 1/4096, threshold and bias as mantissas (times 2**6)."""

    current_decay: int
    potential_decay: int
    threshold: int

    @property
    def reads_out(self) -> bool:
        """Whether it only adds up: nothing decays but the current, at once, and the threshold is the highest that there is."""
        return (self.current_decay, self.potential_decay, self.threshold) == (WHOLE_DECAY, 0, MOST_THRESHOLD)


@dataclass(frozen=True, eq=False)
class Entry:
    """One layer. weights: dense (out, in), conv (out, in, ky, kx), else None. biases: one for each channel, or None."""

    kind: str
    place: str
    shape: Shape
    neuron: NeuronEntry | None = None
    weights: IntArray | None = None
    biases: IntArray | None = None
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)


@dataclass(frozen=True, eq=False)
class NetxFile:
    """where: the path, for errors. timesteps: of a sample, if the file says so. transform: weight and bias of the input."""

    where: str
    layers: tuple[Entry, ...]
    timesteps: int | None
    transform: tuple[int, int]

    @property
    def shape(self) -> Shape:
        """(C, H, W) of the input."""
        return self.layers[0].shape


def read_netx(path: str | Path) -> NetxFile:
    """Read a file. Raises CaptureError with the layer, what was found and what to do."""
    where = str(path)
    top = _tree(Path(path), where)
    layers = top.get("layer")
    if not isinstance(layers, dict) or not layers:
        raise refusal(where, "group 'layer'", "nothing", "layers 0, 1, ...", "give a network file that lava-dl exported")
    if set(layers) != {str(n) for n in range(len(layers))} or len(layers) > MOST_LAYERS:
        raise refusal(where, "group 'layer'", shown(", ".join(sorted(layers)), 100, str),
                      f"layers 0, 1, ..., at most {MOST_LAYERS}", "export the network again")
    entries = tuple(_Layer(where, n, layers[str(n)]).entry() for n in range(len(layers)))
    first = _Layer(where, 0, layers["0"])
    for n, entry in enumerate(entries):
        if (entry.kind == "input") != (n == 0):
            raise refusal(where, entry.place, "a second input layer" if n else "no input layer", "one, in front of all others",
                          "export the network again")
    simulation = top.get("simulation")
    steps = simulation.get("tSample") if isinstance(simulation, dict) else None
    timesteps = None if steps is None else first.integer(steps, "simulation/tSample", 1, 1 << 20)
    return NetxFile(where, entries, timesteps, (first.optional("weight", 64), first.optional("bias", 0)))


# -- one layer --------------------------------------------------------------------------------------------------------


class _Layer:
    """A layer's group, taken apart; every refusal names the layer."""

    def __init__(self, where: str, number: int, group: Any) -> None:
        self.where, self.group = where, group if isinstance(group, dict) else {}
        self.place = f"layer {number}"
        self.kind = self.text(self.group.get("type"), "type")
        self.place = f"layer {number} ({self.kind})"

    def fail(self, found: str, expected: str, do: str) -> CaptureError:
        return refusal(self.where, self.place, found, expected, do)

    def entry(self) -> Entry:
        if self.kind not in KINDS:
            what = UNSUPPORTED_KINDS.get(self.kind, "a layer of an unknown type")
            raise self.fail(f"{what} ({self.kind!r})", ", ".join(KINDS), "it is not taken over: leave it out of the network")
        self._check_names()
        shape = self.numbers("shape", 3, 1)
        shape = (shape[0], shape[1], shape[2])
        if self.kind == "flatten":
            return Entry(self.kind, self.place, shape)
        neuron = self._neuron()
        if self.kind == "input":
            return Entry(self.kind, self.place, shape, neuron)
        biases = self._biases(shape)
        if self.kind == "dense":
            return Entry(self.kind, self.place, shape, neuron, self._weights((shape[0] * shape[1] * shape[2], -1)), biases)
        return self._convolution(shape, neuron, biases)

    def _convolution(self, shape: Shape, neuron: NeuronEntry, biases: IntArray | None) -> Entry:
        ky, kx = self.sides("kernelSize", 1)
        if self.group.get("dilation") is not None and self.sides("dilation", 1) != (1, 1):
            raise self.fail(f"dilation {self.sides('dilation', 1)}", "1", "dilated convolutions are not taken over")
        if (groups := self.optional("groups", 1)) != 1:
            raise self.fail(f"groups {groups}", "1", "grouped convolutions are not taken over")
        weights = self._weights((shape[0], -1, ky, kx))
        return Entry(self.kind, self.place, shape, neuron, weights, biases, (ky, kx), self.sides("stride", 1),
                     self.sides("padding", 0))

    def _check_names(self) -> None:
        known = OF_LAYERS[self.kind] | {"type", "shape"} | ({"neuron"} if self.kind != "flatten" else set())
        if unknown := sorted(set(self.group) - known):
            raise self.fail(f"{', '.join(map(repr, unknown))}", f"only {', '.join(sorted(known))}",
                            "what is not known may change what the layer computes, so the file is not taken over")
        if isinstance(self.group.get("weight"), dict):
            raise self.fail("complex weights", "whole numbers", "networks of resonators are not taken over")
        delays = self.group.get("delay")
        if delays is not None and (isinstance(delays, dict) or bool(np.any(np.asarray(delays) != 0))):
            raise self.fail("delays", "none, or zeros", "synapses and axons with delays are not taken over")

    def _neuron(self) -> NeuronEntry:
        group = self.group.get("neuron")
        if not isinstance(group, dict):
            raise self.fail("no group 'neuron'", "the neurons' settings", "export the network again")
        kind = self.text(group.get("type"), "neuron/type")
        if kind not in NEURONS:
            what = UNSUPPORTED_NEURONS.get(kind, f"neurons of type {kind!r}")
            raise self.fail(what, f"current-based leaky integrate-and-fire neurons ({' or '.join(NEURONS)})",
                            "they are not taken over")
        if unknown := sorted(set(group) - OF_NEURONS):
            raise self.fail(f"{', '.join(map(repr, unknown))} of its neurons", f"only {', '.join(sorted(OF_NEURONS))}",
                            "what is not known may change what a neuron computes, so the file is not taken over")
        for name, only, what in (("refDelay", 1, "a refractory delay"), ("gradedSpike", 0, "graded spikes"),
                                 ("wgtExp", 0, "a weight exponent that lava-dl's own reader leaves out,")):
            if name in group and (value := self.integer(group[name], f"neuron/{name}", -64, 1 << 20)) != only:
                raise self.fail(f"{what} ({name} {value})", f"{only}", "it is not taken over")
        current, potential = (self.integer(group.get(name), f"neuron/{name}", 0, WHOLE_DECAY) for name in ("iDecay", "vDecay"))
        return NeuronEntry(current, potential, self.integer(group.get("vThMant"), "neuron/vThMant", 0, MOST_THRESHOLD))

    def _weights(self, shape: tuple[int, ...]) -> IntArray:
        weights = self.whole(self.group.get("weight"), "weight", 1 << 16)
        try:
            return weights.reshape(shape)
        except ValueError:
            raise self.fail(f"weights of shape {weights.shape}", f"{shape}, -1 standing for any number",
                            "export the network again") from None

    def _biases(self, shape: Shape) -> IntArray | None:
        if "bias" not in self.group:
            return None
        biases = self.whole(self.group["bias"], "bias", 1 << 16).reshape(-1)
        if len(biases) != shape[0]:
            raise self.fail(f"{len(biases)} biases", f"{shape[0]}, one for each channel or neuron", "export the network again")
        return biases

    # -- values

    def text(self, value: Any, name: str) -> str:
        """A string, stored alone or in an array of one."""
        array = np.asarray(value, dtype=object).reshape(-1) if value is not None else np.zeros(0)
        if len(array) == 1 and isinstance(array[0], bytes | str):
            return array[0].decode("utf-8", "replace") if isinstance(array[0], bytes) else array[0]
        raise self.fail(f"no text {name!r}", "one", "give a network file that lava-dl exported")

    def whole(self, value: Any, name: str, limit: int) -> IntArray:
        """An array of whole numbers below `limit` in size."""
        array = np.asarray(value)
        if value is None or isinstance(value, dict) or array.dtype.kind not in "biuf" or not array.size:
            raise self.fail(f"no numbers {name!r}", "whole numbers", "export the network again")
        if not bool(np.isfinite(array).all()) or bool((array != np.round(array)).any()):
            raise self.fail(f"values of {name!r} that are not whole", "integers", "export the quantised network")
        if bool((np.abs(array.astype(np.float64)) >= limit).any()):
            raise self.fail(f"values of {name!r} up to {np.abs(array).max():g}", f"less than {limit}",
                            "export the network again")
        return array.astype(np.int64)

    def integer(self, value: Any, name: str, low: int, high: int) -> int:
        array = self.whole(value, name, 1 << 31)
        if array.size != 1 or not low <= int(array.reshape(-1)[0]) <= high:
            raise self.fail(f"{name} {shown(array.reshape(-1)[:4].tolist(), 60)}", f"one number from {low} to {high}",
                            "export the network again")
        return int(array.reshape(-1)[0])

    def optional(self, name: str, default: int) -> int:
        return self.integer(self.group[name], name, -(1 << 16), 1 << 16) if name in self.group else default

    def numbers(self, name: str, count: int, low: int) -> tuple[int, ...]:
        found = tuple(self.whole(self.group.get(name), name, 1 << 20).reshape(-1).tolist())
        if len(found) != count or min(found) < low:
            raise self.fail(f"{name} {shown(found, 60)}", f"{count} numbers of {low} or more", "export the network again")
        return found

    def sides(self, name: str, low: int) -> tuple[int, int]:
        y, x = self.numbers(name, 2, low)
        return y, x


# -- HDF5 -------------------------------------------------------------------------------------------------------------


def _tree(path: Path, where: str) -> Group:
    """All of a file: groups as dictionaries, datasets as arrays."""
    if not path.is_file():
        raise refusal(where, "file", "no such file", "a network file that lava-dl exported", "check the path")
    try:
        import h5py
    except ImportError as error:
        raise refusal(where, "h5py", f"no package h5py ({error})", "it", "pip install h5py") from None
    try:
        with h5py.File(path, "r") as file:
            left = [MOST_OBJECTS, MOST_VALUES]
            return _read_group(file, where, left)
    except CaptureError:
        raise
    except Exception as error:  # h5py raises what HDF5 finds: OSError, KeyError, RuntimeError, ValueError, UnicodeError
        raise refusal(where, "file", f"{type(error).__name__}: {shown(' '.join(str(error).split()), 160, str)}",
                      "an HDF5 file that is whole", "give a network file that lava-dl exported, or fetch it again") from None


def _read_group(group: Any, where: str, left: list[int], depth: int = 0) -> Group:
    """`left`: objects and values that may still be read."""
    import h5py

    found: Group = {}
    for name in group:
        place = f"{group.name.rstrip('/')}/{name}"
        left[0] -= 1
        if left[0] < 0 or depth > 4:
            raise refusal(where, shown(place, 80, str), "too many objects, or too deep", f"at most {MOST_OBJECTS}, 5 deep",
                          "give a network file that lava-dl exported")
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise refusal(where, shown(place, 80, str), "a link to another place", "none", "copy what it points to into it")
        item = group[name]
        is_group = isinstance(item, h5py.Group)
        found[name] = _read_group(item, where, left, depth + 1) if is_group else _values(item, where, place, left)
    return found


def _values(data: Any, where: str, place: str, left: list[int]) -> Any:
    kind = data.dtype.kind
    if data.external or data.is_virtual or kind not in "biufSOU" or (kind == "O" and data.dtype.metadata is None):
        raise refusal(where, shown(place, 80, str), f"data of type {data.dtype}, or outside of the file", "numbers or text in it",
                      "give a network file that lava-dl exported")
    left[1] -= data.size or 0
    if left[1] < 0:
        raise refusal(where, shown(place, 80, str), f"{data.size} values", f"at most {MOST_VALUES} in all", "split the network")
    return data[()]
