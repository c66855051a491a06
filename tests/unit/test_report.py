"""What the report says, and how its page holds it."""

import base64
import re

import numpy as np
import pandas as pd
import report

from gridlaw import page


def pair(a, b, size, better=None, seeds=2):
    return {"a": a, "b": b, "size": size, "better": better, "seeds": seeds, "verdict": f"{a} and {b} at {size}"}


def test_few_models_are_compared_size_by_size():
    pairs = [pair("a", "b", "8k", "b"), pair("a", "b", "16k"), pair("a", "b", "64k"), pair("a", "c", "8k", seeds=1)]
    assert list(report.compared(pairs)) == [
        "b is better than a at 8k.",
        "a and b are not separable at 16k and 64k: seeds differ as much.",
        "a and c: with one seed nothing can be said at 8k.",
    ]


def test_of_many_models_the_best_at_the_largest_size():
    names = "abcde"
    pairs = [pair(x, y, "8k") for i, x in enumerate(names) for y in names[i + 1 :]]
    pairs += [
        pair(x, y, "1M", "e" if y == "e" and x != "d" else None) for i, x in enumerate(names) for y in names[i + 1 :]
    ]
    assert list(report.compared(pairs)) == [
        "e is better than 3 others at 1M; not separable from it: d.",
        "7 of 10 pairs of models at 1M are not separable.",
    ]


def test_each_reason_is_told_once():
    laws = {
        "laws": [
            {"name": "one", "state": "refused", "verdict": "No law: too few."},
            {"name": "other", "state": "refused", "verdict": "No law: too few."},
            {"name": "good", "state": "law", "verdict": "It fell."},
            {"name": "fast", "state": "refused", "verdict": "Efficiency: 50 % on 2 ranks.", "measured": []},
        ],
        "equivalence": [],
        "left_out": {"tiny 0 1 1": "it is not pre-trained here", "tiny 0 1 2": "it is not pre-trained here"},
    }
    said = report.answers(laws, {"groups": [], "averages": []})
    assert said["What more text and larger models bring"] == ["good: It fell."]
    assert said["What more ranks bring"] == ["fast: Efficiency: 50 % on 2 ranks."]
    assert said["What cannot be said, and why"] == [
        "one and other: No law: too few.",
        "Left out of every law, because it is not pre-trained here: tiny 0 1 1 and tiny 0 1 2.",
    ]


def test_a_table_is_whole_and_its_text_is_escaped():
    data = pd.DataFrame({"name": ["<b>&", None], "value_of": [0.123456, np.nan], "count": [1200000, 3]})
    table = page.table("data", "Data", "All.", data)
    assert table["columns"] == ["name", "value of", "count"]
    assert [cell["text"] for cell in table["rows"][0]] == ["<b>&", "0.1235", "1,200,000"]
    assert [cell["text"] for cell in table["rows"][1]] == ["", "", "3"]
    csv = base64.b64decode(table["source"].partition(",")[2]).decode()
    assert csv == data.to_csv(index=False)
    parts = {"title": "A <grid>", "state": "", "sections": [], "answers": {}, "figures": [], "tables": [table]}
    parts |= {"cost": "", "grid": {"columns": [], "rows": {}}, "methods": [], "provenance": "", "command": ""}
    html = page.render(**parts)
    assert "&lt;b&gt;&amp;" in html
    assert "<title>A &lt;grid&gt;</title>" in html
    assert not re.search(r'(src|href)="http', html)
