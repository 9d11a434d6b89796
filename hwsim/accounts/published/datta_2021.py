"""Paper 004's account, Eq. 24 and 25, with what its text requires: E_ANN of the ANN's FLOPs, additions of the first layer at t
>= 2.

E_ANN = sum_l F_ANN E_MAC; E_SNN = F_1 E_MAC + (spikes of the input in the first layer + sum_l F_S) E_AC. Energies in pJ.
"""

from __future__ import annotations

from hwsim.accounts.base import Account, Bill, LacksInputError, Line
from hwsim.accounts.published.activity import first_macs, flops
from hwsim.accounts.work import Work


class Datta2021(Account):
    """Single-spike hybrid input encoding (Datta, Kundu and Beerel 2021), section VI-B."""

    def snn(self, work: Work) -> Bill:
        if self.choices["input"] == "hybrid" and not work.network.input.is_hybrid:
            raise LacksInputError("needs a hybrid input, pixels in the first step and spikes in the others; the trace's is "
                                  f"{work.network.input.encoding}")
        behind = sum(flops(work, c) for c in work.synaptic if not c.from_input)
        later = sum(flops(work, c) for c in work.first)
        return (Line("MACs of the first layer, t = 1", first_macs(work), self.number("e_mac")),
                Line("additions of the first layer, t > 1", later, self.number("e_ac")),
                Line("additions", behind, self.number("e_ac")))

    def ann(self, work: Work, ann: Work | None) -> Bill:
        return (Line("MACs, dense", work.dense_macs, self.number("e_mac")),)
