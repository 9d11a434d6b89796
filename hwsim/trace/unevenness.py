"""How uneven arrival of spikes changes what layers send, from a trace alone (paper 002, "unevenness error I").

A neuron that keeps what it does not send would fire clip((V0 + all its input) // theta, 0, T) times if its input came evenly.
What it fires more or less is due to when spikes arrive, and to nothing else: the input is the recorded one, so errors of earlier
layers do not count. Where T is the number of the source's levels, the even count is what the source's QCFS activation gives.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hwsim.snn.evenness import CASES, Unevenness, cases_of, counted_steps, first_counted
from hwsim.snn.forward import layer_sums
from hwsim.snn.network import INPUT, Layer
from hwsim.trace.manifest import trouble
from hwsim.trace.reader import Trace


def even_and_fired(trace: Trace, layer: Layer, planes: dict[str, NDArray[np.integer]]) -> tuple[NDArray[np.int64] | None,
                                                                                           NDArray[np.int64]]:
    """Spikes (C, H, W) that leave a layer in the stage that counts: if its recorded input came evenly, and as recorded."""
    fired = planes[layer.name][first_counted(layer):].astype(np.int64).sum(axis=0).transpose(2, 0, 1)
    return layer.neuron.even(layer_sums(trace.network, layer, planes), layer), fired


def unevenness(
    trace: Trace, samples: int | None = None, progress: Callable[[int, int], None] | None = None
) -> list[Unevenness]:
    """Each layer that sends, over the first `samples` samples (all by default). Raises TraceError without weights."""
    where = str(trace.path or trace.name)
    wanted = trace.samples if samples is None else samples
    if not 1 <= wanted <= trace.samples:
        raise trouble(where, "samples", str(wanted), f"1 to {trace.samples}", "ask for as many as there are")
    if not trace.has_weights:
        raise trouble(where, "network", "no weights", "those of every connection", "what arrives cannot be known without them")
    layers = [layer for layer in trace.network if layer.sends]
    active = {layer.name: np.zeros(layer.timesteps) for layer in layers}
    cases = {layer.name: np.zeros(len(CASES)) for layer in layers}
    squares = {layer.name: np.zeros(2) for layer in layers}
    silent = set()
    for index in range(wanted):
        sample = trace.sample(index)
        planes = {INPUT: sample.inputs, **sample.recorded}
        for layer in layers:
            active[layer.name] += (planes[layer.name] != 0).sum(axis=(1, 2, 3))
            even, fired = even_and_fired(trace, layer, planes)
            if even is None:
                silent.add(layer.name)
                continue
            cases[layer.name] += cases_of(even, fired, counted_steps(layer))
            squares[layer.name] += [((fired - even) ** 2).sum(), (even**2).sum()]
        if progress is not None:
            progress(index + 1, wanted)
    found = []
    for layer in layers:
        count, steps = wanted * layer.neurons, counted_steps(layer)
        activity = tuple((active[layer.name] / count).tolist())
        if layer.name in silent:
            found.append(Unevenness(layer.name, layer.neurons, steps, activity))
            continue
        error, size = (np.sqrt(squares[layer.name] / count) / steps).tolist()
        found.append(Unevenness(layer.name, layer.neurons, steps, activity, tuple((cases[layer.name] / count).tolist()),
                                error, size))
    return found
