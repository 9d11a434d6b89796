"""Makes the rows of nangate45_units.csv: `python -m hwsim.rtl.priced_units LIBERTY [--yosys PATH] [--unit NAME] > rows.csv`.

Units of the golden hardware that the measured core does not have, and those of ODIN, in the cells of a Liberty library: area
(um2), leakage (nW), flip-flops, and the energy of an operation (fJ at the library's supply, clock pins apart).
hwsim/cost/technology/make/logic.py makes the table of them. Neither the library nor yosys is in this tree. Stimuli are random:
bits of words change in 0.33 of the operations, as potentials of real layers do; potentials and weights of lanes are drawn from
normal distributions; hwsim/rtl/odin_benches.py says what ODIN's units are given.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import numpy as np
from amaranth import Module
from amaranth.back import verilog
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwsim.code_folders import safe_code
from hwsim.passes import DECAY_BITS, DECAY_WHOLE, Pass, PassTable
from hwsim.program import CoreRun, CoreSpec
from hwsim.rtl.accumulators import AccumulatorFile
from hwsim.rtl.bit_slots import BitSlots
from hwsim.rtl.buffer_rows import BufferRows
from hwsim.rtl.dataflow_benches import dataflow_benches
from hwsim.rtl.decay import Decay
from hwsim.rtl.gates.bench import SEED, STEPS, STREAMS, Bench, Stimulus, per_operation, same, sliced
from hwsim.rtl.gates.liberty import Library, read_library
from hwsim.rtl.gates.netlist import Netlist, synthesise
from hwsim.rtl.gates.simulate import Streams
from hwsim.rtl.lanes import Lane
from hwsim.rtl.merged_lane import MergedLane
from hwsim.rtl.odin_benches import odin_benches
from hwsim.rtl.operation import Kind, operation_layout
from hwsim.rtl.parameters import Parameters
from hwsim.rtl.visits import Visits
from hwsim.rtl.window_scanner import WindowScanner
from hwsim.rtl.word_register import WordRegister
from hwsim.rtl.word_writer import WordWriter
from hwsim.snn.network import Connection

COLUMNS = ("unit", "lanes", "potential_bits", "scan_bits", "accumulators", "adders", "bits", "planes", "banks",
           "flip_flops", "area_um2", "leakage_nw", "event", "energy_fj", "vdd_v", "how")
SIZES = COLUMNS[1:9]
POTENTIAL_TOGGLES = 0.33
PLANES, WEIGHT_BITS = 4, 8
PLANE_BY_PLANE = "with the toggles of real layers, plane by plane"
"""Said of the lane that shifts a weight by its plane and of the one that does not, which differ in nothing else."""


class EntryReader(wiring.Component):
    """Reads an AER list entry by entry: the address of the next one, and whether it is the last."""

    def __init__(self, bits: int) -> None:
        super().__init__({"start": In(1), "first": In(bits), "end": In(bits), "take": In(1), "address": Out(bits),
                          "last": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.If(self.start):
            m.d.sync += self.address.eq(self.first)
        with m.Elif(self.take):
            m.d.sync += self.address.eq(self.address + 1)
        m.d.comb += self.last.eq(self.address == self.end)
        return m


class Register(wiring.Component):
    """Flip-flops, as an element of an array has them."""

    def __init__(self, bits: int) -> None:
        super().__init__({"given": In(bits), "held": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.held.eq(self.given)
        return m


class Writes(wiring.Component):
    """A word writer whose receiver has no say: Verilog has no port that is a constant."""

    def __init__(self, p: Parameters) -> None:
        self.writer = WordWriter(p)
        super().__init__({"take": In(1), "fired": In(p.lanes), "position": In(p.position), "write": Out(p.sent), "valid": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.writer = writer = self.writer
        m.d.comb += [writer.take.eq(self.take), writer.fired.eq(self.fired), writer.position.eq(self.position),
                     self.write.eq(writer.spikes.payload), self.valid.eq(writer.spikes.valid)]
        return m


# --- runs that the hardware is elaborated for ------------------------------------------------------------------------


def parameters(lanes: int = 8, potential_bits: int = 24, scan_bits: int = 64, shift_at: Literal["weight", "membrane"] = "weight",
               **dataflow: Any) -> Parameters:
    """A convolution 3 x 3 from 16 x 14 x 14 to four groups of channels, bit planes: a middle layer of the shipped traces."""
    channels = 4 * lanes
    spec = CoreSpec(lanes, potential_bits, potential_bits, 16, True, shift_at, "bitmap", scan_bits, **dataflow)
    weights = np.random.default_rng(SEED).integers(-127, 128, (channels, 16, 3, 3))
    wire = Connection("before", "conv2d", (16, 14, 14), weights, kernel=3, padding=1)
    doubles = tuple(Pass(n, "shift", timestep=n - 1) for n in range(1, PLANES)) if shift_at == "membrane" else ()
    table = PassTable(PLANES, (*doubles, *(Pass(PLANES, "fire", 1 << 10, timestep=n, shift=n) for n in range(PLANES))),
                      np.zeros((channels, 14, 14), np.int64), weigh_planes=shift_at == "weight")
    run = CoreRun(spec, (channels, 14, 14), (0, 4), (wire,), table, potential_bits, potential_bits, clear=True)
    return Parameters(run, PLANES + 1 if run.merged else 2)


def operation(p: Parameters, **fields: Any) -> tuple[list[int], Any]:
    """An operation as a word of all streams, and its layout."""
    layout = operation_layout(p)
    return same(layout.const(fields).as_value().value, layout.size), layout


def placed(word: list[int], layout: Any, name: str, bits: list[int]) -> list[int]:
    """The word with a field of the layout set to these bits."""
    at = layout[name].offset
    return [*word[:at], *bits[:layout[name].width], *word[at + layout[name].width:]]


# --- what each unit does ---------------------------------------------------------------------------------------------


def drive_word(p: Parameters, more: bool) -> Callable[[Streams], Iterator[tuple[str, float]]]:
    """Accumulations on words that are held, in no order."""
    def drive(streams: Streams) -> Iterator[tuple[str, float]]:
        stimulus, width = Stimulus(), p.lanes * p.run.potential_bits
        word, layout = operation(p, kind=Kind.ACCUMULATE, held={"membrane": 1})

        def step() -> dict[str, list[int]]:
            given = placed(word, layout, "accumulator", stimulus.bits(0.5, layout["accumulator"].width)) if more else word
            found = {"operation": given, "completes": same(1, 1), "made_membrane": stimulus.changed(
                "made", POTENTIAL_TOGGLES, width)}
            return found | ({"initial": same(0, width)} if more else {})

        return per_operation(streams, "access" if more else "operation", step)
    return drive


def drive_lane(p: Parameters, plane: int | None = None) -> Callable[[Streams], Iterator[tuple[str, float]]]:
    """Accumulations; per term where tokens are merged. A potential is the sum of what was added, as small as it is in a layer.

    plane   of all events; None: of any plane, in no order, as merged tokens bring them.
    """
    def drive(streams: Streams) -> Iterator[tuple[str, float]]:
        stimulus, adders = Stimulus(), p.run.core.adders if p.run.merged else 1
        word, layout = operation(p, kind=Kind.ACCUMULATE, plane=plane or 0)
        draw = random.Random(SEED)

        def step() -> dict[str, list[int]]:
            given = placed(word, layout, "plane", stimulus.bits(0.5, 2)) if plane is None else word
            if p.run.merged:
                slot = layout["slot"]
                size = slot.width
                terms = slot.shape["terms"]
                bits = stimulus.bits(0.5, size)
                for k in range(adders):
                    bits[terms.offset + terms.shape[k].offset + terms.shape[k].shape["there"].offset] = same(1, 1)[0]
                bits[slot.shape["negative"].offset] = 0
                given = placed(given, layout, "slot", bits)
            potentials = [round(draw.gauss(0, 2000)) for _ in range(STREAMS)]
            weights = [round(draw.gauss(0, 30)) for _ in range(STREAMS)]
            return {"operation": given, "active": same(1, 1), "potential": sliced(potentials, p.run.potential_bits),
                    "weight": sliced(weights, WEIGHT_BITS)}

        for name, energy in per_operation(streams, "accumulate", step):
            yield name, energy / adders
    return drive


def drive_planes(p: Parameters) -> Callable[[Streams], Iterator[tuple[str, float]]]:
    """Accumulations of one plane after the other, as many of each, which is how planes come one by one."""
    def drive(streams: Streams) -> Iterator[tuple[str, float]]:
        found = [energy for plane in range(PLANES) for _, energy in drive_lane(p, plane)(streams)]
        yield "accumulate", sum(found) / PLANES
    return drive


def drive_slots(p: Parameters) -> Callable[[Streams], Iterator[tuple[str, float]]]:
    """Tokens of random planes, each taken apart to its end; energy per bit that is set."""
    def drive(streams: Streams) -> Iterator[tuple[str, float]]:
        stimulus, layout = Stimulus(), p.token
        at, width = layout["payload"].offset, PLANES
        token, terms = same(0, layout.size), 0
        token[at] = same(1, 1)[0]
        for n in range(STEPS + 1):
            if n == 1:
                streams.energy_fj, terms = 0.0, 0
            streams.step({"token": token, "taken": same(1, 1)})
            slot = streams.output("slot")
            shape = p_slot(p)
            terms += sum(slot[shape["terms"].offset + shape["terms"].shape[k].offset
                              + shape["terms"].shape[k].shape["there"].offset].bit_count() for k in range(p.run.core.adders))
            last = slot[shape["last"].offset]
            fresh = stimulus.bits(0.5, width)
            fresh[0] |= ~(fresh[0] | fresh[1] | fresh[2] | fresh[3]) & same(1, 1)[0]
            token = [*token[:at], *((new & last) | (old & ~last) for new, old in zip(fresh, token[at:at + width], strict=True)),
                     *token[at + width:]]
        yield "term", streams.energy_fj / terms
    return drive


def p_slot(p: Parameters) -> Any:
    return operation_layout(p)["slot"].shape


def drive_writer(p: Parameters) -> Callable[[Streams], Iterator[tuple[str, float]]]:
    """Words of which one lane in ten has a spike; energy per spike."""
    def drive(streams: Streams) -> Iterator[tuple[str, float]]:
        stimulus, spikes = Stimulus(), 0
        for n in range(STEPS + 1):
            if n == 1:
                streams.energy_fj, spikes = 0.0, 0
            fired = stimulus.bits(0.1, p.lanes)
            spikes += sum(bits.bit_count() for bits in fired)
            streams.step({"take": same(1, 1), "fired": fired, "position": same(n, p.position.size)})
        yield "spike", streams.energy_fj / spikes
    return drive


def drive_scanner(p: Parameters) -> Callable[[Streams], Iterator[tuple[str, float]]]:
    """Rows of two densities; what a row costs and what a token costs are solved from both."""
    def measured(streams: Streams, density: float) -> tuple[float, int, int]:
        stimulus = Stimulus()
        bits, rows, tokens = same(0, p.run.core.scan_bits), 0, 0
        ones = same(1, 1)[0]
        for n in range(3 * STEPS):
            if n == STEPS:
                streams.energy_fj, rows, tokens = 0.0, 0, 0
            streams.step({"start": same(1, 1), "eots": same(PLANES, len(streams.netlist.inputs["eots"])), "bits": bits,
                          "tokens__ready": same(1, 1)}, clock=False)
            read, rows = streams.output("read")[0], rows + streams.output("scans")[0].bit_count()
            tokens += streams.output("tokens__valid")[0].bit_count()
            streams.step({}, clock=True)
            fresh = stimulus.bits(density, len(bits))
            bits = [(new & read) | (old & ~read & ones) for new, old in zip(fresh, bits, strict=True)]
        return streams.energy_fj, rows, tokens

    def drive(streams: Streams) -> Iterator[tuple[str, float]]:
        (e1, r1, t1), (e2, r2, t2) = measured(streams, 0.02), measured(streams, 0.2)
        row, token = np.linalg.solve([[r1, t1], [r2, t2]], [e1, e2])
        yield "row", float(row)
        yield "token", float(token)
    return drive


def drive_steps(streams: Streams) -> Iterator[tuple[str, float]]:
    return per_operation(streams, "word", lambda: {"step": same(1, 1)})


def drive_entries(streams: Streams) -> Iterator[tuple[str, float]]:
    end = same((1 << 16) - 1, 16)
    return per_operation(streams, "entry", lambda: {"start": same(0, 1), "take": same(1, 1), "end": end})


def drive_decay(bits: int) -> Callable[[Streams], Iterator[tuple[str, float]]]:
    """A neuron's potential after the other; a factor stays what it is through a layer, and each stream has its own."""
    def drive(streams: Streams) -> Iterator[tuple[str, float]]:
        draw = random.Random(SEED)
        factors = sliced([draw.randrange(1, DECAY_WHOLE) for _ in range(STREAMS)], DECAY_BITS)
        return per_operation(streams, "operation", lambda: {
            "value": sliced([round(draw.gauss(0, 2000)) for _ in range(STREAMS)], bits), "factor": factors})
    return drive


def drive_register(streams: Streams) -> Iterator[tuple[str, float]]:
    stimulus, bits = Stimulus(), len(streams.netlist.inputs["given"])
    return per_operation(streams, "bits", lambda: {"given": stimulus.changed("given", POTENTIAL_TOGGLES, bits)})


def benches() -> Iterator[Bench]:
    """Every unit at every size of the csv."""
    for bits in (8, 32):
        yield Bench("register", {"bits": bits}, partial(Register, bits), drive_register)
    yield Bench("entry_reader", {}, partial(EntryReader, 16), drive_entries)
    yield Bench("visits", {}, partial(Visits, parameters(order="gather")), drive_steps)
    for lanes, bits in ((8, 16), (8, 24), (16, 24)):
        sizes = {"lanes": lanes, "potential_bits": bits}
        p = parameters(lanes, bits, passes="by_word")
        yield Bench("word_register", sizes, partial(WordRegister, p), drive_word(p, False))
        for words in (1, 2, 4):
            p = parameters(lanes, bits, order="gather", accumulators=words)
            yield Bench("accumulator_file", {**sizes, "accumulators": words}, partial(AccumulatorFile, p), drive_word(p, True))
    for bits in (16, 24, 32):
        p = parameters(4, bits)
        yield Bench("plain_lane", {"potential_bits": bits}, partial(Lane, p), drive_lane(p))
        yield Bench("weighing_lane", {"potential_bits": bits}, partial(Lane, p), drive_planes(p), PLANE_BY_PLANE)
        p = parameters(4, bits, shift_at="membrane")
        yield Bench("adding_lane", {"potential_bits": bits}, partial(Lane, p), drive_planes(p), PLANE_BY_PLANE)
        for adders in (1, 2, 4):
            p = parameters(4, bits, planes_per_token="all", adders=adders, multiplier="bit_serial")
            yield Bench("merged_lane", {"potential_bits": bits, "adders": adders}, partial(MergedLane, p), drive_lane(p))
        yield Bench("decay", {"potential_bits": bits}, partial(Decay, bits), drive_decay(bits),
                    "of potentials of real layers' size, a factor for each stream")
    for adders in (1, 2, 4):
        p = parameters(4, 24, planes_per_token="all", adders=adders, multiplier="bit_serial")
        yield Bench("bit_slots", {"adders": adders}, partial(BitSlots, p), drive_slots(p))
    for lanes in (8, 16, 64):
        p = parameters(lanes, 24, writer="word")
        yield Bench("word_writer", {"lanes": lanes}, partial(Writes, p), drive_writer(p))
    for bits in (16, 64, 128):
        p = parameters(scan_bits=bits)
        yield Bench("row_scanner", {"scan_bits": bits}, partial(WindowScanner, BufferRows(p, (PLANES,))), drive_scanner(p))
    yield from odin_benches()
    yield from dataflow_benches(parameters)


def rows_of(bench: Bench, library: Library, liberty: str, yosys: str) -> Iterator[dict[str, Any]]:
    """The rows of one unit at one size, one for each operation."""
    with safe_code():
        text = verilog.convert(bench.component(), name="unit", emit_src=False)
    netlist: Netlist = synthesise(text, "unit", library, liberty, yosys)
    for event, energy in bench.drive(Streams(netlist, STREAMS, library.supply_v)):
        yield {"unit": bench.unit, **dict.fromkeys(SIZES, ""), **bench.sizes, "flip_flops": len(netlist.flip_flops),
               "area_um2": f"{netlist.area_um2:.1f}", "leakage_nw": f"{netlist.leakage_nw:.0f}", "event": event,
               "energy_fj": f"{energy:.1f}", "vdd_v": f"{library.supply_v:g}",
               "how": f"{library.name}, random stimuli {bench.stimuli}, gates of equal delay"}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("liberty", help="a Liberty file, such as nangate45_typ.lib")
    parser.add_argument("--yosys", default="yosys", help="the program (0.23 made the shipped rows)")
    parser.add_argument("--unit", action="append", help="only this unit; repeatable")
    asked = parser.parse_args()
    library = read_library(asked.liberty)
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for bench in benches():
        if not asked.unit or bench.unit in asked.unit:
            writer.writerows(rows_of(bench, library, asked.liberty, asked.yosys))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
