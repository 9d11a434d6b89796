"""A Liberty library as far as energy needs it: cells with their area, leakage, pins, functions and internal energies.

Areas are um2, leakages nW, capacitances fF, energies fJ, times ns: the units of the Nangate libraries, and those that are
demanded here. Functions become expressions over Python integers, in which each bit is a stream of its own (simulate.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwsim.errors import HwsimError

SLEW_NS = 0.02
"""Slew of every input: internal energies hardly depend on it below the load's own."""


class LibertyError(HwsimError):
    """A file that is no library, or one in other units; the text names the file and what is wrong."""


@dataclass(frozen=True)
class Group:
    """`kind (name) { ... }`: its attributes, and the groups in it."""

    kind: str
    name: str
    values: dict[str, str] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    def all(self, kind: str) -> list[Group]:
        return [group for group in self.groups if group.kind == kind]


@dataclass(frozen=True)
class Pin:
    """fF at an input; of an output its function in Python, and the fJ of a toggle besides what its load takes, by load (fF).

    `hidden_fj` is what a toggle of an input takes in the cell though no output moves: the clock pin of a flip-flop.
    """

    name: str
    is_input: bool
    capacitance_ff: float
    function: str
    loads_ff: tuple[float, ...]
    energies_fj: tuple[float, ...]
    hidden_fj: float

    def internal_fj(self, load_ff: float) -> float:
        """Linear between loads, the ends beyond them."""
        loads, energies = self.loads_ff, self.energies_fj
        if not loads or load_ff <= loads[0]:
            return energies[0] if energies else 0.0
        points = list(zip(loads, energies, strict=True))
        for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
            if load_ff <= x1:
                return y0 + (y1 - y0) * (load_ff - x0) / (x1 - x0)
        return energies[-1]


@dataclass(frozen=True)
class Cell:
    """A cell. `data`, `clock`: of a flip-flop, the pin that it takes and the pin that clocks it."""

    name: str
    area_um2: float
    leakage_nw: float
    pins: dict[str, Pin]
    data: str = ""
    clock: str = ""


@dataclass(frozen=True)
class Library:
    name: str
    supply_v: float
    cells: dict[str, Cell]


def read_library(path: str | Path) -> Library:
    """The library of a Liberty file. Raises LibertyError."""
    source = Path(path)
    try:
        text = source.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise LibertyError(f"{source}: cannot be read ({error.strerror}); give the path of a Liberty file, unpacked") from None
    root = _parse(text, source)
    units = (root.values.get("time_unit"), root.values.get("leakage_power_unit"), root.values.get("capacitive_load_unit"))
    if units != ("1ns", "1nW", "1,ff"):
        raise LibertyError(f"{source}: its units of time, leakage and load are {', '.join(map(str, units))}, expected 1ns, 1nW "
                           "and 1,ff, in which internal energies are fJ")
    cells = {group.name: _cell(group) for group in root.all("cell")}
    return Library(root.name, float(root.values["nom_voltage"]), cells)


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}();:]|[^\s{}();:"]+')


def _parse(text: str, source: Path) -> Group:
    """Groups and attributes. A value of several numbers is one text, commas between them."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL).replace("\\\n", " ")
    tokens = _TOKEN.findall(text)
    stack, at = [Group("", "")], 0
    while at < len(tokens):
        word = tokens[at]
        after = tokens[at + 1] if at + 1 < len(tokens) else ""
        if word == "}":
            if len(stack) < 2:
                raise LibertyError(f"{source}: not a Liberty file: a brace too many")
            stack.pop()
            at += 1
        elif after == ":":
            end = at + 2
            while end < len(tokens) and tokens[end] not in (";", "}"):
                end += 1
            stack[-1].values[word] = " ".join(tokens[at + 2:end]).strip('"')
            at = end
        elif after == "(":
            end = tokens.index(")", at)
            inside = ",".join(t.strip('"').strip(",") for t in tokens[at + 2:end])
            if end + 1 < len(tokens) and tokens[end + 1] == "{":
                group = Group(word, re.sub(r",+", ",", inside))
                stack[-1].groups.append(group)
                stack.append(group)
                at = end + 2
            else:
                stack[-1].values[word] = re.sub(r",+", ",", inside)
                at = end + 1
        else:
            at += 1
    if len(stack) != 1 or not stack[0].all("library"):
        raise LibertyError(f"{source}: not a Liberty file: expected library (name) {{ ... }}")
    return stack[0].all("library")[0]


def _cell(group: Group) -> Cell:
    pins = {pin.name: _pin(pin) for pin in group.all("pin")}
    data = clock = ""
    for flip_flop in group.all("ff"):
        state = flip_flop.name.split(",")
        data, clock = flip_flop.values["next_state"].strip(), flip_flop.values["clocked_on"].strip()
        if data not in pins or clock not in pins:
            data = clock = ""  # one with enable or scan: not used
        pins = {name: _of_state(pin, state) for name, pin in pins.items()}
    area, leakage = (float(group.values.get(name, 0)) for name in ("area", "cell_leakage_power"))
    return Cell(group.name, area, leakage, pins, data, clock)


def _of_state(pin: Pin, state: list[str]) -> Pin:
    """An output that is the state, or not the state."""
    function = {state[0]: "STATE", **({state[1]: "(~STATE)"} if len(state) > 1 else {})}.get(pin.function, pin.function)
    return Pin(pin.name, pin.is_input, pin.capacitance_ff, function, pin.loads_ff, pin.energies_fj, pin.hidden_fj)


def _pin(group: Group) -> Pin:
    is_input = group.values.get("direction") == "input"
    tables: list[tuple[tuple[float, ...], tuple[float, ...]]] = []
    hidden: list[float] = []
    for power in group.all("internal_power"):
        for edge in ("rise_power", "fall_power"):
            for table in power.all(edge):
                loads, energies = _row(table)
                if is_input:
                    hidden.append(energies[0])
                else:
                    tables.append((loads, energies))
    loads = max((t[0] for t in tables), key=len, default=())
    columns = [energies if len(energies) == len(loads) else energies[:1] * len(loads) for _, energies in tables]
    energies = tuple(sum(column[i] for column in columns) / len(columns) for i in range(len(loads)))
    function = _python(group.values.get("function", "")) if not is_input else ""
    return Pin(group.name, is_input, float(group.values.get("capacitance", 0)), function, loads, energies,
               sum(hidden) / len(hidden) if hidden else 0.0)


def _row(table: Group) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Loads and energies at SLEW_NS; a table of slews only has one energy."""
    values = _numbers(table.values["values"])
    if "index_1" not in table.values:
        return (0.0,), values[:1]
    slews = _numbers(table.values["index_1"])
    at = min(range(len(slews)), key=lambda i: abs(slews[i] - SLEW_NS))
    if "index_2" not in table.values:
        return (0.0,), (values[at],)
    loads = _numbers(table.values["index_2"])
    return loads, values[at * len(loads):(at + 1) * len(loads)]


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(x) for x in re.split(r"[,\s]+", text) if x)


def _python(function: str) -> str:
    """`!(A1 & A2)` as `(~(A1&A2))`: a Liberty function over whole words of streams."""
    text = function.replace("!", "~").replace("*", "&").replace("+", "|")
    return re.sub(r"\b1\b", "MASK", re.sub(r"\b0\b", "0", text))


def describe(library: Library) -> dict[str, Any]:
    """What a csv says of where its rows come from."""
    return {"library": library.name, "vdd_v": library.supply_v}
