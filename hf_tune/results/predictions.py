"""What `predict` returns and predictions.parquet holds, for labels of each kind.

What was kept of a row says its kind: `top_labels` (one of several classes), `log_odds` (any number of labels) or
`values` (a number).
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
    """Probability of the 10 most probable labels, or of all where there are no more; in the order of the labels."""


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
    return [_decode_class(*row, label_names) for row in zip(kept["top_labels"], _probabilities(kept), strict=True)]


def tabulate_kept(kept: Kept, label_names: Sequence[str]) -> dict[str, Any]:
    """Return the columns of predictions.parquet: label and prediction, with probabilities where there are some.

    `probabilities` are those of every label, in order. Where only those of the most probable classes were kept, these
    are `top_labels` and `top_probabilities`, the most probable first, and that of the label is `label_probability`.
    """
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
        **_tabulate_classes(kept, label_names),
    }


def read_predictions(file: Path, label_names: Sequence[str]) -> tuple[dict[str, Any], Kept]:
    """Return the columns of a predictions.parquet, and of what was kept of each row all that metrics read."""
    columns = pyarrow.parquet.read_table(file).to_pydict()
    if "score" in columns:
        return columns, _read_classes(columns, label_names)
    if "probabilities" not in columns:
        return columns, {"labels": np.asarray(columns["label"]), "values": np.asarray(columns["prediction"])}
    has = [[name in row for name in label_names] for row in columns["label"]]
    return columns, {"labels": np.asarray(has, dtype=np.float32), "log_odds": logit(columns["probabilities"])}


def _tabulate_classes(kept: Kept, label_names: Sequence[str]) -> dict[str, Any]:
    top_labels, top_probabilities = kept["top_labels"], _probabilities(kept)
    if top_labels.shape[1] == len(label_names):
        return {"probabilities": np.take_along_axis(top_probabilities, top_labels.argsort(axis=1), axis=1)}
    return {
        "top_labels": [[label_names[number] for number in row] for row in top_labels],
        "top_probabilities": top_probabilities,
        "label_probability": np.exp(kept["label_log_probability"].astype(np.float64)),
    }


def _read_classes(columns: Mapping[str, Any], label_names: Sequence[str]) -> Kept:
    number = {name: position for position, name in enumerate(label_names)}
    labels = np.asarray([number[name] for name in columns["label"]])
    if "label_probability" in columns:
        probability = np.asarray(columns["label_probability"])
    else:
        probability = np.asarray(columns["probabilities"])[np.arange(len(labels)), labels]
    return {
        "labels": labels,
        "top_labels": np.asarray([[number[name]] for name in columns["prediction"]]),
        "label_log_probability": np.log(np.maximum(probability, np.finfo(np.float64).tiny)),
    }


def _probabilities(kept: Kept) -> np.ndarray:
    """Return float64 probabilities, of every label or of the classes in `top_labels`, one row each."""
    if "log_odds" in kept:
        return expit(kept["log_odds"].astype(np.float64))
    return np.exp(kept["top_log_probabilities"].astype(np.float64))


def _decode_class(top_labels: np.ndarray, probabilities: np.ndarray, label_names: Sequence[str]) -> Prediction:
    in_order = sorted(zip(top_labels.tolist(), probabilities.tolist(), strict=True))
    scores = {label_names[number]: score for number, score in in_order}
    return Prediction(label=label_names[top_labels[0]], score=float(probabilities[0]), scores=scores)


def _decode_labels(row: np.ndarray, label_names: Sequence[str]) -> LabelsPrediction:
    chosen = tuple(name for name, score in zip(label_names, row, strict=True) if score >= 0.5)
    return LabelsPrediction(labels=chosen, scores=dict(zip(label_names, row.tolist(), strict=True)))
