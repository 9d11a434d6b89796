"""A unit in the cells of a library: yosys maps its Verilog, and its netlist is read back."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsim.errors import HwsimError
from hwsim.rtl.gates.liberty import Cell, Library

SCRIPT = """
read_verilog unit.v
hierarchy -top {top} -check
proc
flatten
synth -run coarse:fine
opt -fast -full
memory_map
opt -full
techmap
dfflegalize -cell $_DFF_P_ 01
setattr -unset init */*
setattr -unset init w:*
opt -fast
dfflibmap -liberty {liberty}
abc -liberty {liberty}
opt_clean -purge
write_json unit.json
"""

Bit = int | str


class GateError(HwsimError):
    """yosys is missing or refuses a unit; the text says what it said."""


@dataclass(frozen=True)
class Gate:
    """A cell of the netlist, and the net of each of its pins."""

    cell: Cell
    nets: dict[str, Bit]


@dataclass(frozen=True)
class Netlist:
    """Gates in the order in which they can be evaluated; flip-flops apart. Nets are yosys' numbers, constants "0" and "1"."""

    inputs: dict[str, list[Bit]]
    outputs: dict[str, list[Bit]]
    gates: list[Gate]
    flip_flops: list[Gate]

    @property
    def area_um2(self) -> float:
        return sum(gate.cell.area_um2 for gate in (*self.gates, *self.flip_flops))

    @property
    def leakage_nw(self) -> float:
        return sum(gate.cell.leakage_nw for gate in (*self.gates, *self.flip_flops))


def synthesise(verilog: str, top: str, library: Library, liberty: str | Path, yosys: str = "yosys") -> Netlist:
    """Verilog as a netlist of the library's cells. Raises GateError."""
    module = synthesised(verilog, top, SCRIPT.format(top=top, liberty=Path(liberty).absolute()), yosys)
    return _netlist(module, library, top)


def synthesised(verilog: str, top: str, script: str, yosys: str) -> Any:
    """The module `top` as yosys writes it: the script reads unit.v and writes unit.json. Raises GateError."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "unit.v").write_text(verilog)
        (place / "script.ys").write_text(script)
        try:
            done = subprocess.run([yosys, "-q", "script.ys"], cwd=place, capture_output=True, text=True, check=False)
        except OSError as error:
            raise GateError(f"{yosys}: cannot be run ({error.strerror}); give the path of yosys (Debian: apt install yosys)"
                            ) from None
        if done.returncode:
            raise GateError(f"{top}: yosys refuses it: {''.join((done.stderr or done.stdout).strip().splitlines()[-1:])}")
        return json.loads((place / "unit.json").read_text())["modules"][top]


def _netlist(module: dict[str, Any], library: Library, top: str) -> Netlist:
    gates: list[Gate] = []
    flip_flops: list[Gate] = []
    for cell in module["cells"].values():
        known = library.cells.get(cell["type"])
        if known is None:
            raise GateError(f"{top}: yosys left a cell {cell['type']}, which the library does not have")
        gate = Gate(known, {pin: nets[0] for pin, nets in cell["connections"].items()})
        (flip_flops if known.clock else gates).append(gate)
    ports = {way: {name: port["bits"] for name, port in module["ports"].items() if port["direction"] == way}
             for way in ("input", "output")}
    known_nets: set[Bit] = {bit for bits in ports["input"].values() for bit in bits} | {"0", "1", "x"}
    known_nets |= {net for gate in flip_flops for pin, net in gate.nets.items() if not gate.cell.pins[pin].is_input}
    return Netlist(ports["input"], ports["output"], _ordered(gates, known_nets, top), flip_flops)


def _ordered(gates: list[Gate], known: set[Bit], top: str) -> list[Gate]:
    """Each gate after those that drive it."""
    waits: dict[Bit, list[int]] = {}
    left = []
    for i, gate in enumerate(gates):
        needs = {net for pin, net in gate.nets.items() if gate.cell.pins[pin].is_input} - known
        left.append(len(needs))
        for net in needs:
            waits.setdefault(net, []).append(i)
    ready, found = [i for i, n in enumerate(left) if n == 0], []
    while ready:
        gate = gates[ready.pop()]
        found.append(gate)
        for pin, net in gate.nets.items():
            if not gate.cell.pins[pin].is_input:
                for i in waits.pop(net, []):
                    left[i] -= 1
                    if left[i] == 0:
                        ready.append(i)
    if len(found) != len(gates):
        raise GateError(f"{top}: its gates make a loop, or a net has no driver")
    return found
