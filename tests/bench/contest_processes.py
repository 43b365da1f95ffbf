"""Two processes of one thread against one process of two threads, with the same rows in a step."""

from typing import Any

import torch

from tests.bench.job import Job
from tests.bench.stopwatch import Stopwatch


def tuned(job: Job) -> dict[str, Any]:
    """Train the ResNet by a recipe; options `peft` and `processes`, and one thread each where there are several."""
    from tests.bench.contest_pictures import write_recipe
    from tests.bench.recipe_runs import time_recipe

    processes, peft = int(job.options["processes"]), str(job.options["peft"])
    if processes == 1 and not job.small and torch.get_num_threads() > 1:
        torch.set_num_threads(2)
    total = job.choose(128, 16)
    is_probe = peft == "probe"
    steps, warmup = job.choose((80, 10) if is_probe else (30, 4), (6, 2))
    watch = Stopwatch(steps, warmup, total)
    values = write_recipe(job, total, watch, [] if is_probe else ["random_crop", "horizontal_flip"])
    values["peft"] = peft
    values["model"] = {"pretrained_model_name_or_path": job.find("resnet18")}
    values["speed"] = {"feature_cache": "off"}
    values["training"] |= {"per_device_train_batch_size": total // processes, "use_cpu": True}
    return time_recipe(values, job, watch)
