"""Training of source networks: SGD with Nesterov momentum, one schedule over all steps, a checkpoint after every epoch.

Randomness of an epoch comes from (seed, epoch) alone and the learning rate from the step alone, so a run that was killed
and resumed from its last checkpoint has the weights of one that never stopped, bit for bit, on the same machine with the
same number of threads. The optimiser's momenta are in the checkpoint. Accuracies are percent of the whole test set, in
float32; `best` is chosen by them and so is slightly optimistic, `last` is not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hwsim.convert.alpha_beta import scaling_factors
from hwsim.errors import HwsimError
from hwsim.sources.activations import SINGLE_SPIKE, ActivationSpec, Lsq, Qcfs, Relu, upper_quantile
from hwsim.sources.calibrate import CALIBRATION_IMAGES, activation_percentiles
from hwsim.sources.checkpoint import Checkpoint, Description, Trainable, load_checkpoint, save_checkpoint
from hwsim.sources.data import Dataset
from hwsim.sources.networks import SourceNetwork
from hwsim.sources.normaliser import Normaliser
from hwsim.sources.single_spike import SingleSpikeNetwork
from hwsim.sources.surrogate import AlphaBeta
from hwsim.sources.zoo import USUAL, Variant, shortcut_of
from hwsim.training.augment import Augmentation, augmented
from hwsim.training.autoaugment import auto_augmented
from hwsim.training.native import native_kernels
from hwsim.training.regulariser import BitRegulariser
from hwsim.training.rounding import choose_steps, fold_into

LAST, BEST = "last.pt", "best.pt"
SCHEDULES = ("one_cycle", "cosine")
PRECISIONS = ("auto", "float32", "bfloat16")
DECAYS = ("auto", "all", "weights")
KERNELS = ("torch", "native")


class TrainError(HwsimError):
    """A training that cannot go on as asked; the text says what was found and what to do."""


@dataclass(frozen=True)
class Recipe:
    """How to train.

    rate           highest learning rate of `schedule`: one_cycle rises over the first fifth and falls as a cosine to 0,
                   cosine only falls.
    weight_decay   how strongly parameters are pulled to 0.
    decay          which parameters: all, thresholds and BatchNorms among them, or synaptic weights only; auto is all where qcfs
                   or lsq are trained, as their public codes have it, else weights.
    precision      auto is bfloat16 where the hardware multiplies it, else float32 (emulated bfloat16 was measured 10 times
                   slower); BatchNorm statistics, losses and weights are float32 in both.
    shrink         train and test on images averaged over so many pixels squared: a cheap start for a training at full size,
                   which takes it up with `start`. Pooling windows larger than a map then shrink to it.
    kernels        native: faster convolutions, activations and neurons on the CPU, float32 only (hwsim.training.native).
    """

    epochs: int = 60
    batch: int = 128
    rate: float = 0.2
    schedule: str = "one_cycle"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    regulariser: float = 0.0
    seed: int = 1
    precision: str = "auto"
    shrink: int = 1
    kernels: str = "torch"
    decay: str = "auto"

    def __post_init__(self) -> None:
        ranges = {"epochs": (1, 10**6), "batch": (1, 10**6), "rate": (0.0, 1e3), "momentum": (0.0, 1.0),
                  "weight_decay": (0.0, 1.0), "label_smoothing": (0.0, 1.0), "regulariser": (0.0, 1e3), "seed": (0, 2**31),
                  "shrink": (1, 1 << 10)}
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise TrainError(f"{name} = {getattr(self, name)}: expected {low} to {high}")
        for name, choices in (("schedule", SCHEDULES), ("precision", PRECISIONS), ("kernels", KERNELS), ("decay", DECAYS)):
            if getattr(self, name) not in choices:
                raise TrainError(f"{name} = {getattr(self, name)!r}: expected one of {', '.join(choices)}")
        if self.kernels == "native" and self.precision == "bfloat16":
            raise TrainError("kernels = native with precision = bfloat16: the native kernels are float32 only; leave one out")

    def rate_at(self, step: int, steps: int) -> float:
        """Learning rate of a step, 0 to steps - 1."""
        rise = 0.2 * steps if self.schedule == "one_cycle" else 0.0
        if step < rise:
            return self.rate * (0.04 + 0.96 * step / rise)
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1.0, steps - rise)))


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave: mean training loss, percent of the test set right, seconds it took."""

    epoch: int
    epochs: int
    loss: float
    accuracy: float
    best: float
    seconds: float

    def __str__(self) -> str:
        return (f"epoch {self.epoch}/{self.epochs}  loss {self.loss:.4f}  accuracy {self.accuracy:.2f} %  "
                f"best {self.best:.2f} %  {self.seconds:.0f} s")


Report = Callable[[Epoch], None]
Progress = Callable[[int, int], None]


def train(
    dataset: Dataset, network: str, activation: ActivationSpec, recipe: Recipe, out: str | Path, *, head: int | None = None,
    variant: Variant = USUAL, resume: bool = False, start: Checkpoint | None = None, device: str = "auto",
    report: Report | None = None, progress: Progress | None = None,
) -> Checkpoint:
    """Train a source network and return its last checkpoint; `out` is a folder that holds last.pt and best.pt.

    resume     go on from out/last.pt, which must be of the same network, data and recipe; without it, `out` must hold none.
    start      a trained checkpoint of the same network to begin with; its activation may be another one.
    report     called after every epoch.       progress   called after every step with (steps done, of) the epoch.
    Raises TrainError when the loss is not a number any more, CheckpointError for an unfit checkpoint.
    """
    folder = Path(out)
    described = Description(network, activation, len(dataset.classes), dataset.image_shape, head, dataset.name, dataset.mean,
                            dataset.std, recipe.seed, 0, recipe.epochs, None, asdict(recipe), variant)
    last = folder / LAST
    if last.exists() and not resume:
        raise TrainError(f"{last}: a training is there already; give another folder, or resume it")
    if resume and not last.exists():
        raise TrainError(f"{last}: no such checkpoint, so nothing to resume; a training that was killed in its first epoch "
                         f"begins again, without resuming")
    if variant.weight_bits is not None and start is None and not resume:
        raise TrainError(f"weight_bits = {variant.weight_bits} without a trained network to start from: the steps of integers "
                         f"come from its weights and thresholds; train it without --weight-bits first, and give it as --from")
    training = Training(dataset, described, recipe, pick_device(device))
    if recipe.kernels == "native":
        with native_kernels(training.network):
            return _train(training, folder, resume, start, report, progress)
    return _train(training, folder, resume, start, report, progress)


def _train(training: Training, folder: Path, resume: bool, start: Checkpoint | None, report: Report | None,
           progress: Progress | None) -> Checkpoint:
    """The epochs of `train` that are left, from wherever it begins."""
    recipe, last = training.recipe, folder / LAST
    if resume:
        training.resume(load_checkpoint(last, _same_training(training.described)))
    elif start is not None:
        training.start_from(start)
    folder.mkdir(parents=True, exist_ok=True)
    for epoch in range(training.epoch, recipe.epochs):
        began = time.monotonic()
        loss = training.run_epoch(epoch, progress)
        accuracy = training.test_accuracy()
        is_best = accuracy > training.best
        training.best = max(training.best, accuracy)
        training.save(folder, epoch + 1, accuracy, is_best)
        if report is not None:
            report(Epoch(epoch + 1, recipe.epochs, loss, accuracy, training.best, time.monotonic() - began))
    return load_checkpoint(last)


def _same_training(described: Description) -> dict[str, Any]:
    """What must not change when a training is resumed: everything but how far it came."""
    return {name: getattr(described, name) for name in ("network", "activation", "classes", "input_shape", "head", "variant",
                                                        "dataset", "mean", "std", "seed")}


def _graph(described: Description) -> dict[str, Any]:
    """What must be the same for weights to fit; dropout and pooling have none."""
    said = {name: getattr(described, name) for name in ("network", "head", "classes", "input_shape")}
    variant = described.variant
    return said | {"shortcut": shortcut_of(described.network, variant), "norm": variant.norm, "bias": variant.bias,
                   "width": variant.width}


def _leaves_out(described: Description, start: Description) -> bool:
    """Whether a network only lacks what the one that it starts from has: BatchNorm, or biases. Neurons that fire once begin at
    the bias, so nothing is left out for them."""
    mine, its = described.variant, start.variant
    once = SINGLE_SPIKE in (described.activation.kind, start.activation.kind)
    return not once and (mine.norm, mine.bias) != (its.norm, its.bias) and mine.norm <= its.norm and mine.bias <= its.bias


def _advice(name: str, wanted: bool) -> str:
    """What to do about a start that has BatchNorm or biases and should not, or the other way round."""
    if name not in ("norm", "bias"):
        return ""
    return (f": give --no-{name}, as it was trained" if wanted else
            f": neurons that fire once need a start that has the same; give --{name}, or train the start with --no-{name}")


def pick_device(name: str) -> torch.device:
    """auto is the first GPU when there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.split(":")[0] == "cuda" and not torch.cuda.is_available():
        raise TrainError(f"device {name}: torch sees no GPU here; use --device cpu")
    try:
        return torch.device(name)
    except RuntimeError:
        raise TrainError(f"device {name!r} is not known; use auto, cpu or cuda") from None


class Training:
    """A network in training: the state that a checkpoint keeps, and one method for each thing done with it."""

    def __init__(self, dataset: Dataset, described: Description, recipe: Recipe, device: torch.device) -> None:
        self.described, self.recipe, self.device = described, recipe, device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.network: Trainable = described.build()
        self.network.to(device).to(memory_format=torch.channels_last)
        self.optimiser = torch.optim.SGD(_groups(self.network, recipe), lr=recipe.rate, momentum=recipe.momentum,
                                         nesterov=recipe.momentum > 0)
        if recipe.kernels == "native" and device.type != "cpu":
            raise TrainError(f"the native kernels run on the CPU, not on {device.type}; use --kernels torch or --device cpu")
        self.mean = dataset.mean
        self.normalise = Normaliser(dataset.mean, dataset.std, device, recipe.shrink)
        self.images, self.labels = (torch.tensor(a, device=device) for a in (dataset.train_images, dataset.train_labels))
        self.tests = tuple(torch.tensor(a, device=device) for a in (dataset.test_images, dataset.test_labels))
        if len(self.images) < recipe.batch:
            raise TrainError(f"{len(self.images)} training images are fewer than a batch of {recipe.batch}; use a smaller batch")
        self._check_size()
        self.epoch, self.best = 0, -1.0

    @torch.no_grad()
    def _check_size(self) -> None:
        """Whether the network takes images as small as `shrink` makes them."""
        if self.recipe.shrink == 1:
            return
        try:
            self.network.eval()(self.normalise(self.images[:1]))
        except RuntimeError as error:  # torch's own, of shapes that do not fit
            raise TrainError(f"shrink = {self.recipe.shrink}: {self.described.network} does not take images so small ({error}); "
                             f"leave --shrink out, or shrink less") from None

    @property
    def steps(self) -> int:
        """Steps an epoch; an incomplete last batch is left out."""
        return len(self.images) // self.recipe.batch

    def run_epoch(self, epoch: int, progress: Progress | None = None) -> float:
        """One pass over the shuffled images; the mean loss. Raises TrainError when it is not a number."""
        self.network.train()
        total, losses = self.recipe.epochs * self.steps, []
        with BitRegulariser(self.network) if self.recipe.regulariser else nullcontext() as regulariser:
            for step, (images, labels) in enumerate(self._batches(epoch)):
                for group in self.optimiser.param_groups:
                    group["lr"] = self.recipe.rate_at(epoch * self.steps + step, total)
                losses.append(self._step(images, labels, regulariser))
                if progress is not None:
                    progress(step + 1, self.steps)
                if step % 50 == 0 or step + 1 == self.steps:
                    self._check(losses[-1], epoch)
        for name, value in self.network.state_dict().items():
            # A neuron that compares with a threshold hides what is not a number from the loss.
            if not bool(torch.isfinite(value).all()):
                raise self._diverged(f"{name} is not finite", epoch)
        return torch.stack(losses).mean().item()

    def _step(self, images: Tensor, labels: Tensor, regulariser: BitRegulariser | None) -> Tensor:
        """One step downhill; the loss."""
        try:
            with self._precision():
                loss = self.network.loss(images, labels, self.recipe.label_smoothing)
        except ValueError as error:  # BatchNorm's, of a batch that leaves it one value a channel
            raise TrainError(f"batch = {self.recipe.batch}, shrink = {self.recipe.shrink}: {error}; use a larger batch") from None
        if regulariser is not None:
            loss = loss + self.recipe.regulariser * regulariser.loss()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Augmented batches of an epoch; the order and every draw depend on seed and epoch only."""
        seed = self.recipe.seed * 1_000_003 + epoch
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.images), generator=generator).to(self.device)
        for chosen in order[:self.steps * self.recipe.batch].split(self.recipe.batch):
            images, how = self.images[chosen], self.recipe.augmentation
            if how.autoaugment:
                images = torch.from_numpy(auto_augmented(images.cpu().numpy(), self.mean, generator)).to(self.device)
            images = augmented(self.normalise.whole(images), how, generator)
            yield self.normalise.shrunk(images), self.labels[chosen]

    def _check(self, loss: Tensor, epoch: int) -> None:
        if not math.isfinite(loss.item()):
            raise self._diverged(f"the loss is {loss.item()}", epoch)

    def _diverged(self, what: str, epoch: int) -> TrainError:
        return TrainError(f"{what} in epoch {epoch + 1}: the training diverged; lower the rate ({self.recipe.rate}) and start "
                          f"again, the checkpoints before this epoch are good")

    def _precision(self) -> AbstractContextManager[Any]:
        wanted = self.recipe.precision
        if wanted == "float32" or self.recipe.kernels == "native" or (wanted == "auto" and not multiplies_bfloat16(self.device)):
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    @torch.no_grad()
    def test_accuracy(self, batch: int = 500) -> float:
        """Percent of the test images whose largest logit is the label, in float32."""
        return accuracy(self.network, self.normalise, *self.tests, batch=batch)

    def save(self, folder: Path, epoch: int, accuracy: float, is_best: bool) -> None:
        """last.pt with all that resuming needs; best.pt without."""
        self.epoch = epoch
        described = replace(self.described, epoch=epoch, accuracy=accuracy)
        weights = self.network.state_dict()
        if is_best:
            save_checkpoint(folder / BEST, described, weights)
        save_checkpoint(folder / LAST, described, weights, {"optimiser": self.optimiser.state_dict(), "best": self.best})

    def resume(self, saved: Checkpoint) -> None:
        """Go on where the checkpoint stopped. Raises TrainError when it has no training state, or of another recipe."""
        if saved.training is None:
            raise TrainError(f"{saved.path}: has no training state, so nothing to resume; start from it instead")
        wanted, usual, before = asdict(self.recipe), asdict(Recipe()), dict(saved.description.recipe)
        # What an older version had no choice of was as it is without a choice now.
        before = {**usual, **before}
        if isinstance(before["augmentation"], dict):
            before["augmentation"] = {**usual["augmentation"], **before["augmentation"]}
        for name, value in wanted.items():
            if before[name] != value:
                raise TrainError(f"{saved.path}: was trained with {name} = {before[name]}, now it is {value}; resume with the "
                                 f"same settings, or start from it in another folder")
        self.network.load_state_dict(saved.weights)
        try:
            self.optimiser.load_state_dict(saved.training["optimiser"])
            self.best = float(saved.training["best"])
            self._check_momenta()
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise TrainError(f"{saved.path}: its training state does not fit this network ({error}); start again") from None
        self.epoch = saved.description.epoch

    def _check_momenta(self) -> None:
        """Raises ValueError for momenta that are not those of the weights."""
        for group in self.optimiser.param_groups:
            for weight in group["params"]:
                momentum = self.optimiser.state[weight].get("momentum_buffer")
                if momentum is None or momentum.shape != weight.shape or not bool(torch.isfinite(momentum).all()):
                    raise ValueError(f"a momentum is missing, not finite or not of shape {tuple(weight.shape)}")

    def start_from(self, saved: Checkpoint) -> None:
        """Begin with the weights of a trained network of the same graph; its activations may be of another kind.

        A network without BatchNorm may begin with one that has it, which is folded into weights and biases, and one without
        biases with one that has them, which are left out then: what is lost so, training must mend.
        """
        leaves_out = _leaves_out(self.described, saved.description)
        if saved.description.activation.kind == SINGLE_SPIKE != self.described.activation.kind:
            raise TrainError(f"{saved.path}: is a single-spike network, which has no activations to start others from")
        for name, mine in _graph(self.described).items():
            if mine != (its := _graph(saved.description)[name]) and not (leaves_out and name in ("norm", "bias")):
                raise TrainError(f"{saved.path}: is of a network with {name} = {its}, expected {mine}; its weights do not fit"
                                 f"{_advice(name, bool(mine))}")
        bits = self.described.variant.weight_bits
        if bits is None and (its := saved.description.variant.weight_bits) is not None:
            raise TrainError(f"{saved.path}: is of a network with weight_bits = {its}, its BatchNorms folded into the weights; "
                             f"go on with --weight-bits {its}, or start from the network before it")
        source = saved.network().to(self.device)
        images = self.normalise(self.images[:CALIBRATION_IMAGES])
        if isinstance(source, SingleSpikeNetwork):
            assert isinstance(self.network, SingleSpikeNetwork)
            # mean and std stay those of the images that are trained on now
            kept = {name: value for name, value in source.state_dict().items() if name not in ("mean", "std")}
            self.network.load_state_dict(kept, strict=False)
        elif isinstance(self.network, SingleSpikeNetwork):
            self.network.adopt(source, ceilings(source, images))
            self.network.calibrate(images)
        else:
            adopt(self.network, source, images)
            if bits is not None or leaves_out:
                fold_into(self.network, source)
            if bits is not None:
                choose_steps(self.network, bits, self.described.mean, self.described.std)


CLIPPED_QUANTILE = 0.999


@torch.no_grad()
def adopt(network: SourceNetwork, source: SourceNetwork, images: Tensor) -> None:
    """Give `network` the weights of `source`, and its activations the range of the source's, layer by layer."""
    kept = {name: value for name, value in source.state_dict().items() if ".activation." not in name}
    network.load_state_dict(kept, strict=False)
    ranges = ceilings(source, images)
    neurons = {name: a for name, a in network.activations().items() if isinstance(a, AlphaBeta)}
    if neurons:
        _start_neurons(neurons, source, ranges, images)
        return
    for name, activation in network.activations().items():
        if not isinstance(activation, Relu):
            activation.start_at(ranges[name])


def _start_neurons(neurons: dict[str, AlphaBeta], source: SourceNetwork, ranges: dict[str, float], images: Tensor) -> None:
    """Neurons of paper 001 go on from those of `source`, or start from what Algorithm 1 finds for its activations."""
    its = source.activations()
    if all(isinstance(activation, AlphaBeta) for activation in its.values()):
        for name, mine in neurons.items():
            mine.load_state_dict(its[name].state_dict())
        return
    seen = activation_percentiles(source, images)
    for name, mine in neurons.items():
        found = scaling_factors(seen[name], ranges[name], mine.timesteps)
        mine.start_at(found.alpha * ranges[name], found.beta * found.alpha * ranges[name])


@torch.no_grad()
def ceilings(source: SourceNetwork, images: Tensor) -> dict[str, float]:
    """The highest output of every activation; of relu, which has none, a high quantile of its positive outputs for `images`."""
    found, clipped = {}, all(hasattr(activation, "ceiling") for activation in source.activations().values())
    currents = {} if clipped else source.eval().currents(images)
    for name, activation in source.activations().items():
        ceiling: float | None = getattr(activation, "ceiling", None)
        if ceiling is None:
            positive = currents[name][currents[name] > 0]
            ceiling = upper_quantile(positive, CLIPPED_QUANTILE) if len(positive) else 1.0
        found[name] = ceiling
    return found


def _groups(network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters by their weight decay, what is to decay first.

    The public codes of QCFS and of the noise adaptor decay every parameter, thresholds and BatchNorms included: it pulls
    thresholds down, and so makes spikes arrive more evenly.
    """
    named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    steps = any(isinstance(module, Qcfs | Lsq) for module in network.modules())
    if recipe.decay == "all" or (recipe.decay == "auto" and steps):
        return [{"params": [p for _, p in named], "weight_decay": recipe.weight_decay}]
    weights = [p for name, p in named if name.endswith("operator.weight")]
    others = [p for name, p in named if not name.endswith("operator.weight")]
    return [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the hardware has bfloat16 products of its own."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported is not None and supported())


@torch.no_grad()
def accuracy(network: Trainable, normalise: Normaliser, images: Tensor, labels: Tensor, batch: int = 500) -> float:
    """Percent of images, uint8 (N, H, W, C), whose largest logit is the label; the network is left in evaluation mode."""
    network.eval()
    batch = max(1, batch // network.timesteps)  # as much memory, whatever T is
    right = torch.zeros((), dtype=torch.int64, device=labels.device)
    for part, expected in zip(images.split(batch), labels.split(batch), strict=True):
        right += (network(normalise(part)).argmax(1) == expected).sum()
    return 100 * right.item() / len(labels)
