"""The fields of a core of kind `odin`, as they stand in an architecture file. Units: entries, latches, words, bits.

ODIN was built once, and its rules (docs/odin.md) were proved for what was built. A field that could ask for another chip is
here so that the file says what it means; any value but the proved one is refused by name.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

NEURONS = 256
SYNAPSES_PER_WORD = 8
WORDS_PER_SOURCE = NEURONS // SYNAPSES_PER_WORD
SYNAPSE_WORDS = NEURONS * WORDS_PER_SOURCE


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _reject_booleans(cls, value: Any, info: Any) -> Any:
        """YAML's `true` would pass for 1."""
        if isinstance(value, bool) and cls.model_fields[info.field_name].annotation is int:
            raise ValueError(f"found {value}, expected a number")
        return value


class OdinScheduler(_Strict):
    """The FIFO of events that wait to be processed (O6)."""

    depth: int = Field(default=32, ge=1, le=1024)
    """Entries. The chip has 32; other depths follow the same rule but were not compared with it."""
    feedback: bool = True
    """Spikes of the core's own neurons enter the scheduler. False is the chip's open loop."""


class OdinOutput(_Strict):
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


class OdinInput(_Strict):
    """The input link: a four-phase handshake (O4)."""

    latches: int = Field(default=2, ge=1, le=8)
    """Latches on the sender's request. The chip has 2; other numbers follow O4 but were not compared with it."""


class OdinFields(_Strict):
    """One ODIN core: a crossbar of 256 sources and 256 leaky integrate-and-fire neurons."""

    kind: Literal["odin"] = "odin"
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


class OdinMemory(_Strict):
    """One on-chip memory with a single port that reads or writes in a cycle."""

    words: int
    bits: int
    ports: Literal["1rw"] = "1rw"


class OdinMemories(_Strict):
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
