"""Mutants of hwsim/rtl: one rule broken in each, as text edits by unit (tests/rtl/mutation.py says how they are made)."""

from __future__ import annotations

from functools import partial

from tests.rtl.mutation import Mutant, mutant

rtl = partial(mutant, "rtl")
ADDEND = '        if self.p.has_addend:\n            added = self._step(m, "with_addend", added + Mux(adds, self.bias, 0))\n'
CURRENT = '        if self.p.direct:\n            added = self._step(m, "with_current", added + Mux(adds, self.current, 0))\n'
HELD = "reads.reads_membrane & writes.holds_membrane"
HOLDS = "holds_membrane=initialises | to_membrane | shift | fire | readout | requant,"


def walk(first: str, then: str) -> str:
    """How the address generator steps through positions, `first` fastest."""
    return (
        f'm.d.sync += step.{first}.eq(Mux(at_end["{first}"], 0, step.{first} + 1))\n'
        f'                with m.If(at_end["{first}"]):\n'
        f'                    m.d.sync += step.{then}.eq(Mux(at_end["{then}"], 0, step.{then} + 1))'
    )


SEQUENCE: tuple[Mutant, ...] = (
    # R1
    rtl(
        "R1",
        "a clear leaves out the last word",
        sequencer=(
            "with m.If(issued & last_word):\n                    m.d.sync += self.phase.eq(Mux(self.eots_left == 0",
            "with m.If(issued & (self.word == max(0, self.p.words - 2))):\n"
            "                    m.d.sync += self.phase.eq(Mux(self.eots_left == 0",
        ),
    ),
    rtl(
        "R1",
        "a clear writes zero, not initial",
        lanes=("self.next_potential.eq(initial), self.next_current.eq(0)", "self.next_potential.eq(0), self.next_current.eq(0)"),
    ),
    rtl(
        "R1",
        "a clear does not write the current",
        operation=("writes_current=direct & (accumulate | clear)", "writes_current=direct & accumulate"),
    ),
    rtl("R1", "a run without clear clears", sequencer=("Mux(self.clear, Phase.CLEARING,", "Mux(1, Phase.CLEARING,")),
    # R2
    rtl("R2", "FIFO one deeper", core=("p.run.core.fifo_depth)", "p.run.core.fifo_depth + 1)")),
    rtl("R2", "FIFO one shallower", core=("p.run.core.fifo_depth)", "max(1, p.run.core.fifo_depth - 1))")),
    rtl(
        "R2",
        "a freed slot is usable in the same cycle",
        fifo=(
            "self.pushed.ready.eq(level < self.depth)",
            "self.pushed.ready.eq((level < self.depth) | (self.head.valid & self.head.ready))",
        ),
    ),
    rtl(
        "R2",
        "a token is visible in the cycle of its push",
        fifo=[
            ("self.head.valid.eq(level > 0)", "self.head.valid.eq((level > 0) | self.pushed.valid)"),
            (".eq(slots[read])", ".eq(Mux(level > 0, slots[read], Value.cast(self.pushed.payload)))"),
        ],
    ),
    # R3
    rtl("R3", "an event is popped with its first word", sequencer=("(issued & self.last)", "issued")),
    rtl(
        "R3",
        "a no-word event waits for EXEC",
        sequencer=("self.skip.eq(event & ~self.touches)", "self.skip.eq(event & ~self.touches & self.operation.ready)"),
    ),
    rtl("R3", "words go by column, then row", address_generator=(walk("x", "y"), walk("y", "x"))),
    rtl(
        "R3",
        "a grouped convolution feeds the groups behind its own",
        address_generator=('wire(m, "end_channel", first + feeds)', 'wire(m, "end_channel", first + feeds * 2)'),
    ),
    rtl(
        "R3",
        "stride one more",
        address_generator=(
            "self.connection.kernel, self.connection.stride",
            "self.connection.kernel, self.connection.stride + 1",
        ),
    ),
    rtl("R3", "padding one more", address_generator=("at + self.connection.padding", "at + self.connection.padding + 1")),
    rtl(
        "R3",
        "a folded pool takes incomplete windows",
        address_generator=("self.touches.eq(inside & self.geometry(m, y, x))", "self.touches.eq(self.geometry(m, y, x))"),
    ),
    rtl("R3", "an identity does not look at its stride", address_generator=("(y % stride == 0) & (x % stride == 0) & ", "")),
    rtl(
        "R3",
        "an identity forgets its channel offset",
        address_generator=("self.c + self.connection.channel_offset", "self.c + 0"),
    ),
    rtl(
        "R3",
        "an identity adds to its whole word",
        address_generator=('wire(m, "channel_after", channel + 1)', 'wire(m, "channel_after", channel + self.p.lanes)'),
    ),
    rtl(
        "R3",
        "a tile begins at the layer's first group",
        address_generator=("(walked.g + p.run.groups[0]) * p.lanes", "walked.g * p.lanes"),
    ),
    # R4, R5
    rtl(
        "R4",
        "an EOT waits for EXEC",
        sequencer=(
            "self.eot.eq(self.head.valid & self.head.payload.eot)",
            "self.eot.eq(self.head.valid & self.head.payload.eot & self.operation.ready)",
        ),
    ),
    rtl(
        "R5",
        "an operation does not wait for EXEC",
        issue=(
            "self.operation.ready.eq((~self.executing | self.completes) & ~self.hazard)",
            "self.operation.ready.eq(~self.hazard)",
        ),
    ),
    rtl("R5", "an operation waits until EXEC is empty", issue=("(~self.executing | self.completes) & ", "~self.executing & ")),
    rtl(
        "R5",
        "a stall does not hold the state memories' outputs",
        memories=(
            "reader.en.eq(self.read), reader.addr.eq(self.read_address), self.word.eq(",
            "reader.en.eq(1), reader.addr.eq(self.read_address), self.word.eq(",
        ),
    ),
    rtl(
        "R5",
        "a stall does not hold the bias memory's output",
        memories=(
            "reader.en.eq(self.read), reader.addr.eq(self.read_address), self.word.as_value",
            "reader.en.eq(1), reader.addr.eq(self.read_address), self.word.as_value",
        ),
    ),
    # R6
    rtl("R6", "no bypass", memories=("if self.bypass:", "if False:")),
    rtl(
        "R6",
        "the bypass does not compare addresses",
        memories=("self.write & (self.read_address == self.write_address)", "self.write"),
    ),
    rtl("R6", "the bypass goes on with a stale word", memories=("with m.If(self.read):", "with m.If(self.read & self.write):")),
    rtl(
        "R6",
        "the bypass does not hold its word in a stall",
        memories=(
            "with m.If(self.read):\n                m.d.sync += forwarded.eq(",
            "with m.If(1):\n                m.d.sync += forwarded.eq(",
        ),
    ),
    rtl(
        "R6",
        "a hazard at every equal word, whatever was written",
        issue=(
            'wire(m, "meets", (reads.reads_membrane & writes.holds_membrane)\n'
            "                         | (reads.reads_current & writes.writes_current))",
            'wire(m, "meets", reads.reads_membrane | reads.reads_current)',
        ),
    ),
    rtl("R6", "a hazard whatever the word", issue=(" & (offered.word == executed.word)", "")),
    rtl("R6", "no hazard in the current memory", issue=("| (reads.reads_current & writes.writes_current)", "")),
    rtl(
        "R6",
        "no hazard after a reinitialise operation",
        operation=(HOLDS, "holds_membrane=clear | mask | to_membrane | shift | fire | readout | requant,"),
    ),
    # R7
    rtl(
        "R7",
        "highest lane first",
        serialiser=[("waiting.eq(self.fired)", "waiting.eq(self.fired[::-1])"), ("lane.eq(i)", "lane.eq(lanes - 1 - i)")],
    ),
    rtl(
        "R7",
        "a word's last spike is lost",
        serialiser=("self.spikes.valid.eq(self.busy)", "self.spikes.valid.eq(self.busy & (rest != 0))"),
    ),
    rtl("R7", "the next word is taken a cycle late", serialiser=("~self.busy | (leaves & (rest == 0))", "~self.busy")),
    rtl(
        "R7", "EXEC does not wait for the serialiser", core=("issue.hold.eq(done.sends & ~serialiser.ready)", "issue.hold.eq(0)")
    ),
    rtl(
        "R7",
        "a word that does not fire need not wait",
        core=(
            "issue.hold.eq(done.sends & ~serialiser.ready)",
            "issue.hold.eq(done.sends & ~serialiser.ready & Value.cast(serialiser.fired).any())",
        ),
    ),
    rtl(
        "R7",
        "a spike leaves whether it is taken or not",
        receiver_waits=True,
        serialiser=("self.busy & self.spikes.ready", "self.busy"),
    ),
    # R8
    rtl("R8", "done forgets the last spike", core=(" & ~self.serialiser.busy)", ")")),
    rtl("R8", "done forgets the last EXEC", core=("sequencer.draining & ~self.issue.executing", "sequencer.draining")),
    # R9
    rtl("R9", "the pass number goes on over EOTs", sequencer=("            self.number.eq(0),\n        ]", "        ]")),
    rtl(
        "R9",
        "passes of an EOT in reverse order",
        parameters=("sorted(self.run.table.passes, ", "sorted(reversed(self.run.table.passes), "),
    ),
    rtl(
        "R9",
        "the count of EOTs stays at the end of a period",
        sequencer=(
            "Mux(self.plane == planes - 1, 0, self.plane + 1)",
            "Mux(self.plane == planes - 1, self.plane, self.plane + 1)",
        ),
    ),
    rtl("R9", "every pass has a number", sequencer=('self.sends.eq(one.kind in ("fire", "requant"))', "self.sends.eq(1)")),
    rtl("R9", "passes come an EOT late", sequencer=("with m.Case(n - 1):", "with m.Case(n % planes):")),
)

ARITHMETIC: tuple[Mutant, ...] = (
    # R10
    rtl(
        "R10", "threshold shifted one too few", sequencer=("threshold >> (one.shift if", "threshold >> (max(0, one.shift - 1) if")
    ),
    rtl("R10", "strict compare", lanes=("added >= self.operation.threshold", "added > self.operation.threshold")),
    rtl(
        "R10",
        "soft reset subtracts the threshold before its shift",
        operation=[('"threshold": p.threshold_shape,', '"threshold": p.threshold_shape, "whole": p.threshold_shape,')],
        sequencer=("            self.sends.eq(one.kind", "            operation.whole.eq(threshold), self.sends.eq(one.kind"),
        lanes=("added - Mux(resets, self.operation.threshold, 0)", "added - Mux(resets, self.operation.whole, 0)"),
    ),
    rtl("R10", "hard reset keeps the potential", lanes=("Mux(resets, 0, added)", "added")),
    rtl("R10", "hard reset subtracts", lanes=("Mux(resets, 0, added)", "added - Mux(resets, self.operation.threshold, 0)")),
    rtl(
        "R10",
        "leak before the reset",
        lanes=("left - (Mux(stays_on, left, 0) >> table.leak_shift)", "left - (Mux(stays_on, added, 0) >> table.leak_shift)"),
    ),
    rtl(
        "R10",
        "leak rounds toward zero",
        lanes=(
            "left - (Mux(stays_on, left, 0) >> table.leak_shift)",
            "left - Mux(stays_on, Mux(left < 0, -((-left) >> table.leak_shift), left >> table.leak_shift), 0)",
        ),
    ),
    rtl(
        "R10",
        "a neuron that fires does not leak",
        lanes=("(Mux(stays_on, left, 0) >> table.leak_shift)", "(Mux(stays_on & ~fired, left, 0) >> table.leak_shift)"),
    ),
    rtl(
        "R10",
        "an accumulation wraps",
        lanes=(
            'return self._step(m, "accumulated", Mux(active, self.potential, 0) + weighed)',
            'return wire(m, "accumulated", Mux(active, self.potential, 0) + weighed)[: p.run.potential_bits].as_signed()',
        ),
    ),
    rtl(
        "R10",
        "the addend wraps",
        lanes=(
            'self._step(m, "with_addend", added + Mux(adds, self.bias, 0))',
            'wire(m, "with_addend", added + Mux(adds, self.bias, 0))[: self.p.run.potential_bits].as_signed()',
        ),
    ),
    rtl(
        "R10",
        "adding the current wraps",
        lanes=(
            'self._step(m, "with_current", added + Mux(adds, self.current, 0))',
            'wire(m, "with_current", added + Mux(adds, self.current, 0))[: self.p.run.potential_bits].as_signed()',
        ),
    ),
    rtl(
        "R10",
        "a doubling wraps",
        lanes=(
            'self._step(m, "doubled", Mux(is_["shift"], self.potential, 0) * 2)',
            'wire(m, "doubled", Mux(is_["shift"], self.potential, 0) * 2)[: self.p.run.potential_bits].as_signed()',
        ),
    ),
    rtl(
        "R10",
        "currents saturate at the potentials' width",
        lanes=("+ weighed, p.run.current_bits)", "+ weighed, p.run.potential_bits)"),
    ),
    rtl("R10", "the addend comes after the current", lanes=(ADDEND + CURRENT, CURRENT + ADDEND)),
    rtl(
        "R10",
        "addend and current in one step",
        lanes=(
            ADDEND + CURRENT,
            "        if self.p.has_addend or self.p.direct:\n"
            "            terms = Mux(adds, self.bias, 0) if self.p.has_addend else Const(0)\n"
            "            more = Mux(adds, self.current, 0) if self.p.direct else Const(0)\n"
            '            added = self._step(m, "with_terms", added + terms + more)\n',
        ),
    ),
    rtl("R10", "no saturation at the lowest value", wires=("Mux(below, bottom, full)", "full")),
    rtl("R10", "the lowest value is left out", wires=("-(1 << (bits - 1))\n    above", "-(1 << (bits - 1)) + 1\n    above")),
    rtl("R10", "two clipped steps count one saturation", lanes=("total(self.clips)", "Value.cast(total(self.clips)).any()")),
    rtl(
        "R10",
        "lanes without a neuron work",
        sequencer=("Mux(last_group, (1 << in_last_group) - 1, (1 << p.lanes) - 1)", "Const((1 << p.lanes) - 1)"),
    ),
    # R11
    rtl("R11", "weights shifted by the plane after", lanes=("synapse << operation.plane", "synapse << (operation.plane + 1)")),
    rtl(
        "R11",
        "planes do not weigh payloads",
        lanes=("synapse << operation.plane if", "Mux(multiplies, synapse, synapse << operation.plane) if"),
    ),
    rtl(
        "R11",
        "payloads are unsigned",
        lanes=("Mux(multiplies, operation.payload, 0)", "Mux(multiplies, operation.payload.as_unsigned(), 0)"),
    ),
    rtl("R11", "no spike shift", lanes=(" << table.spike_shift)", ")")),
    rtl(
        "R11",
        "payloads take the spike shift too",
        lanes=("Mux(multiplies, product, plain)", "Mux(multiplies, product << table.spike_shift, plain)"),
    ),
    # R12
    rtl("R12", "an adding pass forgets the current", lanes=(CURRENT, "")),
    rtl(
        "R12",
        "binary events of a direct table add nothing",
        lanes=(
            'result, clipped = saturate(m, "accumulated", Mux(active, self.current, 0) + weighed,',
            'result, clipped = saturate(m, "accumulated", Mux(active, self.current, 0) + product,',
        ),
    ),
    # R13, R14, R15
    rtl(
        "R13",
        "a shift operation does not double",
        lanes=("self.next_potential.eq(doubled)", "self.next_potential.eq(self.potential)"),
    ),
    rtl("R13", "no hazard after a shift operation", operation=(HOLDS, HOLDS.replace("| shift ", ""))),
    rtl("R14", "a read-out does not write back", operation=("to_membrane | shift | fire | adds,", "to_membrane | shift | fire,")),
    rtl("R14", "no hazard after a read-out", operation=(HOLDS, HOLDS.replace("| readout ", ""))),
    rtl(
        "R14",
        "a read-out waits for the serialiser",
        core=(
            "issue.hold.eq(done.sends & ~serialiser.ready)",
            "issue.hold.eq((done.sends | (issue.executed.kind == Kind.READOUT)) & ~serialiser.ready)",
        ),
    ),
    rtl("R15", "no hazard after a requant operation", operation=(HOLDS, HOLDS.replace(" | requant", ""))),
    rtl("R15", "level zero is sent", lanes=("active & (level > 0)", "active")),
    rtl(
        "R15",
        "levels are rounded",
        lanes=(
            'quotient = wire(m, "quotient", positive //',
            'quotient = wire(m, "quotient", (positive + (self.operation.threshold >> 1).as_unsigned()) //',
        ),
    ),
    rtl("R15", "levels have no maximum", lanes=("Mux(quotient > top, top, quotient)", "quotient")),
    rtl(
        "R15",
        "a requant operation resets",
        operation=("to_membrane | shift | fire | adds,", "to_membrane | shift | fire | adds | requant,"),
        lanes=(
            "            with m.Case(Kind.READOUT):",
            "            with m.Case(Kind.REQUANT):\n                m.d.comb += self.next_potential.eq(0)\n"
            "            with m.Case(Kind.READOUT):",
        ),
    ),
    # R16, R17, R18
    rtl("R16", "masked is ignored", lanes=("self.operation.masked | self.operation.fire_once if", "self.operation.fire_once if")),
    rtl("R16", "a clear leaves the flags", core=("(kind == Kind.CLEAR) | (kind == Kind.MASK)", "(kind == Kind.MASK)")),
    rtl("R16", "fire_once sets no flag", lanes=("self.off | (fired & self.operation.fire_once)", "self.off")),
    rtl(
        "R16",
        "fire_once forgets the flags that were set",
        lanes=("self.off | (fired & self.operation.fire_once)", "fired & self.operation.fire_once"),
    ),
    rtl(
        "R16",
        "a neuron that is off keeps its potential",
        lanes=("Mux(stays_on, left, 0))", "Mux(stays_on, left, Mux(self.off, self.potential, 0)))"),
    ),
    rtl("R16", "a neuron that fires its once keeps its potential", lanes=("Mux(stays_on, left, 0))", "Mux(fires, left, 0))")),
    rtl(
        "R16",
        "masked flags who fires",
        lanes=("self.off | (fired & self.operation.fire_once)", "self.off | fired"),
        core=("executed.fire_once & fired", "(executed.fire_once | executed.masked) & fired"),
    ),
    rtl("R17", "a mask operation flags who is at zero", lanes=("(self.potential < 0)", "(self.potential <= 0)")),
    rtl(
        "R17",
        "a mask operation leaves the potentials",
        lanes=(
            "with m.Case(Kind.MASK):\n                m.d.comb += [self.next_potential.eq(initial),",
            "with m.Case(Kind.MASK):\n                m.d.comb += [self.next_potential.eq(self.potential),",
        ),
    ),
    rtl(
        "R17",
        "no hazard after a mask operation",
        operation=(HOLDS, "holds_membrane=clear | reinitialise | to_membrane | shift | fire | readout | requant,"),
    ),
    rtl(
        "R18",
        "a reinitialise operation clears the flags",
        core=("(kind == Kind.CLEAR) |", "(kind == Kind.CLEAR) | (kind == Kind.REINITIALISE) |"),
    ),
    rtl(
        "R18",
        "a reinitialise operation clears the current",
        operation=("direct & (accumulate | clear)", "direct & (accumulate | clear | reinitialise)"),
        lanes=(
            "with m.Case(Kind.REINITIALISE):\n                m.d.comb += self.next_potential.eq(initial)",
            "with m.Case(Kind.REINITIALISE):\n"
            "                m.d.comb += [self.next_potential.eq(initial), self.next_current.eq(0)]",
        ),
    ),
    rtl(
        "R18",
        "a reinitialise operation meets hazards",
        issue=[
            ("import decode, operation_layout", "import Kind, decode, operation_layout"),
            (HELD, "(reads.reads_membrane | (offered.kind == Kind.REINITIALISE)) & writes.holds_membrane"),
        ],
    ),
)

COUNTS: tuple[Mutant, ...] = (
    # A1
    rtl(
        "A1",
        "reads that the bypass forwards are not counted",
        activity=(
            "self.issued & effects.reads_membrane & match",
            "self.issued & effects.reads_membrane & match & ~(self.completes & (self.offered.word == self.executed.word))",
        ),
    ),
    rtl(
        "A1",
        "every clear reads the bias",
        operation=("reads_initial=initialises if p.fetches_initial else never", "reads_initial=initialises"),
    ),
    rtl("A1", "a fire_once operation always writes the mask word", core=("executed.fire_once & fired", "executed.fire_once")),
    rtl("A1", "every fire operation reads the mask word",
        operation=("(fire & (operation.masked | operation.fire_once))", "fire")),
    rtl(
        "A1",
        "a read-out that does not add writes",
        operation=("to_membrane | shift | fire | adds,", "to_membrane | shift | fire | adds | readout,"),
    ),
    rtl(
        "A1",
        "a reinitialise operation's write is not counted",
        activity=("(kind == Kind.CLEAR) | (kind == Kind.REINITIALISE)", "(kind == Kind.CLEAR)"),
    ),
    # A2
    rtl(
        "A2",
        "bias_add counts neurons that are off",
        lanes=("bias_add.eq(Mux(adds, times, 0))", "bias_add.eq(Mux(self.active & self.operation.add, times, 0))"),
    ),
    rtl(
        "A2",
        "bias_add counts addend and current once",
        lanes=("int(self.p.has_addend) + int(self.p.direct)", "int(self.p.has_addend or self.p.direct)"),
    ),
    rtl(
        "A2",
        "cmp counts lanes without a neuron",
        lanes=('cmp.eq(fires | is_["mask"])', 'cmp.eq(((kind == Kind.FIRE) & ~(self.off & uses_flag)) | is_["mask"])'),
    ),
    rtl("A2", "a mask operation does not compare", lanes=('cmp.eq(fires | is_["mask"])', "cmp.eq(fires)")),
    rtl("A2", "leak counts who fired its once", lanes=("leak.eq(stays_on &", "leak.eq(fires &")),
    rtl("A2", "reset counts who fired its once", lanes=("reset_sub.eq(resets &", "reset_sub.eq(fired &")),
    rtl("A2", "weight_shift counts plane 0", lanes=("(operation.plane > 0)", "(operation.plane >= 0)")),
    rtl(
        "A2",
        "weight_shift forgets the spike shift",
        lanes=("shifted = adds_spike if table.spike_shift else Const(0)", "shifted = Const(0)"),
    ),
    rtl("A2", "mult counts events without a payload", lanes=("mult.eq(multiplies)", "mult.eq(active)")),
    rtl("A2", "threshold_shift once a word", sequencer=("self.first_of_pass.eq(self.word == 0)", "self.first_of_pass.eq(1)")),
    rtl(
        "A2", "spike_out counts words", activity=('sums["spike_out"] = total(self.fired)', 'sums["spike_out"] = self.fired.any()')
    ),
    # A3
    rtl(
        "A3",
        "reg_bits of currents at the potentials' width",
        activity=("self.p.run.current_bits if self.p.direct else self.p.run.potential_bits", "self.p.run.potential_bits"),
    ),
    rtl("A3", "reg_bits forgets requant operations", lanes=(' | is_["readout"] | is_["requant"])', ' | is_["readout"])')),
    rtl(
        "A3",
        "reg_bits counts neurons that are off",
        lanes=('operands.eq(fires | is_["shift"]', 'operands.eq((self.active & (kind == Kind.FIRE)) | is_["shift"]'),
    ),
    # A5
    rtl(
        "A5",
        "overlapped cycles are not counted",
        activity=("self.token_slot & self.executing & ~self.completes", "Value.cast(0)"),
    ),
    rtl(
        "A5",
        "overlapped counts every token behind an operation",
        activity=("self.token_slot & self.executing & ~self.completes", "self.token_slot & self.executing"),
    ),
    rtl("A5", "no-word events are not busy", core=("sequencer.skip | sequencer.eot)", "sequencer.eot)")),
    rtl(
        "A5",
        "hazard stalls are not counted",
        activity=('"cycles_stall_hazard": self.hazard', '"cycles_stall_hazard": Value.cast(0)'),
    ),
    rtl(
        "A5",
        "a serialiser stall counts the cycle that completes",
        activity=(
            '"cycles_stall_serialiser": self.executing & ~self.completes',
            '"cycles_stall_serialiser": self.executing & effects.sends',
        ),
    ),
    rtl(
        "A5",
        "a pass is counted to its plane",
        sequencer=("self.tag.in_pass.eq(self.phase == Phase.PASSES)", "self.tag.in_pass.eq(0)"),
    ),
    rtl(
        "A5",
        "a clear is counted to the last plane",
        sequencer=(
            "Mux(self.tag.in_pass, self.at_pass, self.plane)",
            "Mux(self.tag.in_pass, self.at_pass, Mux(self.phase == Phase.CLEARING, self.p.run.table.planes - 1, self.plane))",
        ),
    ),
)

HARDWARE_MUTANTS = (*SEQUENCE, *ARITHMETIC, *COUNTS)
