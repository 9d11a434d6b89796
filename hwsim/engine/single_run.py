"""One run of a trace by itself: which operation of the Program it is, and what it was fed, for vectors, RTL and testbenches.

Its tokens come from the reference engine's buffers as a list, which either engine or the hardware can be given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwsim.engine import make_engine
from hwsim.engine.reference.tokens import run_stream
from hwsim.errors import HwsimError
from hwsim.program import CoreRun, Program, Run
from hwsim.record import CoreReplay
from hwsim.snn.network import INPUT, Connection, Network
from hwsim.snn.sample import Sample


class SingleRunError(HwsimError):
    """A run that the Program does not have, or that cannot be made by itself; the text says which there are."""


def replay_core(program: Program, runs: Sequence[Run], sample: Sample, eots: int | None = None) -> CoreReplay:
    """The last of `runs` (one tile's, as `runs_of_tile` gives them) by itself, fed with the recorded spikes of `sample`.

    eots   stop after so many EOTs of the last run (in gather order, of each visit); None for all. SingleRunError where there are
    not so many, or where the tile's connections have no weights, so that nothing could be computed.
    """
    network, last = program.network, runs[-1]
    run = last.body
    if any(connection.weights is None for connection in run.connections):
        raise SingleRunError(f"layer {network.layers[last.layer].name}: the trace has no weights, so its core cannot be run")
    if eots is not None and not 1 <= eots <= last.eots:
        raise SingleRunError(f"eots is {eots}, the run receives {last.eots}; choose 1 to {last.eots}")
    engine, bits = make_engine("fast"), payload_bits(network, run)
    zero = np.zeros(run.shape, np.int64)
    before = after = (zero, zero, zero)
    for operation in runs:
        cut = replace(operation, eots=eots) if operation is last and eots is not None else operation
        tokens, gaps, earliest = _tokens(program, cut, sample)
        payloads = tokens[tokens[:, 5] != 0, 4]
        if payloads.size and (payloads.min() < -(1 << (bits - 1)) or payloads.max() >= 1 << (bits - 1)):
            raise SingleRunError(f"layer {network.layers[last.layer].name}: payloads {payloads.min()} to {payloads.max()} do "
                                  f"not fit the {bits} signed bits that the network says they have")
        before = after
        log = engine.run_core(operation.body, tokens, gaps, earliest, *(state.copy() for state in before))
        after = (log.potentials, log.currents, log.flags)
    return CoreReplay(cut, bits, tokens, gaps, earliest, before, log)


def payload_bits(network: Network, run: CoreRun) -> int:
    """Signed bits that hold every payload of a run's events; 0 when no event carries one."""
    signed = {connection: connection.source == INPUT and network.input.signed for connection in run.connections}
    widths = {connection: network.carries_payload(connection) for connection in run.connections}
    return max((bits + (not signed[connection]) for connection, bits in widths.items() if bits), default=0)


def _tokens(
    program: Program, operation: Run, sample: Sample
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """C2 to C4 of a run as lists: tokens (n, 6), gaps (n,), earliest (n,)."""
    network = program.network

    def planes_of(connection: Connection) -> NDArray[np.integer]:
        return sample.inputs if connection.source == INPUT else sample.recorded[connection.source]

    stream = run_stream(operation, planes_of, network.carries_payload, network.is_hybrid)
    return np.array(stream.tokens, np.int64).reshape(-1, 6), np.array(stream.gaps, np.int64), np.array(stream.earliest, np.int64)
