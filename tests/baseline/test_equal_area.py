"""Equal area: the largest design that still fits, with any growing area."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.arch import Architecture, load_architecture
from hwsim.baseline.equal_area import EqualAreaError, equal_area_lanes, equal_area_rows


def affine(arch: Architecture) -> float:
    """2 mm2 of memories and 0.01 mm2 an adder."""
    return 2 + 0.01 * arch.pe_count


@pytest.mark.parametrize("adders", [1, 2, 63, 64, 65, 1000, 4096])
def test_a_designs_own_area_gives_its_own_lanes(adders: int) -> None:
    arch = load_architecture("mac_core_64")
    assert equal_area_lanes(arch, affine(arch.with_core(lanes=adders)), affine) == adders


def test_what_fits_is_the_largest_that_fits() -> None:
    arch, array = load_architecture("mac_core_64"), load_architecture("systolic_8x8")
    for target in np.random.default_rng(0).uniform(2.2, 30, 50):
        lanes = equal_area_lanes(arch, target, affine)
        assert affine(arch.with_core(lanes=lanes)) <= target < affine(arch.with_core(lanes=lanes + 1))
        rows = equal_area_rows(array, target, affine)
        assert affine(array.with_core(rows=rows)) <= target < affine(array.with_core(rows=rows + 1))
        assert array.with_core(rows=rows).row_bits == array.row_bits, "memories keep their shape"


def test_the_largest_design_there_is_bounds_the_search() -> None:
    arch, array = load_architecture("mac_core_64"), load_architecture("systolic_8x8")
    assert equal_area_lanes(arch, 1e9, affine) == 4096
    assert equal_area_rows(array, 1e9, affine) == 1024


def test_what_cannot_be_is_refused() -> None:
    arch, array = load_architecture("mac_core_64"), load_architecture("systolic_8x8")
    with pytest.raises(EqualAreaError, match="more than the target 2 mm2"):
        equal_area_lanes(arch, 2.0, affine)
    with pytest.raises(EqualAreaError, match="use equal_area_rows"):
        equal_area_lanes(array, 5.0, affine)
    with pytest.raises(EqualAreaError, match="use equal_area_lanes"):
        equal_area_rows(arch, 5.0, affine)
