"""SpikingJelly 2.0's simple estimator (op_counter/simple_energy.py): multiply-accumulates, accumulates, and logical accesses by
byte.

E = MAC E_MAC + AC E_AC + bytes E_byte. AC are synaptic operations of spikes and 3 additions per neuron and step (integrate,
subtract the threshold, reset; 5 where it leaks). Bytes are those of weights at each use, biases at each step, and one read and
one write of every potential per step, 4 bytes each. Its multi-bit input is presented in every step; here, as in the trace, once.
"""

from __future__ import annotations

from hwsim.accounts.base import Account, Bill, Line
from hwsim.accounts.work import Work

WORD_BYTES = 4


class SpikingJellySimple(Account):
    """SimpleEnergyProfiler's counts, from a trace."""

    def snn(self, work: Work) -> Bill:
        mac, ac, byte = (self.number(n) for n in ("e_mac", "e_ac", "e_byte"))
        values = sum(c.value_macs for c in work.synaptic)
        spikes = work.operations("spikes", identities=False)
        state = sum(layer.neurons * layer.timesteps for layer in work.senders)
        neuron = sum(layer.neurons * layer.timesteps * (3 if not layer.layer.neuron.leaks else 5) for layer in work.senders)
        return (Line("MACs of values", values, mac), Line("synaptic operations", spikes, ac),
                Line("additions of neurons", neuron, ac),
                Line("weight bytes", WORD_BYTES * (values + spikes), byte),
                Line("bias bytes", WORD_BYTES * biases(work), byte),
                Line("potential bytes", 2 * WORD_BYTES * state, byte))

    def ann(self, work: Work, ann: Work | None) -> Bill:
        mac, byte = self.number("e_mac"), self.number("e_byte")
        rows = sum(layer.neurons for layer in work.layers if layer.layer.bias is not None)
        return (Line("MACs, dense", work.dense_macs, mac), Line("weight bytes", WORD_BYTES * work.dense_macs, byte),
                Line("bias bytes", WORD_BYTES * rows, byte))


def biases(work: Work) -> int:
    """Biases added for one sample: one per neuron and plane of the layer's first connection, as a module with a bias does.

    A layer without connections adds one in each timestep.
    """
    planes = ((layer, layer.connections[0].planes if layer.connections else layer.timesteps) for layer in work.layers)
    return sum(layer.neurons * count for layer, count in planes if layer.layer.bias is not None)
