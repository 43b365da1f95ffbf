"""Which `load:` block fits the files that somebody has, and what is said of files that fit none."""

from pathlib import Path

import datasets
import pytest

from hf_tune.data.loading import load_raw
from hf_tune.data.source_files import draft_load, is_saved
from hf_tune.input_error import InputError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


@pytest.mark.parametrize(
    ("names", "load"),
    [
        (["cat/a.png", "dog/b.JPG", "README.md"], {"path": "imagefolder", "data_dir": "{}"}),
        (["cat/a.dcm", "dog/b.DICOM", "dog/c.avif"], {"path": "imagefolder", "data_dir": "{}"}),
        (["train/cat/a.png", "val/dog/b.png"], {"path": "imagefolder", "data_dir": "{}"}),
        (["a.png", "b.png", "metadata.csv"], {"path": "imagefolder", "data_dir": "{}"}),
        (["train.parquet", "test.parquet", "README.md"], {"path": "{}"}),
        (["a.csv", "pictures/a.png"], {"path": "csv", "data_files": {"train": "{}/a.csv"}}),
        (
            ["x_train.tsv", "x_test.tsv"],
            {"path": "csv", "data_files": {"test": "{}/x_test.tsv", "train": "{}/x_train.tsv"}},
        ),
        (
            ["dev/1.jsonl", "train/1.jsonl", "train/2.jsonl"],
            {
                "path": "json",
                "data_files": {"validation": "{}/dev/1.jsonl", "train": ["{}/train/1.jsonl", "{}/train/2.jsonl"]},
            },
        ),
    ],
)
def test_a_folder_is_loaded_by_what_lies_in_it(names: list[str], load: dict, tmp_path: Path) -> None:
    touch(tmp_path, *names)
    assert str(draft_load(str(tmp_path))) == str(load).replace("{}", str(tmp_path))


@pytest.mark.parametrize(
    ("name", "path"), [("a.csv", "csv"), ("a.json", "json"), ("a.jsonl", "json"), ("a.parquet", "parquet")]
)
def test_a_file_is_loaded_by_its_ending(name: str, path: str, tmp_path: Path) -> None:
    touch(tmp_path, name)
    assert draft_load(str(tmp_path / name)) == {"path": path, "data_files": str(tmp_path / name)}


@pytest.mark.parametrize(
    ("names", "given", "words"),
    [
        ([], "", "is empty; put in class folders"),
        ([], "no", "there is no file or folder .*/no'; a path is relative to "),
        (["a.txt", "b.txt", "c.doc"], "", r"holds no file of a known kind; found: 2 \.txt, 1 \.doc; known are"),
        (["a.zip"], "", "found: 1 .zip; unpack it first"),
        (["a.zip"], "a.zip", "is of no known kind; unpack it first"),
        (["a.7z"], "a.7z", "is of no known kind; unpack it first"),
        (["a.dcm"], "a.dcm", "is of no known kind; give the folder of the class folders"),
        (["a.png"], "a.png", "is of no known kind; give the folder of the class folders"),
        (["a.png", "b.png"], "", "stand in no class folders; make a folder for each class"),
        (["cat/a.png", "cat/b.png"], "", "there is one class folder only in .*: 'cat'; two are needed"),
        (["train/cat/a.png", "test/cat/b.png"], "", "there is one class folder only"),
        (["valid.csv", "test.csv"], "", "is called train; found: test.csv, valid.csv"),
        ([".hidden.png", "__MACOSX/a.png"], "", "is empty"),
    ],
)
def test_what_fits_nothing_is_told(names: list[str], given: str, words: str, tmp_path: Path) -> None:
    touch(tmp_path, *names)
    with pytest.raises(InputError, match=words):
        draft_load(str(tmp_path / given))


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    with pytest.raises(InputError, match="is empty; give a file with rows"):
        draft_load(str(tmp_path / "a.csv"))


@pytest.mark.parametrize("is_dict", [False, True])
def test_what_datasets_saved_is_loaded(is_dict: bool, tmp_path: Path) -> None:
    rows = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]})
    saved = datasets.DatasetDict({"train": rows, "test": rows}) if is_dict else rows
    saved.save_to_disk(tmp_path / "saved")
    load = draft_load(str(tmp_path / "saved"))
    assert is_saved(tmp_path / "saved") and load == {"path": str(tmp_path / "saved")}
    raw = load_raw(load)
    assert list(raw) == (["train", "test"] if is_dict else ["train"]) and raw["train"][1] == {"text": "b", "label": 1}
