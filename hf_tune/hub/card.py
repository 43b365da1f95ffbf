"""The model card: README.md of a run, from its results and nothing else; what is not known is left out."""

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_tune.hub.card_facts import CardFacts, is_adapter, reported_split
from hf_tune.hub.card_limits import list_limits
from hf_tune.hub.card_sections import (
    describe_data,
    describe_labels,
    describe_model,
    describe_proof,
    describe_results,
    describe_training,
)
from hf_tune.hub.card_snippets import write_snippets
from hf_tune.markdown_text import escape


_TEMPLATE = Path(__file__).with_name("card_template.md")


def build_card(results: Mapping[str, Any], card: Mapping[str, Any], facts: CardFacts) -> Any:
    """Return the `huggingface_hub.ModelCard` of a run.

    `results` is what results.json holds; `card` are arguments of `huggingface_hub.ModelCardData`, which go before what
    is known.
    """
    from huggingface_hub import ModelCard

    return ModelCard.from_template(
        _build_metadata(results, card, facts),
        template_path=str(_TEMPLATE),
        title=escape(facts.title),
        model=describe_model(results),
        labels=describe_labels(results),
        use=write_snippets(results, facts),
        scores=describe_results(results, facts),
        limits="\n".join(f"- {sentence}" for sentence in list_limits(results)),
        data=describe_data(results),
        training=describe_training(results, facts),
        proof=describe_proof(results, facts),
    )


def save_card(card: Any, folder: Path) -> Path:
    """Write README.md whole or not at all, and return its path."""
    file = folder / "README.md"
    temporary = file.with_suffix(".md.tmp")
    card.save(temporary)
    os.replace(temporary, file)
    return file


def _build_metadata(results: Mapping[str, Any], card: Mapping[str, Any], facts: CardFacts) -> Any:
    from huggingface_hub import ModelCardData

    adapter = is_adapter(results)
    known: dict[str, Any] = {
        "pipeline_tag": results["pipeline_tag"],
        "library_name": "peft" if adapter else "transformers",
        "tags": ["hf_tune", "timm"] if facts.model_type == "timm_wrapper" and not adapter else ["hf_tune"],
        "model_name": facts.title,
        "eval_results": _list_evaluated(results),
    }
    if results["base"]["revision"]:  # a base that the Hub knows
        known |= {"base_model": results["base"]["id"], "base_model_relation": "adapter" if adapter else "finetune"}
    if results["data"].get("id"):
        known["datasets"] = [results["data"]["id"]]
    return ModelCardData(**{**known, **card})


def _list_evaluated(results: Mapping[str, Any]) -> list[Any]:
    """Return the scores of the reported split for the `model-index`."""
    from huggingface_hub import EvalResult

    split, scores = reported_split(results)
    data = results["data"]
    return [
        EvalResult(
            task_type=results["pipeline_tag"],
            dataset_type=data.get("id") or _name_type(str(data["name"])),
            dataset_name=str(data["name"]),
            dataset_config=data.get("config"),
            dataset_split=split,
            dataset_revision=data.get("revision"),
            metric_type=name,
            metric_value=round(score["value"], 6),
        )
        for name, score in scores.items()
        if math.isfinite(score["value"])
    ]


def _name_type(name: str) -> str:
    """Return the name of local data as the Hub takes it for a data set: letters, digits, `_`, `.` and `-`."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.") or "local"
