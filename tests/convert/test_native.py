"""The native kernels against torch in float64: the same convolution, normalisation, staircase and gradients, to rounding."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
if shutil.which("g++") is None:
    pytest.skip("the native kernels are compiled with g++, which is not here", allow_module_level=True)

from torch import Tensor, nn  # noqa: E402

from hwsim.sources.activations import ActivationSpec  # noqa: E402
from hwsim.sources.checkpoint import Description  # noqa: E402
from hwsim.sources.networks import ConnectionSpec, LayerSpec, Neurons  # noqa: E402
from hwsim.sources.single_spike import SingleSpikeLayer, SingleSpikeNetwork  # noqa: E402
from hwsim.sources.surrogate import AlphaBeta  # noqa: E402
from hwsim.sources.zoo import USUAL, Variant  # noqa: E402
from hwsim.training import native  # noqa: E402
from hwsim.training.native.functions import FireAlphaBeta, FireOnce, staircase  # noqa: E402
from hwsim.training.native.library import built_path, library  # noqa: E402

TOLERANCE = 3e-5
"""Of the largest value: Winograd's transforms add a decimal digit to float32's rounding (Lavin, Gray 2016, section 7)."""


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Torch, and the kernels with it, on so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def close(found: Tensor, exact: Tensor, tolerance: float = TOLERANCE) -> bool:
    return bool((found.double() - exact.double()).abs().max() <= tolerance * exact.double().abs().max())


def layer_of(channels: int, size: int, spec: ActivationSpec, residual: bool, seed: int, source: int = 16) -> Neurons:
    """A layer of one 3x3 convolution, and an identity from another layer."""
    torch.manual_seed(seed)
    connections = [ConnectionSpec("a", "conv2d", 3, 1, 1)]
    if residual:
        connections.append(ConnectionSpec("b", "identity", norm=False))
    layer = Neurons(LayerSpec("layer", channels, tuple(connections)),
                    {"a": (source, size, size), "b": (channels, size, size)}, spec.make)
    norm = layer.connections[0].norm
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.uniform_(norm.bias, 0.0, 1.0)
    layer.activation.start_at(2.0)
    return layer.to(memory_format=torch.channels_last)


def gradients(layer: Neurons, a: Tensor, b: Tensor, dy: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Output, and the gradients of inputs and parameters."""
    a, b = a.clone().requires_grad_(), b.clone().requires_grad_()
    layer.zero_grad()
    y = layer({"a": a, "b": b})
    y.backward(dy)
    found = {name: p.grad for name, p in layer.named_parameters()} | {"a": a.grad}
    return y.detach(), found | ({"b": b.grad} if b.grad is not None else {})


@pytest.mark.parametrize(("n", "c", "o", "size"), [
    (3, 16, 16, 8), (2, 32, 16, 4), (5, 16, 48, 2), (1, 64, 32, 12), (2, 16, 32, 6), (1, 16, 16, 32), (3, 16, 32, 1)])
@pytest.mark.parametrize("threads", [1, 2])
def test_convolution_and_its_gradients_are_torchs(n: int, c: int, o: int, size: int, threads: int) -> None:
    torch.manual_seed(n + c + o + size)
    with on_threads(threads):
        conv = nn.Conv2d(c, o, 3, padding=1, bias=size == 8)
        x = torch.randn(n, c, size, size, requires_grad=True)
        exact = conv.to(torch.float64)
        reference = x.detach().double().requires_grad_()
        y = exact(reference)
        dy = torch.randn_like(y)
        wanted = torch.autograd.grad(y, [reference, exact.weight], dy)
        conv = conv.float()
        with native.native_kernels(conv):
            found = conv(x)
            got = torch.autograd.grad(found, [x, conv.weight], dy.float())
    assert close(found, y)
    assert close(got[0], wanted[0])
    assert close(got[1], wanted[1])


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("spec", [ActivationSpec("qcfs", 16), ActivationSpec("qcfs", 4, 4), ActivationSpec("lsq", 4, 4),
                                  ActivationSpec("lsq", 4, 4, noise=True)],
                         ids=lambda spec: f"{spec.kind}{spec.highest}{spec.noise}")
@pytest.mark.parametrize(("channels", "size"), [(16, 8), (48, 4), (64, 4), (160, 2)])
def test_layers_that_normalise_and_quantise_in_one_are_torchs(channels: int, size: int, spec: ActivationSpec, residual: bool
                                                              ) -> None:
    layer = layer_of(channels, size, spec, residual, seed=channels)
    twin = layer_of(channels, size, spec, residual, seed=channels).to(torch.float64)
    torch.manual_seed(1)
    a, b, dy = torch.randn(6, 16, size, size), torch.rand(6, channels, size, size), torch.randn(6, channels, size, size)
    noise = torch.rand(6, channels, size, size) - 0.5

    def drawn(z: Tensor, step: Tensor) -> Tensor:
        return noise.to(z.dtype) * step.detach().to(z.dtype)

    if spec.noise:
        layer.activation.drawn = twin.activation.drawn = drawn
    y, wanted = gradients(twin, a.double(), b.double(), dy.double())
    with native.native_kernels(layer):
        found, got = gradients(layer, a, b, dy)
    step = layer.activation.step.item()
    flips = ((found - y.float()).abs() > step / 2).sum().item()
    assert flips <= 1e-3 * y.numel()  # a value on the border of two levels may fall to either side
    assert got.keys() == wanted.keys()
    for name, value in got.items():
        assert close(value, wanted[name], TOLERANCE if not flips else 0.02), name
    for (name, mine), (_, its) in zip(layer.named_buffers(), twin.named_buffers(), strict=True):
        assert close(mine, its), name


def test_the_staircase_alone_is_torchs() -> None:
    from hwsim.sources import activations

    torch.manual_seed(2)
    z, dy = 3 * torch.randn(4, 10, 6, 6), torch.randn(4, 10, 6, 6)
    results = []
    for function in (activations.torch_staircase, staircase):
        x, step = z.clone().requires_grad_(), torch.tensor(0.25, requires_grad=True)
        y = function(x, step, 7)
        results.append((y.detach(), *torch.autograd.grad(y, [x, step], dy)))
    for found, exact in zip(*results, strict=True):
        assert close(found, exact, 1e-5)


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("threads", [1, 2])
def test_relus_with_a_threshold_are_torchs(order: torch.memory_format, threads: int) -> None:
    torch.manual_seed(2)
    activation = ActivationSpec("threshold_relu", threshold=0.8).make()
    z, dy = (torch.randn(5, 33, 12, 12).contiguous(memory_format=order) for _ in range(2))
    results = []
    with on_threads(threads):
        for kernels in (False, True):
            x, how = z.clone().requires_grad_(), native.native_kernels(activation) if kernels else nullcontext()
            activation.zero_grad()
            with how:
                y = activation(x)
                y.backward(dy.contiguous())
            results.append((y.detach(), x.grad, activation.threshold.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert results[1][0].stride() == z.stride()
    assert close(results[1][2], results[0][2], 1e-4)


def test_what_does_not_fit_stays_with_torch() -> None:
    for conv in (nn.Conv2d(16, 16, 3, 2, 1), nn.Conv2d(3, 16, 3, 1, 1), nn.Conv2d(16, 16, 1),
                 nn.Conv2d(16, 16, 3, 1, 1, groups=16), nn.Conv2d(16, 16, 3, 1, 1, padding_mode="reflect"), nn.Conv2d(16, 16, 3)):
        assert not native.fits(conv)
    conv = nn.Conv2d(16, 16, 3, padding=1)
    odd = torch.randn(2, 16, 5, 5)
    expected = conv(odd)
    with native.native_kernels(conv):
        assert torch.equal(conv(odd), expected)
        assert close(conv.double()(odd.double()), expected)


def test_the_network_is_as_before_when_the_kernels_are_left_by_an_error() -> None:
    from hwsim.sources import activations

    conv = nn.Conv2d(16, 16, 3, padding=1)
    with pytest.raises(RuntimeError), native.native_kernels(conv):
        conv(torch.zeros(1, 5, 8, 8))
    assert "forward" not in conv.__dict__
    assert activations.staircase is activations.torch_staircase


def test_more_threads_than_the_kernels_start_are_cut_down() -> None:
    with on_threads(80):
        conv = nn.Conv2d(16, 16, 3, padding=1)
        x = torch.randn(100, 16, 4, 4)
        exact = conv.double()(x.double())
        wanted = torch.autograd.grad(exact.sum(), conv.weight)[0]
        conv = conv.float()
        with native.native_kernels(conv):
            y = conv(x)
            got = torch.autograd.grad(y.sum(), conv.weight)[0]
    assert close(y, exact)
    assert close(got, wanted)


def test_what_is_hooked_into_still_runs() -> None:
    """The bits' regulariser counts every layer, with the kernels as without."""
    from hwsim.sources.zoo import build_network
    from hwsim.training.regulariser import BitRegulariser

    torch.manual_seed(4)
    network = build_network("tiny", ActivationSpec("qcfs", 16).make, input_shape=(1, 8, 8))
    images = torch.randn(5, 1, 8, 8)
    counts = []
    for kernels in (False, True):
        with BitRegulariser(network) as regulariser:
            if kernels:
                with native.native_kernels(network):
                    network(images)
            else:
                network(images)
            counts.append(regulariser.loss().item())
    assert counts[0] == pytest.approx(counts[1], rel=0.01)
    assert counts[0] > 100


@pytest.mark.parametrize("mean", [0.0, 1e3, -1e4])
def test_batch_statistics_do_not_lose_a_spread_beside_a_large_mean(mean: float) -> None:
    layer = layer_of(16, 8, ActivationSpec("qcfs", 16), False, seed=1)
    norm = layer.connections[0].norm
    norm.momentum = 1.0
    x = torch.randn(8, 16, 8, 8) + mean
    layer.connections[0].weighed = lambda _: x.contiguous(memory_format=torch.channels_last)
    with native.native_kernels(layer):
        layer({"a": torch.randn(8, 16, 8, 8)})
    assert close(norm.running_var, x.double().var((0, 2, 3)), 1e-3)
    assert close(norm.running_mean, x.double().mean((0, 2, 3)))


def test_what_is_not_a_number_stays_one() -> None:
    z = torch.tensor([float("nan"), 1.0]).requires_grad_()
    assert staircase(z, torch.tensor(0.5), 4).isnan().tolist() == [True, False]


def test_loading_the_kernels_leaves_subnormal_numbers_alone() -> None:
    library()
    smallest = torch.tensor([5e-324], dtype=torch.float64)
    assert (smallest * 1).item() == 5e-324


def test_one_value_a_channel_is_torchs_error() -> None:
    layer = layer_of(16, 1, ActivationSpec("qcfs", 16), False, seed=1)
    with native.native_kernels(layer), pytest.raises(ValueError, match="more than 1 value"):
        layer({"a": torch.randn(1, 16, 1, 1)})


def test_nested_use_is_one_use() -> None:
    conv = nn.Conv2d(16, 16, 3, padding=1)
    with native.native_kernels(conv):
        with native.native_kernels(conv):
            pass
        assert "forward" in vars(conv)
    assert "forward" not in vars(conv)


@pytest.mark.parametrize("name", ["library", "text"])
def test_a_damaged_cache_is_one_error(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another library under the name, or a file that is none."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    library.cache_clear()
    other = next(Path("/usr/lib").rglob("libm.so.6"), None)
    built_path().parent.mkdir(parents=True)
    built_path().write_bytes(b"nothing" if name == "text" or other is None else other.read_bytes())
    try:
        with pytest.raises(native.NativeError, match="delete the file"):
            library()
    finally:
        library.cache_clear()


def test_a_compiler_that_is_no_command_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", 'g++ "')
    library.cache_clear()
    with pytest.raises(native.NativeError, match="no command"):
        library()


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_a_compiler_that_is_missing_or_fails_is_one_error(compiler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", compiler)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    library.cache_clear()
    try:
        with pytest.raises(native.NativeError, match="--kernels torch"):
            library()
    finally:
        library.cache_clear()
    assert not list(tmp_path.rglob("*.so"))


# -- neurons that fire once ----------------------------------------------------------------------------------------


class Held:
    """What SingleSpikeLayer.fire asks of a layer."""

    def __init__(self, initial: Tensor, threshold: Tensor, leak: Tensor) -> None:
        self.initial, self.numbers = initial, (threshold, leak)

    def held(self) -> tuple[Tensor, Tensor]:
        return self.numbers


@pytest.mark.parametrize(("shape", "order"), [
    ((5, 3, 16, 6, 6), torch.channels_last), ((4, 7, 33, 1, 1), torch.contiguous_format),
    ((1, 2, 3, 9, 5), torch.contiguous_format)])
@pytest.mark.parametrize("threads", [1, 2])
def test_firing_once_and_its_gradients_are_torchs(shape: tuple[int, ...], order: torch.memory_format, threads: int) -> None:
    torch.manual_seed(sum(shape))
    with on_threads(threads):
        currents = torch.randn(shape[0] * shape[1], *shape[2:]).contiguous(memory_format=order).unflatten(0, shape[:2])
        initial, given = 0.3 * torch.randn(shape[2], 1, 1), torch.randn_like(currents)
        exact = [x.detach().double().requires_grad_() for x in (currents, torch.tensor(0.7), torch.tensor(0.9))]
        wanted = SingleSpikeLayer.fire(Held(initial.double(), *exact[1:]), exact[0])
        wanted.backward(given.double())
        mine = [x.detach().clone().requires_grad_() for x in (currents, torch.tensor(0.7), torch.tensor(0.9))]
        found = FireOnce.apply(mine[0], initial.expand(1, *shape[2:]).contiguous(memory_format=order), *mine[1:])
        found.backward(given)
    assert torch.equal(found.double(), wanted)
    assert found.stride() == currents.stride()
    assert 0 < float(found.detach().mean()) < 1
    for one, other in zip(mine, exact, strict=True):
        assert close(one.grad, other.grad, 1e-6)


def assert_trains_as_with_torch(made: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Loss and gradients of one step, with the kernels and without; what is drawn is the same."""
    results = []
    for kernels in (False, True):
        made.zero_grad()
        torch.manual_seed(3)
        with native.native_kernels(made) if kernels else nullcontext():
            loss = made.loss(images, labels)
        loss.backward()
        results.append((loss.detach(), {name: p.grad for name, p in made.named_parameters()}))
    assert torch.isclose(results[0][0], results[1][0], rtol=1e-5)
    assert sum(float(grad.abs().sum()) > 0 for grad in results[0][1].values()) > 8
    for name, grad in results[0][1].items():
        assert torch.allclose(results[1][1][name], grad, atol=1e-5 * float(grad.abs().max()) + 1e-12), name


def single_spikes(timesteps: int, variant: Variant) -> SingleSpikeNetwork:
    described = Description("tiny", ActivationSpec("single_spike", timesteps=timesteps), 10, (1, 16, 16), None, "mnist", (0.4,),
                            (0.25,), 1, variant=variant)
    made = described.build().train()
    assert isinstance(made, SingleSpikeNetwork)
    return made


def test_a_network_of_single_spikes_trains_as_with_torch() -> None:
    torch.manual_seed(2)
    made = single_spikes(4, Variant(norm=False, bias=False))
    images, labels = torch.randn(6, 1, 16, 16), torch.arange(6)
    made.calibrate(images)
    assert_trains_as_with_torch(made, images, labels)
    assert all("fire" not in vars(layer) for layer in made.layers.values()), "the layers' own comes back"


def test_neurons_with_trained_first_potentials_stay_with_torch() -> None:
    torch.manual_seed(2)
    made = single_spikes(3, USUAL)
    with native.native_kernels(made):
        made.loss(torch.randn(6, 1, 16, 16), torch.arange(6)).backward()
    assert made.layers["conv1"].initial.grad is not None


# -- neurons of fine-tuned SNNs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("timesteps", "shape", "order"), [
    (2, (3, 16, 6, 6), torch.channels_last), (5, (7, 333, 1, 1), torch.contiguous_format),
    (1, (2, 3, 9, 5), torch.contiguous_format)])
@pytest.mark.parametrize("threads", [1, 2])
def test_neurons_of_fine_tuned_networks_and_their_gradients_are_torchs(timesteps: int, shape: tuple[int, ...],
                                                                       order: torch.memory_format, threads: int) -> None:
    torch.manual_seed(timesteps)
    with on_threads(threads):
        currents = torch.randn(timesteps * shape[0], *shape[1:]).contiguous(memory_format=order)
        given, neurons = torch.randn_like(currents), AlphaBeta(timesteps, 0.7)
        neurons.start_at(0.7, 1.3)
        exact = copy.deepcopy(neurons).double()
        wanted_of, found_of = currents.double().requires_grad_(), currents.clone().requires_grad_()
        wanted = exact(wanted_of)
        wanted.backward(given.double())
        with native.native_kernels(neurons):
            found = neurons(found_of)
            found.backward(given)
    assert isinstance(found.grad_fn, FireAlphaBeta._backward_cls)
    assert torch.equal(found.double(), wanted.float().double())
    assert found.stride() == currents.stride()
    assert 0 < float((found > 0).float().mean()) < 1
    pairs = [(found_of.grad, wanted_of.grad), (neurons.raw_threshold.grad, exact.raw_threshold.grad),
             (neurons.raw_scale.grad, exact.raw_scale.grad)]
    for one, other in pairs:
        assert close(one, other, 1e-5)


def test_potentials_that_only_rounding_moves_off_zero_keep_their_gradient() -> None:
    """Winograd's sums of no spikes are about 1e-7, of either sign; torch's are 0, inside the surrogate's window."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, bias=False), AlphaBeta(1, 0.5)).to(memory_format=torch.channels_last)
    spikes = (torch.rand(4, 16, 16, 16) < 0.01).float().contiguous(memory_format=torch.channels_last).requires_grad_()
    (wanted,) = torch.autograd.grad(network(spikes).sum(), spikes)
    with native.native_kernels(network):
        currents = network[0](spikes)
        (found,) = torch.autograd.grad(network(spikes).sum(), spikes)
    assert ((currents < 0) & (currents > -1e-6)).float().mean() > 0.01
    assert close(found, wanted)


def test_currents_that_are_no_multiple_of_the_timesteps_are_refused_with_the_kernels_as_without() -> None:
    neurons = AlphaBeta(2, 1.0)
    with native.native_kernels(neurons), pytest.raises(ValueError, match="no multiple of the 2 timesteps"):
        neurons(torch.zeros(3, 4, 1, 1))


def test_a_fine_tuned_network_trains_as_with_torch() -> None:
    """With maximum pooling and dropout, whose draws are the same."""
    described = Description("tiny", ActivationSpec("alpha_beta", timesteps=2), 10, (1, 16, 16), None, "mnist", (0.4,), (0.25,), 1,
                            variant=Variant(norm=False, bias=False, pool="max", dropout=0.1))
    torch.manual_seed(2)
    made, images, labels = described.build().train(), torch.randn(6, 1, 16, 16), torch.arange(6)
    for neurons in made.activations().values():
        neurons.start_at(0.5, 0.6)
    assert_trains_as_with_torch(made, images, labels)
