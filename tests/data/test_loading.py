"""Loading: what is there, and what is not and is told."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from hf_tune.data.loading import load_raw
from hf_tune.input_error import InputError


LOADER = '''
"""Two rows."""
import datasets

def load(rows=2):
    """Return one split."""
    return datasets.DatasetDict({"train": datasets.Dataset.from_dict({"text": ["a"] * rows})})

def load_list():
    """Return no data set."""
    return [1]
'''


@pytest.fixture(autouse=True)
def loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_rows.py").write_text(LOADER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_rows", raising=False)


@pytest.fixture
def write_pictures(tmp_path: Path) -> Callable[..., str]:
    """Return a function that fills folders with so many pictures each, and returns the folder above them."""
    import PIL.Image

    def write(**folders: int) -> str:
        for name, count in folders.items():
            folder = tmp_path / "pictures" / name.replace("__", "/")
            folder.mkdir(parents=True)
            for number in range(count):
                PIL.Image.new("RGB", (9, 9), (number, 0, 0)).save(folder / f"{number}.png")
        return str(tmp_path / "pictures")

    return write


def test_a_loader_of_ones_own_gets_its_arguments() -> None:
    assert len(load_raw({"path": "own_rows:load", "rows": 5})["train"]) == 5


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("own_rowz:load", "no module 'own_rowz'"),
        ("own_rows:laod", "known: load, load_list"),
        ("own_rows:load_list", "expected a DatasetDict, got list"),
    ],
)
def test_a_wrong_loader_is_told(path: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_raw({"path": path})


def test_arguments_that_a_loader_does_not_take_are_told() -> None:
    with pytest.raises(InputError, match="it takes: rows") as caught:
        load_raw({"path": "own_rows:load", "row": 3})
    assert caught.value.at == ("load", "row")


@pytest.mark.parametrize(
    ("load", "words", "key"),
    [
        ({"path": "csv", "data_files": "nowhere.csv"}, "not found", "data_files"),
        ({"path": "imagefolder", "data_dir": "./nowhere"}, "not found", "data_dir"),
        (
            {"path": "somebody/nothing"},
            "(cannot be reached|no such data set).*no folder 'somebody/nothing' either",
            "path",
        ),
        ({"path": "nothing"}, "cannot be reached.*; check the network|no such data set.*; check the name", "path"),
        (
            {"path": "./nope"},
            r"no folder './nope', and a data set of the Hub cannot .*; a folder is relative to",
            "path",
        ),
        ({"path": "/nope"}, "no folder '/nope', and a data set of the Hub cannot have this name", "path"),
        ({"path": "a/b/c"}, "no folder 'a/b/c', and a data set of the Hub cannot have this name", "path"),
    ],
)
def test_data_that_is_not_there_is_told(load: dict[str, Any], words: str, key: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        load_raw(load)
    assert caught.value.at == ("load", key)


@pytest.mark.parametrize("by_path", [False, True])
def test_an_empty_folder_is_told_with_the_cure(tmp_path: Path, by_path: bool) -> None:
    load = (
        {"path": str(tmp_path / "empty")} if by_path else {"path": "imagefolder", "data_dir": str(tmp_path / "empty")}
    )
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"folder '.*empty' holds no data; give pictures in one folder per class"):
        load_raw(load)


def test_a_file_in_place_of_its_format_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"own_rows.py' is a file; write the format as `path`.* `module:function`"):
        load_raw({"path": str(tmp_path / "own_rows.py")})


@pytest.mark.parametrize("by_path", [False, True])
def test_a_class_folder_without_a_file_is_named(write_pictures: Callable[..., str], by_path: bool) -> None:
    """datasets 5.2 leaves the class out, and the model never hears of it."""
    folder = write_pictures(train__red=3, train__green=3, train__blue=0, test__red=1, test__green=1)
    (Path(folder) / "train" / "blue" / ".gitkeep").touch()
    load = {"path": folder} if by_path else {"path": "imagefolder", "data_dir": folder}
    with pytest.raises(InputError, match=r"class folder '.*train/blue' holds no file; put pictures into it") as caught:
        load_raw(load)
    assert caught.value.at == ("load", "path" if by_path else "data_dir")


def test_the_second_of_two_class_folders_is_named_too(write_pictures: Callable[..., str]) -> None:
    """One class alone gets no label column at all."""
    with pytest.raises(InputError, match=r"class folder '.*/blue' holds no file"):
        load_raw({"path": "imagefolder", "data_dir": write_pictures(red=3, blue=0)})


def test_folders_that_are_no_class_may_be_empty(write_pictures: Callable[..., str]) -> None:
    """An empty folder beside the splits, a class that only train has, and what `datasets` does not look at."""
    folder = write_pictures(train__red=3, train__green=3, test__red=1, test__green=0, valid=0)
    (Path(folder) / "train" / ".cache").mkdir()
    raw = load_raw({"path": "imagefolder", "data_dir": folder})
    assert raw["train"].features["label"].names == ["green", "red"] and len(raw["test"]) == 1
    assert "label" not in load_raw({"path": "imagefolder", "data_dir": folder, "drop_labels": True})["train"].features


STREAMS = """
import datasets

TABLE = datasets.Dataset.from_dict({"text": list("abc")})

def load(kind="stream"):
    tables = {"train": TABLE, "test": TABLE}
    return tables if kind == "table" else {**tables, "train": TABLE.to_iterable_dataset()}

def load_either(streaming=False):
    return {"train": TABLE.to_iterable_dataset() if streaming else TABLE}
"""


def test_a_loader_may_return_a_stream_where_the_recipe_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_streams.py").write_text(STREAMS)
    monkeypatch.syspath_prepend(tmp_path)
    raw = load_raw({"path": "own_streams:load", "streaming": True})
    assert isinstance(raw["train"], datasets.IterableDataset) and len(raw["test"]) == 3
    raw = load_raw({"path": "own_streams:load_either", "streaming": True})
    assert isinstance(raw["train"], datasets.IterableDataset)
    with pytest.raises(InputError, match="the data set is a stream; write `streaming: true` under `load:`"):
        load_raw({"path": "own_streams:load"})
    with pytest.raises(InputError, match="the loader returned no stream; leave `streaming` out"):
        load_raw({"path": "own_streams:load", "kind": "table", "streaming": True})
