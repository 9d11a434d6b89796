"""Maps of a mesh: where layers are, where energy goes, and how loaded the links are.

A square is a core on its node, x to the right and y downwards as rules C8 count them. Between neighbours lie two arrows, one for
each direction, each on the right of who walks along it. Places are nodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrow, Rectangle

from hwsim.links import CHANNEL, Link, link_name
from hwsim.view.figure_file import FigureError, in_our_style
from hwsim.view.heading import heading
from hwsim.view.labels import design, layer_name, mean_of, shortened
from hwsim.view.lanes import layer_looks
from hwsim.view.page import LINE as LINE_INCHES
from hwsim.view.page import MARGIN, WIDTH, Page, inches, legend_lines, wrap
from hwsim.view.style import HEAT, INK, NORMAL, PALE, RULE, SMALL, number, si_scale
from hwsim.view.width import WIDTHS, Width, scaled

if TYPE_CHECKING:
    import pandas as pd

    from hwsim.links import MeshSpec, Node
    from hwsim.result import Result

Shown = Literal["placement", "energy", "load"]
SHOWN: dict[Shown, str] = {
    "placement": "Where layers are", "energy": "Energy of each core's work", "load": "Load of the links"}
SIDE = 0.6
"""Of a core's square, in nodes."""
HEAD = 0.17
"""Of it, the part above the stripes, with its name."""
OFFSET, THICK = 0.1, 0.055
"""Of a link from the line between two nodes, and how thick it is at full load of the most loaded; in nodes."""
NOTE = ("Stripes: the cycles that a core spends on each layer. Energy: what a core does, and the links that it sends over. "
        "Load: the share of the sample's time in which transfers hold a link; all links of a transfer are held for as long as it "
        "lasts. The dot is the node where the off-chip channel is attached.")
CANVAS, TITLE_ROOM, BAR_FOOT = 3.55, 0.48, 0.62


@in_our_style
def draw_mesh(result: Result, show: Shown = "placement", axes: Axes | None = None) -> Axes:
    """A map of a chip's mesh, means over the samples.

    show   placement: in each core a stripe for each layer, as high as its share of the core's cycles;
           energy: the core scope of what each core does and sends, without leakage and what every cycle costs;
           load: the share of a sample's time in which each link is held.
    axes   drawn on; left out, on a figure of its own.

    Returns the axes. Raises FigureError for a chip without a network.
    """
    if show not in SHOWN:
        raise FigureError(f"unknown map {show!r}, allowed are {', '.join(SHOWN)}")
    mesh = _mesh_of(result)
    if axes is None:
        page = Page(CANVAS + 1.4)
        axes = page.axes((WIDTH - CANVAS) / 2, 0.4, CANVAS, CANVAS)
    _draw_frame(axes, mesh)
    {"placement": _draw_placement, "energy": _draw_energy, "load": _draw_load}[show](result, mesh, axes)
    return axes


@in_our_style
def mesh_figure(result: Result, width: Width = "screen") -> Figure:
    """The three maps of one result, as many side by side as have room. Raises FigureError for a chip without a network."""
    mesh, across = _mesh_of(result), WIDTHS[width].sheet
    looks = [look for name, look in layer_looks(result).items() if name != "input"]
    entries = legend_lines([(look.label, look) for look in looks], MARGIN, width=across)
    notes = wrap(f"{NOTE} {_not_shown(result)}", across - 2 * MARGIN)
    columns = {"screen": 3, "page": 2, "column": 1}[width]
    canvas = min(CANVAS, (across - 2 * MARGIN - 0.1 * (columns - 1)) / columns)
    wide, tall = mesh.size
    height = canvas * min(1.0, max(0.35, tall / max(wide, tall)))
    lines = 1 + entries[-1].line
    above = heading(f"A map of {shortened(result.facts.arch)}: {shortened(result.facts.trace)}, "
                    f"{result.facts.schedule.replace('_', ' ')}", f"{design(result)}; {mean_of([result])}", width)
    rows = -(-len(SHOWN) // columns)
    # The first map has no scale below it; in a row of its own it needs no room for one.
    spared = BAR_FOOT - 0.15 if columns == 1 else 0.0
    row = TITLE_ROOM + height + BAR_FOOT
    page = Page(above.height + row * rows - spared + LINE_INCHES * (lines + len(notes)) + 0.2, across)
    above.draw(page)
    gap = (across - 2 * MARGIN - columns * canvas) / max(1, columns - 1) if columns > 1 else 0.0
    for i, (show, title) in enumerate(SHOWN.items()):
        left = MARGIN + i % columns * (canvas + gap) if columns > 1 else (across - canvas) / 2
        top = above.height + row * (i // columns) - (spared if i else 0.0) + TITLE_ROOM
        axes = page.axes(left, top, canvas, height)
        page.text(left, top - 0.12, title, size=NORMAL + 1, weight="bold")
        draw_mesh(result, show, axes)
        if show != "placement":
            _draw_scale(page, left, top + height + 0.14, canvas, *_scale_of(result, show))
    below = above.height + row * rows - spared
    page.legend(entries, below)
    for i, line in enumerate(notes):
        page.text(MARGIN, below + LINE_INCHES * (lines + i) + 0.08, line, size=SMALL, color=PALE)
    return scaled(page.figure, width)


# --- numbers -----------------------------------------------------------------------------------------------------------


def _mesh_of(result: Result) -> MeshSpec:
    mesh = result.architecture.mesh_spec()
    if mesh is None:
        raise FigureError(f"{result.facts.arch} has no network, so there is no mesh to draw; give the design `network`")
    return mesh


def core_energies_pj(result: Result) -> dict[str, float]:
    """By core, picojoules of one sample in the core scope; what belongs to no core (`whole_chip_pj`) is not in it."""
    found = _core_scope(result).groupby("core")["energy_pj"].sum()
    return {name: float(found.get(name, 0.0)) for name in result.architecture.core_names}


def whole_chip_pj(result: Result) -> float:
    """Picojoules of one sample that belong to no core: leakage, and what every cycle costs."""
    frame = _core_scope(result)
    return float(frame.loc[~frame["core"].isin(result.architecture.core_names), "energy_pj"].sum())


def _core_scope(result: Result) -> pd.DataFrame:
    return result.energy[result.energy["scope"] != "system"]


def _not_shown(result: Result) -> str:
    joules = 1e-12 * whole_chip_pj(result)
    scale, prefix = si_scale(joules)
    return (f"Leakage and what every cycle costs are not shown: {number(scale * joules)} {prefix}J per sample in the whole chip, "
            "idle cores included.")


def link_loads(result: Result) -> dict[Link, float]:
    """By directed link of the mesh, the share of a sample's time in which it is held."""
    shares = dict(zip(result.busy_frame["resource"], result.busy_frame["share"], strict=True))
    return {link: float(shares.get(link_name(link), 0.0)) for link in _mesh_of(result).links}


def layer_shares(result: Result) -> dict[str, dict[str, float]]:
    """By core, by layer that it computes: the share of the core's working cycles."""
    frame = result.cycles_frame
    frame = frame[(frame["layer"] != "") & (frame["cause"] != "wait") & frame["resource"].isin(list(result.pipes()))]
    found: dict[str, dict[str, float]] = {name: {} for name in result.architecture.core_names}
    for row in frame.groupby(["resource", "layer"], sort=False, as_index=False)["cycles"].sum().itertuples():
        if row.cycles:
            mine = found[result.pipes()[str(row.resource)]]
            mine[str(row.layer)] = mine.get(str(row.layer), 0.0) + float(row.cycles)
    return {core: {layer: cycles / sum(mine.values()) for layer, cycles in mine.items()} for core, mine in found.items()}


# --- drawing -----------------------------------------------------------------------------------------------------------


def _draw_frame(axes: Axes, mesh: MeshSpec) -> None:
    wide, tall = mesh.size
    axes.set(xlim=(-0.42, wide - 0.58), ylim=(tall - 0.6, -0.58), aspect="equal", xticks=[], yticks=[])
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(False)
    cores = {node: name for name, node in mesh.nodes if name != CHANNEL}
    for x in range(wide):
        for y in range(tall):
            if (x, y) not in cores:
                axes.add_patch(Rectangle((x - SIDE / 2, y - SIDE / 2), SIDE, SIDE, facecolor="none", edgecolor=RULE,
                                         linestyle=":", linewidth=0.8))
    x, y = mesh.node_of[CHANNEL]
    if _node_inches(axes) > 0.5:
        axes.text(x - SIDE / 2, y - SIDE / 2 - 0.05, CHANNEL, size=SMALL, color=PALE, ha="left", va="bottom")
    axes.plot([x - SIDE / 2 - 0.04], [y - SIDE / 2 - 0.04], marker="o", markersize=3.5, color=INK, clip_on=False)


def _node_inches(axes: Axes) -> float:
    """Inches from node to node, with the aspect that the axes will have."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    dpi = axes.figure.dpi
    return float(min(axes.bbox.width / dpi / (right - left), axes.bbox.height / dpi / abs(high - low)))


def _square(axes: Axes, node: Node, colour: str | tuple[float, ...]) -> None:
    axes.add_patch(Rectangle((node[0] - SIDE / 2, node[1] - SIDE / 2), SIDE, SIDE, facecolor=colour, edgecolor=PALE,
                             linewidth=0.6))


def _words(axes: Axes, x: float, y: float, candidates: Iterable[str], width: float, colour: str, size: float = SMALL) -> None:
    """The first of the candidates that is not wider than `width` nodes."""
    text = next((one for one in candidates if inches(one, size) < width * _node_inches(axes) - 0.02), "")
    if text:
        axes.text(x, y, text, size=size, color=colour, ha="center", va="center_baseline")


def _on(colour: str | tuple[float, ...]) -> str:
    """Ink that is read on a colour."""
    r, g, b = to_rgb(colour)
    return INK if 0.299 * r + 0.587 * g + 0.114 * b > 0.55 else "white"


def _short(core: str) -> tuple[str, str]:
    """A core's name, and what is left of it where there is little room."""
    return core, core.removeprefix("core")


def _draw_placement(result: Result, mesh: MeshSpec, axes: Axes) -> None:
    looks = layer_looks(result)
    for core, shares in layer_shares(result).items():
        x, y = mesh.node_of[core]
        _square(axes, (x, y), "white")
        _words(axes, x, y - SIDE / 2 + HEAD / 2, _short(core), SIDE, PALE)
        top, room = y - SIDE / 2 + HEAD, SIDE - HEAD
        for layer, share in shares.items():
            axes.add_patch(Rectangle((x - SIDE / 2, top), SIDE, room * share, facecolor=looks[layer].colour, linewidth=0))
            if room * share * _node_inches(axes) > 0.14:
                _words(axes, x, top + room * share / 2, (layer_name(layer),), SIDE, _on(looks[layer].colour))
            top += room * share
        axes.add_patch(Rectangle((x - SIDE / 2, y - SIDE / 2), SIDE, SIDE, facecolor="none", edgecolor=PALE, linewidth=0.6))
        if not shares:
            _words(axes, x, y + HEAD / 2, ("idle",), SIDE, PALE)
    _draw_links(axes, dict.fromkeys(mesh.links, 0.0), HEAT, 1.0)


def _draw_energy(result: Result, mesh: MeshSpec, axes: Axes) -> None:
    energies = core_energies_pj(result)
    largest, (scale, _) = _scale_of(result, "energy")[1], _joules(energies)
    for core, pj in energies.items():
        colour = HEAT(Normalize(0, largest)(pj * scale))
        _square(axes, mesh.node_of[core], colour)
        (x, y), lower = mesh.node_of[core], 0.0
        if _node_inches(axes) > 0.7:
            _words(axes, x, y - 0.11, _short(core), SIDE, _on(colour))
            lower = 0.1
        _words(axes, x, y + lower, (number(pj * scale), f"{pj * scale:.0f}"), SIDE, _on(colour))
    _draw_links(axes, dict.fromkeys(mesh.links, 0.0), HEAT, 1.0)


def _draw_load(result: Result, mesh: MeshSpec, axes: Axes) -> None:
    loads = link_loads(result)
    for core in result.architecture.core_names:
        _square(axes, mesh.node_of[core], "#F2F2F2")
        _words(axes, *mesh.node_of[core], _short(core), SIDE, PALE)
    _draw_links(axes, loads, HEAT, _scale_of(result, "load")[1] / 100, numbers=True)


def _draw_links(axes: Axes, loads: dict[Link, float], colours: Colormap, largest: float, numbers: bool = False) -> None:
    """An arrow for each directed link; a link that nothing holds is a pale line."""
    gap = (1 - SIDE) / 2
    for (start, end), load in loads.items():
        (x, y), (dx, dy) = start, (end[0] - start[0], end[1] - start[1])
        # Right of who walks: y grows downwards.
        at = (x + dx * (SIDE / 2 + 0.03) - dy * OFFSET, y + dy * (SIDE / 2 + 0.03) + dx * OFFSET)
        length = 2 * gap - 0.06
        thick = 0.012 + THICK * (load / largest if largest else 0.0)
        colour = colours(0.12 + 0.88 * load / largest) if load and largest else RULE
        axes.add_patch(FancyArrow(*at, dx * length, dy * length, width=thick, head_width=thick + 0.07, head_length=0.1,
                                  length_includes_head=True, facecolor=colour, edgecolor="none"))
        if numbers and load:
            # Between the squares a number along x stands beyond its arrow, one along y beside it.
            place = (at[0] + dx * length / 2 - dy * 0.2, at[1] + dy * length / 2 + dx * 0.13)
            said = f"{100 * load:.0f}" if load >= 0.1 else f"{100 * load:.2g}"
            _words(axes, *place, (f"{said} %", said), 0.42, INK)


def _joules(energies: dict[str, float]) -> tuple[float, str]:
    """(factor, unit) that show picojoules of cores as numbers between 1 and 1000."""
    scale, prefix = si_scale(1e-12 * max(energies.values(), default=0.0))
    return 1e-12 * scale, f"{prefix}J"


def _scale_of(result: Result, show: Shown) -> tuple[str, float]:
    """What a colour stands for, and what the darkest is."""
    if show == "load":
        return "% of the sample's time", max(100 * max(link_loads(result).values(), default=0.0), 1e-9)
    energies = core_energies_pj(result)
    scale, unit = _joules(energies)
    return f"{unit} per sample", max(scale * max(energies.values()), 1e-9)


def _draw_scale(page: Page, left: float, top: float, canvas: float, unit: str, largest: float) -> None:
    axes = page.axes(left + 0.4, top, canvas - 0.8, 0.09)
    axes.imshow([[i / 255 for i in range(256)]], cmap=HEAT, aspect="auto", extent=(0, largest, 0, 1))
    axes.set(yticks=[])
    axes.tick_params(axis="x", length=2, labelsize=SMALL, pad=2)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel(unit, size=SMALL, labelpad=1)


__all__ = ["core_energies_pj", "draw_mesh", "layer_shares", "link_loads", "mesh_figure", "whole_chip_pj"]
