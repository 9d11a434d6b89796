"""The shipped network of traces/odin does on the chip what its training said, spike for spike."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.cores.odin.engines import ENGINES
from tests.scripts import module_at

FOLDER = ROOT / "traces" / "odin"


@pytest.fixture(scope="module")
def replay() -> ModuleType:
    return module_at(FOLDER / "replay.py")


@pytest.mark.parametrize(("engine", "images"), [("fast", 500), ("reference", 1)])
def test_spikes_are_those_of_the_trained_integers(replay: ModuleType, engine: str, images: int) -> None:
    with np.load(replay.NETWORK) as file:
        order, wanted, labels = (file[name][:images] for name in ("order", "counts", "labels"))
        counts, record = replay.replay(replay.on_chip(file["weights"], file["thresholds"]), order, ENGINES[engine])
    np.testing.assert_array_equal(counts, wanted)
    assert record.done > 0
    assert not record.potentials.any(), "two time references clear the chip"
    if images == 500:
        assert (counts.argmax(axis=1) == labels).mean() > 0.75


def test_cycles_of_an_image_by_the_closed_form(replay: ModuleType) -> None:
    """518 per input event and per clearing time reference, and 6 per spike."""
    with np.load(replay.NETWORK) as file:
        order = file["order"][:50]
        _, record = replay.replay(replay.on_chip(file["weights"], file["thresholds"]), order)
    events = (order != replay.NOTHING).sum() + replay.CLEARING * len(order)
    # The last event is over 2 cycles before the next could be decided.
    assert record.done == 518 * events + 6 * len(record.spikes)
