"""The positive one of two classes gets number 1."""

import numpy as np
import pytest

from hf_tune.data.positive_label import put_positive_last
from hf_tune.input_error import InputError


LABELS = {"train": np.asarray([0, 1, 1]), "test": np.asarray([1, 0])}


def test_the_positive_class_is_numbered_one() -> None:
    names, labels = put_positive_last(("ants", "bees"), LABELS, "ants")
    assert names == ("bees", "ants")
    assert {name: each.tolist() for name, each in labels.items()} == {"train": [1, 0, 0], "test": [0, 1]}


def test_what_is_second_already_stays() -> None:
    names, labels = put_positive_last(("0", "1"), LABELS, 1)
    assert names == ("0", "1") and labels["train"].tolist() == [0, 1, 1]


def test_a_name_that_is_none_of_two_classes_is_refused() -> None:
    with pytest.raises(InputError, match="no class is called 'wasps'") as caught:
        put_positive_last(("ants", "bees"), LABELS, "wasps")
    assert caught.value.hint == "the classes: ants, bees" and caught.value.at == ("positive",)
    with pytest.raises(InputError, match="only one of two classes"):
        put_positive_last(("ants", "bees", "wasps"), LABELS, "wasps")
    with pytest.raises(InputError, match="only one of two classes"):
        put_positive_last(("red", "blue"), {"train": np.zeros((3, 2), dtype=np.float32)}, "red")
