"""One call from a model to cycles and energy: `hwsim.estimate(model, inputs)`.

What is given decides the way. A spiking model of SpikingJelly or snnTorch is recorded; a plain PyTorch ANN or an ONNX file is
quantised and converted; a NIR graph is computed in integers; a trace is taken as it is. All that follows is `hwsim.simulate`.
Numbers are per sample; energies in pJ, latency in seconds, rates in hertz.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim.arch import Architecture, load_architecture
from hwsim.baseline.twins import Unbuilt, has_baselines, twins
from hwsim.capture import capture_nir, capture_torch
from hwsim.capture.torch_neurons import is_neuron
from hwsim.cost.rate import DEFAULT_RATE_HZ
from hwsim.errors import HwsimError
from hwsim.schedules import schedules_for
from hwsim.simulation import default_design, simulate, why_not
from hwsim.trace.reader import Trace
from hwsim.units import format_si, percent

if TYPE_CHECKING:
    import pandas as pd

    from hwsim.result import Result

SAMPLES = 8
ANN = "ann"
"""The name of the quantised ANN beside the spiking forms."""
SCOPES = ("compute", "core", "system")


class EstimateError(HwsimError):
    """A model or an argument that `estimate` cannot take; the text says what was found and what is allowed."""


class OptionError(EstimateError):
    """Options that what takes the model over does not have: `unknown` are none of `allowed`."""

    def __init__(self, unknown: Sequence[str], allowed: Sequence[str], taker: str) -> None:
        super().__init__(f"unknown option {', '.join(unknown)}; beside its own, estimate passes on to hwsim.{taker}: "
                         f"{', '.join(allowed)}")
        self.unknown, self.allowed = tuple(unknown), tuple(allowed)


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a network takes on hardware, in every form that it was brought into.

    results    by form (`bit_serial`, `rate`, `ann`; `spiking` for a network that was spiking already), a Result.
    assumed    what was chosen or left out on the way, a sentence each.
    refused    forms that the design does not run, and why.
    """

    results: Mapping[str, Result]
    assumed: tuple[str, ...]
    refused: Mapping[str, str]

    @property
    def table(self) -> pd.DataFrame:
        """One row per form: design, cycles, latency_s, accuracy and mismatches, energy of each scope per sample in pJ at full
        speed, and at the rate (NaN where the rate is out of reach)."""
        import pandas as pd  # not before somebody asks for a frame: it takes as long to load as all of hwsim

        return pd.DataFrame(list(self.rows().values()), index=pd.Index(self.results, name="form"))

    def rows(self) -> dict[str, dict[str, Any]]:
        """The rows of `table` by form, as plain numbers."""
        return {form: self._row(result) for form, result in self.results.items()}

    def _row(self, result: Result) -> dict[str, Any]:
        slow = result.shown_rate["energy_pj"] or {}
        return {
            "design": result.facts.arch, "cycles": float(result.cycles.mean()), "latency_s": result.latency_s,
            **{f"{scope}_pj": result.energy_pj[scope] for scope in SCOPES},
            **{f"{scope}_at_rate_pj": slow.get(scope, float("nan")) for scope in SCOPES},
            "rate_hz": result.rate_hz, "area_mm2": result.area_mm2, "accuracy": result.facts.accuracy,
            "mismatches": result.facts.mismatches,
        }

    def __repr__(self) -> str:
        header, *rows = self.cells()
        widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
        lines = ["  ".join(cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
                 for row in (header, *rows)]
        return "\n".join([*(line.rstrip() for line in lines), "", *(f"- {text}" for text in self.notes())])

    def _repr_html_(self) -> str:
        header, *rows = self.cells()
        head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        notes = "".join(f"<li>{escape(text)}</li>" for text in self.notes())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><ul>{notes}</ul>"

    def cells(self) -> list[list[str]]:
        """The table as text, its header first."""
        rate = next(iter(self.results.values())).rate_hz if self.results else DEFAULT_RATE_HZ
        rows = [["form", "design", "cycles", "latency", *SCOPES, f"system at {rate:g}/s", "accuracy", "mismatches"]]
        for form, result in self.results.items():
            row, wrong = self._row(result), result.facts.mismatches
            slow = row["system_at_rate_pj"]
            rows.append([
                form, row["design"], f"{row['cycles']:,.0f}", format_si(row["latency_s"], "s"),
                *(format_si(row[f"{scope}_pj"] * 1e-12, "J") for scope in SCOPES),
                "out of reach" if slow != slow else format_si(slow * 1e-12, "J"), percent(row["accuracy"]),
                "-" if wrong is None else str(wrong)])
        return rows

    def notes(self) -> list[str]:
        """What was assumed, and why a form does not run, a sentence each."""
        return [*self.assumed, *(f"{form} does not run: {why}" for form, why in self.refused.items())]


def estimate(
    model: Any, inputs: Any = None, arch: Architecture | str | Path | None = None, *, labels: Any = None, samples: int = SAMPLES,
    rate_hz: float = DEFAULT_RATE_HZ, **options: Any,
) -> Estimate:
    """Cycles, latency and energy per sample of a model, in one call.

    model     a spiking torch.nn.Module of SpikingJelly or snnTorch; a plain PyTorch ANN, or the path of an ONNX file; the path of
              a NIR graph, or a nir.NIRGraph; a Trace, or the path of one.
    inputs    its images or spikes, a sample per row; for an ANN a few hundred images, which its activations are calibrated on.
    arch      a design for the spiking forms: an Architecture, a YAML file, or a shipped design's name; None takes the first
              shipped one that the network runs on. The ANN takes the design's multiply-accumulate twin where there is one.
    labels    the right class of each sample, if they are known.
    samples   how many of the first samples are replayed.          rate_hz   samples per second shown beside full speed.
    options   go on to what takes the model over: hwsim.capture_torch, hwsim.quantise or hwsim.capture_nir.

    Raises EstimateError, and what those and hwsim.simulate raise, each with one clear text.
    """
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise EstimateError(f"samples is {samples!r}, expected a whole number, 1 or more")
    with tempfile.TemporaryDirectory(prefix="hwsim-estimate-") as folder:
        traces, assumed = _traces(model, inputs, labels, samples, Path(folder), options)
        try:
            return _replayed(traces, assumed, arch, samples, rate_hz)
        finally:
            for trace in traces.values():
                if trace is not model:
                    trace.close()


def _traces(
    model: Any, inputs: Any, labels: Any, samples: int, folder: Path, options: dict[str, Any],
) -> tuple[dict[str, Trace], list[str]]:
    """The forms of a model, and what was assumed on the way."""
    if isinstance(model, Trace) or _ends(model, ".h5"):
        if inputs is not None or labels is not None or options:
            raise EstimateError("model is a trace, which has its inputs and labels: leave inputs, labels and options out")
        opened = model if isinstance(model, Trace) else Trace.open(model)
        return {ANN if opened.network.is_ann else "spiking": opened}, ["the trace is taken as it is"]
    if inputs is None and model is not None:
        raise EstimateError("inputs is missing: give the images or spikes that the model sees, a sample per row")
    if _ends(model, ".nir") or type(model).__name__ == "NIRGraph":
        return _of_nir(model, inputs, labels, samples, options)
    if _ends(model, ".onnx"):
        return _of_ann(model, inputs, labels, samples, folder, options)
    if not hasattr(model, "modules"):
        raise EstimateError(f"model is {str(model)[:80]!r} ({type(model).__name__}), expected a torch.nn.Module, a NIR graph, a "
                            "Trace, or the path of a .onnx, .nir or .h5 file")
    if any(is_neuron(part) for part in model.modules()):
        return _of_spiking(model, inputs, labels, samples, options)
    return _of_ann(model, inputs, labels, samples, folder, options)


def _check_options(options: dict[str, Any], taker: Callable[..., Any]) -> None:
    """Options must be parameters of what takes the model over."""
    allowed = [name for name, one in signature(taker).parameters.items() if one.kind is one.KEYWORD_ONLY]
    if unknown := sorted(set(options) - set(allowed)):
        raise OptionError(unknown, allowed, taker.__name__)


def _ends(model: Any, suffix: str) -> bool:
    return isinstance(model, str | Path) and Path(model).suffix.lower() == suffix


def _first(values: Any, samples: int) -> Any:
    return None if values is None else values[:samples]


def _of_spiking(
    model: Any, inputs: Any, labels: Any, samples: int, options: dict[str, Any]
) -> tuple[dict[str, Trace], list[str]]:
    _check_options(options, capture_torch)
    trace = capture_torch(model, _first(inputs, samples), _first(labels, samples), **options)
    return {"spiking": trace}, ["the model's spikes were recorded; its float arithmetic is not hwsim's, so nothing is compared"]


def _of_nir(model: Any, inputs: Any, labels: Any, samples: int, options: dict[str, Any]) -> tuple[dict[str, Trace], list[str]]:
    _check_options(options, capture_nir)
    if missing := [name for name in ("reset", "dt") if name not in options]:
        raise EstimateError(f"a NIR graph does not say {' and '.join(missing)}; give reset='soft' or 'hard', and dt, the length "
                            "of a timestep in the graph's unit of time (SpikingJelly and snnTorch export with 1e-4)")
    trace = capture_nir(model, _first(inputs, samples), _first(labels, samples), **options)
    return {"spiking": trace}, [f"the graph was computed in integers, weights of {options.get('weight_bits', 8)} bits where they "
                                "cannot be taken exactly"]


def _of_ann(
    model: Any, inputs: Any, labels: Any, samples: int, folder: Path, options: dict[str, Any]
) -> tuple[dict[str, Trace], list[str]]:
    from hwsim.convert.own import quantise  # loads torch

    _check_options(options, quantise)
    made = quantise(model, inputs, labels, **options)
    paths = made.record(folder / "traces", min(samples, len(made.data.images)))
    notes, levels = made.notes, made.notes["levels"]
    return {name: Trace.open(path) for name, path in paths.items()}, [
        f"activations of {levels} levels, calibrated on {notes['calibration_images']} images; weights of {notes['weight_bits']} "
        f"bits, inputs of {notes['payload_bits']}",
        f"bit_serial sends the bits of each activation, {levels.bit_length() - 1} planes; rate sends "
        f"{made.twins['rate'].network.layers[0].timesteps} timesteps; ann is the quantised ANN itself"]


def _replayed(
    traces: dict[str, Trace], assumed: list[str], arch: Architecture | str | Path | None, samples: int, rate_hz: float
) -> Estimate:
    results, refused, given = {}, {}, None if arch is None else load_architecture(arch)
    orders: dict[str, None] = {}
    spiking: Architecture | None = None
    for form, trace in sorted(traces.items(), key=lambda one: one[0] == ANN):  # the ANN last: its core is a twin of the others'
        design = _design(form, trace, given, spiking)
        schedule, why = _schedule(trace, design)
        if schedule is None:
            refused[form] = f"{design.name}: {why}"
            continue
        orders[schedule.replace("_", " ")] = None
        spiking = design if form != ANN and spiking is None else spiking
        results[form] = simulate(trace, design, schedule=schedule, samples=min(samples, trace.samples), rate_hz=rate_hz)
    if not results:
        raise EstimateError("nothing runs:\n" + "\n".join(f"- {form} on {why}" for form, why in refused.items()))
    some = next(iter(results.values()))
    used = some.architecture.technology
    unnamed = "no design was named: a form took the first shipped one that it runs on"
    twin = "; the ANN, the multiply-accumulate twin of that of the spiking forms" if len(results) > 1 and ANN in results else ""
    return Estimate(results, (
        *assumed, *([unnamed + twin] if given is None else []),
        f"{_count(some.facts.samples)} replayed, {' or '.join(orders)}, at full speed; {rate_hz:g}/s is the same with pauses, in "
        "which the chip leaks",
        f"{used.node_nm:g} nm, {used.vdd_v:g} V, {used.memory} memories, {used.logic} logic; docs/assumptions.md lists what is "
        "not modelled"), refused)


def _schedule(trace: Trace, design: Architecture) -> tuple[str | None, str]:
    """Layer by layer; on a chip with a network of links that cannot be, the first of the other schedules. Or why none can."""
    reasons = []
    for name in schedules_for(design) if design.network is not None else ("layer_by_layer",):
        why = why_not(trace, design, name)
        if why is None:
            return name, ""
        reasons.append(why)
    return None, "\n  ".join(reasons)


def _design(form: str, trace: Trace, given: Architecture | None, spiking: Architecture | None) -> Architecture:
    """What a form runs on: the given design, the default, or for an ANN the twin of what its spiking forms ran on."""
    base = given if spiking is None else spiking
    if form == ANN and base is not None and has_baselines(base):
        for twin in twins(base, trace.network):
            if not isinstance(twin, Unbuilt):
                return twin
    return default_design(trace) if given is None else given


def _count(samples: int) -> str:
    return "1 sample was" if samples == 1 else f"{samples} samples were"
