"""docs/formats/trace.md: its reader reads, its tables are complete, its hash recipe gives the hash."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hwsim.snn.synth import synthesise
from hwsim.snn.trace import Trace
from hwsim.snn.trace_schema import known_capabilities

DOCUMENT = Path(__file__).parents[2] / "docs" / "formats" / "trace.md"
TEXT = DOCUMENT.read_text()


def code() -> str:
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 1
    return blocks[0]


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


def test_the_reader_is_short_and_needs_only_h5py_and_numpy(tmp_path: Path) -> None:
    body = code()
    assert len([line for line in body.splitlines() if line.strip()]) <= 30
    program = body + "\nimport sys\nassert not any(name.startswith('hwsim') for name in sys.modules)\n"
    (tmp_path / "reader.py").write_text(program)
    subprocess.run([sys.executable, "-I", tmp_path / "reader.py"], check=True)


def test_the_reader_refuses_another_version(trace: Trace) -> None:
    with h5py.File(trace.path.with_name("other.h5"), "w") as file:
        file.attrs["format"], file.attrs["format_version"] = np.bytes_(b"hwsim-trace"), 2
    space: dict[str, Any] = {}
    exec(code(), space)
    with pytest.raises(ValueError, match="version 1"):
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
            assert set(node.attrs) == {"sha256"}
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


def plain(value: Any) -> Any:
    """An attribute as JSON has it."""
    if isinstance(value, np.bytes_):
        return value.decode()
    if isinstance(value, np.ndarray):
        return [plain(v) for v in value] if value.dtype.kind == "S" else value.tolist()
    return int(value)


def test_the_hash_is_what_the_document_says(trace: Trace) -> None:
    document: dict[str, Any] = {}

    def describe(path: str, node: Any) -> None:
        said = {name: plain(value) for name, value in node.attrs.items() if name != "content_sha256"}
        document[path] = {"attributes": said}
        if isinstance(node, h5py.Dataset):
            data = node[...]
            assert said["sha256"] == hashlib.sha256(data.astype(data.dtype.newbyteorder("<")).tobytes()).hexdigest()
            document[path] |= {"dtype": str(node.dtype), "shape": list(node.shape)}

    with h5py.File(trace.path) as file:
        describe("/", file)
        file.visititems(lambda name, node: describe(f"/{name}", node))
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode("ascii")).hexdigest() == trace.content_hash


@pytest.mark.parametrize("heavy", ["numba", "pandas", "matplotlib", "torch", "h5py"])
def test_importing_traces_loads_nothing_heavy(heavy: str) -> None:
    program = f"import sys, hwsim.snn.trace, hwsim.snn.forward, hwsim.snn.synth; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
