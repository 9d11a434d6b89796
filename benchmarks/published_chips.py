"""What Loihi 1 and Loihi 2 are said to take per operation, beside what the designs after them take here. Nothing is fitted.

    python benchmarks/published_chips.py

One core of `loihi_1_like` and `loihi_2_like` runs a layer of 256 x 256 synapses three times: without any event, with events, and
with a spike of every neuron. Differences give a synaptic operation, a neuron's update and an update with a spike: dynamic energy
of the core scope (no leakage), and time. What a design was given from the same source is marked, since it cannot be wrong.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from hwsim.activity import SCOPES
from hwsim.arch import Architecture, load_architecture
from hwsim.cost.area import area_mm2
from hwsim.cost.energy import LEAKAGE, leakage
from hwsim.cost.links import link_price
from hwsim.simulation import simulate
from hwsim.trace.reader import Trace

INPUTS, NEURONS, STEPS = 256, 256, 8
DAVIES = "Davies 2018, table 2, as quoted by others"


class Row(NamedTuple):
    """A published number beside ours; `given`: the design has it from the source."""

    what: str
    unit: str
    published: str
    ours: float
    given: bool = False


class Taken(NamedTuple):
    """Dynamic picojoules and nanoseconds."""

    pj: float
    ns: float

    def minus(self, other: Taken, count: int) -> Taken:
        return Taken((self.pj - other.pj) / count, (self.ns - other.ns) / count)


def one_core(name: str) -> Architecture:
    """A core of the chip by itself, without network, barrier and channel latency."""
    return load_architecture(name).view("core0").model_copy(update={"network": None})


def run(arch: Architecture, events: int, spikes: bool) -> Taken:
    """A layer of INPUTS x NEURONS synapses for STEPS timesteps, `events` inputs in each of them."""
    inputs = np.zeros((1, STEPS, INPUTS, 1, 1), bool)
    inputs[:, :, :events] = True
    sent = np.full((1, STEPS, NEURONS, 1, 1), spikes)
    layer = {"name": "layer", "operator": "linear", "shape": (NEURONS, 1, 1), "thresholds": 1 << 20}
    result = simulate(Trace.from_arrays(inputs, [layer], {"layer": sent}), arch, check=False)
    frame = result.energy[(result.energy["scope"] != SCOPES[-1]) & (result.energy["unit"] != LEAKAGE)]
    busy = result.cycles_frame[(result.cycles_frame["resource"] == "core") & (result.cycles_frame["cause"] != "wait")]
    return Taken(float(frame["energy_pj"].sum()), float(busy["cycles"].sum()) * arch.period_ns)


def operations(arch: Architecture) -> tuple[Taken, Taken, Taken]:
    """A synaptic operation, a neuron's update without a spike, and with one."""
    silent, busy, firing = run(arch, 0, False), run(arch, INPUTS // 2, False), run(arch, 0, True)
    updates = STEPS * NEURONS
    return busy.minus(silent, updates * INPUTS // 2), silent.minus(Taken(0, 0), updates), firing.minus(Taken(0, 0), updates)


def hop_pj(name: str, links: str) -> float:
    """One message, address and header, over one link and through one router, by another table of links."""
    chip = load_architecture(name)
    one = chip.view("core0")
    one = one.model_copy(update={"technology": one.technology.model_copy(update={"links": links})})
    assert one.network is not None
    bits = one.network.address_bits + one.network.header_bits
    per_bit, per_flit = (link_price(one, event, lambda: area_mm2(one_core(name))).pj for event in ("link_bits", "link_hops"))
    return bits * per_bit + -(-bits // (one.network.flit_bits or bits)) * per_flit


def loihi_1() -> Iterator[Row]:
    arch = one_core("loihi_1_like")
    chip = load_architecture("loihi_1_like")
    synapse, update, spike = operations(arch)
    yield Row("synaptic operation, energy", "pJ", "23.6", synapse.pj)
    yield Row("synaptic operation, time", "ns", "3.5", synapse.ns, given=True)
    yield Row("neuron update without a spike, energy", "pJ", "52", update.pj)
    yield Row("neuron update without a spike, time", "ns", "5.3", update.ns)
    yield Row("neuron update with a spike, energy", "pJ", "81", spike.pj)
    yield Row("neuron update with a spike, time", "ns", "8.4", spike.ns)
    yield Row("hop of a spike, energy, table `loihi`", "pJ", "3.5", hop_pj("loihi_1_like", "loihi"), given=True)
    yield Row("hop of a spike, energy, table `noxim`", "pJ", "3.5", hop_pj("loihi_1_like", "noxim"))
    assert chip.network is not None
    yield Row("hop, time (east or west 4.1, north or south 6.5)", "ns", "5.3", chip.network.hop_cycles * chip.period_ns)
    yield Row("barrier of 32 tiles, time", "ns", "465", (chip.network.barrier_cycles or 0) * chip.period_ns, given=True)
    yield Row("static power per core (published: at most)", "mW", "0.815", float(leakage(arch)["leakage_mw"].sum()))


def loihi_2() -> Iterator[Row]:
    synapse, update, _ = operations(one_core("loihi_2_like"))
    yield Row("synaptic operation, time", "ns", "0.70", synapse.ns, given=True)
    yield Row("neuron update, time (twice as fast as Loihi 1)", "ns", "2.65", update.ns)
    yield Row("synaptic operation, energy (published: PilotNet's dynamic energy over its operations, with updates "
              "and messages, first run)", "pJ", "15.3", synapse.pj)
    yield Row("the same, third run", "pJ", "29.8", synapse.pj)


def main() -> None:
    for name, source, rows in (
        ("loihi_1_like", DAVIES, loihi_1()),
        ("loihi_2_like", "Intel's brief in a third party's copy; PilotNet in lava-dl's notebooks", loihi_2()),
    ):
        print(f"\n{name} beside {source}\n\n| what | published | ours | error |\n|---|---|---|---|")
        for row in rows:
            error = "given" if row.given else f"{100 * (row.ours / float(row.published) - 1):+.0f} %"
            print(f"| {row.what} | {row.published} {row.unit} | {row.ours:.3g} {row.unit} | {error} |")


if __name__ == "__main__":
    main()
