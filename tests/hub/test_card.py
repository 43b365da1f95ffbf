"""The card of a run, read back by huggingface_hub."""

import copy
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from hf_tune.hub.card import reported_split, save_card


SCORE = {"value": 0.875, "low": 0.75, "high": 0.9375}
RESULTS: dict[str, Any] = {
    "task": "image_classification",
    "method": "full",
    "batch_norm": "trained",
    "seed": 3,
    "base": {"id": "some/base", "revision": "0123456789abcdef", "pretrained": True},
    "data": {"name": "some/data", "rows": {"train": 80, "validation": 8, "test": 16}, "fingerprint": "f00d"},
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
    "splits": {"validation": {"accuracy": SCORE}, "test": {"accuracy": {"value": 0.8125, "low": None, "high": None}}},
    "baseline": {"name": "majority class (red)", "metric": "accuracy", "value": 0.5},
    "proof": {"passed": True, "rows": 16, "max_abs_difference": 0.0},
}
FACTS: dict[str, Any] = {
    "recipe": "task: image_classification\n",
    "section": "| class | rows |",
    "plots": ["curves.png"],
    "notes": ("A note.",),
    "labels": ("red", "blue"),
    "pipeline_tag": "image-classification",
    "auto_model": "AutoModelForImageClassification",
    "auto_processor": "AutoImageProcessor",
    "sample": '"some.png"',
}


def write_card(folder: Path, card: dict[str, Any] | None = None, **changes: Any) -> ModelCard:
    save_card({**copy.deepcopy(RESULTS), **changes}, card or {}, FACTS, folder)
    return ModelCard.load(folder / "README.md")


def test_the_metadata_holds_the_score_of_the_test_split(tmp_path: Path) -> None:
    data = write_card(tmp_path).data
    assert (data.library_name, data.pipeline_tag, data.tags) == ("transformers", "image-classification", ["hf_tune"])
    assert (data.base_model, data.base_model_relation) == ("some/base", "finetune")
    result = data.eval_results[0]
    assert (result.metric_type, result.metric_value, result.dataset_split) == ("accuracy", 0.8125, "test")
    assert len(data.eval_results) == 1


def test_the_text_holds_numbers_recipe_notes_and_plots(tmp_path: Path) -> None:
    text = write_card(tmp_path).text
    for part in (
        "| metric | validation | test |\n|---|---|---|\n| accuracy | 0.8750 (0.7500 to 0.9375) | 0.8125 |",
        "Measured on the test split, 16 rows",
        "Always answering the majority class (red) would score accuracy 0.5000",
        "(revision `0123456789ab`), fine-tuned for image classification",
        "80 train, 8 validation, 16 test rows; fingerprint `f00d`",
        "1,234 of 56,789 parameters",
        "```yaml\ntask: image_classification\n```",
        "- A note.",
        "![curves](plots/curves.png)",
        "outputs are equal to those of the trained model",
    ):
        assert part in text, part


def test_a_failed_proof_warns_the_reader(tmp_path: Path) -> None:
    text = write_card(tmp_path, proof={"passed": False, "rows": 16, "max_abs_difference": 0.5}).text
    assert "**The proof failed**" in text and "differ by 0.5" in text and "Do not use this model" in text


def test_an_adapter_is_told_as_peft_with_its_base(tmp_path: Path) -> None:
    card = write_card(tmp_path, method="lora")
    assert (card.data.library_name, card.data.base_model_relation) == ("peft", "adapter")
    assert '"some/base", revision="0123456789abcdef",' in card.text
    assert "PeftModel.from_pretrained(base, run)" in card.text and "import pipeline" not in card.text


def test_the_snippet_of_a_bottleneck_adapter_makes_the_method_known_first(tmp_path: Path) -> None:
    text = write_card(tmp_path, method="bottleneck").text
    assert "import hf_tune  # makes the method known to PEFT\nfrom peft import PeftModel\n" in text
    assert "import hf_tune" not in write_card(tmp_path, method="lora").text


def test_a_probe_is_a_full_model(tmp_path: Path) -> None:
    card = write_card(tmp_path, method="probe")
    assert card.data.library_name == "transformers" and "import pipeline" in card.text


def test_a_base_that_the_hub_does_not_know_is_not_linked(tmp_path: Path) -> None:
    card = write_card(tmp_path, base={"id": "some/folder", "revision": None, "pretrained": False})
    assert card.data.base_model is None
    assert "The architecture of `some/folder`, trained from its own initialisation" in card.text
    assert "revision" not in card.text


def test_the_recipes_card_block_goes_before_what_is_known(tmp_path: Path) -> None:
    data = write_card(tmp_path, {"license": "mit", "language": "en", "tags": ["mine"]}).data
    assert (data.license, data.language, data.tags) == ("mit", "en", ["mine"])


@pytest.mark.parametrize(("names", "reported"), [(("validation", "test"), "test"), (("validation",), "validation")])
def test_test_is_reported_where_there_is_one(names: tuple[str, ...], reported: str) -> None:
    scores = {name: {"accuracy": {"value": float(number)}} for number, name in enumerate(names)}
    assert reported_split({"splits": scores}) == (reported, scores[reported])
