"""Cuts of train: rare classes and groups, through `load_splits`."""

import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from hf_tune.data.cuts import TrainRows, cut_train
from hf_tune.data.splits import DataSource, SplitPlan, Splits, load_splits
from hf_tune.input_error import InputError
from hf_tune.tasks import get_task
from hf_tune.tasks.text_classification import TASK


LOADER = '''
"""Rows of patients: four each, one class a patient; with a class of one row and one of two."""
import datasets

def build(patients, rare_rows):
    rows = [(f"{patient} {row}", "ab"[patient % 2], f"p{patient}") for patient in patients for row in range(4)]
    rows += [("lonely", "x", "p1"), ("two", "y", "p2"), ("too", "y", "p3")] if rare_rows else []
    columns = zip(("text", "label", "patient"), zip(*rows))
    return datasets.Dataset.from_dict({name: list(cells) for name, cells in columns})

def load(patients=30, test=0, rare_rows=True, shared=0):
    """Return train, and test where it has patients."""
    tables = {"train": build(range(patients), rare_rows)}
    if test:
        tables["test"] = build(range(patients - shared, patients + test), rare_rows)
    return datasets.DatasetDict(tables)
'''


@pytest.fixture(autouse=True)
def loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "patients.py").write_text(LOADER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "patients", raising=False)


def load(plan: dict, rare: object = None, **arguments: object) -> Splits:
    load = {"path": "patients:load", **arguments}
    return load_splits(DataSource(load=load, splits=SplitPlan(**plan), rare=rare), TASK)  # type: ignore[arg-type]


def counts(splits: Splits) -> dict[str, list[int]]:
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {
        name: np.bincount(each.labels, minlength=len(splits.label_names)).tolist()
        for name, each in parts.items()
        if each
    }


def test_a_class_with_fewer_rows_than_splits_is_named() -> None:
    """TRAPS S8: `train_test_split` raises ValueError."""
    with pytest.raises(InputError, match=r"classes 'x' \(1 row\), 'y' \(2 rows\): too few for 3 splits") as caught:
        load({"validation": 0.1, "test": 0.1})
    assert caught.value.at == ("rare",)
    with pytest.raises(InputError, match=r"class 'x' \(1 row\): too few for 2 splits \(train, validation\)"):
        load({})


@pytest.mark.parametrize(
    ("rare", "names", "train", "evaluated"),
    [
        ("keep_in_train", ("a", "b", "x", "y"), [36, 36, 1, 2], [12, 12, 0, 0]),
        ("drop", ("a", "b"), [36, 36], [12, 12]),
        ("other", ("a", "b", "other"), [36, 36, 1], [12, 12, 1]),
    ],
)
def test_rare_classes_are_kept_dropped_or_joined(
    rare: str, names: tuple[str, ...], train: list[int], evaluated: list[int]
) -> None:
    splits = load({"validation": 0.25, "test": 0.2}, rare)
    assert splits.label_names == names
    assert counts(splits) == {"train": train, "validation": evaluated, "test": evaluated}
    assert any(note.startswith("classes 'x' (1 row), 'y' (2 rows): ") for note in splits.notes)


def test_a_class_that_is_dropped_leaves_every_split() -> None:
    splits = load({"validation": 0.1}, "drop", test=6)
    assert splits.label_names == ("a", "b", "y") and counts(splits)["test"] == [12, 12, 2]
    texts = [*splits.train.rows["text"], *splits.validation.rows["text"], *splits.test.rows["text"]]  # type: ignore
    assert "lonely" not in texts and splits.test.name_row(25) == "row 26 of split 'test'"  # type: ignore[union-attr]


@pytest.mark.parametrize("test", [0, 6])
def test_a_patient_is_in_one_split(test: int) -> None:
    plan = {"by": "patient", "validation": 0.2} | ({} if test else {"test": 0.1})
    splits = load(plan, test=test, rare_rows=False)
    parts = [splits.train, splits.validation, splits.test]
    groups = [{text.split()[0] for text in part.rows["text"]} for part in parts]  # type: ignore[union-attr]
    assert not groups[0] & groups[1] and not groups[1] & groups[2] and not groups[0] & groups[2]
    assert len(splits.validation) == 4 * len(groups[1])
    note = next(note for note in splits.notes if "validation" in note)
    assert f"by 'patient': {len(groups[1])} of its 30 values, each whole, {4 * len(groups[1])} of 120 rows" in note
    assert not [finding for finding in splits.findings if "patient" in finding.note]


def test_a_patient_in_two_given_splits_is_refused_by_name() -> None:
    with pytest.raises(
        InputError, match=r"patient 'p28' stands in train \(4 rows\) and in test \(4 rows\), and 1 more"
    ):
        load({"by": "patient", "validation": 0.1}, test=4, shared=2, rare_rows=False)


def test_a_class_of_one_patient_is_rare_and_its_patient_stays_in_train() -> None:
    plan = {"by": "patient", "validation": 0.2}
    with pytest.raises(InputError, match=r"class 'x' \(1 patient value\): too few for 2 splits"):
        load(plan)
    splits = load(plan, "keep_in_train")
    assert counts(splits)["train"][2] == 1
    assert sum(text.startswith("1 ") for text in splits.train.rows["text"]) == 4  # type: ignore[union-attr]


def test_rows_that_have_to_stay_are_never_cut() -> None:
    rows = TrainRows(count=20, kept=np.arange(20) < 10)
    parts, _ = cut_train(rows, {"test": 0.5, "validation": 0.4}, 0)
    assert {name: len(each) for name, each in parts.items()} == {"test": 5, "validation": 2, "train": 13}
    assert min(parts["test"]) >= 10 and min(parts["validation"]) >= 10
    with pytest.raises(InputError, match="no row is left to cut a test split from"):
        cut_train(TrainRows(count=3, kept=np.ones(3, dtype=bool)), {"test": 0.5}, 0)


def test_a_cut_is_told_in_rows() -> None:
    """As a share in whole per cent 0.004 was 0 % and 0.125 was 12 %."""
    _, notes = cut_train(TrainRows(count=2000), {"test": 0.004, "validation": 0.125}, 7)
    assert notes == [
        "The test split was cut from train: 8 of 2,000 rows, at random, seed 7.",
        "The validation split was cut from train: 249 of 2,000 rows, at random, seed 7.",
    ]


def test_pictures_of_a_patient_stay_together(tmp_path: Path) -> None:
    """A folder of pictures beside a table, as `datasets` reads it."""
    (tmp_path / "scans").mkdir()
    lines = ["file_name,label,patient"]
    for number in range(24):
        PIL.Image.new("RGB", (8, 8), (10 * number, 0, 0)).save(tmp_path / "scans" / f"{number}.png")
        lines.append(f"{number}.png,{'ab'[number // 3 % 2]},p{number // 3}")
    (tmp_path / "scans" / "metadata.csv").write_text("\n".join(lines) + "\n")
    load = {"path": "imagefolder", "data_dir": str(tmp_path / "scans")}
    task = get_task("image_classification")
    plain = load_splits(DataSource(load=load, splits=SplitPlan(validation=0.25)), task)
    assert "column 'patient', an identifier by its name" in plain.findings[0].note
    splits = load_splits(DataSource(load=load, splits=SplitPlan(validation=0.25, by="patient")), task)
    rows = np.sort(splits.validation.get_origin().numbers)
    assert len(rows) == 6 and splits.findings == ()
    assert all((rows // 3 == patient).sum() in (0, 3) for patient in range(8))
