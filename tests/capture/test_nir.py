"""NIR graphs as integer networks: the spikes are those of a float64 simulation of the graph's own equations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

nir = pytest.importorskip("nir")

import hwsim  # noqa: E402
from hwsim.capture import CaptureError, capture_nir, from_nir  # noqa: E402
from hwsim.snn.forward import forward  # noqa: E402
from tests.capture.spiking_models import planes, spikes  # noqa: E402

DT = 1e-4


def conv(rng: Any, out: int, into: int, k: Any, stride: Any = 1, padding: Any = 1, groups: int = 1, size: Any = None) -> Any:
    weights = rng.integers(-6, 8, (out, into // groups, *np.broadcast_to(k, 2))) / 4
    return nir.Conv2d(size, weights, stride, padding, 1, groups, rng.integers(-1, 3, out) / 4)


def integrate(shape: Any, threshold: float, r: float = 1 / DT) -> Any:
    return nir.IF(np.full(shape, r), np.full(shape, threshold))


def leaky(shape: Any, threshold: float, k: int, gain: float = 1.0) -> Any:
    tau = DT * 2.0**k
    return nir.LIF(tau=np.full(shape, tau), r=np.full(shape, gain * tau / DT), v_leak=np.zeros(shape),
                   v_threshold=np.full(shape, threshold))


def residual_graph(seed: int = 0, leak: int | None = None) -> Any:
    """Convolutions with a strided shortcut, grouped weights, average and sum pooling, a scale, a linear read-out."""
    rng = np.random.default_rng(seed)
    fire = (lambda shape, theta: integrate(shape, theta)) if leak is None else (lambda shape, theta: leaky(shape, theta, leak))
    nodes = {
        "input": nir.Input(np.array([2, 8, 8])), "a": conv(rng, 4, 2, 3, size=(8, 8)), "sn_a": fire((4, 8, 8), 1.75),
        "b": conv(rng, 4, 4, (3, 1), 2, (1, 0), groups=2, size=(8, 8)), "short": conv(rng, 4, 4, 1, 2, 0, size=(8, 8)),
        "sn_b": fire((4, 4, 4), 2.0), "half": nir.Scale(np.full((4, 4, 4), 0.5)),
        "c": conv(rng, 6, 4, (3, 5), 1, "same", size=(4, 4)), "sn_c": fire((6, 4, 4), 1.5),
        "mean": nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "flat": nir.Flatten({"input": np.array([6, 2, 2])}, 0, -1), "fc": nir.Linear(rng.integers(-3, 5, (5, 24)) / 2),
        "sn_d": fire((5,), 1.25), "out": nir.Affine(rng.integers(-4, 5, (3, 5)) / 1.0, np.array([1.0, -2, 0])),
        "output": nir.Output(np.array([3])),
    }
    edges = [("input", "a"), ("a", "sn_a"), ("sn_a", "b"), ("sn_a", "short"), ("b", "sn_b"), ("short", "sn_b"), ("sn_b", "half"),
             ("half", "c"), ("c", "sn_c"), ("sn_c", "mean"), ("mean", "flat"), ("flat", "fc"), ("fc", "sn_d"), ("sn_d", "out"),
             ("out", "output")]
    return nir.NIRGraph(nodes, edges, type_check=False)  # nir types a grouped convolution by its weights: C_in / groups


def simulate(graph: Any, inputs: np.ndarray, reset: str) -> dict[str, np.ndarray]:
    """The graph in float64, node by node, with loops that follow NIR's definitions: what left each node, by timestep."""
    timesteps, values, potentials, seen = len(inputs), {}, {}, {name: [] for name in graph.nodes}
    order = [n for n in ("input", "a", "sn_a", "b", "short", "sn_b", "half", "c", "sn_c", "mean", "flat", "fc", "sn_d", "out")
             if n in graph.nodes] or [e[0] for e in graph.edges]
    for t in range(timesteps):
        for name in order:
            node = graph.nodes[name]
            x = sum(values[s] for s, d in graph.edges if d == name)
            kind = type(node).__name__
            if kind == "Input":
                values[name] = inputs[t].astype(float)
            elif kind == "Conv2d":
                values[name] = correlate(x, node)
            elif kind in ("Linear", "Affine"):
                values[name] = node.weight @ x + getattr(node, "bias", 0)
            elif kind == "Scale":
                values[name] = x * node.scale
            elif kind == "AvgPool2d":
                c, h, w = x.shape
                values[name] = x.reshape(c, h // 2, 2, w // 2, 2).mean(axis=(2, 4))
            elif kind == "Flatten":
                values[name] = x.reshape(-1)
            else:
                v = potentials.get(name, np.zeros(x.shape))
                v = v + DT * node.r * x if kind == "IF" else v + DT / node.tau * (node.v_leak - v + node.r * x)
                v = np.round(v, 9)  # 1e-4 is no binary fraction: its error must not decide whether v is above the threshold
                fired = v > node.v_threshold
                potentials[name] = np.where(fired, v - node.v_threshold if reset == "soft" else node.v_reset, v)
                values[name] = fired.astype(float)
            seen[name].append(values[name])
    return {name: np.stack(found) for name, found in seen.items() if found}


def correlate(x: np.ndarray, node: Any) -> np.ndarray:
    out, per_group, *k = node.weight.shape
    pads = [(n - 1) // 2 for n in k] if node.padding == "same" else np.broadcast_to(node.padding, 2)
    (s, t), padded = np.broadcast_to(node.stride, 2), np.pad(x, ((0, 0), *((p, p) for p in pads)))
    y = np.zeros((out, (padded.shape[1] - k[0]) // s + 1, (padded.shape[2] - k[1]) // t + 1))
    for o in range(out):
        first = o // (out // node.groups) * per_group
        for i, j in np.ndindex(y.shape[1:]):
            window = padded[first : first + per_group, s * i : s * i + k[0], t * j : t * j + k[1]]
            y[o, i, j] = (window * node.weight[o]).sum()
    return y + node.bias.reshape(-1, 1, 1)


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_exact_weights_give_the_spikes_of_the_float_graph(reset: Any, tmp_path: Path) -> None:
    graph, inputs = residual_graph(), spikes(3, 5)
    nir.write(tmp_path / "g.nir", graph)
    trace = capture_nir(tmp_path / "g.nir", inputs, [0, 1, 2], reset=reset, dt=DT)
    assert trace.provenance["weights"] == "every weight, bias and threshold was taken exactly"
    assert trace.provenance["float_comparison"].startswith("0 of ")
    for index, sample in enumerate(inputs):
        found = simulate(graph, sample, reset)
        for name in ("sn_a", "sn_b", "sn_c", "sn_d"):
            ours = planes(trace, name)[index].reshape(found[name].shape)
            np.testing.assert_array_equal(ours, found[name])
            assert 0 < ours.mean() < 1, f"{name} must spike for the test to mean anything"
        scale = trace.provenance["scales"]["out"]
        np.testing.assert_allclose(trace.final_potentials(index)["out"].reshape(-1) / scale, found["out"].sum(axis=0))


def test_the_reset_matters() -> None:
    """If both resets gave the same, the test above would prove half of what it says."""
    soft, hard = (capture_nir(residual_graph(), spikes(3, 5), reset=r, dt=DT) for r in ("soft", "hard"))
    assert not np.array_equal(planes(soft, "sn_b"), planes(hard, "sn_b"))


@pytest.mark.parametrize("spikes_from", ["trace", "computed"])
@pytest.mark.parametrize("leak", [None, 2])
@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_a_replay_has_no_mismatch(reset: Any, leak: int | None, spikes_from: str) -> None:
    trace = capture_nir(residual_graph(leak=leak), spikes(2, 4), [0, 1], reset=reset, dt=DT)
    result = hwsim.simulate(trace, "event_core_64", spikes=spikes_from)
    assert (result.mismatches, result.facts.saturations) == (0, 0)
    assert result.accuracy is not None


@pytest.mark.parametrize(("k", "gain"), [(1, 1.0), (3, 1.0), (3, 0.5)])
def test_a_leak_is_exact_while_nothing_is_shifted_out(k: int, gain: float) -> None:
    """Weights of 0 and 1 leave 6 bits below the point: enough for two leaks by V >> 3."""
    rng = np.random.default_rng(1)
    graph = nir.NIRGraph(
        {"input": nir.Input(np.array([12])), "fc": nir.Linear(rng.integers(0, 2, (10, 12)) / 1.0),
         "sn_d": leaky((10,), 3.5 * gain, k, gain), "output": nir.Output(np.array([10]))},
        [("input", "fc"), ("fc", "sn_d"), ("sn_d", "output")])
    inputs = spikes(8, 3, (12,))
    trace = capture_nir(graph, inputs, reset="hard", dt=DT)
    found = np.stack([simulate(graph, x, "hard")["sn_d"] for x in inputs])
    np.testing.assert_array_equal(planes(trace, "sn_d").reshape(found.shape), found)
    assert trace.network.layer("sn_d").neuron == hwsim.IntegrateAndFire("hard", k)
    assert 0 < found.mean() < 1


def dense(weights: np.ndarray, threshold: float = 1.0, **settings: Any) -> Any:
    n = len(weights)
    nodes = {"input": nir.Input(np.array([weights.shape[1]])), "fc": nir.Linear(weights), "sn": integrate((n,), threshold),
             "output": nir.Output(np.array([n]))} | settings
    return nir.NIRGraph(nodes, [("input", "fc"), ("fc", "sn"), ("sn", "output")], type_check=False)


def test_a_spike_needs_more_than_the_threshold_as_nir_says() -> None:
    inputs = np.ones((1, 3, 2), bool)
    for reset, expected in (("soft", [0, 1, 1]), ("hard", [0, 1, 0])):
        trace = capture_nir(dense(np.array([[1.0, 1.0]]), 2.0), inputs, reset=reset, dt=DT)  # type: ignore[arg-type]
        assert planes(trace, "sn").reshape(-1).tolist() == expected


def test_a_threshold_between_whole_numbers_is_subtracted_as_it_is() -> None:
    trace = capture_nir(dense(np.array([[1.0]]), 2.5), np.ones((1, 11, 1), bool), reset="soft", dt=DT)
    v, expected = 0.0, []
    for _ in range(11):
        v += 1
        expected.append(int(v > 2.5))
        v -= 2.5 * expected[-1]
    assert planes(trace, "sn").reshape(-1).tolist() == expected
    assert trace.provenance["scales"]["sn"] == 2


def test_whole_weights_are_taken_as_they_are_and_others_rounded_with_a_word() -> None:
    whole = from_nir(dense(np.array([[3.0, -7], [127, 2]]), 5.0), reset="soft", dt=DT, timesteps=2)
    assert whole.layer("sn").connections[0].weights.tolist() == [[3, -7], [127, 2]]
    assert whole.layer("sn").thresholds.tolist() == [5, 5]
    weights = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    inputs = spikes(40, 8, (30,))
    trace = capture_nir(dense(weights), inputs, reset="soft", dt=DT)
    scale = trace.provenance["scales"]["sn"]
    ours = trace.network.layer("sn").connections[0].weights
    assert np.abs(ours / scale - weights).max() <= 0.5 / scale
    assert np.abs(ours).max() == 127
    assert trace.network.layer("sn").thresholds[0] == round(scale)
    assert "rounded to 8 bits" in trace.provenance["weights"]
    finer = capture_nir(dense(weights), inputs, reset="soft", dt=DT, weight_bits=16)
    differ = [int(t.provenance["float_comparison"].split()[0]) for t in (trace, finer)]
    assert differ[1] <= differ[0]
    assert differ[0] > 0, "8 bits should change something, or the comparison proves nothing"


def test_small_weights_are_not_zero() -> None:
    trace = capture_nir(dense(np.array([[1e-9, 2.5e-10]]), 2e-9), np.ones((1, 6, 2), bool), reset="soft", dt=DT)
    assert trace.network.layer("sn").connections[0].weights.tolist() == [[127, 32]]
    assert "rounded" in trace.provenance["weights"]
    assert planes(trace, "sn").reshape(-1).tolist() == [0, 1, 0, 1, 1, 0]


def test_images_are_a_constant_current() -> None:
    graph = dense(np.array([[0.5, 0.25], [1.0, -1.0]]), 1.0)
    images = np.array([[3, 1], [0, 2]])
    trace = capture_nir(graph, images, reset="soft", dt=DT, timesteps=4, input_scale=0.25)
    for index, image in enumerate(images):
        found = simulate_dense(graph, image * 0.25, 4)
        np.testing.assert_array_equal(planes(trace, "sn")[index].reshape(4, 2), found)
    assert hwsim.simulate(trace, "event_core_64", spikes="computed").mismatches == 0


def simulate_dense(graph: Any, x: np.ndarray, timesteps: int) -> np.ndarray:
    v, fired = np.zeros(len(graph.nodes["fc"].weight)), []
    for _ in range(timesteps):
        v = v + graph.nodes["fc"].weight @ x
        fired.append(v > 1.0)
        v = v - fired[-1]
    return np.stack(fired)


def test_potentials_are_as_wide_as_they_must_be() -> None:
    heavy = dense(np.full((1, 400), 32000.0), 2.0**22)
    trace = capture_nir(heavy, np.ones((1, 64, 400), bool), reset="soft", dt=DT, weight_bits=16)
    assert trace.network.layer("sn").potential_bits > 24
    outputs, _ = forward(trace.network, trace.sample(0).inputs)
    np.testing.assert_array_equal(outputs["sn"], trace.sample(0).recorded["sn"])


def replaced(**nodes: Any) -> Any:
    graph = residual_graph()
    graph.nodes.update(nodes)
    return graph


def changed(name: str, **fields: Any) -> Any:
    """A graph whose node has fields that nir's own constructor refuses, as a file could."""
    graph = residual_graph()
    for field, value in fields.items():
        object.__setattr__(graph.nodes[name], field, value)
    return graph


def with_edges(*edges: tuple[str, str]) -> Any:
    graph = residual_graph()
    graph.edges += list(edges)
    return graph


ONES = np.ones(5)
GRAPHS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "CubaLIF": (lambda: replaced(sn_d=nir.CubaLIF(ONES, ONES, ONES, ONES * 0, ONES)), ("'sn_d' (CubaLIF)", "synaptic current")),
    "leaky read-out": (lambda: replaced(output=nir.LI(ONES, ONES, ONES * 0)), ("'output' (LI)", "do not leak")),
    "threshold": (lambda: replaced(sn_d=nir.Threshold(ONES)), ("'sn_d' (Threshold)", "keep their potential")),
    "delay": (lambda: replaced(half=nir.Delay(ONES)), ("'half' (Delay)", "no delay")),
    "one dimension": (lambda: replaced(a=nir.Conv1d(8, np.ones((2, 2, 3)), 1, 0, 1, 1, np.zeros(2))), ("Conv1d", "use Conv2d")),
    "graph in graph": (lambda: replaced(half=dense(np.ones((2, 2)))), ("'half' (NIRGraph)", "graphs within graphs")),
    "thresholds by neuron": (lambda: replaced(sn_d=nir.IF(ONES, np.arange(1.0, 6))), ("'sn_d' (IF)", "from 1 to 5")),
    "r by neuron": (lambda: replaced(sn_d=nir.IF(np.arange(1.0, 6), ONES)), ("'sn_d' (IF)", "r that differs")),
    "reset not to zero": (lambda: replaced(sn_d=nir.IF(ONES, ONES, ONES * -1)), ("v_reset of -1",)),
    "rest not at zero": (lambda: replaced(sn_d=nir.LIF(ONES, ONES, ONES, ONES)), ("v_leak of 1",)),
    "leak": (lambda: replaced(sn_d=nir.LIF(ONES * 5e-4, ONES, ONES * 0, ONES)), ("(LIF)", "0.2 a timestep", "k = 2", "0.0004")),
    "tau below dt": (lambda: replaced(sn_d=nir.LIF(ONES * 5e-5, ONES, ONES * 0, ONES)), ("tau 5e-05", "above dt")),
    "threshold of zero": (lambda: replaced(sn_d=nir.IF(ONES, ONES * 0)), ("v_threshold 0",)),
    "threshold too small": (lambda: replaced(sn_d=nir.IF(ONES * 1e4, ONES * 1e-9)), ("on the weights' scale", "weight_bits")),
    "NaN": (lambda: replaced(fc=nir.Linear(np.full((5, 24), np.nan))), ("'fc' (Linear)", "NaN")),
    "all zero": (lambda: replaced(fc=nir.Linear(np.zeros((5, 24)))), ("'sn_d' (IF)", "all 0")),
    "shape": (lambda: replaced(fc=nir.Linear(np.ones((5, 7)))), ("'fc' (Linear)", "(5, 7)", "(5, 24)")),
    "dilation": (lambda: replaced(c=nir.Conv2d((4, 4), np.ones((6, 4, 3, 3)), 1, 2, 2, 1, np.zeros(6))), ("dilation of 2",)),
    "a stride of one and a half": (lambda: changed("c", stride=np.array([1.5, 2])), ("a stride of [1.5 2. ]", "whole numbers")),
    "padding in other words": (lambda: changed("c", padding="full"), ("padding 'full'", "'same', 'valid'")),
    "oblong and too wide": (
        lambda: replaced(c=nir.Conv2d((4, 4), np.ones((6, 4, 3, 9)), 1, 1, 1, 1, np.zeros(6))), ("window of (3, 9) on 4 x 4",)),
    "overlap": (lambda: replaced(mean=nir.AvgPool2d(np.array([3, 3]), np.array([1, 1]), np.array([0, 0]))), ("stride 1",)),
    "part of a flatten": (lambda: replaced(flat=nir.Flatten({"input": np.array([6, 2, 2])}, 1, -1)), ("'flat'", "axes 1 to -1")),
    "scales by neuron": (lambda: replaced(half=nir.Scale(np.arange(64.0).reshape(4, 4, 4))), ("(Scale)", "scale that differs")),
    "two linear": (lambda: replaced(half=nir.Conv2d((4, 4), np.ones((4, 4, 1, 1)), 1, 0, 1, 1, np.zeros(4))), ("half and c",)),
    "loop": (lambda: with_edges(("sn_d", "a")), ("a loop", "'a' (Conv2d)")),
    "no such node": (lambda: with_edges(("sn_d", "nowhere")), ("no node 'nowhere'",)),
    "nothing leads here": (lambda: replaced(orphan=nir.Linear(np.ones((2, 2)))), ("'orphan'", "no edge")),
    "neurons of another shape": (lambda: replaced(sn_d=integrate((7,), 1.0)), ("(7,)", "(5,)", "'sn_d' (IF)")),
    "an edge twice": (lambda: with_edges(("fc", "sn_d")), ("'fc' -> 'sn_d'", "it twice")),
    "two inputs": (lambda: replaced(more=nir.Input(np.array([1]))), ("2 Input nodes",)),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_what_the_network_cannot_be_is_refused_with_its_place(case: str) -> None:
    make, texts = GRAPHS[case]
    with pytest.raises(CaptureError) as error:
        from_nir(make(), reset="soft", dt=DT, timesteps=4)
    for text in (*texts, "found ", "expected "):
        assert text in str(error.value), str(error.value)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "reset": ({"reset": "guess"}, "reset: found 'guess'.*look it up"), "no reset": ({"reset": None}, "reset: found None"),
    "dt": ({"dt": 0}, "dt: found 0.*1e-4"), "dt text": ({"dt": "1"}, "dt: found '1'"), "dt nan": ({"dt": float("nan")}, "dt"),
    "bits": ({"weight_bits": 1}, "weight_bits"), "T": ({"timesteps": 9}, "timesteps: found 9, expected 5"),
    "empty": ({"inputs": np.zeros((0, 5, 2, 8, 8))}, "nothing"), "T = 0": ({"inputs": np.zeros((2, 0, 2, 8, 8))}, "nothing"),
    "not spikes": ({"inputs": np.full((2, 5, 2, 8, 8), 2)}, "0 and 1 only"),
    "wrong shape": ({"inputs": np.zeros((2, 5, 2, 8, 9))}, r"samples of shape \(2, 8, 8\)"),
    "flat": ({"inputs": np.zeros((2, 5, 128))}, r"samples of shape \(2, 8, 8\)"),
    "image without T": ({"inputs": np.ones((2, 2, 8, 8), int)}, "how many timesteps"),
    "float image": ({"inputs": np.full((2, 2, 8, 8), 0.5), "timesteps": 3}, "input_scale"),
    "labels": ({"labels": [1]}, "labels"), "no graph": ({"graph": 3}, "a nir.NIRGraph"),
    "scale": ({"input_scale": -1}, "input_scale: found -1"), "no file": ({"graph": "nowhere.nir"}, "nowhere.nir.*no such file"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments(case: str) -> None:
    changes, text = BAD[case]
    with pytest.raises(CaptureError, match=text):
        capture_nir(**({"graph": residual_graph(), "inputs": spikes(2, 5), "reset": "soft", "dt": DT} | changes))


@pytest.mark.parametrize("content", [b"", b"not HDF5", None])
def test_files_that_are_no_graph(content: bytes | None, tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "bad.nir"
    if content is None:
        with h5py.File(path, "w") as file:
            file["node/type"] = "Surprise"
    else:
        path.write_bytes(content)
    with pytest.raises(CaptureError, match=r"bad\.nir: file: found"):
        capture_nir(path, spikes(2, 5), reset="soft", dt=DT)


def test_what_the_packages_export_fires_as_the_packages_do() -> None:
    """SpikingJelly's and snnTorch's own exporters in between; weights are eighths, thresholds on no tie."""
    torch, snn = pytest.importorskip("torch"), pytest.importorskip("snntorch")
    pytest.importorskip("nirtorch")
    sj = pytest.importorskip("spikingjelly.activation_based")
    from snntorch.export_nir import export_to_nir as from_snntorch
    from spikingjelly.activation_based import functional, layer, neuron
    from spikingjelly.activation_based.nir_exchange import export_to_nir as from_spikingjelly

    from hwsim.capture import capture_torch
    from tests.capture.spiking_models import loud

    assert sj is not None
    torch.manual_seed(1)
    jelly = torch.nn.Sequential(
        layer.Conv2d(2, 4, 3, padding=1, bias=False), neuron.IFNode(1.0625), layer.AvgPool2d(2, 2), layer.Flatten(),
        layer.Linear(64, 5), neuron.LIFNode(tau=2.0, decay_input=False, v_threshold=1.015625))
    settings = {"init_hidden": True, "reset_mechanism": "zero", "reset_delay": False}
    torchy = torch.nn.Sequential(
        torch.nn.Linear(12, 10), snn.Leaky(torch.full((10,), 0.75), torch.full((10,), 1.0), **settings),
        torch.nn.Linear(10, 5), snn.Leaky(torch.full((5,), 0.5), torch.full((5,), 1.0), **settings))
    for model, inputs in ((jelly, spikes(3, 5)), (torchy, spikes(3, 5, (12,)))):
        loud(model)
        for parameter in model.parameters():
            if parameter.ndim > 1 or parameter is model[0].bias:
                parameter.data = torch.round(parameter.data * 8) / 8
        for module in model:
            if getattr(module, "bias", None) is not None:
                module.bias.data = torch.round(module.bias.data * 8) / 8
        shape = torch.zeros(1, *inputs.shape[2:])
        graph = from_spikingjelly(model, shape) if model is jelly else from_snntorch(model, shape, ignore_dims=[0])
        functional.reset_net(model)
        ours = capture_nir(graph, inputs, reset="hard", dt=DT, weight_bits=16)
        theirs = capture_torch(model, inputs, timesteps=5)
        assert ours.provenance["weights"].startswith("every weight")
        for mine, own in zip(ours.network, theirs.network, strict=True):
            np.testing.assert_array_equal(planes(ours, mine.name), planes(theirs, own.name))
            assert 0 < planes(theirs, own.name).mean() < 1
