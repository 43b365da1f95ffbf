"""Folders of pictures without classes."""

from pathlib import Path

import PIL.Image
import pytest

from hf_tune.data.class_folders import describe_folders
from hf_tune.data.splits import DataSource, load_splits
from hf_tune.input_error import InputError
from hf_tune.tasks.image_classification import TASK


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (
            ["train/cat"],
            "`label`; its pictures are all in one folder, 'cat', and two classes are needed; put the pict",
        ),
        (["train/cat", "test/cat"], "all in one folder, 'cat'"),
        (["."], "`label`; its pictures are in no class folders; put the pictures of each class into a folder of its"),
    ],
)
@pytest.mark.parametrize("by_path", [False, True])
def test_a_folder_without_two_classes_says_what_to_do(
    tmp_path: Path, folders: list[str], words: str, by_path: bool
) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for number in range(3):
            PIL.Image.new("RGB", (9, 9), (number, 0, 0)).save(tmp_path / folder / f"{number}.png")
    load = {"path": str(tmp_path)} if by_path else {"path": "imagefolder", "data_dir": str(tmp_path)}
    with pytest.raises(InputError, match=words) as caught:
        load_splits(DataSource(load=load), TASK)
    assert caught.value.at == ("columns", "label")


def test_other_data_is_not_a_folder_of_pictures(tmp_path: Path) -> None:
    assert describe_folders({"path": str(tmp_path)}, ["text"]) == ""
    assert describe_folders({"path": "csv", "data_files": "a.csv"}, ["image"]) == ""
    assert "drop_labels" in describe_folders({"path": str(tmp_path), "drop_labels": True}, ["image"])
