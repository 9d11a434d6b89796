"""Messages and hops of hwsim's links beside those that SANA-FE counts, on the same placement and the same spikes.

    pip install sanafe
    python benchmarks/sanafe_hops.py [--trace traces/fashion_mnist_rate_t4.h5] [--cores 6] [--samples 1]

SANA-FE (Boyle et al.) gets a mesh of tiles with one core each, every layer on the core where hwsim places it, neurons that spike
as recorded, and one synapse from each neuron to each layer that reads it: enough for a message per spike and reading core. hwsim
replays the same trace with `encoding: aer` and flits of one message. SANA-FE sends a message to each core by itself, while a
transfer here holds a link that several paths share once (multicast), and it knows no end-of-timestep marks: both are told apart.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.schedules import chip
from hwsim.activity import INDEX
from hwsim.arch import Architecture
from hwsim.chip.network import route, tree
from hwsim.chip.placement import placement_of
from hwsim.program import Transfer
from hwsim.simulation import make_program, placed_for, simulate
from hwsim.trace.reader import Trace

MESSAGE_BITS = 32


def mesh_of(trace: Trace, cores: int) -> Architecture:
    """The chip of benchmarks/schedules.py with a flit for each message, its layers placed."""
    links = {"encoding": "aer", "address_bits": MESSAGE_BITS - 8, "header_bits": 8}
    return placed_for(chip("event_core_64", cores, trace.network, "cores", flit_bits=MESSAGE_BITS, **links), trace)


def ours(trace: Trace, arch: Architecture, samples: int) -> Counter[str]:
    """Messages and hops of what layers send to each other, as the engine counted them, without end-of-timestep marks."""
    result = simulate(trace, arch, schedule="pipelined", samples=samples, check=False)
    program = make_program(trace.network, arch, "pipelined")
    mesh = program.mesh
    assert mesh is not None
    bits = dict(zip(result.operations["op"], result.operations["bits"] * samples, strict=True))
    flits_held = result.operation_counts[:, :, INDEX["link_hops"]].sum(axis=1)
    found: Counter[str] = Counter()
    for op in program.operations:
        if not isinstance(op, Transfer) or op.kind != "send":
            continue
        links, at = len(tree(mesh, op.source, op.targets).links), mesh.node_of
        spikes = round((float(bits[op.id]) - mesh.header_bits * samples) / MESSAGE_BITS)
        found["spikes that are sent"] += spikes
        found["messages"] += spikes * len(op.targets)
        found["hops, a message to each core"] += spikes * sum(len(route(at[op.source], at[target])) for target in op.targets)
        found["hops, multicast"] += int(flits_held[op.id]) - samples * links
    return found


def theirs(sanafe: Any, trace: Trace, arch: Architecture, samples: int) -> Counter[str]:
    """The same of SANA-FE, from its performance trace."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mesh.yaml"
        path.write_text(their_mesh(arch, {layer.name: layer.shape[0] * layer.shape[1] * layer.shape[2] for layer in trace.network
                                          if layer.sends}))
        chip = sanafe.load_arch(str(path))
    mesh, placement = arch.mesh_spec(), placement_of(arch, trace.network)
    assert mesh is not None
    # Its tiles are numbered along y first.
    core_of = {name: chip.cores()[x * mesh.size[1] + y] for name, (x, y) in mesh.nodes if name in arch.core_names}
    found: Counter[str] = Counter()
    for index in range(samples):
        network, sinks, senders = sanafe.Network(), {}, {}
        recorded = trace.sample(index).recorded
        for layer in trace.network:  # first of all: a neuron that integrates must be among the first 1,024 of its core
            sinks[layer.name] = network.create_neuron_group(
                f"{layer.name}_sink", 1, soma_hw_name="lif", default_synapse_hw_name="synapse",
                model_attributes={"threshold": 1e12})
            sinks[layer.name].neurons[0].map_to_core(core_of[placement[layer.name][0]])
        for layer in trace.network:
            sources = {wire.source for wire in layer.connections} & set(senders)
            for neuron in (one for source in sorted(sources) for one in senders[source].neurons):
                neuron.connect_to_neuron(sinks[layer.name].neurons[0], {"weight": 1.0})
            if layer.name in recorded:
                planes = recorded[layer.name].reshape(layer.timesteps, -1).astype(bool)
                senders[layer.name] = network.create_neuron_group(layer.name, planes.shape[1], default_synapse_hw_name="synapse")
                for n, neuron in enumerate(senders[layer.name].neurons):
                    # A unit of inputs holds one train of spikes, so each neuron needs one of its own.
                    neuron.set_attributes(soma_hw_name=f"{layer.name}[{n}]", model_attributes={"spikes": planes[:, n].tolist()})
                    neuron.map_to_core(core_of[placement[layer.name][0]])
        machine = sanafe.SpikingChip(chip)
        machine.load(network)
        seen = machine.sim(trace.timesteps + 2, perf_trace=True)["perf_trace"]
        found["spikes that are sent"] += int(sum(seen["fired"]))
        found["messages"] += int(sum(seen["spikes"]))
        found["hops, a message to each core"] += int(sum(seen["hops"]))
    return found


def their_mesh(arch: Architecture, neurons: dict[str, int]) -> str:
    """A mesh of tiles with a core each in SANA-FE's language, where nothing costs anything; `neurons` of each layer."""
    mesh = arch.mesh_spec()
    assert mesh is not None
    width, height = mesh.size
    hops = {f"{what}_{side}_hop": 0.0 for what in ("energy", "latency") for side in ("north", "east", "south", "west")}
    soma = {f"{what}_{done}": 0.0 for what in ("energy", "latency") for done in ("access_neuron", "update_neuron", "spike_out")}
    units = {
        "axon_in": [("axon_in", {"energy_message_in": 0.0, "latency_message_in": 0.0})],
        "soma": [*((f"{name}[0..{count - 1}]", {"model": "input", **soma}) for name, count in neurons.items()),
                 ("lif", {"model": "leaky_integrate_fire", **soma})],
        "dendrite": [("dendrite", {"model": "accumulator", "energy_update": 0.0, "latency_update": 0.0})],
        "synapse": [("synapse", {"model": "current_based", "energy_process_spike": 0.0, "latency_process_spike": 0.0})],
        "axon_out": [("axon_out", {"energy_message_out": 0.0, "latency_message_out": 0.0})]}
    limits = {"buffer_position": "soma", "buffer_inside_unit": False, "max_neurons_supported": 1 << 20}
    core = {"name": "core", "attributes": limits,
            **{unit: [{"name": name, "attributes": fields} for name, fields in members] for unit, members in units.items()}}
    return json.dumps({"architecture": {
        "name": "mesh", "attributes": {"topology": "mesh", "width": width, "height": height, "link_buffer_size": 16,
                                       "sync_model": "fixed", "latency_sync": 0.0},
        "tile": [{"name": f"tile[0..{width * height - 1}]", "attributes": hops, "core": [core]}]}})


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--trace", default=str(ROOT / "traces" / "fashion_mnist_rate_t4.h5"))
    options.add_argument("--cores", type=int, help="default: one for each layer")
    options.add_argument("--samples", type=int, default=1)
    given = options.parse_args()
    try:
        sanafe = import_module("sanafe")
    except ImportError:
        sys.exit("sanafe is not installed: pip install sanafe")
    with Trace.open(given.trace) as trace:
        arch = mesh_of(trace, given.cores or len(trace.network.layers))
        mine, other = ours(trace, arch, given.samples), theirs(sanafe, trace, arch, given.samples)
        print(f"{trace.name}, {given.samples} samples, {len(arch.core_names)} cores: {placement_of(arch, trace.network)}\n")
        print("| what | hwsim | SANA-FE | difference |\n|---|---|---|---|")
        for what, count in mine.items():
            print(f"| {what} | {count:,} | " + (f"{other[what]:,} | {other[what] - count:,} |" if what in other else "- | - |"))


if __name__ == "__main__":
    main()
