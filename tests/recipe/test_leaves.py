"""The single values of a recipe, and those that name files of this disk."""

from pathlib import Path
from typing import Any

import pytest

from hf_tune.recipe.leaves import list_leaves, list_local_paths


def test_every_value_has_its_path_and_what_is_empty_is_a_value() -> None:
    values = {"peft": "full", "preprocess": {"augment": [], "mean": [0.5, 1]}, "card": {}, "model": None}
    assert dict(list_leaves(values)) == {
        ("peft",): "full",
        ("preprocess", "augment"): [],
        ("preprocess", "mean", 0): 0.5,
        ("preprocess", "mean", 1): 1,
        ("card",): {},
        ("model",): None,
    }


def test_paths_that_a_run_reads_are_found_under_any_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("runs/a/checkpoint-3/model", "runs/a/pictures/train/0", "runs/a/rows.csv", "runs/b/ds.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    values: dict[str, Any] = {
        "model": {"pretrained_model_name_or_path": "runs/a/checkpoint-3"},
        "data": {
            "load": {
                "path": "csv",
                "data_dir": str(tmp_path / "runs" / "a" / "pictures"),
                "data_files": {"train": ["runs/*/rows.csv", "no/such/*.csv"], "test": "zip://x.csv::runs/a/rows.csv"},
            },
            "splits": {"train": "train[:80%]"},
        },
        "preprocess": {"image_size": 32},
        "training": {"output_dir": "runs/a", "deepspeed": "file://runs/b/ds.json", "run_name": "x" * 5000},
    }
    for word in ("lora", "runs/mine"):  # a method and a name of the run: words, though such folders are there
        (tmp_path / word).mkdir()
    values |= {"peft": "lora", "training": {**values["training"], "run_name": "runs/mine"}}
    found = {str(path.absolute().relative_to(tmp_path)).rstrip("/") for path in list_local_paths(values)}
    wanted = {"runs/a/checkpoint-3", "runs/a/pictures", "runs/a/rows.csv", "runs/b/ds.json"}
    assert found == {*wanted, "runs"}  # the folder that a glob begins in
