"""ResNet-18 on 32-pixel pictures: the limit, the classic loop, transformers' examples, timm's train.py, hf_tune."""

from collections.abc import Callable, Iterator
from typing import Any

import datasets
import numpy as np
import PIL.Image
import timm
import torch
from torchvision import transforms
from torchvision.datasets import VisionDataset

from tests.bench.job import Job
from tests.bench.process_memory import read_rss_mib
from tests.bench.stopwatch import Stopwatch


MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LEARNING_RATE = 1e-3


class ArrayPictures(VisionDataset):
    """Decoded pictures in memory, given as PIL pictures through a transform, as torchvision's CIFAR10 does."""

    def __init__(self, rows: datasets.Dataset, transform: Callable[[Any], Any]) -> None:
        super().__init__(root=None, transform=transform)
        self.data = [np.asarray(picture.convert("RGB")) for picture in rows["image"]]
        self.targets = list(rows["label"])

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(PIL.Image.fromarray(self.data[index])), self.targets[index]


def limit(job: Job) -> dict[str, Any]:
    """Train on float batches that lie ready in memory."""
    batch_size, watch = _plan(job)
    torch.manual_seed(0)
    batches = [(torch.randn(batch_size, 3, 32, 32), torch.randint(0, 10, (batch_size,))) for _ in range(4)]
    device = _device(job)
    ready = [(pictures.to(device), labels.to(device)) for pictures, labels in batches]

    def endless() -> Iterator[Any]:
        while True:
            yield from ready

    model = build_network(job).to(device)
    return train_loop(model, endless(), watch, torch.nn.utils.clip_grad_norm_)


def plain_loop(job: Job) -> dict[str, Any]:
    """Train by the loop of torchvision's and PyTorch's tutorials, transforms for each example; option `workers`."""
    batch_size, watch = _plan(job)
    imported = read_rss_mib()
    torch.manual_seed(0)
    augment = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
    transform = transforms.Compose([*augment, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    rows = ArrayPictures(load_rows(job, watch, batch_size), transform)
    workers = int(job.options.get("workers", 0))
    loader = torch.utils.data.DataLoader(rows, batch_size, shuffle=True, num_workers=workers, drop_last=True)
    model = build_network(job).to(_device(job))
    return {**train_loop(model, loader, watch, torch.nn.utils.clip_grad_norm_), "imported_mib": imported}


def timm_script(job: Job) -> dict[str, Any]:
    """Train by timm's dataset, loader, optimiser and the loop of its train.py; two workers and its prefetcher."""
    from timm.data import create_dataset, create_loader
    from timm.optim import create_optimizer_v2
    from timm.scheduler import CosineLRScheduler
    from timm.utils import AverageMeter, dispatch_clip_grad

    batch_size, watch = _plan(job)
    torch.manual_seed(0)
    device = torch.device(_device(job))
    split = f"train[:{watch.steps * batch_size}]"
    rows = create_dataset(f"hfds/{job.find('cifar10')}", root=None, split=split, is_training=True)
    loader = create_loader(
        rows,
        input_size=(3, 32, 32),
        batch_size=batch_size,
        is_training=True,
        scale=(0.8, 1.0),
        color_jitter=0.0,
        num_workers=2,
        device=device,
        use_prefetcher=True,
    )
    model = build_network(job).to(device)
    optimiser = create_optimizer_v2(model, opt="adamw", lr=LEARNING_RATE, weight_decay=0.0, fused=True)
    schedule = CosineLRScheduler(optimiser, t_initial=watch.steps, t_in_epochs=False)
    criterion, losses = torch.nn.CrossEntropyLoss(), AverageMeter()
    model.train()
    for number, (pictures, labels) in enumerate(loader):
        optimiser.zero_grad()
        loss = criterion(model(pictures), labels)
        loss.backward()
        dispatch_clip_grad(model.parameters(), value=1.0, mode="norm")
        optimiser.step()
        losses.update(loss.item(), len(pictures))
        schedule.step_update(num_updates=number + 1, metric=losses.avg)
        watch.stamp()
        if watch.is_done:
            break
    return watch.read()


def examples_trainer(job: Job) -> dict[str, Any]:
    """Train by transformers' Trainer as its example scripts use it: transforms for each example, `set_transform`."""
    import transformers

    batch_size, watch = _plan(job)
    augment = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
    transform = transforms.Compose([*augment, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    rows = load_rows(job, watch, batch_size)
    transform_rows(rows, transform)
    arguments = transformers.TrainingArguments(
        output_dir=str(job.make_folder() / "trainer"),
        per_device_train_batch_size=batch_size,
        max_steps=watch.steps,
        learning_rate=LEARNING_RATE,
        save_strategy="no",
        remove_unused_columns=False,
        disable_tqdm=True,
        use_cpu=_device(job) == "cpu",
        seed=0,
    )
    trainer = transformers.Trainer(
        model=wrap_network(build_network(job), job),
        args=arguments,
        train_dataset=rows,
        data_collator=transformers.default_data_collator,
        callbacks=[watch.as_callback()],
    )
    trainer.train()
    return watch.read()


def tuned(job: Job) -> dict[str, Any]:
    """Train by a recipe of hf_tune; option `augment` adds to the crop and the flip."""
    from tests.bench.recipe_runs import time_recipe

    batch_size, watch = _plan(job)
    augment = ["random_crop", "horizontal_flip", *job.options.get("augment", ())]
    values = write_recipe(job, batch_size, watch, augment)
    return time_recipe(values, job, watch)


def write_recipe(job: Job, batch_size: int, watch: Stopwatch, augment: list[str]) -> dict[str, Any]:
    """Return the recipe that is compared with the other contestants."""
    return {
        "task": "image_classification",
        "model": {"pretrained_model_name_or_path": f"timm/{name_network(job)}", "pretrained": False},
        "data": {
            "load": {"path": job.find("cifar10")},
            "splits": {
                "train": f"train[:{watch.steps * batch_size}]",
                "validation": "validation[:64]",
                "test": "test[:64]",
            },
        },
        "preprocess": {"image_size": 32, "crop_mode": "squash", "augment": augment},
        "peft": "full",
        "training": {
            "per_device_train_batch_size": batch_size,
            "max_steps": watch.steps,
            "learning_rate": LEARNING_RATE,
            "eval_strategy": "no",
            "save_strategy": "no",
            "use_cpu": _device(job) == "cpu",
        },
    }


def transform_rows(rows: Any, transform: Callable[..., Any]) -> None:
    """Let a data set transform each picture whenever it is asked for, as transformers' example scripts do."""
    rows.set_transform(
        lambda batch: {
            "pixel_values": [transform(picture.convert("RGB")) for picture in batch["image"]],
            "labels": batch["label"],
        }
    )


def train_loop(model: Any, batches: Any, watch: Stopwatch, clip: Callable[..., Any]) -> dict[str, Any]:
    """Train by hand until the watch is done: fused AdamW, a linear schedule, gradients clipped at 1."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / watch.steps)
    criterion = torch.nn.CrossEntropyLoss()
    place = next(model.parameters()).device
    model.train()
    for pictures, labels in batches:
        loss = criterion(model(pictures.to(place)), labels.to(place))
        loss.backward()
        clip(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        watch.stamp()
        if watch.is_done:
            break
    return watch.read()


def name_network(job: Job) -> str:
    """Return timm's name of the network."""
    return job.choose("resnet18", "test_resnet")


def build_network(job: Job) -> Any:
    """Return the network with timm's own initialisation; hf_tune and the Trainer start from the same kind."""
    torch.manual_seed(0)
    return timm.create_model(name_network(job), num_classes=10)


def wrap_network(network: Any, job: Job) -> Any:
    """Return a network of timm as one of transformers, with its weights."""
    import transformers

    config = transformers.TimmWrapperConfig(architecture=name_network(job), num_labels=10)
    wrapped = transformers.TimmWrapperForImageClassification(config)
    wrapped.timm_model.load_state_dict(network.state_dict())
    return wrapped


def load_rows(job: Job, watch: Stopwatch, batch_size: int) -> datasets.Dataset:
    """Return the rows of one epoch of as many steps as are measured."""
    return datasets.load_dataset(job.find("cifar10"), split=f"train[:{watch.steps * batch_size}]")


def _plan(job: Job) -> tuple[int, Stopwatch]:
    batch_size = job.choose(128, 16)
    steps, warmup = job.choose((55, 5), (8, 2)) if _device(job) == "cpu" else job.choose((320, 40), (8, 2))
    return batch_size, Stopwatch(steps, warmup, batch_size, _device(job))


def _device(job: Job) -> str:
    return str(job.options.get("device", "cpu"))
