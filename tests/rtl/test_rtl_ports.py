"""What a CoreLog does not show of the hardware: requantised levels, the host port's memories, a start in the cycle of `done`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")

from amaranth.sim import Simulator

from hwsim.engine.fast.chip import FastEngine
from hwsim.passes import Pass, PassTable
from hwsim.record import CoreLog
from hwsim.rtl.core import HardwareCore, HostMemory
from hwsim.rtl.machine import PATIENCE, Machine
from hwsim.rtl.memories import pack
from hwsim.rtl.observer import Observer, Probe
from hwsim.rtl.parameters import Parameters, Word
from hwsim.rtl.stimulus import Feeder, Stimulus, parameters_of
from tests.rtl.cases import differences, draw

FAST = FastEngine()


class Bare(Parameters):
    """Parameters whose memories start empty: as deep and wide as ever, every word zero."""

    def weight_image(self) -> list[Word]:
        return [[0] * len(word) for word in super().weight_image()]

    def bias_image(self) -> list[Word]:
        return [[0] * len(word) for word in super().bias_image()]


class Filled(Machine):
    """Fills weights and biases through the host port before each run, as a chip's loader would."""

    async def _fill(self, ctx: Any, stimulus: Stimulus) -> None:
        full = Parameters(self.p.run, self.p.payload_bits)
        host = self.core.host
        for memory, image, bits in ((HostMemory.WEIGHT, full.weight_image(), full.weight_bits),
                                    (HostMemory.BIAS, full.bias_image(), full.bias_bits)):
            ctx.set(host.select, memory)
            for address, word in enumerate(image):
                ctx.set(host.address, address)
                ctx.set(host.write, 1)
                ctx.set(host.written, pack(word, bits))
                await ctx.tick()
            ctx.set(host.write, 0)
        await super()._fill(ctx, stimulus)


def test_weights_and_biases_can_be_loaded_through_the_host_port() -> None:
    biased = 0
    for seed in (1, 2, 8, 14, 20):
        stimuli = draw(seed)[:1]
        p = parameters_of(stimuli)
        biased += bool(p.bias_image())
        for stimulus, log in zip(stimuli, Filled(Bare(p.run, p.payload_bits)).run(stimuli), strict=True):
            assert not list(differences(log, FAST.run_core(*stimulus.arguments))), seed
    assert biased > 1


def test_levels_are_the_quotients_of_the_potentials() -> None:
    """R15: a requant pass does not write V, so what it sent can be told from what it left; zero is not sent."""
    rng = np.random.default_rng(0)
    sent: set[int] = set()
    for seed in (0, 2, 3, 9, 12, 20):
        drawn = draw(seed)[0]
        shape, bits = drawn.run.shape, drawn.run.potential_bits
        table = PassTable(1, (Pass(1, "requant", 3),), initial=np.zeros(shape, np.int64), max_level=9)
        potentials = rng.integers(-min(40, 1 << (bits - 1)), min(40, 1 << (bits - 1)), shape)
        log, levels = observe_levels(replace(
            drawn, run=replace(drawn.run, table=table, clear=False), potentials=potentials, tokens=drawn.tokens[-1:],
            gaps=drawn.gaps[-1:], earliest=drawn.earliest[-1:]))
        values = np.clip(log.potentials // 3, 0, 9).reshape(-1)
        assert levels == values[log.spikes[:, 2]].tolist()
        sent |= set(levels)
    assert len(sent) > 4
    assert 0 not in sent


def observe_levels(stimulus: Stimulus) -> tuple[CoreLog, list[int]]:
    """A run's log and the levels that left the serialiser, spike by spike."""
    observers: list[Observer] = []

    class Listening(Observer):
        def __init__(self, probe: Probe) -> None:
            super().__init__(probe)
            observers.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hwsim.rtl.machine.Observer", Listening)
        log = Machine(parameters_of([stimulus])).run([stimulus])[0]
    return log, observers[0].levels


def test_a_run_can_start_in_the_cycle_in_which_the_one_before_it_is_done() -> None:
    """R8: the next run's cycle 0 is this run's `done`; nothing of the first run is left in the machine."""
    for seed in (0, 5, 9, 16, 21):
        first, second = draw(seed)[:2]
        first, second = (replace(s, run=replace(s.run, clear=True)) for s in (first, second))
        log = back_to_back(first, second)
        expected = FAST.run_core(*second.arguments)
        unread = {name: getattr(expected, name) for name in ("potentials", "currents", "flags")}
        assert not list(differences(replace(log, **unread), expected)), seed


def back_to_back(first: Stimulus, second: Stimulus) -> CoreLog:
    """The second run's log, started in the cycle of the first one's `done`. States are not read."""
    core = HardwareCore(parameters_of([first, second]))
    probe = Probe(core)
    logs: list[CoreLog] = []
    done_of_the_run_before = 1 << probe.fields["done"].offset

    async def bench(ctx: Any) -> None:
        ctx.set(core.spikes.ready, 1)
        ctx.set(core.clear, 1)
        for stimulus in (first, second):
            observer = Observer(probe)
            await one_run(ctx, stimulus.eots, Feeder(stimulus, core.p.token), observer)
        logs.append(observer.log({name: getattr(second, name) for name in ("potentials", "currents", "flags")}))

    async def one_run(ctx: Any, eots: int, feeder: Feeder, observer: Observer) -> None:
        """Returns in the cycle of `done`, before its edge: that cycle is the next run's cycle 0."""
        ctx.set(core.eots, eots)
        for cycle in range(PATIENCE):
            ctx.set(core.start, int(cycle == 0))
            offered = feeder.offers(cycle)
            ctx.set(core.tokens.valid, int(offered is not None))
            ctx.set(core.tokens.payload.as_value(), offered or 0)
            seen = ctx.get(probe.value)
            if observer.see(cycle, seen if cycle else seen & ~done_of_the_run_before):
                return
            if probe.fields["push"].of(seen) and feeder.taken(cycle):
                observer.pushed_eot()
            await ctx.tick()
        raise AssertionError("not done")

    simulator = Simulator(core)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return logs[-1]
