"""What a schedule declares, so that mapping and simulation can ask it instead of knowing its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwsim.schedules.listing import Discipline
from hwsim.snn.network import Network

if TYPE_CHECKING:
    from hwsim.mapping import Mapping
    from hwsim.program import Program


@dataclass(frozen=True)
class Schedule:
    """The order in which a mapped network's work is done.

    name           as in results.        short   as in narrow tables.
    build          Mapping -> Program of one sample.
    states_wait    potentials of a layer wait while other layers run, so all of them need room, or are spilled.
    planes_wait    planes of `timesteps` that a layer's buffer holds at once.
    misfits        reasons why a network cannot run in this order, whatever the hardware.

    On a chip with a network of links its list is C9's:
    discipline     in which order the list is taken; None: it has no such list.
    apart          each timestep is a run of its own, where the neurons allow it; else a run covers all timesteps of its tile.
    needs_links    it runs on such chips only.
    stays          cores must hold the states of their layers, and their weights unless the network streams them.
    """

    name: str
    short: str
    build: Callable[[Mapping], Program]
    states_wait: bool
    planes_wait: Callable[[int], int]
    misfits: Callable[[Network], list[str]]
    discipline: Discipline | None = None
    apart: bool = False
    stays: bool = False
    needs_links: bool = False

    def items(self, network: Network) -> int:
        """How often each layer runs per sample on a chip with a network of links: its timesteps, or once."""
        return max(layer.timesteps for layer in network) if self.apart and runs_in_time(network) else 1

    def links_misfits(self, links: bool) -> list[str]:
        """Why it does not run on a chip with, or without, a network of links."""
        if links and self.discipline is None:
            return [f"{self.name} has no list for a network of links; leave `network` out"]
        if self.needs_links and not links:
            return [f"{self.name} runs on chips with a network of links only; give the architecture `network`, "
                    "a chip of one core too"]
        return []


def runs_in_time(network: Network) -> bool:
    """Whether every layer can give a timestep before it has seen a later one."""
    return all(layer.neuron.in_time for layer in network) and not network.input.weighs_planes


def same_timesteps(network: Network) -> list[str]:
    """Why the layers' timesteps do not go together one by one; empty where they do."""
    steps = {layer.timesteps for layer in network if layer.sends}
    return [f"layers differ in timesteps ({sorted(steps)})"] if len(steps) > 1 else []
