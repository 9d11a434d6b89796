"""Energy is count times price and leakage is power times time; scopes nest; an explanation adds up."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.activity import EVENTS, INDEX, VOCABULARY
from hwsim.arch import load_architecture
from hwsim.cost.energy import (
    PRICED,
    EnergyError,
    NotProvisionedError,
    cycle_charges,
    leakage,
    price_activity,
    price_list,
    scopes,
)
from hwsim.cost.explanation import explain, explain_rows

ARCH = load_architecture("event_core_64")
THERE = [e for e in VOCABULARY if e.unit not in ("mask_memory", "accumulator_file", "link", "router")
         and not e.name.endswith("_banks") and e.name != "sum_add"]
PAYLOADS = {"conv1": 8, "conv2": 4}


def frame(rows: list[tuple[str, int, str, int]]) -> pd.DataFrame:
    data = [(layer, step, VOCABULARY[INDEX[event]].unit, event, count) for layer, step, event, count in rows]
    return pd.DataFrame(data, columns=["layer", "timestep", "unit", "event", "count"])


activities = st.lists(
    st.tuples(st.sampled_from(["conv1", "conv2"]), st.integers(0, 3), st.sampled_from([e.name for e in THERE]),
              st.integers(0, 10**9)), max_size=40).map(frame)


@given(activities, st.integers(0, 10**7))
@settings(max_examples=50, deadline=None)
def test_energy_is_count_times_price_and_leakage_power_times_time(activity: pd.DataFrame, cycles: int) -> None:
    prices = price_list(ARCH)
    energy = price_activity(activity, ARCH, cycles, PAYLOADS, value_bits=PAYLOADS)
    expected = {"compute": 0.0, "core": 0.0, "system": 0.0}
    for row in activity.itertuples():
        if row.event in PRICED:
            scope, bits = VOCABULARY[INDEX[row.event]].scope, PAYLOADS[row.layer]
            if scope == "compute":
                expected["compute"] += row.count * prices.price(row.event, bits).pj
            for _, price in prices.charges(row.event, bits):
                expected["system" if scope == "system" else "core"] += row.count * price.pj
    seconds = cycles / ARCH.clock
    expected["core"] += leakage(ARCH)["leakage_mw"].sum() * 1e-3 * seconds * 1e12
    expected["core"] += cycles * sum(pj for _, pj, _, _ in cycle_charges(ARCH))
    found = scopes(energy)
    assert found["compute"] == pytest.approx(expected["compute"])
    assert found["core"] == pytest.approx(expected["core"])
    assert found["system"] == pytest.approx(expected["core"] + expected["system"])
    assert found["core"] <= found["system"]
    whole = energy[energy["scope"] != "compute"]
    for key in ("unit", "component"):
        assert whole.groupby(key)["energy_pj"].sum().sum() == pytest.approx(found["system"])


@given(activities)
@settings(max_examples=25, deadline=None)
def test_energy_adds_up_whatever_the_cut(activity: pd.DataFrame) -> None:
    """Pricing layer by layer and adding is pricing all at once."""
    whole = scopes(price_activity(activity, ARCH, 0, PAYLOADS))
    parts = [scopes(price_activity(part, ARCH, 0, PAYLOADS)) for _, part in activity.groupby("layer")]
    for scope, pj in whole.items():
        assert sum(p[scope] for p in parts) == pytest.approx(pj)


def test_columns_and_their_order_and_the_leakage_rows() -> None:
    activity = frame([("conv1", 0, "mult", 10), ("conv2", 1, "mult", 10), ("conv2", 1, "cycles_busy", 7),
                      ("conv2", 2, "mask_read", 0)])
    energy = price_activity(activity, ARCH, 1000, PAYLOADS)
    assert list(energy) == ["layer", "timestep", "unit", "component", "event", "state", "scope", "count", "price_pj", "energy_pj",
                            "formula", "source"]
    work, leaks = energy[energy["event"] == "mult"], energy[energy["event"] == "leakage"]
    papers, gates = work[work["scope"] == "compute"], work[work["scope"] == "core"]
    assert list(papers["energy_pj"]) == [2.0, pytest.approx(1.0, rel=0.02)], "8 x 8 bit, then 8 x 4 bit"
    assert list(gates["energy_pj"]) == [pytest.approx(6.624), pytest.approx(6.624 * 0.5**1.211, rel=0.01)], "its gates, in core"
    clocked = energy[energy["event"] == "cycle"]
    assert set(clocked["unit"]) == {"clock", "sequencer"}
    assert set(clocked["layer"]) == {""}
    assert set(clocked["count"]) == {1000}
    assert set(leaks["layer"]) == {""}
    assert set(leaks["timestep"]) == {-1}
    assert set(leaks["scope"]) == {"core"}
    assert set(leaks["count"]) == {1000}
    assert set(leaks["unit"]) == {"leakage"}
    assert (set(work["state"]), set(leaks["state"])) == ({""}, {"on"})
    assert list(leaks["component"]) == list(leakage(ARCH)["component"])
    assert (work["component"] == work["unit"]).all()
    assert energy["timestep"].dtype == energy["count"].dtype == "int64"
    assert energy.notna().all().all()


def test_frames_by_sample_and_saved_frames_are_priced_alike(tmp_path: Path) -> None:
    activity = frame([("conv1", 0, "acc_add", 10), ("conv2", 1, "membrane_read_fire", 3)])
    by_sample = activity.drop(columns="timestep").assign(sample=[0, 1])
    assert scopes(price_activity(by_sample, ARCH, 5, {})) == scopes(price_activity(activity, ARCH, 5, {}))
    activity.to_csv(tmp_path / "activity.csv", index=False)
    back = pd.read_csv(tmp_path / "activity.csv")
    energy = price_activity(back, ARCH, 5, {})
    pd.testing.assert_frame_equal(energy, price_activity(activity, ARCH, 5, {}), check_dtype=False)
    energy.to_csv(tmp_path / "energy.csv", index=False)
    assert scopes(pd.read_csv(tmp_path / "energy.csv")) == pytest.approx(scopes(energy))


def test_an_unknown_event_an_absent_memory_and_an_unknown_payload_are_errors() -> None:
    odd = frame([("conv1", 0, "acc_add", 1)]).assign(event="acc_sub")
    with pytest.raises(EnergyError, match="acc_sub: no such event"):
        price_activity(odd, ARCH, 0, PAYLOADS)
    with pytest.raises(NotProvisionedError, match="mask_read: event_core_64 has no mask memory"):
        price_activity(frame([("conv1", 0, "mask_read", 1)]), ARCH, 0, PAYLOADS)
    with pytest.raises(EnergyError, match="layer conv3 multiplies"):
        price_activity(frame([("conv3", 0, "mult", 1)]), ARCH, 0, PAYLOADS)
    with pytest.raises(EnergyError, match="acc_add is counted less than 0 times"):
        price_activity(frame([("conv1", 0, "acc_add", -1)]), ARCH, 0, PAYLOADS)
    with pytest.raises(NotProvisionedError, match="payloads of 0 bits"):
        price_activity(frame([("conv1", 0, "mult", 1)]), ARCH, 0, {"conv1": 0})


def test_repricing_needs_the_activity_only() -> None:
    activity = frame([("conv1", 0, "acc_add", 1000)])
    cheap = price_activity(activity, ARCH, 0, PAYLOADS, {"acc_add": 0.05})
    assert scopes(cheap)["compute"] == pytest.approx(50.0)
    added = cheap[cheap["event"] == "acc_add"].set_index("unit")
    assert added.loc["accumulator", "source"] == added.loc["lane", "source"] == "override"
    assert added.loc["lane", "energy_pj"] == pytest.approx(50.0), "a price that is given holds in both accounts"
    assert (added.loc[["bypass", "wires"], "source"] != "override").all()


def test_an_explanation_adds_up_names_every_source_and_fits_a_terminal() -> None:
    activity = frame([(layer, step, e.name, 10**6 + i) for i, e in enumerate(THERE) for layer in PAYLOADS
                      for step in (0, 1)])
    energy = price_activity(activity, ARCH, 10**6, PAYLOADS)
    rows, totals = explain_rows(energy), scopes(energy)
    chip = [r for r in rows if r["scope"] != "compute"]
    assert sum(r["energy_pj"] for r in chip) == pytest.approx(totals["system"])
    assert sum(r["share"] for r in chip) == pytest.approx(1)
    for row in rows:
        assert row["count"] * row["price_pj"] == pytest.approx(row["energy_pj"])
    assert len([r for r in chip if r["event"] == "mult"]) == 2, "one line for each payload width"
    order = [("compute", "core", "system").index(r["scope"]) for r in rows]
    assert order == sorted(order)
    text = explain(energy)
    assert max(len(line) for line in text.splitlines()) <= 120
    for said in ("weight_read", "leakage weight_memory", "Table 4", "not modelled: wires within the logic", "cycle clock",
                 "acc_add wires", "DRAMsim3"):
        assert said in text
    absent = {e for e in EVENTS if e.endswith("_banks")} | {
        "mask_read", "mask_write", "accumulator_access", "link_bits", "link_hops", "sum_add"}
    assert all(e in {r["event"] for r in rows} | absent for e in EVENTS if e in PRICED)
