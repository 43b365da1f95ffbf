"""The exponential moving average of the weights, on tiny Trainers."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import safetensors.torch
import torch
from transformers import TrainerCallback

from hf_tune.input_error import InputError, RunStopped
from hf_tune.training.objective import Objective
from hf_tune.training.restoring import restore_end
from hf_tune.training.weight_average import TRAINED, WeightAverage, check_average


class Watch(TrainerCallback):
    """Keeps the weights that a network trains with after every step, and what each evaluation saw."""

    def __init__(self) -> None:
        self.trained: list[dict[str, torch.Tensor]] = []
        self.evaluated: list[dict[str, torch.Tensor]] = []

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any, **kwargs: Any) -> None:
        self.trained.append(copy(model))

    def on_evaluate(self, args: Any, state: Any, control: Any, model: Any, **kwargs: Any) -> None:
        self.evaluated.append(copy(model))


def copy(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items() if value.is_floating_point()}


def average_by_hand(start: dict[str, torch.Tensor], trained: list[dict[str, torch.Tensor]], decay: float) -> Any:
    """Return the averages after every step: a_t = d a_(t-1) + (1 - d) w_t, d = min(decay, (1 + t) / (10 + t))."""
    averages, found = start, []
    for step, weights in enumerate(trained, start=1):
        kept = min(decay, (1 + step) / (10 + step))
        averages = {name: kept * averages[name] + (1 - kept) * weights[name] for name in weights}
        found.append(averages)
    return found


def assert_close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.allclose(value, other[name], atol=1e-6), name


def build(build_tiny: Callable[..., Any], **training: Any) -> Any:
    return build_tiny(objective=Objective(ema_decay=0.4), **training)


def test_the_averages_are_those_of_the_formula_and_what_a_run_ends_with(build_tiny: Callable[..., Any]) -> None:
    watch = Watch()
    trainer = build(build_tiny, callbacks=(watch,))
    start = copy(trainer.model)
    trainer.train()
    expected = average_by_hand(start, watch.trained, 0.4)
    assert len(expected) == 6 and (1 + 6) / (10 + 6) > 0.4 > (1 + 4) / (10 + 4)
    assert_close(copy(trainer.model), expected[-1])
    assert not torch.allclose(trainer.model.norm.running_mean, watch.trained[-1]["norm.running_mean"])


def test_training_goes_as_without_averages(build_tiny: Callable[..., Any]) -> None:
    runs = []
    for objective in (Objective(), Objective(ema_decay=0.4)):
        watch = Watch()
        build_tiny(objective=objective, callbacks=(watch,), eval_strategy="steps", eval_steps=2).train()
        runs.append(watch.trained)
    for one, other in zip(*runs, strict=True):
        assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_an_evaluation_sees_the_averages(build_tiny: Callable[..., Any]) -> None:
    watch = Watch()
    trainer = build(build_tiny, callbacks=(watch,), eval_strategy="steps", eval_steps=2)
    start = copy(trainer.model)
    trainer.train()
    expected = average_by_hand(start, watch.trained, 0.4)
    for step, weights in zip((2, 4, 6), watch.evaluated, strict=True):
        assert_close(weights, expected[step - 1])
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert losses[-1] == trainer.evaluate()["eval_loss"]


def test_a_checkpoint_holds_the_averages_as_its_model_and_the_weights_beside(
    build_tiny: Callable[..., Any], tmp_path: Path
) -> None:
    watch = Watch()
    trainer = build(build_tiny, callbacks=(watch,))
    start = copy(trainer.model)
    trainer.train()
    expected = average_by_hand(start, watch.trained, 0.4)
    folder = tmp_path / "run" / "checkpoint-3"
    saved = safetensors.torch.load_file(folder / "model.safetensors")
    assert_close({name: value for name, value in saved.items() if value.is_floating_point()}, expected[2])
    beside = safetensors.torch.load_file(folder / TRAINED)
    assert beside.keys() == watch.trained[2].keys()
    assert all(torch.equal(value, watch.trained[2][name]) for name, value in beside.items())
    assert TRAINED in json.loads((folder / "whole.json").read_text())["files"]


@pytest.mark.parametrize("step", [1, 3, 5])
def test_a_resumed_run_has_the_same_bits(step: int, build_tiny: Callable[..., Any], tmp_path: Path) -> None:
    options = {"optim": "adamw_torch", "eval_strategy": "steps", "eval_steps": 1, "load_best_model_at_end": True}
    options |= {"metric_for_best_model": "loss", "greater_is_better": False}
    first = build(build_tiny, **options)
    first.train()
    again = build(build_tiny, **options)
    again.train(resume_from_checkpoint=str(tmp_path / "run" / f"checkpoint-{step}"))
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    assert first.state.best_metric == again.state.best_metric
    assert all(torch.equal(value, again.average.aside[name]) for name, value in first.average.aside.items())


def test_the_best_averages_are_what_is_kept(build_tiny: Callable[..., Any], tmp_path: Path) -> None:
    options = {"eval_strategy": "steps", "eval_steps": 1, "load_best_model_at_end": True, "learning_rate": 0.01}
    options |= {"metric_for_best_model": "loss", "greater_is_better": True}  # the loss falls: the first step is kept
    watch = Watch()
    trainer = build(build_tiny, callbacks=(watch,), **options)
    trainer.train()
    assert trainer.state.best_global_step == 1
    assert all(torch.equal(value, watch.evaluated[0][name]) for name, value in copy(trainer.model).items())
    again = build(build_tiny, **options)
    restore_end(again, str(tmp_path / "run" / "checkpoint-6"))
    assert all(torch.equal(value, watch.evaluated[0][name]) for name, value in copy(again.model).items())


def test_a_run_that_is_restored_at_its_end_has_its_averages(build_tiny: Callable[..., Any], tmp_path: Path) -> None:
    first = build(build_tiny)
    first.train()
    again = build(build_tiny)
    again.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-6"))
    assert all(torch.equal(value, again.model.state_dict()[name]) for name, value in first.model.state_dict().items())


def test_a_run_that_was_told_to_stop_saves_both(build_tiny: Callable[..., Any], tmp_path: Path) -> None:
    def ask(network: Any, rows: int) -> float:
        stopped.interruption.asked |= network.steps == 2
        return 1.0

    stopped = build(build_tiny, before_forward=ask, save_strategy="no")
    with pytest.raises(RunStopped):
        stopped.train()
    (checkpoint,) = (tmp_path / "run").glob("checkpoint-*")
    again, whole = build(build_tiny), build(build_tiny)
    again.train(resume_from_checkpoint=str(checkpoint))
    whole.train()
    assert all(torch.equal(value, again.model.state_dict()[name]) for name, value in whole.model.state_dict().items())


def test_only_what_trains_is_copied() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 2))
    model[0].requires_grad_(False)
    average = WeightAverage(model, 0.9)
    names = {"1.running_mean", "1.running_var", "1.weight", "1.bias", "2.weight", "2.bias"}
    assert set(average.aside) == names
    before = copy(model)
    with average.in_place():
        pass
    assert all(torch.equal(value, before[name]) for name, value in copy(model).items())


def test_weights_in_another_order_of_memory_are_saved(tmp_path: Path) -> None:
    model = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    before = copy(model)
    average = WeightAverage(model, 0.9)
    average.save(tmp_path)
    average.resume(tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in copy(model).items())


def test_weights_of_another_network_are_not_taken(tmp_path: Path) -> None:
    WeightAverage(torch.nn.Linear(2, 2), 0.9).save(tmp_path)
    with pytest.raises(RuntimeError, match="other weights than the network"):
        WeightAverage(torch.nn.BatchNorm1d(2), 0.9).resume(tmp_path)


def test_cut_weights_have_no_average(monkeypatch: pytest.MonkeyPatch) -> None:
    from hf_tune.training import weight_average

    trainer = SimpleNamespace(average=WeightAverage(torch.nn.Linear(2, 2), 0.9))
    monkeypatch.setattr(weight_average, "is_sharded", lambda trainer: True)
    with pytest.raises(
        InputError, match="FSDP and DeepSpeed cut the weights; leave it out, or train under DDP"
    ) as caught:
        check_average(trainer)
    assert caught.value.at == ("ema_decay",)
    check_average(SimpleNamespace(average=None))
