"""What a run of a sample must have counted and pushed, from the operations of its log and its planes."""

from __future__ import annotations

import numpy as np

from hwsim.activity import EVENTS
from hwsim.program import CoreRun, Run
from hwsim.record import ISSUE_KINDS, CoreLog
from hwsim.snn.network import Network
from hwsim.snn.sample import Sample
from tests.laws.listing import rows_read, rows_seen


def check_pushes(run: CoreRun, gaps: np.ndarray, log: CoreLog) -> None:
    """R2, from the gaps and the pops."""
    pushed = -1
    for k, gap in enumerate(gaps.tolist()):
        freed = int(log.pop[k - run.core.fifo_depth]) + 1 if k >= run.core.fifo_depth else 0
        pushed = max(pushed + gap, freed)
        assert log.push[k] == pushed


def check_counts(op: Run, network: Network, tokens: np.ndarray, sample: Sample, log: CoreLog) -> None:
    """A1 to A4 of a run without flags from the operations of its log: each count as a sum over what was issued."""
    run, table, issued = op.body, op.body.table, np.bincount(log.issue[:, 1], minlength=len(ISSUE_KINDS))
    clear, acc, shift, fire, readout, requant, again = (
        int(issued[ISSUE_KINDS.index(kind)]) for kind in ("clear", "acc", "shift", "fire", "readout", "requant", "reinitialise"))
    low, high = run.groups[0] * run.core.lanes, min(run.groups[1] * run.core.lanes, run.shape[0])
    first, end = run.rows or (0, run.shape[1])
    neurons = (high - low) * (end - first) * run.shape[2]
    plane_rows = -(-neurons // run.core.scan_bits)
    bitmap, sweeps = run.core.buffer == "bitmap", lambda operations: operations // run.words
    marks = [p for p in table.passes if p.after_eot <= op.eots]
    adding = sum(p.add for p in marks)
    added = adding * (table.addend is not None)
    reading = sum(p.add for p in marks if p.kind == "readout")
    found = dict(zip(EVENTS, log.counts.sum(axis=0).tolist(), strict=True))
    scanned = pooled = value_bits = 0
    for feed in op.feeds:
        connection = run.connections[feed.connection]
        planes = {**sample.recorded, "input": sample.inputs}[connection.source][list(feed.planes)]
        scanned += len(planes) * len(rows_read(run, connection))
        if connection.pool_mode in ("unit", "max") and op.tile == 0:
            _, height, width = connection.pooled_shape
            pooled += np.count_nonzero(planes[:, : height * connection.pool, : width * connection.pool])
        bits = network.value_bits(connection)
        if network.is_hybrid(connection):  # values in its first plane, spikes in the others
            planes = planes[[plane == 0 for plane in feed.planes]]
        if connection.pool_mode != "unit":
            value_bits += bits * int(np.count_nonzero(planes[:, rows_seen(run, connection)]))
        elif op.tile == 0:  # a pooling unit reads what lies inside complete windows, once
            _, height, width = connection.pooled_shape
            value_bits += bits * int(np.count_nonzero(planes[:, : height * connection.pool, : width * connection.pool]))
    width = run.current_bits if table.direct else run.potential_bits
    expected = {
        "fifo_push": len(tokens), "fifo_pop": len(tokens), "addr_gen": clear + acc + shift + fire + readout + requant + again,
        "weight_read": acc, "membrane_write_clear": clear + again, "membrane_read_accumulate": 0 if table.direct else acc,
        "membrane_write_accumulate": 0 if table.direct else acc, "membrane_read_shift": shift,
        "membrane_write_shift": shift, "membrane_read_fire": fire + requant, "membrane_write_fire": fire,
        "membrane_read_readout": readout, "membrane_write_readout": reading * run.words,
        "current_read": (acc + adding * run.words) * table.direct, "current_write": (acc + clear) * table.direct,
        "bias_read": (clear + again) * table.clear_reads_bias + added * run.words,
        "bias_add": (added + adding * table.direct) * neurons,
        "buffer_read": scanned if bitmap else (tokens[:, 0] >= 0).sum(), "pool_update": pooled,
        "payload_read_bits": value_bits,
        "buffer_write": len(log.spikes) + bitmap * plane_rows * sweeps(fire + requant), "spike_out": len(log.spikes),
        "cmp": sweeps(fire) * neurons, "membrane_shift": sweeps(shift) * neurons, "requant": sweeps(requant) * neurons,
        "leak": sweeps(fire) * neurons * (table.leak_shift is not None),
        "reset_sub": len(log.spikes) * (table.reset == "soft" and fire > 0),
        "reset_zero": len(log.spikes) * (table.reset == "hard" and fire > 0),
        "threshold_shift": sum(p.kind == "fire" and p.shift > 0 for p in marks),
        "reg_bits": found["acc_add"] * width + sweeps(shift + fire + readout + requant) * neurons * run.potential_bits,
    }
    assert {name: found[name] for name in expected} == expected, op.id
