"""MobileNetV2 on a folder of JPEG files: `Finetuned.predict`, the loop that a user writes, and forward alone."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from tests.bench.job import Job


BATCH_SIZE = 32


def tuned(job: Job) -> dict[str, Any]:
    """Predict by hf_tune, from paths to labels."""
    from hf_tune.finetuned import Finetuned
    from hf_tune.model.checkpoint_config import ModelSource
    from hf_tune.tasks import get_task

    task = get_task("image_classification")
    source = ModelSource(pretrained_model_name_or_path=job.find("timm_mobilenetv2_100"))
    loaded = task.load_model(source, task.preprocess(), ("ants", "bees"))
    model = loaded.model.eval()
    finetuned = Finetuned(task=task, model=model, encoder=loaded.processor, label_names=("ants", "bees"))
    return _time(job, lambda files: finetuned.predict(files, batch_size=BATCH_SIZE))


@torch.inference_mode()
def plain_loop(job: Job) -> dict[str, Any]:
    """Predict by timm's own transform of the checkpoint and a loop over batches."""
    import PIL.Image
    import timm

    model = _load(job)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)

    def predict(files: Sequence[str]) -> None:
        for start in range(0, len(files), BATCH_SIZE):
            pictures = [PIL.Image.open(file).convert("RGB") for file in files[start : start + BATCH_SIZE]]
            scores = model(torch.stack([transform(picture) for picture in pictures])).softmax(dim=1)
            scores.max(dim=1).indices.tolist()

    return _time(job, predict)


@torch.inference_mode()
def forward(job: Job) -> dict[str, Any]:
    """Run forward alone on batches that lie ready."""
    import timm

    model = _load(job)
    size = timm.data.resolve_model_data_config(model)["input_size"]
    batch = torch.randn(BATCH_SIZE, *size)

    def predict(files: Sequence[str]) -> None:
        for start in range(0, len(files), BATCH_SIZE):
            model(batch[: len(files) - start])

    return _time(job, predict)


def _load(job: Job) -> Any:
    import timm

    name = f"local-dir:{job.find('timm_mobilenetv2_100')}"
    return timm.create_model(name, pretrained=True, num_classes=2).eval()


def _time(job: Job, predict: Callable[[list[str]], Any]) -> dict[str, float]:
    """Return the time of all files after one batch of them."""
    folder = Path(job.find("jpegs"), "test")
    files = [str(file) for file in sorted(folder.rglob("*.jpg"))] * job.choose(2, 1)
    predict(files[:BATCH_SIZE])
    start = time.perf_counter()
    predict(files)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "rows_per_second": len(files) / seconds}
