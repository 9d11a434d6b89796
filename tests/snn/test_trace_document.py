"""docs/formats/trace.md: its reader reads, its tables are complete, its hash recipe gives the hash."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hwsim.trace.reader import Trace, TraceError
from hwsim.trace.schema import RESERVED, known_capabilities
from hwsim.trace.synth import synthesise

DOCUMENT = Path(__file__).parents[2] / "docs" / "formats" / "trace.md"
TEXT = DOCUMENT.read_text()
ROWS = ("spikes", "values", "final_potentials", "logits")


def code(name: str = "read_layer") -> str:
    """The one program of the document that defines `name`."""
    blocks = [block for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if f"def {name}(" in block]
    assert len(blocks) == 1
    return blocks[0]


def checker() -> Any:
    space: dict[str, Any] = {}
    exec(code("check_trace"), space)
    return space["check_trace"]


@pytest.fixture(params=["rate", "bit_serial", "quantised"])
def trace(request: pytest.FixtureRequest, tmp_path: Path) -> Trace:
    return synthesise("tiny", 3, samples=2, coding=request.param).save(tmp_path / "t.h5")


def test_the_reader_reads_what_the_trace_gives(trace: Trace) -> None:
    space: dict[str, Any] = {}
    exec(code(), space)
    order, provenance = space["describe"](trace.path)
    assert order == [layer.name for layer in trace.network]
    assert provenance == trace.provenance
    for index, sample in enumerate(trace):
        np.testing.assert_array_equal(space["read_layer"](trace.path, "input", index), sample.inputs)
        for name, planes in sample.recorded.items():
            np.testing.assert_array_equal(space["read_layer"](trace.path, name, index), planes)


@pytest.mark.parametrize("name", ["read_layer", "check_trace"])
def test_the_programs_are_short_and_need_only_h5py_and_numpy(name: str, tmp_path: Path) -> None:
    body = code(name)
    assert len([line for line in body.splitlines() if line.strip()]) <= 32
    program = body + "\nimport sys\nassert not any(name.startswith('hwsim') for name in sys.modules)\n"
    (tmp_path / "reader.py").write_text(program)
    subprocess.run([sys.executable, "-I", tmp_path / "reader.py"], check=True)


def test_the_reader_refuses_another_version(trace: Trace) -> None:
    with h5py.File(trace.path.with_name("other.h5"), "w") as file:
        file.attrs["format"], file.attrs["format_version"] = np.bytes_(b"hwsim-trace"), 1
    space: dict[str, Any] = {}
    exec(code(), space)
    with pytest.raises(ValueError, match="version 2"):
        space["read_layer"](trace.path.with_name("other.h5"), "conv1", 0)


def sections() -> dict[str, str]:
    """Text under each `### /path` heading."""
    parts = re.split(r"^### `(.*)`$", TEXT, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def section_of(path: str) -> str:
    kinds = {"/": "/", "/input": "/input", "/layers": "/layers"}
    if path in kinds:
        return kinds[path]
    return "/layers/NAME/connectionK" if path.count("/") == 3 else "/layers/NAME"


def test_every_attribute_and_dataset_is_in_the_tables(trace: Trace) -> None:
    documented = sections()

    def look(path: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            parent, name = path.rsplit("/", 1)
            table = documented[section_of(parent or "/")]
            assert re.search(rf"^\| `{name}`.* \| ", table, re.MULTILINE), path
            assert str(node.dtype) in table, (path, node.dtype)
            assert set(node.attrs) == (set() if name in ROWS else {"sha256"})
            assert node.fletcher32
            return
        for name in node.attrs:
            assert f"`{name}`" in documented[section_of(path)], (path, name)

    with h5py.File(trace.path) as file:
        look("/", file)
        file.visititems(lambda name, node: look(f"/{name}", node))


def test_every_capability_is_listed() -> None:
    for name in known_capabilities():
        assert f"`{name}`" in TEXT or name.startswith("neuron:"), name
    for name in ("integrate_and_fire", "bit_serial", "read_out", "requantise", "masks", "stages", "signed_spikes"):
        assert f"`{name}`" in TEXT


def test_every_reserved_name_is_listed_and_refused() -> None:
    for name in RESERVED:
        assert f"| `{name}` |" in TEXT, name
        assert name not in known_capabilities()


def test_the_checker_gives_the_hash_of_a_sound_trace(trace: Trace) -> None:
    assert checker()(trace.path) == trace.content_hash


def changed(node: Any, rng: np.random.Generator) -> None:
    """Another element at one place."""
    array = node[...]
    array.flat[rng.integers(array.size)] += 1
    node[...] = array


def test_the_checker_notices_whatever_is_changed(trace: Trace) -> None:
    """Every dataset in turn, and an attribute of every group."""
    target = trace.path
    trace.close()
    raw, check, rng = target.read_bytes(), checker(), np.random.default_rng(0)
    with h5py.File(target) as file:
        paths = ["/"]
        file.visit(paths.append)
    for path in paths:
        target.write_bytes(raw)
        with h5py.File(target, "r+", libver=("v110", "v110")) as file:
            is_array = isinstance(file[path], h5py.Dataset)
            if is_array:
                changed(file[path], rng)
            else:
                file[path].attrs.create("extra", 1)
        with pytest.raises(ValueError, match=f"/{path}" if is_array else "content_sha256"):
            check(target)
        with pytest.raises(TraceError), Trace.open(target) as altered:
            altered.check()


@pytest.mark.parametrize("heavy", ["numba", "pandas", "matplotlib", "torch", "h5py"])
def test_importing_traces_loads_nothing_heavy(heavy: str) -> None:
    program = f"import sys, hwsim.trace.reader, hwsim.snn.forward, hwsim.trace.synth; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
