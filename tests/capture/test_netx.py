"""lava-dl's network files: what is taken over, neuron by neuron, and what is refused by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import hwsim
from hwsim.capture import CaptureError, capture_netx, from_netx
from hwsim.snn.neurons import CubaLif, ReadOut

Files = dict[str, Any]
Change = Callable[[Files], None]
NEURON = {"type": b"LOIHI", "iDecay": 4096, "vDecay": 1024, "vThMant": 25, "refDelay": 1, "wgtExp": 0, "theta": 1600,
          "scaleRho": 1.0, "tauRho": 0.5}


def good() -> Files:
    """A network of every layer that is taken over, by the paths of its datasets: 2 x 5 x 4, conv 3 x 3 x 3, dense 4, dense 1."""
    rng = np.random.default_rng(5)
    weights = {1: rng.integers(-9, 13, (3, 2, 3, 2)), 3: rng.integers(-9, 13, (4, 27)), 4: rng.integers(-9, 13, 4)}
    made: Files = {"simulation/Ts": 1, "simulation/tSample": 6}
    layers = {0: (b"input", (2, 5, 4)), 1: (b"conv", (3, 3, 3)), 2: (b"flatten", (1, 1, 27)), 3: (b"dense", (4, 1, 1)),
              4: (b"dense", (1, 1, 1))}
    for n, (kind, shape) in layers.items():
        made |= {f"layer/{n}/type": np.array([kind]), f"layer/{n}/shape": np.array(shape)}
        made |= {} if kind == b"flatten" else {f"layer/{n}/neuron/{name}": value for name, value in NEURON.items()}
        if n in weights:
            made[f"layer/{n}/weight"] = weights[n].astype(np.float32)
            made[f"layer/{n}/bias"] = rng.integers(-30, 40, shape[0]).astype(np.float32)
    made |= {"layer/0/weight": np.float32(40), "layer/0/bias": np.float32(36)}
    made |= {f"layer/1/{name}": np.array(side) for name, side in
             {"kernelSize": (3, 2), "stride": (2, 1), "padding": (1, 0), "dilation": (1, 1)}.items()}
    made |= {"layer/1/groups": 1, "layer/1/inChannels": 2, "layer/1/outChannels": 3, "layer/3/neuron/iDecay": 512,
             "layer/4/bias": np.array([7.0]), "layer/4/neuron/vDecay": 0, "layer/4/neuron/vThMant": 131071}
    return made


def written(path: Path, contents: Files) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in contents.items():
            file[name] = value
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path / "small.net", good())


def test_every_number_is_the_chips(file: Path) -> None:
    contents, network = good(), from_netx(file)
    assert [layer.name for layer in network] == ["input0", "conv0", "dense0", "dense1"]
    assert [layer.timesteps for layer in network] == [6] * 4
    first, conv, dense, last = network
    assert first.neuron == conv.neuron == CubaLif(4096, 1024)
    assert dense.neuron == CubaLif(512, 1024)
    assert first.thresholds.tolist() == [25 << 6] * 6
    assert first.bias is None
    assert (conv.connections[0].kernel, conv.connections[0].stride, conv.connections[0].padding) == ((3, 2), (2, 1), (1, 0))
    np.testing.assert_array_equal(conv.connections[0].weights, contents["layer/1/weight"] * 64)
    np.testing.assert_array_equal(conv.bias[:, 0, 0], contents["layer/1/bias"] * 64)
    np.testing.assert_array_equal(dense.connections[0].weights, contents["layer/3/weight"] * 64)
    assert isinstance(last.neuron, ReadOut)
    assert last.initial_potential.tolist() == [[[7 * 64 * 6]]], "the bias of all timesteps"


def chip(contents: Files, image: np.ndarray, steps: int) -> Iterator[np.ndarray]:
    """Layer by layer, in plain loops over neurons: spikes (steps, neurons) in (C, H, W) order, then the last layer's answer."""
    sent = np.repeat(image.reshape(1, -1), steps, axis=0)
    for n in (0, 1, 3, 4):
        at = f"layer/{n}"
        shape = contents[f"{at}/shape"]
        neuron = {key: contents[f"{at}/neuron/{key}"] for key in ("iDecay", "vDecay", "vThMant")}
        bias = np.repeat(contents.get(f"{at}/bias", 0) * np.ones(shape[0] if n else 1), np.prod(shape) // (shape[0] if n else 1))
        bias = sent[0] if n == 0 else bias
        matrix = np.zeros((np.prod(shape), sent.shape[1]))
        if n == 1:
            for o, oy, ox, c, ky, kx in np.ndindex(*shape, *contents["layer/1/weight"].shape[1:]):
                y, x = 2 * oy + ky - 1, ox + kx
                if 0 <= y < 5 and 0 <= x < 4:
                    matrix[(o * 3 + oy) * 3 + ox, (c * 5 + y) * 4 + x] = contents["layer/1/weight"][o, c, ky, kx]
        elif n:
            matrix = contents[f"{at}/weight"].reshape(len(matrix), -1)
        u, v, fired = np.zeros(len(matrix), int), np.zeros(len(matrix), int), []
        for spikes in sent:
            u = np.trunc(u * (4096 - neuron["iDecay"]) / 4096).astype(int) + 64 * (matrix @ spikes).astype(int) * (n > 0)
            v = np.trunc(v * (4096 - neuron["vDecay"]) / 4096).astype(int) + u + 64 * bias.astype(int)
            fired.append(v > neuron["vThMant"] * 64)
            v[fired[-1]] = 0
        sent = np.array(fired, int)
        yield sent if n < 4 else v


def test_a_trace_holds_what_the_chip_computes(file: Path) -> None:
    image = np.random.default_rng(1).integers(-20, 70, (2, 2, 5, 4))
    trace = capture_netx(file, image)
    for index in range(2):
        *spikes, answer = chip(good(), image[index], 6)
        sample = trace.sample(index)
        for layer, expected in zip(trace.network, spikes, strict=False):
            planes = sample.recorded[layer.name].transpose(0, 3, 1, 2).reshape(6, -1)
            np.testing.assert_array_equal(planes, expected, err_msg=layer.name)
            assert 0 < expected.mean() < 1
        np.testing.assert_array_equal(trace.final_potentials(index)["dense1"].reshape(-1), answer)


def test_without_inputs_the_biases_drive_it(file: Path, tmp_path: Path) -> None:
    silent = capture_netx(file, timesteps=9, out=tmp_path / "silent.h5")
    assert (silent.samples, silent.timesteps, int(silent.sample(0).inputs.sum())) == (1, 9, 0)
    assert not silent.sample(0).recorded["input0"].any()
    assert silent.sample(0).recorded["conv0"].any()
    assert silent.provenance["inputs"].startswith("none")


def put(name: str, value: Any) -> Change:
    return lambda contents: contents.update({name: value})


def drop(*names: str) -> Change:
    return lambda contents: [contents.pop(name) for name in names] and None


def only(*names: str) -> Change:
    def change(contents: Files) -> None:
        for name in [name for name in contents if not name.startswith(names)]:
            del contents[name]
    return change


def second_input(contents: Files) -> None:
    contents |= {"layer/4/type": b"input", "layer/4/weight": 1.0, "layer/4/bias": 0.0}


REFUSED: dict[str, tuple[Change, str]] = {
    "pooling": (put("layer/2/type", b"pool"), r"layer 2 \(pool\): found a pooling layer"),
    "recurrence": (put("layer/3/type", b"dense_rec"), r"layer 3 \(dense_rec\): found a recurrent layer"),
    "another layer": (put("layer/3/type", b"mystery"), "found a layer of an unknown type .'mystery'"),
    "SDNN": (put("layer/1/neuron/type", b"SDNN"), r"layer 1 \(conv\): found sigma-delta neurons \(SDNN\)"),
    "resonators": (put("layer/1/neuron/type", b"RF-IZ"), "found resonators"),
    "another neuron": (put("layer/1/neuron/type", b"HH"), "neurons of type 'HH'"),
    "delays": (put("layer/3/delay", np.array([0, 1, 0, 0])), r"layer 3 \(dense\): found delays"),
    "groups": (put("layer/1/groups", 2), "groups 2"),
    "dilation": (put("layer/1/dilation", np.array([1, 2])), r"dilation \(1, 2\)"),
    "complex weights": (lambda c: (drop("layer/3/weight")(c), put("layer/3/weight/imag", np.ones((4, 27)))(c)) and None,
                        "complex weights"),
    "graded spikes": (put("layer/1/neuron/gradedSpike", True), "graded spikes"),
    "refractory": (put("layer/1/neuron/refDelay", 3), "a refractory delay .refDelay 3"),
    "weight exponent": (put("layer/1/neuron/wgtExp", 2), "a weight exponent that lava-dl's own reader leaves out"),
    "unknown in a layer": (put("layer/3/gain", 2.0), "found 'gain'"),
    "unknown in a neuron": (put("layer/3/neuron/noise", 2.0), "found 'noise' of its neurons"),
    "fractions": (put("layer/3/weight", np.full((4, 27), 0.5)), r"layer 3 \(dense\): found values of 'weight' that are not"),
    "nan": (put("layer/3/bias", np.full(4, np.nan)), "'bias' that are not whole"),
    "huge": (put("layer/3/weight", np.full((4, 27), 1e30)), "'weight' up to 1e\\+30"),
    "text for numbers": (put("layer/3/weight", b"x"), "no numbers 'weight'"),
    "no weights": (drop("layer/3/weight"), "no numbers 'weight'"),
    "weights of another size": (put("layer/3/weight", np.ones((5, 27))), r"layer 3 \(dense\): found weights of shape \(5, 27\)"),
    "too few weights": (put("layer/3/weight", np.ones((4, 26))), "'dense0'.*weights have shape"),
    "too few biases": (put("layer/3/bias", np.ones(3)), "3 biases, expected 4"),
    "no neuron": (drop(*(f"layer/3/neuron/{name}" for name in NEURON)), "no group 'neuron'"),
    "no decay": (drop("layer/3/neuron/vDecay"), "no numbers 'neuron/vDecay'"),
    "decay beyond": (put("layer/3/neuron/vDecay", 4097), "neuron/vDecay .4097., expected one number from 0 to 4096"),
    "threshold zero": (put("layer/3/neuron/vThMant", 0), "thresholds must be 1 or more"),
    "another shape": (put("layer/1/padding", np.array([0, 0])), r"'conv0'.*gives an output of shape \(3, 2, 3\)"),
    "shape of two": (put("layer/1/shape", np.array([3, 3])), "shape .3, 3., expected 3 numbers of 1 or more"),
    "flatten loses": (put("layer/2/shape", np.array([1, 1, 26])), r"layer 2 \(flatten\): found shape \(1, 1, 26\)"),
    "no type": (drop("layer/1/type"), "layer 1: found no text 'type'"),
    "no layers": (only("simulation"), "group 'layer': found nothing"),
    "a layer missing": (only("layer/0", "layer/1", "layer/3"), "layers 0, 1, ..."),
    "no input": (put("layer/0/type", b"flatten"), r"layer 0 \(flatten\): found 'bias', 'neuron', 'weight'"),
    "two inputs": (second_input, r"layer 4 \(input\): found a second input layer"),
    "no time": (drop("simulation/tSample"), "timesteps: found None"),
    "too many steps": (put("simulation/tSample", 1000), "timesteps: found 1000, expected 1 to 64"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_taken_over_is_refused_by_name(case: str, tmp_path: Path) -> None:
    change, text = REFUSED[case]
    contents = good()
    change(contents)
    path = written(tmp_path / "bad.net", contents)
    with pytest.raises(CaptureError, match=text) as caught:
        capture_netx(path, out=tmp_path / "out.h5")
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.h5").exists()


def test_files_that_are_none(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    for name, data in {"empty": b"", "text": b"no network", "cut": whole[: len(whole) // 2]}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(CaptureError, match=f"{name}: file: found .*expected an HDF5 file that is whole"):
            from_netx(tmp_path / name)
    with pytest.raises(CaptureError, match="no such file"):
        from_netx(tmp_path / "absent.net")
    with h5py.File(file, "a") as opened:
        opened["layer/9"] = h5py.ExternalLink("elsewhere.h5", "/")
    with pytest.raises(CaptureError, match="/layer/9: found a link to another place"):
        from_netx(file)
    with pytest.raises(hwsim.TraceError, match="a network of lava-dl.*hwsim capture netx"):
        hwsim.Trace.open(file)


def test_damaged_files_are_one_clear_error(file: Path, tmp_path: Path) -> None:
    """Bytes changed anywhere: taken over all the same, or refused; never another exception."""
    whole, rng, refused = file.read_bytes(), np.random.default_rng(11), 0
    for _ in range(15):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 8):
            data[at] = rng.integers(0, 256)
        (tmp_path / "damaged.net").write_bytes(bytes(data))
        try:
            from_netx(tmp_path / "damaged.net")
        except CaptureError:
            refused += 1
    assert refused


@pytest.mark.parametrize(("inputs", "text"), [
    (np.zeros((1, 2, 5, 5), int), r"int64 values of shape \(1, 2, 5, 5\), expected whole numbers .* = \(2, 5, 4\)"),
    (np.full((1, 2, 5, 4), 0.5), r"give the input layer's bias mantissas, int\(2 \* 40 \* x - 40 \+ 36\) of x from 0 to 1"),
    (np.zeros((1, 3, 2, 5, 4), int), "expected whole numbers"),
])
def test_inputs_of_another_kind(file: Path, inputs: np.ndarray, text: str) -> None:
    with pytest.raises(CaptureError, match=text):
        capture_netx(file, inputs)
