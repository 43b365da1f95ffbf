"""Class weights and costs as numbers."""

from typing import Any

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from hf_tune.input_error import InputError
from hf_tune.training.loss_weights import find_class, normalise, read_class_weights, read_costs


NAMES = ("a", "b", "7")
LABELS = np.array([0] * 6 + [1] * 3 + [2])
COUNTS = np.bincount(LABELS).astype(float)


def test_balanced_weights_are_those_of_scikit_learn_and_have_the_mean_1() -> None:
    weights = read_class_weights("balanced", NAMES, COUNTS)
    assert weights == pytest.approx(compute_class_weight("balanced", classes=np.arange(3), y=LABELS))
    assert weights[LABELS].mean() == pytest.approx(1.0)
    assert normalise(weights, COUNTS) == pytest.approx(weights)


def test_a_label_that_is_left_out_weighs_1_and_yaml_may_take_it_for_a_number() -> None:
    assert read_class_weights({"b": 3, 7: 0.5}, NAMES, COUNTS).tolist() == [1.0, 3.0, 0.5]


def test_weights_are_divided_by_their_mean_over_the_rows() -> None:
    # 6 rows of 1, 3 of 3 and 1 of 5: the mean is 20 / 10.
    assert normalise(np.array([1.0, 3.0, 5.0]), COUNTS).tolist() == [0.5, 1.5, 2.5]
    assert normalise(np.array([1.0, 3.0, 5.0]), None) == pytest.approx([1 / 3, 1.0, 5 / 3])  # of a stream


def test_costs_are_divided_by_the_mean_cost_of_a_mistake() -> None:
    costs = np.array([[0.0, 1.0, 1.0], [2.0, 0.0, 6.0], [3.0, 5.0, 0.0]])
    # The mean over mistakes of each class is 1, 4 and 4: over the rows (6 + 12 + 4) / 10.
    assert normalise(costs, COUNTS) == pytest.approx(costs / 2.2)


def test_costs_are_read_as_a_matrix_or_by_name() -> None:
    matrix = [[0, 1, 1], [20, 0, 1], [1, 0.5, 0]]
    assert read_costs(matrix, NAMES).tolist() == matrix
    assert read_costs({"b": {"a": 20}, 7: {"b": 0.5}}, NAMES).tolist() == matrix


@pytest.mark.parametrize(
    ("given", "at", "words"),
    [
        ([[0, 1], [1, 0]], ("costs",), "does not fit 3 labels; write 3 rows of 3 numbers, in this order: a, b, 7"),
        ([[0, 1, 1], [1, 0, 1], [1, 1]], ("costs",), "does not fit"),
        ([[0, 1, -2], [1, 0, 1], [1, 1, 0]], ("costs",), r"-2\.0 is out of range"),
        ([[0, 1, 1], [1, 3, 1], [1, 1, 0]], ("costs",), "the right answer 'b' costs 3; write 0 there"),
        ({"a": {"b": 0, "7": 0}}, ("costs",), "no mistake on 'a' costs anything"),
        ({"c": {"b": 2}}, ("costs", "c"), "no label 'c'; its labels are a, b, 7"),
        ({"a": {"c": 2}}, ("costs", "a", "c"), "no label 'c'"),
    ],
)
def test_costs_that_cannot_be_are_told(given: Any, at: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_costs(given, NAMES)
    assert caught.value.at == at


@pytest.mark.parametrize(
    ("given", "counts", "at", "words"),
    [
        ("balanced", None, ("class_weights",), "a stream's classes are not counted; write `{label: weight}`"),
        ({"a": 0}, COUNTS, ("class_weights", "a"), "0 is out of range"),
        ({"d": 2}, COUNTS, ("class_weights", "d"), "no label 'd'"),
    ],
)
def test_weights_that_cannot_be_are_told(given: Any, counts: Any, at: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_class_weights(given, NAMES, counts)
    assert caught.value.at == at


def test_of_many_labels_ten_are_told() -> None:
    with pytest.raises(InputError, match=r"its labels are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …$"):
        find_class("x", [str(number) for number in range(11)], ())
