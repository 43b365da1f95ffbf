"""Runs that are killed at random moments and resumed end with the bits of runs that are not (`killed_runs.py`)."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


PROGRAM = Path(__file__).with_name("killed_runs.py")
KILLS = int(os.environ.get("HF_TUNE_KILLS", "5"))
"""Kills of each way of tuning: HF_TUNE_KILLS=100 pytest -m slow tests/test_killed_runs.py"""
STEPS = (
    "  num_train_epochs: 1",
    "  max_steps: 12\n  eval_strategy: steps\n  eval_steps: 2\n  gradient_accumulation_steps: 2",
)
STOPPING = ("\ntraining:\n", "\nearly_stopping:\n  metric: loss\n  patience: 2\n\ntraining:\n")
AUGMENT = (
    "preprocess:\n",
    "preprocess:\n  augment: [random_crop, horizontal_flip, {rotation: {degrees: 10}}]\n  mixup: {alpha: 0.4}\n",
)
WORKERS = ("  seed: 0", "  seed: 0\n  dataloader_num_workers: 2")
DROPOUT = ("pretrained: false", "pretrained: false\n  model_args: {drop_rate: 0.3}")


def kill_and_resume(recipe: Path, kills: int, seed: int) -> None:
    """Run the program and check that each kill was one and left no difference."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", str(PROGRAM), str(recipe), str(kills), str(seed)]
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    reports = [json.loads(line) for line in child.stdout.splitlines() if line.startswith('{"event"')]
    assert len(reports) == kills, child.stderr[-3000:]
    assert all(each["killed"] and each["difference"] is None for each in reports), reports
    assert child.returncode == 0


def test_a_picture_network_with_augmentation_dropout_workers_and_early_stopping(
    write_recipe: Callable[..., Path],
) -> None:
    kill_and_resume(write_recipe(replace=(STEPS, STOPPING, AUGMENT, WORKERS, DROPOUT)), min(KILLS, 5), seed=0)


@pytest.mark.slow
@pytest.mark.timeout(36000)
@pytest.mark.parametrize("method", ["full", "lora", "prefix", "bottleneck"])
def test_every_way_of_tuning_a_text_network(method: str, write_text_recipe: Callable[..., Path]) -> None:
    recipe = write_text_recipe(replace=(STEPS, STOPPING, ("peft: full", f"peft: {method}")))
    kill_and_resume(recipe, KILLS, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(36000)
def test_more_kills_of_a_picture_network(write_recipe: Callable[..., Path]) -> None:
    kill_and_resume(write_recipe(replace=(STEPS, STOPPING, AUGMENT, WORKERS, DROPOUT)), KILLS, seed=2)


@pytest.mark.slow
@pytest.mark.timeout(36000)
@pytest.mark.parametrize("method", ["full", "lora"])
def test_averages_of_the_weights(method: str, write_recipe: Callable[..., Path], tiny_checkpoints: dict) -> None:
    averages = ("peft: full\n", f"peft: {method}\n\nobjective:\n  ema_decay: 0.8\n")
    recipe = write_recipe(tiny_checkpoints["timm"], replace=(STEPS, STOPPING, AUGMENT, averages))
    kill_and_resume(recipe, KILLS, seed=4)


@pytest.mark.slow
def test_a_network_whose_weights_have_other_names_on_the_disk(
    tiny_checkpoints: dict[str, str], write_recipe: Callable[..., Path]
) -> None:
    """Found: transformers 5.23 saves ViT under older names, and its Trainer resumes with the weights it began with."""
    kill_and_resume(write_recipe(tiny_checkpoints["vit"], (STEPS, STOPPING, AUGMENT)), 2, seed=3)
