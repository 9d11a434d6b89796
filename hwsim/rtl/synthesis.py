"""What yosys makes of an exported core: gates by type, flip-flops, memory bits, and the longest path in gates.

The memories stay memories: their bits are counted, their cells and output registers are not mapped to gates. Gates are
yosys' own, mapped by abc without a library and without a clock to meet, so the numbers compare designs with one another and
promise no silicon.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwsim.errors import HwsimError

COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", flags=re.DOTALL)
# The steps of yosys' `synth` up to its coarse grain, then what follows in it but for the mapping of memories.
SCRIPT = """
read_verilog {verilog}
hierarchy -auto-top -check
proc
flatten
tee -q -o before.txt stat
synth -run coarse:fine
opt -fast -full
techmap
opt -fast
abc -fast
opt -fast
opt_clean
tee -q -o after.txt stat
tee -q -o path.txt ltp -noff
"""


class SynthesisError(HwsimError):
    """yosys is missing or refuses the file; the text says what to do or what yosys said."""


@dataclass(frozen=True)
class SynthesisReport:
    """cells   by type, flip-flops and memories left out.

    longest_path   gates between registers, memories or ports; the wires that it leads from and to.
    """

    module: str
    yosys: str
    cells: dict[str, int]
    flip_flops: int
    memories: int
    memory_bits: int
    longest_path: int
    path_from: str
    path_to: str

    @property
    def gates(self) -> int:
        return sum(self.cells.values())

    def body(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "gates": self.gates}


def synthesise(verilog: str | Path) -> SynthesisReport:
    """Run yosys on a Verilog file. Raises SynthesisError when there is no such file, no sound Verilog in it, or no yosys."""
    source = Path(verilog)
    _check_source(source)
    yosys = shutil.which("yosys")
    if yosys is None:
        raise SynthesisError("yosys is not installed, so there is nothing to report; install it (Debian: apt install yosys)")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        # Under a name of its own: yosys' scripts know no quotes.
        shutil.copyfile(source, place / "core.v")
        (place / "script.ys").write_text(SCRIPT.format(verilog="core.v"))
        done = subprocess.run([yosys, "-q", "script.ys"], cwd=place, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SynthesisError(f"{source}: yosys refuses it: {''.join((done.stderr or done.stdout).strip().splitlines()[-1:])}")
        before, after, path = ((place / name).read_text() for name in ("before.txt", "after.txt", "path.txt"))
    version = subprocess.run([yosys, "-V"], capture_output=True, text=True, check=False).stdout.strip()
    return _report(before, after, path, version)


def _check_source(source: Path) -> None:
    """SynthesisError unless the file is text with a Verilog module in it: yosys reports nothing about nothing."""
    advice = "make one with hwsim rtl export"
    if not source.is_file():
        raise SynthesisError(f"{source}: {'a folder, expected a Verilog file' if source.is_dir() else 'no such file'}; {advice}")
    try:
        text = source.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SynthesisError(f"{source}: not a text file, expected the Verilog of a core; {advice}") from None
    if not text.strip():
        raise SynthesisError(f"{source}: empty, expected the Verilog of a core; {advice}")
    if not re.search(r"^\s*(module|macromodule)\s", COMMENT.sub(" ", text), flags=re.MULTILINE):
        raise SynthesisError(f"{source}: no Verilog module in it, expected the Verilog of a core; {advice}")


def _report(before: str, after: str, path: str, version: str) -> SynthesisReport:
    counts = {name: int(number) for name, number in re.findall(r"^ +(\$\S+) +(\d+)$", after, flags=re.MULTILINE)}
    flip_flops = {name for name in counts if "DFF" in name}
    memories = {name for name in counts if name.startswith("$mem")}
    length = re.search(r"Longest topological path in (\S+) \(length=(\d+)\)", path)
    steps = re.findall(r"^ +\d+: (.*?)(?: \(via .*)?$", path, flags=re.MULTILINE) or ["", ""]
    return SynthesisReport(
        module=length[1] if length else "", yosys=version,
        cells={_plain(name): number for name, number in counts.items() if name not in flip_flops | memories},
        flip_flops=sum(counts[name] for name in flip_flops), memories=sum(counts[name] for name in memories),
        memory_bits=_number(r"Number of memory bits: +(\d+)", before), longest_path=int(length[2]) if length else 0,
        path_from=steps[0].lstrip("\\"), path_to=steps[-1].lstrip("\\"),
    )


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


def _plain(cell: str) -> str:
    """$_ANDNOT_ as ANDNOT."""
    return cell.strip("$_") or cell
