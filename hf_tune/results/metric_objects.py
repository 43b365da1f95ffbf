"""Metrics of classification: `evaluate.Metric` objects on scikit-learn that need no network.

`evaluate.load("accuracy")` fetches a script from the Hub and runs it; offline it raises FileNotFoundError
(evaluate 0.4.6). These are the same objects (`compute`, `add_batch`, `evaluate.combine`) in this package.
"""

from typing import Any

import datasets
import evaluate
import numpy as np
from sklearn import metrics


_CLASSES = datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")})


class _ClassMetric(evaluate.Metric):
    """A metric of predicted and true class numbers; `compute(predictions=…, references=…)`."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(description=str(self.__doc__), citation="", features=_CLASSES)


class Accuracy(_ClassMetric):
    """Share of rows whose predicted class is the true one."""

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        return {"accuracy": float(metrics.accuracy_score(references, predictions))}


class Precision(_ClassMetric):
    """Share of a class's predictions that are right; `average` as in scikit-learn, 0 where nothing is predicted."""

    def _compute(self, predictions: Any, references: Any, average: str | None = "macro") -> dict[str, Any]:
        value = metrics.precision_score(references, predictions, average=average, zero_division=0)
        return {"precision": value.tolist() if average is None else float(value)}


class Recall(_ClassMetric):
    """Share of a class's rows that are found; `average` as in scikit-learn."""

    def _compute(self, predictions: Any, references: Any, average: str | None = "macro") -> dict[str, Any]:
        value = metrics.recall_score(references, predictions, average=average, zero_division=0)
        return {"recall": value.tolist() if average is None else float(value)}


class F1(_ClassMetric):
    """Harmonic mean of precision and recall; `average` as in scikit-learn."""

    def _compute(self, predictions: Any, references: Any, average: str | None = "macro") -> dict[str, Any]:
        value = metrics.f1_score(references, predictions, average=average, zero_division=0)
        return {"f1": value.tolist() if average is None else float(value)}


class ConfusionMatrix(_ClassMetric):
    """Counts of rows by true class (axis 0) and predicted class (axis 1), `num_classes` of each."""

    def _compute(self, predictions: Any, references: Any, num_classes: int) -> dict[str, Any]:
        labels = list(range(num_classes))
        return {"confusion_matrix": metrics.confusion_matrix(references, predictions, labels=labels).tolist()}


class LogLoss(evaluate.Metric):
    """Mean negative log-probability of the true class, in nats; predictions are rows of probabilities."""

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features(
            {"predictions": datasets.List(datasets.Value("float64")), "references": datasets.Value("int64")}
        )
        return evaluate.MetricInfo(description=str(self.__doc__), citation="", features=features)

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        predictions = np.asarray(predictions)
        return {"log_loss": float(metrics.log_loss(references, predictions, labels=list(range(predictions.shape[1]))))}
