"""`capture_netx`: a network that lava-dl exported for Loihi 2 (its HDF5 "net" files) becomes an integer Network and a Trace.

Everything in such a file is an integer of the chip, so nothing is rounded: weights, biases and thresholds times 2**6,
decays in 1/4096 (hwsim/snn/neurons/cuba_lif.py). hwsim sends a spike on in the timestep in which it was made; the chip
integrates it in the next one, so a layer of the chip is one step later for each layer before it. What is not taken over is
refused by its name: docs/capture.md lists it. Reading the file itself: hwsim/capture/netx_file.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.capture.errors import refusal
from hwsim.capture.inputs import Inputs, read_inputs, read_labels
from hwsim.capture.netx_file import WHOLE_DECAY, Entry, NetxFile, read_netx
from hwsim.snn.forward import forward
from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network, Shape
from hwsim.snn.neurons import CubaLif, ReadOut
from hwsim.snn.sample import Sample
from hwsim.snn.validate import MAX_TIMESTEPS, is_int, validate_network
from hwsim.trace.reader import Trace
from hwsim.trace.writer import TraceWriter

SHIFT = 6
"""Biases, thresholds and summed weights are multiples of 2**SHIFT in the chip's registers."""
POTENTIAL_BITS = 24


def from_netx(file: str | Path, *, timesteps: int | None = None, input_spec: InputSpec | None = None) -> Network:
    """The integer Network of a lava-dl file; `input_spec` None: an image of 16 signed bits. Raises CaptureError."""
    read = read_netx(file)
    spec = input_spec or InputSpec(read.shape, "direct", 1, 16, True)
    return _network(read, spec, _timesteps(read, timesteps))


def capture_netx(
    file: str | Path, inputs: ArrayLike | None = None, labels: Sequence[int] | NDArray[Any] | None = None, *,
    timesteps: int | None = None, out: str | Path | None = None, name: str | None = None,
    provenance: Mapping[str, Any] | None = None, progress: Callable[[int, int], None] | None = None,
) -> Trace:
    """Compute what a lava-dl network does on `inputs`, in the chip's integers, as a Trace that is compared spike by spike.

    inputs      images of whole numbers (samples, C, H, W): the bias mantissa of each input neuron, in every timestep. None: one
                sample of zeros, a network that is driven by its own biases.
    timesteps   T; None: as many as the file's `simulation/tSample` says.

    Raises CaptureError that names the layer and what is not taken over, or TraceError.
    """
    read = read_netx(file)
    given = _inputs(read, inputs)
    classes = read_labels(read.where, labels, len(given.values))
    network = _network(read, given.spec, _timesteps(read, timesteps))
    about = {"origin": f"lava-dl network {Path(file).name}, {len(read.layers)} layers", "inputs": given.note,
             "notes": _notes(read, network), "weights": "taken exactly, times 2**6 as in the chip's registers"}
    about |= dict(provenance or {})
    with TraceWriter(network, out, name=name or Path(out or file).stem, provenance=about) as writer:
        for index, row in enumerate(given.recorded):
            planes = np.ascontiguousarray(row.transpose(0, 2, 3, 1))
            recorded, potentials = forward(network, planes)
            read_out = {layer.name: potentials[layer.name] for layer in network if not layer.sends}
            writer.append(Sample(planes, recorded), label=None if classes is None else classes[index], potentials=read_out)
            if progress:
                progress(index + 1, len(given.recorded))
        return writer.finish()


def _inputs(read: NetxFile, inputs: ArrayLike | None) -> Inputs:
    if inputs is None:
        nothing = read_inputs(read.where, np.zeros((1, *read.shape), np.int64))
        return replace(nothing, note="none: the network is driven by its own biases")
    given = read_inputs(read.where, inputs)
    if given.spec.is_spikes or tuple(given.spec.shape) != read.shape or not given.note.startswith("whole"):
        weight, bias = read.transform
        raise refusal(read.where, "inputs", f"{given.values.dtype} values of shape {given.values.shape}",
                      f"whole numbers (samples, C, H, W) with (C, H, W) = {read.shape}",
                      f"give the input layer's bias mantissas, int(2 * {weight} * x - {weight} + {bias}) of x from 0 to 1")
    return given


def _timesteps(read: NetxFile, timesteps: int | None) -> int:
    steps = read.timesteps if timesteps is None else timesteps
    if not is_int(steps, 1, MAX_TIMESTEPS):
        raise refusal(read.where, "timesteps", repr(steps), f"1 to {MAX_TIMESTEPS}", "give timesteps")
    assert steps is not None
    return int(steps)


def _notes(read: NetxFile, network: Network) -> list[str]:
    weight, bias = read.transform
    found = [f"an input x from 0 to 1 is int(2 * {weight} * x - {weight} + {bias}) here, as the file's input layer says",
             "a spike is integrated in the timestep that sent it; on the chip, in the next one"]
    return found + [f"{layer.name} is a read-out: it never fires, and nothing decays" for layer in network if not layer.sends]


def _network(read: NetxFile, spec: InputSpec, timesteps: int) -> Network:
    """All layers in order, each reading the one before it. Raises CaptureError when it is no sound network."""
    layers: list[Layer] = []
    counted: dict[str, int] = {}
    source, shape = INPUT, read.shape
    for entry in read.layers:
        if entry.neuron is None:
            if math.prod(entry.shape) != math.prod(shape):
                raise refusal(read.where, entry.place, f"shape {entry.shape} behind {shape}", "as many neurons",
                              "export the network again")
            continue
        number = counted[entry.kind] = counted.get(entry.kind, -1) + 1
        layer = _layer(f"{entry.kind}{number}", entry, _connection(entry, source, shape), timesteps, entry is read.layers[-1])
        layers.append(layer)
        source, shape = layer.name, layer.shape
    network = Network(spec, tuple(layers))
    if problems := validate_network(network):
        raise refusal(read.where, "network", f"one that is not sound: {'; '.join(problems)[:500]}", "a sound one",
                      "export the network again")
    return network


def _connection(entry: Entry, source: str, shape: Shape) -> Connection:
    """What a layer's neurons read of what is before them."""
    if entry.weights is None:
        return Connection(source, "identity", shape, np.full(shape[0], 1 << SHIFT, np.int64))
    weights = entry.weights << SHIFT
    if entry.kind == "dense":
        return Connection(source, "linear", shape, weights)
    return Connection(source, "conv2d", shape, weights, kernel=entry.kernel, stride=entry.stride, padding=entry.padding)


def _layer(name: str, entry: Entry, connection: Connection, timesteps: int, last: bool) -> Layer:
    neuron, bias = entry.neuron, None if entry.biases is None else (entry.biases << SHIFT).reshape(-1, 1, 1)
    assert neuron is not None
    if last and neuron.reads_out:
        start = np.zeros((1, 1, 1), np.int64) if bias is None else bias * timesteps
        return Layer(name, entry.shape, (connection,), ReadOut(), timesteps, initial_potential=start,
                     potential_bits=POTENTIAL_BITS)
    thresholds = np.full(timesteps, neuron.threshold << SHIFT, np.int64)
    # The image is the input neurons' bias: nothing ever reaches their current, so how it decays says nothing.
    current_decay = neuron.current_decay if entry.weights is not None else WHOLE_DECAY
    return Layer(name, entry.shape, (connection,), CubaLif(current_decay, neuron.potential_decay), timesteps, thresholds,
                 bias, potential_bits=POTENTIAL_BITS)
