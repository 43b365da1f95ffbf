"""Picture of two classes: ROC and precision-recall curves with the decision on them, and whether scores are true."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from hf_tune.results.two_classes import measure_auroc, order_log_probabilities, read_log_odds
from hf_tune.task import Kept


def plot_two_classes(kept: Kept, label_names: Sequence[str], file: Path) -> bool:
    """Draw the curves of the second of two classes; return False where there are not two, or not rows of both."""
    if len(label_names) != 2 or order_log_probabilities(kept, 2) is None:
        return False
    log_odds, positive = read_log_odds(kept), kept["labels"] == 1
    if positive.all() or not positive.any():
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.9), layout="constrained")
    roc, precision, reliability = figure.subplots(1, 3)
    answered = kept["top_labels"][:, 0] == 1
    _draw_roc(roc, log_odds, positive, answered)
    _draw_precision(precision, log_odds, positive, answered)
    _draw_reliability(reliability, expit(log_odds), positive)
    for axes in (roc, precision, reliability):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.suptitle(f"positive: {label_names[1]}", fontsize=10)
    figure.savefig(file, dpi=110)
    return True


def find_reliability(probabilities: np.ndarray, positive: np.ndarray) -> list[tuple[float, float, int]]:
    """Return mean probability, share of positive rows and number of rows of groups of about equal size, lowest first.

    There are at most ten groups, of ten rows or more where there are as many.
    """
    count = max(1, min(10, len(probabilities) // 10))
    groups = np.array_split(np.argsort(probabilities, kind="stable"), count)
    return [(float(probabilities[rows].mean()), float(positive[rows].mean()), len(rows)) for rows in groups]


def _draw_roc(axes: Any, log_odds: np.ndarray, positive: np.ndarray, answered: np.ndarray) -> None:
    from sklearn import metrics

    false_rate, true_rate, _ = metrics.roc_curve(positive, log_odds)
    axes.plot(false_rate, true_rate, label=f"AUROC {measure_auroc(log_odds, positive):.3f}")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
    axes.plot(answered[~positive].mean(), answered[positive].mean(), "o", color="black", label="as it is answered")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", title="ROC")


def _draw_precision(axes: Any, log_odds: np.ndarray, positive: np.ndarray, answered: np.ndarray) -> None:
    from sklearn import metrics

    precision, recall, _ = metrics.precision_recall_curve(positive, log_odds)
    axes.step(recall, precision, where="post", label=f"AP {metrics.average_precision_score(positive, log_odds):.3f}")
    axes.axhline(positive.mean(), color="grey", linewidth=0.8, linestyle=":", label="share of positive rows")
    if answered.any():
        axes.plot(answered[positive].mean(), positive[answered].mean(), "o", color="black", label="as it is answered")
    axes.set(xlabel="sensitivity (recall)", ylabel="precision", title="Precision and recall")


def _draw_reliability(axes: Any, probabilities: np.ndarray, positive: np.ndarray) -> None:
    found = find_reliability(probabilities, positive)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":", label="as promised")
    sizes = sorted({count for _, _, count in found})
    rows = "-".join(str(each) for each in sizes)
    axes.plot([each[0] for each in found], [each[1] for each in found], marker="o", label=f"groups of {rows} rows")
    axes.set(xlabel="probability of the positive class", ylabel="share of positive rows", title="Reliability")
