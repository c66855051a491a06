"""Means over seeds: each group's own, whatever the order of rows."""

import pandas as pd
import pytest

from gridlaw.stats import intervals


def test_a_group_has_its_own_averages_in_order_of_appearance():
    rows = [("b", "x", 0.2, 0.02), ("a", "x", 0.1, 0.01), ("a", None, 0.7, 0.07), ("b", "x", 0.4, 0.04)]
    table = pd.DataFrame(rows, columns=["model", "note", "value", "item_se"])
    found = intervals.summarise(table, ["model", "note"], "value", averaged=("item_se",))
    assert list(found["model"]) == ["b", "a", "a"]
    assert list(found["mean"]) == pytest.approx([0.3, 0.1, 0.7])
    assert list(found["item_se"]) == pytest.approx([0.03, 0.01, 0.07])
    assert list(found["n"]) == [2, 1, 1]
    # Student's t with one degree of freedom: 12.706 standard errors.
    assert found["high"][0] - 0.3 == pytest.approx(12.706 * 0.1, rel=1e-3)
    assert pd.isna(found["low"][1])
