"""A timeline read back from its file, as a viewer does: tracks by name, slices, counters. It checks the format as it reads."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple


class Slice(NamedTuple):
    start: int
    end: int
    name: str
    what: str
    args: dict[str, Any]


class Timeline(NamedTuple):
    """slices by (process, track), counters by (process, name) as (cycle, value)."""

    about: dict[str, Any]
    slices: dict[tuple[str, str], list[Slice]]
    counters: dict[tuple[str, str], list[tuple[int, int]]]

    def spent(self, process: str, track: str, key: str = "what") -> dict[str, int]:
        """Cycles by category, or by cause."""
        found: Counter[str] = Counter()
        for one in self.slices[process, track]:
            found[one.what if key == "what" else one.args[key]] += one.end - one.start
        return dict(found)


def read(path: Path) -> Timeline:
    """Raises AssertionError for what is not in the Chrome trace event format, or would be drawn otherwise than it was meant."""
    body = json.loads(path.read_text())
    assert set(body) == {"displayTimeUnit", "otherData", "traceEvents"}
    processes: dict[int, str] = {}
    threads: dict[int, tuple[str, str]] = {}
    slices: dict[tuple[str, str], list[Slice]] = defaultdict(list)
    counters: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for event in body["traceEvents"]:
        if event["ph"] == "M" and event["name"] == "process_name":
            assert event["pid"] not in processes
            processes[event["pid"]] = event["args"]["name"]
        elif event["ph"] == "M" and event["name"] == "thread_name":
            assert event["tid"] not in threads, "a thread's number belongs to one process"
            threads[event["tid"]] = (processes[event["pid"]], event["args"]["name"])
            slices[threads[event["tid"]]] = []
        elif event["ph"] == "X":
            assert set(event) == {"ph", "pid", "tid", "name", "cat", "args", "ts", "dur"}
            assert type(event["ts"]) is type(event["dur"]) is int
            assert event["dur"] > 0
            assert threads[event["tid"]][0] == processes[event["pid"]]
            slices[threads[event["tid"]]].append(
                Slice(event["ts"], event["ts"] + event["dur"], event["name"], event["cat"], event["args"]))
        elif event["ph"] == "C":
            counters[processes[event["pid"]], event["name"]].append((event["ts"], event["args"]["value"]))
        else:
            assert event["name"] in ("process_sort_index", "thread_sort_index"), event
    for where, found in slices.items():
        assert_nested(where, found)
    for where, values in counters.items():
        assert [cycle for cycle, _ in values] == sorted(cycle for cycle, _ in values), where
    return Timeline(body["otherData"], slices, counters)


def assert_nested(where: tuple[str, str], slices: list[Slice]) -> None:
    """A viewer nests what lies within; slices that overlap in part it draws wrongly. An outer one comes first."""
    open_until: list[int] = []
    for one in sorted(slices, key=lambda s: s.start):  # stable: equal starts stay in the order of the file
        while open_until and open_until[-1] <= one.start:
            open_until.pop()
        assert not open_until or one.end <= open_until[-1], (where, one)
        open_until.append(one.end)


def assert_covered(slices: list[Slice], first: int, end: int) -> None:
    """Without a gap and without two at a time from `first` to `end`."""
    ordered = sorted(slices)
    assert [s.start for s in ordered] == [first, *(s.end for s in ordered[:-1])]
    assert ordered[-1].end == end
