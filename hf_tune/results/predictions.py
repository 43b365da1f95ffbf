"""What `predict` returns and predictions.parquet holds, for labels of each kind.

What was kept of a row says its kind: `log_probabilities` (one of several classes), `log_odds` (any number of labels)
or `values` (a number).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
from scipy.special import expit, logit

from hf_tune.task import Kept


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One of several classes."""

    label: str
    score: float
    """Probability of the label."""
    scores: Mapping[str, float]
    """Probability of every label."""


@dataclass(frozen=True, kw_only=True)
class LabelsPrediction:
    """Any number of labels."""

    labels: tuple[str, ...]
    """Labels whose probability is at least one half."""
    scores: Mapping[str, float]
    """Probability of every label."""


@dataclass(frozen=True, kw_only=True)
class ValuePrediction:
    """A number."""

    value: float


def decode_kept(kept: Kept, label_names: Sequence[str]) -> list[Any]:
    """Return one prediction per row, of the class that fits what was kept."""
    if "values" in kept:
        return [ValuePrediction(value=float(value)) for value in kept["values"]]
    if "log_odds" in kept:
        return [_decode_labels(row, label_names) for row in _probabilities(kept)]
    return [_decode_class(row, label_names) for row in _probabilities(kept)]


def tabulate_kept(kept: Kept, label_names: Sequence[str]) -> dict[str, Any]:
    """Return the columns of predictions.parquet: label and prediction, with probabilities where there are some."""
    if "values" in kept:
        return {"label": kept["labels"].astype(np.float64), "prediction": kept["values"].astype(np.float64)}
    predictions = decode_kept(kept, label_names)
    if "log_odds" in kept:
        return {
            "label": [[label_names[int(number)] for number in np.flatnonzero(row)] for row in kept["labels"]],
            "prediction": [list(each.labels) for each in predictions],
            "probabilities": _probabilities(kept),
        }
    return {
        "label": [label_names[number] for number in kept["labels"]],
        "prediction": [each.label for each in predictions],
        "score": [each.score for each in predictions],
        "probabilities": _probabilities(kept),
    }


def read_predictions(file: Path, label_names: Sequence[str]) -> tuple[dict[str, Any], Kept]:
    """Return the columns of a predictions.parquet, and what was kept of each row as `tabulate_kept` got it."""
    columns = pyarrow.parquet.read_table(file).to_pydict()
    number = {name: position for position, name in enumerate(label_names)}
    if "probabilities" not in columns:
        return columns, {"labels": np.asarray(columns["label"]), "values": np.asarray(columns["prediction"])}
    probabilities = np.asarray(columns["probabilities"], dtype=np.float64)
    if "score" not in columns:
        has = [[name in row for name in label_names] for row in columns["label"]]
        return columns, {"labels": np.asarray(has, dtype=np.float32), "log_odds": logit(probabilities)}
    return columns, {
        "labels": np.asarray([number[name] for name in columns["label"]]),
        "log_probabilities": np.log(np.maximum(probabilities, np.finfo(np.float64).tiny)),
    }


def _probabilities(kept: Kept) -> np.ndarray:
    """Return float64 probabilities, shape (rows, labels)."""
    if "log_odds" in kept:
        return expit(kept["log_odds"].astype(np.float64))
    return np.exp(kept["log_probabilities"].astype(np.float64))


def _decode_class(row: np.ndarray, label_names: Sequence[str]) -> Prediction:
    scores = dict(zip(label_names, row.tolist(), strict=True))
    return Prediction(label=label_names[int(row.argmax())], score=float(row.max()), scores=scores)


def _decode_labels(row: np.ndarray, label_names: Sequence[str]) -> LabelsPrediction:
    chosen = tuple(name for name, score in zip(label_names, row, strict=True) if score >= 0.5)
    return LabelsPrediction(labels=chosen, scores=dict(zip(label_names, row.tolist(), strict=True)))
