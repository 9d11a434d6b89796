"""The numbers behind the figures of runs, as frames: what is drawn is here, and `hwsim plot ... --json` prints it.

Everything is per sample, the mean over the samples of a run, unless a column names a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hwsim.activity import EVENTS, INDEX, UNIT_OF, VOCABULARY
from hwsim.counted import WAIT, WORKING
from hwsim.view.figure_file import FigureError
from hwsim.view.labels import coding_label

if TYPE_CHECKING:
    import pandas as pd

    from hwsim.result import Result

PARTS = {"additions": "lanes that add", "no_addition": "lanes beside them, passes, marks", "stall": "stalls", "idle": "no event"}
"""What becomes of a lane's cycles while its core runs a layer."""
JUDGED = ("cmp", "requant")
"""Events that count neurons which could have sent something."""
_PART_OF_A_ROW = ("_banks", "_bits")


def run_labels(results: Sequence[Result]) -> list[str]:
    """What tells runs apart in a legend: coding and T, design, schedule, as far as they differ; then the trace; then a number."""
    fields = [(f"{coding_label(f.coding)} T={f.timesteps}" if not f.is_ann else coding_label(f.coding), f.arch,
               "" if f.is_ann else f.schedule.replace("_", " ")) for f in (r.facts for r in results)]
    varied = [True, *(len({field[i] for field in fields if field[i]}) > 1 for i in (1, 2))]
    labels = [", ".join(part for part, told in zip(field, varied, strict=True) if told and part) for field in fields]
    if len(set(labels)) < len({r.facts.trace for r in results}):
        labels = [f"{label}, {r.facts.trace}" for label, r in zip(labels, results, strict=True)]
    return [f"{label} ({1 + labels[:i].count(label)})" if labels.count(label) > 1 else label for i, label in enumerate(labels)]


def activity_rows(result: Result, event: str = "spike_out") -> pd.DataFrame:
    """layer, timestep, count: how often an event of hwsim.activity is counted in a sample.

    Raises FigureError for no such event.
    """
    import pandas as pd

    if event not in EVENTS:
        raise FigureError(f"unknown event {event!r}; `hwsim energy show` lists them, such as spike_out, acc_add, fifo_pop")
    frame = result.activity[result.activity["event"] == event]
    counts = frame.groupby(["layer", "timestep"])["count"].sum()
    steps = range(max(result.facts.timesteps, 1 + int(frame["timestep"].max()) if len(frame) else 1))
    names = [name for name in ("input", *result.facts.layers) if name != "input" or name in set(frame["layer"])]
    every = pd.MultiIndex.from_product([names, steps], names=["layer", "timestep"])
    return counts.reindex(every, fill_value=0.0).rename("count").reset_index()


def utilisation_rows(result: Result) -> pd.DataFrame:
    """layer, part (PARTS), lane_cycles, share: what became of the lanes' cycles while their cores ran the layer.

    A lane-cycle is a cycle of one adder. The parts of a layer add up to the cycles of its runs times the adders of their cores.
    """
    import pandas as pd

    arch = result.architecture
    adders = {pipe: arch.design_of(core).additions_per_cycle for pipe, core in result.pipes().items()}
    frame = result.cycles_frame
    frame = frame[frame["resource"].isin(list(adders)) & (frame["cause"] != WAIT)]
    frame = frame.assign(spent=frame["cycles"] * frame["resource"].map(adders).astype(float))
    adds = result.activity[result.activity["event"] == "acc_add"].groupby("layer")["count"].sum()
    rows = []
    for layer in result.facts.layers:
        spent = frame[frame["layer"] == layer].groupby("cause")["spent"].sum()
        used, busy = float(adds.get(layer, 0.0)), sum(float(spent.get(cause, 0.0)) for cause in WORKING)
        parts = {"additions": used, "no_addition": busy - used,
                 "stall": float(sum(n for cause, n in spent.items() if str(cause).startswith("stall"))),
                 "idle": float(spent.get("idle", 0.0))}
        whole = sum(parts.values())
        rows += [(layer, part, n, n / whole if whole else 0.0) for part, n in parts.items()]
    return pd.DataFrame(rows, columns=["layer", "part", "lane_cycles", "share"])


def roofline_rows(result: Result) -> pd.DataFrame:
    """layer ("" is the whole sample), operations, off_chip_bytes, on_chip_bytes, seconds, operations_per_s; means per sample.

    On the chip a byte moves when a row of a memory is read or written; a layer's seconds are those of its runs, the mean of the
    cores, and those of the sample are its latency.
    """
    import pandas as pd

    arch, activity = result.architecture, result.activity
    weights = _row_bytes(result)
    events = activity.assign(
        on=activity["count"] * [weights.get((c, e), 0.0) for c, e in zip(activity["core"], activity["event"], strict=True)],
        off=activity["count"] * activity["event"].isin(["channel_read_bits", "channel_write_bits"]) / 8,
        adds=activity["count"] * (activity["event"] == "acc_add"))
    sums = events.groupby("layer")[["adds", "off", "on"]].sum()
    frame = result.cycles_frame
    spent = frame[frame["resource"].isin(list(result.pipes())) & (frame["cause"] != WAIT)].groupby("layer")["cycles"].sum()
    rows = []
    for layer in ("", *result.facts.layers):
        mine = sums if layer == "" else sums[sums.index == layer]
        adds, off, on = (float(mine[name].sum()) for name in ("adds", "off", "on"))
        seconds = result.latency_s if layer == "" else float(spent.get(layer, 0.0)) / len(arch.core_names) / arch.clock
        rows.append((layer, adds, off, on, seconds, adds / seconds if seconds else 0.0))
    return pd.DataFrame(rows, columns=["layer", "operations", "off_chip_bytes", "on_chip_bytes", "seconds", "operations_per_s"])


def roofs(result: Result) -> dict[str, float]:
    """operations_per_s that all adders can do; off_chip_bytes_per_s of the channel; on_chip_bytes_per_s of all memories of the
    design: a row of each in every cycle, and one more where a memory has a read port and a write port."""
    arch = result.architecture
    per_cycle = sum(one.count * bits / 8 * (2 if one.arrays[name].ports == "1r1w" else 1) for one in arch.cores
                    for name, bits in one.row_bits.items() if one.capacities.get(name))
    return {"operations_per_s": arch.additions_per_cycle * arch.clock, "on_chip_bytes_per_s": per_cycle * arch.clock,
            "off_chip_bytes_per_s": arch.channel.bits_per_cycle / 8 * arch.clock}


def _row_bytes(result: Result) -> dict[tuple[str, str], float]:
    """By core and event the bytes of one count: a row of the memory; bits of values count as what they are."""
    memory_of = {unit: memory for memory, unit in UNIT_OF.items()}
    found = {}
    for core in result.architecture.core_names:
        rows = result.architecture.design_of(core).row_bits
        for event in VOCABULARY:
            memory = memory_of.get(event.unit)
            if event.name == "payload_read_bits":
                found[core, event.name] = 1 / 8
            elif memory and not event.name.endswith(_PART_OF_A_ROW):
                found[core, event.name] = rows.get(memory, 0) / 8
    return found


def density_rows(result: Result) -> pd.DataFrame:
    """sample, density, pj_per_operation (core scope): one row per replayed sample.

    density   neurons that send, of those that a pass compared with a threshold or requantised: spikes per neuron and timestep.
              Samples without a synaptic operation have no energy per operation and are left out.
    """
    import pandas as pd

    counts = result.layer_counts.sum(axis=(1, 2))
    judged = counts[:, [INDEX[event] for event in JUDGED]].sum(axis=1)
    operations = counts[:, INDEX["acc_add"]]
    kept = (operations > 0) & (judged > 0)
    density = counts[kept, INDEX["spike_out"]] / judged[kept]
    return pd.DataFrame({"sample": np.asarray(result.facts.sample_indices)[kept], "density": density,
                         "pj_per_operation": result.sample_energy_pj["core"][kept] / operations[kept]})
