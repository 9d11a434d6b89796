"""The logic of an event core and of its multiply-accumulate twin, under every dataflow: its blocks, and who works at what.

Units are those of the golden hardware (hwsim/rtl), and of the tables that were synthesised from it (hwsim/cost/technology/logic).
A unit that a table lacks is named when a design needs it, with the field that brings it. Sizes: lanes, bits, tokens, words.
docs/energy-model.md, "Logic", says what each event uses and why.
"""

from __future__ import annotations

from dataclasses import replace

from hwsim.cores.event.dataflow_fields import MergedPlanes, OutputStationary
from hwsim.cores.event.fields import EventDesign
from hwsim.cores.logic import Block, Clocked, Logic, Moves, Path, Sums, Use, Within, Work, busiest, moves_of
from hwsim.cores.parts import POOL_BITS, Term, bits_of_bank, requantiser, token_bits
from hwsim.kept import kept
from hwsim.passes import DECAY_BITS

SCATTER_BUSIEST = ("membrane", "current", "weight", "mask", "spike", "bias")
"""Every accumulated row reads and writes a word of potentials, and reads a row of weights; the others follow by far."""
GATHER_BUSIEST = ("weight", "spike", "mask", "membrane", "current", "bias")
"""Potentials are read and written once a visit; a row of the spike buffer is read again by each window that it lies in."""

ISSUE_FLIP_FLOPS = 57
"""Clocked with each operation: what ISSUE hands to EXEC, but for one flip-flop a lane."""
IDLE_FLIP_FLOPS = 25
"""Clocked in every cycle, whatever happens: states of the sequencer and of the FIFO."""
POINTER_FLIP_FLOPS = 8
"""Clocked with each token besides its bits: the FIFO's pointers and counter."""

IN_BOTH_PIPES = ("lane", "write_multiplexer", "address_generator", "sequencer", "issue", "bypass")
"""What is there twice where events and passes have a pipe each (R27). Lanes are whole in both: none was synthesised that only
adds weights, or only fires."""

FIELDS = {
    "adding_lane": ("core.shift_at: membrane or core.kind: multiply_accumulate", "core.shift_at: weight"),
    "accumulator_file": ("core.dataflow: {type: output_stationary}", "{type: event_driven}"),
    "visits": ("core.dataflow: {type: output_stationary}", "{type: event_driven}"),
    "bit_slots": ("core.token: {planes: merged}", "{planes: single}"),
    "word_register": ("core.token: {planes: merged} or core.passes: by_word", "{planes: single} and by_pass"),
    "word_writer": ("core.writer: word", "serial"),
    "plane_sums": ("core.token: {sums: n}", "sums: 0"),
    "bank_select": ("memories.membrane: {gate_by_channel: true}", "false"),
    "mask_check": ("core.mask_first: true", "false"),
    "decay": ("core.lane: {decays: n}", "decays: 0"),
    "row_scanner": ("spike_buffer.kind: bitmap", "aer"),
    "entry_reader": ("spike_buffer.kind: aer", "bitmap"),
}


def logic(design: EventDesign, payload_bits: int | None) -> Logic:
    """The core's logic; multiplications have an operand of `payload_bits` (None: the multiplier's own width), and so many sums of
    planes take the additions of a rate code whose planes are merged (R21)."""
    own = _logic(design)
    if payload_bits is None:
        return own
    rest = {event: uses for event, uses in own.events.items() if event != "mult"}
    to_sums = {"acc_add": _Uses(design, True).by_event()["acc_add"]} if payload_bits and design.plane_sums else {}
    return replace(own, events=rest | _multiplication(design, payload_bits) | to_sums)


@kept
def _logic(design: EventDesign) -> Logic:
    return Logic(
        blocks=tuple(_blocks(design)), events={**_Uses(design).by_event(), **_multiplication(design, design.core.payload_bits)},
        every_cycle=(Work("sequencer", "sequencer", "cycle", {}), Clocked(IDLE_FLIP_FLOPS, "states that never rest"))
        * (2 if design.core.pipes == "two" else 1),
        moves=_moves(design),
        busiest=busiest(GATHER_BUSIEST if design.has_accumulator_file else SCATTER_BUSIEST, design.capacities),
        paths=_paths(design), fields=FIELDS,
    )


def _multiplication(design: EventDesign, operand: int) -> dict[str, tuple[Use, ...]]:
    """What `mult` uses with an operand of so many bits; 0: there is none."""
    return {"mult": (Sums("multiplier", (("mult", (design.core.weight_bits, operand)),)),)} if operand else {}


def _moves(design: EventDesign) -> dict[str, tuple[Moves, ...]]:
    """Rows move whole. But where each lane that works is counted, those without a channel are not charged: they hold zeros.

    An addition then stands for its lane's part of the row of weights and, in scatter order, for its potential (or current) that
    is read and written back. Lanes that add bits of merged tokens are counted once for each bit, so there rows are charged. Of a
    gated memory the banks that an access touches are counted, and move whole.
    """
    gated = {name: bits_of_bank(design.row_bits[name]) for name in _gated(design)}
    of_banks = {f"{name}_{way}_banks": (Moves(name, bits, "membrane"),)
                for name, bits in gated.items() for way in ("read", "write")}
    rows = {**moves_of({name: bits for name, bits in design.row_bits.items() if name != "current" and name not in gated},
                       {"weight": "weight", "membrane": "membrane"}), **of_banks}
    if design.merges_planes:
        return rows | ({} if gated else moves_of({"current": design.row_bits["current"]}, {"current": "membrane"}))
    lane: tuple[Moves, ...] = (Moves("weight", design.core.weight_bits, "weight"),)
    counted = ["weight_read"]
    if not design.has_accumulator_file and not gated:
        lane = (Moves("membrane", design.core.potential_bits, "membrane", 2), *lane)
        counted += ["membrane_read_accumulate", "membrane_write_accumulate"]
    return {event: moved for event, moved in rows.items() if event not in counted} | {"acc_add": lane}


def _terms_per_slot(design: EventDesign) -> int:
    """Bits of a token that a lane adds in one cycle; each has an adder."""
    token = design.core.token
    return token.adders if isinstance(token, MergedPlanes) else 1


def _multiplies_in_parallel(design: EventDesign) -> bool:
    return design.core.payload_bits > 0 and design.core.lane.multiplier == "parallel"


def _keeps_words(design: EventDesign) -> bool:
    """Whether a word at work stays in a register in front of the lanes (R21, R24)."""
    return not design.has_accumulator_file and (design.merges_planes or design.core.passes == "by_word")


# --- what there is ---------------------------------------------------------------------------------------------------


def _blocks(design: EventDesign) -> list[Block]:
    core = design.core
    wide = {"potential_bits": core.potential_bits}
    word = {"lanes": core.lanes, **wide}
    token = {"token_bits": token_bits(design), "fifo_depth": core.fifo_depth}
    found = [
        _lane_block(design, wide),
        Block("write_multiplexer", 1, "write_multiplexer", word),
        Block("fifo", 1, "fifo", token),
        Block("address_generator", 1, "address_generator"),
        Block("sequencer", 1, "sequencer"),
        Block("issue", 1, "issue", {"lanes": core.lanes}),
        Block("pooling_unit", 1, terms=(("add", (POOL_BITS,)),), flip_flops=POOL_BITS),
        *([] if core.requantises else [Block("shifter", 1, terms=(("shift", (core.potential_bits,)),))]),  # of the threshold
        *_front_blocks(design), *_word_blocks(design, word),
    ]
    if _multiplies_in_parallel(design):
        found.append(Block("multiplier", core.lanes, terms=(("mult", (core.weight_bits, core.payload_bits)),)))
    multipliers = 0 if core.requantises else core.lane.decays or 0
    if multipliers:
        found.append(Block("decay", core.lanes, "decay", wide))
    if multipliers == 2:
        found.append(Block("current_decay", core.lanes, "decay", {"potential_bits": core.current_bits}))
    if core.requantises:
        found += [Block("comparator", core.lanes, terms=(("compare", (core.potential_bits,)),)),
                  Block("requantiser", 1, terms=requantiser(core.potential_bits))]
    if core.mask_first:
        found.append(Block("mask_check", 1, "mask_check", {"lanes": core.lanes}))
    for banks in _gated(design).values():
        found.append(Block("bank_select", 2, "bank_select", {"banks": banks}))  # of reads and of writes
    writer = "word_writer" if core.writer == "word" else "serialiser"
    found.append(Block(writer, 1, writer, {"lanes": core.lanes}))
    return found if core.pipes == "one" else [
        replace(block, count=2 * block.count) if block.component in IN_BOTH_PIPES else block for block in found]


def _gated(design: EventDesign) -> dict[str, int]:
    """Memories whose banks are chosen by channel, and the banks of a row (R25)."""
    if not design.gates_banks:
        return {}
    return {name: design.row_bits[name] // bits_of_bank(design.row_bits[name]) for name in ("membrane", "current")
            if design.capacities[name]}


def _sum_sizes(design: EventDesign) -> dict[str, int]:
    """Of the plane sums of all lanes."""
    flow = design.core.dataflow
    assert isinstance(flow, OutputStationary), "sums stand beside accumulators"
    return {"lanes": design.core.lanes, "potential_bits": design.core.potential_bits, "accumulators": flow.accumulators,
            "planes": design.plane_sums, "adders": _terms_per_slot(design)}


def _lane_block(design: EventDesign, wide: dict[str, int]) -> Block:
    if design.merges_planes:
        return Block("lane", design.core.lanes, "merged_lane", {**wide, "adders": _terms_per_slot(design)})
    return Block("lane", design.core.lanes, _lane_of_one_plane(design), wide)


def _lane_of_one_plane(design: EventDesign) -> str:
    """Weights are shifted by their plane, or nowhere: potentials are doubled between planes, and values are multiplied."""
    return "adding_lane" if design.core.requantises or design.core.shift_at == "membrane" else "lane"


def _front_blocks(design: EventDesign) -> list[Block]:
    """What makes tokens of the spike buffer, and takes merged ones apart."""
    found = [Block("row_scanner", 1, "row_scanner", {"scan_bits": design.spike_buffer.scan_bits})
             if design.finds_events else Block("entry_reader", 1, "entry_reader", {})]
    if design.has_accumulator_file:
        found.append(Block("visits", 1, "visits"))
    if design.merges_planes:
        found.append(Block("bit_slots", 1, "bit_slots"))
    return found


def _word_blocks(design: EventDesign, word: dict[str, int]) -> list[Block]:
    """What holds words between operations, or hands the word being written to a read of it."""
    flow = design.core.dataflow
    if isinstance(flow, OutputStationary):
        sums = [Block("plane_sums", 1, "plane_sums", _sum_sizes(design))] if design.plane_sums else []
        return [Block("accumulator_file", 1, "accumulator_file", {**word, "accumulators": flow.accumulators}), *sums]
    found = [Block("bypass", 1, "bypass", word)] if design.core.bypass else []
    return [*found, *([Block("word_register", 1, "word_register", word)] if _keeps_words(design) else [])]


def _paths(design: EventDesign) -> tuple[Path, ...]:
    wide = {"potential_bits": design.core.potential_bits}
    weight = Path("weight memory, lane, write port", "weight_to_write", wide, "weight")
    address = Path("registers, address generator, weight address", "registers_to_address")
    if design.has_accumulator_file:
        return weight, Path("accumulators, lane, accumulators", "potential_to_write", wide), address
    held = [name for name in ("membrane", "current") if design.capacities[name]]
    flags = [Path("registers, mask memory, mask check", "registers_to_address", memory="mask")] if (
        design.core.mask_first and design.capacities["mask"]) else []
    return (weight, address, *flags,
            *(Path(f"{name} memory, lane, write port", "potential_to_write", wide, name) for name in held))


# --- what works when -------------------------------------------------------------------------------------------------


class _Uses:
    """What one count of each event uses."""

    def __init__(self, design: EventDesign, to_sums: bool = False) -> None:
        self.design, self.core = design, design.core
        self.wide = {"potential_bits": design.core.potential_bits}
        self.word = {"lanes": design.core.lanes, **self.wide}
        self.adds_to_sums = to_sums

    def by_event(self) -> dict[str, tuple[Use, ...]]:
        found = {**self._tokens(), **self._rows(), **self._lanes(), **self._passes(), **self._sends()}
        for memory, banks in _gated(self.design).items():
            select = Work("bank_select", "bank_select", "access", {"banks": banks})
            found |= {event: (select, *found.get(event, ())) for event in moves_of({memory: 1}, {})}
        return found

    def _tokens(self) -> dict[str, tuple[Use, ...]]:
        """From the spike buffer to the head of the FIFO. What the FIFO's gates do for a token, they do when it is pushed."""
        bits, design = token_bits(self.design), self.design
        sizes = {"token_bits": bits, "fifo_depth": self.core.fifo_depth}
        event: Work = Work("address_generator", "address_generator", "event", {})
        scanner = {"scan_bits": design.spike_buffer.scan_bits}
        reads: tuple[Use, ...] = (Work("entry_reader", "entry_reader", "entry", {}),)
        found: tuple[Use, ...] = () if design.lists_events else reads  # a dense core's values are entries of their rows
        if design.finds_events:
            marks = Clocked(scanner["scan_bits"], "marks of what a row's tokens were")
            reads, found = (Work("row_scanner", "row_scanner", "row", scanner), marks), (
                Work("row_scanner", "row_scanner", "token", scanner), marks)
        return {
            "fifo_push": (
                Work("fifo", "fifo", "token", sizes), Clocked(bits + POINTER_FLIP_FLOPS, "a token and pointers"), *found),
            "fifo_pop": (event,), "buffer_read": reads,
            "pool_update": (Sums("pooling_unit", (("add", (POOL_BITS,)),)), Clocked(POOL_BITS, "a window's sum")),
        }

    def _rows(self) -> dict[str, tuple[Use, ...]]:
        """Operations, and rows that are accumulated."""
        lanes, held = self.core.lanes, self.core.lanes * self.core.potential_bits
        bypass = self.core.bypass and not self.design.has_accumulator_file
        keeps = Clocked(held, "the word register") if _keeps_words(self.design) else None
        operation: list[Use] = [Work("address_generator", "address_generator", "operation", {}),
                                Work("issue", "issue", "operation", {}),
                                Clocked(ISSUE_FLIP_FLOPS, "an operation between ISSUE and EXEC")]
        if keeps:
            operation += [Work("word_register", "word_register", "operation", self.word), keeps]
        row = lanes + (held if bypass else 0)
        why = "one flip-flop a lane and the bypass register" if bypass else "one flip-flop a lane"
        found: dict[str, tuple[Use, ...]] = {"addr_gen": tuple(operation), "weight_read": (Clocked(row, why),)}
        if self.design.has_accumulator_file:
            flow = self.core.dataflow
            assert isinstance(flow, OutputStationary)
            sizes = {**self.word, "accumulators": flow.accumulators}
            found["accumulator_access"] = (Work("accumulator_file", "accumulator_file", "access", sizes),
                                           Clocked(held, "a word of the accumulator file"))
            visit = Work("visits", "visits", "word", {})
            found["membrane_write_store"] = (visit, *self._write())
        if self.core.mask_first:
            found["mask_read"] = (Work("mask_check", "mask_check", "word", {"lanes": lanes}),)
        return found

    def _write(self) -> tuple[Use, ...]:
        """A word's way back into its memory."""
        return (Work("write_multiplexer", "write_multiplexer", "lane", self.wide, self.core.lanes),)

    def _lanes(self) -> dict[str, tuple[Use, ...]]:
        """Additions of synapses. The lane that was synthesised shifts, adds and saturates, or adds and saturates.

        A lane that only adds meets a shifted weight in one place: spikes of a hybrid input (R11), each charged as a shift.
        Layers of a rate code whose planes are merged add to the plane sums instead, which say so (`sum_add`).
        """
        unit = "merged_lane" if self.design.merges_planes else _lane_of_one_plane(self.design)
        per_lane: list[Use] = [Work("lane", unit, "accumulate", self.wide)]
        if not self.design.has_accumulator_file:
            per_lane.append(Work("write_multiplexer", "write_multiplexer", "lane", self.wide))
            if self.core.bypass:
                per_lane.append(Work("bypass", "bypass", "lane", self.wide))
        if self.design.merges_planes:
            per_lane.append(Work("bit_slots", "bit_slots", "term", {}))
        if self.adds_to_sums:
            per_lane[0] = Work("plane_sums", "plane_sums", "term", _sum_sizes(self.design))
            per_lane.append(Clocked(self.core.potential_bits, "the sum of a plane"))
        shifts: tuple[Use, ...] = (Within("lane", "the lane's accumulation, which weighs planes (acc_add)"),)
        if unit == "adding_lane" and not self.core.requantises:
            shifts = (Sums("shifter", (("shift", (self.core.potential_bits,)),)),)
        found: dict[str, tuple[Use, ...]] = {
            "acc_add": tuple(per_lane), "weight_shift": shifts,
            "reg_bits": (Within("lane", "a lane holds no register: words go from memory to memory; bypass and word registers are "
                                "in the clock"),),
        }
        if self.design.plane_sums:
            found["sum_add"] = (Work("plane_sums", "plane_sums", "sum", _sum_sizes(self.design)),)
        return found

    def _passes(self) -> dict[str, tuple[Use, ...]]:
        """What neurons do in passes, and the words that passes write."""
        bits: tuple[int, ...] = (self.core.potential_bits,)
        threshold: Term = ("shift", bits)
        fired: tuple[Use, ...] = (Within("lane", "the lane's fire operation, which compares and resets (cmp)"),)
        requant: list[Use] = [Sums("comparator", (("compare", bits),)), Sums("requantiser", requantiser(bits[0]))]
        words = {} if self.design.has_accumulator_file else {
            f"membrane_write_{cause}": self._write() for cause in ("clear", "shift", "fire", "mask", "readout")}
        return {
            "cmp": (Work("lane", "lane", "fire", self.wide),), "reset_sub": fired, "reset_zero": fired,
            "bias_add": (Sums("lane", (("add", bits),)),),
            # Shifting by a constant, or by one place, is wiring; a leak is left with its subtraction, doubling with the lane.
            "leak": (Sums("leak", (("add", bits),)),), "membrane_shift": (Work("lane", "lane", "fire", self.wide),),
            "decay": (Sums("decay", (("mult", (*bits, DECAY_BITS)),)),),
            "threshold_shift": (Sums("shifter", (threshold,)),),
            "requant": tuple(reversed(requant)), **words,
        }

    def _sends(self) -> dict[str, tuple[Use, ...]]:
        """Spikes that leave: one a cycle, or a word at once."""
        lanes = self.core.lanes
        if self.core.writer == "word":
            # Each spike is charged as if it were its word's only one: words are not counted.
            return {"spike_out": (Work("word_writer", "word_writer", "spike", {}), Clocked(lanes, "a word's spikes"))}
        return {"spike_out": (Work("serialiser", "serialiser", "spike", {"lanes": lanes}),
                              Clocked(lanes, "the spikes that are left"))}
