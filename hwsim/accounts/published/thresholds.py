"""Published thresholds whose equations could not be read: one measure of the trace against one number, or a band of two.

Below the band the SNN wins, above it the ANN, inside it the source does not say. No account: nothing is charged.
"""

from __future__ import annotations

from hwsim.accounts.base import Account, Bill, LacksInputError, Line
from hwsim.accounts.work import Work


class Threshold(Account):
    """The measure stands on the SNN's side, the band's two ends on the ANN's."""

    def snn(self, work: Work) -> Bill:
        if self.choices["measure"] == "spikes per synapse":
            return (Line("spikes per synapse", work.spikes_per_synapse, 1),)
        steps = int(self.number("timesteps"))
        if work.timesteps != steps:
            raise LacksInputError(f"holds at T = {steps}; the trace has T = {work.timesteps}")
        return (Line("spikes per neuron and step", work.spikes_per_neuron / work.timesteps, 1),)

    def ann(self, work: Work, ann: Work | None) -> Bill:
        return (Line("lowest", 1, self.number("low")), Line("highest", 1, self.number("high")))
