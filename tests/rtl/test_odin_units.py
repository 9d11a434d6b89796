"""ODIN's units as hardware do what rules O1 to O8 say: wired together they are the chip that was recorded."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from hwsim.cores.odin.verify import COMPARED, Case, arguments_of, read_cases
from hwsim.rtl.odin_units import OdinBistability, OdinController, OdinLink, OdinNeuron, OdinSigns
from tests.cores.odin.engines import CASES

DEPTH = 32


class Chip(wiring.Component):
    """The five units; memories, the scheduler and the neighbours are the test's."""

    def __init__(self) -> None:
        super().__init__({})
        self.controller, self.neuron, self.link = OdinController(), OdinNeuron(), OdinLink()
        self.signs, self.bistability = OdinSigns(), OdinBistability()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules += [self.controller, self.neuron, self.link, self.signs, self.bistability]
        c, n, out = self.controller, self.neuron, self.link
        m.d.comb += [
            c.link_busy.eq(out.busy), n.place.eq(c.neuron[:3]), n.virtual.eq(c.virtual), n.time_reference.eq(c.time_reference),
            n.inhibitory.eq(self.signs.inhibitory), self.signs.source.eq(c.source), out.neuron.eq(c.neuron),
            out.spikes.eq(n.spikes & c.writes), self.bistability.word.eq(n.word),
        ]
        return m


def run(case: Case) -> dict[str, Any]:
    """What the units do in a recorded case, in the words of its `expect`; all but the whole log."""
    _, chip, stimulus, cap = arguments_of(case)
    done = case["expect"]["done"]
    until = cap if done is None else done + 3  # nothing happens after rest
    units = Chip()
    c, n, out = units.controller, units.neuron, units.link
    synapses, potentials = chip.synapses.copy(), chip.potentials.tolist()
    words: deque[int] = deque()
    found: dict[str, Any] = {name: [] for name in ("push", "lost", "pop", "spikes")}
    counts = dict.fromkeys(("neuron_read", "neuron_write", "synapse_read", "synapse_write"), 0)
    handshakes: list[list[int | None]] = []
    sent: list[list[int | None]] = []

    def word_at(address: int) -> int:
        row = synapses[address // 32, address % 32 * 8 : address % 32 * 8 + 8]
        return sum(int(s) << 4 * i for i, s in enumerate(row))

    def set_word(address: int, word: int) -> None:
        synapses[address // 32, address % 32 * 8 : address % 32 * 8 + 8] = [word >> 4 * i & 15 for i in range(8)]

    async def bench(ctx: Any) -> None:
        ctx.set(c.empty, 1)
        for byte in range(32):  # programs the signs, before cycle 0
            ctx.set(units.signs.byte, byte)
            ctx.set(units.signs.given, sum(int(chip.inhibitory[8 * byte + i]) << i for i in range(8)))
            ctx.set(units.signs.writes, 1)
            await ctx.tick()
        ctx.set(units.signs.writes, 0)
        ctx.set(n.propagate_unmapped, chip.propagate_unmapped)
        ctx.set(units.bistability.update_unmapped, chip.update_unmapped)
        event, request, answered, released = 0, False, None, 0
        for cycle in range(until):
            ctx.set(c.empty, not words)
            ctx.set(c.full, len(words) == DEPTH)
            ctx.set(c.head, words[0] if words else 0)
            # The neighbours may answer within a cycle; the acknowledge does not depend on the request in the same cycle.
            acknowledge = ctx.get(c.acknowledge)
            if request and acknowledge:
                answered = cycle if answered is None else answered
                if handshakes[-1][2] is None:
                    handshakes[-1][2] = cycle
                if cycle >= answered + stimulus.events[event, 2]:
                    request, handshakes[-1][3] = False, cycle
            if not request and answered is not None and not acknowledge:
                handshakes[-1][4], released, answered, event = cycle, cycle, None, event + 1
            if not request and answered is None and event < len(stimulus.events):
                earliest, address, _, up = stimulus.events[event].tolist()
                if cycle >= max(earliest, released + up):
                    request = True
                    handshakes.append([address, cycle, None, None, None])
                    ctx.set(c.address, address)
            ctx.set(c.request, request)
            receive(ctx, cycle)
            work(ctx, cycle)
            await ctx.tick()

    def receive(ctx: Any, cycle: int) -> None:
        """The receiver's side of the output link."""
        requests, busy = ctx.get(out.request), ctx.get(out.busy)
        if requests and (not sent or sent[-1][5] is not None or sent[-1][3] is not None):
            sent.append([ctx.get(out.address), cycle, None, None, None, None])
        if sent and sent[-1][5] is None:
            d, f = stimulus.receiver[(len(sent) - 1) % len(stimulus.receiver)].tolist()
            row = sent[-1]
            if row[2] is None and cycle >= int(row[1] or 0) + d:
                row[2] = cycle
                ctx.set(out.acknowledge, 1)
            if row[3] is None and not requests:
                row[3] = cycle
            if row[3] is not None and row[4] is None and cycle >= row[3] + f:
                row[4] = cycle
                ctx.set(out.acknowledge, 0)
            if row[4] is not None and not busy:
                row[5] = cycle

    def work(ctx: Any, cycle: int) -> None:
        """Memories and scheduler in a cycle."""
        neuron, address = ctx.get(c.neuron), ctx.get(c.synapse_word)
        popped, room = ctx.get(c.pop), len(words) < DEPTH
        if ctx.get(c.reads):
            counts["neuron_read"] += 1
        if ctx.get(c.reads) or ctx.get(c.reads_word):
            ctx.set(n.potential, potentials[neuron])
            ctx.set(n.threshold, int(chip.thresholds[neuron]))
            ctx.set(n.leak, int(chip.leaks[neuron]))
            ctx.set(n.leak_enabled, int(chip.leak_enabled[neuron]))
            ctx.set(n.disabled, int(chip.disabled[neuron]))
        if ctx.get(c.reads_word):
            counts["synapse_read"] += 1
            ctx.set(n.word, word_at(address))
            ctx.set(units.bistability.moves, not ctx.get(c.reads))
        pushes = [ctx.get(c.pushed)] if ctx.get(c.push) else []
        if ctx.get(c.writes):
            counts["neuron_write"] += 1
            potentials[neuron] = ctx.get(n.written)
            if ctx.get(n.spikes):
                found["spikes"].append([cycle, neuron])
                pushes += [] if case["open_loop"] else [neuron]
        if ctx.get(c.writes_word):
            counts["synapse_write"] += 1
            set_word(address, ctx.get(units.bistability.written))
        if popped:
            found["pop"].append([cycle, words.popleft()])
        for entry in pushes:
            found["push" if room else "lost"].append([cycle, entry])
            if room:
                words.append(entry)

    simulator = Simulator(units)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found | {"counts": counts, "final_v": potentials, "input": handshakes, "output": sent}


def cases() -> list[Case]:
    """Those whose spikes leave, the shortest first."""
    there = [case for case in read_cases(CASES) if not case["from_controller"]]
    return sorted(there, key=lambda case: case["cap"] if case["expect"]["done"] is None else case["expect"]["done"])


@pytest.mark.parametrize("case", [
    pytest.param(case, id=str(case["id"]), marks=[] if place < 3 else pytest.mark.slow) for place, case in enumerate(cases())])
def test_the_units_are_the_chip(case: Case) -> None:
    """Handshakes, pushes, losses, pops, spikes, counts and potentials of the recording of ODIN's own Verilog."""
    found = run(case)
    assert set(found) == set(COMPARED) - {"operations", "done"}
    for name, value in found.items():
        assert value == case["expect"][name], name


def test_a_step_of_bistability() -> None:
    """4 and above towards 7, below towards 0; unmapped weights only where they are updated, and none without an event."""
    unit, draw = OdinBistability(), random.Random(0)

    async def bench(ctx: Any) -> None:
        for _ in range(200):
            word, moves, unmapped = draw.getrandbits(32), draw.random() < 0.8, draw.random() < 0.5
            for signal, value in ((unit.word, word), (unit.moves, moves), (unit.update_unmapped, unmapped)):
                ctx.set(signal, value)
            await ctx.delay(1e-9)
            after = ctx.get(unit.written)
            for place in range(8):
                old, new = word >> 4 * place & 15, after >> 4 * place & 15
                goes = moves and (old & 8 or unmapped)
                weight = (min(7, (old & 7) + 1) if old & 4 else max(0, (old & 7) - 1)) if goes else old & 7
                assert new == (old & 8 | weight)

    simulator = Simulator(unit)
    simulator.add_testbench(bench)
    simulator.run()
