"""What the command line says of chips with a network: where layers are, how busy cores and links are, and samples in a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from hwsim.chip.placement import idle_cores, shares_of, weight_bits
from hwsim.cli.common import print_table
from hwsim.units import format_bits, format_si

if TYPE_CHECKING:
    from hwsim.arch import Architecture
    from hwsim.result import Result
    from hwsim.snn.network import Network
    from hwsim.stream import Stream

SHOWN = 6
"""Resources that are listed, the busiest first."""


def placement_rows(arch: Architecture, network: Network) -> list[dict[str, Any]]:
    """One row per core that computes anything of a layer: layer, core, node, channels, rows or columns, and how many of them are
    spare where slices are padded. Needs a placed chip, and the network as it is laid out there."""
    mesh, what = arch.mesh_spec(), "rows" if arch.network is None else arch.network.slices
    rows = []
    padded = arch.network is not None and arch.network.pad_slices
    for layer, share in zip(network, shares_of(arch, network), strict=True):
        for core, part in share.items():
            rows.append({
                "layer": layer.name, "core": core, "node": "-" if mesh is None else "{},{}".format(*mesh.node_of[core]),
                "channels": _span(part.channels, layer.shape[0]), what: _span(part.rows, layer.shape[1]),
                **({"spare": part.spare_rows} if padded else {})})
    return rows


def _span(span: tuple[int, int], size: int) -> str:
    return "all" if span == (0, size) else f"{span[0]}-{span[1] - 1}"


def print_placement(arch: Architecture, network: Network) -> None:
    """The table of a placement, what each core's weight memory is asked for, and cores with nothing to do."""
    print_table(placement_rows(arch, network), left=("layer", "core", "node", "channels", "rows", "columns"))
    typer.echo("")
    print_table(_core_rows(arch, network), left=("core", "node", "layers"))
    for layer, cores in idle_cores(arch, network):
        typer.echo(f"\nlayer {layer} has too few rows and groups of channels for its cores: none is left for {', '.join(cores)}")


def _core_rows(arch: Architecture, network: Network) -> list[dict[str, Any]]:
    mesh, shares = arch.mesh_spec(), shares_of(arch, network)
    rows = []
    for name in arch.core_names:
        design = arch.design_of(name)
        mine = [(layer, share[name]) for layer, share in zip(network, shares, strict=True) if name in share]
        weights = sum(weight_bits(layer, part, design) for layer, part in mine)
        rows.append({"core": name, "node": "-" if mesh is None else "{},{}".format(*mesh.node_of[name]), "lanes": design.pe_count,
                     "weights": format_bits(weights), "there is room for": format_bits(design.capacities.get("weight", 0)),
                     "layers": " ".join(layer.name for layer, _ in mine) or "-"})
    return rows


def print_busy(result: Result) -> None:
    """How busy cores and links are, the busiest first."""
    frame = result.busy_frame.sort_values(["share", "resource"], ascending=[False, True])
    shown = [f"{name} {100 * share:.0f} %" for name, share in zip(frame["resource"], frame["share"], strict=True)]
    typer.echo("\nbusy          " + ", ".join(shown[:SHOWN]) + (f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""))


def print_stream(stream: Stream, result: Result) -> None:
    """The steady period beside its bound, and energies in the steady state."""
    name, bound = stream.bound
    clock = result.architecture.clock
    energy = {scope: format_si(pj * 1e-12, "J") for scope, pj in stream.energy_pj(result).items()}
    free, period = sum(stream.free) / sum(stream.alone), stream.free_period_cycles / stream.period_cycles
    busiest = ", ".join(f"{one} {100 * share:.0f} %" for one, share in list(stream.utilisation().items())[:SHOWN])
    for title, text in (
        ("back to back", f"{stream.samples} samples, one every {stream.period_cycles:,.0f} cycles "
                         f"({format_si(clock / stream.period_cycles, 'Hz')})"),
        ("bound", f"{bound:,.0f} cycles, which {name} works per sample"),
        ("links", f"if they cost nothing, a sample alone would take {free:.3f} of its cycles, and follow in {period:.3f}"),
        ("energy", f"in the steady state {energy['compute']} compute, {energy['core']} core, {energy['system']} system"),
        ("busy", busiest),
    ):
        typer.echo(f"{title:<13} {text}")
