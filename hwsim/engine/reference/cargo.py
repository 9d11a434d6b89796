"""C8's bits by sample, message by message: what a transfer carries is looked at neuron by neuron. Unit: bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.links import Cargo, MeshSpec
from hwsim.program import Transfer
from hwsim.snn.network import Network


def bits_by_sample(op: Transfer, cargo: Cargo, mesh: MeshSpec, network: Network, source: NDArray[np.integer]) -> int:
    """The bits of a transfer of `cargo`, EOT included. source (T, H, W, C): all planes of the layer that it is of."""
    planes = range(*op.timesteps)
    value_bits = {plane: network.plane_bits(op.layer, plane) for plane in planes}
    listed = dense = 0
    for y in range(*cargo.rows):
        for x in range(source.shape[2]):
            for channel in range(*cargo.channels):
                sent = {plane for plane in planes if source[plane, y, x, channel]}
                dense += sum(value_bits[plane] or 1 for plane in planes)
                if cargo.merged:
                    listed += (mesh.address_bits + len(planes) + mesh.header_bits) * bool(sent)
                else:
                    listed += sum(mesh.address_bits + value_bits[plane] + mesh.header_bits for plane in sent)
    eot = mesh.header_bits
    if cargo.encoding == "smaller":
        return min(listed, dense) + 1 + eot
    return (listed if cargo.encoding == "aer" else dense) + eot
