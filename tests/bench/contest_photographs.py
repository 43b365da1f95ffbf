"""A small network on a folder of JPEG files at 224 pixels, several epochs: decoding costs as much as training."""

import time
from typing import Any

from tests.bench.job import Job
from tests.bench.stopwatch import Stopwatch


EPOCHS = 4


def plain_loop(job: Job) -> dict[str, Any]:
    """Train by torchvision's ImageFolder and DataLoader; option `workers`."""
    import torch
    from torchvision.datasets import ImageFolder

    from tests.bench.contest_pictures import LEARNING_RATE

    batch_size, model = _batch_size(job), _load_network(job)
    start = time.perf_counter()
    rows = ImageFolder(f"{job.find('jpegs')}/train", _build_transform(job))
    workers = int(job.options.get("workers", 0))
    loader = torch.utils.data.DataLoader(rows, batch_size, shuffle=True, num_workers=workers)
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / (EPOCHS * len(loader)))
    criterion = torch.nn.CrossEntropyLoss()
    model.train()
    for _ in range(EPOCHS):
        for pictures, labels in loader:
            loss = criterion(model(pixel_values=pictures).logits, labels)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
    return _read(len(rows), time.perf_counter() - start)


def examples_trainer(job: Job) -> dict[str, Any]:
    """Train by transformers' Trainer as its example scripts use it, on `imagefolder`."""
    import datasets
    import transformers

    from tests.bench.contest_pictures import LEARNING_RATE, transform_rows

    model, transform = _load_network(job), _build_transform(job)
    start = time.perf_counter()
    rows = datasets.load_dataset("imagefolder", data_dir=job.find("jpegs"))["train"]
    transform_rows(rows, transform)
    arguments = transformers.TrainingArguments(
        output_dir=str(job.make_folder() / "trainer"),
        per_device_train_batch_size=_batch_size(job),
        num_train_epochs=EPOCHS,
        learning_rate=LEARNING_RATE,
        save_strategy="no",
        remove_unused_columns=False,
        disable_tqdm=True,
        use_cpu=True,
        seed=0,
    )
    collate = transformers.default_data_collator
    transformers.Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collate).train()
    return _read(len(rows), time.perf_counter() - start)


def tuned(job: Job) -> dict[str, Any]:
    """Train by a recipe; the time has loading, decoding and checking in it. A cold start has an empty cache folder."""
    from tests.bench.contest_pictures import LEARNING_RATE
    from tests.bench.recipe_runs import build_run, train_run

    batch_size = _batch_size(job)
    values = {
        "task": "image_classification",
        "model": {"pretrained_model_name_or_path": job.find("mobilenet_v1_0.25_128")},
        "data": {
            "load": {"path": "imagefolder", "data_dir": job.find("jpegs")},
            "splits": {"validation": "validation[:8]", "test": "test[:8]"},
        },
        "preprocess": {"image_size": _side(job), "augment": ["random_crop", "horizontal_flip"]},
        "peft": "full",
        "training": {
            "per_device_train_batch_size": batch_size,
            "num_train_epochs": EPOCHS,
            "learning_rate": LEARNING_RATE,
            "eval_strategy": "no",
            "save_strategy": "no",
            "use_cpu": True,
        },
    }
    run = build_run(values, job)
    rows = len(run.trainer.data.train)
    start = time.perf_counter()
    train_run(run, Stopwatch(1, 1, batch_size))
    return {**_read(rows, time.perf_counter() - start + run.data_seconds), "data_seconds": run.data_seconds}


def _read(rows: int, seconds: float) -> dict[str, float]:
    return {"seconds": seconds, "rows_per_second": EPOCHS * rows / seconds}


def _side(job: Job) -> int:
    return job.choose(224, 64)


def _batch_size(job: Job) -> int:
    return job.choose(32, 8)


def _build_transform(job: Job) -> Any:
    """Return what hf_tune does too: resize, crop the middle, shift by an eighth, mirror, normalise."""
    from torchvision import transforms

    side = _side(job)
    return transforms.Compose(
        [
            transforms.Resize(side * 256 // 224),
            transforms.CenterCrop(side),
            transforms.RandomCrop(side, padding=side // 8),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ]
    )


def _load_network(job: Job) -> Any:
    import torch
    import transformers

    torch.manual_seed(0)
    return transformers.AutoModelForImageClassification.from_pretrained(
        job.find("mobilenet_v1_0.25_128"), num_labels=2, ignore_mismatched_sizes=True, dtype=torch.float32
    )
