"""Figures say what the frames say: bars add up to the totals, words stay legible, colours keep their meaning.

Results here are stand-ins with just the frames that figures read, and one real simulation.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

import hwsim
from hwsim.activity import SCOPES, VOCABULARY
from hwsim.arch import load_architecture
from hwsim.trace.synth import synthesise
from hwsim.view import plot
from hwsim.view.accuracy import accuracy_figure
from hwsim.view.figure_file import FigureError
from hwsim.view.labels import grouped
from hwsim.view.segments import (
    energy_by_layer,
    energy_by_layer_and_unit,
    energy_by_unit,
    merge_small,
    scope_of,
    time_by_cause,
    time_by_layer,
    time_by_layer_and_cause,
    total,
)
from hwsim.view.style import CAUSES, CHANNEL, LEAKAGE, UNITS, layer_colours, number, percent, si_scale

LAYERS = ("conv1", "conv2", "join", "fc", "readout")
SCALES = {"pJ": 1e12, "nJ": 1e9, "µJ": 1e6, "mJ": 1e3, "ps": 1e12, "ns": 1e9, "µs": 1e6, "ms": 1e3}
PRICES = {"lane": 0.5, "clock": 0.4, "wires": 0.4,
          "accumulator": 0.1, "membrane_memory": 2.0, "weight_memory": 1.0, "registers": 0.3, CHANNEL: 1.0}


def stand_in(
    arch: str = "event_core_64", name: str | None = None, coding: str = "rate", timesteps: int = 4,
    schedule: str = "layer_by_layer", layers: tuple[str, ...] = LAYERS, samples: int = 3, seed: int = 0,
    trace: str = "", channel: float = 1.0, activity: float = 1.0, off: list[str] | None = None, accuracy: float | None = None,
) -> Any:
    """A result with every event in every layer; `channel` scales what goes off the chip, `activity` the rest.

    Its frames hold means of `samples` samples, as a Result's do.
    """
    random = np.random.default_rng(seed)
    design = load_architecture(arch)
    design = design.model_copy(update={"name": name or design.name})
    rows = [(layer, t, unit, unit, e.name, "system" if unit == CHANNEL else "core",
             activity * PRICES.get(unit, 0.01) * float(random.integers(1, 999)))
            for layer in (*layers, "input") for t in range(2) for e in VOCABULARY
            for unit in ([e.unit] if e.name != "acc_add" else [e.unit, "lane", "clock", "wires"])
            if e.scope in SCOPES and (e.unit == CHANNEL or layer != "input")]
    rows += [("", -1, unit, unit, "cycle", "core", activity * 50.0) for unit in ("clock", "sequencer")]
    rows += [("", -1, LEAKAGE, part, "leakage", "core", activity * 700.0) for part in ("weight_memory", "membrane_memory")]
    energy = pd.DataFrame(rows, columns=["layer", "timestep", "unit", "component", "event", "scope", "energy_pj"])
    energy.loc[energy["unit"] == CHANNEL, "energy_pj"] *= channel
    cycles = [(layer, cause, int(random.integers(1, 5000))) for layer in layers for cause in CAUSES
              if cause != "wait"]
    cycles.append(("", "wait", int(channel * 2000)))
    cycles_frame = pd.DataFrame(cycles, columns=["layer", "cause", "cycles"]).assign(resource="core")
    elapsed = np.full(samples, cycles_frame["cycles"].sum())
    share = None if samples == 1 else 0.03
    sums = energy.groupby("scope")["energy_pj"].sum()
    scopes = {"compute": 0.2 * sums["core"], "core": sums["core"], "system": sums["core"] + sums["system"]}
    spread = {"cycles": share and share * elapsed[0], "latency_s": share and share * elapsed[0] / design.clock,
              "energy_pj": {scope: share and share * float(scopes.get(scope, 0.0)) for scope in SCOPES}}
    facts = SimpleNamespace(
        is_ann=coding == "quantised",
        trace=trace or f"net-{coding}-t{timesteps}", coding=coding, timesteps=timesteps, arch=design.name,
        schedule=schedule, samples=samples, layers=list(layers), spikes="trace", engine="fast", accuracy=accuracy,
        accuracy_test_set=None)
    return SimpleNamespace(facts=facts, architecture=design, cycles=elapsed, energy=energy, energy_pj=scopes,
                           cycles_frame=cycles_frame,
                           latency_s=float(elapsed.mean()) / design.clock, spread=spread, memories_off=off or [])


def many(count: int, **changes: Any) -> list[Any]:
    """Results of two families, as a comparison makes them."""
    codings = itertools.cycle([("bit_serial", 4), ("rate", 4), ("rate", 8), ("rate", 16), ("quantised", 1)])
    archs = itertools.cycle(["event_core_64", "event_core_16"])
    schedules = itertools.cycle(["layer_by_layer", "step_by_step"])
    return [stand_in(arch=next(archs), coding=c, timesteps=t, seed=i, schedule=next(schedules), **changes)
            for i, (c, t) in zip(range(count), codings, strict=False)]


@pytest.fixture(scope="module")
def real() -> Any:
    return hwsim.simulate(synthesise("tiny", samples=2), "event_core_16")


def energy_j(result: Any) -> float:
    return result.energy["energy_pj"].sum() * 1e-12


def unit_of(axes: Any) -> str:
    return axes.get_xlabel().split()[0]


def drawn(axes: Any) -> list[float]:
    """Length of each bar of a panel from top to bottom, in joules or seconds."""
    lengths: dict[float, float] = {}
    for patch in axes.patches:
        y = round(patch.get_y(), 6)
        lengths[y] = lengths.get(y, 0.0) + patch.get_width() / SCALES[unit_of(axes)]
    return [lengths[y] for y in sorted(lengths)]


# -- laws -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 13, 26])
def test_bars_of_both_panels_add_up_to_the_energy_of_the_frames(count: int) -> None:
    results = many(count)
    ordered, _ = grouped(results)
    by_unit, channel, by_layer = map(np.array, map(drawn, plot.energy_figure(results).axes))
    for on_chip in (by_unit, by_layer):
        assert on_chip + channel == pytest.approx([energy_j(r) for r in ordered])


@pytest.mark.parametrize("count", [2, 13, 26])
def test_bars_of_both_panels_add_up_to_the_latency(count: int) -> None:
    results = many(count)
    ordered, _ = grouped(results)
    for axes in plot.latency_figure(results).axes:
        assert drawn(axes) == pytest.approx([r.latency_s for r in ordered])


def test_bars_of_one_result_add_up_to_its_energy_and_latency() -> None:
    result = stand_in()
    for axes in plot.energy_figure([result]).axes:
        assert sum(drawn(axes)) == pytest.approx(energy_j(result))
    for axes in plot.latency_figure([result]).axes:
        assert sum(drawn(axes)) == pytest.approx(result.latency_s)


@pytest.mark.slow
def test_a_real_result_is_shown_whole(real: Any) -> None:
    assert total(energy_by_unit([real])) == pytest.approx([real.energy_pj["system"] * 1e-12])
    assert total(energy_by_layer([real])) == pytest.approx([real.energy_pj["system"] * 1e-12])
    assert total(time_by_cause([real])) == pytest.approx([real.latency_s])
    assert total(time_by_layer([real])) == pytest.approx([real.latency_s])
    for figure in (plot.energy_figure([real, real]), plot.energy_figure([real]), plot.latency_figure([real])):
        assert legible(figure)


def test_layers_of_one_result_hold_what_the_frame_holds() -> None:
    result = stand_in()
    names, segments = energy_by_layer_and_unit(result)
    assert names == ["input", *LAYERS, "every cycle"]
    frame = result.energy.groupby("layer")["energy_pj"].sum() * 1e-12
    assert total(segments) == pytest.approx([frame[n if n != "every cycle" else ""] for n in names])
    names, segments = time_by_layer_and_cause(result)
    assert names == [*LAYERS, CAUSES["wait"].label]


def test_bars_on_the_chip_are_the_core_scope_and_the_channel_stands_apart() -> None:
    results, _ = grouped(many(6))
    by_unit, channel, by_layer = plot.energy_figure(results).axes
    core = [1e-12 * r.energy_pj["core"] for r in results]
    assert drawn(by_unit) == pytest.approx(core), "the compute scope is in no bar"
    assert drawn(by_layer) == pytest.approx(core)
    assert drawn(channel) == pytest.approx([1e-12 * (r.energy_pj["system"] - r.energy_pj["core"]) for r in results])


def test_merging_small_units_keeps_the_total_and_says_what_it_merged() -> None:
    units = energy_by_unit(many(4))
    merged, note = merge_small(units)
    assert total(merged) == pytest.approx(total(units))
    on_chip = total([s for s in units if s.key != CHANNEL])
    gone = [s for s in units if s.key not in {m.key for m in merged}]
    assert gone
    for segment in gone:
        assert (segment.values <= 0.02 * on_chip).all()
        assert segment.look.label in note
    assert "2 %" in note


def test_no_bar_is_cut_and_the_channel_squeezes_nothing() -> None:
    results = [stand_in(), stand_in(timesteps=8, channel=300.0)]
    for figure in (plot.energy_figure(results), plot.latency_figure(results), plot.energy_figure(results[1:])):
        for axes in figure.axes:
            assert max(drawn(axes)) < axes.get_xlim()[1] / SCALES[unit_of(axes)] < 1.1 * max(drawn(axes))
    by_unit, channel, by_layer = plot.energy_figure(results).axes
    assert by_unit.get_xlim() == by_layer.get_xlim()
    assert channel.get_xlim()[1] / SCALES[unit_of(channel)] > 10 * by_unit.get_xlim()[1] / SCALES[unit_of(by_unit)]


def test_nothing_at_all_can_be_drawn() -> None:
    silent = stand_in(channel=0.0, activity=0.0)
    silent.cycles_frame["cycles"] = 0
    for results in ([silent], [silent, silent]):
        assert legible(plot.energy_figure(results))
        assert legible(plot.latency_figure(results))


# -- words ------------------------------------------------------------------------------------------------------------


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for t in figure.findobj(Text) if t.get_text()]


def legible(figure: Figure) -> bool:
    """Every word is at least 8 points, inside the canvas, and on no other word."""
    figure.canvas.draw()
    shown = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    outside = [label for axes in figure.axes for label in axes.get_xticklabels()
               if not min(0, axes.get_xlim()[0]) <= label.get_position()[0] <= axes.get_xlim()[1]
               or axes.get_xscale() == "log" and label.get_position()[0] < axes.get_xlim()[0]]
    shown = [t for t in shown if t not in outside]
    boxes = [t.get_window_extent().padded(-0.5) for t in shown]
    for text, box in zip(shown, boxes, strict=True):
        assert text.get_fontsize() >= 8, text
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.width, text
        assert box.y1 <= figure.bbox.height, text
    for (a, box_a), (b, box_b) in itertools.combinations(zip(shown, boxes, strict=True), 2):
        assert not box_a.overlaps(box_b), (a, b)
    return True


@pytest.mark.parametrize("draw", [plot.energy_figure, plot.latency_figure])
@pytest.mark.parametrize("count", [pytest.param(3, marks=pytest.mark.slow), 26])
def test_words_are_legible(draw: Any, count: int) -> None:
    assert legible(draw(many(count)))


@pytest.mark.slow
@pytest.mark.parametrize("draw", [plot.energy_figure, plot.latency_figure])
@pytest.mark.parametrize("count", [1, 2])
def test_words_are_legible_in_deep_networks_with_long_names(draw: Any, count: int) -> None:
    layers = tuple(f"backbone.stage{i // 9}.block{i}.convolution$2$" for i in range(54))
    design = "a" * 64
    assert legible(draw([stand_in(name=design, layers=layers, trace="t" * 200, timesteps=2**i) for i in range(count)]))


def test_rows_are_grouped_by_architecture_and_twins_stand_with_their_design() -> None:
    arrays = {"name": "event_core_64+systolic_output", "arch": "systolic_8x8", "coding": "quantised"}
    results = [stand_in(), stand_in("event_core_16"), stand_in(coding="bit_serial"), stand_in(**arrays)]
    ordered, rows = grouped(results)
    assert [r.facts.arch for r in ordered] == ["event_core_64"] * 2 + ["event_core_64+systolic_output", "event_core_16"]
    assert rows.labels == ["rate T=4, layer by layer", "bit-serial T=4, layer by layer", "ANN, output-stationary array",
                           "rate T=4, layer by layer"]
    assert {row: name for row, (name, _) in rows.headings.items()} == {0: "event_core_64", 3: "event_core_16"}


def test_baselines_of_equal_area_are_told_apart_by_their_area() -> None:
    ann = {"arch": "mac_core_64", "coding": "quantised"}
    results = [stand_in(name=f"event_core_64+mac{at}", **ann) for at in ("", "@area", "@area_4.25mm2")]
    assert grouped(results)[1].labels == ["ANN, MAC core", "ANN, MAC core, equal area", "ANN, MAC core, at 4.25 mm²"]


def test_spreads_stand_beside_their_means_and_one_sample_has_none() -> None:
    for draw in (plot.energy_figure, plot.latency_figure):
        for count in (1, 2):
            assert any("±" in t for t in texts(draw(many(count))))
            assert not any("±" in t for t in texts(draw(many(count, samples=1))))


def test_a_figure_names_the_memories_that_are_off() -> None:
    said = "off because the trace does not use them: current memory, mask memory."
    assert said in texts(plot.energy_figure([stand_in(off=["current", "mask"])]))
    both = texts(plot.energy_figure([stand_in(), stand_in(off=["current"])]))
    assert "off where a trace does not use it: current memory." in both
    assert not any(t.startswith("off") and "memory" in t for t in texts(plot.energy_figure([stand_in()])))


def test_rows_of_a_family_keep_codings_together_and_grow_in_timesteps() -> None:
    results = [stand_in(timesteps=16), stand_in(timesteps=4, schedule="step_by_step"), stand_in(coding="bit_serial"),
               stand_in(timesteps=4)]
    assert grouped(results)[1].labels == [
        "rate T=4, step by step", "rate T=4, layer by layer", "rate T=16, layer by layer",
        "bit-serial T=4, layer by layer"]


def test_equal_labels_are_told_apart_by_what_differs() -> None:
    _, rows = grouped([stand_in(trace="first"), stand_in(trace="second"), stand_in(schedule="step_by_step")])
    assert rows.labels == ["rate T=4, layer by layer, first", "rate T=4, layer by layer, second",
                           "rate T=4, step by step"]


def test_an_axis_names_its_unit() -> None:
    for figure in (plot.energy_figure(many(3)), plot.energy_figure([stand_in()])):
        assert {unit_of(axes) for axes in figure.axes} <= {"pJ", "nJ", "µJ", "mJ"}
    for figure in (plot.latency_figure(many(3)), plot.latency_figure([stand_in()])):
        assert {unit_of(axes) for axes in figure.axes} <= {"ns", "µs", "ms"}


@pytest.mark.parametrize(("value", "said"), [
    (0, "0"), (1234567.8, "1,234,568"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23"), (0.01234, "0.0123"),
    (1e-9, "<0.00001"),
])
def test_numbers_have_three_digits_and_thousands_separators(value: float, said: str) -> None:
    assert number(value) == said


def test_scales_and_shares() -> None:
    assert si_scale(2.5e-6) == (1e6, "µ")
    assert si_scale(1e-9) == (1e9, "n")
    assert si_scale(0) == (1, "")
    assert [percent(p, 1000) for p in (0, 1, 500)] == ["0 %", "<1 %", "50 %"]
    assert percent(0, 0) == "0 %"


# -- colours ----------------------------------------------------------------------------------------------------------

# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
EYES = {
    "normal": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                            [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                              [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                            [0.004733, 0.691367, 0.303900]]),
}
SRGB_TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                        [0.0193339, 0.1191920, 0.9503041]])


def lab(colour: str, eye: str) -> np.ndarray:
    """CIE L*a*b* (D65) of a colour as an eye sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = SRGB_TO_XYZ @ np.clip(EYES[eye] @ linear, 0, 1) / np.array([0.95047, 1, 1.08883])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(a: str, b: str, eye: str) -> float:
    return float(np.linalg.norm(lab(a, eye) - lab(b, eye)))


def test_every_unit_and_cause_has_its_own_colour() -> None:
    assert {e.unit for e in VOCABULARY if e.scope in SCOPES} | {LEAKAGE, "lane", "clock", "wires"} <= set(UNITS)
    assert len({look.colour for look in UNITS.values()}) == len(UNITS)
    assert len({look.colour for look in CAUSES.values()}) == len(CAUSES)


def test_units_are_stacked_in_the_order_of_the_scopes() -> None:
    ranks = [SCOPES.index(scope_of(unit)) for unit in UNITS if not unit.startswith("other")]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("eye", EYES)
def test_colour_blind_eyes_tell_the_large_units_and_the_causes_apart(eye: str) -> None:
    large = ["lane", "multiplier", "clock", "wires", "weight_memory", "membrane_memory", "current_memory",
             "spike_buffer", "registers", LEAKAGE, CHANNEL]
    for looks in ([UNITS[unit] for unit in large], list(CAUSES.values())):
        for a, b in itertools.combinations(looks, 2):
            assert distance(a.colour, b.colour, eye) > 15, (a, b)


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("count", [2, 7, 14, 20])
def test_neighbouring_layers_differ_and_grow_lighter(eye: str, count: int) -> None:
    colours = layer_colours(count)
    assert min(distance(a, b, eye) for a, b in itertools.pairwise(colours)) > 4
    for part in (colours[::2], colours[1::2]):
        lightness = [lab(c, "normal")[0] for c in part]
        assert lightness == sorted(lightness)


def test_a_unit_keeps_its_colour_in_every_figure() -> None:
    seen: dict[str, set[str]] = {}
    for results in ([stand_in()], many(2), many(7, channel=9.0), [stand_in(activity=50.0)]):
        for axes in plot.energy_figure(results).axes:
            for bars in axes.containers:
                for bar in bars:
                    seen.setdefault(bars.get_label(), set()).add(matplotlib.colors.to_hex(bar.get_facecolor()))
    for look in UNITS.values():
        assert seen.get(look.label, {look.colour.lower()}) == {look.colour.lower()}


# -- accuracy against energy -------------------------------------------------------------------------------------------


def measured(count: int) -> list[Any]:
    """Results of which each second is as accurate as the one before it."""
    return [r for i, r in enumerate(many(count)) if not setattr(r.facts, "accuracy", 90.0 - 3 * (i // 2))]


@pytest.mark.parametrize("count", [2, 9])
def test_points_stand_at_the_system_energy_and_the_accuracy_of_their_results(count: int) -> None:
    results, _ = grouped(measured(count))
    (axes,) = accuracy_figure(results).axes
    points = [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in axes.lines]
    assert points == [pytest.approx((SCALES[unit_of(axes)] * 1e-12 * r.energy_pj["system"], r.facts.accuracy)) for r in results]
    assert all(axes.get_xlim()[0] < x < axes.get_xlim()[1] and axes.get_ylim()[0] < y < axes.get_ylim()[1] for x, y in points)
    assert legible(accuracy_figure(results))


def test_the_whole_test_set_counts_before_a_few_samples() -> None:
    results = measured(2)
    results[0].facts.accuracy_test_set = 77.7
    assert [line.get_ydata()[0] for line in accuracy_figure(results).axes[0].lines].count(77.7) == 1


def test_accuracy_is_drawn_first_and_only_where_all_of_several_have_one(tmp_path: Path) -> None:
    assert [p.name for p in plot.save_figures(measured(3), tmp_path)] == ["accuracy.png", "energy.png", "latency.png"]
    for results in (measured(1), [*measured(2), stand_in()]):
        with pytest.raises(FigureError, match="expected two or more with one each"):
            accuracy_figure(results)
        assert len(plot.save_figures(results, tmp_path / "without")) == 2


# -- files and manners ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3])
def test_two_whole_pictures_are_written_and_nothing_else(tmp_path: Path, count: int) -> None:
    folder = tmp_path / "new" / "folder"
    assert plot.save_figures(many(count), folder) == [folder / "energy.png", folder / "latency.png"]
    assert sorted(p.name for p in folder.iterdir()) == ["energy.png", "latency.png"]
    for path in folder.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_picture_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = plot.save_figures([stand_in()], tmp_path)[0].read_bytes()

    def fail(figure: Figure, path: Path, **_: Any) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        plot.save_figures(many(2), tmp_path)
    assert (tmp_path / "energy.png").read_bytes() == old
    assert sorted(p.name for p in tmp_path.iterdir()) == ["energy.png", "latency.png"]


@pytest.mark.slow
def test_the_same_result_gives_the_same_file(tmp_path: Path) -> None:
    first = [p.read_bytes() for p in plot.save_figures(many(2), tmp_path)]
    assert [p.read_bytes() for p in plot.save_figures(many(2), tmp_path)] == first


def test_the_style_is_ours_and_the_settings_of_the_user_are_left_alone(tmp_path: Path) -> None:
    first = [p.read_bytes() for p in plot.save_figures(many(2), tmp_path)]
    ugly = {"font.size": 30, "axes.facecolor": "black", "savefig.bbox": "tight", "text.color": "red"}
    with matplotlib.rc_context(ugly):
        mine = dict.copy(matplotlib.rcParams)
        assert [p.read_bytes() for p in plot.save_figures(many(2), tmp_path)] == first
        assert dict.copy(matplotlib.rcParams) == mine


def test_a_notebook_can_show_a_figure() -> None:
    assert plot.energy_figure([stand_in()])._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_no_results_and_unknown_units_are_refused() -> None:
    with pytest.raises(ValueError, match="no results"):
        plot.energy_figure([])
    strange = stand_in()
    strange.energy.loc[0, "unit"] = "flux_capacitor"
    with pytest.raises(ValueError, match="no colour for flux_capacitor"):
        plot.energy_figure([strange])
