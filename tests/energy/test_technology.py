"""Tables are refused unless every number names its source; a new technology is one YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from hwsim.arch import Architecture, Technology, dump_architecture, load_architecture, rebuild_architecture
from hwsim.cores.model import core_model
from hwsim.cores.parts import WRITTEN_ONCE
from hwsim.cost.energy import EnergyError, price_list
from hwsim.cost.memory import macro
from hwsim.cost.technology.memory_tables import memory
from hwsim.cost.technology.sources import FOLDER, TechnologyError, shipped
from hwsim.cost.technology.tables import dram, unit_cost, units

LOADERS = {"units": units, "memory": memory, "dram": dram}
Node = Any


def tables() -> list[tuple[str, str]]:
    return [(kind, name) for kind in LOADERS for name in shipped(kind)]  # type: ignore[arg-type]


def raw(kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / kind / f"{name}.yaml").read_text())
    return found


def cited(node: Node, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all `source` and `form_source` fields."""
    if isinstance(node, dict):
        here = [(*path, k) for k in node if k == "source" or str(k).endswith("_source")]
        return here + [p for k, v in node.items() if k != "sources" for p in cited(v, (*path, k))]
    if isinstance(node, list):
        return [p for i, v in enumerate(node) for p in cited(v, (*path, i))]
    return []


def parent(data: Node, path: tuple[Any, ...]) -> Node:
    for part in path[:-1]:
        data = data[part]
    return data


def written(data: dict[str, Any], folder: Path, name: str = "trial") -> str:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(data))
    return str(path)


@pytest.mark.parametrize(("kind", "name"), tables())
def test_shipped_tables_load_and_are_named_after_their_file(kind: str, name: str) -> None:
    assert LOADERS[kind](name).name == name


@pytest.mark.parametrize(("kind", "name"), tables())
def test_a_number_without_a_source_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    by_place = {(path[2:3], path[-1]): path for path in cited(raw(kind, name))}  # one of each quantity and field
    for i, path in enumerate(by_place.values()):
        data = raw(kind, name)
        del parent(data, path)[path[-1]]
        file = written(data, tmp_path, f"without{i}")
        with pytest.raises(TechnologyError) as error:
            LOADERS[kind](file)
        assert file in str(error.value)
        assert ".".join(map(str, path)) in str(error.value)
        assert "names its source" in str(error.value)


@pytest.mark.parametrize(("kind", "name"), tables())
def test_a_source_that_is_not_listed_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    data = raw(kind, name)
    path = cited(data)[-1]
    parent(data, path)[path[-1]] = "hearsay"
    with pytest.raises(TechnologyError, match="'hearsay', which is not one of the listed sources"):
        LOADERS[kind](written(data, tmp_path))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -0.1, 0, True, "0.1"])
def test_a_number_that_is_no_price_is_refused(wrong: object, tmp_path: Path) -> None:
    data = raw("units", "datta_45nm")
    data["operations"]["add"]["energy_pj"]["points"][0]["value"] = wrong
    with pytest.raises(TechnologyError, match=r"operations\.add\.energy_pj\.points\.0\.value|:[0-9]+: \.(nan|inf): "):
        units(written(data, tmp_path))


def test_a_source_says_how_sure_it_is(tmp_path: Path) -> None:
    data = raw("units", "datta_45nm")
    data["sources"]["table4"]["confidence"] = "certain"
    with pytest.raises(TechnologyError, match="sources.table4.confidence: found 'certain'"):
        units(written(data, tmp_path))


def test_unknown_tables_are_answered_with_the_known_ones() -> None:
    for kind, loader in LOADERS.items():
        for name in ("no_such_table", "../units/datta_45nm", "no_such.yaml"):
            with pytest.raises(TechnologyError, match=shipped(kind)[0]):  # type: ignore[arg-type]
                loader(name)


def test_a_table_may_borrow_of_itself_but_not_in_a_circle(tmp_path: Path) -> None:
    data = raw("units", "datta_45nm")
    data["name"] = "mine"
    data["operations"]["add"]["energy_pj"]["points"][0]["value"] = 0.04
    data["operations"]["reset"]["energy_pj"]["borrow"] = "mine"
    data["operations"]["clear"]["energy_pj"] = {"borrow": "mine", "operation": "clear", "because": "it is the same one"}
    file = written(data, tmp_path)
    assert unit_cost(file, "reset", "energy_pj", (8,)).value == 0.04
    with pytest.raises(TechnologyError, match="operations.clear.energy_pj borrows in a circle"):
        unit_cost(file, "clear", "energy_pj", (8,))


def with_technology(arch: Architecture, **changes: str) -> Architecture:
    data = dump_architecture(arch)
    data["technology"].update(changes)
    return rebuild_architecture(data)


def test_an_operation_that_the_table_lacks_is_an_error_that_says_what_to_add(tmp_path: Path) -> None:
    arch = load_architecture("event_core_64")
    data = raw("units", "datta_45nm")
    del data["operations"]["compare"]
    file = written(data, tmp_path)
    with pytest.raises(EnergyError) as error:
        price_list(with_technology(arch, units=file))
    for said in ("cmp", file, "add operations.compare.energy_pj"):
        assert said in str(error.value)
    with pytest.raises(EnergyError, match="no operation 'add'"):
        price_list(with_technology(arch, units="aladdin_40nm"))


def test_registers_are_never_charged_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers of lanes are in the clock of the gates. Of a core that was not synthesised, a table that includes registers makes
    reg_bits an explicit zero with its reason; FIFOs are still charged."""
    clocked = price_list(load_architecture("event_core_64")).price("reg_bits")
    assert (clocked.pj, clocked.formula[:9]) == (0, "0: within")
    model = core_model("odin")
    monkeypatch.setattr(type(model), "events", model.events | {"reg_bits"})
    registers = dict.fromkeys(("reg_bits", "fifo_push", "fifo_pop", "spike_out"), (("register", (13,)),))
    terms = {**model.terms(None, None), **registers, "reg_bits": (("register", (1,)),)}
    monkeypatch.setattr(type(model), "terms", lambda self, design, bits: terms)
    monkeypatch.setattr(type(model), "logic", lambda self, design, bits: None)
    arch = load_architecture("odin")
    data = raw("units", "datta_45nm")
    data["includes_registers"] = True
    data["sources"]["registers"]["text"] = "this table's operations hold their operand registers"
    inside = price_list(with_technology(arch, units=written(data, tmp_path)))
    outside = price_list(arch)
    assert outside.price("reg_bits").pj == 0.009
    assert inside.price("reg_bits").pj == 0
    assert "include their registers" in inside.price("reg_bits").formula
    assert "hold their operand registers" in inside.price("reg_bits").source
    assert inside.price("fifo_push").pj == outside.price("fifo_push").pj > 0


def test_a_new_memory_technology_is_one_file(tmp_path: Path) -> None:
    data = raw("memory", "cacti_lop")
    data["name"] = "mine"
    for array in data["arrays"]:
        array["read_pj"] = [3 * pj for pj in array["read_pj"]]
    mine, lop = (macro("weight", 8 * 2**10 * 8, 64, Technology(memory=name), WRITTEN_ONCE)
                 for name in (written(data, tmp_path), "cacti_lop"))
    assert mine.read_pj == pytest.approx(3 * lop.read_pj)
    assert (mine.write_pj, mine.leakage_mw) == (lop.write_pj, lop.leakage_mw)


def test_writes_cost_what_the_profile_says_of_reads_where_it_has_only_these(tmp_path: Path) -> None:
    data = raw("memory", "horowitz")
    data["write_over_read"]["value"] = 1.2
    prices = price_list(with_technology(load_architecture("event_core_64"), memory=written(data, tmp_path)))
    for memory_of in ("weight", "current", "bias", "buffer"):
        read, write = prices.price(f"{memory_of}_read"), prices.price(f"{memory_of}_write")
        assert write.pj == pytest.approx(1.2 * read.pj)
        assert "x 1.2 write / read" in write.formula
