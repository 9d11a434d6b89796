"""The spike rate at which an SNN stops winning, by account, in closed form: bills of a network whose spikes and steps are
changed.

A bill is a straight line in the number of spikes, for each published account: E(s) = E(0) + s (E(1) - E(0)), s being the
spikes of the trace times a factor. So the factor at which the SNN takes as much as its ANN follows from two bills. Which
neurons spike, and how often beside each other, stays as in the trace; the number of steps is changed with the rate per step kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hwsim.accounts.base import Account, LacksInputError, total
from hwsim.accounts.registry import all_accounts
from hwsim.accounts.work import ConnectionWork, LayerWork, Work, WorkError

NEVER, ALWAYS = 0.0, float("inf")
"""Break-even rates where the SNN takes more without any spike, and where spikes cost nothing."""


@dataclass(frozen=True)
class BreakEven:
    """One account at one number of steps.

    rate          spikes per neuron and step at which both take the same; NEVER, ALWAYS, or None where the account lacks an input.
    highest       the highest rate that can be: 1, or 1 / T where neurons fire once.
    per_neuron    the same in spikes per neuron, all steps.     per_synapse   the same in spikes per synapse.
    lacks         which input is missing.
    """

    account: str
    title: str
    timesteps: int
    rate: float | None
    per_neuron: float | None
    per_synapse: float | None
    lacks: str = ""
    highest: float = 1.0


def break_even(account: Account, work: Work, ann: Work | None, timesteps: int) -> BreakEven:
    """One account's break-even rate at a number of steps."""
    if account.data.counts == "threshold":
        raise WorkError(f"{account.name}: is a threshold, not an account that charges spikes; it has no break-even of its own")
    try:
        silent, spiking = (total(account.snn(rescaled(work, factor, timesteps))) for factor in (0.0, 1.0))
        rival = total(account.ann(rescaled(work, 1.0, timesteps), ann))
    except LacksInputError as error:
        return BreakEven(account.name, account.title, timesteps, None, None, None, str(error))
    slope = spiking - silent
    highest = 1 / timesteps if any(layer.layer.neuron.fires_once for layer in work.senders) else 1.0
    factor = NEVER if rival <= silent else ALWAYS if slope <= 0 else (rival - silent) / slope
    at = rescaled(work, 1.0, timesteps)
    return BreakEven(account.name, account.title, timesteps, factor * at.spikes_per_neuron / timesteps,
                     factor * at.spikes_per_neuron, factor * at.spikes_per_synapse, highest=highest)


def break_evens(work: Work, ann: Work | None, timesteps: Sequence[int]) -> tuple[BreakEven, ...]:
    """Every account that charges spikes, at each number of steps. Raises WorkError for a trace in which nothing spikes."""
    if work.spikes == 0:
        raise WorkError(f"{work.trace}: found no spike, expected some, whose rate can be scaled; give another trace")
    for steps in timesteps:
        if not 1 <= steps <= 1024:
            raise WorkError(f"timesteps: found {steps}, allowed are 1 to 1024")
    charging = [account for account in all_accounts() if account.data.counts != "threshold"]
    return tuple(break_even(account, work, ann, steps) for account in charging for steps in timesteps)


def rescaled(work: Work, factor: float, timesteps: int) -> Work:
    """The same network with `factor` times its spikes per neuron and step, in so many steps. Values are what they were.

    Counts may be fractions: they are means, and bills are linear in them.
    """
    by = factor * timesteps / work.timesteps
    return replace(work, timesteps=timesteps, layers=tuple(_layer(layer, by, timesteps) for layer in work.layers))


def _layer(layer: LayerWork, by: float, timesteps: int) -> LayerWork:
    return replace(layer, layer=replace(layer.layer, timesteps=timesteps), spikes=by * layer.spikes,
                   connections=tuple(_connection(c, by, timesteps) for c in layer.connections))


def _connection(c: ConnectionWork, by: float, timesteps: int) -> ConnectionWork:
    """Planes of values stay; all others become so many that there are `timesteps` in all."""
    found = replace(c, planes=max(c.value_planes, timesteps) if c.planes > c.value_planes else c.planes)
    for name in ("events", "operations", "effective"):
        counts = getattr(c, name)
        if counts is not None:
            setattr(found, name, {"values": counts["values"], "spikes": by * counts["spikes"]})
    return found
