"""A Task: all that decides the cycles and counts of a run, hashed before anything runs.

A result carries its Task, a study files its rows under it, and shards of one Task's samples can be merged again. Prices, names
and the clock are not in it: they change no cycle. Identity is the SHA-256 of its canonical JSON.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Any

from hwsim.errors import HwsimError

MODEL_VERSION = "3"
"""Moves with every change that moves a cycle or a count; CHANGELOG.md, "Model changes"."""


class TaskError(HwsimError):
    """Tasks that do not belong together; the text says what differs."""


@dataclass(frozen=True)
class Task:
    """What is run.

    trace_hash   content hash of the trace.            samples   indices, in the order in which they are run.
    timing       every field of the chip that decides cycles or counts (Architecture.timing).
    placement    by layer the names of its cores, where the chip has a network of links; else `spread`: every layer's channels
                 are spread over all cores.
    spikes       trace or computed.                    check     whether arithmetic is done, so that spikes are compared.
    engine       what runs it.                         model_version   of the cycle model.
    """

    trace_hash: str
    samples: tuple[int, ...]
    timing: Mapping[str, Any]
    schedule: str
    spikes: str
    engine: str
    placement: str | Mapping[str, Sequence[str]] = "spread"
    check: bool = True
    model_version: str = MODEL_VERSION

    @cached_property
    def hash(self) -> str:
        """64 hexadecimal digits; equal Tasks, and they alone, have equal hashes."""
        return _digest(asdict(self))

    @cached_property
    def simulation_hash(self) -> str:
        """The hash without the samples: shards of one simulation share it."""
        return _digest({name: value for name, value in asdict(self).items() if name != "samples"})

    def shard(self, samples: Iterable[int]) -> Task:
        """The same Task on other samples."""
        return replace(self, samples=tuple(samples))

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        return {**asdict(self), "samples": list(self.samples)}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Task:
        """Raises TaskError for a body that is none."""
        try:
            return cls(**{**body, "samples": tuple(body["samples"])})
        except (KeyError, TypeError) as error:
            raise TaskError(f"not a Task: {error}") from None


def _digest(body: Mapping[str, Any]) -> str:
    return sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def merged(tasks: Iterable[Task]) -> Task:
    """The Task of all samples of several shards. Raises TaskError for shards of different simulations, or that share samples."""
    every = list(tasks)
    if not every:
        raise TaskError("there is nothing to merge")
    first = every[0]
    for task in every[1:]:
        if task.simulation_hash != first.simulation_hash:
            ours, theirs = asdict(first), asdict(task)
            differ = [name for name in ours if name != "samples" and ours[name] != theirs[name]]
            raise TaskError(f"results of different simulations cannot be merged; they differ in {', '.join(differ)}")
    samples = [sample for task in every for sample in task.samples]
    if twice := sorted(sample for sample, times in Counter(samples).items() if times > 1):
        raise TaskError(f"samples {twice[:8]} are in more than one of the results; merge results of different samples")
    return first.shard(samples)
