"""Activity strobes: how often each counted event of hwsim/activity.py happens in this cycle (A1 to A3, A5).

Strobes of the ISSUE stage belong to the plane or pass whose operation (or token) is offered, those of EXEC to the one whose
operation EXEC holds. What happens in the buffers and the channel (`buffer_*`, `pool_update`, transfers; A4) is not the
core's to count.
"""

from __future__ import annotations

from amaranth import Module, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hwsim.rtl.lanes import lane_activity, lane_events
from hwsim.rtl.operation import Kind, begins, decode, operation_layout, tag_layout
from hwsim.rtl.parameters import Parameters, counter
from hwsim.rtl.plane_sums import sum_counts
from hwsim.rtl.wires import total

ISSUE_EVENTS = (
    "fifo_pop", "addr_gen", "weight_read", "membrane_read_accumulate", "membrane_read_shift", "membrane_read_fire",
    "membrane_read_readout", "membrane_read_mask", "current_read", "bias_read", "mask_read", "threshold_shift",
    "cycles_busy", "cycles_stall_hazard", "cycles_overlapped",
)
WRITE_EVENTS = (
    "membrane_write_clear", "membrane_write_accumulate", "membrane_write_shift", "membrane_write_fire",
    "membrane_write_mask", "membrane_write_readout", "current_write", "mask_write", "cycles_stall_serialiser",
)
GATHER_ISSUE_EVENTS = ("membrane_read_load", "accumulator_access")


def counted_by_lanes(p: Parameters) -> tuple[str, ...]:
    """What lanes do and EXEC counts as it is."""
    return tuple(name for name in lane_events(p) if name != "operands")


def counted_as(p: Parameters, name: str) -> str:
    """What stalls at one port never meets a hazard, so that the one wire says either (R23)."""
    return "cycles_stall_port" if p.single_port and name == "cycles_stall_hazard" else name


def issue_events(p: Parameters) -> tuple[str, ...]:
    """What the ISSUE stage can count."""
    flags = ("cycles_stall_hazard",) if p.masks_first and p.single_port else ()  # flags that are being written (R25)
    return (*(counted_as(p, name) for name in ISSUE_EVENTS), *flags, *(GATHER_ISSUE_EVENTS if p.gathers else ()))


def exec_events(p: Parameters) -> tuple[str, ...]:
    """What EXEC can count. A word writer's write into the plane is one of the core."""
    more = {"buffer_write": p.writes_words, "membrane_write_store": p.gathers, "sum_add": p.sums}
    return (*WRITE_EVENTS, *counted_by_lanes(p), "spike_out", "reg_bits", *(name for name, there in more.items() if there))


def activity_layout(p: Parameters) -> data.StructLayout:
    """How many bits each strobe needs: one, unless all lanes can do it in a cycle."""
    widths = {name: field.width for name, field in lane_activity(p)}
    many = {name: bits_for(p.lanes * max(widths[name] ** 2, (1 << widths[name]) - 1)) for name in counted_by_lanes(p)}
    many |= {"spike_out": bits_for(p.lanes),
             "reg_bits": bits_for(p.lanes * max(p.run.potential_bits, p.run.current_bits))}
    if p.sums:
        clips = (1 << many["saturations"]) - 1 + (1 << sum_counts(p).members["saturations"].width) - 1
        many |= {"sum_add": sum_counts(p).members["sum_add"].width, "saturations": bits_for(clips)}
    fields = {name: unsigned(many.get(name, 1)) for name in ("fifo_push", *issue_events(p), *exec_events(p))}
    # What a visit begins with is read when EXEC lets go of the visit before; it is counted to the run's first plane (R19).
    fields |= {"bias_read_begun": counter(p.accumulators + 1)} if p.gathers else {}
    return data.StructLayout({**fields, "issue_tag": tag_layout(p), "exec_tag": tag_layout(p)})


class ActivityMonitor(wiring.Component):
    """Combines the stages' strobes into `activity`."""

    def __init__(self, p: Parameters) -> None:
        self.p = p
        operation = operation_layout(p)
        super().__init__({
            "push": In(1), "pop": In(1), "offered": In(operation), "issued": In(1), "hazard": In(1), "tag": In(tag_layout(p)),
            "token_slot": In(1), "first_of_shifted_pass": In(1),
            "executed": In(operation), "executing": In(1), "completes": In(1),
            "fired": In(p.lanes), "mask_written": In(1), "lanes": In(data.ArrayLayout(lane_activity(p), p.lanes)),
            "activity": Out(activity_layout(p)), **({"begun": In(counter(p.accumulators + 1))} if p.gathers else {}),
            **({"sums": In(sum_counts(p))} if p.sums else {}),
            **({"skipped": In(1), "flags_meet": In(1)} if p.masks_first else {}),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [
            self.activity.fifo_push.eq(self.push),
            self.activity.issue_tag.eq(self.tag), self.activity.exec_tag.eq(self.executed.tag),
        ]
        for name, value in {**self._issue(), **self._exec()}.items():
            m.d.comb += self.activity[counted_as(self.p, name)].eq(value)
        if self.p.masks_first and self.p.single_port:
            m.d.comb += self.activity.cycles_stall_hazard.eq(self.flags_meet)
        if self.p.gathers:
            m.d.comb += self.activity.bias_read_begun.eq(self.begun)
        return m

    def _issue(self) -> dict[str, Value]:
        effects, kind = decode(self.p, self.offered), self.offered.kind
        operations = self.issued & begins(self.p, self.offered) if self.p.keeps_words else self.issued
        reads = {"accumulate": kind == Kind.ACCUMULATE, "shift": kind == Kind.SHIFT,
                 "fire": (kind == Kind.FIRE) | (kind == Kind.REQUANT), "readout": kind == Kind.READOUT,
                 "mask": kind == Kind.MASK}
        more: dict[str, Value] = {"accumulator_access": operations}
        if self.p.gathers:
            reads["load"] = kind == Kind.LOAD
        found: dict[str, Value] = {
            "fifo_pop": self.pop, "addr_gen": operations, "weight_read": self.issued & effects.reads_weights,
            **{f"membrane_read_{cause}": self.issued & effects.reads_membrane & match for cause, match in reads.items()},
            "current_read": self.issued & effects.reads_current, "bias_read": self.issued & effects.reads_bias,
            "mask_read": self.issued & effects.reads_mask, "threshold_shift": self.issued & self.first_of_shifted_pass,
            "cycles_busy": self.issued | self.token_slot, "cycles_stall_hazard": self.hazard,
            "cycles_overlapped": self.token_slot & self.executing & ~self.completes,
            **(more if self.p.gathers else {}),
        }
        return found | self._flags_first(found) if self.p.masks_first else found

    def _flags_first(self, found: dict[str, Value]) -> dict[str, Value]:
        """R25: an operation looks at its flags once, when it takes its slot; one that is skipped counts no more than that."""
        stalls = found["cycles_stall_hazard"]
        return {"mask_read": found["mask_read"] | self.skipped | (self.issued & (self.offered.kind == Kind.ACCUMULATE)),
                "addr_gen": found["addr_gen"] | self.skipped, "cycles_busy": found["cycles_busy"] | self.skipped,
                "cycles_stall_hazard": stalls if self.p.single_port else stalls | self.flags_meet}

    def _exec(self) -> dict[str, Value]:
        effects, kind = decode(self.p, self.executed), self.executed.kind
        writes = {"clear": (kind == Kind.CLEAR) | (kind == Kind.REINITIALISE), "accumulate": kind == Kind.ACCUMULATE,
                  "shift": kind == Kind.SHIFT, "fire": kind == Kind.FIRE, "mask": kind == Kind.MASK,
                  "readout": kind == Kind.READOUT}
        if self.p.keeps_words:  # by word, a requant pass may write what a pass before it has changed
            writes["fire"] = writes["fire"] | (kind == Kind.REQUANT)
        if self.p.gathers:
            writes["store"] = kind == Kind.STORE
        once_a_word = self.completes.replicate
        sums = {name: total(lane[name] for lane in self.lanes) for name in lane_events(self.p)}
        writes_sums = total(lane.accumulates for lane in self.lanes) if self.p.run.merged else sums["acc_add"]
        added_to = self.p.run.current_bits if self.p.direct else self.p.run.potential_bits
        sums["reg_bits"] = writes_sums * added_to + sums.pop("operands") * self.p.run.potential_bits
        sums["spike_out"] = total(self.fired)
        if self.p.writes_words:
            sums["buffer_write"] = self.fired.any()
        if self.p.sums:
            sums |= {"sum_add": self.sums.sum_add, "saturations": sums["saturations"] + self.sums.saturations}
        return {
            **{f"membrane_write_{cause}": self.completes & effects.writes_membrane & match for cause, match in writes.items()},
            "current_write": self.completes & effects.writes_current, "mask_write": self.completes & self.mask_written,
            "cycles_stall_serialiser": self.executing & ~self.completes,
            **{name: value & once_a_word(len(value)) for name, value in sums.items()},
        }


