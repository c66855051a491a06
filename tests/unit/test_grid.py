"""Sizes, cells, exclusions."""

import pytest

from gridlaw.config import grid


@pytest.mark.parametrize(
    ("written", "tokens", "name"),
    [
        ("64k", 64_000, "64k"),
        (64000, 64_000, "64k"),
        ("64000", 64_000, "64k"),
        ("0.064M", 64_000, "64k"),
        ("1M", 10**6, "1M"),
        ("1000k", 10**6, "1M"),
        ("1.5M", 1_500_000, "1.5M"),
        ("2.5B", 2_500_000_000, "2.5B"),
        ("1234567", 1_234_567, "1234.567k"),
        (999, 999, "999"),
        (0, 0, "0"),
        ("0", 0, "0"),
        ("0k", 0, "0"),
        ("all", None, "all"),
    ],
)
def test_size(written, tokens, name):
    assert grid.parse_size(written) == tokens
    assert grid.size_name(written) == name
    assert grid.parse_size(grid.size_name(written)) == tokens


@pytest.mark.parametrize("written", ["", "k", "64kk", "-1", "1e6", "0.5", "1.2345k", "ALL", "1 M"])
def test_not_a_size(written):
    with pytest.raises(ValueError, match="size|whole number"):
        grid.parse_size(written)


def test_order():
    names = ["all", "1M", "0", "64k", "1.5M", "256k"]
    assert sorted(names, key=grid.size_order) == ["0", "64k", "256k", "1M", "1.5M", "all"]


def config(**changes):
    return {
        "models": ["a", "b"],
        "sizes": ["64k", "1M"],
        "gpus": [1, 2],
        "exclude": [],
        "pretrain": {"scaling": "strong"},
        "finetune": {"gpus": [1]},
    } | changes


def test_cells_in_the_order_of_the_axes():
    cells = list(grid.cells(config()))
    assert len(cells) == 8
    assert cells[0] == ("a", "64k", 1)
    assert cells[-1] == ("b", "1M", 2)


def test_exclusion_needs_all_of_its_keys():
    cells = set(grid.cells(config(exclude=[{"model": "a", "gpus": 2}, {"size": [64000]}])))
    assert cells == {("a", "1M", 1), ("b", "1M", 1), ("b", "1M", 2)}


def test_runs_that_differ_in_the_number_of_ranks_alone():
    axes = config(sizes=["0", "64k", "1M"], gpus=[4, 1, 2])
    axes["exclude"] = [{"model": "a", "size": "1M", "gpus": 1}, {"model": "b", "gpus": [2, 4]}]
    assert grid.compared(axes, "a", "64k") == [1, 2, 4]
    assert grid.compared(axes, "a", "1M") == grid.compared(axes, "b", "64k") == [], (
        "there is no single rank, or no other"
    )
    assert grid.compared(axes, "a", "0") == []
    assert grid.compared(axes | {"pretrain": {"scaling": "weak"}}, "a", "64k") == []


def test_scores_come_from_a_fine_tuned_gpus_value():
    one = config()
    assert grid.scored(one)[grid.Cell("a", "1M", 1)] == 1
    assert grid.scored(one)[grid.Cell("a", "1M", 2)] == 1
    everything = config(finetune={"gpus": "all"})
    assert grid.scored(everything)[grid.Cell("a", "1M", 2)] == 2
    elsewhere = config(gpus=[1, 2, 4], finetune={"gpus": [2, 4]})
    assert grid.scored(elsewhere)[grid.Cell("a", "1M", 1)] == 2
