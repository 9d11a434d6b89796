"""The fields of a core of kind `odin`, as they stand in an architecture file. Units: entries, latches, words, bits.

ODIN was built once, and its rules (docs/odin.md) were proved for what was built. A field that could ask for another chip is
here so that the file says what it means; any value but the proved one is refused by name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from hwsim.cores.base import CoreDesign, CoreFields
from hwsim.cores.loop_nest import NestLine
from hwsim.cores.parts import ONE_PORT, ArrayKind
from hwsim.fields import Fields

NEURONS = 256
SYNAPSES_PER_WORD = 8
WORDS_PER_SOURCE = NEURONS // SYNAPSES_PER_WORD
SYNAPSE_WORDS = NEURONS * WORDS_PER_SOURCE


class OdinScheduler(Fields):
    """The FIFO of events that wait to be processed (O6)."""

    depth: int = Field(default=32, ge=1, le=1024)
    """Entries. The chip has 32; other depths follow the same rule but were not compared with it."""
    feedback: bool = True
    """Spikes of the core's own neurons enter the scheduler. False is the chip's open loop. In a design, True means that they may:
    a network whose layers read no other layer runs in the open loop all the same, because the register is part of a mapping."""


class OdinOutput(Fields):
    """The output link: a four-phase handshake (O7)."""

    source: Literal["neuron", "controller"] = "neuron"
    """neuron: every spike leaves when it is fired. controller: every popped neuron event leaves instead."""
    latches: int = 2
    """Latches on the receiver's acknowledge."""

    @field_validator("latches")
    @classmethod
    def _only_two_is_proved(cls, latches: int) -> int:
        if latches != 2:
            raise ValueError(f"found {latches} latches at the output, expected 2: only 2 is proved; leave the field out")
        return latches


class OdinInput(Fields):
    """The input link: a four-phase handshake (O4)."""

    latches: int = Field(default=2, ge=1, le=8)
    """Latches on the sender's request. The chip has 2; other numbers follow O4 but were not compared with it."""


class OdinFields(CoreFields):
    """One ODIN core: a crossbar of 256 sources and 256 leaky integrate-and-fire neurons."""

    kind: Literal["odin"] = "odin"
    """A crossbar of 256 sources and 256 neurons, one neuron after the other: docs/odin.md."""
    neurons: int = NEURONS
    """Neurons, and sources of the crossbar. A smaller network uses the first neurons of a core of 256."""
    neuron: str = "lif"
    """Model of every neuron: lif, the 8-bit leaky integrate-and-fire neuron."""
    learning: bool = False
    """Online learning (SDSP). Not modelled: only False is accepted."""
    scheduler: OdinScheduler = OdinScheduler()
    output: OdinOutput = OdinOutput()
    input: OdinInput = OdinInput()

    @field_validator("neurons")
    @classmethod
    def _as_built(cls, neurons: int) -> int:
        if neurons != NEURONS:
            raise ValueError(
                f"found {neurons} neurons, expected {NEURONS}: addresses have 8 bits, and a neuron event always walks over all "
                f"{NEURONS} neurons; give a smaller network to a core of {NEURONS}, split a larger one over several"
            )
        return neurons

    @field_validator("neuron")
    @classmethod
    def _leaky_integrate_and_fire(cls, neuron: str) -> str:
        if neuron != "lif":
            raise ValueError(
                f"found neuron {neuron!r}, expected 'lif': ODIN's Izhikevich neuron is not modelled; use leaky integrate-and-fire"
            )
        return neuron

    @field_validator("learning")
    @classmethod
    def _no_learning(cls, learning: bool) -> bool:
        if learning:
            raise ValueError("found learning on, expected off: online learning (SDSP) is not modelled; leave the field out")
        return learning


class OdinMemory(Fields):
    """One on-chip memory with a single port that reads or writes in a cycle."""

    words: int
    """Rows."""
    bits: int
    """Bits of a row."""
    ports: Literal["1rw"] = "1rw"
    """One port that reads or writes in a cycle."""


class OdinMemories(Fields):
    """The two memories of the chip. Their sizes follow from the crossbar, so only these are accepted."""

    membrane: OdinMemory = OdinMemory(words=NEURONS, bits=128)
    """One word per neuron: its potential and all of its parameters."""
    weight: OdinMemory = OdinMemory(words=SYNAPSE_WORDS, bits=32)
    """Eight synapses per word, 32 words per source."""

    @field_validator("membrane", "weight")
    @classmethod
    def _as_built(cls, memory: OdinMemory, info: Any) -> OdinMemory:
        words, bits = (NEURONS, 128) if info.field_name == "membrane" else (SYNAPSE_WORDS, 32)
        if (memory.words, memory.bits) != (words, bits):
            found = f"{memory.words} x {memory.bits} bits"
            raise ValueError(f"found {found}, expected {words} x {bits} bits: ODIN's memory cannot be resized")
        return memory


class OdinDesign(CoreDesign):
    """An ODIN core and its two memories."""

    core: OdinFields
    memories: OdinMemories = OdinMemories()

    timing_fields = (
        "count", "core.neurons", "core.neuron", "core.learning", "core.scheduler.depth", "core.scheduler.feedback",
        "core.output.source", "core.output.latches", "core.input.latches",
        *(f"memories.{memory}.{field}" for memory in ("membrane", "weight") for field in ("words", "bits", "ports")),
    )

    @property
    def pe_count(self) -> int:
        """One adder, whatever the number of neurons."""
        return 1

    @property
    def loop_nest(self) -> tuple[NestLine, ...]:
        return (
            NestLine(0, "for event in the scheduler's order", ("event",), "sources one after the other (O3, O6)"),
            NestLine(1, f"for n in [0:{NEURONS})", ("n",), "one adder; a word is read in a cycle and written in the next (O2)"),
            NestLine(2, "V[n] += W[source, n]; compare, fire", (), "a spike holds the next read up until it has left (O7)"),
        )

    @property
    def row_bits(self) -> Mapping[str, int]:
        return {"membrane": self.memories.membrane.bits, "weight": self.memories.weight.bits}

    @property
    def capacities(self) -> Mapping[str, int]:
        memories = self.memories
        return {name: one.words * one.bits for name, one in (("membrane", memories.membrane), ("weight", memories.weight))}

    @property
    def constant_memories(self) -> Collection[str]:
        """Both: a neuron's word holds its parameters beside its potential."""
        return tuple(self.capacities)

    @property
    def arrays(self) -> Mapping[str, ArrayKind]:
        """One port each; words of both are written back after every read."""
        return dict.fromkeys(self.capacities, ONE_PORT)


DESIGN = OdinDesign
