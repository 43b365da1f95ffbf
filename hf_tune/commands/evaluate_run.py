"""Score the model of a run again, on its own splits or another split of the same data.

hf-tune evaluate RUN [--split test]
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from hf_tune.collector import imports_set_aside
from hf_tune.command_output import run_command, say_result, tell_error
from hf_tune.input_error import InputError


def main(argv: Sequence[str] | None = None) -> int:
    """Print the scores with intervals; return 0, or 2 where the run or the split is not there."""
    parser = argparse.ArgumentParser(prog="hf-tune evaluate", description=__doc__.partition("\n")[0])
    parser.add_argument("run", help="output_dir of a run")
    parser.add_argument("--split", choices=["train", "validation", "test"], help="default: test, else validation")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="rows at a time; default 32")
    options = parser.parse_args(argv)
    try:
        _evaluate(Path(options.run), options.split, options.batch_size)
    except InputError as error:
        tell_error(error)
        return 2
    return 0


def _evaluate(run: Path, name: str | None, batch_size: int) -> None:
    from rich.console import Console

    with imports_set_aside():
        from hf_tune.data.splits import load_splits
        from hf_tune.finetuned import load_finetuned
    from hf_tune.library_noise import quieten_bars
    from hf_tune.recipe.reader import load_recipe
    from hf_tune.results.decision import describe_threshold
    from hf_tune.results.record import as_json, format_table
    from hf_tune.results.two_classes import name_positive
    from hf_tune.training.training_data import count_rows

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("evaluate runs in one process", "start it without a launcher")
    if batch_size < 1:
        raise InputError(f"--batch-size {batch_size} is out of range", "it must be at least 1")
    quieten_bars()
    finetuned = load_finetuned(run)
    recipe = load_recipe(run / "recipe.yaml")
    with recipe.blame("data"):
        splits = load_splits(recipe.data, finetuned.task, recipe.model.problem_type)
    if splits.label_names != finetuned.label_names:
        problem = f"the data's labels are now {', '.join(splits.label_names)}"
        raise InputError(problem, f"the run was trained on {', '.join(finetuned.label_names)}")
    name = name or ("test" if splits.test is not None else "validation")
    split = getattr(splits, name)
    if split is None:
        raise InputError(f"the data of this run has no {name} split", "choose train or validation")
    if count_rows(split) is None:
        raise InputError("the train split of this run is a stream, which is never scored", "choose validation or test")
    kept = finetuned.keep_rows(split, batch_size)
    scores = as_json(finetuned.task.metrics(kept, splits.label_names))
    baseline = finetuned.task.baseline(splits.train.get_labels(), kept, splits.label_names)
    if say_result({"run": str(run), "splits": {name: scores}, "baseline": baseline}):
        return
    positive = name_positive(splits.label_names, scores)
    Console().print(format_table({name: scores}, baseline, positive))
    if finetuned.threshold is not None:
        print(describe_threshold(finetuned.threshold))


if __name__ == "__main__":
    sys.exit(run_command(main))
