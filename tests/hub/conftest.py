"""Results of a run that was never made, and what a card is made of beside them."""

import copy
from typing import Any

import pytest

from hf_tune.hub.card_facts import CardFacts


CLASSES = [
    {"label": "red", "precision": 0.8, "recall": 1.0, "f1": 0.889, "rows": 8},
    {"label": "blue", "precision": 1.0, "recall": 0.5, "f1": 0.667, "rows": 4},
    {"label": "green", "precision": 0.75, "recall": 0.75, "f1": 0.75, "rows": 4},
]
RESULTS: dict[str, Any] = {
    "task": "image_classification",
    "pipeline_tag": "image-classification",
    "problem_type": "single_label_classification",
    "label_names": ["red", "blue", "green"],
    "method": "full",
    "batch_norm": "trained",
    "seed": 3,
    "steps": 40,
    "best_checkpoint": "checkpoint-30",
    "chosen_by": "accuracy",
    "base": {"id": "some/base", "revision": "0123456789abcdef", "pretrained": True},
    "data": {
        "name": "some/data",
        "id": "some/data",
        "revision": "f" * 40,
        "config": "default",
        "rows": {"train": 1280, "validation": 8, "test": 16},
        "fingerprint": "f00d",
    },
    "cost": {
        "trainable_parameters": 1234,
        "total_parameters": 56789,
        "train_seconds": 12.4,
        "examples_per_second": 100.0,
        "peak_memory_mib": 512.0,
    },
    "environment": {
        "versions": {"torch": "9.9"},
        "device": "cpu",
        "threads": 2,
        "num_processes": 1,
        "command": "python -m hf_tune.run a.yaml",
    },
    "splits": {
        "validation": {
            "accuracy": {"value": 0.875, "low": 0.75, "high": 0.9375},
            "log_loss": {"value": 0.3, "low": 0.2, "high": 0.4},
        },
        "test": {
            "accuracy": {"value": 0.8125, "low": 0.57, "high": 0.93},
            "log_loss": {"value": 0.5, "low": None, "high": None},
        },
    },
    "details": {"classes": CLASSES, "confusion_matrix": [[8, 0, 0], [1, 2, 1], [1, 0, 3]]},
    "baseline": {"name": "majority class (red)", "metric": "accuracy", "value": 0.5},
    "proof": {"passed": True, "rows": 16, "max_abs_difference": 0.0},
    "notes": ["A note."],
    "plots": ["curves.png"],
    "files": {"model.safetensors": {"bytes": 1, "sha256": "00"}},
    "fit": {
        "step": 30,
        "train": {"loss": 0.1, "accuracy": 0.99},
        "validation": {"loss": 0.3, "accuracy": 0.875},
    },
}


@pytest.fixture
def results() -> dict[str, Any]:
    """Return results that a test may change."""
    return copy.deepcopy(RESULTS)


@pytest.fixture
def facts() -> CardFacts:
    """Return the facts of a full model in the folder `run`."""
    return CardFacts(
        name="run",
        recipe="task: image_classification\n",
        section="| class | rows |",
        plots=("curves.png",),
        sample='"some.png"',
        auto_model="AutoModelForImageClassification",
        auto_processor="AutoImageProcessor",
        model_type="resnet",
    )
