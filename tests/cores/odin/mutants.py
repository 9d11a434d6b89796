"""Mutants of both engines: one rule of docs/odin.md broken in each, by putting another function in the place of the rule's.

A mutant names the function, not a line of it: `work.pushed` is whatever reads an address for a push, however it is written. What
it replaces must say in its docstring that it is the rule's (test_mutants.py). Kernels run as the Python that they are written in
while a mutant is in place: compiling one anew would take longer than running it.

`python -m tests.cores.odin.mutants` prints what catches each mutant, and writes it to caught_by.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

from hwsim.cores.odin import kernels
from hwsim.cores.odin.reference import controller, work
from hwsim.cores.odin.verify import Case, check_case, read_cases
from tests.cores.odin.engines import CASES, ENGINES, unequal
from tests.cores.odin.random_chips import draw

RULES = tuple(f"O{n}" for n in range(1, 9))
REFERENCE = "hwsim.cores.odin.reference"


@dataclass(frozen=True)
class Mutant:
    """`instead` stands in the place of `where`: a function of a module, or a method (property) of a class, of `engine`."""

    engine: str
    rule: str
    name: str
    where: str
    instead: Any

    @property
    def id(self) -> str:
        return f"{self.engine} {self.rule}: {self.name}"

    @property
    def owner(self) -> Any:
        module = kernels if self.engine == "fast" else import_module(f"{REFERENCE}.{self.where.split('.')[0]}")
        place = module
        for part in self.where.split(".")[0 if self.engine == "fast" else 1 : -1]:
            place = getattr(place, part)
        return place

    @property
    def attribute(self) -> str:
        return self.where.rpartition(".")[2]

    @property
    def original(self) -> Any:
        return vars(self.owner)[self.attribute]


@contextmanager
def in_place(mutant: Mutant) -> Iterator[None]:
    """The engine with the mutant in it; afterwards it is what it was."""
    with ExitStack() as stack:
        if mutant.engine == "fast":
            stack.enter_context(plain_kernels())
            stack.enter_context(patch.object(kernels, mutant.attribute, mutant.instead))
        elif isinstance(mutant.owner, ModuleType):
            original = mutant.original
            for name, module in list(sys.modules.items()):
                if name.startswith(REFERENCE) and vars(module).get(mutant.attribute) is original:
                    stack.enter_context(patch.object(module, mutant.attribute, mutant.instead))
        else:
            stack.enter_context(patch.object(mutant.owner, mutant.attribute, mutant.instead))
        yield


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Every kernel as plain Python, so that it calls whatever stands in the module."""
    compiled = {name: value for name, value in vars(kernels).items() if hasattr(value, "py_func")}
    with ExitStack() as stack:
        for name, value in compiled.items():
            stack.enter_context(patch.object(kernels, name, value.py_func))
        yield


def reference(rule: str, name: str, where: str, instead: Any) -> Mutant:
    return Mutant("reference", rule, name, where, instead)


def fast(rule: str, name: str, where: str, instead: Any) -> Mutant:
    return Mutant("fast", rule, name, where, instead)


# -- the reference engine -------------------------------------------------------------------------------------------------

Controller = controller.Controller


def decided_by(order: Callable[[Controller], list[tuple[bool, bool]]], waits: bool = True) -> Callable[[Controller], Any]:
    """A controller's decision in another order. `order`: (is it there, is it the input), the first that is there is taken."""

    def decided(self: Controller) -> work.EventWork | None:
        if waits and self.link.busy.now:
            return None
        for is_there, is_input in order(self):
            if is_there:
                return work.decoded(self.sender.address) if is_input else work.popped(self.scheduler.head)
        return None

    return decided


def seen(self: Controller) -> bool:
    return self.sees_request()


def seen_first(self: Controller) -> bool:
    return seen(self) and not work.is_bistability(self.sender.address)


def entries(self: Controller) -> bool:
    return bool(self.scheduler.entries)


def decoded_with(**changed: Callable[[int], work.EventWork]) -> Callable[[int], work.EventWork]:
    """Another reading of the addresses of one kind of operation."""
    original = work.decoded

    def decoded(address: int) -> work.EventWork:
        operation = original(address)
        return changed[operation.kind](address) if operation.kind in changed else operation

    return decoded


def step(synapse: int, middle: int = 4, up: int = 1, highest: int = 7) -> int:
    weight = synapse & 7
    weight = min(highest, weight + up) if weight >= middle else max(0, weight - 1)
    return synapse & 8 | weight


def moved_mapped(self: Any, synapse: int, **changed: int) -> int:
    return step(synapse, **changed) if synapse & 8 or self.update_unmapped else synapse


def popped_virtual_as(change: Callable[[int], int]) -> Callable[[int], work.EventWork]:
    original = work.popped
    return lambda entry: original(change(entry))


REFERENCE_MUTANTS = (
    reference("O1", "potentials wrap around", "neurons.Neurons.clipped", lambda self, value: value & 255),
    reference("O1", "potentials are clipped at 254", "neurons.Neurons.clipped", lambda self, value: min(254, max(0, value))),
    reference("O1", "a neuron fires above its threshold only", "neurons.Neurons.fires",
              lambda self, potential, neuron: potential > self.thresholds[neuron]),
    reference("O1", "a disabled neuron sends its spike", "neurons.Neurons.sends", lambda self, neuron: True),
    reference("O1", "a neuron that fires keeps one", "neurons.Neurons.reset", lambda self: 1),
    reference("O1", "a leak is always enabled", "neurons.Neurons.leaked",
              lambda self, neuron: max(0, self.potentials[neuron] - self.leaks[neuron])),
    reference("O1", "the mapping bit is ignored", "synapses.SynapseMemory.weight",
              lambda self, synapse, source: -(synapse & 7) if self.inhibitory[source] else synapse & 7),
    reference("O1", "unmapped weights are never propagated", "synapses.SynapseMemory.weight",
              lambda self, synapse, source: (-1 if self.inhibitory[source] else 1) * (synapse & 7) * (synapse >> 3)),
    reference("O1", "all weights are positive", "synapses.SynapseMemory.weight",
              lambda self, synapse, source: synapse & 7 if synapse & 8 or self.propagate_unmapped else 0),

    reference("O2", "the output link holds nothing up", "neurons.Neurons.is_held", lambda self: False),
    reference("O2", "held only until the output's request falls", "neurons.Neurons.is_held", lambda self: self.link.request.now),

    reference("O3", "decides while the link is busy", "controller.Controller.decided",
              decided_by(lambda c: [
                  (c.scheduler.full, False), (seen_first(c), True), (entries(c), False), (seen(c), True)], waits=False)),
    reference("O3", "a full scheduler has no priority", "controller.Controller.decided",
              decided_by(lambda c: [(seen_first(c), True), (entries(c), False), (seen(c), True)])),
    reference("O3", "the scheduler comes before the input", "controller.Controller.decided",
              decided_by(lambda c: [(entries(c), False), (seen(c), True)])),
    reference("O3", "bistability events have no lower priority", "controller.Controller.decided",
              decided_by(lambda c: [(c.scheduler.full, False), (seen(c), True), (entries(c), False)])),

    reference("O4", "`up` counts from the earliest cycle, too", "pins.Sender.rises_at",
              lambda self, earliest, up: max(earliest, self.released) + up),
    reference("O4", "the sender does not wait `up`", "pins.Sender.rises_at",
              lambda self, earliest, up: max(earliest, self.released)),
    reference("O4", "one latch less at the input", "controller.Controller.sees_request", lambda self: self.request.chain[-2].now),
    reference("O4", "no latches at the input", "controller.Controller.sees_request", lambda self: self.request.wire.high),

    reference("O5", "the pushed entry loses its leak bit", "work.pushed",
              lambda address: (address >> 3 & 0x1E) << 8 | address >> 8 & 0xFF),
    reference("O5", "bit 7 of a time reference is ignored", "work.decoded", decoded_with(
        tref=lambda address: work.EventWork("tref", neurons=range(256), leak=True))),
    reference("O5", "a synapse event's source and neuron are swapped", "work.decoded", decoded_with(
        synapse=lambda address: work.EventWork(
            "synapse", neurons=range(address >> 8 & 0xFF, (address >> 8 & 0xFF) + 1), source=address & 0xFF))),
    reference("O5", "a time reference needs all eight bits", "work.decoded", decoded_with(
        tref=lambda address: work.EventWork("tref", neurons=range(address >> 8, (address >> 8) + 1), leak=True)
        if address & 0x80 else work.EventWork("push", entry=work.pushed(address)))),
    reference("O5", "weights of 4 move down", "synapses.Bistability.moved",
              lambda self, synapse: moved_mapped(self, synapse, middle=5)),
    reference("O5", "unmapped weights move, too", "synapses.Bistability.moved", lambda self, synapse: step(synapse)),
    reference("O5", "weights move two steps up", "synapses.Bistability.moved",
              lambda self, synapse: moved_mapped(self, synapse, up=2)),
    reference("O5", "words of a source are neuron by neuron", "synapses.word_of",
              lambda source, neuron: neuron * 32 + source // 8),

    reference("O6", "one entry less", "scheduler.Scheduler.refuses", lambda self: len(self.entries) >= self.depth - 1),
    reference("O6", "nothing is lost", "scheduler.Scheduler.refuses", lambda self: False),
    reference("O6", "a pop makes room in the same cycle", "scheduler.Scheduler.refuses",
              lambda self: self.full and not self.popped),
    reference("O6", "weight 0 without sign is a neuron event, leak or not", "work.is_virtual", lambda entry: entry >> 9 != 0),
    reference("O6", "a virtual event's sign is ignored", "work.popped", popped_virtual_as(
        lambda entry: entry & ~(1 << 9) if entry >> 10 else entry)),

    reference("O7", "the link is free before the receiver has released it", "output.OutputLink.is_released", lambda self: True),
    reference("O7", "one latch less at the output", "output.OutputLink.is_released",
              lambda self: not self.acknowledge.chain[-2].now),
    reference("O7", "the controller sends with the last neuron's write", "neurons.Neurons.passes_on",
              lambda self, operation, neuron: operation.kind == "pop_neuron" and neuron == 255),
    reference("O7", "the controller sends virtual events, too", "neurons.Neurons.passes_on",
              lambda self, operation, neuron: operation.kind == "pop_virtual" or (
                  operation.kind == "pop_neuron" and neuron == self.monitor)),

    reference("O8", "synapse words are used by every operation", "neurons.Neurons.needs_word",
              lambda self, operation, neuron: operation.source is not None),
    reference("O8", "the last of eight operations reads the word", "neurons.Neurons.needs_word",
              lambda self, operation, neuron: operation.source is not None and (neuron % 8 == 7 or operation.kind == "synapse")),
    reference("O8", "a synapse event reads a word for a first neuron only", "neurons.Neurons.needs_word",
              lambda self, operation, neuron: operation.source is not None and neuron % 8 == 0),
)

# -- the fast engine ------------------------------------------------------------------------------------------------------


def takes_input(waiting: int, depth: int, seen_at: int, now: int, bistable: bool) -> bool:
    """As it should be, for mutants that change an argument."""
    return not (waiting == depth or (waiting > 0 and (bistable or seen_at > now)))


FAST_MUTANTS = (
    fast("O1", "potentials wrap around", "clipped", lambda potential: potential & 255),
    fast("O1", "potentials are clipped at 254", "clipped", lambda potential: min(254, max(0, potential))),
    fast("O1", "a neuron fires above its threshold only", "reaches", lambda potential, threshold: potential > threshold),
    fast("O1", "a neuron that fires keeps one", "kept", lambda potential, fired: 1 if fired else potential),
    fast("O1", "a disabled neuron sends its spike", "sends", lambda fired, disabled: fired),
    fast("O1", "the mapping bit is ignored", "adds",
         lambda synapse, inhibitory, propagate: -(synapse & 7) if inhibitory else synapse & 7),
    fast("O1", "unmapped weights are never propagated", "adds",
         lambda synapse, inhibitory, propagate: (-1 if inhibitory else 1) * int(synapse & 7) * int(synapse >> 3)),
    fast("O1", "all weights are positive", "adds",
         lambda synapse, inhibitory, propagate: synapse & 7 if synapse & 8 or propagate else 0),
    fast("O1", "a leak is always enabled", "leaked", lambda leak, enabled: -leak),

    fast("O2", "an operation takes one cycle", "write_cycle", lambda decided, place, held: decided + 2 + place + held),
    fast("O2", "the output link holds nothing up", "held_by_link", lambda link_free, written: 0),
    fast("O2", "held a cycle longer", "held_by_link", lambda link_free, written: link_free - written),

    fast("O3", "decides while the link is busy", "may_decide", lambda free, link_free: free),
    fast("O3", "a full scheduler has no priority", "takes_input_first",
         lambda waiting, depth, at, now, bistable: takes_input(waiting, depth + 1, at, now, bistable)),
    fast("O3", "the scheduler comes before the input", "takes_input_first",
         lambda waiting, depth, at, now, bistable: waiting == 0),
    fast("O3", "bistability events have no lower priority", "takes_input_first",
         lambda waiting, depth, at, now, bistable: takes_input(waiting, depth, at, now, False)),

    fast("O4", "`up` counts from the earliest cycle, too", "raised", lambda earliest, released, up: max(earliest, released) + up),
    fast("O4", "the sender does not wait `up`", "raised", lambda earliest, released, up: max(earliest, released)),
    fast("O4", "one latch less at the input", "seen_from", lambda raised_at, latches: raised_at + latches - 1),
    fast("O4", "acknowledged a cycle late", "acknowledged", lambda last: last + 2),
    fast("O4", "the acknowledge falls a cycle early", "released_at", lambda fallen, latches: fallen + latches),

    fast("O5", "bit 7 is ignored", "is_for_one", lambda address: False),
    fast("O5", "the pushed entry loses its leak bit", "entry_of", lambda address: (address & 0xF0) << 5 | address >> 8 & 0xFF),
    fast("O5", "a time reference needs all eight bits", "kind_of",
         lambda address: 0 if address >> 16 else 1 if address & 0xFF == 0xFF else 2 if address & 0x7F == 0 else 3),
    fast("O5", "bistability needs all eight bits to be zero", "kind_of",
         lambda address: 0 if address >> 16 else 1 if address & 0x7F == 0x7F else 2 if address & 0xFF == 0 else 3),
    fast("O5", "weights of 4 move down", "moved", lambda synapse, update: step(synapse, 5) if synapse & 8 or update else synapse),
    fast("O5", "unmapped weights move, too", "moved", lambda synapse, update: step(synapse)),
    fast("O5", "weights stop at 6", "moved",
         lambda synapse, update: step(synapse, highest=6) if synapse & 8 or update else synapse),

    fast("O6", "one entry less", "is_lost", lambda waiting, depth: waiting >= depth - 1),
    fast("O6", "weight 0 without sign is a neuron event, leak or not", "kind_of_entry", lambda entry: 5 if entry >> 9 else 4),
    fast("O6", "a virtual event's sign is ignored", "virtual_weight", lambda entry: entry >> 10 & 7),
    fast("O6", "a virtual event's leak bit is ignored", "virtual_leaks", lambda entry: False),

    fast("O7", "the request rises with the write", "request_of", lambda written: written),
    fast("O7", "one latch less at the output", "link_answers", lambda changed, latches: changed + latches),
    fast("O7", "one latch more at the output", "link_answers", lambda changed, latches: changed + latches + 2),

    fast("O8", "synapse words are used by every operation", "reads_word", lambda kind, neuron: kind in (0, 4)),
    fast("O8", "the last of eight operations reads the word", "reads_word",
         lambda kind, neuron: kind == 0 or (kind == 4 and neuron % 8 == 7)),
    fast("O8", "a synapse event reads no word", "reads_word", lambda kind, neuron: kind == 4 and neuron % 8 == 0),
)
MUTANTS = REFERENCE_MUTANTS + FAST_MUTANTS

# -- what catches them ----------------------------------------------------------------------------------------------------

CAUGHT_BY = Path(__file__).with_name("caught_by.json")
CHIPS = 400


@cache
def recorded_cases() -> dict[str, Case]:
    """By name, the shortest first."""
    cases = sorted(read_cases(CASES), key=lambda case: case["expect"]["log_entries"])
    return {f"case {case['id']}": case for case in cases}


def difference(engine: str, place: str) -> str | None:
    """The first difference of an engine from a recorded case, or from the other engine on a random chip (`chip SEED`)."""
    if place in recorded_cases():
        found = check_case(recorded_cases()[place], ENGINES[engine])
        return found and found.partition("): ")[2]
    drawn = draw(int(place.removeprefix("chip ")))
    other = next(name for name in ENGINES if name != engine)
    arguments = (drawn.core, drawn.configuration, drawn.stimulus, drawn.until_cycles, True)
    return next(unequal(ENGINES[engine].run(*arguments), ENGINES[other].run(*arguments)), None)


def places() -> Iterator[str]:
    """Cases, then random chips, in which a mutant might show."""
    yield from recorded_cases()
    yield from (f"chip {seed}" for seed in range(CHIPS))


def main() -> None:
    """Look for what catches each mutant, and write it down for the tests."""
    caught: dict[str, str] = {}
    for mutant in MUTANTS:
        with in_place(mutant):
            place, found = next(((p, d) for p in places() if (d := difference(mutant.engine, p))), (None, None))
        print(f"{mutant.id} | {place} | {found}", flush=True)
        if place is not None:
            caught[mutant.id] = place
    CAUGHT_BY.write_text(json.dumps(caught, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
