"""The clock that a design can have: is each memory fast enough for the period (ns)?"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from hwsim.cost.memory import Macro, macro, macros
from hwsim.units import format_bits

if TYPE_CHECKING:
    from hwsim.arch import Architecture


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
        trial = macro(m.name, kib * 8192 * m.banks, m.row_bits, tech, arch.only.arrays[m.name], m.banks)
        if _fits(trial.access_ns, arch.period_ns):
            largest = kib
            break
    fits = (f"a bank may have {largest} KiB (a memory of {largest * m.banks} KiB)" if largest else
            "not even a bank of 1 KiB is fast enough")
    banks = f"{m.banks} bank{'s' if m.banks > 1 else ''} of {format_bits(m.bank_bits)} x {m.word_bits} bit"
    return (f"{arch.name}: {where}{m.name} memory ({banks}, {tech.memory}): access takes {m.access_ns:.2f} ns, the clock "
            f"period is {arch.period_ns:.2f} ns; at {mhz:g} MHz {fits}, or this bank needs a clock of at most "
            f"{int(1e4 / m.access_ns) / 10:g} MHz")
