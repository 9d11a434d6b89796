"""The formulas of claims about energy and operations: inputs by name in, results by name out. What each is, is said in
claims.yaml.

Energies are in pJ but where a name ends in _uj.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hwsim.accounts.claims.vgg16 import HEADS, layers

Inputs = Mapping[str, float]
Results = dict[str, float]


def mult_over_add(i: Inputs) -> Results:
    return {"32 bits": i["mult32"] / i["add32"], "8 bits": i["mult8"] / i["add8"],
            "MAC over addition, 32 bits": (i["mult32"] + i["add32"]) / i["add32"],
            "MAC over addition, 8 bits": (i["mult8"] + i["add8"]) / i["add8"]}


def additions_per_shift(i: Inputs) -> Results:
    return {"additions per shift": (1 - i["sparsity"]) * i["kernel"] ** 2 * i["channels"]}


def half_ann_over_spikes(i: Inputs) -> Results:
    """0.5 E / (d E_add), for a MAC and for a multiplication alone, at both ends of the activity d = 1 - sparsity; and for VGG-16
    with what else a neuron does in each step and the first layer's MACs on both sides, d being spikes per neuron of all steps or
    of one.
    """
    shapes = layers("512-4096-4096-10")
    first, behind = shapes[0].macs, sum(s.macs for s in shapes[1:])
    neurons = sum(s.neurons for s in shapes[:-1])
    found = {}
    for bits in (8, 32):
        mult, add = i[f"mult{bits}"], i[f"add{bits}"]
        mac, step = mult + add, add + i[f"shift{bits}"] + i[f"compare{bits}"]
        for sparsity in ("lowest", "highest"):
            once = 1 - i[f"{sparsity}_sparsity"]
            found[f"MAC, {bits} bits, {sparsity} sparsity"] = 0.5 * mac / (once * add)
            found[f"multiplication, {bits} bits, {sparsity} sparsity"] = 0.5 * mult / (once * add)
            for name, d in (("over all steps", once), ("in each step", i["steps"] * once)):
                snn = first * mac + d * add * (behind + neurons) + i["steps"] * neurons * step  # a reset is an addition
                found[f"VGG-16 with overheads, {bits} bits, d {name}, {sparsity} sparsity"] = (first + 0.5 * behind) * mac / snn
    for name, energy in (("MAC", i["mult8"] + i["add8"]), ("multiplication", i["mult8"])):
        found[f"activity that gives {i['lowest_ratio']:g}, 8-bit {name}"] = 0.5 * energy / (i["lowest_ratio"] * i["add8"])
    return found


def shift_over_addition(i: Inputs) -> Results:
    return {**{f"{bits} bits": i[f"shift{bits}"] / i[f"add{bits}"] for bits in (32, 8)},
            **{f"Aladdin, 32 bits, {clock}": i[f"aladdin_shift_{clock}"] / i[f"aladdin_add_{clock}"] for clock in ("1ns", "2ns")}}


def over_bit_serial(i: Inputs) -> Results:
    """An accelerator that adds for every bit, over one that adds for the set bits only."""
    return {"lowest": 1 / (1 - i["lowest_sparsity"]), "highest": 1 / (1 - i["highest_sparsity"])}


def activity_drop(i: Inputs) -> Results:
    return {"percentage points": 100 * (i["at_8"] - i["at_4"]), "percent of the activity": 100 * (1 - i["at_4"] / i["at_8"]),
            "ratio with the regulariser": i["plain"] / i["regularised"]}


def implied_by_001(i: Inputs) -> Results:
    """What the printed ratios mean for VGG-16, whose dense energy is known: energies, the first layer's, spikes per neuron."""
    shapes = layers("512-4096-4096-10")
    dense = sum(s.macs for s in shapes) * i["e_mac"] * 1e-6
    first = shapes[0].macs * i["e_mac"] * 1e-6
    behind = sum(s.macs for s in shapes[1:]) * i["e_ac"] * 1e-6
    found = {"E_DNN, uJ": dense, "first layer, uJ": first, "ratio without any spike": dense / first,
             "ratio without any spike, first layer in each of 2 steps": dense / (2 * first)}
    for name, ratio in (("CIFAR-10", i["cifar10"]), ("CIFAR-100", i["cifar100"])):
        found[f"E_SNN, uJ, {name}"] = dense / ratio
        found[f"spikes per neuron, {name}"] = (dense / ratio - first) / behind
    found["CIFAR-10, by the E_DNN that is printed"] = behind / (dense / i["cifar10"])
    return found


def additions_against_other_snns(i: Inputs) -> Results:
    """Additions of the other SNNs over ours, from the printed ratios of energies, the first layer being the same in all."""
    shapes = layers("512-4096-4096-10")
    dense, first = (sum(s.macs for s in part) * i["e_mac"] for part in (shapes, shapes[:1]))
    found = {}
    for data in ("cifar10", "cifar100"):
        ours = dense / i[data]
        for steps in ("5", "16"):
            found[f"{data}, {steps} steps"] = (ours * i[f"{data}_over_{steps}"] - first) / (ours - first)
    return found


def vgg16_work(i: Inputs) -> Results:
    found = {}
    for head in HEADS:
        shapes = layers(head)
        found[f"MACs, M, {head}"] = sum(s.macs for s in shapes) / 1e6
        found[f"weights, M, {head}"] = sum(s.weights for s in shapes) / 1e6
    large = layers("512-4096-4096-10")
    found["FLOPs, two per MAC"] = 2.0 * sum(s.macs for s in large)
    found["largest layer's share of the MACs"] = max(s.macs for s in large) / sum(s.macs for s in large)
    return found


def chips_of_001(i: Inputs) -> Results:
    """Energy of the other SNN over ours, spikes and steps relative to the other's; and the static share with absolute FLOPs."""
    found = {}
    for chip in ("truenorth", "spinnaker"):
        compute, static = i[f"{chip}_compute"], i[f"{chip}_static"]
        for steps in ("5", "16"):
            flops, time = compute / i[f"spikes_{steps}"], static * i["steps"] / float(steps)
            found[f"{chip}, {steps} steps"] = 1 / (flops + time)
            found[f"{chip}, share of T, {steps} steps"] = time / (flops + time)
    found["static share with absolute FLOPs"] = i["truenorth_static"] * i["steps"] / (i["truenorth_compute"] * i["flops"])
    return found


def steps_ratio(i: Inputs) -> Results:
    return {name: i[name] / i["steps"] for name in i if name != "steps"}


def implied_by_004(i: Inputs) -> Results:
    """Spikes per neuron that the printed ratios mean, by Eq. 24 and 25 with E_ANN of the ANN's FLOPs."""
    shapes = layers("512-4096-4096-10")
    dense, first = (sum(s.macs for s in part) * i["e_mac"] for part in (shapes, shapes[:1]))
    behind = sum(s.macs for s in shapes[1:]) * i["e_ac"]
    return {f"spikes per neuron at {ratio:g}": (dense / ratio - first) / behind
            for ratio in (i["cifar10"], i["cifar100"], i["conclusion"])}


def energies_ratio(i: Inputs) -> Results:
    return {"E_MAC / E_AC": (i["mult32"] + i["add32"]) / i["add32"]}


def differences(i: Inputs) -> Results:
    """Accuracies of pairs: `ours NAME` minus `other NAME`, in points."""
    pairs = [name.removeprefix("ours ") for name in i if name.startswith("ours ")]
    return {name: i[f"ours {name}"] - i[f"other {name}"] for name in pairs}


def half_the_steps(i: Inputs) -> Results:
    """Pairs of steps in which the network with the noise adaptor needs half the steps for as much accuracy, or more."""
    wins = [i[f"with {t}"] >= i[f"without {2 * t}"] for t in (1, 2, 4, 8)]
    return {"pairs that hold": float(sum(wins)), "pairs": 4.0, "points at T = 4 against 8": i["with 4"] - i["without 8"],
            "points of the ANN": i["ann without"] - i["ann with"]}


def reported(i: Inputs) -> Results:
    """Nothing can be computed: the inputs are what the paper prints."""
    return {}


FORMULAS: dict[str, Callable[[Inputs], Results]] = {f.__name__: f for f in (
    mult_over_add, additions_per_shift, half_ann_over_spikes, shift_over_addition, over_bit_serial, activity_drop, implied_by_001,
    additions_against_other_snns, vgg16_work, chips_of_001, steps_ratio, implied_by_004, energies_ratio, differences,
    half_the_steps, reported)}
