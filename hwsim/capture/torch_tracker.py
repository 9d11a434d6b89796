"""Follows tensors through one run of a PyTorch model: what spiked in which timestep, and which synapses led there.

The model really runs; nothing is traced symbolically, so loops over time, residual sums and containers of any kind are
followed. Modules that mean something to hwsim (neurons, convolutions, linear layers, batch norms, pools) are watched with
forward hooks; what happens between them is seen by a TorchFunctionMode. Each tensor that depends on the input or on spikes
has a `Value`: a Flow and how time lies in the tensor; or a `Lost`, the reason why it cannot be expressed, which becomes an
error as soon as a spiking or weighted layer depends on it. A tensor that hwsim knows nothing about depends on no spike.

The batch is always one sample, so that no sample can touch another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from hwsim.capture import flow as fl
from hwsim.capture.errors import CaptureError, UnsupportedError, refusal
from hwsim.capture.geometry import adaptive_window, convolution, one_side, window, windows
from hwsim.capture.torch_functions import (
    CONSTANT,
    FUNCTIONS,
    SYNAPTIC,
    Value,
    averages,
    check_shape,
    relu,
    reshaped,
    signature,
)
from hwsim.capture.torch_neurons import SpikingModule, describe, is_neuron
from hwsim.capture.torch_pooling import Pooling, Window, key_of
from hwsim.snn.network import Shape
from hwsim.snn.neurons import IntegrateAndFire, Neuron

WEIGHTED = (nn.Conv2d, nn.Linear)
LOOPS = "; a model that loops over time itself, or runs all of it in one call, is captured without timesteps: leave them out"
AVERAGES = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)


@dataclass(frozen=True)
class Lost:
    """Why a tensor that depends on the input or on spikes cannot be expressed, and where that began."""

    place: str
    error: UnsupportedError


@dataclass(eq=False)
class Recorded:
    """A spiking layer as it is met: its flow, its spikes as planes (C, H, W) a timestep."""

    name: str
    path: str
    about: SpikingModule
    shape: Shape
    flow: fl.Flow
    planes: list[np.ndarray] = field(default_factory=list)


@dataclass(eq=False)
class Run:
    """All that one sample told: spiking layers in order, and weighted operations that no spiking layer consumed."""

    layers: dict[str, Recorded] = field(default_factory=dict)
    outputs: dict[str, fl.Flow] = field(default_factory=dict)


class Tracker:
    """Watches `model`; `run` gives what one sample did. Raises CaptureError for what cannot be taken over."""

    def __init__(self, model: nn.Module, where: str, neurons: Mapping[type, Neuron]) -> None:
        self.model, self.where, self.neurons = model, where, neurons
        self.paths = {module: path for path, module in model.named_modules()}
        named = [m for m in self.paths if self._spikes(m) or isinstance(m, WEIGHTED)]
        self.names = dict(zip(named, fl.layer_names([self.paths[m] for m in named]), strict=True))
        self.values = WeakTensorKeyDictionary()
        self.stepwise = False  # whether the model is called once a timestep
        self.pools: dict[tuple[object, ...], str] = {}
        self.pooling = Pooling(self._keep)
        self.stack: list[nn.Module] = []
        self.inside: nn.Module | None = None
        self.found = Run()

    def name_of(self, holder: str) -> str:
        """The layer name of the weighted module at path `holder`."""
        return next((name for module, name in self.names.items() if self.paths[module] == holder), "output")

    def _spikes(self, module: nn.Module) -> bool:
        return is_neuron(module) or any(cls in self.neurons for cls in type(module).__mro__)

    # -- one sample -----------------------------------------------------------------------------------------------

    def run(self, frames: Iterable[tuple[torch.Tensor, Value]]) -> Run:
        """Call the model with each of `frames` in turn (one call of a whole sequence, or one a timestep)."""
        self.values, self.stack, self.inside, self.found = WeakTensorKeyDictionary(), [], None, Run()
        with ExitStack() as hooks, torch.no_grad():
            for module in self.paths:
                for handle in (
                    module.register_forward_pre_hook(self._enter), module.register_forward_hook(self._leave, with_kwargs=True),
                ):
                    hooks.callback(handle.remove)
            hooks.enter_context(_Functions(self))
            for tensor, value in frames:
                self.values[tensor] = value
                self._call(tensor)
        return self.found

    def _call(self, tensor: torch.Tensor) -> None:
        try:
            self.model(tensor)
        except CaptureError:
            raise
        except Exception as error:
            raise refusal(
                self.where, self.place(), f"{type(error).__name__}: {' '.join(str(error).split())[:300]}",
                f"a model that takes an input of shape {tuple(tensor.shape)}",
                "one sample at a time is given: (1, C, H, W), sequences as (T, 1, C, H, W); see timesteps") from error

    def place(self, module: nn.Module | None = None) -> str:
        """Where we are in the model, in words."""
        module = module or self.inside or (self.stack[-1] if self.stack else self.model)
        path = self.paths.get(module, "?")
        return f"module {path!r} ({type(module).__name__})" if path else f"the model ({type(module).__name__})"

    # -- modules --------------------------------------------------------------------------------------------------

    def _enter(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self.stack.append(module)
        if self.inside is None and (self._spikes(module) or _operation(module) is not None):
            self.inside = module

    def _leave(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        self.stack.pop()
        if self.inside is not module:
            return
        self.inside = None
        args = args or tuple(kwargs.values())
        try:
            self._spiking(module, args, output) if self._spikes(module) else self._plain(module, args, output)
        except UnsupportedError as error:
            raise refusal(self.where, self.place(module), error.found, error.expected, error.do) from None

    def _plain(self, module: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> None:
        """A convolution, linear layer, batch norm, pool, flatten, dropout: its flow follows from its settings."""
        operation = _operation(module)
        assert operation is not None
        given = self.values.get(args[0]) if args else None
        weighted = isinstance(module, WEIGHTED)
        if given is None:
            if weighted:  # its synapses would be missing from the trace
                raise _unconnected()
            return
        if isinstance(given, Lost):
            if weighted:
                raise self._lost(given, module)
            self.values[output] = given
            return
        try:
            holder = self.paths[module] or type(module).__name__
            given = self._averageable(given, args[0], holder) if isinstance(module, AVERAGES) else given
            if isinstance(module, nn.MaxPool2d):
                result = self._largest(given, args[0], module, output, holder)
            elif isinstance(module, nn.Flatten):
                result = reshaped(given, output.shape)
            else:
                result = check_shape(replace(given, flow=operation(module, holder, given.flow)), output)
        except UnsupportedError as error:
            if weighted:
                raise
            self.values[output] = Lost(self.place(module), error)
            return
        self.values[output] = result
        if weighted:
            self.found.outputs.setdefault(holder, result.flow)

    def _spiking(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        about = describe(module, self.neurons)
        spikes, *states = output if isinstance(output, tuple) else (output,)
        given = self.values.get(args[0]) if args and isinstance(args[0], torch.Tensor) else None
        if isinstance(given, Lost):
            raise self._lost(given, module)
        if given is None:
            raise _unconnected()
        if given.layout != ("sequence" if about.sequence else "single"):
            raise UnsupportedError(
                f"a {given.layout} tensor at a {'multi' if about.sequence else 'single'}-step neuron",
                "sequences (T, 1, ...) at multi-step neurons, timesteps (1, ...) at single-step ones",
                "check step_mode, or loop over time in the model or with timesteps"
                f"{LOOPS if self.stepwise and about.sequence else ''}")
        layer = self._record(module, about, given, spikes)
        step = None if about.sequence else len(layer.planes) - 1
        self.values[spikes] = Value(fl.source_flow(layer.name, layer.shape, len(given.flow.shape) == 1, step), given.layout)
        for state in states:
            if isinstance(state, torch.Tensor):
                self.values[state] = Lost(self.place(module), UnsupportedError(
                    "its membrane potential used as a value", "its spikes", "only spikes travel between layers"))

    def _record(self, module: nn.Module, about: SpikingModule, given: Value, spikes: torch.Tensor) -> Recorded:
        name, shape = self.names[module], fl.layer_shape(given.flow.shape)
        planes = _binary(spikes).reshape(-1, *shape)
        layer = self.found.layers.get(name)
        if layer is None:
            layer = Recorded(name, self.paths[module], about, shape, given.flow)
            self.found.layers[name] = layer
        elif about.sequence:
            raise UnsupportedError("a second call in one sample", "one call with the whole sequence",
                                   "give each place in the network a spiking module of its own")
        elif given.flow.steps - {len(layer.planes)}:
            raise UnsupportedError(
                f"call {len(layer.planes) + 1} with values of timestep {min(given.flow.steps)}",
                f"values of timestep {len(layer.planes)}", "one call a timestep: share no spiking module, feed nothing back"
                f"{LOOPS if self.stepwise else ''}")
        for holder in given.flow.holders:
            self.found.outputs.pop(holder, None)
        if signature(layer.flow) != signature(given.flow):
            raise UnsupportedError("other inputs than in the first timestep", "the same in every timestep",
                                   "make the network alike in all timesteps")
        layer.planes += list(planes)
        return layer

    def _lost(self, lost: Lost, module: nn.Module) -> CaptureError:
        error = lost.error
        return refusal(self.where, lost.place, error.found, error.expected,
                       f"{error.do} ({self.place(module)} depends on it)")

    # -- max pooling ----------------------------------------------------------------------------------------------

    def _largest(self, given: Value, values: torch.Tensor, settings: Any, output: torch.Tensor, place: str) -> Value:
        """Max pooling with the settings of a MaxPool2d."""
        if one_side("a dilation of", settings.dilation) != 1:
            raise UnsupportedError("max pooling with dilation", "windows without gaps", "use dilation 1")
        window = Window(*windows(values.shape[-2:], settings.kernel_size, settings.stride, settings.padding, settings.ceil_mode))
        return check_shape(self.pooling.largest(given, values, window, place), output)

    def _averageable(self, given: Value, values: torch.Tensor, place: str) -> Value:
        """The value, as a layer of its own where maxima were taken of it, which an average cannot follow in one connection."""
        self.values[values] = found = self.pooling.before_average(given, values, place)
        return found

    def _keep(self, wanted: str, flow: fl.Flow, planes: torch.Tensor, given: Value) -> fl.Branch:
        """Neurons that the model does not have: a layer that reads `flow` and sent `planes` (planes, C, H, W)."""
        key, single = key_of(wanted, flow), given.layout == "single"
        if key not in self.pools:
            self.pools[key] = fl.layer_names([*self.names.values(), *self.pools.values(), wanted])[-1]
        name, shape = self.pools[key], fl.layer_shape(planes.shape[1:])
        about = SpikingModule(IntegrateAndFire("hard"), not single, "neurons that take the OR of windows, or count to a number")
        layer = self.found.layers.setdefault(name, Recorded(name, wanted, about, shape, flow))
        step = min(flow.steps, default=len(layer.planes)) if single else 0
        if step == len(layer.planes):  # else it was pooled before, by another reader
            layer.planes += list(_binary(planes))
        return fl.Branch(name, shape, step if single else None)

    # -- functions between modules ----------------------------------------------------------------------------------

    def function(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        """A torch function was called outside the watched modules and gave `result`."""
        tensors = [t for t in _tensors((args, kwargs)) if t in self.values]
        if self.inside is not None or not tensors or name in CONSTANT:
            return
        if name in SYNAPTIC:
            raise refusal(self.where, self.place(), f"function {name}", "weighted layers that are nn.Conv2d or nn.Linear modules",
                          "write it as one of them, or leave the part out of the model")
        lost = next((self.values[t] for t in tensors if isinstance(self.values[t], Lost)), None)
        if name == "__setitem__":
            result = args[0]
        try:
            made = lost or self._follow(name, args, kwargs, result)
        except UnsupportedError as error:
            made = Lost(self.place(), error)
        if isinstance(made, (Value, Lost)):
            made = [made] * len(list(_tensors(result)))
        for tensor, value in zip(_tensors(result), made, strict=True):
            self.values[tensor] = value

    def _follow(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> Value | Lost | list[Value]:
        if name == "max_pool2d":
            names = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode")
            settings = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False, **dict(zip(names, args, strict=False)),
                        **kwargs}
            return self._largest(self.values[args[0]], args[0], SimpleNamespace(**settings), result, "")
        if name in ("avg_pool2d", "adaptive_avg_pool2d"):
            self._averageable(self.values[args[0]], args[0], "")
        known = FUNCTIONS.get(name.removesuffix("_") if not name.startswith("__") else name)
        if known is None or (len(list(_tensors(result))) != 1 and name != "unbind"):
            raise UnsupportedError(f"function {name}", "an operation that synapses can do",
                                   "see docs/capture.md for what is; encode inputs outside of the model")
        return known(self.values, args, kwargs, result)


class _Functions(TorchFunctionMode):
    """Shows the tracker every torch function that the model calls."""

    def __init__(self, tracker: Tracker) -> None:
        super().__init__()
        self.tracker = tracker

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.tracker.inside is None and any(True for _ in _tensors(result)):
            self.tracker.function(_function_name(func), args, kwargs or {}, result)
        elif self.tracker.inside is None and getattr(func, "__name__", "") == "__setitem__":
            self.tracker.function("__setitem__", args, kwargs or {}, None)
        return result


# -- helpers ----------------------------------------------------------------------------------------------------------

Operation = Callable[[Any, str, fl.Flow], fl.Flow]


def _operation(module: nn.Module) -> Operation | None:
    """How a module that hwsim knows changes a flow; None for every other module, whose insides are followed instead."""
    for cls in type(module).__mro__:
        if cls in OPERATIONS:
            return OPERATIONS[cls]
        if cls.__module__.startswith("spikingjelly") and cls.__name__ in NAMED:
            return NAMED[cls.__name__]
    return None


def _conv(m: Any, holder: str, flow: fl.Flow) -> fl.Flow:
    kernel, stride, padding = convolution(m.kernel_size, m.stride, m.padding, m.dilation, m.padding_mode)
    return fl.convolved(flow, holder, m.out_channels, kernel, stride, padding, m.groups, bias=_bias(m, m.out_channels))


def _linear(m: Any, holder: str, flow: fl.Flow) -> fl.Flow:
    return fl.multiplied(flow, holder, m.out_features, bias=_bias(m, m.out_features))


def _bias(m: Any, channels: int) -> np.ndarray | None:
    """Zeros where the module has a bias: that something is added is geometry, what it is is arithmetic."""
    return None if m.bias is None else np.zeros((channels, 1, 1))


def _averaged(m: Any, holder: str, flow: fl.Flow) -> fl.Flow:
    return averages(flow, window(m.kernel_size, m.stride, m.padding, 1, m.ceil_mode))


def _adaptive(m: Any, holder: str, flow: fl.Flow) -> fl.Flow:
    return averages(flow, adaptive_window(flow.shape[1:], m.output_size))


def _same(m: Any, holder: str, flow: fl.Flow) -> fl.Flow:
    return flow


OPERATIONS: dict[type, Operation] = {
    nn.Conv2d: _conv,
    nn.Linear: _linear,
    nn.BatchNorm1d: lambda m, holder, flow: fl.normalised(flow, holder),
    nn.BatchNorm2d: lambda m, holder, flow: fl.normalised(flow, holder),
    nn.AvgPool2d: _averaged, nn.MaxPool2d: _same, nn.AdaptiveAvgPool2d: _adaptive, nn.Flatten: _same,
    nn.ReLU: lambda m, holder, flow: relu(flow), nn.Dropout: _same, nn.Dropout2d: _same, nn.Identity: _same,
}
NAMED: dict[str, Operation] = {"Dropout": _same, "Dropout2d": _same}


def _unconnected() -> UnsupportedError:
    return UnsupportedError("an input that depends neither on spikes nor on the model's input", "one that does",
                            "operations outside of torch (numpy) cannot be followed")


def _binary(spikes: Any) -> np.ndarray:
    """Spikes as booleans; anything but 0 and 1 is refused."""
    values = spikes.detach().cpu().float().numpy()
    wrong = values[(values != 0) & (values != 1)]
    if wrong.size:
        raise UnsupportedError(f"outputs that are not spikes ({wrong.reshape(-1)[0]:g} among them)", "0 and 1 only",
                               "graded, negative and multi-level spikes are not taken over")
    return values.astype(bool)


def _function_name(func: Any) -> str:
    """Name of a torch function; of an attribute such as `.data`, the attribute's."""
    name = getattr(func, "__name__", str(func))
    return getattr(func.__self__, "__name__", name) if name == "__get__" else name


def _tensors(value: Any) -> Iterable[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
