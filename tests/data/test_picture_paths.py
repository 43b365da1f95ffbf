"""Files that a table names: found beside the table, where the recipe says, or from where one starts."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import datasets
import pytest

from hf_tune.data.picture_paths import find_folder, list_folders, resolve_files, resolve_splits
from hf_tune.data.splits import DataSource, SplitPlan, load_splits
from hf_tune.input_error import InputError
from hf_tune.tasks import get_task


PLAIN = SimpleNamespace(intensity=None)


@pytest.fixture
def place(tmp_path: Path, pictures: list) -> Callable[[str], Path]:
    """Return a function that writes eight pictures into a folder of that name and a csv beside the folder."""

    def write(folder: str) -> Path:
        (tmp_path / "set" / folder).mkdir(parents=True)
        for number in range(8):
            pictures[number % 4].save(tmp_path / "set" / folder / f"{number}.png")
        lines = ["id,image,label", *(f"{number},{folder}/{number}.png,{'ab'[number % 2]}" for number in range(8))]
        (tmp_path / "set" / "all.csv").write_text("\n".join(lines))
        return tmp_path / "set" / "all.csv"

    return write


@pytest.mark.parametrize("where", ["table", "files_in", "here"])
def test_the_pictures_of_a_csv_are_found_and_have_their_labels(
    where: str, place: Callable[[str], Path], pictures: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = place("pictures")
    files_in = None
    if where != "table":
        table = table.rename(tmp_path / "elsewhere.csv")
    if where == "files_in":
        files_in = str(tmp_path / "set")
    if where == "here":
        monkeypatch.chdir(tmp_path / "set")
    load = {"path": "csv", "data_files": str(table)}
    task = get_task("image_classification")
    splits = load_splits(DataSource(load=load, files_in=files_in, splits=SplitPlan(validation=0.5)), task)
    rows = [split[row] for split in (splits.train, splits.validation) for row in range(len(split))]
    assert len(rows) == 8 and splits.label_names == ("a", "b")
    for row in rows:
        number = int(Path(row["image"]).stem)
        task.check_example(row, PLAIN)
        assert row["label"] == number % 2
        assert task.input_statistics(row, PLAIN)["width"] == pictures[number % 4].width


def test_a_file_that_is_nowhere_is_told_with_the_folders_looked_at(tmp_path: Path) -> None:
    rows = datasets.Dataset.from_dict({"image": ["a/b.png"]})
    with pytest.raises(InputError, match=r"names the file 'a/b.png', which is in none of .*; write `data: {files_in"):
        resolve_files(rows, "image", [str(tmp_path)])


@pytest.mark.parametrize("cells", [["/x/a.png"], ["https://x.org/a.png"], [None], []])
def test_whole_paths_and_empty_cells_are_left_alone(cells: list, tmp_path: Path) -> None:
    rows = datasets.Dataset.from_dict(
        {"image": cells}, features=datasets.Features({"image": datasets.Value("string")})
    )
    assert resolve_files(rows, "image", [tmp_path]) == (rows, None)


def test_a_column_keeps_its_place_and_an_empty_cell_stays_empty(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    rows = datasets.Dataset.from_dict({"image": ["a.png", None], "n": [1, 2]})
    found, folder = resolve_files(rows, "image", [tmp_path / "no", tmp_path])
    assert folder == tmp_path and found.column_names == ["image", "n"]
    assert found["image"][:] == [str(tmp_path / "a.png"), None] and found["n"][:] == [1, 2]


def test_the_folder_beside_the_table_comes_first_and_the_named_one_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    file = str(tmp_path / "data" / "a.csv")
    assert list_folders({"path": "csv", "data_files": {"train": [file]}}, None) == [str(tmp_path / "data"), "."]
    assert list_folders({"path": "csv", "data_files": file}, "pictures") == ["pictures"]
    (tmp_path / "data" / "a.csv").touch()
    assert list_folders({"path": str(tmp_path)}, None) == [str(tmp_path), str(tmp_path / "data"), "."]
    assert find_folder("a.csv", [str(tmp_path), str(tmp_path / "data")]) == str(tmp_path / "data")


def test_a_stream_takes_no_folder() -> None:
    rows = datasets.Dataset.from_dict({"image": ["a.png"]})
    load = {"path": "csv", "streaming": True}
    assert resolve_splits({"train": rows}, {"image": "image"}, ["image"], load, None) == {"train": rows}
    with pytest.raises(InputError, match="the paths of a stream are not looked for"):
        resolve_splits({"train": rows}, {"image": "image"}, ["image"], load, "pictures")
