"""How much each mistake counts in the training loss: class weights and costs, as numbers for each class."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from hf_tune.input_error import InputError


Weights: TypeAlias = Mapping[Any, float]
Costs: TypeAlias = Sequence[Sequence[float]] | Mapping[Any, Mapping[Any, float]]


def read_class_weights(given: str | Weights, label_names: Sequence[str], counts: np.ndarray | None) -> np.ndarray:
    """Return the weight of each class, float64, shape (classes,).

    `balanced` is rows / (classes * rows of the class), as scikit-learn's `compute_class_weight`; a class that a
    mapping leaves out weighs 1. `counts` are the training rows of each class, None where nobody has counted them.
    Raises `InputError` for a label that the data does not have, and a weight that is not above 0.
    """
    if isinstance(given, str):
        if counts is None:
            problem = "the rows of a stream's classes are not counted"
            raise InputError(problem, "write `{label: weight}`", at=("class_weights",))
        return counts.sum() / (len(counts) * counts)
    weights = np.ones(len(label_names))
    for label, weight in given.items():
        at = ("class_weights", label)
        if weight <= 0:
            raise InputError(f"{weight!r} is out of range", "a weight is above 0", at=at)
        weights[find_class(label, label_names, at)] = weight
    return weights


def read_costs(given: Costs, label_names: Sequence[str]) -> np.ndarray:
    """Return what it costs to take a class (row) for another (column), float64, shape (classes, classes).

    A list is that matrix, in the order of the labels; in a mapping `{true: {predicted: cost}}` a mistake that is left
    out costs 1. Raises `InputError` for another size, an unknown label, a cost below 0, a right answer that costs
    something, and a class none of whose mistakes does.
    """
    at = ("costs",)
    if isinstance(given, Mapping):
        costs = _read_named_costs(given, label_names)
    else:
        size = len(label_names)
        if len(given) != size or any(len(row) != size for row in given):
            hint = f"write {size} rows of {size} numbers, in this order: {', '.join(label_names[:10])}"
            raise InputError(f"the matrix does not fit {size} labels", hint, at=at)
        costs = np.asarray(given, dtype=np.float64)
    if (costs < 0).any():
        raise InputError(f"{float(costs.min())!r} is out of range", "a cost is at least 0", at=at)
    for number, label in enumerate(label_names):
        if costs[number, number]:
            raise InputError(f"the right answer {label!r} costs {costs[number, number]:g}", "write 0 there", at=at)
        if not costs[number].any():
            raise InputError(f"no mistake on {label!r} costs anything", "give one a cost, or drop its rows", at=at)
    return costs


def normalise(weights: np.ndarray, counts: np.ndarray | None) -> np.ndarray:
    """Return weights or costs divided by their mean over the training rows, so that learning rates keep their meaning.

    The mean over the rows of an epoch is then the weighted mean. Of costs it is the mean over all mistakes that can be
    made on the rows. Where nobody has counted the rows of the classes, every class counts once.
    """
    counts = np.ones(len(weights)) if counts is None else counts
    each = weights if weights.ndim == 1 else weights.sum(1) / (len(weights) - 1)
    return weights / ((counts * each).sum() / counts.sum())


def find_class(label: Any, label_names: Sequence[str], at: tuple[Any, ...]) -> int:
    """Return the number of a label; raises `InputError` where the data has none of this name."""
    if str(label) not in label_names:
        known = ", ".join(label_names[:10]) + (", …" if len(label_names) > 10 else "")
        raise InputError(f"the data has no label {str(label)!r}", f"its labels are {known}", at=at)
    return label_names.index(str(label))


def _read_named_costs(given: Mapping[Any, Mapping[Any, float]], label_names: Sequence[str]) -> np.ndarray:
    costs = 1.0 - np.eye(len(label_names))
    for true, row in given.items():
        number = find_class(true, label_names, ("costs", true))
        for predicted, cost in row.items():
            costs[number, find_class(predicted, label_names, ("costs", true, predicted))] = cost
    return costs
