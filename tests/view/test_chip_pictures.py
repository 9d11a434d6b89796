"""Pictures of chips hold what the frames of a result hold: lanes, maps of the mesh, lines against the number of cores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from hwsim.arch import SHORT_FORM, Architecture, dump_architecture, load_architecture, rebuild_architecture
from hwsim.cli import load_command
from hwsim.result import Result
from hwsim.simulation import simulate
from hwsim.view.figure_file import FigureError, write_figure
from hwsim.view.lanes import RUN, draw_lanes, layer_looks, schedule_figure
from hwsim.view.mesh import core_energies_pj, draw_mesh, layer_shares, link_loads, mesh_figure, whole_chip_pj
from hwsim.view.page import Page
from hwsim.view.scaling import SPREAD, WHOLE, CorePoint, core_points, cores_figure, draw_against_cores
from hwsim.view.style import LEAKAGE
from tests.conftest import ROOT
from tests.view.test_plot import legible

TRACE = ROOT / "traces" / "methods" / "fashion_mnist_tiny_rate_t4.h5"


def chip(cores: int, **network: Any) -> Architecture:
    data = dump_architecture(load_architecture("event_core_64"))
    entry = {name: data.pop(name) for name in SHORT_FORM}
    entry["memories"] = {**entry["memories"], "membrane": "256 KiB", "current": "256 KiB"}
    links = {"mesh": [2, (cores + 1) // 2], "flit_bits": 32, "hop_cycles": 1, "address_bits": 14, "header_bits": 4}
    return rebuild_architecture({**data, "name": f"chip{cores}", "cores": [entry | {"count": cores}],
                                 "network": {**links, "encoding": "aer", **network}})


def replay(arch: Architecture, schedule: str = "pipelined") -> Result:
    return simulate(TRACE, arch, schedule=schedule, samples=2, check=False)


@pytest.fixture(scope="module")
def four() -> dict[str, Result]:
    return {schedule: replay(chip(4), schedule) for schedule in ("layer_by_layer", "pipelined")}


def bars(axes: Any) -> list[tuple[int, str, float, float, bool]]:
    """(lane, colour, start, end, run) of all bars of a picture of lanes."""
    found = []
    for collection in axes.collections:
        if isinstance(collection, PolyCollection) and len(collection.get_facecolor()):
            colour = matplotlib.colors.to_hex(collection.get_facecolor()[0])
            for path in collection.get_paths():
                (left, top), (right, _) = path.vertices.min(axis=0), path.vertices.max(axis=0)
                found.append((int(top), colour, float(left), float(right), bool(np.isclose(top % 1, RUN[0]))))
    return found


@pytest.mark.parametrize("schedule", ["layer_by_layer", "pipelined"])
@pytest.mark.parametrize("sample", [0, 1])
def test_lanes_hold_every_operation_of_the_timeline(four: dict[str, Result], schedule: str, sample: int) -> None:
    result = four[schedule]
    axes = draw_lanes(result, sample=sample)
    names = [text.get_text() for text in axes.get_yticklabels()]
    frame = result.timeline
    frame = frame[(frame["sample"] == result.facts.sample_indices[sample]) & (frame["start_cycle"] < frame["end_cycle"])]
    colours = {name: look.colour.lower() for name, look in layer_looks(result).items()}
    thinnest = 0.005 * axes.get_xlim()[1]  # thinner bars are drawn as wide as an eye sees
    expected = sorted((names.index(row["resource"] or row["core"]), colours[row["layer"]], row["start_cycle"], row["end_cycle"],
                       row["kind"] == "run" or row["resource"] == "channel") for row in frame.to_dict("records"))
    drawn = sorted(bars(axes))
    assert [one[:3] for one in drawn] == [one[:3] for one in expected]
    assert [one[4] for one in drawn] == [one[4] for one in expected]
    assert [one[3] for one in drawn] == pytest.approx([one[3] for one in expected], abs=thinnest)
    assert axes.get_xlim() == (0, result.cycles[sample])


def test_cores_stand_in_the_order_in_which_they_begin(four: dict[str, Result]) -> None:
    result = four["pipelined"]
    names = [text.get_text() for text in draw_lanes(result).get_yticklabels()]
    runs = result.timeline[(result.timeline["kind"] == "run") & (result.timeline["sample"] == 0)]
    begins = [runs.loc[runs["core"] == name, "start_cycle"].min() for name in names[1:]]
    assert names[0] == "channel"
    assert begins == sorted(begins)


def test_schedules_below_each_other_share_their_time(four: dict[str, Result]) -> None:
    figure = schedule_figure(list(four.values()))
    assert len(figure.axes) == 2
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    assert figure.axes[0].get_xlim()[1] == max(result.cycles[0] for result in four.values())
    assert legible(figure)
    window = schedule_figure(list(four.values()), cycles=(100, 400))
    assert {axes.get_xlim() for axes in window.axes} == {(100, 400)}


def test_energies_of_a_map_and_of_the_whole_chip_are_the_core_scope(four: dict[str, Result]) -> None:
    for result in four.values():
        leaks = result.energy.loc[result.energy["unit"] == LEAKAGE, "energy_pj"].sum()
        assert whole_chip_pj(result) >= leaks > 0
        assert sum(core_energies_pj(result).values()) + whole_chip_pj(result) == pytest.approx(result.energy_pj["core"])


def test_loads_of_a_map_are_those_of_the_frame(four: dict[str, Result]) -> None:
    result = four["pipelined"]
    loads = link_loads(result)
    assert len(loads) == 8
    held = result.busy_frame[result.busy_frame["resource"].str.contains(">")]
    assert len(held)
    assert sorted(load for load in loads.values() if load) == pytest.approx(sorted(held["share"]))


def test_stripes_of_a_core_fill_it() -> None:
    shares = layer_shares(replay(chip(4, placement="spread")))
    assert all(sum(mine.values()) == pytest.approx(1) for mine in shares.values() if mine)
    assert max(map(len, shares.values())) > 1


@pytest.mark.parametrize("cores", [1, 4, pytest.param(16, marks=pytest.mark.slow)])
def test_maps_are_legible(cores: int) -> None:
    assert legible(mesh_figure(replay(chip(cores, mesh=[1, 1] if cores == 1 else [4, 4], placement="spread"))))


def test_points_of_results_are_their_latency_energy_and_placement(four: dict[str, Result]) -> None:
    results = [replay(chip(1, mesh=[1, 1])), four["pipelined"], replay(chip(4, placement="spread"))]
    points = core_points(results)
    assert [(p.cores, p.placement) for p in points] == [(1, None), (4, WHOLE), (4, SPREAD)]
    for point, result in zip(points, results, strict=True):
        assert (point.cycles, point.energy_j) == (result.cycles.mean(), result.energy_pj["core"] * 1e-12)
    for quantity, values in (("latency", [r.cycles.mean() / 1e3 for r in results]),
                             ("energy", [r.energy_pj["core"] / 1e6 for r in results])):
        lines = [line for line in draw_against_cores(points, quantity).lines if line.get_marker() in ("o", "s")]
        assert [list(line.get_ydata()) for line in lines] == [pytest.approx([values[0], values[n]]) for n in (1, 2)]
    assert legible(cores_figure(points))


def test_a_tick_shows_free_links() -> None:
    points = [CorePoint("x", "pipelined", None, 1, 100.0, 1.0, 90.0), CorePoint("x", "pipelined", WHOLE, 4, 50.0, 2.0, 20.0)]
    ticks = [list(line.get_ydata()) for line in draw_against_cores(points).lines if line.get_marker() == "_"]
    assert ticks == [[0.1, 0.09], [0.05, 0.02]]


def test_functions_take_and_return_an_axis(four: dict[str, Result]) -> None:
    axes = Page(3.0).axes(1, 0.5, 6, 2)
    result = four["pipelined"]
    assert draw_lanes(result, axes) is axes
    for show in ("placement", "energy", "load"):
        axes = Page(4.0).axes(1, 0.5, 3, 3)
        assert draw_mesh(result, show, axes) is axes
        assert axes.patches
    axes = Page(3.0).axes(1, 0.5, 6, 2)
    assert draw_against_cores(core_points([result]), "energy", axes) is axes


def test_what_cannot_be_drawn_is_refused(four: dict[str, Result]) -> None:
    lone = simulate(TRACE, "event_core_64", samples=1, check=False)
    with pytest.raises(FigureError, match="no network, so there is no mesh"):
        mesh_figure(lone)
    assert draw_lanes(lone).get_yticklabels()[1].get_text() == "core", "lanes need no network"
    with pytest.raises(FigureError, match="sample 2 was not replayed, found 2 samples; give 0 to 1"):
        draw_lanes(four["pipelined"], sample=2)
    with pytest.raises(FigureError, match="no results"):
        schedule_figure([])
    with pytest.raises(FigureError, match="no points"):
        cores_figure([])
    other = simulate(ROOT / "traces" / "fashion_mnist_ann.h5", "mac_core_64", samples=1, check=False)
    with pytest.raises(FigureError, match="different layers"):
        schedule_figure([lone, other])
    with pytest.raises(FigureError, match="unknown map 'heat', allowed are placement, energy, load"):
        draw_mesh(four["pipelined"], "heat")  # type: ignore[arg-type]


@pytest.mark.parametrize(("end", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_picture_is_written_as_its_name_ends_and_always_the_same(four: dict[str, Result], tmp_path: Path, end: str,
                                                                   start: bytes) -> None:
    written = [write_figure(schedule_figure([four["pipelined"]]), tmp_path / f"{n}.{end}").read_bytes() for n in range(2)]
    assert written[0].startswith(start)
    assert written[0] == written[1]


def test_the_command_draws_saved_runs(four: dict[str, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, result in four.items():
        result.save(tmp_path / name)
    runs, command = [str(tmp_path / name) for name in four], load_command("plot")
    for kind, given in (("schedule", runs), ("mesh", runs[1:]), ("cores", runs), ("energy", runs[:1])):
        out = tmp_path / f"{kind}.svg"
        command.main([kind, *given, "-o", str(out)], standalone_mode=False)
        assert out.read_bytes().startswith(b"<?xml")
    drawn: list[Figure] = []
    monkeypatch.setattr("hwsim.view.lanes.schedule_figure", lambda *a, **k: drawn.append(a))
    with pytest.raises(Exception, match=r"x\.jpg: a figure is written as \.png, \.svg, \.pdf; found \.jpg"):
        command.main(["schedule", *runs, "-o", str(tmp_path / "x.jpg")], standalone_mode=False)
    with pytest.raises(Exception, match="exists; give another name or --force"):
        command.main(["schedule", *runs, "-o", str(tmp_path / "mesh.svg")], standalone_mode=False)
    with pytest.raises(Exception, match="--cycles: found '9:3', expected A:B"):
        command.main(["schedule", *runs, "-o", str(tmp_path / "y.svg"), "--cycles", "9:3"], standalone_mode=False)
    assert not drawn
