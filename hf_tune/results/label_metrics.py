"""Scores of any number of labels per row, and of numbers: with intervals."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from hf_tune.results.intervals import score_rows
from hf_tune.task import Kept, Score


def tabulate_label_sets(kept: Kept) -> np.ndarray:
    """Return which labels each row has, and then which are predicted: bool, shape (rows, twice the labels).

    `kept` holds `log_odds`, float, and `labels`, 0 or 1, both of shape (rows, labels); a label is predicted where its
    probability is at least one half.
    """
    return np.concatenate([kept["labels"] > 0, kept["log_odds"] >= 0], axis=1)


def score_label_sets(kept: Kept) -> dict[str, Score]:
    """Return every score with its bootstrap interval; `kept` as in `tabulate_label_sets`."""
    table = tabulate_label_sets(kept)
    scores = {name: score_rows(table, statistic) for name, statistic in LABEL_SET_STATISTICS.items()}
    average_precision = Score(value=_average_precision(kept["labels"] > 0, kept["log_odds"]))
    return {**scores, "average_precision_macro": average_precision}


def score_each_label(kept: Kept, label_names: Sequence[str]) -> list[dict[str, Any]]:
    """Return name, precision, recall, F1 and number of rows of every label."""
    true, predicted = kept["labels"] > 0, kept["log_odds"] >= 0
    hits, found, count = (true & predicted).sum(0), predicted.sum(0), true.sum(0)
    columns = (
        hits / np.maximum(found, 1),
        hits / np.maximum(count, 1),
        2 * hits / np.maximum(found + count, 1),
        count,
    )
    rows = zip(label_names, *(column.tolist() for column in columns), strict=True)
    return [dict(zip(("label", "precision", "recall", "f1", "rows"), row, strict=True)) for row in rows]


def tabulate_numbers(kept: Kept) -> np.ndarray:
    """Return label and prediction of each row, float64, shape (rows, 2), from `labels` and `values`."""
    return np.stack([kept["labels"], kept["values"]], axis=1).astype(np.float64)


def score_numbers(kept: Kept) -> dict[str, Score]:
    """Return every score with its bootstrap interval; `kept` holds `values` and `labels`, float, shape (rows,)."""
    pairs = tabulate_numbers(kept)
    return {name: score_rows(pairs, statistic) for name, statistic in NUMBER_STATISTICS.items()}


def guess_label_sets(train: Kept, kept: Kept, label_names: Sequence[str]) -> Mapping[str, Any]:
    """Return the micro F1 of always answering the labels that most rows of train have, or the commonest."""
    shares = (train["labels"] > 0).mean(0)
    guessed = shares > 0.5 if (shares > 0.5).any() else shares == shares.max()
    name = ", ".join(label for label, is_guessed in zip(label_names, guessed, strict=True) if is_guessed)
    predicted = np.broadcast_to(guessed, kept["labels"].shape)
    return {"name": f"commonest labels ({name})", "metric": "f1_micro", "value": _f1(kept["labels"] > 0, predicted)}


def guess_mean(train: Kept, kept: Kept) -> Mapping[str, Any]:
    """Return the error of always answering the mean of known labels: train's, unless train is a stream."""
    mean = float(train["labels"].mean())
    error = float(np.sqrt(np.mean((kept["labels"] - mean) ** 2)))
    return {"name": f"mean label ({mean:.3f})", "metric": "rmse", "value": error}


def _f1(true: np.ndarray, predicted: np.ndarray, axis: int | None = None) -> float:
    hits, both = (true & predicted).sum(axis), true.sum(axis) + predicted.sum(axis)
    return float(np.mean(np.divide(2 * hits, both, out=np.zeros(np.shape(both)), where=both > 0)))


def _share(wanted: np.ndarray, among: np.ndarray) -> float:
    return float((wanted & among).sum() / max(among.sum(), 1))


def _average_precision(true: np.ndarray, log_odds: np.ndarray) -> float:
    """Return the mean over the labels that have a row."""
    from sklearn.metrics import average_precision_score

    present = true.any(0)
    return float(average_precision_score(true[:, present], log_odds[:, present])) if present.any() else 0.0


def _correlate(one: np.ndarray, other: np.ndarray) -> float:
    """Return Pearson's correlation; 0 where one side does not vary."""
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum() / size) if size > 0 else 0.0


def _spearman(rows: np.ndarray) -> float:
    from scipy.stats import rankdata

    return _correlate(rankdata(rows[:, 0]), rankdata(rows[:, 1]))


def _determination(rows: np.ndarray) -> float:
    total = float(((rows[:, 0] - rows[:, 0].mean()) ** 2).sum())
    return 1 - float(((rows[:, 0] - rows[:, 1]) ** 2).sum()) / total if total > 0 else 0.0


def _split(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the true and the predicted half of `tabulate_label_sets`."""
    half = rows.shape[1] // 2
    return rows[:, :half], rows[:, half:]


LABEL_SET_STATISTICS: Mapping[str, Callable[[np.ndarray], float]] = MappingProxyType(
    {
        "f1_micro": lambda rows: _f1(*_split(rows), axis=None),
        "f1_macro": lambda rows: _f1(*_split(rows), axis=0),
        "precision_micro": lambda rows: _share(*_split(rows)),
        "recall_micro": lambda rows: _share(*_split(rows)[::-1]),
        "subset_accuracy": lambda rows: float(np.equal(*_split(rows)).all(1).mean()),
    }
)
"""Name → what it makes of rows of `tabulate_label_sets`."""
NUMBER_STATISTICS: Mapping[str, Callable[[np.ndarray], float]] = MappingProxyType(
    {
        "spearman": _spearman,
        "pearson": lambda rows: _correlate(rows[:, 0], rows[:, 1]),
        "rmse": lambda rows: float(np.sqrt(np.mean((rows[:, 0] - rows[:, 1]) ** 2))),
        "mae": lambda rows: float(np.mean(np.abs(rows[:, 0] - rows[:, 1]))),
        "r2": _determination,
    }
)
"""Name → what it makes of rows of `tabulate_numbers`."""
MULTI_LABEL_NAMES = (*LABEL_SET_STATISTICS, "average_precision_macro")
REGRESSION_NAMES = tuple(NUMBER_STATISTICS)
