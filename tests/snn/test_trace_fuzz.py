"""Damage at any place of a file is either noticed or harmless: never another number, never another exception.

`slow` damages every byte; the quick version a seeded choice of them.
"""

from __future__ import annotations

import itertools
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwsim.trace.reader import Trace, TraceError

QUICK_FLIPS, QUICK_CUTS = 500, 100


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(3)
    layers = [
        {"name": "a", "weights": rng.integers(-5, 6, (3, 2, 3, 3)), "padding": 1, "thresholds": 30, "timesteps": 2,
         "bias": [1, 2, 3]},
        {"name": "out", "weights": rng.integers(-5, 6, (2, 12)), "pool": 2, "neuron": "read_out"},
    ]
    path = tmp_path_factory.mktemp("fuzz") / "sound.h5"
    Trace.from_arrays(rng.integers(0, 16, (3, 2, 4, 4)), layers, labels=[0, 1, 0], logits=rng.integers(0, 9, (3, 2)),
                      provenance={"origin": "fuzz"}).save(path).close()
    return path


def content(value: Any) -> Any:
    """All that a trace gives out, as plain comparable values."""
    if isinstance(value, Trace):
        everything = [
            (s.inputs, dict(s.recorded), value.logits(i), value.final_potentials(i)) for i, s in enumerate(value)
        ]
        about = (value.name, value.samples, value.labels, value.provenance, value.coding, value.timesteps)
        return content((about, everything, value.network, value.content_hash))
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return {key: content(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [content(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return [type(value).__name__, *(content(getattr(value, f.name)) for f in fields(value))]
    return value


def outcome(path: Path, expected: Any) -> str:
    """`refused`, or `same`; anything else fails."""
    try:
        with Trace.open(path) as trace:
            found = content(trace)
            trace.check(deep=True)
    except TraceError as error:
        return "refused" if str(error).startswith(str(path)) else f"refused without its place: {error}"
    assert found == expected
    return "same"


def damage(sound: Path, scratch: Path, places: Any, masks: tuple[int, ...], cuts: Any) -> dict[str, int]:
    raw = sound.read_bytes()
    with Trace.open(sound) as trace:
        expected = content(trace)
    flipped = (raw[:p] + bytes([raw[p] ^ mask]) + raw[p + 1 :] for p in places for mask in masks)
    counts = {"refused": 0, "same": 0}
    for data in itertools.chain(flipped, (raw[:cut] for cut in cuts)):
        scratch.write_bytes(data)
        counts[outcome(scratch, expected)] += 1
    return counts


def test_damage_is_noticed_or_harmless(sound: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(2024)
    size = sound.stat().st_size
    places = rng.choice(size, QUICK_FLIPS, replace=False)
    cuts = rng.choice(size, QUICK_CUTS, replace=False)
    counts = damage(sound, tmp_path / "damaged.h5", places, (1 << int(rng.integers(8)),), cuts)
    assert counts["refused"] > QUICK_FLIPS // 2 + QUICK_CUTS - 2, counts


def test_damage_to_several_bytes_at_once_is_noticed_or_harmless(sound: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(2025)
    with Trace.open(sound) as trace:
        expected = content(trace)
    raw = np.frombuffer(sound.read_bytes(), np.uint8)
    for _ in range(60):
        data, start, length = raw.copy(), int(rng.integers(len(raw))), int(rng.integers(2, 400))
        data[start : start + length] = rng.integers(0, 256, len(data[start : start + length]))
        (tmp_path / "damaged.h5").write_bytes(data.tobytes())
        assert outcome(tmp_path / "damaged.h5", expected) in ("refused", "same")


@pytest.mark.slow
def test_damage_to_every_byte_is_noticed_or_harmless(sound: Path, tmp_path: Path) -> None:
    size = sound.stat().st_size
    counts = damage(sound, tmp_path / "damaged.h5", range(size), (0x01, 0x80, 0xFF), range(0, size, 7))
    assert counts["refused"] > counts["same"], counts
