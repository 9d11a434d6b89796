"""Results on disk: a folder of CSV files and one result.json, written whole or not at all, loaded back exactly.

Primary: result.json (facts, architecture, overrides), samples.csv, operations.csv, spans.csv, counts.csv,
counts_by_sample.csv. Derived, for people and plots, with numbers per sample: activity.csv, cycles.csv, energy.csv,
area.csv. Loading reads the primary files only and makes the rest again, so a loaded result can be repriced.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsim.activity import EVENTS, INDEX
from hwsim.arch import dump_architecture, rebuild_architecture
from hwsim.cost.overrides import plain_overrides
from hwsim.files import whole_folder
from hwsim.result import Facts, Result, ResultError
from hwsim.task import Task

if TYPE_CHECKING:
    import pandas as pd

RESULT = "result.json"
"""The file by which a saved result is known."""

FORMAT = "hwsim-result-2"
"""2: counts of setup once, memories that are used, `leak_unused`. 1 had counts of setup once per sample."""


def save_result(result: Result, folder: str | Path) -> Path:
    """Write `result` into `folder` (made, or replaced if it holds an earlier result). Raises ResultError.

    The files appear all at once: they are written beside the folder and moved.
    """
    target = check_target(folder)
    with writing(target), whole_folder(target) as made:
        _fill(result, made)
    return target


@contextmanager
def writing(target: str | Path) -> Iterator[None]:
    """Turns what a disk says, which may name no file, into a ResultError that names `target`."""
    try:
        yield
    except OSError as error:
        raise ResultError(f"{target}: cannot be written ({error.strerror or error}); make room, or name another folder") from None


def _fill(result: Result, folder: Path) -> None:
    hashes = {}
    for name, frame in _frames(result).items():
        frame.to_csv(folder / f"{name}.csv", index=False)
        hashes[f"{name}.csv"] = sha256((folder / f"{name}.csv").read_bytes()).hexdigest()
    body = {
        "format": FORMAT, "sha256": hashes, "task": result.task.to_json(), "facts": asdict(result.facts),
        "architecture": dump_architecture(result.architecture),
        "overrides": dict(result.overrides), "leak_unused": result.leak_unused, "summary": result.summary(),
    }
    (folder / RESULT).write_text(json.dumps(body, indent=2) + "\n")


def check_target(folder: str | Path, mark: str = RESULT, what: str = "a saved result") -> Path:
    """The folder, if `what`, known by its file `mark`, may be written there: it is new, empty, or holds an earlier one.

    Raises ResultError.
    """
    target = Path(folder)
    if target.exists() and not (target / mark).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise ResultError(f"{target}: exists and is not {what}; name an empty or new folder")
    above = next(p for p in (target, *target.absolute().parents) if p.exists())
    if not os.access(above, os.W_OK):
        raise ResultError(f"{above}: not writable; name a folder where {what} may be written")
    return target


def _frames(result: Result) -> dict[str, pd.DataFrame]:
    import pandas as pd

    samples = np.asarray(result.facts.sample_indices)
    s, op = (x.ravel() for x in np.indices(result.spans.shape[:2]))
    o, t, e = np.nonzero(result.operation_counts)
    n, core, layer, event = np.nonzero(result.layer_counts)
    names = np.array(EVENTS, dtype=object)
    return {
        "samples": pd.DataFrame({"sample": samples, "cycles": result.cycles}),
        "operations": result.operations,
        "spans": pd.DataFrame({"sample": samples[s], "operation": op, "start_cycle": result.spans[:, :, 0].ravel(),
                               "end_cycle": result.spans[:, :, 1].ravel()}),
        "counts": pd.DataFrame({"operation": o, "timestep": t, "event": names[e],
                                "total_count": result.operation_counts[o, t, e]}),
        "counts_by_sample": pd.DataFrame({"sample": samples[n], "core": core, "layer": layer, "event": names[event],
                                          "count": result.layer_counts[n, core, layer, event]}),
        "activity": result.activity, "cycles": result.cycles_frame, "energy": result.energy, "area": result.area,
    }


def load_result(folder: str | Path) -> Result:
    """The result saved in `folder`. Raises ResultError naming the file, what was found and what was expected."""
    import pandas as pd

    root = Path(folder)
    body = _body(root)

    def read(name: str, *columns: str) -> pd.DataFrame:
        path = root / f"{name}.csv"
        try:
            content = path.read_bytes()
            # A cut or edited file would give plausible, wrong numbers.
            if sha256(content).hexdigest() != body["sha256"][path.name]:
                raise ResultError(f"{path}: it is not what was saved (its SHA-256 differs from the one in result.json); "
                                  "copy the folder again or repeat the run")
            frame = pd.read_csv(io.BytesIO(content), keep_default_na=False)
        except (OSError, KeyError, TypeError) as error:
            raise ResultError(f"{path}: cannot be read ({error}); save the result again") from None
        missing = [c for c in columns if c not in frame.columns]
        if missing:
            raise ResultError(f"{path}: columns {missing} missing, found {list(frame.columns)}")
        return frame

    try:
        facts = Facts(**body["facts"])
        arch = rebuild_architecture(body["architecture"])
        operations = read("operations", "op", "resource", "core", "layer", "setup")
        position = {sample: i for i, sample in enumerate(facts.sample_indices)}
        samples = read("samples", "sample", "cycles")
        spans = read("spans", "start_cycle", "end_cycle")[["start_cycle", "end_cycle"]].to_numpy(np.int64)
        counts = read("counts", "operation", "timestep", "event", "total_count")
        by_sample = read("counts_by_sample", "sample", "core", "layer", "event", "count")
        steps = int(counts["timestep"].max()) + 1 if len(counts) else 1
        operation_counts = np.zeros((len(operations), steps, len(EVENTS)), np.int64)
        operation_counts[counts["operation"], counts["timestep"], counts["event"].map(INDEX)] = counts["total_count"]
        layer_counts = np.zeros((facts.samples, len(arch.core_names), len(facts.layers) + 1, len(EVENTS)), np.int64)
        layer_counts[by_sample["sample"].map(position), by_sample["core"], by_sample["layer"],
                     by_sample["event"].map(INDEX)] = by_sample["count"]
        return Result(
            task=Task.from_json(body["task"]), facts=facts, architecture=arch,
            cycles=samples["cycles"].to_numpy(np.int64), layer_counts=layer_counts,
            operation_counts=operation_counts, operations=operations,
            spans=spans.reshape(facts.samples, len(operations), 2), overrides=_overrides(root, body["overrides"]),
            leak_unused=body["leak_unused"],
        )
    except ResultError:
        raise
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ResultError(f"{root}: the saved result does not fit together ({error}); save it again") from None


def _overrides(root: Path, found: Any) -> dict[str, Any]:
    """The overrides of a saved result: a mapping, never the path of one. Raises ResultError."""
    if not isinstance(found, dict):
        raise ResultError(f"{root / RESULT}: overrides: found {found!r}, expected a mapping of event to pJ; save it again")
    return plain_overrides(found)


def _body(root: Path) -> dict[str, Any]:
    path = root / RESULT
    try:
        body = json.loads(path.read_text())
    except OSError:
        raise ResultError(f"{root}: no result.json there; give a folder that `hwsim run --out` wrote") from None
    except ValueError as error:
        raise ResultError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        found = body.get("format") if isinstance(body, dict) else type(body).__name__
        raise ResultError(f"{path}: format is {found!r}, expected {FORMAT!r}; repeat the run with this version of hwsim")
    return body
