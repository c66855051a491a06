"""laws, forecasts and decisions from tables of many kinds of grids: always JSON, always with a reason."""

import json
import re

import decisions
import figure_pairs
import forecasts
import latex
import laws
import numpy as np
import pandas as pd
import pytest
import reference
import report
import yaml
from scipy import stats

from gridlaw import io
from gridlaw.config import grid
from gridlaw.laws import selection

SIZES = ["1M", "2M", "4M", "8M", "16M", "32M"]
TASK = {"task": "sentiment", "metric": "accuracy", "split": "validation", "train_set": "all"}
KEYS = ["model", "size", "gpus", "pretrain_seed"]
PARAMETERS = {"tiny": 1e6, "small": 4e6, "large": 16e6, "huge": 64e6}


def grid_of(models=("tiny", "small"), sizes=SIZES, gpus=(1,), seeds=(1, 2), **change):
    """Runs as `aggregate` tells them; `change` maps columns to values or functions of the table."""
    random = np.random.default_rng(0)
    runs = pd.DataFrame(
        [(model, size, rank, seed) for model in models for size in sizes for rank in gpus for seed in seeds],
        columns=KEYS,
    )
    tokens = runs["size"].map(grid.parse_size).astype(float)
    trained = tokens > 0
    parameters = runs["model"].map(PARAMETERS)
    loss = 1 + 30 / parameters**0.3 + 300 / tokens.where(trained, 1e3) ** 0.4
    # The same seed on other ranks is the same model.
    scatter = {
        key: random.normal(0, 0.003)
        for key in dict.fromkeys(zip(runs["model"], runs["size"], runs["pretrain_seed"], strict=True))
    }
    moved = [scatter[key] for key in zip(runs["model"], runs["size"], runs["pretrain_seed"], strict=True)]
    seconds = tokens * parameters / 1e10 / runs["gpus"] ** 0.9
    runs = runs.assign(
        size_tokens=tokens, status="done", tokenizer="wordpiece", held_out_mask_rate=0.15, schedule="independent", decay_shape="linear",
        decay_ratio=1.0, warmup_tokens=5000.0, passes=1.0, ranks=runs["gpus"], parameters=parameters,
        parameters_without_embeddings=parameters / 2, corpus_tokens=tokens.where(trained), held_out_loss=loss * np.exp(moved),
        held_out_loss_se=0.01, trained=trained.astype(object).where(trained), train_seconds=seconds,
        tokens_per_second=(tokens / seconds).where(trained), peak_memory_mb=500.0, trained_tokens=tokens,
        tokens_here=tokens,
    )  # fmt: skip
    untrained = ["schedule", "decay_shape", "decay_ratio", "warmup_tokens", "passes"]
    runs[untrained] = runs[untrained].where(trained)
    return runs.assign(**change)


def missing(runs, there):
    """The same grid with only its first runs there."""
    keep = np.arange(len(runs)) < there
    gone = {name: runs[name].astype(object).where(keep) for name in runs.columns.difference(KEYS)}
    return runs.assign(**gone).assign(status=np.where(keep, "done", "missing"))


class Analysis:
    """The three programs, run on a table of runs in a folder."""

    def __init__(self, program, folder):
        self.program, self.folder, self.curves = program, folder, None
        self.smallest = {"loss": 0, "score": 0}

    def __call__(self, runs, strong=True, corpus=10**9, budget=None, sizes=()):
        present = runs[runs["held_out_loss"].notna()]
        scores = [
            {**dict(zip(KEYS, key, strict=True)), **TASK, "finetune_seed": seed, "task": task, "metric": metric, "note": None,
             "value": 0.5 + 0.4 / (1 + np.exp(3 * (loss - 2))) + 0.001 * seed}
            for *key, loss in present[[*KEYS, "held_out_loss"]].itertuples(index=False)
            for seed in (1, 2) for task, metric in (("sentiment", "accuracy"), ("all tasks", "macro_average"))
        ]  # fmt: skip
        scores = pd.DataFrame(scores, columns=[*KEYS, *TASK, "finetune_seed", "note", "value"])
        cells = scores.groupby(["model", "size", "gpus", *TASK], sort=False)["value"]
        summary = cells.agg(mean="mean", sd="std", n="size").reset_index()
        reach = 1.96 * summary["sd"] / summary["n"] ** 0.5
        low, high = summary["mean"] - reach, summary["mean"] + reach
        summary = summary.assign(item_se=0.01, low=low, high=high, note=None)
        baselines = pd.DataFrame([{**TASK, "value": 0.5}]).drop(columns="train_set")
        curves = (
            self.curves if self.curves is not None else pd.DataFrame(columns=[*KEYS, "trained_tokens", "loss", "phase"])
        )
        tables = {"runs": runs, "curves": curves, "scores": scores, "summary": summary, "baselines": baselines}
        for name, table in tables.items():
            table.to_csv(self.folder / f"{name}.csv", index=False)
        axes = {axis: runs[axis].drop_duplicates().to_list() for axis in ("model", "size", "gpus")}
        recipe = {
            "scaling": "strong" if strong else "weak", "tasks": [TASK], "models": axes["model"], "exclude": [], "gpus": axes["gpus"],
            "budget_rank_hours": budget, "price_per_gpu_hour": 2, "currency": "EUR", "finetune_gpus": "all",
            "smallest_difference": self.smallest,
        }  # fmt: skip
        self.run(
            laws,
            recipe,
            "runs",
            "curves",
            "summary",
            "baselines",
            laws="laws.csv",
            fits="fits.npz",
            record="laws.json",
        )
        fitted = ["--fits", self.folder / "fits.npz"]
        self.run(
            forecasts,
            recipe | {"forecast_sizes": list(sizes)},
            "runs",
            more=fitted,
            forecasts="forecasts.csv",
            record="forecasts.json",
        )
        packs = [self.folder / "pack.json"] if corpus else []
        for pack in packs:
            io.write_json(pack, {"train": {"tokens": corpus}})
        self.run(
            decisions,
            recipe | {"sizes": axes["size"]},
            "runs",
            "scores",
            next="next.yaml",
            record="decisions.json",
            more=[*fitted, *(["--packs", *packs] if packs else [])],
        )
        self.laws, self.decisions = (self.read(name) for name in ("laws", "decisions"))
        self.forecasts = pd.read_csv(self.folder / "forecasts.csv")
        self.next = yaml.safe_load((self.folder / "next.yaml").read_text())
        assert reference.unknown([self.laws, self.decisions]) == set()
        for words in verdicts([self.laws, self.decisions]):
            assert words.strip() == words != ""
            assert not any(wrong in words for wrong in ("  ", "nan", "None", "inf ", "there are 1 ", "1 values"))
        return self

    def paper(self):
        """The tables for a paper."""
        given = {name: f"{name}.json" for name in ("laws", "decisions")}
        given |= {f"{name}-table": f"{name}.tex" for name in ("scores", "loss")}
        given |= {f"{name}-table": f"of_{name}.tex" for name in ("laws", "forecasts")}
        models = list(pd.read_csv(self.folder / "runs.csv")["model"].unique())
        recipe = {"models": models, "tasks": [["sentiment", "accuracy", "validation"]]}
        self.run(latex, recipe, "runs", "summary", "forecasts", **given, record="latex.json")

    def pairs(self):
        """The pairs of the figure of pairs."""
        recipe = {"models": [*PARAMETERS]}
        given = {"decisions": "decisions.json", "figure": "pairs.png", "record": "pairs.json"}
        self.run(figure_pairs, recipe, **given)
        return pd.read_csv(self.folder / "pairs.csv").dropna(subset=["a"])

    def run(self, module, recipe, *tables, more=(), **outputs):
        arguments = [word for table in tables for word in (f"--{table}", self.folder / f"{table}.csv")]
        arguments += [word for name, file in outputs.items() for word in (f"--{name}", self.folder / file)]
        self.program(module, "--recipe", json.dumps(recipe), *arguments, *more)

    def read(self, name):
        return json.loads((self.folder / f"{name}.json").read_text(), parse_constant=pytest.fail)


def verdicts(of):
    """All that a record says in words."""
    found = [of["verdict"]] if isinstance(of, dict) and "verdict" in of else []
    items = of.values() if isinstance(of, dict) else of if isinstance(of, list) else []
    return found + [words for item in items for words in verdicts(item)]


@pytest.fixture
def analyse(program, tmp_path):
    return Analysis(program, tmp_path)


def test_a_good_grid(analyse):
    done = analyse(grid_of(gpus=(1, 2)), budget=20)
    states = {law["name"]: law["state"] for law in done.laws["laws"]}
    assert states["tiny: loss by tokens"] == "law"
    assert states["sentiment: accuracy by held-out loss"] == "law"
    assert states["loss by parameters and tokens, with embeddings"] == "refused"
    assert {one["verdict"] for one in done.laws["equivalence"]} == {"Losses on 2 and 1 ranks are the same."}
    assert len(done.laws["equivalence"]) == 12
    assert done.laws["left_out"] == {}
    table = done.forecasts
    assert list(table["size"].unique()) == ["64M", "130M", "320M"]
    assert table.loc[table["state"] == "forecast", ["forecast", "low", "high"]].notna().all(axis=None)
    assert (table["low"].dropna() <= table["high"].dropna()).all()
    assert (table.loc[table["quantity"] == "sentiment (accuracy)", "high"] <= 1).all()
    (group,) = done.decisions["groups"]
    assert list(group["pareto"]) == ["rank-hours at 2 EUR each", "seconds of training", "MB of memory"]
    assert {row["better"] for row in group["comparisons"]} == {"small"}
    assert [one["rank_hours"] for one in group["budgets"]] == [20]
    chosen = {(row["model"], row["size"], row["gpus"]) for row in group["next"]["cells"]}
    assert chosen
    before = {"models": ["tiny", "small"], "sizes": SIZES, "gpus": [1, 2], "exclude": []}
    assert set(grid.cells(before | done.next)) - set(grid.cells(before)) == chosen


def test_page_figure_and_paper_agree(analyse):
    """Of 20 seeds a difference is found that is smaller than two of their standard deviations, and everywhere."""
    means = {("tiny", "1M"): 2.5, ("small", "1M"): 2.0, ("large", "1M"): 2.001}
    means |= {("tiny", "8M"): 2.4, ("small", "8M"): 1.9, ("large", "8M"): 1.87}
    spread = stats.norm.ppf((np.arange(20) + 0.5) / 20) * 0.02

    def loss(runs):
        cells = [means[cell] for cell in zip(runs["model"], runs["size"], strict=True)]
        return cells + spread[runs["pretrain_seed"] - 1]

    runs = grid_of(("tiny", "small", "large"), ["1M", "8M"], seeds=range(1, 21), held_out_loss=loss)
    done = analyse(runs)
    (group,) = done.decisions["groups"]
    for pairs in (group["comparisons"], done.decisions["scores"], done.decisions["averages"]):
        assert list(report.comparisons(pairs)) == [
            "small is better than tiny at 1M and 8M.",
            "large is better than tiny at 1M and 8M.",
            "small and large are not separable at 1M.",
            "large is better than small at 8M.",
        ]
    done.paper()
    assert bold(done.folder / "loss.tex") == [("large", "1.870")]
    assert [model for model, _ in bold(done.folder / "scores.tex")] == ["large", "large"], "of the task and the average"
    marked = done.pairs()
    assert set(marked["size"]) == {"8M"}
    assert marked["better"].value_counts().to_dict() == {"large": 4, "small": 2}

    # The same seeds say that 0.03 nats and what they make of a score are nothing to speak of.
    done.smallest = {"loss": 0.06, "score": 0.06}
    done(runs)
    (group,) = done.decisions["groups"]
    assert "small and large are equivalent at 1M and 8M." in list(report.comparisons(group["comparisons"]))
    done.paper()
    assert bold(done.folder / "loss.tex") == bold(done.folder / "scores.tex") == []
    assert "by at least" not in (done.folder / "loss.tex").read_text()
    assert done.pairs()["conclusion"].value_counts().to_dict() == {"different": 4, "equivalent": 2}


def bold(file):
    """Model and number of each bold cell of a table."""
    rows = [line.split("&") for line in file.read_text().splitlines() if "&" in line]
    found = [(row, re.search(r"mathbf\{([\d.]+)", cell)) for row in rows for cell in row]
    return [(next(name for name in PARAMETERS if name in " ".join(row)), one[1]) for row, one in found if one]


def test_four_models_have_a_joint_law(tmp_path):
    grid_of(PARAMETERS, [*SIZES[::2], "32M"]).to_csv(tmp_path / "runs.csv", index=False)
    (group,) = selection.groups(selection.read_runs(tmp_path / "runs.csv"), strong=True)
    *at_sizes, with_embeddings, without = (law for law, _ in selection.laws_of_models(group))
    assert [law.axes for law in at_sizes] == [["params"]] * 4
    assert [law.state for law in (with_embeddings, without)] == ["law", "law"]
    assert with_embeddings.record()["range"]["params"] == [1e6, 64e6]
    assert without.record()["range"]["params"] == [0.5e6, 32e6]


def test_sizes_that_are_asked_for(analyse):
    table = analyse(grid_of(), sizes=["16M", "100M", "10B"]).forecasts
    assert list(table["size"].unique()) == ["100M", "10B"]
    loss = table[table["quantity"] == "held-out loss"].set_index(["model", "size"])
    assert loss.loc[("tiny", "100M"), "state"] == "forecast"
    assert loss.loc[("tiny", "10B"), "state"] == "none"
    assert np.isnan(loss.loc[("tiny", "10B"), "forecast"])


def test_released_checkpoints_alone(analyse):
    done = analyse(grid_of(sizes=["0"], held_out_loss=np.nan), corpus=None)
    assert done.laws["laws"] == []
    assert set(done.decisions["left_out"].values()) == {"it is not pre-trained here"}
    assert len(done.decisions["left_out"]) == 4
    assert done.decisions["groups"] == []
    assert done.forecasts.empty
    assert done.next == {"sizes": ["0"], "exclude": []}


def test_a_grid_of_one_cell(analyse):
    done = analyse(grid_of(["tiny"], ["1M"], seeds=[1]))
    assert {law["state"] for law in done.laws["laws"]} == {"refused"}
    assert "1 value of tokens is too few" in done.laws["laws"][0]["verdict"]
    (group,) = done.decisions["groups"]
    assert group["comparisons"] == []
    assert group["run_sd"] is None
    assert group["pareto"]["seconds of training"][0]["on_front"] is True


@pytest.mark.parametrize("there", [0, 1])
def test_a_grid_whose_runs_are_missing(analyse, there):
    runs = grid_of()
    done = analyse(missing(runs, there))
    assert list(done.laws["left_out"].values()) == ["it is missing"] * (len(runs) - there)
    assert len(done.decisions["groups"]) == there


def test_runs_that_have_learnt_nothing_are_left_out(analyse):
    runs = grid_of(sizes=SIZES[:4])
    done = analyse(runs.assign(trained=(runs["size"] != "1M").astype(object)))
    assert done.laws["left_out"]["tiny 1M (gpus 1, seed 1)"] == "it has learnt no more than how frequent each word is"
    assert done.laws["laws"][0]["points"] == 3


def test_weak_scaling_has_groups_of_one_batch(analyse):
    runs = grid_of(sizes=SIZES[2:], gpus=(1, 2))
    runs["held_out_loss"] *= np.where(runs["gpus"] == 2, 1.1, 1.0)
    done = analyse(runs, strong=False)
    assert done.laws["equivalence"] == []
    assert [group["group"] for group in done.decisions["groups"]] == ["gpus 1", "gpus 2"]
    for gpus, group in enumerate(done.decisions["groups"], 1):
        for rows in group["pareto"].values():
            assert {row["gpus"] for row in rows} == {gpus}
        assert {one["gpus"] for one in group["budgets"] if "gpus" in one} == {gpus}


def test_two_tokenizers_are_not_compared(analyse):
    runs = grid_of(sizes=SIZES[2:])
    done = analyse(runs.assign(tokenizer=runs["model"].map({"tiny": "wordpiece", "small": "bpe"})))
    groups = done.decisions["groups"]
    assert [group["group"] for group in groups] == ["tokenizer wordpiece", "tokenizer bpe"]
    assert [group["comparisons"] for group in groups] == [[], []]
    assert any(law["name"] == "small: loss by tokens (tokenizer bpe)" for law in done.laws["laws"])


def test_repeated_text_is_told_in_a_whole_number(analyse):
    runs = grid_of(sizes=SIZES[:2])
    done = analyse(runs.assign(passes=runs["model"].map({"tiny": 1, "small": 10})))
    assert [group["group"] for group in done.decisions["groups"]] == ["passes 1", "passes 10"]


def test_two_seeds_lack_none(analyse):
    done = analyse(grid_of(sizes=SIZES[3:], seeds=[1, 2]))
    assert done.decisions["groups"][0]["second_seed"] is None


def test_one_seed_claims_nothing(analyse):
    done = analyse(grid_of(sizes=SIZES[3:], seeds=[1]))
    second = done.decisions["groups"][0]["second_seed"]
    # As much again as has been spent.
    assert second["cost_rank_hours"] == pytest.approx(done.decisions["spent_rank_hours"])
    assert f"a second one of {second['cells']} cells would do, for about" in second["verdict"]
    (group,) = done.decisions["groups"]
    assert all("with one seed nothing can be said" in row["verdict"] for row in group["comparisons"])
    assert all(row["probability"] is None for rows in group["pareto"].values() for row in rows)


def test_ranks_without_a_throughput(analyse):
    done = analyse(grid_of(sizes=["1M", "2M"], gpus=(1, 2), tokens_per_second=np.nan))
    of_ranks = [law for law in done.laws["laws"] if law["name"].endswith("throughput by ranks")]
    assert {law["state"] for law in of_ranks} == {"refused"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"held_out_loss": lambda runs: 5.0 + np.log(runs["corpus_tokens"])},
            "the loss does not fall with more tokens",
        ),
        ({"held_out_loss": 3.0}, "the loss is the same everywhere"),
        ({"train_seconds": np.nan, "peak_memory_mb": np.nan}, "nothing can be planned"),
    ],
    ids=["rising", "constant", "no costs"],
)
def test_grids_that_say_little(analyse, change, words):
    done = analyse(grid_of(sizes=SIZES[3:], **change))
    assert any(words in one for one in verdicts([done.laws, done.decisions]))


def test_names_of_runs():
    runs = grid_of(["tiny"], ["1M"])
    assert [selection.run_name(run) for run in runs.itertuples()] == [
        "tiny 1M (gpus 1, seed 1)",
        "tiny 1M (gpus 1, seed 2)",
    ]


def test_a_run_that_went_on_from_a_trunk_counts_whole(tmp_path):
    """A tenth of it was done here; on its own it would have taken ten times as long."""
    runs = grid_of()
    runs.to_csv(tmp_path / "runs.csv", index=False)
    runs.assign(tokens_here=runs["trained_tokens"] / 10, train_seconds=runs["train_seconds"] / 10).to_csv(
        tmp_path / "branches.csv", index=False
    )
    whole, branches = (selection.read_runs(tmp_path / f"{name}.csv") for name in ("runs", "branches"))
    pd.testing.assert_series_equal(whole["hours"], branches["hours"])
    assert whole.loc[whole["corpus_tokens"] > 0, "hours"].gt(0).all()
