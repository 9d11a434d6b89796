"""FLOPs as papers 000, 001 and 004 count them: a layer's dense multiply-accumulates times the spikes per neuron that reach it.

F_S = F_D zeta, zeta the spikes of one sample over the source's neurons, all timesteps together. Padding and the edges of the
image are counted as if they were its middle. No exact count: that is what hwsim.accounts.work has.
"""

from __future__ import annotations

from hwsim.accounts.work import ConnectionWork, Work


def flops(work: Work, connection: ConnectionWork, kind: str = "spikes") -> float:
    """F_S of one connection for one sample: of its spikes, or of the planes that carry values."""
    return connection.dense_macs * work.per_sample(connection.events[kind]) / connection.tokens


def first_macs(work: Work) -> int:
    """F_D of the planes that carry values: the first layer's, charged once."""
    return sum(c.value_macs for c in work.synaptic)


def spike_flops(work: Work) -> float:
    """F_S of all connections that receive spikes."""
    return sum(flops(work, c) for c in work.synaptic)
