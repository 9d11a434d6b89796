"""From what a run's kernels tally to what hwsim/activity.py counts: one matrix a run, rules A1 to A5.

Tallies are (timesteps, len(TALLIES)); what one unit of a tally counts as depends on the run only (words, real neurons,
widths, buffer), so counts = tallies @ coefficients. The first are the kernels' own columns (kernels.timing).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.activity import EVENTS, INDEX
from hwsim.chip.network import cargo_bits
from hwsim.program import CoreRun, MeshSpec, Transfer
from hwsim.snn.network import Network

TALLIES = (
    "tokens", "events", "words", "synapses", "busy", "hazards", "serialiser_stalls", "overlapped", "sent",
    "payload_synapses", "shifted_synapses", "fired", "rows_scanned", "pooled", "value_bits",
    "clears", "fires", "shifts", "readouts", "requants", "addends_fire", "addends_readout", "threshold_shifts",
    "masks", "reinitialises", "flag_fires", "addends_flag_fire", "on_fired_at", "on_added_to", "on_leaking", "flag_words",
    "port_stalls", "sending_words", "loads", "stores", "plane_sums", "register_synapses", "quiet_words",
    "last_words", "counts", "counted",
)
TALLY = {name: i for i, name in enumerate(TALLIES)}


def coefficients(run: CoreRun, channels: int) -> NDArray[np.int64]:
    """(len(TALLIES), len(EVENTS)): how many of each event one unit of each is, in a run over `channels` channels."""
    table, aer = run.table, run.core.buffer == "aer"
    words, neurons = run.words, channels * run.positions
    plane_rows = 0 if aer else -(-channels * run.real_positions // run.core.scan_bits)
    operands = {"reg_bits": neurons * run.potential_bits}
    added_words = {"bias_read": words * (table.addend is not None), "current_read": words * table.direct}
    added_terms = (table.addend is not None) + table.direct
    added = {**added_words, "bias_add": neurons * added_terms}
    fire_words = {"addr_gen": words, "membrane_read_fire": words, "membrane_write_fire": words, "buffer_write": plane_rows,
                  "current_write": words * (table.current_decay > 0)}
    decays = table.decays
    initial_words = {"addr_gen": words, "bias_read": words * table.clear_reads_bias}
    rules: dict[str, dict[str, int]] = {
        "tokens": {"fifo_push": 1, "fifo_pop": 1},
        "events": {"buffer_read": int(aer)},
        "words": {"addr_gen": 1, "weight_read": 1, "mask_read": int(run.masks_first), **(
            {"current_read": 1, "current_write": 1} if table.direct
            else {"membrane_read_accumulate": 1, "membrane_write_accumulate": 1})},
        "synapses": {"acc_add": 1, "reg_bits": run.current_bits if table.direct else run.potential_bits},
        "busy": {"cycles_busy": 1},
        "hazards": {"cycles_stall_hazard": 1},
        "serialiser_stalls": {"cycles_stall_serialiser": 1},
        "overlapped": {"cycles_overlapped": 1},
        "sent": {"spike_out": 1, "buffer_write": 1},
        "payload_synapses": {"mult": 1},
        "shifted_synapses": {"weight_shift": 1},
        "fired": {"reset_sub" if table.reset == "soft" else "reset_zero": 1},
        "rows_scanned": {"buffer_read": 1},
        "pooled": {"pool_update": 1},
        "value_bits": {"payload_read_bits": 1},
        "clears": {"membrane_write_clear": words, "current_write": words * (table.direct and run.clears_current),
                   "mask_write": words * table.flagged, **initial_words},
        "fires": {"cmp": neurons, "leak": neurons * (table.leak_shift is not None),
                  "decay": neurons * decays, **fire_words, **operands},
        "shifts": {"addr_gen": words, "membrane_read_shift": words, "membrane_write_shift": words,
                   "membrane_shift": neurons, **operands},
        "readouts": {"addr_gen": words, "membrane_read_readout": words, **operands},
        "requants": {"addr_gen": words, "membrane_read_fire": words, "requant": neurons, "buffer_write": plane_rows,
                     **operands},
        "addends_fire": added,
        "addends_readout": {"membrane_write_readout": words, **added},
        "threshold_shifts": {"threshold_shift": 1},
        "masks": {"membrane_read_mask": words, "membrane_write_mask": words, "mask_write": words, "cmp": neurons,
                  **initial_words, **operands},
        "reinitialises": {"membrane_write_clear": words, **initial_words},
        "counts": {"addr_gen": words, "mask_read": words, "membrane_read_fire": words, "membrane_write_fire": words},
        "counted": {"reset_sub": 1},
        # Passes that look at flags: words as ever, neurons only those that are on, which each sample decides.
        "flag_fires": {"mask_read": words, **fire_words},
        "addends_flag_fire": added_words,
        "on_fired_at": {"cmp": 1, "reg_bits": run.potential_bits},
        "on_added_to": {"bias_add": added_terms},
        "on_leaking": {"leak": int(table.leak_shift is not None), "decay": decays},
        "flag_words": {"mask_write": 1},
        # Other dataflows only (R19 to R25).
        "port_stalls": {"cycles_stall_port": 1},
        "sending_words": {"buffer_write": 1},
        # Every word of the run is loaded once, and stored once.
        "loads": {"addr_gen": words, "membrane_read_load": words, "current_read": words * table.direct,
                  "mask_read": words * table.flagged},
        "stores": {"addr_gen": words, "membrane_write_store": words, "current_write": words * run.current_changes,
                   "mask_write": words * table.flagged},
        "plane_sums": {"sum_add": neurons},
        "register_synapses": {"reg_bits": run.current_bits if table.direct else run.potential_bits},
        "quiet_words": {"addr_gen": 1, "mask_read": 1},
        "last_words": {},
    }
    if not run.core.plain:
        _other_dataflow(run, rules)
    _add_banks(run, rules)
    out = np.zeros((len(TALLIES), len(EVENTS)), np.int64)
    for tally, row in zip(TALLIES, out, strict=True):
        for name, count in rules[tally].items():
            row[INDEX[name]] = count
    return out


PASS_TALLIES = ("fires", "shifts", "readouts", "requants", "addends_fire", "addends_readout", "masks", "reinitialises",
              "flag_fires", "addends_flag_fire", "flag_words", "counts")
MEMORIES = ("membrane_read", "membrane_write", "current_", "mask_")


def _other_dataflow(run: CoreRun, rules: dict[str, dict[str, int]]) -> None:
    """What R19 to R24 change: which passes touch memories says the plan of sweeps, registers count apart from additions."""
    stateless = PASS_TALLIES if run.core.order == "scatter" else (*PASS_TALLIES, "words", "clears")
    for tally in stateless:
        rules[tally] = {name: count for name, count in rules[tally].items() if not name.startswith(MEMORIES)}
    if run.core.order == "gather":
        del rules["clears"]["addr_gen"]
        for counts in rules.values():
            if "addr_gen" in counts:
                counts["accumulator_access"] = counts["addr_gen"]
    rules["synapses"] = {"acc_add": 1}
    if run.core.writer == "word":
        rules["sent"] = {"spike_out": 1}


def banks(run: CoreRun, memory: str) -> tuple[int, int]:
    """Banks that an access to a word touches, in groups other than the run's last, and in the last (R25); 0 if not counted."""
    core, (low, high) = run.core, run.channels
    bank = core.membrane_bank_bits if memory == "membrane" else core.current_bank_bits
    bits = core.potential_bits if memory == "membrane" else core.current_bits
    if not bank:
        return 0, 0
    last = high - low - (run.groups[1] - run.groups[0] - 1) * core.lanes
    return -(-core.lanes * bits // bank), -(-last * bits // bank)


def banks_of_all(run: CoreRun, memory: str) -> int:
    """Banks that one access to each word of the run touches."""
    full, last = banks(run, memory)
    return run.positions * (full * (run.groups[1] - run.groups[0] - 1) + last)


def counts_last_words(run: CoreRun) -> bool:
    """Whether it must be known how many words of the last group events touch: its banks are fewer than the others'."""
    return any(full != last for full, last in (banks(run, memory) for memory in ("membrane", "current")))


def _add_banks(run: CoreRun, rules: dict[str, dict[str, int]]) -> None:
    """The banks of whatever accesses a membrane or current word: all words of the run alike, but for those of events."""
    for memory in ("membrane", "current"):
        full, last = banks(run, memory)
        if not full:
            continue
        for tally, counts in rules.items():
            for way in ("read", "write"):
                accessed = sum(n for name, n in counts.items() if name.startswith(f"{memory}_{way}"))
                if tally == "words" and accessed:
                    counts[f"{memory}_{way}_banks"] = full
                    rules["last_words"][f"{memory}_{way}_banks"] = last - full
                elif accessed and tally != "last_words":
                    counts[f"{memory}_{way}_banks"] = accessed // run.words * banks_of_all(run, memory)


def pass_tallies(run: CoreRun) -> NDArray[np.int64]:
    """(passes, len(TALLIES)): what each pass of the table adds to its timestep's row, whatever the sample."""
    out = np.zeros((len(run.table.passes), len(TALLIES)), np.int64)
    held, groups = run.core.accumulators, run.groups[1] - run.groups[0]
    visits = run.positions * -(-groups // held) if run.core.order == "gather" else 1
    for p, row in zip(run.table.passes, out, strict=True):
        kind = "flag_fire" if p.kind == "fire" and p.flags != "ignore" else p.kind
        row[TALLY[f"{kind}s"]] = 1
        if p.add:
            row[TALLY[f"addends_{kind}"]] = 1
        row[TALLY["threshold_shifts"]] = visits * (p.kind == "fire" and p.shift > 0)
    return out


def cargo_bits_of(op: Transfer, mesh: MeshSpec, network: Network, planes: NDArray[np.integer]) -> int:
    """C8: the bits by sample of a transfer; planes (T, H, W, C) of its layer."""
    assert op.cargo is not None
    (low, high), (top, bottom), (first, last) = op.timesteps, op.cargo.rows, op.cargo.channels
    part = planes[low:high, top:bottom, :, first:last]
    values = [network.plane_bits(op.layer, plane) for plane in range(low, high)]
    dense = part[0].size * sum(max(1, bits) for bits in values)
    if op.cargo.merged:
        neurons = int(np.count_nonzero(part.any(axis=0)))
        return cargo_bits(mesh, op.cargo.encoding, neurons, neurons * len(part), dense)
    if not any(values):  # bytes that are 0 or 1 are counted quickest as truth values
        spikes = int(np.count_nonzero(part.view(bool) if part.dtype == np.uint8 else part))
        return cargo_bits(mesh, op.cargo.encoding, spikes, 0, dense)
    sent = [int(np.count_nonzero(plane)) for plane in part]
    return cargo_bits(mesh, op.cargo.encoding, sum(sent), sum(n * bits for n, bits in zip(sent, values, strict=True)), dense)
