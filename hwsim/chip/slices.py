"""Slices of a layer along columns: the chip is that of the network with rows and columns exchanged (docs/cycle-model.md, C9).

Everything below the core model knows rows only. A chip whose layers are cut by columns computes the turned network: its planes
lie in (x, y, c) order, and its tiles are rows of the turned layers. What comes out is turned back.
"""

from __future__ import annotations

from hwsim.arch import Architecture
from hwsim.snn.network import Network
from hwsim.snn.sample import Sample
from hwsim.snn.turn import turned_network, turned_sample


def by_columns(arch: Architecture) -> bool:
    """Whether layers are cut by columns."""
    return arch.network is not None and arch.network.slices == "columns"


def laid_out(network: Network, arch: Architecture) -> Network:
    """The network as the chip's tiles see it: its rows are what layers are cut along."""
    return turned_network(network) if by_columns(arch) else network


def laid_out_sample(sample: Sample, arch: Architecture) -> Sample:
    """A sample of the network that is laid out."""
    return turned_sample(sample) if by_columns(arch) else sample

