"""The grid of a simulated break-even: scaled traces on designs, at memory profiles and inference rates, as a study.

Traces are files in the study's folder; rows are those of hwsim/study/rows.py, so a grid goes on where it was stopped. The ANN is
replayed at each width and kernel, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from os import cpu_count as processors
from pathlib import Path
from time import monotonic
from typing import Any

from hwsim.accounts.ours import Design, fitted, one_line, our_data
from hwsim.arch import Architecture, load_architecture
from hwsim.cost.rate import DEFAULT_RATE_HZ, check_rate
from hwsim.cost.technology.memory_tables import memory as memory_profile
from hwsim.errors import HwsimError
from hwsim.simulation import simulate
from hwsim.snn.network import by_axis
from hwsim.study import Point, Row, identify, read_rows, run_study
from hwsim.study.point import outline
from hwsim.study.work import run_points
from hwsim.trace.reader import Trace
from hwsim.trace.scaled import Shape, rate_of, scaled

LONG_S = 1800.0
"""Seconds above which a grid asks whether that is meant."""
FEW = 24
"""Simulations that are not timed before they run."""
TRACES = "traces"
SNN, ANN = "snn", "ann"


class GridError(HwsimError):
    """A grid that cannot be, or that would take long; the text says which values are possible, or how long."""


@dataclass(frozen=True)
class Grid:
    """What varies. `designs` are names of hwsim/accounts/ours.yaml; `timesteps` and `kernels` None: as recorded; `rates_hz` None:
    at full speed."""

    rates: Sequence[float]
    timesteps: Sequence[int | None] = (None,)
    widths: Sequence[float] = (1.0,)
    kernels: Sequence[int | None] = (None,)
    designs: Sequence[str] = ()
    memories: Sequence[str] = ("cacti_lop",)
    rates_hz: Sequence[float | None] = (None,)

    def pairs(self) -> dict[str, Design]:
        """The designs by name, all of them where none is named. Raises GridError."""
        known = our_data().designs
        if unknown := [name for name in self.designs if name not in known]:
            raise GridError(f"--design: found {unknown[0]!r}, allowed are {', '.join(known)}")
        return {name: known[name] for name in self.designs or known}

    def shapes(self) -> list[Shape]:
        """Of the SNN's traces."""
        return [Shape(rate, steps, width, kernel) for width in self.widths for kernel in self.kernels for steps in self.timesteps
                for rate in self.rates]

    def check(self) -> None:
        """Raises GridError."""
        if len(self.rates) < 2 or list(self.rates) != sorted(set(self.rates)):
            raise GridError(f"rates: found {', '.join(f'{r:g}' for r in self.rates)}, expected at least two, rising")
        self.pairs()
        for memory in self.memories:
            memory_profile(memory)
        for hz in self.rates_hz:
            if hz is not None:
                check_rate(hz)

    def fitting(self, snn: Trace) -> tuple[Grid, dict[str, str]]:
        """The grid with the designs that the trace runs on, and why it does not run on the others.

        Raises GridError for a trace whose spikes cannot be scaled, and for a design that was named and does not run it.
        """
        check_scales(snn)
        reasons = {name: why for name, design in self.pairs().items() if (why := _refused(snn, design))}
        if named := [name for name in self.designs if name in reasons]:
            raise GridError(f"--design {named[0]}: {snn.name} ({snn.coding}) does not run on it: {reasons[named[0]]}")
        kept = [name for name in self.pairs() if name not in reasons]
        if not kept:
            raise GridError(f"{snn.name}: runs on none of the designs: {next(iter(reasons.values()))}")
        return replace(self, designs=kept), reasons


def _refused(snn: Trace, design: Design) -> str:
    """Why the SNN's design does not run a trace, found by running one sample; empty where it does."""
    try:
        simulate(snn, fitted(load_architecture(design.snn), snn), samples=1, check=False)
    except HwsimError as error:
        return one_line(error)
    return ""


def check_scales(snn: Trace) -> None:
    """Raises GridError for a code whose spikes cannot be scaled, by name."""
    why = ("its input is hybrid, whose spikes would have to be scaled with the layers" if snn.network.input.is_hybrid else
           "its neurons fire once, and fire no second time at any rate" if any(x.neuron.fires_once for x in snn.network) else
           "its neurons have stages, which take other steps" if any(x.stages for x in snn.network) else "")
    if why:
        raise GridError(f"{snn.name}: --simulate: {why}; leave --simulate out for the closed forms, or give a rate code or bit "
                        "planes of images")


def points(snn: Trace, ann: Trace, grid: Grid, folder: Path, samples: int) -> list[Point]:
    """Every point of the grid; the scaled traces are made in `folder` where they are not there yet."""
    return [*_spiking(snn, grid, folder, samples), *_rivals(ann, grid, folder, samples)]


def _spiking(snn: Trace, grid: Grid, folder: Path, samples: int) -> Iterator[Point]:
    for wanted in grid.shapes():
        made = _made(snn, wanted, folder, samples)
        with Trace.open(made) as trace:
            shape = {"width": wanted.width, "kernel": wanted.kernel, "timesteps": trace.timesteps, "rate": wanted.rate}
            for name, design in grid.pairs().items():
                machine = fitted(load_architecture(design.snn), trace)
                yield from _at_prices(SNN, made, machine, name, shape, grid, samples)


def _rivals(ann: Trace, grid: Grid, folder: Path, samples: int) -> Iterator[Point]:
    for width in grid.widths:
        for kernel in grid.kernels:
            made = _made(ann, Shape(width=width, kernel=kernel), folder, samples)
            with Trace.open(made) as trace:
                for name, design in grid.pairs().items():
                    shape = {"width": width, "kernel": kernel}
                    yield from _at_prices(ANN, made, fitted(load_architecture(design.ann), trace), name, shape, grid, samples)


def _at_prices(
    side: str, trace: Path, design: Architecture, name: str, shape: dict[str, Any], grid: Grid, samples: int
) -> Iterator[Point]:
    """The same counts at every memory profile and inference rate."""
    for memory in grid.memories:
        for hz in grid.rates_hz:
            labels = {"side": side, "design": name, **shape, "memory": memory, "rate_hz": hz}
            # An array's cycles are closed forms, which always compute.
            yield Point.of(trace, design, samples=samples, check=hasattr(design.core, "rows"), labels=labels,
                           rate_hz=DEFAULT_RATE_HZ if hz is None else hz, changes={"technology.memory": memory})


def _file_of(trace: Trace, shape: Shape, folder: Path, samples: int) -> Path:
    """The file of a scaled trace, named by all that it is made of."""
    parts = (trace.content_hash[:12], samples, shape.rate, shape.timesteps, shape.width, shape.kernel)
    return folder / TRACES / f"{'_'.join('own' if part is None else str(part) for part in parts)}.h5"


def _made(trace: Trace, shape: Shape, folder: Path, samples: int) -> Path:
    """The file of a scaled trace, made where it is not there."""
    path = _file_of(trace, shape, folder, samples)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        scaled(trace, shape, path, samples).close()
    return path


def foresee(snn: Trace, grid: Grid, folder: Path, samples: int, workers: int | None = None) -> float:
    """Seconds that the traces take that are not there yet, to be made and to be replayed on every design; 0 for a small grid.

    Before anything is made, the recording is scaled and replayed once. Making goes with steps and channels, a replay with spikes
    and the synapses behind each. A guess, good within a factor of a few.
    """
    missing = [shape for shape in grid.shapes() if not _file_of(snn, shape, folder, samples).is_file()]
    own_rate, own_kernel = rate_of(snn, samples), _largest_kernel(snn)
    making = [(s.timesteps or snn.timesteps) * s.width / snn.timesteps for s in missing]
    replays = [part * s.width * ((s.kernel or own_kernel) / own_kernel) ** 2 * (own_rate if s.rate is None else s.rate) / own_rate
               for s, part in zip(missing, making, strict=True)]
    if sum(replays) + sum(making) <= FEW:
        return 0.0
    start = monotonic()
    one = scaled(snn, Shape(rate=own_rate), samples=samples)
    made_s = monotonic() - start
    names = list(grid.pairs().values())
    design = fitted(load_architecture(names[0].snn), one)
    simulate(one, design, check=False)  # compiles what is not compiled yet
    start = monotonic()
    simulate(one, design, check=False)
    return made_s * sum(making) + (monotonic() - start) * sum(replays) * len(names) / (workers or cpu_count())


def _largest_kernel(trace: Trace) -> int:
    sides = [max(by_axis(c.kernel)) for layer in trace.network for c in layer.connections if c.operator == "conv2d"]
    return max(sides, default=1)


def refuse_long(seconds: float, folder: Path, long_is_meant: bool) -> None:
    """Raises GridError for more than LONG_S, unless that is meant."""
    if seconds > LONG_S and not long_is_meant:
        raise GridError(f"this grid would take about {said(seconds)}; give --yes, or fewer values; what is done is kept in "
                        f"{folder}")


def run_grid(
    every: list[Point], folder: Path, *, long_is_meant: bool = False, workers: int | None = None,
    executor: Executor | None = None, progress: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """The rows of all points. Raises GridError for a grid that would take longer than LONG_S, unless that is meant."""
    if not long_is_meant:
        refuse_long(estimate(every, folder, workers), folder, long_is_meant)
    return run_study(every, folder, workers=workers, executor=executor, progress=progress)


def estimate(every: list[Point], folder: Path, workers: int | None = None) -> float:
    """Seconds that the points take whose rows are not there: one in the middle is timed. 0 for a few."""
    there = {row["key"] for row in read_rows(folder) if "error" not in row}
    tasks: dict[str, Point] = {}
    for point in every:
        try:
            if identify(point) not in there:
                tasks.setdefault(outline(point).task, point)
        except HwsimError:  # its own mistake, told in its row
            continue
    if len(tasks) <= FEW:
        return 0.0
    middle = list(tasks.values())[len(tasks) // 2]
    run_points([middle], (), None)  # compiles what is not compiled yet
    start = monotonic()
    run_points([middle], (), None)
    return (monotonic() - start) * len(tasks) / (workers or cpu_count())


def cpu_count() -> int:
    """Workers of a study where none are named."""
    return processors() or 1


def said(seconds: float) -> str:
    """A time in words."""
    return f"{seconds / 3600:.1f} hours" if seconds >= 5400 else f"{seconds / 60:.0f} minutes"
