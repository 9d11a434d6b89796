"""The loop nest of an event core, as its dataflow (R19 to R25) orders it: which loop is outside, and what stays where."""

from __future__ import annotations

from collections.abc import Iterator

from hwsim.cores.loop_nest import NestLine
from hwsim.program import CoreSpec


def event_nest(core: CoreSpec, payload_bits: int, requantises: bool) -> tuple[NestLine, ...]:
    """One layer under layer_by_layer; its last lines say what an event adds, and what step_by_step changes.

    payload_bits   of the multiplier's event operand, 0: there is none.      requantises   layers send values, in one timestep.
    """
    return tuple(_Nest(core, payload_bits, requantises).lines())


class _Nest:
    def __init__(self, core: CoreSpec, payload_bits: int, requantises: bool) -> None:
        self.core, self.lanes, self.payload_bits, self.requantises = core, core.lanes, payload_bits, requantises
        self.held = core.accumulators if core.order == "gather" else 0
        self.adders = core.adders if core.planes_per_token == "all" else 0

    def lines(self) -> Iterator[NestLine]:
        yield NestLine(0, "for tile", ("tile",), "channels and rows that fit; their weights are loaded")
        depth = 1
        if self.held:
            yield NestLine(1, "for oy in [0:OY), ox in [0:OX)", ("oy", "ox"))
            yield NestLine(2, f"for k2 in [0:ceil(K / {self.held * self.lanes}))", ("k2",),
                           f"a visit: up to {self.held} x {self.lanes} sums in accumulators")
            depth = 3
        if not self.adders:
            yield NestLine(depth, "for t in [0:T)", ("t",))
            depth += 1
        yield from self._events(depth)
        yield from self._passes(depth)
        yield NestLine(0, f"w: {self._weight()}")
        if not self.requantises:  # it has one timestep
            yield NestLine(0, self._step_by_step())

    def _events(self, depth: int) -> Iterator[NestLine]:
        plane = "any of spike[0:T, iy, ix, c]" if self.adders else "spike[t, iy, ix, c]"
        window = "iy, ix in the window, c" if self.held else "iy, ix, c"
        yield NestLine(depth, f"for {window} where {plane}", ("iy", "ix", "c"), self._buffer())
        depth += 1
        if not self.held:
            yield NestLine(depth, "for (oy, ox) with (iy, ix) in their window", ("oy", "ox"))
            depth += 1
        groups = str(self.held) if self.held else f"ceil(K / {self.lanes})"
        yield NestLine(depth, f"for k1 in [0:{groups})", ("k1",), "reads a weight row" + (
            "; skipped in one cycle where all flags are off" if self.core.mask_first else
            "; rows of zeros are neither stored nor read" if self.core.skip_zero_weights else ""))
        depth += 1
        if self.adders:
            bits = "of the token"
            if self.core.multiplier == "bit_serial" and self.payload_bits:
                bits += " or value"
            yield NestLine(depth, f"for t in the set bits {bits}, {self.adders} per cycle", ("t",))
            depth += 1
        spatial = f"parallel-for k0 in [0:{self.lanes})" + (f", {self.adders} bits" if self.adders > 1 else "")
        yield NestLine(depth, spatial, ("k0",))
        row = "membrane: row read in the first cycle, written in the last" if self.adders else "membrane: row read, row written"
        if self.core.pipes == "two":
            row = row.replace("membrane", "a bank of the current memory")
        to = "V[oy, ox, k]" if self.core.pipes == "one" else "I[tick % 2, oy, ox, k]"
        yield NestLine(depth + 1, f"{to} += w", (), "registers" if self.held else row + self._port())

    def _weight(self) -> str:
        """What one event adds. How planes are weighed is the trace's: bit planes are, planes of a rate code are not."""
        weighed = "W[k, c, fy, fx]"
        if self.core.shift_at == "weight":
            weighed += ", << t where planes are bits"
        if self.payload_bits and self.core.multiplier == "parallel":
            weighed += ", x value where an event carries one"
        if self.held and self.adders:
            weighed += "; planes of a rate code each have a V of their own, which their passes add up"
        return weighed

    def _passes(self, depth: int) -> Iterator[NestLine]:
        words = ("oy", "ox", "k1") if not self.held else ("k1",)
        loop = f"for {', '.join(words)}"
        when = "for pass in all passes" if self.adders else "for pass in passes after plane t"
        when += ", beside the events of plane t + 1" if self.core.pipes == "two" else ""
        order = [(when, ("pass",)), (loop, words)]
        if self.core.passes == "by_word":
            order.reverse()
        for text, over in order:
            yield NestLine(depth, text, over)
            depth += 1
        yield NestLine(depth, f"parallel-for k0 in [0:{self.lanes})", ("k0",))
        what = "V: requantise" if self.requantises else "V: compare, reset, leak"
        if self.core.pipes == "two":
            what = what.replace("V: ", "V: add I, ") + "; I: zero"
        if self.core.shift_at == "membrane":
            what = f"{what}; between bit planes, double"
        yield NestLine(depth + 1, what, (), self._pass_note())

    def _pass_note(self) -> str:
        once = "once per word" if self.core.passes == "by_word" else "in each pass"
        where = "registers" if self.held else f"membrane: row read and written {once}" + self._port()
        if self.core.pipes == "two":
            where = where.replace("membrane: row", "membrane and current: rows")
        return f"{where}; " + ("a word's spikes leave at once" if self.core.writer == "word" else "one spike leaves per cycle")

    def _buffer(self) -> str:
        if self.core.buffer == "aer":
            return "listed events, one per cycle"
        return f"bitmap{' rows of the window' if self.held else ''}, {self.core.scan_bits} bits per cycle"

    def _port(self) -> str:
        return ", one port" if self.core.membrane_ports == "1rw" else ""

    def _step_by_step(self) -> str:
        if self.core.pipes == "two":
            return "pipelined: timesteps of a layer follow each other, and V waits in the membrane memory"
        if self.held:
            kept = "a visit loads its words from the membrane memory and stores them"
        else:
            kept = "V waits in the membrane memory, or is spilled"
        return f"step by step: t is outside all layers; {kept}"
