"""The look of every figure: one colour and name for each unit and each cause, their order in a stack, numbers.

Sizes are inches, fonts points. Colours are those of Okabe and Ito (2008, "Color Universal Design"), which colour-blind
eyes tell apart, and tints of them: warm for arithmetic, cool for memories, purple for control, grey for what no event
causes. What leaves the chip is hatched, so that it needs no colour at all.
"""

from __future__ import annotations

from math import floor, log10
from typing import NamedTuple

import numpy as np
from matplotlib.colors import LinearSegmentedColormap


class Look(NamedTuple):
    """How one kind of segment is named and painted."""

    label: str
    colour: str
    hatched: bool = False


ARITHMETIC, ON_CHIP, LEAKAGE, CHANNEL, CYCLE = "other_arithmetic", "other_on_chip", "leakage", "channel", "cycle"

UNITS: dict[str, Look] = {
    "lane": Look("lanes", "#D55E00"),
    "neuron": Look("neuron", "#A84300"),
    "synapse_update": Look("synapse update", "#C97B3D"),
    "accumulator": Look("accumulator", "#E5905A"),
    "multiplier": Look("multiplier", "#E69F00"),
    "shifter": Look("shifter", "#F0E442"),
    "comparator": Look("comparator", "#8C3B00"),
    "reset": Look("reset", "#F2A97A"),
    "leak": Look("neuron leak", "#B88A3B"),
    "decay": Look("neuron decay", "#9C7A2E"),
    "requantiser": Look("requantiser", "#FFD48A"),
    ARITHMETIC: Look("other arithmetic", "#5E2A00"),
    "weight_memory": Look("weight memory", "#0072B2"),
    "membrane_memory": Look("membrane memory", "#56B4E9"),
    "accumulator_file": Look("accumulator file", "#1B5E8C"),
    "current_memory": Look("current memory", "#B3E0F7"),
    "bias_memory": Look("bias memory", "#003F66"),
    "mask_memory": Look("mask memory", "#7FCDBB"),
    "spike_buffer": Look("spike buffer", "#009E73"),
    "registers": Look("operand registers", "#CC79A7"),
    "address_generator": Look("address generator", "#7B3F73"),
    "fifo": Look("spike FIFO", "#E8BFD6"),
    "serialiser": Look("serialiser", "#A05195"),
    "pooling_unit": Look("pooling unit", "#4B2354"),
    "row_scanner": Look("row scanner", "#5C4B8A"),
    "entry_reader": Look("entry reader", "#8A79B8"),
    "bypass": Look("bypass", "#B58AC4"),
    "write_multiplexer": Look("write multiplexers", "#D6B8E0"),
    "word_register": Look("word register", "#94649E"),
    "word_writer": Look("word writer", "#6E3C78"),
    "bit_slots": Look("bit slots", "#C9A0DC"),
    "visits": Look("visit counter", "#7D6B91"),
    "issue": Look("issue", "#AFA0C8"),
    "sequencer": Look("sequencer", "#4A3B66"),
    "controller": Look("controller", "#614E85"),
    "output_link": Look("output link", "#9A6FB0"),
    "sign_register": Look("signs of sources", "#DCC3EA"),
    "clock": Look("clock", "#205115"),
    "wires": Look("wires", "#D0C4A1"),
    "link": Look("links", "#A6761D"),
    "router": Look("routers", "#666A1E"),
    ON_CHIP: Look("other on chip", "#D9D9D9"),
    LEAKAGE: Look("leakage", "#666666"),
    CHANNEL: Look("off-chip channel", "#FFFFFF", hatched=True),
}
"""Every unit, in the order of the stack: arithmetic, rest of the core scope, system scope."""

CAUSES: dict[str, Look] = {
    "accumulate": Look("accumulate (events)", "#0072B2"),
    "fire": Look("fire (passes)", "#009E73"),
    "clear": Look("clear", "#8FD3FF"),
    "move": Look("move words to and from accumulators", "#F0E442"),
    "busy": Look("busy (not told apart)", "#173A4D"),
    "stall_hazard": Look("read-after-write stall", "#D55E00"),
    "stall_port": Look("port stall", "#3D0F5C"),
    "stall_serialiser": Look("serialiser stall", "#E69F00"),
    "idle": Look("scan (no event found yet, or draining)", "#C4C4C4"),
    "wait": Look("load (waits for the channel)", "#FFFFFF", hatched=True),
}
"""Every cause of a cycle, in the order of the stack."""

INPUT = Look("input", "#F4B6A6")
EVERY_CYCLE = Look("clock and control, every cycle", "#205115")
INK, PALE, RULE = "#222222", "#666666", "#DDDDDD"
FEW_LAYERS = 8
SMALL, NORMAL, LARGE = 8.0, 8.5, 11.0

FONT = "DejaVu Sans"

RC = {
    "font.family": [FONT], "font.size": NORMAL, "text.parse_math": False, "hatch.linewidth": 0.6,
    "svg.hashsalt": "hwsim", "pdf.fonttype": 42, "axes.edgecolor": PALE, "axes.labelcolor": INK, "axes.linewidth": 0.6,
    "xtick.color": PALE, "xtick.labelcolor": INK, "text.color": INK,
}


HEAT = LinearSegmentedColormap.from_list("heat", ["#FFF6E9", "#FBC687", "#E8743B", "#B3271E", "#5C0A12"])
"""Of maps of numbers: pale to dark, so that it reads without hue."""


SCALES = ("viridis", "plasma", "bone", "copper")
"""Colour scales of layers, dark to light: one for each network of a figure."""


def layer_colours(count: int, network: int = 0) -> list[str]:
    """Colours for layers in network order, dark to light: lightness tells the order even without hue. Another network of the same
    figure has another scale."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    span = colormaps[SCALES[network % len(SCALES)]]
    colours = np.array([span((0.97 if not network else 0.88) * i / max(1, count - 1))[:3] for i in range(count)])
    if count > FEW_LAYERS:
        colours[1::2] += 0.28 * (1 - colours[1::2])  # a tint of every second one keeps neighbours apart
    return [to_hex(c) for c in colours]


def si_scale(largest: float) -> tuple[float, str]:
    """(factor, prefix) that bring `largest`, in a base unit, between 1 and 1000: 2.5e-6 -> (1e6, "µ")."""
    prefixes = {0: "", -1: "m", -2: "µ", -3: "n", -4: "p", -5: "f"}
    step = 0 if largest <= 0 else min(0, max(-5, floor(log10(largest) / 3 + 1e-9)))
    return 10.0 ** (-3 * step), prefixes[step]


def number(value: float) -> str:
    """Three significant digits without an exponent, thousands separated: 12,346 / 12.3 / 0.0123."""
    if value == 0:
        return "0"
    if abs(value) < 5e-6:
        return "<0.00001"
    digits = max(0, 2 - floor(log10(abs(value)) + 1e-9))
    return f"{value:,.{min(5, digits)}f}"


def with_spread(value: float, spread: float | None) -> str:
    """A mean and its standard deviation, if there is one: "18.2 ± 1.3"."""
    return number(value) if spread is None else f"{number(value)} ± {number(spread)}"


def percent(part: float, whole: float) -> str:
    """A share in whole percents; a small one is said to be small, not zero."""
    share = 100 * part / whole if whole else 0.0
    return "<1 %" if 0 < share < 0.5 else f"{share:.0f} %"
