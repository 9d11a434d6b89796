"""Runs of the other dataflows (R19 to R24) as stimuli of the hardware: the vectors, and random runs in a setting that is given.

Tokens and gaps are those of the reference engine's buffers (C2, R20, R21), so that the core is held by itself, and tokens can be
late.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hwsim.activity import INDEX
from hwsim.engine.reference import ReferenceEngine
from hwsim.engine.reference.tokens import plane_stream
from hwsim.program import CoreRun, ProgramError
from hwsim.record import ISSUE_KINDS, CoreLog
from hwsim.rtl.coverage import uncovered
from hwsim.rtl.stimulus import Stimulus
from hwsim.verify.dataflow_cases import DataflowCase
from tests.engine.random_runs import RandomRun, random_run
from tests.rtl.cases import differences

REFERENCE = ReferenceEngine()
PLAIN: Mapping[str, Any] = {
    "buffer": "bitmap", "order": "scatter", "planes_per_token": "one", "multiplier": "parallel", "writer": "serial",
    "membrane_ports": "1r1w", "passes": "by_pass", "mask_first": False,
}
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "one port": {"membrane_ports": "1rw"},
    "word writer": {"writer": "word"},
    "by word": {"passes": "by_word"},
    "gather": {"order": "gather"},
    "gather by word, one port, word writer": {
        "order": "gather", "passes": "by_word", "membrane_ports": "1rw", "writer": "word"},
    "merged": {"planes_per_token": "all"},
    "gather merged": {"order": "gather", "planes_per_token": "all"},
    "gather merged by word, one port": {
        "order": "gather", "planes_per_token": "all", "passes": "by_word", "membrane_ports": "1rw", "adders": 2},
    "bit-serial multipliers": {"planes_per_token": "all", "multiplier": "bit_serial", "adders": 2},
    "bit-serial multipliers, gather": {"order": "gather", "planes_per_token": "all", "multiplier": "bit_serial"},
    "merged by word, one port": {"planes_per_token": "all", "passes": "by_word", "membrane_ports": "1rw", "adders": 2},
    "by word, one port": {"passes": "by_word", "membrane_ports": "1rw", "writer": "word"},
}
"""By name, what a setting changes of PLAIN."""


def random_case(seed: int, setting: str) -> RandomRun:
    return random_run(np.random.default_rng(seed)).with_core(**{**PLAIN, **SETTINGS.get(setting, {})})


def stimulus_of(case: RandomRun | DataflowCase, late: np.random.Generator | None = None, until: int = 0) -> Stimulus:
    """The run with its tokens; with `late`, one in five comes no earlier than some cycle before `until`."""
    run, planes, eots, potentials, currents, *flags = case.arguments
    stream = plane_stream(run, planes, eots)
    gaps = np.array(stream.gaps, np.int64)
    earliest = np.zeros_like(gaps)
    if late is not None:
        earliest = np.where(late.random(len(gaps)) < 0.8, 0, late.integers(0, 1 + until, len(gaps)))
    return Stimulus(
        run, np.array(stream.tokens, np.int64).reshape(-1, 6), gaps, earliest, potentials, currents,
        flags[0] if flags else np.zeros_like(potentials))


def planes_cleared(run: CoreRun, log: CoreLog) -> int:
    """Rows of the output planes that a run of one visit clears: those of its own neurons, in each pass that sends (A4)."""
    sending = [ISSUE_KINDS.index(kind) for kind in ("fire", "requant")]
    passes = int(np.isin(log.issue[:, 1], sending).sum()) // run.words
    neurons = (run.channels[1] - run.channels[0]) * run.shape[1] * run.shape[2]
    return passes * -(-neurons // run.core.scan_bits)


def scanned_differences(rtl: CoreLog, engine: CoreLog) -> list[str]:
    """As `differences`, for a core with its spike buffer: rows read as well, but no pooling units."""
    rows = INDEX["buffer_read"]
    found = [text for text in differences(rtl, engine) if not text.startswith("pool_update")]
    mine, its = (log.counts[:, rows].tolist() for log in (rtl, engine))
    return found if mine == its else [*found, f"buffer_read: RTL {mine}, engine {its}"]


def judged(seeds: range, setting: str) -> Iterator[tuple[int, Stimulus, CoreLog]]:
    """Random runs of a setting with the reference engine's answers; odd seeds have late tokens. What is refused is left out."""
    for seed in seeds:
        case = random_case(seed, setting)
        if list(uncovered(case.run)):
            continue
        try:
            stimulus = stimulus_of(case)
            log = REFERENCE.run_core(*stimulus.arguments)
        except ProgramError:
            continue
        if seed % 2:
            stimulus = stimulus_of(case, np.random.default_rng(seed), log.done)
            log = REFERENCE.run_core(*stimulus.arguments)
        yield seed, stimulus, log
