"""Every event has a price on every design and in every table, or it is an error; overrides; a price list's identity."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from hwsim.activity import EVENTS, VOCABULARY
from hwsim.arch import Architecture, config_folders, dump_architecture, load_architecture, rebuild_architecture
from hwsim.cores.model import core_model
from hwsim.cost.energy import (
    PRICED,
    WIDE,
    EnergyError,
    NotProvisionedError,
    area,
    area_mm2,
    leakage,
    parse_overrides,
    price_hash,
    price_list,
)
from hwsim.cost.memory import macros
from hwsim.cost.technology.sources import CONFIDENCES, shipped
from hwsim.cost.technology.tables import unit_cost
from hwsim.view.style import UNITS as UNITS_SHOWN

SHIPPED = [name for name in sorted(p.stem for folder in config_folders() for p in folder.glob("*.yaml"))
           if load_architecture(name).is_one_core]
"""Chips of several are priced core by core: tests/chip/test_shipped_chips.py."""
FOUND = [name for name in SHIPPED if load_architecture(name).description.endswith("chosen by search")]
WRITTEN = [name for name in SHIPPED if name not in FOUND]
"""Designs that a search found differ from those that were written by hand in dataflows and sizes: default tables are enough."""
UNITS = [name for name in shipped("units") if name != "aladdin_40nm"]
CORE = "event_core_64"
OF_OTHER_DATAFLOWS = {"accumulator_access", *(f"{memory}_{way}_banks" for memory in ("membrane", "current")
                                             for way in ("read", "write"))}
NETWORK = {"link_bits", "link_hops"}
NOT_THERE = OF_OTHER_DATAFLOWS | NETWORK
"""Events that no design counts whose dataflow is the plain one, and that no table prices."""


def design(name: str = CORE, **changes: object) -> Architecture:
    """A shipped design with fields changed, `section__field=value`."""
    data = dump_architecture(load_architecture(name))
    for where, value in changes.items():
        section, field = where.split("__")
        data[section][field] = value
    return rebuild_architecture(data)


@pytest.mark.parametrize(("name", "units", "memory", "dram"), [
    *product(WRITTEN, UNITS, shipped("memory"), shipped("dram")), *product(FOUND, ["datta_45nm"], ["cacti_lop"], ["dramsim3"])])
def test_every_event_is_priced_on_every_design_in_every_table(name: str, units: str, memory: str, dram: str) -> None:
    arch = design(name, technology__units=units, technology__memory=memory, technology__dram=dram)
    prices = price_list(arch)
    absent = {e.name for e in VOCABULARY if e.unit.removesuffix("_memory") in arch.capacities
              and not arch.capacities[e.unit.removesuffix("_memory")]} | NOT_THERE
    absent -= {"accumulator_access"} if arch.only.has_accumulator_file else set()
    counted = core_model(arch.core.kind).events
    possible = set(PRICED) if counted is None else counted & set(PRICED)
    if arch.core.kind == "systolic":
        absent |= {"fifo_push", "fifo_pop", "spike_out"}  # nothing of an array does these
    assert {p.event for p in prices.prices()} == possible - absent
    for price in prices.prices():
        free = price.formula.startswith("0: ")
        assert free == (price.event == "reg_bits" and prices.logic is not None and not name.startswith("systolic")
                        or price.event == "payload_read_bits" and arch.only.entry_holds_values)
        assert (price.pj == 0) if free else (price.pj > 0)
        assert price.formula
        assert len(price.source) > 10
        assert price.confidence in CONFIDENCES
    for event in absent if counted is None else absent & counted:
        with pytest.raises(NotProvisionedError, match=f"{event}: {name} has no"):
            prices.price(event)
    for unit, charge in prices.every_charge():
        assert unit
        assert (charge.pj == 0) == charge.formula.startswith("0: ")
        assert charge.confidence in CONFIDENCES


def test_what_is_not_energy_has_no_price() -> None:
    prices = price_list(design())
    for event in set(EVENTS) - set(PRICED):
        with pytest.raises(EnergyError, match="counts cycles"):
            prices.price(event)
    with pytest.raises(EnergyError, match="no event of hwsim.activity"):
        prices.price("magic")


def test_an_event_that_nobody_priced_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:

    model = core_model("event")
    terms = model.terms
    monkeypatch.setattr(type(model), "terms", lambda self, one, bits: {k: v for k, v in terms(one, bits).items() if k != "cmp"})
    with pytest.raises(EnergyError, match="cmp: no price.*table datta_45nm"):
        price_list(design())


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_compute_prices_are_the_tables_units_at_the_designs_widths(bits: int) -> None:
    prices = price_list(design(core__potential_bits=bits))

    def unit(operation: str, *widths: int) -> float:
        return unit_cost("datta_45nm", operation, "energy_pj", widths or (bits,)).value

    assert prices.price("acc_add").pj == prices.price("bias_add").pj == unit("add")
    assert prices.price("cmp").pj == unit("compare")
    assert prices.price("reset_sub").pj == unit("reset")
    shifts = {prices.price(e).pj for e in ("weight_shift", "membrane_shift", "threshold_shift")}
    assert shifts == {unit("shift")}
    assert prices.price("leak").pj == pytest.approx(unit("shift") + unit("add"))
    assert prices.price("requant").pj == pytest.approx(unit("mult", bits, 16) + unit("add"))


def test_a_multiplication_is_charged_at_the_layers_payload_width() -> None:
    prices = price_list(design())
    by_width = [prices.price("mult", bits).pj for bits in range(1, 17)]
    assert by_width == sorted(by_width)
    assert prices.price("mult").pj == prices.price("mult", 8).pj == 0.2
    assert prices.price("mult", 4).pj == pytest.approx(0.1, rel=0.02)
    for event in PRICED:
        if event not in (*WIDE, *NOT_THERE) and "mask" not in event:
            assert prices.price(event, 4) == prices.price(event), "the payload matters to these only"
    with pytest.raises(NotProvisionedError, match="nothing to multiply"):
        price_list(design(core__payload_bits=0)).price("mult")


def test_rows_cost_what_their_memory_says_and_tokens_their_gates() -> None:
    arch = design()
    prices, memories = price_list(arch), macros(arch)
    for event, name in (("weight_read", "weight"), ("membrane_read_accumulate", "membrane"), ("buffer_read", "spike")):
        assert prices.price(event).pj == memories[name].read_pj
    assert prices.price("weight_write").pj == memories["weight"].write_pj
    token = 1 + 2 + arch.spike_buffer.address_bits + arch.core.payload_bits
    assert prices.price("fifo_push").pj == pytest.approx(token * (0.016 + 0.00066 * arch.core.fifo_depth))
    assert prices.price("fifo_pop").pj == pytest.approx(0.2), "an event in the address generator"
    assert prices.price("spike_out").pj == pytest.approx(0.064 + 0.0022 * 64)


def test_the_channel_can_say_its_own_price() -> None:
    assert price_list(design()).price("channel_read_bits").pj == 12.45
    own = price_list(design(channel__energy_pj_per_bit=3.5)).price("channel_write_bits")
    assert own.pj == 3.5
    assert "channel.energy_pj_per_bit" in own.source


# --- overrides -------------------------------------------------------------------------------------------------------


def test_overrides_replace_prices_and_say_so(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("acc_add: 0.05\ncmp: 0.02\nleakage_mw: {weight_memory: 1.5}\n")
    given = parse_overrides(file, ["cmp=0.01", "mult=0", "leakage_mw.fifo=0.25"])
    assert given == {"acc_add": 0.05, "cmp": 0.01, "mult": 0, "leakage_mw": {"weight_memory": 1.5, "fifo": 0.25}}
    prices = price_list(design(), given)
    for event, pj in (("acc_add", 0.05), ("cmp", 0.01), ("mult", 0.0)):
        assert (prices.price(event, 4).pj, prices.price(event).source) == (pj, "override")
    assert prices.price("bias_add").source != "override"
    leaks = leakage(design(), given).set_index("component")
    assert (leaks.loc["fifo", "leakage_mw"], leaks.loc["fifo", "source"]) == (0.25, "override")
    untouched = leakage(design()).set_index("component").drop(index=["fifo", "weight_memory"])["leakage_mw"]
    assert (leaks["leakage_mw"].drop(index=["fifo", "weight_memory"]) == untouched).all()
    assert price_list(design(), str(file)).price("cmp").pj == 0.02


@pytest.mark.parametrize(("wrong", "says"), [
    ({"acc_ad": 0.1}, "acc_ad: no such event; allowed are fifo_push, .*acc_add.*leakage_mw"),
    ({"cycles_busy": 0.1}, "cycles_busy: counts cycles"),
    ({"acc_add": -0.1}, "acc_add: found -0.1, allowed a number of at least 0"),
    ({"acc_add": float("nan")}, "acc_add: found nan"),
    ({"acc_add": float("inf")}, "acc_add: found inf"),
    ({"acc_add": "0.1"}, "acc_add: found '0.1'"),
    ({"acc_add": True}, "acc_add: found True"),
    ({"leakage_mw": 3}, "leakage_mw: found 3, allowed a mapping"),
    ({"leakage_mw": {"weight_memory": -1}}, "leakage_mw.weight_memory: found -1"),
    ({"leakage_mw": {"mask_memory": 1}}, "mask_memory: event_core_64 has no such component; allowed .*weight_memory"),
])
def test_a_wrong_override_is_one_clear_error(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(EnergyError, match=says):
        price_list(design(), wrong)


def test_all_mistakes_are_told_at_once_and_on_the_command_line_too(tmp_path: Path) -> None:
    with pytest.raises(EnergyError) as error:
        price_list(design(), {"acc_ad": 0.1, "cmp": -1})
    assert "acc_ad" in str(error.value)
    assert "cmp: found -1" in str(error.value)
    for item in ("acc_add", "acc_add=", "acc_add=cheap"):
        with pytest.raises(EnergyError, match="expected a number, as in acc_add=0.05"):
            parse_overrides(None, [item])
    for item in ("acc_add=-1", "acc_add=nan", "nothing=1"):
        with pytest.raises(EnergyError, match="allowed"):
            parse_overrides(None, [item])
    with pytest.raises(EnergyError, match="cannot be read"):
        parse_overrides(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(EnergyError, match=r"found \[1\], expected a mapping"):
        parse_overrides(tmp_path / "list.yaml")


def test_the_hash_is_of_the_numbers() -> None:
    arch, same = design(), price_hash(design())
    assert same == price_hash(arch, {}) == price_hash(arch, {"fifo_push": price_list(arch).price("fifo_push").pj})
    assert same != price_hash(arch, {"cmp": price_list(arch).price("cmp").pj}), "the papers' price is not that of its gates"
    others = [
        price_hash(arch, {"acc_add": 0.05}), price_hash(arch, {"leakage_mw": {"fifo": 0.0}}),
        price_hash(design(technology__units="nangate_45nm")), price_hash(design(technology__memory="cacti_hp")),
        price_hash(design(technology__temperature_k=360)), price_hash(design(technology__clock_gating="free_running")),
        price_hash(design(technology__dram="horowitz")),
        price_hash(design("event_core_16")),
    ]
    assert len({same, *others}) == 1 + len(others)


# --- area and leakage ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "units"), [*product(WRITTEN, UNITS), *product(FOUND, ["datta_45nm"])])
def test_nothing_leaks_that_takes_no_area_and_everything_says_its_source(name: str, units: str) -> None:
    arch = design(name, technology__units=units)
    areas, leaks = area(arch), leakage(arch)
    assert list(areas["component"]) == list(leaks["component"])
    assert areas["component"].is_unique
    assert (areas["area_um2"] > 0).all()
    assert (leaks["leakage_mw"] > 0).all()
    assert (areas["source"].str.len() > 10).all()
    assert (leaks["source"].str.len() > 10).all()
    assert area_mm2(arch) == pytest.approx(areas["area_um2"].sum() / 1e6)
    assert set(areas["component"]) <= set(UNITS_SHOWN), "figures have a colour for each"


def test_area_and_leakage_are_one_units_times_how_many_there_are() -> None:
    areas = area(design()).set_index("component")["area_um2"]
    leaks = leakage(design()).set_index("component")["leakage_mw"]
    assert areas["lane"] == pytest.approx(64 * 24 * 28.67)
    assert areas["lane"] == pytest.approx(64 * area(design(core__lanes=1)).set_index("component")["area_um2"]["lane"])
    assert areas["pooling_unit"] == pytest.approx(unit_cost("nangate_45nm", "add", "area_um2", (8,)).value + 8 * 5.852)
    assert leaks["multiplier"] == pytest.approx(64 * 8302e-6 * (0.9 / 1.1) ** 5)
    weight = macros(design())["weight"]
    assert (areas["weight_memory"], leaks["weight_memory"]) == (weight.area_um2, weight.leakage_mw)


def test_components_are_those_of_the_kind_of_core() -> None:
    counts = {name: area(load_architecture(name)).set_index("component")["count"] for name in SHIPPED}
    event, mac, array = counts["event_core_64"], counts["mac_core_64"], counts["systolic_8x8"]
    assert event["lane"] == event["multiplier"] == 64
    assert "requantiser" not in event
    assert mac["multiplier"] == mac["lane"] == mac["comparator"] == 64
    assert mac["requantiser"] == 1
    assert array["multiplier"] == array["accumulator"] == array["registers"] == 64
    assert array["requantiser"] == 8, "one a column"
    assert "multiplier" not in area(design(core__payload_bits=0)).set_index("component").index
    assert set(counts["odin"].index) == {"neuron", "controller", "fifo", "output_link", "sign_register", "synapse_update",
                                         "weight_memory", "membrane_memory"}, "units of its own, and the event core's FIFO"


def test_hot_memories_leak_more_and_units_as_before() -> None:
    cold, hot = (leakage(design(technology__temperature_k=t)).set_index("component")["leakage_mw"] for t in (300, 360))
    memories = cold.index.str.endswith("_memory") | (cold.index == "spike_buffer")
    assert (hot[memories] > 2 * cold[memories]).all()
    assert (hot[~memories] == cold[~memories]).all()


def test_importing_prices_loads_nothing_heavy() -> None:
    code = ("import sys, hwsim.cost.energy\n"
            "print(*(m for m in ('pandas', 'numba', 'h5py', 'matplotlib', 'simpy') if m in sys.modules))")
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
