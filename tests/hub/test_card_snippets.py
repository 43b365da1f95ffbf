"""The snippets of a card as text; tests/test_run_card.py runs them."""

import ast
import dataclasses
import re
from typing import Any

import pytest

from hf_tune.hub.card_facts import CardFacts
from hf_tune.hub.card_snippets import write_snippets


def read_blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)


@pytest.mark.parametrize("name", ["run", "user/model", 'a "quoted" \\ name'])
@pytest.mark.parametrize("method", ["full", "probe", "lora", "bottleneck"])
@pytest.mark.parametrize("model_type", ["bert", "timm_wrapper"])
def test_every_snippet_is_python_and_names_the_model(
    name: str, method: str, model_type: str, results: dict[str, Any], facts: CardFacts
) -> None:
    facts = dataclasses.replace(facts, name=name, model_type=model_type)
    blocks = read_blocks(write_snippets(results | {"method": method}, facts))
    assert len(blocks) == (3 if model_type == "timm_wrapper" and method in ("full", "probe") else 2)
    for block in blocks:
        words = [node.value for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Constant)]
        assert any(str(word).removeprefix("local-dir:").removeprefix("hf-hub:") == name for word in words), block


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_network_that_plain_libraries_do_not_build_has_our_snippet_alone(
    method: str, results: dict[str, Any], facts: CardFacts
) -> None:
    own = dataclasses.replace(facts, own_parts="has a head with hidden layers", model_type="timm_wrapper")
    text = write_snippets(results | {"method": method}, own)
    assert len(read_blocks(text)) == 1 and "load_finetuned" in read_blocks(text)[0]
    assert "The network has a head with hidden layers: hf_tune alone builds and loads it." in text


def test_timm_reads_a_folder_or_the_hub(results: dict[str, Any], facts: CardFacts) -> None:
    facts = dataclasses.replace(facts, model_type="timm_wrapper")
    assert '"local-dir:run", pretrained=True' in write_snippets(results, facts)
    named = dataclasses.replace(facts, name="user/model")
    assert 'timm.create_model("hf-hub:user/model", pretrained=True)' in write_snippets(results, named)


def test_an_adapter_is_loaded_on_its_base_at_its_commit(results: dict[str, Any], facts: CardFacts) -> None:
    text = write_snippets(results | {"method": "lora"}, facts)
    assert '    "some/base", revision="0123456789abcdef",\n' in text and "import pipeline" not in text
    assert "PeftModel.from_pretrained(base, run)" in text and "import hf_tune" not in text
    results["base"]["revision"] = None
    assert "revision" not in write_snippets(results | {"method": "lora"}, facts)


def test_the_snippet_of_a_bottleneck_adapter_makes_the_method_known_first(
    results: dict[str, Any], facts: CardFacts
) -> None:
    text = write_snippets(results | {"method": "bottleneck"}, facts)
    assert "import hf_tune  # makes the method known to PEFT\nfrom peft import PeftModel\n" in text


def test_a_base_in_half_precision_computes_in_floats(results: dict[str, Any], facts: CardFacts) -> None:
    halves = dataclasses.replace(facts, in_halves=True)
    assert "\n).float()  # PEFT" in write_snippets(results | {"method": "lora"}, halves)
    assert ".float()" not in write_snippets(results | {"method": "lora"}, facts)


def test_a_processor_of_ones_own_is_left_to_its_reader(results: dict[str, Any], facts: CardFacts) -> None:
    text = write_snippets(results | {"method": "lora"}, dataclasses.replace(facts, auto_processor="AutoProcessor"))
    assert "processor = AutoProcessor.from_pretrained(run)\n```" in text


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_model_that_scales_grey_values_says_what_plain_libraries_need(
    method: str, results: dict[str, Any], facts: CardFacts
) -> None:
    wide = dataclasses.replace(facts, intensity=[0, 4095], sample='"some.png"')
    assert '`hf_tune.data.images.read_image("some.png", [0, 4095])`' in write_snippets(
        results | {"method": method}, wide
    )
    assert "intensity" not in write_snippets(results | {"method": method}, facts)
