"""Energy per sample at a rate of samples per second: what a sample costs, and what is leaked until the next one comes.

A period 1 / rate has up to three phases. `busy`: the sample runs, and its energy is that at full speed. `reload`: memories that
the design switches off between samples, and that hold what setup loads, are loaded again; everything is on. `idle`: the core
waits, each component in the state that the design's `power` says (hwsim/cores/power.py). A sample that arrives while another one
runs waits off chip, so that the highest rate is that of samples back to back. Energy in pJ, leakage in mW.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.activity import INDEX, SCOPES, VOCABULARY
from hwsim.cores.power import OFF, ON
from hwsim.cost.energy import CYCLE, Given, cycle_rows, price_activity
from hwsim.cost.leakage import LEAKAGE, leakage_rows, waiting_leaks
from hwsim.cost.overrides import PRICED, read_overrides
from hwsim.cost.sums import by_scope, clocked_pj, waiting_pj
from hwsim.errors import HwsimError

if TYPE_CHECKING:
    import pandas as pd

    from hwsim.arch import Architecture

DEFAULT_RATE_HZ = 30.0
"""What tables show beside full speed: the frames of a camera."""
LOWEST_RATE_HZ = 1e-6
PHASES = BUSY, RELOAD, IDLE = "busy", "reload", "idle"
_ROUNDING = 1e-9
"""Relative: 1 / (1 / x) is not always x."""


class RateError(HwsimError):
    """A rate that cannot be; the text says which ones can."""


def check_rate(rate_hz: Any) -> float:
    """A rate in samples per second. Raises RateError for what is none."""
    if isinstance(rate_hz, bool) or not isinstance(rate_hz, (int, float)) or not LOWEST_RATE_HZ <= rate_hz < math.inf:
        raise RateError(f"rate: found {rate_hz!r}, expected samples per second, a number of at least {LOWEST_RATE_HZ:g}")
    return float(rate_hz)


@dataclass(frozen=True, eq=False)
class Work:
    """What a design does with one sample.

    accounts        makes its rows of energy at full speed in both accounts, leakage included (`Result.accounts`).
    pj              (3,) their sums (hwsim/cost/sums.py).
    cycles          that it takes; a mean over samples is one too.
    reload          makes the counts of what setup loads into memories that are off between samples; `reload_pj` (3,) is what
                    loading them costs in all, `reload_cycles` what it takes.
    reloaded        those memories.
    payload_bits    by layer, the width of multiplications' operands.
    """

    accounts: Callable[[], pd.DataFrame]
    pj: NDArray[np.float64]
    cycles: float
    reload: Callable[[], pd.DataFrame]
    reload_pj: NDArray[np.float64]
    reload_cycles: int
    reloaded: Collection[str]
    payload_bits: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class AtRate:
    """One sample and the time until the next one.

    rate_hz, highest_hz   samples per second: this rate, and the highest, samples back to back.
    busy_s, reload_s, idle_s   seconds of the period's phases; they add up to 1 / rate_hz.
    late_samples          samples that take longer than the period themselves, so that the next one waits.
    phase_pj              by phase, (3,) pJ per sample (hwsim/cost/sums.py).
    """

    rate_hz: float
    highest_hz: float
    busy_s: float
    reload_s: float
    idle_s: float
    late_samples: int
    phase_pj: Mapping[str, NDArray[np.float64]]
    _accounts: Callable[[], pd.DataFrame]

    @cached_property
    def accounts(self) -> pd.DataFrame:
        """As `Result.accounts`, per sample, with a column `phase`: busy, reload, idle."""
        return self._accounts()

    @property
    def period_s(self) -> float:
        return 1 / self.rate_hz

    @property
    def energy_pj(self) -> dict[str, float]:
        """Picojoules per sample in the three scopes: compute, core, system (hwsim/cost/energy.py, `scopes`)."""
        return by_scope(sum(self.phase_pj.values(), np.zeros(3)))

    @cached_property
    def energy(self) -> pd.DataFrame:
        """The hardware's rows of `accounts`, which add up to the system's energy."""
        return self.accounts[self.accounts["scope"] != "compute"].reset_index(drop=True)

    @property
    def power_w(self) -> float:
        """Mean watts of the whole system at this rate."""
        return self.energy_pj["system"] * 1e-12 * self.rate_hz

    @property
    def leakage(self) -> pd.DataFrame:
        """Leakage by component, state and phase: component, state, phase, cycles, leakage_pj. It adds up to all that leaks."""
        rows = self.energy[self.energy["event"] == LEAKAGE]
        frame = rows[["component", "state", "phase", "count", "energy_pj"]].reset_index(drop=True)
        return frame.rename(columns={"count": "cycles", "energy_pj": "leakage_pj"})

    def summary(self) -> dict[str, Any]:
        """Plain numbers, JSON-ready."""
        return {
            "rate_hz": self.rate_hz, "highest_rate_hz": self.highest_hz, "energy_pj": self.energy_pj, "power_w": self.power_w,
            "phase_energy_pj": {phase: by_scope(self.phase_pj.get(phase, np.zeros(3)))["system"]
                                for phase in PHASES},
            "phase_s": {BUSY: self.busy_s, RELOAD: self.reload_s, IDLE: self.idle_s}, "late_samples": self.late_samples}


def unreached(rate_hz: float, highest_hz: float) -> dict[str, Any]:
    """`AtRate.summary` of a rate that the design does not reach: the same keys, without numbers."""
    nothing = dict.fromkeys(("energy_pj", "power_w", "phase_energy_pj", "phase_s", "late_samples"))
    return {"rate_hz": rate_hz, "highest_rate_hz": highest_hz, **nothing}


def highest_rate_hz(arch: Architecture, cycles: float) -> float:
    """Samples per second of samples back to back, of so many cycles each."""
    return arch.clock / cycles if cycles else math.inf


def reaches(rate_hz: float, highest_hz: float) -> bool:
    return rate_hz <= highest_hz * (1 + _ROUNDING)


def lost_between_samples(
    arch: Architecture, used: Collection[str], loaded: Collection[str], by_setup: Collection[str]
) -> list[str]:
    """Memories that setup loads and that the design switches off between samples: they must be loaded again.

    used   by the network;   loaded   by any transfer of a run;   by_setup   by those that are done once.
    Raises RateError for a memory that would lose what nothing loads.
    """
    off = [name for name in used if arch.power.between_samples(name) == OFF]
    constant = {name for one, _ in arch.kinds() for name in one.only.constant_memories}
    if lost := [name for name in off if name in constant and name not in loaded]:
        raise RateError(f"power.idle.{lost[0]}: off: the {lost[0]} memory of {arch.name} would lose what it holds, and no "
                        "transfer loads it again; use on or retention")
    return [name for name in off if name in by_setup]


def energy_at_rate(
    work: Work, arch: Architecture, rate_hz: float, overrides: Given, used: Collection[str] | None,
    per_idle_cycle: Mapping[str, float], late_samples: int,
) -> AtRate:
    """`work` once per period. Raises RateError for a rate above the highest, or that is none; what prices raise.

    per_idle_cycle   events that each core goes on with in a cycle in which it waits (a clock that runs free), unless its logic is
                     off; by event, with their count per cycle.
    """
    rate, highest = check_rate(rate_hz), highest_rate_hz(arch, work.cycles)
    if not reaches(rate, highest):
        raise RateError(f"rate: {rate:g} samples per second is above what {arch.name} reaches: a sample takes {work.cycles:,.0f} "
                        f"cycles at {arch.clock / 1e6:g} MHz; the highest rate is {_down(highest)} samples per second")
    wait = max(0.0, arch.clock / rate - work.cycles)
    reload = bool(work.reloaded) and wait >= work.reload_cycles
    # A gap too short to load them again keeps these memories on.
    design = arch if reload else _kept_on(arch, work.reloaded)
    idle = wait - work.reload_cycles if reload else wait
    given, clocked = read_overrides(overrides), arch.power.between_samples(None) != OFF
    going_on = _going_on(arch, per_idle_cycle, idle, given, used) if idle and clocked and per_idle_cycle else None
    spent = {BUSY: work.pj}
    if reload:
        spent[RELOAD] = work.reload_pj
    if idle:
        spent[IDLE] = idle * (waiting_pj(design, given, used) + np.array([0.0, clocked_pj(arch, used) if clocked else 0.0, 0.0]))
        if going_on is not None:
            sums = going_on.groupby("scope")["energy_pj"].sum()
            spent[IDLE] = spent[IDLE] + [float(sums.get(scope, 0.0)) for scope in SCOPES]

    def accounts() -> pd.DataFrame:
        import pandas as pd

        busy = work.accounts()
        keys, phases = [c for c in ("core", "layer", "timestep") if c in busy], [busy.assign(phase=BUSY)]
        if reload:
            loads = price_activity(work.reload(), arch, work.reload_cycles, work.payload_bits, given, used)
            phases.append(loads.assign(phase=RELOAD))
        if idle:
            phases.append(leakage_rows(design, waiting_leaks(design, given, used), idle, keys).assign(phase=IDLE))
            phases += [frame.assign(phase=IDLE) for frame in (cycle_rows(arch, used, idle, keys), going_on)
                       if clocked and frame is not None]
        return pd.concat([frame for frame in phases if len(frame)], ignore_index=True)[[*busy.columns, "phase"]]

    seconds = 1 / arch.clock
    return AtRate(rate, highest, work.cycles * seconds, work.reload_cycles * seconds if reload else 0.0, idle * seconds,
                  late_samples, spent, accounts)


def _kept_on(arch: Architecture, memories: Collection[str]) -> Architecture:
    idle = {**arch.power.idle, **dict.fromkeys(memories, ON)}
    return arch.model_copy(update={"power": arch.power.model_copy(update={"idle": idle})})


def _going_on(
    arch: Architecture, per_cycle: Mapping[str, float], cycles: float, overrides: Given, used: Collection[str] | None
) -> pd.DataFrame:
    """Rows of events that do not stop while cores wait."""
    import pandas as pd

    if wrong := [name for name, count in per_cycle.items() if name not in PRICED or not 0 <= count < math.inf]:
        raise RateError(f"per_idle_cycle: {wrong[0]}: found {per_cycle[wrong[0]]!r}, expected an event with a price and its "
                        f"count per cycle; events are {', '.join(PRICED)}")
    rows = [(core, "", -1, VOCABULARY[INDEX[name]].unit, name, count * cycles)
            for core in arch.core_names for name, count in per_cycle.items()]
    activity = pd.DataFrame(rows, columns=["core", "layer", "timestep", "unit", "event", "count"])
    priced = price_activity(activity, arch, 0, {"": 0}, overrides, used)
    return priced[~priced["event"].isin((LEAKAGE, CYCLE))]


def _down(rate_hz: float) -> str:
    """A rate to four digits, rounded down so that it works."""
    scale = 10.0 ** (math.floor(math.log10(rate_hz)) - 3)
    return f"{math.floor(rate_hz / scale) * scale:.4g}"
