"""Paths of tables start at the file that names them, wherever a command is called from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hwsim.arch import ArchitectureError, dump_architecture, load_architecture, rebuild_architecture
from hwsim.cost.energy import price_hash
from hwsim.cost.technology.sources import FOLDER
from hwsim.cost.technology.tables import unit_cost

CORE = "event_core_64"


def written(folder: Path, **technology: str) -> Path:
    """The core as a file in `folder`, with tables."""
    data = dump_architecture(load_architecture(CORE))
    data["technology"] |= technology
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    return folder / "mine.yaml"


def copied(kind: str, name: str, to: Path, **changes: Any) -> None:
    """A shipped table under another path."""
    data = yaml.safe_load((FOLDER / kind / f"{name}.yaml").read_text())
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json.dumps({**data, **changes}, indent=1))


def test_paths_start_at_the_architecture_and_not_at_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    design = written(tmp_path / "designs", memory="../tables/sram.yaml", units="units.yaml", dram=str(tmp_path / "dram.yaml"))
    copied("memory", "cacti_hp", tmp_path / "tables" / "sram.yaml")
    copied("units", "horowitz_45nm", tmp_path / "designs" / "units.yaml")
    copied("dram", "horowitz", tmp_path / "dram.yaml")
    by_name = written(tmp_path / "named", memory="cacti_hp", units="horowitz_45nm", dram="horowitz")
    expected = price_hash(load_architecture(by_name))
    assert expected != price_hash(load_architecture(CORE))
    (tmp_path / "elsewhere").mkdir()
    copied("units", "nangate_45nm", tmp_path / "elsewhere" / "units.yaml")
    for place, path in ((tmp_path, "designs/mine.yaml"), (tmp_path / "designs", "mine.yaml"),
                        (tmp_path / "elsewhere", design)):
        monkeypatch.chdir(place)
        loaded = load_architecture(path)
        assert price_hash(loaded) == expected, place
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert price_hash(rebuild_architecture(dump_architecture(loaded))) == expected, "a saved design finds them as well"


def test_an_error_names_the_architecture_and_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    design = written(tmp_path / "designs", memory="tables/sram.yaml")
    copied("memory", "cacti_hp", tmp_path / "tables" / "sram.yaml")
    monkeypatch.chdir(tmp_path)  # where the path would lead to a file
    line = next(n for n, text in enumerate(design.read_text().splitlines(), 1) if "sram.yaml" in text)
    with pytest.raises(ArchitectureError) as error:
        load_architecture("designs/mine.yaml")
    text = str(error.value)
    assert text.startswith(f"designs/mine.yaml:{line}: technology.memory: found 'tables/sram.yaml'")
    assert str(tmp_path / "designs" / "tables" / "sram.yaml") in text
    design.write_text(design.read_text().replace("lanes: 64", "lanes: -1"))
    with pytest.raises(ArchitectureError, match=r"technology.memory: found .*\n.*core.lanes: found -1"):
        load_architecture("designs/mine.yaml")


@pytest.mark.parametrize("value", [3, None, ["x.yaml"], "no_such_table"])
def test_what_is_no_path_is_told_as_before(tmp_path: Path, value: Any) -> None:
    design = written(tmp_path, memory=value)
    if value == "no_such_table":
        assert load_architecture(design).technology.memory == value
        return
    with pytest.raises(ArchitectureError, match="technology.memory: found"):
        load_architecture(design)


def test_a_table_borrows_from_the_file_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "tables"
    copied("units", "nangate_45nm", folder / "lender.yaml")
    mine = yaml.safe_load((FOLDER / "units" / "horowitz_45nm.yaml").read_text())
    lent = {"borrow": "lender.yaml", "because": "the report has no adder"}
    mine["operations"]["add"] = dict.fromkeys(("energy_pj", "area_um2", "leakage_nw"), lent)
    (folder / "mine.yaml").write_text(json.dumps(mine, indent=1))
    found, lender = (unit_cost(name, "add", "energy_pj", (24,)) for name in (str(folder / "mine.yaml"), "nangate_45nm"))
    assert found.value == lender.value
    copied("memory", "cacti_hp", folder / "sweep.yaml")
    copied("memory", "horowitz", folder / "cache.yaml", borrow={"table": "sweep.yaml", "because": "it has no leakage"})
    lent_by = written(tmp_path / "designs", memory="../tables/cache.yaml")
    copied("memory", "horowitz", folder / "named.yaml", borrow={"table": "cacti_hp", "because": "it has no leakage"})
    assert price_hash(load_architecture(lent_by)) == price_hash(
        load_architecture(written(tmp_path / "designs", memory="../tables/named.yaml")))
