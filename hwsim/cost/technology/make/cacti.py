"""Makes the rows of a CACTI sweep again: `python -m hwsim.cost.technology.make.cacti CACTI SWEEP.csv.gz [--check] [--own]`.

CACTI is the program of CACTI 7, in its own folder with tech_params. The sweep says which memories: capacity (bytes), word
(bits), cell, temperature (K), ports, and the organisation that was chosen for each (Ndwl/Ndbl/Nspd/Ndcm/Ndsam1/Ndsam2), which
CACTI is told to take. The rows go to the standard output in the sweep's format; hwsim/cost/technology/make/memories.py makes the
profiles of them. --check says instead how far each column is from the sweep's. --own lets CACTI choose the organisation of least
read energy.
"""

from __future__ import annotations

import argparse
import csv
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from hwsim.cost.technology.make.memories import Row, read_sweep
from hwsim.errors import HwsimError

PORTS = {"1RW": (1, 0, 0), "1R1W": (0, 1, 1)}
"""Ports that read or write, that read, that write."""
SUPPLY_COLUMN = {"itrs-hp": 0, "itrs-lstp": 1, "itrs-lop": 2}
FOUND = {
    "access_ns": r"Access time \(ns\): (\S+)", "cyc_ns": r"Cycle time \(ns\): +(\S+)",
    "rd_nJ": r"Total dynamic read energy per access \(nJ\): (\S+)",
    "wr_nJ": r"Total dynamic write energy per access \(nJ\): (\S+)",
    "leak_mW": r"Total leakage power of a bank \(mW\): (\S+)",
    "gleak_mW": r"Total gate leakage power of a bank \(mW\): (\S+)", "area_mm2": r"Data array: Area \(mm2\): (\S+)",
}
CHOSEN = ("Ndwl", "Ndbl", "Nspd", "Ndcm", "Ndsam1", "Ndsam2")
CONFIGURATION = """\
-size (bytes) {capacity_B}
-block size (bytes) {block}
-output/input bus width {bits}
-associativity 1
-read-write port {rw}
-exclusive read port {r}
-exclusive write port {w}
-single ended read ports 0
-UCA bank count 1
-technology (u) 0.045
-Data array cell type - "{cell}"
-Data array peripheral type - "{cell}"
-Tag array cell type - "{cell}"
-Tag array peripheral type - "{cell}"
-operating temperature (K) {temp_K}
-cache type "ram"
-tag size (b) "default"
-access mode (normal, sequential, fast) - "normal"
-design objective (weight delay, dynamic power, leakage power, cycle time, area) 0:100:0:0:0
-deviate (delay, dynamic power, leakage power, cycle time, area) 100000:100000:100000:100000:100000
-NUCAdesign objective (weight delay, dynamic power, leakage power, cycle time, area) 100:100:0:0:100
-NUCAdeviate (delay, dynamic power, leakage power, cycle time, area) 10:10000:10000:10000:10000
-Optimize ED or ED^2 (ED, ED^2, NONE): "NONE"
-Cache model (NUCA, UCA)  - "UCA"
-NUCA bank count 0
-Wire signaling (fullswing, lowswing, default) - "Global_30"
-Wire inside mat - "semi-global"
-Wire outside mat - "semi-global"
-Interconnect projection - "conservative"
-Core count 8
-Cache level (L2/L3) - "L3"
-Add ECC - "false"
-Print level (DETAILED, CONCISE) - "DETAILED"
-Print input parameters - "true"
-page size (bits) 8192
-burst length 8
-internal prefetch width 8
-Array Power Gating - "false"
-WL Power Gating - "false"
-CL Power Gating - "false"
-Bitline floating - "false"
-Interconnect Power Gating - "false"
-Power Gating Performance Loss 0.01
-num_clk  2
-mem_data_width 8
-num_bobs 1
-num_channels_per_bob 1
-DIMM model "ALL"
-Force cache config - "{force}"
-Ndwl {Ndwl}
-Ndbl {Ndbl}
-Nspd {Nspd}
-Ndcm {Ndcm}
-Ndsam1 {Ndsam1}
-Ndsam2 {Ndsam2}
"""


class CactiError(HwsimError):
    """A program that is not CACTI, or that refuses a memory; the text says what it said."""


def configuration(row: Row, own: bool = False) -> str:
    """What CACTI is asked for a row: its memory in the row's organisation, or in one of CACTI's choice."""
    rw, r, w = PORTS[row["ports"]]
    organisation = dict(zip(CHOSEN, row["org"].split("/"), strict=True))
    return CONFIGURATION.format(**row | organisation, block=int(row["bits"]) // 8, rw=rw, r=r, w=w, force=str(not own).lower())


def run(program: Path, row: Row, own: bool = False) -> Row:
    """The row as CACTI has it. Raises CactiError."""
    what = f"{program}: {row['capacity_B']} bytes x {row['bits']} bits, {row['cell']}, {row['ports']}, {row['org']}"
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "memory.cfg"
        asked.write_text(configuration(row, own))
        try:
            done = subprocess.run([program.absolute(), "-infile", asked], cwd=program.absolute().parent, capture_output=True,
                                  text=True, check=False)
        except OSError as error:
            raise CactiError(f"{program}: cannot be run ({error.strerror}); give the path of the program of CACTI 7") from None
    said = done.stdout
    values = {name: re.search(pattern, said) for name, pattern in FOUND.items()}
    if missing := [name for name, value in values.items() if value is None]:
        raise CactiError(f"{what}: found no {', '.join(missing)} in what it prints (exit status {done.returncode}): "
                         f"{(said + done.stderr).strip()[-200:]!r}; expected the report of CACTI 7 in its own folder")
    found = dict(row) | {name: value[1] for name, value in values.items() if value}
    found["vdd_v"] = str(supply_v(program, row["cell"]))
    if own:
        del found["org"]
    return found


def supply_v(program: Path, cell: str) -> float:
    """The supply of a kind of cell, V, in CACTI's table of the node."""
    table = program.absolute().parent / "tech_params" / "45nm.dat"
    try:
        line = next(line for line in table.read_text().splitlines() if line.startswith("-Vdd (V)"))
    except (OSError, StopIteration):
        raise CactiError(f"{table}: no line `-Vdd (V)`; the program of CACTI 7 must lie in its own folder") from None
    return float(line.split()[2 + SUPPLY_COLUMN[cell]])


def differences(old: Sequence[Row], new: Sequence[Row]) -> Iterator[str]:
    """Of each measured column, in how many rows it moved, and by how much at most."""
    for name in (*FOUND, "vdd_v"):
        moved = [(abs(float(b[name]) / float(a[name]) - 1), a) for a, b in zip(old, new, strict=True)]
        far, row = max(moved, key=lambda pair: pair[0])
        where = ", ".join(row[key] for key in ("capacity_B", "bits", "cell", "temp_K", "ports", "objective", "org"))
        yield (f"{name}: {sum(part > 1e-5 for part, _ in moved)} of {len(moved)} rows differ by more than 0.001 %"
               + (f", at most by {100 * far:.3g} % ({where})" if far else ""))


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("cacti", type=Path, help="the program of CACTI 7, in its own folder")
    options.add_argument("sweep", help="the csv whose memories are asked for, such as tests/data/cacti45_ports.csv.gz")
    options.add_argument("--check", action="store_true", help="say how far the rows are from the sweep's, instead of the rows")
    options.add_argument("--own", action="store_true", help="let CACTI choose the organisation of least read energy")
    options.add_argument("--every", type=int, default=1, help="only every n-th row")
    asked = options.parse_args()
    old = read_sweep(asked.sweep)[::asked.every]
    writer = csv.DictWriter(sys.stdout, list(old[0]), lineterminator="\n", restval="")
    if not asked.check:
        writer.writeheader()
    new = []
    for row in old:
        new.append(run(asked.cacti, row, asked.own))
        if not asked.check:
            writer.writerow(new[-1])
    for line in differences(old, new) if asked.check else ():
        print(line)


if __name__ == "__main__":
    main()
