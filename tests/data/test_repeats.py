"""Repeated inputs: in two splits, and with different labels; texts and pictures, generated and real."""

import io
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import PIL.Image
import pytest

from hf_tune.data.repeats import find_repeats
from hf_tune.data.splits import DataSource, Split, SplitPlan, Splits, load_splits
from hf_tune.tasks import get_task


def build(labels: dict[str, list], names: tuple[str, ...] = ("x", "y"), **columns: dict[str, list]) -> Splits:
    parts = {
        name: Split(
            name=name,
            rows=datasets.Dataset.from_dict({role: cells[name] for role, cells in columns.items()}),
            label_role="label",
            labels=np.asarray(labels[name]),
        )
        for name in labels
    }
    return Splits(test=parts.pop("test", None), label_names=names, fingerprint="", **parts)


def test_equal_texts_are_told_with_rows_and_counts() -> None:
    text = {"train": ["a", "b", "c", "a"], "validation": ["d", "b"], "test": ["a", "e", "a"]}
    shared, also, torn = find_repeats(
        build({"train": [0, 1, 0, 1], "validation": [0, 1], "test": [0, 0, 0]}, text=text)
    )
    assert shared.note.startswith(
        "1 of 2 validation rows have an input that stands in train too: the score is too good"
    )
    assert shared.note.endswith("; take them out of one.")
    assert shared.examples == ("row 1 of split 'validation' is row 1 of split 'train': 'b'",)
    assert also.note.startswith("2 of 3 test rows have an input that stands in train too")
    assert also.examples[1] == "row 2 of split 'test' is row 0 of split 'train': 'a'"
    assert torn.note.startswith("1 input stands in the data with different labels (4 rows)")
    assert torn.examples == (
        "row 0 of split 'train' has 'x'; row 3 of split 'train' has 'y'; row 0 of split 'test' has 'x': 'a'",
    )


def test_the_first_three_are_shown_and_no_text_is_published() -> None:
    texts = [f"secret {number}" for number in range(5)]
    labels = {"train": [0] * 5, "validation": [1] * 5}
    for found in find_repeats(build(labels, text={"train": texts, "validation": texts[::-1]})):
        assert len(found.examples) == 3 and "secret" in found.examples[0] and "secret" not in found.note


def test_a_pair_of_texts_repeats_only_as_a_pair() -> None:
    labels = {"train": [0, 1], "validation": [0, 1]}
    text = {"train": ["a", "b"], "validation": ["a", "b"]}
    assert find_repeats(build(labels, text=text, text_pair={"train": ["1", "2"], "validation": ["2", "1"]})) == []
    assert len(find_repeats(build(labels, text=text, text_pair={"train": ["1", "2"], "validation": ["1", "1"]}))) == 1


def test_sets_of_labels_and_numbers_are_compared_too() -> None:
    text = {"train": ["a", "a"], "validation": ["b"]}
    (torn,) = find_repeats(build({"train": [[1.0, 0.0], [1.0, 1.0]], "validation": [[0.0, 1.0]]}, text=text))
    assert "has ['x']; row 1 of split 'train' has ['x', 'y']: 'a'" in torn.examples[0]
    (torn,) = find_repeats(build({"train": np.float32([0.5, 2]), "validation": np.float32([1])}, ("n",), text=text))  # type: ignore
    assert "row 0 of split 'train' has 0.5; row 1 of split 'train' has 2: 'a'" in torn.examples[0]


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, bytes]:
    made = {}
    for name, value in (("red", 200), ("green", 100)):
        stream = io.BytesIO()
        PIL.Image.new("RGB", (9, 9), (value, 0, 0)).save(stream, "png")
        made[name] = stream.getvalue()
    return made


@pytest.mark.parametrize("as_files", [False, True])
def test_pictures_are_compared_by_their_bytes_whatever_they_are_called(
    tmp_path: Path, pictures: dict[str, bytes], as_files: bool
) -> None:
    for folder, name in (("train", "red"), ("train", "green"), ("validation", "red")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{name}_{folder}.png").write_bytes(pictures[name])

    def cell(folder: str, name: str) -> dict:
        path = str(tmp_path / folder / f"{name}_{folder}.png")
        return {"bytes": None if as_files else pictures[name], "path": path}

    image = {"train": [cell("train", "green"), cell("train", "red")], "validation": [cell("validation", "red")]}
    (shared,) = find_repeats(build({"train": [0, 1], "validation": [1]}, image=image))
    assert shared.note.startswith("1 of 1 validation rows")
    assert shared.examples[0].startswith("row 0 of split 'validation' is row 1 of split 'train'")


def test_files_of_a_size_that_no_other_has_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in (("a", b"1"), ("b", b"22"), ("c", b"33")):
        (tmp_path / name).write_bytes(content)
    read: list[str] = []
    real = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: (read.append(path.name), real(path))[1])
    image = {"train": [str(tmp_path / "a"), str(tmp_path / "b")], "validation": [str(tmp_path / "c")]}
    assert find_repeats(build({"train": [0, 1], "validation": [1]}, image=image)) == [] and read == ["b", "c"]


def test_real_questions_that_stand_in_test_and_train_are_counted(shared: Path) -> None:
    """Counted by pandas: of TREC's 500 test questions 9 are in train and 2 in validation, 1 has two labels."""
    import pandas

    splits = load_splits(DataSource(load={"path": str(shared / "data" / "trec6")}), get_task("text_classification"))
    found = find_repeats(splits)
    tables = {name: pandas.read_parquet(shared / "data" / "trec6" / f"{name}.parquet") for name in ("train", "test")}
    count = int(tables["test"]["text"].isin(tables["train"]["text"]).sum())
    assert count == 9 and found[0].note.startswith("9 of 500 test rows have an input that stands in train too")
    assert found[-1].note.startswith("1 input stands in the data with different labels (2 rows)")
    assert "row 1089 of split 'train' has 'DESC'; row 251 of split 'test' has 'LOC'" in found[-1].examples[0]


def test_real_pictures_without_a_twin_give_no_finding(shared: Path) -> None:
    source = DataSource(load={"path": str(shared / "data" / "ants_bees")})
    assert find_repeats(load_splits(source, get_task("image_classification"))) == []


def test_twins_that_a_cut_has_torn_apart_are_kept_together_by_their_column(tmp_path: Path) -> None:
    rows = [{"text": f"text {number % 20}", "label": "ab"[number % 2]} for number in range(40)]
    datasets.Dataset.from_list(rows).to_csv(tmp_path / "rows.csv")
    source = DataSource(
        load={"path": "csv", "data_files": str(tmp_path / "rows.csv")}, splits=SplitPlan(validation=0.2)
    )
    task = get_task("text_classification")
    (shared,) = find_repeats(load_splits(source, task))
    assert shared.note.endswith("; `data.splits.by: <the input's column>` keeps them together.")
    together = replace(source, splits=SplitPlan(validation=0.2, by="text"))
    assert find_repeats(load_splits(together, task)) == []
