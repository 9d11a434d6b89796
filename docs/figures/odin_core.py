"""The ODIN core as a block diagram, docs/figures/odin_core.png. Every width and capacity is the model's.

    python docs/figures/odin_core.py

`blocks` and `wires` tell what the picture says, from the shipped design `odin` and the units as they are priced. Places are
inches from the upper left corner.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from hwsim.arch import load_architecture
from hwsim.cores.odin.configuration import LARGEST, MAPPED
from hwsim.cores.odin.fields import NEURONS, SYNAPSES_PER_WORD, WORDS_PER_SOURCE, OdinDesign, OdinMemory
from hwsim.cores.odin.logic import ENTRY_BITS
from hwsim.cores.odin.record import KINDS
from hwsim.cores.odin.stimulus import ADDRESS_BITS
from hwsim.cores.odin.words import FIELDS
from hwsim.units import format_bits
from hwsim.view.figure_file import words_of, write_figure
from hwsim.view.page import MARGIN, WIDTH, Page
from hwsim.view.style import INK, LARGE, NORMAL, PALE, RC, RULE, SMALL, UNITS

TARGET = Path(__file__).with_suffix(".png")
LINE, BAND = 0.185, 0.09
"""From line to line of a text; the width of the coloured band of a box."""
OUTSIDE, LEFT, TOP, BOX_WIDTH, BOX_HEIGHT, GAP, ROW_GAP, BORDER = 0.25, 1.75, 1.05, 2.2, 1.28, 0.7, 0.7, 0.25
"""Where wires from outside begin, the grid of boxes, and the chip's border around it."""
HEIGHT = TOP + 3 * BOX_HEIGHT + 2 * ROW_GAP + BORDER + 0.15
SYNAPSE_BITS = LARGEST["synapses"].bit_length()
INDEX_BITS = (NEURONS - 1).bit_length()


class Block(NamedTuple):
    """A box: its colour's name in style.py, its corner and size, what it is, and the lines in it."""

    unit: str
    x: float
    y: float
    width: float
    height: float
    title: str
    lines: tuple[str, ...]


class Wire(NamedTuple):
    """An arrow along its corners, and its text with the place of the text's first line; `ha` as matplotlib has it.
    both: has two heads; branches: begins on another wire."""

    corners: tuple[tuple[float, float], ...]
    text: str
    place: tuple[float, float]
    ha: str = "center"
    both: bool = False
    branches: bool = False


def blocks(design: OdinDesign) -> dict[str, Block]:
    """The boxes by name."""
    core, memories = design.core, design.memories
    threshold, leak, potential = (FIELDS[name][1] for name in ("thresholds", "leaks", "potentials"))
    return {
        "input": Block("output_link", *at(0, 0), "Input link  O4", (
            "AER handshake of four phases", f"{core.input.latches} latches on the request", "the sender holds the address")),
        "controller": Block("controller", *at(1, 0), "Controller  O3, O5", (
            f"{len(KINDS)} kinds of operations,", "one at a time", "walks over neurons or words", "acknowledges the sender")),
        "scheduler": Block("fifo", *at(2, 0), "Scheduler  O6", (
            f"FIFO, {core.scheduler.depth} entries of {ENTRY_BITS} bits:", f"{ENTRY_BITS - INDEX_BITS} of a virtual event,",
            f"{INDEX_BITS} of a source or neuron")),
        "synapses": Block("weight_memory", *at(0, 1), "Synapse memory  O8", (
            _size(memories.weight), f"{SYNAPSES_PER_WORD} synapses of {SYNAPSE_BITS} bits per word",
            f"{WORDS_PER_SOURCE} words per source", _port(memories.weight))),
        "neuron": Block("neuron", *at(1, 1), "Neuron update  O1, O2", (
            f"one adder, one comparator: {potential} bits", f"adds, clips to 0 ... {LARGEST['potentials']}, or leaks",
            "compares with the threshold", "fires and resets to 0")),
        "output": Block("output_link", *at(2, 1), "Output link  O7", (
            "AER handshake of four phases", f"{core.output.latches} latches on the acknowledge", "holds one spike:",
            "while busy, the walk waits")),
        "update": Block("synapse_update", *at(0, 2), "Bistability  O5", (
            f"moves the {SYNAPSES_PER_WORD} weights of a word", f"by one step within 0 ... {MAPPED - 1}")),
        "potentials": Block("membrane_memory", *at(1, 2), "Neuron memory  O2, O8", (
            _size(memories.membrane), f"a neuron per word: potential {potential},",
            f"threshold {threshold}, leak {leak} bits and more", _port(memories.membrane))),
        "signs": Block("sign_register", *at(2, 2), "Signs of sources  O1", (
            f"{NEURONS} x 1 bit:", "excitatory or inhibitory")),
    }


def at(column: int, row: int) -> tuple[float, float, float, float]:
    """Corner and size of a box in the grid of three by three."""
    return LEFT + column * (BOX_WIDTH + GAP), TOP + row * (BOX_HEIGHT + ROW_GAP), BOX_WIDTH, BOX_HEIGHT


def wires(design: OdinDesign) -> list[Wire]:
    """The arrows: between the boxes, and to the world."""
    weight, membrane = design.memories.weight, design.memories.membrane
    feedback = "spike, fed back" if design.core.scheduler.feedback else "no feedback"
    c0, c1, c2 = (at(column, 0)[0] for column in range(3))  # left edges of the columns
    r0, r1, r2 = (at(0, row)[1] for row in range(3))  # upper edges of the rows
    e0, e1, e2 = c0 + BOX_WIDTH, c1 + BOX_WIDTH, c2 + BOX_WIDTH
    m0, m1, m2 = (left + BOX_WIDTH / 2 for left in (c0, c1, c2))
    up, down = 0.5, 0.95  # where arrows meet the side of a box, below its upper edge
    far, between, between_2 = OUTSIDE, e0 + GAP / 2, e1 + GAP / 2
    return [
        Wire(((far, r0 + up), (c0, r0 + up)), f"request,\n{ADDRESS_BITS}-bit address", (far, r0 + up - 0.24), "left"),
        Wire(((c0, r0 + down), (far, r0 + down)), "acknowledge", (far, r0 + down + 0.16), "left"),
        Wire(((e0, r0 + up), (c1, r0 + up)), f"{ADDRESS_BITS}-bit\naddress", (between, r0 + up - 0.24)),
        Wire(((c1, r0 + down), (e0, r0 + down)), "acknow-\nledge", (between, r0 + down + 0.16)),
        Wire(((e1, r0 + up), (c2, r0 + up)), f"push,\n{ENTRY_BITS} bits", (between_2, r0 + up - 0.24)),
        Wire(((c2, r0 + down), (e1, r0 + down)), f"pop,\n{ENTRY_BITS} bits", (between_2, r0 + down + 0.16)),
        Wire(((c1 + 0.4, r1 - ROW_GAP), (c1 + 0.4, r1 - 0.35), (m0, r1 - 0.35), (m0, r1)),
             f"{(weight.words - 1).bit_length()}-bit word address", ((m0 + c1 + 0.4) / 2, r1 - 0.42)),
        Wire(((m1, r1 - ROW_GAP), (m1, r1)), f"operation,\n{INDEX_BITS}-bit neuron", (m1 + 0.08, r1 - 0.4), "left"),
        Wire(((e0, r1 + up + 0.1), (c1, r1 + up + 0.1)), f"{weight.bits}-bit\nword", (between, r1 + up - 0.14)),
        Wire(((m1, r2 - ROW_GAP), (m1, r2)), f"{membrane.bits}-bit word,\nread, then written",
             (m1 + 0.08, r2 - 0.4), "left", True),
        Wire(((m0, r2 - ROW_GAP), (m0, r2)), f"{weight.bits}-bit word,\nread, then written",
             (m0 + 0.08, r2 - 0.4), "left", True),
        Wire(((m2, r2), (m2, r2 - 0.35), (between_2, r2 - 0.35), (between_2, r1 + down + 0.12), (e1, r1 + down + 0.12)),
             "sign of the source", ((between_2 + m2) / 2 + 0.04, r2 - 0.42)),
        Wire(((e1, r1 + up), (c2, r1 + up)), f"{INDEX_BITS}-bit\nneuron", (between_2, r1 + up + 0.16)),
        Wire(((between_2, r1 + up), (between_2, r1 - 0.35), (m2, r1 - 0.35), (m2, r1 - ROW_GAP)), feedback,
             ((between_2 + m2) / 2 + 0.04, r1 - 0.42), branches=True),
        Wire(((e2, r1 + up), (WIDTH - far, r1 + up)), f"request,\n{INDEX_BITS}-bit address",
             (WIDTH - far, r1 + up - 0.24), "right"),
        Wire(((WIDTH - far, r1 + down), (e2, r1 + down)), "acknowledge", (WIDTH - far, r1 + down + 0.16), "right"),
    ]


def _size(memory: OdinMemory) -> str:
    return f"{memory.words:,} words of {memory.bits} bits, {format_bits(memory.words * memory.bits)}"


def _port(memory: OdinMemory) -> str:
    return {"1rw": "one port: reads or writes"}[memory.ports]


def figure(design: OdinDesign) -> Figure:
    """The picture of the core of a design."""
    with style.context(["default", RC]):
        page = Page(HEIGHT)
        axes = page.axes(0, 0, WIDTH, HEIGHT)
        axes.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
        axes.set_axis_off()
        page.text(MARGIN, 0.28, "The ODIN core as the model has it", size=LARGE, weight="bold")
        page.text(MARGIN, 0.52, f"{NEURONS} neurons, {NEURONS} sources; widths and capacities are those of the shipped design, "
                                "O1 to O8 the rules below", size=NORMAL, color=PALE)
        axes.add_patch(FancyBboxPatch(
            (LEFT - BORDER, TOP - BORDER), WIDTH - 2 * (LEFT - BORDER), HEIGHT - TOP + BORDER - 0.15,
            boxstyle="round,pad=0,rounding_size=0.12", facecolor="#F7F7F7", edgecolor=RULE))
        for name, x, ha, row in (("sender", OUTSIDE, "left", 0), ("receiver", WIDTH - OUTSIDE, "right", 1)):
            axes.text(x, at(0, row)[1] + 0.02, name, size=NORMAL + 1, weight="bold", ha=ha)
        for wire in wires(design):
            _draw_wire(axes, wire)
        found = blocks(design)
        for block in found.values():
            _draw_block(axes, block)
        _draw_entries(axes, found["scheduler"], design.core.scheduler.depth)
        return page.figure


def _draw_block(axes: Axes, block: Block) -> None:
    """A white box with a band of its unit's colour, as it has in figures of energy."""
    axes.add_patch(Rectangle((block.x, block.y), block.width, block.height, facecolor="white", edgecolor=PALE, linewidth=0.8))
    axes.add_patch(Rectangle((block.x, block.y), BAND, block.height, facecolor=UNITS[block.unit].colour, linewidth=0))
    name, rules = block.title.split("  ")
    axes.text(block.x + 0.2, block.y + 0.26, name, size=NORMAL + 1, weight="bold")
    axes.text(block.x + block.width - 0.1, block.y + 0.26, rules, size=SMALL, color=PALE, ha="right")
    for place, line in enumerate(block.lines):
        axes.text(block.x + 0.2, block.y + 0.5 + LINE * place, line, size=SMALL)


def _draw_entries(axes: Axes, block: Block, depth: int) -> None:
    """A cell for each entry of the FIFO, along the lower edge of its box."""
    left, top, width = block.x + BAND + 0.1, block.y + block.height - 0.24, (block.width - BAND - 0.2) / depth
    for place in range(depth):
        axes.add_patch(Rectangle((left + width * place, top), width, 0.13, facecolor=UNITS[block.unit].colour, edgecolor="white",
                                 linewidth=0.8))


def _draw_wire(axes: Axes, wire: Wire) -> None:
    *way, end = wire.corners
    axes.plot(*zip(*wire.corners, strict=True), color=INK, linewidth=1.0, solid_joinstyle="round")
    if wire.branches:
        axes.plot(*wire.corners[0], "o", color=INK, markersize=3.5)
    arrow = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 9}
    axes.annotate("", end, way[-1], arrowprops=arrow)
    if wire.both:
        axes.annotate("", wire.corners[0], wire.corners[1], arrowprops=arrow)
    for place, line in enumerate(wire.text.split("\n")):
        axes.text(wire.place[0], wire.place[1] + 0.16 * place, line, size=SMALL, color=PALE, ha=wire.ha)


def shipped() -> OdinDesign:
    """The design of docs/odin.md."""
    design = load_architecture("odin").only
    assert isinstance(design, OdinDesign)
    return design


def main() -> None:
    picture = figure(shipped())
    print(write_figure(picture, TARGET, words_of(picture)))


if __name__ == "__main__":
    main()
