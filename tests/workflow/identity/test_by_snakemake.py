"""The experiment under Snakemake: what it plans after a change, what it runs, and which functions programs enter."""

import re
from pathlib import Path

import pytest
from conftest import Workflow
from plans import jobs

from gridlaw import io
from gridlaw.config import loading
from gridlaw.workflow.identity import definitions
from gridlaw.workflow.kinds.reporting import FIGURES
from gridlaw.workflow.reach import OUTSIDE
from gridlaw.workflow.steps import Steps

from .experiment import configuration
from .home import FOLDERS, Home, run
from .oracle import expected
from .rows import edits, files, folders, keys

pytestmark = pytest.mark.extended

# What is planned --------------------------------------------------------------------------------------------------------

# One change of each family of configuration keys; `test_by_records` has all of them.
FAMILIES = (
    "pretrain.learning_rate",
    "pretrain.per_model.alpha.mask_rate",
    "pretrain.scaling",
    "pretrain.evaluations",
    "finetune.per_task.mine.epochs",
    "data.tokenizer",
    "data.segment_words",
    "bpe.vocab_size",
    "alpha.shape.num_hidden_layers",
    "letters.files written otherwise",
    "sentiment.train_size",
    "mine.metrics, reordered",
    "models: one more",
    "sizes: one less",
    "gpus: reordered",
    "tasks: reordered",
    "seeds.finetune: one more",
    "a whole number with a point: gpus",
    "the order of keys",
)
# Time stamps that mislead: an edit that is older than what it replaces, a newer file that says the same.
STAMPS = (
    "a corpus file's content, older than it was",
    "a corpus file that is touched",
    "one more corpus file",
    "one corpus file less",
    "mine's train.csv, older",
    "mine's train.csv, touched",
)
ROWS = (
    {name: keys.ROWS[name] for name in FAMILIES}
    | {name: files.ROWS[name] for name in STAMPS}
    | folders.ROWS
    | edits.ROWS
)


@pytest.fixture(scope="module")
def plans(request, clone, real_run, tmp_path_factory):
    """Dry runs of the rows that are tested, by name, begun beforehand."""
    folder, begun = tmp_path_factory.mktemp("rows"), {}
    names = [item.callspec.params["name"] for item in request.session.items if "plans" in item.fixturenames]
    for number, name in enumerate(names):
        home = Home(folder / str(number), real_run.folder, clone.folder / "Snakefile")
        ROWS[name].change(home)
        begun[name] = home, home.plan()
    yield begun
    for _, output in begun.values():
        output.cancel()


@pytest.mark.parametrize("name", ROWS)
def test_what_is_planned(plans, name):
    home, output = plans[name]
    assert jobs(output.result()) == expected(configuration(), home.config, {*ROWS[name].touched})


# What programs run ------------------------------------------------------------------------------------------------------


def is_outside(entered: str) -> bool:
    """Return whether a function, after its file, is of a module that no result depends on."""
    module = ".".join(Path(entered.partition(":")[0]).with_suffix("").parts[1:])
    return any(module == name or module.startswith(f"{name}.") for name in OUTSIDE)


def test_whatever_a_program_runs_is_among_its_definitions(real_run, clone, monkeypatch):
    monkeypatch.chdir(real_run.folder)
    rules = "".join(path.read_text() for path in (clone.folder / "rules").glob("*.smk"))
    names = [*re.findall(r"^rule (\w+):", rules, re.M), *(f"figure_{name}" for name in FIGURES)]
    programs = {f"{name}.py": clone.folder / f"scripts/{name}.py" for name in names}
    modules = {name: set() for name in programs}
    for step in Steps(loading.complete(configuration())):
        modules[f"{step.rule}.py"].update(step.kind.plugin_modules(step.recipe))
    # Nothing in this grid is released.
    assert real_run.entered.keys() == programs.keys() - {"checkpoint.py"}
    for name, entered in real_run.entered.items():
        functions = {f"scripts/{one}" for one in entered if "<" not in one and not is_outside(one)}
        assert f"scripts/{name}: main" in functions
        assert functions <= definitions(programs[name], tuple(sorted(modules[name]))).keys()


# What a run changes -----------------------------------------------------------------------------------------------------


def digests(folder: Path) -> dict[str, str]:
    """Digests of results by path: of all files but records, which hold times and come of the results."""
    files = [path for path in (folder / "results").rglob("*") if path.is_file()]
    names = {
        str(path.relative_to(folder)): path for path in files if path.suffix != ".json" or path.name == "manifest.json"
    }
    return {name: io.sha256(path) for name, path in names.items()}


def changed(clone: Workflow, home: Home, *targets: str) -> set[str]:
    """Paths of the results that a run makes otherwise than before."""
    for name in FOLDERS:
        home.own(name)
    before = digests(home.folder)
    home.write()
    run(clone, home.folder, *targets, snakefile=home.snakefile)
    after = digests(home.folder)
    return {name for name in before | after if before.get(name) != after.get(name)}


def test_a_figures_style_changes_figures_alone(clone, home):
    edits.adding("scripts/gridlaw/report/plotting.py", "MARKERS = MARKERS[::-1]")(home)
    targets = "results/figures/scores.png", "results/figures/costs.png", "results/runs.csv"
    assert changed(clone, home, *targets) == {f"results/figures/scores{suffix}" for suffix in (".png", ".svg", ".pdf")}


def test_a_metric_changes_scores_and_what_comes_of_them(clone, home):
    keys.setting("catalogue.tasks.mine.metrics", ["f1", "accuracy", "precision"])(home)
    found = changed(clone, home, "results/figures/scores.png", "results/figures/loss.png")
    assert {"results/scores.csv", "results/score/alpha/0/1/scores.csv", "results/baseline/mine/scores.csv"} <= found
    assert "results/figures/scores.png" in found
    assert not [name for name in found if name.startswith(("results/pretrain", "results/finetune", "results/trunk"))]
    assert not found & {"results/runs.csv", "results/baseline/sentiment/scores.csv", "results/figures/loss.png"}


def test_one_tasks_learning_rate(clone, home):
    """Of the planned jobs some are run: theirs are other results, nothing else is, and the rest is still planned."""
    keys.setting("finetune.per_task.mine.learning_rate", 5.0e-2)(home)
    runs = [f"results/finetune/alpha/0/1/{seed}/mine" for seed in (1, 2)]
    found = changed(clone, home, "results/score/alpha/0/1/scores.csv")
    assert found == {
        "results/score/alpha/0/1/scores.csv",
        *(f"{run}/{file}" for run in runs for file in ("predictions.parquet", "manifest.json")),
    }
    done = {"finetune alpha 0 1 1 mine", "finetune alpha 0 1 2 mine", "score alpha 0 1"}
    left = jobs(home.plan().result())
    assert left == expected(configuration(), home.config, {"finetune * mine"}) - done
