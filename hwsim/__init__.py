"""hwsim: replay the spikes of a converted network on a described neuromorphic core, cycle by cycle, with its energy.

    import hwsim
    result = hwsim.simulate("traces/fashion_mnist_bit_serial_t4.h5", "event_core_64")
    print(result.latency_s, result.energy_pj, result.mismatches)

Where things are: networks in `snn`, spike files in `trace`, the chip in `arch` and `cores`. A layer is cut in `cores/KIND`, the
order of the work is made in `schedules`, a cycle is decided in `engine` (ODIN's in
`cores/odin`), a picojoule is made in `cost`. `simulation` is the
whole chain on one page. CONTRIBUTING.md has a table of all rooms.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "simulate": "hwsim.simulation", "simulate_in_shards": "hwsim.shards", "SimulationError": "hwsim.simulation",
    "estimate": "hwsim.one_call", "Estimate": "hwsim.one_call", "EstimateError": "hwsim.one_call",
    "load_example": "hwsim.examples", "ExampleError": "hwsim.examples",
    "Trace": "hwsim.trace.reader", "TraceError": "hwsim.trace.reader",
    "Network": "hwsim.snn.network", "Layer": "hwsim.snn.network", "Connection": "hwsim.snn.network",
    "InputSpec": "hwsim.snn.network", "NetworkError": "hwsim.snn.network",
    "IntegrateAndFire": "hwsim.snn.neurons", "BitSerial": "hwsim.snn.neurons", "ReadOut": "hwsim.snn.neurons",
    "Requantise": "hwsim.snn.neurons",
    "CaptureError": "hwsim.capture", "capture_netx": "hwsim.capture", "capture_nir": "hwsim.capture",
    "capture_torch": "hwsim.capture", "from_netx": "hwsim.capture", "from_nir": "hwsim.capture",
    "event_planes": "hwsim.capture", "EventPlanes": "hwsim.capture", "quantise": "hwsim.convert.own",
    "Architecture": "hwsim.arch", "ArchitectureError": "hwsim.arch", "load_architecture": "hwsim.arch",
    "MappingError": "hwsim.mapping", "ProgramError": "hwsim.program", "Result": "hwsim.result",
    "ResultError": "hwsim.result", "RepriceError": "hwsim.result",
    "Task": "hwsim.task", "TaskError": "hwsim.task",
    "write_timeline": "hwsim.timeline.write", "TimelineError": "hwsim.timeline.slots",
    "Point": "hwsim.study", "run_study": "hwsim.study", "StudyError": "hwsim.study",
    "Study": "hwsim.sweep.study",
    "read_study": "hwsim.sweep.definition", "study_frame": "hwsim.sweep.rows", "SweepError": "hwsim.sweep.axis",
    "pareto": "hwsim.sweep.front", "best": "hwsim.sweep.front",
    "difference": "hwsim.diff", "Difference": "hwsim.diff", "DiffError": "hwsim.diff",
    "HwsimError": "hwsim.errors", "load_result": "hwsim.result_reader", "EnergyError": "hwsim.cost.energy",
}
"""Where each public name lives. Names load on first use, so `import hwsim` costs next to nothing."""

__all__ = ["__version__", *_HOMES]

if TYPE_CHECKING:
    from hwsim.arch import Architecture, ArchitectureError, load_architecture
    from hwsim.capture import (
        CaptureError,
        EventPlanes,
        capture_netx,
        capture_nir,
        capture_torch,
        event_planes,
        from_netx,
        from_nir,
    )
    from hwsim.convert.own import quantise
    from hwsim.cost.energy import EnergyError
    from hwsim.diff import Difference, DiffError, difference
    from hwsim.errors import HwsimError
    from hwsim.examples import ExampleError, load_example
    from hwsim.mapping import MappingError
    from hwsim.one_call import Estimate, EstimateError, estimate
    from hwsim.program import ProgramError
    from hwsim.result import RepriceError, Result, ResultError
    from hwsim.result_reader import load_result
    from hwsim.shards import simulate_in_shards
    from hwsim.simulation import SimulationError, simulate
    from hwsim.snn.network import Connection, InputSpec, Layer, Network, NetworkError
    from hwsim.snn.neurons import BitSerial, IntegrateAndFire, ReadOut, Requantise
    from hwsim.study import Point, StudyError, run_study
    from hwsim.sweep.axis import SweepError
    from hwsim.sweep.definition import read_study
    from hwsim.sweep.front import best, pareto
    from hwsim.sweep.rows import study_frame
    from hwsim.sweep.study import Study
    from hwsim.task import Task, TaskError
    from hwsim.timeline.slots import TimelineError
    from hwsim.timeline.write import write_timeline
    from hwsim.trace.reader import Trace, TraceError


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hwsim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
