"""Paper 001's estimate for two chips: E = FLOPs E_compute + T E_static, with weights that are printed as normalised.

They mean something for quantities that are normalised too: with absolute FLOPs the second term is a few 1e-7 of the first. Here
both are relative to the ANN's: its FLOPs, and one step. So the ANN's energy is 1 by definition. No pJ.
"""

from __future__ import annotations

from hwsim.accounts.base import Account, Bill, Line
from hwsim.accounts.published.activity import first_macs, spike_flops
from hwsim.accounts.work import Work


class Datta2022Chips(Account):
    """Ultra-low latency (Datta and Beerel 2022), section VI-B, last paragraph."""

    def snn(self, work: Work) -> Bill:
        flops = (first_macs(work) + spike_flops(work)) / work.dense_macs
        return (Line("FLOPs / the ANN's", flops, self.number("e_compute")),
                Line("timesteps / the ANN's", work.timesteps, self.number("e_static")))

    def ann(self, work: Work, ann: Work | None) -> Bill:
        return (Line("FLOPs / the ANN's", 1, self.number("e_compute")), Line("timesteps / the ANN's", 1, self.number("e_static")))
