"""A search written in YAML, and the designs that it finds written as architecture files.

Keys: `choose`, `report` and `holds` (paths of traces by side, from the folder of the file), `samples`, `designs`, `drawn`,
`seed`, `minimise`, `rule`, `axes` (of every machine) and `machines`. docs/sweeps.md has an example with every key.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hwsim.arch import Architecture, dump_architecture
from hwsim.chip.model import chip_model
from hwsim.errors import shown
from hwsim.sweep.axis import Axis, SweepError, axis_of
from hwsim.sweep.definition import read_data
from hwsim.sweep.search import SIDES, Machine, Search
from hwsim.trace.shipped import trace_file
from hwsim.units import format_bits

KEYS = ("choose", "report", "holds", "samples", "designs", "drawn", "seed", "minimise", "rule", "axes", "machines")
RULES = ("knee",)
"""How a front's best design is chosen; the file names it."""
NUMBERS = ("samples", "designs", "drawn", "seed")


def read_search(path: str | Path) -> Search:
    """The search that a file describes. Raises SweepError with file, place, found and expected."""
    return search_of(read_data(path, "a search file"), str(path), Path(path).absolute().parent)


def search_of(data: Any, where: str, folder: Path) -> Search:
    """The search that plain data describes. Raises SweepError."""
    if not isinstance(data, Mapping):
        raise SweepError(f"{where}: found {shown(data)}, expected a mapping with {', '.join(KEYS)}")
    if wrong := sorted(set(data) ^ set(KEYS), key=str):
        found = "unknown key" if wrong[0] in data else "missing"
        raise SweepError(f"{where}: {shown(wrong[0], how=str)}: {found}, expected {', '.join(KEYS)}")
    for name in NUMBERS:
        if type(data[name]) is not int or data[name] < (0 if name == "seed" else 1):
            raise SweepError(f"{where}: {name}: found {shown(data[name])}, expected a whole number, 1 or more")
    if data["drawn"] > data["designs"]:
        raise SweepError(f"{where}: drawn: found {data['drawn']}, expected at most the {data['designs']} designs of a machine")
    if data["rule"] not in RULES:
        raise SweepError(f"{where}: rule: found {shown(data['rule'])}, expected {' or '.join(RULES)}")
    minimise = data["minimise"]
    if not isinstance(minimise, list) or not minimise or not all(isinstance(name, str) for name in minimise):
        raise SweepError(f"{where}: minimise: found {shown(minimise)}, expected a list of columns such as energy_uj")
    choose, report, holds = (_traces(data[name], f"{where}: {name}", folder) for name in ("choose", "report", "holds"))
    for side in SIDES:
        if both := sorted({*choose[side]} & {*report[side]}):
            raise SweepError(f"{where}: report: {side}: found {both[0]}, which designs are chosen on too; expected other traces, "
                             "so that what is reported is no result of the choice; take it out of one of the lists")
    machines = _machines(data, where, folder)
    counts = {side: sum(machine.side == side for machine in machines) for side in SIDES}
    if len(set(counts.values())) > 1:
        raise SweepError(f"{where}: machines: found {counts['snn']} of side snn and {counts['ann']} of side ann, expected as "
                         "many of each: both sides get the same number of designs")
    return Search(machines, choose, report, holds, samples=data["samples"], drawn=data["drawn"], designs=data["designs"],
                  seed=data["seed"], minimise=tuple(minimise))


def _traces(given: Any, where: str, folder: Path) -> dict[str, tuple[str, ...]]:
    fine = isinstance(given, Mapping) and set(given) == set(SIDES) and all(isinstance(paths, list) for paths in given.values())
    if not fine:
        raise SweepError(f"{where}: found {shown(given)}, expected {{snn: [paths], ann: [paths]}}")
    return {side: tuple(str(trace_file(str(path), folder).resolve()) for path in given[side]) for side in SIDES}


def _machines(data: Mapping[str, Any], where: str, folder: Path) -> tuple[Machine, ...]:
    if not isinstance(data["machines"], Mapping) or not data["machines"]:
        raise SweepError(f"{where}: machines: found {shown(data['machines'])}, expected a mapping from name to machine")
    shared = _axes(data["axes"], f"{where}: axes")
    found = []
    for name, given in data["machines"].items():
        place = f"{where}: machines.{name}"
        if not isinstance(given, Mapping) or not {"side", "arch"} <= set(given) <= {"side", "arch", "fixed", "axes", "ships"}:
            raise SweepError(f"{place}: found {shown(given)}, expected side, arch and, if you like, fixed, axes and ships")
        for part in ("fixed", "ships"):
            if not isinstance(given.get(part, {}), Mapping):
                raise SweepError(f"{place}.{part}: found {shown(given[part])}, expected a mapping from field to value")
        if given["side"] not in SIDES:
            raise SweepError(f"{place}.side: found {shown(given['side'])}, expected {' or '.join(SIDES)}")
        own = given.get("axes", {})
        dropped = {field for field, values in own.items() if values is None}
        axes = {**shared, **_axes({f: v for f, v in own.items() if v is not None}, f"{place}.axes")}
        arch = str(given["arch"])
        if arch.endswith((".yaml", ".yml")):
            arch = str(folder / arch)
        found.append(Machine(str(name), given["side"], arch, dict(given.get("fixed", {})),
                             tuple(axis for field, axis in axes.items() if field not in dropped), dict(given.get("ships", {}))))
    return tuple(found)


def _axes(given: Any, where: str) -> dict[str, Axis]:
    if not isinstance(given, Mapping):
        raise SweepError(f"{where}: found {shown(given)}, expected a mapping from field to values")
    axes = {str(field): axis_of(str(field), values, where) for field, values in given.items()}
    if spans := [field for field, axis in axes.items() if axis.span]:
        raise SweepError(f"{where}: {spans[0]}: found a range without steps, expected values, or a step or factor")
    return axes


def winner_file(design: Architecture, search: Search, path: str) -> str:
    """The best design of a machine as an architecture file that says where it comes from; `path` is that of the search."""
    (machine,) = (machine for machine in search.machines if machine.name == design.name)
    ships = "".join(f"\nWritten as the search file says, whatever was best: {field}: {value}."
                    for field, value in machine.ships.items())
    said = f"{chip_model(design).size(design.only)}, {machine.name.replace('_', ' ')}; chosen by search"
    return design_file(design.model_copy(update={"description": said}), (
        f"The best design of the machine {machine.name} that this search found: hwsim search {path} -o DIR\n"
        f"Best: the least product of {', '.join(search.minimise)}, over the traces it was chosen on. The clock is the highest\n"
        "that it reaches (hwsim arch check). docs/sweeps.md, \"Reference designs\", says what was searched." + ships))


# --- designs as files --------------------------------------------------------------------------------------------------


def design_file(arch: Architecture, comment: str) -> str:
    """A design as an architecture file, with `comment` above it."""
    data = _readable(dump_architecture(arch))
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    return head + str(yaml.safe_dump(data, sort_keys=False, width=120, default_flow_style=None))


def _readable(data: Any) -> Any:
    """Quantities as people write them: 64 KiB instead of 524288 bit, 212.5 MHz instead of 212500000.0 Hz; no nulls."""
    if isinstance(data, Mapping):
        return {name: _readable(value) for name, value in data.items() if value is not None}
    if not isinstance(data, str):
        return data
    number, _, unit = data.partition(" ")
    if unit == "bit" and number.isdecimal():
        return format_bits(int(number))
    return f"{float(number) / 1e6:g} MHz" if unit == "Hz" else data
