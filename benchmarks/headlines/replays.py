"""Replays that several steps ask for, each made once; the shipped traces and designs by name."""

from __future__ import annotations

import sys
import time
from functools import cache
from pathlib import Path

from hwsim.arch import Architecture, load_architecture
from hwsim.result import Result
from hwsim.simulation import simulate

ROOT = Path(__file__).resolve().parents[2]
TRACES = ROOT / "traces"
SERIAL, ANN = "fashion_mnist_bit_serial_t4", "fashion_mnist_ann"
RATES = ("fashion_mnist_rate_t4", "fashion_mnist_rate_t8", "fashion_mnist_rate_t16")


def path_of(trace: str) -> Path:
    return TRACES / f"{trace}.h5"


@cache
def replay(trace: str, arch: str | Architecture, samples: int | None, schedule: str = "layer_by_layer",
           leak_unused: bool = False) -> Result:
    """A shipped trace on a design; every output is compared, and one that differs ends the command."""
    design = load_architecture(arch) if isinstance(arch, str) else arch
    result = simulate(path_of(trace), design, schedule=schedule, samples=samples, leak_unused=leak_unused)
    if result.mismatches:
        raise SystemExit(f"headlines: {trace} on {design.name}: {result.mismatches} mismatches, expected none")
    return result


def system_uj(result: Result) -> float:
    return result.energy_pj["system"] / 1e6


def core_uj(result: Result) -> float:
    return result.energy_pj["core"] / 1e6


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
