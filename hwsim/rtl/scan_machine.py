"""Planes in, CoreLogs out: a core with its spike buffer and scanner, in Amaranth's own simulator.

`run_planes` is the call of hwsim.record.Engine, answered by the hardware.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth.sim import Simulator
from numpy.typing import NDArray

from hwsim.program import CoreRun, ProgramError
from hwsim.record import CoreLog
from hwsim.rtl.buffer_rows import BufferRows, payload_bits_of
from hwsim.rtl.machine import Machine
from hwsim.rtl.memories import pack
from hwsim.rtl.observer import Observer, Probe
from hwsim.rtl.parameters import Parameters
from hwsim.rtl.scanned_core import ScannedCore
from hwsim.rtl.stimulus import PlaneStimulus


class ScanMachine(Machine):
    """A scanned core that runs stimuli of planes, one after the other."""

    def __init__(self, buffer: BufferRows) -> None:
        super().__init__(buffer.p)
        self.buffer = buffer

    def run_planes(self, stimuli: Sequence[PlaneStimulus], patience: int | None = None) -> list[CoreLog]:
        """One CoreLog per stimulus. Raises TimeoutError when one takes `patience` cycles (None: longer than the rules allow)."""
        logs: list[CoreLog] = []
        self.scanned = ScannedCore(self.buffer)
        self.core = self.scanned.core
        self.probe = Probe(self.core, self.scanned)
        simulator = Simulator(self.scanned)
        simulator.add_clock(1e-6)

        async def bench(ctx: Any) -> None:
            for stimulus in stimuli:
                logs.append(await self._one_scan(ctx, stimulus, patience or stimulus.longest_cycles))

        simulator.add_testbench(bench)
        simulator.run()
        return logs

    async def _one_scan(self, ctx: Any, stimulus: PlaneStimulus, patience: int) -> CoreLog:
        scanned, observer = self.scanned, Observer(self.probe).of(stimulus)
        await self._fill_buffers(ctx, stimulus)
        await self._fill(ctx, stimulus)
        ctx.set(scanned.clear, int(stimulus.run.clear))
        ctx.set(scanned.eots, stimulus.eots)
        if not self.p.writes_words:
            ctx.set(scanned.spikes.ready, 1)
        for cycle in range(patience):
            ctx.set(scanned.start, int(cycle == 0))
            word = ctx.get(self.probe.value)
            done = observer.see(cycle, word)
            if self.probe.fields["push_eot"].of(word):
                observer.pushed_eot()
            self.cycles += 1
            await ctx.tick()
            if done and cycle:
                self.levels.append(observer.levels)
                return observer.log(await self._read(ctx, stimulus))
        raise TimeoutError(f"not done after {patience:,} cycles")

    async def _fill_buffers(self, ctx: Any, stimulus: PlaneStimulus) -> None:
        """The planes, before the states: the first row must be there two cycles before the run."""
        rows, values = self.buffer.images(stimulus.planes)
        packed = [pack(row, self.p.payload_bits) for row in values]
        scanned = self.scanned
        for write, address, port, image in ((scanned.row_write, scanned.row_address, scanned.row_written, rows),
                                            (scanned.value_write, scanned.value_address, scanned.value_written, packed)):
            for at, row in enumerate(image):
                ctx.set(write, 1)
                ctx.set(address, at)
                ctx.set(port, row)
                await ctx.tick()
            ctx.set(write, 0)

    @property
    def host(self) -> Any:
        return self.scanned.host


def buffer_of(run: CoreRun, planes: Sequence[NDArray[np.integer]]) -> BufferRows:
    """The spike buffer that one run's planes lie in. ProgramError for an AER list, which no scanner reads."""
    if run.core.buffer != "bitmap":
        raise ProgramError("the golden hardware scans bitmaps; an AER core is given its tokens (run_core)")
    return BufferRows(Parameters(run, payload_bits_of(run, planes)), tuple(len(each) for each in planes))


def run_planes(
    run: CoreRun, planes: Sequence[NDArray[np.integer]], eots: int,
    potentials: NDArray[np.int64], currents: NDArray[np.int64], flags: NDArray[np.int64] | None = None,
) -> CoreLog:
    """One run by itself, fed from its connections' planes, as `Engine.run_planes`: elaborated for it, and simulated.

    Counted besides what a core counts are the rows scanned, not what A4 says of pooling units, values and cleared planes.
    """
    states = (potentials, currents, np.zeros_like(potentials) if flags is None else flags)
    stimulus = PlaneStimulus(run, tuple(planes), eots, *states)
    return ScanMachine(buffer_of(run, planes)).run_planes([stimulus])[0]
