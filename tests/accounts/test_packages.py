"""Counts and estimates of other packages, on the same network and the same spikes, equal to ours exactly: SpikingJelly,
NeuroBench.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from hwsim.accounts.base import Account, total, variants_of
from hwsim.accounts.published.lemaire_2022 import Lemaire2022
from hwsim.accounts.published.neurobench import NeuroBench
from hwsim.accounts.published.spikingjelly import SpikingJellySimple
from hwsim.accounts.work import Work, carries_values, count_network
from hwsim.snn.forward import forward
from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import IntegrateAndFire
from hwsim.snn.sample import Sample
from hwsim.trace.reader import Trace
from tests.conftest import ROOT
from tests.snn.networks import random_input, random_network

torch = pytest.importorskip("torch")
pytest.importorskip("spikingjelly")
RECORDED = ROOT / "tests" / "data" / "neurobench_counts.json"
SHIPPED = ("methods/fashion_mnist_tiny_bit_serial_t4", "methods/fashion_mnist_tiny_rate_t4",
           "methods/fashion_mnist_tiny_single_spike_t5", "methods/fashion_mnist_tiny_ann_t4")


def account(kind: type[Account], variant: str = "default") -> Account:
    return next(a for a in variants_of("it", kind) if a.name in ("it", f"it_{variant}"))


def tells_apart(network: Network, sample: Sample) -> bool:
    """Whether numbers alone tell values from spikes, as packages must: no plane of values, and no weights, are all 0 or 1."""
    planes = {INPUT: sample.inputs, **sample.recorded}
    for layer in network:
        for c in layer.connections:
            from tests.accounts.torch_network import tensors

            kinds = carries_values(network, c, len(planes[c.source]))
            if c.operator != "identity" and any(v and bool(x.le(1).all() & x.ge(0).all())
                                                for v, x in zip(kinds, tensors(c, planes[c.source]), strict=True)):
                return False
            if np.isin(c.weights, (0, 1)).all():
                return False
    return True


def random_cases(seed: int, count: int, plain: bool = False) -> Iterator[tuple[Network, Sample]]:
    """Random networks and one sample of each; `plain`: without pooling."""
    rng = np.random.default_rng(seed)
    found = 0
    while found < count:
        network = random_network(rng, str(rng.choice(("rate", "bit_serial", "single_spike"))))
        inputs = random_input(rng, network.input)
        sample = Sample(inputs, forward(network, inputs)[0])
        folded_values = any(c.pool_mode == "folded" and network.source_coding(c) in ("direct", "hybrid")
                            for layer in network for c in layer.connections)
        pooled = any(c.pool > 1 for layer in network for c in layer.connections)
        synaptic = all(any(c.operator != "identity" for c in layer.connections) for layer in network)
        if tells_apart(network, sample) and synaptic and not folded_values and not (plain and pooled):
            found += 1
            yield network, sample


def strided() -> tuple[Network, Sample]:
    """A convolution of stride 2 and three rows behind another one: kernel and stride differ, and nothing is pooled."""
    rng = np.random.default_rng(3)
    theta = np.full(3, 40)
    first = Layer("a", (4, 7, 7), (Connection("input", "conv2d", (2, 7, 7), rng.integers(-7, 8, (4, 2, 3, 3)), 3, 1, 1),),
                  IntegrateAndFire("soft"), 3, theta)
    second = Layer("b", (6, 4, 4), (Connection("a", "conv2d", (4, 7, 7), rng.integers(-7, 8, (6, 4, 3, 3)), 3, 2, 1),),
                   IntegrateAndFire("soft"), 3, theta, bias=np.full((6, 1, 1), 3))
    network = Network(InputSpec((2, 7, 7)), (first, second))
    inputs = rng.integers(0, 32, (1, 7, 7, 2)).astype(np.int16)
    return network, Sample(inputs, forward(network, inputs)[0])


def without_leak(cases: Iterator[tuple[Network, Sample]]) -> list[tuple[Network, Sample]]:
    """Those whose neurons do not leak, as the replayed neuron does not."""
    kept = [(network, sample) for network, sample in cases if not any(getattr(n.neuron, "leak_shift", None) for n in network)]
    assert len(kept) >= 5
    return kept


def shipped(name: str) -> tuple[Network, list[Sample]]:
    with Trace.open(ROOT / "traces" / f"{name}.h5") as trace:
        return trace.network, [trace.sample(i) for i in range(2)]


def counted(network: Network, sample: Sample) -> dict[str, int]:
    """What SpikingJelly's counters say."""
    from spikingjelly.activation_based.op_counter import DispatchCounterMode, MACCounter, SynOpCounter

    from tests.accounts.torch_network import Replay

    synops, macs = SynOpCounter(), MACCounter()
    model = Replay(network, neurons=False)
    with DispatchCounterMode([synops, macs]), torch.no_grad():
        model(sample)
    return {"synops": synops.get_total(), "macs": macs.get_total()}


def ours(work: Work) -> dict[str, int]:
    return {"synops": sum(c.operations["spikes"] for c in work.synaptic), "macs": sum(c.value_macs for c in work.synaptic)}


def test_synaptic_operations_equal_spikingjellys_on_random_networks() -> None:
    spikes = 0
    for network, sample in random_cases(5, 15):
        found = ours(count_network(network, [sample]))
        assert found == counted(network, sample)
        spikes += found["synops"]
    assert spikes > 500


@pytest.mark.parametrize("name", SHIPPED[:3])
def test_synaptic_operations_equal_spikingjellys_on_shipped_traces(name: str) -> None:
    network, samples = shipped(name)
    for sample in samples:
        found = ours(count_network(network, [sample]))
        assert found["synops"] > 10_000
        assert found == counted(network, sample)


def test_the_simple_estimate_equals_spikingjellys() -> None:
    """But for additions that are SpikingJelly's own: its count of a convolution's accesses ends in a sum, which its counter of
    additions sees (`aten.sum`; nothing in the network sums)."""
    from spikingjelly.activation_based.op_counter import SimpleEnergyProfiler

    from tests.accounts.torch_network import Replay

    for network, sample in without_leak(random_cases(6, 12, plain=True)):
        profiler, model = SimpleEnergyProfiler(), Replay(network)
        profiler.bind_model(model)
        with profiler, torch.no_grad():
            model(sample)
        report = profiler.get_report()
        bill = account(SpikingJellySimple, "fp32").snn(count_network(network, [sample]))
        by_what = {line.what: line.count for line in bill}
        assert by_what["weight bytes"] == report.counts["weight_read_bytes"]
        assert by_what["bias bytes"] == report.counts["bias_read_bytes"]
        assert by_what["potential bytes"] == report.counts["neuron_state_read_bytes"] + report.counts["neuron_state_write_bytes"]
        own = sum(n for op, n in profiler.ac_counter.get_counts()["Global"].items() if "aten.sum" in str(op))
        assert total(bill) == pytest.approx(report.energy_total_pj - own * report.config.cost_config.e_ac_pj, rel=1e-12)


def lemaire(model: Any, *inputs: Any) -> Any:
    from spikingjelly.activation_based.op_counter import LemaireEnergyConfig, LemaireEnergyProfiler

    profiler = LemaireEnergyProfiler(config=LemaireEnergyConfig(strict=False))
    profiler.bind_model(model)
    with profiler, torch.no_grad():
        model(*inputs)
    return profiler.get_report()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_lemaires_account_equals_spikingjellys_of_snn_and_ann() -> None:
    from tests.accounts.torch_network import Replay, module, tensors

    account_ = account(Lemaire2022)
    for network, sample in [strided(), *without_leak(random_cases(7, 12, plain=True))]:
        work = count_network(network, [sample])
        report = lemaire(Replay(network), sample)
        bill = account_.snn(work)
        assert total(bill) == pytest.approx(report.total_pj, rel=1e-9)
        operations = sum(line.amount for line in bill if line.what in ("additions", "multiplications"))
        assert operations == pytest.approx(report.breakdown_pj["ops_pj"], rel=1e-9)
        # The ANN of this shape: the same modules on values.
        expected = 0.0
        for layer in network:
            for n, c in enumerate(w for w in layer.connections if w.operator != "identity"):
                planes = np.full((1, *c.source_shape[1:], c.source_shape[0]), 0.5)
                expected += lemaire(module(c, layer, n == 0), tensors(c, planes)[0]).total_pj
        assert total(account_.ann(work, None)) == pytest.approx(expected, rel=1e-9)


def effective(network: Network, samples: list[Sample]) -> dict[str, int]:
    work = count_network(network, samples)
    return {"macs": sum(c.effective["values"] for c in work.synaptic), "acs": sum(c.effective["spikes"] for c in work.synaptic)}


@pytest.mark.parametrize("name", SHIPPED)
def test_effective_operations_are_those_that_neurobench_counted(name: str) -> None:
    """Against recorded answers of NeuroBench 2.3.0; the test below makes them again where the package is installed."""
    network, samples = shipped(name)
    assert effective(network, samples) == json.loads(RECORDED.read_text())[name]
    bill = account(NeuroBench).snn(count_network(network, samples))
    assert total(bill) == sum(effective(network, samples).values()) / len(samples)


@pytest.mark.skipif(find_spec("neurobench") is None, reason="NeuroBench is not installed; its answers are recorded")
def test_neurobench_itself_gives_the_recorded_answers() -> None:
    answers = {name: neurobench_counts(*shipped(name)) for name in SHIPPED}
    assert answers == json.loads(RECORDED.read_text())
    for network, sample in random_cases(8, 10):
        assert neurobench_counts(network, [sample]) == effective(network, [sample])


def neurobench_counts(network: Network, samples: list[Sample]) -> dict[str, int]:
    """Effective operations by NeuroBench's own function, of all samples together."""
    from neurobench.metrics.utils.layers import single_layer_MACs

    from tests.accounts.torch_network import module, tensors

    counts = {"macs": 0, "acs": 0}
    for sample in samples:
        planes = {INPUT: sample.inputs, **sample.recorded}
        for layer in network:
            for n, c in enumerate(w for w in layer.connections if w.operator != "identity"):
                values = bool(carries_values(network, c, len(planes[c.source])).all())
                for row in tensors(c, planes[c.source], values):
                    operations, spiking = single_layer_MACs(row, module(c, layer, n == 0, values))
                    counts["acs" if spiking else "macs"] += operations
    return counts
