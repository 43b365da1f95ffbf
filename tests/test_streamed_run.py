"""A run on a stream, from parquet files to a proved model: with workers, resumed, stopped by a bad row."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

import hf_tune.proof
from hf_tune.recipe.reader import load_recipe
from hf_tune.run import finetune, main


@pytest.fixture(autouse=True)
def no_child_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the proof's child inside this process, which saves 8 s, and let a pass end at once.

    datasets 5.2 sleeps 5 s wherever it stops reading several parquet files, for the threads of PyArrow.
    """
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)
    monkeypatch.setattr(hf_tune.proof, "_run_child", hf_tune.proof.main)


def save_streams(folder: Path, module: str, train: Callable[..., datasets.Dataset] = lambda rows: rows) -> str:
    """Write what a tiny loader returns as parquet files, train in three of them, and return their `load:` block."""
    sys.path.insert(0, str(folder))
    sys.modules.pop(module, None)
    try:
        tables = __import__(module).load()
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(module, None)
    for number in range(3):
        train(tables["train"]).shard(3, number, contiguous=True).to_parquet(folder / f"train-{number}.parquet")
    for name in ("validation", "test"):
        tables[name].to_parquet(folder / f"{name}.parquet")
    files = {name: str(folder / f"{name}*.parquet") for name in tables}
    return f"path: parquet\n    data_files: {json.dumps(files)}\n    streaming: true\n  shuffle_buffer: 9"


@pytest.fixture
def picture_recipe(write_recipe: Callable[..., Path], tmp_path: Path) -> Path:
    recipe = write_recipe(replace=(("squash", "squash\n  augment: [horizontal_flip, rotation]"),))
    load = save_streams(tmp_path, "tiny_pictures")
    recipe.write_text(recipe.read_text().replace("path: tiny_pictures:load", load))
    return recipe


def run(recipe: Path, folder: Path, mode: Any = "new", **training: Any) -> tuple[dict[str, Any], bytes]:
    """Return the results of a run and its weights."""
    values = {"output_dir": folder, "lr_scheduler_type": "constant", "save_total_limit": 9, **training}
    results = finetune(load_recipe(recipe, [f"training.{name}={value}" for name, value in values.items()]), mode)
    return results, (folder / "model.safetensors").read_bytes()


def test_a_stream_trains_and_its_run_says_that_it_was_one(picture_recipe: Path, tmp_path: Path) -> None:
    results, _ = run(picture_recipe, tmp_path / "run", max_steps=8, per_device_train_batch_size=5)
    assert results["proof"]["passed"] and results["steps"] == 8
    assert results["data"]["rows"] == {"train": None, "validation": 9, "test": 11}
    card = (tmp_path / "run" / "README.md").read_text()
    assert "Rows: a stream of train, 9 validation, 11 test." in card and "None" not in card
    assert "shuffled within 9 rows" in card
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = [line["eval_loss"] for line in lines if "eval_loss" in line]
    assert len(losses) == 8 and losses[-1] < losses[0] / 2


def test_a_resumed_run_with_workers_gives_the_bits_of_one_that_was_not_stopped(
    picture_recipe: Path, tmp_path: Path
) -> None:
    """24 rows and 5 a micro-batch: the second half begins in the middle of the second pass."""
    sizes = {"per_device_train_batch_size": 5, "gradient_accumulation_steps": 2, "eval_strategy": "no"}
    sizes["save_steps"] = 3
    _, whole = run(picture_recipe, tmp_path / "whole", max_steps=6, **sizes)
    run(picture_recipe, tmp_path / "part", max_steps=3, **sizes)
    _, resumed = run(picture_recipe, tmp_path / "part", "resume", max_steps=6, dataloader_num_workers=2, **sizes)
    assert resumed == whole


def test_a_stream_of_texts_trains_under_an_adapter_and_keeps_the_best_step(
    write_text_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    stopping = ("peft: full", "peft: lora\n\nearly_stopping:\n  metric: accuracy\n  patience: 9")
    recipe = write_text_recipe(replace=(stopping,))
    load = save_streams(tmp_path, "tiny_texts")
    recipe.write_text(recipe.read_text().replace("path: tiny_texts:load", load))
    results = finetune(
        load_recipe(
            recipe, ["training.max_steps=12", "training.eval_steps=4", "data.splits.validation=validation[:6]"]
        )
    )
    assert results["proof"]["passed"] and results["best_checkpoint"] is not None
    assert results["data"]["rows"] == {"train": None, "validation": 6, "test": 11}
    assert results["label_names"] == ["blue", "green", "red"]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_label_that_validation_lacks_stops_the_run_with_one_sentence(
    workers: int, write_text_recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoil(rows: datasets.Dataset) -> datasets.Dataset:
        many = datasets.concatenate_datasets([rows] * 5)
        labels = np.where(np.arange(len(many)) == 111, "pink", many["label"][:]).tolist()
        return many.remove_columns("label").add_column("label", labels)

    recipe = write_text_recipe()
    load = save_streams(tmp_path, "tiny_texts", spoil)
    recipe.write_text(recipe.read_text().replace("path: tiny_texts:load", load))
    assert main([str(recipe), "training.max_steps=20", f"training.dataloader_num_workers={workers}"]) == 1
    told = capsys.readouterr().err
    assert (
        "\nrow 111 of split 'train': has label 'pink', which validation does not have; labels of vali" in f"\n{told}"
    )
    assert "Traceback" not in told
