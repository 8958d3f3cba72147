"""The whole report: what stands in it, that it needs nothing else, and what a browser makes of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from egopack.data.samples import read_samples, write_samples
from egopack.errors import UserError
from egopack.evaluation.comparison import COLUMNS
from egopack.files import read_json, write_json
from egopack.labels import UNLABELLED
from egopack.report.overview import costs
from tests.report.conftest import Pipeline, with_params
from tests.report.test_timeline import Elements
from tests.support.devtools import browser

CHROMIUM = shutil.which("chromium")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update"),
    *("--disable-background-networking", "--disable-sync", "--enable-logging=stderr", "--v=0"),
)


@pytest.fixture(scope="module")
def report(pipeline: Pipeline) -> str:
    return pipeline.report()


def test_same_results_give_the_same_bytes(pipeline: Pipeline, report: str) -> None:
    assert pipeline.report() == report


def test_is_whole_and_small(report: str) -> None:
    elements = Elements(report)
    assert elements.open == []
    anchors = {attributes["id"] for tag, attributes in elements.found if tag == "section"}
    assert anchors == {
        "comparison",
        "curves",
        "ar",
        "oscc",
        "lta",
        "pnr",
        "mq",
        "prototypes",
        "timelines",
        "data",
        "params",
    }
    links = {attributes["href"] for tag, attributes in elements.found if tag == "a"}
    assert links == {f"#{anchor}" for anchor in anchors}
    assert len(report.encode()) < 1_000_000


def test_needs_nothing_from_elsewhere(report: str) -> None:
    for tag, attributes in Elements(report).found:
        for name in ("src", "href", "xlink:href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, value)
    assert not re.search(r"@import|url\((?!#)", report)


def test_no_color_of_a_figure_is_fixed(report: str) -> None:
    for figure in re.findall(r'<svg class="figure".*?</svg>', report, flags=re.DOTALL):
        colors = set(re.findall(r"(?:fill|stroke): ?(#\w+)", figure))
        assert not colors, colors


def test_what_data_say_is_no_html(report: str) -> None:
    assert "<b>no features" not in report
    assert "&lt;b&gt;no features" in report


def test_every_image_is_described_and_every_scroller_reached_by_keys(report: str) -> None:
    for tag, attributes in Elements(report).found:
        if tag == "svg" and attributes.get("role") == "img":
            assert attributes.get("aria-label")
        if attributes.get("class") == "scroll":
            assert attributes.get("tabindex") == "0"
            assert attributes.get("aria-label")


def test_a_task_without_an_analysis_has_its_metrics(pipeline: Pipeline, tmp_path: Path, other: Pipeline) -> None:
    for kind in ("samples", "predictions", "metrics"):
        root: Path = getattr(other.folders, kind)
        for path in sorted(root.rglob("*")):
            if path.exists() and path.name.split(".")[0] == "mq":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in ("chance", "single", "multi", "egopack", "data"):
        file = other.folders.metrics / f"{name}.json"
        content = read_json(file)
        content.pop("mq", None)
        content.get("tasks", {}).pop("mq", None)
        write_json(file, content)
    tasks = {name: block.model_dump(mode="json") for name, block in pipeline.params.tasks.items() if name != "mq"}
    packs = {name: [one for one in members if one != "mq"] for name, members in pipeline.params.packs.items()}
    report = with_params(other, tmp_path, tasks=tasks, packs=packs, helped_by={"ar": "without_ar"}).report()
    assert 'id="mq"' not in report
    assert "All metrics of PNR" in report


def test_verbs_alone(other: Pipeline) -> None:
    for task in ("ar", "lta"):
        file = other.folders.samples / task / "val.h5"
        samples = read_samples(file)
        for sample in samples:
            sample.targets["nouns"] = np.full_like(sample.targets["nouns"], UNLABELLED)
        write_samples(file, samples)
    for column in COLUMNS:
        file = other.folders.metrics / f"{column}.json"
        scores = read_json(file)
        del scores["ar"]["noun_top1"]
        write_json(file, scores)
    report = other.report()
    assert "Calibration of verb" in report
    assert "Calibration of noun" not in report


def test_a_clip_that_is_not_there_is_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"report\.clips: 'nowhere' is no validation clip"):
        with_params(pipeline, tmp_path, report={"clips": ["nowhere"]}).report()
    named = with_params(pipeline, tmp_path, report={"clips": ["clip3"]}).report()
    assert named.count('<figure class="timeline">') == 4


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
@pytest.mark.slow
def test_in_a_browser(report: str, tmp_path: Path) -> None:
    """No error in the console, where a request would be one too, and what scripts make of the page is whole."""
    done, said = browse(report, tmp_path)
    assert done.count('<figure class="timeline">') == 3
    assert said == []
    broken = report.replace("</main>", '<img src="https://example.org/a.png"><script>missing()</script></main>')
    assert len(browse(broken, tmp_path)[1]) == 2


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
@pytest.mark.slow
def test_tab_reaches_every_control_in_order_and_shows_where_it_is(report: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(report, encoding="utf-8")
    with browser([str(CHROMIUM), *QUIET], tmp_path / "profile") as shown:
        shown.open(page.as_uri())
        number = shown.evaluate(
            "window.controls = [...document.querySelectorAll('a[href], input, button, select, summary, [tabindex]')]"
            ".filter(one => one.checkVisibility()); controls.length"
        )
        assert number > 20
        for place in range(number):
            shown.press("Tab", 9)
            at, style, width = shown.evaluate(
                "(() => { const on = document.activeElement, seen = getComputedStyle(on);"
                " return [controls.indexOf(on), seen.outlineStyle, parseFloat(seen.outlineWidth)]; })()"
            )
            assert at == place
            assert style != "none"
            assert width >= 1
        first = "document.querySelector('main details')"
        shown.evaluate(f"{first}.querySelector('summary').focus()")
        shown.press("Enter", 13, "\r")
        assert shown.evaluate(f"{first}.open") is True


def browse(report: str, folder: Path) -> tuple[str, list[str]]:
    """The page as a browser has it in the end, and what its console says."""
    page = folder / "report.html"
    page.write_text(report, encoding="utf-8")
    command = [str(CHROMIUM), *QUIET, f"--user-data-dir={folder / 'profile'}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, re.findall(r"CONSOLE.*", done.stderr)


def test_costs_stand_where_they_are_asked_for(tmp_path: Path) -> None:
    for name, seconds in (("train_single@ar", 12.34), ("compare", 1.0), ("train_single@mq", 70.0)):
        write_json(tmp_path / f"{name}.json", {"seconds": seconds, "memory_gb": 0.5})
    shown = costs(tmp_path)
    assert re.findall(r'<th scope="row">([^<]*)</th>', shown) == ["train_single@mq", "train_single@ar", "compare"]
    assert "together 1.4 min" in shown
