"""A report's page: its numbers are the results', each has its source one click away, names are text, and nothing is loaded."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from matplotlib.figure import Figure

import hwsim
from hwsim.cost.explanation import explain_rows
from hwsim.examples import example_path
from hwsim.report import ReportError, figures, report
from hwsim.report.inline_svg import in_the_dark, inline_svg
from hwsim.report.page import page
from hwsim.report.provenance import BIBTEX, TITLE, design_file, design_hash, provenance, repeat
from hwsim.report.quantities import quantities
from hwsim.result_reader import MadeWith
from hwsim.versions import versions
from hwsim.view.figure_file import FigureError
from hwsim.view.style import CAUSES, INK, ON_CHIP, PALE, RULE, UNITS
from tests.cli.calling import answer, call
from tests.conftest import ROOT
from tests.report.page_reader import Element, read_page

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)"> "quoted" & {{ 7 * 7 }}'


@pytest.fixture(scope="module")
def runs() -> dict[str, hwsim.Result]:
    """An SNN, the ANN it came from, and the SNN at other prices."""
    snn = hwsim.simulate(hwsim.load_example("bit_serial"), "event_core_64", samples=2)
    return {"snn": snn, "ann": hwsim.simulate(hwsim.load_example("ann"), "mac_core_64", samples=2),
            "cheap": snn.reprice({"acc_add": 0.05})}


@pytest.fixture(scope="module")
def one(runs: dict[str, hwsim.Result]) -> str:
    return page([runs["snn"]], [None])


@pytest.fixture(scope="module")
def three(runs: dict[str, hwsim.Result]) -> str:
    return page(list(runs.values()), [None] * 3, command="hwsim report a b c")


@pytest.fixture(scope="module")
def read(one: str, three: str) -> dict[str, Element]:
    return {"one": read_page(one), "three": read_page(three)}


@pytest.mark.parametrize("which", ["one", "three"])
def test_every_number_opens_its_assumption_and_its_source(which: str, read: dict[str, Element]) -> None:
    """Numbers are buttons, in tables and cards alike; what each opens is there and says what it is and where from."""
    root = read[which]
    opened = {e.attributes["id"]: e for e in root.all("div", class_="why")}
    buttons = root.all("button", class_="n")
    assert len(buttons) > 300
    for button in buttons:
        assert button.attributes["popovertarget"] in opened, button.words
    for element in opened.values():
        said = dict(zip([e.words for e in element.all("dt")], [e.words for e in element.all("dd")], strict=True))
        assert said["source"], element.words
        assert said.get("computed") or said.get("what it is"), element.words
    bare = [cell.words for cell in root.all("td", class_="number") if not cell.all("button", class_="n")]
    assert bare == [], "cells of numbers that open nothing"
    bare = [cell.words for list_ in root.all("dl", class_="big") + root.all("dl", class_="small")
            for cell in list_.all("dd") if not cell.all("button", class_="n")]
    assert bare == []


def test_the_numbers_are_those_of_the_result(read: dict[str, Element], runs: dict[str, hwsim.Result]) -> None:
    result, root = runs["snn"], read["one"]
    shown = {dt.words: dd.words for name in ("big", "small") for list_ in root.all("dl", class_=name)
             for dt, dd in zip(list_.all("dt"), list_.all("dd"), strict=True)}
    expected = {quantity.label: quantity.text for quantity in quantities(result)}
    assert shown == expected
    assert shown["Cycles"].startswith(f"{result.cycles.mean():,.0f}")
    lines = rows_of(root, "r1-lines")
    wanted = explain_rows(result.accounts)
    events = [f"{r['event']}, {r['state']}" if r["state"] else r["event"] for r in wanted]
    assert [row[:3] for row in lines] == [[r["scope"], r["component"], event] for r, event in zip(wanted, events, strict=True)]
    energy = sum(float(row[5]) for row in lines if row[0] != "compute")
    assert energy == pytest.approx(result.energy_pj["system"])
    assert all(float(row[3]) * float(row[4]) == pytest.approx(float(row[5])) for row in lines)
    layers = rows_of(root, "r1-layers")
    assert [row[0] for row in layers] == result.facts.layers
    assert sum(float(row[5]) for row in layers) == pytest.approx(result.synaptic_operations)
    assert all(float(row[2]) + float(row[3]) + float(row[4]) == pytest.approx(1) for row in layers)
    assert sum(float(row[2]) for row in rows_of(root, "r1-areas")) == pytest.approx(result.area_mm2 * 1e6)


def test_a_chip_with_links_has_its_bound_on_the_page(runs: dict[str, hwsim.Result]) -> None:
    result = hwsim.simulate(hwsim.load_example("bit_serial"), "event_core_64_x4", schedule="pipelined", samples=1)
    root, free = read_page(page([result], [None])), result.free_links
    assert free is not None
    shown = {dt.words: dd.words for list_ in root.all("dl", class_="small")
             for dt, dd in zip(list_.all("dt"), list_.all("dd"), strict=True)}
    assert shown["If links cost nothing"].startswith(f"{free['cycles']:,.0f} cycles, ")
    assert all("If links cost nothing" != quantity.label for quantity in quantities(runs["snn"]))


def rows_of(root: Element, table: str) -> list[list[str]]:
    """What each cell of a table sorts by."""
    (found,) = root.all("table", id=table)
    (body,) = found.all("tbody")
    return [[cell.attributes["data-sort"] for cell in row.all("td")] for row in body.all("tr")]


def test_sources_are_numbered_once_and_cited(read: dict[str, Element], runs: dict[str, hwsim.Result]) -> None:
    root = read["three"]
    (listed,) = root.all("ol", class_="sources")
    texts = [item.words for item in listed.all("li")]
    used = {" ".join(str(s).split()) for r in runs.values() for s in {*r.accounts["source"], *r.area["source"]}}
    assert set(texts) == used
    assert len(texts) == len(set(texts))
    cited = {a.attributes["href"] for e in root.all("div", class_="why") for a in e.all("a")}
    assert cited == {f"#source-{n}" for n in range(1, len(texts) + 1)}


@pytest.mark.parametrize("which", ["one", "three"])
def test_the_page_loads_nothing(which: str, one: str, three: str, read: dict[str, Element]) -> None:
    text, root = {"one": one, "three": three}[which], read[which]
    everything = root.all()
    assert {e.tag for e in everything} & {"link", "iframe", "object", "embed", "img", "base", "form", "audio", "video"} == set()
    for element in everything:
        for name, value in element.attributes.items():
            if name in ("src", "href", "srcset", "data", "action", "poster", "background"):
                assert value.startswith(("#", "data:image/png;base64,")), (element.tag, name, value[:80])
            assert not name.startswith("on"), (element.tag, name)
            for target in re.findall(r"url\(([^)]*)\)", value):
                assert target.startswith("#")
    (style,) = root.all("style")
    assert "url(" not in style.text
    assert "@import" not in style.text
    assert "http:" not in style.text + root.all("script")[0].text
    policy = next(e.attributes["content"] for e in root.all("meta") if "http-equiv" in e.attributes)
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(sha256(script.group(1).encode()).digest()).decode()
    assert policy.startswith("default-src 'none'")
    assert f"script-src 'sha256-{digest}'" in policy


@pytest.mark.parametrize("which", ["one", "three"])
def test_identities_are_unique_and_links_lead_somewhere(which: str, read: dict[str, Element]) -> None:
    everything = read[which].all()
    count = Counter(e.attributes["id"] for e in everything if "id" in e.attributes)
    assert [name for name, times in count.items() if times > 1] == []
    links = {e.attributes["href"] for e in everything if e.attributes.get("href", "").startswith("#")}
    used = {target for e in everything for value in e.attributes.values() for target in re.findall(r"url\(#([^)]*)\)", value)}
    assert {link[1:] for link in links} | used <= set(count)


def test_names_from_files_are_text(runs: dict[str, hwsim.Result]) -> None:
    result = runs["snn"]
    design = result.architecture.model_copy(update={"description": HOSTILE})
    layers = [f"{HOSTILE}{i}" for i in range(len(result.facts.layers))]
    bits = dict(zip(layers, result.facts.payload_bits.values(), strict=True))
    odd = replace(result, facts=replace(result.facts, trace=HOSTILE, layers=layers, payload_bits=bits), architecture=design)
    text = page([odd], [MadeWith({"hwsim": HOSTILE}, ["hwsim", HOSTILE])], HOSTILE, HOSTILE)
    root = read_page(text)
    assert len(root.all("script")) == 1
    assert root.all("img") == []
    assert "<script>alert" not in text
    flat = " ".join(HOSTILE.split())
    (heading,) = root.all("h1")
    assert heading.words == flat
    assert {row[0] for row in rows_of(root, "r1-layers")} == set(odd.facts.layers)
    assert flat in root.all("section", id="cite")[0].words
    assert "49" not in heading.words, "a template in a name is not run"


def test_several_runs_stand_side_by_side(read: dict[str, Element], runs: dict[str, hwsim.Result]) -> None:
    root, (snn, ann, cheap) = read["three"], runs.values()
    rows = rows_of(root, "comparison-table")
    assert [float(row[1]) for row in rows] == [r.latency_s for r in runs.values()]
    assert [float(row[2]) for row in rows] == [r.energy_pj["core"] for r in runs.values()]
    beside = rows_of(root, "beside-table")
    assert [row[:2] for row in beside] == [["1", "2"], ["3", "2"]]
    for row, one in zip(beside, (snn, cheap), strict=True):
        assert float(row[2]) == pytest.approx(one.latency_s / ann.latency_s)
        assert [float(value) for value in row[3:6]] == pytest.approx([one.energy_pj[s] / ann.energy_pj[s] for s in one.energy_pj])
    words = root.all("section", id="beside")[0].words
    assert "Prices were overridden in one of them." in words
    moved = root.all("section", id="moved")[0].words
    assert "overrides.acc_add" in moved
    assert "prices made every change of energy" in moved
    assert "quantised ANN" in root.all("section", id="r2")[0].words.replace("A quantised", "quantised")
    assert "Multiply-accumulates" in root.all("section", id="r2")[0].words
    assert "Multiply-accumulates" not in root.all("section", id="r1")[0].words


def test_provenance_repeats_the_run(tmp_path: Path) -> None:
    """The command that the page gives makes the same run: the same counts at the same prices."""
    first = hwsim.simulate(hwsim.load_example("rate"), "event_core_16", schedule="step_by_step", samples=2,
                           overrides={"acc_add": 0.05, "leakage_mw": {"lane": "x0.5"}}, rate_hz=20)
    second = hwsim.simulate(hwsim.load_example("bit_serial"), "event_core_64", samples=1, check=False, leak_unused=True)
    assert second.run_id != second.reprice(leak_unused=False).run_id
    for name, result in (("rate", first), ("bit_serial", second)):
        words = repeat(result)
        assert words[2] == f"{result.facts.trace}.h5"
        body = answer(*words[1:2], example_path(name), *words[3:])
        assert (body["run_id"], body["at_rate"]["rate_hz"]) == (result.run_id, result.rate_hz)
    changed = first.priced(first.architecture.model_copy(update={"name": "mine", "clock": 10**8}))
    assert "mine.yaml" in repeat(changed)
    said = dict(provenance(changed, MadeWith(versions(), ["hwsim", "run", "my trace.h5"])))
    assert said["trace hash"] == first.facts.trace_hash
    assert said["design hash"] == design_hash(changed) != design_hash(first)
    assert (said["run"], said["simulation"]) == (changed.run_id, changed.sim_id)
    assert hwsim.__version__ in said["versions"]
    assert shlex.split(said["command"])[2] == "my trace.h5"
    (tmp_path / "mine.yaml").write_text(design_file(changed))
    assert hwsim.load_architecture(tmp_path / "mine.yaml") == changed.architecture


def test_the_citation_is_one() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (cited["title"], str(cited["version"]), cited["license"]) == (TITLE, hwsim.__version__, "Apache-2.0")
    assert all(words in BIBTEX for words in (TITLE, hwsim.__version__, cited["authors"][0]["name"]))


def luminance(colour: str) -> float:
    """WCAG 2's relative luminance of six digits."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_figures_can_be_read_in_the_dark() -> None:
    css = (ROOT / "hwsim" / "report" / "templates" / "report.css").read_text()
    papers = re.findall(r"--paper: #(\w{6}).*?--ink: #(\w{6}); --pale: #(\w{6})", css)
    assert len(papers) == 2, "a light and a dark page"
    for paper, ink, pale in papers:
        assert contrast(paper, ink) >= 12
        assert contrast(paper, pale) >= 4.5, "WCAG AA"
    dark = papers[1][0]
    for look in (*UNITS.values(), *CAUSES.values()):
        colour = look.colour.removeprefix("#").lower()
        if not look.hatched and look not in (UNITS[ON_CHIP], CAUSES["idle"]):
            assert contrast(in_the_dark(colour), dark) >= 2.5, look
    for grey in (INK, PALE):
        assert contrast(in_the_dark(grey.removeprefix("#").lower()), dark) >= 4.5
    assert contrast(in_the_dark(RULE.removeprefix("#").lower()), dark) < 2, "rules stay faint"


def test_a_figure_with_pixels_keeps_its_colours() -> None:
    """A heat map's cells cannot follow the page, so nothing else of it does."""
    def drawn(pixels: bool) -> str:
        figure = Figure()
        axes = figure.add_subplot()
        axes.bar([1], [2], color="#0072b2")
        if pixels:
            axes.imshow([[1.0, 2.0]])
        return inline_svg(figure, "f", "<words>")

    assert "var(--x0072b2)" in drawn(False)
    assert "var(--paper)" in drawn(False)
    mixed = drawn(True)
    assert "var(" not in mixed
    assert 'class="pixels"' in mixed
    assert "data:image/png;base64," in mixed
    assert "&lt;words&gt;" in mixed


def test_a_figure_that_cannot_be_is_told(runs: dict[str, hwsim.Result], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_: object) -> Figure:
        raise FigureError("nothing <b>happened</b>")

    monkeypatch.setattr(figures, "OF_ONE", (("activity", "", refuses),))
    root = read_page(page([runs["snn"]], [None]))
    assert any(p.words == "No figure of activity: nothing <b>happened</b>" for p in root.all("p", class_="sub"))


def test_bad_input_is_one_text_and_leaves_nothing(runs: dict[str, hwsim.Result], tmp_path: Path) -> None:
    folder = runs["snn"].save(tmp_path / "a")
    (tmp_path / "there.html").write_text("mine")
    cases: list[tuple[tuple[Any, ...], str]] = [
        ((folder, folder), "one folder twice"), ((tmp_path / "none",), "no result.json"), ((folder, "-o", "x.pdf"), ".html"),
        ((folder, "-o", "there.html"), "exists"), ((folder, "-o", "none/x.html"), "no such folder"),
        (tuple([folder] * 25), "at most 24 on a page"),
    ]
    for arguments, text in cases:
        done = call("report", *arguments, *(() if "-o" in arguments else ("-o", "x.html")), cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert text in done.stderr
        assert "Traceback" not in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "there.html"]
    with pytest.raises(ReportError, match="found no run"):
        report([], tmp_path / "x.html")
    done = call("report", "a", "-o", "x.html", "--title", "Mine", cwd=tmp_path)
    assert (done.returncode, "1 run, " in done.stdout) == (0, True)
    assert "<title>Mine</title>" in (tmp_path / "x.html").read_text()
    body = answer("report", "a", "-o", "x.html", "--force", cwd=tmp_path)
    assert body == {"file": "x.html", "runs": ["a"], "bytes": (tmp_path / "x.html").stat().st_size}


@pytest.mark.parametrize("package", ["jinja2", "markdown_it"])
def test_a_missing_package_is_named(package: str, runs: dict[str, hwsim.Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ReportError, match=rf"{package}.*hwsim\[report\]"):
        page([runs["snn"]], [None])


# -- in a browser -------------------------------------------------------------------------------------------------------

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium")

ASKED = """
const report = {};
const rows = () => Array.from(document.querySelectorAll("#comparison-table tbody tr")).map((row) => row.cells[2].dataset.sort);
const head = document.querySelectorAll("#comparison-table th")[2];
report.before = rows();
head.querySelector("button").click(); report.falling = rows(); report.sorted = head.getAttribute("aria-sort");
head.querySelector("button").click(); report.rising = rows();
const field = document.querySelector("input.filter");
field.value = "LEAKAGE"; field.dispatchEvent(new Event("input"));
const lines = Array.from(document.getElementById(field.dataset.table).tBodies[0].rows).filter((row) => !row.hidden);
report.filtered = lines.map((row) => row.cells[2].textContent);
const number = document.querySelector("#r1 dl.big button.n");
number.click();
report.opened = Array.from(document.querySelectorAll(".why:popover-open")).map((e) => e.id);
report.wanted = number.getAttribute("popovertarget");
report.inside = (({top, bottom, left, right}) => top >= 0 && left >= 0 && bottom <= innerHeight && right <= innerWidth)(
  document.getElementById(report.wanted).getBoundingClientRect());
report.width = [document.documentElement.scrollWidth, innerWidth];
report.paper = getComputedStyle(document.querySelector("section.card")).backgroundColor;
report.ink = getComputedStyle(document.querySelector("figure svg")).fill;
report.resources = performance.getEntriesByType("resource").map((entry) => entry.name);
parent.postMessage("REPORT" + JSON.stringify(report) + "END", "*");
"""
FRAME = """<!doctype html><iframe src="asked.html" style="border: 0; width: {width}px; height: {height}px"></iframe>
<script>addEventListener("message", (event) => {{ document.body.textContent = event.data; }});</script>"""
"""Chromium's own window is never narrower than 500 pixels; a frame can be."""


def chromium(page_file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    profile = page_file.parent / "profile"
    return subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--enable-logging=stderr",
         *options, page_file.as_uri()], capture_output=True, text=True, timeout=120, check=True)


@in_chromium
@pytest.mark.parametrize(("dark", "width", "height"), [
    (True, 400, 800), pytest.param(False, 1280, 900, marks=pytest.mark.slow),
    pytest.param(True, 1300, 900, marks=pytest.mark.slow)])
def test_the_page_works_in_a_browser(dark: bool, width: int, height: int, three: str, tmp_path: Path) -> None:
    """Sorting, filtering and opening by the page's own script, asked by another one; at both widths nothing is cut off."""
    file = tmp_path / "asked.html"
    free = re.sub(r"script-src 'sha256-[^']*'", "script-src 'unsafe-inline'", three)
    file.write_text(free.replace("</body>", f"<script>{ASKED}</script></body>"))
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(width=width, height=height))
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    dumped = chromium(frame, scheme, "--window-size=1400,1000", "--virtual-time-budget=5000", "--dump-dom").stdout
    answered = re.search(r"REPORT(.*?)END", dumped, re.DOTALL)
    assert answered is not None, dumped[-500:]
    found = json.loads(html.unescape(answered.group(1)))
    values = sorted(map(float, found["before"]))
    assert (list(map(float, found["falling"])), found["sorted"]) == (values[::-1], "descending")
    assert list(map(float, found["rising"])) == values
    assert len(found["filtered"]) > 5
    assert all("leakage" in text for text in found["filtered"])
    assert found["opened"] == [found["wanted"]]
    assert found["inside"]
    assert found["width"][0] <= found["width"][1], "the page itself scrolls sideways"
    assert found["width"][1] == width
    lightness = [sum(map(int, re.findall(r"\d+", found[name])[:3])) / 765 for name in ("paper", "ink")]
    assert (lightness[0] < 0.2) == dark == (lightness[1] > 0.8)
    assert found["resources"] == []


@in_chromium
@pytest.mark.slow
def test_the_policy_lets_the_pages_own_script_run_and_no_other(three: str, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.html", tmp_path / "bad.html"
    good.write_text(three)
    bad.write_text(three.replace("</main>", "<script>document.title = 'broken'</script></main>"))
    shown = chromium(good, "--dump-dom")
    assert "Content Security Policy" not in shown.stderr
    refused = chromium(bad, "--dump-dom")
    assert "Content Security Policy" in refused.stderr
    assert "<title>broken" not in refused.stdout
