"""Mutants of the two engines: one rule broken in each, as text edits by module (tests/rtl/mutation.py says how they are made)."""

from __future__ import annotations

from functools import partial

from tests.rtl.mutation import Mutant, mutant

reference, fast = partial(mutant, "reference"), partial(mutant, "fast")
HAZARD = "ahead.word == operation.word and any(memory in ahead.claims for memory in operation.reads)"
ADDEND = (
    '        if self.addend is not None:\n            activity["bias_read"] += 1\n            activity["bias_add"] += neurons\n'
    "            addend = self._only_on(self.addend[operation.word], off)\n"
    "            potential = self._saturate(potential + addend, self.potential_bits)\n"
)
CURRENT = (
    '        if self.table.direct:\n            activity["bias_add"] += neurons\n'
    "            current = self._operand(self.current, operation, operation.current)\n"
    "            potential = self._saturate(potential + self._only_on(current, off), self.potential_bits)\n"
)
FAST_ADDEND = (
    "        if p.add and pack.addend is not None:\n            clipped += self._add_terms(p, pack.addend, pack.addend_largest)\n"
)
FAST_CURRENT = (
    "        if p.add and table.direct:\n            clipped += self._add_terms(p, self.state.currents, -pack.current.lowest)\n"
)

REFERENCE_MUTANTS: tuple[Mutant, ...] = (
    reference(
        "R1",
        "a clear leaves out the last word",
        sequencer=(
            '        for word in visit.words:\n            yield from self._issue(WordOperation("clear"',
            '        for word in visit.words[:-1]:\n            yield from self._issue(WordOperation("clear"',
        ),
    ),
    reference(
        "R1",
        "a clear does not write the current",
        lanes=("            self.current.change(operation.word, self.zeros)\n", "            pass\n"),
    ),
    reference("R1", "the first slot is cycle 0", sequencer=("self.next = core.start + 1", "self.next = core.start")),
    reference(
        "R2", "FIFO one deeper", core=("SpikeFifo(clock, run.core.fifo_depth)", "SpikeFifo(clock, run.core.fifo_depth + 1)")
    ),
    reference(
        "R2",
        "FIFO one shallower",
        core=("SpikeFifo(clock, run.core.fifo_depth)", "SpikeFifo(clock, max(1, run.core.fifo_depth - 1))"),
    ),
    reference("R2", "a freed slot is usable a cycle later", fifo=("room_from = clock.now + 1", "room_from = clock.now + 2")),
    reference("R2", "a token is visible a cycle late", fifo=("Slot(token, cycle + 1)", "Slot(token, cycle + 2)")),
    reference("R2", "gaps one longer", fifo=("max(last + gap,", "max(last + gap + 1,")),
    reference(
        "R2",
        "gaps count from the earliest cycle",
        fifo=("max(last + gap, core.start + earliest,", "max(last + 1, core.start + earliest + gap - 1,"),
    ),
    reference(
        "R3",
        "an event's words come in reverse",
        sequencer=(".accesses(token.c, token.y, token.x):", ".accesses(token.c, token.y, token.x).__reversed__():"),
        memory=(
            "    def accesses(self, c: int, y: int, x: int) -> Iterator[Access]:",
            "    def accesses(self, *place):\n        return list(self._accesses(*place))\n\n"
            "    def _accesses(self, c: int, y: int, x: int) -> Iterator[Access]:",
        ),
    ),
    reference("R3", "a no-word event takes no slot", sequencer=('            self._slot("skip", activity)', "            pass")),
    reference(
        "R3",
        "a grouped convolution feeds all channels",
        memory=("return q * fed_by_group, (q + 1) * fed_by_group", "return 0, channels"),
    ),
    reference("R3", "stride one more", memory=("- self.connection.stride * out", "- (self.connection.stride + 1) * out")),
    reference("R3", "padding one more", memory=("at + self.connection.padding -", "at + self.connection.padding + 1 -")),
    reference(
        "R3",
        "a folded pool puts incomplete windows into the last complete one",
        memory=(
            "y, x = y // wire.pool, x // wire.pool",
            "y, x = (min(at // wire.pool, size - 1) for at, size in zip((y, x), wire.pooled_shape[1:], strict=True))",
        ),
    ),
    reference(
        "R4",
        "an EOT waits for EXEC",
        sequencer=(
            '        self._slot("eot",',
            "        while not core.execute.ready:\n            yield core.writer.freed.wait()\n"
            '            yield self.clock.at(self.clock.now, ISSUE)\n        self._slot("eot",',
        ),
    ),
    reference(
        "R5",
        "EXEC takes two cycles",
        execute=("yield clock.at(clock.now + operation.slots, EXEC)", "yield clock.at(clock.now + operation.slots + 1, EXEC)"),
    ),
    reference(
        "R6",
        "no bypass",
        memory=("if self.bypass and self.written", "if False and self.written"),
    ),
    reference(
        "R6",
        "the bypass does not compare words",
        memory=(" and self.written_word == word:", ":"),
    ),
    reference(
        "R6",
        "a hazard at every equal word, whatever was written",
        sequencer=(HAZARD, "ahead.word == operation.word and operation.reads"),
    ),
    reference(
        "R6",
        "a hazard whatever the word",
        sequencer=(HAZARD, "any(memory in ahead.claims for memory in operation.reads)"),
    ),
    reference(
        "R6",
        "no hazard in the current memory",
        sequencer=(HAZARD, HAZARD.replace("ahead.claims", "ahead.claims and memory is not self.core.current")),
    ),
    reference(
        "R6",
        "a hazard costs two cycles",
        sequencer=(
            "operation.activity[stall] += 1\n            yield self.clock.at(self.clock.now + 1",
            "operation.activity[stall] += 1\n            yield self.clock.at(self.clock.now + 2",
        ),
    ),
    reference(
        "R7",
        "highest lane first",
        writers=(
            "if self.waiting:\n                assert self.operation is not None\n"
            '                self.operation.activity["buffer_write"] += 1\n'
            "                self._send(*self.waiting.popleft())",
            "if self.waiting:\n                assert self.operation is not None\n"
            '                self.operation.activity["buffer_write"] += 1\n'
            "                self._send(*self.waiting.pop())",
        ),
    ),
    reference(
        "R7",
        "a word without spikes takes two cycles",
        writers=(
            "            yield clock.at(clock.now + 1, SEND)\n            if self.waiting:",
            "            yield clock.at(clock.now + 1 + (not self.waiting), SEND)\n            if self.waiting:",
        ),
    ),
    reference(
        "R7",
        "the next word is taken a cycle late",
        writers=(
            "                self.busy = False\n",
            "                yield clock.at(clock.now + 1, SEND)\n                self.busy = False\n",
        ),
    ),
    reference(
        "R8",
        "done forgets the last spike",
        writers=("        core.last = core.clock.now\n        if core.output", "        if core.output"),
    ),
    reference(
        "R8",
        "done forgets the last EXEC",
        execute=("            core.last = clock.now\n            self.operation = None", "            self.operation = None"),
    ),
    reference(
        "R8",
        "done forgets the last slot",
        sequencer=("        self.core.last = self.next - 1\n", ""),
    ),
    reference(
        "R9",
        "the pass number goes on over EOTs",
        sweeps=("    number = added = 0\n", "    number, added = marks - 1, 0\n"),
    ),
    reference(
        "R9",
        "passes of an EOT in reverse order",
        sweeps=("[p for p in run.table.passes if", "[p for p in reversed(run.table.passes) if"),
    ),
    reference(
        "R9",
        "the count of EOTs stays at the end of a period",
        core=("return marks % self.run.table.planes", "return min(marks, self.run.table.planes - 1)"),
    ),
    reference(
        "R10",
        "threshold shifted one too few",
        lanes=(
            "potential[:real] >= sweep.threshold >> sweep.shift",
            "potential[:real] >= sweep.threshold >> max(0, sweep.shift - 1)",
        ),
    ),
    reference("R10", "strict compare", lanes=("potential[:real] >= sweep.threshold", "potential[:real] > sweep.threshold")),
    reference(
        "R10",
        "soft reset subtracts the threshold before its shift",
        lanes=("potential[fired] - (sweep.threshold >> sweep.shift)", "potential[fired] - sweep.threshold"),
    ),
    reference("R10", "hard reset keeps the potential", lanes=("if soft else 0\n", "if soft else potential[fired]\n")),
    reference(
        "R10",
        "leak rounds toward zero",
        lanes=(
            "potential - (potential >> table.leak_shift)",
            "potential - np.sign(potential) * (np.abs(potential) >> table.leak_shift)",
        ),
    ),
    reference(
        "R10",
        "leak before the reset",
        lanes=[
            (
                "        spikes = self._compared(operation, potential, off)\n",
                "        spikes, whole = self._compared(operation, potential, off), potential\n",
            ),
            (
                "potential - (potential >> table.leak_shift)",
                "potential - (np.where(potential == 0, 0, whole) >> table.leak_shift)",
            ),
        ],
    ),
    reference("R10", "nothing saturates", lanes=("        return kept\n", "        return values\n")),
    reference(
        "R10",
        "the addend does not saturate",
        lanes=("potential = self._saturate(potential + addend, self.potential_bits)", "potential = potential + addend"),
    ),
    reference(
        "R10",
        "adding the current does not saturate",
        lanes=(
            "potential = self._saturate(potential + self._only_on(current, off), self.potential_bits)",
            "potential = potential + self._only_on(current, off)",
        ),
    ),
    reference(
        "R10", "a doubling does not saturate", lanes=("self._saturate(potential * 2, self.potential_bits)", "potential * 2")
    ),
    reference(
        "R10",
        "currents saturate at the potentials' width",
        lanes=("self.current, self.current_bits, operation.current", "self.current, self.potential_bits, operation.current"),
    ),
    reference("R10", "the addend comes after the current", lanes=(ADDEND + CURRENT, CURRENT + ADDEND)),
    reference(
        "R10",
        "the lowest value is left out",
        lanes=("np.full(self.layout.lanes, -top, np.int64)", "np.full(self.layout.lanes, 1 - top, np.int64)"),
    ),
    reference(
        "R11",
        "weights shifted by the plane after",
        merged=("(plane if run.table.weigh_planes else 0)", "(plane + 1 if run.table.weigh_planes else 0)"),
    ),
    reference("R11", "payloads are unsigned", merged=("(token.payload if", "(token.payload & 0xFF if")),
    reference(
        "R11",
        "no spike shift",
        merged=("(0 if token.has_payload else run.table.spike_shift)", "0"),
    ),
    reference(
        "R12",
        "direct events go to the potentials",
        sequencer=("memory = core.current if self.run.table.direct else core.membrane", "memory = core.membrane"),
        lanes=(
            "        if self.table.direct:\n            memory, bits",
            "        if operation.current is not None:\n            memory, bits",
        ),
    ),
    reference("R13", "a shift operation does not double", lanes=("potential * 2", "potential * 1")),
    reference(
        "R14",
        "a read-out does not write back",
        lanes=("        if operation.sweep.add:\n            self.membrane.change(operation.word, potential)\n", ""),
    ),
    reference(
        "R14",
        "no hazard after a read-out",
        sequencer=(HAZARD, HAZARD + ' and ahead.kind != "readout"'),
    ),
    reference(
        "R15",
        "no hazard after a requant operation",
        sequencer=(HAZARD, HAZARD + ' and ahead.kind != "requant"'),
    ),
    reference(
        "R15",
        "levels are rounded",
        lanes=("potential[:real] // sweep.threshold", "(potential[:real] + sweep.threshold // 2) // sweep.threshold"),
    ),
    reference("R15", "levels have no maximum", lanes=(", 0, self.table.max_level)", ", 0, None)")),
    reference(
        "R16",
        "masked is ignored",
        lanes=('operation.sweep.flags == "ignore":', 'operation.sweep.flags != "fire_once":'),
    ),
    reference(
        "R16",
        "a clear leaves the flags",
        lanes=("            self.mask.change(operation.word, self.zeros)\n", "            pass\n"),
    ),
    reference("R16", "fire_once sets no flag", lanes=("        off[fired] = True\n", "")),
    reference(
        "R16",
        "a neuron that fires its only spike is reset",
        lanes=("return np.where(off, 0, potential), off", "return self._reset(operation, potential, fired), off"),
    ),
    reference("R17", "a mask operation flags who is at zero", lanes=("(potential < 0).astype", "(potential <= 0).astype")),
    reference(
        "R17",
        "a mask operation keeps the flags that were set",
        lanes=("(potential < 0).astype(np.int64)", "((potential < 0) | (self.mask.words[operation.word] != 0)).astype(np.int64)"),
    ),
    reference(
        "R18",
        "a reinitialise operation clears the flags",
        lanes=(
            'if kind == "reinitialise":\n',
            'if kind == "reinitialise":\n            self.mask.change(operation.word, self.zeros)\n',
        ),
    ),
    reference(
        "R18",
        "a reinitialise operation meets hazards",
        sequencer=(
            HAZARD,
            HAZARD.replace("operation.reads", "operation.reads or (self.core.membrane,)") + ' and operation.kind != "clear"',
        ),
    ),
    reference(
        "A1",
        "reads that the bypass forwards are not counted",
        sequencer=(
            "            activity[MEMBRANE_READS[operation.kind]] += 1\n",
            "            ahead = core.execute.operation\n"
            "            wrote = ahead is not None and ahead.word == operation.word and core.membrane in ahead.writes\n"
            "            if not (self.run.core.bypass and wrote):\n"
            "                activity[MEMBRANE_READS[operation.kind]] += 1\n",
        ),
    ),
    reference(
        "A1",
        "a fire_once operation always writes the mask word",
        lanes=("        if not fired:\n            return potential, off\n", ""),
    ),
    reference(
        "A2",
        "bias_add counts neurons that are off",
        lanes=(
            "potential = self._added(operation, on, off)",
            "potential = self._added(operation, self.layout.real_lanes(operation.word), off)",
        ),
    ),
    reference(
        "A2",
        "cmp counts lanes without a neuron",
        lanes=('activity["cmp"] += on', 'activity["cmp"] += on + self.layout.lanes - self.layout.real_lanes(operation.word)'),
    ),
    reference(
        "A2",
        "leak counts neurons that were on before",
        lanes=('activity["leak"] += self._on_count(operation, off)', 'activity["leak"] += on'),
    ),
    reference(
        "A2",
        "threshold_shift once a word",
        sequencer=('activity["threshold_shift"] += 1', 'activity["threshold_shift"] += self.run.words'),
    ),
    reference(
        "A2",
        "weight_shift counts plane 0",
        merged=("int(shift > 0)", "int(run.table.weigh_planes or shift > 0)"),
    ),
    reference(
        "A3",
        "reg_bits of currents at the potentials' width",
        lanes=('activity["reg_bits"] += synapses * bits', 'activity["reg_bits"] += synapses * self.potential_bits'),
    ),
    reference("A4", "an EOT is read from the buffer too", fifo=("int(not token.is_eot)", "1")),
    reference(
        "A4",
        "spikes are not written to the buffer",
        writers=(
            '                self.operation.activity["buffer_write"] += 1\n                self._send',
            "                self._send",
        ),
    ),
    reference(
        "A5",
        "overlapped cycles are not counted",
        sequencer=('            activity["cycles_overlapped"] += 1\n', "            pass\n"),
    ),
    reference(
        "A5",
        "a pass is counted to its plane",
        sequencer=(
            "sweep.kind, word, self.core.activity[sweep.timestep],",
            "sweep.kind, word, self.core.plane_activity((self.plane - 1) % self.run.table.planes),",
        ),
    ),
)

FAST_MUTANTS: tuple[Mutant, ...] = (
    fast(
        "R1",
        "a clear does not write the current",
        core=("                self.state.currents[...] = 0\n", "                pass\n"),
    ),
    fast(
        "R1",
        "a clear is done a cycle early",
        kernels_timing=("1 + clear_words, 1 + clear_words if", "1 + clear_words, clear_words if"),
    ),
    fast("R2", "FIFO one deeper", core=("np.full(self.run.core.fifo_depth, -1", "np.full(self.run.core.fifo_depth + 1, -1")),
    fast(
        "R2",
        "a freed slot is usable in the same cycle",
        kernels_timing=(
            "pushed = max(pushed + gap, earliest, ring[place] + 1)",
            "pushed = max(pushed + gap, earliest, ring[place])",
        ),
    ),
    fast(
        "R2",
        "an event is visible in the cycle of its push",
        kernels_timing=("slot = max(free, pushed + 1)", "slot = max(free, pushed)"),
    ),
    fast("R2", "gaps one shorter", kernels_timing=("max(pushed + gap, earliest", "max(pushed + max(1, gap - 1), earliest")),
    fast(
        "R3",
        "an event is popped with its first word",
        kernels_timing=(
            "ring[place] = slot\n                    place",
            "ring[place] = slot - max(0, count - 1)\n                    place",
        ),
    ),
    fast(
        "R3",
        "a no-word event waits for EXEC",
        kernels_timing=(
            "                        overlapped += slot < done\n                        empty += 1\n",
            "                        slot = max(slot, done)\n                        empty += 1\n",
        ),
    ),
    fast("R3", "incomplete windows of a folded pool count", packing=("np.where(at < in_size,", "np.where(at <= in_size,")),
    fast(
        "R3",
        "stride one more",
        packing=(
            "first = np.maximum(outputs[0], -((kernel - 1 - padding - at) // stride))",
            "first = np.maximum(outputs[0], -((kernel - 1 - padding - at) // (stride + 1)))",
        ),
    ),
    fast(
        "R4",
        "an EOT waits for EXEC",
        kernels_timing=("slot = max(core[NEXT], pushed + 1)", "slot = max(core[NEXT], core[EXEC], pushed + 1)"),
    ),
    fast("R5", "an event does not wait for EXEC", kernels_timing=("                        slot = max(slot, done)\n", "")),
    fast(
        "R6",
        "no hazard in the current memory",
        kernels_timing=("0 if core[BYPASS] else adds_to", "0 if core[BYPASS] else adds_to & MEMBRANE"),
    ),
    fast(
        "R6",
        "a hazard whatever the word",
        kernels_timing=("slot == done and first + group == word and written", "slot == done and written"),
    ),
    fast(
        "R6",
        "a hazard costs no cycle",
        kernels_timing=(
            "                            slot += 1\n                            hazards",
            "                            hazards",
        ),
    ),
    fast("R7", "a spike takes a cycle more", kernels_timing=("max(1, sent[this])", "1 + sent[this]")),
    fast("R7", "EXEC does not wait for the serialiser", kernels_timing=("            done = max(done, serialiser)\n", "")),
    fast("R7", "spikes leave in the cycle of EXEC", core=("log[word, 1] + 1 + rank", "log[word, 1] + rank")),
    fast(
        "R8",
        "done forgets the last spike",
        kernels_timing=("max(core[NEXT] - 1, core[EXEC], core[SPIKE])", "max(core[NEXT] - 1, core[EXEC])"),
    ),
    fast(
        "R8",
        "done forgets the last slot",
        kernels_timing=("max(core[NEXT] - 1, core[EXEC], core[SPIKE])", "max(core[EXEC], core[SPIKE])"),
    ),
    fast(
        "R8",
        "done forgets the last EXEC",
        kernels_timing=("max(core[NEXT] - 1, core[EXEC], core[SPIKE])", "max(core[NEXT] - 1, core[SPIKE])"),
    ),
    fast(
        "R9",
        "every pass has a number",
        core=("sending += self._pass(number, p, sending)", "self._pass(number, p, sending)\n                sending += 1"),
    ),
    fast(
        "R10",
        "threshold shifted one too few",
        core=("threshold = p.threshold >> p.shift", "threshold = p.threshold >> max(0, p.shift - 1)"),
    ),
    fast("R10", "strict compare", kernels_arithmetic=("fired = lanes[j] >= level", "fired = lanes[j] > level")),
    fast(
        "R10",
        "leak rounds toward zero",
        kernels_arithmetic=(
            "lanes[j] -= lanes[j] >> leak",
            "lanes[j] -= lanes[j] >> leak if lanes[j] >= 0 else -(-int(lanes[j]) >> leak)",
        ),
    ),
    fast(
        "R10",
        "a doubling is not clipped at the lowest value",
        kernels_arithmetic=("kept = min(max(total, limits[0]), limits[1])", "kept = min(total, limits[1])"),
    ),
    fast(
        "R10",
        "the addend comes after the current",
        core=(
            FAST_ADDEND + FAST_CURRENT,
            FAST_CURRENT + FAST_ADDEND,
        ),
    ),
    fast(
        "R10",
        "currents saturate at the potentials' width",
        packing=("adds_to=current if table.direct else potential", "adds_to=potential"),
    ),
    fast("R11", "no spike shift", core=("            shift += self.run.table.spike_shift\n", "            pass\n")),
    fast("R11", "weights shifted by the plane after", core=("shift = self.marks if", "shift = self.marks + 1 if")),
    fast(
        "R12",
        "direct events go to the potentials",
        core=(
            "state = self.state.currents if self.run.table.direct else self.state.potentials",
            "state = self.state.potentials",
        ),
    ),
    fast("R13", "a shift operation does not double", kernels_arithmetic=("wide(wide(lanes[j]) * wide(2))", "wide(lanes[j])")),
    fast(
        "R14",
        "a read-out that does not add writes",
        counting=('"readouts": {"addr_gen": words,', '"readouts": {"membrane_write_readout": words, "addr_gen": words,'),
    ),
    fast("R15", "level zero is sent", kernels_arithmetic=("np.int32(total + (lanes[j] != 0))", "np.int32(total + 1)")),
    fast(
        "R16",
        "masked is ignored",
        core=(
            '            if p.flags == "ignore":\n                ka.fire',
            '            if p.flags != "fire_once":\n                ka.fire',
        ),
    ),
    fast("R16", "fire_once sets no flag", kernels_flags=("            off[j] |= fired & np.uint8(fire_once)\n", "")),
    fast(
        "R16",
        "a neuron that is off keeps its potential",
        kernels_flags=("lanes[j] = kept if on else number(0)", "lanes[j] = kept if on else lanes[j]"),
    ),
    fast(
        "R17",
        "a mask operation flags who is at zero",
        core=("self.state.flags[...] = potentials < 0", "self.state.flags[...] = potentials <= 0"),
    ),
    fast("R17", "a mask operation leaves the potentials", core=("            potentials[...] = pack.initial\n", "")),
    fast(
        "R18",
        "a reinitialise operation clears the flags",
        core=("        first = kt.time_writes", "        self.state.flags[...] = 0\n        first = kt.time_writes"),
    ),
    fast(
        "R18",
        "a reinitialise operation does not wait for EXEC",
        kernels_timing=("int(max(core[NEXT], core[EXEC]))", "int(core[NEXT])"),
    ),
    fast("A1", "a fire_once operation always writes the mask word", core=("np.count_nonzero(sent)", "len(sent)")),
    fast("A1", "every clear reads the bias", counting=("words * table.clear_reads_bias", "words")),
    fast(
        "A2",
        "bias_add counts addend and current once",
        counting=("(table.addend is not None) + table.direct", "int(table.addend is not None or table.direct)"),
    ),
    fast("A2", "leak counts neurons that were on before", core=("row[ON_LEAKING] += self._on()", "row[ON_LEAKING] += on")),
    fast("A2", "threshold_shift of every fire pass", counting=('p.kind == "fire" and p.shift > 0', 'p.kind == "fire"')),
    fast(
        "A3",
        "reg_bits forgets read-outs",
        counting=('"membrane_read_readout": words, **operands}', '"membrane_read_readout": words}'),
    ),
    fast("A4", "spikes are not written to the buffer", counting=('{"spike_out": 1, "buffer_write": 1}', '{"spike_out": 1}')),
    fast(
        "A5",
        "overlapped counts every token slot up to EXEC",
        kernels_timing=("tally[OVERLAPPED] += slot < core[EXEC]", "tally[OVERLAPPED] += slot <= core[EXEC]"),
    ),
    fast("A5", "a clear is not busy", core=("        self.row[kt.BUSY] += words\n", "")),
)

MODEL_MUTANTS = (*REFERENCE_MUTANTS, *FAST_MUTANTS)
