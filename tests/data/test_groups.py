"""Groups: read, kept whole, and refused where they cannot be."""

import datasets
import numpy as np
import pytest

from hf_tune.data.groups import count_groups, cut_groups, read_groups
from hf_tune.data.row_origin import build_origin
from hf_tune.input_error import InputError


def read(**parts: dict) -> object:
    tables = {name: datasets.Dataset.from_dict(columns) for name, columns in parts.items()}
    origins = {name: build_origin(name, [(name, 0, len(rows))]) for name, rows in tables.items()}
    return read_groups(tables, "patient", origins)


def test_groups_are_numbered_alike_in_every_split() -> None:
    groups = read(train={"patient": ["b", "a", "b"]}, test={"patient": ["c"]})
    assert groups.names == ("b", "a", "c")
    assert {name: each.tolist() for name, each in groups.numbers.items()} == {"train": [0, 1, 0], "test": [2]}
    groups = read(train={"patient": [7, 8]}, test={"text": ["c"]})
    assert groups.notes == (
        "The test split has no column 'patient': whether it shares groups with train is not known.",
    )


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"train": {"user": [1]}}, "split 'train' has no column 'patient' to cut by; its columns are: user"),
        ({"train": {"patient": [[1], [2]]}}, "holds values of type List, by which nothing can be cut"),
        (
            {"train": {"patient": ["a", None, "", " ", "b"]}},
            "row 1 .*, row 2 .*, row 3 of split 'train' have no value",
        ),
        (
            {"train": {"patient": [1.0, float("nan")]}},
            "row 1 of split 'train' has no value in column 'patient'; fill it",
        ),
        ({"train": {"patient": [None] * 5}}, "row 2 of split 'train' and 2 more have no value"),
        (
            {"train": {"patient": ["a", "b", "b"]}, "test": {"patient": ["b", "c"]}},
            r"patient 'b' stands in train \(2 rows\) and in test \(1 rows\); take their rows out",
        ),
        (
            {"train": {"patient": [1, 2]}, "validation": {"patient": [3]}, "test": {"patient": [3, 3, 1]}},
            r"patient 1 stands in train \(1 rows\) and in test \(1 rows\)",
        ),
    ],
)
def test_a_column_that_gives_no_groups_is_told(parts: dict, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read(**parts)
    assert caught.value.at == ("splits", "by")


def test_a_cut_tears_no_group_and_keeps_the_shares_of_classes() -> None:
    random = np.random.default_rng(0)
    groups = random.integers(0, 60, 600)
    labels = (groups % 3 == 0).astype(np.int64)  # all rows of a patient are of one class
    kept, cut = cut_groups(groups, labels, 0.2, 0, "validation")
    assert set(groups[kept]).isdisjoint(groups[cut]) and sorted([*kept, *cut]) == list(range(600))
    assert len(set(groups[cut])) == 12 and len(cut) == pytest.approx(120, abs=12)
    assert labels[cut].mean() == pytest.approx(labels.mean(), abs=0.05)
    again = cut_groups(groups, labels, 0.2, 0, "validation")
    assert again[1].tolist() == cut.tolist() != cut_groups(groups, labels, 0.2, 1, "validation")[1].tolist()


def test_every_class_stays_in_train() -> None:
    """Two of twenty patients have the rare class: a third of plain draws would take both."""
    groups = np.repeat(np.arange(20), 5)
    labels = np.isin(groups, (3, 7)).astype(np.int64)
    for seed in range(5):
        kept, cut = cut_groups(groups, labels, 0.5, seed, "validation")
        assert set(labels[kept]) == set(labels[cut]) == {0, 1}
    with pytest.raises(InputError, match="leaves every class in train: 1 would be in validation only"):
        cut_groups(np.asarray([0, 1]), np.asarray([0, 1]), 0.5, 0, "validation")


def test_a_fraction_of_too_few_groups_is_told() -> None:
    with pytest.raises(InputError, match=r"test 0.9 of 3 groups is 3 and leaves 0; give another fraction") as caught:
        cut_groups(np.asarray([0, 1, 2, 2]), None, 0.9, 0, "test")
    assert caught.value.at == ("splits", "test")


def test_groups_of_a_class_are_counted() -> None:
    assert count_groups(np.asarray([5, 5, 6, 6]), np.asarray([0, 0, 0, 1]), 3).tolist() == [2, 1, 0]
