"""An operation: what the sequencer asks for, one membrane word at a time, and what it does to which memory.

The kinds are those of hwsim/record.py's ISSUE_KINDS, by the same numbers. `decode` is the one place that says which
memories an operation of a kind reads and writes (R6, R12 to R18, A1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from amaranth import Const, Signal, Value, signed, unsigned
from amaranth.lib import data, enum

from hwsim.record import ISSUE_KINDS
from hwsim.rtl.parameters import Parameters, counter

MEMORIES = ("membrane", "current", "mask")


class Kind(enum.Enum, shape=unsigned(4)):
    """What takes a slot."""

    (CLEAR, ACCUMULATE, SHIFT, FIRE, EOT, SKIP, READOUT, REQUANT, MASK, REINITIALISE, LOAD, STORE,
     COUNT) = range(len(ISSUE_KINDS))  # this hardware never counts (R28)


def tag_layout(p: Parameters) -> data.StructLayout:
    """Who an operation works for: the plane (EOTs seen in the period) or, when `in_pass`, the pass by its number in the table."""
    return data.StructLayout({
        "in_pass": unsigned(1), "index": counter(max(p.run.table.planes, len(p.passes))),
    })


def operation_layout(p: Parameters) -> data.StructLayout:
    """One operation, from the sequencer through EXEC.

    word, position      the membrane word, and where it lies (passes only).
    active              lanes that work: real synapses of an accumulation, real neurons of anything else.
    weight_row, payload, has_payload, plane   of an accumulation; `plane` is what R11 shifts by.
    threshold           already shifted (R10).   add, masked, fire_once   of a pass.
    number              what a spike record calls its pass (R9).

    Where words stay in registers between operations (`Parameters.keeps_words`), the operation says what it moves:
    reads, writes       memories that give the word, and that take it.      held   those whose word is in the register.
    claims              R6 looks for its membrane word.     more   an operation on the same word follows at once.
    accumulator, fresh  in gather order: where its word is; it is the first one on that word in this visit (R19).
    slot                of a merged token's accumulation (R21).     sum_from, sum_count   planes whose sums it adds first.
    """
    moves = {"reads": _memories(), "held": _memories(), "writes": _memories(), "claims": unsigned(1), "more": unsigned(1)}
    held = {"accumulator": counter(p.accumulators), "fresh": unsigned(1)}
    return data.StructLayout({
        "kind": Kind, "word": p.word_shape, "position": p.position, "active": unsigned(p.lanes),
        "weight_row": counter(p.weight_bases[-1]), "has_payload": unsigned(1), "payload": signed(p.payload_bits),
        "plane": counter(p.run.table.planes), "threshold": p.threshold_shape, "add": unsigned(1), "masked": unsigned(1),
        "fire_once": unsigned(1), "number": counter(len(p.passes) + 1), "tag": tag_layout(p),
        **(moves if p.keeps_words else {}), **(held if p.gathers else {}),
        **({"slot": slot_layout(p)} if p.run.merged else {}),
        **({"sum_from": counter(p.run.table.planes), "sum_count": counter(p.most_sums + 1)} if p.sums else {}),
    })


def slot_layout(p: Parameters) -> data.StructLayout:
    """R21: what an accumulation adds in one of its slots, the `first` or the `last` or one in between.

    terms   `bit` says by how much the weight is shifted, if the term is `there`.     negative   the terms are subtracted.
    """
    term = data.StructLayout({"there": unsigned(1), "bit": counter(p.payload_bits)})
    return data.StructLayout({
        "first": unsigned(1), "last": unsigned(1), "negative": unsigned(1),
        "terms": data.ArrayLayout(term, p.run.core.adders)})


def _memories() -> data.StructLayout:
    """A bit for each of the memories of a word."""
    return data.StructLayout({name: unsigned(1) for name in MEMORIES})


@dataclass(frozen=True)
class Effects:
    """Single-bit values: which memories an operation uses.

    holds_membrane   its result register holds its membrane word for R6, whether or not the word is written (R14, R15).
    """

    reads_weights: Value
    reads_membrane: Value
    writes_membrane: Value
    holds_membrane: Value
    reads_current: Value
    writes_current: Value
    reads_initial: Value
    reads_addend: Value
    reads_mask: Value
    sends: Value

    @property
    def reads_bias(self) -> Value:
        return self.reads_initial | self.reads_addend


def decode(p: Parameters, operation: data.View) -> Effects:
    """The effects of `operation`."""
    kind = operation.kind
    clear, accumulate, fire = kind == Kind.CLEAR, kind == Kind.ACCUMULATE, kind == Kind.FIRE
    mask, reinitialise, readout = kind == Kind.MASK, kind == Kind.REINITIALISE, kind == Kind.READOUT
    shift, requant = kind == Kind.SHIFT, kind == Kind.REQUANT
    initialises = clear | mask | reinitialise
    adds = (fire | readout) & operation.add
    direct, never = Const(int(p.direct), 1), Const(0, 1)
    decays = Const(int(p.run.table.current_decay > 0), 1)
    to_membrane = accumulate & ~direct
    effects = Effects(
        reads_weights=accumulate,
        reads_membrane=to_membrane | shift | fire | readout | requant | mask,
        writes_membrane=initialises | to_membrane | shift | fire | adds,
        holds_membrane=initialises | to_membrane | shift | fire | readout | requant,
        reads_current=direct & (accumulate | adds),
        writes_current=direct & (accumulate | clear | (fire & decays)),
        reads_initial=initialises if p.fetches_initial else never,
        reads_addend=adds if p.has_addend else never,
        reads_mask=(fire & (operation.masked | operation.fire_once)) if p.flagged else never,
        sends=fire | requant,
    )
    return _as_told(p, operation, effects) if p.keeps_words else effects


def may_write_flags(operation: data.View) -> Value:
    """Whether an operation writes flags, if there is any to be written (R16)."""
    kind = operation.kind
    return (kind == Kind.CLEAR) | (kind == Kind.MASK) | ((kind == Kind.FIRE) & operation.fire_once)


def begins(p: Parameters, operation: data.View) -> Value:
    """Whether this is an operation's only or first slot."""
    return operation.slot.first if p.run.merged else Const(1)


def _as_told(p: Parameters, operation: data.View, effects: Effects) -> Effects:
    """The effects of an operation that says itself what it moves."""
    return replace(
        effects, reads_weights=effects.reads_weights & begins(p, operation), reads_membrane=operation.reads.membrane,
        writes_membrane=operation.writes.membrane, holds_membrane=operation.claims, reads_current=operation.reads.current,
        writes_current=operation.writes.current, reads_mask=operation.reads.mask)


def new_operation(p: Parameters, name: str) -> data.View:
    return Signal(operation_layout(p), name=name)
