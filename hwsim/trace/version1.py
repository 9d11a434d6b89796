"""Version 1 of the trace format, read as version 2: the only place that knows old names.

A version 1 file is checked against its content hash as it stands; after that its manifest is put into the words of version 2,
so that nothing else needs to know of it. What changed: the coding `analog` is called `quantised`, `kernel`, `stride`,
`padding` and `pool` are stated per axis, and the provenance's `threshold_and_worth` is `threshold_and_scale`. Version 1 has
no hash per row: its recorded datasets are compared with their own SHA-256 when they are first read (hwsim/trace/file.py).
"""

from __future__ import annotations

from dataclasses import replace

from hwsim.trace.hdf5_writer import Attribute
from hwsim.trace.manifest import Manifest, ManifestEntry

VERSION = 1
CODINGS = {"analog": "quantised"}
PER_AXIS = ("kernel", "stride", "padding", "pool")
PROVENANCE = {'"threshold_and_worth":': '"threshold_and_scale":'}


def in_words_of_version_2(manifest: Manifest) -> Manifest:
    """The manifest of a version 1 file with the names and shapes of version 2. Values of a wrong type stay as they are."""
    return {path: _translated(path, entry) for path, entry in manifest.items()}


def _translated(path: str, entry: ManifestEntry) -> ManifestEntry:
    if entry.shape is not None:
        return entry
    said = dict(entry.attributes)
    if path == "/":
        said |= {name: _capabilities(value) for name, value in said.items() if name == "capabilities"}
        said |= {name: _provenance(value) for name, value in said.items() if name == "provenance"}
    elif path.count("/") == 2:
        said |= {name: CODINGS.get(value, value) for name, value in said.items() if name == "coding" and isinstance(value, str)}
    elif path.count("/") == 3:
        said |= {name: [value, value] for name, value in said.items() if name in PER_AXIS and isinstance(value, int)}
    return replace(entry, attributes=said)


def _capabilities(value: Attribute) -> Attribute:
    if not isinstance(value, list) or value != sorted(value, key=str):
        return value
    codings = {f"coding:{old}": f"coding:{new}" for old, new in CODINGS.items()}
    return sorted(codings.get(str(item), str(item)) for item in value)


def _provenance(value: Attribute) -> Attribute:
    for old, new in PROVENANCE.items():
        value = value.replace(old, new) if isinstance(value, str) else value
    return value
