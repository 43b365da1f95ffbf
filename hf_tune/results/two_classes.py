"""Scores of two classes, of which the second is the positive one; and how well more classes are ranked.

Rows are ranked by log-odds: probabilities of a sure network are all 1.0, and ties would hide their order.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from hf_tune.results.intervals import score_auroc, score_proportion, score_share
from hf_tune.task import Kept, Score


NAMES = ("sensitivity", "specificity", "auroc", "average_precision")
"""Of what `score_two_classes` gives."""

ROW_STATISTICS: Mapping[str, Callable[[np.ndarray], float]] = MappingProxyType(
    {
        "sensitivity": lambda rows: _share_answered(rows, 1),
        "specificity": lambda rows: _share_answered(rows, 0),
    }
)
"""Name → what it makes of rows of `tabulate_classes`."""


def name_positive(label_names: Sequence[str], scores: Mapping[str, Any]) -> str | None:
    """Return the class that sensitivity and AUROC are of; None where no such score is there."""
    return label_names[1] if len(label_names) == 2 and {"sensitivity", "specificity"} & set(scores) else None


def order_log_probabilities(kept: Kept, num_labels: int) -> np.ndarray | None:
    """Return the log-probability of every class, float64, shape (rows, classes); None where not all were kept."""
    top = kept.get("top_log_probabilities")
    if top is None or top.shape[1] != num_labels:
        return None
    return np.take_along_axis(top, kept["top_labels"].argsort(axis=1), axis=1).astype(np.float64)


def read_log_odds(kept: Kept) -> np.ndarray:
    """Return the log-odds of the second of two classes, float64, shape (rows,)."""
    values = order_log_probabilities(kept, 2)
    if values is None:
        raise ValueError("log-odds need the probabilities of two classes")
    return values[:, 1] - values[:, 0]


def score_two_classes(kept: Kept) -> Mapping[str, Score]:
    """Return the scores named in `NAMES`; not a number where a class that one needs has no row.

    Sensitivity and specificity are those of the class that is answered. The intervals are Wilson's, Newcombe's
    (AUROC), and for average precision Wilson's with the number of positive rows (after Boyd, Eng, Page 2013,
    doi:10.1007/978-3-642-40994-3_29): it reaches below 1 where every row is ranked rightly.
    """
    positive, answered = kept["labels"] == 1, kept["top_labels"][:, 0] == 1
    scores = {
        "sensitivity": _score_rows_of(positive, answered),
        "specificity": _score_rows_of(~positive, ~answered),
    }
    if order_log_probabilities(kept, 2) is None:
        return scores
    log_odds, num_positive = read_log_odds(kept), int(positive.sum())
    value = measure_auroc(log_odds, positive)
    precision = _measure_average_precision(log_odds, positive)
    return {
        **scores,
        "auroc": score_auroc(value, num_positive, len(positive) - num_positive),
        "average_precision": score_share(precision, num_positive),
    }


def measure_auroc(values: np.ndarray, positive: np.ndarray) -> float:
    """Return how often a positive row is above a negative one, ties counting half; not a number without both."""
    from scipy.stats import rankdata

    num_positive, num_negative = int(positive.sum()), int((~positive).sum())
    if not num_positive or not num_negative:
        return math.nan
    ranks = rankdata(values)[positive].sum()
    return float((ranks - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative))


def score_auroc_macro(kept: Kept, num_labels: int) -> Score | None:
    """Return the mean AUROC of each class against the rest, over classes with a row; None where it is not to be had.

    The interval is DeLong's (1988, doi:10.2307/2531595), on the logit; of a perfect ranking, which leaves DeLong no
    variance, the mean of the classes' own by Newcombe.
    """
    values = order_log_probabilities(kept, num_labels)
    if values is None:
        return None
    labels = kept["labels"]
    classes = [number for number in range(num_labels) if 0 < (labels == number).sum() < len(labels)]
    if not classes:
        return Score(value=math.nan)
    parts = [_place_rows(values[:, number], labels == number) for number in classes]
    value = float(np.mean([area for area, _ in parts]))
    error = float(np.sqrt(np.square(np.mean([influence for _, influence in parts], axis=0)).sum()))
    if error < 1e-12 or not 0 < value < 1:
        counts = [(int((labels == number).sum()), int((labels != number).sum())) for number in classes]
        own = [score_auroc(area, *each) for (area, _), each in zip(parts, counts, strict=True)]
        low, high = (float(np.mean([getattr(each, end) for each in own])) for end in ("low", "high"))
        return Score(value=value, low=low, high=high)
    middle, half = math.log(value / (1 - value)), 1.959964 * error / (value * (1 - value))
    return Score(value=value, low=1 / (1 + math.exp(half - middle)), high=1 / (1 + math.exp(-half - middle)))


def score_top5(kept: Kept) -> Score:
    """Return the share of rows whose class is among the five most probable."""
    hits = (kept["top_labels"][:, :5] == kept["labels"][:, None]).any(1)
    return score_proportion(int(hits.sum()), len(hits))


def _score_rows_of(chosen: np.ndarray, right: np.ndarray) -> Score:
    count = int(chosen.sum())
    return score_proportion(int((chosen & right).sum()), count) if count else Score(value=math.nan)


def _share_answered(rows: np.ndarray, number: int) -> float:
    """Return the share of a class's rows that are answered with it; of a resample without such a row 0."""
    of_class = rows[:, 0] == number
    return float((of_class & (rows[:, 1] == number)).sum() / max(of_class.sum(), 1))


def _measure_average_precision(values: np.ndarray, positive: np.ndarray) -> float:
    from sklearn import metrics

    return float(metrics.average_precision_score(positive, values)) if positive.any() else math.nan


def _place_rows(values: np.ndarray, positive: np.ndarray) -> tuple[float, np.ndarray]:
    """Return AUROC and how much each row moves it: DeLong's placements less their mean, over the rows of a side."""
    from scipy.stats import rankdata

    ranks, count, rest = rankdata(values), int(positive.sum()), int((~positive).sum())
    above = (ranks[positive] - rankdata(values[positive])) / rest
    below = 1 - (ranks[~positive] - rankdata(values[~positive])) / count
    area, influence = float(above.mean()), np.empty(len(values))
    influence[positive], influence[~positive] = (above - area) / count, (below - area) / rest
    return area, influence
