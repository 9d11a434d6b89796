"""The lane of merged tokens: up to `adders` shifted weights are summed at full width and added in one saturating step (R21)."""

from __future__ import annotations

from amaranth import Module, Mux, Signal

from hwsim.rtl.lanes import Lane
from hwsim.rtl.wires import saturate, total, wire


class MergedLane(Lane):
    """A Lane whose accumulations take the terms of a slot (bit_slots.py), or a value by its multiplier."""

    def _accumulate(self, m: Module, active: Signal) -> Signal:
        """V (or, for a direct table, the current) plus the terms of this slot."""
        operation, run = self.operation, self.p.run
        multiplies = wire(m, "multiplies", active & operation.has_payload) if self._has_multiplier else wire(m, "multiplies", 0)
        there = [wire(m, f"adds_{k}", active & term.there) for k, term in enumerate(operation.slot.terms)]
        terms = [Mux(adds, self.weight, 0) << term.bit for adds, term in zip(there, operation.slot.terms, strict=True)]
        summed = wire(m, "summed", total(terms))
        signed_sum = wire(m, "signed_sum", Mux(operation.slot.negative, -summed, summed))
        product = wire(m, "product", Mux(multiplies, self.weight, 0) * Mux(multiplies, operation.payload, 0))
        m.d.comb += [
            self.activity.acc_add.eq(total([multiplies, *there])), self.activity.mult.eq(multiplies),
            self.activity.weight_shift.eq(
                total(adds & (term.bit > 0) for adds, term in zip(there, operation.slot.terms, strict=True))),
            self.activity.accumulates.eq(active),
        ]
        added = Mux(multiplies, product, signed_sum)
        if not self.p.direct:
            return self._step(m, "accumulated", Mux(active, self.potential, 0) + added)
        result, clipped = saturate(m, "accumulated", Mux(active, self.current, 0) + added, run.current_bits)
        self.clips.append(clipped)
        return result

    @property
    def _has_multiplier(self) -> bool:
        return self.p.run.core.multiplier == "parallel"
