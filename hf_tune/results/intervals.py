"""95 % intervals of scores."""

import math
from collections.abc import Callable

import numpy as np

from hf_tune.task import Score


RESAMPLES = 2000
_Z = 1.959964
ROW_RESAMPLES = 500
"""Fewer where each resample reads every row again."""


def score_proportion(hits: int, count: int) -> Score:
    """Return a share of rows with its Wilson interval (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    from scipy.stats import binomtest

    interval = binomtest(hits, count).proportion_ci(confidence_level=0.95, method="wilson")
    return Score(value=hits / count, low=float(interval.low), high=float(interval.high))


def score_share(value: float, count: int) -> Score:
    """Return a share, which need not be of whole rows, with Wilson's interval for so many; of none it is no number."""
    if not count:
        return Score(value=math.nan)
    square = _Z**2 / count
    middle = (value + square / 2) / (1 + square)
    half = math.sqrt(square * value * (1 - value) + square**2 / 4) / (1 + square)
    return Score(value=value, low=max(middle - half, 0.0), high=min(middle + half, 1.0))


def score_auroc(value: float, num_positive: int, num_negative: int) -> Score:
    """Return an area under the ROC curve with its interval; not a number where either side has no row.

    The interval is method 5 of Newcombe 2006 (doi:10.1002/sim.2324): the areas whose standard error, by Hanley and
    McNeil with half the rows on each side, reaches the value. It holds for few rows and for a perfect ranking, where
    DeLong's interval and the bootstrap would say that nothing is unsure.
    """
    from scipy.optimize import brentq

    if not num_positive or not num_negative:
        return Score(value=math.nan)
    rest = (num_positive + num_negative) / 2 - 1

    def exceed(area: float) -> float:
        spread = 1 + rest * ((1 - area) / (2 - area) + area / (1 + area))
        return (value - area) ** 2 - _Z**2 * area * (1 - area) * spread / (num_positive * num_negative)

    edge = 1e-12  # both ends of a perfect ranking solve it
    low = brentq(exceed, 0.0, min(value, 1 - edge)) if value > 0 else 0.0
    high = brentq(exceed, max(value, edge), 1.0) if value < 1 else 1.0
    return Score(value=value, low=float(low), high=float(high))


def score_mean(values: np.ndarray) -> Score:
    """Return a mean over rows with its percentile bootstrap interval; `values` has shape (rows,).

    Losses are skewed: a normal interval would reach below zero.
    """
    from scipy.stats import bootstrap

    mean = float(values.mean())
    if len(values) < 2:
        return Score(value=mean)
    random = np.random.default_rng(0)
    found = bootstrap((values,), np.mean, n_resamples=RESAMPLES, batch=100, method="percentile", rng=random)
    return Score(value=mean, low=float(found.confidence_interval.low), high=float(found.confidence_interval.high))


def score_confusion(
    confusion: np.ndarray, statistic: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
) -> Score:
    """Return a statistic of a confusion matrix with its percentile bootstrap interval.

    Resampling rows is the same as drawing the cells of the matrix from a multinomial, which needs no row; only cells
    that hold a row are drawn. `statistic` takes for each class the rows that are hit, true and predicted, three arrays
    of shape (resamples, classes), and returns shape (resamples,).
    """
    count, classes = int(confusion.sum()), len(confusion)
    true, predicted = np.nonzero(confusion)
    cells = confusion[true, predicted]
    draws = np.random.default_rng(0).multinomial(count, cells / count, size=RESAMPLES)
    eye = np.eye(classes)
    hit_of_cell = eye[true] * (true == predicted)[:, None]

    def read(counts: np.ndarray) -> np.ndarray:
        return statistic(counts @ hit_of_cell, counts @ eye[true], counts @ eye[predicted])

    low, high = np.percentile(read(draws), [2.5, 97.5])
    return Score(value=float(read(cells[None])[0]), low=float(low), high=float(high))


def score_rows(rows: np.ndarray, statistic: Callable[[np.ndarray], float]) -> Score:
    """Return a statistic of whole rows, shape (rows, columns), with its percentile bootstrap interval."""
    random = np.random.default_rng(0)
    draws = [statistic(rows[random.integers(0, len(rows), len(rows))]) for _ in range(ROW_RESAMPLES)]
    low, high = np.percentile(draws, [2.5, 97.5])
    return Score(value=statistic(rows), low=float(low), high=float(high))
