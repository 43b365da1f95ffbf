"""Write what a run measured: results.json, predictions.parquet, reference.parquet, and the table for the terminal."""

import dataclasses
import importlib.metadata
import json
import math
import os
import platform
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import torch

from hf_tune.input_error import InputError
from hf_tune.task import Score


_PACKAGES = ("hf_tune", "torch", "transformers", "timm", "peft", "datasets", "accelerate", "huggingface_hub")


def describe_environment(device: str, num_processes: int) -> dict[str, Any]:
    """Return versions, device, threads and the command of this run, as a shell takes it."""
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    module = getattr(sys.modules["__main__"], "__spec__", None)
    program = ["python", "-m", module.name] if module is not None else ["python", *sys.argv[:1]]
    return {
        "versions": {"python": platform.python_version(), **versions},
        "device": device,
        "threads": torch.get_num_threads(),
        "num_processes": num_processes,
        "command": shlex.join([*program, *sys.argv[1:]]),
    }


def read_peak_memory_mib(device: torch.device) -> float:
    """Return the largest memory that this process held, in MiB: on the GPU where it has one, else resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def save_results(results: Mapping[str, Any], folder: Path) -> None:
    """Write results.json whole or not at all."""
    file = folder / "results.json"
    temporary = file.with_suffix(".json.tmp")
    temporary.write_text(json.dumps(results, indent=2, default=_as_json) + "\n", encoding="utf-8")
    os.replace(temporary, file)


def read_results(folder: Path) -> dict[str, Any]:
    """Return results.json of a run; raises `InputError` where there is none, or none that can be read."""
    file = folder / "results.json"
    if not file.exists():
        state = "has not finished: --resume goes on with it" if (folder / "recipe.yaml").exists() else "is no run"
        state = "holds a merged model" if (folder / "merge.json").exists() else state
        raise InputError(f"{folder} {state}; there is no results.json", "give the output_dir of a finished run")
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{file} is damaged: {error}", "run it again") from None


def as_json(scores: Mapping[str, Score]) -> dict[str, dict[str, float | None]]:
    """Return scores as results.json writes them; what is no number, such as an AUROC of one class, is left out."""
    return {name: dataclasses.asdict(score) for name, score in scores.items() if not math.isnan(score.value)}


def list_metrics(splits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the metrics that any split has, in their order."""
    return list(dict.fromkeys(metric for scores in splits.values() for metric in scores))


def save_table(columns: Mapping[str, Any], file: Path) -> None:
    """Write columns (arrays whose first axis is the row, or lists) as Parquet."""
    arrays = {
        name: pyarrow.array(value.tolist() if isinstance(value, np.ndarray) and value.ndim > 1 else value)
        for name, value in columns.items()
    }
    pyarrow.parquet.write_table(pyarrow.table(arrays), file)


def format_table(
    splits: Mapping[str, Mapping[str, Any]],
    baseline: Mapping[str, Any],
    positive: str | None = None,
    linear: Mapping[str, Any] | None = None,
) -> Any:
    """Return a rich table of the scores of every split, with intervals, and the baselines beside.

    `positive` is the one of two classes that is looked for.
    """
    from rich.table import Table

    table = Table(title="Scores, with 95 % intervals" + (f"; positive: {positive}" if positive else ""))
    table.add_column("metric")
    for name in splits:
        table.add_column(name, justify="right")
    for metric in list_metrics(splits):
        table.add_row(
            metric, *(format_score(scores[metric]) if metric in scores else "" for scores in splits.values())
        )
    table.add_section()
    if linear:
        scored = [linear["splits"].get(name, {}).get("accuracy") for name in splits]
        table.add_row(f"accuracy of {linear['name']}", *(format_score(each) if each else "" for each in scored))
    table.add_row(f"{baseline['metric']} of the {baseline['name']}", *[f"{baseline['value']:.3f}"] * len(splits))
    return table


def format_score(score: Mapping[str, float | None]) -> str:
    """Return `0.975 (0.950 to 0.988)`."""
    if score["low"] is None:
        return f"{score['value']:.3f}"
    return f"{score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f})"


def _as_json(value: Any) -> Any:
    if isinstance(value, (np.floating, np.integer)):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in results.json")
