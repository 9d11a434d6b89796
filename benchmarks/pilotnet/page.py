"""The tables of docs/loihi2.md, each made of what was computed and of what was published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.headlines.blocks import table
from benchmarks.pilotnet import published
from benchmarks.pilotnet.measure import FREE, Energy, Frame, compute, design, energy_of, every_weight, frame_of, two_pipes
from benchmarks.pilotnet.published import CYCLE_US, FLAT, FRAME_STEPS, JANUARY, RUNS
from benchmarks.pilotnet.recording import compare_states, read_network, read_recording
from hwsim.trace.reader import Trace

Row = tuple[str, ...]


def tables(folder: str | Path) -> dict[str, str]:
    """Every table of the page by name. Raises RecordingError for a folder without the files."""
    recorded, network = read_recording(folder), read_network(folder)
    states = compare_states(network, recorded)
    silent = frame_of(folder)
    frame, zeros = compute(silent, design()), compute(silent, every_weight())
    image = compute(frame_of(folder, recorded["image"]), design())
    return {
        "loihi2-work": table(("what", "published", "here", "difference"), (
            ("recorded spikes, currents and potentials that are computed", f"{states.values:,}", f"{states.equal:,}",
             f"{states.values - states.equal:,}"), *_work(frame))),
        "loihi2-steps": table(("step", "measured, us", "predicted, us", "difference"), _steps(frame)),
        "loihi2-parts": table(("the mean step, if nothing else took time", "us"), _parts(frame)),
        "loihi2-pipes": table(("mean step, us", "one pipe", "two pipes"), _pipes(silent, frame)),
        "loihi2-energy": table(("dynamic energy of a frame", "mJ", f"Intel's three runs: {_spread()} mJ"), _energies(frame)),
        "loihi2-constant": table(("what", "from January's constant", "measured", "difference"), _constant(frame)),
        "loihi2-traps": table(("what", "published", "zeros skipped", "zeros added"), _traps(frame, zeros)),
        "loihi2-image": table(
            ("what", "image not applied (measured)", "image applied (measured by nobody)"), _image(frame, image)),
        "loihi2-figures": table(("figure", "value", "source", "how sure"), _figures()),
    }


def _percent(ours: float, theirs: float) -> str:
    return f"{100 * (ours / theirs - 1):+.2f} %"


def _work(frame: Frame) -> Iterator[Row]:
    operations, cores = frame.operations(), frame.layer_operations("conv")
    yield ("spikes of a frame that the 74 cores compute, unlike the neuron model's", "-", f"{frame.mismatches:,}", "-")
    yield ("operations of weights that are not zero, per frame", "-", f"{frame.count('acc_add'):,}", "-")
    yield ("the same, cores of the convolutions", f"{published.CONVOLUTIONS_OPERATIONS / 1e6:.2f} M", f"{cores / 1e6:.2f} M",
           _percent(cores, published.CONVOLUTIONS_OPERATIONS))
    for flat in FLAT:
        ours = operations[flat.core]
        yield (f"the same per step, {flat.core} ({flat.layer})", f"{flat.operations:,.0f}", f"{ours:,.0f}",
               _percent(ours, flat.operations))
    yield ("neurons that are updated in a step, spare ones included", "-", f"{frame.neurons():,}", "-")


def _steps(frame: Frame) -> Iterator[Row]:
    for number, (measured, ours) in enumerate(zip(CYCLE_US, frame.cycle_us.tolist(), strict=True)):
        yield f"4 n + {number}", f"{measured:.1f}", f"{ours:.1f}", f"{100 * (ours / measured - 1):+.0f} %"
    mean = float(frame.steps_us.mean())
    for run in RUNS:
        yield f"mean, run of {run.name}", f"{run.step_us:.1f}", f"{mean:.1f}", f"{100 * (mean / run.step_us - 1):+.0f} %"
    yield "correlation of the four", "1", f"{correlation(frame):.3f}", "-"


def correlation(frame: Frame) -> float:
    """Of the four steps with those measured."""
    return float(np.corrcoef(frame.cycle_us, CYCLE_US)[0, 1])


def _parts(frame: Frame) -> Iterator[Row]:
    events, updates = frame.busiest_us("acc_add"), frame.busiest_us("cycles_busy")
    mean = float(frame.steps_us.mean())
    barrier = published.BARRIER_NS.value / 1e3
    cores, worked = frame.busiest()
    yield "synaptic operations of the core that has most of them in each step", f"{events:.1f}"
    yield "and its neuron updates, which follow its events here", f"{updates:.1f}"
    yield "and all else: the barrier of 0.2 us, and messages, which follow the updates and wait for links", f"{mean:.1f}"
    yield f"work of the busiest cores, {', '.join(cores)}, alone", f"{worked:.1f}"
    assert mean > updates + barrier


def _pipes(silent: Trace, one: Frame) -> Iterator[Row]:
    two = compute(silent, two_pipes())
    free = [compute(silent, chip) for chip in (design(network=FREE), two_pipes(FREE))]
    assert one.mismatches == two.mismatches == 0
    yield "as the design is", *(f"{frame.steps_us.mean():.1f}" for frame in (one, two))
    yield "if links cost nothing", *(f"{frame.steps_us.mean():.1f}" for frame in free)
    yield "correlation of the four steps with those measured", *(f"{correlation(frame):.3f}" for frame in (one, two))
    yield "the same, if links cost nothing", *(f"{correlation(frame):.3f}" for frame in free)


def _spread() -> str:
    energies = [run.dynamic_mj for run in RUNS]
    return f"{min(energies):.2f} to {max(energies):.2f}"


def inside(mj: float) -> str:
    """Whether an energy lies between the lowest and the highest of Intel's runs."""
    energies = [run.dynamic_mj for run in RUNS]
    return "inside" if min(energies) <= mj <= max(energies) else "outside"


def _energies(frame: Frame) -> Iterator[Row]:
    energy: Energy = energy_of(frame)
    yield "synaptic operations", f"{energy.operations:.3f}", "-"
    yield "neuron updates", f"{energy.updates:.3f}", "-"
    yield "hops of messages", f"{energy.messages:.3f}", "-"
    for what, mj in (("all, Loihi 1's figures as they are", energy.total),
                     ("all, scaled from 14 to 7 nm at equal supply", energy.scaled()),
                     ("all, scaled from 16 to 7 nm at equal supply", energy.scaled(16.0))):
        yield what, f"{mj:.3f}", inside(mj)


def constant_ns(frame: Frame) -> float:
    """The one constant: January's mean step over the operations of one core of conv 2 in it, in ns."""
    return 1e3 * JANUARY.step_us / frame.operations()["core20"]


def predicted_us(frame: Frame) -> np.ndarray:
    """The four steps by the one constant and the operations of one core of conv 2."""
    return np.array(frame.operations_by_step("core20")[:4]) * constant_ns(frame) / 1e3


def _constant(frame: Frame) -> Iterator[Row]:
    steps = predicted_us(frame)
    yield "time of an operation of a core of conv 2", f"{constant_ns(frame):.3f} ns", "given: January's mean step", "-"
    for run in RUNS[:2]:
        ours = float(steps.mean())
        yield f"mean step, run of {run.name}", f"{ours:.1f} us", f"{run.step_us:.1f} us", _percent(ours, run.step_us)
    for number, (ours, measured) in enumerate(zip(steps.tolist(), CYCLE_US, strict=True)):
        yield f"step 4 n + {number}, all runs", f"{ours:.1f} us", f"{measured:.1f} us", _percent(ours, measured)


def _traps(frame: Frame, zeros: Frame) -> Iterator[Row]:
    mean, other = (float(one.steps_us.mean()) for one in (frame, zeros))
    yield "mean step, us", f"{JANUARY.step_us:.1f}", f"{mean:.1f}", f"{other:.1f}"
    yield ("difference", "-", f"{100 * (mean / JANUARY.step_us - 1):+.0f} %", f"{100 * (other / JANUARY.step_us - 1):+.0f} %")
    for flat in FLAT[:2]:
        ours, theirs = (one.operations()[flat.core] for one in (frame, zeros))
        yield f"operations per step, {flat.core} ({flat.layer})", f"{flat.operations:,.0f}", f"{ours:,.0f}", f"{theirs:,.0f}"
        yield "difference", "-", _percent(ours, flat.operations), _percent(theirs, flat.operations)


def _image(frame: Frame, image: Frame) -> Iterator[Row]:
    both = (frame, image)
    yield ("spikes unlike the neuron model's", *(f"{one.mismatches:,}" for one in both))
    yield ("operations per frame", *(f"{one.count('acc_add'):,}" for one in both))
    yield ("spikes per frame", *(f"{one.count('spike_out'):,}" for one in both))
    yield ("mean step, us", *(f"{one.steps_us.mean():.1f}" for one in both))
    yield ("frame of 16 steps in the steady state, ms", *(f"{one.steps_us.mean() * FRAME_STEPS / 1e3:.2f}" for one in both))
    yield ("dynamic energy by Loihi 1's figures, mJ", *(f"{energy_of(one).total:.2f}" for one in both))
    yield ("layers that set the pace, of four steps",
           *(", ".join(f"{name}: {n}" for name, n in one.pace().items()) for one in both))


def _figures() -> Iterator[Row]:
    for figure in published.USED:
        yield figure.what, f"{figure.value:g}{'' if figure.unit == '1' else f' {figure.unit}'}", figure.source, figure.confidence
