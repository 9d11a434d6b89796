"""A node or supply beyond the tables, a price that is missing: one error, and what it says would work does work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import hwsim
from hwsim.arch import Architecture, dump_architecture, load_architecture, rebuild_architecture
from hwsim.cost.energy import EnergyError, check_prices, price_hash
from hwsim.cost.technology.scaling import ScalingError
from hwsim.cost.technology.sources import FOLDER, shipped
from hwsim.cost.what_works import NODES_NM, SUPPLIES_V
from tests.conftest import ROOT

CORE = "event_core_64"


def at(**technology: Any) -> Architecture:
    data = dump_architecture(load_architecture(CORE))
    return rebuild_architecture({**data, "technology": data["technology"] | technology})


def works(**technology: Any) -> bool:
    try:
        check_prices(at(**technology))
    except ScalingError:
        return False
    return True


def inside(text: str, number: float) -> bool:
    """Whether a list of ranges such as `22, 45 to 65` holds a number."""
    ranges = [[float(end) for end in part.split(" to ")] for part in text.split(", ")]
    return any(run[0] <= number <= run[-1] for run in ranges)


@given(st.sampled_from(NODES_NM[2:9]), st.sampled_from(SUPPLIES_V), st.sampled_from(shipped("memory")),
       st.sampled_from(["lp", "hp"]))
@settings(max_examples=4, deadline=None)
def test_what_an_error_says_would_work_works_and_nothing_else_that_was_tried(
    node: float, volts: float, memory: str, family: str
) -> None:
    asked = {"node_nm": node, "vdd_v": volts, "memory": memory, "family": family, "leakage_over_table": 2.0}
    if works(**asked):
        return
    with pytest.raises(ScalingError) as error:
        check_prices(at(**asked))
    said = str(error.value).splitlines()[-1]
    assert said.startswith("What would work")
    for field, pattern, tried in (("vdd_v", r"technology.vdd_v of ([^;]*) V", SUPPLIES_V),
                                  ("node_nm", r"technology.node_nm of ([^;(]*)", NODES_NM)):
        found = re.search(pattern, said)
        for value in tried[node > 40 :: 5]:
            named = found is not None and inside(found.group(1), value)
            assert named == works(**{**asked, field: value}), (said, field, value)
    found = re.search(r"technology.memory: ([^;(]*)", said)
    named = set(found.group(1).strip().split(" or ")) if found else set()
    assert named == {name for name in shipped("memory") if works(**{**asked, "memory": name})}
    assert ("more than one change" in said) == (not re.search("technology", said.replace("technology.leakage_over_table", "")))


def test_the_default_tables_name_their_common_range() -> None:
    for volts, more in ((0.6, ""), (1.0, "; technology.memory: cacti_hp or cacti_lstp")):
        with pytest.raises(ScalingError, match=rf"What would work, one at a time: technology.vdd_v of 0.7 to 0.9 V{more}$"):
            price_hash(at(vdd_v=volts))
    with pytest.raises(ScalingError, match="technology.node_nm of 22 to 45 .with technology.leakage_over_table"):
        hwsim.simulate(ROOT / "traces" / "fashion_mnist_bit_serial_t4.h5", at(node_nm=28), samples=1)


def test_all_missing_prices_are_one_error(tmp_path: Path) -> None:
    table = yaml.safe_load((FOLDER / "units" / "datta_45nm.yaml").read_text())
    for operation in ("add", "compare"):
        del table["operations"][operation]
    table["operations"]["reset"]["energy_pj"] = {"borrow": "horowitz_45nm", "because": "this table has no reset"}
    (tmp_path / "units.yaml").write_text(yaml.safe_dump(table))
    with pytest.raises(EnergyError) as error:
        check_prices(at(units=str(tmp_path / "units.yaml")))
    lines = str(error.value).splitlines()
    assert any(re.match("acc_add, bias_add.*: no price: .* add operations.add.energy_pj", line) for line in lines)
    assert any(re.match("cmp: no price: .* add operations.compare.energy_pj", line) for line in lines)
