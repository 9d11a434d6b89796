"""Saved results read back: the primary files of a folder (hwsim/result_file.py) as the Result that was saved, exactly.

Everything is checked before it is used: the seal of result.json, the SHA-256 of every file that it lists, the type and range of
every value, and that they fit together.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from hwsim.activity import EVENTS, INDEX
from hwsim.arch import Architecture, rebuild_architecture
from hwsim.cost.overrides import plain_overrides
from hwsim.cost.rate import check_rate
from hwsim.counted import SLOTS, Facts, ResultError
from hwsim.errors import HwsimError, shown
from hwsim.files import open_regular
from hwsim.program import CHANNEL, event_pipe
from hwsim.result import Result
from hwsim.result_file import FORMAT, MADE_WITH, RESULT, seal
from hwsim.task import Task

if TYPE_CHECKING:
    import pandas as pd

MAX_ARRAY_BYTES = 1 << 30
"""Of the counts of a result, which are few numbers on disk and dense in memory."""
MAX_TIMESTEPS = 1 << 20
REPLACED_AT_MOST = 5
"""Times that a folder is read again because it was replaced while it was read."""
MOST = (1 << 62) - 1
FIELDS = {"format", "sha256", "task", "facts", "architecture", "overrides", "leak_unused", "rate_hz", "summary", "seal"}


def load_result(folder: str | Path) -> Result:
    """The result saved in `folder`. Raises ResultError naming the file, what was found and what was expected."""
    root = Path(folder)
    for _ in range(REPLACED_AT_MOST):
        before = _which(root)
        try:
            return _load(root)
        except ResultError:
            if _which(root) == before:
                raise
    return _load(root)


@dataclass(frozen=True)
class MadeWith:
    """What made a saved result: versions by name (None: was not installed), and the command, where one did."""

    versions: dict[str, str | None]
    command: list[str] | None


def made_with(folder: str | Path) -> MadeWith | None:
    """What made the result saved in `folder`; None where it was saved before that was kept. Raises ResultError."""
    root = Path(folder)
    return _made_with(root, _body(root))


def _made_with(root: Path, body: dict[str, Any]) -> MadeWith | None:
    return _typed(root, MadeWith, body[MADE_WITH], MADE_WITH) if MADE_WITH in body else None


def _which(root: Path) -> tuple[int, int, int] | None:
    """Which folder has the name: another one once it was replaced, by whoever runs the same thing now.

    The number of a removed folder is given to the next one, so its time belongs to it.
    """
    try:
        found = root.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _load(root: Path) -> Result:
    body = _body(root)
    files = _files(root, body["sha256"])
    try:
        facts, task = _typed(root, Facts, body["facts"], "facts"), _typed(root, Task, body["task"], "task")
        arch = rebuild_architecture(_mapping(root, body["architecture"], "architecture"))
        overrides = plain_overrides(_mapping(root, body["overrides"], "overrides"))
        rate_hz = check_rate(body["rate_hz"])
        _made_with(root, body)
    except ResultError:
        raise
    except HwsimError as error:
        raise ResultError(f"{root / RESULT}: {error}; save the result again") from None
    if not isinstance(body["leak_unused"], bool):
        raise ResultError(f"{root / RESULT}: leak_unused: found {shown(body['leak_unused'])}, expected a boolean; save it again")
    _check_facts(root, facts, task, arch)
    return _Tables(root, files, facts, arch).result(task, overrides, body["leak_unused"], rate_hz)


class _Tables:
    """The CSV files of a result, and the arrays that they hold."""

    def __init__(self, root: Path, files: dict[str, bytes], facts: Facts, arch: Architecture) -> None:
        self.root, self.files, self.facts, self.arch = root, files, facts, arch

    def result(self, task: Task, overrides: dict[str, Any], leak_unused: bool, rate_hz: float) -> Result:
        facts, cores, layers = self.facts, self.arch.core_names, len(self.facts.layers)
        operations = self.operations()
        samples = self.read("samples", sample=(0, MOST), cycles=(0, MOST))
        self.expect("samples", samples["sample"].tolist() == facts.sample_indices, "other samples than those of facts")
        at = (0, len(operations) - 1)
        spans = self.read("spans", sample=(0, MOST), operation=at, start_cycle=(0, MOST), end_cycle=(0, MOST))
        s, op = (x.ravel() for x in np.indices((facts.samples, len(operations))))
        ordered = len(spans) == len(s) and bool((spans["operation"] == op).all()) and bool(
            (spans["sample"] == np.asarray(facts.sample_indices)[s]).all())
        self.expect("spans", ordered, f"other rows than {len(s)}, one per sample and operation, in order")
        self.expect("spans", bool((spans["start_cycle"] <= spans["end_cycle"]).all()), "an operation that ends before it starts")
        steps = int(operations[["first_timestep", "last_timestep"]].to_numpy().max(initial=0)) + 1
        counts = self.read("counts", operation=at, timestep=(0, steps - 1), total_count=(0, MOST))
        rows = counts["operation"], counts["timestep"], self.events("counts", counts)
        operation_counts = self.dense("counts", (len(operations), steps, len(EVENTS)), rows, counts["total_count"])
        by = self.read("counts_by_sample", sample=(0, MOST), core=(0, len(cores) - 1), layer=(0, layers), count=(0, MOST))
        position = by["sample"].map({sample: i for i, sample in enumerate(facts.sample_indices)})
        self.expect("counts_by_sample", not position.isna().any(), "a sample that facts does not have")
        places = position.astype(np.int64), by["core"], by["layer"], self.events("counts_by_sample", by)
        shape = (facts.samples, len(cores), layers + 1, len(EVENTS))
        return Result(
            task=task, facts=facts, architecture=self.arch, cycles=samples["cycles"].to_numpy(np.int64),
            layer_counts=self.dense("counts_by_sample", shape, places, by["count"]),
            operation_counts=operation_counts, operations=operations,
            spans=spans[["start_cycle", "end_cycle"]].to_numpy(np.int64).reshape(facts.samples, len(operations), 2),
            overrides=overrides, leak_unused=leak_unused, rate_hz=rate_hz,
        )

    def operations(self) -> pd.DataFrame:
        layers = len(self.facts.layers)
        steps = (0, MAX_TIMESTEPS - 1)
        found = self.read("operations", op=(0, MOST), layer=(-1, layers - 1), tile=(0, MOST), first_timestep=steps,
                          last_timestep=steps)
        self.expect("operations", {"resource", "core", "setup", "kind", "memory", "bits"} <= set(found.columns),
                    "a column that is missing")
        bits = found["bits"]  # the mean over the samples: not always whole
        self.expect("operations", bits.dtype in (np.int64, np.float64) and bool(bits.between(0, MOST).all()),
                    "a column bits that is not all numbers from 0")
        self.expect("operations", found["op"].tolist() == list(range(len(found))), "operations out of order")
        self.expect("operations", found["setup"].dtype == np.bool_ and len(found) > 0, "a column setup that is not True or False")
        for name in {*SLOTS.values()} & set(found.columns):
            self.expect("operations", found[name].dtype == np.int64 and bool(found[name].between(0, MOST).all()),
                        f"a column {name} that is not all whole numbers from 0")
        names = {*self.arch.core_names, ""}  # a wait has no core; what goes over links alone takes no turn
        resources = {*names, *map(event_pipe, self.arch.core_names), CHANNEL}
        self.expect("operations", set(found["core"]) <= names and set(found["resource"]) <= resources,
                    "a core that the architecture does not have")
        return found

    def read(self, name: str, **columns: tuple[int, int]) -> pd.DataFrame:
        """A file's frame, whose named columns are integers within these limits."""
        import pandas as pd

        self.expect(name, f"{name}.csv" in self.files, "no such file among those that result.json lists")
        try:
            frame = pd.read_csv(io.BytesIO(self.files[f"{name}.csv"]), keep_default_na=False, low_memory=False)
        except (ValueError, OverflowError, MemoryError) as error:
            raise ResultError(f"{self.root / name}.csv: no table ({shown(error, 80, str)}); save the result again") from None
        for column, (low, high) in columns.items():
            self.expect(name, column in frame.columns, f"no column {column}")
            values = frame[column]
            if not len(values):
                frame[column] = values.astype(np.int64)
                continue
            self.expect(name, values.dtype == np.int64, f"a column {column} that is not whole numbers")
            self.expect(name, low <= int(values.min()) and int(values.max()) <= high,
                        f"{column} from {values.min()} to {values.max()}, where {low} to {high} is allowed")
        return frame

    def events(self, name: str, frame: pd.DataFrame) -> pd.Series[int]:
        self.expect(name, "event" in frame.columns, "no column event")
        numbers = frame["event"].map(INDEX)
        self.expect(name, not numbers.isna().any(), "an event that hwsim does not count")
        return numbers.astype(np.int64)

    def dense(
        self, name: str, shape: tuple[int, ...], rows: tuple[pd.Series[int], ...], values: pd.Series[int]
    ) -> NDArray[np.int64]:
        """Counts as an array; its size is bounded before it is made."""
        total = 8
        for axis in shape:
            total *= axis
        self.expect(name, total <= MAX_ARRAY_BYTES, f"counts of shape {shape}, more than {MAX_ARRAY_BYTES} bytes")
        found = np.zeros(shape, np.int64)
        if len(values):
            places = np.ravel_multi_index(tuple(row.to_numpy(np.int64) for row in rows), shape)
            self.expect(name, len(np.unique(places)) == len(places), "the same count twice")
            found.flat[places] = values.to_numpy(np.int64)
        return found

    def expect(self, name: str, right: bool, found: str) -> None:
        if not right:
            raise ResultError(f"{self.root / name}.csv: found {found}; save the result again, or repeat the run")


def _check_facts(root: Path, facts: Facts, task: Task, arch: Architecture) -> None:
    """Raises ResultError for facts that contradict one another, the task or the design."""
    def jsonable(value: Any) -> Any:
        return json.loads(json.dumps(value))

    layers = set(facts.layers)
    bits = [*facts.payload_bits.values(), *facts.value_bits.values()]
    every = {
        "facts.sample_indices": 0 < facts.samples == len(facts.sample_indices) == len(set(facts.sample_indices))
        and min(facts.sample_indices) >= 0 and tuple(facts.sample_indices) == tuple(task.samples),
        "facts.layers": len(layers) == len(facts.layers) > 0,
        "facts by layer": all(set(by) <= layers for by in (facts.payload_bits, facts.value_bits, facts.mismatches_by_layer)),
        "facts.payload_bits": all(0 <= n <= 64 for n in bits),
        "facts.judged": 0 <= facts.judged <= facts.samples and facts.timesteps > 0 and 0 <= facts.setup_cycles <= MOST,
        "facts.mismatches": all(n is None or 0 <= n <= MOST for n in (facts.mismatches, facts.saturations,
                                                                     *facts.mismatches_by_layer.values())),
        "facts.accuracy": all(a is None or 0 <= a <= 100 for a in (facts.accuracy, facts.accuracy_test_set)),
        "facts.arch": facts.arch == arch.name,
        "task.timing": jsonable(arch.timing()) == jsonable(task.timing),
        "task": all(getattr(task, name) == getattr(facts, name) for name in ("trace_hash", "schedule", "spikes", "engine")),
    }
    if wrong := [name for name, right in every.items() if not right]:
        raise ResultError(f"{root / RESULT}: {', '.join(wrong)}: found what does not fit the rest of it; save the result again, "
                          "or repeat the run")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _typed(root: Path, kind: Any, found: Any, name: str) -> Any:
    """A dataclass of exactly these types. Raises ResultError."""
    try:
        return _adapter(kind).validate_json(json.dumps(_mapping(root, found, name)), strict=True, extra="forbid")
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, (name, *first["loc"])))
        found, expected = shown(first["input"]), first["msg"]
        raise ResultError(f"{root / RESULT}: {place}: found {found}, expected {expected}; save it again") from None


def _mapping(root: Path, found: Any, name: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        what = "a mapping of event to pJ" if name == "overrides" else "a mapping of its fields"
        raise ResultError(f"{root / RESULT}: {name}: found {shown(found)}, expected {what}; save it again")
    return found


def _files(root: Path, hashes: Any) -> dict[str, bytes]:
    """Every file that result.json lists, whole: a cut or edited file would give plausible, wrong numbers."""
    found = {}
    for name, expected in _mapping(root, hashes, "sha256").items():
        path = root / name
        if path.name != name or not name.endswith(".csv"):
            raise ResultError(f"{root / RESULT}: sha256: found the file {shown(name)}, expected CSV files of the same folder")
        try:
            if not path.is_file() or path.is_symlink():
                raise ResultError(f"{path}: found no such file, expected all that result.json lists; copy the folder again")
            found[name] = path.read_bytes()
        except OSError as error:
            raise ResultError(f"{path}: cannot be read ({error}); save the result again") from None
        if sha256(found[name]).hexdigest() != expected:
            raise ResultError(f"{path}: it is not what was saved (its SHA-256 differs from the one in result.json); "
                              "copy the folder again or repeat the run")
    return found


def _body(root: Path) -> dict[str, Any]:
    path = root / RESULT
    try:
        with open_regular(path) as file:
            body = json.load(file, parse_constant=_refuse_constant)
    except OSError:
        raise ResultError(f"{root}: no result.json there; give a folder that `hwsim run --out` wrote") from None
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{path}: not valid JSON ({shown(error, 80, str)})") from None
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        found = body.get("format") if isinstance(body, dict) else type(body).__name__
        raise ResultError(f"{path}: format is {shown(found)}, expected {FORMAT!r}; repeat the run with this version of hwsim")
    if set(body) - {MADE_WITH} != FIELDS:
        raise ResultError(f"{path}: found the fields {shown(sorted(body), 300)}, expected {sorted(FIELDS)}; repeat the run")
    if body["seal"] != seal(body):
        raise ResultError(f"{path}: it is not what was saved (its seal differs from its content); copy the folder again or "
                          "repeat the run. Other prices need no edit: `hwsim energy explain --price`, or Result.reprice")
    return body


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
