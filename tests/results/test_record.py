"""What a run writes about itself."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet
import pytest
import torch
from rich.console import Console

from hf_tune.input_error import InputError
from hf_tune.results.record import (
    as_json,
    describe_environment,
    format_score,
    format_table,
    read_peak_memory_mib,
    read_results,
    save_results,
    save_table,
)
from hf_tune.task import Score


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "is no run; there is no results.json"),
        ({"recipe.yaml": ""}, "has not finished: --resume goes on with it"),
        ({"results.json": '{"task": '}, "is damaged: .*; run it again"),
    ],
)
def test_results_that_cannot_be_read_are_told(files: dict[str, str], words: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words):
        read_results(tmp_path)


def test_results_are_json_with_numpy_numbers_and_paths_as_plain_ones(tmp_path: Path) -> None:
    save_results({"a": np.float32(0.5), "b": np.int64(3), "c": Path("x/y"), "d": [None, True]}, tmp_path)
    written = json.loads((tmp_path / "results.json").read_text())
    assert written == {"a": 0.5, "b": 3, "c": "x/y", "d": [None, True]}


def test_results_that_cannot_be_written_leave_the_old_ones(tmp_path: Path) -> None:
    save_results({"a": 1}, tmp_path)
    with pytest.raises(TypeError, match=r"Tensor has no place in results\.json"):
        save_results({"a": torch.zeros(2)}, tmp_path)
    assert json.loads((tmp_path / "results.json").read_text()) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


def test_scores_are_written_with_their_interval() -> None:
    scores = {"a": Score(value=0.5, low=0.25, high=0.75), "b": Score(value=1.0)}
    assert as_json(scores) == {
        "a": {"value": 0.5, "low": 0.25, "high": 0.75},
        "b": {"value": 1.0, "low": None, "high": None},
    }


def test_a_table_comes_back_as_it_was(tmp_path: Path) -> None:
    matrix = np.array([[0.25, 0.75], [0.5, 0.5]], dtype=np.float32)
    save_table({"row": np.arange(2), "probabilities": matrix, "label": ["red", "blue"]}, tmp_path / "a.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "a.parquet").to_pylist() == [
        {"row": 0, "probabilities": [0.25, 0.75], "label": "red"},
        {"row": 1, "probabilities": [0.5, 0.5], "label": "blue"},
    ]


def test_a_score_is_shown_with_its_interval_where_it_has_one() -> None:
    assert format_score({"value": 0.9754, "low": 0.9496, "high": 0.9881}) == "0.975 (0.950 to 0.988)"
    assert format_score({"value": 0.9754, "low": None, "high": None}) == "0.975"


@pytest.mark.parametrize(("metric", "value"), [("accuracy", 0.3333), ("rmse", 1.25)])
def test_the_table_has_one_column_per_split_and_the_baseline_below(
    metric: str, value: float, capsys: pytest.CaptureFixture[str]
) -> None:
    score = {"value": 0.5, "low": 0.25, "high": 0.75}
    splits: Any = {"validation": {metric: score}, "test": {metric: {**score, "value": 0.625}}}
    baseline = {"name": "majority class (red)", "metric": metric, "value": value}
    Console(width=120).print(format_table(splits, baseline))
    lines = [line.replace("│", " ").replace("┃", " ").split() for line in capsys.readouterr().out.splitlines()]
    assert ["metric", "validation", "test"] in lines
    assert [metric, "0.500", "(0.250", "to", "0.750)", "0.625", "(0.250", "to", "0.750)"] in lines
    assert [metric, "of", "the", "majority", "class", "(red)", *[f"{value:.3f}"] * 2] in lines


def test_the_environment_names_versions_threads_and_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/run.py", "a.yaml", "training.seed=3"])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    environment = describe_environment("cpu", 2)
    assert environment["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert environment["threads"] == torch.get_num_threads()
    assert (environment["device"], environment["num_processes"]) == ("cpu", 2)
    assert environment["command"] == "python /somewhere/run.py a.yaml training.seed=3"


def test_the_command_can_be_given_to_a_shell_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block on the command line stood in the card without its quotes."""
    override = "model.quantization_config={quant_method: bitsandbytes, load_in_8bit: true}"
    monkeypatch.setattr(sys, "argv", ["run.py", "a.yaml", override, "data.splits.train=train[:80%]"])
    command = describe_environment("cpu", 1)["command"]
    assert shlex.split(command)[-3:] == ["a.yaml", override, "data.splits.train=train[:80%]"]


def test_the_peak_of_memory_is_in_mib() -> None:
    held = psutil.Process().memory_info().rss / 2**20
    assert 0.9 * held <= read_peak_memory_mib(torch.device("cpu")) <= psutil.virtual_memory().total / 2**20
