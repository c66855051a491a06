"""Tables for a paper."""

import json
import re
import shutil
import subprocess

import latex
import numpy as np
import pandas as pd
import pytest

from gridlaw import io

NAMES = ("scores", "loss", "laws", "forecasts")
TASK = {"task": "odd_task", "train_set": "all", "split": "validation", "metric": "accuracy"}
LAW = {
    "name": "a_model: loss by tokens", "axes": ["corpus_tokens"], "state": "law", "points": 4,
    "parameters": {name: {"value": value, "low": None, "high": None} for name, value in {"E": 1.5, "B": 60, "beta": 0.3}.items()},
}  # fmt: skip


@pytest.fixture
def write(program, tmp_path):
    """Writes the tables of cells, by (size, model) their loss and score, and reads them."""

    def of(cells, laws=(), forecasts=(), seeds=3, better=(), smallest=None):
        smallest = smallest or {"loss": 0, "score": 0}
        random = np.random.default_rng(0)
        keys = [{"size": size, "model": model, "gpus": 1} for size, model in cells]
        runs = [
            {**key, "tokenizer": "wordpiece", "held_out_loss": loss * np.exp(random.normal(0, 0.001))}
            for key, (loss, _) in zip(keys, cells.values(), strict=True)
            for _ in range(seeds)
        ]
        summary = [
            {
                **key,
                **TASK,
                "note": None,
                "mean": score,
                "low": score - 0.01,
                "high": score + 0.01,
                "sd": 0.004,
                "n": seeds,
            }
            for key, (_, score) in zip(keys, cells.values(), strict=True)
        ]
        columns = ["model", "size", "corpus_tokens", "quantity", "forecast", "low", "high"]
        tables = {
            "runs": pd.DataFrame(runs),
            "summary": pd.DataFrame(summary),
            "forecasts": pd.DataFrame(forecasts, columns=columns),
        }
        arguments = []
        for name, table in tables.items():
            table.to_csv(tmp_path / f"{name}.csv", index=False)
            arguments += [f"--{name}", tmp_path / f"{name}.csv"]
        io.write_json(tmp_path / "laws.json", {"laws": list(laws)})
        found = {"scores": better, "averages": (), "groups": [{"comparisons": better}], "smallest_difference": smallest}
        io.write_json(tmp_path / "decisions.json", found)
        for name in NAMES:
            arguments += [f"--{name}-table", tmp_path / f"{name}.tex"]
        models = list(dict.fromkeys(model for _, model in cells))
        recipe = json.dumps({"models": models, "tasks": [["odd_task", "accuracy", "validation"]]})
        arguments += [
            "--laws",
            tmp_path / "laws.json",
            "--decisions",
            tmp_path / "decisions.json",
            "--record",
            tmp_path / "record.json",
        ]
        program(latex, "--recipe", recipe, *arguments)
        return {name: (tmp_path / f"{name}.tex").read_text() for name in NAMES}

    return of


def pair(size, better):
    of = {"task": "odd_task", "metric": "accuracy", "split": "validation"}
    return {"size": size, "a": "one", "b": "other", "better": better, **of}


def test_the_best_is_bold_where_it_is_better(write):
    cells = {
        ("8k", "one"): (5.0, 0.6),
        ("8k", "other"): (4.0, 0.601),
        ("64k", "one"): (3.0, 0.7),
        ("64k", "other"): (2.0, 0.8),
    }
    better = [pair("8k", None), pair("64k", "other")]
    tables = write(cells, better=better)
    assert re.findall(r"mathbf\{(\d\.\d)", tables["scores"]) == ["0.8"], "as the decisions have it"
    assert [float(found) for found in re.findall(r"mathbf\{(\d\.\d)", tables["loss"])] == pytest.approx([2], abs=0.11)
    assert "$n = 3$" in tables["scores"]
    assert "Holm" in tables["loss"]
    assert "by at least" not in tables["loss"]
    tables = write(cells, better=better, smallest={"loss": 0.5, "score": 0.01})
    assert "by at least 0.5 nats" in tables["loss"]
    assert "by at least 0.01)" in tables["scores"]


def test_what_is_not_compared_is_not_bold(write):
    tables = write({("8k", "one"): (5.0, 0.6), ("8k", "other"): (4.0, 0.9), ("64k", "one"): (4.0, 0.9)})
    assert "mathbf" not in "".join(tables.values())
    assert "Bold" not in "".join(tables.values())


def test_one_seed_has_no_interval_and_no_bold(write):
    tables = write({("8k", "one"): (5.0, 0.6), ("8k", "other"): (4.0, 0.9)}, seeds=1)
    assert "pm" not in tables["loss"]
    assert "mathbf" not in "".join(tables.values())


def test_nothing_to_tell_is_said(write):
    tables = write({("8k", "one"): (5.0, 0.6)})
    assert "The grid carries none." in tables["laws"]
    assert "No law of the grid is good for one." in tables["forecasts"]


def test_many_rows_go_over_pages(write):
    assert "longtable" in write({("8k", f"m{n}"): (5 - n / 50, 0.5 + n / 200) for n in range(50)})["scores"]


def test_names_are_escaped_and_latex_reads_it(write, tmp_path):
    forecast = {
        "model": "a_model",
        "size": "1M",
        "corpus_tokens": 1e6,
        "quantity": "odd_task (accuracy)",
        "forecast": 0.9,
        "low": 0.8,
        "high": 1.0,
    }
    tables = write({("8k", "a_model"): (5.0, 0.6), ("8k", "b&c"): (4.0, 0.9)}, [LAW], [forecast])
    assert r"a\_model" in tables["forecasts"]
    for table in tables.values():
        assert not re.search(r"(?<!\\)_(?!\{)", table)
        rows = [line for line in table.splitlines() if line.endswith(r"\\") and "caption" not in line]
        (columns,) = re.findall(r"begin\{tabular\}\{(l+)\}", table)
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(columns) - 1}
        assert [table.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
    if not shutil.which("kpsewhich") or subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True).returncode:
        return
    inputs = "".join(rf"\input{{{name}}}" for name in NAMES)
    page = rf"\documentclass{{article}}\usepackage{{booktabs,longtable}}\begin{{document}}{inputs}\end{{document}}"
    (tmp_path / "page.tex").write_text(page)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
