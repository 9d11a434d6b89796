"""The clock that a design can have: does each memory, and each path through memory and logic, fit into the period (ns)?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from hwsim.cores.logic import Path
from hwsim.cost.logic import logic_prices
from hwsim.cost.memory import Macro, macro, macros
from hwsim.kept import kept
from hwsim.units import format_bits

if TYPE_CHECKING:
    from hwsim.arch import Architecture


@kept
def check_timing(arch: Architecture, used: Collection[str] | None = None) -> list[str]:
    """Memories that are slower than the clock, and paths through logic that are, one text for each; empty when all fit.

    A memory is read in one cycle, and what it gives goes through the lanes into a write port in the same cycle. `used` names the
    memories that are on, None means all: nobody waits for a memory that is off.

    Each text names the memory (with its entry of `cores` where there are several), its access time, the period, the largest
    bank that fits this clock and the clock that fits this bank; or the path, its times, and the clock that fits it. Raises
    MemoryProfileError, TechnologyError, UnpricedError.
    """
    found = []
    for where, one in arch.entries():
        memories, place = macros(one, used), f"{where}: " if where else ""
        slow = [m for m in memories.values() if not _fits(m.access_ns, arch.period_ns)]
        found += [_too_slow(one, place, m) for m in slow]
        found += [_too_long(one, place, path, gates, memories) for path, gates in _paths(one, memories)
                  if not _fits(gates + _access(path, memories), arch.period_ns) and path.memory not in {m.name for m in slow}]
    return found


def slowest_path(arch: Architecture, used: Collection[str] | None = None) -> tuple[str, float]:
    """What limits the clock, and its ns: a memory, or a path through memory and logic."""
    times: dict[str, float] = {}
    for where, one in arch.entries():
        memories = macros(one, used)
        times |= {f"{where} {m.name} memory".strip(): m.access_ns for m in memories.values()}
        times |= {f"{where} {path.what}".strip(): gates + _access(path, memories) for path, gates in _paths(one, memories)}
    return max(times.items(), key=lambda found: found[1])


def _paths(arch: Architecture, memories: Mapping[str, Macro]) -> list[tuple[Path, float]]:
    """Paths of the logic but those from a memory that is off."""
    prices = logic_prices(arch, memories)
    return [(path, ns) for path, ns in prices.paths() if not path.memory or path.memory in memories] if prices else []


def _access(path: Path, memories: Mapping[str, Macro]) -> float:
    return memories[path.memory].access_ns if path.memory else 0.0


def _too_long(arch: Architecture, where: str, path: Path, gates_ns: float, memories: Mapping[str, Macro]) -> str:
    access = _access(path, memories)
    whole = access + gates_ns
    first = f"{access:.2f} ns of {path.memory} memory and {gates_ns:.2f} of logic" if path.memory else "all of it logic"
    banks = f", or smaller banks (memories.banks: {{{path.memory}: n}})" if path.memory else ""
    return (f"{arch.name}: {where}the path {path.what} takes {whole:.2f} ns ({first}), the clock period is "
            f"{arch.period_ns:.2f} ns; it needs a clock of at most {int(1e4 / whole) / 10:g} MHz{banks}")


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


def highest_clock_mhz(arch: Architecture, used: Collection[str] | None = None) -> float:
    """The highest clock that `check_timing` takes, in steps of 0.1 MHz. Raises as it does."""
    return int(1e4 / slowest_path(arch, used)[1]) / 10


def at_highest_clock(arch: Architecture) -> Architecture:
    """The design at the highest clock that all its memories and its logic reach. Raises as `check_timing` does."""
    return arch.with_fields({"clock": f"{highest_clock_mhz(arch):g} MHz"})
