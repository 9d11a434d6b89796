"""Which settings of a core's dataflow can go together, R19 to R27 of docs/cycle-model.md; part of the Program's contract.

A setting by itself is a number of CoreSpec. Here is what no core can be built for, and what would work instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cache
from typing import get_args, get_type_hints

from hwsim.checks.pipes import spec_problems
from hwsim.program import CoreRun, CoreSpec, Feed

MOST_PLANES = 62
"""Planes that a merged token's pattern can hold: it travels as a signed number of 64 bits."""


def feed_problems(run: CoreRun, feeds: Sequence[Feed]) -> tuple[str, ...]:
    """What merged tokens cannot be fed with: values in several planes (R21)."""
    return tuple(
        f"connection {feed.connection} (from {run.connections[feed.connection].source!r}) sends values in {len(feed.planes)} "
        "planes: merged tokens take spikes, or one plane of values; pool folded, or use planes_per_token 'one'"
        for feed in feeds if run.merged and len(feed.planes) > 1 and run.sends_payloads(feed.connection))


@cache
def _choices() -> dict[str, tuple[str, ...]]:
    """What each setting of CoreSpec that is a word can be. Evaluating its annotations is slow."""
    hints = get_type_hints(CoreSpec)
    return {field.name: allowed for field in fields(CoreSpec) if (allowed := get_args(hints[field.name]))}


def core_problems(core: CoreSpec) -> tuple[str, ...]:
    """What is wrong with a core's settings, whatever it runs."""
    found = []
    for name, allowed in _choices().items():
        if (value := getattr(core, name)) not in allowed:
            found.append(f"{name} is {value!r}, allowed are {', '.join(allowed)}")
    if core.fifo_depth < 1:
        found.append(f"fifo_depth is {core.fifo_depth}; a FIFO holds at least 1 token")
    if core.accumulators < 1:
        found.append(f"accumulators is {core.accumulators}; gather order holds at least 1 word in registers")
    if core.adders < 1:
        found.append(f"adders is {core.adders}; a lane adds at least 1 bit of a token per cycle")
    if not isinstance(core.mask_first, bool):
        found.append(f"mask_first is {core.mask_first!r}, allowed are True, False")
    elif core.mask_first and core.order == "gather":
        found.append("mask_first saves reads of weights and potentials in scatter order; in gather order flags are in registers, "
                     "beside the potentials (R19): leave mask_first out, or use order 'scatter'")
    found.extend(_skip_problems(core))
    found.extend(spec_problems(core))
    if core.buffer == "aer":
        for setting, value, other in (
            ("order", "gather", "scatter"), ("planes_per_token", "all", "one"), ("writer", "word", "serial"),
        ):
            if getattr(core, setting) == value:
                found.append(
                    f"{setting} {value!r} needs a bitmap: an AER list has no row of a neuron; use buffer 'bitmap', "
                    f"or {setting} {other!r}")
    if core.multiplier == "bit_serial" and core.planes_per_token == "one":
        found.append(
            "multiplier 'bit_serial' takes payloads as patterns of bits, as merged planes are (R21); use planes_per_token 'all' "
            "(in a file, token: {planes: merged}), or multiplier 'parallel'")
    return tuple(found)


def _skip_problems(core: CoreSpec) -> Iterator[str]:
    """What a core that skips rows of zero weights cannot be (R26)."""
    if not isinstance(core.skip_zero_weights, bool):
        yield f"skip_zero_weights is {core.skip_zero_weights!r}, allowed are True, False"
    elif core.skip_zero_weights and core.order == "gather":
        yield ("skip_zero_weights walks the list of an event's rows, and in gather order a word looks for its events, whatever "
               "they weigh (R19): leave skip_zero_weights out, or use order 'scatter'")
    elif core.skip_zero_weights and core.mask_first:
        yield ("skip_zero_weights and mask_first both decide whether an event's operation is made, and which of them looks first "
               "is not modelled: leave one of them out")


def weight_problems(run: CoreRun) -> tuple[str, ...]:
    """What a core that skips rows of zero weights has to know of a run (R26)."""
    if not run.core.skip_zero_weights or all(connection.weights is not None for connection in run.connections):
        return ()
    return ("skip_zero_weights needs weights, and a connection has none: which rows are zero is not known; record the weights, "
            "or leave skip_zero_weights out",)


def spare_problems(run: CoreRun) -> tuple[str, ...]:
    """What spare neurons cannot be (C9)."""
    if not run.spare_rows:
        return ()
    found = []
    if run.table.flagged:
        found.append("spare rows of neurons that have flags: which of them are off is not modelled; use slices without padding")
    if any(connection.operator == "linear" for connection in run.connections):
        found.append("spare rows of a linear connection, which has none to go on with; use slices without padding")
    return tuple(found)


def table_problems(run: CoreRun) -> tuple[str, ...]:
    """What merged tokens cannot do for a run's pass table and sources (R21)."""
    if not run.merged:
        return ()
    found = []
    table = run.table
    one = "use planes_per_token 'one'"
    if run.payload_bits and len(run.payload_bits) != len(run.connections):
        found.append(f"payload_bits names {len(run.payload_bits)} connections, the run has {len(run.connections)}")
        return tuple(found)
    spikes = [i for i in range(len(run.connections)) if not run.sends_payloads(i)]
    if any(p.kind == "shift" for p in table.passes):
        found.append(
            "planes_per_token 'all' brings all planes at once, so nothing can be doubled between them (Horner); use shift_at "
            f"'weight', or {one[4:]}")
    if table.spike_shift:
        found.append(f"a hybrid input's first plane holds values and the others spikes, which share no token; {one}")
    if table.direct and spikes:
        found.append(
            f"connection {spikes[0]} sends spikes to a direct table: merged planes of spikes have no timestep in which they "
            f"could join the current; {one}")
    if run.plane_sums and len(spikes) < len(run.connections) and not table.direct:
        found.append(
            "values and planes of a rate code meet in one layer: only the planes have sums, so the values (a pooling unit's, "
            f"say) have no timestep; pool folded, or {one}")
    if run.plane_sums and run.core.order == "scatter":
        found.append(
            "planes of a rate code need one sum per plane and neuron, which only the accumulators of gather order have; use "
            f"order 'gather', or {one}")
    if table.planes > MOST_PLANES:
        found.append(f"{table.planes} planes do not fit a merged token, which holds {MOST_PLANES}; {one}")
    return tuple(found)
