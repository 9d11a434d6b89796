"""What a YAML file says of a systolic array (kind: systolic)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from hwsim.cores.base import CoreFields
from hwsim.cores.buffers import MEMORY_FIELDS, BufferedDesign
from hwsim.cores.loop_nest import NestLine

Dataflow = Literal["output_stationary", "weight_stationary", "input_stationary"]


class SystolicFields(CoreFields):
    """The fields under `core:`."""

    kind: Literal["systolic"]
    """A dense array of rows x columns multiply-accumulate elements."""
    rows: int = Field(ge=1, le=1024)
    """Rows of processing elements."""
    columns: int = Field(ge=1, le=1024)
    """Columns of processing elements."""
    dataflow: Dataflow = "output_stationary"
    """Which operand stays in the array."""
    weight_bits: int = Field(default=8, ge=1, le=32)
    """Width of a signed weight."""
    potential_bits: int = Field(default=24, ge=4, le=48)
    """Width of a signed partial sum; a final sum saturates at it."""
    payload_bits: int = Field(default=8, ge=1, le=16)
    """Width of the multiplier's activation operand."""
    fifo_depth: int = Field(default=8, ge=1, le=4096)
    """Activations that wait in front of the array: area and leakage, no cycles."""


class SystolicDesign(BufferedDesign):
    """A systolic array and its memories; their rows are as wide as the array has columns."""

    core: SystolicFields

    timing_fields = ("count", "core.rows", "core.columns", "core.dataflow", "core.weight_bits", "core.potential_bits",
                     "core.payload_bits", *MEMORY_FIELDS)
    price_fields = ("core.fifo_depth",)

    @property
    def pe_count(self) -> int:
        return self.core.rows * self.core.columns

    @property
    def loop_nest(self) -> tuple[NestLine, ...]:
        """One matrix product of M positions, N channels and K products per sum (docs/baselines.md)."""
        core = self.core
        rows, columns, streamed = {"output_stationary": ("m", "n", "k"), "weight_stationary": ("k", "n", "m"),
                                   "input_stationary": ("k", "m", "n")}[core.dataflow]
        stays = {"output_stationary": "sums", "weight_stationary": "weights", "input_stationary": "activations"}[core.dataflow]
        fold = f"a fold: {stays} stay, 2 x {core.rows} + {core.columns} + {streamed.upper()} - 2 cycles"
        return (
            NestLine(0, "for group", ("group",), "of the convolution"),
            NestLine(1, f"for {rows}1 in [0:ceil({rows.upper()} / {core.rows}))", (f"{rows}1",)),
            NestLine(2, f"for {columns}1 in [0:ceil({columns.upper()} / {core.columns}))", (f"{columns}1",), fold),
            NestLine(3, f"for {streamed} in [0:{streamed.upper()})", (streamed,)),
            NestLine(4, f"parallel-for {rows}0 in [0:{core.rows}), {columns}0 in [0:{core.columns})", (f"{rows}0", f"{columns}0"),
                     "elements, in the skew of the array"),
            NestLine(5, "sum[m, n] += A[m, k] x W[k, n]", (), "no zero is skipped"),
        )

    @property
    def row_bits(self) -> Mapping[str, int]:
        core = self.core
        # An array keeps no current between timesteps; a memory for one would lie unused.
        return self.rows_of(core.columns, core.weight_bits, core.potential_bits, core.potential_bits, core.payload_bits)

    @property
    def entry_holds_values(self) -> bool:
        """Rows of the activation buffer hold nothing but values."""
        return True


DESIGN = SystolicDesign
