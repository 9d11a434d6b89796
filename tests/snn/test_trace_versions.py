"""Version 1 and version 2 of the format hold the same content, and neither may lie about what was recorded."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import hwsim
from hwsim.compare import compare
from hwsim.trace.file import TraceFile
from hwsim.trace.reader import Trace, TraceError
from hwsim.trace.schema import capabilities
from hwsim.trace.storage import SHIPPED, TRUST
from hwsim.trace.synth import synthesise
from hwsim.trace.writer import TraceWriter
from tests.cli.calling import call
from tests.snn.networks import CODINGS
from tests.snn.test_trace_fuzz import content
from tests.snn.test_trace_round_trip import record, small
from tests.snn.version1 import write_version_1

TRACES = Path(__file__).parents[2] / "traces"
# What `synthesise` gave while version 1 was written: the writer of the tests is the old one, byte for byte of content.
VERSION_1_HASHES = {
    "rate": "9bab903198e56721d0fa2b2e46f06ab66566d5b6b62aaead0f6ee8ffe35f7b53",
    "bit_serial": "5659f03fcad75fc502d9b97ae7e91890f676e81818e7126740649f0269f89a7f",
    "quantised": "ddeff791237380a51de37950d9f7915a3210b71283468fad5b791debbc74167e",
}


@pytest.fixture(autouse=True, scope="module")
def trusted() -> Iterator[None]:
    """The version 1 files of these tests come from friends."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(TRUST, "1")
        yield


def held(trace: Trace) -> Any:
    """All that a trace gives out but the version and the hash."""
    rows = [(s.inputs, dict(s.recorded), trace.logits(i), trace.final_potentials(i)) for i, s in enumerate(trace)]
    return content([trace.name, trace.samples, trace.labels, trace.provenance, trace.coding, trace.timesteps, trace.network,
                    rows])


def as_version_2(trace: Trace) -> Trace:
    """The same content written anew."""
    with TraceWriter(trace.network, name=trace.name, provenance=trace.provenance) as writer:
        for index, sample in enumerate(trace):
            writer.append(
                sample, label=None if trace.labels is None else int(trace.labels[index]),
                logits=trace.logits(index) if "/logits" in trace._file else None, potentials=trace.final_potentials(index),
            )
        return writer.finish()


@pytest.mark.parametrize("coding", VERSION_1_HASHES)
def test_a_version_1_file_keeps_the_hash_that_it_had(coding: str, tmp_path: Path) -> None:
    with Trace.open(write_version_1(synthesise("tiny", 4, 0.2, 2, 0, coding), tmp_path / "t.h5")) as trace:
        assert trace.format_version == 1
        assert trace.content_hash == VERSION_1_HASHES[coding]
        trace.check()


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("seed", range(4))
def test_the_same_content_is_read_from_both_versions(coding: str, seed: int, tmp_path: Path) -> None:
    # Version 1 has one number for both axes.
    network, inputs = next(made for made in (small(seed + n, coding) for n in range(0, 1000, 4))
                           if "per_axis" not in capabilities(made[0]))
    new = record(network, inputs, tmp_path / "new.h5", provenance={"threshold_and_scale": [1, 2]})
    old = Trace.open(write_version_1(new, tmp_path / "old.h5"))
    assert (old.format_version, new.format_version) == (1, 2)
    assert held(old) == held(new)
    assert old.content_hash != new.content_hash
    assert as_version_2(old).content_hash == new.content_hash


@pytest.mark.parametrize("path", [*sorted(TRACES.glob("methods/fashion_mnist_tiny_*.h5")), TRACES / "fashion_mnist_ann.h5"],
                         ids=lambda p: p.stem)
def test_a_shipped_trace_written_anew_gives_out_the_same(path: Path) -> None:
    with Trace.open(path) as old, as_version_2(old) as new:
        assert new.format_version == 2
        assert held(new) == held(old)


def test_old_names_become_new_ones(tmp_path: Path) -> None:
    path = write_version_1(synthesise("tiny", 1, 0.2, 2, 0, "quantised"), tmp_path / "t.h5")
    with h5py.File(path) as file:
        assert file["layers/conv1"].attrs["coding"] == b"analog"
    with Trace.open(path) as trace:
        assert trace.coding == trace.network.layers[0].coding == "quantised"
    with Trace.open(TRACES / "methods" / "fashion_mnist_tiny_alpha_beta_tuned_t2.h5") as tuned:
        assert "threshold_and_scale" in str(tuned.provenance)
        assert "worth" not in str(tuned.provenance)


# -- traces that lie ----------------------------------------------------------------------------------------------


def spikes_only(path: Path) -> Path:
    """What `capture torch` writes: spikes and shapes, no weights; nothing but hashes can tell that a spike is missing."""
    rng = np.random.default_rng(0)
    layers = [{"name": "conv", "operator": "conv2d", "kernel": 3, "padding": 1},
              {"name": "out", "operator": "linear", "pool": 2, "neuron": "read_out", "shape": (10, 1, 1)}]
    spikes = {"conv": rng.random((5, 4, 16, 8, 8)) < 0.2}
    Trace.from_arrays(rng.integers(0, 256, (5, 3, 8, 8)), layers, spikes).save(path).close()
    return path


def silence(path: Path, dataset: str = "/layers/conv/spikes", rows: slice = slice(None)) -> Path:
    """Zero recorded rows through HDF5, which makes its own checksums right again."""
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        assert file[dataset][rows].any()
        file[dataset][rows] = 0
    return path


@pytest.fixture(params=[1, 2])
def lying(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = spikes_only(tmp_path / "new.h5")
    if request.param == 1:
        with Trace.open(path) as trace:
            path = write_version_1(trace, tmp_path / "old.h5")
    with Trace.open(path) as trace:
        assert trace.format_version == request.param
        assert not trace.has_weights
    hwsim.simulate(path, "event_core_64", samples=1)
    return silence(path)


SAYS = r"/layers/conv/spikes(: found data with|\[0\]: found other data for sample 0 of layer 'conv' \()"


def test_a_silenced_layer_is_refused_by_whatever_reads_it(lying: Path) -> None:
    for read in (
        lambda: hwsim.simulate(lying, "event_core_64", samples=1), lambda: compare([lying], ["event_core_64"]),
        lambda: Trace.open(lying).sample(0), lambda: Trace.open(lying).check(), lambda: Trace.open(lying).save(lying),
    ):
        with pytest.raises(TraceError, match=SAYS) as error:
            read()
        assert str(error.value).startswith(f"{lying}: ")


@pytest.mark.parametrize("command", [("run", "--arch", "event_core_64"), ("compare", "--arch", "event_core_64"),
                                     ("trace", "info"), ("trace", "check")], ids=" ".join)
def test_commands_refuse_a_trace_that_lies(lying: Path, command: tuple[str, ...]) -> None:
    words = [*command[:2], str(lying)] if command[0] == "trace" else [command[0], str(lying), *command[1:]]
    done = call(*words, cwd=lying.parent)
    assert done.returncode == 2, done.stdout
    assert done.stderr.startswith(f"error: {lying}: /layers/conv/spikes"), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("dataset", "owner"), [
    ("/input/values", "the input"), ("/layers/conv/spikes", "layer 'conv'"), ("/layers/out/final_potentials", "layer 'out'"),
    ("/logits", "the network"),
])
def test_one_changed_row_is_told_by_sample_and_layer_and_the_others_are_still_read(
    dataset: str, owner: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    layers = [{"name": "conv", "weights": rng.integers(-5, 6, (3, 2, 3, 3)), "padding": 1, "thresholds": 30, "timesteps": 2},
              {"name": "out", "weights": rng.integers(1, 6, (2, 48)), "neuron": "read_out"}]
    made = Trace.from_arrays(rng.integers(1, 16, (4, 2, 4, 4)), layers)
    with TraceWriter(made.network, tmp_path / "t.h5") as writer:
        for sample in made:
            writer.append(sample, logits=np.array([3, 4]), potentials={"out": np.array([[[5]], [[6]]])})
    silence(tmp_path / "t.h5", dataset, slice(2, 3))
    with Trace.open(tmp_path / "t.h5") as trace:
        for index in range(4):
            def read(index: int = index) -> object:
                return trace.sample(index), trace.logits(index), trace.final_potentials(index)
            if index != 2:
                read()
                continue
            with pytest.raises(TraceError, match=rf"t\.h5: {dataset}\[2\]: found other data for sample 2 of {owner} "):
                read()


def test_rows_that_change_places_are_noticed(tmp_path: Path) -> None:
    path = spikes_only(tmp_path / "t.h5")
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        spikes = file["/layers/conv/spikes"]
        spikes[0], spikes[1] = spikes[1], spikes[0]
    with Trace.open(path) as trace, pytest.raises(TraceError, match="sample 0 of layer 'conv'"):
        trace.sample(0)


def test_version_1_compares_each_dataset_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_version_1(synthesise("tiny", 2, 0.2, 3, 0), tmp_path / "t.h5")
    compared: list[str] = []
    true = TraceFile.check_hash
    monkeypatch.setattr(TraceFile, "check_hash", lambda self, at: (compared.append(at), true(self, at))[1])
    with Trace.open(path) as trace:
        assert not compared, "opening must not read what was recorded"
        for _ in range(2):
            for _ in trace:
                pass
    assert len(compared) == len(set(compared)) == len(trace.network.layers)  # the input and all layers but the read-out


# -- version 1 of strangers -------------------------------------------------------------------------------------------


def test_version_1_of_a_stranger_is_refused_before_the_library_sees_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_version_1(synthesise("tiny", 2, 0.2, 1, 0, "rate"), tmp_path / "t.h5")
    monkeypatch.delenv(TRUST)
    with monkeypatch.context() as patched:
        patched.setattr(h5py, "File", lambda *_, **__: pytest.fail("the library was asked"))
        for attempt in (lambda: Trace.open(path), lambda: Trace.from_image(path.read_bytes())):
            with pytest.raises(TraceError, match=f"found version 1.*a forged file can crash.*{TRUST}=1"):
                attempt()
    with Trace.open(path, trust_version_1=True) as trace:
        assert pickle.loads(pickle.dumps(trace)).content_hash == trace.content_hash
        with trace.save(tmp_path / "copy.h5") as copy:
            assert copy.content_hash == trace.content_hash
    assert Trace.from_image(path.read_bytes(), trust_version_1=True).format_version == 1


def test_every_version_1_trace_of_hwsim_is_known_and_one_changed_byte_makes_it_a_stranger_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TRUST)
    listed = [line.split()[1] for line in SHIPPED.read_text().splitlines()]
    shipped = sorted(TRACES.rglob("*.h5"))
    versions = {path.relative_to(TRACES.parent).as_posix(): Trace.open(path).format_version for path in shipped}
    assert sorted(listed) == sorted(name for name, version in versions.items() if version == 1)
    raw = bytearray((TRACES / "methods" / "fashion_mnist_tiny_ann_t4.h5").read_bytes())
    raw[-1] ^= 1
    (tmp_path / "t.h5").write_bytes(raw)
    with pytest.raises(TraceError, match="found version 1"):
        Trace.open(tmp_path / "t.h5")
