"""Weights of a checkpoint back into a network: all of them, or the run stops."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from transformers import AutoModelForImageClassification

from hf_tune.input_error import RunStopped
from hf_tune.training.restoring import load_weights, restore_end


BEST = {
    "load_best_model_at_end": True,
    "eval_strategy": "steps",
    "eval_steps": 1,
    "metric_for_best_model": "loss",
    "greater_is_better": True,  # the loss falls, so that the last checkpoint is not the best
}


def spoil(model: torch.nn.Module) -> None:
    with torch.no_grad():
        for value in model.parameters():
            value.fill_(7.0)


def copy_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def have_same(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_every_weight_comes_back_whatever_its_name_on_the_disk(
    name: str, tiny_checkpoints: dict[str, str], tmp_path: Path
) -> None:
    """Found: transformers 5.23 saves ViT under older names, and its Trainer goes on with the weights in memory."""
    model = AutoModelForImageClassification.from_pretrained(tiny_checkpoints[name])
    weights = copy_weights(model)
    model.save_pretrained(tmp_path)
    stored = safetensors.torch.load_file(tmp_path / "model.safetensors").keys()
    assert name != "vit" or stored != weights.keys()
    spoil(model)
    assert load_weights(model, tmp_path) and have_same(model, weights)


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_a_weight_that_is_missing_stops_the_run(name: str, tiny_checkpoints: dict[str, str], tmp_path: Path) -> None:
    """Found: `from_pretrained` fills it with random numbers, and a resumed run went on with them."""
    model = AutoModelForImageClassification.from_pretrained(tiny_checkpoints[name])
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = safetensors.torch.load_file(file)
    lost = sorted(key for key in tensors if key.endswith("weight"))[0]
    tensors.pop(lost)
    safetensors.torch.save_file(tensors, file, {"format": "pt"})
    before = copy_weights(model)
    with pytest.raises(RuntimeError, match=r"(?i)missing"):
        load_weights(model, tmp_path)
    assert have_same(model, before)


def test_weights_of_a_plain_network_are_loaded_by_their_names(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    weights = copy_weights(model)
    safetensors.torch.save_file(weights, tmp_path / "model.safetensors")
    spoil(model)
    assert load_weights(model, tmp_path) and have_same(model, weights)
    safetensors.torch.save_file({"weight": weights["weight"]}, tmp_path / "model.safetensors")
    with pytest.raises(RuntimeError, match="Missing key"):
        load_weights(model, tmp_path)


def test_an_adapter_or_a_sharded_network_is_left_to_the_trainer(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    before = copy_weights(model)
    assert not load_weights(model, tmp_path) and have_same(model, before)


def test_a_resumed_vit_and_its_best_checkpoint_have_every_weight(
    tiny_checkpoints: dict[str, str], write_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: Any
) -> None:
    """The weights are those of the best checkpoint; a resumed run ends with the bits of one that was not stopped."""
    import hf_tune.proof
    from hf_tune.recipe.reader import load_recipe
    from hf_tune.run import finetune
    from hf_tune.training.trainer import FineTuneTrainer

    monkeypatch.setattr(hf_tune.proof, "_run_child", hf_tune.proof.main)
    file = write_recipe(tiny_checkpoints["vit"])
    overrides = ["training.max_steps=4", "training.eval_strategy=steps", "training.eval_steps=1"]
    overrides += ["early_stopping.metric=loss", "early_stopping.patience=9", "training.learning_rate=3.0"]
    overrides += ["training.lr_scheduler_type=constant_with_warmup", "training.warmup_steps=4"]  # ever worse
    ended: list[dict[str, torch.Tensor]] = []
    real = FineTuneTrainer.train

    def train(self: Any, *args: Any, **kwargs: Any) -> Any:
        trained = real(self, *args, **kwargs)
        ended.append(copy_weights(self.model))
        return trained

    monkeypatch.setattr(FineTuneTrainer, "train", train)
    whole = finetune(load_recipe(file, [*overrides, f"training.output_dir={tmp_path / 'whole'}"]))
    best = AutoModelForImageClassification.from_pretrained(tmp_path / "whole" / whole["best_checkpoint"])
    assert whole["best_checkpoint"] != "checkpoint-4" and have_same(best, ended[0])

    def stop(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == 2:
            raise RunStopped("here")
        return step(self, *args, **kwargs)

    step = FineTuneTrainer.training_step
    with monkeypatch.context() as patch, pytest.raises(RunStopped):
        patch.setattr(FineTuneTrainer, "training_step", stop)
        finetune(load_recipe(file, overrides))
    finetune(load_recipe(file, overrides), "resume")
    assert all(torch.equal(value, ended[1][name]) for name, value in ended[0].items())


def test_the_end_of_a_training_is_restored_with_its_best_weights_and_its_cost(
    build_tiny: Callable[..., Any], tmp_path: Path
) -> None:
    first = build_tiny(**BEST)
    first.train()
    weights = copy_weights(first.model)
    best = first.state.best_global_step
    assert Path(first.state.best_model_checkpoint).name == f"checkpoint-{best}" and best < 6
    log = tmp_path / "run" / "log.jsonl"
    seconds = [json.loads(line) for line in log.read_text().splitlines()][-1]["train_runtime"]
    again = build_tiny(**BEST)
    spoil(again.model)
    trained = restore_end(again, str(tmp_path / "run" / "checkpoint-6"))
    assert have_same(again.model, weights)
    assert (trained.global_step, again.state.best_global_step) == (6, best)
    assert trained.metrics["train_runtime"] == seconds


def test_without_a_best_checkpoint_the_last_one_is_restored(build_tiny: Callable[..., Any], tmp_path: Path) -> None:
    first = build_tiny()
    first.train()
    again = build_tiny()
    spoil(again.model)
    restore_end(again, str(tmp_path / "run" / "checkpoint-6"))
    assert have_same(again.model, copy_weights(first.model))
