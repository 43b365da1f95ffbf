"""A run of hf_tune up to its last step, by the calls of hf_tune/run.py: no scoring, saving and proof at the end."""

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hf_tune.adapter.attach import attach_adapter
from hf_tune.assembly import build_trainer, hold_run
from hf_tune.data.splits import load_splits
from hf_tune.input_error import InputError
from hf_tune.recipe.reader import load_recipe
from hf_tune.tasks import get_task
from tests.bench.job import Job
from tests.bench.process_memory import read_rss_mib
from tests.bench.stopwatch import Stopwatch


@dataclass(frozen=True, kw_only=True)
class BuiltRun:
    """What stands ready to train."""

    recipe: Any
    loaded: Any
    trainer: Any
    data_seconds: float
    """Time of loading splits and of building the Trainer, which encodes them; loading the network is not in it."""
    imported_mib: float
    """Resident memory before anything was loaded."""


def build_run(values: Mapping[str, Any], job: Job) -> BuiltRun:
    """Return the Trainer of a recipe that writes into a folder of this process."""
    from transformers import set_seed

    imported = read_rss_mib()
    folder = job.make_folder()
    file = folder / f"recipe-{os.environ.get('RANK', '0')}.yaml"  # one for each process: all write theirs at once
    training = {"output_dir": str(folder / "run"), "seed": 0, "report_to": "none", **values["training"]}
    file.write_text(json.dumps({**values, "training": training}, indent=1))  # YAML 1.2 reads JSON
    shutil.rmtree(folder / "run", ignore_errors=True)
    recipe = load_recipe(file)
    set_seed(0)
    task = get_task(recipe.task)
    start = time.perf_counter()
    splits = load_splits(recipe.data, task, recipe.model.problem_type)
    loading = time.perf_counter()
    loaded = task.load_model(recipe.model, recipe.preprocess, splits.label_names)
    model = attach_adapter(loaded, recipe.peft, recipe.batch_norm, task.peft_task_type)
    loaded_at = time.perf_counter()
    trainer = build_trainer(recipe, task, loaded, model, splits)
    seconds = time.perf_counter() - loaded_at + loading - start
    return BuiltRun(recipe=recipe, loaded=loaded, trainer=trainer, data_seconds=seconds, imported_mib=imported)


def train_run(run: BuiltRun, watch: Stopwatch) -> Any:
    """Train, stamp every step, and return the callback, which knows the ends of epochs too."""
    callback = watch.as_callback()
    run.trainer.add_callback(callback)
    with hold_run(run.trainer, run.recipe, run.loaded, "new", None) as start:
        run.trainer.train(resume_from_checkpoint=start)
    return callback


def time_recipe(values: Mapping[str, Any], job: Job, watch: Stopwatch) -> dict[str, Any]:
    """Train a recipe and return its time and memory; `not_measured` where hf_tune refuses the recipe."""
    try:
        run = build_run(values, job)
    except InputError as error:
        return {"not_measured": f"the recipe is refused: {str(error).splitlines()[0].split('.yaml:')[-1]}"}
    train_run(run, watch)
    return {**watch.read(), "imported_mib": run.imported_mib}
