"""Bottleneck adapters as a method of PEFT."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import PeftConfig, PeftModel, get_peft_model, inject_adapter_in_model
from safetensors.torch import load_file, save_file
from transformers.pytorch_utils import Conv1D

from hf_tune.adapter.bottleneck_method import BottleneckConfig, BottleneckLayer
from hf_tune.model.checkpoint_config import ModelSource
from hf_tune.model.image_processor import PictureOptions
from hf_tune.model.picture_checkpoint import load_image_classifier


TEXT = torch.randint(5, 100, (4, 7), generator=torch.Generator().manual_seed(0))
PICTURES = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
FAMILIES = ("bert", "roberta", "distilbert", "gpt2", "llama", "t5", "vit", "resnet", "timm")


def build(family: str, folders: Mapping[str, str]) -> tuple[Any, dict[str, torch.Tensor]]:
    """Return a tiny network in evaluation mode, always with the same weights, and inputs for it."""
    torch.manual_seed(0)
    if family == "timm":
        source = ModelSource(pretrained_model_name_or_path=folders[family])
        loaded = load_image_classifier(source, PictureOptions(image_size=32), ["a", "b", "c"])
        return loaded.model.eval(), {"pixel_values": PICTURES}
    if family in ("vit", "resnet"):
        model = transformers.AutoModelForImageClassification.from_pretrained(
            folders[family], num_labels=3, ignore_mismatched_sizes=True
        )
        return model.eval(), {"pixel_values": PICTURES}
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folders[family], num_labels=3)
    model.config.pad_token_id = 0
    ids = TEXT.clone()
    ids[:, -1] = model.config.eos_token_id or 2
    return model.eval(), {"input_ids": ids}


@pytest.fixture
def folders(tiny_checkpoints: dict[str, str], tiny_text_checkpoints: dict[str, str]) -> dict[str, str]:
    return {**tiny_checkpoints, **tiny_text_checkpoints}


@torch.no_grad()
def logits(model: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return model.eval()(**inputs).logits


@pytest.mark.parametrize("placement", ["houlsby", "pfeiffer"])
@pytest.mark.parametrize("family", FAMILIES)
def test_it_starts_as_the_identity_and_loads_back(
    family: str, placement: str, folders: dict[str, str], tmp_path: Path
) -> None:
    model, inputs = build(family, folders)
    before = logits(model, inputs)
    tuned = get_peft_model(model, BottleneckConfig(placement=placement, reduction_factor=4))
    assert torch.allclose(logits(tuned, inputs), before, atol=1e-6)
    random = get_peft_model(
        build(family, folders)[0], BottleneckConfig(placement=placement, reduction_factor=4, init_weights=False)
    )
    after = logits(random, inputs)
    assert not torch.allclose(after, before, atol=1e-3)
    random.save_pretrained(tmp_path)
    assert torch.equal(logits(PeftModel.from_pretrained(build(family, folders)[0], tmp_path), inputs), after)
    with random.disable_adapter():
        assert torch.allclose(logits(random, inputs), before, atol=1e-6)
    assert PeftConfig.from_pretrained(tmp_path).peft_type == "BOTTLENECK"


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (torch.nn.Linear(6, 8), torch.rand(2, 5, 6)),
        (Conv1D(8, 6), torch.rand(2, 5, 6)),
        (torch.nn.Conv2d(6, 8, 3, padding=1), torch.rand(2, 6, 4, 4)),
    ],
    ids=["Linear", "Conv1D", "Conv2d"],
)
@pytest.mark.parametrize("parallel", [False, True])
def test_its_sum_is_that_of_the_papers(layer: torch.nn.Module, inputs: torch.Tensor, parallel: bool) -> None:
    settings = {"reduction_factor": 4.0, "non_linearity": "relu", "scaling": 0.5, "parallel": parallel}
    wrapped = BottleneckLayer(layer, "default", BottleneckConfig(init_weights=False, **settings)).eval()
    adapter = wrapped.bottleneck_adapters["default"]
    axis = 1 if isinstance(layer, torch.nn.Conv2d) else -1
    down, up = (each.weight.detach().flatten(1) for each in (adapter.down, adapter.up))
    assert down.shape == (2, 6 if parallel else 8) and up.shape == (8, 2)
    output = layer(inputs).detach()
    source = (inputs if parallel else output).movedim(axis, -1)
    hidden = torch.relu(source @ down.T + adapter.down.bias.detach())
    added = (hidden @ up.T + adapter.up.bias.detach()).movedim(-1, axis)
    assert torch.allclose(wrapped(inputs), output + 0.5 * added, atol=1e-6)


def test_beside_a_strided_convolution_the_sizes_fit() -> None:
    layer = torch.nn.Conv2d(3, 4, 3, stride=2, padding=1)
    config = BottleneckConfig(parallel=True, reduction_factor=2, init_weights=False)
    assert BottleneckLayer(layer, "default", config)(torch.rand(1, 3, 9, 9)).shape == (1, 4, 5, 5)


def test_dropout_works_in_training_only() -> None:
    layer = BottleneckLayer(torch.nn.Linear(4, 4), "default", BottleneckConfig(dropout=0.5, init_weights=False))
    inputs = torch.rand(8, 4)
    assert not torch.equal(layer(inputs), layer(inputs))
    layer.eval()
    assert torch.equal(layer(inputs), layer(inputs))


def test_several_adapters_stand_beside_each_other(folders: dict[str, str], tmp_path: Path) -> None:
    model, inputs = build("bert", folders)
    tuned = get_peft_model(model, BottleneckConfig(reduction_factor=4, init_weights=False))
    first = logits(tuned, inputs)
    tuned.add_adapter("second", BottleneckConfig(reduction_factor=2, init_weights=False))
    assert torch.equal(logits(tuned, inputs), first)
    tuned.set_adapter("second")
    second = logits(tuned, inputs)
    assert not torch.allclose(first, second, atol=1e-3)
    assert all("second" in name for name, value in tuned.named_parameters() if value.requires_grad)
    tuned.save_pretrained(tmp_path)
    fresh = PeftModel.from_pretrained(build("bert", folders)[0], tmp_path)
    fresh.load_adapter(tmp_path / "second", "other")
    fresh.set_adapter("other")
    assert torch.equal(logits(fresh, inputs), second)
    tuned.delete_adapter("second")
    tuned.set_adapter("default")
    assert torch.equal(logits(tuned, inputs), first)


def test_its_file_does_not_name_the_adapter_and_old_files_that_did_load(
    folders: dict[str, str], tmp_path: Path
) -> None:
    """transformers 5.23 inserts the name when it loads an adapter; named twice, nothing of it was loaded."""
    model, inputs = build("bert", folders)
    tuned = get_peft_model(model, BottleneckConfig(init_weights=False))
    tuned.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    assert tensors and not any("default" in name for name in tensors)
    old = {
        name.replace("bottleneck_adapters.", "bottleneck_adapters.default."): each for name, each in tensors.items()
    }
    save_file(old, tmp_path / "adapter_model.safetensors", metadata={"format": "pt"})
    for name in ("default", "other"):
        fresh = PeftModel.from_pretrained(build("bert", folders)[0], tmp_path, adapter_name=name)
        assert torch.equal(logits(fresh, inputs), logits(tuned, inputs))


def test_what_a_non_linear_adapter_cannot_do_is_said(folders: dict[str, str]) -> None:
    tuned = get_peft_model(build("bert", folders)[0], BottleneckConfig(init_weights=False))
    for call in (tuned.merge_and_unload, tuned.merge_adapter, lambda: tuned.add_weighted_adapter(["default"], [1.0])):
        with pytest.raises(NotImplementedError, match="not linear"):
            call()


def test_unloading_gives_the_base_back(folders: dict[str, str]) -> None:
    model, inputs = build("vit", folders)
    before = logits(model, inputs)
    tuned = get_peft_model(model, BottleneckConfig(init_weights=False))
    assert torch.equal(logits(tuned.unload(), inputs), before)


def test_activation_checkpointing_changes_no_gradient(folders: dict[str, str]) -> None:
    found = []
    for checkpointing in (False, True):
        model, inputs = build("bert", folders)
        tuned = get_peft_model(model, BottleneckConfig(init_weights=False, reduction_factor=4))
        if checkpointing:
            tuned.gradient_checkpointing_enable()
            tuned.enable_input_require_grads()
        tuned.train()
        torch.manual_seed(1)
        for layer in tuned.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.p = 0.0
        tuned(**inputs).logits.sum().backward()
        found.append({name: value.grad for name, value in tuned.named_parameters() if value.requires_grad})
    assert found[0].keys() == found[1].keys() and all(value is not None for value in found[1].values())
    assert all(torch.allclose(found[0][name], found[1][name], atol=1e-6) for name in found[0])


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5"])
def test_generators_generate(family: str, folders: dict[str, str]) -> None:
    auto = transformers.AutoModelForSeq2SeqLM if family == "t5" else transformers.AutoModelForCausalLM
    torch.manual_seed(0)
    model = auto.from_pretrained(folders[family]).eval()
    options = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": 0}
    before = model.generate(TEXT[:1], **options)
    task_type = "SEQ_2_SEQ_LM" if family == "t5" else "CAUSAL_LM"
    tuned = get_peft_model(copy.deepcopy(model), BottleneckConfig(task_type=task_type))
    assert torch.equal(tuned.generate(input_ids=TEXT[:1], **options), before)


def test_it_can_be_injected_without_a_wrapper(folders: dict[str, str]) -> None:
    model, inputs = build("bert", folders)
    before = logits(model, inputs)
    injected = inject_adapter_in_model(BottleneckConfig(), model)
    assert sum(isinstance(layer, BottleneckLayer) for layer in injected.modules()) == 4
    assert torch.allclose(logits(injected, inputs), before, atol=1e-6)


def test_a_half_precision_base_keeps_its_precision() -> None:
    layer = BottleneckLayer(torch.nn.Linear(4, 4).bfloat16(), "default", BottleneckConfig(init_weights=False))
    layer.bottleneck_adapters.float()
    assert layer(torch.rand(2, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"placement": "middle"}, "neither houlsby nor pfeiffer"),
        ({"reduction_factor": 0}, "reduction_factor 0 is out of range"),
        ({"scaling": 0.0}, "scaling 0.0 is out of range"),
        ({"dropout": 1.0}, "dropout 1.0 is out of range"),
        ({"non_linearity": "rleu"}, "is none of .*relu"),
    ],
)
def test_a_wrong_option_is_told(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        BottleneckConfig(**options)


def test_a_layer_of_another_kind_is_told() -> None:
    with pytest.raises(ValueError, match="LayerNorm takes no bottleneck adapter"):
        BottleneckLayer(torch.nn.LayerNorm(4), "default", BottleneckConfig())
