"""traces/methods/unfold.py: a checkpoint from a trace gives the trace's integers again, and the network's answers."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hwsim.convert.integers import Widths  # noqa: E402
from hwsim.convert.methods import Request, convert, record  # noqa: E402
from hwsim.errors import HwsimError  # noqa: E402
from hwsim.sources.activations import ActivationSpec  # noqa: E402
from hwsim.sources.checkpoint import Checkpoint, Description  # noqa: E402
from hwsim.sources.data import Dataset, moments  # noqa: E402
from hwsim.sources.zoo import Variant  # noqa: E402
from hwsim.trace.reader import Trace  # noqa: E402
from tests.conftest import ROOT  # noqa: E402
from tests.scripts import module_at  # noqa: E402

NARROW = Variant(width=0.125)


@pytest.fixture(scope="module")
def unfold() -> ModuleType:
    return module_at(ROOT / "traces" / "methods" / "unfold.py")


@pytest.fixture(scope="module")
def data() -> Dataset:
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (24, 32, 32, 3)).astype(np.uint8)
    labels = np.arange(24, dtype=np.int64) % 10
    return Dataset("cifar10", images, labels, images[:8], labels[:8], *moments(images))


def trained(data: Dataset, network: str = "vgg6") -> Checkpoint:
    """As if trained: BatchNorms have statistics, gains and biases of their own."""
    torch.manual_seed(5)
    described = Description(network, ActivationSpec("qcfs", 16), 10, data.image_shape, None, data.name, data.mean, data.std, 1,
                            1, 1, 50.0, variant=NARROW)
    made = described.build()
    made.train()
    with torch.no_grad():
        for name, values in made.named_parameters():
            if "norm" in name:
                values.add_(0.2 * torch.randn_like(values))
        made(torch.randn(24, 3, 32, 32))
    return Checkpoint(Path("here.pt"), described, dict(made.state_dict()), None)


def traced(checkpoint: Checkpoint, data: Dataset, place: Path, **widths: int) -> Trace:
    converted = convert(checkpoint, Request("bit_serial", 4, widths=Widths(**widths)), data)
    return record(converted, data, place / "one.h5", 1, "one", {"accuracy_source_network": 50.0, **widths})


def test_the_checkpoint_gives_the_integers_again(unfold: ModuleType, data: Dataset, tmp_path: Path) -> None:
    source = trained(data)
    with traced(source, data, tmp_path) as trace:
        found = unfold.unfold(trace, "vgg6", data, NARROW)
        assert unfold.differences(trace, found, data) == []
        assert not all(torch.equal(found.weights[name], values) for name, values in source.weights.items())
        images = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))
        answers = [one.network().eval()(images).detach() for one in (source, found)]
        scaled = answers[1] * (answers[0].std() / answers[1].std())
        assert torch.corrcoef(torch.stack([answers[0].flatten(), scaled.flatten()]))[0, 1] > 0.99
        found.weights["layers.conv1_1.connections.0.norm.bias"][0] += 1
        assert unfold.differences(trace, found, data)[0] == "conv1_1"


def test_other_widths_are_those_of_the_trace(unfold: ModuleType, data: Dataset, tmp_path: Path) -> None:
    with traced(trained(data), data, tmp_path, weight_bits=6, payload_bits=7) as trace:
        assert unfold.differences(trace, unfold.unfold(trace, "vgg6", data, NARROW), data) == []


def test_other_traces_are_refused_by_what_they_are(unfold: ModuleType, data: Dataset, tmp_path: Path) -> None:
    text = "and vgg9 has conv1_1, .*; give --network"
    with traced(trained(data), data, tmp_path) as trace, pytest.raises(HwsimError, match=text):
        unfold.unfold(trace, "vgg9", data, NARROW)
    with traced(trained(data), data, tmp_path) as trace, pytest.raises(HwsimError, match="weights of shape .* usual width"):
        unfold.unfold(trace, "vgg6", data)
    for name, network, text in (("rate_t4", "resnet20", "is rate, expected a bit-serial trace"),
                                ("bit_serial_t4", "resnet20", "block1_1b reads several layers")):
        with (Trace.open(ROOT / "traces" / "methods" / f"cifar10_resnet20_{name}.h5") as trace,
              pytest.raises(HwsimError, match=text)):
            unfold.unfold(trace, network, data)
