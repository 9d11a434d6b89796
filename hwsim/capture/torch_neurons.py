"""Which PyTorch modules are spiking layers, and what hwsim neuron stands for each: SpikingJelly 2.0 and snnTorch 1.0.

Recognised by the class names of the packages, so that neither package has to be imported or installed. A subclass counts as
the first class of its package that it derives from. A leak is replayed as V -= V >> k, the shift nearest to the module's own
factor: an open-loop replay computes no potentials, so only that there is a leak matters, and the note says what it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hwsim.capture.errors import UnsupportedError
from hwsim.snn.neurons import IntegrateAndFire, Neuron

PACKAGES = ("spikingjelly", "snntorch")
INTEGRATORS = {"IFNode", "SimpleIFNode"}
LEAKY = {"LIFNode", "SimpleLIFNode", "ParametricLIFNode"}
SNNTORCH = {"Leaky", "Lapicque"}
KNOWN = (*sorted(INTEGRATORS | LEAKY), *sorted(SNNTORCH))


FOREIGN = {"norse": ("Norse", "norse.torch.to_nir"), "sinabs": ("Sinabs", "sinabs.nir.to_nir")}
"""Other packages of spiking layers: their names, and their own ways to NIR."""


@dataclass(frozen=True)
class SpikingModule:
    """The neuron that a module is replayed as, whether one call takes a whole sequence, and what was rounded (or '')."""

    neuron: Neuron
    sequence: bool
    note: str = ""


def package_class(module: Any) -> type | None:
    """The first class of SpikingJelly or snnTorch that the module's class is or derives from."""
    for cls in type(module).__mro__:
        if cls.__module__.split(".")[0] in PACKAGES:
            return cls
    return None


def is_neuron(module: Any) -> bool:
    """Whether the module is a neuron of either package, replayable or not; NonSpikingIFNode only adds up, as a read-out does."""
    own = package_class(module)
    if own is None or own.__name__ == "NonSpikingIFNode":
        return False
    bases = {f"{cls.__module__}.{cls.__name__}" for cls in type(module).__mro__}
    if bases & {"snntorch._neurons.neurons.SpikingNeuron", "snntorch._neurons.stateleaky.StateLeaky"}:
        return True
    return any(name.startswith(("spikingjelly.activation_based.neuron.", "snntorch._neurons.")) for name in bases)


def foreign(module: Any) -> UnsupportedError | None:
    """The refusal of a module of a package that is known and not taken over; None for any other."""
    package = next((root for cls in type(module).__mro__ if (root := cls.__module__.partition(".")[0]) in FOREIGN), None)
    if package is None:
        return None
    name, export = FOREIGN[package]
    return UnsupportedError(
        f"a module of {name}, {type(module).__name__}", "neurons of SpikingJelly or snnTorch",
        f"export the model to NIR ({export}) and use `hwsim capture nir`, or name the class in `neurons` if its output is spikes")


def describe(module: Any, extra: Mapping[type, Neuron]) -> SpikingModule:
    """What a spiking module is replayed as; `extra` maps more classes to neurons. Raises UnsupportedError."""
    for cls in type(module).__mro__:
        if cls in extra:
            return SpikingModule(extra[cls], getattr(module, "step_mode", "s") == "m")
    own = package_class(module)
    assert own is not None, "only called for neurons"
    if own.__module__.startswith("snntorch"):
        return _snntorch(module, own.__name__)
    return _spikingjelly(module, own.__name__)


def _spikingjelly(module: Any, name: str) -> SpikingModule:
    if name not in INTEGRATORS | LEAKY:
        raise _unknown(name)
    reset: Literal["soft", "hard"] = "soft" if module.v_reset is None else "hard"
    sequence = module.step_mode == "m"
    if name in INTEGRATORS:
        return SpikingModule(IntegrateAndFire(reset), sequence)
    leak = float(module.w.sigmoid()) if name == "ParametricLIFNode" else 1 / float(module.tau)
    return _leaky(reset, leak, sequence)


def _snntorch(module: Any, name: str) -> SpikingModule:
    if name not in SNNTORCH:
        raise _unknown(name)
    resets: dict[str, Literal["soft", "hard"]] = {"subtract": "soft", "zero": "hard"}
    if module.reset_mechanism not in resets:
        raise UnsupportedError(f"reset_mechanism {module.reset_mechanism!r}", "'subtract' or 'zero'",
                               "a neuron that is never reset is not taken over")
    if module.inhibition:
        raise UnsupportedError("inhibition (one winner a layer)", "neurons that fire by themselves", "train without it")
    kept = 1 - module.time_step / (module.R * module.C) if name == "Lapicque" else module.beta
    leaks = 1 - kept.detach().clamp(0, 1).reshape(-1).double()
    differ = float(leaks.max()) != float(leaks.min())
    return _leaky(resets[module.reset_mechanism], float(leaks.mean()), False, "mean of the neurons' own, " if differ else "")


def _leaky(reset: Literal["soft", "hard"], leak: float, sequence: bool, how: str = "") -> SpikingModule:
    """A neuron that loses the fraction `leak` of its potential a timestep."""
    if leak <= 2.0**-31:
        return SpikingModule(IntegrateAndFire(reset), sequence)
    shift = min(31, max(1, round(-math.log2(min(leak, 1.0)))))
    note = "" if math.isclose(2.0**-shift, leak, rel_tol=1e-6) and not how else (
        f"leak of {leak:.4g} a timestep ({how}replayed as V >> {shift}, {2.0**-shift:g})")
    return SpikingModule(IntegrateAndFire(reset, shift), sequence, note)


def _unknown(name: str) -> UnsupportedError:
    return UnsupportedError(
        f"neuron {name}", f"one of {', '.join(KNOWN)}",
        "hwsim has integrate-and-fire neurons with an optional leak; a class of your own that is one can be named in `neurons`")


def reset_states(model: Any) -> None:
    """Put every neuron of either package back to its state before the first timestep."""
    for module in model.modules():
        own = package_class(module)
        if own is None:
            continue
        if own.__module__.startswith("snntorch"):
            if hasattr(module, "reset_mem"):
                module.reset_mem()
        elif hasattr(module, "reset") and any(cls.__name__ == "MemoryModule" for cls in type(module).__mro__):
            module.reset()
