"""Single arithmetic units are synthesised from expressions that compute what their names say."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from hwsim.rtl.gates.liberty import read_library
from hwsim.rtl.gates.netlist import synthesise
from hwsim.rtl.gates.simulate import Streams
from hwsim.rtl.priced_arithmetic import EXPRESSIONS, row_of, rows, verilog
from tests.rtl.test_gates import LIBERTY

BITS = 4
pytestmark = pytest.mark.skipif(shutil.which("yosys") is None, reason="yosys is not installed: nothing is synthesised")


def signed(value: int) -> int:
    return value - (1 << BITS) if value >> (BITS - 1) else value


MEANT = {
    "add": lambda a, b, g: a + b, "cmp": lambda a, b, g: int(signed(a) >= signed(b)), "shl": lambda a, b, g: a << b,
    "sar": lambda a, b, g: signed(a) >> b, "gatedsub": lambda a, b, g: a - (b if g else 0), "inc": lambda a, b, g: a + 1,
    "mul": lambda a, b, g: signed(a) * signed(b),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_unit_computes_what_its_name_says(name: str, tmp_path: Path) -> None:
    file = tmp_path / "tiny.lib"
    file.write_text(LIBERTY)
    library = read_library(file)
    streams = Streams(synthesise(verilog(name, BITS), "unit", library, file), 1, library.supply_v)
    draw, ports = random.Random(1), streams.netlist.inputs
    for _ in range(40):
        given = {port: draw.getrandbits(len(nets)) for port, nets in ports.items()}
        streams.step({port: [value >> i & 1 for i in range(len(ports[port]))] for port, value in given.items()})
        found = sum(bit << i for i, bit in enumerate(streams.output("y")))
        wanted = MEANT[name](given["a"], given.get("b", 0), given.get("g", 0))
        assert found == wanted & ((1 << len(streams.output("y"))) - 1)


def test_rows_are_those_that_are_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "tiny.lib"
    file.write_text(LIBERTY)
    library = read_library(file)
    (row,) = rows(library, str(file), "yosys", ["inc"])
    assert row == row_of("inc", 16, library, str(file), "yosys")
    assert row["unit"] == "inc16"
    assert float(row["energy_fj_0v9"]) == pytest.approx(0.81 * float(row["energy_fj_1v1"]), rel=0.01), "the library is of 1 V"
    assert row["critical_path_ns"] == ""
