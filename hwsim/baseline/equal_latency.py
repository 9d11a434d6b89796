"""Equal latency: the smallest size at which a rival is not slower than a design.

Sizes are lanes, or elements of an array, on a ladder of two steps per doubling. Latency is what the caller measures.
"""

from __future__ import annotations

from collections.abc import Callable

from hwsim.errors import HwsimError

SIZES = tuple(sorted(n for power in range(13) for n in (1 << power, 3 << power) if n <= 4096))
"""1, 2, 3, 4, 6, 8, 12, ... 4096."""


class EqualLatencyError(HwsimError):
    """No size is fast enough; the text gives the target and the fastest that was found."""


def equal_latency_size(latency_s: Callable[[int], float], target_s: float, start: int) -> int:
    """The size to which a rival of `start` lanes grows until its latency is at most the target; `start` if it is fast enough.

    It never shrinks: a rival that is faster and smaller would only leak for longer. It grows by factors of two, and then goes
    back step by step of the ladder while that is fast enough as well.
    latency_s   seconds at a size, infinite where nothing runs.
    Raises EqualLatencyError when no size up to 4096 is fast enough, or when doubling it twice did not make it faster.
    """
    size, fastest, without_gain = start, (latency_s(start), start), 0
    while latency_s(size) > target_s:
        bigger = next((n for n in SIZES if n >= 2 * size), SIZES[-1])
        without_gain = 0 if latency_s(bigger) < fastest[0] else without_gain + 1
        fastest = min(fastest, (latency_s(bigger), bigger))
        if fastest[0] > target_s and (without_gain == 2 or bigger <= size or bigger == SIZES[-1]):
            raise EqualLatencyError(f"grown from {start} to {bigger} it does not take {target_s * 1e6:.6g} us or less; the "
                                    f"fastest, {fastest[1]}, takes {fastest[0] * 1e6:.6g} us")
        size = bigger
    for smaller in sorted((n for n in SIZES if start < n < size), reverse=True):
        if latency_s(smaller) > target_s:
            break
        size = smaller
    return size
