"""Whether two runs differ on the same rows: the difference of a score with its interval, and how likely chance is."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hf_tune.results.classification_metrics import CLASS_STATISTICS, tabulate_classes
from hf_tune.results.intervals import RESAMPLES
from hf_tune.results.label_metrics import (
    LABEL_SET_STATISTICS,
    NUMBER_STATISTICS,
    tabulate_label_sets,
    tabulate_numbers,
)
from hf_tune.task import Kept


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """A score of one run less that of the reference."""

    value: float
    low: float
    """Of the 95 % interval."""
    high: float
    p_value: float
    """Two-sided: how often a difference this large comes from chance where the runs are equally good."""
    test: str


def tabulate_rows(kept: Kept) -> tuple[np.ndarray, dict[str, Callable[[np.ndarray], float]]]:
    """Return a table with one row per example, and the statistics of such rows by their metric's name."""
    if "values" in kept:
        return tabulate_numbers(kept), dict(NUMBER_STATISTICS)
    if "log_odds" in kept:
        return tabulate_label_sets(kept), dict(LABEL_SET_STATISTICS)
    return tabulate_classes(kept), dict(CLASS_STATISTICS)


def compare_hits(reference: np.ndarray, other: np.ndarray) -> PairedDifference:
    """Compare shares of rows that are right; both arrays are bool of shape (rows,), row by row the same examples.

    The p-value is McNemar's, exact. The interval is the adjusted Wald interval of Bonett and Price 2012
    (doi:10.3102/1076998611411915), which holds for few rows and for runs that agree on all of them.
    """
    from scipy.stats import binomtest

    won, lost, rows = int((other & ~reference).sum()), int((reference & ~other).sum()), len(other)
    more, less = (won + 1) / (rows + 2), (lost + 1) / (rows + 2)
    half = 1.959964 * float(np.sqrt((more + less - (more - less) ** 2) / (rows + 2)))
    p_value = float(binomtest(won, won + lost).pvalue) if won + lost else 1.0
    return PairedDifference(
        value=(won - lost) / rows,
        low=max(more - less - half, -1.0),
        high=min(more - less + half, 1.0),
        p_value=p_value,
        test="McNemar, exact",
    )


def compare_statistic(
    reference: np.ndarray, other: np.ndarray, statistic: Callable[[np.ndarray], float]
) -> PairedDifference:
    """Compare any statistic of rows; both tables have shape (rows, columns), row by row the same examples.

    The interval is the percentile bootstrap over rows, each drawn for both runs. For the p-value each row's outputs
    change sides at random (Yeh 2000, aclanthology.org/C00-2137), which for a mean is the sign-flip test.
    """
    random, rows = np.random.default_rng(0), len(reference)
    value = statistic(other) - statistic(reference)
    drawn, swapped = np.empty(RESAMPLES), np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        picked = random.integers(0, rows, rows)
        drawn[number] = statistic(other[picked]) - statistic(reference[picked])
        swap = (random.random(rows) < 0.5)[:, None]
        swapped[number] = statistic(np.where(swap, reference, other)) - statistic(np.where(swap, other, reference))
    low, high = np.percentile(drawn, [2.5, 97.5])
    beyond = int((np.abs(swapped) >= abs(value) - 1e-12).sum())
    return PairedDifference(
        value=value,
        low=float(low),
        high=float(high),
        p_value=(beyond + 1) / (RESAMPLES + 1),
        test="approximate randomisation",
    )
