"""The JSON Schema of design files against their reader: what the reader takes, the schema takes, in every way to write it.

The other direction holds where a schema can say it; it knows no sums, no whole units and no bounds of quantities.
"""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest
import yaml

from hwsim.arch import ArchitectureError, load_architecture, rebuild_architecture
from hwsim.arch_schema import architecture_schema
from tests.conftest import ROOT

SCHEMA = jsonschema.Draft202012Validator(architecture_schema())
CORE = yaml.safe_load((ROOT / "arch_configs" / "event_core_64.yaml").read_text())
LINKS = {"mesh": [2, 2], "flit_bits": 64, "hop_cycles": 1, "address_bits": 16, "header_bits": 8, "encoding": "aer"}

WAYS: dict[str, tuple[list[Any], list[Any]]] = {
    "clock": (["200 MHz", "200MHz", "0.2 GHz", "2e2 MHz", "200000000 Hz"], [200, "200 mhz", "200", None, True]),
    "core.lanes": ([64, 64.0], ["64", 64.5, True, None, "yes", 0]),
    "core.bypass": ([True, False], [1, 0, 1.0, "true", "yes", None]),
    "core.dataflow": ([{"type": "event_driven"}, {"type": "output_stationary", "accumulators": 4}], ["event_driven", None]),
    "memories.membrane": (
        ["64 KiB", "64KiB", " 64 KiB ", "0", 0, "1e3 bit", "1.5 KiB", "8 MiB", {"capacity": "64 KiB"},
         {"capacity": "64 KiB", "ports": "1rw"}, {"capacity": "192 KiB", "gate_by_channel": True}],
        [64, "64 KB", "64", "64 kiB", True, None, {"ports": "1rw"}, {"capacity": 64}, {"capacity": "64 KiB", "ports": "2rw"},
         {"capacity": "64 KiB", "gate": True}]),
    "memories.banks": ([{"weight": 4}, {}], [{"weight": "4"}, {"weight": 0}, {"weights": 4}, None]),
    "technology.vdd_v": ([0.9, 1], ["0.9", 5, None]),
    "technology.temperature_k": ([300, 360], [310, "300"]),
    "channel.energy_pj_per_bit": ([None, 2, 0.5], ["2", 0, True]),
    "network": ([None, LINKS, LINKS | {"placement": {"conv1": "core"}}, LINKS | {"placement": {"conv1": ["core"]}},
                 LINKS | {"placement": "spread"}, LINKS | {"buffer_planes": None}],
                [{"mesh": [2, 2]}, LINKS | {"placement": "x"}, LINKS | {"placement": {"conv1": [3]}},
                 LINKS | {"buffer_planes": "5"}]),
    "description": (["x", ""], [5, None]),
}
"""By field: ways to write it that are read, and that are refused."""


def written(field: str, value: Any) -> dict[str, Any]:
    made = copy.deepcopy(CORE)
    *outer, last = field.split(".")
    place = made
    for name in outer:
        place = place.setdefault(name, {})
    place[last] = value
    return made


CASES = [(field, value, right) for field, (good, bad) in WAYS.items() for values, right in ((good, True), (bad, False))
         for value in values]


@pytest.mark.parametrize(("field", "value", "right"), CASES, ids=str)
def test_reader_and_schema_take_the_same(field: str, value: Any, right: bool) -> None:
    data = written(field, value)
    if right:
        rebuild_architecture(copy.deepcopy(data))
    else:
        with pytest.raises(ArchitectureError):
            rebuild_architecture(copy.deepcopy(data))
    assert SCHEMA.is_valid(data) == right


def test_a_quoted_number_is_told_with_its_line(tmp_path: Any) -> None:
    path = tmp_path / "quoted.yaml"
    path.write_text((ROOT / "arch_configs" / "event_core_64.yaml").read_text().replace("lanes: 64", "lanes: '64'"))
    with pytest.raises(ArchitectureError, match=r"quoted.yaml:\d+: core.lanes: .*'64'.* without quotes"):
        load_architecture(path)
