"""The steps of `python -m benchmarks.headlines`, in the order in which they run: what is chosen before what is measured on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.headlines import baselines, designs, figures, flips, methods, pages


@dataclass(frozen=True)
class Step:
    """`make` gets a folder to work in, and gives the blocks of `page` by name; without a page it has written what it makes.

    usual   whether it runs where no step is named.
    """

    name: str
    page: str | None
    writes: str
    takes: str
    make: Callable[[Path], dict[str, str]]
    usual: bool = True


STEPS = (
    Step("search", "docs/sweeps.md", "arch_configs of the eight reference designs, and the default for a trace", "2 to 10 min",
         designs.search),
    Step("winners", "docs/sweeps.md", "the reference designs on the network that they were not chosen on, 64 samples", "1 min",
         designs.winners),
    Step("shift", "docs/sweeps.md", "bit planes shifted at the weight or at the membrane", "15 s", designs.shift),
    Step("methods", "docs/methods.md", "energies of the conversion methods whose traces are in the tree; accuracies stay",
         "3 min", methods.methods),
    Step("rivals", "docs/baselines.md", "two designs against every ANN machine, 16 samples", "45 s", baselines.rivals),
    Step("flips", "docs/baselines.md", "who wins when dataflow, profile, ports, supply, rate or account change, 8 samples",
         "30 s", flips.flips),
    Step("published", "docs/baselines.md", "published pJ per synaptic operation beside ours", "10 s", baselines.published),
    Step("readme", "README.md", "the best design of each code, as in the table of winners", "10 s", pages.readme),
    Step("figures", None, "docs/figures: accuracy against energy, energy, latency; 16 samples", "20 s", figures.figures),
    Step("claims", None, "docs/claims.md and its figure, by hwsim claims", "1 min", pages.claims),
    Step("accounts", None, "docs/assumptions-of-others.md, by hwsim assume", "30 s", pages.assumptions),
    Step("notebooks", None, "the notebooks, executed", "5 min", pages.notebooks),
    Step("schedules", None, "docs/schedules-table.md and docs/figures/cores.png, by benchmarks/schedules.py", "15 min",
         pages.schedules, usual=False),
)
