"""Checkpoints of source networks: one file, written whole or not at all, that says what it holds and is refused else.

A file is what torch.save makes of a dictionary {format, version, description, weights, training}; `description` is a
Description as plain values, `weights` the network's state_dict in float32, `training` the state of an unfinished training
(optimiser, best accuracy) or None. It is read with weights_only=True: no code in a file ever runs. Networks, activations and
tensors go by the names in the file, not by those of modules and classes, so a file outlives any that are renamed.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hwsim.errors import HwsimError, shown
from hwsim.files import whole_file
from hwsim.sources.activations import ALPHA_BETA, LEVELLED, SINGLE_SPIKE, ActivationSpec
from hwsim.sources.networks import SourceError, SourceNetwork
from hwsim.sources.single_spike import SingleSpikeNetwork
from hwsim.sources.zoo import USUAL, Variant, build_network

Trainable = SourceNetwork | SingleSpikeNetwork

FORMAT, VERSION = "hwsim source network", 1


class CheckpointError(HwsimError):
    """A checkpoint that is damaged, of another network or not one at all; the text names the file and what to do."""


@dataclass(frozen=True)
class Description:
    """What a checkpoint holds.

    epoch, epochs   epochs trained, of how many asked for.     accuracy   percent of the test set, None if not measured.
    mean, std       what images are normalised with, a channel, in units of 255.
    recipe          how it was trained (hwsim.training.train.Recipe as plain values).
    variant         what was chosen of the network; files from before there was a choice have none.
    """

    network: str
    activation: ActivationSpec
    classes: int
    input_shape: tuple[int, int, int]
    head: int | None
    dataset: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    seed: int
    epoch: int = 0
    epochs: int = 0
    accuracy: float | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    variant: Variant = USUAL

    def build(self) -> Trainable:
        """The network that is described, with fresh weights. Raises SourceError when there is no such network."""
        if self.variant.weight_bits is not None and self.activation.kind not in LEVELLED:
            raise SourceError(f"weight_bits = {self.variant.weight_bits} with activation {self.activation.kind}: integers are "
                              f"trained with activations of levels; use {' or '.join(LEVELLED)}, or leave --weight-bits out")
        source = build_network(self.network, self.activation.make, self.classes, self.input_shape, self.head, self.variant)
        if self.activation.kind == ALPHA_BETA:
            source.timesteps = self.activation.timesteps
        if self.activation.kind != SINGLE_SPIKE:
            return source
        return SingleSpikeNetwork(source, self.activation.timesteps, self.mean, self.std)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint as read: `network()` builds it with its weights, in evaluation mode."""

    path: Path
    description: Description
    weights: dict[str, Tensor]
    training: dict[str, Any] | None

    def network(self) -> Trainable:
        network = self.description.build()
        network.load_state_dict(self.weights)
        return network.eval()


def save_checkpoint(
    path: Path, description: Description, weights: Mapping[str, Tensor], training: dict[str, Any] | None = None
) -> None:
    """Write the file whole or not at all; the one that was there stays as `<stem>.previous<suffix>`. Raises FileError."""
    body = {"format": FORMAT, "version": VERSION, "description": asdict(description),
            "weights": {name: value.detach().cpu().contiguous() for name, value in weights.items()}, "training": training}
    made = io.BytesIO()  # torch, writing to a disk, makes an error of its own of what the disk says
    torch.save(body, made)
    with whole_file(path, spare=previous_of(path)) as part:
        part.write_bytes(made.getbuffer())


def previous_of(path: Path) -> Path:
    """Where the checkpoint before the one at `path` is kept."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def load_checkpoint(path: str | Path, expect: Mapping[str, Any] | None = None) -> Checkpoint:
    """Read and check a checkpoint.

    expect   fields of its Description that must have these values, e.g. {"network": "resnet20", "head": None}.
    Raises CheckpointError when the file is missing, truncated, of another format, of another network than expected,
    when its weights do not fit the network that it describes, or when one is not a finite number.
    """
    path = Path(path)
    body = _read(path)
    description = _description(path, body.get("description"))
    for name, value in (expect or {}).items():
        found = getattr(description, name)
        if found != value and isinstance(value, ActivationSpec | Variant):  # what of it is another, not two long texts to compare
            name = next(f.name for f in fields(value) if getattr(found, f.name) != getattr(value, f.name))
            found, value = getattr(found, name), getattr(value, name)
        if found != value:
            raise CheckpointError(f"{path}: is a checkpoint with {name} = {found!r}, expected {value!r}; give the checkpoint "
                                  f"of that network, or ask for this one")
    weights = _weights(path, body.get("weights"), description)
    training = body.get("training")
    if training is not None and not isinstance(training, dict):
        raise CheckpointError(f"{path}: its training state is a {type(training).__name__}, expected a dictionary")
    return Checkpoint(path, description, weights, training)


def _read(path: Path) -> dict[str, Any]:
    """The dictionary in the file."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        _check_archive(path)
        body = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for a damaged file
        spare = previous_of(path)
        advice = f"; the one before it is {spare}" if spare.is_file() else "; use another or train again"
        first = str(error).split("\n")[0][:120]
        raise CheckpointError(f"{path}: not a readable checkpoint, truncated or damaged ({first}){advice}") from None
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not an hwsim checkpoint; expected a file that `hwsim train` wrote")
    if body.get("version") != VERSION:
        raise CheckpointError(f"{path}: checkpoint version {shown(body.get('version'))}, this hwsim reads version {VERSION}")
    return body


def _check_archive(path: Path) -> None:
    """Raises ValueError for an archive that unpacks to more than the file has, or has other bytes than were written: torch.save
    compresses nothing, and torch.load compares no checksums."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("it is compressed, which torch.save never does")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise ValueError("its entries claim more bytes than the file has")
        if (wrong := archive.testzip()) is not None:
            raise ValueError(f"{shown(wrong, 80, str)} in it is not what was written, as its checksum says")


def _description(path: Path, found: Any) -> Description:
    """A Description of plain values; anything else is refused by name."""
    known = {f.name for f in fields(Description)}
    needed = {f.name for f in fields(Description) if f.default is MISSING and f.default_factory is MISSING}
    if not isinstance(found, dict) or not needed <= set(found) <= known:
        fields_found = shown(list(found) if isinstance(found, dict) else found, 300)
        raise CheckpointError(f"{path}: its description has the fields {fields_found}, expected {sorted(known)}")
    try:
        values = dict(found)
        _check_kinds(values["activation"], _ACTIVATION_KINDS, " of its activation")
        values["activation"] = ActivationSpec(**values["activation"])
        if "variant" in values:
            _check_kinds(values["variant"], _VARIANT_KINDS, " of its variant")
            values["variant"] = Variant(**values["variant"])
        values["input_shape"] = _numbers(values["input_shape"], int, 3)
        channels = values["input_shape"][0]
        values["mean"], values["std"] = (_numbers(values[name], float, channels) for name in ("mean", "std"))
        if not all(values["std"]):
            raise TypeError(f"std is {values['std']}, and images are divided by it")
        _check_kinds(values, _KINDS)
        return Description(**values)
    except (TypeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: its description is not sound: {error}") from None


_ACTIVATION_KINDS: dict[str, tuple[type, ...]] = {
    "kind": (str,), "levels": (int,), "top": (int, type(None)), "noise": (bool,), "threshold": (float, int), "timesteps": (int,),
}
_VARIANT_KINDS: dict[str, tuple[type, ...]] = {
    "shortcut": (str, type(None)), "norm": (bool,), "bias": (bool,), "dropout": (float, int), "pool": (str,),
    "width": (float, int), "weight_bits": (int, type(None)),
}
_KINDS: dict[str, tuple[type, ...]] = {
    "network": (str,), "classes": (int,), "head": (int, type(None)), "dataset": (str,), "seed": (int,), "epoch": (int,),
    "epochs": (int,), "accuracy": (float, type(None)), "recipe": (dict,),
}


def _check_kinds(values: dict[str, Any], kinds: dict[str, tuple[type, ...]], of: str = "") -> None:
    """Raises TypeError for a value of another type than its name allows; a bool is no int."""
    for name, allowed in kinds.items():
        if name not in values:
            continue
        if not isinstance(values[name], allowed) or (isinstance(values[name], bool) and bool not in allowed):
            raise TypeError(f"{name}{of} is {shown(values[name])}")


def _numbers(values: Any, kind: Any, count: int) -> tuple[Any, ...]:
    """`count` positive or zero finite numbers of one kind."""
    if not isinstance(values, (list, tuple)) or len(values) != count:
        raise TypeError(f"{shown(values)} is not {count} numbers")
    if not all(type(v) is kind and 0 <= v < float("inf") for v in values):
        raise TypeError(f"{shown(values)} are not {kind.__name__} numbers")
    return tuple(values)


def _current_name(name: Any) -> Any:
    """Checkpoints written before a spike's worth was called its scale have the old name."""
    return name.removesuffix("raw_worth") + "raw_scale" if str(name).endswith(".raw_worth") else name


def _weights(path: Path, found: Any, description: Description) -> dict[str, Tensor]:
    """Weights that fit the described network, tensor by tensor."""
    try:
        with torch.device("meta"):  # only names and shapes are wanted, and a forged size must cost nothing
            expected = description.build().state_dict()
    except (HwsimError, RuntimeError, TypeError) as error:
        raise CheckpointError(f"{path}: describes a network that cannot be built: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise CheckpointError(f"{path}: has no dictionary of weights")
    found = {_current_name(name): value for name, value in found.items()}
    odd = sorted(set(found) ^ set(expected))
    if odd:
        where = "is not of" if odd[0] in found else "is missing for"
        raise CheckpointError(f"{path}: {odd[0]} {where} a {description.network} with {description.activation.kind}; the file "
                              f"describes one network and holds another")
    for name, value in found.items():
        if value.layout is not torch.strided or value.is_quantized or value.device.type != "cpu":
            raise CheckpointError(f"{path}: {name} is {value.layout} on {value.device}, expected a plain tensor on the CPU; "
                                  "save it with `hwsim train`")
        if value.shape != expected[name].shape or value.dtype != expected[name].dtype:
            raise CheckpointError(f"{path}: {name} is {value.dtype} {tuple(value.shape)}, expected {expected[name].dtype} "
                                  f"{tuple(expected[name].shape)}; the file describes one network and holds another")
        if not bool(torch.isfinite(value).all()):
            raise CheckpointError(f"{path}: {name} has values that are not finite numbers; the training diverged, use an "
                                  f"earlier checkpoint or train with a lower rate")
    return found
