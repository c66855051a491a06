"""The documentation keeps up with the workflow: every key, file and column is in it, and its links lead somewhere."""

import json
import re
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import reference
import yaml
from conftest import ROOT, default
from snakemake.utils import update_config

from gridlaw.config import loading
from gridlaw.workflow.steps import KINDS

sys.path.insert(0, str(ROOT / "docs"))
import make_reference

PAGES = sorted([*ROOT.glob("*.md"), ROOT / "config/README.md", *(ROOT / "docs").rglob("*.md")])
# Columns that only some grids have: those of the laws' parameters, and those of a task's text.
OPEN = {"results/laws.csv"}


def name(page):
    return str(page.relative_to(ROOT))


# Configuration --------------------------------------------------------------------------------------------------------


def test_the_page_of_keys_is_that_of_the_schemas():
    assert make_reference.PAGE.read_text() == make_reference.page(), "run python docs/make_reference.py"


@pytest.mark.parametrize("schema", ["config", "site"])
def test_every_key_is_in_the_reference(schema):
    def keys(node):
        if isinstance(node, dict):
            yield from node.get("properties", {})
            for value in node.values():
                yield from keys(value)
        elif isinstance(node, list):
            for value in node:
                yield from keys(value)

    page = make_reference.PAGE.read_text()
    described = set(re.findall(r"^ *- `(\w+)`|^#+ `(?:\w+\.)*([a-z_]+)(?:\.[A-Z]+)?`", page, re.M))
    described = {one or other for one, other in described}
    wanted = set(keys(yaml.safe_load((ROOT / f"schemas/{schema}.schema.yaml").read_text())))
    assert wanted - described == set()


EXAMPLES = [
    pytest.param(example, id=f"{name(page)} {number}")
    for page in PAGES
    # Those of the page on extensions need its new files, and are run.
    if page.name != "extending.md"
    for number, example in enumerate(re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.M | re.S))
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_configuration(example):
    config = default()
    update_config(config, yaml.safe_load(example))
    # The files that it names are not there.
    loading.complete(config, absent=True)


# Files, columns, keys of records --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(world_folder):
    """The files of a grid that was really run, but those of a model or a trunk's state."""
    found = [path for root in ("results", "resources") for path in (world_folder / root).rglob("*") if path.is_file()]
    return {str(path.relative_to(world_folder)): path for path in found if path.parent.name not in ("model", "state")}


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_output_of_a_rule_is_in_the_reference(kind):
    files = [kind.file(output, *["any"] * len(kind.wildcards)) for output in kind.writes]
    assert [file for file in files if not reference.is_known(file)] == []


def test_every_file_is_in_the_reference(made):
    assert [file for file in made if not reference.is_known(file)] == []


def test_every_column_is_in_the_reference_and_no_other(made):
    shared = set(reference.names(reference.sections()["The report and its figures"]))
    tables = [file for file in made if file.endswith((".csv", "predictions.parquet"))]
    assert len(tables) > 30
    for file in tables:
        path = made[file]
        columns = set(pd.read_csv(path, nrows=0) if path.suffix == ".csv" else pq.read_schema(path).names)
        described = reference.names(reference.says_of(file))
        assert len(described) == len(set(described)), file
        assert columns - set(described) - (shared if "figures/" in file else set()) == set(), file
        assert file in OPEN or set(described) - columns == set(), file


def test_every_column_of_the_resources_is_in_the_reference(made):
    described = set(reference.names(reference.sections()["Resources"]))
    for file, path in made.items():
        if file.startswith("resources/") and path.suffix == ".parquet":
            columns = set(pq.read_schema(path).names)
            # The text of a task stands in columns of the user's.
            text = columns if "/task/" in file else set()
            assert columns - described - text == set(), file


def test_every_key_of_every_record_is_in_the_reference(made):
    records = [path for path in made.values() if path.suffix == ".json" and "tokenizer" not in path.name]
    assert len(records) > 100
    unknown = {key for path in records for key in reference.unknown(json.loads(path.read_text()))}
    assert unknown == set()


# Links and lines ------------------------------------------------------------------------------------------------------


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        place = (page.parent / file).resolve() if file else page
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), target


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_are_named_are_there(page):
    folders = "scripts|docs|rules|schemas|grids|benchmarks|tests|envs|profiles"
    named = re.findall(rf"`(?:python )?((?:{folders})/[\w./-]*)", page.read_text())
    # A word in capitals stands for a name.
    assert [file for file in named if not re.search("[A-Z]{2}", file) and not Path(ROOT, file).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_lines_are_short(page):
    assert [line for line in page.read_text().splitlines() if len(line) > 120] == []


def test_every_page_is_in_the_contents():
    listed = (ROOT / "docs/README.md").read_text()
    pages = [str(page.relative_to(ROOT / "docs")) for page in PAGES if page.is_relative_to(ROOT / "docs")]
    assert [page for page in pages if page != "README.md" and f"({page})" not in listed] == []
