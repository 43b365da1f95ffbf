"""What happens after the last step: score, save, prove, describe."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from hf_tune.adapter.attach import attach_adapter, choose_batch_norm, count_parameters, name_method
from hf_tune.adapter.batch_norm import find_batch_norms
from hf_tune.data.splits import Splits
from hf_tune.finetuned import Finetuned
from hf_tune.hub.card_facts import reported_split
from hf_tune.model.checkpoint import save_config, save_model
from hf_tune.model.quantised_base import cast_to_float32
from hf_tune.proof import Proof, check_proof, prove
from hf_tune.recipe.schema import Recipe
from hf_tune.recipe.stored import order_blocks
from hf_tune.results import record, reference
from hf_tune.results.advice import describe_width, list_advice
from hf_tune.results.decision import Threshold, choose_threshold, decide, describe_threshold, save_threshold
from hf_tune.results.saved_files import save_files
from hf_tune.results.train_gap import describe_fit
from hf_tune.results.two_classes import name_positive
from hf_tune.run_card import write_card
from hf_tune.small_data import describe_linear
from hf_tune.task import Kept, LoadedModel, Scored, Task
from hf_tune.training.sharding import collect_weights, is_sharded
from hf_tune.training.training_data import count_rows


logger = logging.getLogger(__name__)


def finish_run(
    recipe: Recipe, task: Task, loaded: LoadedModel, splits: Splits, trainer: Any, trained: Any
) -> dict[str, Any]:
    """Score, save, prove and describe a trained model; return what results.json holds.

    Every process scores; the first one alone writes. Raises `ProofFailed` after everything was written, where what was
    saved is not what was trained.
    """
    encoded = {"validation": trainer.data.validation, "test": trainer.data.test}
    encoded = {name: rows for name, rows in encoded.items() if rows is not None}
    kept = {name: trainer.keep_rows(each) for name, each in encoded.items()}
    # Without the wrapper that runs forward under autocast: the proof compares in float32.
    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    weights = collect_weights(trainer) if is_sharded(trainer) else None  # every process gives its part
    if not trainer.is_world_process_zero():
        return {}
    if weights is not None:
        model = _build_whole(recipe, task, loaded, splits, weights)
    folder = recipe.output_dir
    threshold = choose_threshold(recipe.decision, kept["validation"], splits.label_names)
    files = save_files(folder, lambda aside: _save_all(model, loaded.processor, aside, threshold))
    cast_to_float32(model)  # what follows reads and compares in float32
    ranked, kept = kept, {name: decide(rows, threshold) for name, rows in kept.items()}
    scores = {name: record.as_json(task.metrics(rows, splits.label_names)) for name, rows in kept.items()}
    results = _describe(recipe, loaded, splits, trainer, trained) | {"splits": scores}
    split, _ = reported_split(results)
    results["baseline"] = task.baseline(splits.train.get_labels(), kept[split], splits.label_names)
    results["details"] = task.details(kept[split], splits.label_names)
    results["decision"] = asdict(threshold) if threshold else None
    linear = describe_linear(trainer.data.linear_baseline, ranked, split, task, splits.label_names)
    results["linear_baseline"] = linear
    results["positive"] = name_positive(splits.label_names, scores[split])
    results["advice"] = list_advice(results)
    finetuned = Finetuned(
        task=task,
        model=model,
        encoder=loaded.processor,
        label_names=splits.label_names,
        problem_type=splits.problem_type,
    )
    _save_reference(finetuned, splits, ranked["validation"], trainer, folder)
    proof = prove(finetuned, folder, splits.test or splits.validation)
    results["proof"] = asdict(proof)
    _save_rows(task, splits, kept[split], split, folder)
    results["plots"] = _draw_plots(task, splits, kept[split], trainer, folder)
    results["files"] = files
    write_card(folder, results=results)
    record.save_results(results, folder)  # last: what has no results is not finished, and --resume finishes it
    _show(results, proof, folder)
    check_proof(proof, folder)
    return results


def _build_whole(recipe: Recipe, task: Task, loaded: LoadedModel, splits: Splits, weights: Mapping[str, Any]) -> Any:
    """Return a network like the one whose parts the processes hold, on the CPU, with their weights."""
    source = replace(recipe.model, problem_type=splits.problem_type, revision=loaded.revision)
    again = task.load_model(source, recipe.preprocess, splits.label_names)
    model = attach_adapter(again, recipe.peft, recipe.batch_norm, task.peft_task_type)
    model.load_state_dict(weights)
    return model


def _save_all(model: Any, processor: Any, folder: Path, threshold: Threshold | None) -> None:
    _save(model, processor, folder)
    save_threshold(threshold, folder)


def _save(model: Any, processor: Any, folder: Path) -> None:
    if hasattr(model, "peft_config"):
        model.save_pretrained(folder)
        save_config(model.config, processor, folder)  # labels and preprocessing, which no adapter file holds
    else:
        save_model(model, processor, folder)


def _describe(recipe: Recipe, loaded: LoadedModel, splits: Splits, trainer: Any, trained: Any) -> dict[str, Any]:
    """Return results.json without scores and proof."""
    trainable, total = count_parameters(trainer.accelerator.unwrap_model(trainer.model))
    rows = {"train": count_rows(splits.train), "validation": len(splits.validation)}
    rows |= {"test": len(splits.test)} if splits.test is not None else {}
    device = trainer.args.device
    best = _name_best(trainer)
    moves = choose_batch_norm(recipe.batch_norm, recipe.peft) if _has_statistics(loaded) else "none"
    return {
        "task": recipe.task,
        "pipeline_tag": trainer.task.pipeline_tag,
        "problem_type": splits.problem_type,
        "label_names": list(splits.label_names),
        "method": name_method(recipe.peft),
        "cost": {
            "train_seconds": trained.metrics["train_runtime"],
            "examples_per_second": trained.metrics["train_samples_per_second"],
            "peak_memory_mib": record.read_peak_memory_mib(device),
            "trainable_parameters": trainable,
            "total_parameters": total,
        },
        "steps": trainer.state.global_step,
        "best_checkpoint": best,
        "chosen_by": trainer.args.metric_for_best_model if best else None,
        "seed": trainer.args.seed,
        "batch_norm": moves,
        "resumed_from": trainer.resumed_from,
        "environment": record.describe_environment(_name_device(device), trainer.args.world_size),
        "base": _describe_base(loaded),
        "recipe_hash": hashlib.sha256(repr(order_blocks(recipe.values)).encode()).hexdigest()[:16],
        "data": {**_describe_data(recipe, splits), "rows": rows},
        "notes": list(trainer.data.notes),
        "fit": describe_fit(trainer.state.log_history, trainer.state.best_global_step if best else None),
    }


def _name_best(trainer: Any) -> str | None:
    """Return the checkpoint that was loaded at the end; the Trainer also notes a best one that is not."""
    best = trainer.state.best_model_checkpoint
    return Path(best).name if best and trainer.args.load_best_model_at_end else None


def _describe_data(recipe: Recipe, splits: Splits) -> dict[str, Any]:
    """Return the name of the data, what the Hub calls it, and the fingerprint of its rows."""
    known = asdict(splits.hub) if splits.hub is not None else {"id": None, "revision": None, "config": None}
    return {"name": _name_data(recipe.data.load), **known, "fingerprint": splits.fingerprint}


def _describe_base(loaded: LoadedModel) -> dict[str, Any]:
    described = {
        "id": loaded.base_id,
        "revision": loaded.revision,
        "pretrained": loaded.pretrained,
        "fingerprint": loaded.fingerprint,
        "new_layers": sorted(loaded.new_layers) if loaded.pretrained else [],
    }
    return described | ({"quantization": loaded.quantization} if loaded.quantization else {})


def _name_data(load: Mapping[str, Any]) -> str:
    """Return the name of a data set: of local files their own names, not the word for their format."""
    files = load.get("data_dir") or load.get("data_files")
    listed = list(files.values()) if isinstance(files, Mapping) else [files] if isinstance(files, str) else files or []
    flat = [each for item in listed for each in ([item] if isinstance(item, str) else item)]
    names = ", ".join(Path(each).name for each in flat)
    return f"{names} ({load['path']})" if names else str(load["path"])


def _has_statistics(loaded: LoadedModel) -> bool:
    return bool(find_batch_norms(loaded.model))


def _name_device(device: Any) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device.type)


def _save_reference(finetuned: Finetuned, splits: Splits, kept: Kept, trainer: Any, folder: Path) -> None:
    task, rows = finetuned.task, range(min(reference.MAX_ROWS, len(splits.validation)))
    cut = task.feature_cut(finetuned.model, len(finetuned.label_names))
    size = trainer.args.eval_batch_size
    batches = (
        task.collate([trainer.data.validation[row] for row in rows[start : start + size]], finetuned.encoder)
        for start in range(0, len(rows), size)
    )
    features = reference.read_features(
        finetuned.model, cut, batches, lambda batch: task.build_inputs(batch, finetuned.encoder, finetuned.model)
    )
    statistics = [task.input_statistics(splits.validation[row], finetuned.encoder) for row in rows]
    record.save_table(reference.build_reference(features, kept, statistics), folder / "reference.parquet")


def _save_rows(task: Task, splits: Splits, kept: Kept, split: str, folder: Path) -> None:
    columns = {"id": np.arange(len(kept["labels"])), "split": [split] * len(kept["labels"])}
    record.save_table({**columns, **task.prediction_columns(kept, splits.label_names)}, folder / "predictions.parquet")


def _draw_plots(task: Task, splits: Splits, kept: Kept, trainer: Any, folder: Path) -> list[str]:
    """Draw what the task draws of the reported split; return the names of the files."""
    (folder / "plots").mkdir(exist_ok=True)
    split, history = splits.test or splits.validation, trainer.state.log_history
    scored = Scored(split=split, kept=kept, label_names=splits.label_names, history=history)
    return task.plots(scored, folder / "plots")


def _show(results: Mapping[str, Any], proof: Proof, folder: Path) -> None:
    from rich.console import Console

    console = Console()
    linear = results["linear_baseline"]
    console.print(record.format_table(results["splits"], results["baseline"], results["positive"], linear))
    if results["decision"]:
        console.print(describe_threshold(results["decision"]), highlight=False, markup=False)
    width = describe_width(results, reported_split(results)[0])
    for sentence in ([width] if width else []) + results["advice"]:
        console.print(sentence, highlight=False, markup=False)
    word = "passed" if proof.passed else "FAILED"
    console.print(
        f"proof {word}: reloaded in a fresh process, {proof.rows} rows, max |Δ| {proof.max_abs_difference:.2g}"
    )
    console.print(f"saved in {folder}: see README.md, results.json, plots/", highlight=False)
