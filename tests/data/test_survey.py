"""What a survey says of columns: what each may be, counted by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import PIL.Image
import pytest

from hf_tune.data.survey import survey_data
from hf_tune.input_error import InputError


@pytest.fixture
def survey(tmp_path: Path) -> Callable[..., Any]:
    def look(**columns: list) -> Any:
        datasets.Dataset.from_dict(columns).to_parquet(tmp_path / "train.parquet")
        return survey_data(str(tmp_path / "train.parquet"))

    return look


TEXT = "a sentence that is a good deal longer than the name of a class, number "


@pytest.mark.parametrize(
    ("cells", "kinds"),
    [
        ([f"{TEXT}{number}" for number in range(30)], {"text"}),
        (["cat", "dog", "eel"] * 10, {"classes"}),
        ([f"name {number}" for number in range(30)], {"text"}),
        ([f"p/{number}.jpg" for number in range(30)], {"file"}),
        (list(range(30)), set()),
        ([0, 1, 2] * 10, {"classes", "whole numbers"}),
        ([True, False] * 15, set()),
        ([0.5] * 30, {"numbers"}),
        ([["a"], ["b", "a"], []] * 10, {"label lists"}),
        ([[TEXT, "yes"]] * 30, {"text"}),
        ([[0.5]] * 30, set()),
        ([None, ""] * 15, set()),
    ],
)
def test_a_column_is_what_its_cells_look_like(cells: list, kinds: set[str], survey: Callable[..., Any]) -> None:
    assert survey(x=cells, y=[0.5] * 30).get("x").kinds == kinds


def test_rows_of_classes_are_counted_whatever_type_they_have(survey: Callable[..., Any]) -> None:
    found = survey(word=["a", "b", "b"] * 5, number=[1, 1, 7] * 5)
    assert found.get("word").counts == {"b": 10, "a": 5} and found.get("number").counts == {"1": 10, "7": 5}
    assert found.rows == {"train": 15} and found.train == "train"


def test_length_and_alphabet_of_texts(survey: Callable[..., Any]) -> None:
    found = survey(
        short=[f"{'x' * 70}{number:02}" for number in range(40)], greek=[f"αβ{n} {TEXT}"[:4] for n in range(40)]
    )
    assert found.get("short").characters == 72 and found.get("short").latin == 1
    assert found.get("greek").latin == pytest.approx(0, abs=0.2)


def test_pictures_are_measured_by_their_shorter_side(tmp_path: Path) -> None:
    for name, sizes in (("cat", ((30, 50), (60, 40))), ("dog", ((20, 90),))):
        (tmp_path / name).mkdir()
        for number, size in enumerate(sizes):
            PIL.Image.fromarray(np.zeros((*size, 3), np.uint8)).save(tmp_path / name / f"{number}.png")
    found = survey_data(str(tmp_path))
    assert found.picture_sides == {"image": 30} and found.get("label").counts == {"cat": 2, "dog": 1}


def test_a_column_is_found_by_name_then_by_kind(survey: Callable[..., Any]) -> None:
    found = survey(first=["a", "b", "b"] * 5, Label=["a", "b", "b"] * 5)
    assert found.find("classes", ("y", "label")).name == "Label" and found.find("classes", ()).name == "first"
    assert found.find("picture", ("image",)) is None
    with pytest.raises(InputError, match="the data has no column 'third'; its columns are: first, Label"):
        found.get("third")
    assert found.describe() == "first (classes), Label (classes)"


def test_a_table_is_looked_at_as_training_reads_it(tmp_path: Path) -> None:
    rows = [(f"{TEXT}schön und großartig, {number}", ("NA", "übel")[number % 2]) for number in range(30)]
    for name, separator, encoding in (("a.csv", ";", "cp1252"), ("a.tsv", "\t", "utf-8"), ("b.csv", ",", "utf-16")):
        lines = ["text;label".replace(";", separator), *(f'"{text}"{separator}{label}' for text, label in rows)]
        (tmp_path / name).write_text("\n".join(lines), encoding=encoding)
        found = survey_data(str(tmp_path / name))
        assert found.get("label").counts == {"NA": 15, "übel": 15} and found.get("text").kinds == {"text"}
        assert found.load == {"path": "csv", "data_files": str(tmp_path / name)}


def test_a_table_without_rows_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n")
    with pytest.raises(InputError):
        survey_data(str(tmp_path / "a.csv"))
