"""Splits: by expression, made, and refused."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from hf_tune.data.splits import DataSource, SplitPlan, Splits, load_splits
from hf_tune.input_error import InputError


TASK = SimpleNamespace(
    columns={"text": "words", "label": "its class"},
    optional_columns=(),
    file_columns=(),
    label_role="label",
    problem_types=("single_label_classification",),
)

LOADER = '''
"""Forty rows of text."""
import datasets

def load(rows=40, splits=("train",), empty=None):
    """Return the same table under each name."""
    kinds = [None if n == empty else "ab"[n % 2] for n in range(rows)]
    table = datasets.Dataset.from_dict({"text": [str(n) for n in range(rows)], "kind": kinds})
    return datasets.DatasetDict({name: table for name in splits})

def load_pairs():
    """Return rows with a second text."""
    columns = {"text": list("wxyz") * 10, "kind_pair": ["also"] * 40, "kind": list("abab") * 10}
    return datasets.DatasetDict({"train": datasets.Dataset.from_dict(columns)})

def load_unlike():
    """Return two splits with other types."""
    rows = {"train": [0, 1], "words": ["a", "b"]}
    tables = {name: datasets.Dataset.from_dict({"text": list("xy"), "kind": kinds}) for name, kinds in rows.items()}
    return datasets.DatasetDict(tables)
'''


@pytest.fixture(autouse=True)
def loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_loader.py").write_text(LOADER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_loader", raising=False)


def load(plan: SplitPlan | None = None, columns: dict | None = None, **arguments: object) -> Splits:
    source = DataSource(
        load={"path": "own_loader:load", **arguments},
        splits=plan or SplitPlan(),
        columns=columns or {"label": "kind"},
    )
    return load_splits(source, TASK)


def test_a_missing_validation_split_is_cut_from_train_and_said() -> None:
    splits = load()
    assert (len(splits.train), len(splits.validation), splits.test) == (36, 4, None)
    assert set(splits.train.rows["text"]).isdisjoint(splits.validation.rows["text"])
    assert "cut from train: 4 of 40 rows" in splits.notes[0] and "no test split" in splits.notes[1]
    assert load().validation.rows["text"][:] == splits.validation.rows["text"][:]


def test_the_data_sets_own_splits_are_taken() -> None:
    splits = load(splits=["train", "dev", "test"])
    assert (splits.validation.name, len(splits.validation), len(splits.test or [])) == ("validation", 40, 40)
    assert splits.notes == ()


def test_expressions_choose_rows_and_an_example_has_roles() -> None:
    splits = load(SplitPlan(train="train[:50%]", validation="train[50%:75%]", test="train[30:]"))
    assert [len(splits.train), len(splits.validation), len(splits.test or [])] == [20, 10, 10]
    assert splits.validation[0] == {"text": "20", "label": 0} and splits.label_names == ("a", "b")


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (SplitPlan(train="trian"), "no such split"),
        (SplitPlan(train="train[:0]"), "has no row"),
        (SplitPlan(validation="train[:5]"), "share 5 rows"),
        (SplitPlan(validation="train[30:]", train="train[:30]", test="train[35:]"), "share 5 rows"),
    ],
)
def test_a_split_that_cannot_be_is_told(plan: SplitPlan, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        load(plan)
    assert caught.value.at[0] == "splits"


def test_an_optional_role_is_taken_where_a_column_has_its_name() -> None:
    """A second text beside `text` was left out without a word where the recipe did not name it."""
    task = SimpleNamespace(**{**vars(TASK), "columns": {**TASK.columns, "kind_pair": "more"}})
    task.optional_columns = ("kind_pair",)
    load = {"path": "own_loader:load_pairs"}
    splits = load_splits(DataSource(load=load, columns={"label": "kind"}), task)  # type: ignore[arg-type]
    assert splits.train[0]["kind_pair"] == "also"
    plain = load_splits(DataSource(load={"path": "own_loader:load"}, columns={"label": "kind"}), task)  # type: ignore[arg-type]
    assert "kind_pair" not in plain.train[0]


def test_a_wrong_column_names_what_there_is() -> None:
    with pytest.raises(InputError, match=r"no column 'sort' .*its columns are: text, kind") as caught:
        load(columns={"label": "sort"})
    assert caught.value.at == ("columns", "label")


def test_csv_json_parquet_and_picture_folders_load(tmp_path: Path) -> None:
    import datasets
    import PIL.Image

    table = datasets.Dataset.from_dict({"text": list("abcdefgh"), "label": ["x", "y"] * 4})
    for kind, write in (("csv", table.to_csv), ("json", table.to_json), ("parquet", table.to_parquet)):
        write(tmp_path / f"rows.{kind}")
        source = DataSource(
            load={"path": kind, "data_files": str(tmp_path / f"rows.{kind}")}, splits=SplitPlan(validation=0.25)
        )
        assert len(load_splits(source, TASK).train) == 6
    for split in ("train", "test"):
        for label in ("ant", "bee"):
            (tmp_path / "pictures" / split / label).mkdir(parents=True)
            for number in range(3):
                PIL.Image.new("RGB", (9, 9), (number, 0, 0)).save(
                    tmp_path / "pictures" / split / label / f"{number}.png"
                )
    source = DataSource(
        load={"path": "imagefolder", "data_dir": str(tmp_path / "pictures")}, splits=SplitPlan(validation=0.4)
    )
    splits = load_splits(source, SimpleNamespace(**{**vars(TASK), "columns": {"image": "", "label": ""}}))
    assert splits.label_names == ("ant", "bee") and len(splits.test or []) == 6


def test_rows_keep_the_name_that_they_have_in_the_data() -> None:
    """A picture in row 17 of train was "row 15 of split 'train'" after a validation split was cut from it."""
    splits = load(SplitPlan(train="train[10:]", validation=0.2))
    assert len(splits.validation) == 6
    for split, moved in ((splits.train, ""), (splits.validation, " (now in validation)")):
        for row in range(len(split)):
            assert split.name_row(row) == f"row {split[row]['text']} of split 'train'{moved}"


def test_an_error_about_a_row_gets_the_name_that_it_has_in_the_data() -> None:
    part = load(SplitPlan(validation="train[:50%]", train="train[50%:]")).validation.select([3, 8])
    words = r"^row 8 of split 'train' \(now in validation\): empty; fill it$"
    with pytest.raises(InputError, match=words) as caught, part.naming_row(1):
        raise InputError("empty", "fill it")
    assert caught.value.at == ("load",)


def test_a_label_error_names_the_row_of_the_data() -> None:
    with pytest.raises(InputError, match="row 33 of split 'train' has no label"):
        load(SplitPlan(train="train[20:]", validation="train[:20]"), empty=33)
    with pytest.raises(InputError, match=r"row 3 of split 'train' \(now in validation\) has no label"):
        load(SplitPlan(train="train[20:]", validation="train[:20]"), empty=3)


def test_splits_that_cannot_be_joined_are_told() -> None:
    """datasets 5.2 raises a ValueError that ran through."""
    with pytest.raises(InputError, match="train and words cannot be joined: The features can't be aligned") as caught:
        load(SplitPlan(train="train+words"), path="own_loader:load_unlike")
    assert caught.value.at == ("splits", "train")
