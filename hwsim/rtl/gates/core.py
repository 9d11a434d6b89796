"""A whole exported core in the cells of a library, unit by unit; its memories stay as they are. yosys does it, in one run.

Units are synthesised one by one, as in netlist.py, so that each gate belongs to one; what a unit makes and nobody reads (the
strobes that count) is removed first, and so are resets: flip-flops begin at zero. A register that keeps its word unless it is
enabled has no gates for that: its clock is gated. The netlist is flat: nets are yosys' numbers, constants "0" and "1".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hwsim.rtl.gates.liberty import Library
from hwsim.rtl.gates.netlist import SCRIPT, Bit, Gate, GateError, synthesised

UNITS = {r"lane\d+": "lane", r"membrane|current|mask": "bypass", r"address_generator.*": "address_generator", r"fifo": "fifo",
         r"sequencer": "sequencer", r"issue": "issue", r"serialiser": "serialiser"}
"""Units of an event-driven core by the modules of its Verilog; all other gates are the write multiplexers and the host's."""
REST = "write_multiplexer"

MEMORY = "$mem_v2"
RESET = "rst"
ENABLED = "$_DFFE_PP_"
READ = """
read_verilog unit.v
hierarchy -top {top} -check
proc
opt_clean
opt_dff
opt_clean
memory_dff
memory_collect
{tags}
setattr -unset submod */t:{memory}
flatten
delete -input w:{reset}
setundef -undriven -zero
opt_clean -purge
submod
"""


@dataclass(frozen=True)
class Memory:
    """A memory of the netlist: words of bits, what they begin with, nets of its ports. It reads first; reads are clocked."""

    width: int
    size: int
    initial: str
    read_address: list[Bit]
    read_enable: Bit
    read_data: list[Bit]
    write_address: list[Bit]
    write_enable: list[Bit]
    write_data: list[Bit]


@dataclass(frozen=True)
class CoreNetlist:
    """Gates with the unit of each. inputs, outputs: nets of the core's ports, lowest bit first.

    enables   by gate: of a flip-flop whose clock is gated the net that opens it, else "1".
    """

    inputs: dict[str, list[Bit]]
    outputs: dict[str, list[Bit]]
    gates: list[Gate]
    units: list[str]
    enables: list[Bit]
    memories: list[Memory]

    def flip_flops(self, unit: str | None = None) -> int:
        return sum(bool(gate.cell.clock) for gate in self.of(unit))

    def area_um2(self, unit: str | None = None) -> float:
        return sum(gate.cell.area_um2 for gate in self.of(unit))

    def leakage_nw(self, unit: str | None = None) -> float:
        return sum(gate.cell.leakage_nw for gate in self.of(unit))

    def of(self, unit: str | None) -> list[Gate]:
        """The gates of a unit, or all."""
        return [gate for gate, name in zip(self.gates, self.units, strict=True) if unit in (None, name)]

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.units))

    def toggle_fj(self, supply_v: float) -> dict[Bit, list[tuple[str, float]]]:
        """By net, what a toggle takes and in which units: the load in those that it enters, the rest in its driver's.

        Clock pins are left out: a clock that is gated reaches them in some cycles only.
        """
        loads: dict[Bit, float] = {}
        found: dict[Bit, list[tuple[str, float]]] = {}
        drivers: dict[Bit, tuple[Gate, str, str]] = {}
        for gate, unit in zip(self.gates, self.units, strict=True):
            for name, net in gate.nets.items():
                pin = gate.cell.pins[name]
                if not pin.is_input:
                    drivers[net] = (gate, name, unit)
                elif name != gate.cell.clock:
                    loads[net] = loads.get(net, 0.0) + pin.capacitance_ff
                    found.setdefault(net, []).append((unit, pin.capacitance_ff * supply_v**2 / 2 + pin.hidden_fj))
        for net, (gate, name, unit) in drivers.items():
            found.setdefault(net, []).append((unit, gate.cell.pins[name].internal_fj(loads.get(net, 0.0))))
        return {net: parts for net, parts in found.items() if isinstance(net, int)}


def synthesise_core(verilog: str, top: str, library: Library, liberty: str | Path, yosys: str = "yosys") -> CoreNetlist:
    """The Verilog of an exported core, whose module is `top`. Raises GateError."""
    modules = re.findall(rf"^module ({top}\w*) ?\(", verilog, flags=re.MULTILINE)
    owners = {module: _owner(module.removeprefix(top).removeprefix("_")) for module in modules}
    tags = "\n".join(f'setattr -set submod "{tag}" {module}/c:*' for module, (tag, _) in owners.items())
    numbers = {tag: n for n, tag in enumerate(dict.fromkeys(tag for tag, _ in owners.values()))}
    units = {numbers[tag]: unit for tag, unit in owners.values()}
    mapping = SCRIPT[SCRIPT.index("synth "):SCRIPT.index("write_json")].replace("memory_map\n", "")
    legal = f"dfflegalize -cell $_DFF_P_ 01 -cell {ENABLED} 01\n"
    mapping = mapping.replace("dfflegalize -cell $_DFF_P_ 01\n", legal)
    mapping = mapping.replace("dfflibmap ", f"{legal}dfflibmap -map-only ")  # leaves those with an enable
    owned = "\n".join(f"setattr -set owner {number} {top}_{tag}/c:*" for tag, number in numbers.items())
    script = READ.format(top=top, tags=tags, memory=MEMORY, reset=RESET)
    script += mapping.format(top=top, liberty=Path(liberty).absolute())
    script += f"{owned}\nflatten\nopt_clean\nwrite_json unit.json\n"
    module = synthesised(verilog, top, script, yosys)
    return _netlist(module, library, units, top)


def _owner(module: str) -> tuple[str, str]:
    """A part of the netlist that is synthesised by itself, and the unit that it belongs to."""
    for pattern, unit in UNITS.items():
        if re.fullmatch(pattern, module):
            return (unit if unit == "address_generator" else module), unit
    return "glue", REST


def _netlist(module: Mapping[str, Any], library: Library, units: Mapping[int, str], top: str) -> CoreNetlist:
    gates, owners, enables, memories = list[Gate](), list[str](), list[Bit](), list[Memory]()
    flip_flop = min((cell for cell in library.cells.values() if cell.clock), key=lambda cell: cell.area_um2)
    (state,) = (name for name, pin in flip_flop.pins.items() if pin.function == "STATE")
    for cell in module["cells"].values():
        if cell["type"] == MEMORY:
            memories.append(_memory(cell["parameters"], cell["connections"]))
            continue
        known, nets = library.cells.get(cell["type"]), {pin: nets[0] for pin, nets in cell["connections"].items()}
        enable: Bit = "1"
        if cell["type"] == ENABLED:
            known, enable = flip_flop, nets["E"]
            nets = {flip_flop.data: nets["D"], flip_flop.clock: nets["C"], state: nets["Q"]}
        if known is None:
            raise GateError(f"{top}: yosys left a cell {cell['type']}, which the library does not have")
        gates.append(Gate(known, nets))
        enables.append(enable)
        owner = cell["attributes"].get("owner")
        owners.append(units[int(owner, 2)] if owner else REST)
    ports = {way: {name: port["bits"] for name, port in module["ports"].items() if port["direction"] == way}
             for way in ("input", "output")}
    return CoreNetlist(ports["input"], ports["output"], gates, owners, enables, memories)


def _memory(parameters: Mapping[str, str], nets: Mapping[str, list[Bit]]) -> Memory:
    number = {name: int(parameters[name], 2) for name in (
        "WIDTH", "SIZE", "RD_PORTS", "WR_PORTS", "RD_CLK_ENABLE", "RD_TRANSPARENCY_MASK", "OFFSET")}
    if (number["RD_PORTS"], number["WR_PORTS"], number["RD_CLK_ENABLE"]) != (1, 1, 1) or number["RD_TRANSPARENCY_MASK"]:
        raise GateError("a memory of the core has not one clocked read port and one write port that reads first")
    initial = parameters["INIT"]
    return Memory(number["WIDTH"], number["SIZE"], initial, nets["RD_ADDR"], nets["RD_EN"][0], nets["RD_DATA"], nets["WR_ADDR"],
                  nets["WR_EN"], nets["WR_DATA"])


# --- Verilog of it ---------------------------------------------------------------------------------------------------

DELAY_NS = 0.02
"""Of every gate: so many of them fit into half of the testbench's clock period of 10 ns that all settle."""


def simulation(netlist: CoreNetlist, top: str) -> str:
    """The netlist as Verilog that any simulator runs: a gate is a function after a delay, and every pulse of one delay passes."""
    return "`timescale 1ns / 1ps\n" + "\n".join(_lines(netlist, top)) + "\n"


def _lines(netlist: CoreNetlist, top: str) -> Iterator[str]:
    ports = {RESET: [], **netlist.inputs, **netlist.outputs}
    yield f"module {top}({', '.join(ports)});"
    yield f"  input {RESET};"
    for way, group in (("input", netlist.inputs), ("output", netlist.outputs)):
        yield from (f"  {way} [{len(bits) - 1}:0] {name};" for name, bits in group.items())
    inputs = {bit for bits in netlist.inputs.values() for bit in bits}
    yield from (f"  wire n{bit} = {name}[{i}];" for name, bits in netlist.inputs.items() for i, bit in enumerate(bits))
    yield from (f"  assign {name} = {_word(bits)};" for name, bits in netlist.outputs.items())
    for gate, enable in zip(netlist.gates, netlist.enables, strict=True):
        for name, net in gate.nets.items():
            pin = gate.cell.pins[name]
            if pin.is_input or net in inputs:
                continue
            if gate.cell.clock:
                zero = "1'b0" if pin.function == "STATE" else "1'b1"
                yield f"  reg n{net} = {zero};"
                value = _value(gate.nets[gate.cell.data])
                value = value if pin.function == "STATE" else f"~{value}"
                yield (f"  always @(posedge {_value(gate.nets[gate.cell.clock])}) if ({_value(enable)}) "
                       f"n{net} <= #{DELAY_NS} {value};")
                continue
            pins = {p: _value(n) for p, n in gate.nets.items()}
            function = re.sub(r"\b[A-Za-z]\w*\b", lambda m, pins=pins: pins.get(m[0], "1'b1"), pin.function)
            yield f"  wire n{net}; assign #{DELAY_NS} n{net} = {function};"
    for number, memory in enumerate(netlist.memories):
        yield from _memory_lines(memory, f"m{number}")
    yield "endmodule"


def _memory_lines(memory: Memory, name: str) -> Iterator[str]:
    width = memory.width
    yield f"  reg [{width - 1}:0] {name} [0:{memory.size - 1}]; reg [{width - 1}:0] {name}_read = 0; initial begin"
    words = [memory.initial[len(memory.initial) - (i + 1) * width:len(memory.initial) - i * width] for i in range(memory.size)]
    yield from (f"    {name}[{i}] = {width}'b{word};" for i, word in enumerate(words) if word)
    yield "  end"
    yield from (f"  wire n{net} = {name}_read[{i}];" for i, net in enumerate(memory.read_data))
    yield "  always @(posedge clk) begin"
    yield f"    if ({_value(memory.read_enable)}) {name}_read <= {name}[{_word(memory.read_address)}];"
    yield f"    if ({_value(memory.write_enable[0])}) {name}[{_word(memory.write_address)}] <= {_word(memory.write_data)};"
    yield "  end"


def _word(bits: list[Bit]) -> str:
    return "{" + ", ".join(_value(bit) for bit in reversed(bits)) + "}"


def _value(bit: Bit) -> str:
    return f"n{bit}" if isinstance(bit, int) else f"1'b{bit}"
