"""The self-checking testbench of an exported core: a run of the trace as stimuli, the fast engine's answer as what is expected.

The Verilog is hwsim/rtl/testbench.v with its blanks filled in; stimuli and answers go into a data file beside it ($readmemh), one
row a token, a spike or a lane of a memory word. Compared are the cycle of every push and spike, the spikes' pass and address, the
cycle of `done`, and every word of the states: as the host port reads them afterwards, or, where no memory holds them (R19, R24),
as the core's `kept_*` showed them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from string import Template

import numpy as np

from hwsim.record import CoreReplay
from hwsim.rtl.export import CoreExport, lint_off
from hwsim.rtl.ports import Port
from hwsim.snn.network import IntArray

TEMPLATE = Path(__file__).with_name("testbench.v")
TOKEN_FIELDS = ("gap", "earliest", "push", "eot", "connection", "c", "y", "x", "payload_high", "payload", "has_payload")
SPIKE_FIELDS = ("pass", "c", "y", "x", "level")
FIELD_BITS = 32
ROW_BITS = FIELD_BITS * len(TOKEN_FIELDS)
STATES = ("membrane", "current", "mask")  # by the host port's select values; CoreLog's potentials, currents, flags
PATIENCE_CYCLES = 1000


class Bench:
    """The two files' texts for a core and one replayed run of it."""

    def __init__(self, export: CoreExport, replay: CoreReplay) -> None:
        self.export, self.replay, self.core = export, replay, export.core
        self.p = self.core.p
        log = replay.log
        self.tells = self.p.memories_tell
        self.before = self._state_rows(self._found()) if not (replay.run.clear and self.tells) else []
        self.after = self._state_rows((log.potentials, log.currents, log.flags))
        self.sections = {
            "TOKENS_AT": ("tokens: " + " ".join(TOKEN_FIELDS), list(self._token_rows())),
            "SPIKES_AT": ("spikes: cycle " + " ".join(SPIKE_FIELDS), list(self._spike_rows())),
            "BEFORE_AT": ("states before the run: has_neuron value; lanes by words by memories", self.before),
            "AFTER_AT": ("states after the run: the same", self.after),
        }

    def data(self) -> str:
        """The data file: row 0 says how many rows there are, then the sections."""
        lines = ["// rows", _row([self._rows])]
        for title, rows in self.sections.values():
            lines += [f"// {title}", *rows]
        return "\n".join(lines) + "\n"

    def verilog(self, data_file: str) -> str:
        """The testbench; it looks for `data_file` in the folder that it runs in."""
        export = self.export
        header = [f"// Self-checking testbench of {export.module}: {len(self.replay.tokens)} tokens, {self._marks()}.",
                  *(f"// {what}: {' '.join(which.split())}" for what, which in export.origin),
                  "// Run: iverilog -g2012 -o tb.vvp TESTBENCH CORE && vvp -n tb.vvp",
                  "// With a waveform for GTKWave or Surfer: vvp -n tb.vvp +wave=run.vcd, or vvp -n tb.vvp -fst +wave=run.fst",
                  f"// or: verilator --binary --top-module {export.module}_tb TESTBENCH CORE -o bench && obj_dir/bench"]
        return Template(TEMPLATE.read_text()).substitute(
            header="\n".join([*header, *lint_off("WIDTH")]), module=export.module, row_bits=ROW_BITS, data=data_file,
            constants="\n".join(f"  localparam {name} = {value};" for name, value in self._constants().items()),
            spike_fields="\n".join(self._spike_wires()), kept_fields="\n".join(self._kept_wires()),
            connections=",\n".join(self._connections()),
        )

    def _marks(self) -> str:
        replay = self.replay
        return f"{replay.eots} EOTs" + (f" in each of {replay.visits} visits" if self.p.gathers else "")

    @property
    def _rows(self) -> int:
        return 1 + sum(len(rows) for _, rows in self.sections.values())

    def _constants(self) -> dict[str, int]:
        log, memories = self.replay.log, self.core.memories
        found = {"TOKENS": len(self.replay.tokens), "EOTS": self.replay.eots, "CLEAR": int(self.replay.run.clear),
                 "SPIKES": len(log.spikes), "DONE": log.done, "LIMIT": 2 * log.done + PATIENCE_CYCLES,
                 "LANES": self.p.lanes, "WORDS": self.p.words, "HOST_BITS": self._port("host_read_data").bits,
                 "TELLS": int(self.tells), "SENDERS": self.p.lanes if self.p.writes_words else 1,
                 "LEVEL_BITS": self.p.level_shape.width}
        found |= {f"{name.upper()}_BITS": memories[name][1] if name in memories else 0 for name in STATES}
        at = 1
        for name, (_, rows) in self.sections.items():
            found[name] = at
            at += len(rows)
        return found | {"ROWS": self._rows}

    def _port(self, name: str) -> Port:
        return next(port for port in self.core.ports if port.name == name)

    def _spike_wires(self) -> Iterator[str]:
        """Each field as wide as a row's fields, those of all lanes side by side; what the core does not send is zero."""
        there = {port.name: port for port in self.core.ports}
        for name in ("pass", "c", "y", "x"):
            yield f"  wire {_range(there[f'spike_{name}'])}core_spike_{name};"
            yield f"  wire [31:0] spike_{name} = core_spike_{name};"
        fired, levels = self._port_of("fired"), self._port_of("levels" if self.p.writes_words else "level")
        for name, port, nothing in (("fired", fired, "1'b1"), ("levels", levels if self._levels is not None else None, "0")):
            bits = "SENDERS" if name == "fired" else "SENDERS * LEVEL_BITS"
            yield f"  wire [{bits} - 1:0] spike_{name}" + (f" = {nothing};" if port is None else ";")

    def _kept_wires(self) -> Iterator[str]:
        """Memory by memory, by the host port's select values; nothing where the memories tell."""
        ports = {port.name: port for port in self.core.ports if port.name.startswith("kept_")}
        for port in ports.values():
            yield f"  wire {_range(port)}core_{port.name};"
        seen = [f"core_kept_seen_{name}" if f"kept_{name}" in ports else "1'b0" for name in STATES[::-1]]
        kept = [f"core_kept_{name}" if f"kept_{name}" in ports else "1'b0" for name in STATES]
        yield f"  wire [2:0] kept_seen = {{{', '.join(seen)}}};"
        yield f"  wire [31:0] kept_word = {'core_kept_word' if ports else 0};"
        for name, value in zip(STATES, kept, strict=True):
            yield f"  wire [HOST_BITS - 1:0] kept_{name} = {value};"

    def _port_of(self, field: str) -> Port | None:
        return next((port for port in self.core.ports if port.name == f"spike_{field}"), None)

    def _connections(self) -> Iterator[str]:
        yield from ("    .clk(clk)", "    .rst(rst)")
        plain = {"start": "state == RUN && cycle == 0", "clear": "CLEAR == 1", "eots": "EOTS", "done": "done",
                 "token_valid": "token_valid", "token_ready": "token_ready", "spike_valid": "spike_valid", "spike_ready": "1'b1",
                 "spike_fired": "spike_fired",
                 **{name: name for name in ("host_select", "host_read", "host_write", "host_write_data", "host_read_data")}}
        for port in self.core.ports:
            kind, _, field = port.name.partition("_")
            if port.name in plain:
                wire = f"EOTS[{port.bits - 1}:0]" if port.name == "eots" else plain[port.name]
            elif port.name == "host_address":
                wire = f"host_address[{port.bits - 1}:0]"
            elif kind == "token":
                wire = f"token[{FIELD_BITS * TOKEN_FIELDS[::-1].index(field)} +: {port.bits}]"
            elif field in ("level", "levels"):
                wire = "spike_levels" if self._levels is not None else ""
            else:
                wire = f"core_{port.name}" if kind in ("spike", "kept") else ""
            yield f"    .{port.name}({wire})"

    def _found(self) -> tuple[IntArray, IntArray, IntArray]:
        """The states that the run finds; a visit with a clear begins with `initial` in registers (R19)."""
        if not (self.p.gathers and self.replay.run.clear):
            return self.replay.before
        nothing = np.zeros(self.replay.run.shape, np.int64)
        return self.replay.run.table.initial, nothing, nothing

    # -- rows of the data file

    def _token_rows(self) -> Iterator[str]:
        replay = self.replay
        columns = (replay.tokens, replay.gaps, replay.earliest, replay.log.push)
        for (connection, *place, payload, has), gap, earliest, push in zip(*(column.tolist() for column in columns), strict=True):
            eot = connection < 0
            yield _row([gap, earliest, push, int(eot), 0 if eot else connection, *place, payload >> FIELD_BITS, payload, has])

    def _spike_rows(self) -> Iterator[str]:
        _, height, width = self.replay.run.shape
        for cycle, number, neuron in self.replay.log.spikes.tolist():
            place, x = divmod(neuron, width)
            c, y = divmod(place, height)
            yield _row([cycle, number, c, y, x, int(self._levels.flat[neuron]) if self._levels is not None else 0])

    @property
    def _levels(self) -> IntArray | None:
        """What a requant pass sends, by neuron; the log has no levels, but they follow from V, which stays as it is (R15)."""
        table = self.replay.run.table
        kinds = [one.kind for one in table.passes]
        if kinds != ["requant"] or self.replay.eots != (1 if self.p.run.merged else table.planes):
            return None
        return np.clip(self.replay.log.potentials // table.passes[0].threshold, 0, table.max_level)

    def _state_rows(self, states: tuple[IntArray, IntArray, IntArray]) -> list[str]:
        """Of the memories that the core has. What a lane without a neuron holds is nobody's business: its rows say so."""
        rows: list[str] = []
        real = [lane for word in self.p.state_words(np.ones(self.replay.run.shape, np.int64)) for lane in word]
        for name, state in zip(STATES, states, strict=True):
            if name in self.core.memories:
                bits = self.core.memories[name][1]
                values = [value & ((1 << bits) - 1) for word in self.p.state_words(state) for value in word]
                rows += [f"{counts:08x}_{value:016x}" for counts, value in zip(real, values, strict=True)]
        return rows


def _row(fields: list[int]) -> str:
    return "_".join(f"{value & ((1 << FIELD_BITS) - 1):08x}" for value in fields)


def _range(port: Port) -> str:
    return f"[{port.bits - 1}:0] " if port.bits > 1 else ""
