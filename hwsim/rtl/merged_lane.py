"""The lane of merged tokens: up to `adders` shifted weights are summed at full width and added in one saturating step (R21)."""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal

from hwsim.rtl.lanes import Lane
from hwsim.rtl.wires import saturate, total, wire


class MergedLane(Lane):
    """A Lane whose accumulations take the terms of a slot (bit_slots.py), or a value by its multiplier."""

    def _accumulate(self, m: Module, active: Signal) -> Signal:
        """V (or, for a direct table, the current) plus what this slot adds."""
        terms = list(self.operation.slot.terms)
        there = [wire(m, f"adds_{k}", active & term.there) for k, term in enumerate(terms)]
        multiplies = wire(m, "multiplies", active & self.operation.has_payload if self._has_multiplier else Const(0))
        m.d.comb += [
            self.activity.acc_add.eq(total([multiplies, *there])), self.activity.mult.eq(multiplies),
            self.activity.accumulates.eq(active),
        ]
        if self.p.sums:  # they are beside the accumulators (plane_sums.py), one for each bit, so that no weight is shifted
            return self.potential
        m.d.comb += self.activity.weight_shift.eq(total(adds & (term.bit > 0) for adds, term in zip(there, terms, strict=True)))
        shifted = total(Mux(adds, self.weight, 0) << term.bit for adds, term in zip(there, terms, strict=True))
        product = wire(m, "product", Mux(multiplies, self.weight, 0) * Mux(multiplies, self.operation.payload, 0))
        added = wire(m, "added_terms", Mux(multiplies, product, Mux(self.operation.slot.negative, -shifted, shifted)))
        if not self.p.direct:
            return self._step(m, "accumulated", Mux(active, self.potential, 0) + added)
        result, clipped = saturate(m, "accumulated", Mux(active, self.current, 0) + added, self.p.run.current_bits)
        self.clips.append(clipped)
        return result

    @property
    def _has_multiplier(self) -> bool:
        return self.p.run.core.multiplier == "parallel"
