"""A systolic array moved cycle by cycle: every register of every element, real operands, the real matrix product.

The golden model of the closed forms. It knows no formula: operands enter the edges as tokens, one step a cycle to the
right and downwards; a fold ends when no token is left in the array (and, where outputs stay, the last sum has been
shifted out below). A token that stands for an unused row or column is a bubble: it takes its cycles and counts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BUBBLE = "bubble"
"""What flows through rows, columns and slots that hold nothing real."""


@dataclass
class Log:
    """What the array did in one product; reads are operands at the edges, registers are real operands latched."""

    product: np.ndarray
    cycles: int = 0
    macs: int = 0
    input_reads: int = 0
    weight_reads: int = 0
    partial_reads: int = 0
    partial_words: int = 0
    result_words: int = 0
    input_registers: int = 0
    weight_registers: int = 0
    sum_registers: int = 0


def real(*tokens: object) -> bool:
    return all(t is not None and t is not BUBBLE for t in tokens)


def grid(rows: int, columns: int) -> list[list]:
    return [[None] * columns for _ in range(rows)]


def run(rows: int, columns: int, dataflow: str, inputs: np.ndarray, weights: np.ndarray, initial: np.ndarray) -> Log:
    """inputs (M, K) @ weights (K, N) + initial (N,), fold after fold."""
    log = Log(np.zeros((len(inputs), weights.shape[1]), np.int64))
    if dataflow == "output_stationary":
        for m0 in range(0, len(inputs), rows):
            for n0 in range(0, weights.shape[1], columns):
                output_fold(rows, columns, inputs, weights, initial, m0, n0, log)
    elif dataflow == "weight_stationary":
        start = np.broadcast_to(initial, log.product.shape)
        stationary(rows, columns, weights, inputs, start, log, ("weight", "input"), log.product)
    else:
        start = np.broadcast_to(initial, log.product.shape)
        stationary(rows, columns, inputs.T, weights.T, start.T, log, ("input", "weight"), log.product.T)
    return log


def output_fold(rows, columns, inputs, weights, initial, m0, n0, log):
    """Inputs from the left, weights (with the first one the initial sum) from above; sums stay, then leave below."""
    depth = weights.shape[0]
    right, down, begin, held = (grid(rows, columns) for _ in range(4))
    step = 0
    while step == 0 or any(t is not None for row in right for t in row[:-1]) or any(
            t is not None for row in down[:-1] for t in row) or step < depth:
        new_right, new_down, new_begin = (grid(rows, columns) for _ in range(3))
        for i in range(rows):
            for j in range(columns):
                a = right[i][j - 1] if j else edge(inputs.T, step - i, m0 + i, depth, log, "input_reads")
                w = down[i - 1][j] if i else edge(weights, step - j, n0 + j, depth, log, "weight_reads")
                b = begin[i - 1][j] if i else (initial[n0 + j] if step == j and n0 + j < len(initial) else None)
                assert (a is None) == (w is None), "operands of one product must meet"
                if real(a, w):
                    if b is not None:
                        held[i][j] = b
                        log.sum_registers += 1
                    held[i][j] += a * w
                    log.macs += 1
                    log.input_registers += 1
                    log.weight_registers += 1
                    log.sum_registers += 1
                new_right[i][j], new_down[i][j], new_begin[i][j] = a, w, b
        right, down, begin = new_right, new_down, new_begin
        step += 1
    log.cycles += step
    drain(rows, columns, held, m0, n0, log)


def drain(rows, columns, held, m0, n0, log) -> None:
    """All columns shift down one row a cycle; what was in the top row leaves last."""
    marks = [[(m0 + i, n0 + j, held[i][j]) for j in range(columns)] for i in range(rows)]
    while any(mark is not None for row in marks for mark in row):
        leaving = [mark for mark in marks[-1] if mark is not None and mark[2] is not None]
        for m, n, value in leaving:
            log.product[m, n] = value
        log.result_words += bool(leaving)
        log.sum_registers += sum(mark is not None and mark[2] is not None for row in marks[:-1] for mark in row)
        marks = [[None] * columns, *marks[:-1]]
        log.cycles += 1


def edge(matrix, k, lane, depth, log, counter):
    """Token k of a lane at an edge: None before and after, a bubble where the lane holds nothing."""
    if not 0 <= k < depth:
        return None
    if lane >= matrix.shape[1]:
        return BUBBLE
    setattr(log, counter, getattr(log, counter) + 1)
    return matrix[k, lane]


def stationary(rows, columns, staying, moving, initial, log, names, product) -> None:
    """`staying` (K, S) sits in the array, `moving` (T, K) comes from the left, sums (T, S) go down from the top edge.

    names: what stays and what moves, for the counters. Between folds over K partial sums wait in `waiting`.
    """
    for s0 in range(0, staying.shape[1], columns):
        waiting = None
        for k0 in range(0, staying.shape[0], rows):
            held = load(rows, columns, staying, k0, s0, log, names[0])
            if waiting is not None:
                log.partial_words += sum(any(real(t) for t in word) for word in waiting)
            waiting = stream(rows, columns, held, moving, initial, waiting, k0, s0, log, names[1])
        for t, word in enumerate(waiting):
            log.result_words += any(real(x) for x in word)
            for j, value in enumerate(word):
                if real(value):
                    product[t, s0 + j] = value


def load(rows, columns, staying, k0, s0, log, name) -> list[list]:
    """Operands enter at the top, the one for the lowest row first, and shift down a row a cycle."""
    held = grid(rows, columns)
    for step in range(rows):
        k, top = k0 + rows - 1 - step, []
        for j in range(columns):
            there = k < staying.shape[0] and s0 + j < staying.shape[1]
            top.append(staying[k, s0 + j] if there else BUBBLE)
            setattr(log, f"{name}_reads", getattr(log, f"{name}_reads") + there)
        held = [top, *held[:-1]]
        latched = sum(real(t) for row in held for t in row)
        setattr(log, f"{name}_registers", getattr(log, f"{name}_registers") + latched)
        log.cycles += 1
    return held


def stream(rows, columns, held, moving, initial, waiting, k0, s0, log, name) -> list[list]:
    """Operands from the left meet sums from above; a sum leaves below one cycle after the last row latched it."""
    slots = len(moving)
    right, down = grid(rows, columns), grid(rows, columns)
    out = [[None] * columns for _ in range(slots)]
    step, left_to_leave = 0, slots * columns
    while left_to_leave:
        new_right, new_down = grid(rows, columns), grid(rows, columns)
        for i in range(rows):
            for j in range(columns):
                a = right[i][j - 1] if j else edge(moving, step - i, k0 + i, slots, log, f"{name}_reads")
                p = down[i - 1][j] if i else sum_edge(initial, waiting, step - j, s0 + j, j, slots, log)
                assert (a is None) == (p is None), "a partial sum must meet its operand"
                if real(a, held[i][j]):
                    p = p + a * held[i][j]
                    log.macs += 1
                    setattr(log, f"{name}_registers", getattr(log, f"{name}_registers") + 1)
                log.sum_registers += real(p)
                new_right[i][j], new_down[i][j] = a, p
                if i == rows - 1 and p is not None:
                    out[step - j - i][j] = p
                    left_to_leave -= 1
        right, down = new_right, new_down
        step += 1
        log.cycles += 1
    return out


def sum_edge(initial, waiting, t, s, column, slots, log):
    """The sum that slot t starts with: the initial one, or what an earlier fold over K left."""
    if not 0 <= t < slots:
        return None
    if s >= initial.shape[1]:
        return BUBBLE
    if waiting is None:
        return initial[t, s]
    log.partial_reads += 1
    return waiting[t][column]
