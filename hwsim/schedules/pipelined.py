"""Pipelined: every core works as soon as what it reads has arrived, on a chip with a network of links.

Rate codes are pipelined by timestep: a layer works on timestep t while the next one works on t - 1. Where a layer needs all
planes of what it reads (bit planes), or has only one (values), samples are pipelined by row tiles: a layer begins when the rows
that its first tile reads are there. Cores hold the states of their layers, and their weights unless the network streams them.
"""

from __future__ import annotations

from hwsim.mapping import Mapping
from hwsim.program import Program, ProgramError
from hwsim.schedules import listing
from hwsim.schedules.base import Schedule, runs_in_time, same_timesteps
from hwsim.snn.network import Network


def _misfits(network: Network) -> list[str]:
    if not runs_in_time(network):
        return []
    return [f"{text}; pipelined by timestep needs one T, use layer_by_layer" for text in same_timesteps(network)]


def _never(mapping: Mapping) -> Program:
    raise ProgramError(f"{mapping.arch.name} has no network of links, and there is no other list of pipelined than that of C9")


PIPELINED = Schedule(
    name="pipelined", short="pipe", build=_never, states_wait=True,
    planes_wait=lambda timesteps: 1, misfits=_misfits, discipline=listing.PIPELINED, apart=True, stays=True, needs_links=True)
