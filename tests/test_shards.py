"""Runs in shards: the result of one run, to the last bit, whatever was stopped; accuracy with its interval."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from typer.testing import CliRunner

import hwsim
from hwsim import shards
from hwsim.arch import Architecture
from hwsim.cli import app
from hwsim.counted import joined
from hwsim.result import Result, wilson
from hwsim.result_file import SHARDS
from hwsim.shards import ShardError, simulate_in_shards
from hwsim.trace.reader import Trace
from hwsim.trace.synth import synthesise
from tests.chip.test_placement import chip
from tests.conftest import ROOT
from tests.test_study import assert_equal_results

ARCH = "event_core_16"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("shards") / "seven.h5"
    synthesise("tiny", timesteps=2, density=0.2, samples=7, seed=5).save(found).close()
    return found


@pytest.fixture
def by_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of two samples, in this process."""
    monkeypatch.setattr(shards, "SHARD", 2)
    monkeypatch.setattr(shards, "pool_of", here)


class here:  # noqa: N801  in place of a function
    def __init__(self, workers: int) -> None:
        from hwsim.study.pools import Here, Pool

        self.pool = Pool(Here(), workers)

    def __enter__(self) -> object:
        return self.pool

    def __exit__(self, *_: object) -> None:
        pass


def a_chip() -> Architecture:
    """A network of links, whose transfers take other bits for each sample: their mean is to be the same."""
    return chip(4)


@pytest.mark.usefixtures("by_two")
@pytest.mark.parametrize("arch", [ARCH, "chip"])
@pytest.mark.parametrize("check", [True, False])
def test_shards_give_the_result_of_one_run(path: Path, tmp_path: Path, arch: str, check: bool) -> None:
    design = a_chip() if arch == "chip" else hwsim.load_architecture(arch)
    how = {"check": check, "samples": [6, 0, 3, 1, 2], "overrides": {"acc_add": 0.2}, "rate_hz": 12.0, "leak_unused": True}
    told: list[tuple[int, int]] = []
    found = simulate_in_shards(path, design, folder=tmp_path, progress=lambda *now: told.append(now), **how)  # type: ignore[arg-type]
    assert_equal_results(found, hwsim.simulate(path, design, **how))  # type: ignore[arg-type]
    assert told == [(0, 5), (2, 5), (4, 5), (5, 5)]
    again = simulate_in_shards(path, design, folder=tmp_path, **how)  # type: ignore[arg-type]
    assert_equal_results(again, found)


@example(parts=[(7, 29), (7, 1)])
@given(st.lists(st.tuples(st.integers(1, 100), st.integers(0, 10**9)), min_size=2, max_size=4))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_bits_that_differ_by_sample_have_the_mean_of_one_run(rate_trace: Trace, parts: list[tuple[int, int]]) -> None:
    """29 / 7 * 7 is not 29 in floats. `parts`: samples of a shard, and the bits that a transfer takes in all of them."""
    one = hwsim.simulate(rate_trace, ARCH, samples=1, check=False)
    made = [replace(one, facts=replace(one.facts, samples=n), operations=one.operations.assign(bits=bits / n))
            for n, bits in parts]
    samples = sum(n for n, _ in parts)
    found = joined(made, one.task.shard(range(samples))).get("operations", made[0].operations)
    assert set(found["bits"]) == {sum(bits for _, bits in parts) / samples}


@pytest.mark.usefixtures("by_two")
def test_a_stopped_run_goes_on_where_it_was(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, ran = shards._shard, []

    def stops(*what: object) -> object:
        if len(ran) == 2:
            raise KeyboardInterrupt
        ran.append(what)
        return real(*what)  # type: ignore[arg-type]

    monkeypatch.setattr(shards, "_shard", stops)
    with pytest.raises(KeyboardInterrupt):
        simulate_in_shards(path, ARCH, folder=tmp_path)
    assert len(list((tmp_path / SHARDS).iterdir())) == 2
    first = next(iter(sorted((tmp_path / SHARDS).iterdir())))
    first.write_bytes(first.read_bytes()[:100])  # one that is damaged is made again
    monkeypatch.setattr(shards, "_shard", lambda *what: ran.append(what) or real(*what))
    result = simulate_in_shards(path, ARCH, folder=tmp_path)
    assert len(ran) == 2 + 3, "of four shards, one was there"
    assert_equal_results(result, hwsim.simulate(path, ARCH))
    result.save(tmp_path)
    assert not (tmp_path / SHARDS).exists()
    assert_equal_results(hwsim.load_result(tmp_path), result)


@pytest.mark.usefixtures("by_two")
def test_shards_of_another_run_are_never_taken_nor_lost(path: Path, tmp_path: Path) -> None:
    simulate_in_shards(path, ARCH, folder=tmp_path, samples=4)
    before = sorted((tmp_path / SHARDS).iterdir())
    for other in ({"samples": 5}, {"samples": 4, "check": False}, {"samples": 4, "schedule": "step_by_step"}):
        with pytest.raises(ShardError, match="found shards of another run"):
            simulate_in_shards(path, ARCH, folder=tmp_path, **other)  # type: ignore[arg-type]
    assert sorted((tmp_path / SHARDS).iterdir()) == before
    repriced = simulate_in_shards(path, ARCH, folder=tmp_path, samples=4, overrides={"acc_add": 1.0})
    assert_equal_results(repriced, hwsim.simulate(path, ARCH, samples=4, overrides={"acc_add": 1.0}))


@pytest.mark.usefixtures("by_two")
def test_mistakes_are_those_of_one_run(path: Path, tmp_path: Path) -> None:
    (tmp_path / "diary.txt").touch()
    with pytest.raises(hwsim.ResultError, match="exists and is not a saved result"):
        simulate_in_shards(path, ARCH, folder=tmp_path)
    with pytest.raises(hwsim.EnergyError, match="no such event"):
        simulate_in_shards(path, ARCH, overrides={"nope": 1.0})
    with pytest.raises(hwsim.TraceError, match="no such file"):
        simulate_in_shards(tmp_path / "none.h5", ARCH)


@given(st.integers(1, 5000), st.data())
@settings(max_examples=50, deadline=None)
def test_the_interval_of_an_accuracy_is_wilsons(judged: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, judged))
    theirs = binomtest(right, judged).proportion_ci(0.95, method="wilson")
    assert wilson(right, judged) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_a_result_says_its_interval(rate_trace: Trace) -> None:
    assert hwsim.simulate(rate_trace, ARCH).accuracy_interval is None, "the trace has no labels"
    result: Result = hwsim.simulate(ROOT / "traces" / "methods" / "fashion_mnist_tiny_rate_t4.h5", ARCH, samples=4, check=False)
    low, high = result.summary()["accuracy_interval"]
    assert [low, high] == pytest.approx([100 * end for end in wilson(round(result.accuracy * 4 / 100), 4)])  # type: ignore[operator]
    assert 0 < low < high <= 100
    assert f"({low:.1f} to {high:.1f} % with 95 % confidence)" in repr(result)


@pytest.mark.slow
def test_hwsim_run_is_interrupted_and_goes_on_to_the_same_result(tmp_path: Path) -> None:
    trace = tmp_path / "many.h5"
    synthesise("tiny", timesteps=2, density=0.2, samples=1500, seed=6).save(trace).close()
    command = [sys.executable, "-m", "hwsim", "run", str(trace), "--arch", ARCH, "--workers", "2", "--out", str(tmp_path / "out")]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True)
    while not list(tmp_path.glob(f"out/{SHARDS}/*.npz")):
        time.sleep(0.05)
        assert started.poll() is None, started.communicate()
    os.killpg(started.pid, signal.SIGINT)
    out, err = started.communicate(timeout=60)
    assert (started.returncode, out) == (130, "")
    assert err.splitlines() == [f"stopped; {tmp_path / 'out'} keeps what is done, and the same command goes on"]
    there = len(list(tmp_path.glob(f"out/{SHARDS}/*.npz")))
    assert 0 < there < 24
    found = CliRunner().invoke(app, command[3:] + ["--json"])
    assert found.exit_code == 0, found.output
    whole = hwsim.simulate(trace, ARCH)
    assert json.loads(found.stdout) == json.loads(json.dumps(whole.summary()))
    np.testing.assert_array_equal(hwsim.load_result(tmp_path / "out").layer_counts, whole.layer_counts)
