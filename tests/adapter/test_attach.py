"""Which weights train."""

import pytest
import torch

from hf_tune.adapter.attach import attach_adapter, count_parameters, name_method
from hf_tune.input_error import InputError
from hf_tune.model.checkpoint_config import ModelSource
from hf_tune.model.image_processor import PictureOptions
from hf_tune.model.picture_checkpoint import load_image_classifier
from hf_tune.task import LoadedModel


def load(folder: str, **options: object) -> LoadedModel:
    source = ModelSource(pretrained_model_name_or_path=folder, **options)  # type: ignore[arg-type]
    return load_image_classifier(source, PictureOptions(image_size=32), ["a", "b", "c"])


def trained(model: torch.nn.Module) -> set[str]:
    return {name for name, value in model.named_parameters() if value.requires_grad}


def test_full_trains_all_and_probe_only_the_head(tiny_checkpoints: dict[str, str]) -> None:
    loaded = load(tiny_checkpoints["resnet"])
    full = attach_adapter(loaded, "full", None, None)
    assert count_parameters(full)[0] == count_parameters(full)[1]
    probe = attach_adapter(load(tiny_checkpoints["resnet"]), "probe", None, None)
    assert trained(probe) == {"classifier.1.weight", "classifier.1.bias"}
    assert count_parameters(probe)[0] == 16 * 3 + 3


def test_lora_starts_as_the_base_and_trains_its_factors_and_the_head(tiny_checkpoints: dict[str, str]) -> None:
    pixels = torch.rand(2, 3, 32, 32)
    before = load(tiny_checkpoints["timm"])
    with torch.no_grad():
        expected = before.model.eval()(pixels).logits
    loaded = load(tiny_checkpoints["timm"])
    with torch.no_grad():
        loaded.model.load_state_dict(before.model.state_dict())
    model = attach_adapter(loaded, "lora", None, None).eval()
    assert torch.allclose(model(pixels).logits, expected, atol=1e-6)
    names = trained(model)
    assert all("lora_" in name or "modules_to_save" in name for name in names)
    assert any("fc.modules_to_save" in name for name in names)


@pytest.mark.parametrize(
    "block",
    [
        {"peft_type": "LORA", "r": 2, "target_modules": ["conv2"]},
        {"peft_type": "LORA", "use_dora": True},
        {"peft_type": "LORA", "target_modules": "all-linear"},
        {"peft_type": "IA3", "target_modules": ["conv2"], "feedforward_modules": []},
        {"peft_type": "LOHA", "r": 2},
    ],
    ids=str,
)
def test_any_config_of_peft_can_be_given_as_a_block(block: dict, tiny_checkpoints: dict[str, str]) -> None:
    model = attach_adapter(load(tiny_checkpoints["timm"]), block, None, None)
    assert any("fc.modules_to_save" in name for name in trained(model))
    assert name_method(block) == block["peft_type"].lower()


def test_statistics_are_frozen_for_adapters_and_trained_for_full(tiny_checkpoints: dict[str, str]) -> None:
    """TRAPS P1."""
    for method, moves in (("full", True), ("probe", False), ("lora", False)):
        model = attach_adapter(load(tiny_checkpoints["timm"]), method, None, None)
        before = {name: value.clone() for name, value in model.named_buffers() if "running" in name}
        model.train()(pixel_values=torch.rand(4, 3, 32, 32))
        moved = any(not torch.equal(value, before[name]) for name, value in model.named_buffers() if name in before)
        assert moved == moves, method


def test_what_trains_is_float32_also_on_a_half_precision_base(tiny_checkpoints: dict[str, str]) -> None:
    model = attach_adapter(load(tiny_checkpoints["vit"], dtype="bfloat16"), "lora", None, None)
    assert {value.dtype for value in model.parameters() if value.requires_grad} == {torch.float32}


def test_an_adapter_on_a_random_base_is_refused(tiny_checkpoints: dict[str, str]) -> None:
    with pytest.raises(InputError, match="that base is random"):
        attach_adapter(load(tiny_checkpoints["resnet"], pretrained=False), "lora", None, None)


def test_what_peft_refuses_is_told_in_its_words(tiny_checkpoints: dict[str, str]) -> None:
    with pytest.raises(InputError, match="PEFT cannot attach OFT"):
        attach_adapter(load(tiny_checkpoints["vit"]), {"peft_type": "OFT", "r": 7, "oft_block_size": 5}, None, None)
