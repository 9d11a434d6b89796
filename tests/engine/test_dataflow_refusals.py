"""What no core can be built for is refused by both engines, with one text that says what would work."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwsim.arch import ArchitectureError, dump_architecture, load_architecture, rebuild_architecture
from hwsim.cost.energy import price_list
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.passes import Pass, PassTable
from hwsim.program import CoreRun, CoreSpec, ProgramError
from hwsim.snn.network import Connection

CORE = CoreSpec(lanes=2, potential_bits=8, current_bits=8, fifo_depth=2, bypass=True, shift_at="weight", buffer="bitmap")
WIRE = Connection("a", "linear", (2, 1, 1), np.ones((3, 2), np.int64))
RATE = PassTable(2, (Pass(1, "fire", 3), Pass(2, "fire", 3, timestep=1)), np.zeros((3, 1, 1), np.int64))
PLANES = np.ones((2, 1, 1, 2), np.int64)


def run(table: PassTable = RATE, payload_bits: tuple[int, ...] = (), wires: int = 1, **core: Any) -> CoreRun:
    spec = replace(CORE, **core)
    return CoreRun(spec, (3, 1, 1), (0, 2), (WIRE,) * wires, table, 8, 8, clear=True, payload_bits=payload_bits)


def refusal(given: CoreRun) -> str:
    """What both engines say; they say the same."""
    states = (np.zeros((3, 1, 1), np.int64),) * 2
    texts = []
    for engine in (ReferenceEngine(), FastEngine()):
        with pytest.raises(ProgramError) as error:
            engine.run_planes(given, [PLANES] * len(given.connections), 1 if given.merged else 2, *states)
        texts.append(str(error.value))
    assert texts[0] == texts[1]
    return texts[0]


@pytest.mark.parametrize(("core", "expected"), [
    ({"order": "gather", "buffer": "aer"}, "order 'gather' needs a bitmap.*use buffer 'bitmap', or order 'scatter'"),
    ({"writer": "word", "buffer": "aer"}, "writer 'word' needs a bitmap.*or writer 'serial'"),
    ({"planes_per_token": "all", "order": "gather", "buffer": "aer"}, "order 'gather' needs.*planes_per_token 'all' needs"),
    ({"accumulators": 0, "order": "gather"}, "accumulators is 0.*at least 1"),
    ({"adders": 0}, "adders is 0.*at least 1"),
    ({"order": "sideways"}, "order is 'sideways', allowed are scatter, gather"),
    ({"multiplier": "bit_serial"}, "multiplier 'bit_serial'.*use planes_per_token 'all'.*or multiplier 'parallel'"),
    ({"planes_per_token": "all"}, "one sum per plane.*use order 'gather', or use planes_per_token 'one'"),
])
def test_settings_that_do_not_go_together(core: dict[str, Any], expected: str) -> None:
    text = refusal(run(**core))
    assert re.search(expected, text), text


@pytest.mark.parametrize(("change", "expected"), [
    ({"passes": (Pass(1, "flip"),)}, "a flip pass after EOT 1 of no known kind"),
    ({"passes": (Pass(2, "shift", add=True),)}, "a shift pass after EOT 2 that adds; only fire and readout passes can"),
    ({"passes": (Pass(1, "fire", 3, flags="twice"),), "flagged": True}, "with flags 'twice', allowed are ignore"),
    ({"passes": (Pass(1, "readout", flags="masked"),), "flagged": True}, "with flags 'masked'; only fire passes use them"),
    ({"passes": (Pass(1, "mask"),)}, "a mask pass after EOT 1 that uses flags, and the table is not flagged"),
    ({"passes": (Pass(1, "fire", 3, flags="masked"), Pass(2, "mask", add=True))},
     "EOT 1 that uses flags 'masked', and.*EOT 2 that adds.*EOT 2 that uses flags, and"),
    ({"spike_shift": -1}, "spike_shift is -1"),
])
def test_passes_that_no_rule_gives_a_meaning_to(change: dict[str, Any], expected: str) -> None:
    text = refusal(run(replace(RATE, **change)))
    assert re.search(expected, text), text


def test_a_core_without_a_fifo_and_a_run_without_weights() -> None:
    assert "fifo_depth is 0" in refusal(run(fifo_depth=0))
    assert "no weights" in refusal(replace(run(), connections=(replace(WIRE, weights=None),)))


@pytest.mark.parametrize(("table", "expected"), [
    (replace(RATE, passes=(Pass(1, "shift"), Pass(2, "fire", 3, timestep=1))), "Horner.*use shift_at 'weight'"),
    (replace(RATE, spike_shift=2), "hybrid.*use planes_per_token 'one'"),
    (replace(RATE, direct=True), "sends spikes to a direct table.*use planes_per_token 'one'"),
    (replace(RATE, planes=63), "63 planes do not fit"),
])
def test_tables_that_merged_planes_cannot_serve(table: PassTable, expected: str) -> None:
    text = refusal(run(table, planes_per_token="all", order="gather"))
    assert re.search(expected, text), text


def test_values_beside_planes_that_need_sums() -> None:
    assert "pool folded" in refusal(run(payload_bits=(4, 0), wires=2, planes_per_token="all", order="gather"))


def test_a_file_writes_a_dataflow_as_its_units_own_it() -> None:
    data = dump_architecture(load_architecture("event_core_64"))
    data["core"] |= {"dataflow": {"type": "output_stationary", "accumulators": 4}, "token": {"planes": "merged", "adders": 2},
                     "lane": {"multiplier": "bit_serial"}, "writer": "word", "passes": "by_word"}
    data["spike_buffer"]["kind"] = "bitmap"
    data["memories"]["membrane"] = {"capacity": "96 KiB", "ports": "1rw"}
    design = rebuild_architecture(data)
    spec = design.only.core_spec()
    assert (spec.order, spec.accumulators, spec.planes_per_token, spec.adders) == ("gather", 4, "all", 2)
    assert (spec.multiplier, spec.writer, spec.membrane_ports, spec.passes) == ("bit_serial", "word", "1rw", "by_word")
    assert design.memories.membrane == 96 * 1024 * 8
    assert rebuild_architecture(dump_architecture(design)) == design


def test_a_file_that_names_no_dataflow_has_todays_and_its_hash() -> None:
    design = load_architecture("event_core_64")
    assert design.only.core_spec().plain
    named = design.with_core(writer="serial", token={"planes": "single"}, lane={"multiplier": "parallel"})
    assert named.timing_hash() == design.timing_hash()
    assert design.with_core(passes="by_word").timing_hash() != design.timing_hash()


@pytest.mark.parametrize(("core", "expected"), [
    ({"dataflow": {"type": "event_driven", "accumulators": 2}}, "accumulators: type event_driven has no such field"),
    ({"dataflow": {"type": "gather"}}, "type: found 'gather', allowed are event_driven, output_stationary"),
    ({"token": {"planes": "single", "adders": 2}}, "adders: planes single has no such field"),
    ({"token": {"planes": "merged", "adders": 63}}, "adders: found 63, allowed less than or equal to 62"),
    ({"lane": {"multiplier": "bit_serial"}}, "token: {planes: merged}"),
])
def test_a_file_cannot_write_what_no_core_is(core: dict[str, Any], expected: str) -> None:
    with pytest.raises(ArchitectureError) as error:
        load_architecture("event_core_64").with_core(**core)
    assert expected in str(error.value)


def test_accumulators_are_not_free() -> None:
    data = dump_architecture(load_architecture("event_core_64"))
    data["core"]["dataflow"] = {"type": "output_stationary"}
    data["spike_buffer"]["kind"] = "bitmap"
    design = rebuild_architecture(data)
    charges = dict(price_list(design).charges("accumulator_access"))
    assert set(charges) == {"accumulator_file", "clock"}
    assert all(price.pj > 0 for price in charges.values())
    given = dict(price_list(design, {"accumulator_access": 0.5}).charges("accumulator_access"))
    assert given == {**charges, "accumulator_file": given["accumulator_file"]}
    assert given["accumulator_file"].pj == 0.5
