"""The formulas of claims about coding, memory, latency and probability, and two by seeded random trials."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwsim.accounts.claims.formulas import Inputs, Results
from hwsim.accounts.claims.vgg16 import layers

KIB_BITS = 8 * 1024


def quantisation_error(i: Inputs) -> Results:
    """lambda / (4 T): the mean error of a quantiser of T levels, in units of lambda."""
    return {f"T = {int(i[name])}": 1 / (4 * i[name]) for name in ("before", "after")}


def uniform_potentials(i: Inputs) -> Results:
    """K and h of uniform pre-activations in [0, mu]: the mean activation over mu, and that of a staircase of T steps whose first
    half step is 0. By the mass of each stair."""
    found = {"K": 0.5}
    for steps in (1, 2, 5, 16):
        edges = np.clip((np.arange(steps + 2) - 0.5) / steps, 0, 1)
        found[f"h, T = {steps}"] = float((np.diff(edges) * np.arange(steps + 1) / steps).sum())
    return found


def bits_of_levels(i: Inputs) -> Results:
    """Steps that bit planes need for Q levels 0 to Q - 1, and for the levels 0 to Q that Eq. 2 prints."""
    return {"steps": float(np.ceil(np.log2(i["levels"]))), "steps for levels 0 to Q": float(np.ceil(np.log2(i["levels"] + 1)))}


def spatial(i: Inputs) -> Results:
    """KiB of potentials and spikes of VGG-16: step by step, all layers' potentials and the spikes of one step; layer by layer,
    the largest layer's potentials and the spikes of all steps at both its ends."""
    neurons = [3 * 32 * 32, *(s.neurons for s in layers("512-4096-4096-10"))]
    pairs = list(zip(neurons, neurons[1:], strict=False))
    found: Results = {}
    for steps, bits in ((4, 8), (4, 16), (4, 32), (16, 8)):
        step = sum(neurons[1:]) * bits + max(a + b for a, b in pairs)
        layer = max(b * bits + steps * (a + b) for a, b in pairs)
        found[f"step by step, KiB, T = {steps}, {bits} bits"] = step / KIB_BITS
        found[f"layer by layer, KiB, T = {steps}, {bits} bits"] = layer / KIB_BITS
        found[f"less layer by layer (1: yes), T = {steps}, {bits} bits"] = float(layer < step)
    return found


def latency(i: Inputs) -> Results:
    """Steps of one unit in each of L layers, T of them: one after another, pipelined over L cores, and layer by layer."""
    depth, steps = i["layers"], i["steps"]
    return {"less layer by layer (1: yes), all steps at once": float(depth < steps * depth),
            "less layer by layer (1: yes), nothing shared, pipelined": float(steps * depth < depth + steps - 1),
            "step by step": steps * depth, "step by step, pipelined": depth + (steps - 1),
            "layer by layer, nothing shared by steps": steps * depth, "layer by layer, all steps at once": depth}


def no_spike(i: Inputs) -> Results:
    """(1 - activity)^(k k c): the chance that none of a sum's inputs spikes."""
    inputs = i["kernel"] ** 2 * i["channels"]
    return {f"activity {100 * i[name]:g} %": float((1 - i[name]) ** inputs) for name in ("high", "middle", "low")}


def accesses_to_potentials(i: Inputs) -> Results:
    """What one neuron does: sums added and comparisons, one of each in a step whichever order they come in; and reads and writes
    of its potential in memory, of integrate and fire, and of bit planes that fire from a register or not.
    """
    steps = i["steps"]
    return {"sums and comparisons, integrate and fire": steps + steps, "sums and comparisons, bit planes": steps + steps,
            "integrate and fire": 2 * steps, "bit planes, fire in a register": 2 * steps + 1,
            "bit planes, fire from memory": 4 * steps, "output-stationary, layer by layer": 0.0}


def residual_potential(i: Inputs) -> Results:
    """Theorem 1 on random input trains: neurons for which v(T) < 0 does not go with phi(T) >= a (a = 0) or phi(T) > a (a > 0)."""
    rng, steps, theta = np.random.default_rng(int(i["seed"])), int(i["steps"]), 1.0
    trials = int(i["trials"])
    # Sixteenths of theta: every sum is exact, and no input lies on a stair.
    drive = (rng.integers(-16, 25, (trials, steps)) * 2 + 1) / 32 * theta
    potential, spikes = np.full(trials, theta / 2), np.zeros(trials)
    for t in range(steps):
        potential = potential + drive[:, t]
        fired = potential >= theta
        potential = potential - theta * fired
        spikes += fired
    rate = spikes / steps * theta
    mean = drive.sum(axis=1) / steps
    activation = theta / steps * np.clip(np.floor(mean * steps / theta + 0.5), 0, steps)
    below = potential < 0
    zero = activation == 0
    wrong = (zero & below & ~(rate >= activation)) | (zero & (rate > activation) & ~below)
    wrong |= ~zero & (below != (rate > activation))
    more, fewer, full = rate > activation, rate < activation, activation == theta
    cases = (zero & more, ~zero & ~full & more, ~zero & ~full & fewer, full & fewer)
    errors = sum(int(case.sum()) for case in cases)
    return {"violations": float(wrong.sum()), "trials": float(trials),
            **{f"case {n}, percent of errors": 100 * float(case.sum()) / errors for n, case in enumerate(cases, start=1)},
            "too many spikes, percent": 100 * float((rate > activation).mean()),
            "too few, percent": 100 * float((rate < activation).mean())}


def noisy_mean(i: Inputs) -> Results:
    """Largest distance of the mean of clip(round(v / s + e), 0, p) s, e uniform on +-1/2, from clip(v, 0, s p), over v inside."""
    rng, levels = np.random.default_rng(int(i["seed"])), int(i["levels"])
    values = np.linspace(0, levels, 25)
    noise = rng.random(int(i["trials"])) - 0.5
    means = np.array([np.clip(np.floor(v + noise + 0.5), 0, levels).mean() for v in values])
    return {"largest deviation": float(np.abs(means - values).max())}


SCHEDULES: dict[str, Callable[[Inputs], Results]] = {f.__name__: f for f in (
    quantisation_error, uniform_potentials, bits_of_levels, spatial, latency, no_spike, accesses_to_potentials,
    residual_potential, noisy_mean)}
