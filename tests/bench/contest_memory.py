"""Peak memory: hf_tune against the plain loop, LoRA against all weights, and evaluation of ten times the rows."""

from typing import Any

from tests.bench.job import Job
from tests.bench.process_memory import read_peak_mib, read_rss_mib
from tests.bench.stopwatch import Stopwatch


STEPS = 3


def plain_vit(job: Job) -> dict[str, Any]:
    """Train a ViT-S by hand on a folder of JPEG files."""
    import timm
    import torch
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    from tests.bench.contest_pictures import train_loop

    imported = read_rss_mib()
    side, batch_size = job.choose(224, 160), job.choose(32, 8)
    augment = [transforms.Resize((side, side)), transforms.RandomHorizontalFlip()]
    transform = transforms.Compose([*augment, transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)])
    rows = ImageFolder(f"{job.find('jpegs')}/train", transform)
    loader = torch.utils.data.DataLoader(rows, batch_size, shuffle=True, drop_last=True)
    model = timm.create_model(f"local-dir:{job.find('vit_small')}", pretrained=True, num_classes=2)
    watch = Stopwatch(STEPS, 1, batch_size)
    return _read(imported) | train_loop(model, loader, watch, torch.nn.utils.clip_grad_norm_) | _read(imported)


def tuned_vit(job: Job) -> dict[str, Any]:
    """Train a ViT-S by a recipe; option `peft`."""
    side, batch_size = job.choose(224, 160), job.choose(32, 8)
    values = {
        "task": "image_classification",
        "model": {"pretrained_model_name_or_path": job.find("vit_small")},
        "data": {
            "load": {"path": "imagefolder", "data_dir": job.find("jpegs")},
            "splits": {"validation": "validation[:8]", "test": "test[:8]"},
        },
        "preprocess": {"image_size": side, "crop_mode": "squash", "augment": ["horizontal_flip"]},
        "peft": job.options["peft"],
        "training": _train(batch_size),
    }
    return _tune(values, job, batch_size)


def tuned_texts(job: Job) -> dict[str, Any]:
    """Train MiniLM by a recipe; option `peft`."""
    from tests.bench.contest_texts import write_recipe

    batch_size = job.choose(64, 8)
    values = write_recipe(job, job.choose(640, 64), _train(batch_size))
    return _tune({**values, "peft": job.options["peft"]}, job, batch_size)


def evaluation(job: Job) -> dict[str, Any]:
    """Evaluate some rows, or ten times as many; options `data` and `times`."""
    from hf_tune.assembly import hold_run
    from tests.bench import contest_probes
    from tests.bench.recipe_runs import build_run

    times = int(job.options["times"])
    values = contest_probes.write_recipe(job, str(job.options["network"]))
    rows = times * job.choose(1000 if job.options["network"] == "resnet18" else 300, 4)
    values["data"]["splits"] |= {"validation": f"test[:{rows}]"}
    values["data"]["splits"]["test"] = "validation[:8]"
    values["peft"] = "full"
    run = build_run(values, job)
    with hold_run(run.trainer, run.recipe, run.loaded, "new", None):
        run.trainer.evaluate()
    return {**_read(run.imported_mib), "seconds": run.data_seconds}


def _tune(values: dict[str, Any], job: Job, batch_size: int) -> dict[str, Any]:
    from tests.bench.recipe_runs import time_recipe

    watch = Stopwatch(STEPS, 1, batch_size)
    found = time_recipe(values, job, watch)
    return {**found, **_read(found["imported_mib"])} if "imported_mib" in found else found


def _train(batch_size: int) -> dict[str, Any]:
    return {
        "per_device_train_batch_size": batch_size,
        "per_device_eval_batch_size": 64,
        "max_steps": STEPS,
        "eval_strategy": "no",
        "save_strategy": "no",
        "use_cpu": True,
    }


def _read(imported: float) -> dict[str, float]:
    peak = read_peak_mib()
    return {"peak_mib": peak, "imported_mib": imported, "above_imports_mib": peak - imported}
