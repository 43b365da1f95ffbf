"""`hf-tune evaluate`: the scores of a run again."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet
import pytest
from sklearn.metrics import accuracy_score, f1_score

from hf_tune.commands.evaluate_run import main


@pytest.fixture(autouse=True)
def forget_the_loader(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no other test import this run's loader, nor this one another's."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "path", list(sys.path))
    sys.modules.pop("tiny_pictures", None)
    yield
    sys.modules.pop("tiny_pictures", None)


def cells(text: str) -> dict[str, str]:
    """Return the first column of the table → the start of the second."""
    rows = [line.replace("┃", "│").split("│") for line in text.splitlines() if line[:1] in ("│", "┃")]
    return {row[1].strip(): row[2].split()[0] for row in rows if row[2].strip()}


def test_the_scores_of_the_test_split_are_those_of_the_kept_predictions(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(finished_run), "--batch-size", "4"]) == 0
    told = cells(capsys.readouterr().out)
    kept = pyarrow.parquet.read_table(finished_run / "predictions.parquet").to_pydict()
    assert told["metric"] == "test"
    assert told["accuracy"] == f"{accuracy_score(kept['label'], kept['prediction']):.3f}"
    assert told["f1_macro"] == f"{f1_score(kept['label'], kept['prediction'], average='macro', zero_division=0):.3f}"
    assert told["accuracy of the majority class (red)"] == f"{4 / 11:.3f}"


@pytest.mark.parametrize(("split", "share"), [("train", 8 / 24), ("validation", 3 / 9)])
def test_another_split_can_be_asked_for(
    split: str, share: float, finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(finished_run), "--split", split]) == 0
    told = cells(capsys.readouterr().out)
    assert told["metric"] == split and told["accuracy of the majority class (red)"] == f"{share:.3f}"


@pytest.mark.parametrize(
    ("new", "arguments", "words"),
    [
        (":load\n    classes: 4", [], "the data's labels are now red, green, blue, grey"),
        (":no_function", [], "has no function 'no_function'"),
        (":load\n    cols: 4", [], "recipe.yaml:"),
    ],
)
def test_data_that_is_no_longer_that_of_the_run_is_told(
    new: str, arguments: list[str], words: str, finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace(":load", new))
    assert main([str(run), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_split_that_the_data_does_not_have_is_told(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    loader = run / "tiny_pictures.py"
    loader.write_text(loader.read_text().replace(', "test": build(11)', ""))
    assert main([str(run), "--split", "test"]) == 2
    assert "the data of this run has no test split" in capsys.readouterr().err
    assert main([str(run)]) == 0
    assert cells(capsys.readouterr().out)["metric"] == "validation"


def test_a_folder_that_is_no_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "is no run of hf_tune" in capsys.readouterr().err


def test_a_batch_size_of_0_is_told(finished_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(finished_run), "--batch-size", "0"]) == 2
    assert "--batch-size 0 is out of range" in capsys.readouterr().err
