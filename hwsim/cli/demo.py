"""`hwsim demo`: the first minute, on the example traces."""

from __future__ import annotations

import typer

from hwsim.cli.common import JsonOption, print_json, print_table
from hwsim.examples import EXAMPLES, load_example
from hwsim.simulation import simulate
from hwsim.units import format_si, percent

app = typer.Typer(add_completion=False, rich_markup_mode=None)

SAMPLES = 8


@app.command()
def demo_command(as_json: JsonOption = False) -> None:
    """Replay a small network as bit planes, as rate code and as its ANN, and say what to try next."""
    results = {}
    for name in EXAMPLES:
        with load_example(name) as trace:
            results[name] = simulate(trace, samples=SAMPLES)
    if as_json:
        print_json({name: result.summary() for name, result in results.items()})
        return
    typer.echo(f"One network (Fashion-MNIST, 8,456 weights), {SAMPLES} images, in three forms. Numbers are per image.\n")
    print_table([{
        "form": f"{result.facts.coding} T={result.facts.timesteps}", "design": result.facts.arch,
        "latency": format_si(result.latency_s, "s"), "core uJ": f"{result.energy_pj['core'] / 1e6:.3g}",
        "system uJ": f"{result.energy_pj['system'] / 1e6:.3g}",
        "accuracy": percent(result.facts.accuracy_test_set),
        "mismatches": result.facts.mismatches,
    } for result in results.values()], left=("form", "design"))
    typer.echo("""
core: everything on the chip, leakage included. system: and the off-chip memory. accuracy: on the whole test set.
mismatches: outputs that differ from the recorded ones, of all layers.

Next:
  hwsim list                                            designs, example traces, price tables
  hwsim run TRACE.h5 --out run                          one trace in detail, with figures
  hwsim compare TRACE.h5 ANN.h5 --arch event_core_64    codings, schedules and ANN baselines side by side
  hwsim arch new my_core -o my_core.yaml                a design of your own to edit""")
