"""A file in the Chrome trace event format, written event by event: what Perfetto (ui.perfetto.dev) and chrome://tracing open.

The format counts microseconds. Here one microsecond is one cycle, so that every number is whole and reads as a cycle; the file
says so in `otherData`. Slices of a track nest where one holds the other, and the outer one is written first. Only cycles of a
window are written: slices are cut at its ends, counters begin with what they hold there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

import numpy as np

from hwsim.timeline.units import Ints, State, Stretches

FIRST_THREAD = 1001
"""Threads are numbered through all processes: viewers take equal numbers of different processes for one thread."""


class EventFile:
    """Events as they come; `begin` and `end` write what stands around them.

    window   [first, end) cycles that are written.
    """

    def __init__(self, file: TextIO, window: tuple[int, int]) -> None:
        self._file, self.window = file, window
        self._threads: dict[tuple[int, str], int] = {}
        self._processes: dict[str, int] = {}
        self._counters: dict[tuple[int, str], int] = {}
        self._any = False
        self.events = 0

    def begin(self, about: Mapping[str, Any]) -> None:
        self._file.write(f'{{"displayTimeUnit": "ns", "otherData": {json.dumps(about)},\n"traceEvents": [\n')

    def end(self) -> None:
        self._file.write("\n]}\n")

    def process(self, name: str) -> int:
        """The number of a process, named and put behind those that there are when it is first asked for."""
        if name not in self._processes:
            pid = self._processes[name] = len(self._processes) + 1
            self._meta(pid, "process_name", {"name": name})
            self._meta(pid, "process_sort_index", {"sort_index": pid})
        return self._processes[name]

    def thread(self, process: str, name: str) -> tuple[int, int]:
        """(pid, tid) of a track."""
        pid = self.process(process)
        if (pid, name) not in self._threads:
            tid = self._threads[pid, name] = FIRST_THREAD + len(self._threads)
            self._meta(pid, "thread_name", {"name": name}, tid)
            self._meta(pid, "thread_sort_index", {"sort_index": tid}, tid)
        return pid, self._threads[pid, name]

    def slice(
        self, track: tuple[int, int], start: int, end: int, name: str, what: str, args: Mapping[str, Any] | None = None
    ) -> None:
        """One slice, cut to the window; nothing where it lies outside or is empty. `what` is its category."""
        start, end = max(start, self.window[0]), min(end, self.window[1])
        if start < end:
            self._write([f'{_head(track, name, what, args or {})}"ts": {start}, "dur": {end - start}}}'])

    def stretches(self, track: tuple[int, int], offset: int, found: Stretches) -> None:
        """All stretches of a unit, `offset` cycles later."""
        low, high = self.window
        start, end = np.maximum(found.start + offset, low), np.minimum(found.end + offset, high)
        inside = start < end
        heads = [_head(track, state.name, state.what, _cause(state)) for state in found.states]
        lines = zip(start[inside].tolist(), (end - start)[inside].tolist(), found.code[inside].tolist(), strict=True)
        self._write(f'{heads[code]}"ts": {ts}, "dur": {dur}}}' for ts, dur, code in lines)

    def counter(self, process: str, name: str, offset: int, found: Ints, base: int = 0) -> None:
        """found: (n, 2) from which cycle on it holds what; `base` is added to it."""
        pid = self.process(process)
        low, high = self.window
        cycle, value = found[:, 0] + offset, found[:, 1] + base
        before = int(np.searchsorted(cycle, low, side="right"))
        if before:
            self._count(pid, name, low, int(value[before - 1]))
        head = f'{{"ph": "C", "pid": {pid}, "name": {json.dumps(name)}, '
        inside = slice(before, int(np.searchsorted(cycle, high)))
        self._write(f'{head}"ts": {ts}, "args": {{"value": {held}}}}}'
                    for ts, held in zip(cycle[inside].tolist(), value[inside].tolist(), strict=True))

    def count(self, process: str, name: str, cycle: int, value: int) -> None:
        """One value of a counter; outside of the window nothing."""
        if self.window[0] <= cycle < self.window[1]:
            self._count(self.process(process), name, cycle, value)

    def _count(self, pid: int, name: str, cycle: int, value: int) -> None:
        self._write([f'{{"ph": "C", "pid": {pid}, "name": {json.dumps(name)}, "ts": {cycle}, "args": {{"value": {value}}}}}'])

    def _meta(self, pid: int, name: str, args: Mapping[str, Any], tid: int | None = None) -> None:
        thread = {} if tid is None else {"tid": tid}
        self._write([json.dumps({"ph": "M", "pid": pid, **thread, "name": name, "args": args})])

    def _write(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._file.write(",\n" + line if self._any else line)
            self._any = True
            self.events += 1


def _head(track: tuple[int, int], name: str, what: str, args: Mapping[str, Any]) -> str:
    """All of a slice's text but its time."""
    pid, tid = track
    return (f'{{"ph": "X", "pid": {pid}, "tid": {tid}, "name": {json.dumps(name)}, "cat": "{what}", '
            f'"args": {json.dumps(args)}, ')


def _cause(state: State) -> dict[str, str]:
    return {"cause": state.cause}
