"""Python that loads a published model: with hf_tune, and with the plain library; every snippet runs as it stands."""

import json
from collections.abc import Mapping
from typing import Any

from hf_tune.hub.card_facts import CardFacts, is_adapter
from hf_tune.markdown_text import fence


_PIPELINE = (
    "`pipeline` takes this `model` with its processor. Do not give it the name of the adapter instead: transformers "
    "5.23 would then read the labels and the preprocessing of the base."
)


def write_snippets(results: Mapping[str, Any], facts: CardFacts) -> str:
    """Return the snippets as Markdown."""
    where = "it is fetched from the Hub" if facts.is_on_hub else "the folder of the run"
    own = [
        "from hf_tune import load_finetuned",
        "",
        f"model = load_finetuned({_literal(facts.name)})  # {where}",
        f"print(model.predict([{facts.sample}]))",
    ]
    parts = [_show(own)]
    if facts.own_parts:
        parts += [
            f"The network {facts.own_parts}: hf_tune alone builds and loads it. Plain transformers, PEFT and timm "
            "do not know this; what they load from these files answers otherwise."
        ]
    elif is_adapter(results):
        parts += ["With PEFT alone:", _show(_use_peft(results, facts)), _PIPELINE]
    else:
        parts += ["With transformers alone:", _show(_use_pipeline(results, facts))]
        if facts.model_type == "timm_wrapper":
            parts += ["With timm alone:", _show(_use_timm(facts))]
    parts += [_warn_of_range(facts)] if facts.intensity is not None else []
    return "\n\n".join(parts)


def _warn_of_range(facts: CardFacts) -> str:
    """Return what plain libraries do not know of pictures with more than 8 bits."""
    call = f"hf_tune.data.images.read_image({facts.sample}, {facts.intensity!r})"
    return (
        "Pictures of more than 8 bits a pixel were scaled by `preprocess.intensity`, which `load_finetuned` does too. "
        f"Plain libraries make most of them white: hand these the picture that `{call}` returns."
    )


def _use_pipeline(results: Mapping[str, Any], facts: CardFacts) -> list[str]:
    cut = ", truncation=True" if facts.auto_processor == "AutoTokenizer" else ""  # pipelines cut nothing unasked
    return [
        "from transformers import pipeline",
        "",
        f'model = pipeline("{results["pipeline_tag"]}", model={_literal(facts.name)})',
        f"print(model({facts.sample}{cut}))",
    ]


def _use_timm(facts: CardFacts) -> list[str]:
    place = "hf-hub" if facts.is_on_hub else "local-dir"
    return [
        "import timm",
        "from PIL import Image",
        "",
        f"model = timm.create_model({_literal(f'{place}:{facts.name}')}, pretrained=True).eval()",
        "settings = timm.data.resolve_model_data_config(model)",
        "transform = timm.data.create_transform(**settings, is_training=False)",
        f'picture = Image.open({facts.sample}).convert("RGB")',
        "print(model(transform(picture).unsqueeze(0)).softmax(1))  # in the order of the labels above",
    ]


def _use_peft(results: Mapping[str, Any], facts: CardFacts) -> list[str]:
    base = results["base"]
    block = base.get("quantization")
    quantization = _format_quantization(block)
    revision = f", revision={_literal(base['revision'])}" if base["revision"] else ""
    lines = ["import hf_tune  # makes the method known to PEFT"] if results["method"] == "bottleneck" else []
    lines += ["from peft import PeftModel"]
    lines += [f"from torchao.quantization import {block['quant_type']}"] if block and "quant_type" in block else []
    names = ["AutoConfig", facts.auto_model, facts.auto_processor]
    names += [quantization.partition("(")[0]] if quantization else []
    lines += [f"from transformers import {', '.join(names)}", *_import_picture(facts), ""]
    halves = ".float()  # PEFT would round the new layers" if facts.in_halves and not quantization else ""
    lines += [
        f"run = {_literal(facts.name)}",
        f"base = {facts.auto_model}.from_pretrained(",
        f"    {_literal(base['id'])}{revision},",
        "    config=AutoConfig.from_pretrained(run),",
        "    ignore_mismatched_sizes=True,  # the head comes with the adapter",
        *([f"    quantization_config={quantization},"] if quantization else []),
        f"){halves}",
        "model = PeftModel.from_pretrained(base, run).eval()",
        f"processor = {facts.auto_processor}.from_pretrained(run)",
    ]
    return lines + _call_model(facts)


def _import_picture(facts: CardFacts) -> list[str]:
    is_picture = facts.auto_processor == "AutoImageProcessor"
    return ["from transformers.image_utils import load_image"] if is_picture else []


def _call_model(facts: CardFacts) -> list[str]:
    """Return the lines that pass one input through; nothing where it is not known how the processor takes it."""
    if facts.auto_processor == "AutoImageProcessor":
        given = f"load_image({facts.sample})"
    elif facts.auto_processor == "AutoTokenizer":
        given = f"{facts.sample}, truncation=True"
    else:
        return []
    return [f'inputs = processor({given}, return_tensors="pt")', "print(model(**inputs).logits)"]


def _format_quantization(block: Mapping[str, Any] | None) -> str | None:
    """Return the Python expression of a `quantization_config:` block."""
    if block is None:
        return None
    arguments = {name: value for name, value in block.items() if name not in ("quant_method", "quant_type")}
    named = [f"quant_type={block['quant_type']}()"] if "quant_type" in block else []
    named += [f"{name}={value!r}" for name, value in arguments.items()]
    config = {"bitsandbytes": "BitsAndBytesConfig", "torchao": "TorchAoConfig"}[block["quant_method"]]
    return f"{config}({', '.join(named)})"


def _literal(text: str) -> str:
    """Return a text as Python writes it, in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def _show(lines: list[str]) -> str:
    return fence("\n".join(lines), "python")
