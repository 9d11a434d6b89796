"""Events of a camera as planes: no event is lost in silence, planes partition the events, binary planes are counts above zero."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.lib.recfunctions import unstructured_to_structured
from numpy.typing import NDArray

import hwsim
from hwsim.capture import event_planes
from hwsim.capture.event_files import read_events
from hwsim.capture.inputs import read_inputs
from tests.cli.calling import answer, call

W, H = 7, 5
WAYS: list[dict[str, Any]] = [
    {"time_bins": 1}, {"time_bins": 6}, {"time_bins": 60}, {"time_window": 37}, {"time_window": 400}, {"time_window": 90.5},
    {"event_count": 16}, {"event_count": 7}, {"event_count": 10_000}, {"time_window": 100, "timesteps": 4},
    {"event_count": 20, "timesteps": 3},
]


def recording(seed: int = 0, count: int = 200, kind: str = "i8", polarity: tuple[int, int] = (0, 1)) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    made = np.zeros(count, [("t", kind), ("x", "u2"), ("y", "<i4"), ("p", "i1")])
    made["t"], made["x"], made["y"] = np.sort(rng.integers(50, 1000, count)), rng.integers(0, W, count), rng.integers(0, H, count)
    made["p"] = rng.choice(polarity, count)
    return made


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("polarity", ["channels", "merged"])
def test_counts_hold_every_event_once(way: dict[str, Any], polarity: Any) -> None:
    given = [recording(0), recording(1, 90)]
    made = event_planes(given, (W, H), values="counts", polarity=polarity, **way)
    assert int(made.inputs.sum()) + made.late == made.events == 290
    assert (made.clipped, made.merged) == (0, 0)
    assert bool(made.late) == ("timesteps" in way)
    clipped = event_planes(given, (W, H), values="counts", polarity=polarity, count_bits=1, **way)
    assert int(clipped.inputs.sum()) + clipped.late + clipped.clipped == 290
    assert clipped.inputs.max() == 1


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_binary_planes_are_counts_above_zero(way: dict[str, Any]) -> None:
    given = [recording(0), recording(1, 90)]
    spikes = event_planes(given, (W, H), **way)
    counts = event_planes(given, (W, H), values="counts", **way)
    assert spikes.inputs.dtype == bool
    assert spikes.inputs.shape == (2, spikes.planes, 2, H, W)
    assert (spikes.inputs == (counts.inputs > 0).reshape(spikes.inputs.shape)).all()
    assert int(spikes.inputs.sum()) + spikes.merged + spikes.late == spikes.events


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_each_event_is_in_the_plane_that_a_loop_puts_it_in(way: dict[str, Any]) -> None:
    """The definition, event by event, in exact arithmetic."""
    from fractions import Fraction

    given = recording(3)
    made = event_planes([given], (W, H), values="counts", **way).inputs
    expected = np.zeros_like(made)
    first, last = int(given["t"][0]), int(given["t"][-1])
    for index, event in enumerate(given):
        since = int(event["t"]) - first
        if "time_bins" in way:
            plane = Fraction(since * way["time_bins"], last - first + 1).__floor__()
        elif "time_window" in way:
            plane = (since / Fraction(way["time_window"])).__floor__()
        else:
            plane = index // way["event_count"]
        if plane < way.get("timesteps", 10**9):
            expected[0, 2 * plane + event["p"], event["y"], event["x"]] += 1
    assert (made == expected).all()


@pytest.mark.parametrize("kind", ["u4", "i8", "f8"])
def test_bins_are_of_equal_time_whatever_the_type(kind: str) -> None:
    made = np.zeros(1000, [("x", "i4"), ("y", "i4"), ("t", kind), ("p", "?")])
    made["t"] = np.arange(1000)
    counts = event_planes([made], (1, 1), time_bins=10, values="counts", polarity="merged").inputs
    assert (np.abs(counts.ravel().astype(int) - 100) <= (1 if kind == "f8" else 0)).all()
    made["t"] = 5
    alone = event_planes([made], (1, 1), time_bins=10, values="counts", polarity="merged").inputs.ravel()
    assert alone.tolist() == [1000, *[0] * 9], "events of one time are in one bin"


def test_both_codings_of_polarity_are_one() -> None:
    zero, minus = recording(0), recording(0, polarity=(-1, 1))
    planes = [event_planes([r], (W, H), time_bins=4).inputs for r in (zero, minus)]
    assert (planes[0] == planes[1]).all()
    merged = event_planes([zero], (W, H), time_bins=4, polarity="merged").inputs
    assert (merged[:, :, 0] == planes[0].any(axis=2)).all()


def written(folder: Path, events: NDArray[Any]) -> dict[str, Path]:
    """One recording in every layout that is read."""
    paths = {name: folder / name for name in ("a.npy", "b.npz", "c.npz", "d.h5", "e.hdf5", "f.h5")}
    np.save(paths["a.npy"], events)
    np.savez(paths["b.npz"], events=events, other=np.arange(3))
    np.savez(paths["c.npz"], **{name: events[name] for name in "xytp"})
    with h5py.File(paths["d.h5"], "w") as root:
        root["deep/events"] = events
    for name, group in (("e.hdf5", "/"), ("f.h5", "/events")):
        with h5py.File(paths[name], "w") as root:
            for field in "xytp":
                root.require_group(group)[field] = events[field]
    return paths


def test_every_kind_of_file_holds_the_same_events(tmp_path: Path) -> None:
    events = recording()
    for path in written(tmp_path, events).values():
        found = read_events(path)
        assert all((found[name] == events[name]).all() for name in "xytp"), path


def test_a_file_of_several_recordings_is_asked_which(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", left=recording(0), right=recording(1))
    with pytest.raises(hwsim.CaptureError, match="'left', 'right'.*--key"):
        read_events(tmp_path / "two.npz")
    assert (read_events(tmp_path / "two.npz", "right")["x"] == recording(1)["x"]).all()
    with pytest.raises(hwsim.CaptureError, match="'up', expected one of 'left', 'right'"):
        read_events(tmp_path / "two.npz", "up")


def changed(field: str, index: int, value: Any) -> NDArray[Any]:
    made = recording()
    made[field][index] = value
    return made


def as_objects() -> NDArray[Any]:
    return recording().astype([("t", "O"), ("x", "i4"), ("y", "i4"), ("p", "i1")])


BAD: list[tuple[Any, str]] = [
    (recording()[["x", "y", "t"]], "no p, expected a structured array with the fields x, y, t and p"),
    (unstructured_to_structured(np.zeros((3, 4)), names=["x", "y", "ts", "pol"]), "fields x, y, ts, pol: no t, p"),
    (np.zeros((3, 4)), "ndarray without fields"), (changed("x", 17, W), f"x of event 17: found {W} .*expected 0 to {W - 1}"),
    (changed("y", 3, -1), "y of event 3: found -1"), (changed("t", 100, 5), "t of event 100: found 5.*sort the events"),
    (changed("p", 9, 2), "p: found values 0, 1, 2, expected 0 and 1, or -1 and 1"), (changed("p", 9, -1), "values -1, 0, 1"),
    (recording(count=0), "events: found none, expected at least one event"), (as_objects(), "t: found object"),
    (recording().astype([("t", "f8"), ("x", "f4"), ("y", "i4"), ("p", "i1")]), "x: found float32"),
    ({"x": [1, 2], "y": [1, 2], "t": [1], "p": [0, 1]}, "2 x, 2 y, 1 t, 2 p"),
    (recording().reshape(2, 100), r"of shape \(2, 100\)"), (changed("t", 199, 1 << 62), r"-2\*\*62"),
]


@pytest.mark.parametrize(("events", "text"), BAD, ids=[text[:24] for _, text in BAD])
def test_a_recording_that_is_none_is_refused(events: Any, text: str) -> None:
    with pytest.raises(hwsim.CaptureError, match=text):
        event_planes([recording(1), events], (W, H), time_bins=4)


def test_times_that_are_no_numbers_are_refused() -> None:
    made = recording(kind="f8")
    made["t"][7] = np.nan
    with pytest.raises(hwsim.CaptureError, match="t of event 7: found nan"):
        event_planes([made], (W, H), time_bins=4)


@pytest.mark.parametrize(("settings", "text"), [
    ({}, "binning: found nothing"), ({"time_bins": 3, "event_count": 4}, "event_count and time_bins"),
    ({"time_bins": 0}, "time_bins"), ({"time_bins": 65}, "65 per recording, expected 1 to 64 timesteps"),
    ({"time_window": 1}, "cut them off with timesteps"), ({"time_window": -1}, "time_window"),
    ({"time_window": float("nan")}, "time_window"), ({"time_bins": 4, "timesteps": 4}, "alone"),
    ({"time_bins": 4, "values": "grey"}, "binary or counts"), ({"time_bins": 4, "polarity": "on"}, "channels or merged"),
    ({"time_bins": 4, "count_bits": 17}, "count_bits"), ({"time_bins": 4, "labels": [1, 2]}, r"labels: found shape \(2,\)"),
    ({"time_bins": 4, "labels": [-1]}, "labels"), ({"time_bins": 4, "samples": 2}, "samples"),
    ({"time_bins": 4, "size": (7,)}, "size"),
    ({"time_bins": 4, "size": None}, "not guessed"), ({"time_bins": 60, "size": (8192, 8192)}, "take 0 samples"),
    ({"time_bins": 1 << 40}, "time_bins"),
])
def test_what_cannot_be_asked_is_one_text(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(hwsim.CaptureError, match=text):
        event_planes([recording()], **({"size": (W, H)} | settings))


def test_data_sets_give_their_classes_and_their_size() -> None:
    class Camera:
        sensor_size = (W, H, 2)

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> tuple[NDArray[Any], int]:
            if index > 2:
                raise IndexError
            return recording(index), 2 - index

    made = event_planes(Camera(), time_bins=4, samples=2)
    assert made.labels == [2, 1]
    assert made.inputs.shape == (2, 4, 2, H, W)


def test_tonic_bins_alike() -> None:
    """Against another implementation, where it keeps all events: it drops the rest of the last slice."""
    transforms = pytest.importorskip("tonic.transforms")
    events = recording(count=192)
    by_count = transforms.ToFrame((W, H, 2), event_count=16)(events)
    assert (event_planes([events], (W, H), event_count=16, values="counts").inputs.reshape(by_count.shape) == by_count).all()
    by_time = transforms.ToFrame((W, H, 2), time_window=100)(events)
    ours = event_planes([events], (W, H), time_window=100, values="counts", timesteps=len(by_time))
    assert len(by_time) >= 8
    assert (ours.inputs.reshape(by_time.shape) == by_time).all()


def test_tonic_data_sets_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set of tonic's own class, whose files are here, so that nothing is downloaded."""
    tonic = pytest.importorskip("tonic")

    class Made(tonic.Dataset):  # type: ignore[name-defined, misc]
        sensor_size = (W, H, 2)

        def __init__(self, save_to: str, train: bool = True) -> None:
            super().__init__(save_to)
            self.data, self.targets = [recording(0), recording(1)], [int(train), 4]

        def __getitem__(self, index: int) -> tuple[NDArray[Any], int]:
            return self.data[index], self.targets[index]

        def __len__(self) -> int:
            return 2

        def _check_exists(self) -> bool:
            return True

    monkeypatch.setattr(tonic.datasets, "Made", Made, raising=False)
    body = answer("capture", "events", "--tonic", "Made", "--data", tmp_path, "--time-bins", 4, "--out", tmp_path / "m.npz")
    assert body["labels"] == [0, 4]
    assert body["shape"] == [2, 4, 2, H, W]
    assert "Made" in call("capture", "events", "--tonic", "No", "--time-bins", 4, "--out", tmp_path / "n.npz").stderr


def test_the_command_writes_what_capture_reads(tmp_path: Path) -> None:
    for name in ("cat", "ant"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "0.npy", recording(len(name)))
        np.save(tmp_path / name / "1.npy", recording(7))
    files = [tmp_path / name / f"{i}.npy" for name in ("cat", "ant") for i in (0, 1)]
    body = answer("capture", "events", *files, "--size", f"{W}x{H}", "--time-bins", 5, "--folders", "--out", tmp_path / "i.npz")
    assert body["labels"] == [1, 1, 0, 0]
    assert body["classes"] == ["ant", "cat"]
    assert body["events"] == 800
    with np.load(tmp_path / "i.npz") as made:
        read = read_inputs("here", made["inputs"])
        assert made["labels"].tolist() == [1, 1, 0, 0]
    assert (read.spec.encoding, read.spec.timesteps, read.spec.shape) == ("spikes", 5, (2, H, W))
    np.save(tmp_path / "labels.npy", np.array([3, 1, 2, 0]))
    text = call("capture", "events", *files, "--size", f"{W}x{H}", "--time-window", 200, "--timesteps", 2, "--values", "counts",
                "--labels", tmp_path / "labels.npy", "--count-bits", 1, "--samples", 3, "--out", tmp_path / "c.npz").stdout
    assert f"3 x 4 x {H} x {W}" in text
    assert "came after the last plane" in text
    assert "cut off" in text
    with np.load(tmp_path / "c.npz") as made:
        assert read_inputs("here", made["inputs"]).spec.encoding == "direct"
        assert made["labels"].tolist() == [3, 1, 2]


def test_mistakes_are_one_text_and_leave_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", recording())
    np.save(tmp_path / "objects.npy", as_objects(), allow_pickle=True)
    (tmp_path / "text.npz").write_text("x, y, t, p")
    (tmp_path / "text.h5").write_text("x, y, t, p")
    (tmp_path / "a.csv").write_text("x, y, t, p")
    with h5py.File(tmp_path / "odd.h5", "w") as root:
        root["images"] = np.zeros(3)
    with h5py.File(tmp_path / "link.h5", "w") as root:
        for name in "xyt":
            root[name] = [1]
        root["p"] = h5py.ExternalLink("odd.h5", "images")
    good = ("--size", f"{W}x{H}", "--time-bins", "4")
    cases: list[tuple[tuple[Any, ...], str]] = [
        (("nowhere.npy", *good), "no such file"), (("objects.npy", *good), "never unpickled"),
        (("text.npz", *good), "no readable"), (("text.h5", *good), "no HDF5"), (("a.csv", *good), "'.csv', expected .npy"),
        (("odd.h5", *good), "images, without fields"),
        (("link.h5", *good), "a dataset that lies in the file itself"), (("a.npy", "--time-bins", "4"), "not guessed"),
        (("a.npy", "--size", "7", "--time-bins", "4"), "such as 34x34"), (good, "neither files nor --tonic"),
        (("a.npy", *good, "--tonic", "NMNIST"), "both files and --tonic"), (("a.npy", *good, "--labels", "no.npy"), "no.npy"),
        (("a.npy", *good, "--labels", "a.npy"), "labels"), (("a.npy", *good, "--folders", "--labels", "a.npy"), "leave one out"),
    ]
    for arguments, text in cases:
        done = call("capture", "events", *arguments, "--out", "made.npz", cwd=tmp_path)
        assert done.returncode == 2, arguments
        assert text in " ".join(done.stderr.split()), done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "made.npz").exists()
    assert "expected .npz" in call("capture", "events", "a.npy", *good, "--out", "made.h5", cwd=tmp_path).stderr
    json.dumps(answer("capture", "events", "a.npy", *good, "--out", "made.npz", cwd=tmp_path))
    assert "exists" in call("capture", "events", "a.npy", *good, "--out", "made.npz", cwd=tmp_path).stderr
