"""Additions only: an accumulate for each synaptic operation, a multiply-accumulate for each of the ANN; no other thing costs
anything.

E_SNN = sum of dense MACs of the first layer x E_MAC (once, where the input carries values) + synaptic operations of spikes x
E_AC; E_ANN = dense MACs x E_MAC. Synaptic operations are counted exactly, synapse by synapse. Energies in pJ.
"""

from __future__ import annotations

from hwsim.accounts.base import Account, Bill, Line
from hwsim.accounts.work import Work


class Additions(Account):
    """Horowitz's prices at three widths."""

    def snn(self, work: Work) -> Bill:
        values = sum(c.value_macs for c in work.synaptic)
        return (Line("MACs of values", values, self.number("e_mac")),
                Line("additions of spikes", work.operations("spikes", identities=False), self.number("e_ac")))

    def ann(self, work: Work, ann: Work | None) -> Bill:
        return (Line("MACs, dense", work.dense_macs, self.number("e_mac")),)
