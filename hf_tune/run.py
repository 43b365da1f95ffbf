"""START HERE: a recipe from YAML to a proved model, one line per step.

accelerate launch -m hf_tune.run recipes/resnet_digits.yaml [block.key=value …] [--resume | --overwrite]
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hf_tune.input_error import InputError


if TYPE_CHECKING:
    from hf_tune.recipe.schema import Recipe


def finetune(recipe: "Recipe", resume: bool = False, overwrite: bool = False) -> dict[str, Any]:
    """Run every step of a recipe and return what it measured; raises `InputError` before anything is written."""
    from dataclasses import replace

    from transformers import set_seed

    from hf_tune.adapter.attach import attach_adapter
    from hf_tune.assembly import build_trainer
    from hf_tune.data.splits import load_splits
    from hf_tune.finished_run import finish_run, save_recipe
    from hf_tune.tasks import get_task
    from hf_tune.training.progress import quieten_libraries
    from hf_tune.training.run_folder import check_folder, find_checkpoint

    quieten_libraries()
    task = get_task(recipe.task)
    with recipe.blame("training"):
        check_folder(recipe.output_dir, resume, overwrite, needed=recipe.folder)
    set_seed(recipe.training.get("seed", 42))
    with recipe.blame("data"):
        splits = load_splits(recipe.data, task, recipe.model.problem_type)
    with recipe.blame("model"):
        source = replace(recipe.model, problem_type=splits.problem_type)
        loaded = task.load_model(source, recipe.preprocess, splits.label_names)
    with recipe.blame("peft"):
        model = attach_adapter(loaded, recipe.peft, recipe.batch_norm, task.peft_task_type)
    trainer = build_trainer(recipe, task, loaded, model, splits, overwrite)
    save_recipe(recipe, recipe.output_dir, loaded)
    with recipe.blame("training"):
        checkpoint = find_checkpoint(recipe.output_dir) if resume else None
        trained = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return finish_run(recipe, task, loaded, splits, trainer, trained)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line, run the recipe, and return the exit code: 0 done, 2 the input is wrong."""
    parser = argparse.ArgumentParser(prog="python -m hf_tune.run", description="Fine-tune a model as a recipe says.")
    parser.add_argument("recipe", help="YAML file; see recipes/")
    parser.add_argument("overrides", nargs="*", metavar="block.key=value", help="such as training.seed=3 or peft=lora")
    folder = parser.add_mutually_exclusive_group()
    folder.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in output_dir")
    folder.add_argument("--overwrite", action="store_true", help="delete the run that stands in output_dir")
    options = parser.parse_intermixed_args(argv)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when huggingface_hub is imported
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    try:
        from hf_tune.recipe.reader import load_recipe

        finetune(load_recipe(options.recipe, options.overrides), options.resume, options.overwrite)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
