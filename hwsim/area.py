"""What a design is made of, and what it takes: the parts of its core, their silicon area (um2) and leakage (mW).

`parts` is the one list of provisioned hardware; area and leakage are both sums over it and the memories that are on, so
that nothing leaks that takes no area. Everywhere below, `used` names the memories that are on (hwsim/provision.py tells
which a network uses); None means every memory of the design. Figures come from the design's units table and memory
profile (hwsim/technology), each with its source. Wires, pads, the clock tree, the sequencer and white space are not in it
(docs/energy-model.md).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwsim.memory import UNIT_OF, macros

if TYPE_CHECKING:
    import pandas as pd

    from hwsim.arch import Architecture
    from hwsim.technology import OperationName, Quantity

ADDRESS_BITS = 16
"""Adders of the address generator: memories of up to 65,536 rows."""
CONNECTION_BITS = 2
"""Tells apart the connections that feed a layer, up to four."""
POOL_BITS = 8
"""Adder of the pooling unit: sums of a window's payloads."""
RECIPROCAL_BITS = 16
"""The multiplier that replaces a requantiser's division, a fixed-point reciprocal of the threshold."""

Term = tuple["OperationName", tuple[int, ...]]


@dataclass(frozen=True)
class Part:
    """`count` pieces of hardware, each made of `terms`: (operation of the units table, widths in bits)."""

    component: str
    count: int
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Figure:
    """An amount with its source and how sure it is."""

    component: str
    count: int
    amount: float
    source: str


def token_bits(arch: Architecture) -> int:
    """Bits of a FIFO token: end-of-timestep mark, connection, address, payload."""
    return 1 + CONNECTION_BITS + arch.spike_buffer.address_bits + arch.core.payload_bits


def entry_bits(arch: Architecture) -> int:
    """Bits that the serialiser sends for one output: an address, and a payload where outputs are multi-bit."""
    return arch.spike_buffer.address_bits + (arch.core.payload_bits if arch.core.kind != "event" else 0)


def parts(arch: Architecture) -> list[Part]:
    """The core's hardware by component (names are the units of activity.VOCABULARY), memories apart."""
    from hwsim.technology import units

    kind = {"event": _event_lanes, "multiply_accumulate": _multiply_lanes, "systolic": _array}[arch.core.kind]
    core, count = arch.core, arch.pe_count
    register: list[Part] = []
    if not units(arch.technology.units).includes_registers:
        held = core.weight_bits + core.potential_bits + (core.payload_bits if core.kind == "systolic" else 0)
        register = [Part("registers", count, (("register", (held,)),))]
    return [
        *kind(arch),
        *register,
        Part("fifo", core.fifo_depth, (("register", (token_bits(arch),)),)),
        Part("address_generator", 2, (("add", (ADDRESS_BITS,)), ("register", (ADDRESS_BITS,)))),
        Part("pooling_unit", 1, (("add", (POOL_BITS,)), ("register", (POOL_BITS,)))),
        Part("serialiser", 1, (("register", (arch.row_bits["mask"] + entry_bits(arch),)),)),
    ]


def _event_lanes(arch: Architecture) -> list[Part]:
    core = arch.core
    wide: tuple[int, ...] = (core.potential_bits,)
    found = [
        Part("accumulator", core.lanes, (("add", wide),)),
        Part("comparator", core.lanes, (("compare", wide),)),
        Part("reset", core.lanes, (("reset", wide),)),
        Part("shifter", core.lanes + 1, (("shift", wide),)),  # one more for the threshold, which all lanes share
    ]
    if core.payload_bits:
        found.append(Part("multiplier", core.lanes, (("mult", (core.weight_bits, core.payload_bits)),)))
    return found


def _multiply_lanes(arch: Architecture) -> list[Part]:
    core = arch.core
    return [
        Part("multiplier", core.lanes, (("mult", (core.weight_bits, core.payload_bits)),)),
        Part("accumulator", core.lanes, (("add", (core.potential_bits,)),)),
        # Lanes only find out which values are not zero; these leave one a cycle, so one requantiser serves them all.
        Part("comparator", core.lanes, (("compare", (core.potential_bits,)),)),
        Part("requantiser", 1, requantiser(arch)),
    ]


def _array(arch: Architecture) -> list[Part]:
    core = arch.core
    return [
        Part("multiplier", arch.pe_count, (("mult", (core.weight_bits, core.payload_bits)),)),
        Part("accumulator", arch.pe_count, (("add", (core.potential_bits,)),)),
        Part("requantiser", core.columns, requantiser(arch)),
    ]


def requantiser(arch: Architecture) -> tuple[Term, ...]:
    """A multiplication by the threshold's reciprocal and an addition that rounds."""
    bits = arch.core.potential_bits
    return ("mult", (bits, RECIPROCAL_BITS)), ("add", (bits,))


# --- sums ------------------------------------------------------------------------------------------------------------


def area(arch: Architecture, used: Collection[str] | None = None) -> pd.DataFrame:
    """Area by component: component, count (units or banks), area_um2 (all of them), source.

    Raises TechnologyError, MemoryProfileError.
    """
    import pandas as pd

    rows = [(f.component, f.count, f.amount, f.source) for f in area_figures(arch, used)]
    return pd.DataFrame(rows, columns=["component", "count", "area_um2", "source"])


def area_mm2(arch: Architecture, used: Collection[str] | None = None) -> float:
    """Area of all units and of the memories that are on, in mm2."""
    return sum(f.amount for f in area_figures(arch, used)) / 1e6


def area_figures(arch: Architecture, used: Collection[str] | None = None) -> list[Figure]:
    """The rows of `area`; um2."""
    rest = [Figure(UNIT_OF[n], m.banks, m.area_um2, m.rest_source) for n, m in macros(arch, used).items()]
    return [_figure(arch, part, "area_um2", 1.0) for part in parts(arch)] + rest


def leakage_figures(arch: Architecture, used: Collection[str] | None = None) -> list[Figure]:
    """What everything that is on leaks, working or not; mW. Raises TechnologyError, MemoryProfileError."""
    temperature = f"at {arch.technology.temperature_k} K, "
    rest = [Figure(UNIT_OF[name], m.banks, m.leakage_mw, temperature + m.rest_source)
            for name, m in macros(arch, used).items()]
    return [_figure(arch, part, "leakage_nw", 1e-6) for part in parts(arch)] + rest


def leaking_components(arch: Architecture) -> list[str]:
    """Everything of a design that can leak: its parts, then its memories, those that are off included."""
    return [part.component for part in parts(arch)] + [UNIT_OF[name] for name, bits in arch.capacities.items() if bits]


def _figure(arch: Architecture, part: Part, quantity: Quantity, scale: float) -> Figure:
    from hwsim.technology import unit_cost

    costs = [unit_cost(arch.technology.units, operation, quantity, widths) for operation, widths in part.terms]
    source = "; ".join(dict.fromkeys(c.citation for c in costs))
    return Figure(part.component, part.count, part.count * scale * sum(c.value for c in costs), source)
