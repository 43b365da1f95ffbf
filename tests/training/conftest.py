"""Tiny Trainers: 2 x 2 pictures, a network of one's own, and what it is to do at which step."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch


class Network(torch.nn.Module):
    """Logits of 2 x 2 pictures; `before_forward(network, rows)` may fail, or return a factor of the logits."""

    def __init__(self, width: int = 16, before_forward: Callable[..., float] | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm = torch.nn.BatchNorm2d(3)
        self.inner = torch.nn.Linear(12, width)
        self.outer = torch.nn.Linear(width, 3)
        self.before_forward = before_forward
        self.steps = 0

    def forward(self, pixel_values: torch.Tensor, **kwargs: Any) -> Any:
        self.steps += self.training
        factor = self.before_forward(self, len(pixel_values)) if self.before_forward else 1.0
        return SimpleNamespace(logits=factor * self.outer(self.inner(self.norm(pixel_values).flatten(1)).relu()))


class Rows(torch.utils.data.Dataset):
    """Random pictures and labels; `before_row(row)` may fail."""

    def __init__(self, count: int, before_row: Callable[[int], None] = lambda row: None) -> None:
        generator = torch.Generator().manual_seed(1)
        self.pictures = torch.randint(0, 256, (count, 3, 2, 2), dtype=torch.uint8, generator=generator)
        self.labels = torch.randint(0, 3, (count,), generator=generator)
        self.before_row = before_row

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        epoch, row = divmod(index, len(self))
        self.before_row(row)
        place = {"row": torch.tensor(row), "epoch": torch.tensor(epoch)}
        return {"pixel_values": self.pictures[row], "labels": self.labels[row], **place}


@pytest.fixture
def build_tiny(tmp_path: Path) -> Callable[..., Any]:
    """Return a function that builds a `FineTuneTrainer` on 24 pictures; the keywords are those of `training:`.

    It writes `tmp_path / "run"`, takes 8 rows a step, and saves a checkpoint after every step.
    """
    from hf_tune.data.draws import Draws
    from hf_tune.tasks.image_classification import TASK
    from hf_tune.training.arguments import build_arguments
    from hf_tune.training.objective import Objective
    from hf_tune.training.trainer import FineTuneTrainer
    from hf_tune.training.training_data import TrainingData

    def build(
        before_forward: Callable[..., float] | None = None,
        before_row: Callable[[int], None] = lambda row: None,
        width: int = 16,
        callbacks: tuple[Any, ...] = (),
        objective: Any = None,
        **training: Any,
    ) -> FineTuneTrainer:
        data = TrainingData(
            train=Rows(24, before_row),
            validation=Rows(7),
            preprocess=SimpleNamespace(augment=[]),
            make_draws=Draws,
            label_names=("a", "b", "c"),
            objective=objective or Objective(),
        )
        settings = {
            "output_dir": str(tmp_path / "run"),
            "per_device_train_batch_size": 8,
            "num_train_epochs": 2,
            "learning_rate": 0.05,
            "optim": "sgd",
            "lr_scheduler_type": "constant",
            "eval_strategy": "no",
            "save_strategy": "steps",
            "save_steps": 1,
            "save_total_limit": 9,
            "use_cpu": True,
            **training,
        }
        processor = SimpleNamespace(normalise=lambda pictures: pictures.float() / 255)
        (tmp_path / "run").mkdir(exist_ok=True)
        network = Network(width, before_forward)
        return FineTuneTrainer(TASK, network, processor, build_arguments(settings), data, callbacks)

    return build
