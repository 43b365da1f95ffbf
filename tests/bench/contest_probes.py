"""A new head on frozen layers: epochs after the first with features computed anew, from the cache, and a bare loop."""

from typing import Any

from tests.bench.job import Job
from tests.bench.stopwatch import Stopwatch


EPOCHS = 4
BATCH_SIZE = 32


def tuned(job: Job) -> dict[str, Any]:
    """Train by a recipe with `peft: probe`; options `network` and `feature_cache`."""
    import itertools
    import statistics

    from tests.bench.recipe_runs import build_run, train_run

    values = write_recipe(job, str(job.options["network"]))
    values["speed"] = {"feature_cache": job.options["feature_cache"]}
    run = build_run(values, job)
    callback = train_run(run, Stopwatch(1, 1, BATCH_SIZE))
    ends = callback.epoch_ends
    seconds = statistics.median(after - before for before, after in itertools.pairwise(ends))
    scores = run.trainer.evaluate()
    return {
        "seconds": seconds,
        "rows_per_second": len(run.trainer.data.train) / seconds,
        "milliseconds_per_step": 1000 * seconds / (run.trainer.state.global_step / EPOCHS),
        "eval_loss": scores["eval_loss"],
        "eval_accuracy": scores["eval_accuracy"],
    }


def bare_loop(job: Job) -> dict[str, Any]:
    """Train a linear head on features in memory by hand; sizes are those of option `network`."""
    import torch

    network = str(job.options["network"])
    batch_size, width, classes = {
        "resnet18": (job.choose(128, 16), 512, 10),
        "mobilenet_v2": (BATCH_SIZE, 1280, 2),
        "minilm": (job.choose(128, 16), 384, 77),
    }[network]
    torch.manual_seed(0)
    rows = 64 * batch_size
    features, labels = torch.randn(rows, width), torch.randint(0, classes, (rows,))
    head = torch.nn.Linear(width, classes)
    optimiser = torch.optim.AdamW(head.parameters(), lr=1e-2, fused=True)
    watch = Stopwatch(job.choose(2000, 50), 20, batch_size)
    while not watch.is_done:
        for chosen in torch.randperm(rows).split(batch_size):
            loss = torch.nn.functional.cross_entropy(head(features[chosen]), labels[chosen])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
            watch.stamp()
            if watch.is_done:
                break
    return watch.read()


def write_recipe(job: Job, network: str) -> dict[str, Any]:
    """Return a recipe of a probe."""
    pictures = {"task": "image_classification", "peft": "probe"}
    texts = {"task": "text_classification", "peft": "probe"}
    training = {
        "per_device_train_batch_size": BATCH_SIZE,
        "per_device_eval_batch_size": 64,
        "num_train_epochs": EPOCHS,
        "eval_strategy": "no",
        "save_strategy": "no",
        "use_cpu": True,
    }
    if network == "resnet18":
        return pictures | {
            "model": {"pretrained_model_name_or_path": job.find("resnet18")},
            "data": _cut(job.find("cifar10"), job.choose(7680, 64), job.choose(512, 32)),
            "preprocess": {"image_size": 32, "crop_mode": "squash"},
            "training": {**training, "per_device_train_batch_size": job.choose(128, 16)},
        }
    if network == "mobilenet_v2":
        return pictures | {
            "model": {"pretrained_model_name_or_path": job.find("timm_mobilenetv2_100")},
            "data": _cut(job.find("ants_bees"), job.choose(192, 24), job.choose(40, 8)),
            "preprocess": {"image_size": job.choose(224, 64)},
            "training": training,
        }
    return texts | {
        "model": {"pretrained_model_name_or_path": job.find("all-MiniLM-L6-v2")},
        "data": _cut(job.find("banking77"), job.choose(3840, 96), job.choose(160, 20)),
        "training": {**training, "per_device_train_batch_size": job.choose(128, 16)},
    }


def _cut(path: str, train: int, validation: int) -> dict[str, Any]:
    splits = {"train": f"train[:{train}]", "validation": f"validation[:{validation}]", "test": "test[:8]"}
    return {"load": {"path": path}, "splits": splits}
