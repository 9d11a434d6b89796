"""Steps that write whole pages by commands of their own, run notebooks, and fill the README's table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from benchmarks.headlines.blocks import table
from benchmarks.headlines.designs import reported
from benchmarks.headlines.replays import ANN, RATES, ROOT, SERIAL, core_uj, system_uj
from hwsim.files import whole_file

NOTEBOOKS = ("01_replay_and_compare", "02_accuracy_against_energy", "03_who_wins")
EARLIER = "**Of earlier prices:**"
"""Begins the last paragraph of a page's head that is untrue as soon as the page is made again."""
ASSUMED = 16
"""Samples of the page on others' assumptions, as it says itself."""


def readme(work: Path) -> dict[str, str]:
    """The best reference design of each code and the array, with accuracies."""
    found = reported()
    shown = [found[SERIAL][0], found[RATES[0]][0], found[ANN][0], *(r for r in found[ANN] if r.architecture.name == "systolic"),
             *(r for r in found[SERIAL] if r.architecture.name == "event_core_64")]
    codes = {"bit_serial": "bit-serial SNN, T = 4", "rate": "rate-coded SNN, T = 4", "quantised": "quantised ANN"}
    return {"readme": table(("network", "design", "accuracy %", "us", "core uJ", "system uJ", "mm2"), [
        (codes[r.facts.coding], f"`{r.architecture.name}`", f"{r.facts.accuracy_test_set:.2f}", f"{r.latency_s * 1e6:.0f}",
         f"{core_uj(r):.2f}", f"{system_uj(r):.2f}", f"{r.area_mm2:.2f}") for r in shown])}


def _command(*words: str) -> str:
    """Runs a command in the root of the tree. Raises SystemExit where it fails."""
    done = subprocess.run([sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"headlines: {' '.join(words)}: ended with {done.returncode}")
    return done.stdout


def claims(work: Path) -> dict[str, str]:
    _command("-m", "hwsim", "claims", "--traces", "traces", "--out", str(work / "claims"))
    with whole_file(ROOT / "docs" / "figures" / "claims.png") as part:
        part.write_bytes((work / "claims" / "claims.png").read_bytes())
    return _page(work / "claims" / "claims.md", "claims.md")


def assumptions(work: Path) -> dict[str, str]:
    _command("-m", "hwsim", "assume", f"traces/{SERIAL}.h5", "--ann", f"traces/{ANN}.h5", "--samples", str(ASSUMED), "--out",
             str(work / "assume"))
    return _page(work / "assume" / "assume.md", "assumptions-of-others.md")


def _page(made: Path, name: str) -> dict[str, str]:
    with whole_file(ROOT / "docs" / name) as part:
        part.write_text(made.read_text(encoding="utf-8"), encoding="utf-8")
    return {}


def notebooks(work: Path) -> dict[str, str]:
    """Executes notebooks from top to bottom in their folder."""
    for name in NOTEBOOKS:
        path = ROOT / "notebooks" / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": str(path.parent)}}).execute()
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # times of this run, different every time
        with whole_file(path) as part:
            nbformat.write(notebook, part)
    return {}


def schedules(work: Path) -> dict[str, str]:
    """All tables of docs/schedules-table.md; its rows are kept, so that a stopped run goes on."""
    page = ROOT / "docs" / "schedules-table.md"
    head = page.read_text(encoding="utf-8").split("\n## ")[0].split(f"\n{EARLIER}")[0]
    made = _command("benchmarks/schedules.py", "--out", str(work / "schedules.jsonl"), "--figure",
                    str(ROOT / "docs" / "figures" / "cores.png"))
    with whole_file(page) as part:
        part.write_text(f"{head.rstrip()}\n\n{made.strip()}\n", encoding="utf-8")
    return {}
