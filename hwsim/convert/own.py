"""`quantise`: a user's own ANN, from PyTorch or ONNX, as a quantised ANN and its bit-serial and rate-coded twins.

The graph is read by hwsim.capture (`ann_torch`, `ann_onnx`), its levels are chosen by hwsim.convert.calibration; from there on
it is one more source of the conversions that checkpoints go through (`bit_serial`, `rate`): the same integers, the same trace.
A full-scale activation is the highest level, 2**bits - 1 steps, as in quantised ANNs with a step (LSQ): so T = bits planes
carry a level exactly, and a rate-coded neuron reaches every level at T = 2**bits - 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from hwsim.capture.ann import SOFTMAX, Ann
from hwsim.capture.ann_onnx import read_onnx
from hwsim.capture.ann_torch import read_torch, verified
from hwsim.convert.base import Driven
from hwsim.convert.bit_serial import to_bit_serial, to_quantised_ann
from hwsim.convert.calibration import BATCH, Calibrated, Values, calibrate, real_layers, real_outputs
from hwsim.convert.evaluate import Evaluation, evaluate, run_batch
from hwsim.convert.folded import FoldedSource
from hwsim.convert.integers import ConversionError, Widths, input_unit, payloads
from hwsim.convert.methods import write_trace
from hwsim.convert.rate import to_rate
from hwsim.files import whole_folder
from hwsim.snn.network import Network
from hwsim.snn.validate import MAX_TIMESTEPS, validate_network
from hwsim.sources.npz import LabelledImages, channels_last, checked, image_shape

Twin = Literal["ann", "bit_serial", "rate"]
TWINS: tuple[Twin, ...] = ("ann", "bit_serial", "rate")
Progress = Callable[[int, int], None] | None


@dataclass(frozen=True)
class LayerLoss:
    """What quantisation changed in one layer, root mean squares over images and neurons as a share of the real activations' own.

    highest    value of the highest level.           clipped   share of real activations above it.
    own        what rounding and clipping the real activations to the layer's levels changes.
    total      what the layer sends against the real network: that, its weights', and what earlier layers handed on.
    """

    layer: str
    highest: float
    clipped: float
    own: float
    total: float


@dataclass(frozen=True)
class Accuracies:
    """Shares of `images` images that are answered right, by network: `float`, and each twin that was asked for.

    agreement   by twin, the share answered as the float network answers.   spikes   by twin, events a neuron.
    """

    images: int
    accuracy: Mapping[str, float] | None
    agreement: Mapping[str, float]
    spikes: Mapping[str, float]


@dataclass(frozen=True, eq=False, repr=False)
class Quantised:
    """A user's network with levels, and its twins of integers: `ann`, `bit_serial`, `rate`.

    calibrated   the network that they come from.      widths   of its integers.
    data         the images and labels that are measured and recorded; `tested`: they are others than those of the calibration.
    """

    calibrated: Calibrated
    widths: Widths
    twins: Mapping[str, Driven]
    data: LabelledImages
    tested: bool
    notes: Mapping[str, Any]

    def __repr__(self) -> str:
        steps = ", ".join(f"{twin} T={driven.notes['timesteps']}" for twin, driven in self.twins.items())
        return f"<Quantised {self.name}: {len(self.calibrated.ann.layers)} layers, {steps}, {len(self.data.images)} images>"

    @property
    def name(self) -> str:
        """The network's name."""
        return self.calibrated.ann.name

    def measure(self, images: int | None = None, twins: Sequence[str] = TWINS, progress: Progress = None) -> Accuracies:
        """What the float network and its twins answer on the first `images` images, all of them by default."""
        data = self._first(images)
        answers = np.concatenate([self._real(part)[self._last].flatten(2)[0].argmax(1).numpy() for part in _parts(data.images)])
        runs: dict[str, Evaluation] = {}
        for twin, report in zip(twins, _reports(progress, len(twins)), strict=True):
            driven = self.twins[twin]
            runs[twin] = evaluate(driven.network, driven.inputs(data.images), answers, progress=report)
        given = {"float": answers} | {twin: run.answers for twin, run in runs.items()}
        accuracy = None if data.labels is None else {name: float((found == data.labels).mean()) for name, found in given.items()}
        return Accuracies(len(data.images), accuracy, {twin: run.accuracy for twin, run in runs.items()},
                          {twin: run.spikes_per_neuron for twin, run in runs.items()})

    def losses(self, images: int | None = None) -> list[LayerLoss]:
        """What quantisation lost, layer by layer, measured on the integers of `ann`."""
        data, driven = self._first(images), self.twins["ann"]
        sums: dict[str, NDArray[np.float64]] = {}
        for part in _parts(data.images):
            real, sent = self._real(part), run_batch(driven.network, driven.inputs(part))[0]
            for layer in self.calibrated.source.layers:
                if layer.fires and layer.name in self.calibrated.real:
                    found = sums.setdefault(layer.name, np.zeros(5))
                    found += _differences(real[layer.name], sent[layer.name], layer.threshold / layer.top, layer.top)
        return [LayerLoss(name, self._threshold(name), float(clipped / count), _share(own, own_of), _share(total, own_of))
                for name, (own_of, own, total, clipped, count) in sums.items()]

    def record(self, folder: str | Path, samples: int = 32, provenance: Mapping[str, Any] | None = None,
               accuracies: Accuracies | None = None, progress: Progress = None) -> dict[str, Path]:
        """Traces `ann.h5`, `bit_serial.h5` and `rate.h5` of the first `samples` images; by twin, where they are.

        folder       a new or empty one, or one that holds such traces only, which are replaced. Another raises ConversionError.
        accuracies   what `measure` found, to be said in the traces.
        """
        data = self._first(samples)
        foreign = sorted({p.name for p in Path(folder).glob("*")} - {f"{twin}.h5" for twin in self.twins})
        if foreign:
            raise ConversionError(f"{folder}: holds {foreign[0]}, which is none of these traces and would be lost; name another "
                                  "folder")
        with whole_folder(folder) as place:
            for (twin, driven), report in zip(self.twins.items(), _reports(progress, len(self.twins)), strict=True):
                notes = {**driven.notes, **(provenance or {}), **self._stated(accuracies, twin)}
                write_trace(driven, data.images, data.labels, place / f"{twin}.h5", f"{self.name} {twin}", notes, report).close()
        return {twin: Path(folder) / f"{twin}.h5" for twin in self.twins}

    def _stated(self, found: Accuracies | None, twin: str) -> dict[str, Any]:
        """What a trace says of accuracies; only that of a whole test set is called one."""
        if found is None or found.accuracy is None:
            return {}
        whole = self.tested and found.images == len(self.data.images)
        return {"ann_accuracy": 100 * found.accuracy["float"], "accuracy_images": found.images,
                "accuracy_test_set" if whole else "accuracy": 100 * found.accuracy[twin]}

    @property
    def _last(self) -> str:
        return self.calibrated.ann.layers[-1].name

    def _threshold(self, name: str) -> float:
        return next(x.threshold for x in self.calibrated.source.layers if x.name == name)

    def _first(self, images: int | None) -> LabelledImages:
        if images is not None and not 1 <= images <= len(self.data.images):
            raise ConversionError(f"images is {images}, expected 1 to {len(self.data.images)}, as many as there are")
        return self.data.first(images)

    def _real(self, images: NDArray[Any]) -> Values:
        return real_outputs(self.calibrated.ann, self.calibrated.real, self.calibrated.source, images)


def quantise(
    model: Any, images: Any, labels: Any = None, *, test: tuple[Any, Any] | None = None, levels: int = 16, weight_bits: int = 8,
    payload_bits: int = 8, rate_timesteps: int | None = None, mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None, name: str | None = None, progress: Progress = None,
) -> Quantised:
    """Quantise an ANN that was trained in floating point, without training, and convert it.

    model      a torch.nn.Module, or the path of an ONNX file.
    images     a few hundred images to calibrate with: bytes or floats, (N, C, H, W) or (N, H, W, C), (N, H, W), or (N, F).
    labels     their classes (N,), if they are known.
    test       other images and labels to measure accuracy on; by default it is measured on the images themselves.
    levels     of an activation: 2, 4, 8, ..., 256. T of the bit-serial twin is their log2.
    weight_bits, payload_bits   widths of weights and of input values.
    rate_timesteps   T of the rate-coded twin; by default levels - 1, of 64 at most.
    mean, std  what the network's images were normalised with, by channel, after bytes were divided by 255. None: not at all.

    Raises CaptureError for a network that cannot be taken over, with the place; ConversionError and DataError.
    """
    bits = _bits_of(levels)
    where = str(model) if isinstance(model, str | Path) else "quantise"
    given = checked("images", images, labels)
    other = None if test is None else checked("test", *test)
    ann = _read(model, given.images, where, name)
    shape = ann.input_shape
    given = LabelledImages(channels_last("images", given.images, shape), given.labels)
    data = given if other is None else LabelledImages(channels_last("test", other.images, shape), other.labels)
    encoding = _encoding(ann, [given.images, data.images], mean, std)
    if isinstance(model, torch.nn.Module):
        _check_against(model, ann, encoding, given.images[:2], where)
    steps = min(levels - 1, MAX_TIMESTEPS) if rate_timesteps is None else rate_timesteps
    widths = Widths(weight_bits, payload_bits)
    calibrated = calibrate(ann, encoding, given.images, bits, widths, progress)
    source = calibrated.source
    notes = {"network": ann.name, "weight_bits": weight_bits, "payload_bits": payload_bits, "levels": levels,
             "calibration_images": len(given.images), "notes": list(ann.notes)}
    made: dict[Twin, tuple[Network, int]] = {
        "ann": (to_quantised_ann(source, bits, widths), bits), "bit_serial": (to_bit_serial(source, bits, widths), bits),
        "rate": (to_rate(source, steps, widths), steps)}
    unit = input_unit(source, widths)
    twins: dict[str, Driven] = {}
    for twin, (network, timesteps) in made.items():
        if problems := validate_network(network):
            raise ConversionError(f"{where} as {twin}: {problems[0]}")
        twins[twin] = Driven(network, lambda seen: payloads(source, seen, unit), notes | {"method": twin, "timesteps": timesteps})
    return Quantised(calibrated, widths, twins, data, other is not None, notes)


def _bits_of(levels: int) -> int:
    allowed = [1 << bits for bits in range(1, 9)]
    if isinstance(levels, bool) or levels not in allowed:
        raise ConversionError(f"levels is {levels!r}, expected one of {', '.join(map(str, allowed))}: T planes carry 2**T levels")
    return levels.bit_length() - 1


def _read(model: Any, images: NDArray[Any], where: str, name: str | None) -> Ann:
    if isinstance(model, str | Path):
        return read_onnx(model, name)
    convolutions = (m.in_channels for m in model.modules() if isinstance(m, torch.nn.Conv2d)) if isinstance(
        model, torch.nn.Module) else iter(())
    return read_torch(model, image_shape("images", images, next(convolutions, None)), where, name)


def _encoding(
    ann: Ann, images: Sequence[NDArray[Any]], mean: Sequence[float] | None, std: Sequence[float] | None
) -> FoldedSource:
    """How images become what the first layer sees: the user's normalisation, then the graph's own."""
    channels = ann.input_shape[0]
    centre, spread = (np.full(channels, default) if values is None else np.asarray(values, np.float64).reshape(-1)
                      for values, default in ((mean, 0.0), (std, 1.0)))
    for word, found in (("mean", centre), ("std", spread)):
        if found.shape != (channels,) or not np.isfinite(found).all() or (word == "std" and (found <= 0).any()):
            raise ConversionError(f"{word} is {found.tolist()}, expected {channels} numbers, one per channel"
                                  f"{', above zero' if word == 'std' else ''}")
    whole = images[0].dtype == np.uint8
    if any((part.dtype == np.uint8) != whole for part in images):
        raise ConversionError("test images are floats and the others bytes, or the other way round; expected one kind: give both "
                              "as bytes with mean and std, or both as the network takes them")
    ends = (0.0, 1.0) if whole else (float(min(x.min() for x in images)), float(max(x.max() for x in images)))
    if not any(ends):
        raise ConversionError("images are all zero, expected some that are not; look at how they were made")
    gain, shift = ann.gain.astype(np.float64), ann.shift.astype(np.float64)
    pixel = 255.0 if whole else 1.0
    return FoldedSource(ann.name, ann.input_shape, centre - shift * spread / gain, spread / gain, (), pixel, *ends)


def _check_against(model: torch.nn.Module, ann: Ann, encoding: FoldedSource, images: NDArray[Any], where: str) -> None:
    """The network as read must compute what the model computes."""
    logits = real_outputs(ann, real_layers(ann), encoding, images)[ann.layers[-1].name]
    own = encoding.normalised(images)  # with the graph's own normalisation, which the model does itself
    gain, shift = ann.gain.astype(np.float64), ann.shift.astype(np.float64)
    seen = ((own - shift) / gain).transpose(0, 3, 1, 2)
    found = logits[0].flatten(1).double().numpy()
    verified(model, found, seen.reshape(len(seen), -1) if ann.flat else seen, SOFTMAX in ann.notes, where)


def _reports(progress: Progress, tasks: int) -> list[Progress]:
    """Progress of several tasks of equal length as one."""
    def of(task: int) -> Progress:
        return None if progress is None else lambda done, total: progress(task * total + done, tasks * total)

    return [of(task) for task in range(tasks)]


def _parts(images: NDArray[Any]) -> list[NDArray[Any]]:
    return [images[first : first + BATCH] for first in range(0, len(images), BATCH)]


def _differences(real: Any, sent: NDArray[Any], step: float, top: int) -> NDArray[np.float64]:
    """Sums over images and neurons: squares of real values, of what their own levels change, of the whole difference; values
    above the highest level; values."""
    x = real[0].permute(0, 3, 1, 2).double().numpy()
    levels = step * np.clip(np.floor(x / step + 0.5), 0, top)
    now = sent[:, 0] * step
    return np.array([(x**2).sum(), ((levels - x) ** 2).sum(), ((now - x) ** 2).sum(), (x > top * step).sum(), x.size], np.float64)


def _share(part: float, whole: float) -> float:
    """Root of a share of squares; 0 where there is nothing to share."""
    return float(np.sqrt(part / whole)) if whole else 0.0
