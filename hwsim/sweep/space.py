"""The space of a sweep: traces and designs, what varies of them, and how points are taken: a grid, a list, a Latin hypercube.

Some fields are the sweep's own (OWN); `prices.NAME` is a price or a group of them; every other field is one of the design, as a
YAML file has it, with dots: `core.lanes`, `memories.weight`, `technology.units`, `cores.0.core.lanes`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hwsim.arch import Architecture, ArchitectureError, load_architecture
from hwsim.study import Point
from hwsim.sweep.axis import Axis, SweepError

OWN = ("trace", "arch", "schedule", "spikes", "engine", "samples", "check", "rate_hz", "leak_unused")
"""Fields that a point has itself."""
PRICES = "prices"
MANY = 100_000
"""Points above which a sweep asks whether that is meant."""


@dataclass(frozen=True)
class Space:
    """What a sweep runs over.

    axes        what varies; `trace` and `arch` are axes, of one value or more.
    listed      points given one by one, by field; with them the axes make a grid for each. Without any: one grid.
    hypercube   how many points a Latin hypercube takes from the axes, and its seed; None: the whole grid.
    prices      that hold at every point.
    """

    axes: tuple[Axis, ...]
    listed: tuple[Mapping[str, Any], ...] = ({},)
    hypercube: tuple[int, int] | None = None
    prices: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [axis.field for axis in self.axes]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise SweepError(f"{', '.join(twice)}: found more than one axis, expected one list of values for each field")
        for name in ("trace", "arch"):
            if not self._gives(name):
                raise SweepError(f"{name}: missing; a sweep needs at least one")
        if self.hypercube is None and (spans := [axis.field for axis in self.axes if axis.span]):
            raise SweepError(f"{', '.join(spans)}: found a range without steps, expected a step or factor, or "
                             "a Latin hypercube")

    def _gives(self, name: str) -> bool:
        return any(axis.field == name for axis in self.axes) or all(name in one for one in self.listed)

    def __len__(self) -> int:
        taken = self.hypercube[0] if self.hypercube else math.prod(len(axis.values) for axis in self.axes)
        return taken * len(self.listed)

    def labels(self) -> Iterator[dict[str, Any]]:
        """What each point sets, by field, in the order in which they run: the last axis varies fastest."""
        for one in self.listed:
            yield from ({**chosen, **one} for chosen in (self._drawn() if self.hypercube else self._grid()))

    def _grid(self) -> Iterator[dict[str, Any]]:
        for values in itertools.product(*(axis.values for axis in self.axes)):
            yield {axis.field: value for axis, value in zip(self.axes, values, strict=True)}

    def _drawn(self) -> Iterator[dict[str, Any]]:
        # Loaded only where it is asked for: it takes as long to load as all of hwsim.
        from scipy.stats import qmc

        assert self.hypercube is not None
        count, seed = self.hypercube
        for row in qmc.LatinHypercube(len(self.axes), rng=seed).random(count):
            yield {axis.field: axis.at(float(share)) for axis, share in zip(self.axes, row, strict=True)}

    def points(self) -> Iterator[Point]:
        """Every point, with what it sets as its labels. A design that cannot be is the point's own mistake, told when it runs.

        Raises SweepError for a field that no design of the sweep has, and ArchitectureError for a design that is not there.
        """
        self._check_fields()
        yield from map(self._point, self.labels())

    def _point(self, labels: Mapping[str, Any]) -> Point:
        own = {name: labels[name] for name in OWN if name in labels and name != "arch"}
        prices, changes = dict(self.prices), {}
        for name, value in labels.items():
            if name.startswith(f"{PRICES}."):
                prices[name.removeprefix(f"{PRICES}.")] = value
            elif name not in OWN:
                changes[name] = value
        return Point(arch=labels["arch"], changes=changes, overrides=prices, labels=dict(labels), **own)

    def _check_fields(self) -> None:
        """Raises SweepError for the first field that no design of the sweep takes."""
        designs = [load_architecture(arch) for arch in dict.fromkeys(self._values("arch"))]
        for name in dict.fromkeys([*(axis.field for axis in self.axes), *(name for one in self.listed for name in one)]):
            if name in OWN or name.startswith(f"{PRICES}."):
                continue
            value = next(self._values(name))
            reasons = [_unknown(design, name, value) for design in designs]
            if all(reasons):
                raise SweepError(f"{reasons[0]}; fields of the sweep itself are {', '.join(OWN)} and {PRICES}.NAME")

    def _values(self, name: str) -> Iterator[Any]:
        for axis in self.axes:
            if axis.field == name:
                yield from axis.values or (axis.at(0),)
        yield from (one[name] for one in self.listed if name in one)


def _unknown(design: Architecture, name: str, value: Any) -> str:
    """Why a design has no such field; empty where it has, whatever it says to the value."""
    try:
        design.with_fields({name: value})
    except ArchitectureError as error:
        return next((line for line in str(error).splitlines() if "unknown field" in line or "as a whole" in line), "")
    return ""
