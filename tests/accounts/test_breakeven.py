"""Break-even rates: bills are straight lines in the spikes, and at the rate that is given both sides take the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hwsim.accounts.base import LacksInputError, total
from hwsim.accounts.breakeven import ALWAYS, NEVER, break_even, break_evens, rescaled
from hwsim.accounts.registry import all_accounts
from hwsim.accounts.work import Work, WorkError, count_work
from hwsim.cli import app
from hwsim.cli.breakeven import _cell
from hwsim.examples import example_path
from hwsim.trace.reader import Trace
from tests.conftest import ROOT

CHARGING = {account.name: account for account in all_accounts() if account.data.counts != "threshold"}


@pytest.fixture(scope="module")
def works() -> tuple[Work, Work]:
    """The hybrid single-spike network, under which no account lacks anything, and its ANN."""
    found = []
    for name in ("single_spike_t5", "ann_t4"):
        with Trace.open(ROOT / "traces" / "methods" / f"fashion_mnist_tiny_{name}.h5") as trace:
            found.append(count_work(trace, 2))
    return found[0], found[1]


@pytest.mark.parametrize("name", CHARGING)
def test_a_bill_is_a_straight_line_and_breaks_even_where_it_is_said(name: str, works: tuple[Work, Work]) -> None:
    account, (work, ann) = CHARGING[name], works
    assert total(account.snn(rescaled(work, 1.0, work.timesteps))) == pytest.approx(total(account.snn(work)))
    for steps in (1, 3, 8):
        none, once, thrice = (total(account.snn(rescaled(work, factor, steps))) for factor in (0.0, 1.0, 3.0))
        assert thrice - none == pytest.approx(3 * (once - none))
        found = break_even(account, work, ann, steps)
        rival = total(account.ann(rescaled(work, 1.0, steps), ann))
        if found.rate == NEVER:
            assert none >= rival
            continue
        assert found.rate is not None
        assert found.rate < ALWAYS
        factor = found.rate / (rescaled(work, 1.0, steps).spikes_per_neuron / steps)
        assert total(account.snn(rescaled(work, factor, steps))) == pytest.approx(rival)
        assert found.per_neuron == pytest.approx(rescaled(work, factor, steps).spikes_per_neuron)
        assert found.per_synapse == pytest.approx(rescaled(work, factor, steps).spikes_per_synapse)


def test_steps_change_what_is_done_in_each_step_and_nothing_else(works: tuple[Work, Work]) -> None:
    work, twice = works[0], rescaled(works[0], 1.0, 2 * works[0].timesteps)
    assert twice.spikes == pytest.approx(2 * work.spikes)
    assert twice.operations("spikes") == pytest.approx(2 * work.operations("spikes"))
    assert twice.operations("values") == work.operations("values")
    assert twice.dense_macs == work.dense_macs
    assert twice.spikes_per_neuron / twice.timesteps == pytest.approx(work.spikes_per_neuron / work.timesteps)


def test_movement_breaks_even_at_five_percent_for_five_steps(works: tuple[Work, Work]) -> None:
    """Yan's prices: 3 bits at 0.25 pJ against 5 s spikes at 3.0 pJ, s = 0.05; the abstract says 5.7 % with all the rest."""
    found = break_even(CHARGING["yan_movement"], *works, 5)
    assert found.rate == pytest.approx(3 * 0.25 / (5 * 3.0))


def test_additions_break_even_at_the_ratio_of_prices() -> None:
    """Two linear layers behind spikes: as many spikes per synapse as a MAC takes additions, 7.67 at 8 bits."""
    rng = np.random.default_rng(0)
    trace = Trace.from_arrays(rng.random((2, 4, 6, 1, 1)) < 0.3, [
        {"name": "a", "weights": rng.integers(1, 9, (5, 6)), "thresholds": 12},
        {"name": "b", "weights": rng.integers(1, 9, (3, 5)), "neuron": "read_out"}])
    found = break_even(CHARGING["additions_int8"], count_work(trace), None, 4)
    work = count_work(trace)
    # Both layers' spikes grow together, so the mean over synapses is of both; here it is put together again.
    everything = sum(sum(c.operations.values()) for c in work.synaptic) / work.samples
    factor = found.per_neuron / work.spikes_per_neuron
    assert factor * everything / sum(c.synapses for c in work.synaptic) == pytest.approx(0.23 / 0.03)


def test_what_is_lacking_is_said_and_what_cannot_be_is_refused(works: tuple[Work, Work], rate_trace: Trace) -> None:
    work = count_work(rate_trace)
    lacking = {b.account: b.lacks for b in break_evens(work, None, [2]) if b.lacks}
    assert set(lacking) == {"datta2024_int8_skipping", "datta2021", "neurobench"}
    with pytest.raises(LacksInputError):
        CHARGING["neurobench"].ann(work, None)
    with pytest.raises(WorkError, match="timesteps: found 0, allowed are 1 to 1024"):
        break_evens(work, None, [0])
    with pytest.raises(WorkError, match="found no spike, expected some"):
        break_evens(rescaled(work, 0.0, 3), None, [2])


def test_neurons_that_fire_once_cannot_spike_in_every_step(works: tuple[Work, Work]) -> None:
    """Of T = 5 steps in one at most: a rate of 0.2 is all that there is."""
    found = {b.timesteps: b for b in break_evens(*works, [1, 5]) if b.account == "additions_int8"}
    assert [found[t].highest for t in (1, 5)] == [1, 0.2]
    assert 0.2 < found[5].rate < 1  # as if they could fire more often, the SNN would win up to there
    assert _cell(found[5]) == "always"
    with Trace.open(example_path("rate")) as trace:
        assert all(b.highest == 1 for b in break_evens(count_work(trace, 1), None, [5]))


def test_a_bit_serial_trace_needs_no_trace_of_its_ann() -> None:
    arguments = ["breakeven", str(example_path("bit_serial")), "--samples", "1", "--timesteps", "4", "--json"]
    alone, given = (json.loads(CliRunner().invoke(app, [*arguments, *more]).stdout)
                    for more in ([], ["--ann", str(example_path("ann"))]))
    assert alone == given
    assert all(row["rate"] is not None for row in alone if row["account"] != "datta2021")


def test_the_command(tmp_path: Path, trace_files: dict[str, Path]) -> None:
    arguments = ["breakeven", str(trace_files["rate"]), "--ann", str(trace_files["quantised"]), "--timesteps", "2,5"]
    shown = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out")])
    assert shown.exit_code == 0
    assert max(map(len, shown.stdout.splitlines())) <= 120
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["breakeven.csv", "breakeven.png"]
    body = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert {row["timesteps"] for row in body} == {2, 5}
    assert next(r["rate"] for r in body if r["account"] == "yan_movement" and r["timesteps"] == 5) == pytest.approx(0.05)
    wrong = CliRunner().invoke(app, [*arguments[:-1], "2,x"])
    assert "--timesteps: found '2,x', expected whole numbers" in str(wrong.exception)


def test_an_ann_is_no_snn() -> None:
    done = CliRunner().invoke(app, ["breakeven", str(example_path("ann")), "--samples", "1"])
    assert isinstance(done.exception, WorkError)
    assert "is a quantised ANN, expected an SNN" in str(done.exception)
