"""The model card: README.md of a run, from its results; what is not known is left out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


_TEMPLATE = Path(__file__).with_name("card_template.md")


def save_card(results: Mapping[str, Any], card: Mapping[str, Any], facts: Mapping[str, Any], folder: Path) -> None:
    """Write README.md.

    `card` are arguments of `huggingface_hub.ModelCardData`; `facts` holds what results.json does not: `recipe` (text),
    `section` (the task's Markdown), `plots` (file names), `notes`, `labels`, `pipeline_tag`, `auto_model`.
    """
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    split, scores = reported_split(results)
    evaluated = [
        EvalResult(
            task_type=facts["pipeline_tag"],
            dataset_type=str(results["data"]["name"]),
            dataset_name=str(results["data"]["name"]),
            dataset_split=split,
            metric_type=name,
            metric_value=round(score["value"], 6),
        )
        for name, score in scores.items()
    ]
    adapter = results["method"] not in ("full", "probe")
    known: dict[str, Any] = {
        "pipeline_tag": facts["pipeline_tag"],
        "library_name": "peft" if adapter else "transformers",
        "tags": ["hf_tune"],
        "model_name": folder.resolve().name,
        "eval_results": evaluated,
    }
    if results["base"]["revision"]:  # a base that the Hub knows
        known |= {"base_model": results["base"]["id"], "base_model_relation": "adapter" if adapter else "finetune"}
    written = ModelCard.from_template(
        ModelCardData(**{**known, **card}),
        template_path=str(_TEMPLATE),
        results=results,
        split=split,
        scores=scores,
        adapter=adapter,
        quantization=_format_quantization(results["base"].get("quantization")),
        table=_format_scores(results["splits"]),
        title=folder.resolve().name,
        **{name: value for name, value in facts.items() if name != "pipeline_tag"},
    )
    written.save(folder / "README.md")


def reported_split(results: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return the name and the scores of the split that is reported: test, where there is one."""
    name = "test" if "test" in results["splits"] else "validation"
    return name, results["splits"][name]


def _format_quantization(block: Mapping[str, Any] | None) -> str | None:
    """Return the Python expression of a `quantization_config:` block."""
    if block is None:
        return None
    arguments = {name: value for name, value in block.items() if name not in ("quant_method", "quant_type")}
    named = [f"quant_type={block['quant_type']}()"] if "quant_type" in block else []
    named += [f"{name}={value!r}" for name, value in arguments.items()]
    config = {"bitsandbytes": "BitsAndBytesConfig", "torchao": "TorchAoConfig"}[block["quant_method"]]
    return f"{config}({', '.join(named)})"


def _format_scores(splits: Mapping[str, Any]) -> str:
    """Return a Markdown table: one row per metric, one column per split, intervals in brackets."""
    lines = [f"| metric | {' | '.join(splits)} |", "|---" * (len(splits) + 1) + "|"]
    for metric in next(iter(splits.values())):
        cells = []
        for scores in splits.values():
            value, low, high = (scores[metric][name] for name in ("value", "low", "high"))
            cells.append(f"{value:.4f}" + ("" if low is None else f" ({low:.4f} to {high:.4f})"))
        lines.append(f"| {metric} | {' | '.join(cells)} |")
    return "\n".join(lines)
