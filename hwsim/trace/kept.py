"""Traces that a process keeps open, with samples that it has read: many points of a study replay the same few.

Each thread keeps its own, since an open file is no two threads' business. A file that has changed is opened anew.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from pathlib import Path

from hwsim.trace.reader import Trace
from hwsim.trace.shipped import trace_file

MOST_TRACES = 4
MOST_BYTES = 128 << 20
"""Bytes of samples that one trace keeps."""


class _Kept(threading.local):
    def __init__(self) -> None:
        self.traces: OrderedDict[tuple[str, int, int, int], Trace] = OrderedDict()


_KEPT = _Kept()


def kept_trace(path: str | Path) -> Trace:
    """The trace in a file, open already or opened now; never close it. Raises TraceError."""
    path = trace_file(path)
    try:
        found = os.stat(path)
    except OSError:
        return Trace.open(path)  # which tells what is wrong
    key = (os.path.abspath(path), found.st_ino, found.st_size, found.st_mtime_ns)
    traces = _KEPT.traces
    if key not in traces:
        for old in [one for one in traces if one[0] == key[0]]:
            traces.pop(old).close()
        traces[key] = Trace.open(path).keep(MOST_BYTES)
        while len(traces) > MOST_TRACES:
            traces.popitem(last=False)[1].close()
    traces.move_to_end(key)
    return traces[key]
