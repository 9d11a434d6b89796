"""What a run was: hashes, versions, the command that made it, one that repeats it, and its design; and how to cite hwsim."""

from __future__ import annotations

import json
import shlex
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import yaml

from hwsim import __version__
from hwsim.arch import config_folders, dump_architecture, load_architecture
from hwsim.cost.rate import DEFAULT_RATE_HZ

if TYPE_CHECKING:
    from hwsim.result import Result
    from hwsim.result_reader import MadeWith

TITLE = "hwsim: a cycle-level simulator and energy model of neuromorphic hardware"
BIBTEX = f"""@software{{hwsim,
  title   = {{{TITLE}}},
  author  = {{{{The hwsim maintainers}}}},
  version = {{{__version__}}},
  license = {{Apache-2.0}}
}}"""
"""CITATION.cff says the same; tests hold them together."""


def design_hash(result: Result) -> str:
    """SHA-256 of the design, its prices' tables by name included."""
    said = json.dumps(dump_architecture(result.architecture), sort_keys=True, separators=(",", ":"))
    return sha256(said.encode()).hexdigest()


def provenance(result: Result, made: MadeWith | None) -> list[tuple[str, str]]:
    """Name and text of each row."""
    f, task = result.facts, result.task
    indices = f.sample_indices
    whole = indices == list(range(indices[0], indices[0] + len(indices)))
    samples = f"{indices[0]} to {indices[-1]}" if whole and len(indices) > 1 else ", ".join(map(str, indices[:32])) + (
        ", ..." if len(indices) > 32 else "")
    versions = "not recorded" if made is None else ", ".join(f"{n} {v}" for n, v in made.versions.items() if v is not None)
    command = "" if made is None or made.command is None else shlex.join(made.command)
    return [
        ("trace", f.trace), ("trace hash", f.trace_hash), ("samples", samples), ("design", f.arch),
        ("design hash", design_hash(result)), ("schedule", f.schedule), ("engine", f.engine), ("spikes", f.spikes),
        ("outputs computed", "yes" if task.check else "no, timing only"), ("cycle model", f"version {task.model_version}"),
        ("versions", versions), ("simulation", result.sim_id), ("prices", result.price_id), ("run", result.run_id),
        *([("command", command)] if command else []), ("to repeat it", shlex.join(repeat(result)))]


def repeat(result: Result) -> list[str]:
    """A command that makes the same result of the same trace; the design is a shipped one, or the file that the page shows."""
    f, task = result.facts, result.task
    words = ["hwsim", "run", f"{f.trace}.h5", "--arch", f.arch if is_shipped(result) else f"{f.arch}.yaml",
             "--schedule", f.schedule, "--engine", f.engine, "--spikes", f.spikes]
    words += [] if task.check else ["--no-check"]
    if f.sample_indices == list(range(f.samples)):
        words += ["--samples", str(f.samples)]
    words += [part for name, value in _prices(result.overrides) for part in ("--price", f"{name}={value}")]
    words += ["--leak-unused"] if result.leak_unused else []
    return words + ([] if result.rate_hz == DEFAULT_RATE_HZ else ["--rate", f"{result.rate_hz!r}"])


def _prices(overrides: Any, prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in dict(overrides).items():
        found += _prices(value, f"{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", value)]
    return found


def is_shipped(result: Result) -> bool:
    """Whether the design is, field by field, the shipped one of its name."""
    files = [folder / f"{result.facts.arch}.yaml" for folder in config_folders()]
    return any(load_architecture(file) == result.architecture for file in files if file.is_file())


def design_file(result: Result) -> str:
    """The design as a YAML file that `--arch` reads."""
    return yaml.safe_dump(dump_architecture(result.architecture), sort_keys=False, allow_unicode=True)
