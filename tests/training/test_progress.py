"""What is shown and logged while a run trains."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from hf_tune.training.progress import JsonLog, Progress, read_train_cost


def state(**values: object) -> SimpleNamespace:
    return SimpleNamespace(
        is_world_process_zero=True, global_step=5, max_steps=10, epoch=1.0, log_history=[], **values
    )


def test_without_a_terminal_each_evaluation_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    progress.on_train_begin(None, state(), None)
    progress.on_log(None, state(), None, {"eval_loss": 0.25, "eval_accuracy": 0.5, "eval_runtime": 3.0})
    progress.on_train_end(None, state(), None)
    shown = capsys.readouterr().err
    assert "step 5/10  epoch 1.0  validation loss 0.2500  validation accuracy 0.5000" in shown
    assert shown.count("\n") == 1 and "runtime" not in shown


def test_log_lines_hold_numbers(tmp_path: Path) -> None:
    """TRAPS T10: what printers get is text."""
    now = state()
    now.log_history = [{"loss": 0.5, "step": 5}]
    JsonLog().on_log(SimpleNamespace(output_dir=tmp_path), now, None, {"loss": "0.5"})
    assert json.loads((tmp_path / "log.jsonl").read_text()) == {"loss": 0.5, "step": 5}


def test_the_cost_of_a_training_is_what_its_log_says_last(tmp_path: Path) -> None:
    """A run that was killed while it was scored is not trained again, and its card said 0 s."""
    file = tmp_path / "log.jsonl"
    nothing = {"train_runtime": None, "train_samples_per_second": None}
    assert read_train_cost(file) == nothing
    file.write_text('{"loss": 1.0}\n')
    assert read_train_cost(file) == nothing
    event = {"train_runtime": 9.5, "train_samples_per_second": 3.0}
    file.write_text(json.dumps({**event, "train_runtime": 1.0}) + "\n" + json.dumps({**event, "epoch": 2}) + "\n")
    assert read_train_cost(file) == event
