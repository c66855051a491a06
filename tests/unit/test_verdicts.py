"""What records alone say of a grid: each change is named by the key, the definition or the file that it is of."""

import json
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
import yaml
from conftest import begin, configuration, finish
from filelock import SoftFileLease
from snakemake.utils import update_config

from gridlaw import io
from gridlaw.canonical_json import canonical
from gridlaw.workflow import identity, reasons, work_folder
from gridlaw.workflow.experiment import Experiment
from gridlaw.workflow.kinds.training import size_before
from gridlaw.workflow.recipe import Recipe
from gridlaw.workflow.states import DONE, FAILED, INTERRUPTED, NEW, RUNNING, STALE
from gridlaw.workflow.status import Verdict, Verdicts, causes, to_run
from gridlaw.workflow.steps import KINDS, SINGLE, Step, Steps

GRID = {
    "models": ["tiny", "small"],
    "sizes": [0, "1k", "8k"],
    "gpus": [1],
    "tasks": ["sentiment", "similarity"],
    "seeds": {"pretrain": [1], "finetune": [1, 2, 3]},
    "exclude": [],
}


def overlay(text: str) -> dict:
    whole = json.loads(json.dumps(GRID))
    update_config(whole, yaml.safe_load(text))
    return configuration(whole)


def stale(config) -> dict[str, tuple[str, ...]]:
    verdicts = Verdicts(config)
    found = {step.name: verdicts.verdict(step) for step in verdicts.steps}
    return {name: verdict.reasons for name, verdict in found.items() if verdict.state == STALE}


def running(config) -> dict[str, set[str]]:
    """Names of the steps that would run, each with its root causes."""
    verdicts = Verdicts(config)
    steps = to_run(verdicts)
    return {step.name: set(why) for step, why in causes(verdicts, steps, {}).items()}


TRUNK = {"schedule": "trunk", "passes": 1, "decay_ratio": 0.2, "warmup_tokens": 10}
BRANCHED = {**GRID, "gpus": [1, 2], "pretrain": TRUNK}


def kept(tmp_path_factory, grid):
    folder = tmp_path_factory.mktemp("kept")
    with chdir(folder):
        for step in Steps(configuration(grid)):
            finish(step)
    return folder


@pytest.fixture(scope="module")
def kept_grid(tmp_path_factory):
    return kept(tmp_path_factory, GRID)


@pytest.fixture(scope="module")
def kept_branches(tmp_path_factory):
    return kept(tmp_path_factory, BRANCHED)


@pytest.fixture
def grid(kept_grid, monkeypatch):
    """The working directory is one in which the grid is finished, for tests that leave it so."""
    monkeypatch.chdir(kept_grid)


@pytest.fixture
def branches(kept_branches, monkeypatch):
    """The working directory is one in which the grid with trunks is finished, for tests that leave it so."""
    monkeypatch.chdir(kept_branches)


def test_a_finished_grid_is_done(grid):
    assert stale(configuration(GRID)) == {}
    assert running(configuration(GRID)) == {}


@pytest.mark.parametrize(
    ("change", "step", "reason"),
    [
        ("pretrain: {learning_rate: 1.0e-3}", "pretrain small 8k 1 1", "pretrain.learning_rate 3e-3 → 1e-3"),
        ("pretrain: {per_model: {tiny: {learning_rate: 0.5}}}", "pretrain tiny 8k 1 1", "pretrain.per_model.tiny.learning_rate 3e-3 → 0.5"),
        ("pretrain: {per_model: {small: {mask_rate: 0.5}}}", "pretrain small 1k 1 1", "pretrain.per_model.small.mask_rate 0.4 → 0.5"),
        ("pretrain: {held_out_mask_rate: 0.5}", "pretrain small 0 1 1", "pretrain.held_out_mask_rate 0.15 → 0.5"),
        ("pretrain: {held_out_mask_rate: 0.5}", "report", "pretrain.held_out_mask_rate 0.15 → 0.5"),
        ("pretrain: {warmup_tokens: 6k}", "pretrain small 8k 1 1", "pretrain.warmup_tokens 4k → 6k"),
        ("catalogue: {models: {tiny: {shape: {num_hidden_layers: 3}}}}", "pretrain tiny 0 1 1", "catalogue.models.tiny.shape.num_hidden_layers 2 → 3"),
        ("finetune: {per_task: {sentiment: {epochs: 7}}}", "finetune tiny 1k 1 1 sentiment", "finetune.per_task.sentiment.epochs 5 → 7"),
        ("finetune: {per_model: {tiny: {epochs: 7}}}", "finetune tiny 1k 1 1 similarity", "finetune.per_model.tiny.epochs 5 → 7"),
        ("finetune: {epochs: 7}", "finetune tiny 1k 1 1 similarity", "finetune.epochs 5 → 7"),
        ("finetune: {train_examples: [100, all]}", "finetune tiny 1k 1 1 similarity", "finetune.train_examples: 100 added"),
        ("seeds: {finetune: [1, 2, 4]}", "finetune tiny 1k 1 1 similarity", "seeds.finetune: 4 added, 3 removed"),
        ("models: [tiny]", "aggregate", "models: small removed"),
        ("catalogue: {tasks: {sentiment: {label: other}}}", "finetune tiny 1k 1 1 sentiment", "catalogue.tasks.sentiment.label label → other"),
        ("catalogue: {tasks: {sentiment: {train_size: 700}}}", "task sentiment", "catalogue.tasks.sentiment.train_size 600 → 700"),
        ("catalogue: {tasks: {sentiment: {seed: 7}}}", "task sentiment", "catalogue.tasks.sentiment.seed 1 → 7"),
        ("catalogue: {tasks: {sentiment: {metrics: [f1]}}}", "score tiny 1k 1", "catalogue.tasks.sentiment.metrics accuracy → f1"),
        ("catalogue: {tasks: {sentiment: {glue: false}}}", "aggregate", "catalogue.tasks.sentiment.glue true → false"),
        ("catalogue: {tasks: {sentiment: {metrics: [f1]}}}", "baseline sentiment", "catalogue.tasks.sentiment.metrics accuracy → f1"),
        ("data: {seed: 2}", "task sentiment", "data.seed 1 → 2"),
        ("data: {seed: 2}", "segments toy", "data.seed 1 → 2"),
        ("data: {packing: continuous}", "pack toy wordpiece", "data.packing whole → continuous"),
        ("catalogue: {corpora: {toy: {words: 160k}}}", "corpus toy", "catalogue.corpora.toy.words 150k → 160k"),
        ("catalogue: {tokenizers: {wordpiece: {lowercase: false}}}", "tokenizer toy wordpiece", "catalogue.tokenizers.wordpiece.lowercase true → false"),
        ("catalogue: {tasks: {sentiment: {metrics: [f1]}}}", "figure_scores", "catalogue.tasks.sentiment.metrics accuracy → f1"),
        ("tasks: [sentiment]", "score tiny 1k 1", "tasks: similarity removed"),
        ("tasks: [sentiment, similarity, entailment]", "aggregate", "tasks: entailment added"),
        ("sizes: [0, 1k]", "aggregate", "cells: small 8k 1 and tiny 8k 1 removed"),
        ("models: [small, tiny]", "figure_loss", "models: in another order"),
        *(
            ("tasks: [similarity, sentiment]", step, "tasks: in another order")
            for step in ("figure_scores", "figure_seeds", "latex", "laws", "report")
        ),
        ("seeds: {pretrain: [1, 2]}", "aggregate", "seeds.pretrain: 2 added"),
        ("catalogue: {models: {tiny: {tokenizer: bpe}}}", "pretrain tiny 1k 1 1", "tokenizer of tiny wordpiece → bpe"),
        ("data: {tokenizer: bpe}", "slice toy wordpiece 1k", "data.tokenizer: bpe added"),
    ],
)  # fmt: skip
def test_a_change_is_named_by_its_key(grid, change, step, reason):
    assert reason in stale(overlay(change))[step]


def variants(value: object) -> Iterator[object]:
    """All values that differ from a recipe, or from an entry of one, in one place."""
    if isinstance(value, dict):
        yield value | {"another": 1}
        for name, item in value.items():
            yield {key: other for key, other in value.items() if key != name}
            yield from (value | {name: variant} for variant in variants(item))
    elif isinstance(value, list):
        yield [*value, "another"]
        for number, item in enumerate(value):
            yield [*value[:number], *value[number + 1 :]]
            yield from ([*value[:number], variant, *value[number + 1 :]] for variant in variants(item))
        yield from ([value[number], *value[:number], *value[number + 1 :]] for number in range(1, len(value)))
    else:
        # True and 1 are equal to Python.
        yield from ([int(value)] if isinstance(value, bool) else ["another"])


@pytest.mark.parametrize("rule", sorted(KINDS.keys() - {"checkpoint"}))
def test_a_result_of_another_recipe_is_never_done(branches, rule):
    config = configuration(BRANCHED)
    step = next(step for step in Steps(config) if step.rule == rule)
    made, verdicts = io.read_json(step.record), Verdicts(config)
    assert verdicts.verdict(step).state == DONE
    for recipe in variants(made["recipe"]):
        assert canonical(recipe) != canonical(step.recipe)
        io.write_json(step.record, made | {"recipe": recipe})
        verdicts.forget(step)
        assert verdicts.verdict(step).state == STALE, recipe
        assert verdicts.verdict(step).reasons, recipe
    io.write_json(step.record, made)


def test_a_base_value_is_named_where_it_decides(finished):
    finished(configuration({**GRID, "finetune": {"per_task": {"sentiment": {"epochs": 9}}}}))
    assert stale(configuration(GRID))["finetune tiny 1k 1 1 sentiment"] == ("finetune.epochs 9 → 5",)


def test_what_follows_has_the_root_cause_once(grid):
    found = running(overlay("pretrain: {per_model: {tiny: {learning_rate: 0.5}}}"))
    key = "pretrain.per_model.tiny.learning_rate 3e-3 → 0.5"
    assert found["pretrain tiny 8k 1 1"] == {key}
    assert found["finetune tiny 8k 1 1 sentiment"] == found["score tiny 8k 1"] == found["figure_loss"] == {key}
    assert "finetune tiny 0 1 1 sentiment" not in found
    assert "score small 8k 1" not in found


# Entries that a recipe works out from the configuration, by rule.
WORKED_OUT = {
    "laws": {"tasks"}, "decisions": {"exclude", "sizes"}, "slice": {"size_tokens"},
    "pretrain": {"gpus", "seed"}, "trunk": {"gpus", "seed"}, "finetune": {"seeds"}, "ranks": {"gpus"},
    "forecasts": {"forecast_sizes"},
}  # fmt: skip

# Entries that stand for the grid as a whole, which several keys decide.
GRID_AS_SUCH = ("cells", "compared", "lowest")


def entries(value: object, *path: str) -> Iterator[tuple[tuple[str, ...], object]]:
    """Innermost entries of a recipe, with their paths."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from entries(item, *path, name)
    else:
        yield path, value


def test_every_entry_of_every_recipe_has_its_key():
    """The key that a reason names is where the configuration has the value."""
    config = configuration({**GRID, "gpus": [1, 2], "pretrain": TRUNK})
    seen = set()
    for step in Steps(config):
        # By task, as reasons name them.
        for path, value in entries(reasons._named(step, step.recipe)):
            key, at = step.resolved.key(path), config
            for part in key.split("."):
                at = at.get(part, reasons.UNSET) if isinstance(at, dict) else at
            if path[0] in GRID_AS_SUCH:
                continue
            if path[0] in WORKED_OUT.get(step.rule, ()) or path[-1] in reasons.COUNTS:
                assert at is not reasons.UNSET, (step.name, path, key)
            elif at is reasons.UNSET:
                # A default that the configuration leaves out: a width, a tokenizer, a price.
                assert key.rsplit(".", 1)[-1] in ("intermediate_size", "tokenizer") or key.startswith("cost."), key
            elif isinstance(value, list) and isinstance(at, list):
                assert {canonical(item) for item in value} <= {canonical(item) for item in at}, (step.name, path, key)
            else:
                assert canonical(at) == canonical(value), (step.name, path, key)
            seen.add(step.rule)
    assert seen == KINDS.keys() - {"checkpoint"}


def test_ancestors_come_once_and_in_order(grid):
    steps = list(Steps(configuration(GRID)))
    for step in steps:
        ancestors = step.ancestors()
        assert len(set(ancestors)) == len(ancestors)
        assert set(ancestors) == {*step.after, *(older for earlier in step.after for older in earlier.ancestors())}
        assert all(ancestors.index(older) < k for k, earlier in enumerate(ancestors) for older in earlier.after)
    successors = Steps(configuration(GRID)).successors()
    assert {(e.name, s.name) for e, later in successors.items() for s in later} == {
        (earlier.name, step.name) for step in steps for earlier in step.after
    }


def test_shared_ancestors_are_visited_once():
    """Sixty diamonds on top of each other have 2^60 paths."""
    top = Step(KINDS["corpus"], {"corpus": "0"}, Recipe({}), {}, ())
    for number in range(60):
        sides = tuple(Step(KINDS["pack"], {"corpus": f"{number}{side}"}, Recipe({}), {}, (top,)) for side in "ab")
        top = Step(KINDS["slice"], {"corpus": f"{number}"}, Recipe({}), {}, sides)
    assert len(top.ancestors()) == 1 + 3 * 60 - 1


def test_changed_code_is_named_by_definition(grid, monkeypatch):
    digest, definitions = identity.digest, identity.definitions

    def edited(script, *plugins):
        found = {**definitions(script, *plugins), "scripts/gridlaw/new.py: helper": "0" * 16}
        if "scripts/gridlaw/models/masked.py: PredictMasked" in found:
            found["scripts/gridlaw/models/masked.py: PredictMasked"] = "0" * 16
            del found["scripts/gridlaw/models/family.py: dropouts"]
        return found

    monkeypatch.setattr(identity, "definitions", edited)
    monkeypatch.setattr(
        identity, "digest", lambda script, *more: "0" * 16 if script.stem == "pretrain" else digest(script, *more)
    )
    assert stale(configuration(GRID)) == {
        f"pretrain {model} {size} 1 1": (
            "scripts/gridlaw/models/family.py: dropouts removed",
            "scripts/gridlaw/models/masked.py: PredictMasked changed",
            "scripts/gridlaw/new.py: helper added",
        )
        for model in GRID["models"]
        for size in ("0", "1k", "8k")
    }


def test_records_without_definitions_name_the_program(finished, monkeypatch):
    steps = finished(configuration(GRID))
    step = steps["score tiny 1k 1"]
    made = io.read_json(step.record)
    del made["definitions"]
    io.write_json(step.record, made | {"code": "0" * 16})
    assert stale(configuration(GRID))[step.name] == ("scripts/score.py changed, or what it imports",)


def files(**more):
    text = {"source": "files", "files": ["data/*.txt"]}
    return configuration({**GRID, "corpus": "mine", "catalogue": {"corpora": {"mine": text}}, **more})


@pytest.fixture
def texts(tmp_path):
    (tmp_path / "data").mkdir()
    for name in "ab":
        (tmp_path / f"data/{name}.txt").write_text("word " * 30_000)
    return tmp_path / "data"


def test_files_of_the_user(texts, finished):
    finished(files())
    assert stale(files()) == {}
    (texts / "a.txt").write_text("other " * 30_000)
    (texts / "c.txt").write_text("more")
    reason = "corpus files: data/a.txt changed, data/c.txt added"
    assert stale(files()) == {"corpus mine": (reason,)}
    assert running(files())["figure_scores"] == {reason}


def test_a_touched_file_is_the_same(texts, finished):
    finished(files())
    (texts / "a.txt").write_text((texts / "a.txt").read_text())
    assert stale(files()) == {}


def test_a_renamed_file_is_the_same(texts, finished):
    finished(files())
    (texts / "b.txt").rename(texts / "c.txt")
    assert stale(files()) == {}


def test_other_inputs_whose_axis_has_no_name(finished):
    steps = finished(configuration(GRID))
    step = steps["pretrain tiny 1k 1 1"]
    made = io.read_json(step.record)
    made["inputs"]["results/trunk/tiny/1k/1/1/manifest.json"] = "0" * 64
    io.write_json(step.record, made)
    assert stale(configuration(GRID))[step.name] == ("made from: results/trunk/tiny/1k/1/1/manifest.json removed",)


@pytest.mark.parametrize("content", ["{}", '{"recipe": {}}', "[1, 2]", "half a rec"])
def test_a_record_that_is_none(finished, content):
    step = finished(configuration(GRID))["score tiny 1k 1"]
    Path(step.record).write_text(content)
    verdict = Verdicts(configuration(GRID)).verdict(step)
    assert verdict.state == (STALE if content.startswith("{") else NEW)


def test_a_result_replaced_by_hand(finished):
    steps = finished(configuration(GRID))
    Path(steps["pretrain tiny 1k 1 1"].folder, "manifest.json").write_text("another model")
    touched = stale(configuration(GRID))
    assert set(touched) == {f"finetune tiny 1k 1 1 {task}" for task in GRID["tasks"]}
    assert running(configuration(GRID))["score tiny 1k 1"] == {"pretrain tiny 1k 1 1 is another result now"}


def test_many_replaced_results_are_counted(finished):
    steps = finished(configuration(GRID))
    for name in ("pretrain tiny 0 1 1", "pretrain tiny 1k 1 1", "pretrain tiny 8k 1 1", "score small 8k 1"):
        made = io.read_json(steps[name].record)
        io.write_json(steps[name].record, made | {"accepted": []})
    assert stale(configuration(GRID)) == {"aggregate": ()}
    assert running(configuration(GRID))["figure_loss"] == {
        "pretrain tiny 0 1 1 and 3 more that it is made from are other results now"
    }


def test_a_removed_result_is_not_missed_until_it_is_needed(finished):
    steps = finished(configuration(GRID))
    Path(steps["pack toy wordpiece"].record).unlink()
    assert running(configuration(GRID)) == {}
    found = running(overlay("sizes: [0, 1k, 8k, 9k]"))
    assert found["pretrain tiny 1k 1 1"] == {"pack toy wordpiece was removed and is made again"}


def test_a_new_size_has_no_reasons(grid):
    found = running(overlay("sizes: [0, 1k, 8k, 9k]"))
    assert found.pop("aggregate") == {"cells: small 9k 1 and tiny 9k 1 added"}
    assert {name for name, why in found.items() if why} == {name for name in SINGLE if name != "aggregate"}
    assert "pretrain tiny 9k 1 1" in found
    assert "pretrain tiny 8k 1 1" not in found


def test_another_schedule_is_named_once(finished):
    finished(configuration({**GRID, "pretrain": TRUNK}))
    changed = configuration({**GRID, "pretrain": TRUNK | {"schedule": "independent"}})
    assert stale(changed)["pretrain tiny 1k 1 1"] == ("pretrain.schedule trunk → independent",)


def test_the_corpus_is_another(finished):
    finished(configuration(GRID))
    found = stale(overlay("{corpus: second, catalogue: {corpora: {second: {source: generator, words: 150k}}}}"))
    assert found["pretrain tiny 1k 1 1"] == ("corpus toy → second",)


def test_trunks_keep_the_state_that_they_went_on_from(finished):
    finished(configuration({**GRID, "pretrain": TRUNK}))
    config = configuration({**GRID, "sizes": [0, "1k", "4k", "8k"], "pretrain": TRUNK})
    assert "trunk tiny 8k 1 1" not in stale(config)
    experiment = Experiment(config)
    assert size_before(experiment, "tiny", "8k", 1, 1) == "1k"
    assert size_before(experiment, "tiny", "4k", 1, 1) == "1k"
    # A size that the grid has no more is still what the state came from.
    config = configuration({**GRID, "sizes": [0, "8k"], "pretrain": TRUNK})
    assert "trunk tiny 1k 1 1" in {step.name for step in Steps(config)}


class TestUnfinished:
    @pytest.fixture
    def step(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        return next(step for step in Steps(configuration(GRID)) if step.name == "pretrain tiny 8k 1 1")

    def verdict(self, step):
        return Verdicts(configuration(GRID)).verdict(step)

    def began(self, step, *entries):
        folder = begin(step)
        with (folder / "attempts.jsonl").open("a") as stream:
            stream.writelines(json.dumps(entry) + "\n" for entry in entries)
        return folder

    def test_new(self, step):
        assert self.verdict(step).state == NEW

    def test_killed(self, step):
        (self.began(step) / "checkpoint-120").mkdir()
        assert self.verdict(step) == Verdict(INTERRUPTED, ("resumes from optimizer step 120",))

    def test_terminated_before_a_checkpoint(self, step):
        self.began(step, {"ended": "2026-11-24T10:01:00+00:00", "cause": "SIGTERM"})
        found = self.verdict(step)
        assert (found.state, found.reasons) == (INTERRUPTED, ("starts again, because there is no checkpoint yet",))

    def test_failed(self, step):
        self.began(step, {"ended": "2026-11-24T10:01:00+00:00", "cause": "RuntimeError: no memory"})
        assert self.verdict(step).state == FAILED
        assert self.verdict(step).reasons == ("RuntimeError: no memory",)

    def test_the_log_tells_what_failed(self, step):
        Path(step.log).parent.mkdir(parents=True)
        Path(step.log).write_text("some line\nerror: pretrain.batch_size: 16 rows is more than the slice has, 3\n")
        assert self.verdict(step).state == FAILED
        assert self.verdict(step).reasons == ("pretrain.batch_size: 16 rows is more than the slice has, 3",)
        Path(step.log).write_text("Traceback (most recent call last):\n  File x\nValueError: no such thing\n")
        assert self.verdict(step).reasons == ("ValueError: no such thing",)
        Path(step.log).write_text("wrote everything\n")
        assert self.verdict(step).state == NEW

    def test_running(self, step):
        self.began(step)
        with SoftFileLease(f"{step.work}.lease", lease_duration=work_folder.LEASE_SECONDS):
            assert self.verdict(step).state == RUNNING
        assert self.verdict(step).state == INTERRUPTED

    def test_a_record_decides(self, step):
        self.began(step)
        for earlier in Steps(configuration(GRID)):
            if earlier.rule in ("corpus", "segments", "tokenizer", "pack", "slice"):
                finish(earlier)
        finish(step)
        assert self.verdict(step).state == DONE
