"""Workers of a study that die: no row that was made is lost, and a point that kills its worker is the only one that fails."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hwsim.study import Point, Row, StudyError, read_rows, run_study
from hwsim.study.pools import Here, pool_of
from hwsim.study.proof import Proof
from hwsim.study.work import run_points
from hwsim.trace.reader import Trace

ARCH = "event_core_16"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, rate_trace: Trace) -> Path:
    found = tmp_path_factory.mktemp("workers") / "rate.h5"
    rate_trace.save(found).close()
    return found


def points_of(path: Path, count: int) -> list[Point]:
    return [Point.of(path, ARCH, changes={"core.fifo_depth": depth}, labels={"depth": depth}) for depth in range(1, count + 1)]


def deadly(points: Sequence[Point], done: Collection[str], proof: Proof | None) -> list[Row]:
    """`run_points`, but a point with a `marker` kills its worker: each time, or until the file of that name is there."""
    marker = points[0].labels.get("marker")
    if marker == "always" or marker is not None and not Path(marker).exists():
        if marker != "always":
            Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return run_points(points, done, proof)


@pytest.mark.slow
def test_a_process_that_dies_is_replaced_and_no_row_is_missing(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = points_of(path, 5)
    points[2] = replace(points[2], labels={"marker": str(tmp_path / "died")})
    monkeypatch.setattr("hwsim.study.run.run_points", deadly)
    rows = run_study(points, tmp_path / "study", workers=1)
    assert (tmp_path / "died").exists()
    assert [row.get("error") for row in rows] == [None] * 5
    assert sorted(row["key"] for row in read_rows(tmp_path / "study")) == sorted(row["key"] for row in rows)


@pytest.mark.slow
def test_a_point_that_kills_its_process_twice_fails_alone(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = points_of(path, 7)
    points[3] = replace(points[3], labels={"marker": "always"})
    monkeypatch.setattr("hwsim.study.run.run_points", deadly)
    rows = run_study(points, tmp_path, workers=2, skip_proven=False)
    assert [("error" in row) for row in rows] == [i == 3 for i in range(7)]
    assert "a worker process died of it, twice" in rows[3]["error"]


@pytest.mark.slow
def test_a_study_that_is_interrupted_keeps_its_rows_and_leaves_no_process(path: Path, tmp_path: Path) -> None:
    """Ctrl-C on a terminal goes to the study and all its workers; nobody prints a traceback."""
    command = [sys.executable, "-m", "hwsim", "sweep", str(path), "--arch", ARCH, "--set",
               "core.fifo_depth={from: 1, to: 4000, step: 1}", "--workers", "2", "-o", str(tmp_path)]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True)
    while not read_rows(tmp_path):
        time.sleep(0.2)
        assert started.poll() is None, started.communicate()
    os.killpg(started.pid, signal.SIGINT)
    out, err = started.communicate(timeout=30)
    assert started.returncode == 130
    assert "Traceback" not in out + err
    assert read_rows(tmp_path)
    for _ in range(100):  # what watches over shared memory ends a moment after its last user
        try:
            os.killpg(started.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("a process of the study is left")


# --- Dask ----------------------------------------------------------------------------------------------------------------


def test_a_cluster_that_is_not_there_is_one_clear_error(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    begun = time.monotonic()
    with pytest.raises(StudyError, match=rf"{address}: no Dask scheduler answers there .*dask scheduler") as error:
        run_study(points_of(path, 1), tmp_path, dask=address)
    assert time.monotonic() - begun < 30
    assert "\n" not in str(error.value)
    with pytest.raises(StudyError, match="no Dask scheduler answers there"):
        run_study(points_of(path, 1), tmp_path, dask="nonsense")


def test_without_the_package_the_error_says_what_to_install(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(StudyError, match=r"pip install hwsim\[dask\]"):
        run_study(points_of(path, 1), tmp_path, dask="tcp://127.0.0.1:1")


@pytest.mark.slow
def test_a_dask_cluster_of_two_workers_of_which_one_is_killed_midway_makes_the_same_rows(path: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    points = points_of(path, 40)
    killed: list[int] = []
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, \
            distributed.Client(cluster) as client:
        processes: dict[str, Any] = client.run(os.getpid)

        def kill(done: int, of: int) -> None:
            if done == 8 and not killed:
                killed.append(next(iter(processes.values())))
                os.kill(killed[0], signal.SIGKILL)

        rows = run_study(points, tmp_path / "dask", dask=cluster.scheduler_address, progress=kill)
    assert killed
    alone = run_study(points, tmp_path / "alone", executor=Here())
    for row in (*rows, *alone):
        row.pop("arithmetic")
    assert rows == alone
    assert len(read_rows(tmp_path / "dask")) == len(points)


@pytest.mark.slow
def test_a_cluster_that_closes_midway_leaves_the_rows_made_so_far(path: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None)
    with pytest.raises(StudyError, match="rows made so far are kept"):
        run_study(points_of(path, 400), tmp_path, dask=cluster.scheduler_address,
                  progress=lambda done, of: cluster.close() if done == 20 else None)
    assert len(read_rows(tmp_path)) >= 20


def test_an_address_without_a_port_is_refused_at_once() -> None:
    """Without a Client, which would print a traceback of its own when it ends."""
    for address in ("foo", "tcp://foo", "tcp://foo:bar"):
        with pytest.raises(StudyError, match="no Dask scheduler answers there .*has no port"), pool_of(dask=address):
            pass
