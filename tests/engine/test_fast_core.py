"""One run of the fast engine: the 225 vectors, the recurrence against its own operations, the arithmetic against rules.

The vectors hold every cycle of small runs. What they do not hold is checked against models written here, operation by
operation and synapse by synapse, with nothing of the engine in them: widths from 4 to 40 bits, every step clipped.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from hwsim.activity import INDEX
from hwsim.engine.fast.chip import FastEngine
from hwsim.passes import Pass, PassTable
from hwsim.program import CoreRun, CoreSpec, ProgramError
from hwsim.record import ISSUE_KINDS, CoreLog
from hwsim.snn.network import Connection
from hwsim.verify.core_cases import CoreCase
from tests.engine.core_cases import load_cases

CASES = load_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_vector(case: CoreCase) -> None:
    assert case.difference(FastEngine().run_core(*case.arguments)) is None


def step_through(run: CoreRun, log: CoreLog) -> tuple[list[int], dict[str, int]]:
    """R5 to R7 one operation at a time over the words of a log: issue cycles, and what A5 counts.

    `visible` is the only thing taken from the log's times; the rest follows from kinds, words and spikes.
    """
    direct = run.table.direct
    senders, pops = iter(sent_by_word(run, log)), set(log.pop.tolist())
    free, done, serialiser, word, written = 1, 0, 0, -1, {""}
    token, hazards, waits, overlapped, cycles = 0, 0, 0, 0, []
    for cycle, kind, this in log.issue.tolist():
        name = ISSUE_KINDS[kind]
        visible = 0
        if name in ("acc", "eot", "skip"):
            visible = int(log.push[token]) + 1
            token += cycle in pops
        if name in ("eot", "skip"):
            cycles.append(max(free, visible))
            free = cycles[-1] + 1
            overlapped += cycles[-1] < done
            continue
        issue = max(free, visible, done)
        memory = "current" if name == "acc" and direct else "membrane"
        if name not in ("clear", "reinitialise") and not run.core.bypass and (issue, this) == (done, word) and memory in written:
            issue, hazards = issue + 1, hazards + 1
        done = issue + 1
        if name in ("fire", "requant"):
            done = max(done, serialiser)
            waits += done - issue - 1
            serialiser = done + max(1, next(senders))
        free, word, written = issue + 1, this, {"membrane", "current"} if name == "clear" else {memory}
        cycles.append(issue)
    counted = {"cycles_busy": len(cycles), "cycles_stall_hazard": hazards, "cycles_stall_serialiser": waits,
               "cycles_overlapped": overlapped}
    return cycles, counted


def sent_by_word(run: CoreRun, log: CoreLog) -> list[int]:
    """Spikes of each word of each fire pass in order, for a run of one period: each pass has a row of its own."""
    _, height, width = run.shape
    groups = run.groups[1] - run.groups[0]
    channel, position = np.divmod(log.spikes[:, 2], height * width)
    words = position * groups + channel // run.core.lanes - run.groups[0]
    totals = [log.counts[p.timestep, INDEX["spike_out"]] for p in run.table.passes if p.kind == "fire"]
    parts = np.split(words, np.cumsum(totals)[:-1])
    return [n for part in parts for n in np.bincount(part, minlength=run.words).tolist()]


ONE_PERIOD = [c for c in CASES if (c.tokens[:, 0] < 0).sum() == c.run.table.planes]


@pytest.mark.parametrize("case", ONE_PERIOD, ids=lambda case: case.name)
def test_events_cost_what_their_operations_cost(case: CoreCase) -> None:
    """The time of an event is computed at once; going through its words one by one gives the same cycles."""
    log = FastEngine().run_core(*case.arguments)
    cycles, counted = step_through(case.run, log)
    assert cycles == log.issue[:, 0].tolist()
    assert counted == {name: log.counts[:, INDEX[name]].sum() for name in counted}


def test_events_of_a_direct_table_do_not_wait_for_the_membrane() -> None:
    """R6: the vectors' direct inputs come before the first EOT; here they come again after each fire pass."""
    close = 0
    for case in (c for c in ONE_PERIOD if c.run.table.direct):
        period = case.tokens[: 1 + int(np.argmax(case.tokens[:, 0] < 0))]
        tokens = np.tile(period, (case.run.table.planes, 1))
        run = replace(case.run, core=replace(case.run.core, bypass=False, fifo_depth=8))
        late = np.zeros((2, len(tokens)), np.int64) + [[1], [0]]
        log = FastEngine().run_core(run, tokens, *late, *case.arguments[4:])
        cycles, counted = step_through(run, log)
        assert cycles == log.issue[:, 0].tolist(), case.name
        assert counted == {name: log.counts[:, INDEX[name]].sum() for name in counted}
        kinds = log.issue[:, 1:].tolist()
        fire, acc = ISSUE_KINDS.index("fire"), ISSUE_KINDS.index("acc")
        close += sum(a[0] == fire and b == [acc, a[1]] for a, b in itertools.pairwise(kinds))
    assert close, "some event must reach the word that was fired last"


def test_closed_form() -> None:
    """docs/cycle-model.md, Check: with bypass, without spikes and D >= 2 a run takes its slots and two cycles more."""
    for case in CASES:
        table = replace(case.run.table, passes=tuple(replace(p, threshold=1 << 40) for p in case.run.table.passes))
        run = replace(case.run, core=replace(case.run.core, bypass=True, fifo_depth=2), table=table)
        arguments = (run, *case.arguments[1:3], np.zeros_like(case.earliest), *case.arguments[4:])
        log = FastEngine().run_core(*arguments)
        assert log.done == len(log.issue) + 2, case.name
        assert log.counts[:, INDEX["cycles_busy"]].sum() == len(log.issue)


def arithmetic(run: CoreRun, tokens: np.ndarray, potentials: np.ndarray) -> tuple[np.ndarray, int, list[int]]:
    """R10 and R11 in Python integers, synapse by synapse: final potentials, saturations and neurons that fired."""
    table, (_, height, width) = run.table, run.shape
    low, high = -(1 << run.potential_bits - 1), (1 << run.potential_bits - 1) - 1
    v = {n: int(x) for n, x in np.ndenumerate(table.initial if run.clear else potentials)}
    clipped, marks, spikes = 0, 0, []

    def put(n: tuple[int, ...], value: int) -> None:
        nonlocal clipped
        v[n] = min(max(value, low), high)
        clipped += v[n] != value

    for connection, c, y, x, payload, has_payload in tokens.tolist():
        if connection < 0:
            marks += 1
            for p in (p for p in table.passes if p.after_eot == marks):
                threshold = p.threshold >> p.shift
                for n in v:
                    if p.add and table.addend is not None:
                        put(n, v[n] + int(table.addend[n]))
                    if p.kind == "shift":
                        put(n, 2 * v[n])
                    if p.kind == "fire" and v[n] >= threshold:
                        spikes.append((n[0] * height + n[1]) * width + n[2])
                        put(n, v[n] - threshold if table.reset == "soft" else 0)
                    if p.kind == "fire" and table.leak_shift is not None:
                        put(n, v[n] - (v[n] >> table.leak_shift))
            marks %= table.planes
            continue
        factor = (payload if has_payload else 1) << (marks if table.weigh_planes else 0)
        for n, weight in synapses(run.connections[connection], run.shape, c, y, x):
            put(n, v[n] + weight * factor)
    return np.array([v[n] for n in np.ndindex(run.shape)]).reshape(run.shape), clipped, spikes


def synapses(
    connection: Connection, shape: tuple[int, int, int], c: int, y: int, x: int
) -> list[tuple[tuple[int, int, int], int]]:
    """(output neuron, weight) of every synapse of a source neuron: "An event's words", synapse by synapse."""
    in_channels, in_height, in_width = connection.pooled_shape
    if connection.pool_mode == "folded":
        y, x = y // connection.pool, x // connection.pool
    if y >= in_height or x >= in_width:
        return []
    weights, stride, found = connection.weights, connection.stride, []
    for co, oy, ox in np.ndindex(shape):
        if connection.operator == "linear":
            found.append(((co, oy, ox), int(weights[co, (c * in_height + y) * in_width + x])))
        elif connection.operator == "identity":
            if (co, oy * stride, ox * stride) == (c + connection.channel_offset, y, x):
                found.append(((co, oy, ox), int(weights[c])))
        else:
            ky, kx = y + connection.padding - stride * oy, x + connection.padding - stride * ox
            per_group = in_channels // connection.groups
            same = co // (shape[0] // connection.groups) == c // per_group
            if same and 0 <= ky < connection.kernel and 0 <= kx < connection.kernel:
                found.append(((co, oy, ox), int(weights[co, c % per_group, ky, kx])))
    return found


def draw_run(seed: int, bits: int, operator: str) -> tuple[CoreRun, np.ndarray]:
    """A run of a few words whose potentials often meet their limits, and its tokens."""
    rng = np.random.default_rng(seed)
    grid = (int(rng.integers(1, 5)) * 2, 4, 5)
    top = max(1, 1 << max(0, min(bits, 24) - 4))
    draw = lambda *size: rng.integers(-top, top + 1, size)  # noqa: E731
    folded = {"pool": 2, "pool_mode": "folded"} if rng.random() < 0.4 else {}
    h, w = (2, 2) if folded else grid[1:]
    connection = {
        "conv2d": lambda: Connection(
            "a", "conv2d", grid, draw(9, grid[0], 3, 3), kernel=3, stride=2, padding=1, **folded),
        "grouped": lambda: Connection(
            "a", "conv2d", grid, draw(6, grid[0] // 2, 2, 2), kernel=2, padding=1, groups=2, **folded),
        "linear": lambda: Connection("a", "linear", grid, draw(7, grid[0] * h * w), **folded),
        "identity": lambda: Connection("a", "identity", grid, draw(grid[0]), channel_offset=1, stride=2, **folded),
    }[operator]()
    shape = connection.natural_shape(connection.weights.shape[0])
    planes = int(rng.integers(1, 4))
    kinds = ("fire", "shift") if rng.random() < 0.3 else ("fire",)
    passes = tuple(Pass(n, kind, int(rng.integers(1, 4 * top)), int(rng.integers(0, 2)), kind == "fire", n - 1)
                   for n in range(1, planes + 1) for kind in kinds)
    table = PassTable(
        planes=planes, passes=passes, initial=rng.integers(-1 << bits - 2, 1 << bits - 2, shape),
        addend=draw(*shape) if rng.random() < 0.5 else None, weigh_planes=bool(rng.random() < 0.4),
        reset=str(rng.choice(["soft", "hard"])), leak_shift=int(rng.integers(1, 4)) if rng.random() < 0.4 else None)
    core = CoreSpec(4, bits, bits, 3, False, "weight", "aer")
    run = CoreRun(core, shape, (0, -(-shape[0] // 4)), (connection,), table, bits, bits, bool(rng.random() < 0.7))
    tokens = []
    for _ in range(planes):
        c, y, x = (rng.integers(0, size, 40) for size in grid)
        payload, has = rng.integers(-9, 10, 40), rng.random(40) < rng.choice([0, 0.5, 1])
        events = np.stack([np.zeros(40, np.int64), c, y, x, payload * has, has], axis=1)
        if rng.random() < 0.5:
            events = events[np.lexsort((events[:, 1], events[:, 3], events[:, 2]))]
        tokens += [events, [[-1, 0, 0, 0, 0, 0]]]
    return run, np.concatenate(tokens)


@pytest.mark.parametrize("bits", [4, 8, 12, 16, 24, 32, 33, 40])
@pytest.mark.parametrize("operator", ["conv2d", "grouped", "linear", "identity"])
def test_every_step_clips_at_its_width(bits: int, operator: str) -> None:
    met = 0
    for seed in range(12):
        run, tokens = draw_run(seed, bits, operator)
        limit = 1 << bits - 1
        states = np.random.default_rng(seed).integers(-limit, limit, run.shape)
        late = np.zeros((2, len(tokens)), np.int64) + [[1], [0]]
        log = FastEngine().run_core(run, tokens, *late, states.copy(), np.zeros_like(states))
        potentials, clipped, spikes = arithmetic(run, tokens, states)
        np.testing.assert_array_equal(log.potentials, potentials)
        assert log.saturations == clipped
        assert sorted(spikes) == sorted(log.spikes[:, 2].tolist())
        met += clipped
    assert met or bits > 24, "the stimuli must meet the limits"


def test_a_clear_leaves_foreign_states_alone() -> None:
    """R1: only a direct table's clear touches the current; a tile's run leaves the other tiles' potentials."""
    case = next(c for c in CASES if c.run.clear and not c.run.table.direct and c.run.groups[1] > 1)
    run = replace(case.run, groups=(1, 2), table=replace(case.run.table, passes=()))
    potentials, currents = np.full(run.shape, 3), np.full(run.shape, 4)
    marks = np.array([[-1, 0, 0, 0, 0, 0]] * 3)
    log = FastEngine().run_core(run, marks, np.ones(3, np.int64), np.zeros(3, np.int64), potentials, currents)
    lanes = slice(run.core.lanes, min(2 * run.core.lanes, run.shape[0]))
    np.testing.assert_array_equal(log.potentials[lanes], run.table.initial[lanes])
    assert (np.delete(log.potentials, np.r_[lanes], axis=0) == 3).all()
    assert (log.currents == 4).all()
    assert log.counts[:, INDEX["membrane_write_clear"]].sum() == run.words
    assert log.done == log.pop[-1] + 1 == run.words + 4, "R8: a run that ends in an EOT is done after its slot"


def test_refusals() -> None:
    case = CASES[0]
    without = replace(case.run, connections=tuple(replace(c, weights=None) for c in case.run.connections))
    with pytest.raises(ProgramError, match="no weights"):
        FastEngine().run_core(without, *case.arguments[1:])
    adding = replace(case.run, table=replace(case.run.table, passes=(Pass(1, "shift", add=True),)))
    with pytest.raises(ProgramError, match="a shift pass after EOT 1 that adds"):
        FastEngine().run_core(adding, *case.arguments[1:])
