"""C7's order: a list of operations as a worklist. Units: cycles; operations and links are positions in their lists."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]


@njit(cache=True)
def run_list(
    missing: Array, setup: Array, waiters_at: Array, waiters: Array, spans: Array, held: Array, links_at: Array, links: Array,
    free: Array, ready: Array, start: Array, end: Array,
) -> None:
    """Fill in `ready`, `start` and `end`, which begin with zeros.

    missing (n,)   operations that each waits for; it is used up.
    spans (n,)     cycles of each.             held (n,)   links that it holds, 0 for all of them or none.
    free (links,)  zeros: the end of the last transfer that was granted the link.

    What holds no link starts at once. Among the transfers that are ready and hold links the smallest (ready, position) is final:
    whatever is not yet ready waits for one of these, each of which takes a cycle or more, so it will be ready later.
    """
    heap = [(0, 0) for _ in range(0)]
    known = np.empty(missing.size, np.int64)
    top = 0
    for i in range(missing.size):
        if missing[i] == 0 and not setup[i]:
            known[top] = i
            top += 1
    while top > 0 or len(heap) > 0:
        if top > 0:
            top -= 1
            i = known[top]
            if held[i] > 0:
                heappush(heap, (ready[i], i))
                continue
            start[i] = ready[i]
        else:
            begin, i = heappop(heap)
            for at in range(links_at[i], links_at[i + 1]):
                begin = max(begin, free[links[at]])
            start[i] = begin
        end[i] = start[i] + spans[i]
        if held[i] > 0:
            for at in range(links_at[i], links_at[i + 1]):
                free[links[at]] = end[i]
        for at in range(waiters_at[i], waiters_at[i + 1]):
            waiter = waiters[at]
            ready[waiter] = max(ready[waiter], end[i])
            missing[waiter] -= 1
            if missing[waiter] == 0:
                known[top] = waiter
                top += 1
