"""The plane sums: for planes that are merged but not weighed, a sum for each plane beside each accumulator (R21).

Each bit of a token adds its weight to the sum of its own plane, `adders` of them per slot. A pass first adds the sums of the
planes that it ends, one saturating step each, to the potentials on their way from the accumulators to the lanes. The sums are
zero after it.
"""

from __future__ import annotations

from amaranth import Array, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hwsim.rtl.operation import Kind, operation_layout
from hwsim.rtl.parameters import Parameters
from hwsim.rtl.wires import saturate, total, wire


def sum_counts(p: Parameters) -> data.StructLayout:
    """By word and cycle: sums that are added to real neurons, and clipped steps."""
    added = p.lanes * p.most_sums
    return data.StructLayout({"sum_add": unsigned(bits_for(added)),
                              "saturations": unsigned(bits_for(added + p.lanes * p.run.core.adders))})


class PlaneSums(wiring.Component):
    """
    operation, completes   of EXEC.         weights      of the word.
    potentials             before, and `summed` after what the operation adds.      counts   what was done.
    """

    def __init__(self, p: Parameters) -> None:
        self.p = p
        potentials = data.ArrayLayout(signed(p.run.potential_bits), p.lanes)
        super().__init__({
            "operation": In(operation_layout(p)), "completes": In(1),
            "weights": In(data.ArrayLayout(signed(p.weight_bits), p.lanes)), "potentials": In(potentials),
            "summed": Out(potentials), "counts": Out(sum_counts(p)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operation = self.operation
        self.begins = wire(m, "begins", operation.fresh | (operation.kind == Kind.LOAD))
        self.accumulates = wire(m, "accumulates", operation.kind == Kind.ACCUMULATE)
        self.clips: list[Value] = []
        for lane in range(self.p.lanes):
            self._lane(m, lane)
        added = Mux(self.accumulates, 0, operation.sum_count)
        m.d.comb += [
            self.counts.sum_add.eq(total(Mux(active, added, 0) for active in operation.active)),
            self.counts.saturations.eq(total(self.clips)),
        ]
        return m

    def _lane(self, m: Module, lane: int) -> None:
        operation, planes = self.operation, self.p.run.table.planes
        files = [Array(Signal(signed(self.p.run.potential_bits), name=f"sum{lane}_{plane}_{i}")
                       for i in range(self.p.accumulators)) for plane in range(planes)]
        now = Array(wire(m, f"now{lane}_{plane}", Mux(self.begins, 0, file[operation.accumulator]))
                    for plane, file in enumerate(files))
        after = [Signal.like(one, name=f"after{lane}_{plane}") for plane, one in enumerate(now)]
        m.d.comb += [one.eq(other) for one, other in zip(after, now, strict=True)]
        self._add_to_sums(m, lane, now, after)
        self._add_sums(m, lane, now, after)
        with m.If(self.completes):
            m.d.sync += [file[operation.accumulator].eq(one) for file, one in zip(files, after, strict=True)]

    def _add_to_sums(self, m: Module, lane: int, now: Array, after: list[Signal]) -> None:
        """An adder for each term of the slot: the sum of the term's plane plus the weight."""
        active = wire(m, f"active{lane}", self.accumulates & self.operation.active[lane])
        for k, term in enumerate(self.operation.slot.terms):
            adds = wire(m, f"adds{lane}_{k}", active & term.there)
            operands = Mux(adds, now[term.bit], 0) + Mux(adds, self.weights[lane], 0)
            result, clipped = saturate(m, f"result{lane}_{k}", operands, self.p.run.potential_bits)
            self.clips.append(clipped)
            for plane, one in enumerate(after):
                with m.If(adds & (term.bit == plane)):
                    m.d.comb += one.eq(result)

    def _add_sums(self, m: Module, lane: int, now: Array, after: list[Signal]) -> None:
        """One step for each sum that the operation adds, in the order of planes."""
        operation, value = self.operation, self.potentials[lane]
        for step in range(self.p.most_sums):
            adds = wire(m, f"steps{lane}_{step}", ~self.accumulates & (step < operation.sum_count))
            plane = wire(m, f"plane{lane}_{step}", operation.sum_from + step)
            value, clipped = saturate(
                m, f"step{lane}_{step}", value + Mux(adds, now[plane], 0), self.p.run.potential_bits)
            self.clips.append(clipped)
            for n, one in enumerate(after):
                with m.If(adds & (plane == n)):
                    m.d.comb += one.eq(0)
        m.d.comb += self.summed[lane].eq(value)
