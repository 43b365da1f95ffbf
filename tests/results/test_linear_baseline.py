"""Logistic regression on features: scikit-learn's own numbers, a strength that validation chooses, a paired test."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from hf_tune.results.classification_metrics import score_classes
from hf_tune.results.linear_baseline import STRENGTHS, compare_with_linear, fit_linear_baseline


@pytest.fixture
def rows() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return features of three splits, of which the first two tell the classes apart, at a scale far from 1."""
    random = np.random.default_rng(0)
    labels = {name: random.integers(0, 3, count) for name, count in (("train", 60), ("validation", 30), ("test", 40))}
    return {
        name: (random.normal(size=(len(each), 12)) + 3 * np.eye(12)[each]).astype(np.float32) * 100
        for name, each in labels.items()
    }, labels


def test_it_is_the_regression_that_scikit_learn_finds_and_validation_prefers(rows: Any) -> None:
    features, labels = rows
    found = fit_linear_baseline(features, labels, 3)
    scaler = StandardScaler().fit(features["train"])
    scaled = {name: scaler.transform(each) for name, each in features.items()}
    models = [LogisticRegression(C=each, max_iter=500).fit(scaled["train"], labels["train"]) for each in STRENGTHS]
    losses = [log_loss(labels["validation"], each.predict_proba(scaled["validation"])) for each in models]
    best = models[int(np.argmin(losses))]
    assert found.strength == best.C and (found.num_rows, found.num_features) == (60, 12)
    score = score_classes(found.kept["test"], "abc")
    assert score["accuracy"].value == best.score(scaled["test"], labels["test"]) > 0.8
    assert score["log_loss"].value == pytest.approx(log_loss(labels["test"], best.predict_proba(scaled["test"])), 1e-5)
    assert set(found.kept) == {"validation", "test"}


def test_it_is_the_same_every_time_and_test_rows_choose_nothing(rows: Any) -> None:
    features, labels = rows
    first = fit_linear_baseline(features, labels, 3)
    other = fit_linear_baseline({**features, "test": features["test"][:5]}, {**labels, "test": labels["test"][:5]}, 3)
    assert first.strength == other.strength
    for name, values in other.kept["test"].items():
        np.testing.assert_array_equal(values, first.kept["test"][name][:5])


@pytest.mark.parametrize("classes", [2, 3])
def test_a_row_far_from_all_others_is_scored(classes: int) -> None:
    """Its log-probability is minus infinity in float32: a run of 100 rows ended so after its training."""
    random = np.random.default_rng(0)
    labels = {name: np.arange(count) % classes for name, count in (("train", 30), ("validation", 12), ("test", 12))}
    features = {
        name: (random.normal(size=(len(each), 4)) * 0.1 + np.eye(4)[each]).astype(np.float32)
        for name, each in labels.items()
    }
    features["test"][0] = 1e5
    kept = fit_linear_baseline(features, labels, classes).kept["test"]
    assert np.isfinite(score_classes(kept, "abc"[:classes])["log_loss"].value)
    assert (
        np.isfinite(kept["top_log_probabilities"]).all()
        and score_classes(kept, "abc"[:classes])["accuracy"].value > 0.8
    )


def test_the_difference_is_of_rows_that_are_paired() -> None:
    labels = np.zeros(10, dtype=np.int64)
    linear = {"labels": labels, "top_labels": np.asarray([[0]] * 9 + [[1]])}
    own = {"labels": labels, "top_labels": np.asarray([[1]] * 8 + [[0]] * 2)}
    found = compare_with_linear(own, linear)
    assert found["value"] == pytest.approx((1 - 8) / 10)  # one row won, eight lost
    assert found["p_value"] == pytest.approx(2 * (1 + 9) / 2**9)  # at most one head of nine coins, both sides
    assert found["high"] < 0
