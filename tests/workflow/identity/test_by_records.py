"""The steps that would run after a change of the configuration or of the user's files, by records alone."""

from __future__ import annotations

from contextlib import chdir

import pytest
import yaml
from conftest import ROOT, finish

from gridlaw.config import loading, schema
from gridlaw.workflow.status import Verdicts, to_run
from gridlaw.workflow.steps import Steps

from .experiment import configuration, write
from .home import Home
from .oracle import expected
from .rows import files, keys

pytestmark = pytest.mark.extended
ROWS = keys.ROWS | files.ROWS


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """A folder in which every step has left its record, and files that stand for its results."""
    folder = tmp_path_factory.mktemp("origin")
    write(folder)
    with chdir(folder):
        for step in Steps(loading.complete(configuration())):
            finish(step)
    return folder


def planned(whole: dict) -> set[str]:
    """Names of the jobs that would run in the working directory."""
    return {step.name for step in to_run(Verdicts(loading.complete(whole)))}


@pytest.mark.parametrize("name", ROWS)
def test_what_would_run(name, origin, tmp_path):
    home = Home(tmp_path / "home", origin)
    ROWS[name].change(home)
    with chdir(home.folder):
        # Snakemake's own target is no step.
        assert planned(home.config) == expected(configuration(), home.config, {*ROWS[name].touched}) - {"all"}


def test_a_default_that_a_model_has(origin, tmp_path, monkeypatch):
    content = yaml.safe_load(schema.CONFIG.read_text())
    content["$defs"]["scratch_model"]["properties"]["initializer_range"]["default"] = 0.03
    (tmp_path / "schema.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    monkeypatch.setattr(schema, "CONFIG", tmp_path / "schema.yaml")
    monkeypatch.chdir(origin)
    assert planned(configuration()) == expected(configuration(), configuration(), {"pretrain *", "trunk *"}) - {"all"}


SCHEMA = yaml.safe_load((ROOT / "schemas/config.schema.yaml").read_text())


def keys_of(*definitions: str) -> set[str]:
    return {key for name in definitions for key in SCHEMA["$defs"][name]["properties"]}


def test_no_key_is_forgotten():
    assert keys.PRETRAIN.keys() == keys_of("optimization", "pretrain")
    assert keys.FINETUNE.keys() == keys_of("optimization", "finetune")
    assert keys.DATA.keys() == SCHEMA["properties"]["data"]["properties"].keys()
