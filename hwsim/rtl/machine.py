"""The RTL in Amaranth's own simulator: stimuli in, CoreLogs out. Pure Python, so it needs nothing but pip.

`run_core` is the call of hwsim.record.Engine, answered by the hardware.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from amaranth.sim import Simulator
from numpy.typing import NDArray

from hwsim.program import CoreRun
from hwsim.record import CoreLog
from hwsim.rtl.core import HardwareCore, HostMemory
from hwsim.rtl.cores import core_for
from hwsim.rtl.memories import pack, unpack
from hwsim.rtl.observer import Observer, Probe
from hwsim.rtl.parameters import Parameters
from hwsim.rtl.stimulus import ALWAYS, Feeder, Given, Ready, Stimulus, parameters_of, state_widths

# A run that is not done by then never will be: cycles a token, a word and a pass, many times over.
PATIENCE = 20_000


class Machine:
    """A core that runs any number of stimuli one after the other. `levels`: the value of every spike, one list a run."""

    def __init__(self, p: Parameters, core: Callable[[Parameters], HardwareCore] = core_for) -> None:
        self.p, self._make = p, core
        self.cycles = 0
        self.levels: list[list[int]] = []

    def run(self, stimuli: list[Stimulus], ready: Ready = ALWAYS, patience: int | None = None) -> list[CoreLog]:
        """One CoreLog per stimulus. `ready`: whether the receiver takes a spike in a cycle of the run.

        Raises TimeoutError when a run takes more than `patience` cycles (PATIENCE unless it is given).
        """
        logs: list[CoreLog] = []
        patience = PATIENCE if patience is None else patience
        self.core = self._make(self.p)
        self.probe = Probe(self.core)
        simulator = Simulator(self.core)
        simulator.add_clock(1e-6)

        async def bench(ctx: Any) -> None:
            for stimulus in stimuli:
                logs.append(await self._one(ctx, stimulus, ready, patience))

        simulator.add_testbench(bench)
        simulator.run()
        return logs

    async def _one(self, ctx: Any, stimulus: Stimulus, ready: Ready, patience: int) -> CoreLog:
        core, feeder, observer = self.core, Feeder(stimulus, self.p.token), Observer(self.probe).of(stimulus)
        await self._fill(ctx, stimulus)
        ctx.set(core.clear, int(stimulus.run.clear))
        ctx.set(core.eots, stimulus.eots)
        for cycle in range(patience):
            ctx.set(core.start, int(cycle == 0))
            offered = feeder.offers(cycle)
            ctx.set(core.tokens.valid, int(offered is not None))
            if offered is not None:
                ctx.set(core.tokens.payload.as_value(), offered)
            if not self.p.writes_words:
                ctx.set(core.spikes.ready, int(ready(cycle)))
            word = ctx.get(self.probe.value)
            done = observer.see(cycle, word)
            if self.probe.fields["push"].of(word) and feeder.taken(cycle):
                observer.pushed_eot()
            self.cycles += 1
            await ctx.tick()
            if done and cycle:
                self.levels.append(observer.levels)
                return observer.log(await self._read(ctx, stimulus))
        raise TimeoutError(f"not done after {patience:,} cycles")

    @property
    def host(self) -> Any:
        """The core's host port."""
        return self.core.host

    async def _fill(self, ctx: Any, stimulus: Given) -> None:
        """The states before the run, through the host port."""
        for memory, name, bits in state_widths(self.p):
            ctx.set(self.host.select, HostMemory[memory])
            for address, word in enumerate(self.p.state_words(getattr(stimulus, name))):
                ctx.set(self.host.address, address)
                ctx.set(self.host.write, 1)
                ctx.set(self.host.written, pack(word, bits))
                await ctx.tick()
            ctx.set(self.host.write, 0)

    async def _read(self, ctx: Any, stimulus: Given) -> dict[str, NDArray[np.int64]]:
        """The states after the run, through the host port; memories that the core does not have stay as they were."""
        found = {name: getattr(stimulus, name).copy() for name in ("potentials", "currents", "flags")}
        for memory, name, bits in state_widths(self.p):
            words = []
            ctx.set(self.host.select, HostMemory[memory])
            ctx.set(self.host.read, 1)
            for address in range(self.p.words):
                ctx.set(self.host.address, address)
                await ctx.tick()
                word = unpack(ctx.get(self.host.word), self.p.lanes, bits)
                words.append([value & 1 for value in word] if name == "flags" else word)
            ctx.set(self.host.read, 0)
            found[name] = self.p.state_of(words, found[name])
        return found


def run_together(stimuli: list[Stimulus], ready: Ready = ALWAYS) -> list[CoreLog]:
    """Stimuli that share their run, through one elaboration."""
    return Machine(parameters_of(stimuli)).run(stimuli, ready)


def run_core(
    run: CoreRun, tokens: NDArray[np.int64], gaps: NDArray[np.int64], earliest: NDArray[np.int64],
    potentials: NDArray[np.int64], currents: NDArray[np.int64], flags: NDArray[np.int64] | None = None,
) -> CoreLog:
    """One run by itself, as `Engine.run_core`: elaborated for it, and simulated.

    Raises TimeoutError when it takes more cycles than any machine that keeps the rules (`Stimulus.longest_cycles`).
    """
    stimulus = Stimulus(run, tokens, gaps, earliest, potentials, currents, np.zeros_like(potentials) if flags is None else flags)
    return Machine(parameters_of([stimulus])).run([stimulus], patience=stimulus.longest_cycles)[0]
