"""Where a sweep's space is written: a study file in YAML, or options of the command line.

A study file is a mapping. `trace`, `arch` and the sweep's other own fields (hwsim/sweep/space.py) have a value or a list of
values; `set` has the fields of the design that vary; `points` lists points one by one; `latin_hypercube: {points, seed}` draws
from the axes instead of taking the whole grid; `prices` hold at every point. Relative paths start at the folder of the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hwsim.errors import shown
from hwsim.sweep.axis import Axis, SweepError, axis_of
from hwsim.sweep.space import OWN, Space
from hwsim.trace.shipped import trace_file
from hwsim.yaml_file import YamlError, no_mapping, parse_yaml, read_yaml

KEYS = (*OWN, "set", "points", "latin_hypercube", "prices")


def read_study(path: str | Path) -> Space:
    """The space that a study file describes. Raises SweepError with file, place, found and expected."""
    return space_of(read_data(path, "a study file"), str(path), Path(path).absolute().parent)


def read_data(path: str | Path, what: str) -> Any:
    """The plain data of a YAML file, which is `what`. Raises SweepError for one that cannot be read, or has mistakes."""
    try:
        document = read_yaml(path)
    except OSError as error:
        raise SweepError(f"{path}: cannot be read ({error.strerror}); name {what}") from None
    except YamlError as error:
        raise SweepError(str(error)) from None
    if document.mistakes:
        raise SweepError("\n".join(document.mistakes))
    return document.data


def space_of(data: Any, where: str, folder: Path) -> Space:
    """The space that plain data describes; relative paths start at `folder`. Raises SweepError."""
    if not isinstance(data, Mapping):
        raise SweepError(no_mapping(where, data, "with trace, arch, set ..."))
    if unknown := [name for name in data if name not in KEYS]:
        raise SweepError(f"{where}: {shown(unknown[0], how=str)}: unknown key, allowed are {', '.join(KEYS)}; fields of the "
                         "design stand under set")
    axes = [_own_axis(name, data[name], where, folder) for name in OWN if name in data]
    axes += [axis_of(str(name), given, f"{where}: set") for name, given in _mapping(data, "set", where).items()]
    points = data.get("points", [{}])
    if not isinstance(points, list) or not points or not all(isinstance(one, Mapping) for one in points):
        raise SweepError(f"{where}: points: found {shown(points)}, expected a list of mappings from field to value")
    return _space(axes, [_listed(one, folder) for one in points], _hypercube(data, where), _mapping(data, "prices", where), where)


def _space(
    axes: Iterable[Axis], points: Iterable[Mapping[str, Any]], hypercube: tuple[int, int] | None, prices: Mapping[str, Any],
    where: str,
) -> Space:
    try:
        return Space(tuple(axes), tuple(points), hypercube, prices)
    except SweepError as error:
        raise SweepError(f"{where}: {error}") from None


def space_of_options(
    traces: Sequence[str], archs: Sequence[str], settings: Sequence[str], hypercube: int | None, seed: int, **own: Any
) -> Space:
    """The space of `--set FIELD=VALUES`, values as in a YAML list: `core.lanes=16,32`, `memories.weight={from: 56 KiB, ...}`.

    own   values of the sweep's other own fields; None: left as it is. Raises SweepError.
    """
    axes = [Axis("trace", tuple(traces)), Axis("arch", tuple(archs))]
    axes += [Axis(name, tuple(value) if isinstance(value, list | tuple) else (value,))
             for name, value in own.items() if value not in (None, [], ())]
    for text in settings:
        name, equals, values = text.partition("=")
        if not equals or not name.strip():
            raise SweepError(f"--set {shown(text)}: found no FIELD=VALUES, expected for example core.lanes=16,32,64")
        try:
            document = parse_yaml(f"[{values}]", f"--set {name}")
        except YamlError as error:
            raise SweepError(f"{error}; values are separated by commas, as in a YAML list") from None
        if document.mistakes:
            raise SweepError("\n".join(document.mistakes))
        axes.append(axis_of(name.strip(), document.data, "--set"))
    return _space(axes, [{}], None if hypercube is None else (hypercube, seed), {}, "sweep")


def _mapping(data: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    found = data.get(name, {})
    if not isinstance(found, Mapping):
        raise SweepError(f"{where}: {name}: found {shown(found)}, expected a mapping")
    return found


def _own_axis(name: str, given: Any, where: str, folder: Path) -> Axis:
    axis = axis_of(name, given, where)
    return Axis(name, tuple(_path(name, value, folder) for value in axis.values), axis.span)


def _listed(one: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return {str(name): _path(str(name), value, folder) for name, value in one.items()}


def _path(name: str, value: Any, folder: Path) -> Any:
    """A trace, or a design that is a file, from the folder of the study; any other value as it is."""
    if isinstance(value, str) and name == "trace":
        return str(trace_file(value, folder))
    if isinstance(value, str) and name == "arch" and value.endswith((".yaml", ".yml")):
        return str(folder / value)
    return value


def _hypercube(data: Mapping[str, Any], where: str) -> tuple[int, int] | None:
    if "latin_hypercube" not in data:
        return None
    found = data["latin_hypercube"]
    whole = isinstance(found, Mapping) and all(type(n) is int and n >= 0 for n in found.values())
    if not whole or not set(found) <= {"points", "seed"} or not found.get("points"):
        raise SweepError(f"{where}: latin_hypercube: found {shown(found)}, expected {{points: N, seed: N}}, whole numbers")
    return found["points"], found.get("seed", 1)
