"""The `training:` block becomes TrainingArguments."""

from pathlib import Path

import pytest
import torch

from hf_tune.input_error import InputError
from hf_tune.training.arguments import DEFAULTS, build_arguments, resolve_training
from hf_tune.training.early_stopping import EarlyStopping


def test_what_is_given_wins_over_defaults_and_the_tasks_needs() -> None:
    resolved = resolve_training({"eval_strategy": "no", "seed": 3}, None, {"seed": 1, "max_steps": 5})
    assert resolved == {**DEFAULTS, "eval_strategy": "no", "seed": 3, "max_steps": 5}


def test_early_stopping_saves_when_it_evaluates() -> None:
    resolved = resolve_training({"eval_strategy": "steps", "eval_steps": 5}, EarlyStopping(metric="loss"), {})
    assert resolved["save_strategy"] == "steps" and resolved["greater_is_better"] is False


def test_the_columns_of_the_data_are_never_dropped(tmp_path: Path) -> None:
    """TRAPS T11, T16."""
    arguments = build_arguments({"output_dir": str(tmp_path), "use_cpu": True})
    assert arguments.remove_unused_columns is False and arguments.restore_callback_states_from_checkpoint is True
    assert arguments.report_to == [] and not tmp_path.joinpath("runs").exists()


def test_a_schedule_without_its_options_is_told_before_the_run(tmp_path: Path) -> None:
    common = {"output_dir": str(tmp_path), "use_cpu": True, "lr_scheduler_type": "cosine_with_min_lr"}
    with pytest.raises(InputError, match="min_lr") as caught:
        build_arguments(common)
    assert caught.value.at == ("lr_scheduler_type",)
    build_arguments({**common, "lr_scheduler_kwargs": {"min_lr": 0.0}})


def test_an_optimiser_whose_package_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be built") as caught:
        build_arguments({"output_dir": str(tmp_path), "use_cpu": True, "optim": "galore_adamw"})
    assert caught.value.at == ("optim",)


@pytest.mark.skipif(torch.cuda.is_available(), reason="fp16 is right on a GPU")
def test_what_this_machine_cannot_do_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="TrainingArguments refuses it"):
        build_arguments({"output_dir": str(tmp_path), "bf16": True, "tf32": True})


def test_kernels_that_are_not_installed_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Liger's kernels are not installed") as caught:
        build_arguments({"output_dir": str(tmp_path), "use_cpu": True, "use_liger_kernel": True})
    assert caught.value.at == ("use_liger_kernel",)
