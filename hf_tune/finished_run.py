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
from hf_tune.hub.card import reported_split, save_card
from hf_tune.model.checkpoint import save_config, save_model
from hf_tune.model.quantised_base import cast_to_float32
from hf_tune.proof import Proof, check_proof, prove
from hf_tune.recipe.schema import Recipe
from hf_tune.recipe.stored import order_blocks
from hf_tune.results import record, reference
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
    _save(model, loaded.processor, folder)
    cast_to_float32(model)  # what follows reads and compares in float32
    scores = {name: record.as_json(task.metrics(rows, splits.label_names)) for name, rows in kept.items()}
    results = _describe(recipe, loaded, splits, trainer, trained) | {"splits": scores}
    split, _ = reported_split(results)
    results["baseline"] = task.baseline(splits.train.get_labels(), kept[split], splits.label_names)
    results["details"] = task.details(kept[split], splits.label_names)
    finetuned = Finetuned(
        task=task,
        model=model,
        encoder=loaded.processor,
        label_names=splits.label_names,
        problem_type=splits.problem_type,
    )
    _save_reference(finetuned, splits, kept["validation"], trainer, folder)
    proof = prove(finetuned, folder, splits.test or splits.validation)
    results["proof"] = asdict(proof)
    _save_rows(task, splits, kept[split], split, folder)
    record.save_results(results, folder)
    _save_pages(
        recipe,
        task,
        splits,
        results,
        trainer,
        Scored(
            split=splits.test or splits.validation,
            kept=kept[split],
            label_names=splits.label_names,
            history=trainer.state.log_history,
        ),
    )
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
        "best_checkpoint": Path(trainer.state.best_model_checkpoint).name
        if trainer.state.best_model_checkpoint
        else None,
        "chosen_by": trainer.args.metric_for_best_model if trainer.state.best_model_checkpoint else None,
        "seed": trainer.args.seed,
        "batch_norm": moves,
        "resumed_from": trainer.resumed_from,
        "environment": record.describe_environment(_name_device(device), trainer.args.world_size),
        "base": _describe_base(loaded),
        "recipe_hash": hashlib.sha256(repr(order_blocks(recipe.values)).encode()).hexdigest()[:16],
        "data": {"name": _name_data(recipe.data.load), "fingerprint": splits.fingerprint, "rows": rows},
    }


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
    statistics = [task.input_statistics(splits.validation[row]) for row in rows]
    record.save_table(reference.build_reference(features, kept, statistics), folder / "reference.parquet")


def _save_rows(task: Task, splits: Splits, kept: Kept, split: str, folder: Path) -> None:
    columns = {"id": np.arange(len(kept["labels"])), "split": [split] * len(kept["labels"])}
    record.save_table({**columns, **task.prediction_columns(kept, splits.label_names)}, folder / "predictions.parquet")


def _save_pages(
    recipe: Recipe, task: Task, splits: Splits, results: Mapping[str, Any], trainer: Any, scored: Scored
) -> None:
    folder = recipe.output_dir
    (folder / "plots").mkdir(exist_ok=True)
    facts = {
        "recipe": (folder / "recipe.yaml").read_text(encoding="utf-8"),
        "section": task.card_section(results),
        "plots": task.plots(scored, folder / "plots"),
        "notes": trainer.data.notes,
        "labels": splits.label_names,
        "pipeline_tag": task.pipeline_tag,
        "sample": task.sample,
        "auto_processor": task.auto_processor,
        "auto_model": task.auto_model,
    }
    save_card(results, recipe.card, facts, folder)


def _show(results: Mapping[str, Any], proof: Proof, folder: Path) -> None:
    from rich.console import Console

    console = Console()
    console.print(record.format_table(results["splits"], results["baseline"]))
    word = "passed" if proof.passed else "FAILED"
    console.print(
        f"proof {word}: reloaded in a fresh process, {proof.rows} rows, max |Δ| {proof.max_abs_difference:.2g}"
    )
    console.print(f"saved in {folder}: see README.md, results.json, plots/", highlight=False)
