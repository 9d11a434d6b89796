"""The reference engine: the cycle model (docs/cycle-model.md) as a machine of SimPy processes, made to be read.

    clock       cycles and the named phases that each cycle is split into
    memory      word layout, memories, address generator
    lanes       arithmetic of one word, and its counts
    shared      what the units of a core share
    core        FIFO, feeder, sequencer, EXEC, serialiser, wired to one core
    tokens      spike buffers (AER list, bitmap scanner) and pooling: where a run's tokens come from
    chip        core and channel executing a Program

It shares the contract (hwsim/program.py, hwsim/record.py) with the fast engine and nothing else: the two check each other.
"""

from hwsim.engine.reference.chip import ReferenceEngine

__all__ = ["ReferenceEngine"]
