"""A tiny network, so that a step is little more than what the loop around it costs."""

from pathlib import Path
from typing import Any

import torch

from tests.bench.job import Job
from tests.bench.stopwatch import Stopwatch


BATCH_SIZE = 8


def bare_loop(job: Job) -> dict[str, Any]:
    """Train by hand on float batches that lie ready."""
    from tests.bench.contest_pictures import train_loop

    batches = [_batch() for _ in range(8)] * _plan(job).steps
    network = _build()
    return train_loop(_Logits(network), batches, _plan(job), torch.nn.utils.clip_grad_norm_)


def plain_trainer(job: Job) -> dict[str, Any]:
    """Train by transformers' own Trainer, on rows that lie ready as float tensors."""
    import transformers

    watch = _plan(job)
    pictures = torch.randn(1024, 3, 32, 32)
    rows = [{"pixel_values": picture, "labels": number % 10} for number, picture in enumerate(pictures)]
    arguments = transformers.TrainingArguments(
        output_dir=str(job.make_folder() / "trainer"),
        per_device_train_batch_size=BATCH_SIZE,
        max_steps=watch.steps,
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
    )
    callbacks = [watch.as_callback()]
    transformers.Trainer(model=_build(), args=arguments, train_dataset=rows, callbacks=callbacks).train()
    return watch.read()


def tuned(job: Job) -> dict[str, Any]:
    """Train by a recipe of hf_tune, without augmentation."""
    from tests.bench.contest_pictures import write_recipe
    from tests.bench.recipe_runs import time_recipe

    watch = _plan(job)
    values = write_recipe(job, BATCH_SIZE, watch, [])
    values["model"] = {"pretrained_model_name_or_path": str(_save(job.make_folder() / "tiny"))}
    values["preprocess"] = {"image_size": 32, "augment": []}
    values["data"]["splits"]["train"] = f"train[:{job.choose(1024, 64)}]"
    return time_recipe(values, job, watch)


def _plan(job: Job) -> Stopwatch:
    return Stopwatch(job.choose(2000, 20), job.choose(200, 5), BATCH_SIZE)


class _Logits(torch.nn.Module):
    """Gives the logits alone, as a loop by hand has them."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.network(pictures).logits


def _build() -> Any:
    """Return a network of two small layers: a step of it takes about 2 ms."""
    import transformers

    torch.manual_seed(0)
    config = transformers.ResNetConfig(
        embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic", num_labels=10
    )
    return transformers.ResNetForImageClassification(config)


def _save(folder: Path) -> Path:
    from transformers import ConvNextImageProcessor

    _build().save_pretrained(folder)
    ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=1.0).save_pretrained(folder)
    return folder


def _batch() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(BATCH_SIZE, 3, 32, 32), torch.randint(0, 10, (BATCH_SIZE,))
