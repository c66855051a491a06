"""Metrics against scikit-learn, SciPy and cases worked out by hand."""

import evaluate
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from gridlaw import plugins
from gridlaw.tasks import metric, scoring

ALL = ["accuracy", "precision", "recall", "f1", "f1_macro", "matthews_correlation"]


def test_by_hand():
    # 3 true positives, 1 false positive, 2 false negatives, 4 true negatives.
    truth = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0])
    guess = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    values = scoring.compute("classification", ALL, guess, truth)
    assert values["accuracy"] == pytest.approx(0.7)
    assert values["precision"] == pytest.approx(3 / 4)
    assert values["recall"] == pytest.approx(3 / 5)
    assert values["f1"] == pytest.approx(2 / 3)
    assert values["f1_macro"] == pytest.approx((2 / 3 + 8 / 11) / 2)
    assert values["matthews_correlation"] == pytest.approx((3 * 4 - 1 * 2) / np.sqrt(4 * 5 * 5 * 6))


def test_one_class_is_no_correlation():
    values = scoring.compute("classification", ALL, np.zeros(4, int), np.array([0, 1, 0, 0]))
    assert (values["accuracy"], values["f1"], values["matthews_correlation"]) == (0.75, 0, 0)
    assert scoring.compute("regression", ["pearson", "spearman"], np.full(3, 2.0), np.arange(3.0)) == {
        "pearson": 0,
        "spearman": 0,
    }


@pytest.mark.parametrize("classes", [2, 3])
def test_against_scikit_learn(classes):
    random = np.random.default_rng(classes)
    truth, guess = random.integers(0, classes, (2, 200))
    values = scoring.compute("classification", ALL, guess, truth)
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
    values = scoring.compute("regression", ["pearson", "spearman"], guess, truth)
    assert values["pearson"] == pytest.approx(np.corrcoef(truth, guess)[0, 1])
    ranks = [scipy.stats.rankdata(values) for values in (truth, guess)]
    assert values["spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert scoring.compute("regression", ["pearson"], -truth, truth)["pearson"] == pytest.approx(-1)


def test_standard_error_over_examples():
    """That of an accuracy is known; a metric of the others' order is found in the same way."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 2000)
    said = np.where(random.random(2000) < 0.8, labels, 1 - labels)
    found = scoring.item_errors("classification", ["accuracy", "matthews_correlation"], said, labels)
    assert found["accuracy"] == pytest.approx((0.8 * 0.2 / 2000) ** 0.5, rel=0.4)
    # For balanced classes, the Matthews correlation is 2 accuracy - 1.
    assert found["matthews_correlation"] == pytest.approx(2 * found["accuracy"], rel=0.1)
    assert np.isnan(scoring.item_errors("classification", ["accuracy"], said[:1], labels[:1])["accuracy"])


def names_of(kind):
    return [name for name in plugins.names("metric") if kind in metric.find(name).kinds]


@pytest.mark.parametrize(("kind", "values"), [("classification", 2), ("classification", 3), ("regression", 50)])
def test_are_those_of_evaluate_to_the_last_digit(kind, values, tmp_path):
    random = np.random.default_rng(values)
    truth, said = random.integers(0, values, (2, 157))
    module = scoring.Scores(kind, names_of(kind), cache_dir=str(tmp_path))
    by_evaluate = module.compute(predictions=said.tolist(), references=truth.tolist())
    assert scoring.compute(kind, names_of(kind), said, truth) == by_evaluate


@pytest.mark.parametrize("kind", plugins.names("task"))
def test_write_no_files(kind, monkeypatch):
    monkeypatch.setattr(evaluate.EvaluationModule, "_init_writer", lambda *_: pytest.fail("a file is written"))
    scoring.item_errors(kind, names_of(kind), *np.random.default_rng(0).integers(0, 2, (2, 40)))


@pytest.mark.parametrize("name", plugins.names("metric"))
def test_no_value_is_out_of_range(name):
    random = np.random.default_rng(0)
    for predictions, references in random.integers(0, 2, (50, 2, 9)):
        value = metric.find(name).compute(predictions, references)
        assert metric.find(name).lowest <= value <= 1.0 + 1e-12
