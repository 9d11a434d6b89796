"""What a chip's cores are as one: the core model that runs networks on it."""

from __future__ import annotations

from hwsim.arch import Architecture, ArchitectureError
from hwsim.cores.model import CoreModel, core_model
from hwsim.snn.network import Network


def chip_model(arch: Architecture) -> CoreModel:
    """The core model of a chip's cores. Raises ArchitectureError for a chip that mixes models, or one of links for cores that
    cannot be one of several."""
    models = list(dict.fromkeys(core_model(design.core.kind) for design in arch.cores))
    if len(models) > 1:
        raise ArchitectureError(f"{arch.name} mixes cores of kinds {_kinds(arch)}, which do not run one network together; give "
                                "all cores kinds of one model")
    if arch.network is not None and not models[0].several:
        raise ArchitectureError(f"{arch.name} has a network of links, and cores of kind {_kinds(arch)} send nothing over one; "
                                "leave `network` out")
    return models[0]


def why_nothing_runs(arch: Architecture) -> str:
    """Why no network at all runs on the chip, whatever its sizes; empty for a chip on which some can."""
    try:
        model = chip_model(arch)
    except ArchitectureError as error:
        return str(error)
    if arch.is_one_core or model.several:
        return ""
    return f"{arch.name} has {len(arch.core_names)} cores of kind {_kinds(arch)}: a chip of several is not modelled, give it one"


def _kinds(arch: Architecture) -> str:
    return ", ".join(dict.fromkeys(design.core.kind for design in arch.cores))


def memories_used(network: Network, arch: Architecture) -> tuple[str, ...]:
    """The memories of `arch` that replaying `network` can read or write (hwsim/cores/provision.py); the others are off.

    Raises MappingError where a systolic array cannot run the network at all.
    """
    return chip_model(arch).memories_used(network, arch)
