"""How fast the golden RTL and both engines run the same layer, in cycles a second of processor time, as ratios within one run.

The short stimulus is one timestep of the last convolution's second tile in a shipped trace, which Amaranth's own
simulator can bear; the long one is the widest layer of the residual block with all its timesteps.

    python benchmarks/rtl_speed.py
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.rtl import machine
from hwsim.rtl.stimulus import Stimulus, parameters_of
from tests.rtl import cxxrtl
from tests.rtl.real_layer import first_timesteps, runs_of


def seconds(work: Callable[[], object], times: int = 1) -> float:
    """Processor seconds of the quickest of several goes, those of processes that it started included."""
    taken = []
    for _ in range(times):
        before = os.times()
        start = time.process_time() + before.children_user + before.children_system
        work()
        after = os.times()
        taken.append(time.process_time() + after.children_user + after.children_system - start)
    return min(taken)


def compare(name: str, stimulus: Stimulus, amaranth: bool) -> None:
    machines: list[cxxrtl.Machine] = []
    compiling = seconds(lambda: machines.extend(cxxrtl.build([parameters_of([stimulus])])))
    fast = FastEngine()
    cycles = fast.run_core(*stimulus.arguments).done + 1
    patience = cycles + 100
    taken = {"fast engine": seconds(lambda: fast.run_core(*stimulus.arguments), 5)}
    taken["CXXRTL, compiled"] = seconds(lambda: machines[0].observe(stimulus, *machines[0].room(patience)), 5)
    taken["CXXRTL, compiled, with the log"] = seconds(lambda: machines[0].run([stimulus], patience=patience), 3)
    taken["reference engine"] = seconds(lambda: ReferenceEngine().run_core(*stimulus.arguments), 3)
    taken["CXXRTL, compilation included"] = compiling + taken["CXXRTL, compiled, with the log"]
    if amaranth:
        taken["Amaranth's simulator"] = seconds(lambda: machine.run_together([stimulus]))
    print(f"{name}: {len(stimulus.tokens):,} tokens, {cycles:,} cycles, {stimulus.run.core.lanes} lanes")
    for what, spent in sorted(taken.items(), key=lambda item: item[1]):
        print(f"  {what:31} {cycles / spent:12,.0f} cycles/s   {spent / taken['fast engine']:10,.1f} x the fast engine's time")


def main() -> None:
    *_, tile = (run for run in runs_of("fashion_mnist_rate_t4", "event_core_16", sample=34) if run.layer == "conv5")
    layer = next(run for run in runs_of("fashion_mnist_bit_serial_t4", "event_core_16") if run.layer == "conv4")
    compare("one timestep of a tile of conv5, rate", first_timesteps(tile.stimulus, 1), amaranth=True)
    compare("conv4, bit-serial", layer.stimulus, amaranth=False)


if __name__ == "__main__":
    main()
