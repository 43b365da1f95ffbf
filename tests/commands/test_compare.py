"""`hf-tune compare`: runs side by side, on real folders and on folders that were changed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.compute
import pyarrow.parquet
import pytest

from hf_tune.commands.compare import main


LABELS = ("no", "yes")


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def write_run(folder: Path, right: str, **changes: Any) -> str:
    """Write what `compare` reads of a run; `right` says for each row whether it is classified rightly (1) or not."""
    folder.mkdir()
    labels = [LABELS[row % 2] for row in range(len(right))]
    predicted = [label if hit == "1" else LABELS[label == "no"] for label, hit in zip(labels, right, strict=True)]
    chances = [[0.8, 0.2] if name == "no" else [0.2, 0.8] for name in predicted]
    columns = {"id": list(range(len(right))), "split": ["test"] * len(right), "label": labels}
    columns |= {"prediction": predicted, "score": [0.8] * len(right), "probabilities": chances}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "predictions.parquet")
    (folder / "model.safetensors").write_bytes(b"0" * 2**20)
    accuracy = right.count("1") / len(right)
    results = {
        "task": "text_classification",
        "method": "lora",
        "label_names": LABELS,
        "data": {"fingerprint": "f00"},
        "cost": {
            "trainable_parameters": 1234,
            "train_seconds": 12.4,
            "examples_per_second": 100.0,
            "peak_memory_mib": 512.0,
        },
        "environment": {"device": "cpu", "threads": 2, "num_processes": 1},
        "splits": {"test": {"accuracy": {"value": accuracy, "low": 0.1, "high": 0.9}}},
        "proof": {"passed": True},
    }
    (folder / "results.json").write_text(json.dumps({**results, **changes}))
    return str(folder)


def test_a_difference_is_told_with_its_interval_and_chance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = write_run(tmp_path / "one", "1" * 80 + "0" * 20), write_run(tmp_path / "other", "1" * 100)
    file = tmp_path / "table.json"
    assert main([one, other, "--output", str(file)]) == 0
    told = capsys.readouterr().out
    assert "accuracy on 100 test rows" in told and "+0.200" in told and "< 0.001" in told and "1.0" in told
    written = json.loads(file.read_text())
    assert (written["metric"], written["rows"], written["reference"]) == ("accuracy", 100, one)
    first, second = written["runs"]
    assert first["difference"] is None and second["difference"]["value"] == pytest.approx(0.2)
    assert 0 < second["difference"]["low"] < 0.2 < second["difference"]["high"]
    assert (second["saved_mib"], second["trainable_parameters"]) == (1.0, 1234)


def test_markdown_has_one_row_per_run(tmp_path: Path) -> None:
    names = [write_run(tmp_path / name, "1" * 30 + "0" * 10) for name in ("one", "two", "three")]
    assert main([*names, "--output", str(tmp_path / "table.md")]) == 0
    lines = [line for line in (tmp_path / "table.md").read_text().splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 3 and len({line.count("|") for line in lines}) == 1
    assert names[2] in lines[-1]


@pytest.mark.parametrize(
    ("right", "require", "code"),
    [
        ("1" * 180 + "0" * 20, "not-worse=0.05", 0),
        ("1" * 180 + "0" * 20, "not-worse=0.001", 4),
        ("1" * 150 + "0" * 50, "not-worse=0.05", 4),
        ("1" * 200, "not-worse", 0),
    ],
)
def test_the_gate_opens_only_where_a_loss_is_excluded(
    right: str, require: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = write_run(tmp_path / "one", "1" * 180 + "0" * 20), write_run(tmp_path / "other", right)
    assert main([one, other, "--require", require]) == code
    assert ("cannot be excluded" in capsys.readouterr().err) == (code == 4)


def test_a_failed_proof_is_marked_and_closes_the_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write_run(tmp_path / "one", "1" * 300)
    other = write_run(tmp_path / "other", "1" * 300, proof={"passed": False})
    assert main([one, other]) == 0
    assert "lora (proof FAILED)" in capsys.readouterr().out
    assert main([one, other, "--require", "not-worse"]) == 4
    assert "its proof failed" in capsys.readouterr().err


def test_costs_of_other_machines_are_told_not_to_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write_run(tmp_path / "one", "10")
    other = write_run(tmp_path / "other", "10", environment={"device": "cpu", "threads": 1, "num_processes": 1})
    assert main([one, other]) == 0
    assert "do not compare" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: write_run(folder, "1" * 40, task="image_classification"), "differ in the task: text_"),
        (lambda folder: write_run(folder, "1" * 40, data={"fingerprint": "bad"}), "(fingerprint): f00 and bad"),
        (lambda folder: write_run(folder, "1" * 39), "differ in the rows"),
        (lambda folder: write_run(folder, "1" * 39 + "0", splits={"test": {"accuracy": {"value": 1.0}}}), "says"),
        (lambda folder: folder.mkdir(), "there is no results.json"),
    ],
)
def test_runs_that_do_not_compare_are_told(
    change: Callable[[Path], Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write_run(tmp_path / "one", "1" * 40)
    change(tmp_path / "other")
    assert main([one, str(tmp_path / "other")]) == 2
    told = capsys.readouterr()
    assert words in told.err and told.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--metric", "bleu"], "choose of accuracy, precision_macro"),
        (["--require", "better"], "write `not-worse`"),
        (["--require", "not-worse=-1"], "write `not-worse`"),
        (["--output", "table.xlsx"], "name a .md or a .json file"),
    ],
)
def test_flags_that_mean_nothing_are_told(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = write_run(tmp_path / "one", "10"), write_run(tmp_path / "other", "10")
    assert main([one, other, *arguments]) == 2
    assert words in capsys.readouterr().err


def test_one_run_alone_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write_run(tmp_path / "one", "10")]) == 2
    assert "name two runs or more" in capsys.readouterr().err


def test_a_real_run_equals_its_copy_in_every_metric(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(finished_run, tmp_path / "copy")
    for metric in ("accuracy", "f1_macro", "log_loss"):
        assert main([str(finished_run), str(copy), "--metric", metric, "--output", str(tmp_path / "a.json")]) == 0
        found = json.loads((tmp_path / "a.json").read_text())
        assert found["runs"][1]["difference"]["value"] == 0 and found["runs"][1]["difference"]["p_value"] == 1
    assert "log_loss on 11 test rows" in capsys.readouterr().out


def test_runs_of_many_classes_are_compared_by_what_was_kept(run_of_50_classes: Path, tmp_path: Path) -> None:
    """The probability of the label stands in a column of its own; it gives the log loss of results.json."""
    copy = shutil.copytree(run_of_50_classes, tmp_path / "copy")
    for metric in ("accuracy", "f1_macro", "log_loss"):
        arguments = ["--metric", metric, "--output", str(tmp_path / "a.json")]
        assert main([str(run_of_50_classes), str(copy), *arguments]) == 0
        assert json.loads((tmp_path / "a.json").read_text())["runs"][1]["difference"]["value"] == 0
    table = pyarrow.parquet.read_table(copy / "predictions.parquet")
    halved = pyarrow.compute.multiply(table["label_probability"], 0.5)
    position = table.column_names.index("label_probability")
    table = table.set_column(position, "label_probability", halved)
    pyarrow.parquet.write_table(table, copy / "predictions.parquet")
    assert main([str(run_of_50_classes), str(copy), "--metric", "log_loss"]) == 2


def test_a_loss_is_worse_where_it_is_higher(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = {name: {"test": {"log_loss": {"value": value, "low": None, "high": None}}} for name, value in SURPRISES}
    one = write_run(tmp_path / "one", "1" * 100, splits=values["one"])
    other = write_run(tmp_path / "other", "1" * 50 + "0" * 50, splits=values["other"])
    assert main([one, other, "--metric", "log_loss", "--require", "not-worse"]) == 4
    assert main([other, one, "--metric", "log_loss", "--require", "not-worse"]) == 0


SURPRISES = (("one", 0.22314355131420976), ("other", 0.5 * 0.22314355131420976 + 0.5 * 1.6094379124341003))


def test_sensitivity_is_compared_where_both_runs_look_for_the_same_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows take turns in their class: of five positive ones the first run finds two, the second all."""
    scores = [{"value": value, "low": 0.1, "high": 1.0} for value in (0.4, 1.0)]
    splits = [{"test": {"accuracy": scores[1], "sensitivity": score}} for score in scores]
    one = write_run(tmp_path / "one", "1111101010", splits=splits[0], positive="yes")
    other = write_run(tmp_path / "other", "1" * 10, splits=splits[1], positive="yes")
    assert main([one, other, "--metric", "sensitivity"]) == 0
    assert "sensitivity on 10 test rows" in (told := capsys.readouterr().out) and "+0.600" in told
    third = write_run(tmp_path / "third", "1" * 10, splits=splits[1], positive="no")
    assert main([one, third, "--metric", "sensitivity"]) == 2
    assert "the positive class differs: no, yes" in capsys.readouterr().err
