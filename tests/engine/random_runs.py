"""Random runs of one core in every dataflow, fed from planes, drawn so that the rare is common.

Small grids, few accumulators, narrow potentials, shallow FIFOs, one port; every operator, pool and kind of pass table. A
drawn setting may be one that is refused: engines must then refuse it both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.engine.fast.chip import FastEngine
from hwsim.passes import Pass, PassTable, horner_passes
from hwsim.program import CoreRun, CoreSpec, ProgramError
from hwsim.snn.network import Connection, Shape

Rng = np.random.Generator
TABLES = (
    "rate", "rate", "direct", "bit_serial", "bit_serial", "horner", "read_out", "staged_read_out", "requantise", "two_stage",
    "single_spike", "hybrid", "serial_read_out", "payload_bits",
)


@dataclass(frozen=True, eq=False)
class RandomRun:
    """Arguments of `Engine.run_planes`."""

    kind: str
    run: CoreRun
    planes: tuple[NDArray[np.int64], ...]
    eots: int
    potentials: NDArray[np.int64]
    currents: NDArray[np.int64]
    flags: NDArray[np.int64]

    @property
    def arguments(self) -> tuple[Any, ...]:
        return (self.run, self.planes, self.eots, self.potentials, self.currents, self.flags)

    def with_core(self, **changes: Any) -> RandomRun:
        """The same layer in another dataflow; EOTs follow from planes_per_token."""
        core = replace(self.run.core, **changes)
        run = replace(self.run, core=core)
        return replace(self, run=run, eots=1 if run.merged else run.table.planes)


def random_run(rng: Rng, apart: bool = False) -> RandomRun:
    """Any run; `apart`: sides of its connection differ between the axes."""
    kind = str(rng.choice(TABLES))
    shape, wires = random_wires(rng, apart)
    steps = int(rng.integers(1, 5))
    # Kinds whose sources send values; the others mix them in where the table gives them a meaning.
    valued = {"direct": 1.0, "payload_bits": 1.0, "requantise": 0.8, "bit_serial": 0.2, "hybrid": 0.5}.get(kind, 0.03)
    payload_bits = tuple(int(rng.integers(1, 7)) if rng.random() < valued else 0 for _ in wires)
    payload_bits = tuple(8 if w.pool_mode == "unit" else 0 if w.pool_mode == "max" else bits
                         for w, bits in zip(wires, payload_bits, strict=True))
    table = random_table(rng, kind, shape, steps)
    planes = tuple(
        random_planes(rng, wire, table.planes, bits, later=rng.random() < 0.1 and kind == "direct")
        for wire, bits in zip(wires, payload_bits, strict=True))
    bits = int(rng.choice([6, 8, 10, 16]))
    core = random_core(rng, bits)
    groups = -(-shape[0] // core.lanes)
    low = int(rng.integers(0, groups)) if rng.random() < 0.3 else 0
    high = int(rng.integers(low + 1, groups + 1)) if rng.random() < 0.3 else groups
    run = CoreRun(
        core=core, shape=shape, groups=(low, high), connections=wires, table=table, potential_bits=bits,
        current_bits=core.current_bits, clear=bool(rng.random() < 0.6), first_plane=int(rng.choice([0, 0, 2])),
        keep=bool(rng.random() < 0.5), current_fed=any(len(each) for each in planes), payload_bits=payload_bits)
    top = 1 << (bits - 1)
    case = RandomRun(
        kind, run, planes, 1 if run.merged else table.planes, rng.integers(-top, top, shape), rng.integers(-9, 10, shape),
        rng.integers(0, 2, shape))
    if rng.random() < 0.4:
        run = replace(run, rows=random_rows(rng, shape[1]))
    if rng.random() < 0.3:
        banks = {f"{name}_bank_bits": int(rng.choice([1, 3, 8, 20])) for name in ("membrane", "current")}
        run = replace(run, core=replace(run.core, **banks))
    case = replace(case, run=run)
    return masking_first(rng, case) if table.flagged and not run.merged and rng.random() < 0.4 else case


def masking_first(rng: Rng, case: RandomRun) -> RandomRun:
    """The same run on a core that looks at flags first (R25), with words whose neurons are all off."""
    core = replace(case.run.core, mask_first=True, order="scatter" if rng.random() < 0.9 else case.run.core.order)
    channels, height, width = case.run.shape
    off = rng.random((-(-channels // core.lanes), height, width)) < 0.4
    flags = case.flags | np.repeat(off, core.lanes, axis=0)[:channels]
    return replace(case, run=replace(case.run, core=core), flags=flags)


def random_rows(rng: Rng, height: int) -> tuple[int, int]:
    """Rows [a, b) of a tile."""
    first = int(rng.integers(0, height))
    return first, int(rng.integers(first + 1, height + 1))


def random_flagged_run(rng: Rng) -> RandomRun:
    """A run of a flagged table of any kind, merged planes and mask passes among them, on a core that looks at flags first."""
    case = random_run(rng)
    merged = case.kind in ("bit_serial", "payload_bits") and case.run.core.buffer == "bitmap" and rng.random() < 0.5
    passes: list[Pass] = []
    for p in case.run.table.passes:
        use = str(rng.choice(["ignore", "masked", "fire_once"])) if p.kind == "fire" else "ignore"
        passes.append(replace(p, flags=use))  # type: ignore[arg-type]
        if rng.random() < 0.15:
            passes.append(Pass(p.after_eot, "mask", timestep=p.timestep))
    table = replace(case.run.table, flagged=True, passes=tuple(passes))
    case = replace(case, run=replace(case.run, table=table, clear=bool(rng.random() < 0.2)))
    case = case.with_core(planes_per_token="all" if merged else "one",
                          multiplier=case.run.core.multiplier if merged else "parallel")
    return masking_first(rng, case).with_core(order="scatter")


def random_core(rng: Rng, bits: int) -> CoreSpec:
    merged = rng.random() < 0.35
    buffer = "bitmap" if rng.random() < 0.9 else "aer"
    return CoreSpec(
        lanes=int(rng.choice([1, 2, 3, 4, 8])), potential_bits=bits, current_bits=int(rng.choice([5, 8, 16])),
        fifo_depth=int(rng.choice([1, 1, 2, 3, 8])), bypass=bool(rng.random() < 0.5), shift_at="weight", buffer=buffer,
        scan_bits=int(rng.choice([1, 2, 3, 5, 8, 16, 64])), order=str(rng.choice(["scatter", "gather"])),
        accumulators=int(rng.choice([1, 1, 2, 3, 9])), planes_per_token="all" if merged else "one",
        adders=int(rng.choice([1, 1, 2, 3])), multiplier="bit_serial" if merged and rng.random() < 0.4 else "parallel",
        writer=str(rng.choice(["serial", "word"])), membrane_ports=str(rng.choice(["1r1w", "1rw"])),
        passes=str(rng.choice(["by_pass", "by_word"])))


def random_wires(rng: Rng, apart: bool = False) -> tuple[Shape, tuple[Connection, ...]]:
    """One or two connections into one layer."""
    channels, height, width = int(rng.integers(1, 5)), int(rng.integers(1, 6)), int(rng.integers(1, 6))
    pool = int(rng.choice([1, 1, 1, 2, 3]))
    mode = str(rng.choice(["folded", "unit", "max"], p=[0.6, 0.2, 0.2])) if pool > 1 else "none"
    source = (channels, height * pool + int(rng.integers(0, pool)), width * pool + int(rng.integers(0, pool)))
    common: dict[str, Any] = {"source_shape": source, "pool": pool, "pool_mode": mode}
    operator = str(rng.choice(["conv2d", "conv2d", "linear", "identity"]))
    if operator == "linear":
        wire = Connection("a", "linear", **common)
        out = int(rng.integers(1, 10))
    elif operator == "identity":
        stride = int(rng.choice([1, 2]))
        wire = Connection("a", "identity", stride=(stride, 3 - stride) if apart else stride,
                          channel_offset=int(rng.choice([0, 0, 1])), **common)
        out = channels + wire.channel_offset + int(rng.integers(0, 2))
    else:
        kernel = int(rng.integers(1, 4))
        groups = int(rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
        sides = {"kernel": kernel, "stride": int(rng.choice([1, 1, 2])), "padding": int(rng.integers(0, kernel))}
        wire = Connection("a", "conv2d", **(pulled_apart(rng, sides) if apart else sides), groups=groups, **common)
        out = groups * int(rng.integers(1, 10 // groups + 1))
        if min(wire.natural_shape(out)) < 1:
            return random_wires(rng, apart)
    shape = wire.natural_shape(out)
    wires = [weighted(rng, wire, shape)]
    if rng.random() < 0.3:
        other = Connection("b", "identity", source_shape=(int(rng.integers(1, out + 1)), *shape[1:]))
        wires.append(weighted(rng, other, shape))
    return shape, tuple(wires)


def pulled_apart(rng: Rng, sides: dict[str, int]) -> dict[str, Any]:
    """Kernel, stride and padding of a convolution along y, with others along x."""
    kernel = int(rng.integers(1, 4))
    across = {"kernel": kernel, "stride": int(rng.integers(1, 3)), "padding": int(rng.integers(0, kernel))}
    return {name: (side, across[name]) for name, side in sides.items()}


def weighted(rng: Rng, wire: Connection, shape: Shape) -> Connection:
    return replace(wire, weights=rng.integers(-20, 21, wire.weight_shape(shape)))


def random_planes(rng: Rng, wire: Connection, steps: int, payload_bits: int, later: bool) -> NDArray[np.int64]:
    """(n, H, W, C): spikes of all steps, or values of one plane; `later`: none, a step after the direct input's."""
    c, h, w = wire.source_shape
    density = float(rng.choice([0.0, 0.1, 0.4, 0.9]))
    number = 0 if later else steps if not payload_bits or (wire.pool_mode == "unit" and rng.random() < 0.5) else 1
    on = rng.random((number, h, w, c)) < density
    if wire.pool_mode == "unit" or not payload_bits:
        return on.astype(np.int64)
    top = 1 << payload_bits
    return np.where(on, rng.integers(1 - top, top, on.shape), 0)


def random_table(rng: Rng, kind: str, shape: Shape, steps: int) -> PassTable:
    initial = rng.integers(-20, 21, shape) if rng.random() < 0.6 else np.full(shape, int(rng.integers(-9, 10)))
    addend = rng.integers(-20, 21, shape) if rng.random() < 0.5 else None
    threshold = int(rng.integers(1, 60))
    common: dict[str, Any] = {
        "initial": initial.astype(np.int64), "reset": str(rng.choice(["soft", "hard"])),
        "leak_shift": int(rng.integers(1, 4)) if rng.random() < 0.3 else None}
    adds = addend is not None
    if kind in ("bit_serial", "payload_bits"):
        fires = tuple(Pass(steps, "fire", threshold * 8, shift=p + 1, timestep=p) for p in range(steps + 1))
        return PassTable(steps, fires, weigh_planes=True, **common)
    if kind == "horner":
        fires = tuple(Pass(steps, "fire", threshold * 8, shift=p + 1, add=adds and p == 0, timestep=p) for p in range(3))
        return PassTable(steps, horner_passes(steps) + fires, addend=addend, **common)
    if kind in ("read_out", "serial_read_out", "staged_read_out"):
        stages = [Pass(t, "reinitialise", timestep=t - 1) for t in range(1, steps) if kind[:6] == "staged"]
        # A step of a read-out that is not the last has no pass at all.
        out = [Pass(steps, "readout", add=adds, timestep=steps - 1)] if rng.random() < 0.8 else []
        return PassTable(steps, (*stages, *out), addend=addend, weigh_planes=kind[:6] == "serial", **common)
    if kind == "requantise":
        return PassTable(steps, (Pass(steps, "requant", threshold),), max_level=int(rng.integers(1, 9)), **common)
    adds = adds or kind == "direct"
    flags = {"single_spike": "fire_once", "two_stage": "masked"}.get(kind, "ignore")
    passes: list[Pass] = []
    stage = int(rng.integers(0, steps))
    for t in range(steps):
        use = "ignore" if kind == "two_stage" and t <= stage else flags
        passes.append(Pass(t + 1, "fire", threshold, add=adds, timestep=t, flags=use))  # type: ignore[arg-type]
        if kind == "two_stage" and t == stage:
            passes.append(Pass(t + 1, "mask", timestep=t))
    return PassTable(
        steps, tuple(passes), addend=addend, direct=kind == "direct", flagged=kind in ("single_spike", "two_stage"),
        spike_shift=int(rng.integers(0, 4)) if kind == "hybrid" else 0, **common)


def with_zeros(rng: Rng, wire: Connection, share: float | None = None) -> Connection:
    """The connection with zeros among its weights; for a pooling unit and an identity, too."""
    weights = np.array(wire.weights)
    weights[rng.random(weights.shape) < (rng.choice([0.2, 0.6, 0.95]) if share is None else share)] = 0
    return replace(wire, weights=weights)


def random_skipping_run(rng: Rng, share: float | None = None) -> RandomRun:
    """A random run in scatter order on a core that skips operations of zeros (R26), and that engines take."""
    def skipping(case: RandomRun) -> RandomRun:
        wires = tuple(with_zeros(rng, wire, share) for wire in case.run.connections)
        case = replace(case, run=replace(case.run, connections=wires))
        return case.with_core(skip_zero_weights=True, order="scatter", mask_first=False)

    return taken_run(rng, skipping)


def taken_run(rng: Rng, changed: Callable[[RandomRun], RandomRun | None]) -> RandomRun:
    """The first random run that, once `changed`, engines take; None of `changed`: not from this one."""
    for _ in range(200):
        case = changed(random_run(rng))
        if case is None:
            continue
        try:
            FastEngine().run_planes(*case.arguments)
        except ProgramError:
            continue
        return case
    raise AssertionError("no such run")


def random_counting_run(rng: Rng) -> RandomRun:
    """A random run whose passes count until a threshold is reached (R28), and that engines take; flags from before among them."""
    def counting(case: RandomRun) -> RandomRun | None:
        if case.kind in ("requantise", "two_stage"):
            return None
        table, wait = case.run.table, int(rng.integers(1, 40))
        counts = [Pass(t, "count", int(rng.integers(-20, 40)), timestep=t - 1, flags="fire_once")
                  for t in range(1, table.planes + 1) if rng.random() < 0.8]
        others = [replace(p, flags="ignore") for p in table.passes]
        passes = tuple(sorted(others + counts, key=lambda p: (p.after_eot, rng.random())))
        return replace(case, run=replace(case.run, table=replace(table, passes=passes, flagged=True, wait=wait)))

    return taken_run(rng, counting)
