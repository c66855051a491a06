"""Numbers and lists in words."""

import pytest

from gridlaw import words


@pytest.mark.parametrize(
    ("texts", "interval"),
    [
        (("2 h", "3 h", "5 h"), "3 (2 to 5) h"),
        (("50 min", "2 h", "4 h"), "2 h (50 min to 4 h)"),
        (("3 h", "3 h", "3 h"), "3 h"),
        (("2", "3", "5"), "3 (2 to 5)"),
    ],
)
def test_interval(texts, interval):
    assert words.interval(*texts) == interval


def test_lists():
    assert words.join_and(["a"]) == "a"
    assert words.join_and(iter(["a", 1, "c"])) == "a, 1 and c"
    assert words.join_comma([]) == ""
    assert words.join_comma({"a": 1, "b": 2}) == "a, b"


def test_counts():
    assert [words.count(number, "cell") for number in (0, 1, 3)] == ["0 cells", "1 cell", "3 cells"]
    assert words.count(2, "logged loss", "logged losses") == "2 logged losses"


def test_shares_are_never_rounded_to_nothing_or_all():
    assert [words.percent(share) for share in (0, 1e-6, 0.123, 0.9951, 1)] == [
        "0 %", "less than 0.001 %", "12 %", "more than 99 %", "100 %",
    ]  # fmt: skip


def test_a_metric_of_a_class_names_it():
    assert words.metric("f1", "spam") == "F1 of class spam"
    assert words.metric("f1", float("nan")) == words.metric("f1") == "F1"
    assert words.metric("f1", "x" * 99) == f"F1 of class {'x' * 40}"


def test_a_caveat_is_of_the_runs_that_need_it():
    assert words.caveat(0, 0, 3) == ""
    assert words.caveat(1, 0, 3) == "1 of 3 runs diverged"
    assert words.caveat(1, 2, 3) == "1 of 3 runs diverged, 2 of 3 runs untrained"
