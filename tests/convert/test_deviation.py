"""Laws of `hwsim.convert.deviation`: the parts are the whole, and where T is the source's levels, what is left is the difference
from the source itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hwsim.cli import app
from hwsim.convert.deviation import _squares, deviations
from hwsim.convert.integers import ConversionError
from hwsim.sources.checkpoint import load_checkpoint
from hwsim.trace.reader import Trace

METHODS = Path(__file__).parents[2] / "traces" / "methods"


def of(trace: str, checkpoint: str, samples: int = 2):  # noqa: ANN201
    with Trace.open(METHODS / f"fashion_mnist_tiny_{trace}.h5") as opened:
        return deviations(opened, load_checkpoint(METHODS / f"fashion_mnist_tiny_{checkpoint}.pt"), samples)


def test_the_parts_are_the_whole() -> None:
    """Of one neuron each: the parts of its difference, signed, add up; each is alone where only it can be."""
    y, unit, top = np.array([-3.0, 0.6, 1.3, 9.0, 2.0]), 0.5, 4
    sent = np.array([0, 1, 3, 4, 2])
    for each, fired in zip(y, sent, strict=True):
        found = np.sqrt(_squares(np.array([each]), np.zeros(1), np.array([fired]), unit, top))
        size, clipping, quantisation, rest, total, _ = found
        assert size == max(each, 0)
        signed = {-1: min(size, 2.0) - size, 0: unit * np.clip(np.floor(each / unit + 0.5), 0, top) - min(size, 2.0)}
        assert (clipping, quantisation) == pytest.approx((abs(signed[-1]), abs(signed[0])))
        assert total == pytest.approx(abs(unit * fired - size))
        assert rest == pytest.approx(abs(unit * fired - size - signed[-1] - signed[0]))


@pytest.mark.parametrize(("trace", "checkpoint"), [("rate_t4", "qcfs4"), ("bit_serial_t4", "qcfs16")])
def test_what_is_left_is_the_difference_from_a_source_of_the_same_levels(trace: str, checkpoint: str) -> None:
    for layer in of(trace, checkpoint):
        assert layer.rest == pytest.approx(layer.from_source, rel=1e-3)
        assert layer.quantisation < 0.5


def test_bits_and_levels_are_the_same_numbers() -> None:
    """The bit-serial network and the ANN send the same, so they differ from their source by the same."""
    assert of("bit_serial_t4", "qcfs16") == of("ann_t4", "qcfs16")


def test_more_levels_quantise_less_and_clip_the_same() -> None:
    rough, fine = of("rate_t4", "qcfs4"), of("bit_serial_t4", "qcfs16")
    assert all(b.quantisation < a.quantisation / 2 for a, b in zip(rough, fine, strict=True))
    assert all(b.rest < a.rest for a, b in zip(rough, fine, strict=True)), "bits do not come unevenly"


def test_other_checkpoints_and_neurons_in_time_are_refused() -> None:
    with pytest.raises(ConversionError, match="was trained with neurons in time"):
        of("alpha_beta_tuned_t2", "alpha_beta2")
    another = pytest.raises(ConversionError, match="layer conv1: found one")
    with Trace.open(METHODS / "fashion_mnist_tiny_rate_t4.h5") as opened, another:
        deviations(opened, load_checkpoint(METHODS / "cifar10_resnet20_qcfs4.pt"), 1)
    with pytest.raises(ConversionError, match="samples is 99, expected 1 to 32"):
        of("rate_t4", "qcfs4", 99)


def test_the_command_prints_and_saves_what_was_found(tmp_path: Path) -> None:
    line = ["deviation", str(METHODS / "fashion_mnist_tiny_rate_t4.h5"), "--samples", "1",
            "--source", str(METHODS / "fashion_mnist_tiny_qcfs4.pt")]
    shown = CliRunner().invoke(app, [*line, "--out", str(tmp_path / "made")])
    assert shown.exit_code == 0, shown.output
    for word in ("case 4 %", "from source %", "fires for nothing"):
        assert word in shown.output
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["deviation.csv", "deviation.png"]
    body = json.loads(CliRunner().invoke(app, [*line, "--json"]).stdout)
    assert [one["layer"] for one in body["layers"]] == [one["layer"] for one in body["deviations"]]
