"""`hwsim arch show` prints the loops that a core goes through: what an engine does is in the order of the printed nest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hwsim.arch import load_architecture
from hwsim.cli import app
from hwsim.cores.event.loop_nest import event_nest
from hwsim.cores.loop_nest import NestLine, nest_text
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference.tokens import plane_stream
from hwsim.program import ProgramError
from hwsim.record import ISSUE_KINDS, CoreLog
from tests.engine.random_runs import RandomRun, random_run

DATAFLOWS = [
    {"order": order, "planes_per_token": token, "passes": passes, "accumulators": held, "adders": 2}
    for (order, held), token, passes in product(
        (("scatter", 1), ("gather", 1), ("gather", 2)), ("one", "all"), ("by_pass", "by_word"))]


def paths(nest: Sequence[NestLine]) -> list[tuple[tuple[str, ...], str]]:
    """Of each statement within loops, the dimensions around it, outermost first."""
    around: dict[int, tuple[str, ...]] = {}
    found = []
    for line in nest:
        around = {depth: over for depth, over in around.items() if depth < line.depth}
        if line.over:
            around[line.depth] = line.over
        elif around:
            found.append((tuple(name for depth in sorted(around) for name in around[depth]), line.text))
    return found


def runs(core: dict[str, Any]) -> Iterator[tuple[RandomRun, CoreLog]]:
    """Runs of one connection, whole layers, in a dataflow."""
    plain = {"buffer": "bitmap", "writer": "serial", "membrane_ports": "1r1w", "multiplier": "parallel", "mask_first": False}
    for seed in range(260):
        case = random_run(np.random.default_rng(seed)).with_core(**plain, **core)
        if len(case.run.connections) > 1 or case.run.cut_by_rows or not case.run.clear or case.run.keep:
            continue
        try:
            yield case, FastEngine().run_planes(*case.arguments)
        except ProgramError:
            continue


def indices(case: RandomRun, log: CoreLog) -> Iterator[tuple[str, dict[str, int]]]:
    """Of each operation its kind, and where it stands in every loop."""
    run = case.run
    stream = plane_stream(run, case.planes, case.eots)
    marks = np.cumsum([token.is_eot for token in stream.tokens])
    groups, held = run.groups[1] - run.groups[0], run.core.accumulators
    eots_seen = 0
    for cycle, kind, word in log.issue.tolist():
        name = ISSUE_KINDS[kind]
        if name == "eot":
            eots_seen += 1
        if name in ("eot", "skip", "clear"):
            continue
        place, group = divmod(word, groups)
        oy, ox = divmod(place, run.shape[2])
        gathers = run.core.order == "gather"
        where = {"oy": oy, "ox": ox, "k2": group // held if gathers else 0, "k1": group % held if gathers else group}
        if name == "acc":
            at = int(np.searchsorted(log.pop, cycle))
            token = stream.tokens[at]
            plane = 0 if run.merged else int(marks[at]) % case.eots
            yield name, {**where, "t": plane, "iy": token.y, "ix": token.x, "c": token.c}
        else:
            done = [one for one in run.table.passes if run.merged or one.after_eot == (eots_seen - 1) % case.eots + 1]
            number = [one.kind for one in done].index(name) if len({one.kind for one in done}) == len(done) else -1
            yield name, {**where, "t": (eots_seen - 1) % case.eots, "pass": number}


@pytest.mark.parametrize("core", DATAFLOWS, ids=lambda core: "-".join(map(str, core.values())))
def test_operations_come_in_the_order_of_the_loops(core: dict[str, Any]) -> None:
    """Where each operation stands in the printed loops grows from operation to operation, read outermost first."""
    compared = {"acc": 0, "pass": 0}
    for case, log in runs(core):
        accumulate, passes = (over for over, _ in paths(event_nest(case.run.core, 8, False)))
        seen: dict[str, list[tuple[int, ...]]] = {"acc": [], "pass": []}
        for name, where in indices(case, log):
            if where.get("pass", 0) >= 0:  # else passes of one kind, which the log does not tell apart
                kind = "acc" if name == "acc" else "pass"
                over = accumulate if kind == "acc" else passes
                seen[kind].append(tuple(where.get(dimension, 0) for dimension in over))
        for kind, keys in seen.items():
            assert all(one < other for one, other in zip(keys, keys[1:], strict=False)), (kind, case.run.core, keys)
            compared[kind] += len(keys) > 1
    assert min(compared.values()) > 5, compared


def test_settings_that_order_no_loop_are_said_in_the_notes() -> None:
    base = load_architecture("event_core_64_flags").with_core(shift_at="weight")
    for changes, text in (
        ({"mask_first": True}, "skipped in one cycle where all flags are off"),
        ({"writer": "word"}, "a word's spikes leave at once"), ({"shift_at": "membrane"}, "between bit planes, double"),
        ({"payload_bits": 0}, "w: W[k, c, fy, fx], << t where planes are"),
        ({"token": {"planes": "merged"}, "lane": {"multiplier": "bit_serial"}}, "set bits of the token or value, 1 per cycle"),
    ):
        without, with_it = ("\n".join(nest_text(one.cores[0].loop_nest)) for one in (base, base.with_core(**changes)))
        assert text in with_it
        assert without != with_it
    ports = base.with_memories(membrane_ports="1rw")
    assert "row written, one port" in "\n".join(nest_text(ports.cores[0].loop_nest))


@pytest.mark.parametrize(("dataflow", "loops"), [
    ("output_stationary", ["group", "m1", "n1", "k", "m0", "n0"]), ("weight_stationary", ["group", "k1", "n1", "m", "k0", "n0"]),
    ("input_stationary", ["group", "k1", "m1", "n", "k0", "m0"])])
def test_a_systolic_array_folds_what_stays_and_streams_the_third(dataflow: str, loops: list[str]) -> None:
    """S_R, S_C and T of docs/baselines.md."""
    made = load_architecture("systolic_8x8").with_core(dataflow=dataflow, rows=4, columns=2)
    (over, _), = paths(made.cores[0].loop_nest)
    assert list(over) == loops
    streamed = loops[3].upper()
    assert f"2 x 4 + 2 + {streamed} - 2 cycles" in "\n".join(nest_text(made.cores[0].loop_nest))


@pytest.mark.parametrize("name", ["event_core_16", "event_core_16_aer", "mac_core_64", "odin", "systolic_8x8"])
def test_arch_show_prints_the_nest(name: str) -> None:
    nest = list(nest_text(load_architecture(name).cores[0].loop_nest))
    assert len(nest) >= 3
    text = CliRunner().invoke(app, ["arch", "show", name], catch_exceptions=False).stdout
    assert "\n".join(f"  {line}" for line in nest) in text
    body = json.loads(CliRunner().invoke(app, ["arch", "show", name, "--json"], catch_exceptions=False).stdout)
    assert body["loop_nest"] == [nest]
