"""Learning rates of the parts of a network, what decays, and what goes together."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
from transformers import MobileNetV2Config, MobileNetV2ForImageClassification, Trainer

from hf_tune.adapter.attach import attach_adapter
from hf_tune.input_error import InputError
from hf_tune.model.checkpoint_config import ModelSource
from hf_tune.model.image_processor import PictureOptions
from hf_tune.model.picture_checkpoint import load_image_classifier
from hf_tune.model.text_checkpoint import load_text_classifier
from hf_tune.model.text_processor import TextOptions
from hf_tune.task import LoadedModel
from hf_tune.training.objective import (
    Focal,
    Objective,
    check_blocks,
    find_decaying,
    group_parameters,
    resolve_objective,
)


ARGUMENTS = SimpleNamespace(learning_rate=1.0, weight_decay=0.1)
FAMILIES = ("bert", "distilbert", "roberta", "gpt2", "llama", "t5")


def load(folder: str) -> LoadedModel:
    source = ModelSource(pretrained_model_name_or_path=folder)
    return load_text_classifier(source, TextOptions(), ["a", "b", "c"])


def list_decayed(model: Any, **objective: Any) -> list[str]:
    """Return the parameters that the Trainer decays."""
    return find_decaying(Trainer.get_decay_parameter_names(SimpleNamespace(), model), model, Objective(**objective))


def rate_names(names: list[str], objective: Objective, new_layers: set[str] | None = None) -> dict[str, float]:
    """Return the rate of each parameter, as a multiple of the learning rate."""
    values = {name: torch.nn.Parameter(torch.zeros(1)) for name in names}
    groups = group_parameters(values.items(), set(), new_layers or set(), objective, ARGUMENTS)
    rates = {id(value): group["lr"] for group in groups for value in group["params"]}
    return {name: rates[id(value)] for name, value in values.items()}


def rate_model(model: Any, new_layers: Any, objective: Objective) -> dict[str, tuple[float, float]]:
    """Return rate and decay of each parameter of a model that trains."""
    groups = group_parameters(model.named_parameters(), set(list_decayed(model)), new_layers, objective, ARGUMENTS)
    found = {id(value): (group["lr"], group["weight_decay"]) for group in groups for value in group["params"]}
    return {name: found[id(value)] for name, value in model.named_parameters() if id(value) in found}


@pytest.mark.parametrize(
    ("powers", "new"),
    [
        (
            {
                "bert.embeddings.word_embeddings.weight": 2,
                "bert.embeddings.LayerNorm.weight": 2,
                "bert.encoder.layer.0.attention.self.query.weight": 1,
                "bert.encoder.layer.1.output.dense.bias": 0,
                "bert.pooler.dense.weight": 0,
                "classifier.weight": None,
            },
            {"classifier"},
        ),
        (
            {
                "transformer.wte.weight": 3,
                "transformer.wpe.weight": 3,
                "transformer.h.0.attn.c_attn.weight": 2,
                "transformer.h.1.ln_1.weight": 1,
                "transformer.h.2.mlp.c_fc.weight": 0,
                "transformer.ln_f.weight": 0,
                "score.weight": None,
            },
            {"score"},
        ),
        (
            {
                "transformer.shared.weight": 2,
                "transformer.encoder.block.0.layer.0.SelfAttention.q.weight": 1,
                "transformer.encoder.block.0.layer.1.DenseReluDense.wi.weight": 1,
                "transformer.encoder.block.1.layer.0.layer_norm.weight": 0,
                "transformer.encoder.final_layer_norm.weight": 0,
                "transformer.decoder.block.0.layer.2.DenseReluDense.wo.weight": 1,
                "transformer.decoder.block.1.layer.1.EncDecAttention.v.weight": 0,
                "classification_head.dense.weight": None,
            },
            {"classification_head.dense"},
        ),
        (
            {
                "timm_model.conv1.weight": 4,
                "timm_model.bn1.bias": 4,
                "timm_model.layer1.0.conv1.weight": 3,
                "timm_model.layer2.1.bn1.weight": 2,
                "timm_model.layer3.0.downsample.0.weight": 1,
                "timm_model.layer4.1.conv2.weight": 0,
                "timm_model.fc.weight": None,
            },
            {"timm_model.fc"},
        ),
        (
            {
                "resnet.embedder.embedder.convolution.weight": 2,
                "resnet.encoder.stages.0.layers.1.layer.0.convolution.weight": 1,
                "resnet.encoder.stages.1.layers.0.shortcut.normalization.weight": 0,
                "classifier.1.weight": None,
            },
            {"classifier.1"},
        ),
        (
            {
                "timm_model.cls_token": 2,
                "timm_model.pos_embed": 2,
                "timm_model.patch_embed.proj.weight": 2,
                "timm_model.blocks.0.attn.qkv.weight": 1,
                "timm_model.blocks.1.mlp.fc1.weight": 0,
                "timm_model.norm.weight": 0,
                "timm_model.head.weight": None,
            },
            {"timm_model.head"},
        ),
    ],
    ids=["BERT", "GPT-2", "T5", "timm ResNet", "ResNet", "timm ViT"],
)
def test_each_block_learns_at_a_multiple_of_the_rate_above_it(powers: dict[str, Any], new: set[str]) -> None:
    rates = rate_names(list(powers), Objective(layer_decay=0.5, head_learning_rate=3.0), new)
    assert rates == {name: 3.0 if power is None else pytest.approx(0.5**power) for name, power in powers.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_network_has_its_two_blocks(family: str, tiny_text_checkpoints: dict[str, str]) -> None:
    loaded = load(tiny_text_checkpoints[family])
    rates = rate_model(loaded.model, loaded.new_layers, Objective(layer_decay=0.5, head_learning_rate=3.0))
    count = Counter(rate for rate, _ in rates.values())
    assert set(count) == {3.0, 1.0, 0.5, 0.25}
    embeddings = [name for name, (rate, _) in rates.items() if rate == 0.25]
    assert all("embed" in name or name.endswith(("wte.weight", "wpe.weight", "shared.weight")) for name in embeddings)
    heads = [name for name, (rate, _) in rates.items() if rate == 3.0]
    assert {name.rpartition(".")[0] for name in heads} == loaded.new_layers


@pytest.mark.parametrize("kind", ["resnet", "vit", "timm"])
def test_picture_networks_have_their_blocks_too(kind: str, tiny_checkpoints: dict[str, str]) -> None:
    source = ModelSource(pretrained_model_name_or_path=tiny_checkpoints[kind])
    loaded = load_image_classifier(source, PictureOptions(image_size=32), ["a", "b", "c"])
    rates = rate_model(loaded.model, loaded.new_layers, Objective(layer_decay=0.5, head_learning_rate=3.0))
    blocks = 4 if kind == "timm" else 2  # timm's test_resnet has four stages
    assert {rate for rate, _ in rates.values()} == {3.0, *(0.5**power for power in range(blocks + 1))}


@pytest.mark.parametrize("method", ["full", "lora", "probe"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_learns_at_its_own_rate_also_beside_an_adapter(
    family: str, method: str, tiny_text_checkpoints: dict[str, str]
) -> None:
    """PEFT 0.21 wraps RoBERTa's head as a whole, so that its layers have other names."""
    loaded = load(tiny_text_checkpoints[family])
    model = attach_adapter(loaded, method, None, "SEQ_CLS")
    rates = rate_model(model, loaded.new_layers, Objective(head_learning_rate=3.0))
    heads = {name for name in rates if "score" in name or "classif" in name}
    assert heads and all(rate == (3.0 if name in heads else 1.0) for name, (rate, _) in rates.items())
    assert (heads == set(rates)) == (method == "probe")


@pytest.mark.parametrize("objective", [Objective(), Objective(head_learning_rate=2.0, layer_decay=0.9)], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_that_trains_is_lost_or_doubled_and_no_bias_or_norm_decays(
    family: str, objective: Objective, tiny_text_checkpoints: dict[str, str]
) -> None:
    loaded = load(tiny_text_checkpoints[family])
    frozen = next(loaded.model.parameters())
    frozen.requires_grad = False
    decaying = set(list_decayed(loaded.model))
    groups = group_parameters(loaded.model.named_parameters(), decaying, loaded.new_layers, objective, ARGUMENTS)
    grouped = [id(value) for group in groups for value in group["params"]]
    trained = [id(value) for value in loaded.model.parameters() if value.requires_grad]
    assert sorted(grouped) == sorted(trained) and id(frozen) not in grouped
    assert len({(group["lr"], group["weight_decay"]) for group in groups}) == len(groups)
    named = {id(value): name for name, value in loaded.model.named_parameters()}
    for group in groups:
        for value in group["params"]:
            small = value.ndim == 1 or "relative_attention_bias" in named[id(value)]  # biases and scales of norms
            assert group["weight_decay"] == (0.0 if small else 0.1), named[id(value)]


def test_lora_plus_speeds_up_the_second_factors_only(tiny_text_checkpoints: dict[str, str]) -> None:
    loaded = load(tiny_text_checkpoints["bert"])
    model = attach_adapter(loaded, "lora", None, "SEQ_CLS")
    rates = rate_model(model, loaded.new_layers, Objective(loraplus_lr_ratio=16.0, head_learning_rate=3.0))
    second = {name for name in rates if "lora_B" in name}
    first = {name for name in rates if "lora_A" in name}
    assert len(first) == len(second) > 0
    for name, (rate, _) in rates.items():
        assert rate == (16.0 if name in second else 1.0 if name in first else 3.0), name


def test_without_an_objective_everything_learns_at_the_one_rate(tiny_text_checkpoints: dict[str, str]) -> None:
    loaded = load(tiny_text_checkpoints["bert"])
    assert {rate for rate, _ in rate_model(loaded.model, loaded.new_layers, Objective()).values()} == {1.0}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layer_decay": 1.5}, r"1\.5 is out of range; it must be above 0 and at most 1$"),
        ({"layer_decay": 0.0}, r"0\.0 is out of range"),
        ({"head_learning_rate": -1.0}, "at most 1000$"),
        ({"loraplus_lr_ratio": 0}, "0 is out of range"),
    ],
)
def test_a_rate_out_of_range_is_told(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        Objective(**options)
    assert caught.value.at == tuple(options)


def test_a_learning_rate_that_is_written_stands_alone() -> None:
    training = {"learning_rate": 1e-5, "seed": 3}
    assert resolve_objective(None, training, (1e-3, 1e-2)) == (Objective(), training)
    own = Objective(layer_decay=0.9)
    assert resolve_objective(own, training, (1e-3, 1e-2)) == (own, training)


def test_rates_that_are_left_out_are_the_methods() -> None:
    objective, training = resolve_objective(None, {"seed": 3}, (1e-3, 1e-2))
    assert objective == Objective(head_learning_rate=1e-2) and training == {"seed": 3, "learning_rate": 1e-3}
    own = Objective(layer_decay=0.9, loraplus_lr_ratio=4.0, head_learning_rate=0.5)
    objective, training = resolve_objective(own, {}, (1e-3, 1e-2))
    assert objective == own and training == {"learning_rate": 1e-3}


def test_an_optimiser_of_torch_takes_the_groups() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
    groups = group_parameters(
        model.named_parameters(), set(list_decayed(model)), {"1"}, Objective(head_learning_rate=0.5), ARGUMENTS
    )
    optimiser = torch.optim.SGD(groups, lr=9.0)
    model(torch.ones(1, 2)).sum().backward()
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimiser.step()
    for name, value in model.named_parameters():
        decay = 0.1 if name.endswith("weight") else 0.0
        rate = 0.5 if name.startswith("1.") else 1.0
        step = before[name] - rate * (value.grad + decay * before[name])
        assert torch.allclose(value, step, atol=1e-6), name


def test_of_a_timm_resnet_the_convolutions_and_the_classifier_decay() -> None:
    """transformers 5.23 takes the scales of BatchNorm (`bn1.weight`, `downsample.1.weight`) for weights."""
    with torch.device("meta"):
        model = timm.create_model("resnet18", num_classes=3)
    blocks = [
        f"layer{stage}.{block}.{name}.weight"
        for stage in (1, 2, 3, 4)
        for block, names in ((0, ("conv1", "conv2", "downsample.0")), (1, ("conv1", "conv2")))
        for name in names
        if (stage, name) != (1, "downsample.0")  # the first stage halves nothing
    ]
    assert sorted(list_decayed(model)) == sorted(["conv1.weight", *blocks, "fc.weight"])
    transformers_own = Trainer.get_decay_parameter_names(SimpleNamespace(), model)
    assert "bn1.weight" in transformers_own and "layer2.0.downsample.1.weight" in transformers_own
    assert list_decayed(model, decay_norms_and_biases=True) == [name for name, _ in model.named_parameters()]


@pytest.mark.parametrize("kind", ["resnet", "vit", "timm"])
def test_of_picture_networks_nothing_of_one_axis_decays(kind: str, tiny_checkpoints: dict[str, str]) -> None:
    source = ModelSource(pretrained_model_name_or_path=tiny_checkpoints[kind])
    model = load_image_classifier(source, PictureOptions(image_size=32), ["a", "b", "c"]).model
    norms = [
        f"{name}.weight"
        for name, layer in model.named_modules()
        if isinstance(layer, (torch.nn.BatchNorm2d, torch.nn.LayerNorm, torch.nn.GroupNorm))
    ]
    decayed = list_decayed(model)
    expected = {name for name, value in model.named_parameters() if value.ndim > 1}
    assert norms and set(decayed) == expected and not set(norms) & expected
    assert not any(name.endswith("bias") for name in decayed)


@pytest.mark.parametrize(
    ("build", "blocks", "lowest", "highest"),
    [
        (lambda: timm.create_model("mobilenetv2_100", num_classes=3), 7, "bn1.weight", "conv_head.weight"),
        (
            lambda: MobileNetV2ForImageClassification(MobileNetV2Config()),
            16,
            "mobilenet_v2.conv_stem.first_conv.convolution.weight",
            "mobilenet_v2.conv_1x1.convolution.weight",
        ),
    ],
    ids=["timm", "transformers"],
)
def test_the_blocks_of_mobilenet_are_found(build: Any, blocks: int, lowest: str, highest: str) -> None:
    with torch.device("meta"):
        model = build()
    rates = {name: rate for name, (rate, _) in rate_model(model, {"classifier"}, Objective(layer_decay=0.5)).items()}
    assert set(rates.values()) == {0.5**power for power in range(blocks + 1)}
    assert rates[lowest] == 0.5**blocks and rates[highest] == 1.0 == rates["classifier.weight"]


def test_the_trainer_takes_the_list(build_tiny: Any) -> None:
    for objective, decays in ((Objective(), False), (Objective(head_learning_rate=0.1), False), (None, True)):
        made = objective or Objective(decay_norms_and_biases=True)
        trainer = build_tiny(objective=made, weight_decay=0.1)
        groups = trainer.create_optimizer().param_groups
        decayed = {id(value) for group in groups if group["weight_decay"] for value in group["params"]}
        network = trainer.model
        assert {id(network.inner.weight), id(network.outer.weight)} <= decayed
        assert all(
            (id(value) in decayed) == decays for value in (network.norm.weight, network.norm.bias, network.outer.bias)
        )


@pytest.mark.parametrize(
    ("options", "at", "words"),
    [
        ({"ema_decay": 1.0}, "ema_decay", "must be above 0 and below 1"),
        ({"loss": "mine"}, "loss", "'mine' is no `module:function`"),
        ({"loss": "mine:"}, "loss", "is no `module:function`"),
        ({"loss": "a:b", "focal": Focal()}, "focal", "`loss` and `focal` exclude each other"),
        ({"loss": "a:b", "class_weights": "balanced"}, "class_weights", "exclude each other"),
        ({"costs": [[0.0, 1.0], [1.0, 0.0]], "focal": Focal()}, "focal", "`focal` and `costs` exclude each other"),
    ],
)
def test_keys_that_do_not_go_together_are_told(options: dict[str, Any], at: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        Objective(**options)
    assert caught.value.at == (at,)


def test_a_focus_out_of_range_is_told() -> None:
    with pytest.raises(InputError, match="must be above 0 and at most 10"):
        Focal(gamma=0.0)


def test_what_changes_a_plain_objective_is_listed() -> None:
    assert Objective().list_changes() == {} and not Objective(ema_decay=0.9).has_rates
    assert Objective(focal=Focal(), layer_decay=0.5).list_changes() == {"focal": Focal(), "layer_decay": 0.5}
    assert Objective(layer_decay=0.5).has_rates


def test_layers_without_numbers_are_told_where_rates_are_to_decay_over_them() -> None:
    check_blocks(Objective(), ["features.conv0.weight"])
    check_blocks(Objective(layer_decay=0.5), ["layer1.0.conv1.weight"])
    with pytest.raises(InputError, match=r"no numbers that tell which comes first; leave it out") as caught:
        check_blocks(Objective(layer_decay=0.5), ["features.conv0.weight"])
    assert caught.value.at == ("objective", "layer_decay")
