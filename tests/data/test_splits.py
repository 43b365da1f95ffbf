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
    label_role="label",
    problem_types=("single_label_classification",),
)

LOADER = '''
"""Forty rows of text."""
import datasets

def load(rows=40, splits=("train",)):
    """Return the same table under each name."""
    table = datasets.Dataset.from_dict({"text": [str(n) for n in range(rows)], "kind": ["a", "b"] * (rows // 2)})
    return datasets.DatasetDict({name: table for name in splits})

def load_list():
    """Return no data set."""
    return [1]
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
    assert "cut from train: 10%" in splits.notes[0] and "no test split" in splits.notes[1]
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


def test_a_wrong_column_names_what_there_is() -> None:
    with pytest.raises(InputError, match=r"no column 'sort' .*its columns are: text, kind") as caught:
        load(columns={"label": "sort"})
    assert caught.value.at == ("columns", "label")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("own_loadr:load", "no module 'own_loadr'"),
        ("own_loader:laod", "known: load, load_list"),
        ("own_loader:load_list", "expected a DatasetDict, got list"),
    ],
)
def test_a_wrong_loader_is_told(path: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_splits(DataSource(load={"path": path}), TASK)


def test_arguments_that_a_loader_does_not_take_are_told() -> None:
    with pytest.raises(InputError, match="it takes: rows, splits") as caught:
        load(row=3)
    assert caught.value.at == ("load", "row")


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


@pytest.mark.parametrize(
    ("load", "words"),
    [
        ({"path": "csv", "data_files": "nowhere.csv"}, "not found|cannot be loaded"),
        ({"path": "somebody/nothing"}, "cannot be reached|no such data set"),
    ],
)
def test_data_that_is_not_there_is_told(load: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_splits(DataSource(load=load), TASK)
