"""The text of the report, and its page."""

import base64
import json
import re

import numpy as np
import pandas as pd
import report

from gridlaw.cost import spending
from gridlaw.cost.spending import Spending
from gridlaw.report import page


def pair(a, b, size, better=None, conclusion="not separable"):
    return {"a": a, "b": b, "size": size, "better": better, "conclusion": "different" if better else conclusion}


def test_few_models_are_compared_size_by_size():
    pairs = [
        pair("a", "b", "8k", "b"),
        pair("a", "b", "16k"),
        pair("a", "b", "64k"),
        pair("a", "c", "8k", conclusion="one seed"),
    ]
    pairs += [pair("b", "c", "8k", conclusion="equivalent")]
    assert list(report.comparisons(pairs)) == [
        "b is better than a at 8k.",
        "a and b are not separable at 16k and 64k.",
        "a and c: one seed is too few for a comparison at 8k.",
        "b and c are equivalent at 8k.",
    ]


def test_of_many_models_the_best_at_the_largest_size():
    names = "abcde"
    pairs = [pair(x, y, "8k") for i, x in enumerate(names) for y in names[i + 1 :]]
    pairs += [
        pair(x, y, "1M", "e" if y == "e" and x != "d" else None) for i, x in enumerate(names) for y in names[i + 1 :]
    ]
    assert list(report.comparisons(pairs)) == [
        "e is better than 3 others at 1M; not separable from it: d.",
        "7 of 10 pairs of models at 1M are not separable.",
    ]


MEANS = pd.DataFrame(columns=["model", "size", "gpus", "task", "train_set", "note", "n", "diverged", "untrained"])
TEXTS = pd.DataFrame(
    [
        ("a", "own", "novels", "train", 90, None, 9_000, None, 0.02, 0.25, None),
        ("a", "own", "novels", "held_out", 3, None, 500, None, 0.01, 0.019, None),
        ("a", "own", "novels", "unused", None, 2, 500, None, None, None, None),
        ("a", "own", "mrpc", "train", None, None, None, 80, 0, 0, 0.041),
        ("a", "own", "mrpc", "validation", None, None, None, 40, 0, 0, 0.05),
        ("b", "own", "mrpc", "train", None, None, None, 80, 0, 0, 0.041),
        ("b", "own", "cola", "train", None, None, None, 80, 0, 0, 0.019),
    ],
    columns=[
        "model", "tokenizer", "text", "split", "documents", "cut_documents", "words", "examples", "unknown_tokens",
        "unknown_characters", "truncated",
    ],
)  # fmt: skip
FORECASTS = pd.DataFrame(
    [("a", "2M", 2e6, "loss", 2.0, 1.9, 2.1), ("a", "2M", 2e6, "task", 0.5, 0.4, 0.6), ("a", "4M", 4e6, "loss", 1.5, 1.4, 1.6),
     ("b", "2M", 2e6, "loss", 1.0, 0.9, 1.1), ("c", "2M", 2e6, "loss", None, None, None)],
    columns=["model", "size", "corpus_tokens", "quantity", "forecast", "low", "high"],
)  # fmt: skip


def lacking(name, cost, reason="No law: flat."):
    lacks = {"cost": cost, "words": f"{cost} would do."}
    return {"name": name, "state": "refused", "reason": reason, "verdict": f"{reason} {cost} would do.", "needs": lacks}


def test_each_reason_is_told_once():
    laws = {
        "laws": [
            {"name": "one", "state": "refused", "verdict": "No law: too few."},
            {"name": "other", "state": "refused", "verdict": "No law: too few."},
            lacking("dear", 2.0),
            lacking("cheap", 1.0),
            lacking("unknown", None),
            lacking("alone", 3.0, reason="No law: too short."),
            {"name": "good", "state": "law", "verdict": "It fell."},
            {"name": "fast", "state": "refused", "verdict": "Efficiency: 50 % on 2 ranks.", "measured": []},
        ],
        "in_run": [
            {"name": "long", "state": "law", "verdict": "It would fall."},
            {"name": "short", "state": "refused", "verdict": "It says nothing."},
        ],
        "equivalence": [],
        "left_out": {"tiny 0 1 1": "it is not pre-trained here", "tiny 0 1 2": "it is not pre-trained here"},
    }
    empty = dict.fromkeys(("comparisons", "crossovers", "budgets", "returns"), ())
    group = {"group": "passes 2", "second_seed": {"verdict": "One seed."}, "next": {"verdict": "Stop."}, **empty}
    said = report.answers(laws, {"groups": [group], "averages": []}, FORECASTS, MEANS, TEXTS)
    assert said["What more text and larger models bring"] == [
        ("good", "It fell."),
        ("long", "It would fall."),
        ("b on 2M tokens, forecast", "Loss 1.000 (0.900 to 1.100)."),
        ("a on 2M tokens, forecast", "Loss 2.000 (1.900 to 2.100) and task 0.500 (0.400 to 0.600)."),
    ]  # fmt: skip
    assert said["What the next rank-hours are worth"] == [("passes 2", "Stop.")]
    assert said["What more ranks bring"] == [("fast", "Efficiency: 50 % on 2 ranks.")]
    assert said["What cannot be said, and why"] == [
        ("passes 2", "One seed."),
        ("one and other", "No law: too few."),
        ("dear, cheap and unknown", "No law: flat. For cheap: 1.0 would do."),
        ("alone", "No law: too short. 3.0 would do."),
        ("short", "It says nothing."),
        ("Left out of every law", "tiny 0 1 1 and tiny 0 1 2, because it is not pre-trained here."),
    ]


def test_a_table_is_whole_and_its_text_is_escaped():
    data = pd.DataFrame({"name": ["<b>&", None], "value_of": [0.123456, np.nan], "count": [1200000, 3]})
    table = page.table("data", "Data", "All.", data)
    assert [head["text"] for head in table["columns"]] == ["name", "value of", "count"]
    assert [cell["text"] for cell in table["rows"][0]] == ["<b>&", "0.1235", "1,200,000"]
    assert [cell["text"] for cell in table["rows"][1]] == ["", "", "3"]
    csv = base64.b64decode(table["source"].partition(",")[2]).decode()
    assert csv == data.to_csv(index=False)
    parts = {
        "title": "A <grid>",
        "state": "",
        "sections": [],
        "answers": {},
        "terms": "",
        "figures": [],
        "tables": [table],
    }
    parts |= {"cost": {"sentences": [], "tables": []}, "matrix": page.matrix([]), "notes": [], "methods": []}
    html = page.render(**parts, provenance="", again="", command="")
    assert "&lt;b&gt;&amp;" in html
    assert "<title>A &lt;grid&gt;</title>" in html
    assert not re.search(r'(src|href)="http', html)


def test_of_long_tables_a_part_is_shown(monkeypatch):
    monkeypatch.setattr(page, "SHOWN", 2)
    table = page.table(
        "data", "Data", "All.", pd.DataFrame({"size": ["1M", "64k", "all"], "name": ["é", 'a "b", c', ""]})
    )
    assert len(table["rows"]) == 2
    assert table["count"] == 3
    assert base64.b64decode(table["source"].partition(",")[2]).decode() == 'size,name\n1M,é\n64k,"a ""b"", c"\nall,\n'
    assert [row[0]["attributes"] for row in table["rows"]] == [" data-v=1e+06", " data-v=64000"]


def test_matrix_of_a_grid_with_gaps():
    def cell(model, size, gpus, state, done=0, total=5):
        return {"model": model, "size": size, "gpus": gpus, "state": state, "done": done, "total": total}

    cells = [
        cell("b", "1M", 1, "failed", 2),
        cell("b", "64k", 1, "done", 5),
        cell("a", "1M", 1, "new"),
        cell("a", "1M", 2, "stale", 4),
    ]
    found = page.matrix(cells)
    assert found["sizes"] == [("64k", 1), ("1M", 2)]
    assert found["gpus"] == [1, 1, 2]
    assert found["rows"] == {
        "b": [{"state": "done", "part": ""}, {"state": "failed", "part": "2/5"}, None],
        "a": [None, {"state": "new", "part": ""}, {"state": "stale", "part": "4/5"}],
    }
    assert found["states"] == {"done": 1, "new": 1, "stale": 1, "failed": 1}
    assert page.matrix(cells[:1])["gpus"] == []


def test_the_state_comes_first():
    assert report.state({"done": 1}) == "The one cell of the grid is done."
    assert report.state({"done": 12}) == "All 12 cells of the grid are done."
    assert "Its 12 cells: 9 done, 2 new and 1 failed." in report.state({"done": 9, "new": 2, "failed": 1})
    assert [report.title(list(names)) for names in ("a", "ab", "abcde")] == [
        "How a scales", "How a and b scale", "How 5 models scale",
    ]  # fmt: skip
    assert report.few(list("abcdefgh")) == "a, b, c, d, e, f and 2 more"


PRICES = {"price_per_gpu_hour": 2, "price_per_kwh": 0.5, "watts_per_gpu": 0, "currency": "EUR"}


def attempt(step, seed, cause, seconds, ranks=1, joules=None, started="2026-11-20T10:00:00+00:00"):
    ended = None if seconds is None else "2026-11-20T11:00:00+00:00"
    return {
        "step": step, "model": "a", "size": "8k", "gpus": ranks, "pretrain_seed": seed, "task": None, "ranks": ranks, "cause": cause,
        "started": started, "ended": ended, "seconds": seconds, "joules": joules,
    }  # fmt: skip


def test_what_trainings_took():
    attempts = pd.DataFrame(
        [
            attempt("pretrain", 1, "exit status 1", 1800, ranks=2),
            attempt("pretrain", 1, "killed", None, ranks=2),
            attempt("pretrain", 1, "finished", 3600, ranks=2, joules=7.2e6),
            attempt("pretrain", 2, "running", None, ranks=2),
            attempt("finetune", 1, "finished", 1800),
        ]
    )
    spent = Spending(attempts, PRICES)
    assert list(spent.words()) == [
        "Trainings took 3.5 rank-hours: 3 rank-hours of pre-training and 30 rank-minutes of fine-tuning.",
        "They used 2 kWh, as far as measured.",
        "At the prices of the configuration that is 8 EUR.",
        "Attempts that did not finish: 2, which held ranks for 1 rank-hour; the time of 1 killed attempt is unknown.",
    ]
    rows = spent.table().set_index("what").to_dict("index")
    assert rows["pre-training"] == {
        "trainings": 2, "attempts": 4, "not finished": 2, "rank-hours": 3.0, "rank-hours not finished": 1.0, "kWh": 2.0, "EUR": 7.0,
    }  # fmt: skip
    watts = Spending(attempts, PRICES | {"watts_per_gpu": 1000})
    assert "They used 3.5 kWh, as far as measured." in list(watts.words())
    assert list(Spending(attempts[:0], PRICES).words()) == ["None trained."]


def test_predicted_beside_taken(tmp_path):
    attempts = pd.DataFrame(
        [
            attempt("pretrain", 1, "finished", 3600),
            attempt("pretrain", 2, "finished", 1800, started="2026-11-20T10:30:00+00:00"),
        ]
    )
    one = {
        "begun": "2026-11-20T09:59:00+00:00",
        "trainings": 3,
        "measured": 0,
        "rank_seconds": [1800, 3600, 7200],
        "seconds": [60, 60, 60],
    }
    file = tmp_path / "predictions.jsonl"
    file.write_text(
        "\n".join(json.dumps(one | {"begun": f"2026-11-20T{time}:00+00:00"}) for time in ("09:59", "10:15", "12:00"))
    )
    found = Spending(attempts, PRICES).comparison(spending.predictions(file))
    assert found["compute taken"].tolist() == ["1 rank-hour", "30 rank-minutes"]
    assert found["compute predicted"].tolist() == ["1 rank-hour (30 rank-minutes to 2 rank-hours)"] * 2
    assert found["finished"].tolist() == [1, 1]
    assert found["time taken"].tolist() == ["61 min", "45 min"]
    assert spending.predictions(tmp_path / "none") == []


def test_text_that_models_do_not_see():
    assert list(report.unseen(TEXTS)) == [
        ("novels as own reads it", "25 % of the characters (train) are unknown to the tokenizer."),
        (
            "mrpc as own reads it",
            "5 % of the examples (validation) and 4.1 % of the examples (train) are longer than finetune.max_length,"
            " and cut.",
        ),
    ]
    assert list(report.unseen(TEXTS.iloc[-1:])) == []


def test_the_held_out_text():
    assert report.held_out(TEXTS) == (
        " (500 words of 3 documents, 2 of them in part because they are long; 500 words, 5 % of the text, are in"
        " neither part)"
    )
    uncut = TEXTS.assign(cut_documents=TEXTS["cut_documents"].replace(2, 0))
    assert " (500 words of 3 documents; 500 words" in report.held_out(uncut)
    whole = TEXTS.assign(words=TEXTS["words"].where(TEXTS["split"] != "unused", 0))
    assert report.held_out(whole) == " (500 words of 3 documents, 2 of them in part because they are long)"
    assert report.held_out(TEXTS.assign(words=None)) == "", "earlier releases did not count them"
    assert report.held_out(TEXTS.iloc[3:]) == "", "a grid without a corpus"
