"""Saved results read back: the primary files of a folder (hwsim/result_file.py) as the Result that was saved, exactly."""

from __future__ import annotations

import io
import json
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsim.activity import EVENTS, INDEX
from hwsim.arch import rebuild_architecture
from hwsim.cost.overrides import plain_overrides
from hwsim.cost.rate import DEFAULT_RATE_HZ, check_rate
from hwsim.counted import Facts, ResultError
from hwsim.result import Result
from hwsim.result_file import FORMAT, RESULT
from hwsim.task import Task

if TYPE_CHECKING:
    import pandas as pd


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
            leak_unused=body["leak_unused"], rate_hz=check_rate(body.get("rate_hz", DEFAULT_RATE_HZ)),
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
