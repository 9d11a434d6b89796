"""Training: what was killed goes on as if nothing had happened, and no unsound checkpoint is believed."""

from __future__ import annotations

import os
import pickletools
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from hwsim.convert.alpha_beta import scaling_factors  # noqa: E402
from hwsim.sources import checkpoint as checkpoints  # noqa: E402
from hwsim.sources.activations import ActivationError, ActivationSpec  # noqa: E402
from hwsim.sources.calibrate import activation_percentiles  # noqa: E402
from hwsim.sources.checkpoint import Checkpoint, CheckpointError, load_checkpoint, previous_of, save_checkpoint  # noqa: E402
from hwsim.sources.networks import SourceError, SourceNetwork  # noqa: E402
from hwsim.sources.normaliser import Normaliser  # noqa: E402
from hwsim.sources.single_spike import SingleSpikeNetwork  # noqa: E402
from hwsim.sources.zoo import USUAL, Variant  # noqa: E402
from hwsim.training.augment import Augmentation  # noqa: E402
from hwsim.training.train import BEST, CALIBRATION_IMAGES, LAST, Recipe, TrainError, Training, accuracy, train  # noqa: E402
from tests.convert.tiny_set import tiny_set  # noqa: E402

DATA = tiny_set()
QUICK = Recipe(epochs=4, batch=25, rate=0.05, augmentation=Augmentation(flip=False, shift=1, cutout=2), precision="float32")
QCFS = ActivationSpec("qcfs", 16)


class KilledError(Exception):
    """Stands for the signal that ends a process."""


def run(out: Path, spec: ActivationSpec = QCFS, recipe: Recipe = QUICK, **more: Any) -> Checkpoint:
    return train(DATA, "tiny", spec, recipe, out, device="cpu", **more)


def kill_in(epoch: int, step: int) -> Callable[[int, int], None]:
    """A progress callback that ends the training in that epoch (from 1) and step."""
    seen = [0]

    def progress(done: int, of: int) -> None:
        seen[0] += 1
        if seen[0] == (epoch - 1) * of + step:
            raise KilledError

    return progress


def same(a: Any, b: Any) -> bool:
    """Whether two nested states are equal to the last bit."""
    if isinstance(a, torch.Tensor):
        return bool(torch.equal(a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """What an uninterrupted training gives."""
    return run(tmp_path_factory.mktemp("trained"), recipe=replace(QUICK, epochs=8))


# -- training ------------------------------------------------------------------------------------------------------


def test_training_learns_and_the_checkpoint_is_what_was_measured(trained: Checkpoint) -> None:
    assert trained.description.accuracy is not None
    assert trained.description.accuracy > 80
    assert (trained.description.epoch, trained.description.epochs) == (8, 8)
    images, labels = torch.tensor(DATA.test_images), torch.tensor(DATA.test_labels)
    measured = accuracy(trained.network(), Normaliser(DATA.mean, DATA.std), images, labels, batch=30)
    assert measured == trained.description.accuracy
    best = load_checkpoint(trained.path.with_name(BEST))
    assert best.training is None
    assert best.description.accuracy == trained.training["best"] >= trained.description.accuracy


EVERYTHING = replace(QUICK, augmentation=Augmentation(shift=1, cutout=2, autoaugment=True))
"""All that draws random numbers."""


@pytest.mark.parametrize(("spec", "recipe", "variant"), [
    (QCFS, QUICK, USUAL), (ActivationSpec("lsq", 4, noise=True), EVERYTHING, USUAL),
    (ActivationSpec("single_spike", timesteps=3), EVERYTHING, Variant(norm=False, bias=False, dropout=0.2, pool="max")),
    (ActivationSpec("alpha_beta", timesteps=2), EVERYTHING, Variant(norm=False, dropout=0.2, pool="max", width=0.5)),
], ids=lambda x: x.kind if isinstance(x, ActivationSpec) else "")
@pytest.mark.parametrize("killed_in", [(2, 1), (3, 8)])
def test_killed_and_resumed_equals_uninterrupted(spec: ActivationSpec, recipe: Recipe, variant: Variant,
                                                 killed_in: tuple[int, int], tmp_path: Path) -> None:
    recipe = replace(recipe, rate=0.01, epochs=3)
    run = partial(globals()["run"], variant=variant)
    whole = run(tmp_path / "whole", spec, recipe)
    with pytest.raises(KilledError):
        run(tmp_path / "killed", spec, recipe, progress=kill_in(*killed_in))
    left = load_checkpoint(tmp_path / "killed" / LAST)
    assert left.description.epoch == killed_in[0] - 1
    torch.rand(7)  # whatever else has drawn numbers in between
    resumed = run(tmp_path / "killed", spec, recipe, resume=True)
    assert same(resumed.weights, whole.weights)
    assert same(resumed.training, whole.training)
    assert resumed.description == whole.description
    assert same(load_checkpoint(tmp_path / "killed" / BEST).weights, load_checkpoint(tmp_path / "whole" / BEST).weights)


def test_native_kernels_learn_resume_and_leave_a_checkpoint_for_torch(tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("the native kernels are compiled with g++, which is not here")
    recipe = replace(QUICK, epochs=8, kernels="native")
    whole = run(tmp_path / "whole", recipe=recipe)
    assert whole.description.accuracy is not None
    assert whole.description.accuracy > 80
    with pytest.raises(KilledError):
        run(tmp_path / "killed", recipe=recipe, progress=kill_in(3, 4))
    resumed = run(tmp_path / "killed", recipe=recipe, resume=True)
    assert same(resumed.weights, whole.weights)
    assert resumed.description.accuracy == whole.description.accuracy
    images, labels = torch.tensor(DATA.test_images), torch.tensor(DATA.test_labels)
    by_torch = accuracy(whole.network(), Normaliser(DATA.mean, DATA.std), images, labels)
    assert by_torch == pytest.approx(whole.description.accuracy, abs=1)
    with pytest.raises(TrainError, match="kernels = native"):
        run(tmp_path / "whole", recipe=replace(recipe, kernels="torch"), resume=True)


def test_native_kernels_are_refused_off_the_cpu() -> None:
    with pytest.raises(TrainError, match="--kernels torch"):
        Training(DATA, run_description(), replace(QUICK, kernels="native"), torch.device("meta"))


def test_a_start_on_shrunk_images_is_taken_up_at_full_size(tmp_path: Path) -> None:
    small = run(tmp_path / "small", recipe=replace(QUICK, shrink=2, augmentation=Augmentation(False, 0, 0)))
    assert small.description.input_shape == (1, 8, 8)
    full = run(tmp_path / "full", recipe=replace(QUICK, epochs=1, rate=1e-6), start=small)
    assert full.weights.keys() == small.weights.keys()
    name = "layers.conv1.connections.0.operator.weight"
    assert torch.allclose(full.weights[name], small.weights[name], atol=1e-3)


@pytest.mark.parametrize("shrink", [2, 100])
def test_images_too_small_for_the_network_are_refused_before_training(shrink: int) -> None:
    large = replace(DATA, train_images=DATA.train_images.repeat(2, axis=1).repeat(2, axis=2),
                    test_images=DATA.test_images.repeat(2, axis=1).repeat(2, axis=2))
    described = replace(run_description(), input_shape=(1, 16, 16))
    Training(large, described, QUICK, torch.device("cpu"))
    with pytest.raises(TrainError, match="leave --shrink out"):
        Training(large, described, replace(QUICK, shrink=shrink), torch.device("cpu"))


def test_resuming_what_is_finished_changes_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, recipe=replace(QUICK, epochs=1))
    before = done.path.read_bytes()
    again = run(tmp_path, recipe=replace(QUICK, epochs=1), resume=True, report=lambda epoch: pytest.fail("no epoch is left"))
    assert again.path.read_bytes() == before


def test_the_seed_is_the_run(tmp_path: Path) -> None:
    recipe = replace(QUICK, epochs=1)
    first, second = (run(tmp_path / name, recipe=recipe) for name in "ab")
    other = run(tmp_path / "c", recipe=replace(recipe, seed=2))
    assert same(first.weights, second.weights)
    assert not same(first.weights, other.weights)


def test_the_regulariser_lowers_the_number_of_ones(tmp_path: Path) -> None:
    recipe = replace(QUICK, epochs=4)
    ones = []
    for name, coefficient in (("without", 0.0), ("with", 2e-3)):
        network = run(tmp_path / name, recipe=replace(recipe, regulariser=coefficient)).network()
        images = Normaliser(DATA.mean, DATA.std)(torch.tensor(DATA.test_images))
        with torch.no_grad():
            outputs = network.outputs(images)
        levels = [(outputs[n] / a.step).round().int() for n, a in network.activations().items()]
        ones.append(sum(int(((level >> bit) & 1).sum()) for level in levels for bit in range(4)))
    assert ones[1] < 0.8 * ones[0]


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
def test_the_learning_rate_ends_near_zero_and_never_passes_its_peak(schedule: str) -> None:
    recipe, steps = Recipe(rate=0.3, schedule=schedule), 500
    rates = [recipe.rate_at(step, steps) for step in range(steps)]
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(0.3)
    assert peak == (100 if schedule == "one_cycle" else 0)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 1e-4


ALL, SYNAPSES = "every parameter", "weights of synapses"


@pytest.mark.parametrize(("kind", "decay", "expected"), [
    ("qcfs", "auto", ALL), ("lsq", "auto", ALL), ("relu", "auto", SYNAPSES), ("threshold_relu", "auto", SYNAPSES),
    ("alpha_beta", "auto", SYNAPSES), ("single_spike", "auto", SYNAPSES), ("qcfs", "weights", SYNAPSES), ("relu", "all", ALL),
])
def test_what_decays_is_what_the_public_codes_decay(kind: str, decay: str, expected: str) -> None:
    """One step without gradients: what decays shrinks by rate * weight_decay, the rest stays."""
    recipe = replace(QUICK, decay=decay, weight_decay=0.1, momentum=0.0)
    training = Training(DATA, replace(run_description(), activation=ActivationSpec(kind)), recipe, torch.device("cpu"))
    before = {name: p.detach().clone() for name, p in training.network.named_parameters()}
    for parameter in training.network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    training.optimiser.step()
    for name, parameter in training.network.named_parameters():
        shrinks = expected == ALL or name.endswith("operator.weight")
        assert torch.allclose(parameter, before[name] * (1 - recipe.rate * 0.1 * shrinks), rtol=1e-6), name


def test_the_threshold_that_is_asked_for_is_where_training_starts() -> None:
    for spec in (ActivationSpec("qcfs", 4, 4, threshold=8.0), ActivationSpec("lsq", 2, 2, threshold=8.0),
                 ActivationSpec("threshold_relu", threshold=8.0)):
        training = Training(DATA, replace(run_description(), activation=spec), QUICK, torch.device("cpu"))
        assert {a.ceiling for a in training.network.activations().values()} == {8.0}


def run_description() -> checkpoints.Description:
    return checkpoints.Description("tiny", QCFS, 10, (1, 8, 8), None, "mnist", DATA.mean, DATA.std, 1)


def test_a_step_below_bfloat16_still_moves_float32_weights(tmp_path: Path) -> None:
    """Mixed precision: the weights and their checkpoint stay float32, and training learns (processors round bfloat16 sums in
    their own ways, so how well differs)."""
    mixed = run(tmp_path, recipe=replace(QUICK, epochs=12, precision="bfloat16"))
    assert {w.dtype for w in mixed.weights.values()} == {torch.float32, torch.int64}
    assert mixed.description.accuracy > 60


# -- fine-tuning ----------------------------------------------------------------------------------------------------

TARGETS = [ActivationSpec("qcfs", 4, 4), ActivationSpec("threshold_relu"), ActivationSpec("lsq", 4, noise=True),
           ActivationSpec("relu")]


def fresh(spec: ActivationSpec, start: Checkpoint, **changes: Any) -> Training:
    training = Training(DATA, replace(run_description(), activation=spec, **changes), QUICK, torch.device("cpu"))
    training.start_from(start)
    return training


@pytest.mark.parametrize("spec", TARGETS)
def test_fine_tuning_keeps_weights_and_ranges(spec: ActivationSpec, trained: Checkpoint) -> None:
    network = fresh(spec, trained).network
    assert isinstance(network, SourceNetwork)
    got = network.state_dict()
    for name, value in trained.weights.items():
        if ".activation." not in name:
            assert torch.equal(got[name], value), name
    for name, activation in network.activations().items():
        if spec.kind != "relu":
            assert activation.ceiling == pytest.approx(trained.network().activations()[name].ceiling, rel=1e-5)


def test_from_a_relu_ranges_come_from_what_flows(tmp_path: Path) -> None:
    start = run(tmp_path, ActivationSpec("relu"), replace(QUICK, epochs=2))
    training = fresh(QCFS, start)
    currents = start.network().currents(Normaliser(DATA.mean, DATA.std)(torch.tensor(DATA.train_images)))
    for name, activation in training.network.activations().items():
        above, positive = int((currents[name] > activation.ceiling).sum()), int((currents[name] > 0).sum())
        # The value at the ceiling itself may lie above what is left of it after rounding to a threshold.
        assert 0 < above <= 0.001 * positive + 1 or positive < 1000


def test_a_finer_staircase_of_the_same_range_is_as_good_before_any_step(trained: Checkpoint) -> None:
    assert fresh(ActivationSpec("qcfs", 256), trained).test_accuracy() == pytest.approx(trained.description.accuracy, abs=3)


def test_a_single_spike_network_starts_from_a_trained_one(trained: Checkpoint, tmp_path: Path) -> None:
    spec = ActivationSpec("single_spike", timesteps=3)
    training = fresh(spec, trained)
    assert isinstance(training.network, SingleSpikeNetwork)
    before = training.test_accuracy()
    tuned = run(tmp_path, spec, replace(QUICK, rate=0.03), start=trained)
    assert tuned.description.accuracy > before > 15, "better than chance, and it learns"
    again = fresh(spec, tuned, mean=(0.1,), std=(0.9,))
    assert same({**again.network.state_dict(), **{n: tuned.weights[n] for n in ("mean", "std")}}, tuned.weights)
    assert again.network.mean.item() == pytest.approx(0.1), "the encoding is that of the images trained on now"
    with pytest.raises(TrainError, match="single-spike network, which has no activations"):
        fresh(QCFS, tuned)


def test_an_alpha_beta_network_starts_from_algorithm_1_and_learns(tmp_path: Path) -> None:
    clipped = run(tmp_path / "clipped", ActivationSpec("threshold_relu"), replace(QUICK, epochs=8))
    spec = ActivationSpec("alpha_beta", timesteps=2)
    training = fresh(spec, clipped)
    source = clipped.network()
    seen = activation_percentiles(source, training.normalise(torch.tensor(DATA.train_images[:CALIBRATION_IMAGES])))
    for name, neurons in training.network.activations().items():
        mu = source.activations()[name].ceiling
        found = scaling_factors(seen[name], mu, 2)
        assert neurons.threshold.item() == pytest.approx(found.alpha * mu)
        assert neurons.ceiling == pytest.approx(found.beta * found.alpha * mu)
    before = training.test_accuracy()
    tuned = run(tmp_path / "tuned", spec, replace(QUICK, rate=0.03, epochs=8), start=clipped)
    assert tuned.description.accuracy > before + 3, "fine-tuning gains"
    again = fresh(spec, tuned)
    assert same(again.network.state_dict(), tuned.weights)


def test_another_graph_is_no_start(trained: Checkpoint) -> None:
    for changes in ({"classes": 7}, {"input_shape": (1, 12, 12)}):
        with pytest.raises(TrainError, match=f"network with {next(iter(changes))}"):
            fresh(QCFS, trained, **changes)
    with pytest.raises(TrainError, match="network with width = 1.0, expected 0.5"):
        fresh(QCFS, trained, variant=Variant(width=0.5))
    fresh(QCFS, trained, variant=Variant(dropout=0.1, pool="max"))  # these have no weights


# -- what is refused ------------------------------------------------------------------------------------------------


def test_a_training_that_is_there_is_not_overwritten(trained: Checkpoint) -> None:
    with pytest.raises(TrainError, match="a training is there already"):
        run(trained.path.parent)


def test_nothing_to_resume_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="nothing to resume"):
        run(tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("changes", "text"), [
    ({"recipe": replace(QUICK, epochs=9)}, "epochs = 8, now it is 9"),
    ({"recipe": replace(QUICK, epochs=8, rate=0.06)}, "rate = 0.05"),
    ({"recipe": replace(QUICK, epochs=8, seed=2)}, "seed = 1, expected 2"),
    ({"spec": ActivationSpec("qcfs", 4)}, "levels = 16, expected 4;"),
    ({"recipe": replace(QUICK, epochs=8, augmentation=Augmentation())}, "augmentation"),
])
def test_a_run_is_resumed_with_its_own_settings_only(changes: dict[str, Any], text: str, trained: Checkpoint) -> None:
    before = trained.path.read_bytes()
    settings = {"recipe": replace(QUICK, epochs=8)} | changes
    with pytest.raises((TrainError, CheckpointError), match=text):
        run(trained.path.parent, resume=True, **settings)
    assert trained.path.read_bytes() == before


@pytest.mark.parametrize(("wrong", "text"), [
    ({"epochs": 0}, "epochs = 0"), ({"batch": 0}, "batch"), ({"rate": float("nan")}, "rate = nan"), ({"seed": -1}, "seed"),
    ({"label_smoothing": 1.5}, "label_smoothing"), ({"schedule": "linear"}, "one_cycle, cosine"),
    ({"precision": "int8"}, "bfloat16"),
])
def test_recipes_out_of_range_are_refused(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(TrainError, match=text):
        Recipe(**wrong)


def test_bad_settings_leave_no_folder_behind(tmp_path: Path) -> None:
    place = tmp_path / "out"
    for error, more in ((TrainError, {"recipe": replace(QUICK, batch=201)}), (ActivationError, {"spec": ActivationSpec("relu"),
                        "recipe": replace(QUICK, regulariser=1.0)})):
        with pytest.raises(error):
            run(place, **more)
        assert not (place / LAST).exists()
    with pytest.raises(SourceError):
        train(DATA, "resnet20", QCFS, QUICK, tmp_path / "never", device="cpu")
    with pytest.raises(TrainError, match="not known"):
        train(DATA, "tiny", QCFS, QUICK, tmp_path / "never", device="abacus")
    assert not (tmp_path / "never").exists()


def test_a_training_that_diverges_says_so_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    def poison(epoch: object) -> None:
        """After the first epoch: a rate that no weight survives."""
        object.__setattr__(recipe, "rate", 1e30)

    recipe = replace(QUICK, epochs=3)
    with pytest.raises(TrainError, match="diverged; lower the rate"):
        run(tmp_path, recipe=recipe, report=poison)
    left = load_checkpoint(tmp_path / LAST)
    assert left.description.epoch == 1
    assert left.network()


def test_weights_that_are_no_numbers_are_seen_behind_neurons_that_hide_them(tmp_path: Path) -> None:
    """A comparison with a threshold is False for NaN: no spike, a finite loss, and weights that are lost."""
    training = Training(DATA, replace(run_description(), activation=ActivationSpec("single_spike")), QUICK, torch.device("cpu"))
    training.network.layers["conv1"].connections[0].operator.weight.data.fill_(float("nan"))
    with pytest.raises(TrainError, match="conv1.* is not finite in epoch 1"):
        training.run_epoch(0)


def test_a_run_of_another_variant_is_not_resumed(trained: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match="dropout = 0.0, expected 0.2;"):
        run(trained.path.parent, recipe=replace(QUICK, epochs=8), variant=Variant(dropout=0.2), resume=True)


# -- checkpoints ----------------------------------------------------------------------------------------------------


def forged(original: Path, place: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a checkpoint with something else in it."""
    body = torch.load(original, weights_only=True)
    change(body)
    torch.save(body, place)
    return place


def put(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(body: dict[str, Any]) -> None:
        for key in path[:-1]:
            body = body[key]
        body[path[-1]] = value
    return change


def drop(*path: str) -> Callable[[dict[str, Any]], object]:
    def change(body: dict[str, Any]) -> None:
        for key in path[:-1]:
            body = body[key]
        del body[path[-1]]
    return change


CONV1 = "layers.conv1.connections.0.operator.weight"


@pytest.mark.parametrize(("change", "text"), [
    (put("format", value="something else"), "not an hwsim checkpoint"), (put("version", value=2), "version 2, this hwsim reads"),
    (drop("description"), "description has the fields"), (drop("description", "network"), "description has the fields"),
    (put("description", "extra", value=1), "description has the fields"),
    (put("description", "network", value="alexnet"), "cannot be built: network 'alexnet'"),
    (put("description", "network", value="resnet20"), "cannot be built"),
    (put("description", "activation", value={"kind": "gelu"}), "not sound: activation 'gelu'"),
    (put("description", "activation", value={"kind": "lsq"}), "holds another"),
    (put("description", "activation", value=7), "not sound"),
    (put("description", "activation", "timesteps", value=2.0), "not sound: timesteps of its activation is 2.0"),
    (put("description", "activation", "levels", value=True), "not sound: levels of its activation is True"),
    (put("description", "input_shape", value=[1, 8]), "not 3 numbers"),
    (put("description", "input_shape", value=[1, 10**9, 10**9]), "holds another|cannot be built"),
    (put("description", "input_shape", value=[0, 8, 8]), "holds another|cannot be built|not sound"),
    (put("description", "mean", value=[float("nan")]), "not sound"), (put("description", "std", value=[0.0]), "divided by it"),
    (put("description", "classes", value=10**12), "holds another|cannot be built"),
    (put("description", "classes", value=-1), "cannot be built|holds another"),
    (put("description", "classes", value=True), "not sound"), (put("description", "epoch", value="9"), "not sound"),
    (put("description", "variant", value={"shortcut": "tunnel"}), "not sound: shortcut = 'tunnel'"),
    (put("description", "variant", value={"norm": 1}), "not sound: norm of its variant is 1"),
    (put("description", "variant", value={"depth": 1}), "not sound"), (put("description", "variant", value=None), "not sound"),
    (put("description", "variant", value={"width": 2}), "expected torch.float32"),
    (put("description", "variant", value={"norm": False}), "is not of a tiny|is missing for a tiny"),
    (put("weights", CONV1, value=torch.zeros(8, 1, 5, 5)), "expected torch.float32"),
    (put("weights", CONV1, value=torch.zeros(8, 1, 3, 3, dtype=torch.float64)), "float64"),
    (put("weights", CONV1, value=torch.full((8, 1, 3, 3), float("nan"))), "not finite"),
    (put("weights", CONV1, value=torch.full((8, 1, 3, 3), float("inf"))), "not finite"),
    (put("weights", CONV1, value="zeros"), "no dictionary of weights"), (put("weights", value=None), "no dictionary of weights"),
    (drop("weights", CONV1), "is missing for a tiny"), (put("weights", "more", value=torch.zeros(1)), "more is not of a tiny"),
    (put("training", value=[1]), "training state is a list"),
])
def test_forged_checkpoints_are_refused_in_one_text(change: Callable[[dict[str, Any]], object], text: str, trained: Checkpoint,
                                                    tmp_path: Path) -> None:
    path = forged(trained.path, tmp_path / "forged.pt", change)
    with pytest.raises(CheckpointError, match=text) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("change", [
    drop("training", "optimiser"), drop("training", "best"), put("training", "best", value="high"),
    put("training", "optimiser", value=5), put("training", "optimiser", "state", value={}),
    put("training", "optimiser", "param_groups", value=[]),
    lambda body: body["training"]["optimiser"]["state"][0].update(momentum_buffer=torch.zeros(3)),
    lambda body: body["training"]["optimiser"]["state"][0]["momentum_buffer"].fill_(float("nan")),
    lambda body: body["training"]["optimiser"]["state"][0].update(momentum_buffer=None),
])
def test_a_forged_training_state_is_not_resumed(change: Callable[[dict[str, Any]], object], trained: Checkpoint,
                                                tmp_path: Path) -> None:
    forged(trained.path, tmp_path / LAST, change)
    with pytest.raises(TrainError, match="training state does not fit this network"):
        run(tmp_path, recipe=replace(QUICK, epochs=8), resume=True)


def test_a_checkpoint_without_training_state_is_a_start_and_not_a_run(trained: Checkpoint, tmp_path: Path) -> None:
    forged(trained.path, tmp_path / LAST, put("training", value=None))
    with pytest.raises(TrainError, match="nothing to resume; start from it"):
        run(tmp_path, recipe=replace(QUICK, epochs=8), resume=True)


def test_truncated_checkpoints_name_the_one_before_which_still_loads(tmp_path: Path) -> None:
    done = run(tmp_path, recipe=replace(QUICK, epochs=2))
    path, spare = tmp_path / LAST, previous_of(tmp_path / LAST)
    whole = path.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 100, 0):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match="truncated or damaged") as caught:
            load_checkpoint(path)
        assert str(spare) in str(caught.value)
    assert load_checkpoint(spare).description.epoch == 1
    spare.replace(path)
    again = run(tmp_path, recipe=replace(QUICK, epochs=2), resume=True)
    assert same((again.weights, again.training), (done.weights, done.training))


def test_a_kill_while_writing_leaves_the_old_checkpoint(trained: Checkpoint, tmp_path: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / LAST
    description = trained.description
    save_checkpoint(path, replace(description, epoch=1), trained.weights)

    def killed(*arguments: object) -> None:
        raise KilledError

    for name in ("fsync", "link", "replace"):
        with monkeypatch.context() as patched:
            patched.setattr(os, name, killed)
            with pytest.raises(KilledError):
                save_checkpoint(path, replace(description, epoch=2), trained.weights)
        assert load_checkpoint(path).description.epoch == 1, name
    save_checkpoint(path, replace(description, epoch=3), trained.weights)
    assert load_checkpoint(path).description.epoch == 3
    assert load_checkpoint(previous_of(path)).description.epoch == 1
    assert {p.name for p in tmp_path.iterdir()} == {LAST, previous_of(path).name}, "nothing half written stays"


def test_file_systems_without_hard_links_keep_the_one_before_too(trained: Checkpoint, tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refused)
    for epoch in (1, 2):
        save_checkpoint(tmp_path / LAST, replace(trained.description, epoch=epoch), trained.weights)
    assert [load_checkpoint(p).description.epoch for p in (tmp_path / LAST, previous_of(tmp_path / LAST))] == [2, 1]


def test_a_checkpoint_of_an_older_version_loads_and_goes_on(tmp_path: Path) -> None:
    """One from before there were variants, decay and AutoAugment to choose: the same network, resumed to the same weights."""
    recipe = replace(QUICK, epochs=2)
    whole = run(tmp_path / "whole", recipe=recipe)
    with pytest.raises(KilledError):
        run(tmp_path / "killed", recipe=recipe, progress=kill_in(2, 1))

    def age(body: dict[str, Any]) -> None:
        del body["description"]["variant"]
        del body["description"]["recipe"]["decay"]
        del body["description"]["recipe"]["augmentation"]["autoaugment"]

    forged(tmp_path / "killed" / LAST, tmp_path / "killed" / LAST, age)
    assert load_checkpoint(tmp_path / "killed" / LAST).description.variant == USUAL
    assert same(run(tmp_path / "killed", recipe=recipe, resume=True).weights, whole.weights)


def test_a_checkpoint_depends_on_no_name_of_a_module_or_class(tmp_path: Path) -> None:
    """Nothing in the file is pickled by a name of this package, and it loads where the package is not."""
    made = run(tmp_path, ActivationSpec("lsq", 4, noise=True), replace(QUICK, epochs=1), variant=Variant(dropout=0.1))
    named = set()
    with zipfile.ZipFile(made.path) as file:
        for entry in file.namelist():
            if entry.endswith(".pkl"):
                strings: list[str] = []
                for code, argument, _ in pickletools.genops(file.read(entry)):
                    if code.name == "GLOBAL":
                        named.add(argument.split(" ")[0])
                    elif code.name == "STACK_GLOBAL":
                        named.add(strings[-2])
                    elif isinstance(argument, str):
                        strings.append(argument)
    assert named <= {"torch", "torch._utils", "collections"}, named
    code = (f"import sys, torch; sys.modules['hwsim'] = None; body = torch.load({str(made.path)!r}, weights_only=True); "
            f"assert body['description']['activation']['kind'] == 'lsq'")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_names_of_tensors_are_the_formats() -> None:
    """What files hold. A renamed attribute must not change them: then the files of before would not load."""
    per_kind = {"qcfs": ["threshold"], "lsq": ["raw_step"], "threshold_relu": ["threshold"], "relu": [],
                "alpha_beta": ["raw_threshold", "raw_scale"]}
    norm = [f"connections.0.norm.{n}" for n in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]
    weight, bias = (f"connections.0.operator.{n}" for n in ("weight", "bias"))
    for kind, own in per_kind.items():
        neurons = [f"activation.{n}" for n in own]
        expected = {f"layers.{layer}.{n}" for layer in ("conv1", "conv2", "conv3") for n in [weight, *norm, *neurons]}
        expected |= {f"layers.fc1.{n}" for n in [weight, bias, *neurons]} | {f"layers.out.{n}" for n in (weight, bias)}
        assert set(replace(run_description(), activation=ActivationSpec(kind)).build().state_dict()) == expected, kind
    for variant in (USUAL, Variant(norm=False, bias=False)):
        described = replace(run_description(), activation=ActivationSpec("single_spike"), variant=variant)
        layers = ("conv1", "conv2", "conv3", "fc1", "out")
        expected = {f"layers.{layer}.{n}" for layer in layers for n in (weight, "initial", "threshold")} | {"mean", "std"}
        expected |= {f"layers.{layer}.leak" for layer in layers[:-1]}
        assert set(described.build().state_dict()) == expected


def test_no_code_in_a_checkpoint_runs(tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> object:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"format": checkpoints.FORMAT, "weights": Malicious()}, tmp_path / "bad.pt")
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        load_checkpoint(tmp_path / "bad.pt")
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_another_network_than_asked_for_is_refused(trained: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="network = 'tiny', expected 'resnet20'"):
        load_checkpoint(trained.path, {"network": "resnet20"})
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        load_checkpoint(tmp_path / "text.pt")
