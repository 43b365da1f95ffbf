"""`hf-tune info`: results.json as a summary."""

import json
from pathlib import Path
from typing import Any

import pytest

from hf_tune.commands.info import main


def build_results(passed: bool = True, low: float | None = 0.75) -> dict[str, Any]:
    return {
        "task": "image_classification",
        "method": "lora",
        "base": {"id": "some/base", "revision": "abc123"},
        "data": {"name": "csv", "rows": {"train": 10, "validation": 4}, "fingerprint": "f00"},
        "cost": {"trainable_parameters": 1234, "total_parameters": 56789, "train_seconds": 12.4},
        "splits": {"validation": {"accuracy": {"value": 0.875, "low": low, "high": None if low is None else 1.0}}},
        "proof": {"passed": passed, "rows": 4, "max_abs_difference": 1.25e-07},
    }


def test_the_summary_says_what_the_results_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results.json").write_text(json.dumps(build_results()))
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "image_classification by lora from some/base abc123",
        "data: csv, rows {'train': 10, 'validation': 4}, fingerprint f00",
        "trained: 1,234 of 56,789 parameters, 12 s",
        "validation accuracy: 0.8750 (0.7500 to 1.0000)",
        "proof: passed, 4 rows, max difference 1.2e-07",
    ]


def test_a_proof_that_failed_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results.json").write_text(json.dumps(build_results(passed=False)))
    assert main([str(tmp_path)]) == 0
    assert "proof: FAILED" in capsys.readouterr().out


def test_a_score_without_interval_is_told_without_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results.json").write_text(json.dumps(build_results(low=None)))
    assert main([str(tmp_path)]) == 0
    assert "validation accuracy: 0.8750\n" in capsys.readouterr().out


def test_a_real_run_is_told(finished_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(finished_run)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "image_classification by full from timm/test_resnet.r160_in1k"
    assert "'train': 24, 'validation': 9, 'test': 11" in lines[1]
    assert lines[-1].startswith("proof: passed, 11 rows")


@pytest.mark.parametrize(("file", "words"), [("recipe.yaml", "--resume goes on with it"), ("notes.txt", "is no run")])
def test_a_folder_without_results_is_told(
    file: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / file).touch()
    assert main([str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert words in told.err and str(tmp_path) in told.err and told.out == ""
