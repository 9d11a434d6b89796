"""Figures of runs say what the counts say, are legible at every width, and keep what a paper's column needs.

Numbers are held against the frames of a Result, or against closed forms; words by `legible` of tests/view/test_plot.py.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

import hwsim
from hwsim.counted import WAIT
from hwsim.result import Result
from hwsim.trace.synth import synthesise
from hwsim.view.activity import activity_figure, draw_activity
from hwsim.view.assume import Mark as AccountMark
from hwsim.view.assume import assume_figure
from hwsim.view.breakeven import Curve, Threshold, breakeven_figure
from hwsim.view.density import density_figure, draw_density
from hwsim.view.figure_file import FigureError, write_figure
from hwsim.view.lanes import draw_lanes, schedule_figure
from hwsim.view.page import Page
from hwsim.view.pareto import draw_pareto, letters, pareto_figure
from hwsim.view.plot import energy_figure, latency_figure
from hwsim.view.roofline import draw_roofline, roofline_figure
from hwsim.view.run_numbers import activity_rows, density_rows, roofline_rows, roofs, run_labels, utilisation_rows
from hwsim.view.segments import energy_by_layer, networks
from hwsim.view.stacks import draw_energy, draw_latency
from hwsim.view.style import SCALES
from hwsim.view.utilisation import draw_utilisation, utilisation_figure
from hwsim.view.width import WIDTHS, Width, scaled
from tests.cli.calling import answer, call
from tests.view.test_plot import drawn, energy_j, texts

NARROW: tuple[Width, ...] = ("page", "column")


@pytest.fixture(scope="module")
def rate() -> Result:
    return hwsim.simulate(synthesise("tiny", timesteps=3, samples=3, density=0.2), "event_core_16")


@pytest.fixture(scope="module")
def dense() -> Result:
    return hwsim.simulate(synthesise("tiny", timesteps=3, samples=3, density=0.5, seed=1), "event_core_16")


@pytest.fixture(scope="module")
def points() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"latency_ms": rng.uniform(0.1, 9, 60), "energy_uj": rng.uniform(1, 400, 60), "lanes": range(60)})


CURVES = [Curve(f"an account of {'many ' * (n % 3)}words, {n}", [(t, 3 * 0.6 ** n / t) for t in (1, 4, 16)]) for n in range(9)]
TRACES = [("a_trace_of_a_long_name_bit_serial_t4", 1, 0.1), ("another_trace_of_a_long_name_rate_t4", 1, 0.101)]
BANDS = [Threshold("a band", 0.3, 0.9), Threshold("a line, spikes per synapse", 0.3, 0.3), Threshold("a mark", 0.3, 0.3, 5)]
ACCOUNTS = [AccountMark("an account", 3.2, "SNN"), AccountMark("another one of many words, int32", 0.01, "ANN"),
            AccountMark("lacks", None, None, "lacks: " + "an input and " * 9), AccountMark("open", None, None, "lacks: much"),
            AccountMark("a band", 0.5, "ANN", low=0.1, high=0.6)]


def legible(figure: Figure, least: float) -> bool:
    """As that of tests/view/test_plot.py, with letters of at least so many points."""
    figure.canvas.draw()
    shown = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    unseen = [label for axes in figure.axes for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim()))
              for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()) for label in (tick.label1, tick.label2)
              if not min(limits) <= tick.get_loc() <= max(limits)]
    shown = [t for t in shown if t not in unseen]
    boxes = [t.get_window_extent().padded(-0.5) for t in shown]
    for text, box in zip(shown, boxes, strict=True):
        assert text.get_fontsize() >= least - 1e-6, text
        assert min(box.x0, box.y0) >= 0, text
        assert box.x1 <= figure.bbox.width, text
        assert box.y1 <= figure.bbox.height, text
    for (a, box_a), (b, box_b) in itertools.combinations(zip(shown, boxes, strict=True), 2):
        assert not box_a.overlaps(box_b), (a, b)
    return True


FIGURES: dict[str, Callable[[Result, Result, pd.DataFrame, Width], Figure]] = {
    "activity": lambda a, b, _, width: activity_figure(a, width=width),
    "utilisation": lambda a, b, _, width: utilisation_figure(a, width=width),
    "roofline": lambda a, b, _, width: roofline_figure([a], width=width),
    "rooflines": lambda a, b, _, width: roofline_figure([a, b], width=width),
    "density": lambda a, b, _, width: density_figure([a, b], width=width),
    "energy": lambda a, b, _, width: energy_figure([a], width),
    "break-even": lambda a, b, _, width: breakeven_figure(CURVES, TRACES, BANDS, "break-even", width),
    "break-even at one T": lambda a, b, _, width: breakeven_figure(
        [Curve(curve.title, curve.points[:1]) for curve in CURVES], TRACES, BANDS, "break-even", width),
    "assume": lambda a, b, _, width: assume_figure(ACCOUNTS, "who wins", width),
    "energies": lambda a, b, _, width: energy_figure([a, b], width),
    "latency": lambda a, b, _, width: latency_figure([a], width),
    "latencies": lambda a, b, _, width: latency_figure([a, b], width),
    "schedule": lambda a, b, _, width: schedule_figure([a, b], width=width),
    "pareto": lambda a, b, points, width: pareto_figure(
        points, hwsim.pareto(points, ["latency_ms", "energy_uj"]), [f"lanes {n}" for n in range(30)], width=width),
}


@pytest.mark.parametrize("width", ["column", *(pytest.param(width, marks=pytest.mark.slow) for width in ("page", "screen"))])
@pytest.mark.parametrize("name", FIGURES)
def test_words_are_legible_at_every_width(name: str, width: Width, rate: Result, dense: Result, points: pd.DataFrame) -> None:
    figure = FIGURES[name](rate, dense, points, width)
    assert figure.get_figwidth() == pytest.approx(WIDTHS[width].inches)
    assert legible(figure, 8 * WIDTHS[width].scale)


@pytest.mark.parametrize("draw", [draw_activity, draw_utilisation, draw_lanes])
def test_functions_of_one_run_take_an_axis_and_return_it(draw: Callable[..., Axes], rate: Result) -> None:
    axes = Page(4.0).axes(2.0, 0.5, 5.0, 3.0)
    assert draw(rate, axes) is axes
    assert draw(rate).figure is not axes.figure


@pytest.mark.parametrize("draw", [draw_energy, draw_latency, draw_roofline, draw_density])
def test_functions_of_several_runs_take_an_axis_and_return_it(draw: Callable[..., Axes], rate: Result, dense: Result) -> None:
    axes = Page(4.0).axes(2.0, 0.5, 5.0, 3.0)
    assert draw([rate, dense], axes) is axes
    assert draw([rate, dense]).figure is not axes.figure


# -- numbers -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["spike_out", "acc_add", "channel_read_bits"])
def test_cells_of_the_activity_add_up_to_the_counts(rate: Result, event: str) -> None:
    counts = rate.activity.loc[rate.activity["event"] == event, "count"]
    assert activity_rows(rate, event)["count"].sum() == pytest.approx(counts.sum())
    image = draw_activity(rate, event=event).images[0].get_array()
    assert image is not None
    rows = activity_rows(rate, event)
    assert image.shape == (rows["layer"].nunique(), rows["timestep"].nunique())


def test_shares_of_the_lanes_are_cycles_times_lanes(rate: Result) -> None:
    rows = utilisation_rows(rate)
    frame = rate.cycles_frame
    spent = frame[(frame["resource"] == "core") & (frame["cause"] != WAIT)].groupby("layer")["cycles"].sum()
    found = rows.groupby("layer")["lane_cycles"].sum()
    assert (rows["lane_cycles"] >= 0).all()
    for layer in rate.facts.layers:
        assert found[layer] == pytest.approx(16 * spent[layer])
    assert rows.loc[rows["part"] == "additions", "lane_cycles"].sum() == pytest.approx(rate.synaptic_operations)
    used = rows.loc[rows["part"] == "additions", "lane_cycles"].sum() / (16 * rate.cycles.mean())
    assert used == pytest.approx(rate.utilisation)


def test_operations_and_bytes_of_the_roofline_are_those_that_were_counted(rate: Result) -> None:
    rows = roofline_rows(rate)
    whole, layers = rows[rows["layer"] == ""].iloc[0], rows[rows["layer"] != ""]
    assert whole["operations"] == pytest.approx(rate.synaptic_operations)
    assert layers["operations"].sum() == pytest.approx(rate.synaptic_operations)
    moved = rate.activity[rate.activity["event"].str.startswith("channel_")]["count"].sum() / 8
    assert whole["off_chip_bytes"] == pytest.approx(moved)
    count = rate.activity.groupby("event")["count"].sum()
    design = rate.architecture.cores[0]
    memories = {"weight_read": "weight", "membrane_read_accumulate": "membrane", "buffer_read": "spike"}
    least = sum(count[event] * design.row_bits[memory] / 8 for event, memory in memories.items())
    assert whole["on_chip_bytes"] > least
    assert roofs(rate)["operations_per_s"] == 16 * rate.architecture.clock
    for row in rows.to_dict("records"):  # nothing is above its roofs
        for way in ("on_chip", "off_chip"):
            assert row[f"{way}_bytes"] <= roofs(rate)[f"{way}_bytes_per_s"] * rate.latency_s
        assert row["operations_per_s"] <= roofs(rate)["operations_per_s"]


def test_density_is_spikes_per_neuron_and_timestep(rate: Result, dense: Result) -> None:
    trace = synthesise("tiny", timesteps=3, samples=3, density=0.2)
    rows = density_rows(rate)
    for place, sample in enumerate(rows["sample"]):
        recorded = list(trace.sample(sample).recorded.values())
        spikes, neurons = sum(int((p != 0).sum()) for p in recorded), sum(p.size for p in recorded)
        assert rows["density"][place] == pytest.approx(spikes / neurons)
    assert rows["pj_per_operation"].to_numpy() * rate.layer_counts.sum(axis=(1, 2))[
        :, list(hwsim.activity.EVENTS).index("acc_add")] == pytest.approx(rate.sample_energy_pj["core"])
    assert density_rows(dense)["density"].mean() > rows["density"].mean()


def test_bars_of_a_column_add_up_to_the_energy_and_the_latency(rate: Result, dense: Result) -> None:
    assert sum(drawn(draw_energy([rate]))) == pytest.approx(energy_j(rate))
    assert drawn(draw_energy([rate, dense])) == pytest.approx([energy_j(rate), energy_j(dense)])
    assert sum(drawn(draw_latency([rate]))) == pytest.approx(rate.latency_s)
    assert drawn(draw_latency([rate, dense])) == pytest.approx([rate.latency_s, dense.latency_s])


def test_the_front_is_drawn_as_stairs_and_no_point_lies_below_it(points: pd.DataFrame) -> None:
    front = hwsim.pareto(points, ["latency_ms", "energy_uj"])
    axes = draw_pareto(points, front)
    (stairs,) = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    xs, ys = np.asarray(stairs.get_xdata()), np.asarray(stairs.get_ydata())
    assert sorted(zip(xs, ys, strict=True)) == sorted(zip(front["latency_ms"], front["energy_uj"], strict=True))
    for x, y in points[["latency_ms", "energy_uj"]].to_numpy():
        below = [b for a, b in zip(xs, ys, strict=True) if a <= x]
        assert not below or y >= min(below)
    said = {name for text in axes.texts for name in text.get_text().split(", ")}
    assert said == set(letters(len(front)))


# -- words and colours -------------------------------------------------------------------------------------------------------


def test_runs_are_told_apart_by_what_differs(rate: Result, dense: Result) -> None:
    assert len(set(run_labels([rate, dense, rate]))) == 3
    step = hwsim.simulate(synthesise("tiny", timesteps=3, samples=1), "event_core_16", schedule="step_by_step")
    assert run_labels([rate, step]) == ["rate T=3, layer by layer", "rate T=3, step by step"]


def test_long_names_of_layers_stay_apart_in_a_column(rate: Result) -> None:
    names = {name: f"backbone.stage{i // 9}.block{i}.convolution" for i, name in enumerate(rate.facts.layers)}
    bits = {field: {names[name]: n for name, n in getattr(rate.facts, field).items()} for field in ("payload_bits", "value_bits")}
    long = replace(rate, facts=replace(rate.facts, layers=list(names.values()), **bits))
    said = [label.get_text() for label in energy_figure([long], "column").axes[0].get_yticklabels()]
    said = [text for text in said if text.endswith("convolution")]
    assert len(said) == len(set(said)) == len(names)
    assert all(text.startswith("…") for text in said)


def test_layers_of_two_networks_have_two_colour_scales() -> None:
    traces = (synthesise("tiny", samples=1), hwsim.load_example())
    results = [hwsim.simulate(trace, "event_core_64", samples=1) for trace in traces]
    assert len(networks(results)) == 2
    segments = [s for s in energy_by_layer(results) if s.network]
    by_network = {n: {s.look.colour for s in segments if s.network == n} for n in (1, 2)}
    assert not by_network[1] & by_network[2]
    assert len(SCALES) > 2
    for segment in segments:  # a layer is in the bars of its own network only
        assert segment.values[2 - segment.network] == 0
    assert {"Network 1", "Network 2"} <= set(texts(energy_figure(results)))
    assert "Network 1" not in texts(energy_figure(results[:1] * 2))


@pytest.mark.parametrize("width", NARROW)
def test_a_scaled_figure_is_the_sheet_made_smaller(width: Width) -> None:
    def sheet() -> Figure:
        page = Page(3.0, 5.0)
        axes = page.axes(1.0, 0.5, 3.5, 2.0)
        axes.plot([0, 1], [0, 1], "o-", linewidth=3)
        axes.bar([0.2], [0.5], 0.1, linewidth=2, edgecolor="black")
        axes.annotate("here", (0.5, 0.5), xytext=(10, 20), textcoords="offset points")
        axes.set_xlabel("words", labelpad=7)
        axes.tick_params(length=6, pad=9)
        page.text(0.2, 0.3, "title", size=12)
        return page.figure

    large, small, scale = sheet(), scaled(sheet(), width), WIDTHS[width].scale
    for figure in (large, small):
        figure.canvas.draw()
    for a, b in zip(large.findobj(Text), small.findobj(Text), strict=True):
        if a.get_text():
            assert np.array(b.get_window_extent().p0) == pytest.approx(scale * np.array(a.get_window_extent().p0), abs=1.6), a
            assert b.get_fontsize() == pytest.approx(scale * a.get_fontsize())
    widths, smaller = ([line.get_linewidth() for line in figure.axes[0].lines] for figure in (large, small))
    assert smaller == [scale * one for one in widths]


def test_what_is_hardly_there_has_no_entry_in_the_legend(rate: Result) -> None:
    rows = utilisation_rows(rate)
    thin = rows[rows["share"] < 0.005].groupby("part").size()
    hidden = {part for part, n in thin.items() if n == rows["layer"].nunique()}
    said = texts(utilisation_figure(rate))
    assert ("no event" in said) == ("idle" not in hidden)
    assert ("stalls" in said) == ("stall" not in hidden)


# -- refusals ----------------------------------------------------------------------------------------------------------------


def test_what_cannot_be_drawn_is_refused(rate: Result, points: pd.DataFrame) -> None:
    with pytest.raises(FigureError, match="unknown event 'spikes'"):
        activity_figure(rate, event="spikes")
    with pytest.raises(FigureError, match="never happened"):
        draw_activity(rate, event="requant")
    with pytest.raises(FigureError, match="different roofs"):
        roofline_figure([rate, hwsim.simulate(synthesise("tiny", samples=1), "event_core_64")])
    for draw in (roofline_figure, draw_energy, draw_latency):
        with pytest.raises(FigureError, match="at least one"):
            draw([])
    with pytest.raises(FigureError, match="no point has both"):
        draw_pareto(points.assign(energy_uj=float("nan")), points)


def test_cycles_beyond_the_end_are_refused_with_the_length(rate: Result) -> None:
    last = int(rate.cycles[0])
    with pytest.raises(FigureError, match=f"ends after {last:,} cycles.*give cycles from 0 to {last}"):
        schedule_figure([rate], cycles=(last, last + 10))
    axes = schedule_figure([rate], cycles=(last - 50, last + 10**6)).axes[0]
    assert axes.get_xlim() == (last - 50, last)


@pytest.mark.parametrize("steps", [[4], [1, 4, 16]])
def test_a_break_even_is_seen_for_one_number_of_steps_as_for_many(steps: list[int]) -> None:
    curves = [Curve(f"account {n}", [(t, 0.9 ** n / t) for t in steps]) for n in range(9)]
    curves.append(Curve("far above", [(t, 1000.0) for t in steps]))
    thresholds = [Threshold("band", 0.3, 0.9), Threshold("mark", 0.3, 0.3, 5)]
    figure = breakeven_figure(curves, [("trace", 4, 0.1)], thresholds, "t" * 60)
    figure.canvas.draw()
    axes = figure.axes[0]
    if len(steps) == 1:
        marks = {round(float(np.asarray(line.get_xdata())[0]), 6) for line in axes.lines if line.get_marker() == "o"}
        assert {round(curve.points[0][1], 6) for curve in curves[:-1]} <= marks
    else:
        assert "account 8" in texts(figure)
        assert "far above" not in texts(figure)


@pytest.mark.parametrize("steps", [[4], [1, 4, 16]])
def test_names_of_traces_lie_on_no_line_and_numbers_of_traces_not_on_each_other(steps: list[int]) -> None:
    """Names stand below the axes; two traces of one T and nearly one rate have numbers beside each other."""
    curves = [Curve(f"account {n}", [(t, 0.9 ** n / t) for t in steps]) for n in range(3)]
    traces = [("one trace", 4, 0.1), ("another trace", 4, 0.101), ("a third", 4, 0.129)]
    figure = breakeven_figure(curves, traces, [], "title", "column")
    figure.canvas.draw()
    axes = figure.axes[0]
    numbers = [text for text in axes.texts if text.get_text() in "123"]
    boxes = [text.get_bbox_patch().get_window_extent() for text in numbers]  # type: ignore[union-attr]
    assert len(boxes) == 3
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    said = [text for text in figure.texts if "1: one trace; 2: another trace" in text.get_text()]
    assert said
    assert not said[0].get_window_extent().overlaps(axes.get_window_extent())


def test_the_energy_of_one_run_fills_both_halves_with_the_same_colours(rate: Result) -> None:
    left, right = energy_figure([rate]).axes
    assert left.get_position().height > 0.6 * right.get_position().height
    colours = [{to_hex(bar.get_facecolor()) for bar in axes.patches if isinstance(bar, Rectangle) and bar.get_width()}
               for axes in (left, right)]
    assert colours[0] <= colours[1]


# -- the command -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", ["column", pytest.param("page", marks=pytest.mark.slow)])
def test_files_are_as_wide_as_was_asked_for(width: Width, rate: Result, tmp_path: Path) -> None:
    figure, points = utilisation_figure(rate, width=width), WIDTHS[width].inches * 72
    png, svg, pdf = (write_figure(figure, tmp_path / f"f.{kind}").read_bytes() for kind in ("png", "svg", "pdf"))
    assert int.from_bytes(png[16:20]) == pytest.approx(WIDTHS[width].inches * 160, abs=1)
    assert float(svg.decode().partition('width="')[2].partition("pt")[0]) == pytest.approx(points)
    assert float(pdf.partition(b"/MediaBox [")[2].split()[2]) == pytest.approx(points, abs=0.01)


def test_every_figure_of_the_command_has_its_numbers(rate: Result, tmp_path: Path) -> None:
    run = tmp_path / "run"
    rate.save(run)
    for name in ("schedule", "cores", "energy", "latency", "activity", "utilisation", "roofline", "density"):
        found = answer("plot", name, run, "--out", tmp_path / f"{name}.svg", "--width", "column")
        assert found["figure"] == str(tmp_path / f"{name}.svg")
        assert found["rows"]
        assert all(row["run"] == str(run) for row in found["rows"])
    energies = answer("plot", "energy", run, "--out", tmp_path / "again.png")["rows"]
    assert sum(row["joules"] for row in energies) == pytest.approx(rate.energy_pj["system"] * 1e-12)
    done = call("plot", "schedule", run, "--out", tmp_path / "late.png", "--cycles", f"{10**8}:{2 * 10**8}")
    assert done.returncode == 2
    assert "ends after" in done.stderr
    assert not (tmp_path / "late.png").exists()


@pytest.mark.slow
def test_a_study_is_drawn_from_its_folder(tmp_path: Path) -> None:
    study = tmp_path / "study"
    trace = tmp_path / "t.h5"
    synthesise("tiny", timesteps=2, samples=1).save(trace)
    done = call("sweep", trace, "--arch", "event_core_16", "--set", "core.lanes=4,8,16", "--workers", 1, "--out", study)
    assert done.returncode == 0, done.stderr
    found = answer("plot", "pareto", study, "--out", tmp_path / "p.pdf")
    assert len(found["points"]) == 3
    assert [row["latency_ms"] for row in found["front"]] == sorted(row["latency_ms"] for row in found["front"])
    assert json.loads(json.dumps(found)) == found
    wrong = call("plot", "pareto", study, "--out", tmp_path / "q.pdf", "--delay", "latency")
    assert "found no such column" in wrong.stderr




def test_a_column_leaves_the_bars_of_latency_most_of_its_width(rate: Result) -> None:
    assert latency_figure([rate], "column").axes[0].get_position().width > 0.5
