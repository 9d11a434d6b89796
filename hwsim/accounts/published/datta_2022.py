"""Paper 001's accounts: the first layer's multiply-accumulates once, additions behind it; and its estimate for two chips.

compute:  E_DNN = sum_l F_D E_MAC (printed from l = 2 with E_AC; that gives 3.2 and not 103.5), E_SNN = F_1 E_MAC + sum_l F_S
E_AC. chips:    E = FLOPs E_compute + T E_static, both quantities relative to the ANN's (its FLOPs, one step).
"""

from __future__ import annotations

from hwsim.accounts.base import Account, Bill, Line
from hwsim.accounts.published.activity import first_macs, spike_flops
from hwsim.accounts.work import Work


class Datta2022(Account):
    """Ultra-low latency (Datta and Beerel 2022), section VI-B, compute energy."""

    def snn(self, work: Work) -> Bill:
        return (Line("MACs of the first layer", first_macs(work), self.number("e_mac")),
                Line("additions", spike_flops(work), self.number("e_ac")))

    def ann(self, work: Work, ann: Work | None) -> Bill:
        return (Line("MACs, dense", work.dense_macs, self.number("e_mac")),)
