"""Oddities of labels and of columns that look like identifiers."""

import datasets
import numpy as np
import pytest

from hf_tune.data.findings import Finding, find_alike_names, find_shared_ids, find_whole_numbers
from hf_tune.data.row_origin import build_origin


def test_examples_stand_under_the_sentence() -> None:
    assert str(Finding(note="Odd.", examples=("row 1", "row 2"))) == "Odd.\n    row 1\n    row 2"


def test_names_that_differ_in_case_blanks_or_coding_are_told_with_their_rows() -> None:
    names = ("Cat", "cat ", "caf\u00e9", "cafe\u0301", "dog", "hot-dog", "Hot dog", "dog\u200b", "1", "10")
    (found,) = find_alike_names(names, np.asarray([0, 0, 0, 1, 2, 4, 4, 7, 8, 9]))
    told = found.note.partition(": ")[2]
    for words in (
        "'Cat' (3 rows) and 'cat ' (1 rows)",
        "'caf\u00e9' (1 rows) and 'cafe\u0301' (0 rows)",
        "'dog' (2 rows) and 'dog\\u200b' (1 rows)",
        "'hot-dog' (0 rows) and 'Hot dog' (0 rows)",
    ):
        assert words in told
    assert "'10'" not in told
    assert find_alike_names(("cat", "dog"), np.asarray([0, 1])) == []
    (found,) = find_alike_names(("a", "A"), np.asarray([[1, 1], [0, 1]], dtype=np.float32))
    assert "'a' (1 rows) and 'A' (2 rows)" in found.note


@pytest.mark.parametrize(
    ("labels", "is_regression", "words"),
    [
        ([0, 1], False, "Labels are whole numbers stored as fractions, such as 1.0; each is the class 1."),
        ([1.0, 2.0, 2.0], True, "2 whole numbers stored as fractions (1.0, 2.0) and taken as numbers, not classes"),
        ([1.0, 2.0, 3.0, 4.0], True, "4 whole numbers stored as fractions (1.0, 2.0, 3.0, …)"),
        ([1.0, 2.5], True, ""),
        (list(range(30)), True, ""),
    ],
)
def test_labels_that_are_whole_numbers_with_a_point_are_told(labels: list, is_regression: bool, words: str) -> None:
    found = find_whole_numbers(datasets.Value("float64"), np.asarray(labels), is_regression)
    assert [words in each.note for each in found] == ([True] if words else [])
    assert find_whole_numbers(datasets.Value("int64"), np.asarray(labels), is_regression) == []


def find(used: tuple[str, ...] = (), **columns: tuple[list, list]) -> list[Finding]:
    raw = {
        name: datasets.Dataset.from_dict({column: cells[place] for column, cells in columns.items()})
        for place, name in enumerate(("train", "test"))
    }
    return find_shared_ids(raw, {name: build_origin(name, [(name, 0, len(rows))]) for name, rows in raw.items()}, used)


def test_an_identifier_that_stands_in_two_splits_is_told_and_not_published() -> None:
    (found,) = find(patient_id=(["p1", "p2", "p2"], ["p2", "p3"]), text=(["a", "b", "c"], ["a", "b"]))
    assert "column 'patient_id', an identifier by its name" in found.note and "(1 in train and test)" in found.note
    assert "`data.splits.by: patient_id` cuts" in found.note and "p2" not in found.note
    assert found.examples == ("in train and test: 'p2'",)


@pytest.mark.parametrize("column", ["id", "PatientID", "patientId", "user", "scanner name", "site-no", "speaker"])
def test_an_identifier_is_recognised_by_a_word_of_its_name(column: str) -> None:
    assert len(find(**{column: ([3, 5], [5, 9])})) == 1


@pytest.mark.parametrize("column", ["text", "label_id", "intent_id", "idea", "video_length", "width"])
def test_other_columns_are_no_identifiers(column: str) -> None:
    cells = ([3, 5], [5, 9]) if column != "video_length" else ([3.0, 5.0], [5.0, 9.0])
    assert find(**{column: cells}) == []


def test_what_counts_the_rows_or_is_used_or_is_not_shared_is_no_finding() -> None:
    assert find(id=([0, 1, 2], [0, 1])) == []
    assert find(used=("user",), user=(["a"], ["a"])) == []
    assert find(user=(["a", None], ["b", None])) == []


def test_splits_that_were_cut_from_one_are_compared_too() -> None:
    raw = {"train": datasets.Dataset.from_dict({"user": ["a", "b", "a", "c"]})}
    whole = build_origin("train", [("train", 0, 4)])
    origins = {"train": whole.select(np.asarray([0, 1])), "validation": whole.select(np.asarray([2, 3]))}
    (found,) = find_shared_ids(raw, origins, ())
    assert "(1 in train and validation)" in found.note and found.examples == ("in train and validation: 'a'",)
