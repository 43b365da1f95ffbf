"""The Trainer: loss, optimisers, accumulation, evaluation per row."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from hf_tune.data.draws import Draws
from hf_tune.tasks.image_classification import TASK
from hf_tune.training.arguments import build_arguments
from hf_tune.training.trainer import FineTuneTrainer, TrainingData


class Plain(torch.nn.Module):
    """Logits linear in the pixels; swallows `**kwargs`, as the heads do whose loss the Trainer scales wrongly."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(12, classes)

    def forward(self, pixel_values: torch.Tensor, **kwargs: Any) -> Any:
        return SimpleNamespace(logits=self.layer(pixel_values.flatten(1)))


class Rows(torch.utils.data.Dataset):
    """Random 2 x 2 pictures."""

    def __init__(self, count: int) -> None:
        generator = torch.Generator().manual_seed(1)
        self.pictures = torch.randint(0, 256, (count, 3, 2, 2), dtype=torch.uint8, generator=generator)
        self.labels = torch.randint(0, 3, (count,), generator=generator)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        epoch, row = divmod(index, len(self))
        return {
            "pixel_values": self.pictures[row],
            "labels": self.labels[row],
            "row": torch.tensor(row),
            "epoch": torch.tensor(epoch),
        }


PROCESSOR = SimpleNamespace(normalise=lambda pictures: pictures.float() / 255)


def build(folder: Path, rows: int = 16, model: torch.nn.Module | None = None, **training: Any) -> FineTuneTrainer:
    data = TrainingData(
        train=Rows(rows),
        validation=Rows(7),
        preprocess=SimpleNamespace(augment=[]),
        make_draws=Draws,
        label_names=("a", "b", "c"),
    )
    settings = {
        "save_strategy": "no",
        "use_cpu": True,
        "max_grad_norm": 0.0,
        "lr_scheduler_type": "constant",
        **training,
    }
    arguments = build_arguments({"output_dir": str(folder), **settings})
    return FineTuneTrainer(TASK, model or Plain(), PROCESSOR, arguments, data)


def test_cross_entropy_and_its_gradient_agree_with_a_hand_computed_case() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0], [np.log(2), 0.0, 0.0]], dtype=torch.float32, requires_grad=True)
    losses = TASK.loss(SimpleNamespace(logits=logits), {"labels": torch.tensor([1, 0])}, 0.0)
    # Row 0: all classes 1/3, loss ln 3. Row 1: probabilities 2/4, 1/4, 1/4, loss ln 2. Gradient: p - one-hot.
    assert losses.tolist() == pytest.approx([np.log(3), np.log(2)])
    losses.sum().backward()
    expected = torch.tensor([[1 / 3, -2 / 3, 1 / 3], [-1 / 2, 1 / 4, 1 / 4]])
    assert torch.allclose(logits.grad, expected, atol=1e-6)


def test_label_smoothing_by_hand() -> None:
    logits = torch.tensor([[np.log(2), 0.0, 0.0]])
    loss = TASK.loss(SimpleNamespace(logits=logits), {"labels": torch.tensor([0])}, 0.3)
    # Target 0.7 + 0.1, 0.1, 0.1; negative log-probabilities ln 2, ln 4, ln 4.
    assert loss.item() == pytest.approx(0.8 * np.log(2) + 0.2 * np.log(4))


@pytest.mark.parametrize(("rows", "batch", "accumulation"), [(16, 4, 4), (16, 2, 8), (13, 4, 4)])
def test_accumulated_micro_batches_take_the_step_of_the_whole_batch(
    rows: int, batch: int, accumulation: int, tmp_path: Path
) -> None:
    """TRAPS T1: transformers 5.23 makes these gradients as many times too large as there are micro-batches."""
    weights = []
    for size, parts in ((16, 1), (batch, accumulation)):
        options = {"per_device_train_batch_size": size, "gradient_accumulation_steps": parts}
        trainer = build(tmp_path, rows, optim="sgd", learning_rate=0.5, max_steps=1, **options)
        trainer.train()
        weights.append(trainer.model.layer.weight.detach().clone())
    assert torch.allclose(weights[0], weights[1], atol=1e-6)
    assert not torch.allclose(weights[0], Plain().layer.weight, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "make"),
    [
        ({"optim": "adamw_torch"}, lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.0)),
        (
            {"optim": "adamw_torch_fused", "weight_decay": 0.1},
            lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.1),
        ),
        ({"optim": "adamw_torch_fused", "weight_decay": 0.0}, lambda p: torch.optim.Adam(p, lr=0.05)),
        ({"optim": "sgd"}, lambda p: torch.optim.SGD(p, lr=0.05)),
        ({"optim": "sgd", "optim_args": "momentum=0.9"}, lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9)),
        ({"optim": "sgd", "weight_decay": 0.1}, lambda p: torch.optim.SGD(p, lr=0.05, weight_decay=0.1)),
        ({"optim": "adagrad"}, lambda p: torch.optim.Adagrad(p, lr=0.05)),
    ],
    ids=["adamw", "adamw decay", "adam", "sgd", "momentum", "L2", "adagrad"],
)
def test_an_optimiser_moves_weights_as_torchs_own_does(options: dict, make: Any, tmp_path: Path) -> None:
    trainer = build(tmp_path, learning_rate=0.05, max_steps=3, per_device_train_batch_size=16, **options)
    trainer.train()
    model, rows = Plain(), Rows(16)
    decayed = [model.layer.weight]
    optimiser = make([{"params": decayed}, {"params": [model.layer.bias], "weight_decay": 0.0}])
    for _ in range(3):
        optimiser.zero_grad()
        logits = model(rows.pictures.float() / 255).logits
        torch.nn.functional.cross_entropy(logits, rows.labels).backward()
        optimiser.step()
    assert torch.allclose(trainer.model.layer.weight, model.layer.weight, atol=1e-5)
    assert torch.allclose(trainer.model.layer.bias, model.layer.bias, atol=1e-5)


def test_the_schedule_warms_up_and_decays(tmp_path: Path) -> None:
    options = {"lr_scheduler_type": "linear", "warmup_steps": 2, "max_steps": 4, "logging_steps": 1}
    trainer = build(tmp_path, learning_rate=1.0, per_device_train_batch_size=8, **options)
    trainer.train()
    rates = [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
    assert rates == pytest.approx([0.0, 0.5, 1.0, 0.5])


def test_evaluation_is_exact_per_row_and_in_order(tmp_path: Path) -> None:
    """TRAPS T2: no mean of means when the last batch is short."""
    trainer = build(tmp_path, per_device_eval_batch_size=3)
    rows = Rows(7)
    with torch.no_grad():
        logits = trainer.model(rows.pictures.float() / 255).logits
    expected = torch.nn.functional.cross_entropy(logits, rows.labels)
    scores = trainer.evaluate()
    assert scores["eval_loss"] == pytest.approx(expected.item(), rel=1e-6)
    assert scores["eval_accuracy"] == pytest.approx((logits.argmax(1) == rows.labels).float().mean().item())
    kept = trainer.keep_rows(rows)
    assert kept["row"].tolist() == list(range(7)) and kept["labels"].tolist() == rows.labels.tolist()


def test_training_accuracy_stands_beside_validation_without_a_second_pass(tmp_path: Path) -> None:
    options = {"eval_strategy": "epoch", "num_train_epochs": 1, "per_device_train_batch_size": 16}
    trainer = build(tmp_path, learning_rate=1e-9, **options)
    trainer.train()
    entry = next(entry for entry in trainer.state.log_history if "eval_loss" in entry)
    rows = Rows(16)
    with torch.no_grad():
        logits = Plain()(rows.pictures.float() / 255).logits
    assert entry["train_accuracy"] == pytest.approx((logits.argmax(1) == rows.labels).float().mean().item())
    assert entry["train_mean_loss"] == pytest.approx(
        torch.nn.functional.cross_entropy(logits, rows.labels).item(), rel=1e-5
    )


def test_a_frozen_layer_that_should_train_stops_the_run(tmp_path: Path) -> None:
    from hf_tune.input_error import InputError

    model = Plain()
    model.unused = torch.nn.Linear(2, 2)
    with pytest.raises(InputError, match=r"no gradient reaches unused\.weight"):
        build(tmp_path, model=model, max_steps=1).train()


def test_bf16_autocast_trains_float32_weights(tmp_path: Path) -> None:
    trainer = build(tmp_path, bf16=True, max_steps=2, learning_rate=0.1)
    before = trainer.model.layer.weight.detach().clone()
    trainer.train()
    assert trainer.model.layer.weight.dtype == torch.float32
    assert not torch.equal(trainer.model.layer.weight, before)


def test_a_task_is_replaced_member_by_member() -> None:
    doubled = dataclasses.replace(
        TASK, loss=lambda outputs, batch, smoothing: 2 * TASK.loss(outputs, batch, smoothing)
    )
    batch = {"labels": torch.tensor([0])}
    logits = SimpleNamespace(logits=torch.zeros(1, 3))
    assert doubled.loss(logits, batch, 0.0).item() == pytest.approx(2 * np.log(3))
