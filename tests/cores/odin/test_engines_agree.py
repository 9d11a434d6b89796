"""Law: both engines do the same with any chip and any stream of events, in every cycle of the log."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwsim.cores.odin.record import KINDS
from tests.cores.odin.engines import ENGINES, unequal
from tests.cores.odin.random_chips import PROFILES, Drawn, draw


def both(drawn: Drawn, log: bool) -> list[str]:
    arguments = (drawn.core, drawn.configuration, drawn.stimulus, drawn.until_cycles, log)
    return list(unequal(ENGINES["reference"].run(*arguments), ENGINES["fast"].run(*arguments)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32))
def test_engines_agree_on_any_chip_and_stream(seed: int) -> None:
    assert both(draw(seed), log=True) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3000))
def test_engines_agree_on_many_more(seed: int) -> None:
    assert both(draw(seed), log=seed % 2 == 0) == []


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.data())
def test_the_log_changes_nothing_and_a_shorter_run_is_the_beginning_of_a_longer_one(seed: int, data: st.DataObject) -> None:
    drawn = draw(seed)
    fast = ENGINES["fast"]
    whole = fast.run(drawn.core, drawn.configuration, drawn.stimulus, drawn.until_cycles, log=True)
    bare = fast.run(drawn.core, drawn.configuration, drawn.stimulus, drawn.until_cycles)
    assert [found for found in unequal(whole, bare) if not found.startswith("log")] == []
    cut = data.draw(st.integers(1, drawn.until_cycles))
    part = fast.run(drawn.core, drawn.configuration, drawn.stimulus, cut, log=True)
    assert whole.log is not None
    assert part.log is not None
    assert sorted(part.log, key=repr) == sorted((entry for entry in whole.log if int(entry[1]) < cut), key=repr)


def test_random_chips_press_on_everything() -> None:
    """Or agreement would mean little: every kind of operation, losses, both sources of outputs, chips that rest and do not."""
    seen, lost, rests, sources, cut = np.zeros(len(KINDS), int), 0, 0, set(), 0
    for seed in range(25 * len(PROFILES)):
        drawn = draw(seed)
        record = ENGINES["fast"].run(drawn.core, drawn.configuration, drawn.stimulus, drawn.until_cycles)
        seen += np.bincount(record.operations[:, 0], minlength=len(KINDS))
        lost += len(record.lost)
        rests += record.done >= 0
        cut += bool((record.operations[-1:, 2] < 0).any())
        if len(record.outputs):
            sources.add(drawn.core.output.source)
    assert (seen > 40).all(), dict(zip(KINDS, seen, strict=True))
    assert lost > 300
    assert 20 < rests < 180
    assert cut > 20
    assert sources == {"neuron", "controller"}
