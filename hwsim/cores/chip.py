"""What a chip's cores are as one: the core model that runs networks on it."""

from __future__ import annotations

from hwsim.arch import Architecture, ArchitectureError
from hwsim.cores import core_model
from hwsim.cores.model import CoreModel
from hwsim.snn.network import Network


def chip_model(arch: Architecture) -> CoreModel:
    """The core model of a chip's cores. Raises ArchitectureError for a chip that mixes models."""
    models = list(dict.fromkeys(core_model(design.core.kind) for design in arch.cores))
    if len(models) > 1:
        kinds = ", ".join(dict.fromkeys(design.core.kind for design in arch.cores))
        raise ArchitectureError(f"{arch.name} mixes cores of kinds {kinds}, which do not run one network together; give all "
                                "cores kinds of one model")
    return models[0]


def memories_used(network: Network, arch: Architecture) -> tuple[str, ...]:
    """The memories of `arch` that replaying `network` can read or write (hwsim/provision.py); the others are off.

    Raises MappingError where a systolic array cannot run the network at all.
    """
    return chip_model(arch).memories_used(network, arch)
