"""Runs the RTL in Amaranth's own simulator (pip only): a list of stimuli, one after the other, on one elaborated core."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth.sim import Simulator, SimulatorContext
from numpy.typing import NDArray

from hwsim.program import CoreLog
from hwsim.rtl.memories import pack, unpack
from tests.rtl.probe import Bench, Stimulus, read_log


class StuckError(AssertionError):
    """A run that does not end: cycles are bounded, so that a broken core fails instead of hanging."""


def run_rtl(bench: Bench, stimuli: Sequence[Stimulus], probes: list[list[int]] | None = None) -> list[CoreLog]:
    """One CoreLog a stimulus. `probes` collects the raw cycles of each run."""
    logs: list[CoreLog] = []
    simulator = Simulator(bench)
    simulator.add_clock(1e-6)

    async def testbench(ctx: SimulatorContext) -> None:
        for stimulus in stimuli:
            logs.append(await _run(ctx, bench, stimulus, probes))

    simulator.add_testbench(testbench)
    simulator.run()
    return logs


async def _run(ctx: SimulatorContext, bench: Bench, stimulus: Stimulus, probes: list[list[int]] | None) -> CoreLog:
    states = {"MEMBRANE": stimulus.potentials, "CURRENT": stimulus.currents, "MASK": stimulus.flags}
    present = {name: state for name, state in states.items() if name != "CURRENT" or bench.p.direct}
    present = {name: state for name, state in present.items() if name != "MASK" or bench.p.flagged}
    for name, state in present.items():
        await _write(ctx, bench, name, state)
    pushes, cycles = await _clock(ctx, bench, stimulus)
    for name in present:
        states[name] = await _read(ctx, bench, name, present[name])
    if probes is not None:
        probes.append(cycles)
    return read_log(bench, stimulus, pushes, cycles, states["MEMBRANE"], states["CURRENT"], states["MASK"])


async def _clock(ctx: SimulatorContext, bench: Bench, stimulus: Stimulus) -> tuple[list[int], list[int]]:
    """From cycle 0 to `done`: the tokens' push cycles and the probes. Feeds tokens as R2 has it."""
    core, (accepts, _), (done, _) = bench.core, bench.layout["accepts"], bench.layout["done"]
    bits = [bench.token_bits(token) for token in stimulus.tokens.tolist()]
    gaps, earliest = stimulus.gaps.tolist(), stimulus.earliest.tolist()
    pushes: list[int] = []
    cycles: list[int] = []
    payload, limit = core.tokens.payload.as_value(), patience(bench, stimulus)
    ctx.set(core.clear, int(stimulus.run.clear))
    ctx.set(core.eots, stimulus.eots)
    for t in range(limit):
        ctx.set(core.start, t == 0)
        at = len(pushes)
        offers = at < len(bits) and t >= max((pushes[-1] if at else -1) + gaps[at], earliest[at])
        ctx.set(core.tokens.valid, offers)
        if offers:
            ctx.set(payload, bits[at])
        ctx.set(core.spikes.ready, stimulus.ready[t] if t < len(stimulus.ready) else 1)
        probe = ctx.get(bench.probe)
        cycles.append(probe)
        if offers and probe >> accepts & 1:
            pushes.append(t)
        await ctx.tick()
        if probe >> done & 1:
            return pushes, cycles
    raise StuckError(f"no done after {limit} cycles")


def patience(bench: Bench, stimulus: Stimulus) -> int:
    """More cycles than any run of this stimulus can take when everything waits for everything."""
    n, lanes = bench.p.words, bench.p.lanes
    passes = stimulus.eots * max(1, len(bench.p.passes))
    waits = int(stimulus.gaps.sum()) + int(stimulus.earliest.max(initial=0)) + len(stimulus.ready)
    return 50 + waits + 3 * (n + len(stimulus.tokens) * (n + 1)) + passes * n * (lanes + 3)


def _width(bench: Bench, name: str) -> int:
    run = bench.p.run
    return {"MEMBRANE": run.potential_bits, "CURRENT": run.current_bits, "MASK": 1}[name]


async def _write(ctx: SimulatorContext, bench: Bench, name: str, state: NDArray[np.int64]) -> None:
    from hwsim.rtl.core import HostMemory

    host = bench.core.host
    ctx.set(host.select, HostMemory[name])
    ctx.set(host.write, 1)
    for address, word in enumerate(bench.p.state_words(state)):
        ctx.set(host.address, address)
        ctx.set(host.written, pack(word, _width(bench, name)))
        await ctx.tick()
    ctx.set(host.write, 0)


async def _read(ctx: SimulatorContext, bench: Bench, name: str, before: NDArray[np.int64]) -> NDArray[np.int64]:
    from hwsim.rtl.core import HostMemory

    host, lanes, width = bench.core.host, bench.p.lanes, _width(bench, name)
    ctx.set(host.select, HostMemory[name])
    ctx.set(host.read, 1)
    words = []
    for address in range(bench.p.words):
        ctx.set(host.address, address)
        await ctx.tick()
        words.append(unpack(ctx.get(host.word), lanes, width))
    ctx.set(host.read, 0)
    if name == "MASK":
        words = [[abs(flag) for flag in word] for word in words]
    return bench.p.state_of(words, before)
