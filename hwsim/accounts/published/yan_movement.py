"""What of Yan et al. 2024 to 2026 can be computed without their equations: bits moved over a network on chip, sparse against
dense.

E_SNN = spikes x 1 bit x hops x E_sparse; E_ANN = neurons x ceil(log2(T + 1)) bits x hops x E_dense: the ANN that they hold to be
equivalent sends every value, at fixed places. Energies in pJ.
"""

from __future__ import annotations

from hwsim.accounts.base import Account, Bill, Line
from hwsim.accounts.work import Work


class YanMovement(Account):
    """Movement only, one hop for each spike or value."""

    def snn(self, work: Work) -> Bill:
        return (Line("spikes moved, 1 bit", work.spikes * self.number("hops"), self.number("e_sparse")),)

    def ann(self, work: Work, ann: Work | None) -> Bill:
        bits = equivalent_bits(work)
        return (Line(f"values moved, {bits} bits", work.neurons * bits * self.number("hops"), self.number("e_dense")),)


def equivalent_bits(work: Work) -> int:
    """Bits of the ANN's values: ceil(log2(T + 1)) for a rate code, T for bit planes, which hold 2**T levels."""
    if any(layer.layer.carries == "bits" for layer in work.senders):
        return work.timesteps
    return work.timesteps.bit_length()
