"""From tables and laws to figures, the report and LaTeX tables."""

from __future__ import annotations

from collections.abc import Callable

from gridlaw.config import grid, hyperparameters
from gridlaw.workflow.experiment import Experiment
from gridlaw.workflow.kind import Kind, Output, Setting, result
from gridlaw.workflow.kinds.analysis import DECISIONS, FORECASTS, LAWS
from gridlaw.workflow.kinds.evaluation import AGGREGATE
from gridlaw.workflow.recipe import Recipe

# Tables and records that figures are drawn from, each with its kind of step, its output and a description.
TABLES = {
    "runs": (AGGREGATE, "runs", "pre-training runs, CSV"),
    "curves": (AGGREGATE, "curves", "losses that runs logged, CSV"),
    "scores": (AGGREGATE, "scores", "scores of each fine-tuning, CSV"),
    "summary": (AGGREGATE, "summary", "scores over seeds, CSV"),
    "baselines": (AGGREGATE, "baselines", "scores of the majority class, CSV"),
    "attempts": (AGGREGATE, "attempts", "attempts at trainings, CSV"),
    "texts": (AGGREGATE, "texts", "texts that models read, CSV"),
    "fits": (LAWS, "fits", "fitted laws, NPZ"),
    "laws": (LAWS, "record", "the grid's laws, JSON"),
    "forecasts": (FORECASTS, "forecasts", "forecasts, CSV"),
    "decisions": (DECISIONS, "record", "decisions, JSON"),
}


def tables(*names: str) -> dict[str, object]:
    """Return sources by name."""
    return {name: result(TABLES[name][2]) for name in names}


def files_of(*names: str) -> dict[str, list[str]]:
    """Return the files of these sources."""
    return {name: [TABLES[name][0].file(TABLES[name][1])] for name in names}


def models(config: dict) -> Recipe:
    """Return the recipe of most figures: the order of the models determines their colours."""
    return Recipe({"models": config["models"]}, {"models": "models"})


def comparable(config: dict) -> Recipe:
    """Return the recipe of figures that select comparable runs."""
    return models(config) | Recipe.take(config, "pretrain", ("scaling",))


def panels(config: dict) -> Recipe:
    """Return the recipe of what shows scores: the first metric of every task on its first validation split."""
    tasks = {task: config["catalogue"]["tasks"][task] for task in config["tasks"]}
    shown = [[task, entry["metrics"][0], entry["validation"][0]] for task, entry in tasks.items()]
    keys = {
        f"tasks.{task}.{name}": f"catalogue.tasks.{task}.{name}" for task in tasks for name in ("metrics", "validation")
    }
    return models(config) | Recipe({"tasks": shown}, {"tasks": "tasks"} | keys)


def figure(name: str, *sources: str, recipe: Callable[[dict], Recipe] = models) -> Kind:
    """Return the kind of step that draws a figure.

    Args:
        name: name of the figure.
        sources: names of `TABLES`.
        recipe: returns its recipe for a configuration.
    """
    endings = {"svg": "svg", "pdf": "pdf", "data": "csv"}
    return Kind(
        name=f"figure_{name}",
        folder="results/figures",
        reads=tables(*sources),
        writes={
            "figure": Output(
                f"{name}.png", "the figure (.png; .svg, .pdf and .csv beside it)", shown=("figures", name)
            ),
            **{output: Output(f"{name}.{ending}", beside="figure") for output, ending in endings.items()},
            "record": Output(f"{name}.json", "record of the step, JSON"),
        },
        recipe=recipe,
        inputs=lambda experiment: files_of(*sources),
    )


# In the order of the report.
FIGURES = {
    "scores": figure("scores", "summary", "baselines", recipe=panels),
    "loss": figure("loss", "runs"),
    "laws": figure("laws", "fits"),
    "curves": figure("curves", "curves", "laws"),
    "parameters": figure("parameters", "runs", "laws", recipe=comparable),
    "transfer": figure("transfer", "laws"),
    "front": figure("front", "runs", "summary", recipe=comparable),
    "budget": figure("budget", "decisions"),
    "throughput": figure("throughput", "runs"),
    "pairs": figure("pairs", "decisions"),
    "seeds": figure("seeds", "scores", recipe=panels),
    "holdout": figure("holdout", "runs", "laws"),
    "residuals": figure("residuals", "runs", "laws"),
    "estimates": figure("estimates", "laws"),
    "costs": figure("costs", "runs", "decisions"),
}


def _report_recipe(config: dict) -> Recipe:
    """The settings that its paragraphs on methods name, and prices."""
    named = {
        "pretrain": ("passes", "mask_rate", "held_out_mask_rate", "batch_size", "learning_rate", "weight_decay",
                     "adam_beta2", "decay_shape", "decay_ratio"),
        "finetune": ("epochs", "batch_size", "learning_rate"),
        "data": ("segment_words", "row_length", "held_out_words"),
    }  # fmt: skip
    kinds = {hyperparameters.kind_of(config, model) for model in config["models"]}
    sections = {name: {key: _of_kinds(config[name][key], kinds) for key in keys} for name, keys in named.items()}
    sections["pretrain"]["warmup_tokens"] = grid.parse_size(config["pretrain"]["warmup_tokens"])
    sections["seeds"] = {name: sorted(values) for name, values in config["seeds"].items()}
    known = ("price_per_gpu_hour", "price_per_kwh", "watts_per_gpu")
    sections["cost"] = {name: config["cost"].get(name, 0) for name in known}
    sections["cost"]["currency"] = config["cost"]["currency"]
    whole = {name: config[name] for name in ("models", "tasks", "corpus")}
    by_kind = [f"{name}.{key}" for name, keys in named.items() for key in keys if isinstance(config[name][key], dict)]
    return Recipe(whole | sections, {key: f"{key}.{kind}" for key in by_kind for kind in kinds if len(kinds) == 1})


def _of_kinds(value: object, kinds: set[str]) -> object:
    """Return a hyper-parameter without its values for kinds of models that the grid does not have."""
    if not isinstance(value, dict):
        return value
    values = {kind: value[kind] for kind in sorted(kinds)}
    return values if len(values) > 1 else next(iter(values.values()))


def _report_inputs(experiment: Experiment) -> dict[str, list[str]]:
    read = files_of("runs", "summary", "attempts", "texts", "laws", "forecasts", "decisions")
    return read | {"figures": [drawn.file("svg") for drawn in FIGURES.values()]}


REPORT = Kind(
    name="report",
    folder="results",
    reads=tables("runs", "summary", "attempts", "texts", "laws", "forecasts", "decisions")
    | {"figures": result("figures, SVG, in their order", many=True)},
    writes={
        "report": Output("report.html", "the page, HTML", shown=("report", "page")),
        "record": Output("report.json", "record of the step, JSON"),
    },
    settings={
        "predictions": Setting("estimates that runs of the workflow began with, JSON lines", "logs/predictions.jsonl"),
        "states": Setting("states of the cells, JSON; by default all are done"),
        "command": Setting("the command that makes the page again; by default it is not known", "{command}"),
    },
    recipe=_report_recipe,
    inputs=_report_inputs,
)


def _latex_recipe(config: dict) -> Recipe:
    return panels(config)


def _latex_inputs(experiment: Experiment) -> dict[str, list[str]]:
    return files_of("runs", "summary", "laws", "forecasts", "decisions")


LATEX = Kind(
    name="latex",
    folder="results",
    reads=tables("runs", "summary", "laws", "forecasts", "decisions"),
    writes={
        **{
            f"{name}_table": Output(f"latex/{name}.tex", f"table of {name}, LaTeX", shown=("tables", "latex"))
            for name in ("scores", "loss", "laws", "forecasts")
        },
        "record": Output("latex.json", "record of the step, JSON"),
    },
    recipe=_latex_recipe,
    inputs=_latex_inputs,
)
