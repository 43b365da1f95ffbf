"""The `training:` block becomes TrainingArguments."""

from pathlib import Path
from typing import Any

import pytest
import torch

from hf_tune.input_error import InputError
from hf_tune.training.arguments import DEFAULTS, build_arguments, get_stream_defaults, resolve_training
from hf_tune.training.early_stopping import EarlyStopping


def test_what_is_given_wins_over_defaults_and_the_tasks_needs() -> None:
    resolved = resolve_training({"eval_strategy": "no", "seed": 3}, None, {"seed": 1, "max_steps": 5})
    expected = {"eval_strategy": "no", "seed": 3, "max_steps": 5, "per_device_eval_batch_size": 16}
    assert resolved == {**DEFAULTS, **expected}


def test_twice_the_rows_of_a_step_are_evaluated_at_once_unless_memory_is_being_looked_for() -> None:
    assert resolve_training({"per_device_train_batch_size": 32}, None, {})["per_device_eval_batch_size"] == 64
    given = {"per_device_train_batch_size": 32, "per_device_eval_batch_size": 5}
    assert resolve_training(given, None, {})["per_device_eval_batch_size"] == 5
    assert "per_device_eval_batch_size" not in resolve_training({"auto_find_batch_size": True}, None, {})


def test_a_stream_is_judged_and_saved_every_tenth_of_the_run_unless_the_recipe_says_otherwise() -> None:
    resolved = resolve_training({"save_steps": 7}, None, get_stream_defaults(40))
    assert (resolved["eval_strategy"], resolved["eval_steps"]) == ("steps", 4)
    assert (resolved["save_strategy"], resolved["save_steps"]) == ("steps", 7)
    assert get_stream_defaults(5)["eval_steps"] == 1
    best = resolve_training({"eval_steps": 3}, EarlyStopping(), get_stream_defaults(40))
    assert best["save_steps"] == 3


def test_early_stopping_saves_when_it_evaluates() -> None:
    resolved = resolve_training({"eval_strategy": "steps", "eval_steps": 5}, EarlyStopping(metric="loss"), {})
    assert resolved["save_strategy"] == "steps" and resolved["greater_is_better"] is False


@pytest.mark.parametrize(
    ("written", "steps"),
    [({"eval_steps": 5}, 5), ({"logging_steps": 7}, 7), ({}, 500), ({"eval_steps": 0.25, "logging_steps": 7}, 0.25)],
)
def test_the_best_step_is_saved_because_saving_follows_evaluation(written: dict[str, float], steps: float) -> None:
    """Found: `save_steps` stayed 500, no evaluated step was saved, and the last one passed for the best."""
    by_block = resolve_training({"eval_strategy": "steps", **written}, EarlyStopping(), {})
    both = {"eval_strategy": "steps", "save_strategy": "steps"}
    by_hand = resolve_training({**both, "load_best_model_at_end": True, **written}, None, {})
    assert by_block["save_steps"] == by_hand["save_steps"] == steps
    assert "save_steps" not in resolve_training({**both, **written}, None, {})


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


def test_fp16_without_a_gpu_is_told(tmp_path: Path) -> None:
    """Found: accepted without effect."""
    with pytest.raises(InputError, match="fp16 needs a GPU") as caught:
        build_arguments({"output_dir": str(tmp_path), "use_cpu": True, "fp16": True})
    assert caught.value.at == ("fp16",)


@pytest.mark.parametrize(
    ("optim", "options", "ignored"),
    [
        ("adamw_torch", "betas=0.9", "betas=0.9"),
        ("adamw_torch_fused", "eps=1e-3", "eps=1e-3"),
        ("sgd", "momentum=0.9, dampenning=1", "dampenning=1"),
        ("adafactor", "scale_parameter=true", "scale_parameter=true"),
    ],
)
def test_options_that_the_optimiser_never_reads_are_told(
    optim: str, options: str, ignored: str, tmp_path: Path
) -> None:
    """Found: accepted without effect."""
    with pytest.raises(InputError, match=f"'{ignored}' changes nothing for optim '{optim}'") as caught:
        build_arguments({"output_dir": str(tmp_path), "use_cpu": True, "optim": optim, "optim_args": options})
    assert caught.value.at == ("optim_args",)


@pytest.mark.parametrize(
    ("optim", "options"), [("sgd", "momentum=0.9,nesterov=true"), ("rmsprop", "alpha=0.9, centered=true")]
)
def test_options_that_the_optimiser_reads_pass(optim: str, options: str, tmp_path: Path) -> None:
    build_arguments({"output_dir": str(tmp_path), "use_cpu": True, "optim": optim, "optim_args": options})


def test_an_option_without_a_value_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'momentum' is no option; write `name=value") as caught:
        build_arguments({"output_dir": str(tmp_path), "use_cpu": True, "optim": "sgd", "optim_args": "momentum"})
    assert caught.value.at == ("optim_args",)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("backend", "induktor", "Invalid backend: 'induktor'"), ("mode", "fast", "Unrecognized mode=fast")],
)
def test_a_backend_or_mode_that_torch_does_not_have_is_told(
    option: str, value: str, words: str, tmp_path: Path
) -> None:
    """Found: noticed in the first step, after the folder was written."""
    key = f"torch_compile_{option}"
    with pytest.raises(InputError, match=f"torch.compile does not work here: {words}") as caught:
        build_arguments({"output_dir": str(tmp_path), "use_cpu": True, key: value})
    assert caught.value.at == (key,)


def test_a_machine_without_a_compiler_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found: as above."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found\n\nSet TORCHDYNAMO_VERBOSE=1")

    monkeypatch.setattr(torch, "compile", fail)
    with pytest.raises(InputError, match=r"No working C\+\+ compiler found; the default backend needs") as caught:
        build_arguments({"output_dir": str(tmp_path), "use_cpu": True, "torch_compile": True})
    assert caught.value.at == ("torch_compile",)
    build_arguments({"output_dir": str(tmp_path), "use_cpu": True, "torch_compile": False})


def test_a_backend_that_works_passes(tmp_path: Path) -> None:
    arguments = build_arguments({"output_dir": str(tmp_path), "use_cpu": True, "torch_compile_backend": "eager"})
    assert arguments.torch_compile
