"""95 % intervals of scores."""

from collections.abc import Callable

import numpy as np

from hf_tune.task import Score


RESAMPLES = 2000


def score_proportion(hits: int, count: int) -> Score:
    """Return a share of rows with its Wilson interval (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    from scipy.stats import binomtest

    interval = binomtest(hits, count).proportion_ci(confidence_level=0.95, method="wilson")
    return Score(value=hits / count, low=float(interval.low), high=float(interval.high))


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


def score_confusion(confusion: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> Score:
    """Return a statistic of a confusion matrix with its percentile bootstrap interval.

    Resampling rows is the same as drawing the cells of the matrix from a multinomial, which needs no row.
    `statistic` takes counts of shape (resamples, classes, classes) and returns shape (resamples,).
    """
    count = int(confusion.sum())
    classes = len(confusion)
    cells = np.random.default_rng(0).multinomial(count, confusion.ravel() / count, size=RESAMPLES)
    resampled = statistic(cells.reshape(RESAMPLES, classes, classes))
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Score(value=float(statistic(confusion[None])[0]), low=float(low), high=float(high))
