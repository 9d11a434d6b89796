"""What others published: the measured run of PilotNet on Loihi 2, and the rates and energies that a prediction may use.

The measured numbers are for comparison only: none of them enters a design or a price. Units are in the names.
"""

from __future__ import annotations

from typing import NamedTuple

NOTEBOOK = "lava-dl (BSD-3), tutorials/lava/lib/dl/netx/pilotnet_snn/benchmark.ipynb, as read in 2026"


class Measured(NamedTuple):
    """One run of the benchmark: a mean step, energy of a frame of 16 steps without and with what leaks, and leaking power."""

    name: str
    step_us: float
    dynamic_mj: float
    static_w: float


OCTOBER_25 = Measured("25 October 2022", 150.4, 0.562, 0.178)
OCTOBER_28 = Measured("28 October 2022", 151.1, 1.071, 0.309)
JANUARY = Measured("January 2023", 152.9, 1.094, 0.232)
RUNS = (OCTOBER_25, OCTOBER_28, JANUARY)
FRAME_STEPS = 16

CYCLE_US = (107.5, 180.6, 125.4, 201.0)
"""From the fourth step on the plot repeats four step times; read from the figure, means over 128 steps."""
FIRST_US = (119.0, 114.0, 158.0)
"""The first three steps of the plot."""


class Flat(NamedTuple):
    """Cores of the activity plot that do the same: synaptic operations of a step, by core. A pixel is 431."""

    layer: str
    core: str
    operations: float


FLAT = (
    Flat("conv1", "core23", 131_062), Flat("conv2", "core20", 150_799), Flat("conv2", "core21", 150_440),
    Flat("conv4", "core16", 15_997))
CONVOLUTIONS_OPERATIONS = 36.58e6
"""Synaptic operations of a frame, all cores of the plot that compute convolutions."""


class Figure(NamedTuple):
    """A published figure that the prediction uses."""

    what: str
    value: float
    unit: str
    source: str
    confidence: str


DAVIES = "Davies et al. 2018, table 2 (simulated before silicon)"
BRIEF = "Intel's Loihi 2 technology brief, 2021"
SECOND = "read in a note that quotes it"
THIRD = "read in a third party's copy"

OPERATION_PJ = Figure("synaptic operation, energy", 23.6, "pJ", DAVIES, f"{SECOND}; the least")
UPDATE_PJ = Figure("update of a neuron that does not fire, energy", 52.0, "pJ", DAVIES, SECOND)
SPIKE_UPDATE_PJ = Figure("update of a neuron that fires, energy", 81.0, "pJ", DAVIES, SECOND)
HOP_PJ = Figure("hop of a message, energy (3.0 east and west, 4.0 north and south)", 3.5, "pJ", DAVIES, f"{SECOND}; their mean")
OPERATION_NS = Figure("synaptic operation, time on Loihi 1", 3.5, "ns", DAVIES, SECOND)
FASTER_OPERATIONS = Figure("synaptic operations of Loihi 2, times as fast", 5.0, "1", BRIEF, THIRD)
UPDATE_NS = Figure("update of a neuron, time on Loihi 1", 5.3, "ns", DAVIES, SECOND)
FASTER_UPDATES = Figure("neuron updates of Loihi 2, times as fast", 2.0, "1", BRIEF, THIRD)
HOP_NS = Figure("hop of a message, time on Loihi 1 (4.1 and 6.5)", 5.3, "ns", DAVIES, f"{SECOND}; their mean")
FASTER_SPIKES = Figure("spikes of Loihi 2, times as fast", 10.0, "1", BRIEF, THIRD)
BARRIER_NS = Figure("a step with nothing to do, time, less than", 200.0, "ns", BRIEF, THIRD)
USED = (OPERATION_PJ, UPDATE_PJ, SPIKE_UPDATE_PJ, HOP_PJ, OPERATION_NS, FASTER_OPERATIONS, UPDATE_NS, FASTER_UPDATES, HOP_NS,
        FASTER_SPIKES, BARRIER_NS)

NODES_NM = (14.0, 7.0)
"""Loihi 1 is made in Intel's 14 nm; Loihi 2 in Intel 4, which the scaling rule does not know: its 7 nm stands for it."""
EQUAL_SUPPLY_V = 0.75
"""Supplies are not published; the ratio of two nodes hardly depends on the one that both are taken at."""
