"""`capture_torch`: run somebody's spiking PyTorch model and keep what it did as a Trace, geometry and spikes, without weights.

The model's arithmetic is floating point and not hwsim's, so weights are left out on purpose: the trace replays open loop,
each layer fed with the recorded spikes, and nothing is compared (`mismatches` is null). Cycles and energy need no more.
Written for SpikingJelly 2.0 and snnTorch 1.0; docs/capture.md says what is taken over and what is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.capture.errors import UnsupportedError, refusal
from hwsim.capture.flow import connections, layer_shape, source_flow
from hwsim.capture.inputs import Inputs, read_inputs, read_labels
from hwsim.capture.torch_neurons import KNOWN, foreign, reset_states
from hwsim.snn.network import INPUT, Layer, Network
from hwsim.snn.neurons import Neuron, ReadOut
from hwsim.snn.sample import Sample
from hwsim.snn.validate import MAX_TIMESTEPS, is_int
from hwsim.trace.reader import Trace
from hwsim.trace.writer import TraceWriter

if TYPE_CHECKING:
    from hwsim.capture.torch_tracker import Recorded, Run, Tracker

WHERE = "capture_torch"
WEIGHTS_NOTE = "none, on purpose: the float arithmetic of the model is not hwsim's; replays open loop, nothing is compared"


def capture_torch(
    model: Any, inputs: ArrayLike, labels: Sequence[int] | NDArray[Any] | None = None, *, timesteps: int | None = None,
    input_bits: int = 8, neurons: Mapping[type, Neuron] | None = None, out: str | Path | None = None, name: str | None = None,
    provenance: Mapping[str, Any] | None = None, progress: Callable[[int, int], None] | None = None,
) -> Trace:
    """Run `model` on each sample by itself and record every spike of every spiking layer.

    model      a torch.nn.Module. It is put in eval mode for the capture and given back as it was, its neurons reset.
    inputs     images (samples, C, H, W) or (samples, N), the same in every timestep; or spikes (samples, T, C, H, W) or
               (samples, T, N). The model sees floats with a batch of one: an image as (1, C, H, W), spikes as (T, 1, C, H, W).
    labels     the right class of each sample, or None.
    timesteps  None: one call runs all timesteps (a multi-step model, or one that loops over time itself). A number: the model
               makes one timestep a call and is called that many times, with the image or with one plane of the spikes.
    input_bits how many bits the trace gives to image values that are not whole numbers; the model gets them unrounded.
    neurons    more classes of spiking layers and the hwsim Neuron each is replayed as.
    out        write the trace here, sample by sample, instead of keeping it in memory.

    Gives a Trace without weights. Raises CaptureError that names the module and why, or TraceError.
    """
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps; compiled code cannot be watched
    given = read_inputs(WHERE, inputs, input_bits)
    classes = read_labels(WHERE, labels, len(given.values))
    tracker = _tracker(model, neurons or {})
    _check_timesteps(given, timesteps)
    _check_finite(model)
    with inference(model), _Recording(given, tracker, timesteps) as recording:
        first = recording.sample(0)
        network = build_network(given, first, tracker)
        about = _provenance(model, given, first, network, dict(provenance or {}))
        title = name or (Path(out).stem if out is not None else type(model).__name__)
        with TraceWriter(network, out, name=title, provenance=about) as writer:
            for index in range(len(given.values)):
                run = first if index == 0 else recording.sample(index)
                _check_same_network(first, run, index)
                writer.append(_as_sample(given, run, index), label=None if classes is None else classes[index])
                if progress:
                    progress(index + 1, len(given.values))
            _check_repeatable(first, recording.sample(0))
            return writer.finish()


# -- running --------------------------------------------------------------------------------------------------------------


class _Recording:
    """Runs samples one by one, each from freshly reset neurons."""

    def __init__(self, given: Inputs, tracker: Tracker, timesteps: int | None) -> None:
        self.given, self.tracker, self.timesteps = given, tracker, timesteps
        tracker.stepwise = timesteps is not None

    def __enter__(self) -> _Recording:
        return self

    def __exit__(self, *error: object) -> None:
        reset_states(self.tracker.model)

    def sample(self, index: int) -> Run:
        reset_states(self.tracker.model)
        run = self.tracker.run(self._frames(index))
        _check_run(self.tracker, run, self.given, self.timesteps)
        return run

    def _frames(self, index: int) -> Iterator[tuple[Any, Any]]:
        """What the model is called with: once, or once a timestep."""
        import torch

        # Loads PyTorch, which is there by now.
        from hwsim.capture.torch_functions import Value

        given, model = self.given, self.tracker.model
        like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(1))
        tensor = torch.as_tensor(given.values[index].astype(np.float64)).to(like.device, like.dtype)
        shape, direct = given.spec.shape, given.spec.is_direct
        if self.timesteps is None:
            flow = source_flow(INPUT, shape, given.flat, None, not direct)
            yield (tensor[None], Value(flow)) if direct else (tensor[:, None], Value(flow, "sequence"))
            return
        for step in range(self.timesteps):
            flow = source_flow(INPUT, shape, given.flat, None if direct else step, not direct)
            # A tensor of its own each time: what is known of a tensor is known by its identity.
            yield (tensor if direct else tensor[step])[None].clone(), Value(flow)


@contextmanager
def inference(model: Any) -> Iterator[None]:
    """Dropout off and batch norm fixed, as at inference; every module's mode is put back afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _tracker(model: Any, neurons: Mapping[type, Neuron]) -> Tracker:
    try:
        import torch
    except ImportError as error:
        raise refusal(WHERE, "torch", f"no PyTorch ({error})", "PyTorch", "pip install 'hwsim[torch]'") from None
    # Loads PyTorch, an extra.
    from hwsim.capture.torch_tracker import Tracker

    if not isinstance(model, torch.nn.Module):
        raise refusal(WHERE, "model", f"a {type(model).__name__}", "a torch.nn.Module", "give the model itself")
    for cls, neuron in neurons.items():
        # What a module of any class spikes, in any timestep, must be what the neuron can send.
        if not isinstance(cls, type) or not isinstance(neuron, Neuron) or neuron.sends != "spikes" or neuron.fires_once:
            raise refusal(WHERE, "neurons", f"{cls!r}: {neuron!r}", "classes and the rate-coded neurons they are replayed as",
                          "e.g. {MyLIF: hwsim.IntegrateAndFire('soft')}")
    for path, module in model.named_modules():
        if not isinstance(module, tuple(neurons)) and (other := foreign(module)) is not None:
            raise refusal(WHERE, f"module {path!r}", other.found, other.expected, other.do)
    return Tracker(model, WHERE, neurons)


# -- the network ------------------------------------------------------------------------------------------------------------


def build_network(given: Inputs, run: Run, tracker: Tracker) -> Network:
    """The layers in the order in which they first spiked, then what is read out: weighted sums that meet no spiking layer."""
    timesteps = len(next(iter(run.layers.values())).planes)
    layers = [_layer(tracker, record, timesteps) for record in run.layers.values()]
    for holder, flow in run.outputs.items():
        try:
            layers.append(Layer(tracker.name_of(holder), layer_shape(flow.shape), connections(flow), ReadOut(), timesteps))
        except UnsupportedError as error:
            raise refusal(WHERE, f"module {holder!r}", error.found, error.expected, error.do) from None
    return Network(given.spec, tuple(layers))


def _layer(tracker: Tracker, record: Recorded, timesteps: int) -> Layer:
    try:
        # Nothing is computed without weights, so the threshold says nothing.
        return Layer(record.name, record.shape, connections(record.flow), record.about.neuron, timesteps,
                     np.ones(timesteps, np.int64), None if record.flow.bias is None else record.flow.bias.astype(np.int64))
    except UnsupportedError as error:
        raise refusal(WHERE, f"module {record.path!r}", error.found, error.expected, error.do) from None


def _as_sample(given: Inputs, run: Run, index: int) -> Sample:
    spikes = {r.name: np.stack(r.planes).transpose(0, 2, 3, 1).astype(np.uint8, order="C") for r in run.layers.values()}
    return Sample(np.ascontiguousarray(given.recorded[index].transpose(0, 2, 3, 1)), spikes)


def _provenance(model: Any, given: Inputs, run: Run, network: Network, own: dict[str, Any]) -> dict[str, Any]:
    tools = []
    for package in ("torch", "spikingjelly", "snntorch"):
        if package == "torch" or any(c.__module__.startswith(package) for m in model.modules() for c in type(m).__mro__):
            try:
                tools.append(f"{package} {version(package)}")
            except PackageNotFoundError:
                tools.append(package)
    notes = [f"{r.name}: {r.about.note}" for r in run.layers.values() if r.about.note]
    if given.spec.is_direct:
        notes.append("input: the same image in every timestep; its weighted sums are computed once and kept (a current)")
    if network.layers[0].timesteps == 1:
        notes.append("one timestep: if the model makes one timestep a call, say how many there are (timesteps)")
    notes += [f"{x.name}: its weighted sums are read out, no spiking layer follows" for x in network if not x.sends]
    doubled = [layer.name for layer in network if _holds_twice(run, layer.name)]
    notes += [f"{name}: reads a sum of several layers, so its weights are held once for each of them" for name in doubled]
    return {"origin": f"captured from the PyTorch model {type(model).__name__}", "tools": ", ".join(tools),
            "weights": WEIGHTS_NOTE, "inputs": given.note, "notes": notes} | own


def _holds_twice(run: Run, name: str) -> bool:
    flow = run.layers[name].flow if name in run.layers else None
    holders = [b.holder for b in flow.branches if b.holder] if flow else []
    return len(holders) != len(set(holders))


# -- checks ---------------------------------------------------------------------------------------------------------------


def _check_timesteps(given: Inputs, timesteps: int | None) -> None:
    if timesteps is None:
        return
    planes = given.spec.timesteps if given.spec.is_spikes else None
    if not is_int(timesteps, 1, MAX_TIMESTEPS):
        raise refusal(WHERE, "timesteps", repr(timesteps), f"1 to {MAX_TIMESTEPS}, or None when one call runs all timesteps",
                      "correct it")
    if planes is not None and planes != timesteps:
        raise refusal(WHERE, "timesteps", str(timesteps), f"{planes}, as many as the input's planes", "make them match")


def _check_finite(model: Any) -> None:
    for kind in ("parameter", "buffer"):
        for path, tensor in getattr(model, f"named_{kind}s")():
            if type(tensor).__name__.startswith("Uninitialized"):
                raise refusal(WHERE, f"{kind} {path!r}", "a lazy module that was never run", "weights", "run the model once")
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise refusal(WHERE, f"{kind} {path!r}", "NaN or infinity", "finite numbers", "load a sound checkpoint")


def _check_run(tracker: Tracker, run: Run, given: Inputs, timesteps: int | None) -> None:
    if not run.layers:
        seen = sorted({type(m).__name__ for m in tracker.model.modules()})
        raise refusal(WHERE, tracker.place(tracker.model), f"no spiking layer among {', '.join(seen)[:200]}",
                      f"layers like {', '.join(KNOWN)}", "give a spiking model, or name your own classes in `neurons`")
    counts = {r.name: len(r.planes) for r in run.layers.values()}
    expected = timesteps or (given.spec.timesteps if given.spec.is_spikes else max(counts.values()))
    for name, count in counts.items():
        if count != expected:
            looped = timesteps is not None and count == timesteps * (count // timesteps) > timesteps
            raise refusal(WHERE, f"module {run.layers[name].path!r}", f"{count} timesteps", f"{expected}, as elsewhere", (
                f"the model loops over time itself, {count // (timesteps or 1)} timesteps a call: leave timesteps out" if looped
                else "every spiking layer must make every timestep, once"))


def _check_same_network(first: Run, run: Run, index: int) -> None:
    # Loads PyTorch, which is there by now.
    from hwsim.capture.torch_functions import signature

    def shape_of(r: Run) -> list[Any]:
        return [(x.name, x.shape, len(x.planes), signature(x.flow)) for x in r.layers.values()] + [
            (holder, signature(flow)) for holder, flow in r.outputs.items()]

    if shape_of(first) != shape_of(run):
        raise refusal(WHERE, f"sample {index}", "another network than for sample 0", "the same layers and connections",
                      "a model that branches on its data cannot be one trace")


def _check_repeatable(first: Run, again: Run) -> None:
    for name, record in first.layers.items():
        if not np.array_equal(np.stack(record.planes), np.stack(again.layers[name].planes)):
            raise refusal(WHERE, f"module {record.path!r}", "other spikes when sample 0 was run a second time", "the same spikes",
                          "the model keeps state that its neurons' reset does not clear, or draws random numbers")
