"""On-chip memories: banks, and what a row costs. Energies in pJ, leakage in mW, area in um2, access time in ns.

A memory of `capacity_bits` whose row has `row_bits` is ceil(row_bits / 128) equal banks that work together, each
capacity / banks large and ceil(row_bits / banks) wide: 128 bits is the widest word of the CACTI tables. A design may ask
for more banks (memories.banks); then a row lies in as many as it needs and the others rest, leaking. Its core says which ports
each memory has and what it is organised for (`CoreDesign.arrays`). Figures come from a profile of hwsim/cost/technology/memory,
taken to the design's node and supply (hwsim/cost/operating_point.py). docs/energy-model.md, "Memories".
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwsim.cores.parts import WIDEST_BANK_BITS, bits_of_bank
from hwsim.cost.operating_point import Factor, Sram, sram_factor
from hwsim.cost.technology.memory_tables import TableMemory, memory
from hwsim.cost.technology.sources import TechnologyError, beside, weakest
from hwsim.cost.technology.sweep import Sweep
from hwsim.errors import HwsimError
from hwsim.kept import kept
from hwsim.units import format_bits

if TYPE_CHECKING:
    from hwsim.arch import Architecture, Technology
    from hwsim.cores.parts import ArrayKind
    from hwsim.cost.technology.memory_tables import MemoryProfile, TableMemory
    from hwsim.cost.technology.sources import Citation



class MemoryProfileError(HwsimError):
    """A memory that no profile can describe, or a read of one that is not there; the text names memory and limits."""


@dataclass(frozen=True)
class Access:
    """What one access of a bank costs, how it was found, and how sure it is."""

    pj: float
    formula: str
    source: str
    confidence: str


@dataclass(frozen=True)
class Macro:
    """One memory of a design: what a row costs (`read_pj`, `write_pj`), what all banks leak and take, how fast it is.

    banks   in all; `row_banks` of them hold a row and work together.
    kind    its ports and what it is organised for, in words.
    bank_subthreshold_mw, bank_gate_mw   the two parts of a bank's leakage, at the design's supply and temperature.

    A memory of capacity 0 has no banks, leaks nothing and takes no area; asking for the price of its row is an error.
    """

    name: str
    capacity_bits: int
    row_bits: int
    banks: int
    row_banks: int
    word_bits: int
    kind: str
    read: Access
    write: Access
    bank_subthreshold_mw: float
    bank_gate_mw: float
    bank_area_um2: float
    access_ns: float
    rest_source: str

    @property
    def bank_bits(self) -> int:
        return round(self.capacity_bits / self.banks) if self.banks else 0

    @property
    def read_pj(self) -> float:
        return self._there().row_banks * self.read.pj

    @property
    def write_pj(self) -> float:
        return self._there().row_banks * self.write.pj

    @property
    def leakage_mw(self) -> float:
        return self.banks * (self.bank_subthreshold_mw + self.bank_gate_mw)

    @property
    def area_um2(self) -> float:
        return self.banks * self.bank_area_um2

    def row(self, access: Access) -> str:
        """The formula of a row's access."""
        shape = f"{format_bits(self.bank_bits)} x {self.word_bits} bit"
        return f"{self.row_banks} x {access.formula} (bank {shape}, {self.kind})"

    def bank(self, access: Access) -> str:
        """The formula of an access to one bank."""
        return f"{access.formula} (bank {format_bits(self.bank_bits)} x {self.word_bits} bit, {self.kind})"

    def _there(self) -> Macro:
        if not self.banks:
            raise MemoryProfileError(f"{self.name} memory: its capacity is 0, there is nothing to read or write; "
                                     f"give the architecture a {self.name} memory")
        return self


_NONE = Access(0.0, "no memory", "capacity is 0", "computed")


@kept
def macros(arch: Architecture, used: Collection[str] | None = None) -> dict[str, Macro]:
    """Every memory of a design that is on, by name; one of capacity 0 is none.

    used   names of the memories that are on (hwsim/cores/provision.py); None: all that the design has.

    Raises MemoryProfileError, TechnologyError, ScalingError.
    """
    design, tech = arch.only, arch.technology
    least, kinds = design.least_banks, design.arrays
    return {
        name: macro(name, bits, arch.row_bits[name], tech, kinds[name], least.get(name, 1))
        for name, bits in arch.capacities.items() if bits and (used is None or name in used)
    }


def macro(
    name: str, capacity_bits: int, row_bits: int, technology: Technology, kind: ArrayKind, least_banks: int = 1
) -> Macro:
    """The memory `name` in the design's profile, at its node, supply and temperature.

    kind   its ports and what it is organised for. It has as few banks as its row needs but at least `least_banks`.

    Raises MemoryProfileError for a bank beyond the table or a kind that it lacks, TechnologyError for the profile, ScalingError
    where no rule of scaling reaches.
    """
    if capacity_bits == 0:
        return Macro(name, 0, row_bits, 0, 0, 0, "", _NONE, _NONE, 0.0, 0.0, 0.0, 0.0, "")
    table = memory(technology.memory)
    banks, row_banks = bank_counts(row_bits, least_banks)
    word_bits = bits_of_bank(row_bits)
    size = capacity_bits / 8 / banks
    leaky = lender(technology.memory)
    if kind not in leaky.kinds:
        raise MemoryProfileError(f"{name} memory: memory profile {leaky.name} has no array {kind}; it has "
                                 f"{', '.join(map(str, leaky.kinds))}; add one to the profile (arrays)")
    sweep = Sweep(leaky, kind, technology.temperature_k)
    if size > sweep.largest_bytes:
        raise MemoryProfileError(
            f"{name} memory: a bank of {format_bits(round(size) * 8)} x {word_bits} bit lies beyond {leaky.name}, whose largest "
            f"is {format_bits(sweep.largest_bytes * 8)}; a row of {row_bits} bits has {banks} banks, so the memory can have up "
            f"to {format_bits(sweep.largest_bytes * 8 * banks)}; give it more banks (memories.banks)")
    smallest = f", at its smallest bank of {format_bits(sweep.smallest_bytes * 8)}" if size < sweep.smallest_bytes else ""

    def scaled(quantity: Sram, profile: MemoryProfile = leaky) -> Factor:
        return sram_factor(technology, profile, quantity)

    if table.kind == "table":
        origin = table.sources[sweep.source]
        found = [(sweep.at("read_pj", size, word_bits), "", [origin]), (sweep.at("write_pj", size, word_bits), "", [origin])]
    else:
        found = table.accesses(size, word_bits)
    reads, writes = scaled("read", table), scaled("write", table)
    read, write = (_access(pj, how, cited, factor) for (pj, how, cited), factor in zip(found, (reads, writes), strict=True))
    repair, repaired = _repair(leaky, technology)
    gate = scaled("gate")
    rest = leaky.sources[sweep.source]
    lent = "" if table.kind == "table" else f" [lent by {leaky.name} to {table.name}: {table.borrow['because']}]"
    return Macro(
        name, capacity_bits, row_bits, banks, row_banks, word_bits, f"{table.name}, {kind}{smallest}", read, write,
        sweep.at("subthreshold_mw", size, word_bits) * scaled("subthreshold").value,
        sweep.at("gate_mw", size, word_bits) * gate.value * repair,
        sweep.at("area_um2", size, word_bits) * scaled("area").value,
        sweep.at("access_ns", size, word_bits) * scaled("access").value,
        gate.cited(f"{rest.text}{lent} ({rest.confidence})") + repaired,
    )


def _access(pj: float, how: str, cited: list[Citation], factor: Factor) -> Access:
    """A printed energy at the design's point."""
    return Access(pj * factor.value, factor.after(f"{pj:.4g}{how}"), factor.cited("; ".join(s.text for s in cited)),
                  weakest([*(s.confidence for s in cited), factor.confidence]))


def _repair(table: TableMemory, technology: Technology) -> tuple[float, str]:
    """What gate leakage is multiplied by, and what is said of it."""
    if table.gate_leakage is None:
        return 1.0, ""
    if technology.gate_leakage == "printed":
        return 1.0, "; gate leakage as printed, a table error (technology.gate_leakage: printed)"
    return (table.gate_leakage.repaired_over_printed[technology.temperature_k],
            f"; gate leakage repaired: {table.sources[table.gate_leakage.source].text}")


def bank_counts(row_bits: int, least_banks: int) -> tuple[int, int]:
    """Banks of a memory in all, whole rows of them, and banks that hold one row."""
    row_banks = -(-row_bits // WIDEST_BANK_BITS)
    return -(-max(least_banks, row_banks) // row_banks) * row_banks, row_banks


def lender(name: str) -> TableMemory:
    """The table that has leakage, area and access time of the memory profile of that name or path. Raises TechnologyError."""
    table = memory(name)
    found = memory(beside(table.borrow["table"], name)) if table.kind == "access" else table
    if not isinstance(found, TableMemory):
        raise TechnologyError(f"memory profile {table.name}: borrow.table: {found.name} is not a CACTI table")
    return found
