"""Random designs as Programs, and both engines on them: what tests of agreement and laws draw from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from hwsim.arch import Architecture
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.mapping import MappingError
from hwsim.program import Program, ProgramError
from hwsim.record import SampleRecord
from hwsim.simulation import make_program
from hwsim.snn.network import Network
from hwsim.snn.sample import Sample
from tests.engine.random_designs import random_architecture, random_network, random_sample

Rng = np.random.Generator
CODINGS = ("rate", "rate", "bit_serial", "quantised", "two_stage", "single_spike", "hybrid")


class Drawn(NamedTuple):
    """A random Program, what it was made from, and the generator that goes on."""

    program: Program
    network: Network
    arch: Architecture
    schedule: str
    rng: Rng


def draw_design(
    seed: int, codings: Sequence[str] = CODINGS, design: Callable[[Rng, Network, str], Architecture] = random_architecture,
    refusal: type[ProgramError] = MappingError, apart: bool = False,
) -> Drawn | None:
    """A random Program of the coding that the seed chooses, or None when it is rightly refused.

    refusal   by what: the mapping alone, or any check of the Program.      apart  as for random_network.
    """
    rng = np.random.default_rng(seed)
    coding = codings[seed % len(codings)]
    network = random_network(rng, coding, apart)
    arch = design(rng, network, coding)
    schedule = "layer_by_layer" if coding == "bit_serial" or rng.random() < 0.5 else "step_by_step"
    try:
        return Drawn(make_program(network, arch, schedule), network, arch, schedule, rng)
    except refusal:
        return None


def check_both_engines(program: Program, rng: Rng, same: Callable[[SampleRecord, SampleRecord, Program], None]) -> None:
    """Both engines, and the fast one without logs, by `same`, for recorded and for computed spikes."""
    for sample, spikes, reference, fast in both_engines(program, rng, ("trace", "computed")):
        same(fast, reference, program)
        quick = FastEngine().run_sample(program, sample, spikes)
        quick.logs = fast.logs
        same(quick, reference, program)


def both_engines(program: Program, rng: Rng, orders: Sequence[str]) -> Iterator[tuple[Sample, str, SampleRecord, SampleRecord]]:
    """For each source of spikes a random sample, the source, and the records of the reference and of the fast engine."""
    for spikes in orders:
        sample = random_sample(rng, program.network)
        reference = ReferenceEngine().run_sample(program, sample, spikes, record=True)
        yield sample, spikes, reference, FastEngine().run_sample(program, sample, spikes, record=True)
