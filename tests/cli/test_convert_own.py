"""`hwsim convert --model` as a user meets it: a model file and images in, traces that replay out, one text for a mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import hwsim
from tests.cli.test_capture_command import command  # noqa: F401

MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.pool, self.fc = nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2), nn.Linear(64, 3)

    def forward(self, x):
        return self.fc(self.pool(torch.relu(self.conv(x))).flatten(1))

torch.manual_seed(0)
net = Net()

def gelu():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(144, 3))

def lacks():
    import no_such_package.part
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "my.py").write_text(MODEL)
    for name, count in (("calibrate", 20), ("test", 10)):
        images = rng.integers(0, 256, (count, 8, 8)).astype(np.uint8)
        np.savez(tmp_path / f"{name}.npz", images=images, labels=np.arange(count) % 3)
    return tmp_path


Command = Callable[..., tuple[int, str, str]]


@pytest.mark.slow
def test_two_commands_give_snn_and_ann_twin_with_energies(files: Path, command: Command) -> None:  # noqa: F811
    status, out, err = command("convert", "--model", f"{files}/my.py:net", "--calibrate", files / "calibrate.npz", "--test",
                               files / "test.npz", "--out", files / "mine", "--samples", 3, "--json")
    assert status == 0, err
    body = json.loads(out)
    assert set(body["accuracy"]) == {"float", "ann", "bit_serial", "rate"}
    assert body["accuracy"]["ann"] == body["accuracy"]["bit_serial"]
    assert [layer["layer"] for layer in body["layers"]] == ["conv"]
    assert body["timesteps"] == {"ann": 4, "bit_serial": 4, "rate": 15}
    with hwsim.Trace.open(files / "mine" / "rate.h5") as trace:
        assert trace.provenance["accuracy_test_set"] == pytest.approx(body["accuracy"]["rate"])
    status, out, err = command("compare", *sorted((files / "mine").glob("*.h5")), "--arch", "event_core_64", "--out",
                               files / "compared")
    assert status == 0, err
    for said in ("bit_serial T=4", "rate T=15", "quantised T=1", "core"):
        assert said in out


def test_text_names_what_was_measured_and_lost(files: Path, command: Command) -> None:  # noqa: F811
    status, out, err = command("convert", "--model", f"{files}/my.py:net", "--calibrate", files / "calibrate.npz", "--levels", 4)
    assert status == 0, err
    assert "net: 3 layers, 4 levels, 8-bit weights, calibrated on 20 images" in out
    assert "of 20 images of calibrate.npz" in out
    assert "what quantisation changed, by layer" in out
    assert "running" in err


@pytest.mark.parametrize(("arguments", "says"), [
    (["--model", "my.py:net"], "--model needs --calibrate FILE"),
    (["--model", "my.py:net", "--calibrate", "calibrate.npz", "--tau", "2"], "--tau belongs to checkpoints"),
    (["--model", "my.py:net", "--calibrate", "none.npz"], "no such file"),
    (["--model", "my.py:net", "--calibrate", "calibrate.npz", "--mean", "a,b"], "--mean is 'a,b', expected numbers"),
    (["--model", "my.py:net", "--calibrate", "calibrate.npz", "--out", "my.py"], "is the folder of the traces"),
    (["--model", "my.py:gelu", "--calibrate", "calibrate.npz"], "module '1' (GELU): found gelu"),
    (["--model", "my.py:lacks", "--calibrate", "calibrate.npz"],
     "my.py:20: my.py needs the package no_such_package, which is not installed here"),
    (["--model", "my.py:net", "--calibrate", "calibrate.npz", "--data", "there"], "give one of both"),
    (["some.pt"], "give a checkpoint of `hwsim train` and --data FOLDER, or a network of your own"),
    (["some.pt", "--data", "there", "--calibrate", "calibrate.npz"], "belong to --model"),
    (["--model", "my.py:net", "--calibrate", "calibrate.npz", "--first-crossing"], "--first-crossing belongs to checkpoints"),
])
def test_mistakes_are_one_text(
    arguments: list[str], says: str, files: Path, command: Command, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    monkeypatch.chdir(files)
    status, _, err = command("convert", *arguments)
    assert status == 2
    assert says in err
    assert "Traceback" not in err
