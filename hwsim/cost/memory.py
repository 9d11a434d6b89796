"""On-chip memories: banks, and what a row costs. Energies in pJ, leakage in mW, area in um2, access time in ns.

A memory of `capacity_bits` whose row has `row_bits` is ceil(row_bits / 128) equal banks that work together, each
capacity / banks large and ceil(row_bits / banks) wide: 128 bits is the widest word of the CACTI sweep. A design may ask
for more banks (memories.banks); then a row lies in as many as it needs and the others rest, leaking. Figures come
from a profile of hwsim/cost/technology/memory: a CACTI table (log-log in capacity, linear in width, exact at its points) or
access energies by capacity (Horowitz), which borrow the rest. docs/energy-model.md, "Memories".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log
from typing import TYPE_CHECKING, Literal

from hwsim.cores.parts import WIDEST_BANK_BITS, bits_of_bank
from hwsim.errors import HwsimError
from hwsim.units import format_bits

if TYPE_CHECKING:
    from hwsim.arch import Architecture
    from hwsim.cost.technology.tables import AccessMemory, AccessPoint, TableMemory

Metric = Literal["read_pj", "leakage_mw", "area_um2", "access_ns"]


class MemoryProfileError(HwsimError):
    """A memory that no profile can describe, or a read of one that is not there; the text names memory and limits."""


@dataclass(frozen=True)
class Macro:
    """One memory of a design: what a row costs (`read_pj`, `write_pj`), what all banks leak and take, how fast it is.

    banks   in all; `row_banks` of them hold a row and work together.

    A memory of capacity 0 has no banks, leaks nothing and takes no area; asking for the price of its row is an error.
    """

    name: str
    capacity_bits: int
    row_bits: int
    banks: int
    row_banks: int
    word_bits: int
    bank_read_pj: float
    bank_write_pj: float
    bank_leakage_mw: float
    bank_area_um2: float
    access_ns: float
    formula: str
    source: str
    confidence: str
    rest_source: str

    @property
    def bank_bits(self) -> int:
        return round(self.capacity_bits / self.banks) if self.banks else 0

    @property
    def read_pj(self) -> float:
        return self._there().row_banks * self.bank_read_pj

    @property
    def write_pj(self) -> float:
        return self._there().row_banks * self.bank_write_pj

    @property
    def leakage_mw(self) -> float:
        return self.banks * self.bank_leakage_mw

    @property
    def area_um2(self) -> float:
        return self.banks * self.bank_area_um2

    def _there(self) -> Macro:
        if not self.banks:
            raise MemoryProfileError(f"{self.name} memory: its capacity is 0, there is nothing to read or write; "
                                     f"give the architecture a {self.name} memory")
        return self


def macros(arch: Architecture, used: Collection[str] | None = None) -> dict[str, Macro]:
    """Every memory of a design that is on, by name; one of capacity 0 is none.

    used   names of the memories that are on (hwsim/cores/provision.py); None: all that the design has.

    Raises MemoryProfileError, TechnologyError.
    """
    tech, least = arch.technology, arch.only.least_banks
    return {
        name: macro(name, bits, arch.row_bits[name], tech.memory, tech.temperature_k, least.get(name, 1))
        for name, bits in arch.capacities.items() if bits and (used is None or name in used)
    }


def macro(
    name: str, capacity_bits: int, row_bits: int, profile: str, temperature_k: int = 300, least_banks: int = 1
) -> Macro:
    """The memory `name` in a profile at 300 or 360 K, in as few banks as its row needs but at least `least_banks`.

    Raises MemoryProfileError for a bank beyond the table (2 MiB), TechnologyError for the profile.
    """
    from hwsim.cost.technology.tables import memory, weakest

    if capacity_bits == 0:
        return Macro(name, 0, row_bits, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, "no memory", "capacity is 0", "computed", "")
    table = memory(profile)
    row_banks = -(-row_bits // WIDEST_BANK_BITS)
    banks = -(-max(least_banks, row_banks) // row_banks) * row_banks  # whole rows of banks
    word_bits = bits_of_bank(row_bits)
    size = capacity_bits / 8 / banks
    shape = f"{format_bits(round(size) * 8)} x {word_bits} bit"
    lender = table if table.kind == "table" else _lender(table)
    sweep = _sweep(lender, temperature_k)
    if size > sweep.largest_bytes:
        raise MemoryProfileError(
            f"{name} memory: a bank of {shape} lies beyond {lender.name}, whose largest is "
            f"{format_bits(sweep.largest_bytes * 8)}; a row of {row_bits} bits has {banks} banks, so the memory can "
            f"have up to {format_bits(sweep.largest_bytes * 8 * banks)}")
    rest = lender.sources[lender.table.source]
    if table.kind == "table":
        read, how, cited = sweep.at("read_pj", size, word_bits), profile, [rest]
    else:
        read, how = _access_pj(table, size, word_bits)
        cited = [table.sources[k] for k in dict.fromkeys([*(p.source for p in table.points), table.access_bits.source])]
    if size < sweep.smallest_bytes:
        how += f", at its smallest bank of {format_bits(sweep.smallest_bytes * 8)}"
    lent = "" if table.kind == "table" else f" [lent by {lender.name} to {profile}: {table.borrow['because']}]"
    return Macro(
        name, capacity_bits, row_bits, banks, row_banks, word_bits, read, read * table.write_over_read.value,
        sweep.at("leakage_mw", size, word_bits), sweep.at("area_um2", size, word_bits),
        sweep.at("access_ns", size, word_bits), f"{row_banks} x {read:.4g} (bank {shape}, {how})",
        "; ".join(s.text for s in cited), weakest([s.confidence for s in cited]),
        f"{rest.text}{lent} ({rest.confidence})",
    )


def check_timing(arch: Architecture, used: Collection[str] | None = None) -> list[str]:
    """Memories that are slower than the clock, one text per memory; empty when all fit (access time <= period).

    `used` names the memories that are on, None means all: nobody waits for a memory that is off.

    Each text names the memory (with its entry of `cores` where there are several), its access time, the period, the largest
    bank that fits this clock and the clock that fits this bank. Raises MemoryProfileError, TechnologyError.
    """
    return [_too_slow(one, f"{where}: " if where else "", m) for where, one in arch.entries() for m in macros(one, used).values()
            if not _fits(m.access_ns, arch.period_ns)]


def _fits(access_ns: float, period_ns: float) -> bool:
    return access_ns <= period_ns * (1 + 1e-9)


def _too_slow(arch: Architecture, where: str, m: Macro) -> str:
    tech, mhz = arch.technology, arch.clock / 1e6
    largest = 0
    for kib in range(m.bank_bits // 8192, 0, -1):  # from the top: access time does not rise everywhere
        trial = macro(m.name, kib * 8192 * m.banks, m.row_bits, tech.memory, tech.temperature_k, m.banks)
        if _fits(trial.access_ns, arch.period_ns):
            largest = kib
            break
    fits = (f"a bank may have {largest} KiB (a memory of {largest * m.banks} KiB)" if largest else
            "not even a bank of 1 KiB is fast enough")
    banks = f"{m.banks} bank{'s' if m.banks > 1 else ''} of {format_bits(m.bank_bits)} x {m.word_bits} bit"
    return (f"{arch.name}: {where}{m.name} memory ({banks}, {tech.memory}): access takes {m.access_ns:.2f} ns, the clock "
            f"period is {arch.period_ns:.2f} ns; at {mhz:g} MHz {fits}, or this bank needs a clock of at most "
            f"{int(1e4 / m.access_ns) / 10:g} MHz")


# --- profiles --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sweep:
    """CACTI figures of one kind of cell at one temperature: values[metric][width][i] at sizes[i] bytes."""

    sizes: tuple[int, ...]
    widths: tuple[int, ...]
    values: dict[str, dict[int, tuple[float, ...]]]

    @property
    def smallest_bytes(self) -> int:
        return self.sizes[0]

    @property
    def largest_bytes(self) -> int:
        return self.sizes[-1]

    def at(self, metric: Metric, size: float, word_bits: int) -> float:
        """Log-log in size, linear in width; below 1 KiB and 8 bits the smallest figures stand, an upper bound."""
        size, width = max(size, self.sizes[0]), max(word_bits, self.widths[0])
        high = next(w for w in self.widths if w >= width)
        above = _log_log(self.sizes, self.values[metric][high], size)
        if high == width:
            return above
        low = self.widths[self.widths.index(high) - 1]
        below = _log_log(self.sizes, self.values[metric][low], size)
        return below + (above - below) * (width - low) / (high - low)


def _log_log(xs: tuple[int, ...], ys: tuple[float, ...], x: float) -> float:
    """Power law between neighbouring points, exact at them, continued beyond the ends."""
    i = min(max(bisect_right(xs, x), 1), len(xs) - 1)
    for at in (i - 1, i):
        if xs[at] == x:
            return ys[at]
    exponent = log(ys[i] / ys[i - 1]) / log(xs[i] / xs[i - 1])
    return ys[i - 1] * exp(exponent * log(x / xs[i - 1]))


@lru_cache(maxsize=16)
def _sweep_of(file: str, cell: str, temperature_k: int) -> _Sweep:
    import csv

    from hwsim.cost.technology.tables import FOLDER, TechnologyError

    path = FOLDER / "memory" / file
    if not path.is_file():
        raise TechnologyError(f"{path}: no such file; table.file names a csv in that folder")
    with path.open(newline="", encoding="utf-8") as lines:
        rows = [r for r in csv.DictReader(lines)
                if r["cell"] == r["peri"] == cell and int(r["temp_K"]) == temperature_k]
    if not rows:
        raise TechnologyError(f"{path}: no rows of cell {cell!r} at {temperature_k} K")
    sizes = tuple(sorted({int(r["capacity_B"]) for r in rows}))
    widths = tuple(sorted({int(r["bits"]) for r in rows}))
    of = {(int(r["capacity_B"]), int(r["bits"])): r for r in rows}

    def column(get: str, scale: float, plus: str = "") -> dict[int, tuple[float, ...]]:
        return {w: tuple((float(of[s, w][get]) + (float(of[s, w][plus]) if plus else 0.0)) * scale for s in sizes)
                for w in widths}

    return _Sweep(sizes, widths, {
        "read_pj": column("rd_nJ", 1e3),
        # CACTI reports subthreshold and gate leakage apart; what a bank leaks is their sum.
        "leakage_mw": column("leak_mW", 1.0, plus="gleak_mW"),
        "area_um2": column("area_mm2", 1e6),
        "access_ns": column("access_ns", 1.0),
    })


def _sweep(table: TableMemory, temperature_k: int) -> _Sweep:
    return _sweep_of(table.table.file, table.table.cell, temperature_k)


def _lender(table: AccessMemory) -> TableMemory:
    from hwsim.cost.technology.tables import TechnologyError, memory

    found = memory(table.borrow["table"])
    if found.kind != "table":
        raise TechnologyError(f"memory profile {table.name}: borrow.table: {found.name} is not a CACTI table")
    return found


def _access_pj(table: AccessMemory, size: float, word_bits: int) -> tuple[float, str]:
    """Energy of one access of a bank: the points' own exponent in capacity, proportional to the bits."""
    points: tuple[AccessPoint, ...] = table.points
    size = max(size, 1024)
    whole = _log_log(tuple(p.capacity_bytes for p in points), tuple(p.pj for p in points), size)
    bits = table.access_bits.value
    return whole * word_bits / bits, f"{table.name}, {whole:.4g} x {word_bits} / {bits:g}"
