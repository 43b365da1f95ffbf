"""Folders of pictures: DICOM in class folders, and what would be left out without a word."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import PIL.Image
import pytest

from hf_tune.data.loading import load_raw
from hf_tune.data.picture_folders import load_folder
from hf_tune.input_error import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of two classes of two pictures."""
    for name in ("ill", "well"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(2):
            PIL.Image.new("RGB", (9, 9), (number, 0, 0)).save(tmp_path / "data" / name / f"{number}.png")
    return tmp_path / "data"


def list_rows(rows: Any) -> list[tuple[str, str]]:
    """Return the file's name and the class of every row."""
    names = rows.features["label"].names
    rows = rows.cast_column("image", datasets.Image(decode=False))
    return [(Path(row["image"]["path"]).name, names[row["label"]]) for row in rows]


@pytest.mark.parametrize("streaming", [False, True])
def test_dicom_files_in_class_folders_are_rows_like_others(
    streaming: bool, folder: Path, write_dicom: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """datasets 5.2 leaves them out, also where it has read this folder before."""
    files = [("0.png", "ill"), ("1.png", "ill"), ("0.png", "well"), ("1.png", "well")]
    (folder / "ill" / "a.dcm").write_bytes(write_dicom(np.zeros((4, 4))))
    (folder / "well" / "B.DCM").write_bytes(write_dicom(np.zeros((4, 4))))
    assert list_rows(datasets.load_dataset(str(folder))["train"]) == files
    expected = [*files[:2], ("a.dcm", "ill"), *files[2:], ("B.DCM", "well")]
    stream = {"streaming": True} if streaming else {}
    loads: list[dict[str, Any]] = [{"path": str(folder)}, {"path": "imagefolder", "data_dir": str(folder)}]
    loads.append({"path": "imagefolder", "data_files": {"train": [f"{folder}/*/*.*"]}})
    for load in loads:
        assert sorted(list_rows(load_raw({**load, **stream})["train"])) == sorted(expected)
    for file in folder.glob("*/*.png"):
        file.unlink()
    assert list_rows(load_raw({"path": str(folder), **stream})["train"]) == [("a.dcm", "ill"), ("B.DCM", "well")]


def test_splits_are_folders_above_the_classes(folder: Path, tmp_path: Path, write_dicom: Callable[..., bytes]) -> None:
    (folder / "ill" / "a.dcm").write_bytes(write_dicom(np.zeros((4, 4))))
    for split in ("train", "test"):
        shutil.copytree(folder, tmp_path / "all" / split)
    found = load_raw({"path": str(tmp_path / "all")})
    assert {name: len(rows) for name, rows in found.items()} == {"train": 5, "test": 5}
    assert len(load_raw({"path": str(tmp_path / "all"), "data_dir": "test"})["train"]) == 5


def test_a_folder_that_datasets_reads_whole_is_left_to_it(folder: Path, tmp_path: Path) -> None:
    assert load_folder({"path": str(folder)}) is None
    assert load_folder({"path": "owner/name"}) is load_folder({"path": "csv", "data_files": "a.zip"}) is None
    (tmp_path / "tables").mkdir()
    for name in ("a.parquet", "b.parquet", "logo.svg"):
        (tmp_path / "tables" / name).touch()
    assert load_folder({"path": str(tmp_path / "tables")}) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "1.heic",
            r"'.*ill/1\.heic' is a picture of a kind that is not read \(1 of 5 files are \.heic\); save them as J",
        ),
        ("2.SVG", r"2\.SVG' is a picture of a kind that is not read \(1 of 5 files are \.svg\); save them as PNG, or"),
        (
            "3.nii.gz",
            r"3\.nii\.gz' is a picture of a kind.*save the slices that count as 16-bit PNG, or take them out",
        ),
        ("4.zip", r"4\.zip' is an archive; unpack it, and give the folder"),
        ("5.tar.gz", r"5\.tar\.gz' is an archive; unpack it"),
    ],
)
def test_what_would_be_left_out_is_told(name: str, words: str, folder: Path) -> None:
    (folder / "ill" / name).write_bytes(b"a")
    loads: list[dict[str, Any]] = [{"path": str(folder)}, {"path": "imagefolder", "data_dir": str(folder)}]
    loads.append({"path": "imagefolder", "data_files": f"{folder}/**"})
    for load, key in zip(loads, ("path", "data_dir", "data_files"), strict=True):
        with pytest.raises(InputError, match=words) as caught:
            load_raw(load)
        assert caught.value.at == ("load", key)


def test_a_dicom_file_without_an_ending_is_told(folder: Path, write_dicom: Callable[..., bytes]) -> None:
    (folder / "ill" / "README").write_text("about these pictures")
    assert len(load_raw({"path": str(folder)})["train"]) == 4
    (folder / "ill" / "IM0001").write_bytes(write_dicom(np.zeros((4, 4))))
    with pytest.raises(InputError, match=r"ill/IM0001' is a DICOM file without an ending; name it and its like \.dcm"):
        load_raw({"path": str(folder)})


@pytest.mark.parametrize(("load", "key"), [("path", "path"), ("data_dir", "data_dir"), ("data_files", "data_files")])
def test_an_archive_given_as_data_is_told(load: str, key: str, folder: Path, tmp_path: Path) -> None:
    """datasets 5.2 finds no file in it, fails with a wrong label, or loses all labels."""
    archive = shutil.make_archive(str(tmp_path / "pictures"), "zip", folder)
    arguments = {"path": archive} if load == "path" else {"path": "imagefolder", load: archive}
    with pytest.raises(InputError, match=r"pictures\.zip' is an archive; unpack it, and give the folder") as caught:
        load_raw(arguments)
    assert caught.value.at == ("load", key)
