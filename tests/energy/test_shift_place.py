"""Where a bit-serial core shifts: at the weight, once per synapse, or at the membrane, once per neuron and plane.

Paper 000 (6.3) has it at the output. Counts follow in closed form from shapes and spikes; energies of lanes from gates.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import hwsim
from hwsim.arch import Architecture
from hwsim.cores.event.fields import EventDesign
from hwsim.result import Result
from hwsim.simulation import simulate
from hwsim.snn.network import INPUT, Connection
from hwsim.trace.reader import Trace
from tests.conftest import ROOT

RESNET = ROOT / "traces" / "methods" / "cifar10_resnet20_bit_serial_t4.h5"
TINY = ROOT / "traces" / "methods" / "fashion_mnist_tiny_bit_serial_t4.h5"
CAUTIONARY = {"event_core_64", "event_core_64_x4", "event_core_64_x16"}
"""The example of what not to build, and chips of it (docs/sweeps.md)."""


def fan_out(wire: Connection, outputs: int, height: int, width: int) -> NDArray[np.int64]:
    """Synapses of a neuron at each row and column of a source: every output position marks the inputs that it sees.

    Nothing of an engine is in it. Grouped convolutions and channels that an identity drops are not in these networks.
    """
    _, rows, columns = wire.source_shape
    pool, place = wire.pool, (0 if wire.operator != "conv2d" else wire.padding)
    kernel = wire.kernel if wire.operator == "conv2d" else 1
    seen = np.zeros((rows // pool, columns // pool), np.int64)
    for y in range(height) if wire.operator != "linear" else ():
        for x in range(width):
            top, left = y * wire.stride - place, x * wire.stride - place
            seen[max(top, 0):top + kernel, max(left, 0):left + kernel] += outputs if wire.operator == "conv2d" else 1
    if wire.operator == "linear":
        seen += outputs
    whole = np.zeros((rows, columns), np.int64)
    large = np.repeat(np.repeat(seen, pool, 0), pool, 1)
    whole[: large.shape[0], : large.shape[1]] = large
    return whole


def closed_form(trace: Trace, samples: int) -> dict[str, float]:
    """Shifts per sample by place. `weight`: one per synapse of each spike, but of the plane that weighs one. `membrane`: one per
    neuron and plane but the last, of every layer that planes reach."""
    weight = membrane = 0
    for layer in trace.network:
        spiking = [wire for wire in layer.connections if wire.source != INPUT]
        if not spiking:
            continue
        membrane += (layer.timesteps - 1) * int(np.prod(layer.shape))
        for wire in spiking:
            synapses = fan_out(wire, *layer.shape)
            for index in range(samples):
                spikes = (trace.sample(index).recorded[wire.source] != 0).sum(axis=3)  # (T, H, W), the least plane last
                weight += int((spikes[:-1] * synapses).sum())
    return {"weight_shift": weight / samples, "membrane_shift": float(membrane)}


def replayed(design: Architecture, place: str, trace: Trace, samples: int) -> Result:
    return simulate(trace, design.with_core(shift_at=place), samples=samples)


@pytest.mark.parametrize(("path", "samples"), [(TINY, 3), pytest.param(RESNET, 2, id="resnet20")])
def test_shifts_of_each_place_are_the_closed_form(path: Path, samples: int) -> None:
    design = hwsim.load_architecture("event_core_64_flags")
    with Trace.open(path) as trace:
        wanted = closed_form(trace, samples)
        for place, other in (("weight", "membrane"), ("membrane", "weight")):
            result = replayed(design, place, trace, samples)
            counts = result.activity.groupby("event")["count"].sum()
            assert result.mismatches == 0
            assert counts[f"{place}_shift"] == pytest.approx(wanted[f"{place}_shift"])
            assert f"{other}_shift" not in counts
    assert wanted["membrane_shift"] < wanted["weight_shift"] / 5


def test_arithmetic_of_resnet_20_is_the_papers_kind_of_number() -> None:
    """2.3 instead of 3.9 uJ for arithmetic, at the papers' prices: only the shifts differ."""
    design = hwsim.load_architecture("event_core_64_flags")
    with Trace.open(RESNET) as trace:
        found = {place: replayed(design, place, trace, 2).energy_pj["compute"] / 1e6 for place in ("weight", "membrane")}
    assert found["weight"] == pytest.approx(3.8, abs=0.15)
    assert found["membrane"] == pytest.approx(2.25, abs=0.1)


def takes_single_planes(design: object) -> bool:
    return isinstance(design, EventDesign) and not design.core.requantises and not design.merges_planes


def test_shipped_designs_shift_where_the_paper_has_it() -> None:
    found = {}
    for path in sorted((ROOT / "arch_configs").glob("*.yaml")):
        arch = hwsim.load_architecture(path.stem)
        places = {one.core.shift_at for one in arch.cores if takes_single_planes(one)}
        if places:
            found[arch.name] = places
    assert len(found) > 8
    assert {name for name, places in found.items() if places != {"membrane"}} == CAUTIONARY
