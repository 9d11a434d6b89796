"""Results on disk: a folder of CSV files and one result.json, written whole or not at all; result_reader.py loads it back.

Primary: result.json (facts, architecture, overrides), samples.csv, operations.csv, spans.csv, counts.csv,
counts_by_sample.csv. Derived, for people and plots, with numbers per sample: activity.csv, cycles.csv, energy.csv
(the hardware), arithmetic.csv (the papers' account of it), area.csv, and figures. Loading makes what is derived again, so a
loaded result can be repriced. result.json has the SHA-256 of every CSV file, and its own as `seal`: whatever was changed since is
noticed. `made_with` names the versions that made the result and the command, where a command made it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsim.activity import EVENTS
from hwsim.arch import dump_architecture
from hwsim.counted import Counted, ResultError
from hwsim.errors import shown
from hwsim.files import open_regular, whole_folder
from hwsim.versions import versions

if TYPE_CHECKING:
    import pandas as pd

RESULT = "result.json"
"""The file by which a saved result is known."""

FORMAT = "hwsim-result-3"
"""3: sealed. 2: counts of setup once, memories that are used, `leak_unused`. 1 had counts of setup once per sample."""

MADE_WITH = "made_with"
"""Field of result.json that decides no number: versions, and the command. Results that were saved before it was have none."""

FIGURES = {"accuracy.png", "energy.png", "latency.png"}
OF_A_RESULT = FIGURES | {RESULT} | {f"{name}.csv" for name in (
    "samples", "operations", "spans", "counts", "counts_by_sample", "activity", "cycles", "energy", "arithmetic", "area")}
"""All files of a saved result. A folder that holds others is not replaced."""
SHARDS = "shards"
"""In the folder of a run that was stopped: what it has so far (hwsim/shards.py)."""
SHARD = 64
"""Samples of a shard: what a kill costs at most, for each process."""


def save_result(
    counted: Counted, priced: Mapping[str, pd.DataFrame], said: Mapping[str, Any], folder: str | Path,
    draw: Callable[[Path], object] | None = None, command: Sequence[str] | None = None,
) -> Path:
    """Write what was counted, and what prices made of it, into `folder` (made, or replaced if it holds an earlier result).

    priced   frames by name, saved for people.     said   what else result.json holds, JSON-ready.
    draw     writes FIGURES into the folder that it is given.
    command  the words of the command line that made the result, if one did.
    The files appear all at once. Raises ResultError.
    """
    target = check_target(folder)
    with writing(target), whole_folder(target) as made:
        hashes = {}
        for name, frame in (_frames(counted) | dict(priced)).items():
            frame.to_csv(made / f"{name}.csv", index=False)
            hashes[f"{name}.csv"] = sha256((made / f"{name}.csv").read_bytes()).hexdigest()
        body = {"format": FORMAT, "sha256": hashes, "task": counted.task.to_json(), "facts": asdict(counted.facts),
                "architecture": dump_architecture(counted.architecture), **said,
                MADE_WITH: {"versions": versions(), "command": None if command is None else list(command)}}
        (made / RESULT).write_text(json.dumps({**body, "seal": seal(body)}, indent=2) + "\n")
        if draw is not None:
            draw(made)
    return target


def seal(body: Mapping[str, Any]) -> str:
    """SHA-256 of what result.json says, however it is laid out."""
    said = {name: value for name, value in body.items() if name != "seal"}
    return sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@contextmanager
def writing(target: str | Path) -> Iterator[None]:
    """Turns what a disk says, which may name no file, into a ResultError that names `target`."""
    try:
        yield
    except OSError as error:
        raise ResultError(f"{target}: cannot be written ({error.strerror or error}); make room, or name another folder") from None


def check_target(
    folder: str | Path, mark: str = RESULT, what: str = "a saved result", files: Set[str] = frozenset(OF_A_RESULT)
) -> Path:
    """The folder, if `what`, known by its file `mark`, may be written there: it is new, empty, or holds an earlier one.

    files   all that `what` consists of; with anything else in the folder it is not replaced.
    Raises ResultError.
    """
    target = Path(folder)
    found = {path.name for path in target.iterdir()} if target.is_dir() else set[str]()
    if mark == RESULT:  # a run that was stopped may have left its shards there
        found -= {SHARDS}
    if target.exists() and not (target / mark).is_file() and (not target.is_dir() or found):
        raise ResultError(f"{target}: exists and is not {what}; name an empty or new folder")
    if foreign := sorted(found - files):
        raise ResultError(f"{target}: holds {shown(foreign[0], 80, str)}, which is no part of {what} and would be lost; move it, "
                          "or name another folder")
    above = next(p for p in (target, *target.absolute().parents) if p.exists())
    if not os.access(above, os.W_OK):
        raise ResultError(f"{above}: not writable; name a folder where {what} may be written")
    return target


def saved_run(folder: str | Path) -> tuple[str, str] | None:
    """The run_id of the result in `folder`, and what it is in words; None where there is none. Nothing is checked."""
    try:
        with open_regular(Path(folder) / RESULT) as file:
            said = json.load(file)["summary"]
        return said["run_id"], f"run {said['run_id']}, {said['trace']} on {said['arch']}, {said['schedule']}"
    except OSError:
        return None
    except (ValueError, KeyError, TypeError):
        return "", "a result that cannot be read"


def _frames(counted: Counted) -> dict[str, pd.DataFrame]:
    import pandas as pd

    samples = np.asarray(counted.facts.sample_indices)
    s, op = (x.ravel() for x in np.indices(counted.spans.shape[:2]))
    o, t, e = np.nonzero(counted.operation_counts)
    n, core, layer, event = np.nonzero(counted.layer_counts)
    names = np.array(EVENTS, dtype=object)
    return {
        "samples": pd.DataFrame({"sample": samples, "cycles": counted.cycles}),
        "operations": counted.operations,
        "spans": pd.DataFrame({"sample": samples[s], "operation": op, "start_cycle": counted.spans[:, :, 0].ravel(),
                               "end_cycle": counted.spans[:, :, 1].ravel()}),
        "counts": pd.DataFrame({"operation": o, "timestep": t, "event": names[e],
                                "total_count": counted.operation_counts[o, t, e]}),
        "counts_by_sample": pd.DataFrame({"sample": samples[n], "core": core, "layer": layer, "event": names[event],
                                          "count": counted.layer_counts[n, core, layer, event]}),
        "activity": counted.activity, "cycles": counted.cycles_frame,
    }
