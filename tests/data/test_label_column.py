"""What the cells of a label column are."""

from typing import Any

import datasets
import pytest

from hf_tune.data.label_column import FRACTIONS, WHOLE_NUMBERS, WORDS, LabelColumn, check_same_kind, find_kind
from hf_tune.data.row_origin import build_origin
from hf_tune.input_error import InputError


Value = datasets.Value


def column(cells: list, feature: Any) -> LabelColumn:
    rows = datasets.Dataset.from_dict({"sort": cells}, features=datasets.Features({"sort": feature}))
    return LabelColumn(rows=rows, name="sort", origin=build_origin("test", [("train", 10, 10 + len(cells))]))


@pytest.mark.parametrize(
    ("feature", "kind"),
    [
        (datasets.ClassLabel(names=["a"]), WORDS),
        (Value("string"), WORDS),
        (Value("large_string"), WORDS),
        (Value("int8"), WHOLE_NUMBERS),
        (Value("uint64"), WHOLE_NUMBERS),
        (Value("float32"), FRACTIONS),
        (Value("bool"), None),
        (Value("timestamp[s]"), None),
        (datasets.Image(), None),
        (datasets.List(Value("string")), None),
    ],
    ids=str,
)
def test_the_kind_of_a_cell_is_what_its_feature_says(feature: Any, kind: str | None) -> None:
    assert find_kind(feature) == kind


@pytest.mark.parametrize(
    ("cells", "feature"),
    [
        (["a", None], Value("string")),
        (["a", ""], Value("string")),
        (["a", " \t"], Value("large_string")),
        ([1, None], Value("int64")),
        ([0.0, float("nan")], Value("float64")),
        ([0, None], datasets.ClassLabel(names=["a", "b"])),
        ([True, None], Value("bool")),
    ],
    ids=str,
)
def test_an_empty_cell_is_found_before_the_type_is_looked_at(cells: list, feature: Any) -> None:
    """A CSV file's column of whole numbers becomes float64 where one cell is empty; the empty cell is the mistake."""
    with pytest.raises(InputError, match=r"row 11 of split 'train' \(now in test\) has no label; fill it") as caught:
        column(cells, feature).read_cells("words")
    assert caught.value.at == ("columns", "label")


def test_a_class_is_named_by_the_splits_own_class_label() -> None:
    feature = datasets.ClassLabel(names=["green", "red"])
    named = column([1, 0], feature)
    assert [named.name_class(row, cell, feature) for row, cell in enumerate(named.read_cells("words"))] == [
        "red",
        "green",
    ]
    assert named.name_class(0, 7, Value("int64")) == 7


@pytest.mark.parametrize(
    ("feature", "words"),
    [
        (Value("bool"), r"'sort' of split 'test' holds true and false \(bool\), not words; write them as words"),
        (datasets.List(Value("bool")), r"lists of true and false \(bool\), not words; write them as words"),
        (Value("date32"), "holds values of type date32, not words; is it the right column"),
        (datasets.Image(), "holds values of type Image, not words"),
        (datasets.List(datasets.ClassLabel(names=["a"])), "holds lists of classes, not words"),
    ],
    ids=str,
)
def test_what_a_column_holds_is_said_without_reading_it(feature: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        raise column([], feature).build_type_error("words")


def test_words_and_numbers_are_not_joined_and_nothing_at_all_fits_both() -> None:
    words, numbers, nothing = (column([], Value(dtype)) for dtype in ("string", "int64", "null"))
    for other in (words, nothing):
        columns = {"train": words, "test": other}
        check_same_kind(columns, {name: each.feature for name, each in columns.items()})
    columns = {"train": words, "test": numbers}
    with pytest.raises(
        InputError, match="column 'sort' holds whole numbers in split 'test' and words in split 'train'"
    ):
        check_same_kind(columns, {name: each.feature for name, each in columns.items()})
