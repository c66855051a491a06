"""The report in a real browser: that of a finished grid, of one that failed in part, of one cell, and of hundreds."""

import csv
import json
import shutil
from contextlib import chdir
from functools import cache
from io import StringIO
from pathlib import Path

import chrome
import pytest
import synthetic

from gridlaw import io
from gridlaw.views import partial_report
from gridlaw.workflow.kinds.reporting import FIGURES
from gridlaw.workflow.status import Verdicts

pytestmark = pytest.mark.skipif(
    chrome.PROGRAM is None,
    reason=f"no browser to open the report in: none of {', '.join(chrome.NAMES)} is on the PATH (Debian: apt-get install chromium)",
)
COMMAND = "snakemake --cores all --configfile 'grids/a name.yaml'"
ONE = {
    "models": ["tiny"], "sizes": ["8k"], "gpus": [1], "tasks": ["sentiment"], "seeds": {"pretrain": [1], "finetune": [1]},
    "exclude": [],
}  # fmt: skip
SEVERAL = {
    "models": ["tiny", "small"], "sizes": [0, "8k", "32k", "64k", "512k"], "gpus": [1, 2], "tasks": ["sentiment", "similarity"],
    "seeds": {"pretrain": [1, 2], "finetune": [1, 2]}, "exclude": [{"gpus": 2, "size": [0, "8k", "32k"]}],
    "catalogue": {"corpora": {"toy": {"words": "2M"}}}, "cost": {"price_per_gpu_hour": 1.5, "currency": "EUR"},
}  # fmt: skip
SHAPE = {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 2}
MODELS = [f"encoder-of-{number}-layers" for number in range(1, 11)]
MANY = {
    **SEVERAL, "models": MODELS, "sizes": [f"{2**power}k" for power in range(3, 15)], "gpus": [1, 2, 4], "exclude": [],
    "seeds": {"pretrain": [1], "finetune": [1]}, "tasks": ["sentiment"],
    "catalogue": {"models": {model: {"model_type": "bert", "shape": SHAPE} for model in MODELS}, "corpora": {"toy": {"words": "40M"}}},
}  # fmt: skip
GRIDS = {"one": ONE, "many": MANY}
REASON = "CUDA out of memory; use a smaller <device_batch_size> & more patience"


def of_the_largest(step):
    return step.rule in ("pretrain", "ranks", "finetune", "score") and list(step.wildcards.values())[:2] == [
        "small",
        "512k",
    ]


def of_four_million_tokens(step):
    return step.rule in ("pretrain", "ranks", "finetune", "score") and "4.096M" in step.wildcards.values()


def failed(folder: Path) -> None:
    """Write the records of two attempts at a training, and the prediction of their run."""
    log = folder / "logs/pretrain/small/512k/1/1.log"
    log.parent.mkdir(parents=True)
    log.write_text(f"update 10\nerror: {REASON}\n")
    work = folder / "work/pretrain/small/512k/1/1"
    work.mkdir(parents=True)
    begun, ended = (
        {"started": "2026-11-20T10:00:00+00:00"},
        {"ended": "2026-11-20T10:30:00+00:00", "cause": "exit status 1"},
    )
    (work / "attempts.jsonl").write_text("\n".join(map(json.dumps, (begun, begun, ended))))
    prediction = {"begun": "2026-11-20T09:59:00+00:00", "trainings": 60, "measured": 0, "rank_seconds": [4e3, 5e3, 9e3]}
    (folder / "logs/predictions.jsonl").write_text(
        json.dumps({**prediction, "seconds": [900, 1000, 2000], "joules": None})
    )


@pytest.fixture(scope="module")
def partly(tmp_path_factory):
    """The folder of a grid that failed in part; its report is made by all programs."""
    folder = tmp_path_factory.mktemp("partly")
    with chdir(folder):
        config = synthetic.write(SEVERAL, of_the_largest)
        failed(folder)
        partial_report.write(config, COMMAND)
    return folder


@pytest.fixture(scope="module")
def page(request, world_folder, tmp_path_factory):
    """The report of each kind of grid, made when it is asked for: the whole one's is that of a real run."""

    @cache
    def of(kind):
        if kind == "whole":
            return world_folder / partial_report.REPORT
        origin = request.getfixturevalue("partly")
        return (
            origin / partial_report.REPORT
            if kind == "partly"
            else like(origin, GRIDS[kind], tmp_path_factory.mktemp(kind))
        )

    return of


def like(origin, overlay, folder):
    """The report of another grid, with the laws of one that is there."""
    with chdir(folder):
        shutil.copytree(origin / partial_report.FOLDER, partial_report.FOLDER)
        verdicts = Verdicts(synthetic.write(overlay, of_four_million_tokens))
        io.write_json(partial_report.STATES, partial_report.describe(verdicts))
        for step in verdicts.steps:
            if step.rule in ("aggregate", "figure_loss", "figure_scores", "figure_throughput", "report"):
                assert partial_report.run(step.rule, partial_report.line(step, COMMAND)) is None
    return folder / partial_report.FOLDER / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    one = chrome.Browser(tmp_path_factory.mktemp("profile"))
    yield one
    one.close()


KINDS = ["whole", "partly", *GRIDS]
# Complaints, addresses that were asked for, pictures that are not seen, what is wider than the window.
ASKED = """[...document.images].filter((image) => !(image.complete && image.naturalWidth > 0 && image.width > 100)).length"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize(
    "kind", [kind if kind == "whole" else pytest.param(kind, marks=pytest.mark.extended) for kind in KINDS]
)
def test_it_opens_alone_and_without_complaint(browser, page, kind):
    browser.window(1100, 900)
    browser.open(page(kind))
    browser.evaluate("new Promise((done) => setTimeout(done, 300))")
    complaints = [
        event for event in browser.events
        if event["method"] == "Runtime.exceptionThrown"
        or (event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error")
        or (event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] in ("error", "warning"))
    ]  # fmt: skip
    assert complaints == []
    asked = [
        event["params"]["request"]["url"] for event in browser.events if event["method"] == "Network.requestWillBeSent"
    ]
    assert any(url.endswith(".html") for url in asked), "requests are told"
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert browser.evaluate("document.images.length") == len(FIGURES)
    assert browser.evaluate(ASKED) == 0
    assert browser.evaluate("document.querySelectorAll('h2, h3, h1').length") > 10
    ids = browser.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))
    linked = browser.evaluate("[...document.querySelectorAll('a[href^=\"#\"]')].map((one) => one.hash.slice(1))")
    assert set(linked) <= set(ids)


@pytest.mark.extended
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_fits_a_phone_and_is_readable_in_light_and_dark(browser, page, kind, scheme):
    for width in (375, 768, 1400):
        browser.window(width, 800, scheme)
        browser.open(page(kind))
        assert browser.evaluate(OVERFLOW) <= 0, f"{width} pixels"
        assert browser.evaluate(ASKED) == 0
    shades = browser.evaluate(SHADES)
    assert (shades["text"] < 128 < shades["back"]) == (scheme == "light")
    assert shades["worst"] >= 4.5, "contrast of texts, by WCAG"


# Brightness of text and page, and the least contrast of any text with what is behind it.
SHADES = """(() => {
  const colour = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((c) => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const back = colour(getComputedStyle(node).backgroundColor);
      if (back.length < 4 || back[3] > 0) return back;
    }
  };
  const contrast = (node) => {
    const [a, b] = [light(colour(getComputedStyle(node).color)), light(behind(node))];
    return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  };
  const texts = [...document.querySelectorAll("h1, h2 a, p, li, .grid td b, .grid th, td, th button, figcaption, pre")];
  const mean = (rgb) => (rgb[0] + rgb[1] + rgb[2]) / 3;
  const style = getComputedStyle(document.body);
  return { text: mean(colour(style.color)), back: mean(colour(style.backgroundColor)),
    worst: Math.min(...texts.slice(0, 2000).map(contrast)) };
})()"""
COLUMN = """(name, head) => {
  const table = document.getElementById(name).parentElement.querySelector(`#${name} ~ .scroll table`);
  const index = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent === head);
  return { index, state: table.tHead.rows[0].cells[index].getAttribute("aria-sort"),
    texts: [...table.tBodies[0].rows].map((row) => row.cells[index].textContent) };
}"""


def column(browser, name, head):
    return browser.evaluate(f"({COLUMN})({json.dumps(name)}, {json.dumps(head)})")


def focus(browser, name, head):
    index = column(browser, name, head)["index"]
    place = f"document.querySelector('#{name} ~ .scroll table').tHead.rows[0].cells[{index}].firstChild"
    browser.evaluate(f"{place}.scrollIntoView({{block: 'center', inline: 'center'}}); {place}.focus()")
    return browser.evaluate(
        f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])({place}.getBoundingClientRect())"
    )


@pytest.mark.extended
@pytest.mark.parametrize("kind", ["partly", "many"])
def test_tables_are_sorted_by_click_and_by_keys(browser, page, kind):
    browser.window(1100, 900)
    browser.open(page(kind))
    before = column(browser, "runs", "held out loss")
    assert before["state"] is None
    assert "" in before["texts"], "a run is missing"
    losses = sorted(float(text) for text in before["texts"] if text)
    empty = before["texts"].count("")
    browser.click(*focus(browser, "runs", "held out loss"))
    up = column(browser, "runs", "held out loss")
    assert up["state"] == "ascending"
    assert [float(text) for text in up["texts"] if text] == losses
    assert up["texts"][-empty:] == [""] * empty
    for key in ("Enter", " "):
        browser.press(key)
        now = column(browser, "runs", "held out loss")
        assert now["state"] == ("descending" if key == "Enter" else "ascending")
        assert [float(text) for text in now["texts"] if text] == (losses[::-1] if key == "Enter" else losses)
        assert now["texts"][-empty:] == [""] * empty, "empty is last either way"
    # The next head is a tab away; of another column's order nothing is left.
    browser.press("Tab")
    browser.press("Enter")
    assert column(browser, "runs", "held out loss")["state"] is None
    focus(browser, "runs", "size")
    browser.press("Enter")
    sizes = list(dict.fromkeys(column(browser, "runs", "size")["texts"]))
    assert sizes == [
        size
        for size in (
            "0",
            "8k",
            "16k",
            "32k",
            "64k",
            "128k",
            "256k",
            "512k",
            "1.024M",
            "2.048M",
            "4.096M",
            "8.192M",
            "16.384M",
        )
        if size in sizes
    ]
    focus(browser, "runs", "parameters")
    browser.press("Enter")
    counts = [int(text.replace(",", "")) for text in column(browser, "runs", "parameters")["texts"] if text]
    assert counts == sorted(counts)


@pytest.mark.extended
@pytest.mark.parametrize("kind", KINDS)
def test_a_download_is_the_whole_table(browser, page, kind):
    browser.open(page(kind))
    found = browser.evaluate(
        "Promise.all([...document.querySelectorAll('a[download]')].map(async (link) =>"
        " [link.download, await (await fetch(link.href)).text(), link.closest('p').nextElementSibling.querySelectorAll('tbody tr').length]))"
    )
    tables = {name: (list(csv.DictReader(StringIO(text))), rows) for name, text, rows in found}
    assert {"summary.csv", "forecasts.csv", "laws.csv", "runs.csv", "spent.csv"} <= set(tables)
    for rows, shown in tables.values():
        assert len(rows) == shown
    runs, _ = tables["runs.csv"]
    assert {run["status"] for run in runs} == ({"done", "missing"} if kind in ("partly", "many") else {"done"})


@pytest.mark.extended
def test_what_is_not_done_is_said(browser, page):
    browser.open(page("partly"))
    assert "not finished" in browser.evaluate("document.querySelector('.state').textContent")
    grid = browser.evaluate(
        "[...document.querySelectorAll('table.grid tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent.trim()))"
    )
    assert grid[0] == ["tiny", *["D"] * 7]
    assert grid[1][:6] == ["small", *["D"] * 5]
    assert grid[1][6].startswith("F 0/")
    assert REASON in browser.evaluate("document.querySelector('#grid ~ ul:not(.legend)').textContent")
    cost = browser.evaluate("[...document.querySelectorAll('#cost ~ p')].map((one) => one.textContent).join(' ')")
    assert "Attempts that did not finish: 2, which held ranks for 30 rank-minutes" in cost
    assert "To finish the grid: 4 pre-trainings" in cost
    assert browser.evaluate("document.querySelector('pre').textContent") == COMMAND
    browser.open(page("whole"))
    assert browser.evaluate("document.querySelector('.state').textContent") == "All 5 cells of the grid are done."


@pytest.mark.extended
@pytest.mark.parametrize("kind", KINDS)
def test_it_prints_all_that_it_can(browser, page, kind):
    browser.window(1100, 900, "light", "print")
    browser.open(page(kind))
    hidden = browser.evaluate(
        "[...document.querySelectorAll('nav, .download')].every((one) => getComputedStyle(one).display === 'none')"
    )
    assert hidden
    # A sheet of A4 within its margins.
    browser.window(703, 900, "light", "print")
    assert browser.evaluate(OVERFLOW) <= 0
    assert browser.evaluate(
        "[...document.querySelectorAll('.scroll')].every((box) => box.scrollHeight <= box.clientHeight)"
    ), "nothing is cut off"
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") < 40


@pytest.mark.extended
def test_hundreds_of_cells_are_no_burden(page):
    size = page("many").stat().st_size
    assert size < 3e6, f"{size / 1e6:.1f} MB"
