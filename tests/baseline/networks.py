"""Networks and arrays for the baseline's tests: shapes only where weights do not matter, random ones where they do."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.arch import Architecture
from hwsim.snn.network import Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import ReadOut, Requantise

DATAFLOWS = ("output_stationary", "weight_stationary", "input_stationary")
VGG16 = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool", 512, 512, 512, "pool")


def systolic(rows: int = 8, columns: int = 8, dataflow: str = "output_stationary", **changes: Any) -> Architecture:
    """An array with large memories; `changes` are fields of its core or sizes of its memories and buffer."""
    core = {"kind": "systolic", "rows": rows, "columns": columns, "dataflow": dataflow, "weight_bits": 8,
            "potential_bits": 24, "payload_bits": 12}
    memories = {name: changes.pop(name, "64 MiB") for name in ("weight", "membrane", "bias")}
    buffer = {"kind": changes.pop("kind", "bitmap"), "capacity": changes.pop("buffer", "16 MiB"),
              "scan_bits": changes.pop("scan_bits", 128)}
    return Architecture.model_validate({
        "name": "array", "clock": "300 MHz", "core": core | changes, "spike_buffer": buffer, "memories": memories,
        "channel": {"bits_per_cycle": 64, "latency_cycles": 40}})


def quantised(
    name: str, shape: tuple[int, int, int], *connections: Connection, bias: np.ndarray | None = None, bits: int = 4
) -> Layer:
    return Layer(name, shape, connections, Requantise(), 1, thresholds=np.array([7]), payload_bits=bits, bias=bias)


def read_out(name: str, channels: int, *connections: Connection) -> Layer:
    return Layer(name, (channels, 1, 1), connections, ReadOut(), 1)


def convolution(
    source: str, shape: tuple[int, int, int], channels: int, kernel: int = 3, weights: np.ndarray | None = None,
    **geometry: Any,
) -> tuple[Connection, tuple[int, int, int]]:
    """A convolution (padding kernel // 2 unless told) and its output's shape."""
    geometry = {"padding": kernel // 2} | geometry
    connection = Connection(source, "conv2d", shape, weights, kernel=kernel, **geometry)
    return connection, connection.natural_shape(channels)


def vgg16_cifar() -> Network:
    """13 convolutions and 512 -> 10, average pooling, no weights: its shapes are all that counts."""
    layers: list[Layer] = []
    source, shape, pool = "input", (3, 32, 32), 1
    for item in VGG16:
        if item == "pool":
            pool = 2
            continue
        mode = "folded" if pool > 1 else "none"
        connection, out = convolution(source, shape, int(item), pool=pool, pool_mode=mode)
        layers.append(quantised(f"conv{len(layers) + 1}", out, connection))
        source, shape, pool = layers[-1].name, out, 1
    head = Connection(source, "linear", shape, pool=2, pool_mode="folded")
    return Network(InputSpec((3, 32, 32)), (*layers, read_out("head", 10, head)))
