"""Quantised bases: what is quantised, that adapters train on them and load back, and what is refused."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch

import hf_tune.proof
from hf_tune.adapter.attach import attach_adapter, count_parameters
from hf_tune.finetuned import load_finetuned
from hf_tune.input_error import InputError
from hf_tune.model.checkpoint_config import ModelSource
from hf_tune.model.image_processor import PictureOptions
from hf_tune.model.picture_checkpoint import load_image_classifier, outline_image_classifier
from hf_tune.model.quantised_base import (
    build_load_arguments,
    cast_to_float32,
    count_saved_bytes,
    is_quantised,
    resolve_quantization,
)
from hf_tune.model.text_checkpoint import load_text_classifier, outline_text_classifier
from hf_tune.model.text_processor import TextOptions
from hf_tune.recipe.error import RecipeError
from hf_tune.recipe.reader import load_recipe
from hf_tune.run import finetune


NAMES = ("a", "b", "c")
BLOCKS = MappingProxyType(
    {
        "bitsandbytes": {"quant_method": "bitsandbytes", "load_in_8bit": True},
        "torchao": {"quant_method": "torchao", "quant_type": "Int8WeightOnlyConfig"},
    }
)
each_library = pytest.mark.parametrize("library", list(BLOCKS))
FLOAT = ("classifier", "score", "pooler", "classification_head", "pre_classifier")


def load(folder: str, block: Any, **options: Any) -> Any:
    source = ModelSource(pretrained_model_name_or_path=folder, quantization_config=block, **options)
    return load_text_classifier(source, TextOptions(), NAMES)


def is_packed(weight: torch.Tensor) -> bool:
    return weight.dtype == torch.int8 or type(weight).__name__ == "Int8Tensor"


@each_library
@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "llama", "t5"])
def test_all_linear_layers_but_heads_and_poolers_are_quantised(
    library: str, family: str, tiny_text_checkpoints: dict[str, str]
) -> None:
    """RoBERTa's and DistilBERT's heads hold a layer that is new though its shape does not depend on the labels.

    transformers keeps T5's `wo` in float32 itself, for bitsandbytes.
    """
    loaded = load(tiny_text_checkpoints[family], BLOCKS[library])
    packed = {}
    for name, layer in loaded.model.named_modules():
        if isinstance(layer, torch.nn.Linear):
            packed[name] = is_packed(layer.weight)
    kept = (*FLOAT, "wo") if library == "bitsandbytes" else FLOAT
    assert [name for name, value in packed.items() if not value] == [
        name for name in packed if any(part in name for part in kept)
    ]
    assert any(packed.values()) and is_quantised(loaded.model)
    assert not hasattr(loaded.model.config, "quantization_config")


@each_library
def test_the_outputs_are_near_those_of_the_float_base_and_not_equal(
    library: str, tiny_text_checkpoints: dict[str, str]
) -> None:
    tokens = {"input_ids": torch.randint(5, 100, (4, 9), generator=torch.Generator().manual_seed(0))}
    folder = tiny_text_checkpoints["bert"]
    plain, packed = (load(folder, block).model.eval() for block in (None, BLOCKS[library]))
    with torch.no_grad():
        difference = (plain.bert(**tokens)[0] - packed.bert(**tokens)[0]).abs().max()
    assert 1e-4 < difference < 0.1


@each_library
@pytest.mark.parametrize("method", ["lora", "bottleneck", "prefix", "IA3", "VERA"])
def test_every_trainable_tensor_of_a_method_moves(
    library: str, method: str, tiny_text_checkpoints: dict[str, str]
) -> None:
    loaded = load(tiny_text_checkpoints["bert"], BLOCKS[library])
    torch.manual_seed(0)
    block = method if method.islower() else {"peft_type": method, **({"r": 4} if method == "VERA" else {})}
    if method == "bottleneck":
        block = {"peft_type": "BOTTLENECK", "reduction_factor": 4.0}
    model = attach_adapter(loaded, block, None, "SEQ_CLS").train()
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    before = {name: value.detach().clone() for name, value in trained.items()}
    optimiser = torch.optim.AdamW(trained.values(), lr=1e-2)
    tokens = torch.randint(5, 100, (6, 9), generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(input_ids=tokens).logits, torch.tensor([0, 1, 2, 0, 1, 2])).backward()
        optimiser.step()
    assert [name for name, value in trained.items() if torch.equal(value, before[name])] == []
    float_parameters = count_parameters(
        attach_adapter(load(tiny_text_checkpoints["bert"], None), block, None, "SEQ_CLS")
    )
    assert count_parameters(model) == float_parameters


@each_library
def test_a_run_on_a_quantised_base_is_proved_and_loads_back(
    library: str, write_text_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hf_tune.proof, "_run_child", hf_tune.proof.main)
    block = json.dumps(BLOCKS[library])
    recipe = load_recipe(write_text_recipe(), [f"model.quantization_config={block}", "peft=lora"])
    results = finetune(recipe)
    assert results["proof"]["passed"] and results["proof"]["max_abs_difference"] == 0
    assert results["base"]["quantization"]["quant_method"] == library
    folder = recipe.output_dir
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())  # it would pass for stored so
    reloaded = load_finetuned(folder)
    assert is_quantised(reloaded.model) and len(reloaded.predict(["the old rose", "near the sea"])) == 2
    card = (folder / "README.md").read_text()
    snippet = card.partition("With PEFT alone:\n\n```python\n")[2].partition("```")[0]
    assert "quantization_config=" in snippet and f"quantised by {library}" in card
    monkeypatch.chdir(folder.parent)
    scope: dict[str, Any] = {}
    exec(snippet, scope)
    tokens = torch.randint(5, 100, (4, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs = [model(input_ids=tokens).logits for model in (scope["model"], reloaded.model)]
    assert torch.equal(*outputs)


@each_library
def test_a_half_precision_base_is_proved_too(
    library: str, write_text_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchao's weights unpack to the precision of the base, which numpy does not know: the proof crashed."""
    monkeypatch.setattr(hf_tune.proof, "_run_child", hf_tune.proof.main)
    overrides = [f"model.quantization_config={json.dumps(BLOCKS[library])}", "peft=lora"]
    overrides += ["model.dtype=bfloat16", "training.bf16=true", "training.max_steps=2"]
    assert finetune(load_recipe(write_text_recipe(), overrides))["proof"]["passed"]


@each_library
def test_a_vision_transformer_trains_too(library: str, tiny_checkpoints: dict[str, str]) -> None:
    source = ModelSource(pretrained_model_name_or_path=tiny_checkpoints["vit"], quantization_config=BLOCKS[library])
    loaded = load_image_classifier(source, PictureOptions(image_size=32), NAMES)
    model = attach_adapter(loaded, "lora", None, None)
    model(pixel_values=torch.rand(2, 3, 32, 32)).logits.sum().backward()
    gradients = [value.grad for name, value in model.named_parameters() if "lora_B" in name]
    assert len(gradients) > 4 and all(value is not None and value.any() for value in gradients)


def test_a_convolutional_network_has_nothing_to_quantise(tiny_checkpoints: dict[str, str]) -> None:
    source = ModelSource(pretrained_model_name_or_path=tiny_checkpoints["timm"], quantization_config=BLOCKS["torchao"])
    with pytest.raises(InputError, match="no linear layer") as caught:
        outline_image_classifier(source, PictureOptions(image_size=32), NAMES)
    assert caught.value.at == ("quantization_config",)


def test_layers_of_the_users_own_choice_stay_in_floats_too(tiny_text_checkpoints: dict[str, str]) -> None:
    block = {**BLOCKS["torchao"], "modules_to_not_convert": ["bert.encoder.layer.0"]}
    loaded = load(tiny_text_checkpoints["bert"], block)
    assert loaded.quantization["modules_to_not_convert"] == ["bert.encoder.layer.0", "bert.pooler", "classifier"]
    first, second = (each.attention.self.query.weight for each in loaded.model.bert.encoder.layer)
    assert not is_packed(first) and is_packed(second)


def test_four_bits_need_a_gpu(tiny_text_checkpoints: dict[str, str]) -> None:
    """bitsandbytes 0.50 packs weights anew for evaluation on AVX512-BF16, and a state_dict then undoes it wrongly."""
    block = {"quant_method": "bitsandbytes", "load_in_4bit": True, "llm_int8_skip_modules": []}
    with pytest.raises(InputError, match="4 bits need a GPU") as caught:
        build_load_arguments(block, "cpu")
    assert caught.value.at == ("quantization_config", "load_in_4bit")
    arguments = build_load_arguments(block, "cuda:1")
    assert arguments["device_map"] == {"": "cuda:1"} and arguments["quantization_config"].load_in_4bit


def test_through_activations_in_8_bits_no_gradient_passes() -> None:
    """torchao 0.18: why Int8DynamicActivationInt8WeightConfig is refused; if this fails, it may be allowed."""
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    layer = torch.nn.Sequential(torch.nn.Linear(64, 64))
    quantize_(layer, Int8DynamicActivationInt8WeightConfig())
    inputs = torch.rand(4, 64, requires_grad=True)
    try:
        layer(inputs).sum().backward()
    except RuntimeError:
        return
    assert inputs.grad is None or not inputs.grad.any()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["peft=full"], "the weights of a quantised base cannot be trained; write `peft: lora`"),
        (["peft=probe"], "the weights of a quantised base cannot be trained"),
        (
            ["model.quantization_config={load_in_8bit: true}"],
            "`quant_method` is missing; one of bitsandbytes, torchao",
        ),
        (["model.quantization_config.quant_method=bitsnbytes"], "did you mean `bitsandbytes`"),
        (["model.quantization_config.load_in_8bits=true"], "did you mean `load_in_8bit`"),
        (["model.quantization_config.load_in_8bit=1"], "expected true or false, got 1"),
        (["model.quantization_config.load_in_4bit=true"], "either 4 or 8 bits"),
        (["model.quantization_config.bnb_4bit_quant_type=nf5"], "known: fp4, nf4"),
        (["model.quantization_config.llm_int8_enable_fp32_cpu_offload=true"], "stands on one device"),
        (
            ["model.quantization_config={quant_method: torchao, quant_type: Int8DynamicActivationInt8WeightConfig}"],
            "known: Int8WeightOnlyConfig",
        ),
        (["model.quantization_config={quant_method: torchao}"], "`quant_type` is missing"),
        (["training.deepspeed={zero_optimization: {stage: 3}}"], "ZeRO stage 3 cannot shard"),
        (["model.load_in_8bit=true"], "write `quantization_config: {quant_method: bitsandbytes, load_in_8bit: true}`"),
    ],
)
def test_what_cannot_be_is_told(overrides: list[str], words: str, write_text_recipe: Callable[..., Path]) -> None:
    start = ["peft=lora", "model.quantization_config={quant_method: bitsandbytes, load_in_8bit: true}"]
    with pytest.raises(RecipeError) as caught:
        load_recipe(write_text_recipe(), [*start, *overrides])
    assert words in str(caught.value), str(caught.value)


def test_a_method_that_reads_packed_weights_is_refused(tiny_text_checkpoints: dict[str, str]) -> None:
    with pytest.raises(InputError, match="hira does not work on a quantised base; these do: LORA"):
        attach_adapter(load(tiny_text_checkpoints["bert"], BLOCKS["torchao"]), {"peft_type": "HIRA"}, None, "SEQ_CLS")


def test_a_library_that_is_absent_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    for library, block in BLOCKS.items():
        monkeypatch.setitem(sys.modules, library, None)
        monkeypatch.setitem(sys.modules, f"{library}.quantization", None)
        with pytest.raises(InputError, match=r"pip install 'hf_tune\[quantization\]'"):
            build_load_arguments(block, "cpu")


def test_deepspeeds_stage_3_is_refused_also_where_only_the_launcher_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3")
    with pytest.raises(InputError, match="cannot be sharded"):
        build_load_arguments(BLOCKS["bitsandbytes"], "cpu")


def test_a_checkpoint_that_is_stored_quantised_is_refused(
    tiny_text_checkpoints: dict[str, str], tmp_path: Path
) -> None:
    import shutil

    folder = Path(shutil.copytree(tiny_text_checkpoints["bert"], tmp_path / "stored"))
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="stored quantised; start from the checkpoint that it was made of"):
        load(str(folder), None)


def test_casting_leaves_what_is_packed_as_it_is(tiny_text_checkpoints: dict[str, str]) -> None:
    model = load(tiny_text_checkpoints["bert"], BLOCKS["bitsandbytes"], dtype="bfloat16").model
    cast_to_float32(model)
    dtypes = {value.dtype for value in model.parameters()}
    assert dtypes == {torch.int8, torch.float32}
    plain = load(tiny_text_checkpoints["bert"], None, dtype="bfloat16").model
    cast_to_float32(plain)
    assert {value.dtype for value in plain.parameters()} == {torch.float32}


def test_saved_bytes_are_three_of_four_of_each_quantised_weight(tiny_text_checkpoints: dict[str, str]) -> None:
    source = ModelSource(
        pretrained_model_name_or_path=tiny_text_checkpoints["bert"], quantization_config=BLOCKS["torchao"]
    )
    outline = outline_text_classifier(source, TextOptions(), NAMES)
    weights = 2 * (4 * 16 * 16 + 2 * 16 * 32)  # two blocks: query, key, value, output; feed-forward up and down
    assert count_saved_bytes(attach_adapter(outline, "lora", None, "SEQ_CLS"), outline.quantization) == 3 * weights
    assert count_saved_bytes(outline.model, None) == 0
    assert resolve_quantization(None, outline) is None
