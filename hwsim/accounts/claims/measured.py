"""The claims on shipped traces: ratios under the papers' own accounts and on hwsim's machines, activity, shares, sums without
a spike.

Traces are those of each paper's method (`traces/`), each with the ANN that its network was converted from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwsim.accounts.assume import Assumed, assume
from hwsim.accounts.base import AccountError, total
from hwsim.accounts.claims.potentials import Accesses, accesses
from hwsim.accounts.claims.verdicts import Checked
from hwsim.accounts.work import count_work
from hwsim.activity import SCOPES
from hwsim.snn.forward import pool
from hwsim.snn.network import INPUT
from hwsim.trace.reader import Trace

SAMPLES = 2
PAIRS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "000": (("fashion_mnist_bit_serial_t4", "fashion_mnist_ann"),
            ("methods/cifar10_resnet20_bit_serial_t4", "methods/cifar10_resnet20_ann_t4")),
    "001": (("methods/cifar10_resnet20_alpha_beta_tuned_t2", "methods/cifar10_resnet20_ann_t4"),),
    "004": (("methods/cifar10_resnet20_single_spike_t5", "methods/cifar10_resnet20_ann_t4"),),
}
"""By paper, the traces of its method and of the ANN, below the folder of traces."""
RATES = ("fashion_mnist_rate_t4", "fashion_mnist_rate_t8", "fashion_mnist_rate_t16", "fashion_mnist_bit_serial_t4")
PLANES = ("fashion_mnist_bit_serial_t4", "methods/cifar10_resnet20_bit_serial_t4", "methods/cifar10_vgg16_bit_serial_t4")


@dataclass(frozen=True)
class OnTraces:
    """What was measured. `ratios`: by claim and trace, by account, the ANN's energy over the SNN's (None: it lacks an input)."""

    ratios: dict[tuple[str, str], dict[str, float | None]]
    activity: dict[str, tuple[float, float]]
    """By trace: spikes per neuron, all steps and per step."""
    shares: dict[str, dict[str, float]]
    """By trace: percent of paper 000's bill (8 bits) that each line is."""
    silent: dict[str, float]
    """By trace: percent of the sums behind the first layer, over neurons and steps, that no spike reaches."""
    accesses: list[Accesses]
    """Accesses to potentials against T and sparsity; empty where nothing was simulated."""


def on_traces(
    claims: tuple[Checked, ...], folder: Path, simulated: bool = True, progress: Callable[[int, int], None] | None = None
) -> OnTraces:
    """Measure the claims on the traces below `folder`. Raises AccountError where one is not there."""
    wanted = [c for c in claims if c.machines]
    found: dict[tuple[str, str], Assumed] = {}
    pairs = [(paper, pair) for paper in PAIRS for pair in PAIRS[paper]]
    for done, (paper, (snn, ann)) in enumerate(pairs):
        found[paper, snn] = assume(_there(folder, snn), _there(folder, ann), samples=SAMPLES, simulated=simulated)
        if progress:
            progress(done + 1, len(pairs))
    ratios = {(c.name, snn): _ratios(found[c.claim.paper, snn], c, simulated)
              for c in wanted for snn, _ in PAIRS[c.claim.paper]}
    activity, shares, silent = {}, {}, {}
    for name in dict.fromkeys((*RATES, *PLANES)):
        with Trace.open(_there(folder, name)) as trace:
            work = count_work(trace, SAMPLES)
            if name in RATES:
                activity[name] = (work.spikes_per_neuron, work.spikes_per_neuron / work.timesteps)
            if name in PLANES:
                silent[name] = silent_sums(trace, SAMPLES)
        if name in PLANES:
            bill = assume(_there(folder, name), samples=SAMPLES, simulated=False).row("datta2024_int8_half").snn
            shares[name] = {line.what: 100 * line.amount / total(bill) for line in bill}
    found_accesses: list[Accesses] = []
    if simulated:
        with Trace.open(_there(folder, RATES[0])) as trace:
            found_accesses = accesses(trace, SAMPLES)
    return OnTraces(ratios, activity, shares, silent, found_accesses)


def silent_sums(trace: Trace, samples: int) -> float:
    """Percent of the sums of convolutions and linear connections behind the first layer that get no event in a step."""
    silent = sums = 0
    for index in range(samples):
        sample = trace.sample(index)
        for layer in trace.network:
            for c in layer.connections:
                if c.source == INPUT or c.operator == "identity" or c.groups > 1:
                    continue
                events = (pool(c, sample.recorded[c.source]) != 0).sum(axis=3)
                if c.operator == "linear":
                    reached = events.sum(axis=(1, 2))
                else:
                    y, x = c.axes
                    padded = np.pad(events, ((0, 0), (y.padding, y.padding), (x.padding, x.padding)))
                    windows = np.lib.stride_tricks.sliding_window_view(padded, (y.kernel, x.kernel), axis=(1, 2))
                    reached = windows[:, :: y.stride, :: x.stride].sum(axis=(3, 4))
                silent += int((reached == 0).sum()) * layer.shape[0]
                sums += reached.size * layer.shape[0]
    return 100 * silent / sums


def _ratios(found: Assumed, claim: Checked, simulated: bool) -> dict[str, float | None]:
    machines = [f"hwsim_{machine}_{scope}" for machine in claim.machines for scope in SCOPES]
    return {name: found.row(name).ratio for name in (*claim.claim.accounts, *(machines if simulated else ()))}


def _there(folder: Path, name: str) -> Path:
    path = folder / f"{name}.h5"
    if not path.is_file():
        raise AccountError(f"{path}: no such trace; claims are measured on hwsim's shipped traces: give their folder with "
                           "--traces, or leave --traces out for the formulas alone")
    return path
