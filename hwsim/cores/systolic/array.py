"""A systolic array by itself: the closed forms of one matrix product (cycles, operand reads, register writes) for the three
dataflows, in the spirit of SCALE-Sim (Samajdar et al., ISPASS 2020), and the buffer rows that its feeders fetch.

Shapes only, no network and no prices. Conventions are in docs/baselines.md; tests hold the closed forms against an array that is
moved register by register. Units: cycles, rows, words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.cores.systolic.fields import Dataflow
from hwsim.snn.network import Connection, Layer

IntArray = NDArray[np.int64]

# --- the array: closed forms of one matrix product -------------------------------------------------------------------


class Gemm(NamedTuple):
    """A matrix product: m output positions x n output channels, k products summed in each."""

    m: int
    n: int
    k: int


@dataclass(frozen=True)
class SystolicArray:
    """R rows x C columns of elements, and which operand stays in them."""

    rows: int
    columns: int
    dataflow: Dataflow

    def extents(self, gemm: Gemm) -> tuple[int, int, int]:
        """S_R, S_C and T of the ISPASS 2020 paper: what lies along the rows, along the columns, and what streams."""
        m, n, k = gemm
        if self.dataflow == "output_stationary":
            return m, n, k
        return (k, n, m) if self.dataflow == "weight_stationary" else (k, m, n)


@dataclass(frozen=True)
class GemmCost:
    """What one matrix product takes on the array.

    input_reads, weight_reads          operands that enter at the edges.
    partial_words                      words of `columns` partial sums that leave after one fold over K and come back.
    result_words                       words of finished sums that leave.
    input_, weight_, sum_registers     operands and sums latched by elements.
    """

    cycles: int
    macs: int
    input_reads: int
    weight_reads: int
    partial_words: int
    result_words: int
    input_registers: int
    weight_registers: int
    sum_registers: int


def fold_sizes(total: int, size: int) -> IntArray:
    """Sizes of the pieces into which `total` is folded: all `size` but the last."""
    return np.minimum(size, total - np.arange(0, total, size, dtype=np.int64))


def gemm_cost(array: SystolicArray, gemm: Gemm) -> GemmCost:
    """Closed forms of one product: a fold takes 2 R + C + T - 2 cycles, folds do not overlap (ISPASS 2020)."""
    along_rows, along_columns, streamed = array.extents(gemm)
    row_folds = fold_sizes(along_rows, array.rows)
    folds_r, folds_c = len(row_folds), -(-along_columns // array.columns)
    cycles = folds_r * folds_c * (2 * array.rows + array.columns + streamed - 2)
    macs = gemm.m * gemm.n * gemm.k
    if array.dataflow == "output_stationary":
        # The sum of row i leaves through the R - 1 - i elements below it; each element latches its initial sum once.
        drain = int((row_folds * (array.rows - 1) - row_folds * (row_folds - 1) // 2).sum())
        return GemmCost(
            cycles, macs, input_reads=gemm.m * gemm.k * folds_c, weight_reads=gemm.k * gemm.n * folds_r,
            partial_words=0, result_words=gemm.m * folds_c, input_registers=macs, weight_registers=macs,
            sum_registers=macs + gemm.m * gemm.n + gemm.n * drain,
        )
    moving, moved = along_rows * streamed * folds_c, macs
    # The operand that stays enters at the top: that of row i is latched i + 1 times on its way.
    staying, stayed = along_rows * along_columns, along_columns * int((row_folds * (row_folds + 1) // 2).sum())
    weights_stay = array.dataflow == "weight_stationary"
    return GemmCost(
        cycles, macs, input_reads=moving if weights_stay else staying, weight_reads=staying if weights_stay else moving,
        partial_words=streamed * folds_c * (folds_r - 1), result_words=streamed * folds_c,
        input_registers=moved if weights_stay else stayed, weight_registers=stayed if weights_stay else moved,
        sum_registers=along_columns * streamed * array.rows * folds_r,
    )


# --- addresses: which rows of the activation buffer a stream touches -------------------------------------------------


@dataclass(frozen=True, eq=False)
class Stream:
    """Activations that one connection feeds to each output position.

    base     (positions, taps): address of channel 0 of the tap's source position, -1 where it is padding.
    first, last   source channels [first, last) of the connection's group.       per_row   activations in a buffer row.
    """

    base: IntArray
    first: int
    last: int
    per_row: int


def tap_addresses(connection: Connection, layer: Layer) -> IntArray:
    """Addresses (positions, taps) of channel 0 on the (pooled) source grid in (y, x, c) order, -1 for padding."""
    c, h, w = connection.pooled_shape
    if connection.operator == "linear":
        return np.arange(h * w, dtype=np.int64)[None] * c
    y, x = (np.arange(n)[:, None] * axis.stride - axis.padding + np.arange(axis.kernel)
            for n, axis in zip(layer.shape[1:], connection.axes, strict=True))
    y, x = y[:, None, :, None], x[None, :, None, :]
    inside = (y >= 0) & (y < h) & (x >= 0) & (x < w)
    return np.where(inside, (y * w + x) * c, -1).reshape(layer.shape[1] * layer.shape[2], -1)


def fetched_rows(streams: Sequence[Stream], span: int) -> int:
    """Buffer rows read when each position takes its products in order, `span` of them a fold.

    A feeder keeps the row that it read last, until the fold ends; padding is fed as zeros that nobody reads.
    """
    total, k = 0, 0
    for stream in streams:
        held = np.full(len(stream.base), -1, np.int64)
        for base in stream.base.T:
            inside, c = base >= 0, stream.first
            while c < stream.last:
                if k % span == 0:
                    held[:] = -1
                step = min(stream.last - c, span - k % span)
                low, high = (base + c) // stream.per_row, (base + c + step - 1) // stream.per_row
                total += int((high - low + (low != held))[inside].sum())
                held = np.where(inside, high, held)
                c, k = c + step, k + step
    return total


def touched_rows(positions: IntArray, channels: int, spans: Sequence[tuple[int, int]], per_row: int) -> int:
    """Rows that hold channels [lo, hi) of each span at each position of a plane with `channels` channels."""
    base = positions * channels
    return sum(int(((base + hi - 1) // per_row - (base + lo) // per_row + 1).sum()) for lo, hi in spans)
