"""Paper 000's account of bit planes: additions by activity, and the overheads of its Figure 4, against three readings of its ANN.

E_SNN = F_1 E_MAC + sum_l F_D d_l E_add + sum_l T N_l (E_shift + E_add + E_cmp) + spikes E_reset, E_ANN = density F_D E_MAC.
Beside an ANN that skips zeros, the SNN's first layer skips the same zeros of the input. Pooling and identities are not in the
paper's counts. Energies in pJ.
"""

from __future__ import annotations

from hwsim.accounts.base import Account, Bill, Line, activities
from hwsim.accounts.published.activity import first_macs, spike_flops
from hwsim.accounts.work import Work


class Datta2024(Account):
    """Bit-serial conversion (Datta et al. 2024), sections 6.3 and 9.4."""

    def snn(self, work: Work) -> Bill:
        per_step = sum(layer.neurons * layer.timesteps for layer in work.senders)
        shifted = sum(layer.neurons * c.planes for layer in work.layers for c in layer.connections[:1]
                      if work.network.weighs_planes(c.connection))
        skips = self.choices["ann"] == "zero_skipping"
        first = work.products if skips else first_macs(work)
        return (Line("MACs of the first layer", first, self.number("e_mac")),
                Line("additions", spike_flops(work), self.number("e_add")),
                Line("left shifts", shifted, self.number("e_shift")),
                Line("additions of neurons", per_step, self.number("e_add")),
                Line("comparisons", per_step, self.number("e_cmp")),
                Line("resets", work.spikes, self.number("e_add")))

    def ann(self, work: Work, ann: Work | None) -> Bill:
        mac, assumed = self.number("e_mac"), self.choices["ann"]
        if assumed == "zero_skipping":
            return (Line("MACs of non-zero values", activities(ann).products, mac),)
        first = first_macs(work)
        density = {"dense": 1.0, "half": 0.5}[assumed]
        return (Line("MACs of the first layer", first, mac), Line(f"MACs, {assumed}", density * (work.dense_macs - first), mac))
