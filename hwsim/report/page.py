"""`report`: saved runs as one HTML file. Style, script and figures stand in it, and its policy forbids to load anything else.

What comes from files (names of traces, designs, layers; sources of price tables) is text and is escaped.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim import __version__
from hwsim.chip.model import chip_model
from hwsim.cost.energy import NOT_MODELLED
from hwsim.cost.overridden import overridden_text
from hwsim.diff import Difference
from hwsim.diff.moved import PARTS
from hwsim.errors import HwsimError, shown
from hwsim.files import whole_file
from hwsim.report.compared import comparison, spiking_beside_ann
from hwsim.report.figures import figures
from hwsim.report.inline_svg import colours_of, in_the_dark
from hwsim.report.provenance import BIBTEX, design_file, is_shipped, provenance
from hwsim.report.quantities import Quantity, quantities
from hwsim.report.sources import Sources
from hwsim.report.tables import Explanation, Table, area_table, energy_table, layer_table
from hwsim.report.words import picojoules, share, si, signed
from hwsim.result_reader import load_result, made_with
from hwsim.view.labels import coding_label

if TYPE_CHECKING:
    from hwsim.result import Result
    from hwsim.result_reader import MadeWith

FOLDER = Path(__file__).resolve().parent / "templates"
MOST_RUNS = 24
"""Of one page: more are a study, whose rows `hwsim pareto` and `hwsim best` compare."""
HEADLINES = ("latency", "energy-core", "energy-system", "accuracy")
CARDS = ("cycles", "free-links", "operations", "utilisation", "energy-compute", "per-operation", "edp", "at-rate", "power",
         "area", "setup", "mismatches", "saturations")


class ReportError(HwsimError):
    """A page that cannot be made; the text says why."""


def report(runs: Sequence[str | Path], out: str | Path, title: str | None = None, command: str = "") -> Path:
    """Write the results saved in the folders `runs` as one HTML file.

    title     of the page; None: the name of the run, or how many there are.
    command   that made the page, to stand in it.
    Raises ReportError for no run, too many, one twice, or a package that is missing (extra `report`); ResultError, FileError.
    """
    folders = _checked(runs)
    results = [load_result(folder) for folder in folders]
    text = page(results, [made_with(folder) for folder in folders], title, command)
    with whole_file(out) as part:
        part.write_text(text, encoding="utf-8")
    return Path(out)


def _checked(runs: Sequence[str | Path]) -> list[Path]:
    if not runs:
        raise ReportError("found no run, expected one or more; name folders that `hwsim run --out` wrote")
    if len(runs) > MOST_RUNS:
        raise ReportError(f"found {len(runs)} runs, expected at most {MOST_RUNS} on a page; choose some, or compare them with "
                          "`hwsim sweep`, `hwsim pareto` and `hwsim best`")
    folders = [Path(run) for run in runs]
    for index, folder in enumerate(folders):
        if any(folder.exists() and other.exists() and folder.samefile(other) for other in folders[:index]):
            raise ReportError(f"{folder}: found one folder twice, expected different runs; leave one out")
    return folders


def page(results: Sequence[Result], made: Sequence[MadeWith | None], title: str | None = None, command: str = "") -> str:
    """The page as text. Raises ReportError where a package is missing."""
    template, assumptions = _environment().get_template("report.html.j2"), _assumptions()
    sources = Sources()
    sections = [_section(f"r{index + 1}", result, one, sources)
                for index, (result, one) in enumerate(zip(results, made, strict=True))]
    several = len(results) > 1
    shared = figures(results, "all") if several else []
    style, script = ((FOLDER / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    drawn = [figure.svg for figure in (*shared, *(one for section in sections for one in section["figures"]))]
    f = results[0].facts
    return template.render(
        title=title or (f"{len(results)} runs compared" if several else f"{f.trace} on {f.arch}"), version=__version__,
        sections=sections, shared=shared,
        comparison=comparison(results, [s["quantities"] for s in sections]) if several else None,
        beside=spiking_beside_ann(results), moved=_moved(results, made) if several else [], sources=sources.texts, bibtex=BIBTEX,
        style=style, script=script, script_hash=_csp_hash(script), colours=[(c, in_the_dark(c)) for c in colours_of(drawn)],
        assumptions=assumptions, not_modelled=NOT_MODELLED, command=command, cards=CARDS, headlines=HEADLINES)


def _csp_hash(script: str) -> str:
    return base64.b64encode(sha256(script.encode()).digest()).decode()


def _section(place: str, result: Result, made: MadeWith | None, sources: Sources) -> dict[str, Any]:
    """All that the page says of one run; its identities begin with `place`."""
    f = result.facts
    tables: dict[str, Table] = {}
    explanations: list[Explanation] = []
    for name, (table, why) in {"layers": layer_table(result, place), "lines": energy_table(result, place, sources),
                               "area": area_table(result, place, sources)}.items():
        tables[name] = table
        explanations += why
    found: dict[str, Quantity] = {quantity.key: quantity for quantity in quantities(result)}
    kind = coding_label(f.coding) if f.is_ann else f"{coding_label(f.coding)}, T = {f.timesteps}"
    return {
        "place": place, "facts": f, "kind": kind, "quantities": found, "tables": tables, "explanations": explanations,
        "cited": _cited(result, sources), "notes": _notes(result), "provenance": provenance(result, made),
        "design": None if is_shipped(result) else design_file(result), "description": result.architecture.description,
        "figures": figures([result], place)}


def _cited(result: Result, sources: Sources) -> dict[str, list[int]]:
    """By key of a quantity that prices or areas made, the numbers of their sources."""
    accounts = result.accounts
    lines = {scope: sorted({sources.number(str(text)) for text in accounts.loc[accounts["scope"].isin(parts), "source"]})
             for scope, parts in PARTS.items()}
    area = sorted({sources.number(str(text)) for text in result.area["source"]})
    made_by = {"energy-compute": "compute", "energy-core": "core", "energy-system": "system", "per-operation": "core",
               "edp": "system", "at-rate": "system", "power": "system", "setup": "system"}
    return {key: lines[scope] for key, scope in made_by.items()} | {"area": area}


def _notes(result: Result) -> list[str]:
    """What this run takes for granted, beside what no run models."""
    f, off = result.facts, ", ".join(f"{name} memory" for name in result.memories_off)
    unused = f"the trace does not use {'it' if ',' not in off else 'them'}"
    found = [
        f"{off}: off, without leakage and area, because {unused}." if off else "",
        "Timing only: nothing was computed, cycles and counts are those of the recorded spikes." if not result.task.check else "",
        "Nothing was compared: the trace has no weights or no outputs." if result.task.check and f.mismatches is None else "",
        f"{f.mismatches:,} outputs differ from the recording." if f.mismatches else "",
        f"{f.saturations:,} steps of the arithmetic were clipped." if f.saturations else "",
        "A quantised ANN: multi-bit activations in one step, no spikes; a replay skips activations of zero where the core can."
        if f.is_ann else "", chip_model(result.architecture).note, *result.clock_problems,
        overridden_text(result.architecture, result.overrides, result.used)]
    return [" ".join(text.split()) for text in found if text]


def _moved(results: Sequence[Result], made: Sequence[MadeWith | None]) -> list[Any]:
    """Each run held against the first."""
    return [Difference(results[0], result, (made[0], one))
            for result, one in list(zip(results, made, strict=True))[1:]]


def _setting(value: Any) -> str:
    """A setting's value, cut to what a table holds; a dash where it is absent."""
    return "-" if value is None else shown(value, 60, str)


def _environment() -> Any:
    """Jinja with escaping on and no silent gaps."""
    try:
        import jinja2
    except ModuleNotFoundError as error:
        raise ReportError(f"a report needs the package {error.name}; pip install 'hwsim[report]'") from None
    made = jinja2.Environment(loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    made.globals |= {"si": si, "picojoules": picojoules, "share": share, "signed": signed, "setting": _setting}
    return made


def _assumptions() -> str:
    """docs/assumptions.md as HTML, its links to other pages as plain words."""
    try:
        from markdown_it import MarkdownIt
    except ModuleNotFoundError as error:
        raise ReportError(f"a report needs the package {error.name}; pip install 'hwsim[report]'") from None
    here = Path(__file__).resolve()
    file = next((p for p in (here.parent / "assumptions.md", here.parents[2] / "docs" / "assumptions.md") if p.is_file()), None)
    if file is None:
        raise ReportError("assumptions.md is missing from the installation; install hwsim again")
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "image", "autolink"])
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", file.read_text(encoding="utf-8"))
    return reader.render("\n".join(text.splitlines()[1:]))
