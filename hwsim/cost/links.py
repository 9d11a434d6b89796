"""What the network between cores costs: a bit over a link, a flit through a router, and what routers leak and take.

Tables are in hwsim/cost/technology/links. A link is as long as a core is wide: the square root of the area of the core that
sends. Wires lie over logic and take no area; of a router the input buffers are counted, in registers of the units table. Units:
pJ, mW, um2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from hwsim.activity import INDEX, VOCABULARY
from hwsim.cores.parts import Part
from hwsim.cost.operating_point import logic_factor
from hwsim.cost.technology.sources import Citation, SourcedValue, Table, load

if TYPE_CHECKING:
    from hwsim.arch import Architecture

ROUTER = "router"
"""The component of the network that leaks and takes area."""


class Links(Table):
    """Prices of a network. What is left out costs nothing in this table."""

    link_pj_per_bit: SourcedValue | None = None
    """A bit over a link, however long."""
    link_pj_per_bit_mm: SourcedValue | None = None
    """A bit over a millimetre of a link."""
    router_pj_per_flit: SourcedValue | None = None
    """A flit through a router."""
    router_leakage_mw: SourcedValue | None = None
    """What a router leaks."""
    flit_bits: int | None = Field(default=None, ge=1)
    """Bits of the flits that the numbers of routers are of; others cost in proportion. None: any flit costs the same."""
    buffered_flits: SourcedValue | None = None
    """Flits that a router's input buffers hold together."""


class LinkPrice(NamedTuple):
    """pJ of one count of an event, its formula and its source."""

    pj: float
    formula: str
    source: str
    confidence: str


@lru_cache(maxsize=64)
def links_table(name: str) -> Links:
    """The table of that name (or the path of a YAML file). Raises TechnologyError."""
    return load("links", name, Links)


def link_price(arch: Architecture, event: str, core_mm2: Callable[[], float]) -> LinkPrice:
    """What a bit over a link, or a flit through a router, costs on a chip of one core with a network.

    core_mm2   the area of the core that sends, asked where links have a length.
    Raises TechnologyError for the table, ScalingError where its numbers do not reach the design.
    """
    table, unit = links_table(arch.technology.links), VOCABULARY[INDEX[event]].unit
    if unit == ROUTER:
        return _router(arch, table)
    if table.link_pj_per_bit is not None:
        return _priced(arch, table, table.link_pj_per_bit, 1.0, "per bit")
    if table.link_pj_per_bit_mm is not None:
        length = sqrt(core_mm2())
        return _priced(arch, table, table.link_pj_per_bit_mm, length, f"per bit and mm x {length:.3g} mm, the width of a core")
    return _nothing(table, "a link is priced with its router")


def _router(arch: Architecture, table: Links) -> LinkPrice:
    assert arch.network is not None
    if table.router_pj_per_flit is None:
        return _nothing(table, "a router is priced with its links")
    width = arch.network.flit_bits
    if width is None or table.flit_bits is None:
        return _priced(arch, table, table.router_pj_per_flit, 1.0, "per flit")
    return _priced(arch, table, table.router_pj_per_flit, width / table.flit_bits,
                   f"per flit of {table.flit_bits} bits x {width} / {table.flit_bits}")


def _priced(arch: Architecture, table: Links, value: SourcedValue, times: float, text: str) -> LinkPrice:
    source = table.sources[value.source]
    found = LinkPrice(value.value * times, f"{value.value:g} {text}", source.text, source.confidence)
    if table.conditions.node_nm is None:
        return found  # another chip's number, as it stands
    factor = logic_factor(arch.technology, table.conditions, "energy", f"links table {table.name}")
    if not factor:
        return found
    return LinkPrice(found.pj * factor.value, factor.after(found.formula), factor.cited(found.source), found.confidence)


def _nothing(table: Links, text: str) -> LinkPrice:
    source: Citation = table.sources[table.conditions.source]
    return LinkPrice(0.0, f"0: {text}", source.text, source.confidence)


# --- what is there whether it works or not ----------------------------------------------------------------------------


def routers_of(arch: Architecture) -> int:
    """Routers of the mesh, one for each node; none without a network, or where links are infinitely wide."""
    links = arch.network
    return 0 if links is None or links.flit_bits is None else links.mesh[0] * links.mesh[1]


def router_part(arch: Architecture) -> Part | None:
    """The input buffers of the routers as registers; None where there are none, or the table knows none."""
    table, routers = links_table(arch.technology.links), routers_of(arch)
    if not routers or table.buffered_flits is None:
        return None
    assert arch.network is not None
    assert arch.network.flit_bits is not None
    return Part(ROUTER, routers, (("register", (arch.network.flit_bits,)),) * int(table.buffered_flits.value))


def router_leakage(arch: Architecture) -> tuple[int, float, str] | None:
    """Routers, what they leak together in mW, and the source; None where there are none, or the table knows no leakage."""
    table, routers = links_table(arch.technology.links), routers_of(arch)
    if not routers or table.router_leakage_mw is None:
        return None
    assert arch.network is not None
    assert arch.network.flit_bits is not None
    share = arch.network.flit_bits / table.flit_bits if table.flit_bits else 1.0
    return routers, routers * share * table.router_leakage_mw.value, str(table.sources[table.router_leakage_mw.source])
