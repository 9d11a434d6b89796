"""The plane sums: for planes that are merged but not weighed, a sum for each plane beside each accumulator (R21).

Each bit of a token adds its weight to the sum of its own plane, `adders` of them per slot. A pass first adds the sums of the
planes that it ends, one saturating step each, to the potentials on their way from the accumulators to the lanes. The sums are
zero after it: a bit by plane and accumulator says which sums hold anything.
"""

from __future__ import annotations

from amaranth import Array, Cat, Module, Mux, Signal, Value, signed, unsigned
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
        self._valid(m)
        self.clips: list[Value] = []
        for lane in range(self.p.lanes):
            self._lane(m, lane)
        added = Mux(self.accumulates, 0, operation.sum_count)
        m.d.comb += [
            self.counts.sum_add.eq(total(Mux(active, added, 0) for active in operation.active)),
            self.counts.saturations.eq(total(self.clips)),
        ]
        return m

    def _valid(self, m: Module) -> None:
        """Which sums of the word hold something: the others are zero, whatever is in their registers.

        So nothing has to write zeros, and a register is clocked when a term of its own plane comes, and at no other time.
        """
        operation, first, count = self.operation, self.operation.sum_from, self.operation.sum_count
        self.there, self.taken, valid = list[Signal](), list[Signal](), list[Signal]()
        for plane in range(self.p.run.table.planes):
            kept = Array(Signal(name=f"kept{plane}_{i}") for i in range(self.p.accumulators))
            mark = kept[operation.accumulator]
            valid.append(wire(m, f"valid_{plane}", Mux(self.begins, 0, mark)))
            self.there.append(wire(m, f"there_{plane}", self.accumulates & Cat(
                term.there & (term.bit == plane) for term in operation.slot.terms).any()))
            self.taken.append(wire(m, f"taken_{plane}", ~self.accumulates & (first <= plane) & (plane < first + count)))
            with m.If(self.completes):
                m.d.sync += mark.eq((valid[plane] | self.there[plane]) & ~self.taken[plane])
        self.valid = Array(valid)

    def _lane(self, m: Module, lane: int) -> None:
        """The sums of one lane, a register for each plane and accumulator."""
        operation = self.operation
        files = [Array(Signal(signed(self.p.run.potential_bits), name=f"sum{lane}_{plane}_{i}")
                       for i in range(self.p.accumulators)) for plane in range(self.p.run.table.planes)]
        held = Array(wire(m, f"held{lane}_{plane}", file[operation.accumulator]) for plane, file in enumerate(files))
        results = self._add_to_sums(m, lane, held)
        self._add_sums(m, lane, held)
        for plane, file in enumerate(files):
            made = results[0]
            for term, result in zip(list(operation.slot.terms)[1:], results[1:], strict=True):
                made = Mux(term.there & (term.bit == plane), result, made)
            with m.If(self.completes & self.there[plane]):
                m.d.sync += file[operation.accumulator].eq(made)

    def _add_to_sums(self, m: Module, lane: int, held: Array) -> list[Value]:
        """An adder for each term of the slot: the sum of the term's plane plus the weight, of lanes that have the synapse."""
        active = wire(m, f"active{lane}", self.operation.active[lane])
        results: list[Value] = []
        for k, term in enumerate(self.operation.slot.terms):
            adds = wire(m, f"adds{lane}_{k}", self.accumulates & term.there)
            operands = Mux(adds & self.valid[term.bit], held[term.bit], 0) + Mux(adds & active, self.weights[lane], 0)
            result, clipped = saturate(m, f"result{lane}_{k}", operands, self.p.run.potential_bits)
            self.clips.append(clipped)
            results.append(result)
        return results

    def _add_sums(self, m: Module, lane: int, held: Array) -> None:
        """A step for each plane, which adds its sum if the operation takes it; accumulations pass the steps by."""
        value = wire(m, f"stepped{lane}", Mux(self.accumulates, 0, self.potentials[lane]))
        for plane, (taken, valid) in enumerate(zip(self.taken, self.valid, strict=True)):
            value, clipped = saturate(
                m, f"step{lane}_{plane}", value + Mux(taken & valid, held[plane], 0), self.p.run.potential_bits)
            self.clips.append(clipped)
        m.d.comb += self.summed[lane].eq(Mux(self.accumulates, self.potentials[lane], value))
