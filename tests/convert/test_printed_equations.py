"""Paper 000 in its own per-plane form, float64: right as corrected, broken by each equation that is printed wrong.

Random networks of three firing layers and a read-out, Q = 16, T = 4, weights and BatchNorm parameters dyadic, so that every
sum is exact: where an equation is right, not one neuron differs. docs/methods.md lists them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

Q, T = 16, 4
NETWORKS, IMAGES, WIDTH, CLASSES = 40, 64, 24, 10

# What each printed form is, and the least share of third-layer activations that it must break.
PRINTED = {
    "eq2_factor": 0.2,    # floor(z lambda / L + 1/2) for floor(z Q / lambda + 1/2)
    "eq2_clip": 0.05,     # clip(., 0, Q) for clip(., 0, Q - 1): 17 levels do not fit 4 bits
    "eq8_offset": 0.3,    # Eq. 8, Algorithm 1 line 31: + theta / 2 for + theta / 2^(T+1)
    "eq12_offset": 0.1,   # Eq. 12: no offset
    "eq7_order": 0.2,     # Eq. 7: 2^(t-1) with spikes most significant first, for 2^(T-t)
    "eq7_scale": 0.2,     # Eq. 7: a plane is worth theta 2^(.), for theta 2^(.) / 2^T
    "theorem1": 0.2,      # Theorem I, line 22: gamma mu / beta for gamma mu / sigma
    "line33": 0.2,        # lines 33-34: theta / 2 in every pass for theta / 2^t
    "proof2": 0.2,        # proof of Theorem II: theta / 2^t is taken away whether the bit is set or not
    "heaviside": 0.01,    # H(0) = 0 for H(0) = 1
}


@dataclass(frozen=True, eq=False)
class Block:
    """Linear layer and BatchNorm; threshold 0 for the read-out."""

    weights: np.ndarray
    gamma: np.ndarray
    mu: np.ndarray
    sigma: np.ndarray
    beta: np.ndarray
    threshold: float

    def norm(self, sums: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return self.gamma * (sums - self.mu) / self.sigma + beta


def random_blocks(rng: np.random.Generator) -> list[Block]:
    """Thresholds are powers of two that a fifth of the neurons reach."""
    blocks: list[Block] = []
    a = images(rng)
    for number in range(4):
        n = CLASSES if number == 3 else WIDTH
        scale = float(np.abs(a).max())
        block = Block(
            rng.integers(-8, 9, (n, WIDTH)) / 8, 2.0 ** rng.integers(-1, 2, n), rng.integers(-16, 17, n) / 16 * scale,
            2.0 ** rng.integers(-1, 2, n), rng.choice((-1, 1), n) * rng.integers(1, 17, n) / 16 * scale, 0.0)
        z = block.norm(a @ block.weights.T, block.beta)
        if number < 3:
            block = Block(block.weights, block.gamma, block.mu, block.sigma, block.beta,
                          2.0 ** round(np.log2(np.quantile(z, 0.8))))
            a = qcfs(z, block.threshold, frozenset())
        blocks.append(block)
    return blocks


def images(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 9, (IMAGES, WIDTH)) / 8


def qcfs(z: np.ndarray, threshold: float, printed: frozenset[str]) -> np.ndarray:
    """Eq. 2. L is taken for the quantisation step number Q, as the algorithm's input list says."""
    x = z * threshold / Q if "eq2_factor" in printed else z * Q / threshold
    return threshold / Q * np.clip(np.floor(x + 0.5), 0, Q if "eq2_clip" in printed else Q - 1)


def ann(blocks: list[Block], a: np.ndarray, printed: frozenset[str] = frozenset()) -> list[np.ndarray]:
    """Activations of the firing layers, then logits (Eq. 1 and 2)."""
    found = []
    for block in blocks:
        z = block.norm(a @ block.weights.T, block.beta)
        a = qcfs(z, block.threshold, printed) if block.threshold else z
        found.append(a)
    return found


def fire(u: np.ndarray, threshold: float, timesteps: int, printed: frozenset[str]) -> np.ndarray:
    """Eq. 8: T passes over the accumulated potential; spikes (T, N, neurons)."""
    spikes = []
    for t in range(1, timesteps + 1):
        compared = threshold / (2 if "line33" in printed else 2**t)
        s = (u > compared if "heaviside" in printed else u >= compared).astype(float)
        u = u - compared * (1.0 if "proof2" in printed else s)
        spikes.append(s)
    return np.stack(spikes)


def plane_weight(t: int, timesteps: int, order: str, printed: frozenset[str]) -> float:
    """What plane t (1 to T) is worth of the source's threshold."""
    power = t - 1 if "eq7_order" in printed or order == "least significant first" else timesteps - t
    return 2.0**power / (1 if "eq7_scale" in printed else 2**timesteps)


def currents(
    block: Block, spikes: np.ndarray, before: float, order: str, printed: frozenset[str]
) -> np.ndarray:
    """Eq. 7: one BatchNorm a plane, with the shifted beta of Theorem I; (T, N, neurons), to be summed."""
    timesteps = len(spikes)
    slope = block.gamma * block.mu / (block.beta if "theorem1" in printed else block.sigma)
    beta_c = block.beta / timesteps + (1 - 1 / timesteps) * slope
    planes = spikes[::-1] if order == "least significant first" else spikes
    return np.stack([
        block.norm(plane_weight(t, timesteps, order, printed) * before * plane @ block.weights.T, beta_c)
        for t, plane in enumerate(planes, 1)])


def value(spikes: np.ndarray, threshold: float) -> np.ndarray:
    """The activation that spikes (T, N, neurons), most significant first, stand for."""
    weights = 2.0 ** -np.arange(1, len(spikes) + 1)
    return threshold * np.tensordot(weights, spikes, 1)


def snn(
    blocks: list[Block], a: np.ndarray, timesteps: int = T, order: str = "most significant first",
    printed: frozenset[str] = frozenset(),
) -> list[np.ndarray]:
    """Algorithm 1 from line 24: activations that the spikes of each firing layer stand for, then logits."""
    found = []
    offset = {True: 0.5, False: 0.5 / 2**timesteps}["eq8_offset" in printed] * ("eq12_offset" not in printed)
    spikes, before = np.zeros(0), 0.0
    for block in blocks:
        if not len(spikes):
            # Multi-bit inputs go through the first block once, as in the ANN (line 25).
            u = block.norm(a @ block.weights.T, block.beta)
        elif order == "Horner":
            u = np.zeros((len(a), len(block.weights)))
            for plane in spikes:
                u = 2 * u + plane @ block.weights.T
            u = block.norm(u * before / 2**timesteps, block.beta)
        else:
            u = currents(block, spikes, before, order, printed).sum(axis=0)
        if not block.threshold:
            return [*found, u]
        spikes = fire(u + offset * block.threshold, block.threshold, timesteps, printed)
        before = block.threshold
        found.append(value(spikes, before))
    raise AssertionError("no read-out")


@cache
def designs() -> list[tuple[list[Block], np.ndarray]]:
    rngs = [np.random.default_rng(seed) for seed in range(NETWORKS)]
    return [(random_blocks(rng), images(rng)) for rng in rngs]


def broken(printed: frozenset[str]) -> tuple[float, float]:
    """Share of third-layer activations and of decisions in which ANN and SNN differ."""
    layer, decisions = [], []
    for blocks, a in designs():
        truth, found = ann(blocks, a, printed), snn(blocks, a, printed=printed)
        layer.append((truth[2] != found[2]).mean())
        decisions.append((truth[3].argmax(1) != found[3].argmax(1)).mean())
    return float(np.mean(layer)), float(np.mean(decisions))


@pytest.mark.parametrize("order", ["most significant first", "least significant first", "Horner"])
def test_corrected_equations_are_lossless_in_every_order_of_bits(order: str) -> None:
    for blocks, a in designs():
        for truth, found in zip(ann(blocks, a), snn(blocks, a, order=order), strict=True):
            np.testing.assert_array_equal(found, truth)


def test_the_networks_use_all_levels() -> None:
    seen = [np.bincount((ann(blocks, a)[2] * Q / blocks[2].threshold).astype(int).ravel(), minlength=Q)
            for blocks, a in designs()]
    share = np.sum(seen, axis=0) / np.sum(seen)
    assert share.min() > 0.005
    assert share[0] < 0.7


@pytest.mark.parametrize("equation", PRINTED)
def test_each_printed_equation_breaks_it(equation: str) -> None:
    layer, decisions = broken(frozenset({equation}))
    assert layer > PRINTED[equation]
    assert decisions > 0.005


def test_all_printed_equations_together_break_it() -> None:
    # proof2 is another text of lines 33-34, eq12 another of Eq. 8: one of each is in force.
    layer, decisions = broken(frozenset(PRINTED) - {"proof2", "eq12_offset", "heaviside"})
    assert layer > 0.4
    assert decisions > 0.4


@pytest.mark.parametrize("timesteps", [1, 2, 4, 8])
def test_shifted_batchnorms_of_all_planes_are_one_folded_batchnorm(timesteps: int) -> None:
    """T per-plane BatchNorms with beta_c give W' x + b' with the bias once: what hwsim.convert.bit_serial runs."""
    for blocks, _ in designs()[:10]:
        block = blocks[1]
        rng = np.random.default_rng(timesteps)
        spikes = rng.integers(0, 2, (timesteps, IMAGES, WIDTH)).astype(float)
        before = blocks[0].threshold
        for order in ("most significant first", "least significant first"):
            summed = currents(block, spikes, before, order, frozenset()).sum(axis=0)
            gain = block.gamma / block.sigma
            folded = value(spikes, before) @ (block.weights * gain[:, None]).T + (block.beta - gain * block.mu)
            np.testing.assert_array_equal(summed, folded)
