"""Scores of classification: with intervals, over all classes and of each one."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from hf_tune.markdown_text import escape
from hf_tune.results import two_classes
from hf_tune.results.intervals import score_confusion, score_mean, score_proportion
from hf_tune.results.kept_classes import MAX_TOP
from hf_tune.task import Kept, Score


def score_classes(kept: Kept, label_names: Sequence[str]) -> dict[str, Score]:
    """Return every headline score with its interval.

    `kept` holds `labels`, int64, shape (rows,), and what `keep_classes` made of the rows.
    """
    labels, confusion = kept["labels"], count_confusion(kept, len(label_names))
    scores = {"accuracy": score_proportion(int(np.trace(confusion)), len(labels))}
    for name, statistic in _CLASS_STATISTICS.items():
        scores[name] = score_confusion(confusion, statistic)
    scores["log_loss"] = score_mean(tabulate_classes(kept)[:, 2])
    return {**scores, **_score_ranking(kept, len(label_names))}


def find_missing_metrics(num_labels: int) -> frozenset[str]:
    """Return the names in `METRIC_NAMES` that are not reported for so many classes."""
    return frozenset(name for name, fits in _FOR_SOME.items() if not fits(num_labels))


def _score_ranking(kept: Kept, num_labels: int) -> Mapping[str, Score]:
    """Return the scores that only some numbers of classes have."""
    if num_labels == 2:
        return two_classes.score_two_classes(kept)
    if num_labels > MAX_TOP:
        return {"top5_accuracy": two_classes.score_top5(kept)}
    macro = two_classes.score_auroc_macro(kept, num_labels)
    return {} if macro is None else {"auroc_macro": macro}


def tabulate_classes(kept: Kept) -> np.ndarray:
    """Return true class, predicted class and the true one's surprise in nats of each row, float64, shape (rows, 3)."""
    surprise = -kept["label_log_probability"].astype(np.float64)
    return np.stack([kept["labels"], kept["top_labels"][:, 0], surprise], axis=1)


def score_each_class(kept: Kept, label_names: Sequence[str]) -> list[dict[str, Any]]:
    """Return name, precision, recall, F1 and number of rows of every class."""
    from sklearn import metrics

    columns = metrics.precision_recall_fscore_support(
        kept["labels"], kept["top_labels"][:, 0], labels=np.arange(len(label_names)), zero_division=0
    )
    *scores, support = columns
    # scikit-learn 1.9 gives the support as float where not one row is predicted right.
    rows = zip(label_names, *(each.tolist() for each in scores), support.astype(int).tolist(), strict=True)
    return [dict(zip(("label", "precision", "recall", "f1", "rows"), row, strict=True)) for row in rows]


def score_majority(train: Kept, kept: Kept, label_names: Sequence[str]) -> Mapping[str, Any]:
    """Return the accuracy of always answering the commonest class of train."""
    commonest = int(np.bincount(train["labels"], minlength=len(label_names)).argmax())
    accuracy = float((kept["labels"] == commonest).mean())
    return {"name": f"majority class ({label_names[commonest]})", "metric": "accuracy", "value": accuracy}


def count_confusion(kept: Kept, num_labels: int) -> np.ndarray:
    """Return counts of rows by true (axis 0) and predicted class (axis 1), int64."""
    from sklearn import metrics

    return metrics.confusion_matrix(kept["labels"], kept["top_labels"][:, 0], labels=np.arange(num_labels))


def format_classes(classes: Sequence[Mapping[str, Any]]) -> str:
    """Return a Markdown table of what `score_each_class` found."""
    lines = ["| class | precision | recall | F1 | rows |", "|---|---|---|---|---|"]
    for row in classes:
        scores = " | ".join(f"{row[name]:.3f}" for name in ("precision", "recall", "f1"))
        lines.append(f"| {escape(row['label'])} | {scores} | {row['rows']} |")
    return "\n".join(lines)


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.zeros(above.shape), where=below > 0)


def _mean_of_present(values: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the mean over the classes that have a row or a prediction, as scikit-learn takes it."""
    present = (true + predicted) > 0
    return (values * present).sum(1) / present.sum(1)


def _over_rows(statistic: "_Statistic") -> Callable[[np.ndarray], float]:
    """Return a statistic of counts as one of rows of `tabulate_classes`."""

    def read(rows: np.ndarray) -> float:
        true, predicted = rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64)
        size = int(max(true.max(), predicted.max())) + 1
        counts = (np.bincount(each, minlength=size)[None] for each in (true[true == predicted], true, predicted))
        return float(statistic(*counts)[0])

    return read


_Statistic: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
_CLASS_STATISTICS: Mapping[str, _Statistic] = MappingProxyType(
    {
        "precision_macro": lambda hits, true, found: _mean_of_present(_divide(hits, found), true, found),
        "recall_macro": lambda hits, true, found: _mean_of_present(_divide(hits, true), true, found),
        "f1_macro": lambda hits, true, found: _mean_of_present(_divide(2 * hits, true + found), true, found),
        "f1_weighted": lambda hits, true, found: (_divide(2 * hits, true + found) * true).sum(1) / true.sum(1),
    }
)
"""Name → what it makes of the rows that are hit, true and predicted, by class; shape (resamples, classes)."""
CLASS_STATISTICS: Mapping[str, Callable[[np.ndarray], float]] = MappingProxyType(
    {
        "accuracy": lambda rows: float((rows[:, 0] == rows[:, 1]).mean()),
        **{name: _over_rows(statistic) for name, statistic in _CLASS_STATISTICS.items()},
        "log_loss": lambda rows: float(rows[:, 2].mean()),
    }
)
"""Name → what it makes of rows of `tabulate_classes`."""
_FOR_SOME: Mapping[str, Callable[[int], bool]] = MappingProxyType(
    {
        **dict.fromkeys(two_classes.NAMES, lambda num_labels: num_labels == 2),
        "auroc_macro": lambda num_labels: 2 < num_labels <= MAX_TOP,
        "top5_accuracy": lambda num_labels: num_labels > MAX_TOP,
    }
)
METRIC_NAMES = (*CLASS_STATISTICS, *_FOR_SOME)
"""All that may be reported; what is not for so many classes, `find_missing_metrics` says."""
