"""START HERE: a recipe from YAML to a proved model on the Hub, one line per step.

accelerate launch -m hf_tune.run recipes/resnet_digits.yaml [block.key=value …] [--resume | --overwrite]
"""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hf_tune.command_output import run_command, say_result
from hf_tune.input_error import InputError, RunStopped
from hf_tune.library_noise import quieten_bars
from hf_tune.process_end import end_run, start_logging


if TYPE_CHECKING:
    from hf_tune.recipe.schema import Recipe
    from hf_tune.training.run_folder import FolderMode


def finetune(recipe: "Recipe", mode: "FolderMode" = "new") -> dict[str, Any]:
    """Run every step of a recipe and return what it measured; raises `InputError` before anything is written.

    `mode`: `new`; or `resume` or `overwrite` the run in `output_dir`. Raises `RunStopped` where it ends in the middle.
    """
    from dataclasses import replace

    from transformers import set_seed

    from hf_tune.adapter.attach import attach_adapter
    from hf_tune.assembly import build_trainer, find_start, hold_run
    from hf_tune.data.splits import load_splits
    from hf_tune.finished_run import finish_run
    from hf_tune.publication import check_hub, publish
    from hf_tune.tasks import get_task

    quieten_bars()
    task = get_task(recipe.task)
    mode = "resume" if recipe.training.get("resume_from_checkpoint") else mode
    checkpoint = find_start(recipe, mode)
    check_hub(recipe)
    set_seed(recipe.training.get("seed", 42))
    with recipe.blame("data"):
        splits = load_splits(recipe.data, task, recipe.model.problem_type)
    with recipe.blame("model"):
        source = replace(recipe.model, problem_type=splits.problem_type)
        loaded = task.load_model(source, recipe.preprocess, splits.label_names)
    with recipe.blame("peft"):
        model = attach_adapter(loaded, recipe.peft, recipe.batch_norm, task.peft_task_type)
    trainer = build_trainer(recipe, task, loaded, model, splits, checkpoint)
    with hold_run(trainer, recipe, loaded, mode, checkpoint) as start:
        with recipe.blame("training"):
            trained = trainer.train(resume_from_checkpoint=start)
        results = finish_run(recipe, task, loaded, splits, trainer, trained)
    return publish(recipe, task, splits, results)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line, run the recipe, and return the exit code: 0, or 2, 3 and 1 as `end_run` says."""
    parser = argparse.ArgumentParser(prog="python -m hf_tune.run", description="Fine-tune a model as a recipe says.")
    parser.add_argument("recipe", help="YAML file; see recipes/")
    parser.add_argument("overrides", nargs="*", metavar="block.key=value", help="such as training.seed=3 or peft=lora")
    folder = parser.add_mutually_exclusive_group()
    folder.add_argument("--resume", action="store_const", dest="mode", const="resume", help="go on with the old run")
    folder.add_argument("--overwrite", action="store_const", dest="mode", const="overwrite", help="delete the old run")
    options = parser.parse_intermixed_args(argv, argparse.Namespace(mode="new"))
    start_logging()
    try:
        from hf_tune.recipe.reader import load_recipe

        say_result(finetune(load_recipe(options.recipe, options.overrides), options.mode))
    except (InputError, RunStopped) as error:
        return end_run(error)
    return end_run()


if __name__ == "__main__":
    sys.exit(run_command(main))
