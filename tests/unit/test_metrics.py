"""Metrics against scikit-learn, SciPy and cases worked out by hand."""

import evaluate
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from gridlaw import cli, plugins
from gridlaw.tasks import metric, scoring
from gridlaw.tasks.classes import Classes

ALL = ["accuracy", "precision", "recall", "f1", "f1_macro", "matthews_correlation"]


def numbered(count):
    return Classes.of_task("mine", list(range(count)))


TWO = numbered(2)


def test_by_hand():
    # 3 true positives, 1 false positive, 2 false negatives, 4 true negatives.
    truth = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0])
    guess = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    values = scoring.compute("classification", ALL, TWO, guess, truth)
    assert values["accuracy"] == pytest.approx(0.7)
    assert values["precision"] == pytest.approx(3 / 4)
    assert values["recall"] == pytest.approx(3 / 5)
    assert values["f1"] == pytest.approx(2 / 3)
    assert values["f1_macro"] == pytest.approx((2 / 3 + 8 / 11) / 2)
    assert values["matthews_correlation"] == pytest.approx((3 * 4 - 1 * 2) / np.sqrt(4 * 5 * 5 * 6))


def test_one_class_is_no_correlation():
    values = scoring.compute("classification", ALL, TWO, np.zeros(4, int), np.array([0, 1, 0, 0]))
    assert (values["accuracy"], values["f1"], values["matthews_correlation"]) == (0.75, 0, 0)
    assert scoring.compute("regression", ["pearson", "spearman"], None, np.full(3, 2.0), np.arange(3.0)) == {
        "pearson": 0,
        "spearman": 0,
    }


@pytest.mark.parametrize("classes", [2, 3])
def test_against_scikit_learn(classes):
    random = np.random.default_rng(classes)
    truth, guess = random.integers(0, classes, (2, 200))
    values = scoring.compute("classification", ALL, numbered(classes), guess, truth)
    average = "binary" if classes == 2 else "macro"
    assert values["accuracy"] == sklearn.metrics.accuracy_score(truth, guess)
    assert values["f1"] == pytest.approx(sklearn.metrics.f1_score(truth, guess, average=average))
    assert values["precision"] == pytest.approx(sklearn.metrics.precision_score(truth, guess, average=average))
    assert values["recall"] == pytest.approx(sklearn.metrics.recall_score(truth, guess, average=average))
    assert values["matthews_correlation"] == pytest.approx(sklearn.metrics.matthews_corrcoef(truth, guess))


def test_correlations():
    random = np.random.default_rng(0)
    truth = random.random(100)
    guess = truth + random.random(100)
    values = scoring.compute("regression", ["pearson", "spearman"], None, guess, truth)
    assert values["pearson"] == pytest.approx(np.corrcoef(truth, guess)[0, 1])
    ranks = [scipy.stats.rankdata(values) for values in (truth, guess)]
    assert values["spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert scoring.compute("regression", ["pearson"], None, -truth, truth)["pearson"] == pytest.approx(-1)


def test_standard_error_over_examples():
    """That of an accuracy is known; a metric of the others' order is found in the same way."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 2000)
    said = np.where(random.random(2000) < 0.8, labels, 1 - labels)
    found = scoring.item_errors("classification", ["accuracy", "matthews_correlation"], TWO, said, labels)
    assert found["accuracy"] == pytest.approx((0.8 * 0.2 / 2000) ** 0.5, rel=0.4)
    # For balanced classes, the Matthews correlation is 2 accuracy - 1.
    assert found["matthews_correlation"] == pytest.approx(2 * found["accuracy"], rel=0.1)
    assert np.isnan(scoring.item_errors("classification", ["accuracy"], TWO, said[:1], labels[:1])["accuracy"])


def names_of(kind):
    return [name for name in plugins.names("metric") if kind in metric.find(name).kinds]


@pytest.mark.parametrize(("kind", "values"), [("classification", 2), ("classification", 3), ("regression", 50)])
def test_are_those_of_evaluate_to_the_last_digit(kind, values, tmp_path):
    random = np.random.default_rng(values)
    truth, said = random.integers(0, values, (2, 157))
    classes = numbered(values) if kind == "classification" else None
    module = scoring.Scores(kind, names_of(kind), classes, cache_dir=str(tmp_path))
    by_evaluate = module.compute(predictions=said.tolist(), references=truth.tolist())
    assert scoring.compute(kind, names_of(kind), classes, said, truth) == by_evaluate


@pytest.mark.parametrize("kind", plugins.names("task"))
def test_write_no_files(kind, monkeypatch):
    monkeypatch.setattr(evaluate.EvaluationModule, "_init_writer", lambda *_: pytest.fail("a file is written"))
    scoring.item_errors(kind, names_of(kind), TWO, *np.random.default_rng(0).integers(0, 2, (2, 40)))


@pytest.mark.parametrize("name", plugins.names("metric"))
def test_no_value_is_out_of_range(name):
    random = np.random.default_rng(0)
    for predictions, references in random.integers(0, 2, (50, 2, 9)):
        value = metric.find(name).compute(predictions, references, TWO)
        assert metric.find(name).lowest <= value <= 1.0 + 1e-12


@pytest.mark.parametrize("name", ["precision", "recall", "f1", "f1_macro"])
def test_averages_do_not_depend_on_what_is_predicted(name):
    """A class that one prediction names, and that no label has, counts before and after."""
    truth = np.repeat([0, 1], 100)
    said = np.where(np.arange(200) % 9 < 8, truth, 1 - truth)
    once = np.where(np.arange(200) == 5, 2, said)
    before, after = (
        scoring.compute("classification", [name], numbered(3), guess, truth)[name] for guess in (said, once)
    )
    assert after == pytest.approx(before, abs=0.005)
    errors = scoring.item_errors("classification", [name], numbered(3), once, truth)
    assert errors[name] < 0.03


def test_a_rare_class_counts_in_every_group_of_the_jackknife():
    truth = np.array([0] * 60 + [1] * 58 + [2] * 2)
    by_hand = [
        sklearn.metrics.f1_score(
            np.delete(truth, np.s_[group::10]), np.delete(truth, np.s_[group::10]), labels=[0, 1, 2], average="macro"
        )
        for group in range(10)
    ]
    errors = scoring.item_errors("classification", ["f1"], numbered(3), truth, truth)
    assert errors["f1"] == pytest.approx(np.sqrt(9 * np.var(by_hand)))


def test_the_positive_class():
    truth, said = np.array([0, 0, 0, 1, 1, 0]), np.array([0, 0, 1, 1, 0, 0])
    of = {
        label: scoring.compute("classification", ["f1"], Classes.of_task("mine", ["ham", "spam"], label), said, truth)[
            "f1"
        ]
        for label in ("ham", "spam", None)
    }
    assert of["ham"] == sklearn.metrics.f1_score(truth, said, pos_label=0)
    assert of["spam"] == of[None] == sklearn.metrics.f1_score(truth, said, pos_label=1)


@pytest.mark.parametrize(
    ("labels", "positive", "number"),
    [
        (["no", "yes"], "no", 0), ([0, 1], 0, 0), ([0, 1], "0", 0), (["0", "1"], 1, 1), ([False, True], False, 0),
        ([3, 7], None, 1), (["a", "b", "c"], None, None),
    ],
)  # fmt: skip
def test_the_number_of_the_positive_class(labels, positive, number):
    assert Classes.of_task("mine", labels, positive).positive == number


@pytest.mark.parametrize(
    ("labels", "positive", "line"),
    [
        (["no", "yes"], "maybe", "maybe is no class of the task; expected no or yes"),
        (["no", "yes"], True, "write them in quotes"),
        (["a", "b", "c"], "a", "the task has 3 classes; expected this key for two only"),
    ],
)
def test_a_wrong_positive_class_is_one_line(labels, positive, line):
    with pytest.raises(cli.Failure, match=f"^catalogue.tasks.mine.positive: .*{line}"):
        Classes.of_task("mine", labels, positive)


def test_only_metrics_of_a_class_name_it():
    spam = Classes.of_task("mine", ["ham", "spam"])
    assert [scoring.positive(name, spam) for name in ("f1", "precision", "accuracy", "f1_macro")] == [
        "spam", "spam", None, None,
    ]  # fmt: skip
    assert scoring.positive("f1", numbered(3)) is None
    assert scoring.positive("pearson", None) is None
