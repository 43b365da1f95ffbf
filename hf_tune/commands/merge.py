"""Merge an adapter into its base: a full model that needs no PEFT, compared with the adapter that it came from.

hf-tune merge RUN --output FOLDER
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_tune.collector import imports_set_aside
from hf_tune.command_output import run_command, tell_error
from hf_tune.input_error import InputError


if TYPE_CHECKING:
    import numpy as np

    from hf_tune.finetuned import Finetuned

MAX_ROWS = 256
TOLERANCE = 1e-3
"""Of the largest output: sums in another order, float32."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the merged model; return 0, 2 where it cannot be merged, or 4 where its outputs are not the adapter's."""
    parser = argparse.ArgumentParser(prog="hf-tune merge", description=__doc__.partition("\n")[0])
    parser.add_argument("run", help="output_dir of a run that trained an adapter")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="new or empty: the merged model")
    options = parser.parse_args(argv)
    try:
        found = _merge(Path(options.run), Path(options.output))
    except InputError as error:
        tell_error(error)
        return 2
    agreement = "" if found["agreement"] is None else f", the same answer on {found['agreement']:.1%}"
    print(f"on {found['rows']} {found['split']} rows: max |Δ| {found['max_abs_difference']:.2g}{agreement}")
    if not found["passed"]:
        told = f"{options.output}: the outputs are not the adapter's: they differ by {found['max_abs_difference']:.2g}"
        print(f"{told} where the largest is {found['max_abs_output']:.2g}; do not use it", file=sys.stderr)
        return 4
    print(f"saved in {options.output}: load_finetuned and transformers read it, without PEFT")
    return 0


def _merge(run: Path, output: Path) -> dict[str, Any]:
    with imports_set_aside():
        from hf_tune.data.splits import load_splits
        from hf_tune.finetuned import load_finetuned
    from hf_tune.library_noise import quieten_bars
    from hf_tune.model.checkpoint import save_model
    from hf_tune.recipe.reader import load_recipe
    from hf_tune.recipe.stored import save_recipe
    from hf_tune.results.decision import save_threshold

    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"--output {output} is not empty", "name a new folder")
    quieten_bars()
    adapted = load_finetuned(run)
    _check_method(run, adapted.model)
    recipe = load_recipe(run / "recipe.yaml")
    with recipe.blame("data"):
        splits = load_splits(recipe.data, adapted.task, recipe.model.problem_type)
    split = splits.test if splits.test is not None else splits.validation
    examples = [split[row] for row in range(min(MAX_ROWS, len(split)))]
    before = adapted.read_outputs(examples)
    save_model(_fold(adapted.model), adapted.encoder, output)
    save_threshold(adapted.threshold, output)
    save_recipe(recipe, output)  # load_finetuned reads the task there
    after = load_finetuned(output).read_outputs(examples)
    found = {"run": str(run), "split": split.name, "rows": len(examples), **_measure(before, after, adapted)}
    (output / "merge.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found


def _check_method(run: Path, model: Any) -> None:
    from hf_tune.adapter.method_targets import PROMPTS
    from hf_tune.model.quantised_base import is_quantised

    if not hasattr(model, "peft_config"):
        raise InputError(f"{run} holds a full model: there is nothing to merge", "use it as it is")
    method = str(getattr(model.active_peft_config.peft_type, "value", model.active_peft_config.peft_type))
    if is_quantised(model):
        problem = "the base is quantised and cannot be merged: its bits would round the adapter off"
        raise InputError(problem, "load it with PEFT")
    if method in PROMPTS:
        raise InputError(f"{method} cannot be merged: its tokens are no weights of the base", "load it with PEFT")
    if method == "BOTTLENECK":
        raise InputError(f"{method} cannot be merged: its layers are not linear", "load it with PEFT")


def _fold(model: Any) -> Any:
    """Return the base with the adapter's weights added, in float32."""
    from peft.utils import ModulesToSaveWrapper

    method = model.active_peft_config.peft_type
    try:
        merged = model.merge_and_unload(safe_merge=True)
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise InputError(f"PEFT cannot merge {method}: {error}", "load the adapter with PEFT") from None
    for name, layer in list(merged.named_modules()):
        if isinstance(layer, ModulesToSaveWrapper):  # LN_TUNING leaves them, PEFT 0.21: a random head would be loaded
            merged.set_submodule(name, layer.modules_to_save[layer.active_adapter])
    return merged


def _measure(before: "np.ndarray", after: "np.ndarray", finetuned: "Finetuned") -> dict[str, Any]:
    import numpy as np

    from hf_tune.task import MULTI_LABEL, REGRESSION

    difference, largest = float(np.abs(before - after).max()), float(np.abs(before).max())
    if finetuned.problem_type == REGRESSION:
        agreement = None
    elif finetuned.problem_type == MULTI_LABEL:
        agreement = float(((before >= 0) == (after >= 0)).all(1).mean())
    else:
        agreement = float((before.argmax(1) == after.argmax(1)).mean())
    passed = difference <= TOLERANCE * largest
    return {
        "max_abs_difference": difference,
        "max_abs_output": largest,
        "agreement": agreement,
        "passed": passed,
    }


if __name__ == "__main__":
    sys.exit(run_command(main))
