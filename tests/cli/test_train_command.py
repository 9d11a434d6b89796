"""`hwsim train` as a user meets it: a run, a kill and its resumption, fine-tuning, and one clear text for a mistake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from hwsim.cli import main  # noqa: E402
from hwsim.sources.checkpoint import load_checkpoint  # noqa: E402
from hwsim.trace.reader import Trace  # noqa: E402
from tests.convert.tiny_set import write_tiny_files  # noqa: E402

SETTINGS = ("--dataset", "fashion_mnist", "--unverified", "--batch", 20, "--rate", 0.02, "--no-flip", "--shift", 0,
            "--threads", 1, "--precision", "float32")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data")
    write_tiny_files(place)
    return place


@pytest.fixture(autouse=True)
def _same_threads() -> Any:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def arguments(*given: object) -> list[str]:
    return ["train", *map(str, (*given, *SETTINGS))]


def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *given: object) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of the command, run in this process."""
    return hwsim(capsys, monkeypatch, *arguments(*given))


def hwsim(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *given: object) -> tuple[int, str, str]:
    """The same of any command."""
    monkeypatch.setattr(sys, "argv", ["hwsim", *map(str, given)])
    try:
        main()
        status = 0
    except SystemExit as ended:
        status = int(ended.code or 0)
    shown = capsys.readouterr()
    return status, shown.out, shown.err


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda *given: call(capsys, monkeypatch, *given)


def test_a_run_reports_every_epoch_and_its_result(command: Any, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    status, shown, progress = command("tiny", "--data", data, "--out", out, "--epochs", 3, "--json")
    assert status == 0, progress
    assert [line.split()[1] for line in progress.splitlines()] == ["1/3", "2/3", "3/3"]
    body = json.loads(shown)
    last = load_checkpoint(body["checkpoint"])
    assert last.description.accuracy == body["accuracy"] == body["history"][-1]["accuracy"]
    assert body["best_accuracy"] == max(epoch["accuracy"] for epoch in body["history"])
    assert load_checkpoint(body["best_checkpoint"]).description.accuracy == body["best_accuracy"]
    assert (body["activation"]["kind"], body["activation"]["levels"], last.description.activation.highest) == ("qcfs", 16, 15)

    status, _, text = command("tiny", "--data", data, "--out", out, "--epochs", 3)
    assert (status, "is there already" in text) == (2, True)
    status, shown, _ = command("tiny", "--data", data, "--out", out, "--epochs", 3, "--resume")
    assert (status, "already trained" in shown) == (0, True)


def test_fine_tuning_to_every_activation(command: Any, data: Path, tmp_path: Path) -> None:
    start = tmp_path / "start"
    assert command("tiny", "--data", data, "--out", start, "--epochs", 1)[0] == 0
    for name, more in (("rate", ("--levels", 4, "--coding", "rate")), ("threshold", ("--activation", "threshold_relu")),
                       ("noise", ("--activation", "lsq", "--levels", 4, "--noise", "--regulariser", 1e-4)),
                       ("once", ("--activation", "single_spike", "--timesteps", 3))):
        out = tmp_path / name
        status, shown, text = command("tiny", "--data", data, "--out", out, "--epochs", 1, "--from", start / "last.pt", *more)
        assert status == 0, text
        assert "accuracy" in shown
    spec = load_checkpoint(tmp_path / "rate" / "last.pt").description.activation
    assert (spec.levels, spec.highest) == (4, 4)
    assert load_checkpoint(tmp_path / "noise" / "last.pt").description.activation.noise
    assert load_checkpoint(tmp_path / "once" / "last.pt").description.activation.timesteps == 3


def test_what_is_chosen_of_network_and_recipe_is_in_the_checkpoint(command: Any, data: Path, tmp_path: Path) -> None:
    status, shown, text = command(
        "tiny", "--data", data, "--out", tmp_path, "--epochs", 1, "--activation", "lsq", "--levels", 2, "--coding", "rate",
        "--json", "--threshold", 8, "--no-norm", "--no-bias", "--dropout", 0.1, "--pool", "max", "--width", 0.5, "--autoaugment",
        "--weight-decay", 1e-3, "--decay", "weights")
    assert status == 0, text
    said = load_checkpoint(tmp_path / "last.pt").description
    assert json.loads(shown)["variant"] == asdict(said.variant) == {
        "shortcut": None, "norm": False, "bias": False, "dropout": 0.1, "pool": "max", "width": 0.5, "weight_bits": None}
    assert (said.activation.threshold, said.activation.highest) == (8.0, 2)
    recipe = said.recipe
    assert (recipe["weight_decay"], recipe["decay"], recipe["augmentation"]["autoaugment"]) == (1e-3, "weights", True)


def test_integers_on_pixels_as_they_are_convert_with_unsigned_payloads(
    command: Any, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stages of the shipped Fashion-MNIST traces, in miniature: real weights, levels, integers, then a trace."""
    before: tuple[object, ...] = ()
    for name, more in (("float", ("--activation", "relu")), ("levels", ("--levels", 16)), ("integers", ("--weight-bits", 8))):
        out = tmp_path / name
        status, _, text = command("small", "--data", data, "--out", out, "--epochs", 2, "--no-normalise", *before, *more)
        assert status == 0, text
        before = ("--from", out / "last.pt")
    said = load_checkpoint(out / "last.pt").description
    assert (said.mean, said.std, said.variant.weight_bits, said.activation.levels) == ((0.0,), (1.0,), 8, 16)

    def convert(bits: str, *more: object) -> tuple[int, str, str]:
        return hwsim(capsys, monkeypatch, "convert", out / "last.pt", "--data", data, "--unverified", "--samples", 3, "--json",
                     "--out", tmp_path / "trace.h5", "--potential-bits", bits, *more)

    status, shown, text = convert("tested")
    assert status == 0, text
    body = json.loads(shown)
    assert (body["accuracy_test_set"], body["potential_bits_images"]) == (said.accuracy, 40)
    with Trace.open(tmp_path / "trace.h5") as trace:
        assert (trace.network.input.signed, trace.network.input.payload_bits, trace.samples) == (False, 8, 3)
        assert trace.sample(0).inputs.max() > 127, "payloads are the pixels"
        widths = [layer.potential_bits for layer in trace.network]
    assert convert("tested", "--force", "--images", 1)[0] == 0
    with Trace.open(tmp_path / "trace.h5") as fewer:
        assert all(one.potential_bits <= all_images for one, all_images in zip(fewer.network, widths, strict=True))
    status, _, text = convert("wide", "--force")
    assert (status, "--potential-bits is 'wide', allowed are a number of bits and tested" in text) == (2, True)


@pytest.mark.slow
def test_a_process_that_is_killed_goes_on_as_if_it_had_not_been(command: Any, data: Path, tmp_path: Path) -> None:
    asked = ("tiny", "--data", data, "--epochs", 12, "--out")
    code = "import sys; from hwsim.cli import main; main()"
    process = subprocess.Popen([sys.executable, "-c", code, *arguments(*asked, tmp_path / "killed")], stderr=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert process.stderr is not None
    for _ in range(3):
        line = process.stderr.readline()
    time.sleep(0.02)  # somewhere in the fourth epoch
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    assert line.startswith("epoch 3/12"), line
    left = load_checkpoint(tmp_path / "killed" / "last.pt").description.epoch
    assert 3 <= left < 12
    status, shown, text = command(*asked, tmp_path / "killed", "--resume", "--json")
    assert status == 0, text
    assert len(json.loads(shown)["history"]) == 12 - left
    assert command(*asked, tmp_path / "whole")[0] == 0
    resumed, whole = (load_checkpoint(tmp_path / name / "last.pt") for name in ("killed", "whole"))
    assert all(torch.equal(resumed.weights[name], value) for name, value in whole.weights.items())


@pytest.mark.parametrize(("given", "text"), [
    (("alexnet",), "choose from vgg6"), (("resnet20",), "32 x 32, these are 28 x 28"), (("tiny", "--head", 4096), "only vgg6"),
    (("tiny", "--activation", "gelu"), "choose from relu"), (("tiny", "--levels", 1), "2 to 65536"),
    (("tiny", "--noise"), "only lsq"), (("tiny", "--timesteps", 4), "belongs to single_spike"),
    (("tiny", "--activation", "relu", "--levels", 4), "belongs to qcfs and lsq"),
    (("tiny", "--activation", "single_spike", "--timesteps", 0), "2 or more"),
    (("tiny", "--no-bias"), "--no-norm"), (("tiny", "--shortcut", "pad"), "only resnet18"),
    (("tiny", "--activation", "relu", "--threshold", 8), "belongs to qcfs and lsq and threshold_relu"),
    (("tiny", "--threshold", 8, "--from", "nowhere.pt"), "leave one out"), (("tiny", "--decay", "some"), "auto, all, weights"),
    (("tiny", "--pool", "median"), "average or max"), (("tiny", "--dropout", 2), "0 to below 1"),
    (("tiny", "--coding", "phase"), "bit_serial or rate"),
    (("tiny", "--epochs", 0), "epochs = 0"), (("tiny", "--schedule", "linear"), "one_cycle, cosine"),
    (("tiny", "--device", "abacus"), "auto, cpu or cuda"), (("tiny", "--resume"), "nothing to resume"),
    (("tiny", "--from", "nowhere.pt"), "no such checkpoint"),
    (("tiny", "--activation", "relu", "--regulariser", 1), "qcfs or lsq"),
    (("tiny", "--weight-bits", 8), "give it as --from"), (("tiny", "--weight-bits", 1), "expected 2 to 16"),
])
def test_a_mistake_is_one_text_and_status_2(given: tuple[object, ...], text: str, command: Any, data: Path,
                                            tmp_path: Path) -> None:
    status, shown, said = command(*given, "--data", data, "--out", tmp_path / "out")
    assert status == 2
    assert not shown
    assert said.startswith("error: ")
    assert text in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out" / "last.pt").exists()


def test_data_that_is_not_there_is_told_how_to_fetch(command: Any, tmp_path: Path) -> None:
    status, _, said = command("tiny", "--data", tmp_path / "none", "--out", tmp_path / "out")
    assert status == 2
    assert "dataset-fashion-mnist" in said


def test_a_subset_must_be_asked_for(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.cli.test_train_command.SETTINGS", ("--dataset", "fashion_mnist"))
    status, _, said = call(capsys, monkeypatch, "tiny", "--data", data, "--out", tmp_path / "out")
    assert (status, "expected 60000" in said) == (2, True)


def test_without_torch_the_way_to_it_is_said(command: Any, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    status, _, said = command("tiny", "--data", data, "--out", tmp_path / "out")
    assert status == 2
    assert "pip install 'hwsim[torch]'" in said
