"""Logistic regression on the frozen features of a checkpoint: what a fine-tuned model of few rows has to beat."""

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from hf_tune.results.kept_classes import keep_classes
from hf_tune.results.paired_tests import compare_hits
from hf_tune.task import Kept


STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Values of scikit-learn's `C` that are tried: less regularised from left to right."""


@dataclass(frozen=True)
class LinearBaseline:
    """A fitted logistic regression, by what it says of the rows that are scored."""

    strength: float
    """`C` of scikit-learn, the one with the lowest log loss on validation."""
    num_features: int
    num_rows: int
    """Training rows."""
    kept: Mapping[str, Kept]
    """Split → what is kept of its rows, as of the network's own."""
    seconds: float = 0.0
    """That it took, with the features."""


def fit_linear_baseline(
    features: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray], num_labels: int
) -> LinearBaseline:
    """Return the logistic regression of the training features; validation chooses its strength, test never does.

    `features`, float, shape (rows, features), and `labels`, int, hold `train`, `validation` and perhaps `test`. Each
    feature is standardised by its mean and deviation in train. Nothing is drawn at random.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fitted, losses = [], []
    for strength in STRENGTHS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the loosest one may want more steps, and is not best
            model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))
            model.fit(features["train"], labels["train"])
        fitted.append(model)
        guessed = model.predict_proba(features["validation"])
        losses.append(log_loss(labels["validation"], guessed, labels=np.arange(num_labels)))
    chosen = int(np.argmin(losses))
    scored = {name: values for name, values in features.items() if name != "train"}
    return LinearBaseline(
        strength=STRENGTHS[chosen],
        num_features=features["train"].shape[1],
        num_rows=len(features["train"]),
        kept={name: _keep(fitted[chosen], values, labels[name]) for name, values in scored.items()},
    )


def compare_with_linear(own: Kept, linear: Kept) -> dict[str, Any]:
    """Return by how much the accuracy of a network is above the regression's on the same rows, with its interval.

    Both answer the most probable class, whatever a `decision:` block says.
    """
    hits = [kept["top_labels"][:, 0] == kept["labels"] for kept in (linear, own)]
    return asdict(compare_hits(hits[0], hits[1]))


def _keep(model: Any, features: np.ndarray, labels: np.ndarray) -> Kept:
    """Return what is kept of rows; their log-probabilities are not asked for, which may be minus infinity."""
    scores = model.decision_function(features).astype(np.float64)
    logits = np.stack([np.zeros_like(scores), scores], axis=1) if scores.ndim == 1 else scores  # one for two classes
    kept = keep_classes(torch.from_numpy(logits), torch.from_numpy(labels))
    return {**{name: value.numpy() for name, value in kept.items()}, "labels": labels}
