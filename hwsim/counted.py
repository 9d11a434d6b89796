"""What a simulation counted: integer cycles and activity of every sample, and tidy frames of them. No price is known here.

Frames are per sample, the mean over the samples; `total` in a name is the sum over the samples. Setup, which happens once however
many samples follow, stands apart.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.activity import EVENTS, INDEX, UNIT_OF, VOCABULARY
from hwsim.arch import Architecture
from hwsim.errors import HwsimError
from hwsim.program import CHANNEL, event_pipe
from hwsim.task import Task

if TYPE_CHECKING:
    import pandas as pd

_NO_ROW = ("_banks", "_bits", "_transfer")
"""Ends of events that access a part of a row, or belong to transfers, which use ports for free."""
SLOTS = {"fire": "fire_slots", "clear": "clear_slots", "move": "move_slots"}
"""Causes of busy cycles that no event decides, and the columns of `operations` that hold them, per sample."""
ACCUMULATE, BUSY = "accumulate", "busy"
WORKING = (ACCUMULATE, *SLOTS, BUSY)
"""Causes of cycles in which something issues; `busy` where it is not known what."""
WAIT = "wait"
"""The cause of cycles in which a resource has nothing to do."""


class ResultError(HwsimError):
    """A saved result that cannot be loaded; the text names the file and what is wrong."""


@dataclass(frozen=True)
class Facts:
    """What identifies a run and what was checked, JSON-ready.

    mismatches, saturations   counted over all samples; None where nothing was compared, and where no sums were made.
    judged                    samples that accuracy is the share of.
    payload_bits, value_bits  by layer, bits of a multiplication's event operand, and of a value in the buffer; 0: none.
    is_ann                    the trace holds multi-bit activations of a quantised ANN, no spikes.
    setup_cycles              once, before the first sample.
    total_cycles_free_links   all samples together if links cost nothing (docs/schedules.md); None: there are none.
    memories_used             those that the network needs on this design (hwsim/cores/provision.py); the others are off.
    """

    trace: str
    trace_hash: str
    coding: str
    timesteps: int
    is_ann: bool
    arch: str
    schedule: str
    engine: str
    spikes: str
    samples: int
    sample_indices: list[int]
    layers: list[str]
    payload_bits: dict[str, int]
    value_bits: dict[str, int]
    mismatches: int | None
    mismatches_by_layer: dict[str, int]
    saturations: int | None
    accuracy: float | None
    judged: int
    accuracy_test_set: float | None
    setup_cycles: int
    memories_used: list[str]
    total_cycles_free_links: int | None = None


@dataclass(eq=False)
class Counted:
    """What was counted of one trace on one architecture.

    task              what was run: all that decides cycles and counts.
    facts             names, hashes, checks.
    architecture      the design, whole, so that a saved result can be repriced.
    cycles            (samples,) int64, end to end for each sample; setup is apart in facts.setup_cycles.
    layer_counts      (samples, cores, layers + 1, len(EVENTS)) int64; the last row is the input and its transfers.
    operation_counts  (operations, timesteps, len(EVENTS)) int64: of setup operations once, of all others summed over
                      the samples.
    operations        frame: op, kind, resource, core, layer, tile, memory, first_timestep, last_timestep, bits (the mean over the
                      samples where they depend on them), setup; and with a network of links, links.
    spans             (samples, operations, 2) int64 start and end cycles.
    """

    task: Task
    facts: Facts
    architecture: Architecture
    cycles: NDArray[np.int64]
    layer_counts: NDArray[np.int64]
    operation_counts: NDArray[np.int64]
    operations: pd.DataFrame
    spans: NDArray[np.int64]

    @property
    def total_cycles(self) -> int:
        return int(self.cycles.sum())

    @property
    def rows_per_cycle(self) -> float:
        """The most rows that any memory of a core gives, or takes, per elapsed cycle, in the mean, but those that transfers move.

        Above 1 a memory would need a second port, or a wider row: a core whose cycles do not wait for memories (a systolic array)
        can ask for that.
        """
        counts = self.layer_counts.sum(axis=(0, 2))
        ports = [[INDEX[e.name] for e in VOCABULARY if e.unit == unit and way in e.name and not e.name.endswith(_NO_ROW)]
                 for unit in UNIT_OF.values() for way in ("_read", "_write")]
        return max(float(counts[:, events].sum(axis=1).max()) for events in ports) / max(1, self.total_cycles)

    @cached_property
    def activity(self) -> pd.DataFrame:
        """Counts: core, layer, timestep, unit, event, count (per sample), total_count. Setup is not in it."""
        keep = ~self.operations["setup"].to_numpy(bool)
        frame = self._frame(self.operation_counts[keep], self.operations[keep]).rename(columns={"count": "total_count"})
        frame.insert(5, "count", frame["total_count"] / self.facts.samples)
        return frame

    @cached_property
    def setup_activity(self) -> pd.DataFrame:
        """Counts of what is done once, before the first sample: core, layer, timestep, unit, event, count."""
        return self.setup_of(None)[0]

    def setup_of(self, memories: Collection[str] | None) -> tuple[pd.DataFrame, int]:
        """The part of setup that loads these memories (None: all of it): its counts as in `setup_activity`, and its cycles."""
        chosen = self.loads(memories)
        return self._frame(self.operation_counts[chosen], self.operations[chosen]), self.load_cycles(memories)

    def load_cycles(self, memories: Collection[str] | None) -> int:
        """Cycles of the channel in the part of setup that loads these memories; None: all of it."""
        channel = self.architecture.channel_spec()
        return sum(channel.cycles(int(bits)) for bits in self.operations["bits"].to_numpy()[self.loads(memories)])

    def loads(self, memories: Collection[str] | None) -> NDArray[np.bool_]:
        """(operations,) those of setup that load these memories; None: all of setup."""
        setup = self.operations["setup"].to_numpy(bool)
        return setup if memories is None else setup & self.operations["memory"].isin(memories).to_numpy(bool)

    @cached_property
    def activity_by_sample(self) -> pd.DataFrame:
        """Counts of each sample: sample, core, layer, unit, event, count."""
        import pandas as pd

        s, core, layer, event = np.nonzero(self.layer_counts)
        return pd.DataFrame({
            "sample": np.asarray(self.facts.sample_indices)[s],
            **self._named(core, layer, event), "count": self.layer_counts[s, core, layer, event],
        })

    def counts_of(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Counts of the chosen operations, over all timesteps: (cores, layers + 1, events), the input last."""
        return self._placed(self.operation_counts[chosen].sum(axis=1), self.operations[chosen])

    def _placed(self, counts: NDArray[np.int64], operations: pd.DataFrame) -> NDArray[np.int64]:
        """Counts (operations, ...) added up by core and layer."""
        names = self.architecture.core_names
        at = {"": 0, **{name: i for i, name in enumerate(names)}}  # a wait has no core, and counts nothing
        cores = np.array([at[name] for name in operations["core"].tolist()], np.int64)
        where = np.zeros((len(names), len(self.facts.layers) + 1, *counts.shape[1:]), np.int64)
        np.add.at(where, (cores, operations["layer"].to_numpy()), counts)  # the input is layer -1, the last row
        return where

    def _named(
        self, core: NDArray[np.intp], layer: NDArray[np.intp], event: NDArray[np.intp], **between: NDArray[np.intp]
    ) -> dict[str, NDArray[Any]]:
        """Columns core, layer, those in `between`, unit, event for positions of each."""
        cores, layers = (np.array(n, dtype=object) for n in (self.architecture.core_names, [*self.facts.layers, "input"]))
        units, events = (np.array(n, dtype=object) for n in ([e.unit for e in VOCABULARY], EVENTS))
        return {"core": cores[core], "layer": layers[layer], **between, "unit": units[event], "event": events[event]}

    def _frame(self, counts: NDArray[np.int64], operations: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        where = self._placed(counts, operations)
        core, layer, step, event = np.nonzero(where)
        return pd.DataFrame({**self._named(core, layer, event, timestep=step), "count": where[core, layer, step, event]})

    @cached_property
    def cycles_frame(self) -> pd.DataFrame:
        """Cycles by resource and layer: resource, layer, cause, cycles (per sample), total_cycles.

        Resources are cores, the channel, and the events of cores that have a pipe for them (R27); such a core's own rows are of
        its passes.

        A core works, stalls (`stall_hazard`, `stall_port`, `stall_serialiser`), idles within its runs (`idle`: the scanner has
        found no event yet, or the pipeline drains), or has nothing to run (`wait`): it waits for the channel or for other cores.
        An event core's work is told apart: `accumulate` (events and end marks), `fire` (passes), `clear`, and `move` (words
        between memory and accumulators); that of others, and the channel's, is `busy`. The causes of each resource add up to
        the elapsed cycles, and none is negative.
        """
        import pandas as pd

        rows: list[tuple[str, str, str, int]] = []
        for name in self.pipes():
            mine = [row for i in range(len(self.facts.layers)) for row in self._core_cycles(name, i)]
            spent = sum(row[3] for row in mine)
            rows += [*mine, (name, "", WAIT, self.total_cycles - spent)]
        rows += self._channel_cycles()
        columns = ["resource", "layer", "cause", "total_cycles"]
        frame = pd.DataFrame(rows, columns=columns)
        frame.insert(3, "cycles", frame["total_cycles"] / self.facts.samples)
        return frame

    def pipes(self) -> dict[str, str]:
        """The core of each resource that runs: the core itself, and its events where they have a pipe of their own (R27)."""
        there = set(self.operations["resource"])
        return {pipe: name for name in self.architecture.core_names for pipe in (name, event_pipe(name))
                if pipe == name or pipe in there}

    def _core_cycles(self, core: str, layer: int) -> list[tuple[str, str, str, int]]:
        """What a core does in its runs of a layer, all samples."""
        operations = self.operations
        chosen = ((operations["resource"] == core) & (operations["layer"] == layer)).to_numpy()
        spent = int((self.spans[:, chosen, 1] - self.spans[:, chosen, 0]).sum())
        counts = self.operation_counts[chosen].sum(axis=(0, 1))
        parts = {k: int(counts[INDEX[f"cycles_{k}"]]) for k in ("busy", "stall_hazard", "stall_serialiser")}
        # A slot that issues while EXEC waits is counted in both; it is a busy cycle.
        parts["stall_serialiser"] -= int(counts[INDEX["cycles_overlapped"]])
        if ports := int(counts[INDEX["cycles_stall_port"]]):
            parts["stall_port"] = ports
        parts["idle"] = spent - sum(parts.values())
        if set(SLOTS.values()) <= set(operations.columns):
            fixed = {cause: int(operations.loc[chosen, column].sum()) * self.facts.samples for cause, column in SLOTS.items()}
            parts = {ACCUMULATE: parts.pop(BUSY) - sum(fixed.values()), **fixed, **parts}
        return [(core, self.facts.layers[layer], cause, n) for cause, n in parts.items()]

    def _channel_cycles(self) -> list[tuple[str, str, str, int]]:
        operations = self.operations
        rows = []
        for layer, name in [(-1, "input"), *enumerate(self.facts.layers)]:
            chosen = ((operations["resource"] == CHANNEL) & (operations["layer"] == layer) & ~operations["setup"]).to_numpy(bool)
            spent = int((self.spans[:, chosen, 1] - self.spans[:, chosen, 0]).sum())
            rows.append((CHANNEL, name, "busy", spent))
        return [*rows, (CHANNEL, "", WAIT, self.total_cycles - sum(row[3] for row in rows))]

    @cached_property
    def busy_frame(self) -> pd.DataFrame:
        """How long each core, the channel and each link that is used works: resource, cycles (per sample), share of latency."""
        import pandas as pd

        kept = ~self.operations["setup"].to_numpy(bool)
        spent = (self.spans[:, :, 1] - self.spans[:, :, 0]).sum(axis=0)
        busy = dict.fromkeys([*self.pipes(), CHANNEL], 0)
        for name, cycles in zip(self.operations.loc[kept, "resource"], spent[kept].tolist(), strict=True):
            if name:
                busy[name] += cycles
        if "links" in self.operations:
            for names, cycles in zip(self.operations.loc[kept, "links"], spent[kept].tolist(), strict=True):
                for name in names.split():
                    busy[name] = busy.get(name, 0) + cycles
        frame = pd.DataFrame({"resource": list(busy), "cycles": [cycles / self.facts.samples for cycles in busy.values()]})
        return frame.assign(share=frame["cycles"] / max(1.0, self.total_cycles / self.facts.samples))

    @cached_property
    def timeline(self) -> pd.DataFrame:
        """Every operation of every sample with its start and end cycle (within its sample)."""
        import pandas as pd

        samples, count = self.spans.shape[:2]
        frame = pd.concat([self.operations] * samples, ignore_index=True)
        frame.insert(0, "sample", np.repeat(self.facts.sample_indices, count))
        names = np.array([*self.facts.layers, "input"], dtype=object)
        frame["layer"] = names[frame["layer"].to_numpy()]
        frame["start_cycle"] = self.spans[:, :, 0].reshape(-1)
        frame["end_cycle"] = self.spans[:, :, 1].reshape(-1)
        return frame[~frame["setup"]].reset_index(drop=True)


def joined(parts: Sequence[Counted], task: Task) -> dict[str, Any]:
    """What was counted in parts that ran different samples of one simulation, together, by field; `task` is that of all."""
    first, facts = parts[0], [part.facts for part in parts]
    judged = sum(f.judged for f in facts)
    right = sum(round((f.accuracy or 0.0) * f.judged / 100) for f in facts)
    setup = first.operations["setup"].to_numpy(bool)
    samples = np.array([f.samples for f in facts])
    # Each is a mean of whole numbers, and their sum is exact: as in one run, only the last division rounds.
    each = [np.rint(part.operations["bits"].to_numpy(np.float64) * n) for part, n in zip(parts, samples, strict=True)]
    bits = np.sum(each, axis=0) / samples.sum()
    by_sample = {} if (bits == first.operations["bits"]).all() else {"operations": first.operations.assign(bits=bits)}
    return {
        "cycles": np.concatenate([part.cycles for part in parts]),
        "layer_counts": np.concatenate([part.layer_counts for part in parts]),
        "operation_counts": np.where(setup[:, None, None], first.operation_counts, sum(p.operation_counts for p in parts)),
        "spans": np.concatenate([part.spans for part in parts]),
        **by_sample,
        "facts": replace(
            first.facts, samples=len(task.samples), sample_indices=list(task.samples), judged=judged,
            accuracy=100.0 * right / judged if judged else None, saturations=_sum_if_known([f.saturations for f in facts]),
            mismatches=_sum_if_known([f.mismatches for f in facts]),
            total_cycles_free_links=_sum_if_known([f.total_cycles_free_links for f in facts]),
            mismatches_by_layer={name: sum(f.mismatches_by_layer[name] for f in facts)
                                 for name in first.facts.mismatches_by_layer}),
    }


def _sum_if_known(counts: Sequence[int | None]) -> int | None:
    """The sum; None where one of the counts is not known."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
