"""A result in a few lines: what `hwsim run` prints, what a Result shows of itself in Python and in a notebook.

Everything is taken from `Result.summary()`; numbers are per sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from hwsim.cost.explanation import off_text
from hwsim.units import format_si, percent


def card_lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and text of each line."""
    n, energy, spread = summary["samples"], summary["energy_pj"], summary["energy_spread_pj"]
    shown = {scope: with_spread(pj, spread[scope], 1e-12, "J") for scope, pj in energy.items()}
    deviation = "" if n == 1 else f" ± {summary['cycles_spread']:,.0f}"
    latency = with_spread(summary["latency_s"], summary["latency_spread_s"], 1, "s")
    off = summary["memories_off"]
    return [
        ("trace", f"{summary['trace']} ({summary['coding']}, T = {summary['timesteps']}), {n} sample{'s' if n > 1 else ''}"),
        ("architecture", f"{summary['arch']}, {summary['schedule']}, engine {summary['engine']}, spikes {summary['spikes']}"),
        ("cycles", f"{summary['cycles']:,.0f}{deviation}, latency {latency}"),
        *_links_line(summary["free_links"], summary["cycles"]),
        ("operations", f"{summary['synaptic_operations']:,.0f} synaptic operations, "
                       f"utilisation {100 * summary['utilisation']:.1f} %"),
        ("energy", f"{shown['compute']} compute, {shown['core']} core, {shown['system']} system"),
        (f"at {summary['at_rate']['rate_hz']:g}/s", _rate_text(summary["at_rate"])),
        ("power, area", f"{format_si(summary['power_w'], 'W')}, {summary['area_mm2']:.3g} mm2"),
        *([("off", off_text(off).removeprefix("off: "))] if off else []),
        ("setup", f"{summary['setup_cycles']:,} cycles, {format_si(summary['setup_energy_pj'] * 1e-12, 'J')}, once, not in the "
                  "above"),
        ("check", _check_text(summary)),
        ("accuracy", _accuracy_text(summary)),
        ("run", summary["run_id"]),
    ]


def card_text(summary: Mapping[str, Any]) -> str:
    """The lines, aligned."""
    return "\n".join(f"{name:<13} {text}" for name, text in card_lines(summary))


def card_html(summary: Mapping[str, Any]) -> str:
    """The lines as a table."""
    rows = "".join(f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>{escape(text)}</td></tr>"
                   for name, text in card_lines(summary))
    return f"<table>{rows}</table>"


def with_spread(value: float, spread: float | None, scale: float, unit: str) -> str:
    """A mean and its standard deviation in one unit: "16.7 uJ ± 0.462"."""
    text = format_si(value * scale, unit)
    if spread is None:
        return text
    shown, prefixed = text.split()
    factor = float(shown) / (value * scale) if value else 1.0
    return f"{shown} ± {spread * scale * factor:.2g} {prefixed}"


def _links_line(free: Mapping[str, Any] | None, cycles: float) -> list[tuple[str, str]]:
    """What links cost nothing would make of it."""
    if free is None:
        return []
    energy = {scope: format_si(pj * 1e-12, "J") for scope, pj in free["energy_pj"].items()}
    return [("free links", f"{free['cycles']:,.0f} cycles ({free['cycles'] / cycles:.3f} of them), {energy['core']} core, "
                           f"{energy['system']} system, if links cost nothing")]


def _rate_text(slow: Mapping[str, Any]) -> str:
    """Energy per sample at a rate of samples per second, and what the rate can be."""
    highest = slow["highest_rate_hz"]
    most = f"up to {highest:,.0f}/s" if highest >= 1000 else f"up to {highest:.4g}/s"
    if slow["energy_pj"] is None:
        return f"out of reach, {most}"
    energy = {scope: format_si(pj * 1e-12, "J") for scope, pj in slow["energy_pj"].items()}
    late = f"; {slow['late_samples']} samples take longer than the period" if slow["late_samples"] else ""
    return (f"{energy['core']} core, {energy['system']} system, {format_si(slow['power_w'], 'W')}; busy "
            f"{100 * slow['phase_s']['busy'] * slow['rate_hz']:.3g} % of the time, {most}{late}")


def _accuracy_text(summary: Mapping[str, Any]) -> str:
    here, whole = summary["accuracy"], summary["accuracy_test_set"]
    if here is None and whole is None:
        return "unknown: the trace has no labels, or no recorded read-out"
    low_high = summary["accuracy_interval"]
    sure = f" ({low_high[0]:.1f} to {low_high[1]:.1f} % with 95 % confidence)" if low_high else ""
    return f"{percent(here)} on these samples{sure}, {percent(whole)} on the whole test set"


def _check_text(summary: Mapping[str, Any]) -> str:
    if not summary["check"]:
        return "nothing was compared: timing only (--no-check), cycles and counts are those of the recorded spikes"
    if summary["mismatches"] is None:
        return "nothing was compared: the trace has no weights or no outputs, or the core computes none"
    wrong = summary["mismatches"]
    verdict = "every output is bit for bit the recorded one" if wrong == 0 else f"{wrong} outputs differ"
    where = "one sample" if summary["samples"] == 1 else f"all {summary['samples']} samples"
    return f"{verdict}; {summary['saturations']} saturations, in {where}"
