"""Plane sums, mask check and bank selector at work, for hwsim/rtl/priced_units.py; fJ at the library's supply, clock pins apart.

Plane sums take visits of a rate code: words in turn, a slot of a random token for each, then a pass for each plane that adds its
sum. Visits of two lengths give what a term costs, and what a sum that a pass adds. Flags and groups are drawn independently.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from amaranth import Module
from amaranth.lib import wiring

from hwsim.passes import Pass, PassTable
from hwsim.rtl.bank_select import GROUP_BITS, BankSelect
from hwsim.rtl.gates.bench import SEED, STREAMS, Bench, Stimulus, per_operation, same, sliced
from hwsim.rtl.gates.simulate import Streams
from hwsim.rtl.mask_check import MaskCheck
from hwsim.rtl.operation import Kind, operation_layout
from hwsim.rtl.parameters import Parameters
from hwsim.rtl.plane_sums import PlaneSums

WORDS, OFF = 256, 0.33
"""Of the mask check: words of a run, and the part of neurons that are off."""


class Sums(wiring.Component):
    """Plane sums without what only counts them."""

    def __init__(self, p: Parameters) -> None:
        self.inner = PlaneSums(p)
        ports = self.inner.signature.members
        super().__init__({name: ports[name] for name in ("operation", "completes", "weights", "potentials", "summed")})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = inner = self.inner
        m.d.comb += [
            inner.operation.eq(self.operation), inner.completes.eq(self.completes), inner.weights.eq(self.weights),
            inner.potentials.eq(self.potentials), self.summed.eq(inner.summed)]
        return m


def with_sums(p: Parameters, planes: int) -> Parameters:
    """The run as one layer of a rate code in `planes`, whose read-out adds all sums in one operation."""
    table = PassTable(planes, (Pass(planes, "readout"),), np.zeros(p.run.shape, np.int64))
    return Parameters(replace(p.run, table=table), planes + 1)


def drive_sums(p: Parameters) -> Callable[[Streams], Iterator[tuple[str, float]]]:
    """Visits of few and of many events."""
    layout, planes, lanes = operation_layout(p), p.run.table.planes, p.lanes
    slot = layout["slot"].shape
    rest = {name: layout[name] for name in ("kind", "active", "accumulator", "fresh", "sum_from", "sum_count", "slot")}

    def word(**fields: list[int]) -> list[int]:
        """An operation of all streams: fields as bits, the others zero."""
        found = same(0, layout.size)
        for name, bits in fields.items():
            at, width = rest[name].offset, rest[name].width
            found[at:at + width] = bits
        return found

    def drawn(chance: random.Random) -> tuple[list[int], int]:
        """A slot of the lowest bits of a random pattern in each stream, and how many terms they hold together."""
        slots = []
        for _ in range(STREAMS):
            pattern = chance.randrange(1, 1 << planes)
            bits = [n for n in range(planes) if pattern >> n & 1][:p.run.core.adders]
            slots.append((slot.const({"first": 1, "last": 1, "terms": [
                {"there": 1, "bit": n} for n in bits] + [{}] * (p.run.core.adders - len(bits))}).as_value().value, len(bits)))
        return sliced([value for value, _ in slots], slot.size), sum(count for _, count in slots)

    def visits(streams: Streams, events: int) -> tuple[float, int, int]:
        """fJ, terms and sums by lane and stream."""
        chance, terms, sums = random.Random(SEED), 0, 0
        weighing = same(0, p.weight_bits * lanes)
        kinds = {kind: same(Kind[kind].value, rest["kind"].width) for kind in ("ACCUMULATE", "FIRE")}

        def step(kind: str, accumulator: int, weights: list[int], potentials: list[int], **more: list[int]) -> None:
            streams.step({
                "operation": word(kind=kinds[kind], active=same((1 << lanes) - 1, lanes),
                                  accumulator=same(accumulator, rest["accumulator"].width), **more),
                "completes": same(1, 1), "weights": weights, "potentials": potentials})

        for visit in range(2):
            if visit == 1:  # the first one is not measured
                streams.energy_fj, terms, sums = 0.0, 0, 0
            held = [_words(chance, lanes, p.run.potential_bits, 2000) for _ in range(p.accumulators)]
            for event in range(events):
                bits, many = drawn(chance)
                for a, potentials in enumerate(held):
                    weighing = _words(chance, lanes, p.weight_bits, 30)
                    step("ACCUMULATE", a, weighing, potentials, slot=bits, fresh=same(int(event == 0), 1))
                    terms += many
            for plane in range(planes):
                for a in range(p.accumulators):
                    held[a] = _words(chance, lanes, p.run.potential_bits, 2000)
                    step("FIRE", a, weighing, held[a], sum_from=same(plane, rest["sum_from"].width),
                         sum_count=same(1, rest["sum_count"].width))
                    sums += STREAMS
        return streams.energy_fj / lanes, terms, sums

    def drive(streams: Streams) -> Iterator[tuple[str, float]]:
        (e1, t1, s1), (e2, t2, s2) = visits(streams, 2), visits(streams, 8)
        term, added = np.linalg.solve([[t1, s1], [t2, s2]], [e1, e2])
        yield "term", float(term)
        yield "sum", float(added)
    return drive


def _words(chance: random.Random, lanes: int, bits: int, spread: float) -> list[int]:
    """Numbers of a normal distribution, lanes side by side."""
    return [bit for _ in range(lanes) for bit in sliced([round(chance.gauss(0, spread)) for _ in range(STREAMS)], bits)]


def drive_mask(lanes: int) -> Callable[[Streams], Iterator[tuple[str, float]]]:
    """Words in turn, some of whose neurons are off; in every other operation EXEC writes flags."""
    def drive(streams: Streams) -> Iterator[tuple[str, float]]:
        stimulus, width = Stimulus(), len(streams.netlist.inputs["word"])
        number = 0

        def step() -> dict[str, list[int]]:
            nonlocal number
            number += 1
            return {"active": same((1 << lanes) - 1, lanes), "word": same(number % WORDS, width),
                    "off": stimulus.bits(OFF, lanes), "writes": stimulus.bits(0.5, 1),
                    "written_word": same((number - 1) % WORDS, width), "written": stimulus.bits(OFF, lanes)}

        return per_operation(streams, "word", step)
    return drive


def drive_banks(banks: int) -> Callable[[Streams], Iterator[tuple[str, float]]]:
    """An access in every step: four groups in turn, the last of which fills half of its banks."""
    def drive(streams: Streams) -> Iterator[tuple[str, float]]:
        width, number = len(streams.netlist.inputs["last_banks"]), 0

        def step() -> dict[str, list[int]]:
            nonlocal number
            number += 1
            return {"access": same(1, 1), "group": same(number % 4, GROUP_BITS), "last_group": same(3, GROUP_BITS),
                    "last_banks": same((banks - 1) // 2, width)}

        return per_operation(streams, "access", step)
    return drive


def dataflow_benches(parameters: Callable[..., Parameters]) -> Iterator[Bench]:
    """Each unit at several sizes. `parameters` makes the run that a unit is elaborated for."""
    merged = {"planes_per_token": "all", "order": "gather"}
    for bits, words, planes, adders in SUMS:
        p = with_sums(parameters(2, bits, accumulators=words, adders=adders, **merged), planes)
        sizes = {"lanes": 2, "potential_bits": bits, "accumulators": words, "adders": adders, "planes": planes}
        yield Bench("plane_sums", sizes, partial(Sums, p), drive_sums(p), "of a rate code (hwsim/rtl/dataflow_benches.py)")
    for lanes in (8, 16, 64):
        yield Bench("mask_check", {"lanes": lanes}, partial(MaskCheck, lanes, WORDS), drive_mask(lanes),
                    "of flags, a third of them set")
    for banks in (2, 6, 12):
        yield Bench("bank_select", {"banks": banks}, partial(BankSelect, banks), drive_banks(banks), "of four groups in turn")


SUMS = ((16, 1, 4, 1), (24, 1, 4, 1), (24, 2, 4, 1), (24, 4, 4, 1), (24, 1, 8, 1), (24, 1, 4, 2), (24, 1, 4, 4))
"""Potential bits, accumulators, planes and adders of the plane sums that are made."""
