"""What a finished run leaves, against scikit-learn, its own weights and its own recipe."""

import hashlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy
from sklearn import metrics

from hf_tune.data.splits import load_splits
from hf_tune.finetuned import load_finetuned
from hf_tune.finished_run import _name_best
from hf_tune.recipe.reader import load_recipe
from hf_tune.tasks import get_task


NAMES = ["red", "green", "blue"]


@pytest.fixture(scope="module")
def results(finished_run: Path) -> dict[str, Any]:
    return json.loads((finished_run / "results.json").read_text())


@pytest.fixture(scope="module")
def predictions(finished_run: Path) -> dict[str, list[Any]]:
    return pyarrow.parquet.read_table(finished_run / "predictions.parquet").to_pydict()


def test_predictions_are_those_of_the_test_split_in_its_order(predictions: dict[str, list[Any]]) -> None:
    assert predictions["id"] == list(range(11)) and predictions["split"] == ["test"] * 11
    assert predictions["label"] == [NAMES[row % 3] for row in range(11)]
    assert predictions["prediction"] == [NAMES[int(np.argmax(row))] for row in predictions["probabilities"]]


def test_the_scores_are_scikit_learns_of_the_predictions(
    results: dict[str, Any], predictions: dict[str, list[Any]]
) -> None:
    true, predicted = predictions["label"], predictions["prediction"]
    scores = results["splits"]["test"]
    assert scores["accuracy"]["value"] == pytest.approx(metrics.accuracy_score(true, predicted))
    macro = metrics.f1_score(true, predicted, average="macro", zero_division=0)
    assert scores["f1_macro"]["value"] == pytest.approx(macro)
    numbers = [NAMES.index(name) for name in true]
    probabilities = np.asarray(
        predictions["probabilities"], dtype=np.float64
    )  # of float32: they sum to 1 but for 1e-7
    probabilities /= probabilities.sum(1, keepdims=True)
    surprise = metrics.log_loss(numbers, probabilities, labels=[0, 1, 2])
    assert scores["log_loss"]["value"] == pytest.approx(surprise, rel=1e-4)
    confusion = metrics.confusion_matrix(true, predicted, labels=NAMES)
    assert results["details"]["confusion_matrix"] == confusion.tolist()
    assert results["baseline"] == {
        "name": "majority class (red)",
        "metric": "accuracy",
        "value": pytest.approx(4 / 11),
    }


def test_the_results_say_how_they_were_made(results: dict[str, Any], finished_run: Path) -> None:
    parameters = sum(parameter.numel() for parameter in load_finetuned(finished_run).model.parameters())
    assert results["cost"]["trainable_parameters"] == results["cost"]["total_parameters"] == parameters
    assert (results["steps"], results["seed"], results["method"]) == (2, 0, "full")
    assert results["data"]["rows"] == {"train": 24, "validation": 9, "test": 11}
    assert results["base"] == {
        "id": "timm/test_resnet.r160_in1k",
        "revision": None,
        "pretrained": False,
        "fingerprint": None,
        "new_layers": [],
    }
    assert results["proof"]["passed"] and results["proof"]["rows"] == 11
    assert results["resumed_from"] is None
    assert results["data"] | {"rows": None, "fingerprint": None} == {
        "name": "tiny_pictures:load",
        "id": None,
        "revision": None,
        "config": None,
        "rows": None,
        "fingerprint": None,
    }
    assert results["notes"] == []


def test_the_results_know_every_file_that_was_saved_and_every_plot(
    results: dict[str, Any], finished_run: Path
) -> None:
    saved = {name: (finished_run / name).read_bytes() for name in ("config.json", "model.safetensors")}
    assert results["files"] == {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in saved.items()
    }
    assert not (finished_run / "saved.tmp").exists()
    assert sorted(results["plots"]) == sorted(path.name for path in (finished_run / "plots").iterdir())


def test_train_and_validation_at_the_saved_step_are_those_of_the_log(
    results: dict[str, Any], finished_run: Path
) -> None:
    lines = [json.loads(line) for line in (finished_run / "log.jsonl").read_text().splitlines()]
    (line,) = [line for line in lines if "eval_loss" in line]
    assert results["fit"] == {
        "step": 2,
        "lowest": {"step": 2, "loss": line["eval_loss"]},
        "train": {"loss": line["train_mean_loss"], "accuracy": line["train_accuracy"]},
        "validation": {"loss": line["eval_loss"], "accuracy": line["eval_accuracy"]},
    }


@pytest.mark.parametrize(("is_loaded", "name"), [(True, "checkpoint-7"), (False, None)])
def test_a_best_checkpoint_that_is_not_loaded_was_not_saved(is_loaded: bool, name: str | None) -> None:
    """With `metric_for_best_model` alone the Trainer notes a best checkpoint, and the last weights are saved."""
    state = SimpleNamespace(best_model_checkpoint="run/checkpoint-7")
    trainer = SimpleNamespace(state=state, args=SimpleNamespace(load_best_model_at_end=is_loaded))
    assert _name_best(trainer) == name


def test_the_reference_holds_the_features_that_the_head_sees(finished_run: Path) -> None:
    reference = pyarrow.parquet.read_table(finished_run / "reference.parquet").to_pydict()
    head = load_finetuned(finished_run).model.get_submodule("timm_model.fc")
    with torch.no_grad():
        probabilities = head(torch.tensor(reference["features"])).softmax(1).numpy()
    assert reference["row"] == list(range(9))
    assert np.allclose(reference["top_score"], probabilities.max(1), atol=1e-5)
    assert set(reference["width"]) == {24.0} and set(reference["height"]) == {20.0}


def test_of_50_classes_the_ten_most_probable_are_kept(run_of_50_classes: Path) -> None:
    finetuned = load_finetuned(run_of_50_classes)
    sys.modules.pop("tiny_pictures", None)
    splits = load_splits(load_recipe(run_of_50_classes / "recipe.yaml").data, finetuned.task)
    sys.modules.pop("tiny_pictures", None)
    logits = finetuned.read_outputs(list(splits.test.rows))
    every, names = softmax(logits.astype(np.float64), axis=1), finetuned.label_names
    table = pyarrow.parquet.read_table(run_of_50_classes / "predictions.parquet").to_pydict()
    assert list(table)[5:] == ["top_labels", "top_probabilities", "label_probability"] and len(table["label"]) == 11
    assert table["label"] == [f"shade {row}" for row in range(11)]
    for row, top in enumerate(table["top_labels"]):
        assert len(set(top)) == 10 and top[0] == table["prediction"][row]
        own = [every[row][names.index(name)] for name in top]
        assert np.allclose(table["top_probabilities"][row], own, atol=1e-5)
        assert min(own) >= np.sort(every[row])[-11] - 1e-5
    assert np.allclose(table["score"], every.max(1), atol=1e-5)
    assert np.allclose(table["label_probability"], every[np.arange(11), np.arange(11)], atol=1e-5)
    results = json.loads((run_of_50_classes / "results.json").read_text())
    surprise = metrics.log_loss(np.arange(11), every, labels=range(50))
    assert results["splits"]["test"]["log_loss"]["value"] == pytest.approx(surprise, rel=1e-4)
    assert np.asarray(results["details"]["confusion_matrix"]).shape == (50, 50) and results["proof"]["passed"]
    assert (run_of_50_classes / "plots" / "mistakes.png").exists()
    assert set(get_task(results["task"]).example_plots) <= set(results["plots"])


def test_the_certainty_of_a_reference_is_that_of_all_classes(run_of_50_classes: Path) -> None:
    reference = pyarrow.parquet.read_table(run_of_50_classes / "reference.parquet").to_pydict()
    head = load_finetuned(run_of_50_classes).model.get_submodule("timm_model.fc")
    with torch.no_grad():
        probabilities = head(torch.tensor(reference["features"])).double().softmax(1).numpy()
    assert np.allclose(reference["entropy"], entropy(probabilities, axis=1), atol=1e-4)
    assert np.allclose(reference["top_score"], probabilities.max(1), atol=1e-5)
