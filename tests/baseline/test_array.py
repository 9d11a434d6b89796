"""Laws of the systolic array: its closed forms against the array moved cycle by cycle, and against published runs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.cores.systolic.array import Gemm, GemmCost, SystolicArray, gemm_cost
from tests.baseline import array_simulator
from tests.baseline.networks import VGG16
from tests.conftest import ROOT

DATAFLOWS = ("output_stationary", "weight_stationary", "input_stationary")
SIZES = st.tuples(*[st.integers(1, 5)] * 2, *[st.integers(1, 11)] * 3)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(sizes=SIZES, seed=st.integers(0, 2**32 - 1))
def test_closed_forms_are_what_the_moved_array_does(
    dataflow: str, sizes: tuple[int, int, int, int, int], seed: int
) -> None:
    rows, columns, m, n, k = sizes
    rng = np.random.default_rng(seed)
    inputs, weights = rng.integers(0, 16, (m, k)), rng.integers(-128, 128, (k, n))
    initial = rng.integers(-50, 50, n)
    log = array_simulator.run(rows, columns, dataflow, inputs, weights, initial)
    assert np.array_equal(log.product, inputs @ weights + initial)
    cost = gemm_cost(SystolicArray(rows, columns, dataflow), Gemm(m, n, k))
    for name in GemmCost.__dataclass_fields__:
        assert getattr(cost, name) == getattr(log, name), name


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_conservation_and_bounds(dataflow: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        rows, columns = (int(x) for x in rng.integers(1, 40, 2))
        gemm = Gemm(*(int(x) for x in rng.integers(1, 300, 3)))
        cost = gemm_cost(SystolicArray(rows, columns, dataflow), gemm)
        assert cost.macs == gemm.m * gemm.n * gemm.k
        assert cost.cycles * rows * columns >= cost.macs
        assert gemm.m * gemm.k <= cost.input_reads <= cost.macs
        assert gemm.k * gemm.n <= cost.weight_reads <= cost.macs
        assert gemm.m * gemm.n <= cost.result_words * columns
        if dataflow == "output_stationary":
            assert cost.partial_words == 0


@pytest.mark.parametrize(("dataflow", "streamed"), list(zip(DATAFLOWS, "kmn", strict=True)))
def test_one_element_takes_its_operand_in_or_its_sum_out_and_one_cycle_a_product(dataflow: str, streamed: str) -> None:
    gemm = Gemm(3, 5, 7)
    cost = gemm_cost(SystolicArray(1, 1, dataflow), gemm)
    folds = cost.macs // getattr(gemm, streamed)
    assert cost.cycles == folds * (getattr(gemm, streamed) + 1)


def test_a_product_that_fills_the_array_for_long_is_done_at_full_rate() -> None:
    cost = gemm_cost(SystolicArray(8, 8, "output_stationary"), Gemm(8, 8, 100_000))
    assert cost.macs / (64 * cost.cycles) == pytest.approx(1, abs=3e-4)


# SCALE-Sim v2's own golden reports (scalesim-project/scale-sim-v2, test/general/golden_trace_user_{os,ws,is} and
# test/golden_trace, 32 x 32 array): cycles without stalls, SRAM reads of inputs and weights, SRAM writes of outputs.
# The reports print the number of the last cycle, counted from 0, so one less than the number of cycles.
TEST_GEMM = Gemm(256, 128, 256)
ALEXNET_CONV1 = Gemm(55 * 55, 96, 11 * 11 * 3)


@pytest.mark.parametrize(("dataflow", "gemm", "last_cycle", "reads"), [
    ("weight_stationary", TEST_GEMM, 52_447 - 41_248, (262_144, 32_768)),
    ("input_stationary", TEST_GEMM, 19_984 - 5_777, (65_536, 262_144)),
    ("weight_stationary", ALEXNET_CONV1, 112_283, None),
])
def test_scale_sim_reports(dataflow: str, gemm: Gemm, last_cycle: int, reads: tuple[int, int] | None) -> None:
    cost = gemm_cost(SystolicArray(32, 32, dataflow), gemm)
    assert cost.cycles - 1 == last_cycle
    if reads:
        assert (cost.input_reads, cost.weight_reads) == reads
        row_folds = gemm.k // 32
        assert cost.partial_words * 32 + gemm.m * gemm.n == gemm.m * gemm.n * row_folds == 262_144


def test_scale_sim_output_stationary_report_lacks_the_drain_of_its_paper() -> None:
    """The tool's report overlaps the R cycles in which sums leave; the paper's formula, and ours, have them."""
    cost = gemm_cost(SystolicArray(32, 32, "output_stationary"), TEST_GEMM)
    folds = (256 // 32) * (128 // 32)
    assert cost.cycles - folds * 32 - 1 == 52_447 - 42_272
    assert (cost.input_reads, cost.weight_reads) == (262_144, 262_144)
    assert cost.result_words * 32 == 32_768


def test_scale_sim_utilisation_of_alexnet_conv1() -> None:
    cost = gemm_cost(SystolicArray(32, 32, "weight_stationary"), ALEXNET_CONV1)
    assert 100 * cost.macs / (1024 * (cost.cycles - 1)) == pytest.approx(91.68309650614964, abs=1e-11)


def vgg16_products() -> list[Gemm]:
    """The products of VGG-16 on CIFAR, whose tuple of channels and pools is VGG16, and of its read-out of ten classes."""
    found, channels, side = [], 3, 32
    for item in VGG16:
        if item == "pool":
            side //= 2
        else:
            found.append(Gemm(side * side, int(item), 9 * channels))
            channels = int(item)
    return [*found, Gemm(1, 10, channels * side * side)]


def drain_table() -> list[str]:
    """Cycles by the paper's formula, which hwsim follows, and by SCALE-Sim v2: its golden report, or its rule (*)."""
    lines = ["| product M x N x K | array | dataflow | folds | the paper, hwsim | SCALE-Sim's tool | fewer |",
             "|---|---|---|---|---|---|---|"]
    for name, gemms, size, dataflow, reported in (
        ("256 x 128 x 256", [TEST_GEMM], 32, "output_stationary", 52_447 - 42_272 + 1),
        ("256 x 128 x 256", [TEST_GEMM], 32, "weight_stationary", 52_447 - 41_248 + 1),
        ("256 x 128 x 256", [TEST_GEMM], 32, "input_stationary", 19_984 - 5_777 + 1),
        ("AlexNet conv1, 3,025 x 96 x 363", [ALEXNET_CONV1], 32, "weight_stationary", 112_283 + 1),
        ("VGG-16 on CIFAR, 14 products", vgg16_products(), 8, "output_stationary", None),
    ):
        costs = [gemm_cost(SystolicArray(size, size, dataflow), gemm) for gemm in gemms]
        cycles = sum(cost.cycles for cost in costs)
        folds = sum(cost.cycles // (2 * size + size + getattr(gemm, dict(zip(DATAFLOWS, "kmn", strict=True))[dataflow]) - 2)
                    for cost, gemm in zip(costs, gemms, strict=True))
        tool = cycles - folds * size if reported is None else reported
        less = cycles - tool
        assert less in (0, folds * size), name
        fewer = f"{less:,} = {folds:,} x {size} ({100 * less / cycles:.1f} %)" if less else "0"
        lines.append(f"| {name} | {size} x {size} | {dataflow.replace('_', ' ')} | {folds:,} | {cycles:,} | "
                     f"{tool:,}{'*' if reported is None else ''} | {fewer} |")
    return lines


def test_the_page_shows_where_the_tool_and_its_paper_differ() -> None:
    page = (ROOT / "docs" / "baselines.md").read_text()
    for line in drain_table():
        assert line in page, line
